/* Records by WebSocket, and what else a page wants to hear at once: changes of things, the log.
 *
 * What comes from the peer are objects with "op"; what goes to it are such objects and records' lines as they are. A
 * subscription is a feed; those of one socket share its buffer. When more than reader_octets wait for the kernel nothing more
 * is put there until all has gone: each feed's queue in the hub then applies its own policy. */
#include "api/feed.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define ID_MAX 64u
#define REPLIES_MAX (1024u * 1024u) /* a peer that asks on and on and does not read what it is told */

typedef struct socket {
    list_node node;
    reader reader;
    api *api;
    server_ws *ws; /* NULL: closed, and gone soon */
    caller who;
    list subs;
    size_t sub_count;
    bool watching, logging;
    bool behind; /* changes were not told while there was no room */
    log_level level;
    uint64_t unlogged;
    node_watch watch;
    node_log_watch log;
} socket;

typedef struct subscription {
    list_node node;
    socket *socket;
    feed *feed;
    char id[ID_MAX + 1];
} subscription;

/* ---- What goes to the peer ---- */

static bool has_room(void *arg)
{
    const subscription *s = arg;
    return s->socket->ws && server_ws_queued(s->socket->ws) < s->socket->api->options.reader_octets;
}

static void begin_op(buf *out, const char *op, const char *id)
{
    buf_init(out, 1024 * 1024);
    buf_add_text(out, "{\"op\":");
    json_put_text(out, op);
    if (id)
        json_put_member(out, "id", bytes_of(id));
}

static void send_op(socket *s, buf *out)
{
    buf_add_char(out, '}');
    if (s->ws && !out->failed)
        server_ws_send_line(s->ws, buf_bytes(out));
    buf_fini(out);
}

static void send_error(socket *s, const char *id, weir_code code, const char *text)
{
    buf out;
    begin_op(&out, "error", id);
    json_put_member(&out, "code", bytes_of(weir_code_name(code)));
    json_put_member(&out, "text", bytes_of(text));
    send_op(s, &out);
}

/* ---- Feeds ---- */

static void on_feed_ready(void *arg)
{
    subscription *s = arg;
    reader_ready(s->socket->api, &s->socket->reader);
}

static void on_feed_line(void *arg, bytes line, bytes name, uint64_t seq)
{
    subscription *s = arg;
    (void)name, (void)seq;
    server_ws_send_line(s->socket->ws, line);
    s->socket->api->figures.lines++;
    s->socket->api->figures.octets += line.len;
}

static void on_feed_seam(void *arg, uint64_t history, bool complete)
{
    subscription *s = arg;
    buf out;
    begin_op(&out, "seam", s->id);
    buf_add_fmt(&out, ",\"history\":%llu,\"complete\":%s", (unsigned long long)history, complete ? "true" : "false");
    send_op(s->socket, &out);
}

static void subscription_free(subscription *s)
{
    list_remove(&s->node);
    s->socket->sub_count--;
    feed_free(s->feed);
    free(s);
}

static void unsubscribed(subscription *s, const char *why)
{
    buf out;
    begin_op(&out, "unsubscribed", s->id);
    json_put_member(&out, "why", bytes_of(why));
    send_op(s->socket, &out);
    subscription_free(s);
}

static void on_feed_ended(void *arg, const char *why)
{
    subscription *s = arg;
    s->socket->api->figures.cut++;
    unsubscribed(s, why);
}

static const feed_events feed_told = {has_room, on_feed_ready, on_feed_line, on_feed_seam, on_feed_ended};

/* ---- Changes, the log ---- */

static void on_change(void *arg, const char *what, const char *id)
{
    socket *s = arg;
    buf out;
    if (server_ws_queued(s->ws) >= s->api->options.reader_octets) {
        s->behind = true;
        return;
    }
    begin_op(&out, "changed", NULL);
    json_put_member(&out, "what", bytes_of(what));
    json_put_member(&out, "id", bytes_of(id ? id : ""));
    send_op(s, &out);
}

/* There is room again: whoever could not be told reads all anew. */
static void catch_up(socket *s)
{
    static const char *const all[] = {"plugins", "connections", "streams", "sinks"};
    if (!s->behind)
        return;
    s->behind = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        on_change(s, all[i], "");
}

