#include "tests/e2e/e2e.h"

#include <pthread.h>

#include "base/clock.h"

#define PATIENCE 4 /* a machine that does other things, too, is no failure */

struct e2e_venue {
    pthread_t thread;
    loop *loop;
    sim *sim;
    const sim_options *options;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool ready, over;
    weir_error err;
    void (*fn)(sim *s, void *arg);
    void *arg;
};

const char *guest_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "build/guests", name);
    return path;
}

static void on_wake(void *arg)
{
    struct e2e_venue *v = arg;
    pthread_mutex_lock(&v->lock);
    if (v->fn)
        v->fn(v->sim, v->arg);
    v->fn = NULL;
    if (v->over)
        loop_stop(v->loop);
    pthread_cond_broadcast(&v->change);
    pthread_mutex_unlock(&v->lock);
}

static void *serve(void *arg)
{
    struct e2e_venue *v = arg;
    bool up = loop_new(&v->loop, &v->err) == WEIR_OK && sim_new(&v->sim, v->loop, v->options, &v->err) == WEIR_OK;
    if (up)
        loop_on_wake(v->loop, on_wake, v);
    pthread_mutex_lock(&v->lock);
    v->ready = true;
    pthread_cond_broadcast(&v->change);
    pthread_mutex_unlock(&v->lock);
    if (up)
        loop_run(v->loop);
    sim_free(v->sim);
    loop_free(v->loop);
    return NULL;
}

void e2e_open(e2e *e, const sim_options *options)
{
    e2e_open_patient(e, options, 400);
}

void e2e_open_patient(e2e *e, const sim_options *options, uint32_t silence_ms)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    char wss[120], rest[120], history[120];
    const char *overrides[] = {wss, rest, history, NULL};
    *e = (e2e){0};
    if (options) {
        struct e2e_venue *v = e->venue = calloc(1, sizeof *v);
        v->options = options;
        pthread_mutex_init(&v->lock, NULL);
        pthread_cond_init(&v->change, NULL);
        pthread_create(&v->thread, NULL, serve, v);
        pthread_mutex_lock(&v->lock);
        while (!v->ready)
            pthread_cond_wait(&v->change, &v->lock);
        pthread_mutex_unlock(&v->lock);
        if (v->err.code)
            test_fail(__FILE__, __LINE__, "the simulated venue: %s", v->err.text);
        const char *s = options->tls ? "s" : "";
        snprintf(wss, sizeof wss, "wss://wss.woox.io=ws%s://127.0.0.1:%u", s, sim_port(v->sim));
        snprintf(rest, sizeof rest, "https://api.woox.io=http%s://127.0.0.1:%u", s, sim_port(v->sim));
        snprintf(history, sizeof history, "https://api-pub.woox.io=http%s://127.0.0.1:%u", s, sim_port(v->sim));
        o.overrides = overrides;
        o.ca_file = sim_ca_file(v->sim);
    }
    o.backoff_min_ms = 20;
    o.backoff_max_ms = 100;
    o.max_instances = 64;
    o.silence_ms = silence_ms;
    CHECK_OK(weir_host_new(&e->host, &o, &err));
}

void e2e_close(e2e *e)
{
    weir_host_free(e->host);
    if (!e->venue)
        return;
    struct e2e_venue *v = e->venue;
    pthread_mutex_lock(&v->lock);
    v->over = true;
    pthread_mutex_unlock(&v->lock);
    loop_wake(v->loop);
    pthread_join(v->thread, NULL);
    pthread_mutex_destroy(&v->lock);
    pthread_cond_destroy(&v->change);
    free(v);
}

void e2e_on_venue(e2e *e, void (*fn)(sim *s, void *arg), void *arg)
{
    struct e2e_venue *v = e->venue;
    pthread_mutex_lock(&v->lock);
    v->fn = fn;
    v->arg = arg;
    loop_wake(v->loop);
    while (v->fn)
        pthread_cond_wait(&v->change, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

static void set_fault(sim *s, void *arg)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(sim_fault(s, arg, &err));
}

void e2e_fault(e2e *e, const char *list)
{
    e2e_on_venue(e, set_fault, (void *)(uintptr_t)list);
}

void e2e_until(e2e *e, bool (*done)(void *arg), void *arg, double seconds, const char *what)
{
    uint64_t until = clock_mono() + (uint64_t)(seconds * PATIENCE * 1e9);
    while (!done(arg)) {
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "%s has not happened in %.0f s", what, seconds);
        weir_host_step(e->host, 50);
    }
}
