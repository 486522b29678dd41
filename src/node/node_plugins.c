/* Plugins: uploaded, described, approved, switched to another version, and taken away.
 *
 * A plugin is a row of versions, each a module's file known by its SHA-256. One is active: connections run it. A
 * version that asks for more than is granted waits (`pending`) until an admin approves it. To make another version active is first
 * in the store, then done on each connection that runs, by weir_plugin_swap: its streams go on without a loss.
 * Where the kinds of the two do not fit a connection is loaded anew, and its streams tell a gap. */
#include <stdlib.h>

#include "base/digest.h"
#include "base/file.h"
#include "node/versions.h"

#define FILE_NAME_MAX 200

/* ---- Finding, making ---- */

node_plugin *plugin_find(const node *n, const char *id)
{
    for (const list_node *at = n->plugins.head.next; at != &n->plugins.head; at = at->next) {
        node_plugin *p = LIST_OWNER(at, node_plugin, node);
        if (!strcmp(p->id, id))
            return p;
    }
    return NULL;
}

const node_version *plugin_version(const node_plugin *p, const char *sha256)
{
    for (size_t i = 0; i < p->version_count && *sha256; i++)
        if (!strcmp(p->versions[i].sha256, sha256))
            return &p->versions[i];
    return NULL;
}

static const node_version *latest(const node_plugin *p)
{
    const node_version *v = plugin_version(p, p->active);
    return v ? v : p->version_count ? &p->versions[p->version_count - 1]
                                    : NULL;
}

static node_plugin *plugin_new(node *n, const char *id)
{
    node_plugin *p = calloc(1, sizeof *p);
    if (!p || !(p->id = strdup(id)) || !(p->grants = strdup("[]"))) {
        if (p)
            free(p->id);
        free(p);
        return NULL;
    }
    p->n = n;
    p->enabled = true;
    list_push(&n->plugins, &p->node);
    return p;
}

void plugin_free(node_plugin *p)
{
    list_remove(&p->node);
    while (p->version_count)
        version_remove(p, p->version_count - 1);
    free(p->versions);
    free(p->id);
    free(p->grants);
    free(p->why);
    free(p->last_trap);
    free(p);
}

void plugin_retire(node_connection *c)
{
    if (!c->live)
        return;
    json doc, key, first;
    c->plugin->traps += weir_plugin_traps(c->live);
    meter_add(&c->plugin->meter, weir_plugin_meter(c->live));
    if (!json_read(&doc, bytes_of(weir_plugin_why(c->live)), NULL)) {
        json_iter it = json_each(doc);
        if (doc.type == JSON_ARRAY && json_next(&it, &key, &first)) {
            free(c->plugin->last_trap);
            c->plugin->last_trap = bytes_dup(first.raw);
        }
    }
    weir_plugin_free(c->live);
    c->live = NULL;
}

/* ---- In the store ---- */

static void put_row(buf *out, const node_plugin *p)
{
    buf_add_char(out, '{');
    member_bool(out, "enabled", p->enabled);
    member_text(out, "active", p->active);
    member_text(out, "pending", p->pending);
    member_raw(out, "grants", p->grants);
    json_put_key(out, "versions");
    buf_add_char(out, '[');
    for (size_t i = 0; i < p->version_count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_text(out, p->versions[i].json);
    }
    buf_add_text(out, "]}");
}

static weir_code plugin_store(node_plugin *p, weir_error *err)
{
    buf row;
    buf_init(&row, 64u << 20);
    put_row(&row, p);
    weir_code code = put_and_wait(p->n, "plugin", p->id, &row, BYTES(""), err);
    buf_fini(&row);
    if (!code)
        changed(p->n, "plugins", p->id);
    return code;
}

static void take_sha(char out[65], json v)
{
    char *text = json_string_dup(v);
    if (text && strlen(text) == 64)
        memcpy(out, text, 65);
    free(text);
}

