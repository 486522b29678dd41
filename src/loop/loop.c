/* The loop: one libuv loop, turned by hand.
 *
 * A turn is: what was deferred, due timers, then one uv_run that waits for descriptors and runs
 * their callbacks. Deferred work and timers are ours, since they need no allocation, can be
 * cancelled at once, and follow base/clock, which tests replace. libuv waits, so all that bounds
 * its waiting is counted in loop_timeout_ms; a program with its own epoll reads the same number.
 * What can go wrong: only loop_new fails (no descriptors, no memory). */
#include "loop/inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

weir_code uv_failed(weir_error *err, int status, const char *what)
{
    return error_set(err, status == UV_ENOMEM ? WEIR_NOMEM : WEIR_SYSTEM, "%s: %s", what, uv_strerror(status));
}

static void on_async(uv_async_t *handle)
{
    loop *l = handle->data;
    if (l->on_wake)
        l->on_wake(l->on_wake_arg);
}

static void on_alarm(uv_timer_t *handle)
{
    (void)handle; /* it has ended the wait, which is all it is for */
}

/* libuv makes a pipe for signals within the first loop, and ends the process if it cannot. So descriptors
 * for it and what comes before it are tried here first. */
static weir_code try_descriptors(weir_error *err)
{
    int ends[2][2], made = 0;
    while (made < 2 && pipe2(ends[made], O_CLOEXEC) == 0)
        made++;
    weir_code code = made == 2 ? WEIR_OK : error_set(err, WEIR_SYSTEM, "event loop: %s", uv_strerror(-errno));
    while (made--) {
        close(ends[made][0]);
        close(ends[made][1]);
    }
    return code;
}

weir_code loop_new(loop **out, weir_error *err)
{
    weir_code code = try_descriptors(err);
    if (code)
        return code;
    loop *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, WEIR_NOMEM, "event loop: out of memory");
    list_init(&l->deferred);
    list_init(&l->jobs);
    int status = uv_loop_init(&l->uv);
    if (status) {
        free(l);
        return uv_failed(err, status, "event loop");
    }
    status = uv_async_init(&l->uv, &l->wake, on_async);
    if (status) {
        uv_loop_close(&l->uv);
        free(l);
        return uv_failed(err, status, "event loop");
    }
    l->wake.data = l;
    uv_timer_init(&l->uv, &l->alarm);
    uv_run(&l->uv, UV_RUN_NOWAIT); /* tells the kernel of `wake`, so that loop_fd is complete */
    *out = l;
    return WEIR_OK;
}

void loop_free(loop *l)
{
    if (!l)
        return;
    assert(!l->in_turn);
    for (list_node *n = l->jobs.head.next, *next; n != &l->jobs.head; n = next) {
        next = n->next;
        job_cancel((job *)n); /* the node is its first member (worker.c) */
    }
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->alarm, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* until closing handles and running jobs are gone */
    int status = uv_loop_close(&l->uv);
    assert(status == 0); /* else something was not closed before */
    (void)status;
    free(l);
}

uint64_t loop_now(loop *l)
{
    if (!l->in_turn)
        return clock_mono();
    if (!l->now_known)
        loop_refresh(l);
    return l->now;
}

void loop_refresh(loop *l)
{
    l->now = clock_mono();
    l->now_known = true;
}

void defer(loop *l, deferred *d)
{
    if (!list_linked(&d->node))
        list_push(&l->deferred, &d->node);
}

void defer_cancel(deferred *d)
{
    list_remove(&d->node);
}

/* Runs what waits now; what is deferred meanwhile lands behind `end` and waits for the next turn. */
static bool run_deferred(loop *l)
{
    if (list_empty(&l->deferred))
        return false;
    list_node end = {NULL, NULL};
    list_push(&l->deferred, &end);
    for (list_node *n; (n = list_pop(&l->deferred)) != &end;) {
        deferred *d = LIST_OWNER(n, deferred, node);
        d->fn(d->arg);
    }
    return true;
}

int loop_timeout_ms(loop *l)
{
    if (!list_empty(&l->deferred) || uv_backend_timeout(&l->uv) == 0)
        return 0;
    return timers_wait_ms(l);
}

static void poll_descriptors(loop *l, int wait_ms)
{
    int due_ms = loop_timeout_ms(l);
    if (due_ms >= 0 && (wait_ms < 0 || due_ms < wait_ms))
        wait_ms = due_ms;
    l->now_known = false; /* the wait takes time */
    if (wait_ms > 0) {
        /* Repeating, since uv_run fires what is due before it polls: where this thread lost the CPU for
         * longer than the wait, a single alarm would be spent by then and the poll had no end. */
        uv_update_time(&l->uv);
        uv_timer_start(&l->alarm, on_alarm, (uint64_t)wait_ms, (uint64_t)wait_ms);
    }
    uv_run(&l->uv, wait_ms ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_timer_stop(&l->alarm);
}

/* `forever`: wait though something has run already; loop_run has nobody to come back to. */
static void turn(loop *l, int wait_ms, bool forever)
{
    assert(!l->in_turn);
    l->in_turn = true;
    l->now_known = false;
    bool ran = run_deferred(l);
    ran |= timers_fire(l);
    poll_descriptors(l, l->stopping || (ran && !forever) ? 0 : wait_ms);
    l->in_turn = false;
}

bool loop_step(loop *l, int timeout_ms)
{
    turn(l, timeout_ms, false);
    return loop_timeout_ms(l) == 0;
}

void loop_run(loop *l)
{
    while (!l->stopping)
        turn(l, -1, true);
    l->stopping = false;
}

void loop_stop(loop *l)
{
    l->stopping = true;
}

int loop_fd(loop *l)
{
    return uv_backend_fd(&l->uv);
}

void loop_wake(loop *l)
{
    int saved = errno; /* a signal handler may be what calls */
    uv_async_send(&l->wake);
    errno = saved;
}

void loop_on_wake(loop *l, void (*fn)(void *arg), void *arg)
{
    l->on_wake = fn;
    l->on_wake_arg = arg;
}
