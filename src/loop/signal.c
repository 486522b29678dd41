/* Signals, told on the loop's thread. libuv's handler notes them; several deliveries of one signal
 * between two turns may be told as one. */
#include "loop/inside.h"

#include <stdio.h>
#include <stdlib.h>

struct loop_signal {
    uv_signal_t handle;
    void (*fn)(void *arg); /* NULL once closed */
    void *arg;
};

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    loop_signal *s = handle->data;
    if (s->fn)
        s->fn(s->arg);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

weir_code signal_open(loop_signal **out, loop *l, int number, void (*fn)(void *arg), void *arg, weir_error *err)
{
    loop_signal *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "signal %d: out of memory", number);
    int status = uv_signal_init(&l->uv, &s->handle);
    if (status) { /* no handle yet, so nothing to close */
        free(s);
        return uv_failed(err, status, "signals cannot be watched");
    }
    s->handle.data = s;
    s->fn = fn;
    s->arg = arg;
    status = uv_signal_start(&s->handle, on_signal, number);
    if (status) {
        signal_close(s);
        char what[48];
        snprintf(what, sizeof what, "signal %d cannot be watched", number);
        return uv_failed(err, status, what);
    }
    *out = s;
    return WEIR_OK;
}

void signal_close(loop_signal *s)
{
    if (!s || !s->fn)
        return;
    s->fn = NULL;
    uv_close((uv_handle_t *)&s->handle, on_closed);
}
