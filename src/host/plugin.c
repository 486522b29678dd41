/* Loading a plugin, asking it for its meta, calling its exports.
 *
 * A call runs on an instance of its own, configured first. One instance is kept warm for the next call;
 * it is thrown away after a trap, an exit or a time-out, since nobody knows what state it is in. */
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "host/inside.h"
#include "plugin/diagnose.h"

#define META_MS 5000
#define CONFIGURE_MS 15000
#define CALL_MS 30000
#define RATE_WAIT_MS 60000

/* ---- Calls ---- */

static void call_free(plugin_call *c)
{
    if (c->gone)
        *c->gone = true;
    task_free(c->task);
    list_remove(&c->node);
    free(c->export_name);
    free(c->input);
    free(c);
}

void plugin_drop_idle(weir_plugin *p)
{
    if (p->idle)
        call_free(p->idle);
    p->idle = NULL;
}

/* Keeps the instance for the next call, or throws it away. */
static void retire(plugin_call *c, const call_result *r)
{
    weir_plugin *p = c->plugin;
    bool sound = (r->code == WEIR_OK || r->code == WEIR_FAILED) && !r->needs_reset && !p->idle && task_idle(c->task);
    if (!sound) {
        call_free(c);
        return;
    }
    list_remove(&c->node);
    free(c->export_name);
    free(c->input);
    c->export_name = c->input = NULL;
    p->idle = c;
}

static void on_called(void *arg, const call_result *r)
{
    plugin_call *c = arg;
    weir_error why = WEIR_ERROR_INIT;
    generation_failure(r, &why);
    weir_result result = {
        .code = r->code,
        .rc = r->rc,
        .output = r->output.at ? r->output.at : "",
        .output_len = r->output.len,
        .error = why.text,
        .trace = r->trace ? r->trace : "",
    };
    trap_note note = {.result = r, .task = c->task, .input = bytes_make(c->input, c->input_len), .then = "told the caller"};
    if (!c->configured && c->plugin->shared.config && !strcmp(c->task->export_name, c->plugin->generation->configure))
        note.input = bytes_of(c->plugin->shared.config);
    if (r->code == WEIR_TRAPPED || r->code == WEIR_TIMEOUT)
        why_keep(c->plugin, &note);
    bool gone = false; /* on_done may free the plugin, and this call with it */
    c->gone = &gone;
    c->on_done(c->arg, &result);
    if (gone)
        return;
    c->gone = NULL;
    retire(c, r);
}

static void on_configured(void *arg, const call_result *r)
{
    plugin_call *c = arg;
    if (r->code) {
        on_called(c, r);
        return;
    }
    c->configured = true;
    task_call(c->task, c->export_name, bytes_make(c->input, c->input_len), c->plugin->call_ms, on_called, c);
}

static weir_code call_new(plugin_call **out, weir_plugin *p, weir_error *err)
{
    plugin_call *c = p->idle;
    task_options options = {
        .manifest = p->manifest,
        .world = &venue_world,
        .world_arg = &p->venue,
        .name = p->name,
        .limits = &p->limits,
        .meter = &p->meter,
    };
    p->idle = NULL;
    if (!c) {
        if (!(c = calloc(1, sizeof *c)))
            return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", p->name);
        c->plugin = p;
        if (task_new(&c->task, p->host->loop, p->code, &options, err)) {
            free(c);
            return error_wrap(err, "plugin '%s'", p->name);
        }
    }
    list_push(&p->calls, &c->node);
    *out = c;
    return WEIR_OK;
}

/* A call of what is not there names what is. */
static weir_code missing_export(const weir_plugin *p, const char *name, weir_error *err)
{
    buf names;
    buf_init(&names, 400);
    for (size_t i = 0; i < module_export_count(p->module); i++) {
        const module_extern *e = module_export(p->module, i);
        if (e->kind == EXTERN_FUNC && e->name.len && e->name.at[0] != '_') {
            buf_add_text(&names, names.len ? ", " : "");
            buf_add_bytes(&names, e->name);
        }
    }
    error_set(err, WEIR_NOT_FOUND, "plugin '%s': it has no export '%s'; it has %.*s%s", p->name, name, (int)names.len,
              names.at ? names.at : "none", names.failed ? " and more" : "");
    buf_fini(&names);
    return WEIR_NOT_FOUND;
}

/* Exports that say what the plugin is; they need no configuration. */
static bool asks_nothing(const weir_plugin *p, const char *name)
{
    const generation *g = p->generation;
    return !strcmp(name, "meta") || !strcmp(name, "get_name") || !strcmp(name, "plugin_info") || (g->fields && !strcmp(name, g->fields)) ||
           (g->limits && !strcmp(name, g->limits));
}

