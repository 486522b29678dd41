/* The listener, and what all its connections have in common: they are accepted, have turns, end.
 *
 * A turn is one call from the loop: octets are read and handed on (server_http.c until an upgrade,
 * server_ws.c after it), then conn_settle writes what the handlers have queued, in one write as far
 * as the peer takes it, and closes what has to be closed. Sends from outside a turn ask for one.
 *
 * What can go wrong: the peer is slow (a deadline for each request, one for each unread reply),
 * floods us (parsing pauses while an answer is owed or unread), or vanishes (on_gone, on_close). Out of
 * descriptors, accepting rests for 100 ms and the rest goes on. */
#include "net/server_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 8 /* then the others have theirs */

/* ---- Connections ---- */

static uint64_t idle_ns(const conn *c)
{
    return c->server->options.idle_ms * NS_PER_MS;
}

static void conn_free(conn *c)
{
    timer_stop(&c->deadline);
    timer_stop(&c->pace);
    defer_cancel(&c->turn);
    list_remove(&c->node);
    c->server->conn_count--;
    io_close(c->io);
    c->io = NULL;
    c->failed = true; /* what on_close may still send goes nowhere */
    if (c->ws)
        socket_gone(c);
    http_gone(c);
    defer_cancel(&c->turn);
    if (c->ssl) {
        SSL_free(c->ssl);
        ERR_clear_error();
    }
    close(c->fd);
    buf_fini(&c->out);
    buf_fini(&c->in);
    free(c);
}

void conn_turn_later(conn *c)
{
    if (!c->busy && c->io)
        defer(c->server->loop, &c->turn);
}

size_t conn_queued(const conn *c)
{
    return c->out.len - c->out_at + (c->ws ? socket_output(c).len : 0);
}

/* The next octets to send: HTTP's own come before the WebSocket's. */
static bytes conn_next_out(const conn *c)
{
    if (c->out_at < c->out.len)
        return bytes_make(c->out.at + c->out_at, c->out.len - c->out_at);
    return c->ws ? socket_output(c) : bytes_make(NULL, 0);
}

