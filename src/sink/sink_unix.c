/* Records as lines into a Unix socket: unix:PATH, a stream; "@NAME" is one without a file.
 *
 * A record is written when the kernel took its last octet. When the reader goes away, what it had not read of that is lost
 * with it, nobody can say how much: that is for the reader to notice by seq. A line of which only a piece went is sent again
 * whole. A reader that reads nothing is back-pressure. */
#include "sink/courier.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define STUCK_MS 100 /* between two looks whether we are to leave */
#define PIECES 64

typedef struct unix_way {
    spec spec;
    struct sockaddr_un address;
    socklen_t address_len;
    int fd;
} unix_way;

static weir_code unix_connect(void *remote, courier *c, weir_error *err)
{
    unix_way *u = remote;

    (void)c;
    u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0)
        return error_set(err, WEIR_SYSTEM, "no socket: %s", strerror(errno));
    if (connect(u->fd, (struct sockaddr *)&u->address, u->address_len))
        return error_set(err, WEIR_NETWORK, errno == ECONNREFUSED ? "nobody listens on this socket (%s)" : "cannot be reached: %s", strerror(errno));
    return WEIR_OK;
}

static void unix_disconnect(void *remote)
{
    unix_way *u = remote;

    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

static weir_code lost(weir_error *err)
{
    return errno == EPIPE || errno == ECONNRESET ? error_set(err, WEIR_NETWORK, "its reader has gone") : error_set(err, WEIR_NETWORK, "cannot be written to: %s", strerror(errno));
}

/* What the kernel takes of some lines; waits a little if it takes nothing. */
static ssize_t write_some(unix_way *u, const parcel *parcels, size_t count, size_t skip)
{
    struct iovec pieces[PIECES];
    struct msghdr message = {.msg_iov = pieces};
    struct pollfd room = {.fd = u->fd, .events = POLLOUT};

    for (size_t i = 0; i < count && i < PIECES; i++)
        pieces[message.msg_iovlen++] = (struct iovec){(char *)parcels[i].line.at + (i ? 0 : skip), parcels[i].line.len + 1 - (i ? 0 : skip)};
    ssize_t n = sendmsg(u->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        poll(&room, 1, STUCK_MS);
        return 0;
    }
    return n;
}

static weir_code unix_send(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err)
{
    unix_way *u = remote;

    for (size_t at = 0, skip = 0; at < count;) {
        ssize_t n = write_some(u, parcels + at, count - at, skip);
        if (n < 0)
            return lost(err);
        if (n == 0 && courier_leaving(c))
            return error_set(err, WEIR_CANCELLED, "its reader reads nothing");
        for (skip += (size_t)n; at < count && skip > parcels[at].line.len; at++) {
            skip -= parcels[at].line.len + 1;
            courier_done(c, parcels[at].number, false);
        }
    }
    return WEIR_OK;
}

/* What a reader says is passed over; that it went is not. */
static weir_code unix_hear(void *remote, courier *c, int wait_ms, weir_error *err)
{
    unix_way *u = remote;
    char piece[512];
    ssize_t n;

    (void)c;
    (void)wait_ms;
    while ((n = recv(u->fd, piece, sizeof piece, MSG_DONTWAIT)) > 0)
        ;
    if (n == 0)
        return error_set(err, WEIR_NETWORK, "its reader has gone");
    return errno == EAGAIN || errno == EINTR ? WEIR_OK : lost(err);
}

static weir_code set_address(unix_way *u, weir_error *err)
{
    size_t len = strlen(u->spec.path);

    u->address.sun_family = AF_UNIX;
    if (!len || len >= sizeof u->address.sun_path)
        return error_set(err, WEIR_INVALID, "'%s': expected unix:PATH, of a socket, of at most %zu characters", u->spec.shown, sizeof u->address.sun_path - 1);
    memcpy(u->address.sun_path, u->spec.path, len);
    u->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (*u->spec.path == '@') {
        u->address.sun_path[0] = '\0';
        u->address_len--;
    }
    return WEIR_OK;
}

static weir_code unix_open(sink **out, const sink_options *options, weir_error *err)
{
    static const remote_ops way = {unix_connect, unix_send, unix_hear, unix_disconnect, free};
    static const char *const names[] = {COURIER_OPTIONS, NULL};
    static const spec_rules rules = {.scheme = "unix", .options = names};
    weir_error own = WEIR_ERROR_INIT;
    courier_options c;
    unix_way *u = calloc(1, sizeof *u);

    err = err ? err : &own;
    if (!u)
        return error_set(err, WEIR_NOMEM, "out of memory");
    u->fd = -1;
    if (spec_read_path(&u->spec, &rules, options->path ? options->path : "", err) || set_address(u, err) || courier_read_options(&c, &u->spec, err)) {
        free(u);
        return err->code;
    }
    return courier_open(out, &sink_unix_ops, u, &way, &c, err);
}

const sink_ops sink_unix_ops = {
    .name = "unix",
    .help = "lines into a Unix socket: unix:PATH",
    .open = unix_open,
    COURIER_SINK,
};