static weir_code call_start(weir_plugin *p, const char *export_name, bytes input, uint64_t ms, bool configure,
                            void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err)
{
    plugin_call *c = NULL;
    if (!weir_plugin_exports(p, export_name))
        return missing_export(p, export_name, err);
    if (configure && p->config_wrong.code && !asks_nothing(p, export_name)) {
        error_recall(&p->config_wrong, err);
        return error_wrap(err, "plugin '%s'", p->name);
    }
    if (call_new(&c, p, err))
        return err ? err->code : WEIR_INVALID;
    c->on_done = on_done;
    c->arg = arg;
    c->export_name = strdup(export_name);
    c->input = malloc(input.len ? input.len : 1);
    c->input_len = input.len;
    if (!c->export_name || !c->input) {
        call_free(c);
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", p->name);
    }
    if (input.len)
        memcpy(c->input, input.at, input.len);
    if (configure && p->shared.config && !c->configured)
        task_call(c->task, p->generation->configure, bytes_of(p->shared.config), CONFIGURE_MS, on_configured, c);
    else
        task_call(c->task, c->export_name, bytes_make(c->input, c->input_len), ms, on_called, c);
    return WEIR_OK;
}

weir_code weir_plugin_call(weir_plugin *p, const char *export_name, const void *input, size_t len,
                           void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err)
{
    return call_start(p, export_name, bytes_make(input, len), p->call_ms, true, on_done, arg, err);
}

/* ---- Calls that are waited for ---- */

static weir_code call_wait(weir_plugin *p, const char *export_name, bytes input, uint64_t ms, bool configure,
                           const weir_result **result, weir_error *err)
{
    call_wait_state state;
    weir_code code = await_begin(p, &state, err);
    if (code)
        return code;
    if (call_start(p, export_name, input, ms, configure, await_keep, p, err)) {
        p->waiting = NULL;
        return err ? err->code : WEIR_INVALID;
    }
    if ((code = await_end(p, p->host->loop, &state, result, err)))
        return code;
    if (p->wait_result.code)
        error_set(err, p->wait_result.code, "plugin '%s': %s: %s", p->name, export_name, p->wait_result.error);
    return p->wait_result.code;
}

weir_code plugin_call_wait(weir_plugin *p, const char *export_name, bytes input, uint64_t ms, const weir_result **result, weir_error *err)
{
    return call_wait(p, export_name, input, ms, false, result, err);
}

weir_code weir_plugin_call_wait(weir_plugin *p, const char *export_name, const void *input, size_t len,
                                const weir_result **result, weir_error *err)
{
    return call_wait(p, export_name, bytes_make(input, len), p->call_ms, true, result, err);
}

/* ---- Loading ---- */

static weir_code read_meta(weir_plugin *p, weir_error *err)
{
    const weir_result *r;
    if (!weir_plugin_exports(p, "meta"))
        return WEIR_OK; /* a plain Extism plugin: it may call, not stream */
    if (call_wait(p, "meta", BYTES(""), META_MS, false, &r, err))
        return err ? err->code : WEIR_FAILED;
    if (r->output_len == 0) {
        log_warn("plugin", "'%s': its meta answers nothing; it may call, but reach no network", p->name);
        return WEIR_OK;
    }
    if (meta_read(&p->meta, bytes_make(r->output, r->output_len), err))
        return error_wrap(err, "plugin '%s'", p->name);
    return WEIR_OK;
}

/* The form of its configuration. One of an older generation that cannot say it works without. */
static weir_code read_fields(weir_plugin *p, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    const weir_result *r;
    const generation *g = p->generation;
    if (!g->fields || !weir_plugin_exports(p, g->fields))
        return WEIR_OK;
    if (call_wait(p, g->fields, BYTES(""), META_MS, false, &r, &why)) {
        if (g->typed || why.code == WEIR_NOMEM)
            return error_set(err, why.code, "%s", why.text);
        log_warn("plugin", "'%s': its configuration is not checked: %s", p->name, why.text);
        return WEIR_OK;
    }
    if (r->output_len && !(p->fields = bytes_dup(bytes_make(r->output, r->output_len))))
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", p->name);
    return config_build(p, err);
}

