/* Subscribers of the program, and sinks: a hub subscriber joined to the loop.
 *
 * on_ready may come on a guest's fiber; the work is deferred to the loop. Each turn hands over a
 * bounded number, so that a flood of records does not keep the sockets waiting. */
#include <stdlib.h>

#include "host/embed.h"
#include "host/inside.h"

#define BATCH 8192                    /* more than one guest publishes in its slice, so that no queue grows for want of turns */
#define LEAVE_MS 1000                 /* what a sink's other end has to acknowledge the last ones, while we wait */
#define PART_MS 10000                 /* and while we do not */
#define PART_LOOK_NS (50 * NS_PER_MS) /* between two looks, should nothing wake us */

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
    return (sub_options){.policy = o.policy <= WEIR_SLOW_DISCONNECT ? inside[o.policy] : SUB_BLOCK, .max_records = o.max_records, .max_octets = o.max_octets, .connection = o.connection, .on_ready = ready, .arg = arg};
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
    loop_io *io; /* while the other end takes nothing; or always, of a sink that hears */
    deferred work;
    timer tick;
    void (*on_end)(void *arg, const weir_error *why);
    void *arg;
    weir_sink_state told;
    void (*on_state)(void *arg, weir_sink *sink, weir_sink_state state);
    void *on_state_arg;
    weir_error why; /* once it ended */
    sub_account last;
    bool ended;
    bool parted; /* weir_sink_part: nobody's but the host's */
    void (*on_gone)(void *arg, weir_sink *sink);
    void *on_gone_arg;
};

static void on_sink_ready(sub *s, void *arg)
{
    weir_sink *w = arg;
    (void)s;
    if (!w->ended)
        defer(w->host->loop, &w->work);
}

static sub_account queue_account(const weir_sink *w)
{
    return w->sub ? sub_read_account(w->sub) : w->last;
}

static uint64_t dropped(const sub_account *a)
{
    uint64_t sum = 0;
    for (int i = 0; i < SUB_DROPPED_REASONS; i++)
        sum += a->dropped[i];
    return sum;
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
    out->dropped = dropped(&mine) + a.lost;
    out->gaps = a.gaps;
    out->restarts = a.restarts;
}

/* From inside it the sink may be freed: the last thing that a caller does. */
static void tell_state(weir_sink *w)
{
    weir_sink_state now = weir_sink_get_state(w);
    if (now == w->told)
        return;
    w->told = now;
    if (w->on_state)
        w->on_state(w->on_state_arg, w, now);
}

static void unsubscribe(weir_sink *w)
{
    if (!w->sub)
        return;
    w->last = sub_read_account(w->sub);
    w->last.dropped[SUB_DROPPED_UNSUBSCRIBED] += w->last.queued;
    w->last.queued = 0;
    hub_unsubscribe(w->host->hub, w->sub);
    w->sub = NULL;
}

static void end(weir_sink *w, const weir_error *why)
{
    w->ended = true;
    w->why = *why;
    io_close(w->io);
    w->io = NULL;
    timer_stop(&w->tick);
    unsubscribe(w);
    if (w->on_end) /* it may free us, so the state is told by it alone */
        w->on_end(w->arg, &w->why);
    else
        tell_state(w);
}

static void on_io(void *arg, int events, int error)
{
    weir_sink *w = arg;
    (void)events;
    (void)error; /* the next write says it better */
    if (!sink_hears(w->sink)) {
        io_close(w->io);
        w->io = NULL;
    }
    defer(w->host->loop, &w->work);
}

/* The other end takes nothing now: until it does, or the sink's next tick. */
static bool wait_for_room(weir_sink *w, weir_error *err)
{
    if (w->io || !sink_wants_write(w->sink))
        return true;
    return !io_open(&w->io, w->host->loop, sink_fd(w->sink), on_io, w, err) && !io_want(w->io, IO_WRITE);
}

static void schedule_tick(weir_sink *w)
{
    uint64_t due = w->ended ? 0 : sink_next_tick(w->sink);
    if (due && !timer_running(&w->tick))
        timer_at(&w->tick, due);
}

static void drain(void *arg)
{
    weir_sink *w = arg;
    weir_error err = WEIR_ERROR_INIT;
    if (w->ended || (w->io && !sink_hears(w->sink)))
        return;
    switch (sink_drain(w->sink, w->sub, BATCH)) {
    case SINK_MORE:
        defer(w->host->loop, &w->work);
        break;
    case SINK_DONE:
        if (sub_cut(w->sub) && !sink_wants_write(w->sink) && !sink_read_account(w->sink).buffered) {
            error_set(&err, WEIR_LIMIT, "a sink read too slowly: its queue was full, and its policy is disconnect");
            end(w, &err);
            return;
        } /* fall through */
    case SINK_BLOCKED:
        if (!wait_for_room(w, &err)) {
            end(w, &err);
            return;
        }
        break;
    case SINK_FAILED:
        end(w, sink_why(w->sink));
        return;
    }
    schedule_tick(w);
    tell_state(w);
}

static void on_sink_tick(void *arg)
{
    weir_sink *w = arg;
    sink_tick(w->sink, loop_now(w->host->loop));
    schedule_tick(w);
    defer(w->host->loop, &w->work);
}

