/* Another file for a plugin that is loaded: weir_plugin_swap, and the watch that says when.
 *
 * The new file is loaded beside the old as if it were another plugin: compiled on a worker, linked, asked for its
 * meta and its fields, configured once on trial. Only when all of that is fine do the two trade places: the plugin
 * gets the new code, manifest, meta and configuration, its streams go over to it (stream_plugin_renew), and what
 * was old goes with the helper. Whatever fails before that leaves the old one as it was.
 * What it may reach never grows here: the first file's wishes, which its user granted, are the limit. */
#include <stdlib.h>

#include "host/embed.h"
#include "host/inside.h"

#define QUIET_NS (200 * NS_PER_MS) /* a file that nobody wrote to for so long is whole */
#define TRIAL_MS 15000

/* ---- What it may ---- */

static bool path_granted(const manifest *m, const manifest_path *wanted)
{
    for (size_t i = 0; i < m->allowed_path_count; i++) {
        const manifest_path *p = &m->allowed_paths[i];
        if (!strcmp(p->host, wanted->host) && !strcmp(p->guest, wanted->guest) && (wanted->read_only || !p->read_only))
            return true;
    }
    return false;
}

static bool host_granted(const manifest *m, const char *wanted)
{
    bool granted = false;
    for (size_t i = 0; i < m->allowed_host_count; i++)
        granted |= !strcmp(m->allowed_hosts[i], wanted);
    return granted;
}

/* A manifest's own permissions, compared as they are written. */
static bool manifest_beyond(const manifest *more, const manifest *than, buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < more->allowed_host_count; i++)
        if (!host_granted(than, more->allowed_hosts[i]))
            buf_add_fmt(out, "%s+ host %s", out->len ? ", " : "", more->allowed_hosts[i]);
    for (size_t i = 0; i < more->allowed_path_count; i++) {
        const manifest_path *p = &more->allowed_paths[i];
        if (!path_granted(than, p))
            buf_add_fmt(out, "%s+ path %s%s -> %s", out->len ? ", " : "", p->read_only ? "ro:" : "", p->host, p->guest);
    }
    return out->len > before;
}

static bool asks_for_folder(const weir_plugin *p, const char *guest)
{
    bool asks = false;
    for (size_t i = 0; p->meta && i < p->meta->folder_count; i++)
        asks |= !strcmp(p->meta->folders[i].guest, guest);
    return asks;
}

/* A folder that the old file asked for is no more, whether the user granted it or not. */
static bool folders_beyond(const weir_plugin *next, const weir_plugin *p, buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; next->meta && i < next->meta->folder_count; i++)
        if (!asks_for_folder(p, next->meta->folders[i].guest))
            buf_add_fmt(out, "%s+ folder %s", out->len ? ", " : "", next->meta->folders[i].guest);
    return out->len > before;
}

static weir_code check_permissions(const weir_plugin *p, const weir_plugin *next, weir_error *err)
{
    buf wider;
    weir_code code = WEIR_OK;
    buf_init(&wider, 1 << 20);
    bool more = targets_beyond(next->targets, p->granted, "+", &wider);
    more |= manifest_beyond(next->manifest, p->manifest, &wider);
    more |= folders_beyond(next, p, &wider);
    if (more) {
        targets_beyond(p->granted, next->targets, "-", &wider);
        code = error_set(err, WEIR_REFUSED, "the new file asks for more than was granted: %.*s; to grant it, start anew", (int)(wider.len > 700 ? 700 : wider.len), wider.at ? wider.at : "");
    }
    buf_fini(&wider);
    return code;
}

