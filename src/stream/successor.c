#include "stream/successor.h"

#include <assert.h>

#define SETTLE_NS NS_PER_S          /* for the old one to bring what it is behind with */
#define TRY_NS (5 * NS_PER_S)       /* nothing in common for so long: ask the plugin */
#define PATIENCE_NS (30 * NS_PER_S) /* the old one brings data, it does not */
#define FOLLOW_NS (30 * NS_PER_S)   /* for what is left out */

#define BIT(p) (1u << (p))

static const unsigned moves[] = {
    [SUCCESSOR_NONE] = BIT(SUCCESSOR_DIALS),
    [SUCCESSOR_DIALS] = BIT(SUCCESSOR_GATHERS) | BIT(SUCCESSOR_NONE),
    [SUCCESSOR_GATHERS] = BIT(SUCCESSOR_TRIES) | BIT(SUCCESSOR_SETTLES) | BIT(SUCCESSOR_FOLLOWS) | BIT(SUCCESSOR_NONE),
    [SUCCESSOR_TRIES] = BIT(SUCCESSOR_SETTLES) | BIT(SUCCESSOR_FOLLOWS) | BIT(SUCCESSOR_NONE),
    [SUCCESSOR_SETTLES] = BIT(SUCCESSOR_FOLLOWS) | BIT(SUCCESSOR_NONE),
    [SUCCESSOR_FOLLOWS] = BIT(SUCCESSOR_NONE),
};

static void enter(successor *n, successor_phase next, uint64_t wait_ns)
{
    assert(moves[n->phase] & BIT(next));
    n->phase = next;
    if (wait_ns)
        timer_after(&n->step, wait_ns);
    else
        timer_stop(&n->step);
}

static uint64_t within(uint64_t ns, uint64_t most)
{
    return ns < most ? ns : most;
}

/* All that the old one brought comes by it, too, and what was silent is subscribed to. */
static bool complete(const successor *n)
{
    return channels_joined(n->channels) && channels_answered(n->channels);
}

/* Both brought one and the same, or what was late has come. */
static void look(successor *n)
{
    uint64_t settle = within(SETTLE_NS, n->margin_ns / 4);
    if (n->overlap.joined && (n->phase == SUCCESSOR_GATHERS || n->phase == SUCCESSOR_TRIES)) {
        enter(n, SUCCESSOR_SETTLES, settle);
        n->wait_until = loop_now(n->loop) + within(PATIENCE_NS, n->margin_ns / 2);
    }
    if (n->phase != SUCCESSOR_SETTLES || !n->waits || !complete(n))
        return;
    n->waits = false;
    timer_after(&n->step, settle); /* the old one may be behind with it */
}

static void on_step(void *arg)
{
    successor *n = arg;
    uint64_t patience = within(PATIENCE_NS, n->margin_ns);
    switch (n->phase) {
    case SUCCESSOR_GATHERS:
        if (n->heard)
            enter(n, SUCCESSOR_TRIES, patience);
        else if (n->overlap.old_count)
            n->ops->failed(n->arg, "it brings nothing, and the present connection does", 0);
        else
            timer_after(&n->step, patience);
        if (n->phase == SUCCESSOR_TRIES)
            n->ops->changed(n->arg);
        return;
    case SUCCESSOR_TRIES:
        if (n->overlap.old_count)
            n->ops->failed(n->arg, "it brings no data, and the present connection does", 0);
        else
            timer_after(&n->step, patience);
        return;
    case SUCCESSOR_SETTLES:
        n->waits = !complete(n) && loop_now(n->loop) < n->wait_until;
        if (n->waits)
            timer_at(&n->step, n->wait_until);
        else
            n->ops->ready(n->arg);
        return;
    case SUCCESSOR_FOLLOWS:
        if (n->merged)
            successor_drop(n);
        else
            timer_after(&n->step, FOLLOW_NS);
        return;
    case SUCCESSOR_NONE:
    case SUCCESSOR_DIALS:
        return;
    }
}

/* ---- Its socket ---- */

static void on_opened(void *arg)
{
    successor *n = arg;
    weir_error err = WEIR_ERROR_INIT;
    n->open = true;
    n->opened_at = loop_now(n->loop);
    if (n->ops->greet(n->arg, n->session, &err)) {
        n->ops->failed(n->arg, err.text, 0);
        return;
    }
    enter(n, SUCCESSOR_GATHERS, within(PATIENCE_NS, n->margin_ns));
    n->ops->changed(n->arg);
}

