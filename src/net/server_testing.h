/* server_testing.h: what the server's tests share: a loop, a server that echoes, raw clients, a clock that leaps, a certificate. */
#ifndef NET_SERVER_TESTING_H
#define NET_SERVER_TESTING_H

#include "net/server.h"

#include "net/cert.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- A world: a loop, a server that echoes, raw clients ---- */

typedef struct world {
    loop *loop;
    server *server;
    server_request *kept; /* answered by the test */
    int requests, gone;
    server_ws *ws;
    char last_message[256];
    int messages, closes, pings, drains;
    uint16_t close_code;
} world;

static world w;

static inline void on_message(void *arg, bool binary, bytes message)
{
    (void)arg;
    w.messages++;
    snprintf(w.last_message, sizeof w.last_message, "%.*s", (int)(message.len > 200 ? 200 : message.len), message.at);
    server_ws_send(w.ws, binary, message);
}
static inline void on_drain(void *arg)
{
    (void)arg;
    w.drains++;
}
static inline void on_close(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)reason;
    w.closes++;
    w.close_code = code;
    w.ws = NULL;
}
static inline void on_ping(void *arg)
{
    (void)arg;
    w.pings++;
}
static inline void on_gone(void *arg)
{
    (void)arg;
    w.gone++;
    w.kept = NULL;
}

/* Answers "METHOD PATH QUERY BODY"; keeps /later; upgrades /ws. */
static inline void on_request(void *arg, server_request *r)
{
    static const server_ws_events events = {on_message, on_drain, on_close};
    (void)arg;
    w.requests++;
    if (bytes_is(server_path(r), "/later")) {
        w.kept = r;
        server_on_gone(r, on_gone, NULL);
        return;
    }
    if (bytes_is(server_path(r), "/drop")) {
        server_drop(r);
        return;
    }
    if (bytes_is(server_path(r), "/ws")) {
        server_ws *ws = server_upgrade(r, bytes_make(NULL, 0), &events, NULL);
        if (ws) {
            w.ws = ws;
            server_ws_on_ping(ws, on_ping);
        }
        return;
    }
    buf b;
    buf_init(&b, 8 << 20);
    buf_add_bytes(&b, server_method(r));
    buf_add_char(&b, ' ');
    buf_add_bytes(&b, server_path(r));
    buf_add_char(&b, ' ');
    server_query_get(r, "q", &b);
    buf_add_char(&b, ' ');
    buf_add_bytes(&b, server_body(r));
    http_header type = {BYTES("Content-Type"), BYTES("text/plain")};
    server_reply(r, 200, &type, 1, buf_bytes(&b));
    buf_fini(&b);
}

static inline void begin_with(server_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(&w, 0, sizeof w);
    o.on_request = on_request;
    CHECK_OK(loop_new(&w.loop, &err));
    CHECK_OK(server_new(&w.server, w.loop, &o, &err));
}

static inline void begin(void)
{
    begin_with((server_options){0});
}

static inline void end(void)
{
    server_free(w.server);
    loop_free(w.loop);
}

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(server_port(w.server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void turns(int n)
{
    while (n--)
        loop_step(w.loop, 1);
}

static inline void say(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static char heard[1 << 20];
static size_t heard_len;

/* Turns the loop until `part` has been received, or the peer has closed when `part` is NULL. */
static inline void hear(int fd, const char *part)
{
    for (int i = 0; i < 20000; i++) {
        ssize_t n = recv(fd, heard + heard_len, sizeof heard - 1 - heard_len, 0);
        if (n > 0)
            heard_len += (size_t)n;
        heard[heard_len] = '\0';
        if (part ? memmem(heard, heard_len, part, strlen(part)) != NULL : n == 0 || (n < 0 && errno == ECONNRESET))
            return;
        if (part && n == 0)
            break;
        loop_step(w.loop, 1);
    }
    test_fail(__FILE__, __LINE__, "waited for '%s', heard '%s'", part ? part : "the end", heard);
}

static inline void fresh(void)
{
    heard_len = 0;
    heard[0] = '\0';
}

/* ---- A clock that leaps ---- */

static uint64_t leap_ns; /* how far the test has moved the clock */
static inline uint64_t leaping_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + leap_ns;
}

/* ---- An upgrade, a certificate ---- */

#define UPGRADE "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static char cert_folder[64];

static inline void cert_begin(server_options *o)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    static char cert[96], key[96];
    weir_error err = WEIR_ERROR_INIT;
    snprintf(cert_folder, sizeof cert_folder, "/tmp/weir-server-test-XXXXXX");
    CHECK(mkdtemp(cert_folder));
    CHECK_OK(cert_make(cert_folder, names, 2, &err));
    snprintf(cert, sizeof cert, "%s/server.pem", cert_folder);
    snprintf(key, sizeof key, "%s/server.key", cert_folder);
    o->cert_file = cert;
    o->key_file = key;
}

static inline void cert_end(void)
{
    char path[96];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", cert_folder, i == 0 ? "ca.pem" : i == 1 ? "server.pem"
                                                                                     : "server.key");
        unlink(path);
    }
    rmdir(cert_folder);
}

#endif
