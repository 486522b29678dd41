/* The thread behind ticker.h.
 *
 * Nobody fences between "I am inside" and "is the ticker asleep", and so a guest may enter just as
 * the thread decides to sleep, each blind to the other. Hence the thread falls asleep in two steps:
 * it says that it sleeps, waits one more tick (by then every such store is visible to all), looks
 * once more, and only then waits without end. */
#include "engine/ticker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define QUIET_TICKS 40 /* before it sleeps; a steady trickle of short calls should not pay for waking it */

struct ticker {
    struct ticker_shared shared; /* first: ticker_enter reads it */
    pthread_mutex_t lock;        /* guards seats, stop and going to sleep */
    pthread_cond_t changed;
    pthread_t thread;
    seat *seats;
    bool stop;
    uint32_t tick_ms;
    void (*tick)(void *arg);
    void *arg;
};

static _Thread_local char thread_mark; /* its address tells threads apart */

/* True if somebody is inside. *entries tells whether anybody was since the last look. */
static bool anybody_inside(const ticker *t, unsigned *entries)
{
    bool inside = false;
    *entries = 0;
    for (const seat *s = t->seats; s; s = s->next) {
        inside |= atomic_load_explicit(&s->depth, memory_order_relaxed) != 0;
        *entries += atomic_load_explicit(&s->entered, memory_order_relaxed);
    }
    return inside;
}

static struct timespec after(struct timespec at, uint32_t ms)
{
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

static struct timespec now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at;
}

static void wait_until(ticker *t, struct timespec until)
{
    while (!t->stop && pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0)
        if (!atomic_load_explicit(&t->shared.asleep, memory_order_relaxed) && !t->stop)
            return;
}

/* Ticks until nobody has been inside for QUIET_TICKS. */
static void tick_while_busy(ticker *t)
{
    unsigned seen, entries;
    int quiet = 0;
    anybody_inside(t, &seen);
    struct timespec next = now();
    while (!t->stop && quiet < QUIET_TICKS) {
        struct timespec earliest = after(now(), t->tick_ms / 2);
        next = after(next, t->tick_ms);
        if (next.tv_sec < earliest.tv_sec || (next.tv_sec == earliest.tv_sec && next.tv_nsec < earliest.tv_nsec))
            next = after(now(), t->tick_ms); /* the machine was busy: ticks are not made up for */
        while (!t->stop && pthread_cond_timedwait(&t->changed, &t->lock, &next) == 0)
            ; /* a late wake-up call */
        bool inside = anybody_inside(t, &entries);
        if (inside)
            t->tick(t->arg);
        quiet = inside || entries != seen ? 0 : quiet + 1;
        seen = entries;
    }
}

static void *run(void *arg)
{
    ticker *t = arg;
    unsigned entries;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        tick_while_busy(t);
        atomic_store(&t->shared.asleep, true);
        wait_until(t, after(now(), t->tick_ms));
        while (!t->stop && atomic_load(&t->shared.asleep) && !anybody_inside(t, &entries))
            pthread_cond_wait(&t->changed, &t->lock);
        atomic_store(&t->shared.asleep, false);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* The thread takes no signals: they belong to the program's own threads. */
static bool start(ticker *t)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&t->thread, NULL, run, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

ticker *ticker_new(uint32_t tick_ms, void (*tick)(void *arg), void *arg)
{
    ticker *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->tick_ms = tick_ms;
    t->tick = tick;
    t->arg = arg;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&t->lock, NULL);
    if (start(t))
        return t;
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

void ticker_free(ticker *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    for (seat *s = t->seats, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

seat *ticker_seat(ticker *t)
{
    pthread_mutex_lock(&t->lock);
    seat *s = t->seats;
    while (s && s->thread != &thread_mark)
        s = s->next;
    if (!s && (s = aligned_alloc(_Alignof(seat), sizeof *s))) {
        atomic_init(&s->depth, 0);
        atomic_init(&s->entered, 0);
        s->thread = &thread_mark;
        s->next = t->seats;
        t->seats = s;
    }
    pthread_mutex_unlock(&t->lock);
    return s;
}

void ticker_wake(ticker *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->shared.asleep, false);
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

bool ticker_sleeping(const ticker *t)
{
    return atomic_load(&((ticker *)t)->shared.asleep);
}
