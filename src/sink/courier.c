/* The courier: a thread between a sink's window and a library that waits. See courier.h.
 *
 * Numbers: each record that write accepts gets the next one. first <= next <= end: [first, end) lie in the ring, those
 * before `next` were sent on this connection. A lost connection sets `next` back to `first`. Acknowledgements may come in any
 * order; a record leaves the ring when all before it have.
 *
 * Who touches what: the ring's references are the host's thread's (records are counted without atomics), marks and figures
 * are both threads', under the lock. What a remote sends from is a copy, so the host's thread may let go of a record at any
 * moment. The last of the two threads frees the whole: a courier that hangs in a library does not keep close waiting. */
#include "sink/courier.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 8192
#define WINDOW_OCTETS (16u << 20)
#define RETRY_MS 15000
#define BATCH 512                 /* parcels at once ... */
#define BATCH_OCTETS (512u << 10) /* ... and octets of their lines; one always fits */
#define HEAR_MS 20                /* waiting for an acknowledgement, while new records may come */
#define IDLE_MS 500               /* between two looks at a connection without work */
#define FIRST_RETRY_MS 50
#define CLOSE_MS 1000 /* what is owed by another end that is there has so long; and the thread, to end */

enum { MARK_NONE,
       MARK_SENT, /* at least once */
       MARK_DONE };

struct courier {
    sink base; /* of the host's thread */
    /* unchanging */
    const remote_ops *way;
    void *remote;
    courier_options options;
    char shown[256];
    uint64_t mask; /* of the ring: its size is a power of two */
    int wake_fd;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the courier: records, or closing */
    pthread_cond_t settled; /* for close: nothing owed any more, or the courier has ended */
    /* under the lock */
    int owners;
    record **ring;
    uint8_t *mark;
    uint64_t first, next, end, oldest_owed; /* oldest_owed: nothing before it is unacknowledged */
    uint64_t owed;                          /* in the ring and not done */
    uint64_t octets;                        /* of lines in the ring */
    sink_account account;
    uint64_t *line_octets; /* of the ring's lines, since the courier may not look into records that are let go */
    bool sleeping, notified, blocked, closing, ended;
    uint64_t close_by, close_due; /* the courier owes nothing any more; and close waits no longer */
    uint64_t close_soon;          /* enough for a thread that owes nothing */
    weir_error trouble;           /* why it was not open last */
    weir_error waits, why;        /* for the host's thread to tell: why it is not open; why it never will be */
    unsigned changes;
    char loss[512]; /* the last one's text */
    uint64_t losses;

    /* the host's thread's own */
    unsigned changes_told;
    uint64_t losses_told, connects_told;
    /* the courier's own */
    bool connected, ever;
    uint64_t heard_ns, tries, progress;
    buf lines, topics;
    parcel parcels[BATCH];
};

/* The threads' clock is the system's, whatever tests make of Weir's. */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t due_ns)
{
    struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S), .tv_nsec = (long)(due_ns % NS_PER_S)};
    pthread_cond_timedwait(c, lock, &due);
}

/* ---- Both threads, the lock held ---- */

static void notify(courier *c)
{
    const uint64_t one = 1;

    if (c->notified)
        return;
    c->notified = true;
    ssize_t n = write(c->wake_fd, &one, sizeof one);
    (void)n; /* an eventfd that is full is readable, too */
}

static void set_waits(courier *c, const weir_error *why)
{
    c->waits = why ? *why : (weir_error)WEIR_ERROR_INIT;
    c->changes++;
    notify(c);
}

/* ---- The courier's thread ---- */

static void acknowledged(courier *c, uint64_t number, bool lost, bool doubled)
{
    uint64_t slot = number & c->mask;

    if (number < c->first || number >= c->end || c->mark[slot] == MARK_DONE)
        return;
    c->mark[slot] = MARK_DONE;
    c->owed--;
    if (lost) {
        c->account.lost++;
    } else {
        c->account.written++;
        c->account.octets += c->line_octets[slot];
        c->account.doubles += doubled;
    }
    c->progress++;
    c->heard_ns = now_ns();
    if (c->waits.code && c->connected)
        set_waits(c, NULL);
    if (!c->owed || (c->blocked && c->owed <= c->options.window / 4 * 3))
        notify(c);
    if (!c->owed)
        pthread_cond_signal(&c->settled);
}

void courier_done(courier *c, uint64_t number, bool doubled)
{
    pthread_mutex_lock(&c->lock);
    acknowledged(c, number, false, doubled);
    pthread_mutex_unlock(&c->lock);
}

