/* Subscribers of the program, and sinks: a hub subscriber joined to the loop.
 *
 * on_ready may come on a guest's fiber; the work is deferred to the loop. Each turn hands over a
 * bounded number, so that a flood of records does not keep the sockets waiting. */
#include <stdlib.h>

#include "host/inside.h"

#define BATCH 8192 /* more than one guest publishes in its slice, so that no queue grows for want of turns */

static sub_options queue_of(const weir_reader_options *options, sub_on_ready ready, void *arg)
{
    static const sub_policy inside[] = {
        [WEIR_SLOW_BLOCK] = SUB_BLOCK,
        [WEIR_SLOW_DROP_OLDEST] = SUB_DROP_OLDEST,
        [WEIR_SLOW_NEWEST_PER_KEY] = SUB_NEWEST_PER_KEY,
        [WEIR_SLOW_DISCONNECT] = SUB_DISCONNECT,
    };
    weir_reader_options o = WEIR_READER_OPTIONS_INIT;
    if (options)
        memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    return (sub_options){.policy = o.policy <= WEIR_SLOW_DISCONNECT ? inside[o.policy] : SUB_BLOCK, .max_records = o.max_records, .max_octets = o.max_octets, .on_ready = ready, .arg = arg};
}

bool weir_slow_policy_find(const char *name, weir_slow_policy *out)
{
    static const char *const names[] = {
#define X(name, text) text,
        WEIR_SLOW_POLICIES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) {
            *out = (weir_slow_policy)i;
            return true;
        }
    return false;
}

struct weir_sub {
    list_node node;
    weir_host *host;
    sub *sub;
    deferred work;
    weir_on_record fn;
    void *arg;
    bool busy, freed; /* inside fn; freed from there */
};

static void on_ready(sub *s, void *arg)
{
    weir_sub *w = arg;
    (void)s;
    defer(w->host->loop, &w->work);
}

static void show(const record *r, weir_record *out)
{
    *out = (weir_record){
        .kind = r->kind == RECORD_DATA ? WEIR_RECORD_DATA : r->kind == RECORD_GAP ? WEIR_RECORD_GAP
                                                                                  : WEIR_RECORD_STATUS,
        .seq = r->seq,
        .topic = record_stream_topic(r->stream).at,
        .json = r->line.at,
        .json_len = r->line.len,
        .data = r->data.len ? r->data.at : NULL,
        .data_len = r->data.len,
        .ts_event = r->ts_event,
        .ts_recv = r->ts_recv,
        .ts_out = r->ts_out,
    };
}

static void close_sub(weir_sub *w)
{
    if (w->sub)
        hub_unsubscribe(w->host->hub, w->sub);
    w->sub = NULL;
    defer_cancel(&w->work);
    list_remove(&w->node);
    w->freed = true;
    if (!w->busy)
        free(w);
}

static void hand_over(void *arg)
{
    weir_sub *w = arg;
    record *r = NULL;
    w->busy = true;
    for (int i = 0; i < BATCH && !w->freed && (r = sub_next(w->sub)); i++) {
        weir_record shown;
        show(r, &shown);
        w->fn(w->arg, &shown);
        record_unref(r);
    }
    w->busy = false;
    if (w->freed)
        close_sub(w);
    else if (r)
        defer(w->host->loop, &w->work);
}

weir_code weir_subscribe_with(weir_sub **out, weir_host *host, const char *pattern, const weir_reader_options *options,
                              weir_on_record fn, void *arg, weir_error *err)
{
    weir_sub *w = calloc(1, sizeof *w);
    sub_options queue = queue_of(options, on_ready, w);
    if (!w)
        return error_set(err, WEIR_NOMEM, "subscribe: out of memory");
    w->host = host;
    w->fn = fn;
    w->arg = arg;
    w->work = (deferred){.fn = hand_over, .arg = w};
    if (hub_subscribe(&w->sub, host->hub, pattern, &queue, err)) {
        free(w);
        return error_wrap(err, "subscribe");
    }
    list_push(&host->subs, &w->node);
    *out = w;
    return WEIR_OK;
}

weir_code weir_subscribe(weir_sub **out, weir_host *host, const char *pattern, weir_on_record fn, void *arg, weir_error *err)
{
    return weir_subscribe_with(out, host, pattern, NULL, fn, arg, err);
}

void weir_sub_account(const weir_sub *w, weir_reader_account *out)
{
    sub_account a = sub_read_account(w->sub);
    *out = (weir_reader_account){a.offered, a.delivered, sub_dropped(w->sub), a.queued, sub_cut(w->sub)};
}

void weir_sub_free(weir_sub *w)
{
    if (w && !w->freed)
        close_sub(w);
}

/* ---- Sinks ---- */

struct weir_sink {
    list_node node;
    weir_host *host;
    sub *sub;
    sink *sink;
    loop_io *io; /* while the other end takes nothing */
    deferred work;
    timer tick;
    void (*on_end)(void *arg, const weir_error *why);
    void *arg;
    bool ended;
};

static void on_sink_ready(sub *s, void *arg)
{
    weir_sink *w = arg;
    (void)s;
    if (!w->ended)
        defer(w->host->loop, &w->work);
}

