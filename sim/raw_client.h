/* raw_client.h: a client for the simulator's tests, on a plain loopback socket: REST as text, WebSockets
 * by ws.c with every message kept. Loopback delivers at once, so a few turns of the loop settle all. */
#ifndef SIM_RAW_CLIENT_H
#define SIM_RAW_CLIENT_H

#include "base/json.h"
#include "loop/loop.h"
#include "net/ws.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct raw {
    loop *loop;
    int fd;
    ws *codec;
    char **message; /* all that came */
    size_t count, cap, binary, pings;
    size_t next;         /* of raw_next */
    bool ended;          /* by the peer */
    int reset;           /* errno of the end */
    uint16_t close_code; /* of a close frame */
    uint16_t fail_code;  /* of a broken rule */
    char head[4096];
} raw;

static inline bool raw_on_message(void *arg, bool binary, bytes message)
{
    raw *r = arg;
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->message = realloc(r->message, r->cap * sizeof *r->message);
        CHECK(r->message);
    }
    r->binary += binary;
    r->message[r->count++] = bytes_dup(message);
    return true;
}
static inline void raw_on_control(void *arg, ws_opcode opcode, bytes payload)
{
    (void)payload;
    ((raw *)arg)->pings += opcode == WS_OP_PING;
}
static inline void raw_on_close(void *arg, uint16_t code, bytes reason)
{
    (void)reason;
    ((raw *)arg)->close_code = code;
}
static inline void raw_on_fail(void *arg, uint16_t code, const char *why)
{
    (void)why;
    ((raw *)arg)->fail_code = code;
}

static inline int raw_dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void raw_pump(raw *r)
{
    char chunk[65536];
    bytes out = ws_output(r->codec);
    if (out.len && !r->ended) {
        ssize_t n = send(r->fd, out.at, out.len, MSG_NOSIGNAL);
        if (n > 0)
            ws_output_consume(r->codec, (size_t)n);
    }
    while (!r->ended) {
        ssize_t n = recv(r->fd, chunk, sizeof chunk, 0);
        if (n > 0) {
            ws_feed(r->codec, bytes_make(chunk, (size_t)n));
            continue;
        }
        if (n < 0 && errno == EAGAIN)
            return;
        r->ended = true;
        r->reset = n < 0 ? errno : 0;
    }
}

/* Turns until nothing moves any more. */
static inline void raw_settle(raw *r)
{
    for (int i = 0; i < 6; i++) {
        loop_step(r->loop, 0);
        size_t before = r->count;
        raw_pump(r);
        if (r->count != before)
            i = 0;
    }
}

static inline void raw_send(raw *r, const char *text)
{
    ws_send_text(r->codec, bytes_of(text));
    raw_settle(r);
}

/* One REST call on a connection of its own; the whole reply as text, until the server closes. */
static inline const char *raw_ask(loop *l, uint16_t port, const char *request)
{
    static char reply[1 << 20];
    size_t len = 0;
    int fd = raw_dial(port);
    CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    for (int i = 0; i < 20000; i++) {
        ssize_t n = recv(fd, reply + len, sizeof reply - 1 - len, 0);
        if (n > 0)
            len += (size_t)n;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        loop_step(l, 1);
    }
    close(fd);
    reply[len] = '\0';
    return reply;
}

static inline const char *raw_get(loop *l, uint16_t port, const char *target)
{
    char request[1024];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n", target);
    return raw_ask(l, port, request);
}

/* The body alone. */
static inline const char *raw_body(loop *l, uint16_t port, const char *target)
{
    const char *reply = raw_get(l, port, target), *body = strstr(reply, "\r\n\r\n");
    return body ? body + 4 : "";
}

/* Opens a WebSocket; `head` holds the answer. A refused one has ended. */
static inline raw *raw_open(loop *l, uint16_t port, const char *target)
{
    static const ws_events events = {raw_on_message, raw_on_control, raw_on_close, raw_on_fail};
    char request[1024];
    raw *r = calloc(1, sizeof *r);
    CHECK(r);
    r->loop = l;
    r->fd = raw_dial(port);
    ws_options options = {.role = WS_CLIENT};
    CHECK(ws_new(&r->codec, &options, &events, r, NULL) == WEIR_OK);
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                       target);
    CHECK(send(r->fd, request, (size_t)len, MSG_NOSIGNAL) == len);
    size_t got = 0;
    for (int i = 0; i < 2000 && !strstr(r->head, "\r\n\r\n"); i++) {
        loop_step(l, 1);
        ssize_t n = recv(r->fd, r->head + got, 1, 0); /* not an octet of what follows */
        while (n == 1 && got < sizeof r->head - 2 && !strstr(r->head, "\r\n\r\n"))
            n = recv(r->fd, r->head + ++got, 1, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            r->ended = true;
            break;
        }
    }
    if (!strstr(r->head, " 101 "))
        r->ended = true;
    raw_settle(r);
    return r;
}

static inline void raw_free(raw *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->message[i]);
    free(r->message);
    ws_free(r->codec);
    close(r->fd);
    for (int i = 0; i < 4; i++)
        loop_step(r->loop, 0);
    free(r);
}

/* The next message not yet looked at; "" if there is none. */
static inline const char *raw_next(raw *r)
{
    return r->next < r->count ? r->message[r->next++] : "";
}

static inline void raw_forget(raw *r)
{
    r->next = r->count;
}

/* A member along a path of names, e.g. raw_member(text, "data", "ts", NULL). */
static inline json raw_member(const char *text, const char *a, const char *b)
{
    json doc;
    weir_error err = WEIR_ERROR_INIT;
    if (json_read(&doc, bytes_of(text), &err))
        test_fail(__FILE__, __LINE__, "'%s': %s", text, err.text);
    json value = json_member(doc, a);
    return b ? json_member(value, b) : value;
}

static inline uint64_t raw_u64(const char *text, const char *a, const char *b)
{
    uint64_t value = 0;
    if (!json_u64(raw_member(text, a, b), &value))
        test_fail(__FILE__, __LINE__, "no number %s.%s in '%s'", a, b ? b : "", text);
    return value;
}

/* A member's text, a string without its quotes. Good until the next but three. */
static inline const char *raw_text(const char *text, const char *a, const char *b)
{
    static char kept[4][256];
    static int turn;
    json value = raw_member(text, a, b);
    bytes s = value.raw;
    json_string_slice(value, &s);
    char *out = kept[turn++ & 3];
    snprintf(out, sizeof kept[0], "%.*s", (int)s.len, s.at ? s.at : "");
    return out;
}

#endif
