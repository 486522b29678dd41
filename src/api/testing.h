/* testing.h: a node with an api before it, and peers that speak to it over sockets. */
#ifndef API_TESTING_H
#define API_TESTING_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "api/api.h"
#include "node/testing.h"

typedef struct world {
    fixture f;
    api *api;
    char admin[NODE_TOKEN_TEXT], operate[NODE_TOKEN_TEXT], read[NODE_TOKEN_TEXT];
} world;

static world w;
static char heard[8 << 20]; /* what the last peer said */
static size_t heard_len;

static inline void world_serve(api_options *o)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(api_new(&w.api, w.f.n, o, &err));
}

static inline void world_open(api_options *o, const sim_options *venue)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(&w, 0, sizeof w);
    fixture_open(&w.f, venue);
    CHECK_OK(node_token_make(w.f.n, "boss", NODE_SCOPE_ADMIN, w.admin, &err));
    CHECK_OK(node_token_make(w.f.n, "hand", NODE_SCOPE_OPERATE, w.operate, &err));
    CHECK_OK(node_token_make(w.f.n, "eye", NODE_SCOPE_READ, w.read, &err));
    world_serve(o);
}

static inline void world_close(void)
{
    api_free(w.api);
    fixture_close(&w.f);
}

static inline void turns(int n)
{
    while (n--)
        fixture_turn(&w.f);
}

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(api_port(w.api)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void fresh(void)
{
    heard_len = 0;
    heard[0] = '\0';
}

/* Sends all, turning the loop while the kernel takes no more. */
static inline void say_octets(int fd, const void *at, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, (const char *)at + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the other side has hung up: what it said tells why */
        sent += n > 0 ? (size_t)n : 0;
        if (sent < len)
            turns(1);
    }
}

static inline void say(int fd, const char *text)
{
    say_octets(fd, text, strlen(text));
}

/* Turns the loop until `part` has come, or the peer has closed when `part` is NULL. */
static inline void hear(int fd, const char *part)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; clock_mono() < until;) {
        ssize_t n = recv(fd, heard + heard_len, sizeof heard - 1 - heard_len, 0);
        if (n > 0)
            heard_len += (size_t)n;
        heard[heard_len] = '\0';
        if (part ? memmem(heard, heard_len, part, strlen(part)) != NULL : n == 0 || (n < 0 && errno == ECONNRESET))
            return;
        if (n == 0)
            break;
        turns(1);
    }
    test_fail(__FILE__, __LINE__, "waited for '%s', heard '%s'", part ? part : "the end", heard);
}

/* One request by a connection of its own; answers its status. `head`: more headers, each with its line's end. The body is then `body_heard`. */
static char *body_heard;

static inline int request_octets(const char *method, const char *path, const char *token, const char *head, bytes body)
{
    static char text[16384];
    int fd = dial();
    int len = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nConnection: close\r\n%s%s%s%s", method, path, token ? "Authorization: Bearer " : "", token ? token : "",
                       token ? "\r\n" : "", head ? head : "");
    if (!head || !strstr(head, "Host:"))
        len += snprintf(text + len, sizeof text - (size_t)len, "Host: 127.0.0.1:%u\r\n", api_port(w.api));
    if (body.len && (!head || !strstr(head, "Content-Type:")))
        len += snprintf(text + len, sizeof text - (size_t)len, "Content-Type: application/json\r\n");
    if (body.len)
        len += snprintf(text + len, sizeof text - (size_t)len, "Content-Length: %zu\r\n", body.len);
    len += snprintf(text + len, sizeof text - (size_t)len, "\r\n");
    fresh();
    say_octets(fd, text, (size_t)len);
    say_octets(fd, body.at, body.len);
    hear(fd, NULL);
    close(fd);
    CHECK_HAS(heard, "HTTP/1.1 ");
    body_heard = strstr(heard, "\r\n\r\n");
    CHECK(body_heard != NULL);
    body_heard += 4;
    return atoi(heard + 9);
}

static inline int request(const char *method, const char *path, const char *token, const char *body)
{
    return request_octets(method, path, token, NULL, bytes_of(body ? body : ""));
}

static inline int request_with(const char *method, const char *path, const char *token, const char *head, const char *body)
{
    return request_octets(method, path, token, head, bytes_of(body ? body : ""));
}

/* ---- WebSockets ---- */

static inline int ws_dial(const char *token)
{
    char text[600];
    int fd = dial();
    snprintf(text, sizeof text, "GET /v1/records/ws HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             api_port(w.api), token);
    fresh();
    say(fd, text);
    hear(fd, "\r\n\r\n");
    CHECK_HAS(heard, "HTTP/1.1 101 ");
    fresh();
    return fd;
}

/* A text, masked by nothing (a mask of zeros). */
static inline void ws_say(int fd, const char *text)
{
    unsigned char head[8] = {0x81};
    size_t len = strlen(text), n = 2;
    head[1] = (unsigned char)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        n = 4;
    }
    memset(head + n, 0, 4);
    say_octets(fd, head, n + 4);
    say_octets(fd, text, len);
}

/* Takes the next whole text message out of the frames at `at`, from `from` on; NULL: none yet. Other frames are passed over. */
static inline char *ws_next(const char *at, size_t heard_octets, size_t *from)
{
    static char message[1 << 20];
    while (heard_octets >= *from + 2) {
        const unsigned char *p = (const unsigned char *)at + *from;
        size_t len = p[1] & 127, n = len == 126 ? 4 : len == 127 ? 10
                                                                 : 2;
        if (heard_octets < *from + n)
            return NULL;
        if (n == 4)
            len = (size_t)p[2] << 8 | p[3];
        else if (n == 10)
            len = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
        if (heard_octets < *from + n + len)
            return NULL;
        CHECK(len < sizeof message);
        memcpy(message, p + n, len);
        message[len] = '\0';
        *from += n + len;
        if ((p[0] & 15) == 1)
            return message;
    }
    return NULL;
}

/* ---- Records ---- */

/* `connection` 0: of none. */
static inline record_stream *stream_of(const char *type, const char *identifier, uint64_t connection)
{
    weir_error err = WEIR_ERROR_INIT;
    record_stream *s = NULL;
    record_key key = {.type = bytes_of(type), .source = BYTES("test"), .identifier = bytes_of(identifier), .has_connection = connection != 0, .connection = connection};
    CHECK_OK(hub_stream(&s, node_hub(w.f.n), &key, &err));
    return s;
}

static inline record_stream *stream_named(const char *type, const char *identifier)
{
    return stream_of(type, identifier, 0);
}

static inline void publish(record_stream *s, int count)
{
    char data[64];
    for (int i = 0; i < count; i++) {
        snprintf(data, sizeof data, "{\"n\":%llu}", (unsigned long long)record_stream_seq(s) + 1);
        hub_publish(node_hub(w.f.n), record_new(s, 1, clock_real(), bytes_of(data)));
    }
}

#endif
