/* WASI: clocks, and waiting.
 *
 * poll_oneoff is the one call of WASI that waits. It writes an event for each subscription that is
 * due; when none is, it parks until the earliest moment that one asks for and looks again. Files
 * and stdio never make a guest wait, so a subscription to a descriptor is due at once. */
#include "extism/wasi.h"

#include "base/clock.h"

#define CLOCK_WALL 0
#define CLOCK_MONO 1
#define SUBSCRIPTION_SIZE 48
#define EVENT_SIZE 32
#define TAG_CLOCK 0
#define TAG_READ 1
#define TAG_WRITE 2
#define FLAG_ABSTIME 1
#define FLAG_HANGUP 1

WASI(clock_res_get)
{
    WASI_SELF;
    uint32_t id = v[0].u32;
    return wasi_answer(v, id > CLOCK_MONO ? (id < 4 ? E_NOTSUP : E_INVAL) : wasi_put_u64(g, v[1].u32, 1));
}

WASI(clock_time_get)
{
    WASI_SELF;
    uint32_t id = v[0].u32;
    if (id > CLOCK_MONO)
        return wasi_answer(v, id < 4 ? E_NOTSUP : E_INVAL);
    return wasi_answer(v, wasi_put_u64(g, v[2].u32, id == CLOCK_WALL ? clock_real() : clock_mono()));
}

/* ---- poll_oneoff ---- */

typedef struct subscription {
    uint64_t userdata;
    uint8_t tag;
    uint32_t clock_or_fd;
    uint64_t timeout;
    uint16_t flags;
} subscription;

static bool subscription_read(guest *g, uint32_t at, uint32_t i, subscription *s)
{
    const char *from = wasi_at(g, at, ((uint64_t)i + 1) * SUBSCRIPTION_SIZE);
    if (!from)
        return false;
    from += (size_t)i * SUBSCRIPTION_SIZE;
    memcpy(&s->userdata, from, 8);
    memcpy(&s->tag, from + 8, 1);
    memcpy(&s->clock_or_fd, from + 16, 4);
    memcpy(&s->timeout, from + 24, 8);
    memcpy(&s->flags, from + 40, 2);
    return true;
}

static uint64_t add_time(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* When a clock subscription is due, on the monotonic clock; `start` is when the guest asked. The
 * wall clock may be set meanwhile, so the moment is worked out anew each time we look. */
static uint64_t due_at(const subscription *s, uint64_t start)
{
    if (!(s->flags & FLAG_ABSTIME))
        return add_time(start, s->timeout);
    if (s->clock_or_fd == CLOCK_MONO)
        return s->timeout;
    uint64_t now = clock_real();
    return s->timeout <= now ? 0 : add_time(clock_mono(), s->timeout - now);
}

typedef struct poll_state {
    uint32_t in, out, count; /* the guest's arrays */
    uint64_t start, now;     /* monotonic; `now` is at least the moment that was waited for */
    uint64_t next;           /* earliest moment of those not due */
    uint32_t events;
} poll_state;

static wasi_errno event_write(guest *g, poll_state *p, const subscription *s, wasi_errno error, uint16_t flags)
{
    char event[EVENT_SIZE] = {0};
    uint16_t code = (uint16_t)error;
    memcpy(event, &s->userdata, 8);
    memcpy(event + 8, &code, 2);
    event[10] = (char)s->tag;
    memcpy(event + 24, &flags, 2);
    return wasi_put(g, p->out + p->events++ * EVENT_SIZE, event, sizeof event);
}

/* One look at one subscription: an event if it is due. */
static wasi_errno poll_one(guest *g, poll_state *p, const subscription *s)
{
    if (s->tag == TAG_CLOCK) {
        if (s->clock_or_fd > CLOCK_MONO)
            return event_write(g, p, s, s->clock_or_fd < 4 ? E_NOTSUP : E_INVAL, 0);
        uint64_t due = due_at(s, p->start);
        if (due <= p->now)
            return event_write(g, p, s, E_OK, 0);
        if (due < p->next)
            p->next = due;
        return E_OK;
    }
    if (s->tag != TAG_READ && s->tag != TAG_WRITE)
        return E_INVAL;
    const wasi_fd *f = wasi_find(g->wasi, s->clock_or_fd);
    return event_write(g, p, s, f ? E_OK : E_BADF, f && f->kind == FD_STDIN ? FLAG_HANGUP : 0);
}

static wasi_errno poll_all(guest *g, poll_state *p)
{
    wasi_errno e = E_OK;
    p->events = 0;
    p->next = UINT64_MAX;
    for (uint32_t i = 0; !e && i < p->count; i++) {
        subscription s;
        e = subscription_read(g, p->in, i, &s) ? poll_one(g, p, &s) : E_FAULT;
    }
    return e;
}

WASI(poll_oneoff)
{
    WASI_SELF;
    uint32_t count_at = v[3].u32;
    poll_state p = {.in = v[0].u32, .out = v[1].u32, .count = v[2].u32};
    if (p.count == 0 || p.count > WASI_MAX_POLL)
        return wasi_answer(v, E_INVAL);
    if (!wasi_at(g, p.out, (uint64_t)p.count * EVENT_SIZE) || !wasi_at(g, count_at, 4))
        return wasi_answer(v, E_FAULT);
    p.start = p.now = clock_mono();
    for (;;) {
        wasi_errno e = poll_all(g, &p);
        if (e)
            return wasi_answer(v, e);
        if (p.events)
            return wasi_answer(v, wasi_put_u32(g, count_at, p.events));
        if (!g->ops->wait)
            return wasi_answer(v, E_NOTSUP);
        wait_end end = g->ops->wait(g, p.next);
        if (end == WAIT_CANCELLED)
            return g->cancelled;
        uint64_t now = clock_mono();
        p.now = end == WAIT_TIMEOUT && now < p.next ? p.next : now;
    }
}
