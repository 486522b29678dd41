#include "api/feed.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE_LINES 500
#define RECORDS_DEFAULT 8192u
#define RECORDS_MAX 65536u
#define OCTETS_MAX (16u << 20)
#define OLD_NS (60 * NS_PER_S)

/* What is known of one stream: a topic of one connection. */
typedef struct mark {
    struct mark *next;
    uint64_t seq, ts;  /* of the last one sent; the number is the reader's own at first */
    uint64_t first_ns; /* the oldest that the history has of it */
    bool named;        /* the reader said its number */
    bool begun;        /* something of it was sent */
    bool numbered;     /* a number of it was sent */
    bool reached;      /* the history has something older than the first that was sent: nothing between is gone from it */
    bool has_connection;
    uint64_t connection;
    bytes name; /* record_stream_name */
    char topic[];
} mark;

typedef enum phase { BEGINNING, /* the next turn reads the history */
                     BEFORE,    /* all that the history has */
                     BEHIND,    /* the live subscription is there; what came since */
                     LIVE,
                     ENDED } phase;

struct feed {
    api *api;
    feed_events events;
    void *arg;
    char *pattern;
    feed_from from;
    uint64_t since_ns, connection;
    bool of_one; /* only streams of `connection` */
    sub_options sub_options;
    sub *live;
    phase phase;
    bool reading, dead, complete, told;
    bool missed; /* FEED_EVENT: its record is no longer there */
    char *why;   /* of the end */
    deferred step;
    buf page, key;
    size_t page_at;
    uint64_t cursor, last_cursor; /* of the page that is read; of the one that was the last */
    uint64_t sent, check;         /* lines of the history; live records that may be among them */
    map *marks;                   /* topic, newline, connection */
    mark *first, *at;             /* all of them; FEED_SEQ: which is read */
    map *named;                   /* FEED_SEQ: name or topic -> the reader's number + 1, for OLD_NS; then NULL */
    uint64_t begun_ns;            /* real */
    bytes event_name;             /* FEED_EVENT: until it has been found */
    uint64_t event_seq;
    bool skipping;
};

/* ---- Lines ---- */

static void put_topic(buf *out, json type, json source, json identifier, json parameters)
{
    char text[3 * TOPIC_MAX];
    buf token = {.at = text, .cap = sizeof text, .max = sizeof text};
    json parts[] = {type, source, identifier}, key, value;
    for (int i = 0; i < 3; i++) {
        buf_clear(&token);
        json_string_add(parts[i], &token);
        topic_add_token(out, buf_bytes(&token));
    }
    for (json_iter it = json_each(parameters); json_next(&it, &key, &value);) {
        if (value.type == JSON_NULL)
            continue;
        buf_clear(&token);
        if (!json_string_add(value, &token))
            buf_add_bytes(&token, value.raw);
        topic_add_token(out, buf_bytes(&token));
    }
}

bool feed_read_line(bytes line, buf *topic, feed_line *out)
{
    json seq, kind, type, source, identifier, parameters, connection, ts_out, data;
    json_field want[] = {{"seq", &seq}, {"kind", &kind}, {"type", &type}, {"source", &source}, {"identifier", &identifier}, {"parameters", &parameters}, {"connection", &connection}, {"ts_out", &ts_out}, {"data", &data}};
    *out = (feed_line){0};
    if (json_read_fields(line, want, sizeof want / sizeof *want, NULL) || !json_string_slice(kind, &out->kind))
        return false;
    json_text_u64(seq, &out->seq);
    json_text_u64(ts_out, &out->ts_out);
    out->connection = connection.raw;
    out->data = data.raw;
    put_topic(topic, type, source, identifier, parameters);
    return !topic->failed;
}

/* ---- Marks ---- */

static mark *mark_of(feed *f, bytes topic, bytes connection)
{
    buf_clear(&f->key);
    buf_add_bytes(&f->key, topic);
    buf_add_char(&f->key, '\n');
    buf_add_bytes(&f->key, connection);
    return map_get(f->marks, buf_bytes(&f->key));
}

