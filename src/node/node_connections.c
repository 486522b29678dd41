/* Connections: a plugin with a user's values (connection_values.c), loaded and alive.
 *
 * To load is a job. What is wrong with the
 * values, or with the plugin, is the connection's state and why; its streams wait for it.
 * Everything that makes or frees a weir_plugin is a job, so none of it happens under another's hands. */
#include <stdio.h>
#include <stdlib.h>

#include "node/values.h"
#include "node/versions.h"

#define NAME_MAX_OCTETS 200

const char *connection_state_name(connection_state s)
{
    static const char *const names[] = {"loading", "ready", "incomplete", "invalid", "failed", "disabled"};
    return names[s];
}

/* ---- Finding, making ---- */

node_connection *connection_find(const node *n, const char *id)
{
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next) {
        node_connection *c = LIST_OWNER(at, node_connection, node);
        if (!strcmp(c->id_text, id))
            return c;
    }
    return NULL;
}

node_connection *connection_of_plugin(const node *n, const node_plugin *p)
{
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next) {
        node_connection *c = LIST_OWNER(at, node_connection, node);
        if (c->plugin == p)
            return c;
    }
    return NULL;
}

static node_connection *connection_new(node *n, uint64_t id, node_plugin *p)
{
    node_connection *c = calloc(1, sizeof *c);
    if (!c || !(c->config = strdup("{}")) || !(c->secrets = strdup("")) || !(c->name = strdup(""))) {
        if (c) {
            free(c->config);
            free(c->secrets);
        }
        free(c);
        return NULL;
    }
    c->n = n;
    c->id = id;
    snprintf(c->id_text, sizeof c->id_text, "%llu", (unsigned long long)id);
    c->plugin = p;
    c->enabled = true;
    c->created_at = c->updated_at = clock_real();
    list_push(&n->connections, &c->node);
    return c;
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void connection_free(node_connection *c)
{
    job_take(&c->load);
    plugin_retire(c);
    list_remove(&c->node);
    free(c->name);
    free(c->config);
    wipe(c->secrets);
    free(c->why);
    free(c);
}

static void enter(node_connection *c, connection_state state, const char *why)
{
    c->state = state;
    text_replace(&c->why, why);
    changed(c->n, "connections", c->id_text);
}

/* ---- In the store ---- */

static void put_row(buf *out, const node_connection *c, const char *config)
{
    buf_add_char(out, '{');
    member_text(out, "plugin", c->plugin->id);
    member_text(out, "name", c->name);
    member_bool(out, "enabled", c->enabled);
    member_raw(out, "config", config);
    member_time(out, "created_at", c->created_at);
    member_time(out, "updated_at", c->updated_at);
    buf_add_char(out, '}');
}

static weir_code store_connection(node_connection *c, const char *config, const char *secrets, weir_error *err)
{
    buf row;
    buf_init(&row, 2 * CONFIG_MAX);
    put_row(&row, c, config);
    bool any = *secrets && strcmp(secrets, "{}") != 0;
    weir_code code = put_and_wait(c->n, "connection", c->id_text, &row, any ? bytes_of(secrets) : BYTES(""), err);
    buf_fini(&row);
    return code;
}

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    row_load *l = arg;
    json doc;
    if (json_read(&doc, row, l->err)) {
        l->code = error_wrap(l->err, "connection %s", id);
        return;
    }
    char *plugin = NULL;
    if (row_text(&plugin, doc, "plugin", l->err)) {
        l->code = error_wrap(l->err, "connection %s", id);
        return;
    }
    node_plugin *p = plugin_find(l->n, plugin);
    node_connection *c = p ? connection_new(l->n, strtoull(id, NULL, 10), p) : NULL;
    if (!p)
        log_error("node", "connection %s: its plugin '%s' is gone; it is left out", id, plugin);
    free(plugin);
    if (!c) {
        l->code = p ? error_set(l->err, WEIR_NOMEM, "out of memory") : l->code;
        return;
    }
    char *name = json_text(doc, "name"), *config = bytes_dup(json_member(doc, "config").raw), *secrets = bytes_dup(secret);
    json_bool(json_member(doc, "enabled"), &c->enabled);
    json_text_u64(json_member(doc, "created_at"), &c->created_at);
    json_text_u64(json_member(doc, "updated_at"), &c->updated_at);
    c->sealed = sealed;
    if (!name || !config || !secrets)
        l->code = error_set(l->err, WEIR_NOMEM, "out of memory");
    free(name ? c->name : NULL);
    c->name = name ? name : c->name;
    free(config ? c->config : NULL);
    c->config = config ? config : c->config;
    free(secrets ? c->secrets : NULL);
    c->secrets = secrets ? secrets : c->secrets;
}