/* The oldest that was sent and is not done; c->next: none. */
static uint64_t oldest_owed(courier *c)
{
    if (c->oldest_owed < c->first)
        c->oldest_owed = c->first;
    while (c->oldest_owed < c->next && c->mark[c->oldest_owed & c->mask] == MARK_DONE)
        c->oldest_owed++;
    return c->oldest_owed;
}

bool courier_done_first(courier *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t number = oldest_owed(c);
    bool any = number < c->next;
    if (any)
        acknowledged(c, number, false, false);
    pthread_mutex_unlock(&c->lock);
    return any;
}

static void lose(courier *c, uint64_t number, const char *why)
{
    snprintf(c->loss, sizeof c->loss, "%s", why);
    c->losses++;
    acknowledged(c, number, true, false);
    notify(c);
}

void courier_lost(courier *c, uint64_t number, const char *format, ...)
{
    char why[400];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    pthread_mutex_lock(&c->lock);
    lose(c, number, why);
    pthread_mutex_unlock(&c->lock);
}

bool courier_lost_first(courier *c, const char *why)
{
    pthread_mutex_lock(&c->lock);
    uint64_t number = oldest_owed(c);
    bool any = number < c->next;
    if (any)
        lose(c, number, why);
    pthread_mutex_unlock(&c->lock);
    return any;
}

void courier_trouble(courier *c, const char *format, ...)
{
    weir_error why = WEIR_ERROR_INIT;
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&why, WEIR_NETWORK, "'%s': %s", c->shown, text);
    pthread_mutex_lock(&c->lock);
    if (!c->waits.code)
        set_waits(c, &why);
    pthread_mutex_unlock(&c->lock);
}

bool courier_leaving(courier *c)
{
    pthread_mutex_lock(&c->lock);
    bool leaving = c->closing && now_ns() >= c->close_by;
    pthread_mutex_unlock(&c->lock);
    return leaving;
}

/* How many of those from `next` on fit into one batch, and what they need. */
static size_t measure(courier *c, size_t *lines, size_t *topics)
{
    size_t count = 0;

    *lines = *topics = 0;
    for (uint64_t n = c->next; n < c->end && count < BATCH; n++) {
        uint64_t slot = n & c->mask;
        if (c->mark[slot] == MARK_DONE)
            continue;
        size_t len = c->ring[slot]->line.len + 1;
        if (count && *lines + len > BATCH_OCTETS)
            break;
        *lines += len;
        *topics += record_stream_topic(c->ring[slot]->stream).len + 1;
        count++;
    }
    return count;
}

/* Copies the next ones; 0: none, or no memory for them (then *code). */
static size_t take(courier *c, weir_code *code, weir_error *err)
{
    size_t lines, topics, wanted = measure(c, &lines, &topics), count = 0;

    *code = WEIR_OK;
    buf_clear(&c->lines);
    buf_clear(&c->topics);
    if (!buf_reserve(&c->lines, lines) || !buf_reserve(&c->topics, topics)) {
        *code = error_set(err, WEIR_NOMEM, "out of memory for %zu octets", lines + topics);
        return 0;
    }
    for (; count < wanted; c->next++) {
        uint64_t slot = c->next & c->mask;
        if (c->mark[slot] == MARK_DONE)
            continue;
        const record *r = c->ring[slot];
        bytes topic = record_stream_topic(r->stream);
        parcel *p = &c->parcels[count++];
        *p = (parcel){.number = c->next, .seq = r->seq, .ts_out = r->ts_out, .again = c->mark[slot] == MARK_SENT};
        uint64_t connection;
        if (record_stream_connection(r->stream, &connection))
            snprintf(p->connection, sizeof p->connection, "%" PRIu64, connection);
        p->line = bytes_make(c->lines.at + c->lines.len, r->line.len);
        p->topic = bytes_make(c->topics.at + c->topics.len, topic.len);
        buf_add(&c->lines, r->line.at, r->line.len + 1);
        buf_add(&c->topics, topic.at, topic.len + 1);
        c->account.again += p->again;
        c->mark[slot] = MARK_SENT;
    }
    return count;
}

/* Half of it at least, so that many sinks do not come back at once. */
static uint64_t retry_ns(courier *c)
{
    uint64_t ms = FIRST_RETRY_MS << (c->tries < 16 ? c->tries : 16);
    if (ms > c->options.retry_ms)
        ms = c->options.retry_ms;
    return (ms / 2 + rand_u64() % (ms / 2 + 1)) * NS_PER_MS;
}

