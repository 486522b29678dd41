/* Descriptors: uv_poll behind loop_io.
 *
 * Closing is what needs care: libuv gives the handle back a turn later, so the memory goes then,
 * while the callback is forgotten at once. */
#include "loop/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct loop_io {
    uv_poll_t poll;
    void (*fn)(void *arg, int events, int error); /* NULL once closed */
    void *arg;
    int wanted;
};

static void on_poll(uv_poll_t *handle, int status, int events)
{
    loop_io *io = handle->data;
    if (!io->fn)
        return;
    if (status < 0) { /* libuv has stopped it, and hides the cause behind EBADF */
        int wanted = io->wanted;
        io->wanted = 0;
        io->fn(io->arg, wanted, EIO);
        return;
    }
    int seen = (events & UV_READABLE ? IO_READ : 0) | (events & UV_WRITABLE ? IO_WRITE : 0);
    io->fn(io->arg, seen, 0);
}

weir_code io_open(loop_io **out, loop *l, int fd, void (*fn)(void *arg, int events, int error), void *arg, weir_error *err)
{
    loop_io *io = calloc(1, sizeof *io);
    if (!io)
        return error_set(err, WEIR_NOMEM, "descriptor %d: out of memory", fd);
    int status = uv_poll_init(&l->uv, &io->poll, fd);
    if (status) {
        free(io);
        char what[48];
        snprintf(what, sizeof what, "descriptor %d cannot be watched", fd);
        return uv_failed(err, status, what);
    }
    io->poll.data = io;
    io->fn = fn;
    io->arg = arg;
    *out = io;
    return WEIR_OK;
}

weir_code io_want(loop_io *io, int events)
{
    if (events == io->wanted)
        return WEIR_OK;
    int mask = (events & IO_READ ? UV_READABLE : 0) | (events & IO_WRITE ? UV_WRITABLE : 0);
    int status = mask ? uv_poll_start(&io->poll, mask, on_poll) : uv_poll_stop(&io->poll);
    if (status)
        return WEIR_SYSTEM;
    io->wanted = events;
    return WEIR_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void io_close(loop_io *io)
{
    if (!io || !io->fn)
        return;
    io->fn = NULL;
    uv_close((uv_handle_t *)&io->poll, on_closed);
}