typedef struct loading {
    node *n;
    weir_error *err;
    weir_code code;
} loading;

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    loading *l = arg;
    json doc, key, item;
    (void)secret, (void)sealed;
    node_plugin *p = plugin_new(l->n, id);
    if (!p || json_read(&doc, row, l->err)) {
        l->code = p ? WEIR_INVALID : error_set(l->err, WEIR_NOMEM, "out of memory");
        return;
    }
    json_bool(json_member(doc, "enabled"), &p->enabled);
    take_sha(p->active, json_member(doc, "active"));
    take_sha(p->pending, json_member(doc, "pending"));
    json grants = json_member(doc, "grants"), versions = json_member(doc, "versions");
    char *copy = grants.type == JSON_ARRAY ? bytes_dup(grants.raw) : NULL;
    if (copy) {
        free(p->grants);
        p->grants = copy;
    }
    if (versions.type == JSON_ARRAY)
        for (json_iter it = json_each(versions); !l->code && json_next(&it, &key, &item);)
            l->code = version_add(p, item.raw, l->err);
}

weir_code plugins_load(node *n, weir_error *err)
{
    loading l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "plugin", on_row, &l, err);
    return code ? code : l.code;
}

/* ---- Shown ---- */

static const char *state_of(const node_plugin *p)
{
    if (!p->enabled)
        return "disabled";
    if (!*p->active)
        return "pending";
    return p->compiling ? "compiling" : p->why ? "failed"
                                               : "ready";
}

static void put_versions(buf *out, const node_plugin *p)
{
    static const char *const members[] = {"sha256", "version", "size", "installed_at", "file_name", "asks"};
    json_put_key(out, "versions");
    buf_add_char(out, '[');
    for (size_t i = 0; i < p->version_count; i++) {
        json doc;
        buf_add_text(out, i ? ",{" : "{");
        if (!json_read(&doc, bytes_of(p->versions[i].json), NULL))
            for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
                json_put_key(out, members[m]);
                buf_add_bytes(out, json_member(doc, members[m]).raw);
            }
        member_bool(out, "active", !strcmp(p->active, p->versions[i].sha256));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void put_pending(buf *out, const node_plugin *p)
{
    const node_version *v = plugin_version(p, p->pending);
    json grants;
    json_put_key(out, "pending");
    if (!v || json_read(&grants, bytes_of(p->grants), NULL)) {
        buf_add_text(out, "null");
        return;
    }
    json asks = version_member(v, "asks");
    buf_add_char(out, '{');
    member_text(out, "sha256", v->sha256);
    json_put_key(out, "version");
    buf_add_bytes(out, version_member(v, "version").raw);
    json_put_key(out, "asks");
    buf_add_bytes(out, asks.raw);
    json_put_key(out, "adds");
    put_beyond(out, asks, grants);
    json_put_key(out, "removes");
    put_beyond(out, grants, asks);
    buf_add_char(out, '}');
}

static void add_connection(plugin_sums *s, weir_plugin *live)
{
    size_t instances;
    s->traps += weir_plugin_traps(live);
    s->memory += weir_plugin_memory(live, &instances);
    s->memory_limit += instances * weir_plugin_memory_limit(live);
    s->instances += instances;
    meter_add(&s->meter, weir_plugin_meter(live));
}

static void add_stream(plugin_sums *s, const node_stream *t)
{
    const record_counts *c = record_stream_counts(t->records);
    s->streams++;
    s->messages += c->received;
    s->records += c->published;
    s->gaps += c->gaps;
    s->restarts += c->restarts;
}

plugin_sums plugin_sum_up(const node_plugin *p)
{
    const node *n = p->n;
    plugin_sums s = {.traps = p->traps};
    meter_add(&s.meter, &p->meter);
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next) {
        const node_connection *c = LIST_OWNER(at, node_connection, node);
        if (c->plugin != p)
            continue;
        s.connections++;
        if (c->live)
            add_connection(&s, c->live);
    }
    for (const list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        const node_stream *t = LIST_OWNER(at, node_stream, node);
        if (t->connection->plugin == p)
            add_stream(&s, t);
    }
    return s;
}