/* What no waiting cures, as far as we know. */
static bool hopeless(const courier *c, weir_code code)
{
    return !c->ever && (code == WEIR_INVALID || code == WEIR_REFUSED || code == WEIR_UNSUPPORTED);
}

static void part(courier *c)
{
    pthread_mutex_unlock(&c->lock);
    c->way->disconnect(c->remote);
    pthread_mutex_lock(&c->lock);
    c->connected = false;
    c->next = c->oldest_owed = c->first;
}

/* Something failed: says so, waits, and the loop tries again. */
static void fall_back(courier *c, weir_error *err)
{
    if (c->connected)
        part(c);
    if (hopeless(c, err->code)) {
        error_wrap(err, "'%s'", c->shown);
        c->why = *err;
        c->account.lost = c->account.accepted - c->account.written;
        c->changes++;
        notify(c);
        return;
    }
    if (c->progress)
        c->tries = 0;
    c->progress = 0;
    uint64_t wait = retry_ns(c), due = now_ns() + wait;
    c->tries++;
    c->trouble = *err;
    error_wrap(err, "'%s'", c->shown);
    set_waits(c, err);
    while (!c->closing && now_ns() < due)
        wait_until(&c->work, &c->lock, due);
}

static void reach(courier *c)
{
    weir_error err = WEIR_ERROR_INIT;

    pthread_mutex_unlock(&c->lock);
    weir_code code = c->way->connect(c->remote, c, &err);
    if (code)
        c->way->disconnect(c->remote); /* takes a half-made one too */
    pthread_mutex_lock(&c->lock);
    if (code) {
        fall_back(c, &err);
        return;
    }
    c->connected = c->ever = true;
    c->heard_ns = now_ns();
    c->account.connects++;
    set_waits(c, NULL);
}

static bool silent_too_long(courier *c, uint64_t owed_since)
{
    uint64_t since = c->heard_ns > owed_since ? c->heard_ns : owed_since;
    return c->options.silence_ms && now_ns() - since > c->options.silence_ms * NS_PER_MS;
}

/* One turn with a connection: what is new goes out, what came back is taken in. */
static void carry(courier *c, uint64_t *owed_since)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_code code;
    size_t count = take(c, &code, &err);
    bool owed = c->next > oldest_owed(c), more = c->next < c->end;

    if (!owed)
        *owed_since = now_ns();
    if (!code && !count && !owed && !c->closing) {
        c->sleeping = true;
        wait_until(&c->work, &c->lock, now_ns() + IDLE_MS * NS_PER_MS);
        c->sleeping = false;
    }
    pthread_mutex_unlock(&c->lock);
    if (!code && count)
        code = c->way->send(c->remote, c, c->parcels, count, &err);
    if (!code && c->way->hear)
        code = c->way->hear(c->remote, c, (owed || count) && !more ? HEAR_MS : 0, &err);
    pthread_mutex_lock(&c->lock);
    owed = c->next > oldest_owed(c);
    if (!code && owed && silent_too_long(c, *owed_since))
        code = error_set(&err, WEIR_TIMEOUT, "has acknowledged nothing for %" PRIu64 " ms, and %" PRIu64 " records wait for that",
                         c->options.silence_ms, c->owed);
    if (code)
        fall_back(c, &err);
}

static void discard(courier *c)
{
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    buf_fini(&c->lines);
    buf_fini(&c->topics);
    free(c->ring);
    free(c->mark);
    free(c->line_octets);
    free(c);
}

static void unref(courier *c) /* the lock held; gone when it returns */
{
    bool last = --c->owners == 0;

    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->settled);
    pthread_mutex_destroy(&c->lock);
    discard(c);
}

static void *work(void *arg)
{
    courier *c = arg;
    uint64_t owed_since = now_ns();

    pthread_setname_np(pthread_self(), "weir-sink");
    pthread_mutex_lock(&c->lock);
    while (!c->why.code && !(c->closing && (!c->connected || !c->owed || now_ns() >= c->close_by))) {
        if (c->connected)
            carry(c, &owed_since);
        else
            reach(c);
    }
    if (c->connected)
        part(c);
    pthread_mutex_unlock(&c->lock);
    c->way->free(c->remote);
    pthread_mutex_lock(&c->lock);
    c->ended = true;
    notify(c);
    pthread_cond_signal(&c->settled);
    unref(c);
    return NULL;
}