weir_code connections_load(node *n, weir_error *err)
{
    row_load l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "connection", on_row, &l, err);
    return code ? code : l.code;
}

/* ---- Loading ---- */

static void each_stream(node_connection *c, void (*fn)(node_stream *s))
{
    for (list_node *at = c->n->streams.head.next, *next; at != &c->n->streams.head; at = next) {
        node_stream *s = LIST_OWNER(at, node_stream, node);
        next = at->next;
        if (s->connection == c)
            fn(s);
    }
}

size_t connection_streams(const node_connection *c)
{
    size_t count = 0;
    for (const list_node *at = c->n->streams.head.next; at != &c->n->streams.head; at = at->next)
        count += LIST_OWNER(at, node_stream, node)->connection == c;
    return count;
}

static void halt(node_stream *s)
{
    stream_halt(s, "its connection is being loaded");
}

/* Questions to its plugin that are under way get no answer any more. */
static void fail_asks(node_connection *c)
{
    for (list_node *at = c->n->asks.head.next, *next; at != &c->n->asks.head; at = next) {
        ask *a = LIST_OWNER(at, ask, node);
        next = at->next;
        if (a->work == c)
            ask_fail(a, WEIR_CANCELLED, "connection %s: it is being loaded anew, or taken away", c->id_text);
    }
}

void connection_unload(node_connection *c)
{
    each_stream(c, halt);
    if (c->live) {
        fail_asks(c);
        plugin_retire(c);
    }
}

/* What its own form says against its values. */
static void judge(node_connection *c, const char *config)
{
    weir_error why = WEIR_ERROR_INIT;
    weir_code code = weir_plugin_configure(c->live, config, &why);
    if (code == WEIR_OK)
        enter(c, CONNECTION_READY, "");
    else
        enter(c, code == WEIR_NOT_FOUND ? CONNECTION_INCOMPLETE : code == WEIR_INVALID ? CONNECTION_INVALID
                                                                                       : CONNECTION_FAILED,
              why.text);
}

static void load_with(node_connection *c, const char *config, char **allow, bytes octets)
{
    weir_error why = WEIR_ERROR_INIT;
    weir_plugin_options options = WEIR_PLUGIN_OPTIONS_INIT;
    node_plugin *p = c->plugin;
    options.config_json = config;
    options.allow = (const char *const *)allow;
    options.connection = c->id;
    options.backfill = true;
    p->compiling = true;
    weir_code code = weir_plugin_load_bytes(&c->live, c->n->host, p->id, octets.at, octets.len, &options, &why);
    p->compiling = false;
    text_replace(&p->why, code ? why.text : NULL);
    if (code) {
        c->live = NULL;
        log_error("node", "connection %s: %s", c->id_text, why.text);
        enter(c, CONNECTION_FAILED, why.text);
        changed(c->n, "plugins", p->id);
    } else {
        judge(c, config);
    }
}

static void load(node *n, void *arg)
{
    node_connection *c = arg;
    weir_error why = WEIR_ERROR_INIT;
    buf octets, config;
    const node_version *v = plugin_version(c->plugin, c->plugin->active);
    connection_unload(c);
    if (!c->enabled || !c->plugin->enabled || !v) {
        enter(c, CONNECTION_DISABLED, !c->enabled ? "it is switched off" : !v ? "its plugin waits for approval"
                                                                              : "its plugin is switched off");
        each_stream(c, stream_go);
        return;
    }
    if (c->sealed) {
        enter(c, CONNECTION_FAILED, "its secrets cannot be read: they were sealed with another key; give the node that key, or set them anew");
        each_stream(c, stream_go);
        return;
    }
    char **allow = version_allow(v, c->plugin->grants);
    buf_init(&octets, 256u << 20);
    buf_init(&config, 4 * CONFIG_MAX);
    if (!allow || connection_config(&config, c) || plugin_octets(&octets, c->plugin, &why))
        enter(c, CONNECTION_FAILED, why.code ? why.text : "out of memory");
    else
        load_with(c, config.at, allow, buf_bytes(&octets));
    if (config.at)
        explicit_bzero(config.at, config.len);
    buf_fini(&config);
    buf_fini(&octets);
    allow_free(allow);
    if (!n->draining)
        each_stream(c, stream_go);
}

