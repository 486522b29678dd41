/* A descriptor that never makes us wait.
 *
 * Whether write() waits is a property of the open file description, and that of stdout is shared with
 * the shell and whoever else writes there: switching it would break them. So a pipe or a terminal is
 * opened again by /proc/self/fd, which gives a description of our own. Where that is refused (another
 * user's terminal), poll() says whether there is room, and then PIPE_BUF octets go without waiting. A
 * socket has MSG_DONTWAIT. Files are written as they are: the page cache takes it.
 *
 * What can go wrong: the reader leaves (EPIPE, without a SIGPIPE to the process), the disk is full. */
#include "sink/sink_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_code refuse(weir_error *err, const outlet *o, const char *doing, int error)
{
    char text[128];
    const char *cause = strerror_r(error, text, sizeof text);
    return error_set(err, WEIR_SYSTEM, "'%s': %s: %s", o->name, doing, cause);
}

static weir_code open_path(outlet *o, const char *path, bool append, weir_error *err)
{
    /* O_NONBLOCK: a FIFO without a reader must not keep us waiting. */
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (append ? O_APPEND : O_TRUNC);

    o->fd = open(path, flags, 0666);
    if (o->fd < 0 && errno == ENXIO)
        return error_set(err, WEIR_SYSTEM, "'%s': nobody reads this FIFO; start its reader first", o->name);
    if (o->fd < 0)
        return refuse(err, o, "cannot be opened for writing", errno);
    o->ours = true;
    return WEIR_OK;
}

/* A description of our own for the same pipe or terminal. */
static bool open_again(outlet *o)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (o->ours)
        close(o->fd);
    o->fd = fd;
    o->ours = true;
    return true;
}

static weir_code choose_way(outlet *o, weir_error *err)
{
    struct stat info;
    int flags = fcntl(o->fd, F_GETFL);

    if (flags < 0 || fstat(o->fd, &info))
        return refuse(err, o, "cannot be written to", errno);
    if ((flags & O_ACCMODE) == O_RDONLY)
        return error_set(err, WEIR_SYSTEM, "'%s': is open for reading only", o->name);
    o->terminal = S_ISCHR(info.st_mode) && isatty(o->fd);
    if (S_ISSOCK(info.st_mode))
        o->way = OUTLET_SOCKET;
    else if (!S_ISFIFO(info.st_mode) && !o->terminal)
        o->way = OUTLET_PLAIN;
    else if (flags & O_NONBLOCK || open_again(o))
        o->way = OUTLET_NONBLOCK;
    else
        o->way = OUTLET_POLLED;
    return WEIR_OK;
}

weir_code outlet_open(outlet *o, const sink_options *options, weir_error *err)
{
    const char *path = options->path;
    bool standard = path ? strcmp(path, "-") == 0 : options->fd < 0;

    *o = (outlet){.fd = path ? 1 : options->fd < 0 ? 1
                                                   : options->fd};
    if (standard)
        snprintf(o->name, sizeof o->name, "stdout");
    else if (path)
        snprintf(o->name, sizeof o->name, "%s", path);
    else
        snprintf(o->name, sizeof o->name, "descriptor %d", options->fd);
    if (path && !standard && open_path(o, path, options->append, err))
        return err ? err->code : WEIR_SYSTEM;
    if (choose_way(o, err)) {
        outlet_close(o);
        return err ? err->code : WEIR_SYSTEM;
    }
    return WEIR_OK;
}

void outlet_close(outlet *o)
{
    if (o->ours)
        close(o->fd);
    o->ours = false;
    o->fd = -1;
}

/* write() that answers EPIPE without the signal, whatever the program does with SIGPIPE. */
static ssize_t write_quietly(int fd, const void *at, size_t len)
{
    const struct timespec now = {0, 0};
    sigset_t pipe_only, before, pending;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = write(fd, at, len);
    int error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

static ssize_t write_some(outlet *o, bytes from)
{
    struct pollfd room = {.fd = o->fd, .events = POLLOUT};

    switch (o->way) {
    case OUTLET_PLAIN:
    case OUTLET_NONBLOCK:
        break;
    case OUTLET_SOCKET:
        return send(o->fd, from.at, from.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case OUTLET_POLLED:
        if (poll(&room, 1, 0) <= 0) {
            errno = EAGAIN;
            return -1;
        }
        if (from.len > PIPE_BUF)
            from.len = PIPE_BUF;
        break;
    }
    return write_quietly(o->fd, from.at, from.len);
}

ssize_t outlet_write(outlet *o, bytes from, weir_error *why)
{
    ssize_t n;

    do
        n = write_some(o, from);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        error_set(why, WEIR_CLOSED, "'%s': its reader has gone", o->name);
    else
        refuse(why, o, "cannot be written to", errno);
    return -1;
}