static void figures(void *arg, sink_figures *out)
{
    weir_sink *w = arg;
    weir_account a;
    if (!w->sub)
        return;
    weir_host_account(w->host, &a);
    sub_account mine = sub_read_account(w->sub);
    out->received = a.received;
    out->delivered = mine.delivered;
    out->dropped = sub_dropped(w->sub) + a.lost;
    out->gaps = a.gaps;
    out->restarts = a.restarts;
}

static void end(weir_sink *w, const weir_error *why)
{
    w->ended = true;
    io_close(w->io);
    w->io = NULL;
    timer_stop(&w->tick);
    if (w->sub)
        hub_unsubscribe(w->host->hub, w->sub);
    w->sub = NULL;
    if (w->on_end)
        w->on_end(w->arg, why);
}

static void on_writable(void *arg, int events, int error)
{
    weir_sink *w = arg;
    (void)events;
    (void)error; /* the next write says it better */
    io_close(w->io);
    w->io = NULL;
    defer(w->host->loop, &w->work);
}

static void drain(void *arg)
{
    weir_sink *w = arg;
    weir_error err = WEIR_ERROR_INIT;
    if (w->ended || w->io)
        return;
    switch (sink_drain(w->sink, w->sub, BATCH)) {
    case SINK_MORE:
        defer(w->host->loop, &w->work);
        break;
    case SINK_DONE:
        if (sub_cut(w->sub) && !sink_wants_write(w->sink)) {
            error_set(&err, WEIR_LIMIT, "a sink read too slowly: its queue was full, and its policy is disconnect");
            end(w, &err);
            return;
        }
        if (!sink_wants_write(w->sink))
            break;
        /* fall through */
    case SINK_BLOCKED:
        if (io_open(&w->io, w->host->loop, sink_fd(w->sink), on_writable, w, &err) || io_want(w->io, IO_WRITE))
            end(w, &err);
        return;
    case SINK_FAILED:
        end(w, sink_why(w->sink));
        return;
    }
    uint64_t due = sink_next_tick(w->sink);
    if (due && !timer_running(&w->tick))
        timer_at(&w->tick, due);
}

static void on_sink_tick(void *arg)
{
    weir_sink *w = arg;
    sink_tick(w->sink, loop_now(w->host->loop));
    uint64_t due = sink_next_tick(w->sink);
    if (due)
        timer_at(&w->tick, due);
}

weir_code weir_sink_open_with(weir_sink **out, weir_host *host, const char *spec, const char *pattern, const weir_reader_options *options,
                              void (*on_end)(void *arg, const weir_error *why), void *arg, weir_error *err)
{
    weir_sink *w = calloc(1, sizeof *w);
    sub_options queue = queue_of(options, on_sink_ready, w);
    sink_options way = SINK_OPTIONS_INIT;
    if (!w)
        return error_set(err, WEIR_NOMEM, "sink '%s': out of memory", spec);
    w->host = host;
    w->on_end = on_end;
    w->arg = arg;
    w->work = (deferred){.fn = drain, .arg = w};
    timer_init(&w->tick, host->loop, on_sink_tick, w);
    way.figures = figures;
    way.figures_arg = w;
    if (sink_open(&w->sink, spec, &way, err) ||
        hub_subscribe(&w->sub, host->hub, pattern, &queue, err)) {
        sink_close(w->sink);
        free(w);
        return err ? err->code : WEIR_INVALID;
    }
    list_push(&host->sinks, &w->node);
    uint64_t due = sink_next_tick(w->sink);
    if (due)
        timer_at(&w->tick, due);
    *out = w;
    return WEIR_OK;
}

weir_code weir_sink_open(weir_sink **out, weir_host *host, const char *spec, const char *pattern,
                         void (*on_end)(void *arg, const weir_error *why), void *arg, weir_error *err)
{
    return weir_sink_open_with(out, host, spec, pattern, NULL, on_end, arg, err);
}

static void close_sink(weir_sink *w)
{
    if (w->sub) {
        while (sink_drain(w->sink, w->sub, BATCH) == SINK_MORE)
            ;
    }
    io_close(w->io);
    defer_cancel(&w->work);
    timer_stop(&w->tick);
    sink_close(w->sink); /* the table paints once more and asks for the figures */
    if (w->sub)
        hub_unsubscribe(w->host->hub, w->sub);
    list_remove(&w->node);
    free(w);
}

void weir_sink_free(weir_sink *w)
{
    if (w)
        close_sink(w);
}

void weir_sink_limit(weir_sink *w, uint64_t data_records)
{
    sink_limit(w->sink, data_records);
}

bool weir_sink_idle(const weir_sink *w)
{
    return w->ended || (!sub_read_account(w->sub).queued && !sink_wants_write(w->sink));
}

void weir_sink_resize(weir_sink *w)
{
    sink_resize(w->sink, 0, 0);
}

void readers_free(weir_host *host)
{
    while (!list_empty(&host->sinks))
        close_sink(LIST_OWNER(host->sinks.head.next, weir_sink, node));
    while (!list_empty(&host->subs))
        close_sub(LIST_OWNER(host->subs.head.next, weir_sub, node));
}
