/* Streams: wanted on or off, and alive when their connection is.
 *
 * stream_go is the one way to open one. It looks for what is needed, in this order: it is wanted; its connection is
 * ready; it is known since when records are missing (of one that comes back: a question to the history); its mark is
 * durable. Where something is missing it sees to that, or waits until it comes, and is called again. What a stream missed goes
 * to it when it is opened, and it tells the gap ahead of its first record (weir_stream_missed).
 * A topic of one connection is one stream: a second one would give out the same numbers. Two connections may have the same topic
 * (two accounts of one venue); what tells them apart wherever a stream is looked up is its name (record_stream_name). */
#include <stdio.h>
#include <stdlib.h>

#include "node/streams.h"

/* ---- Finding, making ---- */

node_stream *stream_find(const node *n, const char *id)
{
    return map_get(n->stream_ids, bytes_of(id));
}

void stream_drop(node_stream *s)
{
    node *n = s->n;
    ask *removing = s->removing;
    bytes name = s->records ? record_stream_name(s->records) : BYTES("");
    stream_halt(s, NULL);
    defer_cancel(&s->reap);
    if (s->marking)
        list_remove(&s->mark_wait.node);
    if (name.len && map_get(n->names, name) == s)
        map_remove(n->names, name);
    if (map_get(n->stream_ids, bytes_of(s->id_text)) == s)
        map_remove(n->stream_ids, bytes_of(s->id_text));
    list_remove(&s->node);
    record_stream_unref(s->records);
    if (s->question)
        s->question->stream = NULL;
    free(s->type);
    free(s->identifier);
    free(s->parameters);
    free(s->why);
    free(s);
    if (removing)
        ask_done(removing, false, NULL);
}

static void on_reap(void *arg);

/* Its name, its records, its mark. WEIR_BUSY: another is this very one. */
weir_code stream_take_name(node_stream *s, weir_error *err)
{
    record_key key = {
        .type = bytes_of(s->type),
        .source = bytes_of(s->connection->plugin->id),
        .identifier = bytes_of(s->identifier),
        .parameters = bytes_of(s->parameters),
        .has_connection = true,
        .connection = s->connection->id,
    };
    if (hub_stream(&s->records, s->n->hub, &key, err))
        return err->code;
    bytes name = record_stream_name(s->records);
    const node_stream *other = map_get(s->n->names, name);
    if (other)
        return error_set(err, WEIR_BUSY, "stream %s has the topic '%s' of connection %s already; change or restart that one, or ask for it on another connection",
                         other->id_text, record_stream_topic(s->records).at, s->connection->id_text);
    if (!(s->mark = mark_of_stream(s->n, s->records)) || !map_set(s->n->names, name, s, NULL) || !map_set(s->n->stream_ids, bytes_of(s->id_text), s, NULL))
        return error_set(err, WEIR_NOMEM, "out of memory");
    record_stream_resume(s->records, s->mark->durable);
    return WEIR_OK;
}

node_stream *stream_new(node_connection *c, uint64_t id, char *type, char *identifier, char *parameters)
{
    node_stream *s = calloc(1, sizeof *s);
    if (!s) {
        free(type);
        free(identifier);
        free(parameters);
        return NULL;
    }
    *s = (node_stream){.n = c->n, .id = id, .connection = c, .type = type, .identifier = identifier, .parameters = parameters, .wanted = true};
    snprintf(s->id_text, sizeof s->id_text, "%llu", (unsigned long long)id);
    s->created_at = s->since = clock_real();
    s->reap = (deferred){.fn = on_reap, .arg = s};
    list_push(&c->n->streams, &s->node);
    return s;
}

/* ---- Opening ---- */

static void waits(node_stream *s, const char *why)
{
    if (!s->why || strcmp(s->why, why) != 0) {
        s->since = clock_real();
        text_replace(&s->why, why);
        changed(s->n, "streams", s->id_text);
    }
}

static void on_state(void *arg, weir_stream *live, weir_stream_state state)
{
    node_stream *s = arg;
    (void)live;
    s->since = clock_real();
    if (state == WEIR_STREAM_CLOSED || state == WEIR_STREAM_FAILED)
        defer(s->n->loop, &s->reap);
    changed(s->n, "streams", s->id_text);
}