void connection_reload(node_connection *c)
{
    job_put(c->n, &c->load, load, c);
}

/* ---- Shown ---- */

static void put_names(buf *out, const char *object)
{
    json doc, key, value;
    bool first = true;
    buf_add_char(out, '[');
    if (*object && !json_read(&doc, bytes_of(object), NULL))
        for (json_iter it = json_each(doc); json_next(&it, &key, &value);) {
            buf_add_text(out, first ? "" : ",");
            buf_add_bytes(out, key.raw);
            first = false;
        }
    buf_add_char(out, ']');
}

static void put_connection(buf *out, const node_connection *c)
{
    buf_add_char(out, '{');
    member_u64(out, "id", c->id);
    member_text(out, "plugin", c->plugin->id);
    member_text(out, "name", c->name);
    member_bool(out, "enabled", c->enabled);
    member_raw(out, "config", c->config);
    json_put_key(out, "secrets_set");
    put_names(out, c->secrets);
    member_text(out, "state", connection_state_name(c->state));
    member_text(out, "why", c->why);
    member_u64(out, "streams", connection_streams(c));
    member_time(out, "created_at", c->created_at);
    member_time(out, "updated_at", c->updated_at);
    buf_add_char(out, '}');
}

/* ---- Operations ---- */

static node_connection *asked(ask *a)
{
    node_connection *c = a->id ? connection_find(a->n, a->id) : NULL;
    if (!c)
        ask_fail(a, WEIR_NOT_FOUND, "there is no connection '%s'; GET /v1/connections lists them", a->id ? a->id : "");
    return c;
}

static void answer(ask *a, const node_connection *c, bool created)
{
    buf out;
    buf_init(&out, 16u << 20);
    put_connection(&out, c);
    ask_done(a, created, &out);
    buf_fini(&out);
}

static bool put_listed(buf *out, const list_node *at)
{
    put_connection(out, LIST_OWNER(at, node_connection, node));
    return true;
}

static void list_connections(ask *a)
{
    ask_done_list(a, "connections", &a->n->connections, put_listed, 256u << 20);
}

static void read_connection(ask *a)
{
    const node_connection *c = asked(a);
    if (c)
        answer(a, c, false);
}

static weir_code check_name(const char *name, weir_error *err)
{
    return strlen(name) > NAME_MAX_OCTETS ? error_set(err, WEIR_INVALID, "\"name\" is longer than %d octets", NAME_MAX_OCTETS) : WEIR_OK;
}

/* First stored with the new values, then they are its own. */
static weir_code store_merged(node_connection *c, json given, weir_error *err)
{
    buf config, secrets;
    buf_init(&config, CONFIG_MAX);
    buf_init(&secrets, CONFIG_MAX);
    weir_code code = values_merge(c, given, &config, &secrets, err);
    buf_add_char(&config, '\0');
    buf_add_char(&secrets, '\0');
    char *new_config = code ? NULL : strdup(config.at), *new_secrets = code ? NULL : strdup(secrets.at);
    if (!code && (!new_config || !new_secrets))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (!code)
        code = store_connection(c, new_config, new_secrets, err);
    if (code) {
        free(new_config);
        wipe(new_secrets);
    } else {
        free(c->config);
        wipe(c->secrets);
        c->config = new_config;
        c->secrets = new_secrets;
        c->sealed = false;
    }
    if (secrets.at)
        explicit_bzero(secrets.at, secrets.len);
    buf_fini(&config);
    buf_fini(&secrets);
    return code;
}

