/* Records as server-sent events, for what reads them with a browser's EventSource or with curl: one feed for each request. An
 * event's id is NAME@seq (record_stream_name); a browser that comes again says the last one, and goes on behind it. */
#include "api/feed.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define QUIET_NS (15 * NS_PER_S) /* then a comment, so that what lies between does not take it for dead */

typedef struct events {
    list_node node;
    reader reader;
    api *api;
    server_request *r;
    caller who;
    feed *feed;
    timer quiet;
    bool said; /* something, since the timer */
} events;

static bool has_room(void *arg)
{
    const events *e = arg;
    return server_reply_queued(e->r) < e->api->options.reader_octets;
}

static void on_ready(void *arg)
{
    events *e = arg;
    reader_ready(e->api, &e->reader);
}

static void on_line(void *arg, bytes line, bytes name, uint64_t seq)
{
    events *e = arg;
    char number[32];
    int len = snprintf(number, sizeof number, "@%llu\ndata: ", (unsigned long long)seq);
    bytes numbered[] = {BYTES("id: "), name, {number, (size_t)len}, line, BYTES("\n\n")};
    bytes plain[] = {BYTES("data: "), line, BYTES("\n\n")};
    server_reply_more(e->r, seq ? numbered : plain, seq ? 5 : 3);
    e->said = true;
    e->api->figures.lines++;
    e->api->figures.octets += line.len;
}

static void on_seam(void *arg, uint64_t history, bool complete)
{
    events *e = arg;
    char text[100];
    int len = snprintf(text, sizeof text, "event: seam\ndata: {\"history\":%llu,\"complete\":%s}\n\n", (unsigned long long)history, complete ? "true" : "false");
    bytes piece = {text, (size_t)len};
    server_reply_more(e->r, &piece, 1);
}

static void events_free(events *e)
{
    feed_free(e->feed);
    reader_gone(&e->reader);
    timer_stop(&e->quiet);
    list_remove(&e->node);
    free(e);
}

static void end(events *e, const char *why)
{
    bytes pieces[] = {BYTES("event: end\ndata: "), bytes_of(why), BYTES("\n\n")};
    server_request *r = e->r;
    server_reply_more(r, pieces, 3);
    server_on_gone(r, NULL, NULL);
    server_reply_on_drain(r, NULL, NULL);
    events_free(e);
    server_reply_end(r);
}

static void on_ended(void *arg, const char *why)
{
    events *e = arg;
    e->api->figures.cut++;
    end(e, why);
}

static void run(reader *r)
{
    feed_pull(LIST_OWNER(r, events, reader)->feed);
}

static void on_drain(void *arg)
{
    on_ready(arg);
}

static void on_gone(void *arg)
{
    events_free(arg);
}

static void on_quiet(void *arg)
{
    events *e = arg;
    bytes comment = BYTES(":\n\n");
    if (!e->said && has_room(e))
        server_reply_more(e->r, &comment, 1);
    e->said = false;
    timer_after(&e->quiet, QUIET_NS);
}

