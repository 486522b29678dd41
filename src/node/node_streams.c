/* Streams as the API has them: shown, asked for, switched on and off, begun anew, taken away; and what another node of the cluster
 * changed. How one comes alive and ends: stream_life.c. A change is first in the store (and with the other nodes), then done. */
#include <stdio.h>
#include <stdlib.h>

#include "node/streams.h"

#define NAME_MAX_OCTETS 500

/* ---- Shown ---- */

const char *stream_state_text(const node_stream *s, const char **why)
{
    *why = s->why ? s->why : "";
    if (s->live) {
        *why = weir_stream_why(s->live);
        return weir_stream_state_name(weir_stream_get_state(s->live));
    }
    if (!s->wanted)
        *why = "it is switched off";
    return !s->wanted ? "off" : s->failed ? "failed"
                                          : "waiting";
}

static void put_stream_figures(buf *out, const node_stream *s)
{
    const record_counts *c = record_stream_counts(s->records);
    json_put_key(out, "figures");
    buf_add_char(out, '{');
    member_u64(out, "received", c->received);
    member_u64(out, "records", c->published);
    member_u64(out, "gaps", c->gaps);
    member_u64(out, "restarts", c->restarts);
    member_u64(out, "doubles", c->doubles);
    member_u64(out, "repeated", c->repeated);
    member_u64(out, "waiting", s->live ? weir_stream_queued(s->live) : 0);
    member_time(out, "last_ts_event", s->live ? weir_stream_last_event(s->live) : s->missed_event);
    member_time(out, "last_ts_recv", s->live ? weir_stream_last_recv(s->live) : 0);
    buf_add_char(out, '}');
}

static void put_stream(buf *out, const node_stream *s)
{
    const char *why, *state = stream_state_text(s, &why);
    buf_add_char(out, '{');
    member_u64(out, "id", s->id);
    member_u64(out, "connection", s->connection->id);
    member_text(out, "plugin", s->connection->plugin->id);
    member_text(out, "type", s->type);
    member_text(out, "identifier", s->identifier);
    member_raw(out, "parameters", s->parameters);
    member_text(out, "topic", record_stream_topic(s->records).at);
    member_text(out, "wanted", s->wanted ? "on" : "off");
    member_text(out, "state", state);
    member_text(out, "why", why);
    member_time(out, "since", s->since);
    member_time(out, "created_at", s->created_at);
    put_stream_figures(out, s);
    buf_add_char(out, '}');
}

static void answer(ask *a, const node_stream *s, bool created)
{
    buf out;
    buf_init(&out, 16u << 20);
    put_stream(&out, s);
    ask_done(a, created, &out);
    buf_fini(&out);
}

/* ---- Operations ---- */

static void put_row(buf *out, const node_stream *s, bool wanted)
{
    buf_add_char(out, '{');
    member_u64(out, "connection", s->connection->id);
    member_text(out, "type", s->type);
    member_text(out, "identifier", s->identifier);
    member_raw(out, "parameters", s->parameters);
    member_text(out, "wanted", wanted ? "on" : "off");
    member_time(out, "created_at", s->created_at);
    buf_add_char(out, '}');
}

static node_stream *asked(ask *a)
{
    node_stream *s = a->id ? stream_find(a->n, a->id) : NULL;
    if (s && s->stored && !s->removing)
        return s;
    ask_fail(a, WEIR_NOT_FOUND, "there is no stream '%s'; GET /v1/streams lists them", a->id ? a->id : "");
    return NULL;
}

static bool put_listed(buf *out, const list_node *at)
{
    const node_stream *s = LIST_OWNER(at, node_stream, node);
    if (s->stored)
        put_stream(out, s);
    return s->stored;
}

static void list_streams(ask *a)
{
    ask_done_list(a, "streams", &a->n->streams, put_listed, 256u << 20);
}

static void read_stream(ask *a)
{
    const node_stream *s = asked(a);
    if (s)
        answer(a, s, false);
}

/* The stream of a question whose row is being stored. It is the question's until then; by its id, since it may be
 * gone with its connection when the store answers. */
static node_stream *of_question(ask *a)
{
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)a->number);
    return stream_find(a->n, id);
}

static void on_created(void *arg, weir_code code, const char *error)
{
    ask *a = arg;
    node_stream *s = of_question(a);
    if (!s) {
        ask_fail(a, WEIR_CANCELLED, "its connection was taken away");
    } else if (code) {
        stream_drop(s);
        ask_fail(a, code, "the store: %s", error ? error : "");
    } else {
        s->stored = true;
        stream_go(s);
        changed(a->n, "streams", s->id_text);
        answer(a, s, true);
    }
}