bool conn_flush(conn *c)
{
    bool moved = false;
    for (bytes next = conn_next_out(c); next.len && !c->failed && !c->pacing; next = conn_next_out(c)) {
        if (c->pace_octets && next.len > c->pace_octets)
            next.len = c->pace_octets;
        long n = server_tls_write(c, next.at, next.len);
        if (n == TRANSPORT_FAILED)
            c->failed = true;
        if (n < 0)
            break;
        if (c->out_at < c->out.len)
            c->out_at += (size_t)n;
        else
            socket_consume(c, (size_t)n);
        moved = true;
        if (c->pace_octets) {
            c->pacing = true;
            timer_after(&c->pace, c->pace_ns);
        }
    }
    if (c->out_at == c->out.len) {
        if (c->out.cap > 4 * SERVER_FLUSH_AT || (c->ws && c->out.cap)) { /* one large reply does not stay */
            buf_fini(&c->out);
            buf_init(&c->out, SERVER_OUT_MAX);
        }
        buf_clear(&c->out);
        c->out_at = 0;
    } else if (c->out_at > SERVER_FLUSH_AT && c->out_at > c->out.len / 2) {
        buf_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
    if (moved && !c->ws && (!c->request || c->streaming) && !c->lingering)
        timer_after(&c->deadline, idle_ns(c));
    if (c->streaming && conn_queued(c) == 0)
        timer_stop(&c->deadline); /* silent is its maker, not the peer */
    return conn_queued(c) == 0;
}

/* All is said: the peer is told so, and what it still sends is thrown away for a moment. Closing at
 * once would reset the connection and take the last reply with it. */
static void conn_linger(conn *c)
{
    if (c->ws)
        socket_gone(c);
    server_tls_goodbye(c);
    c->lingering = true;
    c->linger_until = loop_now(c->server->loop) + SERVER_LINGER_MAX_NS;
    timer_after(&c->deadline, SERVER_LINGER_NS);
}

/* A peer that sends a large body to its end before it looks at the answer has time for that, but not for ever. */
static void conn_linger_on(conn *c)
{
    if (loop_now(c->server->loop) >= c->linger_until)
        c->failed = true;
    else
        timer_after(&c->deadline, SERVER_LINGER_NS);
}

static bool conn_reads(const conn *c)
{
    if (c->eof || c->stalled || (c->closing && !c->lingering))
        return false;
    if (c->lingering || c->ws)
        return true;
    return c->in.len < SERVER_WAITING_MAX && conn_queued(c) < SERVER_OUT_PAUSE;
}

/* Ends a turn. Sending what is queued comes first, so that a reply and a hang-up in one turn both
 * arrive; a peer that has closed its side gets no more than what was ready by then. */
void conn_settle(conn *c)
{
    if (c->out.failed)
        c->failed = true;
    bool owed = conn_queued(c) > 0;
    bool sent = c->stalled || c->failed ? false : conn_flush(c);
    if (sent && owed && c->ws && !c->failed)
        socket_sent(c);
    if (sent && owed && c->streaming && !c->failed)
        http_sent(c);
    if (sent && c->in.len && !c->ws && !c->closing && !c->request)
        conn_turn_later(c); /* parsing had paused for the reply to go */
    if (!c->failed && sent && conn_queued(c) == 0 && !c->lingering && (c->closing || (c->eof && !c->ws && !c->request && !c->in.len)))
        conn_linger(c);
    if (c->failed || (c->eof && c->lingering)) {
        conn_free(c);
        return;
    }
    int want = conn_reads(c) ? IO_READ : 0;
    if (!c->stalled && ((conn_queued(c) && !c->pacing) || c->read_wants_write))
        want |= IO_WRITE;
    if (io_want(c->io, want))
        conn_free(c);
}

/* The peer will send no more. A request still unanswered has nobody waiting for it; a WebSocket
 * without its closing handshake is gone. */
static void conn_on_eof(conn *c)
{
    c->eof = true;
    if (c->closing)
        return; /* what is queued may still be wanted */
    if (c->ws || c->request || (c->ssl && !SSL_is_init_finished(c->ssl)))
        c->failed = true;
}

static void conn_read(conn *c)
{
    char *scratch = c->server->scratch;
    for (int i = 0; i < READS_PER_TURN && conn_reads(c) && !c->failed; i++) {
        bool socket = c->ws && !c->closing && !c->lingering;
        c->heard = loop_now(c->server->loop);
        long n = socket ? socket_read(c) : server_tls_read(c, scratch, SERVER_SCRATCH);
        if (n == TRANSPORT_AGAIN)
            return;
        if (n == TRANSPORT_FAILED) {
            c->failed = true;
            return;
        }
        if (n == 0) {
            conn_on_eof(c);
            return;
        }
        if (c->lingering)
            conn_linger_on(c);
        else if (!socket && !c->ws)
            http_feed(c, scratch, (size_t)n);
        if (!c->ssl && n < (long)SERVER_SCRATCH)
            return; /* emptied, most likely; the loop tells if not */
    }
    if (c->ssl && SSL_pending(c->ssl))
        defer(c->server->loop, &c->turn); /* TLS holds octets that the descriptor will not tell of */
}

static void conn_on_io(void *arg, int events, int error)
{
    conn *c = arg;
    (void)error; /* reading tells the cause */
    c->busy = true;
    if (events & IO_READ || c->read_wants_write)
        conn_read(c);
    c->busy = false;
    conn_settle(c);
}

static void conn_on_turn(void *arg)
{
    conn *c = arg;
    c->busy = true;
    if (!c->ws && !c->closing && !c->failed && c->in.len)
        http_resume(c);
    if (c->ssl && SSL_pending(c->ssl) && conn_reads(c) && !c->failed)
        conn_read(c);
    c->busy = false;
    conn_settle(c);
}

static void conn_on_deadline(void *arg)
{
    conn *c = arg;
    c->busy = true;
    if (c->lingering)
        c->failed = true;
    else if (c->ws)
        socket_late(c);
    else
        http_late(c);
    c->busy = false;
    conn_settle(c);
}

static void conn_on_pace(void *arg)
{
    conn *c = arg;
    c->pacing = false;
    conn_settle(c);
}

static void name_peer(conn *c, const struct sockaddr_storage *from)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(c->peer, sizeof c->peer, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(c->peer, sizeof c->peer, "%s:%u", host, ntohs(four->sin_port));
    }
}

/* Takes over a fresh descriptor; closes it when there is no memory for it. */
static void conn_new(server *s, int fd, const struct sockaddr_storage *from)
{
    conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (s->options.unsent_octets)
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &s->options.unsent_octets, sizeof s->options.unsent_octets);
    c->server = s;
    c->fd = fd;
    buf_init(&c->out, SERVER_OUT_MAX);
    buf_init(&c->in, 2 * (SERVER_WAITING_MAX + SERVER_SCRATCH));
    timer_init(&c->deadline, s->loop, conn_on_deadline, c);
    timer_init(&c->pace, s->loop, conn_on_pace, c);
    c->turn.fn = conn_on_turn;
    c->turn.arg = c;
    name_peer(c, from);
    list_push(&s->conns, &c->node);
    s->conn_count++;
    http_begin(c);
    if (io_open(&c->io, s->loop, fd, conn_on_io, c, NULL) || (s->tls && !server_tls_secure(c)) || io_want(c->io, IO_READ)) {
        conn_free(c);
        return;
    }
    timer_after(&c->deadline, idle_ns(c));
}

/* Out of room: the connection that has been open longest without asking anything goes. */
static bool server_make_room(server *s)
{
    for (list_node *n = s->conns.head.next; n != &s->conns.head; n = n->next) {
        conn *c = LIST_OWNER(n, conn, node);
        if (c->request || c->ws || c->busy || conn_queued(c))
            continue;
        conn_free(c);
        return true;
    }
    return false;
}