static void put_last_trap(buf *out, const node_plugin *p)
{
    json_put_key(out, "last_trap");
    for (const list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
        const node_connection *c = LIST_OWNER(at, node_connection, node);
        json doc, key, first;
        if (c->plugin != p || !c->live || !weir_plugin_traps(c->live) || json_read(&doc, bytes_of(weir_plugin_why(c->live)), NULL))
            continue;
        json_iter it = json_each(doc);
        if (doc.type == JSON_ARRAY && json_next(&it, &key, &first)) {
            buf_add_bytes(out, first.raw);
            return;
        }
    }
    buf_add_text(out, p->last_trap ? p->last_trap : "null");
}

static void put_figures(buf *out, const plugin_sums *s)
{
    json_put_key(out, "figures");
    buf_add_char(out, '{');
    member_u64(out, "streams", s->streams);
    member_u64(out, "messages", s->messages);
    member_u64(out, "records", s->records);
    member_u64(out, "gaps", s->gaps);
    member_u64(out, "traps", s->traps);
    member_u64(out, "restarts", s->restarts);
    member_u64(out, "calls", s->meter.turns);
    member_u64(out, "call_p50_us", (meter_quantile(&s->meter, 0.5) + 999) / 1000);
    member_u64(out, "call_p99_us", (meter_quantile(&s->meter, 0.99) + 999) / 1000);
    member_u64(out, "cpu_ms", s->meter.cpu_ns / NS_PER_MS);
    member_u64(out, "instances", s->instances);
    member_u64(out, "memory_octets", s->memory);
    member_u64(out, "memory_limit_octets", s->memory_limit);
    buf_add_char(out, '}');
}

static void put_plugin(buf *out, const node_plugin *p)
{
    static const char *const from_version[] = {"name", "description", "version", "generation", "sha256", "size", "installed_at", "asks", "fields", "stream_types", "timeframes", "commands"};
    const node_version *v = latest(p);
    plugin_sums s = plugin_sum_up(p);
    json doc = {0};
    buf_add_char(out, '{');
    member_text(out, "id", p->id);
    if (v)
        json_read(&doc, bytes_of(v->json), NULL);
    for (size_t i = 0; i < sizeof from_version / sizeof *from_version; i++) {
        json member = json_member(doc, from_version[i]);
        json_put_key(out, from_version[i]);
        buf_add_bytes(out, member.type == JSON_NONE ? BYTES("null") : member.raw);
    }
    member_bool(out, "enabled", p->enabled);
    member_text(out, "state", state_of(p));
    member_text(out, "why", p->why);
    member_raw(out, "grants", p->grants);
    put_versions(out, p);
    put_pending(out, p);
    member_u64(out, "connections", s.connections);
    put_figures(out, &s);
    put_last_trap(out, p);
    buf_add_char(out, '}');
}

/* ---- Operations ---- */

static node_plugin *asked(ask *a)
{
    node_plugin *p = a->id ? plugin_find(a->n, a->id) : NULL;
    if (!p)
        ask_fail(a, WEIR_NOT_FOUND, "there is no plugin '%s'; GET /v1/plugins lists them", a->id ? a->id : "");
    return p;
}

static void answer(ask *a, const node_plugin *p, bool created)
{
    buf out;
    buf_init(&out, 64u << 20);
    put_plugin(&out, p);
    ask_done(a, created, &out);
    buf_fini(&out);
}

static bool put_listed(buf *out, const list_node *at)
{
    put_plugin(out, LIST_OWNER(at, node_plugin, node));
    return true;
}

static void list_plugins(ask *a)
{
    ask_done_list(a, "plugins", &a->n->plugins, put_listed, 64u << 20);
}

static void read_plugin(ask *a)
{
    const node_plugin *p = asked(a);
    if (p)
        answer(a, p, false);
}

/* Each connection of it as the store has it now. */
static void reload_all(node_plugin *p)
{
    for (list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
        node_connection *c = LIST_OWNER(at, node_connection, node);
        if (c->plugin == p)
            connection_reload(c);
    }
}

