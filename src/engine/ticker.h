/* A thread that calls a function at every tick, but only while some guest runs.
 *
 * Entering and leaving a guest is the hot path: two plain stores into the thread's own seat and one
 * load. The thread looks at the seats at every tick; after some quiet ticks it goes to sleep, and
 * the next one to enter wakes it. */
#ifndef ENGINE_TICKER_H
#define ENGINE_TICKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ticker ticker;

/* Where one thread says that it is inside a guest. On a cache line of its own. */
typedef struct seat {
    _Alignas(64) atomic_uint depth; /* guests entered and not left: more than one when one resumes another */
    atomic_uint entered;            /* counts entries, so that a short stay is seen too */
    const void *thread;
    struct seat *next;
} seat;

/* `tick` runs on the ticker's thread. NULL: out of memory, or of threads. */
ticker *ticker_new(uint32_t tick_ms, void (*tick)(void *arg), void *arg);
void ticker_free(ticker *t);

/* The calling thread's seat, made if need be; lives as long as the ticker. NULL: out of memory. */
seat *ticker_seat(ticker *t);

void ticker_wake(ticker *t);
bool ticker_sleeping(const ticker *t); /* a guess, unless the caller knows that nobody enters */

struct ticker_shared {
    atomic_bool asleep;
};

static inline void ticker_enter(ticker *t, seat *s)
{
    unsigned entered = atomic_load_explicit(&s->entered, memory_order_relaxed);
    unsigned depth = atomic_load_explicit(&s->depth, memory_order_relaxed);
    atomic_store_explicit(&s->entered, entered + 1, memory_order_relaxed);
    atomic_store_explicit(&s->depth, depth + 1, memory_order_relaxed);
    if (__builtin_expect(atomic_load_explicit(&((struct ticker_shared *)t)->asleep, memory_order_relaxed), false))
        ticker_wake(t);
}

static inline void ticker_leave(seat *s)
{
    unsigned depth = atomic_load_explicit(&s->depth, memory_order_relaxed);
    atomic_store_explicit(&s->depth, depth - 1, memory_order_relaxed);
}

#endif