static mark *mark_add(feed *f, bytes topic, bytes connection)
{
    mark *m = mark_of(f, topic, connection);
    if (m)
        return m;
    m = calloc(1, sizeof *m + topic.len + 1 + RECORD_NAME_ROOM);
    if (!m)
        return NULL;
    memcpy(m->topic, topic.at, topic.len);
    m->has_connection = json_u64((json){JSON_NUMBER, connection}, &m->connection);
    m->name = record_name(m->topic + topic.len + 1, topic, m->has_connection, m->connection);
    if (!map_set(f->marks, buf_bytes(&f->key), m, NULL)) {
        free(m);
        return NULL;
    }
    m->next = f->first;
    f->first = m;
    return m;
}

static bytes connection_text(char room[24], bool has, uint64_t connection)
{
    return bytes_make(room, (size_t)snprintf(room, 24, has ? "%llu" : "null", (unsigned long long)connection));
}

/* The streams that the history has and the pattern selects. */
typedef struct gathering {
    feed *f;
    map *named; /* name or topic -> number + 1; NULL: no numbers were said */
    map *taken; /* topic -> the stream that took its number */
    size_t found;
    bool failed;
    const mark *doubtful, *rival; /* both have the topic for which a number was said */
} gathering;

/* The number that the reader said: of the stream by its name, or of its topic, which then must be no other's. */
static void take_number(gathering *g, mark *m)
{
    uintptr_t number = (uintptr_t)map_get(g->named, m->name);
    if (!number && (number = (uintptr_t)map_get(g->named, bytes_of(m->topic)))) {
        const mark *rival = map_get(g->taken, bytes_of(m->topic));
        g->failed |= !rival && !map_set(g->taken, bytes_of(m->topic), m, NULL);
        if (rival) {
            g->doubtful = m;
            g->rival = rival;
            return;
        }
    }
    if (number) {
        m->named = true;
        m->seq = number - 1;
        g->found++;
    }
}

static void on_topic(void *arg, const store_topic *t)
{
    gathering *g = arg;
    char room[24];
    if (!topic_match(bytes_of(g->f->pattern), bytes_of(t->topic)) || (g->f->of_one && (!t->has_connection || t->connection != g->f->connection)))
        return;
    mark *m = mark_of(g->f, bytes_of(t->topic), connection_text(room, t->has_connection, t->connection));
    if (m)
        return;
    m = mark_add(g->f, bytes_of(t->topic), connection_text(room, t->has_connection, t->connection));
    if (!m) {
        g->failed = true;
        return;
    }
    m->first_ns = t->first_ns;
    if (g->named)
        take_number(g, m);
}

static weir_code read_seqs(map *named, json seqs, weir_error *err)
{
    json key, value;
    uint64_t number;
    buf topic;
    buf_init(&topic, 2 * TOPIC_MAX);
    for (json_iter it = json_each(seqs); json_next(&it, &key, &value);) {
        buf_clear(&topic);
        json_string_add(key, &topic);
        if ((!json_text_u64(value, &number) && !json_u64(value, &number)) || number == UINT64_MAX) {
            buf_fini(&topic);
            return error_set(err, WEIR_INVALID, "seqs: '" BYTES_FMT "' of " BYTES_FMT " is no number", BYTES_ARG(value.raw), BYTES_ARG(key.raw));
        }
        if (topic.failed || !map_set(named, buf_bytes(&topic), (void *)(uintptr_t)(number + 1), NULL)) {
            buf_fini(&topic);
            return error_set(err, WEIR_NOMEM, "out of memory");
        }
    }
    buf_fini(&topic);
    return WEIR_OK;
}

static weir_code gather(feed *f, json seqs, weir_error *err)
{
    gathering g = {.f = f};
    weir_code code = WEIR_OK;
    if (seqs.type == JSON_OBJECT) {
        g.named = map_new();
        g.taken = map_new();
        code = g.named && g.taken ? read_seqs(g.named, seqs, err) : error_set(err, WEIR_NOMEM, "out of memory");
    }
    if (!code) {
        store_history_topics(node_store(f->api->node), on_topic, &g);
        f->complete = !g.named || g.found >= map_count(g.named);
        if (g.failed)
            code = error_set(err, WEIR_NOMEM, "out of memory");
        else if (g.doubtful)
            code = error_set(err, WEIR_INVALID, "seqs: '%.400s' is a stream of connection %llu and one of connection %llu, each with its own numbers; say '%.400s', or select one by \"connection\"",
                             g.doubtful->topic, (unsigned long long)g.rival->connection, (unsigned long long)g.doubtful->connection, g.doubtful->name.at);
    }
    map_free(g.taken);
    f->named = g.named;
    f->begun_ns = clock_real();
    return code;
}

