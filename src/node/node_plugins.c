/* Plugins: kept in the store, listed, switched on and off, and taken away. How they are shown: plugin_show.c; which version of one
 * runs: plugin_upgrade.c. */
#include <stdlib.h>

#include "node/plugins.h"

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

const node_version *plugin_latest(const node_plugin *p)
{
    const node_version *v = plugin_version(p, p->active);
    return v ? v : p->version_count ? &p->versions[p->version_count - 1]
                                    : NULL;
}

node_plugin *plugin_new(node *n, const char *id)
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

weir_code plugin_store(node_plugin *p, weir_error *err)
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

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    row_load *l = arg;
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
    row_load l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "plugin", on_row, &l, err);
    return code ? code : l.code;
}

plugin_before plugin_before_of(const node_plugin *p)
{
    plugin_before b = {.grants = strdup(p->grants), .enabled = p->enabled, .versions = p->version_count};
    memcpy(b.active, p->active, 65);
    memcpy(b.pending, p->pending, 65);
    return b;
}

weir_code plugin_store_or_undo(node_plugin *p, plugin_before *b, weir_error *err)
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

/* ---- Operations ---- */

node_plugin *plugin_asked(ask *a)
{
    node_plugin *p = a->id ? plugin_find(a->n, a->id) : NULL;
    if (!p)
        ask_fail(a, WEIR_NOT_FOUND, "there is no plugin '%s'; GET /v1/plugins lists them", a->id ? a->id : "");
    return p;
}

void plugin_answer(ask *a, const node_plugin *p, bool created)
{
    buf out;
    buf_init(&out, 64u << 20);
    plugin_put(&out, p);
    ask_done(a, created, &out);
    buf_fini(&out);
}

static bool put_listed(buf *out, const list_node *at)
{
    plugin_put(out, LIST_OWNER(at, node_plugin, node));
    return true;
}

static void list_plugins(ask *a)
{
    ask_done_list(a, "plugins", &a->n->plugins, put_listed, 64u << 20);
}

static void read_plugin(ask *a)
{
    const node_plugin *p = plugin_asked(a);
    if (p)
        plugin_answer(a, p, false);
}

/* Each connection of it as the store has it now. */
void plugin_reload_all(node_plugin *p)
{
    for (list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
        node_connection *c = LIST_OWNER(at, node_connection, node);
        if (c->plugin == p)
            connection_reload(c);
    }
}

/* ---- Enable, disable, reload, remove ---- */

static void set_enabled(ask *a, bool enabled)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = plugin_asked(a);
    if (!p)
        return;
    plugin_before b = plugin_before_of(p);
    p->enabled = enabled;
    if (b.enabled == enabled) {
        free(b.grants);
    } else if (plugin_store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    } else {
        plugin_reload_all(p);
    }
    plugin_answer(a, p, false);
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
    node_plugin *p = plugin_asked(a);
    if (!p)
        return;
    plugin_reload_all(p);
    plugin_answer(a, p, false);
}

weir_code plugin_remove(node_plugin *p, weir_error *err)
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
        plugin_switch_over(p);
    else if (strcmp(before, p->active) != 0 || enabled != p->enabled || other)
        plugin_reload_all(p);
    return WEIR_OK;
}

static void remove_plugin(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = plugin_asked(a);
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
    const node_plugin *p = plugin_asked(a);
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
    {"plugins.upload", plugin_upload, OP_CHANGES},
    {"plugins.approve", plugin_approve, OP_JOB},
    {"plugins.reject", plugin_reject, OP_JOB},
    {"plugins.rollback", plugin_rollback, OP_JOB},
    {"plugins.enable", enable, OP_JOB},
    {"plugins.disable", disable, OP_JOB},
    {"plugins.reload", reload, OP_JOB},
    {"plugins.remove", remove_plugin, OP_JOB},
    {NULL, NULL, 0},
};
