/* Time limits and cancelling.
 *
 * A call has a number while it runs. To stop it, its number is written down and the engine ticked: the guest asks at
 * its next loop or function, finds its own number, and ends; all others go on. A guest that sleeps is woken. So
 * nothing is remembered for the next call, and no plugin is hit by what was meant for another.
 *
 * One thread of the process watches the calls that have a limit; it starts with the first of them. */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "libextism/inside.h"

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t watch_wake;
static stop *watched;
static bool watching;

static void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Until `deadline`, or for a minute where that is nearer. */
static void cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline)
{
    uint64_t now = clock_mono(), most = now + 60 * NS_PER_S;
    uint64_t until = deadline < most ? deadline : most;
    struct timespec t = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
    pthread_cond_timedwait(c, m, &t);
}

void stop_init(stop *s, engine *e)
{
    *s = (stop){.engine = e, .deadline = UINT64_MAX};
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->wake);
}

void stop_fini(stop *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
}

static void stop_it(stop *s, unsigned number)
{
    atomic_store(&s->stopped, number);
    engine_tick(s->engine);
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* ---- Limits ---- */

static void watch_cut(stop *s)
{
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        watched = s->next;
    s->next = s->prev = NULL;
    s->deadline = UINT64_MAX;
}

static void *watch(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&watch_lock);
    for (;;) {
        uint64_t now = clock_mono(), first = UINT64_MAX;
        for (stop *s = watched, *next; s; s = next) {
            next = s->next;
            if (s->deadline <= now) {
                watch_cut(s);
                stop_it(s, s->last);
            } else if (s->deadline < first) {
                first = s->deadline;
            }
        }
        cond_wait_until(&watch_wake, &watch_lock, first);
    }
    return NULL;
}

/* With every signal blocked, since they are the program's. */
static bool watch_start(void)
{
    pthread_t thread;
    sigset_t all, before;
    if (watching)
        return true;
    cond_init(&watch_wake);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watching = pthread_create(&thread, NULL, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (watching)
        pthread_detach(thread);
    return watching;
}

static bool watch_add(stop *s, uint64_t timeout_ms)
{
    uint64_t now = clock_mono();
    pthread_mutex_lock(&watch_lock);
    bool started = watch_start();
    if (started) {
        s->deadline = timeout_ms < (UINT64_MAX - now) / NS_PER_MS ? now + timeout_ms * NS_PER_MS : UINT64_MAX - 1;
        s->next = watched;
        s->prev = NULL;
        if (watched)
            watched->prev = s;
        watched = s;
        pthread_cond_signal(&watch_wake);
    }
    pthread_mutex_unlock(&watch_lock);
    return started;
}

/* ---- A call ---- */

bool stop_begin(stop *s, uint64_t timeout_ms)
{
    if (++s->last == 0)
        s->last = 1;
    atomic_store_explicit(&s->running, s->last, memory_order_release);
    if (timeout_ms == 0)
        stop_it(s, s->last);
    s->limited = timeout_ms != 0 && timeout_ms != MANIFEST_NO_LIMIT;
    return !s->limited || watch_add(s, timeout_ms);
}

void stop_end(stop *s)
{
    atomic_store_explicit(&s->running, 0, memory_order_release);
    if (!s->limited)
        return;
    pthread_mutex_lock(&watch_lock);
    if (s->deadline != UINT64_MAX)
        watch_cut(s);
    pthread_mutex_unlock(&watch_lock);
}

bool stop_sleep(stop *s, uint64_t deadline)
{
    pthread_mutex_lock(&s->lock);
    while (!stop_asked(s) && clock_mono() < deadline)
        cond_wait_until(&s->wake, &s->lock, deadline);
    pthread_mutex_unlock(&s->lock);
    return !stop_asked(s);
}

const ExtismCancelHandle *extism_plugin_cancel_handle(const ExtismPlugin *plugin)
{
    return plugin ? &plugin->stop : NULL;
}

bool extism_plugin_cancel(const ExtismCancelHandle *handle)
{
    stop *s = (stop *)(uintptr_t)handle;
    if (!s)
        return false;
    unsigned number = atomic_load(&s->running);
    if (number)
        stop_it(s, number);
    return true;
}