/* What the user allowed of what the new file asks for: the narrower of the two, pattern by pattern. */
static weir_code narrow(const weir_plugin *p, weir_plugin *next, weir_error *err)
{
    targets *allowed = targets_new(), *both = targets_new();
    weir_code code = allowed && both ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
    for (size_t i = 0; !code && p->allow && p->allow[i]; i++) {
        targets *one = targets_new();
        code = one ? targets_add(one, bytes_of(p->allow[i]), err) : error_set(err, WEIR_NOMEM, "out of memory");
        if (!code)
            code = targets_add(allowed, bytes_of(p->allow[i]), err);
        if (!code && targets_within(one, next->targets, NULL))
            code = targets_add(both, bytes_of(p->allow[i]), err);
        targets_free(one);
    }
    for (size_t i = 0; !code && p->allow && i < targets_count(next->targets); i++) {
        targets *one = targets_new();
        code = one ? targets_add(one, targets_pattern(next->targets, i), err) : error_set(err, WEIR_NOMEM, "out of memory");
        if (!code && targets_within(one, allowed, NULL) && !targets_within(one, both, NULL))
            code = targets_add(both, targets_pattern(next->targets, i), err);
        targets_free(one);
    }
    for (size_t i = 0; !code && i < p->host->override_count; i++)
        code = targets_override(both, bytes_of(p->host->overrides[i]), err);
    if (!code && p->allow)
        targets_exchange(next->targets, both);
    targets_free(allowed);
    targets_free(both);
    return code;
}

/* ---- Whether it fits ---- */

static bool streams(const weir_plugin *p)
{
    for (const list_node *n = p->host->streams.head.next; n != &p->host->streams.head; n = n->next)
        if (LIST_OWNER(n, const weir_stream, node)->plugin == p)
            return true;
    return false;
}

static weir_code check_kind(const weir_plugin *p, const weir_plugin *next, weir_error *err)
{
    if (p->meta && strcmp(weir_plugin_id(p), weir_plugin_id(next)) != 0)
        return error_set(err, WEIR_INVALID, "the new file is another plugin, '%s' instead of '%s'", weir_plugin_id(next), weir_plugin_id(p));
    if (streams(p) && (!generation_streams(next->generation) || next->generation->loops != p->generation->loops))
        return error_set(err, WEIR_UNSUPPORTED, "the new file feeds its streams in another way (generation %s instead of %s); streams that run cannot go over to it: start anew", next->generation->name, p->generation->name);
    if (stream_plugin_any(&p->callbacks) && !generation_callbacks(next->module))
        return error_set(err, WEIR_UNSUPPORTED, "the new file has no callbacks (prepare_stream, handle_stream_message), by which streams of this hybrid run; they cannot go over to it: start anew");
    if (next->config_wrong.code) {
        error_recall(&next->config_wrong, err);
        return error_wrap(err, "the new file");
    }
    return WEIR_OK;
}

/* Its configuring export gets what the streams' instance will get. */
static weir_code try_it(weir_plugin *next, weir_error *err)
{
    const weir_result *r;
    if (!next->shared.config)
        return WEIR_OK;
    if (plugin_call_wait(next, next->generation->configure, bytes_of(next->shared.config), TRIAL_MS, &r, err))
        return error_wrap(err, "the new file");
    return WEIR_OK;
}

/* ---- Trading places ---- */

#define TRADE(type, member)       \
    do {                          \
        type was_ = p->member;    \
        p->member = next->member; \
        next->member = was_;      \
    } while (0)

static void trade(weir_plugin *p, weir_plugin *next)
{
    char digest[sizeof p->digest];
    TRADE(module *, module);
    TRADE(linked *, code);
    TRADE(manifest *, manifest);
    TRADE(meta *, meta);
    TRADE(const generation *, generation);
    TRADE(char *, fields);
    TRADE(char *, config);
    TRADE(char *, config_typed);
    TRADE(kept_error, config_wrong);
    TRADE(mask *, mask);
    TRADE(struct limits, rate_limits);
    memcpy(digest, p->digest, sizeof digest);
    memcpy(p->digest, next->digest, sizeof digest);
    memcpy(next->digest, digest, sizeof digest);
    targets_exchange(p->targets, next->targets); /* sockets that are open hold `targets` */
    if (streams(p))
        plugin_share_code(p);
    else
        plugin_share(p);
}

/* Instances of the old code may go on for a while, and hold its manifest. */
static bool keep_manifest(weir_plugin *p)
{
    manifest **all = realloc(p->retired, (p->retired_count + 1) * sizeof *all);
    if (!all)
        return false;
    p->retired = all;
    return true;
}