/* ---- The history ---- */

static void step_later(feed *f)
{
    defer(f->api->loop, &f->step);
}

static void end_with(feed *f, const char *why)
{
    if (f->phase == ENDED)
        return;
    f->phase = ENDED;
    f->why = strdup(why);
    f->events.ready(f->arg);
}

static void on_page(void *arg, const store_history_page *page)
{
    feed *f = arg;
    f->reading = false;
    if (f->dead) {
        f->phase = ENDED;
        feed_free(f);
        return;
    }
    if (f->phase == ENDED)
        return;
    buf_clear(&f->page);
    f->page_at = 0;
    if (!page->code)
        buf_add_bytes(&f->page, page->lines);
    if (page->code || f->page.failed) {
        end_with(f, page->code ? page->error : "out of memory");
        return;
    }
    f->last_cursor = f->cursor;
    f->cursor = page->cursor;
    f->events.ready(f->arg);
}

static void read_page(feed *f)
{
    store_history_query q = {.limit = PAGE_LINES, .cursor = f->cursor, .connection = feed_connection(f)};
    if (f->from == FEED_SEQ) {
        q.topic = f->at->topic;
        q.connection = f->at->has_connection ? &f->at->connection : NULL;
        q.behind_seq = f->at->named || f->at->begun;
        q.after_seq = f->at->seq;
        q.from_ns = q.behind_seq ? 0 : f->since_ns;
    } else {
        q.pattern = f->pattern;
        q.from_ns = f->since_ns;
    }
    f->reading = true;
    store_history_read(node_store(f->api->node), &q, on_page, f);
}

/* Is something gone from the history between what the reader has and this line? Numbers alone do not say: behind a crash they go on with
 * room between (store.h, resume_seq), and a gap record of cause restart tells what is missing there. */
static void look_for_hole(feed *f, mark *m, const feed_line *l)
{
    if (!m->begun)
        m->reached = m->first_ns && m->first_ns < l->ts_out;
    if (l->seq && !m->numbered && !m->reached && (m->named ? l->seq != m->seq + 1 : f->from == FEED_TIME && l->seq != 1 && m->first_ns > f->since_ns))
        f->complete = false;
    m->numbered |= l->seq != 0;
}

/* Sends a line of the history, unless the reader has it. */
static void take_line(feed *f, bytes line)
{
    char text[TOPIC_MAX + 1];
    buf topic = {.at = text, .cap = sizeof text, .max = sizeof text};
    feed_line l;
    if (!feed_read_line(line, &topic, &l))
        return;
    mark *m = mark_add(f, buf_bytes(&topic), l.connection);
    if (!m) {
        end_with(f, "out of memory");
        return;
    }
    if (f->from == FEED_SEQ && m != f->at)
        return; /* of a topic without a connection all are read that have the topic */
    if (f->skipping) {
        f->skipping = !(l.seq == f->event_seq && m == f->at);
    } else if (f->phase == BEFORE || (l.seq ? l.seq > m->seq : l.ts_out > m->ts)) {
        look_for_hole(f, m, &l);
        m->begun = true;
        f->sent++;
        f->events.line(f->arg, line, m->name, l.seq);
    }
    if (l.seq && (l.seq > m->seq || f->phase == BEFORE)) /* what is read a second time takes nothing back */
        m->seq = l.seq;
    if (l.ts_out > m->ts || f->phase == BEFORE)
        m->ts = l.ts_out;
}

/* ---- From one phase to the next ---- */

static void on_ready(sub *s, void *arg)
{
    feed *f = arg;
    (void)s;
    if (f->phase == LIVE)
        f->events.ready(f->arg);
}

static void go_live(feed *f)
{
    f->check = sub_read_account(f->live).queued;
    f->phase = LIVE;
    f->told = true;
    f->events.seam(f->arg, f->sent, f->complete && !f->missed);
    buf_fini(&f->page);
    f->events.ready(f->arg);
}