static weir_code wish_of(json body, char **type, char **identifier, char **parameters, weir_error *err)
{
    json p = json_member(body, "parameters");
    *type = json_text(body, "type");
    *identifier = json_text(body, "identifier");
    *parameters = p.type == JSON_OBJECT ? bytes_dup(p.raw) : strdup("{}");
    if (!*type || !**type || strlen(*type) > NAME_MAX_OCTETS)
        return error_set(err, WEIR_INVALID, "\"type\" is needed: what the stream is of, such as \"ohlcv\" or \"trades\"");
    if (!*identifier || strlen(*identifier) > NAME_MAX_OCTETS)
        return error_set(err, WEIR_INVALID, "\"identifier\" is needed: the venue's symbol, such as \"SPOT_BTC_USDT\"");
    if (p.type != JSON_NONE && p.type != JSON_NULL && p.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "\"parameters\" is no object such as {\"timeframe\":\"1m\"}");
    return *parameters ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

static void create_on(ask *a, node_connection *c, json body)
{
    weir_error err = WEIR_ERROR_INIT;
    char *type = NULL, *identifier = NULL, *parameters = NULL;
    if (wish_of(body, &type, &identifier, &parameters, &err)) {
        free(type);
        free(identifier);
        free(parameters);
        ask_fail_with(a, &err);
        return;
    }
    uint64_t id = row_next_id(a->n, "stream", &err);
    node_stream *s = id ? stream_new(c, id, type, identifier, parameters) : NULL;
    if (!id) {
        free(type);
        free(identifier);
        free(parameters);
    }
    if (!s || stream_take_name(s, &err)) {
        if (s)
            stream_drop(s);
        else if (id)
            error_set(&err, WEIR_NOMEM, "out of memory");
        ask_fail_with(a, &err);
        return;
    }
    buf row;
    buf_init(&row, 1 << 20);
    put_row(&row, s, true);
    a->number = s->id;
    if (row.failed)
        on_created(a, WEIR_NOMEM, "out of memory");
    else
        row_change(a->n, "stream", s->id_text, s->mark->name, buf_bytes(&row), BYTES(""), on_created, a);
    buf_fini(&row);
}

/* By a plugin's name: its first connection, which may have to be made: a job. */
static void create_by_plugin(node *n, void *arg)
{
    ask *a = arg;
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_connection *c = NULL;
    json_read(&body, buf_bytes(&a->body), NULL);
    char *id = json_text(body, "plugin");
    node_plugin *p = id ? plugin_find(n, id) : NULL;
    if (!p)
        error_set(&err, WEIR_NOT_FOUND, "there is no plugin '%s'; GET /v1/plugins lists them", id ? id : "");
    else
        connection_first(&c, n, p, &err);
    free(id);
    if (c)
        create_on(a, c, body);
    else
        ask_fail_with(a, &err);
}

static void create(ask *a)
{
    static const char *const members[] = {"connection", "plugin", "type", "identifier", "parameters", NULL};
    json body;
    uint64_t id = 0;
    char number[24];
    if (!ask_body(a, &body, members))
        return;
    json connection = json_member(body, "connection");
    if (connection.type == JSON_NONE && json_member(body, "plugin").type == JSON_STRING) {
        job_put(a->n, &a->job, create_by_plugin, a);
        return;
    }
    if (!json_u64(connection, &id)) {
        ask_fail(a, WEIR_INVALID, "\"connection\" is needed: the number of a connection, or \"plugin\": the id of a plugin");
        return;
    }
    snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    node_connection *c = connection_find(a->n, number);
    if (c)
        create_on(a, c, body);
    else
        ask_fail(a, WEIR_NOT_FOUND, "there is no connection %s; GET /v1/connections lists them", number);
}

static void turn(node_stream *s, bool on)
{
    s->wanted = on;
    s->since = clock_real();
    text_replace(&s->why, NULL);
    s->missed = 0; /* off was its user's wish */
    if (s->wanted && s->live)
        s->restarting = true; /* it still ends */
    else if (s->wanted)
        stream_go(s);
    else
        stream_end(s);
    s->failed = s->failed && s->wanted;
    changed(s->n, "streams", s->id_text);
}

/* ---- What another node changed ---- */

static weir_code take_new(node *n, const char *id, json doc, bytes row, weir_error *err)
{
    char number[24], *type = json_text(doc, "type"), *identifier = json_text(doc, "identifier"), *parameters = bytes_dup(json_member(doc, "parameters").raw);
    uint64_t connection = 0;
    json_u64(json_member(doc, "connection"), &connection);
    snprintf(number, sizeof number, "%llu", (unsigned long long)connection);
    node_connection *c = connection_find(n, number);
    if (!c || !type || !identifier || !parameters) {
        free(type);
        free(identifier);
        free(parameters);
        return c ? error_set(err, WEIR_INVALID, "stream %s: its row is none, or memory is out", id) : error_set(err, WEIR_NOT_FOUND, "stream %s: its connection %s is not here", id, number);
    }
    node_stream *s = stream_new(c, strtoull(id, NULL, 10), type, identifier, parameters);
    if (!s)
        return error_set(err, WEIR_NOMEM, "out of memory");
    s->wanted = json_is(json_member(doc, "wanted"), "on");
    json_text_u64(json_member(doc, "created_at"), &s->created_at);
    if (stream_take_name(s, err)) {
        stream_drop(s);
        return err->code;
    }
    s->stored = true;
    store_put(n->store, "stream", id, row, BYTES(""), NULL, NULL);
    stream_go(s);
    changed(n, "streams", s->id_text);
    return WEIR_OK;
}

weir_code stream_take(node *n, const char *id, bytes row, weir_error *err)
{
    json doc;
    node_stream *s = stream_find(n, id);
    if (!row.len) {
        store_remove(n->store, "stream", id, NULL, NULL);
        if (s && !s->removing)
            stream_drop(s);
        changed(n, "streams", id);
        return WEIR_OK;
    }
    if (json_read(&doc, row, err))
        return error_wrap(err, "stream %s", id);
    if (!s)
        return take_new(n, id, doc, row, err);
    bool on = json_is(json_member(doc, "wanted"), "on");
    store_put(n->store, "stream", id, row, BYTES(""), NULL, NULL);
    if (on != s->wanted && s->stored && !s->removing)
        turn(s, on);
    return WEIR_OK;
}

static void on_updated(void *arg, weir_code code, const char *error)
{
    ask *a = arg;
    node_stream *s = of_question(a);
    if (!s) {
        ask_fail(a, WEIR_CANCELLED, "its connection was taken away");
        return;
    }
    if (code) {
        ask_fail(a, code, "the store: %s", error ? error : "");
        return;
    }
    turn(s, a->on);
    answer(a, s, false);
}

static void update(ask *a)
{
    static const char *const members[] = {"wanted", NULL};
    json body;
    buf row;
    node_stream *s = asked(a);
    if (!s || !ask_body(a, &body, members))
        return;
    json wanted = json_member(body, "wanted");
    if (!json_is(wanted, "on") && !json_is(wanted, "off")) {
        ask_fail(a, WEIR_INVALID, "\"wanted\" is neither \"on\" nor \"off\"");
        return;
    }
    a->on = json_is(wanted, "on");
    a->number = s->id;
    if (a->on == s->wanted) {
        answer(a, s, false);
        return;
    }
    buf_init(&row, 1 << 20);
    put_row(&row, s, a->on);
    if (row.failed)
        on_updated(a, WEIR_NOMEM, "out of memory");
    else
        row_change(a->n, "stream", s->id_text, NULL, buf_bytes(&row), BYTES(""), on_updated, a);
    buf_fini(&row);
}

static void on_removed(void *arg, weir_code code, const char *error)
{
    ask *a = arg;
    node *n = a->n;
    node_stream *s = of_question(a);
    if (code) {
        ask_fail(a, code, "the store: %s", error ? error : "");
    } else if (s && s->live && weir_stream_get_state(s->live) != WEIR_STREAM_CLOSED && weir_stream_get_state(s->live) != WEIR_STREAM_FAILED) {
        s->removing = a; /* answered when it has ended */
        s->wanted = false;
        stream_end(s);
    } else {
        if (s)
            stream_drop(s);
        changed(n, "streams", a->id);
        ask_done(a, false, NULL);
    }
}

static void remove_stream(ask *a)
{
    node_stream *s = asked(a);
    if (!s)
        return;
    a->number = s->id;
    row_change(a->n, "stream", s->id_text, NULL, BYTES(""), BYTES(""), on_removed, a);
}

static void restart(ask *a)
{
    node_stream *s = asked(a);
    if (!s)
        return;
    if (!s->wanted) {
        ask_fail(a, WEIR_INVALID, "stream %s is switched off; start it instead", s->id_text);
        return;
    }
    const char *elsewhere = "";
    if (a->n->share && !a->n->share->may_open(a->n->share->arg, record_stream_name(s->records), &elsewhere)) {
        ask_fail(a, WEIR_BUSY, "stream %s cannot be restarted here: %s", s->id_text, elsewhere);
        return;
    }
    stream_halt(s, "it is being restarted");
    stream_go(s);
    answer(a, s, false);
}

const node_op stream_ops[] = {
    {"streams.list", list_streams, 0},
    {"streams.read", read_stream, 0},
    {"streams.create", create, 0},
    {"streams.update", update, OP_CHANGES},
    {"streams.remove", remove_stream, OP_CHANGES},
    {"streams.restart", restart, OP_CHANGES},
    {NULL, NULL, 0},
};