/* In a job: made, stored and loaded. */
static weir_code make(node_connection **out, node *n, node_plugin *p, const char *name, json config, weir_error *err)
{
    uint64_t id = row_next_id(n, "connection", err);
    if (!id)
        return err->code;
    node_connection *c = connection_new(n, id, p);
    if (!c || !text_replace(&c->name, name)) {
        if (c)
            connection_free(c);
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    weir_code code = store_merged(c, config, err);
    if (code) {
        connection_free(c);
        return code;
    }
    load(n, c);
    *out = c;
    return WEIR_OK;
}

static const char *default_name(const node_plugin *p, char **room)
{
    const node_version *v = plugin_version(p, p->active);
    *room = json_string_dup(version_member(v, "name"));
    return *room ? *room : p->id;
}

static void create(ask *a)
{
    static const char *const members[] = {"plugin", "name", "config", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    char *plugin = NULL, *name = NULL, *room = NULL;
    node_connection *c = NULL;
    if (!ask_body(a, &body, members))
        return;
    json config = json_member(body, "config");
    if (config.type == JSON_NONE || config.type == JSON_NULL)
        config = (json){JSON_OBJECT, BYTES("{}")};
    if (!ask_text(a, body, "plugin", &plugin) || !ask_text(a, body, "name", &name)) {
        free(plugin);
        return;
    }
    node_plugin *p = plugin ? plugin_find(a->n, plugin) : NULL;
    if (!p)
        error_set(&err, plugin ? WEIR_NOT_FOUND : WEIR_INVALID, plugin ? "there is no plugin '%s'; GET /v1/plugins lists them" : "\"plugin\" is missing: the id of a plugin%s", plugin ? plugin : "");
    else if (config.type != JSON_OBJECT)
        error_set(&err, WEIR_INVALID, "\"config\" is no object of names and values");
    else if (!check_name(name ? name : "", &err))
        make(&c, a->n, p, name && *name ? name : default_name(p, &room), config, &err);
    free(plugin);
    free(name);
    free(room);
    if (c)
        answer(a, c, true);
    else
        ask_fail_with(a, &err);
}

weir_code connection_first(node_connection **out, node *n, node_plugin *p, weir_error *err)
{
    json key, field, fields = values_fields(p), nothing = {JSON_OBJECT, BYTES("{}")};
    if ((*out = connection_of_plugin(n, p)))
        return WEIR_OK;
    if (fields.type == JSON_ARRAY)
        for (json_iter it = json_each(fields); json_next(&it, &key, &field);)
            if (json_member(field, "required").type == JSON_TRUE && json_member(field, "default").type == JSON_NONE)
                return error_set(err, WEIR_INVALID, "plugin '%s' has no connection yet, and one needs a configuration: create the connection first", p->id);
    char *room = NULL;
    weir_code code = make(out, n, p, default_name(p, &room), nothing, err);
    free(room);
    return code;
}

static weir_code update_with(node_connection *c, json config, const bool *enabled, const char *name, weir_error *err)
{
    json nothing = {JSON_OBJECT, BYTES("{}")};
    bool was_enabled = c->enabled;
    uint64_t was_updated = c->updated_at;
    char *was_name = c->name, *new_name = name ? strdup(name) : NULL;
    if (name && !new_name)
        return error_set(err, WEIR_NOMEM, "out of memory");
    c->enabled = enabled ? *enabled : c->enabled;
    c->name = new_name ? new_name : c->name;
    c->updated_at = clock_real();
    weir_code code = store_merged(c, config.type == JSON_OBJECT ? config : nothing, err);
    if (code) {
        c->enabled = was_enabled;
        c->updated_at = was_updated;
        c->name = was_name;
        free(new_name);
        return code;
    }
    if (new_name)
        free(was_name);
    if (config.type == JSON_OBJECT || c->enabled != was_enabled)
        load(c->n, c);
    else
        changed(c->n, "connections", c->id_text);
    return WEIR_OK;
}

static void update(ask *a)
{
    static const char *const members[] = {"name", "enabled", "config", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    char *name = NULL;
    bool enabled = false;
    node_connection *c = asked(a);
    if (!c || !ask_body(a, &body, members) || !ask_text(a, body, "name", &name))
        return;
    json config = json_member(body, "config"), on = json_member(body, "enabled");
    if (config.type != JSON_NONE && config.type != JSON_OBJECT)
        error_set(&err, WEIR_INVALID, "\"config\" is no object of names and values");
    else if (on.type != JSON_NONE && !json_bool(on, &enabled))
        error_set(&err, WEIR_INVALID, "\"enabled\" is neither true nor false");
    else if (!check_name(name ? name : "", &err))
        update_with(c, config, on.type == JSON_NONE ? NULL : &enabled, name, &err);
    free(name);
    if (err.code)
        ask_fail_with(a, &err);
    else
        answer(a, c, false);
}

static weir_code remove_streams(node_connection *c, weir_error *err)
{
    weir_code code = WEIR_OK;
    for (list_node *at = c->n->streams.head.next, *next; !code && at != &c->n->streams.head; at = next) {
        node_stream *s = LIST_OWNER(at, node_stream, node);
        next = at->next;
        if (s->connection != c)
            continue;
        if ((code = remove_and_wait(c->n, "stream", s->id_text, err)))
            break;
        stream_drop(s);
        next = c->n->streams.head.next; /* the loop turned: others may have come and gone */
    }
    return code;
}

weir_code connection_remove(node_connection *c, weir_error *err)
{
    char id[sizeof c->id_text];
    node *n = c->n;
    memcpy(id, c->id_text, sizeof id);
    weir_code code = remove_streams(c, err);
    if (!code)
        code = remove_and_wait(n, "connection", c->id_text, err);
    if (code)
        return code;
    while (connection_streams(c)) /* made while the store was waited for */
        if ((code = remove_streams(c, err)))
            return code;
    connection_unload(c);
    connection_free(c);
    changed(n, "connections", id);
    return WEIR_OK;
}

/* ---- What another node changed ---- */

/* The members of a row, as on_row reads them. False: memory is out, or it is no such row. */
static bool take_members(node_connection *c, json doc, bytes secret)
{
    char *name = json_text(doc, "name"), *config = bytes_dup(json_member(doc, "config").raw), *secrets = bytes_dup(secret);
    if (!name || !config || !secrets) {
        free(name);
        free(config);
        wipe(secrets);
        return false;
    }
    free(c->name);
    free(c->config);
    wipe(c->secrets);
    c->name = name;
    c->config = config;
    c->secrets = secrets;
    c->sealed = false;
    json_bool(json_member(doc, "enabled"), &c->enabled);
    json_text_u64(json_member(doc, "created_at"), &c->created_at);
    json_text_u64(json_member(doc, "updated_at"), &c->updated_at);
    return true;
}

weir_code connection_take(node *n, const char *id, bytes row, bytes secret, weir_error *err)
{
    json doc;
    buf copy;
    node_connection *c = connection_find(n, id);
    if (!row.len)
        return c ? connection_remove(c, err) : WEIR_OK;
    if (json_read(&doc, row, err))
        return error_wrap(err, "connection %s", id);
    char *plugin = json_text(doc, "plugin");
    node_plugin *p = plugin ? plugin_find(n, plugin) : NULL;
    if (!c && p)
        c = connection_new(n, strtoull(id, NULL, 10), p);
    else if (!c)
        error_set(err, WEIR_NOT_FOUND, "connection %s: its plugin '%s' is not here", id, plugin ? plugin : "");
    free(plugin);
    if (!c)
        return err->code ? err->code : error_set(err, WEIR_NOMEM, "out of memory");
    if (!take_members(c, doc, secret))
        return error_set(err, WEIR_INVALID, "connection %s: its row is none, or memory is out", id);
    buf_init(&copy, 2 * CONFIG_MAX);
    buf_add_bytes(&copy, row);
    weir_code code = put_and_wait(n, "connection", id, &copy, secret, err);
    buf_fini(&copy);
    if ((c = connection_find(n, id)))
        load(n, c);
    return code;
}

static void remove_connection(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_connection *c = asked(a);
    if (!c)
        return;
    if (connection_remove(c, &err))
        ask_fail_with(a, &err);
    else
        ask_done(a, false, NULL);
}

const node_op connection_ops[] = {
    {"connections.list", list_connections, 0},
    {"connections.read", read_connection, 0},
    {"connections.create", create, OP_JOB},
    {"connections.update", update, OP_JOB},
    {"connections.remove", remove_connection, OP_JOB},
    {NULL, NULL, 0},
};
