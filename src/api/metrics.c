/* /metrics: the node's figures, and those that only the api has: requests, readers, and how long records were on their way
 * from the venue's message to the readers (ts_recv to ts_out), as a histogram for each plugin.
 *
 * For the histogram the api is one more reader of everything; it takes each record at once, so nothing of it ever waits. */
#include "api/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 14

static const uint64_t bounds_us[BUCKETS] = {25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 1000000, 10000000};

typedef struct histogram {
    uint64_t counts[BUCKETS + 1], sum_ns, count;
    bool shown;
    char source[128];
} histogram;

struct latency {
    api *api;
    sub *sub;
    map *by_source;
    record_stream *last; /* most records come from where the last one did; a reference */
    histogram *of_last;
};

static histogram *find(struct latency *l, record_stream *s)
{
    if (s == l->last)
        return l->of_last;
    histogram *h = map_get(l->by_source, record_stream_source(s));
    if (!h && (h = calloc(1, sizeof *h))) {
        bytes source = record_stream_source(s);
        snprintf(h->source, sizeof h->source, "%.*s", (int)source.len, source.at);
        if (!map_set(l->by_source, source, h, NULL)) {
            free(h);
            h = NULL;
        }
    }
    record_stream_unref(l->last);
    l->last = h ? record_stream_ref(s) : NULL;
    l->of_last = h;
    return h;
}

static void on_ready(sub *s, void *arg)
{
    struct latency *l = arg;
    for (record *r; (r = sub_peek(s)); sub_pop(s)) {
        if (r->kind != RECORD_DATA || !r->ts_recv || r->backfill || r->ts_out < r->ts_recv)
            continue;
        histogram *h = find(l, r->stream);
        if (!h)
            continue;
        uint64_t took = r->ts_out - r->ts_recv;
        unsigned i = 0;
        while (i < BUCKETS && took > bounds_us[i] * 1000)
            i++;
        h->counts[i]++;
        h->sum_ns += took;
        h->count++;
    }
}

weir_code latency_begin(api *a, weir_error *err)
{
    struct latency *l = a->latency = calloc(1, sizeof *l);
    if (!l || !(l->by_source = map_new()))
        return error_set(err, WEIR_NOMEM, "out of memory");
    l->api = a;
    sub_options o = {.policy = SUB_DROP_OLDEST, .max_records = 1024, .on_ready = on_ready, .arg = l};
    return hub_subscribe(&l->sub, a->hub, ">", &o, err);
}

void latency_end(api *a)
{
    struct latency *l = a->latency;
    bytes key;
    void *value;
    if (!l)
        return;
    if (l->sub)
        hub_unsubscribe(a->hub, l->sub);
    for (size_t at = 0; l->by_source && map_each(l->by_source, &at, &key, &value);)
        free(value);
    map_free(l->by_source);
    record_stream_unref(l->last);
    free(l);
    a->latency = NULL;
}