static bool on_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    successor *n = arg;
    if (!inbox_put(&n->in, message, binary, recv_real_ns))
        return false;
    n->ops->received(n->arg);
    overlap_new(&n->overlap, message);
    channels_heir(n->channels, message);
    if (!n->heard && n->phase == SUCCESSOR_GATHERS)
        timer_after(&n->step, within(TRY_NS, n->margin_ns / 2));
    n->heard = true;
    look(n);
    if (n->phase == SUCCESSOR_TRIES)
        n->ops->changed(n->arg);
    return true;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    successor *n = arg;
    (void)http_status;
    n->session = NULL; /* frees itself */
    n->open = false;
    n->ops->failed(n->arg, why->text, retry_after_s);
}

static bool holds(void *arg)
{
    const successor *n = arg;
    return n->in.refused;
}

static const session_reader reader = {on_opened, on_message, on_drained, on_closed, holds};

/* ---- What its owner does ---- */

void successor_init(successor *n, loop *l, size_t inbox_max, void (*on_room)(void *arg), const successor_ops *ops, void *arg)
{
    *n = (successor){.loop = l, .ops = ops, .arg = arg};
    inbox_init(&n->in, inbox_max, on_room, arg);
    timer_init(&n->step, l, on_step, n);
}

weir_code successor_open(successor *n, const session_options *o, const bytes *initial, size_t count, uint64_t margin_ns, weir_error *err)
{
    assert(n->phase == SUCCESSOR_NONE);
    n->margin_ns = margin_ns;
    n->open = n->heard = n->merged = n->anew = n->waits = false;
    if (!(n->channels = channels_new(initial, count)) || !overlap_init(&n->overlap)) {
        channels_free(n->channels);
        n->channels = NULL;
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    enter(n, SUCCESSOR_DIALS, 0);
    weir_code code = session_open(&n->session, o, &reader, n, err);
    if (code)
        successor_drop(n);
    return code;
}

size_t successor_drop(successor *n)
{
    size_t waited = n->in.count;
    if (n->phase == SUCCESSOR_NONE)
        return 0;
    session_close(n->session);
    n->session = NULL;
    n->open = false;
    overlap_fini(&n->overlap);
    channels_free(n->channels);
    n->channels = NULL;
    inbox_fini(&n->in);
    n->in.refused = false;
    enter(n, SUCCESSOR_NONE, 0);
    return waited;
}

/* On a fast stream it brings more than may wait, and the old one more than is remembered: what both have brought goes at once. */
static void make_room(successor *n)
{
    inbox_message m;
    size_t had = 0;
    if (n->phase != SUCCESSOR_SETTLES || n->anew || n->in.used < n->in.max / 4)
        return;
    for (; inbox_take(&n->in, &m) && overlap_had(&n->overlap, m.text); had++)
        inbox_drop(&n->in);
    n->ops->left_out(n->arg, had);
}

void successor_old(successor *n, bytes text)
{
    if (!successor_stands(n) && !successor_waits(n))
        return;
    overlap_old(&n->overlap, text);
    if (successor_stands(n))
        channels_old(n->channels, text);
    look(n);
    make_room(n);
}

void successor_tried(successor *n)
{
    n->overlap.taken++;
}

bool successor_heard(const successor *n)
{
    return n->heard || !n->overlap.old_count;
}

bool successor_whole(const successor *n)
{
    return successor_heard(n) && channels_joined(n->channels);
}

session *successor_take(successor *n, const session_reader *by, void *arg)
{
    session *s = n->session;
    session_read_by(s, by, arg);
    n->session = NULL;
    n->open = false;
    enter(n, SUCCESSOR_FOLLOWS, FOLLOW_NS);
    return s;
}

bool successor_waits(const successor *n)
{
    return n->phase == SUCCESSOR_FOLLOWS && !n->merged;
}

void successor_merge(successor *n, inbox *in)
{
    if (!successor_waits(n))
        return;
    inbox old = *in;
    *in = n->in;
    n->in = old;
    n->merged = true;
    timer_after(&n->step, FOLLOW_NS);
}

bool successor_double(successor *n, bytes text)
{
    if (n->phase != SUCCESSOR_FOLLOWS || !n->merged)
        return false;
    bool is = !n->anew && overlap_double(&n->overlap, text);
    if (n->anew || overlap_done(&n->overlap))
        successor_drop(n);
    return is;
}

void successor_anew(successor *n, bool trial)
{
    n->anew |= trial || (n->phase == SUCCESSOR_FOLLOWS && n->merged);
}