/* The new file: at a path, or its octets. */
typedef struct successor_file {
    const char *path;         /* or what it is called */
    bytes octets;             /* empty: at the path */
    const char *const *allow; /* what was granted for it; NULL: what was before, narrowed */
} successor_file;

static weir_code load_next(weir_plugin **next, weir_plugin *p, const successor_file *file, weir_error *err)
{
    static const char *const no_folders[] = {NULL};
    weir_plugin_options o = p->options;
    o.allow = file->allow;  /* NULL: what it asks for is wanted first */
    o.folders = no_folders; /* which are granted when that is known */
    o.config_json = p->config_given;
    if (file->octets.len)
        return weir_plugin_load_bytes(next, p->host, file->path, file->octets.at, file->octets.len, &o, err);
    return weir_plugin_load(next, p->host, file->path, &o, err);
}

static weir_code check(weir_plugin *p, weir_plugin *next, const successor_file *file, weir_error *err)
{
    weir_code code = check_kind(p, next, err);
    if (!code && !file->allow && !(code = check_permissions(p, next, err)))
        code = narrow(p, next, err);
    if (!code)
        code = folders_grant(next, p->options.folders, false, err);
    return code ? code : try_it(next, err);
}

static void trade_grants(weir_plugin *p, weir_plugin *next)
{
    TRADE(char **, allow);
    TRADE(targets *, granted);
    p->options.allow = (const char *const *)p->allow;
    next->options.allow = (const char *const *)next->allow;
}

static weir_code swap(weir_plugin *p, const successor_file *file, weir_error *err)
{
    weir_plugin *next = NULL;
    bool gone = false, *outer = p->gone;
    if (p->waiting || outer)
        return error_set(err, WEIR_BUSY, "plugin '%s': a call is being waited for", p->name);
    p->gone = &gone;
    weir_code code = load_next(&next, p, file, err);
    if (!code && !gone)
        code = check(p, next, file, err);
    if (!code && gone)
        code = error_set(err, WEIR_CANCELLED, "the plugin was freed while its new file was loaded");
    if (gone) {
        weir_plugin_free(next);
        return code ? code : WEIR_CANCELLED;
    }
    p->gone = NULL;
    if (!code && !keep_manifest(p))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (code) {
        weir_plugin_free(next);
        return error_wrap(err, "plugin '%s'", p->name);
    }
    plugin_drop_idle(next); /* they belong to their structs; the streams make their own */
    plugin_drop_idle(p);
    trade(p, next);
    if (file->allow)
        trade_grants(p, next);
    p->retired[p->retired_count++] = next->manifest;
    next->manifest = NULL;
    modules_forget(next->module, p->module);
    weir_plugin_free(next);
    log_info("plugin", "'%s': version %s runs from now on", p->name, p->meta ? p->meta->version : "?");
    p->gone = &gone; /* by what its streams' states lead to */
    stream_plugin_renew(&p->shared);
    if (!gone)
        stream_plugin_renew(&p->callbacks); /* of a hybrid, each by the way that it runs */
    if (!gone)
        p->gone = NULL;
    return WEIR_OK;
}

weir_code weir_plugin_swap(weir_plugin *p, const char *path, weir_error *err)
{
    return swap(p, &(successor_file){.path = path}, err);
}

weir_code weir_plugin_swap_granted(weir_plugin *p, const char *name, bytes octets, const char *const *allow, weir_error *err)
{
    return swap(p, &(successor_file){.path = name, .octets = octets, .allow = allow}, err);
}

/* ---- When ---- */

static void on_quiet(void *arg)
{
    weir_plugin *p = arg;
    p->on_change(p->on_change_arg, p);
}

weir_code weir_plugin_watch(weir_plugin *p, const char *path, void (*fn)(void *arg, weir_plugin *plugin), void *arg, weir_error *err)
{
    watch_close(p->watch);
    p->watch = NULL;
    p->on_change = fn;
    p->on_change_arg = arg;
    if (!fn)
        return WEIR_OK;
    if (watch_file(&p->watch, p->host->loop, path, QUIET_NS, on_quiet, p, err))
        return error_wrap(err, "plugin '%s'", p->name);
    return WEIR_OK;
}