/* The module's octets. */
static weir_code read_module(buf *out, node *n, const char *sha256, weir_error *err)
{
    buf path;
    buf_init(&path, 1 << 16);
    store_module_path(n->store, sha256, &path);
    buf_add_char(&path, '\0');
    weir_code code = path.failed ? error_set(err, WEIR_NOMEM, "out of memory") : file_read(out, path.at, err);
    buf_fini(&path);
    return code;
}

weir_code plugin_octets(buf *out, const node_plugin *p, weir_error *err)
{
    return read_module(out, p->n, p->active, err);
}

/* A connection that runs goes over to the active version; its streams go on. */
static void swap_connection(node_connection *c, bytes octets, char **allow)
{
    weir_error why = WEIR_ERROR_INIT;
    if (!c->live) {
        connection_reload(c);
        return;
    }
    if (!weir_plugin_swap_granted(c->live, c->plugin->id, octets, (const char *const *)allow, &why)) {
        changed(c->n, "connections", c->id_text);
        return;
    }
    log_warn("node", "connection %s: its streams cannot go over to the new version, so it is loaded anew: %s", c->id_text, why.text);
    connection_reload(c);
}

static void switch_over(node_plugin *p)
{
    weir_error why = WEIR_ERROR_INIT;
    const node_version *v = plugin_version(p, p->active);
    char **allow = v ? version_allow(v, p->grants) : NULL;
    buf octets;
    buf_init(&octets, 256u << 20);
    if (!allow || plugin_octets(&octets, p, &why)) {
        log_error("node", "plugin '%s': its version cannot be read: %s", p->id, why.text);
        reload_all(p);
    } else {
        p->compiling = true;
        for (list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
            node_connection *c = LIST_OWNER(at, node_connection, node);
            if (c->plugin == p)
                swap_connection(c, buf_bytes(&octets), allow);
        }
        p->compiling = false;
    }
    buf_fini(&octets);
    allow_free(allow);
    changed(p->n, "plugins", p->id);
}

/* The oldest ones go when there are many; the active and the pending one stay. */
static void trim_versions(node_plugin *p)
{
    for (size_t i = 0; p->version_count > VERSIONS_KEPT && i < p->version_count;) {
        if (!strcmp(p->versions[i].sha256, p->active) || !strcmp(p->versions[i].sha256, p->pending)) {
            i++;
            continue;
        }
        store_module_remove(p->n->store, p->versions[i].sha256, NULL, NULL);
        version_remove(p, i);
    }
}

/* ---- Upload ---- */

/* What the user's file is called: its last part, and nothing that could confuse a terminal or a path. */
static void file_name_of(ask *a, char out[FILE_NAME_MAX + 1])
{
    char *given = json_text(a->query, "file_name");
    const char *last = given;
    size_t n = 0;
    for (const char *at = given; at && *at; at++)
        if (*at == '/' || *at == '\\')
            last = at + 1;
    for (; last && *last && n < FILE_NAME_MAX; last++)
        out[n++] = (unsigned char)*last < 0x20 || (unsigned char)*last >= 0x7f ? '_' : *last;
    out[n] = '\0';
    if (!n)
        memcpy(out, "upload.wasm", 12);
    free(given);
}

/* Active at once, or pending: whichever the grants say. */
static bool admit(node_plugin *p, const char *sha256)
{
    const node_version *v = plugin_version(p, sha256);
    if (p->n->uploads_approved && !version_granted(v, p->grants)) {
        char *all = bytes_dup(version_member(v, "asks").raw);
        if (all) {
            free(p->grants);
            p->grants = all;
        }
    }
    if (!version_granted(v, p->grants)) {
        memcpy(p->pending, sha256, 65);
        return false;
    }
    memcpy(p->active, sha256, 65);
    p->pending[0] = '\0';
    return true;
}

/* What it was before a change that the store did not take. */
typedef struct plugin_before {
    char active[65], pending[65];
    char *grants;
    bool enabled;
    size_t versions;
} plugin_before;