/* What is asked for: the query, or where a browser left off. False: it was answered. */
static bool read_options(asked *q, feed_options *o, uint64_t *connection, buf *pattern, buf *name)
{
    bytes last = server_header(q->r, "last-event-id");
    const char *text = asked_query(q, "pattern"), *policy;
    buf_add_text(pattern, *text ? text : ">");
    buf_add_char(pattern, '\0');
    if (!asked_number(q, "since", &o->since_ns) || !asked_number(q, "connection", connection))
        return false;
    o->connection = *asked_query(q, "connection") ? connection : NULL;
    text = asked_query(q, "from");
    if (*text && strcmp(text, "now") && strcmp(text, "time")) {
        answer_error(q, 400, "INVALID", "from: '%s' is neither 'now' nor 'time'", text);
        return false;
    }
    o->from = !strcmp(text, "time") || o->since_ns ? FEED_TIME : FEED_NOW;
    policy = asked_query(q, "policy");
    sub_policy known[] = {SUB_DROP_OLDEST, SUB_NEWEST_PER_KEY, SUB_DISCONNECT};
    bool found = !*policy;
    for (int i = 0; i < 3 && !found; i++)
        if ((found = !strcmp(policy, sub_policy_name(known[i]))))
            o->policy = known[i];
    if (!found) {
        answer_error(q, 400, "INVALID", "policy: '%s' is none; drop_oldest, newest_per_key and disconnect are", policy);
        return false;
    }
    const char *at = last.len ? memrchr(last.at, '@', last.len) : NULL;
    json number = {JSON_NUMBER, {at ? at + 1 : NULL, at ? (size_t)(last.at + last.len - at - 1) : 0}};
    if (at && json_u64(number, &o->seq)) {
        buf_add(name, last.at, (size_t)(at - last.at));
        o->from = FEED_EVENT;
        o->name = buf_bytes(name);
    }
    o->pattern = pattern->at;
    if (pattern->failed || name->failed) {
        answer_code(q, WEIR_NOMEM, NULL);
        return false;
    }
    return true;
}

static void begin(asked *q, events *e)
{
    static const http_header headers[] = {
        {BYTES("Content-Type"), BYTES("text/event-stream")},
        {BYTES("Cache-Control"), BYTES("no-store")},
        {BYTES("X-Content-Type-Options"), BYTES("nosniff")},
        {BYTES("X-Accel-Buffering"), BYTES("no")},
    };
    bytes hello = BYTES("retry: 2000\n\n");
    bool head = bytes_is(server_method(q->r), "HEAD");
    audit_add(q->api, &q->who, q->route->op, "", 200);
    e->r = asked_take(q);
    server_reply_begin(e->r, 200, headers, 4);
    if (head) {
        server_request *r = e->r;
        events_free(e);
        server_reply_end(r);
        return;
    }
    server_on_gone(e->r, on_gone, e);
    server_reply_on_drain(e->r, on_drain, e);
    server_reply_more(e->r, &hello, 1);
    e->api->figures.events++;
    list_push(&e->api->events, &e->node);
    timer_after(&e->quiet, QUIET_NS);
}

void sse_answer(asked *q)
{
    static const feed_events told = {has_room, on_ready, on_line, on_seam, on_ended};
    feed_options o = {.policy = SUB_DROP_OLDEST};
    weir_error err = WEIR_ERROR_INIT;
    buf pattern, name;
    uint64_t connection = 0;
    buf_init(&pattern, QUERY_ROOM);
    buf_init(&name, QUERY_ROOM);
    if (q->api->draining) {
        answer_code(q, WEIR_CLOSED, "the node is being shut down");
    } else if (read_options(q, &o, &connection, &pattern, &name)) {
        events *e = calloc(1, sizeof *e);
        if (e) {
            e->api = q->api;
            e->who = q->who;
            e->reader.run = run;
            timer_init(&e->quiet, q->api->loop, on_quiet, e);
        }
        if (!e || feed_new(&e->feed, q->api, &o, &told, e, &err)) {
            answer_code(q, e ? err.code : WEIR_NOMEM, err.text);
            free(e);
        } else {
            begin(q, e);
        }
    }
    buf_fini(&pattern);
    buf_fini(&name);
}

void events_check(api *a, bool all)
{
    for (list_node *n = a->events.head.next, *next; n != &a->events.head; n = next) {
        events *e = LIST_OWNER(n, events, node);
        next = n->next;
        if (all)
            end(e, "the node is being shut down");
        else if (!auth_still(a, &e->who))
            end(e, "its token was taken back or has expired");
    }
}

void events_each(api *a, reader_told fn, void *arg)
{
    for (list_node *n = a->events.head.next; n != &a->events.head; n = n->next) {
        events *e = LIST_OWNER(n, events, node);
        sub_account account = feed_account(e->feed);
        fn(arg, feed_pattern(e->feed), feed_connection(e->feed), &account, server_reply_queued(e->r));
    }
}