static void on_marked(void *arg)
{
    node_stream *s = arg;
    s->marking = false;
    s->marked = true; /* or could not be: the log has said so, and the stream goes on */
    stream_go(s);
}

static bool marked(node_stream *s)
{
    if (s->marked || mark_ahead(s->n, s->mark, record_stream_seq(s->records)))
        return true;
    if (!s->marking) {
        s->marking = true;
        s->mark_wait = (mark_wait){.fn = on_marked, .arg = s};
        list_push(&s->mark->waiting, &s->mark_wait.node);
    }
    return false;
}

static void open_it(node_stream *s)
{
    weir_error why = WEIR_ERROR_INIT;
    if (weir_stream_open(&s->live, s->connection->live, s->type, s->identifier, s->parameters, &why)) {
        s->live = NULL;
        s->failed = true;
        waits(s, why.text);
        return;
    }
    s->failed = false;
    text_replace(&s->why, NULL);
    s->since = clock_real();
    if (s->missed)
        weir_stream_missed(s->live, s->missed, s->missed_event);
    weir_stream_on_state(s->live, on_state, s);
    changed(s->n, "streams", s->id_text);
}

void stream_go(node_stream *s)
{
    const node_connection *c = s->connection;
    const node *n = s->n;
    const char *elsewhere = "";
    if (!s->wanted || s->live || !s->stored || s->n->draining || !s->n->started || s->removing)
        return;
    if (s->asking)
        waits(s, "the history is asked since when records are missing");
    else if (c->state == CONNECTION_LOADING)
        waits(s, "its connection is being loaded");
    else if (c->state != CONNECTION_READY || !c->live) {
        char why[WEIR_ERROR_TEXT];
        snprintf(why, sizeof why, "its connection is %s: %s", connection_state_name(c->state), c->why ? c->why : "");
        waits(s, why);
    } else if (n->share && !n->share->may_open(n->share->arg, record_stream_name(s->records), &elsewhere))
        waits(s, elsewhere);
    else if (!marked(s))
        waits(s, "it is being stored");
    else
        open_it(s);
}

void stream_halt(node_stream *s, const char *why)
{
    if (s->live) {
        uint64_t since = weir_stream_missing(s->live);
        if (since) {
            s->missed = since;
            s->missed_event = weir_stream_last_event(s->live);
        } else if (!s->missed && weir_stream_get_state(s->live) == WEIR_STREAM_LIVE) {
            s->missed = clock_real();
        }
        weir_stream_free(s->live);
        s->live = NULL;
    }
    s->failed = false;
    if (why && s->wanted)
        waits(s, why);
}

/* It has ended, and nobody is inside it any more. */
static void on_reap(void *arg)
{
    node_stream *s = arg;
    if (!s->live)
        return;
    weir_stream_state state = weir_stream_get_state(s->live);
    if (state != WEIR_STREAM_CLOSED && state != WEIR_STREAM_FAILED)
        return;
    if (s->removing) {
        changed(s->n, "streams", s->id_text);
        stream_drop(s);
    } else if (!s->wanted || s->restarting) {
        s->restarting = false;
        weir_stream_free(s->live);
        s->live = NULL;
        changed(s->n, "streams", s->id_text);
        stream_go(s);
    }
}

/* Ends it in good order; on_reap follows, perhaps at once. */
void stream_end(node_stream *s)
{
    if (!s->live)
        return;
    weir_stream_stop(s->live);
    if (s->live)
        defer(s->n->loop, &s->reap);
}

