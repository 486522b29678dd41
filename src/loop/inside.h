/* inside.h: what the files of this folder share. Nobody else includes it. */
#ifndef LOOP_INSIDE_H
#define LOOP_INSIDE_H

#include <uv.h>

#include "loop/loop.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t alarm; /* bounds one wait; the timers of loop.h lie in our own heap */
    void (*on_wake)(void *arg);
    void *on_wake_arg;
    list deferred;
    list jobs;
    timer *timers; /* root of the heap: the next one due */
    uint64_t timer_order;
    uint64_t now; /* valid if now_known */
    bool now_known;
    bool in_turn;
    bool stopping;
};

bool timers_fire(loop *l); /* did any? */
/* Milliseconds until the next timer, rounded up so that waiting as long makes it due; -1: none runs. */
int timers_wait_ms(loop *l);

/* WEIR_SYSTEM with libuv's words for its negative errno. */
weir_code uv_failed(weir_error *err, int status, const char *what);

#endif