/* The history is read to its end: live from here, then what came meanwhile. */
static void subscribe(feed *f)
{
    weir_error err = WEIR_ERROR_INIT;
    gathering g = {.f = f, .named = f->named, .taken = f->named ? map_new() : NULL};
    if (f->named && !g.taken) {
        end_with(f, "out of memory");
        return;
    }
    if (hub_subscribe(&f->live, f->api->hub, f->pattern, &f->sub_options, &err)) {
        map_free(g.taken);
        end_with(f, err.text);
        return;
    }
    f->phase = BEHIND;
    f->skipping = false;
    f->cursor = f->from == FEED_SEQ ? 0 : f->last_cursor;
    store_history_topics(node_store(f->api->node), on_topic, &g); /* those that are new since */
    map_free(g.taken);
    f->at = f->first;
    if (f->from == FEED_SEQ && !f->at) {
        go_live(f);
        return;
    }
    step_later(f); /* the history's own reader has its turn before */
}

/* A query is at its end. */
static void next_query(feed *f)
{
    if (f->from == FEED_SEQ && f->at && f->at->next) {
        f->at = f->at->next;
        f->cursor = 0;
        read_page(f);
    } else if (f->phase == BEFORE) {
        subscribe(f);
    } else {
        go_live(f);
    }
}

/* It came so long ago that the history has it no more, or never: from now on. */
static void miss_event(feed *f)
{
    f->missed = true;
    f->from = FEED_TIME;
    f->since_ns = clock_real();
    subscribe(f);
}

/* FEED_EVENT: when its record came. */
static void on_event(void *arg, const store_history_page *page)
{
    feed *f = arg;
    char text[TOPIC_MAX + 1];
    buf topic = {.at = text, .cap = sizeof text, .max = sizeof text};
    feed_line l;
    const char *end = page->lines.len ? memchr(page->lines.at, '\n', page->lines.len) : NULL;
    f->reading = false;
    if (f->dead) {
        feed_free(f);
        return;
    }
    if (end && feed_read_line(bytes_make(page->lines.at, (size_t)(end - page->lines.at)), &topic, &l) && l.seq == f->event_seq) {
        f->since_ns = l.ts_out;
        f->skipping = true;
        f->phase = BEFORE;
        read_page(f);
        return;
    }
    miss_event(f);
}

static void find_event(feed *f)
{
    store_history_query q = {.topic = f->at->topic, .connection = f->at->has_connection ? &f->at->connection : NULL, .behind_seq = true, .after_seq = f->event_seq - 1, .limit = 1, .kinds = 1u << RECORD_DATA | 1u << RECORD_GAP};
    f->reading = true;
    store_history_read(node_store(f->api->node), &q, on_event, f);
}

static void on_step(void *arg)
{
    feed *f = arg;
    if (f->phase != BEGINNING) {
        read_page(f);
        return;
    }
    f->at = f->first;
    if (f->from == FEED_EVENT) {
        while (f->at && !bytes_equal(f->event_name, f->at->name))
            f->at = f->at->next;
        for (mark *m = f->first; m && !f->at; m = m->next) /* an id of before streams had names */
            f->at = bytes_is(f->event_name, m->topic) ? m : NULL;
        if (f->at && f->event_seq) {
            find_event(f);
            return;
        }
        miss_event(f);
        return;
    }
    f->phase = BEFORE;
    if (f->from == FEED_SEQ && !f->at)
        subscribe(f);
    else
        read_page(f);
}

/* ---- Pulling ---- */

static bool is_known(feed *f, const record *r)
{
    char room[24];
    uint64_t connection = 0;
    bool has = record_stream_connection(r->stream, &connection);
    mark *m = mark_of(f, record_stream_topic(r->stream), connection_text(room, has, connection));
    f->check--;
    if (!m || (r->kind == RECORD_GAP && r->cause == RECORD_GAP_SLOW_READER) || (r->kind == RECORD_STATUS && r->state == RECORD_LAGGING))
        return false;
    return r->seq ? r->seq <= m->seq : r->ts_out <= m->ts;
}

/* A reader who comes from another node of a cluster may be ahead of this one, which brings then what that reader has. */
static bool is_old(feed *f, const record *r)
{
    if (r->ts_out > f->begun_ns + OLD_NS) {
        map_free(f->named);
        f->named = NULL;
        return false;
    }
    if (!r->foreign || !r->seq || r->ts_out > f->begun_ns)
        return false;
    uintptr_t number = (uintptr_t)map_get(f->named, record_stream_name(r->stream));
    return r->seq < (number ? number : (uintptr_t)map_get(f->named, record_stream_topic(r->stream)));
}