static void send_log(socket *s, uint64_t time_ns, const char *level, const char *part, const char *text)
{
    buf out;
    begin_op(&out, "log", NULL);
    buf_add_fmt(&out, ",\"time\":\"%llu\"", (unsigned long long)time_ns);
    json_put_member(&out, "level", bytes_of(level));
    json_put_member(&out, "part", bytes_of(part));
    json_put_member(&out, "text", bytes_of(text));
    send_op(s, &out);
}

static void on_log(void *arg, const node_log_line *line)
{
    socket *s = arg;
    char text[80];
    if ((log_level)line->level < s->level)
        return;
    if (server_ws_queued(s->ws) >= s->api->options.reader_octets) {
        s->unlogged++;
        return;
    }
    if (s->unlogged) {
        snprintf(text, sizeof text, "%llu lines are left out here, since they were not read", (unsigned long long)s->unlogged);
        s->unlogged = 0;
        send_log(s, line->time_ns, "warn", "api", text);
    }
    send_log(s, line->time_ns, log_level_name((log_level)line->level), line->part, line->text);
}

/* ---- What comes from the peer ---- */

typedef struct demand {
    json op, id, pattern, connection, from, seqs, since, policy, max_records, level;
    char id_text[ID_MAX + 1];
    uint64_t of; /* the connection's number */
} demand;

static weir_code read_from(const demand *d, feed_options *o, weir_error *err)
{
    bool since = d->since.type == JSON_NONE || json_text_u64(d->since, &o->since_ns) || json_u64(d->since, &o->since_ns);
    if (!since)
        return error_set(err, WEIR_INVALID, "since: '" BYTES_FMT "' is no time in nanoseconds since 1970 as text", BYTES_ARG(d->since.raw));
    if (d->from.type == JSON_NONE || json_is(d->from, "now"))
        o->from = FEED_NOW;
    else if (json_is(d->from, "time"))
        o->from = FEED_TIME;
    else if (json_is(d->from, "seq") && d->seqs.type == JSON_OBJECT)
        o->from = FEED_SEQ;
    else if (json_is(d->from, "seq"))
        return error_set(err, WEIR_INVALID, "seqs: from \"seq\" needs an object of topics and the last number seen of each");
    else
        return error_set(err, WEIR_INVALID, "from: " BYTES_FMT " is neither \"now\", \"seq\" nor \"time\"", BYTES_ARG(d->from.raw));
    o->seqs = d->seqs;
    return WEIR_OK;
}

static weir_code read_connection(demand *d, feed_options *o, weir_error *err)
{
    if (d->connection.type == JSON_NONE || d->connection.type == JSON_NULL)
        return WEIR_OK;
    if (!json_u64(d->connection, &d->of))
        return error_set(err, WEIR_INVALID, "connection: '" BYTES_FMT "' is no number of a connection", BYTES_ARG(d->connection.raw));
    o->connection = &d->of;
    return WEIR_OK;
}

static weir_code read_policy(json text, sub_policy *out, weir_error *err)
{
    static const sub_policy allowed[] = {SUB_DROP_OLDEST, SUB_NEWEST_PER_KEY, SUB_DISCONNECT}; /* block would stop the plugins */
    if (text.type == JSON_NONE)
        return WEIR_OK;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (json_is(text, sub_policy_name(allowed[i]))) {
            *out = allowed[i];
            return WEIR_OK;
        }
    return error_set(err, WEIR_INVALID, "policy: " BYTES_FMT " is none; drop_oldest, newest_per_key and disconnect are", BYTES_ARG(text.raw));
}

static subscription *find_subscription(socket *s, const char *id)
{
    for (list_node *n = s->subs.head.next; n != &s->subs.head; n = n->next)
        if (!strcmp(LIST_OWNER(n, subscription, node)->id, id))
            return LIST_OWNER(n, subscription, node);
    return NULL;
}

