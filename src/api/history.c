/* The history as a download: one page of JSON, or all that is asked for as NDJSON (the lines as all readers got them) or CSV.
 * Pages are read one by one while the peer reads; a slow one makes the reading wait, and nobody else. */
#include "api/csv.h"
#include "api/feed.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE 1000u
#define PAGE_MAX 10000u

typedef enum export_form { AS_JSON,
                           AS_NDJSON,
                           AS_CSV } export_form;

typedef struct export
{
    list_node node;
    api *api;          /* NULL: freed; only the page is waited for */
    server_request *r; /* NULL: the peer has gone */
    asked *q;          /* until the answer begins */
    bool head;
    export_form form;
    store_history_query query;
    char *pattern;
    uint64_t connection;
    uint64_t left; /* lines; 0: no limit */
    bool limited, reading, begun;
    csv csv;
    buf out;
}
export;

static void export_free(export *e)
{
    list_remove(&e->node);
    csv_fini(&e->csv);
    buf_fini(&e->out);
    free(e->pattern);
    free(e);
}

static void read_page(export *e);

static void on_gone(void *arg)
{
    export *e = arg;
    e->r = NULL;
    if (!e->reading)
        export_free(e);
}

static void finish(export *e)
{
    server_request *r = e->r;
    server_on_gone(r, NULL, NULL);
    server_reply_on_drain(r, NULL, NULL);
    export_free(e);
    server_reply_end(r);
}

static void on_drain(void *arg)
{
    export *e = arg;
    if (!e->reading)
        read_page(e);
}

/* ---- One page of JSON ---- */

static void answer_page(export *e, const store_history_page *page)
{
    asked *q = e->q;
    buf *o = &e->out;
    bytes rest = page->lines;
    buf_add_text(o, "{\"records\":[");
    for (const char *end; rest.len && (end = memchr(rest.at, '\n', rest.len));) {
        size_t len = (size_t)(end - rest.at);
        if (rest.at != page->lines.at)
            buf_add_char(o, ',');
        buf_add(o, rest.at, len);
        rest = bytes_make(end + 1, rest.len - len - 1);
    }
    buf_add_text(o, "],\"next\":");
    if (page->cursor)
        buf_add_fmt(o, "\"%llu\"}", (unsigned long long)page->cursor);
    else
        buf_add_text(o, "null}");
    if (o->failed)
        answer_code(q, WEIR_NOMEM, NULL);
    else
        answer(q, 200, buf_bytes(o));
    export_free(e);
}

/* ---- Many pages ---- */

static void begin(export *e)
{
    bool csv = e->form == AS_CSV;
    http_header headers[] = {
        {BYTES("Content-Type"), csv ? BYTES("text/csv; charset=utf-8; header=present") : BYTES(API_NDJSON)},
        {BYTES("Content-Disposition"), csv ? BYTES("attachment; filename=\"history.csv\"") : BYTES("attachment; filename=\"history.ndjson\"")},
        {BYTES("Cache-Control"), BYTES("no-store")},
        {BYTES("X-Content-Type-Options"), BYTES("nosniff")},
    };
    e->r = asked_take(e->q);
    e->q = NULL;
    e->begun = true;
    server_on_gone(e->r, on_gone, e);
    server_reply_on_drain(e->r, on_drain, e);
    server_reply_begin(e->r, 200, headers, 4);
}

/* The lines of a page that are still wanted. */
static bytes cut(export *e, const store_history_page *page)
{
    bytes lines = page->lines;
    if (!e->limited)
        return lines;
    size_t at = 0;
    while (at < lines.len && e->left) {
        const char *end = memchr(lines.at + at, '\n', lines.len - at);
        at = end ? (size_t)(end - lines.at) + 1 : lines.len;
        e->left--;
    }
    return bytes_make(lines.at, at);
}

/* An end in order would say that this was all. */
static void break_off(export *e, const char *why)
{
    log_warn("api", "history: an export breaks off: %s", why);
    server_drop(e->r);
    server_reply_on_drain(e->r, NULL, NULL);
    export_free(e);
}

static void on_page(void *arg, const store_history_page *page)
{
    export *e = arg;
    e->reading = false;
    bool peer_gone = e->begun ? !e->r : !e->q->r;
    if (!e->api || peer_gone) {
        if (e->q)
            asked_free(e->q);
        export_free(e);
        return;
    }
    if (!e->begun && page->code) {
        answer_code(e->q, page->code, page->error);
        export_free(e);
        return;
    }
    if (page->code) {
        break_off(e, page->error);
        return;
    }
    if (e->form == AS_JSON) {
        answer_page(e, page);
        return;
    }
    if (!e->begun)
        begin(e);
    bytes lines = cut(e, page);
    if (e->form == AS_CSV) {
        buf_clear(&e->out);
        csv_write(&e->csv, lines, &e->out);
        lines = buf_bytes(&e->out);
        if (e->out.failed) {
            break_off(e, "out of memory");
            return;
        }
    }
    server_reply_more(e->r, &lines, 1);
    e->query.cursor = page->cursor;
    if (!page->cursor || (e->limited && !e->left))
        finish(e);
    else if (!lines.len) /* nothing to drain */
        read_page(e);
}

static void read_page(export *e)
{
    e->reading = true;
    store_history_read(node_store(e->api->node), &e->query, on_page, e);
}