/* How often it may be asked. That it cannot say so is no reason not to ask at all. */
static void read_limits(weir_plugin *p)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *r;
    if (!p->generation->limits || !weir_plugin_exports(p, p->generation->limits))
        return;
    if (call_wait(p, p->generation->limits, BYTES(""), META_MS, false, &r, &err) ||
        limits_read(&p->rate_limits, r->output_len ? bytes_make(r->output, r->output_len) : BYTES("null"), &err))
        log_warn("plugin", "'%s': its commands are not limited in rate: %s", p->name, err.text);
    if (p->rate_limits.refused)
        log_warn("plugin", "'%s': %zu of its rate limits make no sense and are left out; %s", p->name, p->rate_limits.refused, p->rate_limits.why);
}

/* What it may reach: what meta asks for, narrowed by what the user allows. */
static weir_code grant(weir_plugin *p, const char *const *allow, weir_error *err)
{
    targets *asked = targets_new();
    weir_code code = WEIR_OK;
    if (!asked)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    for (size_t i = 0; !code && p->meta && i < p->meta->target_count; i++)
        code = targets_add(asked, bytes_of(p->meta->targets[i]), err);
    for (size_t i = 0; !code && allow && allow[i]; i++)
        code = targets_add(p->targets, bytes_of(allow[i]), err);
    if (!code && allow && p->meta && !targets_within(p->targets, asked, err))
        code = err ? err->code : WEIR_REFUSED;
    if (!code && !allow)
        targets_exchange(p->targets, asked);
    for (size_t i = 0; !code && p->meta && i < p->meta->target_count; i++)
        code = targets_add(p->granted, bytes_of(p->meta->targets[i]), err);
    for (size_t i = 0; !code && i < p->host->override_count; i++)
        code = targets_override(p->targets, bytes_of(p->host->overrides[i]), err);
    targets_free(asked);
    return code ? error_wrap(err, "plugin '%s'", p->name) : WEIR_OK;
}

/* The first error among the findings says it better than the linker did. */
static void explain(void *arg, const finding *f)
{
    weir_error *err = arg;
    if (err && f->level == FINDING_ERROR && !strstr(err->text, "; cure: "))
        error_set(err, WEIR_INVALID, "%s; cure: %s%s%s", f->what, f->cure, *f->code ? ": " : "", f->code);
}

static void warn(void *arg, const finding *f)
{
    const weir_plugin *p = arg;
    if (f->level >= FINDING_WARNING)
        log_info("plugin", "'%s': %s; cure: %s", p->name, f->what, f->cure);
}

static weir_code link_module(weir_plugin *p, bool strict, weir_error *err)
{
    task_imports imports = {.custom = functions_bind, .arg = p->host, .strict = strict};
    if (p->manifest->module_count != 1)
        return error_set(err, WEIR_UNSUPPORTED, "a manifest with %zu modules; one can be loaded", p->manifest->module_count);
    if (manifest_load(p->manifest, 0, err) ||
        modules_get(&p->module, p->host, buf_bytes(&p->manifest->modules[0].data), p->name, err))
        return err ? err->code : WEIR_INVALID;
    p->generation = generation_of(p->module);
    if (p->generation->typed)
        digest_sha256(p->digest, buf_bytes(&p->manifest->modules[0].data));
    buf_fini(&p->manifest->modules[0].data); /* the code is compiled; the octets are not needed again */
    if (module_link(&p->code, p->module, task_bind, &imports, err)) {
        diagnose_module(p->module, task_bind, &imports, explain, err);
        return err ? err->code : WEIR_INVALID;
    }
    diagnose_module(p->module, task_bind, &imports, warn, p);
    return WEIR_OK;
}

/* What its configuring export gets; NULL: it has none, or there is nothing to say. */
static const char *config_for(const weir_plugin *p)
{
    const generation *g = p->generation;
    if (!g->configure || !weir_plugin_exports(p, g->configure))
        return NULL;
    if (g->typed) /* its init wants to be called, with whatever */
        return p->config_typed ? p->config_typed : "{}";
    return p->config;
}

static void share_code(const weir_plugin *p, stream_plugin *s)
{
    s->code = p->code;
    s->manifest = p->manifest;
    s->plugin_id = weir_plugin_id(p);
    s->generation = p->generation;
    s->config = config_for(p);
    s->has_stop = weir_plugin_exports(p, "stop_stream");
    s->has_shutdown = p->generation->shutdown && weir_plugin_exports(p, p->generation->shutdown);
}

void plugin_share_code(weir_plugin *p)
{
    share_code(p, &p->shared);
    share_code(p, &p->callbacks);
    p->callbacks.generation = generation_callbacks(p->module);
    p->callbacks.has_stop = false;
}