/* ---- The host's thread ---- */

static void tell(courier *c)
{
    if (c->changes_told != c->changes) {
        bool waits = c->waits.code != WEIR_OK, reached = !waits && c->account.connects != c->connects_told;
        c->changes_told = c->changes;
        if (waits && strcmp(c->base.waits.text, c->waits.text) != 0)
            log_warn("sink", "%s; it is tried again, %" PRIu64 " records wait", c->waits.text, c->owed);
        else if (reached && c->account.connects > 1) /* perhaps so soon that nobody saw it wait */
            log_warn("sink", "'%s' is back; what was not acknowledged is sent again (%s)", c->shown, c->trouble.text);
        else if (reached && c->trouble.code) /* whoever read that it is tried again reads how it ended */
            log_warn("sink", "'%s' is reached; what waited is sent (%s)", c->shown, c->trouble.text);
        if (!waits)
            c->connects_told = c->account.connects;
        c->base.waits = c->waits;
        c->base.why = c->why;
    }
    if (c->losses_told != c->losses) {
        log_warn("sink", "'%s': %" PRIu64 " records lost, the last one: %s", c->shown, c->losses - c->losses_told, c->loss);
        c->losses_told = c->losses;
    }
}

/* Lets go of what is done, from the front. */
static void collect(courier *c)
{
    while (c->first < c->end && (c->mark[c->first & c->mask] == MARK_DONE || c->why.code)) {
        uint64_t slot = c->first & c->mask;
        record_unref(c->ring[slot]);
        c->ring[slot] = NULL;
        c->octets -= c->line_octets[slot];
        c->first++;
    }
    if (c->next < c->first)
        c->next = c->first;
    tell(c);
}

static bool has_room(const courier *c, size_t len)
{
    return c->end - c->first < c->options.window && (c->end == c->first || c->octets + len <= c->options.window_octets);
}

static sink_result put(courier *c, record *r)
{
    size_t len = r->line.len + 1;

    if (c->why.code || !has_room(c, len))
        collect(c);
    if (c->why.code)
        return SINK_ERROR;
    c->blocked = !has_room(c, len);
    if (c->blocked)
        return SINK_WOULD_BLOCK;
    uint64_t slot = c->end++ & c->mask;
    c->ring[slot] = record_ref(r);
    c->mark[slot] = MARK_NONE;
    c->line_octets[slot] = len;
    c->octets += len;
    c->owed++;
    c->account.accepted++;
    return SINK_ACCEPTED;
}

/* The courier is waked for many at once, or by the flush behind them. */
static void rouse(courier *c, uint64_t at_least)
{
    if (c->sleeping && c->end - c->next >= at_least) {
        c->sleeping = false;
        pthread_cond_signal(&c->work);
    }
}

sink_result courier_write(sink *s, record *r)
{
    courier *c = (courier *)s;

    pthread_mutex_lock(&c->lock);
    sink_result result = put(c, r);
    rouse(c, result == SINK_ACCEPTED ? BATCH / 4 : 1);
    pthread_mutex_unlock(&c->lock);
    return result;
}

sink_result courier_flush(sink *s)
{
    courier *c = (courier *)s;
    uint64_t count;

    pthread_mutex_lock(&c->lock);
    if (c->notified) {
        ssize_t n = read(c->wake_fd, &count, sizeof count);
        (void)n;
        c->notified = false;
    }
    collect(c);
    rouse(c, 1);
    sink_result result = c->why.code ? SINK_ERROR : SINK_ACCEPTED;
    pthread_mutex_unlock(&c->lock);
    return result;
}

void courier_account(const sink *s, sink_account *out)
{
    courier *c = (courier *)s;

    pthread_mutex_lock(&c->lock);
    *out = c->account;
    pthread_mutex_unlock(&c->lock);
    out->buffered = out->accepted - out->written - out->lost;
}

int courier_fd(const sink *s)
{
    return ((const courier *)s)->wake_fd;
}

uint64_t courier_oldest(const sink *s)
{
    courier *c = (courier *)s;

    pthread_mutex_lock(&c->lock);
    uint64_t n = c->first;
    while (n < c->end && c->mark[n & c->mask] == MARK_DONE)
        n++;
    uint64_t oldest = n < c->end ? c->ring[n & c->mask]->ts_out : 0;
    pthread_mutex_unlock(&c->lock);
    return oldest;
}