static plugin_before before_of(const node_plugin *p)
{
    plugin_before b = {.grants = strdup(p->grants), .enabled = p->enabled, .versions = p->version_count};
    memcpy(b.active, p->active, 65);
    memcpy(b.pending, p->pending, 65);
    return b;
}

static weir_code store_or_undo(node_plugin *p, plugin_before *b, weir_error *err)
{
    weir_code code = b->grants ? plugin_store(p, err) : error_set(err, WEIR_NOMEM, "out of memory");
    if (code) {
        memcpy(p->active, b->active, 65);
        memcpy(p->pending, b->pending, 65);
        p->enabled = b->enabled;
        if (b->grants) {
            free(p->grants);
            p->grants = b->grants;
            b->grants = NULL;
        }
        while (p->version_count > b->versions)
            version_remove(p, p->version_count - 1);
    }
    free(b->grants);
    return code;
}

static weir_code take_version(node_plugin *p, const char *sha256, bytes row, bytes octets, bool *active, weir_error *err)
{
    plugin_before b = before_of(p);
    bool there = plugin_version(p, sha256) != NULL;
    weir_code code = there ? WEIR_OK : module_put_and_wait(p->n, sha256, octets, err);
    if (!code && !there)
        code = version_add(p, row, err);
    if (code) {
        free(b.grants);
        return code;
    }
    *active = admit(p, sha256) && strcmp(b.active, sha256) != 0;
    code = store_or_undo(p, &b, err);
    if (code && !there)
        store_module_remove(p->n->store, sha256, NULL, NULL);
    return code;
}

static void upload(ask *a)
{
    char file_name[FILE_NAME_MAX + 1], sha[DIGEST_HEX], *id = NULL;
    weir_error err = WEIR_ERROR_INIT;
    bool active = false, created = false;
    buf row;
    buf_init(&row, 8u << 20);
    file_name_of(a, file_name);
    digest_sha256(sha, buf_bytes(&a->body));
    weir_code code = version_describe(&row, &id, a->n, file_name, buf_bytes(&a->body), &err);
    node_plugin *p = code ? NULL : plugin_find(a->n, id);
    bool first = !code && !p;
    if (first && !(p = plugin_new(a->n, id)))
        code = error_set(&err, WEIR_NOMEM, "out of memory");
    if (!code) {
        created = !plugin_version(p, sha);
        code = take_version(p, sha, buf_bytes(&row), buf_bytes(&a->body), &active, &err);
    }
    if (code && first && p)
        plugin_free(p);
    if (!code && active)
        switch_over(p);
    if (!code)
        trim_versions(p);
    buf_fini(&row);
    free(id);
    if (code)
        ask_fail_with(a, &err);
    else
        answer(a, p, created);
}

/* ---- Approve, reject, roll back ---- */

static weir_code choose_grants(node_plugin *p, const node_version *v, json allow, weir_error *err)
{
    targets *wanted, *asks;
    json list = allow.type == JSON_NONE || allow.type == JSON_NULL ? version_member(v, "asks") : allow;
    if (!(wanted = targets_of_list(list, err)))
        return error_wrap(err, "allow");
    asks = targets_of_list(version_member(v, "asks"), err);
    weir_code code = asks && targets_within(wanted, asks, err) ? WEIR_OK : err->code;
    targets_free(wanted);
    targets_free(asks);
    char *copy = code ? NULL : bytes_dup(list.raw);
    if (!code && !copy)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (copy) {
        free(p->grants);
        p->grants = copy;
    }
    return code;
}

