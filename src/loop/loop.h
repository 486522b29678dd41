/* loop.h: the loop, its timers, its descriptors, its worker threads. libuv lives behind this door.
 *
 * One loop belongs to one thread. Everything here is called on that thread, except loop_wake.
 * A turn of the loop: run what was deferred, fire due timers, poll descriptors, run their
 * callbacks. Nothing fires inside the call that registered it. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

typedef struct loop loop;

weir_code loop_new(loop **out, weir_error *err);
/* Everything registered is closed or stopped before. Jobs are the exception: those that have not
 * begun are cancelled, the others waited for, and their `done` runs in here. NULL is fine. */
void loop_free(loop *l);

void loop_run(loop *l);  /* until loop_stop; never inside a callback of the same loop */
void loop_stop(loop *l); /* on the loop's thread; ends loop_run after this turn (or the next loop_run at once) */
/* One turn; waits up to `timeout_ms` (-1: without limit) if there is nothing to do. True: there is more
 * to do at once. */
bool loop_step(loop *l, int timeout_ms);
/* For a program's own epoll: wait for loop_fd to be readable, but no longer than loop_timeout_ms, then
 * loop_step(l, 0). The time must be asked anew before each wait. */
int loop_fd(loop *l);
int loop_timeout_ms(loop *l); /* how long until the next timer or deferred work; -1: nothing due */
/* loop_wake may be called from any thread and any signal handler; the function given to loop_on_wake
 * then runs on the loop's thread, once or more for any number of wakes. */
void loop_wake(loop *l);
void loop_on_wake(loop *l, void (*fn)(void *arg), void *arg);

uint64_t loop_now(loop *l); /* clock_mono, cached for this turn; loop_refresh after long work */
void loop_refresh(loop *l);

/* ---- Timers: embedded, no allocation, O(log n) amortised; stopping is immediate ---- */

/* Timers due at the same moment fire in the order in which they were started. One started while
 * timers fire waits for the next turn, even if it is due already. */
typedef struct timer {
    void (*fn)(void *arg);
    void *arg;
    uint64_t due;                      /* clock_mono ns */
    uint64_t order;                    /* when it was started, against others */
    struct timer *child, *next, *prev; /* in the heap (timer.c); prev is NULL when not running */
    loop *owner;
} timer;

void timer_init(timer *t, loop *l, void (*fn)(void *arg), void *arg);
void timer_at(timer *t, uint64_t mono_ns); /* starts, or moves */
void timer_after(timer *t, uint64_t delay_ns);
void timer_stop(timer *t); /* fine when not running */
bool timer_running(const timer *t);

/* ---- Deferred work: runs once, in the next turn, in order ---- */

typedef struct deferred {
    list_node node;
    void (*fn)(void *arg);
    void *arg;
} deferred;

void defer(loop *l, deferred *d); /* no effect when it waits already */
void defer_cancel(deferred *d);

/* ---- Descriptors ---- */

typedef struct loop_io loop_io;
#define IO_READ 1
#define IO_WRITE 2
/* Level-triggered. Opened wanting nothing; io_want says what, 0 pauses. The descriptor stays the
 * caller's, open until io_close returned, and is made non-blocking.
 * `error` is not 0 when the descriptor is in an error state (reset by the peer ...): `events` then
 * holds all that was wanted, so reading or writing tells the cause, and nothing more is
 * reported until the next io_want. */
weir_code io_open(loop_io **out, loop *l, int fd, void (*fn)(void *arg, int events, int error), void *arg, weir_error *err);
weir_code io_want(loop_io *io, int events);
void io_close(loop_io *io); /* no callback after this; NULL is fine */

/* ---- Workers: blocking work on another thread, the result on the loop ---- */

typedef struct job job;
/* `work` runs on a worker thread, then `done` on the loop's, exactly once. The job is gone when `done`
 * begins. `out` may be NULL. */
weir_code job_start(job **out, loop *l, void (*work)(void *arg), void (*done)(void *arg, bool cancelled), void *arg, weir_error *err);
void job_cancel(job *j); /* if it has not begun: done(cancelled); otherwise it runs to its end */

/* ---- Files ---- */

/* Tells when the file at `path` was written or replaced and nothing has happened to it for `quiet_ns`. It need not be
 * there, its folder must. WEIR_SYSTEM: the folder cannot be watched. */
typedef struct loop_watch loop_watch;
weir_code watch_file(loop_watch **out, loop *l, const char *path, uint64_t quiet_ns, void (*fn)(void *arg), void *arg, weir_error *err);
void watch_close(loop_watch *w); /* also from inside `fn`; NULL is fine */

/* ---- Signals ---- */

typedef struct loop_signal loop_signal;
weir_code signal_open(loop_signal **out, loop *l, int number, void (*fn)(void *arg), void *arg, weir_error *err);
void signal_close(loop_signal *s);

#endif