/* ---- At the start ---- */

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    row_load *l = arg;
    json doc;
    uint64_t connection = 0;
    weir_error why = WEIR_ERROR_INIT;
    char number[24];
    (void)secret, (void)sealed;
    if (l->code || json_read(&doc, row, l->err))
        return;
    json_u64(json_member(doc, "connection"), &connection);
    snprintf(number, sizeof number, "%llu", (unsigned long long)connection);
    node_connection *c = connection_find(l->n, number);
    if (!c) {
        log_error("node", "stream %s: its connection %s is gone; it is left out", id, number);
        return;
    }
    char *type = json_text(doc, "type"), *identifier = json_text(doc, "identifier"), *parameters = bytes_dup(json_member(doc, "parameters").raw);
    node_stream *s = stream_new(c, strtoull(id, NULL, 10), type, identifier, parameters);
    if (!s || !type || !identifier || !parameters) {
        l->code = error_set(l->err, WEIR_NOMEM, "out of memory");
        return;
    }
    s->stored = true;
    s->wanted = json_is(json_member(doc, "wanted"), "on");
    json_text_u64(json_member(doc, "created_at"), &s->created_at);
    if (stream_take_name(s, &why)) {
        if (why.code == WEIR_NOMEM)
            l->code = error_set(l->err, WEIR_NOMEM, "%s", why.text);
        log_error("node", "stream %s is left out: %s", id, why.text);
        stream_drop(s);
    }
}

static bytes first_line(bytes lines)
{
    const char *end = memchr(lines.at, '\n', lines.len);
    return bytes_make(lines.at, end ? (size_t)(end - lines.at) : lines.len);
}

static void on_last(void *arg, const store_history_page *page);

/* Newest first; a page may end early with nothing in it, and only a cursor of 0 says that there is no more. */
static void ask_page(stream_question *q, uint64_t cursor)
{
    store_history_query query = {.topic = record_stream_topic(q->stream->records).at, .connection = &q->stream->connection->id, .limit = 1, .newest_first = true, .cursor = cursor, .kinds = 1u << RECORD_DATA | 1u << RECORD_GAP};
    store_history_read(q->n->store, &query, on_last, q);
}

static void on_last(void *arg, const store_history_page *page)
{
    stream_question *q = arg;
    node_stream *s = q->stream;
    node *n = q->n;
    json doc;
    if (s && !page->code && !page->count && page->cursor && !n->freeing) {
        ask_page(q, page->cursor);
        return;
    }
    n->asking--;
    if (s) {
        s->question = NULL;
        s->asking = false;
        s->missed = n->share ? 0 : s->mark->at; /* who shares knows better: others may have run it meanwhile */
        if (page->code)
            log_warn("node", "stream %s: the history cannot say since when records are missing: %s", s->id_text, page->error ? page->error : "");
        else if (page->count && !n->share && !json_read(&doc, first_line(page->lines), NULL)) {
            json_text_u64(json_member(doc, "ts_out"), &s->missed);
            json_text_u64(json_member(doc, "ts_event"), &s->missed_event);
        }
        stream_go(s);
    }
    free(q);
}

/* Since when records are missing: since its last data or gap record, or since its mark was put. */
static void ask_history(node_stream *s)
{
    if (!s->mark->last_ns) {
        s->missed = s->mark->durable ? s->mark->at : 0;
        return;
    }
    s->question = calloc(1, sizeof *s->question);
    if (!s->question)
        return;
    *s->question = (stream_question){s->n, s};
    s->asking = true;
    s->n->asking++;
    ask_page(s->question, 0);
}

weir_code streams_load(node *n, weir_error *err)
{
    row_load l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "stream", on_row, &l, err);
    if (code || l.code)
        return code ? code : l.code;
    for (list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        node_stream *s = LIST_OWNER(at, node_stream, node);
        if (s->wanted)
            ask_history(s);
    }
    return WEIR_OK;
}

/* ---- At the end ---- */

void streams_drain(node *n)
{
    for (list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        node_stream *s = LIST_OWNER(at, node_stream, node);
        if (s->live)
            weir_stream_stop(s->live);
    }
}

bool streams_drained(const node *n)
{
    for (const list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        const node_stream *s = LIST_OWNER(at, node_stream, node);
        weir_stream_state state = s->live ? weir_stream_get_state(s->live) : WEIR_STREAM_CLOSED;
        if (state != WEIR_STREAM_CLOSED && state != WEIR_STREAM_FAILED)
            return false;
    }
    return true;
}