static void approve(ask *a)
{
    static const char *const members[] = {"sha256", "allow", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_plugin *p = asked(a);
    if (!p || !ask_body(a, &body, members))
        return;
    char *sha = json_text(body, "sha256");
    const node_version *v = plugin_version(p, sha ? sha : p->pending);
    plugin_before b = before_of(p);
    weir_code code = WEIR_OK;
    if (!v && sha)
        code = error_set(&err, WEIR_NOT_FOUND, "plugin '%s' has no version %.64s", p->id, sha);
    else if (!v)
        code = error_set(&err, WEIR_NOT_FOUND, "plugin '%s': no version waits for approval; name one by \"sha256\"", p->id);
    if (code || (code = choose_grants(p, v, json_member(body, "allow"), &err))) {
        free(b.grants);
    } else {
        memcpy(p->active, v->sha256, 65);
        p->pending[0] = '\0';
        code = store_or_undo(p, &b, &err);
    }
    free(sha);
    if (code) {
        ask_fail_with(a, &err);
        return;
    }
    switch_over(p);
    answer(a, p, false);
}

static weir_code plugin_remove(node_plugin *p, weir_error *err);

static void reject(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = asked(a);
    if (!p)
        return;
    if (!*p->pending) {
        ask_fail(a, WEIR_NOT_FOUND, "plugin '%s': no version waits for approval", p->id);
        return;
    }
    if (!*p->active && p->version_count == 1) { /* there was no other: the plugin goes */
        if (plugin_remove(p, &err))
            ask_fail_with(a, &err);
        else
            ask_done(a, false, NULL);
        return;
    }
    char sha[65];
    plugin_before b = before_of(p);
    memcpy(sha, p->pending, 65);
    p->pending[0] = '\0';
    if (store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    for (size_t i = 0; i < p->version_count && strcmp(sha, p->active) != 0; i++)
        if (!strcmp(p->versions[i].sha256, sha)) {
            store_module_remove(p->n->store, sha, NULL, NULL);
            version_remove(p, i);
            plugin_store(p, &err);
            break;
        }
    answer(a, p, false);
}

/* The version before the active one. */
static const node_version *previous(const node_plugin *p)
{
    const node_version *before = NULL;
    for (size_t i = 0; i < p->version_count && strcmp(p->versions[i].sha256, p->active) != 0; i++)
        if (strcmp(p->versions[i].sha256, p->pending) != 0)
            before = &p->versions[i];
    return before;
}

static void rollback(ask *a)
{
    static const char *const members[] = {"sha256", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_plugin *p = asked(a);
    if (!p || !ask_body(a, &body, members))
        return;
    char *sha = json_text(body, "sha256");
    const node_version *v = sha ? plugin_version(p, sha) : previous(p);
    free(sha);
    if (!v || !*p->active) {
        ask_fail(a, WEIR_NOT_FOUND, "plugin '%s': there is no %s", p->id, v ? "active version; approve one" : sha ? "version of this sha256"
                                                                                                                  : "version before the active one");
        return;
    }
    if (!strcmp(v->sha256, p->pending)) {
        ask_fail(a, WEIR_REFUSED, "plugin '%s': this version waits for approval; approve it instead", p->id);
        return;
    }
    plugin_before b = before_of(p);
    memcpy(p->active, v->sha256, 65);
    if (store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    switch_over(p);
    answer(a, p, false);
}

/* ---- Enable, disable, reload, remove ---- */

static void set_enabled(ask *a, bool enabled)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = asked(a);
    if (!p)
        return;
    plugin_before b = before_of(p);
    p->enabled = enabled;
    if (b.enabled == enabled) {
        free(b.grants);
    } else if (store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    } else {
        reload_all(p);
    }
    answer(a, p, false);
}

static void enable(ask *a)
{
    set_enabled(a, true);
}

static void disable(ask *a)
{
    set_enabled(a, false);
}

static void reload(ask *a)
{
    node_plugin *p = asked(a);
    if (!p)
        return;
    reload_all(p);
    answer(a, p, false);
}

static weir_code plugin_remove(node_plugin *p, weir_error *err)
{
    node_connection *c;
    node *n = p->n;
    char *id = strdup(p->id);
    weir_code code = id ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
    while (!code && (c = connection_of_plugin(n, p)))
        code = connection_remove(c, err);
    if (!code)
        code = remove_and_wait(n, "plugin", p->id, err);
    if (!code) {
        for (size_t i = 0; i < p->version_count; i++)
            store_module_remove(n->store, p->versions[i].sha256, NULL, NULL);
        plugin_free(p);
        changed(n, "plugins", id);
    }
    free(id);
    return code;
}

/* ---- What another node changed ---- */

/* What the row says in the place of what is here. */
static weir_code take_members(node_plugin *p, json doc, weir_error *err)
{
    json key, item, grants = json_member(doc, "grants"), versions = json_member(doc, "versions");
    char *copy = grants.type == JSON_ARRAY ? bytes_dup(grants.raw) : NULL;
    if (!copy || versions.type != JSON_ARRAY) {
        free(copy);
        return error_set(err, WEIR_INVALID, "plugin '%s': its row is none, or memory is out", p->id);
    }
    free(p->grants);
    p->grants = copy;
    while (p->version_count)
        version_remove(p, p->version_count - 1);
    for (json_iter it = json_each(versions); json_next(&it, &key, &item);)
        if (version_add(p, item.raw, err))
            return err->code;
    p->active[0] = p->pending[0] = '\0';
    take_sha(p->active, json_member(doc, "active"));
    take_sha(p->pending, json_member(doc, "pending"));
    json_bool(json_member(doc, "enabled"), &p->enabled);
    return WEIR_OK;
}

weir_code plugin_take(node *n, const char *id, bytes row, weir_error *err)
{
    json doc;
    node_plugin *p = plugin_find(n, id);
    if (!row.len)
        return p ? plugin_remove(p, err) : WEIR_OK;
    if (json_read(&doc, row, err))
        return error_wrap(err, "plugin '%s'", id);
    if (!p && !(p = plugin_new(n, id)))
        return error_set(err, WEIR_NOMEM, "out of memory");
    char before[65], *granted = strdup(p->grants);
    bool enabled = p->enabled;
    memcpy(before, p->active, 65);
    weir_code code = take_members(p, doc, err);
    if (!code)
        code = plugin_store(p, err);
    bool other = granted && strcmp(granted, p->grants) != 0;
    free(granted);
    if (code)
        return code;
    if (*before && *p->active && strcmp(before, p->active) != 0)
        switch_over(p);
    else if (strcmp(before, p->active) != 0 || enabled != p->enabled || other)
        reload_all(p);
    return WEIR_OK;
}

static void remove_plugin(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = asked(a);
    if (!p)
        return;
    if (connection_of_plugin(a->n, p) && !ask_flag(a, "force"))
        ask_fail(a, WEIR_BUSY, "plugin '%s' has connections; remove them first, or with ?force=1 all of it", p->id);
    else if (plugin_remove(p, &err))
        ask_fail_with(a, &err);
    else
        ask_done(a, false, NULL);
}

static void list_traps(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    const node_plugin *p = asked(a);
    char *json = NULL;
    buf out;
    if (!p)
        return;
    buf_init(&out, 64u << 20);
    buf_add_text(&out, "{\"traps\":");
    weir_code code = weir_why(&json, p->id, a->n->data_dir, &err);
    buf_add_text(&out, code ? "[]" : json);
    buf_add_char(&out, '}');
    free(json);
    if (code && code != WEIR_NOT_FOUND)
        ask_fail_with(a, &err);
    else
        ask_done(a, false, &out);
    buf_fini(&out);
}

const node_op plugin_ops[] = {
    {"plugins.list", list_plugins, 0},
    {"plugins.read", read_plugin, 0},
    {"plugins.traps", list_traps, 0},
    {"plugins.upload", upload, OP_JOB},
    {"plugins.approve", approve, OP_JOB},
    {"plugins.reject", reject, OP_JOB},
    {"plugins.rollback", rollback, OP_JOB},
    {"plugins.enable", enable, OP_JOB},
    {"plugins.disable", disable, OP_JOB},
    {"plugins.reload", reload, OP_JOB},
    {"plugins.remove", remove_plugin, OP_JOB},
    {NULL, NULL, 0},
};