static weir_code subscribe(socket *s, demand *d, weir_error *err)
{
    feed_options o = {.policy = SUB_DROP_OLDEST};
    if (find_subscription(s, d->id_text))
        return error_set(err, WEIR_BUSY, "id: there is a subscription '%s' already; unsubscribe it first", d->id_text);
    if (s->sub_count == API_SUBSCRIPTIONS_MAX)
        return error_set(err, WEIR_LIMIT, "this socket has %u subscriptions, more are not allowed", API_SUBSCRIPTIONS_MAX);
    if (d->max_records.type != JSON_NONE && (!json_u64(d->max_records, &o.max_records) || !o.max_records))
        return error_set(err, WEIR_INVALID, "max_records: " BYTES_FMT " is no number of 1 or more", BYTES_ARG(d->max_records.raw));
    if (read_from(d, &o, err) || read_connection(d, &o, err) || read_policy(d->policy, &o.policy, err))
        return err->code;
    char *pattern = d->pattern.type == JSON_STRING ? json_string_dup(d->pattern) : NULL;
    subscription *sub = calloc(1, sizeof *sub);
    if (!pattern || !sub) {
        bool text = d->pattern.type == JSON_STRING;
        free(pattern);
        free(sub);
        return text ? error_set(err, WEIR_NOMEM, "out of memory") : error_set(err, WEIR_INVALID, "pattern: it is missing; \"ohlcv.>\" is one");
    }
    o.pattern = pattern;
    sub->socket = s;
    memcpy(sub->id, d->id_text, sizeof sub->id);
    weir_code code = feed_new(&sub->feed, s->api, &o, &feed_told, sub, err);
    free(pattern);
    if (code) {
        free(sub);
        return code;
    }
    list_push(&s->subs, &sub->node);
    s->sub_count++;
    buf out;
    begin_op(&out, "subscribed", sub->id);
    send_op(s, &out);
    return WEIR_OK;
}

static weir_code unsubscribe(socket *s, const demand *d, weir_error *err)
{
    subscription *sub = find_subscription(s, d->id_text);
    if (!sub)
        return error_set(err, WEIR_NOT_FOUND, "there is no subscription '%s'", d->id_text);
    unsubscribed(sub, "as asked");
    return WEIR_OK;
}

static weir_code follow_log(socket *s, const demand *d, weir_error *err)
{
    char *name = d->level.type == JSON_NONE ? strdup("info") : json_string_dup(d->level);
    bool good = name && log_level_parse(name, &s->level);
    free(name);
    if (!good)
        return error_set(err, WEIR_INVALID, "level: " BYTES_FMT " is none; trace, debug, info, warn, error and off are", BYTES_ARG(d->level.raw));
    if (!s->logging)
        node_log_watch_add(s->api->node, &s->log);
    s->logging = true;
    return WEIR_OK;
}

static weir_code act(socket *s, demand *d, weir_error *err)
{
    if (json_is(d->op, "subscribe"))
        return subscribe(s, d, err);
    if (json_is(d->op, "unsubscribe"))
        return unsubscribe(s, d, err);
    if (json_is(d->op, "logs"))
        return follow_log(s, d, err);
    if (json_is(d->op, "watch")) {
        if (!s->watching)
            node_watch_add(s->api->node, &s->watch);
        s->watching = true;
        return WEIR_OK;
    }
    if (json_is(d->op, "ping")) {
        buf out;
        begin_op(&out, "pong", NULL);
        send_op(s, &out);
        return WEIR_OK;
    }
    return error_set(err, WEIR_INVALID, "op: " BYTES_FMT " is none; subscribe, unsubscribe, watch, logs and ping are", BYTES_ARG(d->op.raw));
}

static weir_code read_demand(bytes message, demand *d, weir_error *err)
{
    json_field want[] = {{"op", &d->op}, {"id", &d->id}, {"pattern", &d->pattern}, {"connection", &d->connection}, {"from", &d->from}, {"seqs", &d->seqs}, {"since", &d->since}, {"policy", &d->policy}, {"max_records", &d->max_records}, {"level", &d->level}};
    buf id;
    if (json_read_fields(message, want, sizeof want / sizeof *want, err))
        return err->code;
    buf_init(&id, 4096);
    bool needs = json_is(d->op, "subscribe") || json_is(d->op, "unsubscribe");
    bool good = json_string_add(d->id, &id) && id.len && id.len <= ID_MAX && !memchr(id.at, '\0', id.len);
    if (good)
        memcpy(d->id_text, id.at, id.len);
    buf_fini(&id);
    if (needs && !good)
        return error_set(err, WEIR_INVALID, "id: a text of 1 to %u octets is wanted, by which the subscription goes", ID_MAX);
    return WEIR_OK;
}