/* A label's value: what would end it or the line is escaped. */
static void put_label(buf *out, const char *text)
{
    buf safe;
    buf_init(&safe, 16 * TOPIC_MAX);
    log_escape(&safe, bytes_of(text));
    for (size_t i = 0; i < safe.len; i++) {
        if (safe.at[i] == '"' || safe.at[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, safe.at[i]);
    }
    buf_fini(&safe);
}

static void put_histogram(buf *out, const histogram *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) {
        sum += h->counts[i];
        buf_add_text(out, "weir_record_latency_seconds_bucket{plugin=\"");
        put_label(out, h->source);
        if (i < BUCKETS)
            buf_add_fmt(out, "\",le=\"%g\"} %llu\n", (double)bounds_us[i] / 1e6, (unsigned long long)sum);
        else
            buf_add_fmt(out, "\",le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    }
    buf_add_text(out, "weir_record_latency_seconds_sum{plugin=\"");
    put_label(out, h->source);
    buf_add_fmt(out, "\"} %.9f\nweir_record_latency_seconds_count{plugin=\"", (double)h->sum_ns / 1e9);
    put_label(out, h->source);
    buf_add_fmt(out, "\"} %llu\n", (unsigned long long)h->count);
}

static void put_latency(api *a, buf *out)
{
    bytes key;
    void *value;
    buf_add_text(out, "# HELP weir_record_latency_seconds From a venue's message to its record.\n# TYPE weir_record_latency_seconds histogram\n");
    for (size_t at = 0; map_each(a->latency->by_source, &at, &key, &value);)
        put_histogram(out, value);
}

typedef struct readers {
    buf *out;
    const char *kind;
    unsigned number;
    int what;
} readers;

/* Of each reader one figure; the form wants all of one name together. */
static void put_reader(void *arg, const char *pattern, const uint64_t *connection, const sub_account *account, size_t queued)
{
    static const char *const names[] = {"delivered_total", "dropped_total", "queued_records", "socket_octets"};
    readers *r = arg;
    uint64_t dropped = 0;
    for (int i = 0; i < SUB_DROPPED_REASONS; i++)
        dropped += account->dropped[i];
    const uint64_t values[] = {account->delivered, dropped, account->queued, queued};
    buf_add_fmt(r->out, "weir_reader_%s{reader=\"%s%u\",", names[r->what], r->kind, r->number++);
    if (connection)
        buf_add_fmt(r->out, "connection=\"%llu\",", (unsigned long long)*connection);
    buf_add_text(r->out, "pattern=\"");
    put_label(r->out, pattern);
    buf_add_fmt(r->out, "\"} %llu\n", (unsigned long long)values[r->what]);
}

static void put_readers(api *a, buf *out)
{
    static const char *const heads[] = {
        "# HELP weir_reader_delivered_total Records that a reader by WebSocket or SSE took.\n# TYPE weir_reader_delivered_total counter\n",
        "# HELP weir_reader_dropped_total Records that its policy dropped.\n# TYPE weir_reader_dropped_total counter\n",
        "# HELP weir_reader_queued_records Records that wait in its queue.\n# TYPE weir_reader_queued_records gauge\n",
        "# HELP weir_reader_socket_octets Octets that wait for its socket.\n# TYPE weir_reader_socket_octets gauge\n",
    };
    for (int what = 0; what < 4; what++) {
        readers sockets = {out, "ws", 0, what}, events = {out, "sse", 0, what};
        buf_add_text(out, heads[what]);
        sockets_each(a, put_reader, &sockets);
        events_each(a, put_reader, &events);
    }
}

static void put_requests(api *a, buf *out)
{
    const api_figures *f = &a->figures;
    buf_add_text(out, "# HELP weir_http_requests_total Requests answered, by the class of their status.\n# TYPE weir_http_requests_total counter\n");
    for (int i = 1; i < 6; i++)
        buf_add_fmt(out, "weir_http_requests_total{status=\"%dxx\"} %llu\n", i, (unsigned long long)f->requests[i]);
    buf_add_fmt(out, "# HELP weir_readers_opened_total Readers that came.\n# TYPE weir_readers_opened_total counter\n"
                     "weir_readers_opened_total{by=\"websocket\"} %llu\nweir_readers_opened_total{by=\"sse\"} %llu\n"
                     "# HELP weir_readers_cut_total Readers that were cut off, as their policy says.\n# TYPE weir_readers_cut_total counter\n"
                     "weir_readers_cut_total %llu\n",
                (unsigned long long)f->sockets, (unsigned long long)f->events, (unsigned long long)f->cut);
    buf_add_fmt(out, "# HELP weir_reader_records_total Records sent to all readers.\n# TYPE weir_reader_records_total counter\nweir_reader_records_total %llu\n"
                     "# HELP weir_reader_octets_total Their octets.\n# TYPE weir_reader_octets_total counter\nweir_reader_octets_total %llu\n",
                (unsigned long long)f->lines, (unsigned long long)f->octets);
    uint64_t ends = api_certificate_ends(a);
    if (ends)
        buf_add_fmt(out, "# HELP weir_certificate_expires_seconds When the TLS certificate in force expires, in seconds since 1970 UTC.\n"
                         "# TYPE weir_certificate_expires_seconds gauge\nweir_certificate_expires_seconds %llu\n",
                    (unsigned long long)ends);
}

void metrics_answer(asked *q)
{
    api *a = q->api;
    buf out;
    buf_init(&out, 64u << 20);
    if (node_metrics(a->node, &out) || (put_latency(a, &out), put_readers(a, &out), put_requests(a, &out), out.failed)) {
        answer_code(q, WEIR_NOMEM, NULL);
    } else {
        http_header headers[] = {{BYTES("Content-Type"), BYTES("text/plain; version=0.0.4; charset=utf-8")}, {BYTES("Cache-Control"), BYTES("no-store")}};
        answer_as(q, 200, headers, 2, buf_bytes(&out));
    }
    buf_fini(&out);
}