/* ---- The listener ---- */

static void server_on_accept(void *arg, int events, int error)
{
    server *s = arg;
    (void)events, (void)error;
    for (int i = 0; i < 64; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        int fd = accept4(s->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                io_want(s->io, 0);
                timer_after(&s->accept_again, 100 * NS_PER_MS);
            }
            return;
        }
        if (s->conn_count >= s->options.max_connections && !server_make_room(s))
            close(fd);
        else
            conn_new(s, fd, &from);
    }
}

static void server_accept_again(void *arg)
{
    server *s = arg;
    io_want(s->io, IO_READ);
}

static weir_code server_address(struct sockaddr_storage *out, socklen_t *len, const server_options *o, weir_error *err)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, o->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(o->port);
        *len = sizeof *four;
    } else if (inet_pton(AF_INET6, o->address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(o->port);
        *len = sizeof *six;
    } else {
        return error_set(err, WEIR_INVALID, "address '%s' is no IP address; '127.0.0.1', '::1', '0.0.0.0' or '::' would be", o->address);
    }
    return WEIR_OK;
}

static weir_code server_listen(server *s, weir_error *err)
{
    const server_options *o = &s->options;
    struct sockaddr_storage at;
    socklen_t len;
    if (server_address(&at, &len, o, err))
        return err->code;
    s->fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return error_set(err, WEIR_SYSTEM, "a socket for '%s': %s", o->address, strerror(errno));
    int on = 1;
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->fd, (struct sockaddr *)&at, len) || listen(s->fd, 1024)) {
        if (errno == EADDRINUSE)
            return error_set(err, WEIR_SYSTEM, "port %u on %s is in use; choose another with --port, or 0 for any", o->port, o->address);
        if (errno == EACCES)
            return error_set(err, WEIR_SYSTEM, "port %u on %s needs privileges; choose one above 1023", o->port, o->address);
        return error_set(err, WEIR_SYSTEM, "port %u on %s: %s", o->port, o->address, strerror(errno));
    }
    if (getsockname(s->fd, (struct sockaddr *)&at, &len))
        return error_set(err, WEIR_SYSTEM, "port of '%s': %s", o->address, strerror(errno));
    s->port = ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port : ((struct sockaddr_in6 *)&at)->sin6_port);
    if (io_open(&s->io, s->loop, s->fd, server_on_accept, s, err))
        return err->code;
    if (io_want(s->io, IO_READ))
        return error_set(err, WEIR_SYSTEM, "port %u on %s cannot be watched", s->port, o->address);
    return WEIR_OK;
}

weir_code server_new(server **out, loop *l, const server_options *options, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    if (!err)
        err = &own;
    server *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "server: out of memory");
    s->loop = l;
    s->fd = -1;
    s->options = *options;
    server_options *o = &s->options;
    o->address = o->address ? o->address : "127.0.0.1";
    o->max_body = o->max_body ? o->max_body : 1024 * 1024;
    o->max_connections = o->max_connections ? o->max_connections : 10000;
    o->idle_ms = o->idle_ms ? o->idle_ms : 60000;
    o->head_ms = o->head_ms ? o->head_ms : o->idle_ms;
    o->body_ms = o->body_ms ? o->body_ms : o->idle_ms;
    list_init(&s->conns);
    timer_init(&s->accept_again, l, server_accept_again, s);
    s->scratch = malloc(SERVER_SCRATCH);
    if (!s->scratch)
        error_set(err, WEIR_NOMEM, "server: out of memory");
    else if (o->cert_file && server_tls_context(&s->tls, o->cert_file, o->key_file ? o->key_file : o->cert_file, err))
        error_wrap(err, "server");
    else if (!server_listen(s, err)) {
        o->address = o->cert_file = o->key_file = NULL; /* the caller's; not looked at again */
        *out = s;
        return WEIR_OK;
    }
    server_free(s);
    return err->code;
}

void server_free(server *s)
{
    if (!s)
        return;
    while (!list_empty(&s->conns))
        conn_free(LIST_OWNER(s->conns.head.next, conn, node));
    timer_stop(&s->accept_again);
    io_close(s->io);
    if (s->fd >= 0)
        close(s->fd);
    SSL_CTX_free(s->tls);
    free(s->scratch);
    free(s);
}

weir_code server_renew_certificate(server *s, const char *cert_file, const char *key_file, weir_error *err)
{
    SSL_CTX *next = NULL;
    if (!s->tls)
        return error_set(err, WEIR_UNSUPPORTED, "server: it was begun without TLS; that needs a new start");
    if (server_tls_context(&next, cert_file, key_file ? key_file : cert_file, err))
        return error_wrap(err, "server");
    SSL_CTX_free(s->tls); /* each connection holds the one that it was made with */
    s->tls = next;
    return WEIR_OK;
}

uint64_t server_certificate_ends(const server *s)
{
    return server_tls_ends(s->tls);
}

uint16_t server_port(const server *s)
{
    return s->port;
}