static void on_message(void *arg, bool binary, bytes message)
{
    socket *s = arg;
    demand d = {.id_text = ""};
    weir_error err = WEIR_ERROR_INIT;
    bool first;
    if (server_ws_queued(s->ws) > REPLIES_MAX) {
        server_ws_abort(s->ws); /* it asks, and does not read the answers */
        return;
    }
    if (binary) {
        send_error(s, NULL, WEIR_UNSUPPORTED, "this is spoken in text, not in binary messages");
        return;
    }
    uint64_t wait = rate_take(&s->api->rates, bytes_of(s->who.id[0] ? s->who.id : s->who.peer), clock_mono(), &first);
    if (wait)
        send_error(s, NULL, WEIR_LIMIT, "too many messages; this one was not looked at");
    else if (read_demand(message, &d, &err) || act(s, &d, &err))
        send_error(s, *d.id_text ? d.id_text : NULL, err.code, err.text);
}

/* ---- The socket's life ---- */

static void run(reader *r)
{
    socket *s = LIST_OWNER(r, socket, reader);
    if (!s->ws)
        return;
    server_ws_gather(s->ws);
    for (list_node *n = s->subs.head.next, *next; n != &s->subs.head; n = next) {
        next = n->next;
        feed_pull(LIST_OWNER(n, subscription, node)->feed);
    }
    bool full = server_ws_queued(s->ws) >= s->api->options.reader_octets;
    server_ws_flush(s->ws);
    if (full && !server_ws_queued(s->ws))
        reader_ready(s->api, &s->reader);  /* there is room again, and no drain will tell */
    list_node *first = list_pop(&s->subs); /* another one is first when there is little room */
    if (first)
        list_push(&s->subs, first);
}

static void on_drain(void *arg)
{
    socket *s = arg;
    catch_up(s);
    if (s->sub_count)
        reader_ready(s->api, &s->reader);
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    socket *s = arg;
    (void)code, (void)reason;
    s->ws = NULL;
    while (!list_empty(&s->subs))
        subscription_free(LIST_OWNER(s->subs.head.next, subscription, node));
    if (s->watching)
        node_watch_remove(&s->watch);
    if (s->logging)
        node_log_watch_remove(&s->log);
    reader_gone(&s->reader);
    list_remove(&s->node);
    free(s);
}

void socket_answer(asked *q)
{
    static const server_ws_events events = {on_message, on_drain, on_close};
    api *a = q->api;
    socket *s = a->draining ? NULL : calloc(1, sizeof *s);
    if (!server_wants_websocket(q->r)) {
        free(s);
        http_header headers[] = {{BYTES("Upgrade"), BYTES("websocket")}, {BYTES("Content-Type"), BYTES(API_JSON)}};
        answer_as(q, 426, headers, 2, BYTES("{\"error\":{\"code\":\"UNSUPPORTED\",\"text\":\"this path speaks WebSocket: send GET with 'Upgrade: websocket' and 'Connection: Upgrade'\"}}"));
        return;
    }
    if (!s) {
        answer_code(q, a->draining ? WEIR_CLOSED : WEIR_NOMEM, a->draining ? "the node is being shut down" : NULL);
        return;
    }
    s->api = a;
    s->who = q->who;
    s->reader.run = run;
    list_init(&s->subs);
    s->watch = (node_watch){.fn = on_change, .arg = s};
    s->log = (node_log_watch){.fn = on_log, .arg = s};
    audit_add(a, &q->who, q->route->op, "", 101);
    s->ws = server_upgrade(asked_take(q), bytes_make(NULL, 0), &events, s);
    if (!s->ws) {
        free(s);
        return;
    }
    a->figures.sockets++;
    list_push(&a->sockets, &s->node);
}

void sockets_check(api *a, bool all, const char *why)
{
    for (list_node *n = a->sockets.head.next; n != &a->sockets.head; n = n->next) {
        socket *s = LIST_OWNER(n, socket, node);
        if (s->ws && (all || !auth_still(a, &s->who)))
            server_ws_close(s->ws, all ? 1001 : 1008, bytes_of(why));
    }
}

void sockets_each(api *a, reader_told fn, void *arg)
{
    for (list_node *n = a->sockets.head.next; n != &a->sockets.head; n = n->next) {
        socket *s = LIST_OWNER(n, socket, node);
        for (list_node *m = s->subs.head.next; m != &s->subs.head; m = m->next) {
            subscription *sub = LIST_OWNER(m, subscription, node);
            sub_account account = feed_account(sub->feed);
            fn(arg, feed_pattern(sub->feed), feed_connection(sub->feed), &account, s->ws ? server_ws_queued(s->ws) : 0);
        }
    }
}