static void share(weir_plugin *p)
{
    weir_host *h = p->host;
    p->venue = (venue){.loop = h->loop, .dialer = h->dialer, .targets = p->targets, .name = p->name, .owner = p, .listener = &events_listener, .arg = p, .heartbeats = h->heartbeats};
    p->shared = (stream_plugin){
        .loop = h->loop,
        .dialer = h->dialer,
        .hub = h->hub,
        .targets = p->targets,
        .name = p->name,
        .limits = &p->limits,
        .owner = p,
        .backoff_min_ns = h->backoff_min_ns,
        .backoff_max_ns = h->backoff_max_ns,
        .heartbeats = h->heartbeats,
        .silence_ms = h->silence_ms,
        .quiet_after_ms = p->quiet_after_ms,
        .lifetimes = &h->lifetimes,
        .own_instances = p->own_instances,
        .health = p->health,
        .on_trap = why_keep,
        .meter = &p->meter,
        .turn = streams_turn,
    };
    p->callbacks = p->shared;
    plugin_share_code(p);
}

void plugin_share(weir_plugin *p)
{
    share(p);
}

/* A copy; NULL for NULL. False when out of memory. */
static bool texts_copy(char ***out, const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    bool fine = !list || (*out = calloc(n + 1, sizeof **out)) != NULL;
    for (size_t i = 0; fine && i < n; i++)
        fine = ((*out)[i] = strdup(list[i])) != NULL;
    return fine;
}