static void pull_live(feed *f)
{
    record *r;
    while (f->events.room(f->arg) && (r = sub_peek(f->live))) {
        if ((!f->check || !is_known(f, r)) && (!f->named || !is_old(f, r)))
            f->events.line(f->arg, r->line, record_stream_name(r->stream), r->seq);
        sub_pop(f->live);
    }
    if (sub_cut(f->live) && !sub_peek(f->live))
        end_with(f, "it did not read fast enough (policy disconnect)");
}

static void pull_history(feed *f)
{
    while (f->page_at < f->page.len && f->phase != ENDED && f->events.room(f->arg)) {
        bytes rest = {f->page.at + f->page_at, f->page.len - f->page_at};
        const char *end = memchr(rest.at, '\n', rest.len);
        bytes line = {rest.at, end ? (size_t)(end - rest.at) : rest.len};
        f->page_at += line.len + 1;
        take_line(f, line);
    }
    if (f->page_at < f->page.len || f->phase == ENDED)
        return;
    if (f->cursor)
        read_page(f);
    else
        next_query(f);
}

void feed_pull(feed *f)
{
    if (f->phase == LIVE)
        pull_live(f);
    else if ((f->phase == BEFORE || f->phase == BEHIND) && !f->reading && !list_linked(&f->step.node))
        pull_history(f);
    if (f->phase == ENDED && !f->dead) {
        const char *why = f->why ? f->why : "out of memory";
        f->events.ended(f->arg, why);
    }
}

/* ---- Birth and end ---- */

static weir_code begin_history(feed *f, const feed_options *o, weir_error *err)
{
    if (!node_store(f->api->node))
        return error_set(err, WEIR_UNSUPPORTED, "there is no history; read from now");
    f->marks = map_new();
    if (!f->marks)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (o->from == FEED_SEQ && !f->since_ns)
        f->since_ns = clock_real();
    if (o->from == FEED_EVENT) {
        char *copy = bytes_dup(o->name);
        if (!copy)
            return error_set(err, WEIR_NOMEM, "out of memory");
        f->event_name = bytes_of(copy);
        f->event_seq = o->seq;
    }
    if (gather(f, o->from == FEED_SEQ ? o->seqs : (json){JSON_NONE, {NULL, 0}}, err))
        return err->code;
    step_later(f);
    return WEIR_OK;
}

weir_code feed_new(feed **out, api *a, const feed_options *o, const feed_events *events, void *arg, weir_error *err)
{
    feed *f = calloc(1, sizeof *f);
    if (!f || !(f->pattern = strdup(o->pattern))) {
        free(f);
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    f->api = a;
    f->events = *events;
    f->arg = arg;
    f->from = o->from;
    f->since_ns = o->since_ns;
    f->complete = true;
    f->of_one = o->connection != NULL;
    f->connection = o->connection ? *o->connection : 0;
    f->step = (deferred){.fn = on_step, .arg = f};
    buf_init(&f->page, 64u << 20);
    buf_init(&f->key, 2 * TOPIC_MAX);
    uint64_t records = o->max_records ? o->max_records : RECORDS_DEFAULT;
    f->sub_options = (sub_options){.policy = o->policy, .max_records = records > RECORDS_MAX ? RECORDS_MAX : records, .max_octets = OCTETS_MAX, .connection = feed_connection(f), .on_ready = on_ready, .arg = f};
    weir_code code = topic_pattern_check(bytes_of(f->pattern), err);
    if (!code && o->from == FEED_NOW) {
        f->phase = LIVE;
        code = hub_subscribe(&f->live, a->hub, f->pattern, &f->sub_options, err);
    } else if (!code) {
        code = begin_history(f, o, err);
    }
    if (code)
        feed_free(f);
    else
        *out = f;
    return code;
}

void feed_free(feed *f)
{
    if (!f)
        return;
    defer_cancel(&f->step);
    if (f->live)
        hub_unsubscribe(f->api->hub, f->live);
    f->live = NULL;
    f->dead = true;
    if (f->reading)
        return; /* its page comes, and finds it dead */
    for (mark *m = f->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    map_free(f->marks);
    map_free(f->named);
    buf_fini(&f->page);
    buf_fini(&f->key);
    free((char *)f->event_name.at);
    free(f->pattern);
    free(f->why);
    free(f);
}

sub_account feed_account(const feed *f)
{
    return f->live ? sub_read_account(f->live) : (sub_account){0};
}

const uint64_t *feed_connection(const feed *f)
{
    return f->of_one ? &f->connection : NULL;
}

const char *feed_pattern(const feed *f)
{
    return f->pattern;
}
