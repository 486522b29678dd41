/* Timers: a pairing heap whose nodes are the timers themselves.
 *
 * Starting and moving are frequent (a deadline for each call, a silence watch moved by each
 * message), firing is rare. So a start links one node and can never fail, and the work is done
 * when the first one leaves.
 *
 * The heap: a tree in which no child is due before its parent. `child` is the first child,
 * `next` the next sibling, `prev` the previous sibling or, for a first child, the parent.
 * The root's prev is the root itself, so that prev tells whether a timer runs. */
#include "loop/inside.h"

static bool before(const timer *a, const timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

/* Makes one heap of two; each root's siblings are forgotten. */
static timer *meld(timer *a, timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (before(b, a)) {
        timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    a->next = NULL;
    return a;
}

/* Makes one heap of a chain of siblings: pairs from left to right, then all from right to left,
 * which is what keeps the cost logarithmic. */
static timer *meld_siblings(timer *first)
{
    timer *pairs = NULL;
    while (first) {
        timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        timer *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    timer *all = NULL;
    while (pairs) {
        timer *rest = pairs->next;
        pairs->next = NULL;
        all = meld(all, pairs);
        pairs = rest;
    }
    return all;
}

static void set_root(loop *l, timer *root)
{
    l->timers = root;
    if (root) {
        root->prev = root;
        root->next = NULL;
    }
}

void timer_init(timer *t, loop *l, void (*fn)(void *arg), void *arg)
{
    *t = (timer){.fn = fn, .arg = arg, .owner = l};
}

bool timer_running(const timer *t)
{
    return t->prev != NULL;
}

void timer_stop(timer *t)
{
    if (!t->prev)
        return;
    loop *l = t->owner;
    timer *below = meld_siblings(t->child);
    if (l->timers == t) {
        set_root(l, below);
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        set_root(l, meld(l->timers, below));
    }
    t->child = t->next = t->prev = NULL;
}

/* A moment that has passed counts as now: so what is started while timers fire sorts behind all
 * that were due, and none of them can be kept from its turn. */
void timer_at(timer *t, uint64_t mono_ns)
{
    loop *l = t->owner;
    timer_stop(t);
    uint64_t now = loop_now(l);
    t->due = mono_ns > now ? mono_ns : now;
    t->order = ++l->timer_order;
    set_root(l, meld(l->timers, t));
}

void timer_after(timer *t, uint64_t delay_ns)
{
    uint64_t now = loop_now(t->owner);
    timer_at(t, delay_ns > UINT64_MAX - now ? UINT64_MAX : now + delay_ns);
}

bool timers_fire(loop *l)
{
    bool any = false;
    uint64_t now = loop_now(l), last = l->timer_order;
    for (timer *t; (t = l->timers) && t->due <= now && t->order <= last;) {
        timer_stop(t);
        t->fn(t->arg);
        any = true;
    }
    return any;
}

int timers_wait_ms(loop *l)
{
    if (!l->timers)
        return -1;
    uint64_t now = loop_now(l), due = l->timers->due;
    if (due <= now)
        return 0;
    uint64_t ms = (due - now - 1) / NS_PER_MS + 1;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}