/* ---- What is asked for: each false when it has answered ---- */

static bool read_kinds(asked *q, unsigned *out)
{
    static const char *const names[] = {[RECORD_DATA] = "data", [RECORD_GAP] = "gap", [RECORD_STATUS] = "status"};
    const char *at = asked_query(q, "kinds");
    while (*at) {
        size_t len = strcspn(at, ",");
        unsigned i = 0;
        while (i < 3 && (strlen(names[i]) != len || strncmp(at, names[i], len)))
            i++;
        if (i == 3) {
            answer_error(q, 400, "INVALID", "kinds: '%.*s' is none; data, gap and status are, with commas between", (int)len, at);
            return false;
        }
        *out |= 1u << i;
        at += len + (at[len] == ',');
    }
    return true;
}

/* One of two words, the first if there is none. */
static bool read_word(asked *q, const char *name, const char *first, const char *second, bool *is_second)
{
    const char *text = asked_query(q, name);
    *is_second = !strcmp(text, second);
    if (!*text || *is_second || !strcmp(text, first))
        return true;
    answer_error(q, 400, "INVALID", "%s: '%s' is neither '%s' nor '%s'", name, text, first, second);
    return false;
}

static bool read_form(asked *q, export_form *out)
{
    static const char *const names[] = {"json", "ndjson", "csv"};
    const char *text = asked_query(q, "format");
    for (int i = 0; i < 3; i++)
        if (!strcmp(*text ? text : "json", names[i])) {
            *out = (export_form)i;
            return true;
        }
    answer_error(q, 400, "INVALID", "format: '%s' is none; json, ndjson and csv are", text);
    return false;
}

static bool read_query(asked *q, export *e)
{
    uint64_t limit = 0;
    if (!read_form(q, &e->form) || !read_word(q, "order", "asc", "desc", &e->query.newest_first) ||
        !read_word(q, "time", "out", "event", &e->query.by_event_time) || !read_kinds(q, &e->query.kinds) ||
        !asked_number(q, "from", &e->query.from_ns) || !asked_number(q, "to", &e->query.to_ns) ||
        !asked_number(q, "limit", &limit) || !asked_number(q, "cursor", &e->query.cursor))
        return false;
    if (e->form == AS_JSON) {
        e->query.limit = limit ? (uint32_t)(limit > PAGE_MAX ? PAGE_MAX : limit) : PAGE;
    } else {
        e->query.limit = PAGE;
        e->limited = limit > 0;
        e->left = limit;
    }
    return true;
}

static bool read_pattern(asked *q, export *e)
{
    weir_error err = WEIR_ERROR_INIT;
    const char *text = asked_query(q, "pattern");
    if (topic_pattern_check(bytes_of(*text ? text : ">"), &err)) {
        answer_error(q, 400, "INVALID", "%s", err.text);
        return false;
    }
    e->pattern = strdup(*text ? text : ">");
    e->query.pattern = e->pattern;
    if (!e->pattern)
        answer_code(q, WEIR_NOMEM, NULL);
    return e->pattern != NULL;
}

/* ---- Whose records ---- */

/* The streams of one topic. */
typedef struct streams_of {
    bytes topic;
    size_t count;
    buf connections;
} streams_of;

static void on_topic(void *arg, const store_topic *t)
{
    streams_of *of = arg;
    if (!t->records || !bytes_is(of->topic, t->topic))
        return;
    buf_add_text(&of->connections, of->count++ ? " and " : "");
    buf_add_fmt(&of->connections, t->has_connection ? "%llu" : "none", (unsigned long long)t->connection);
}

/* Who names one topic wants one series, and of two connections it would be two in one: then he has to say which. */
static bool read_connection(asked *q, export *e)
{
    const char *text = asked_query(q, "connection");
    streams_of of = {.topic = bytes_of(e->pattern)};
    if (*text && strcmp(text, "any")) {
        e->query.connection = &e->connection;
        return asked_number(q, "connection", &e->connection);
    }
    if (*text || strpbrk(e->pattern, "*>"))
        return true;
    buf_init(&of.connections, 1 << 20);
    store_history_topics(node_store(e->api->node), on_topic, &of);
    if (of.count > 1)
        answer_error(q, 400, "INVALID", "connection: '%.400s' was streamed by connections %.*s, which are not one series; name one of them, or 'any' for all, each record with its own",
                     e->pattern, (int)of.connections.len, of.connections.at ? of.connections.at : "");
    buf_fini(&of.connections);
    return of.count < 2;
}

void history_answer(asked *q)
{
    if (!node_store(q->api->node)) {
        answer_code(q, WEIR_UNSUPPORTED, "there is no history");
        return;
    }
    export *e = calloc(1, sizeof *e);
    if (!e) {
        answer_code(q, WEIR_NOMEM, NULL);
        return;
    }
    e->api = q->api;
    e->q = q;
    buf_init(&e->out, 128u << 20);
    csv_init(&e->csv);
    list_push(&q->api->exports, &e->node);
    if (read_query(q, e) && read_pattern(q, e) && read_connection(q, e))
        read_page(e);
    else
        export_free(e);
}

void exports_end(api *a)
{
    while (!list_empty(&a->exports)) { /* their pages are still to come */
        export *e = LIST_OWNER(list_pop(&a->exports), export, node);
        e->api = NULL;
    }
}
