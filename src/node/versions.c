/* Versions of a plugin: a module's file, described without granting it anything, and its wishes held against grants. */
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "engine/engine.h"
#include "node/versions.h"
#include "plugin/meta.h"

#define ID_MAX 128
#define MODULE_MAGIC "\0asm"
/* What the compiler takes for a function beside its code: about 0.1 ms and 6 KB. Its memory grows with the longest one, so that has
 * a bound of its own, far above what compilers of languages make of an interpreter's loop. */
#define FUNCTION_WEIGHS 512
#define FUNCTION_MAX (2 << 20)

/* ---- What it says of itself ---- */

static weir_code check_id(const char *id, weir_error *err)
{
    size_t n = 0;
    while ((id[n] >= 'a' && id[n] <= 'z') || (id[n] >= 'A' && id[n] <= 'Z') || (id[n] >= '0' && id[n] <= '9') || id[n] == '-' || id[n] == '_' || id[n] == '.')
        n++;
    if (id[n] || !n || n > ID_MAX || *id == '.')
        return error_set(err, WEIR_INVALID, "its pluginId '%.150s' cannot be used here; letters, digits, '-', '_' and '.' would do, %d at most", id, ID_MAX);
    return WEIR_OK;
}

/* As its features say; plugin_info may list the types themselves. */
static void put_stream_types(buf *out, weir_plugin *p, const meta *m)
{
    const weir_result *r;
    weir_error why = WEIR_ERROR_INIT;
    json doc;
    bool first = true;
    json_put_key(out, "stream_types");
    if (weir_plugin_exports(p, "plugin_info") && !weir_plugin_call_wait(p, "plugin_info", "", 0, &r, &why) &&
        !json_read(&doc, bytes_make(r->output, r->output_len), NULL) && json_member(doc, "streamTypes").type == JSON_ARRAY) {
        json_put_compact(out, json_member(doc, "streamTypes"));
        return;
    }
    buf_add_char(out, '[');
    for (size_t i = 0; i < m->feature_count; i++) {
        bytes type = meta_stream_type(m->features[i]);
        if (!type.len || !weir_plugin_streams(p))
            continue;
        buf_add_text(out, first ? "" : ",");
        json_put_string(out, type);
        first = false;
    }
    buf_add_char(out, ']');
}

static void put_commands(buf *out, weir_plugin *p)
{
    static const char *const names[] = {"getMarkets", "getTimeframes", "getOHLCV", "import_events"};
    bool first = true;
    json_put_key(out, "commands");
    buf_add_char(out, '[');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!weir_plugin_knows(p, names[i]))
            continue;
        buf_add_text(out, first ? "" : ",");
        json_put_text(out, names[i]);
        first = false;
    }
    buf_add_char(out, ']');
}

/* The names alone: "1m" of {"timeframe":"1m","seconds":60}, too. */
static void put_timeframe_names(buf *out, json list)
{
    json key, item;
    bool first = true;
    for (json_iter it = json_each(list); json_next(&it, &key, &item);) {
        json name = item.type == JSON_OBJECT ? json_member(item, "timeframe") : item;
        if (name.type != JSON_STRING)
            continue;
        buf_add_text(out, first ? "" : ",");
        buf_add_bytes(out, name.raw);
        first = false;
    }
}

/* Most plugins know theirs without asking anybody; of the others there are none here. */
static void put_timeframes(buf *out, weir_plugin *p)
{
    const weir_result *r;
    weir_error why = WEIR_ERROR_INIT;
    json doc;
    json_put_key(out, "timeframes");
    buf_add_char(out, '[');
    if (weir_plugin_knows(p, "getTimeframes") && !weir_command_wait(p, "getTimeframes", NULL, 0, &r, &why) &&
        !json_read(&doc, bytes_make(r->output, r->output_len), NULL) && doc.type == JSON_ARRAY)
        put_timeframe_names(out, doc);
    buf_add_char(out, ']');
}

static void put_asks(buf *out, const meta *m)
{
    json_put_key(out, "asks");
    buf_add_char(out, '[');
    for (size_t i = 0; i < m->target_count; i++) {
        buf_add_text(out, i ? "," : "");
        json_put_text(out, m->targets[i]);
    }
    buf_add_char(out, ']');
}