weir_code weir_sink_open_with(weir_sink **out, weir_host *host, const char *spec, const char *pattern, const weir_reader_options *options,
                              void (*on_end)(void *arg, const weir_error *why), void *arg, weir_error *err)
{
    weir_sink *w = calloc(1, sizeof *w);
    sub_options queue = queue_of(options, on_sink_ready, w);
    sink_options way = SINK_OPTIONS_INIT;
    weir_code code;
    if (!w)
        return error_set(err, WEIR_NOMEM, "sink: out of memory");
    w->host = host;
    w->on_end = on_end;
    w->arg = arg;
    w->work = (deferred){.fn = drain, .arg = w};
    timer_init(&w->tick, host->loop, on_sink_tick, w);
    way.figures = figures;
    way.figures_arg = w;
    code = sink_open(&w->sink, spec, &way, err);
    if (!code)
        code = hub_subscribe(&w->sub, host->hub, pattern, &queue, err);
    if (!code && sink_hears(w->sink))
        code = io_open(&w->io, host->loop, sink_fd(w->sink), on_io, w, err);
    if (!code && w->io)
        code = io_want(w->io, IO_READ);
    if (code) {
        io_close(w->io);
        unsubscribe(w);
        sink_close(w->sink);
        free(w);
        return code;
    }
    list_push(&host->sinks, &w->node);
    w->told = weir_sink_get_state(w);
    schedule_tick(w);
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
    unsubscribe(w);
    list_remove(&w->node);
    free(w);
}

void weir_sink_free(weir_sink *w)
{
    if (w)
        close_sink(w);
}

static void part_step(void *arg)
{
    weir_sink *w = arg;
    sink_flush(w->sink); /* takes what has been acknowledged */
    if (!sink_left(w->sink)) {
        timer_after(&w->tick, PART_LOOK_NS);
        return;
    }
    if (w->on_gone)
        w->on_gone(w->on_gone_arg, w);
    close_sink(w);
}

void weir_sink_part(weir_sink *w, void (*on_gone)(void *arg, weir_sink *sink), void *arg)
{
    w->on_gone = on_gone;
    w->on_gone_arg = arg;
    if (w->parted)
        return;
    while (w->sub && sink_drain(w->sink, w->sub, BATCH) == SINK_MORE)
        ;
    unsubscribe(w);
    timer_stop(&w->tick);
    timer_init(&w->tick, w->host->loop, part_step, w);
    w->work.fn = part_step;
    w->parted = w->ended = true;
    w->on_end = NULL;
    w->on_state = NULL;
    sink_leave(w->sink, PART_MS);
    if (sink_left(w->sink))
        part_step(w);
    else
        defer(w->host->loop, &w->work);
}

void weir_sink_limit(weir_sink *w, uint64_t data_records)
{
    sink_limit(w->sink, data_records);
}

bool weir_sink_idle(const weir_sink *w)
{
    return w->ended || (!queue_account(w).queued && !sink_wants_write(w->sink) && !sink_read_account(w->sink).buffered);
}

void weir_sink_resize(weir_sink *w)
{
    sink_resize(w->sink, 0, 0);
}

weir_sink_state weir_sink_get_state(const weir_sink *w)
{
    static const weir_sink_state outside[] = {[SINK_OPEN] = WEIR_SINK_OPEN, [SINK_WAITING] = WEIR_SINK_WAITING, [SINK_CLOSED] = WEIR_SINK_FAILED};
    return w->ended ? WEIR_SINK_FAILED : outside[sink_get_state(w->sink)];
}

const char *weir_sink_why(const weir_sink *w)
{
    return w->ended ? w->why.text : sink_why(w->sink)->code ? sink_why(w->sink)->text
                                                            : sink_waits_for(w->sink)->text;
}

void weir_sink_on_state(weir_sink *w, void (*fn)(void *arg, weir_sink *sink, weir_sink_state state), void *arg)
{
    w->on_state = fn;
    w->on_state_arg = arg;
}

void weir_sink_get_account(const weir_sink *w, weir_sink_account *out)
{
    sub_account queue = queue_account(w);
    sink_account a = sink_read_account(w->sink);
    uint64_t oldest = sink_oldest(w->sink), now = clock_real();
    record *next = !oldest && w->sub && queue.queued ? sub_peek(w->sub) : NULL;
    if (next)
        oldest = next->ts_out;
    *out = (weir_sink_account){
        .offered = queue.offered,
        .delivered = queue.delivered,
        .dropped = dropped(&queue),
        .queued = queue.queued,
        .accepted = a.accepted,
        .written = a.written,
        .buffered = a.buffered,
        .lost = a.lost,
        .octets = a.octets,
        .again = a.again,
        .doubles = a.doubles,
        .connects = a.connects,
        .lag_ns = oldest && now > oldest ? now - oldest : 0,
    };
}

bool readers_add_up(const weir_host *host, weir_error *err)
{
    for (const list_node *n = host->sinks.head.next; n != &host->sinks.head; n = n->next) {
        sink_account a = sink_read_account(LIST_OWNER(n, weir_sink, node)->sink);
        if (!sink_account_adds_up(&a)) {
            error_set(err, WEIR_INVALID, "account: a sink accepted %llu records, but has written %llu, buffers %llu and lost %llu", (unsigned long long)a.accepted,
                      (unsigned long long)a.written, (unsigned long long)a.buffered, (unsigned long long)a.lost);
            return false;
        }
    }
    return true;
}

void weir_sink_mask(char *out, size_t size, const char *spec)
{
    sink_mask(out, size, spec);
}

void readers_free(weir_host *host)
{
    for (list_node *n = host->sinks.head.next; n != &host->sinks.head; n = n->next) {
        weir_sink *w = LIST_OWNER(n, weir_sink, node);
        while (w->sub && sink_drain(w->sink, w->sub, BATCH) == SINK_MORE)
            ;
        sink_leave(w->sink, LEAVE_MS); /* all at once: together they take no longer than one */
    }
    while (!list_empty(&host->sinks))
        close_sink(LIST_OWNER(host->sinks.head.next, weir_sink, node));
    while (!list_empty(&host->subs))
        close_sub(LIST_OWNER(host->subs.head.next, weir_sub, node));
}