static void texts_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* For weir_plugin_swap: the same options once more. */
static weir_code options_keep(weir_plugin *p, const weir_plugin_options *o, weir_error *err)
{
    bool fine = texts_copy(&p->allow, o->allow) && texts_copy(&p->folders, o->folders);
    p->granted = targets_new();
    p->options = *o;
    p->options.size = sizeof p->options;
    p->options.config_json = NULL; /* p->config_given */
    p->options.allow = (const char *const *)p->allow;
    p->options.folders = (const char *const *)p->folders;
    return fine && p->granted ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

static void options_forget(weir_plugin *p)
{
    texts_free(p->allow);
    texts_free(p->folders);
    targets_free(p->granted);
    for (size_t i = 0; i < p->retired_count; i++)
        manifest_free(p->retired[i]);
    free(p->retired);
}

weir_code weir_plugin_configure(weir_plugin *p, const char *config_json, weir_error *err)
{
    bool streams = false;
    for (const list_node *n = p->host->streams.head.next; n != &p->host->streams.head; n = n->next)
        streams |= LIST_OWNER(n, const weir_stream, node)->plugin == p;
    if (streams || p->waiting || !list_empty(&p->calls) || !list_empty(&p->commands))
        return error_set(err, WEIR_BUSY, "plugin '%s': it cannot be configured while it has streams or calls", p->name);
    char *before = p->config_given;
    p->config_given = before ? strdup(before) : NULL; /* config_take frees its own */
    if (before && !p->config_given) {
        p->config_given = before;
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", p->name);
    }
    weir_code code = config_take(p, config_json, err);
    bool same = !code && !before == !p->config_given && (!before || !strcmp(before, p->config_given));
    free(before);
    if (code)
        return error_wrap(err, "plugin '%s'", p->name);
    if (!same) {
        if (p->idle)
            call_free(p->idle);
        p->idle = NULL;
        limits_fini(&p->rate_limits);
        read_limits(p);
    }
    share(p);
    if (!p->config_wrong.code)
        return WEIR_OK;
    error_recall(&p->config_wrong, err);
    return error_wrap(err, "plugin '%s'", p->name);
}

/* Everything behind reading the manifest. Frees the manifest if it fails. */
static weir_code load(weir_plugin **out, weir_host *host, const char *name, manifest *m, const weir_plugin_options *options, weir_error *err)
{
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = calloc(1, sizeof *p);
    if (options)
        memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    if (!p || !(p->name = strdup(name))) {
        free(p);
        manifest_free(m);
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", name);
    }
    p->host = host;
    p->manifest = m;
    p->targets = targets_new(); /* none at all, until meta said what it asks for */
    list_init(&p->calls);
    list_init(&p->commands);
    list_push(&host->plugins, &p->node);
    buf_init(&p->wait_output, SIZE_MAX);
    buf_init(&p->wait_error, SIZE_MAX);
    buf_init(&p->wait_trace, SIZE_MAX);
    buf_init(&p->events, SIZE_MAX);
    buf_init(&p->why, SIZE_MAX);
    p->limits = policy_defaults;
    if (o.memory_bytes)
        p->limits.memory = o.memory_bytes;
    if (o.cpu_ms)
        p->limits.cpu_ms = o.cpu_ms;
    p->own_instances = o.own_instances;
    p->route = o.stream_route;
    p->rate_wait_ms = o.rate_wait_ms ? o.rate_wait_ms : RATE_WAIT_MS;
    p->quiet_after_ms = o.quiet_after_ms;
    p->backfill = o.backfill;
    p->health = (health){
        .on_trap = o.on_trap == WEIR_ON_TRAP_FAIL ? ON_TRAP_FAIL : o.on_trap == WEIR_ON_TRAP_RESTART ? ON_TRAP_RESTART
                                                                                                     : ON_TRAP_QUARANTINE,
        .traps_max = o.traps_max,
        .within_ns = o.traps_within_ms * NS_PER_MS,
        .quarantine_ns = o.quarantine_ms * NS_PER_MS,
    };
    p->call_ms = o.call_ms ? o.call_ms : m->timeout_ms != MANIFEST_NO_LIMIT && m->timeout_ms ? (uint32_t)m->timeout_ms
                                                                                             : CALL_MS;
    if (!p->targets) {
        weir_plugin_free(p);
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", name);
    }
    if (options_keep(p, &o, err) || config_take(p, o.config_json, err) || link_module(p, o.strict_imports, err)) {
        weir_plugin_free(p);
        return error_wrap(err, "plugin '%s'", name);
    }
    share(p); /* meta is asked with no targets at all */
    if (read_meta(p, err) || grant(p, o.allow, err) || folders_grant(p, o.folders, true, err) || read_fields(p, err)) {
        weir_plugin_free(p);
        return err ? err->code : WEIR_INVALID;
    }
    read_limits(p);
    share(p);
    *out = p;
    return WEIR_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

weir_code weir_plugin_load(weir_plugin **out, weir_host *host, const char *path, const weir_plugin_options *options, weir_error *err)
{
    manifest *m;
    if (manifest_open(&m, path, err))
        return error_wrap(err, "plugin '%s'", base_name(path));
    return load(out, host, base_name(path), m, options, err);
}

weir_code weir_plugin_load_bytes(weir_plugin **out, weir_host *host, const char *name, const void *at, size_t len,
                                 const weir_plugin_options *options, weir_error *err)
{
    manifest *m;
    if (manifest_read(&m, bytes_make(at, len), err))
        return error_wrap(err, "plugin '%s'", name);
    return load(out, host, name, m, options, err);
}

void weir_plugin_free(weir_plugin *p)
{
    if (!p)
        return;
    for (list_node *n = p->host->streams.head.next; n != &p->host->streams.head;) {
        weir_stream *s = LIST_OWNER(n, weir_stream, node);
        n = n->next;
        if (s->plugin == p)
            weir_stream_free(s);
    }
    if (p->waiting)
        *p->waiting = WAIT_GONE;
    if (p->gone)
        *p->gone = true;
    watch_close(p->watch);
    command_drop_all(p);
    while (!list_empty(&p->calls))
        call_free(LIST_OWNER(p->calls.head.next, plugin_call, node));
    plugin_drop_idle(p);
    linked_free(p->code);
    module_unref(p->module);
    manifest_free(p->manifest);
    meta_free(p->meta);
    targets_free(p->targets);
    options_forget(p);
    buf_fini(&p->wait_output);
    buf_fini(&p->wait_error);
    buf_fini(&p->wait_trace);
    events_free(p);
    why_free(p);
    list_remove(&p->node);
    free(p->config);
    free(p->config_typed);
    free(p->config_given);
    free(p->fields);
    limits_fini(&p->rate_limits);
    error_keep(&p->config_wrong, NULL);
    free(p->name);
    free(p);
}

void weir_plugin_on_wait(weir_plugin *p, void (*fn)(void *arg, weir_plugin *plugin, uint64_t wait_ms, const char *limit), void *arg)
{
    p->on_wait = fn;
    p->on_wait_arg = arg;
}

const char *weir_plugin_id(const weir_plugin *p)
{
    return p->meta ? p->meta->plugin_id : p->name;
}

const char *weir_plugin_meta(const weir_plugin *p)
{
    return p->meta ? p->meta->json : "";
}

bool weir_plugin_exports(const weir_plugin *p, const char *export_name)
{
    const module_extern *e = module_find_export(p->module, export_name);
    return e && e->kind == EXTERN_FUNC;
}