static void put_version(buf *out, weir_plugin *p, const meta *m, const char *file_name, bytes octets)
{
    char sha[DIGEST_HEX], *description = NULL;
    json doc, fields;
    digest_sha256(sha, octets);
    if (!json_read(&doc, bytes_of(weir_plugin_meta(p)), NULL))
        description = json_text(doc, "description");
    buf_add_char(out, '{');
    member_text(out, "sha256", sha);
    member_text(out, "version", m->version);
    member_text(out, "name", m->name && *m->name ? m->name : m->plugin_id);
    member_text(out, "description", description);
    member_text(out, "generation", weir_plugin_generation(p));
    member_text(out, "file_name", file_name);
    member_u64(out, "size", octets.len);
    member_time(out, "installed_at", clock_real());
    put_asks(out, m);
    json_put_key(out, "fields");
    if (!json_read(&fields, bytes_of(weir_plugin_fields(p)), NULL) && fields.type == JSON_ARRAY)
        json_put_compact(out, fields);
    else
        buf_add_text(out, "[]");
    put_stream_types(out, p, m);
    put_timeframes(out, p);
    put_commands(out, p);
    buf_add_char(out, '}');
    free(description);
}

/* Of what is no module: what it seems to be, and what would help. */
static const char *seems(bytes octets)
{
    static const struct {
        bytes begin;
        const char *says;
    } known[] = {
        {BYTES("PK\003\004"), "it is a zip archive; send the module that is in it"},
        {BYTES("\037\213"), "it is compressed by gzip; send the module that is in it"},
        {BYTES("\050\265\057\375"), "it is compressed by zstd; send the module that is in it"},
        {BYTES("\177ELF"), "it is a program for this machine; compile it for wasm32-wasi"},
        {BYTES("(module"), "it is WebAssembly's text form; wat2wasm makes a module of it"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes_starts(octets, known[i].begin))
            return known[i].says;
    return "it does not begin with its four octets (00 61 73 6d)";
}

weir_code version_check(const node *n, const char *file_name, bytes octets, weir_error *err)
{
    if (octets.len < 8 || memcmp(octets.at, MODULE_MAGIC, 4) != 0)
        return error_set(err, WEIR_INVALID, "'%.100s' is no WebAssembly module: %s", file_name, seems(octets));
    module_size m = module_measure(octets);
    uint64_t weight = m.code + FUNCTION_WEIGHS * (uint64_t)m.functions;
    if (weight > n->max_code)
        return error_set(err, WEIR_UNSUPPORTED,
                         "'%.100s' has %llu octets of code in %u functions, which is too much to compile here: with %d more for each function it may be %llu (plugins.code)",
                         file_name, (unsigned long long)m.code, m.functions, FUNCTION_WEIGHS, (unsigned long long)n->max_code);
    if (m.longest > FUNCTION_MAX)
        return error_set(err, WEIR_UNSUPPORTED, "'%.100s' has a function of %u octets, which is too long to compile here; it may be %d", file_name, m.longest, FUNCTION_MAX);
    return WEIR_OK;
}

weir_code version_describe(buf *row, char **id, node *n, const char *file_name, bytes octets, weir_error *err)
{
    static const char *const nothing[] = {NULL};
    weir_plugin_options options = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    meta *m = NULL;
    options.allow = nothing;
    options.call_ms = 5000;
    options.rate_wait_ms = 1;
    weir_code code = weir_plugin_load_bytes(&p, n->host, file_name, octets.at, octets.len, &options, err);
    if (!code && !*weir_plugin_meta(p))
        code = error_set(err, WEIR_INVALID, "plugin '%.100s': it says nothing of itself; a data source has an export 'meta' that answers its pluginId and version", file_name);
    if (!code && !(code = meta_read(&m, bytes_of(weir_plugin_meta(p)), err)) && !(code = check_id(m->plugin_id, err))) {
        put_version(row, p, m, file_name, octets);
        if (row->failed || !(*id = strdup(m->plugin_id)))
            code = error_set(err, WEIR_NOMEM, "plugin '%.100s': out of memory", file_name);
    }
    meta_free(m);
    weir_plugin_free(p);
    return code;
}

/* ---- The list ---- */

weir_code version_add(node_plugin *p, bytes row, weir_error *err)
{
    json doc;
    node_version v = {{0}, bytes_dup(row)};
    char *sha = NULL;
    weir_code code = v.json ? json_read(&doc, bytes_of(v.json), err) : error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && !(code = row_text(&sha, doc, "sha256", err)) && (strlen(sha) != 64 || strspn(sha, "0123456789abcdef") != 64)) /* it becomes a file's name */
        code = error_set(err, WEIR_INVALID, "a version's sha256 is none");
    node_version *all = code ? NULL : realloc(p->versions, (p->version_count + 1) * sizeof *all);
    if (!code && !all)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (code) {
        free(v.json);
        free(sha);
        return error_wrap(err, "plugin '%s'", p->id);
    }
    memcpy(v.sha256, sha, 65);
    free(sha);
    p->versions = all;
    p->versions[p->version_count++] = v;
    return WEIR_OK;
}