void courier_leave(sink *s, uint64_t ms)
{
    courier *c = (courier *)s;
    uint64_t now = now_ns(), due = now + ms * NS_PER_MS;

    pthread_mutex_lock(&c->lock);
    if (!c->closing || due < c->close_due) {
        c->close_soon = c->closing ? c->close_soon : now + CLOSE_MS / 4 * NS_PER_MS;
        c->close_due = due;
        c->close_by = due - ms / 4 * NS_PER_MS;
        c->closing = true;
    }
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
}

static bool has_left(const courier *c)
{
    uint64_t now = now_ns();
    return c->ended || (c->closing && (now >= c->close_due || (now >= c->close_soon && !(c->owed && c->connected))));
}

bool courier_left(sink *s)
{
    courier *c = (courier *)s;

    pthread_mutex_lock(&c->lock);
    bool left = has_left(c);
    pthread_mutex_unlock(&c->lock);
    return left;
}

void courier_close(sink *s)
{
    courier *c = (courier *)s;

    courier_leave(s, CLOSE_MS);
    pthread_mutex_lock(&c->lock);
    while (!has_left(c))
        wait_until(&c->settled, &c->lock, now_ns() + 10 * NS_PER_MS);
    collect(c);
    if (c->owed && !c->why.code)
        log_warn("sink", "'%s': closed with %" PRIu64 " records that it has not acknowledged", c->shown, c->owed);
    for (; c->first < c->end; c->first++)
        record_unref(c->ring[c->first & c->mask]);
    c->next = c->end;
    c->owed = 0;
    unref(c);
}

weir_code courier_read_options(courier_options *out, const spec *s, weir_error *err)
{
    *out = (courier_options){.shown = s->shown, .window = WINDOW, .window_octets = WINDOW_OCTETS, .retry_ms = RETRY_MS, .silence_ms = 10000};
    weir_code code = spec_number(s, "window", 1, COURIER_WINDOW_MAX, &out->window, err);
    if (!code)
        code = spec_number(s, "window_octets", 1, 1u << 30, &out->window_octets, err);
    if (!code)
        code = spec_number(s, "silence_ms", 100, 3600000, &out->silence_ms, err);
    return code ? code : spec_number(s, "retry_ms", 10, 3600000, &out->retry_ms, err);
}

static weir_code start(courier *c, weir_error *err)
{
    pthread_condattr_t monotonic;
    pthread_t thread;
    sigset_t all, before;

    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->work, &monotonic);
    pthread_cond_init(&c->settled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    c->owners = 2;
    sigfillset(&all); /* no signal is the courier's, SIGPIPE included, nor that of a library's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, work, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return error_set(err, WEIR_SYSTEM, "'%s': no thread: %s", c->shown, strerror(failed));
    pthread_detach(thread);
    return WEIR_OK;
}

weir_code courier_open(sink **out, const sink_ops *ops, void *remote, const remote_ops *way, const courier_options *options, weir_error *err)
{
    courier *c = calloc(1, sizeof *c);
    uint64_t size = 1;
    weir_code code;

    if (!c) {
        error_set(err, WEIR_NOMEM, "'%s': out of memory", options->shown);
        way->free(remote); /* with what options->shown points to */
        return WEIR_NOMEM;
    }
    while (size < options->window)
        size *= 2;
    c->base.ops = ops;
    c->way = way;
    c->remote = remote;
    c->options = *options;
    snprintf(c->shown, sizeof c->shown, "%s", options->shown);
    c->options.shown = c->shown;
    c->mask = size - 1;
    buf_init(&c->lines, SIZE_MAX / 4);
    buf_init(&c->topics, SIZE_MAX / 4);
    error_set(&c->waits, WEIR_NETWORK, "'%s': is being reached", c->shown);
    c->base.waits = c->waits;
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->ring = calloc(size, sizeof *c->ring);
    c->mark = calloc(size, sizeof *c->mark);
    c->line_octets = calloc(size, sizeof *c->line_octets);
    if (!c->ring || !c->mark || !c->line_octets || !buf_reserve(&c->lines, BATCH_OCTETS) || !buf_reserve(&c->topics, BATCH * 64))
        code = error_set(err, WEIR_NOMEM, "'%s': out of memory", c->shown);
    else if (c->wake_fd < 0)
        code = error_set(err, WEIR_SYSTEM, "'%s': no descriptor: %s", c->shown, strerror(errno));
    else
        code = start(c, err);
    if (code) {
        way->free(remote);
        discard(c);
        return code;
    }
    *out = &c->base;
    return WEIR_OK;
}
