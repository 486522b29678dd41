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
void loop_free(loop *l); /* everything registered is closed or stopped before */

void loop_run(loop *l);  /* until loop_stop */
void loop_stop(loop *l); /* on the loop's thread; ends loop_run after this turn */
/* One turn; waits up to `timeout_ms` (-1: without limit) for something to do. True: there may be more. */
bool loop_step(loop *l, int timeout_ms);
int loop_fd(loop *l);          /* readable when loop_step has work; for a program's own epoll */
int loop_timeout_ms(loop *l);  /* how long until the next timer or deferred work; -1: nothing due */
/* loop_wake may be called from any thread and any signal handler; the function given to loop_on_wake
 * then runs on the loop's thread, once or more for any number of wakes. */
void loop_wake(loop *l);
void loop_on_wake(loop *l, void (*fn)(void *arg), void *arg);

uint64_t loop_now(loop *l); /* clock_mono, cached for this turn; loop_refresh after long work */
void loop_refresh(loop *l);

/* ---- Timers: embedded, no allocation, O(log n); stopping is immediate ---- */

typedef struct timer {
    void (*fn)(void *arg);
    void *arg;
    uint64_t due; /* clock_mono ns */
    size_t slot;  /* place in the heap + 1; 0: not running */
    loop *owner;
} timer;

void timer_init(timer *t, loop *l, void (*fn)(void *arg), void *arg);
void timer_at(timer *t, uint64_t mono_ns);     /* starts, or moves */
void timer_after(timer *t, uint64_t delay_ns);
void timer_stop(timer *t);                     /* fine when not running */
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
/* Level-triggered. `events` may be 0. The descriptor stays the caller's, open until io_close returned. */
weir_code io_open(loop_io **out, loop *l, int fd, void (*fn)(void *arg, int events, int error), void *arg, weir_error *err);
weir_code io_want(loop_io *io, int events);
void io_close(loop_io *io); /* no callback after this; NULL is fine */

/* ---- Workers: blocking work on another thread, the result on the loop ---- */

typedef struct job job;
/* `work` runs on a worker thread, then `done` on the loop's, exactly once. */
weir_code job_start(job **out, loop *l, void (*work)(void *arg), void (*done)(void *arg, bool cancelled), void *arg, weir_error *err);
void job_cancel(job *j); /* if it has not begun: done(cancelled); otherwise it runs to its end */

/* ---- Signals ---- */

typedef struct loop_signal loop_signal;
weir_code signal_open(loop_signal **out, loop *l, int number, void (*fn)(void *arg), void *arg, weir_error *err);
void signal_close(loop_signal *s);

#endif