void version_remove(node_plugin *p, size_t at)
{
    free(p->versions[at].json);
    memmove(p->versions + at, p->versions + at + 1, (--p->version_count - at) * sizeof *p->versions);
}

json version_member(const node_version *v, const char *name)
{
    json doc;
    if (!v || json_read(&doc, bytes_of(v->json), NULL))
        return (json){0};
    return json_member(doc, name);
}

/* ---- Grants ---- */

targets *targets_of_list(json list, weir_error *err)
{
    targets *t = targets_new();
    json key, item;
    weir_code code = t ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && list.type != JSON_ARRAY)
        code = error_set(err, WEIR_INVALID, "a list of targets is needed, such as [\"wss://ws.venue.example/*\"]");
    for (json_iter it = json_each(list); !code && list.type == JSON_ARRAY && json_next(&it, &key, &item);) {
        char *pattern = json_string_dup(item);
        code = pattern ? targets_add(t, bytes_of(pattern), err) : error_set(err, WEIR_INVALID, "a target is a text such as \"wss://ws.venue.example/*\"");
        free(pattern);
    }
    if (code) {
        targets_free(t);
        return NULL;
    }
    return t;
}

static bool reached(json pattern, const targets *by)
{
    targets *one = targets_new();
    char *text = json_string_dup(pattern);
    bool yes = one && text && !targets_add(one, bytes_of(text), NULL) && targets_within(one, by, NULL);
    targets_free(one);
    free(text);
    return yes;
}

static targets *targets_of_text(const char *list)
{
    json doc;
    return json_read(&doc, bytes_of(list ? list : "[]"), NULL) ? NULL : targets_of_list(doc, NULL);
}

static bool add_pattern(char ***all, size_t *count, json pattern)
{
    char **more = realloc(*all, (*count + 2) * sizeof *more);
    if (!more)
        return false;
    *all = more;
    if (!(more[*count] = json_string_dup(pattern)))
        return false;
    more[++*count] = NULL;
    return true;
}

/* Of one list what the other reaches. */
static bool add_common(char ***all, size_t *count, json list, const targets *by)
{
    json key, item;
    if (list.type == JSON_ARRAY)
        for (json_iter it = json_each(list); json_next(&it, &key, &item);)
            if (reached(item, by) && !add_pattern(all, count, item))
                return false;
    return true;
}

char **version_allow(const node_version *v, const char *grants)
{
    json granted = {0}, asks = version_member(v, "asks");
    targets *by_asks = targets_of_list(asks, NULL), *by_grants = targets_of_text(grants);
    char **all = calloc(1, sizeof *all);
    size_t count = 0;
    json_read(&granted, bytes_of(grants ? grants : "[]"), NULL);
    if (!all || !by_asks || !by_grants || !add_common(&all, &count, asks, by_grants) || !add_common(&all, &count, granted, by_asks)) {
        allow_free(all);
        all = NULL;
    }
    targets_free(by_asks);
    targets_free(by_grants);
    return all;
}

void allow_free(char **allow)
{
    for (size_t i = 0; allow && allow[i]; i++)
        free(allow[i]);
    free(allow);
}

bool version_granted(const node_version *v, const char *grants)
{
    targets *asks = targets_of_list(version_member(v, "asks"), NULL), *granted = targets_of_text(grants);
    bool yes = asks && granted && targets_within(asks, granted, NULL);
    targets_free(asks);
    targets_free(granted);
    return yes;
}

void put_beyond(buf *out, json more, json than)
{
    targets *by = targets_of_list(than, NULL);
    json key, item;
    bool first = true;
    buf_add_char(out, '[');
    if (more.type == JSON_ARRAY)
        for (json_iter it = json_each(more); json_next(&it, &key, &item);)
            if (!by || !reached(item, by)) {
                buf_add_text(out, first ? "" : ",");
                buf_add_bytes(out, item.raw);
                first = false;
            }
    buf_add_char(out, ']');
    targets_free(by);
}
