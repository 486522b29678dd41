/* Records as datagrams: udp://HOST:PORT[?max=65507], one for each, its line without the newline.
 *
 * Nobody acknowledges a datagram: a record is written when the kernel took it, may be lost on its way and may come out of
 * order, which its seq tells. One that does not fit into a datagram is lost here, and counted. Where the other end's machine
 * says that nobody listens (ICMP), the datagram before was lost; then we wait as for any end that is away. */
#include "sink/courier.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 65507 /* of IPv4, less heads */

typedef struct udp {
    spec spec;
    uint64_t max;
    int fd;
} udp;

static weir_code udp_connect(void *remote, courier *c, weir_error *err)
{
    udp *u = remote;
    char port[8];
    struct addrinfo wanted = {.ai_socktype = SOCK_DGRAM}, *found = NULL;

    (void)c;
    snprintf(port, sizeof port, "%u", u->spec.port);
    int failed = getaddrinfo(u->spec.host, port, &wanted, &found);
    if (failed)
        return error_set(err, WEIR_NETWORK, "the name cannot be looked up: %s", gai_strerror(failed));
    for (struct addrinfo *a = found; a && u->fd < 0; a = a->ai_next) {
        u->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (u->fd >= 0 && connect(u->fd, a->ai_addr, a->ai_addrlen)) {
            error_set(err, WEIR_NETWORK, "cannot be reached: %s", strerror(errno));
            close(u->fd);
            u->fd = -1;
        } else if (u->fd < 0) {
            error_set(err, WEIR_SYSTEM, "no socket: %s", strerror(errno));
        }
    }
    freeaddrinfo(found);
    return u->fd < 0 ? err->code : WEIR_OK;
}

static void udp_disconnect(void *remote)
{
    udp *u = remote;

    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

static weir_code refuse(int error, weir_error *err)
{
    if (error == ECONNREFUSED)
        return error_set(err, WEIR_NETWORK, "nobody listens there; the datagram before is lost");
    return error_set(err, WEIR_NETWORK, "cannot be sent to: %s", strerror(error));
}

static weir_code udp_send(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err)
{
    udp *u = remote;

    for (size_t i = 0; i < count; i++) {
        const parcel *p = &parcels[i];
        ssize_t n = -1;
        if (p->line.len <= u->max) {
            do
                n = send(u->fd, p->line.at, p->line.len, MSG_NOSIGNAL);
            while (n < 0 && errno == EINTR);
        } else {
            errno = EMSGSIZE;
        }
        if (n >= 0)
            courier_done(c, p->number, false);
        else if (errno == EMSGSIZE)
            courier_lost(c, p->number, "%.100s: %zu octets do not fit into a datagram", p->topic.at, p->line.len);
        else
            return refuse(errno, err);
    }
    return WEIR_OK;
}

static weir_code udp_hear(void *remote, courier *c, int wait_ms, weir_error *err)
{
    udp *u = remote;
    int error = 0;
    socklen_t len = sizeof error;

    (void)c;
    (void)wait_ms;
    return getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error ? refuse(error, err) : WEIR_OK;
}

static weir_code udp_open(sink **out, const sink_options *options, weir_error *err)
{
    static const remote_ops way = {udp_connect, udp_send, udp_hear, udp_disconnect, free};
    static const char *const names[] = {"max", COURIER_OPTIONS, NULL};
    static const spec_rules rules = {.scheme = "udp", .options = names};
    weir_error own = WEIR_ERROR_INIT;
    courier_options c;
    udp *u = calloc(1, sizeof *u);

    err = err ? err : &own;
    if (!u)
        return error_set(err, WEIR_NOMEM, "out of memory");
    u->fd = -1;
    u->max = DATAGRAM_MAX;
    if (spec_read(&u->spec, &rules, options->path ? options->path : "", err) || courier_read_options(&c, &u->spec, err) ||
        spec_number(&u->spec, "max", 64, DATAGRAM_MAX, &u->max, err)) {
        free(u);
        return err->code;
    }
    return courier_open(out, &sink_udp_ops, u, &way, &c, err);
}

const sink_ops sink_udp_ops = {
    .name = "udp",
    .help = "one datagram for each record: udp://HOST:PORT",
    .open = udp_open,
    COURIER_SINK,
};
