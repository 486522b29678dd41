/* autobahn_peer: an echo over net/ws.c for the Autobahn test suite, in both roles, plain and TLS.
 *
 *     autobahn_peer port                          prints a free TCP port
 *     autobahn_peer server PORT [CERT KEY]        echoes until killed; 0 takes any port; prints "port N"
 *     autobahn_peer client ws[s]://HOST:PORT      runs the fuzzing server's cases, then has it write its reports
 *
 * Only sockets, OpenSSL and a poll loop around the codec; tests/autobahn/run drives it. Certificates
 * are not checked: both ends are ours, on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/ws.h"

#define LINKS_MAX 64

typedef struct link_ {
    int fd;
    SSL *tls;
    ws *codec; /* NULL until the upgrade is done */
    buf head;  /* the peer's HTTP head so far */
    buf hello; /* HTTP octets of ours, to be sent first */
    bool client, closed, want_write;
    const char *key; /* client */
    char *said;      /* the last text message, if somebody wants it */
} link_;

static const ws_deflate policy = {.on = true};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- The echo ---- */

static bool on_message(void *arg, bool binary, bytes message)
{
    link_ *l = arg;
    if (l->said)
        snprintf(l->said, 64, "%.*s", (int)message.len, message.at);
    else
        ws_send(l->codec, binary, message);
    return true;
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)code, (void)reason;
}

static void on_fail(void *arg, uint16_t code, const char *why)
{
    (void)arg;
    if (getenv("AUTOBAHN_VERBOSE"))
        fprintf(stderr, "failed with %u: %s\n", code, why);
}

static const ws_events events = {.on_message = on_message, .on_close = on_close, .on_fail = on_fail};

static void upgraded(link_ *l, const ws_deflate *deflate)
{
    weir_error err = WEIR_ERROR_INIT;
    ws_options o = {.role = l->client ? WS_CLIENT : WS_SERVER, .max_message = 64u << 20, .deflate = *deflate, .deflate_min = 1};
    if (ws_new(&l->codec, &o, &events, l, &err)) {
        fprintf(stderr, "autobahn_peer: %s\n", err.text);
        exit(1);
    }
}

/* ---- The upgrade ---- */

/* One header of an HTTP head, all its values joined by ", ". */
static bytes header(bytes head, const char *name, char *out, size_t size)
{
    size_t n = strlen(name), len = 0;
    for (const char *at = head.at, *end = head.at + head.len, *eol; (eol = memchr(at, '\n', (size_t)(end - at))); at = eol + 1) {
        if ((size_t)(eol - at) <= n || strncasecmp(at, name, n) || at[n] != ':')
            continue;
        const char *from = at + n + 1, *to = eol;
        while (from < to && *from == ' ')
            from++;
        while (to > from && (to[-1] == '\r' || to[-1] == ' '))
            to--;
        len += (size_t)snprintf(out + len, size - len, "%s%.*s", len ? ", " : "", (int)(to - from), from);
    }
    return bytes_make(out, len);
}

static bool answer_client(link_ *l, bytes head)
{
    char text[1024], accept[WS_ACCEPT_SIZE];
    ws_deflate deflate;
    buf extension;
    bytes key = header(head, "Sec-WebSocket-Key", text, sizeof text);
    if (!ws_key_valid(key))
        return false;
    ws_accept_key(accept, key);
    buf_init(&extension, 1024);
    bool agreed = ws_deflate_choose(&deflate, &extension, &policy, header(head, "Sec-WebSocket-Extensions", text, sizeof text));
    buf_add_fmt(&l->hello, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
    if (agreed)
        buf_add_fmt(&l->hello, "Sec-WebSocket-Extensions: %.*s\r\n", (int)extension.len, extension.at);
    buf_add_text(&l->hello, "\r\n");
    buf_fini(&extension);
    upgraded(l, &deflate);
    return true;
}

static bool read_answer(link_ *l, bytes head)
{
    char text[1024], accept[WS_ACCEPT_SIZE];
    ws_deflate deflate;
    weir_error err = WEIR_ERROR_INIT;
    ws_accept_key(accept, bytes_of(l->key));
    if (!bytes_starts(head, BYTES("HTTP/1.1 101")) || !bytes_is(header(head, "Sec-WebSocket-Accept", text, sizeof text), accept))
        return false;
    if (ws_deflate_accept(&deflate, &policy, header(head, "Sec-WebSocket-Extensions", text, sizeof text), &err)) {
        fprintf(stderr, "autobahn_peer: %s\n", err.text);
        return false;
    }
    upgraded(l, &deflate);
    return true;
}

/* Octets before the upgrade; what lies behind the head goes to the codec. */
static void got_head(link_ *l, const char *at, size_t len)
{
    buf_add(&l->head, at, len);
    char *end = l->head.len ? memmem(l->head.at, l->head.len, "\r\n\r\n", 4) : NULL;
    if (l->head.failed)
        l->closed = true;
    if (!end)
        return;
    bytes head = bytes_make(l->head.at, (size_t)(end + 4 - l->head.at));
    if (!(l->client ? read_answer(l, head) : answer_client(l, head)))
        l->closed = true;
    else if (l->head.len > head.len)
        ws_feed(l->codec, bytes_make(end + 4, l->head.len - head.len));
}

/* ---- The socket ---- */

static ssize_t link_read(link_ *l, char *at, size_t room)
{
    if (!l->tls)
        return recv(l->fd, at, room, 0);
    int n = SSL_read(l->tls, at, room > 1 << 20 ? 1 << 20 : (int)room);
    if (n > 0)
        return n;
    int why = SSL_get_error(l->tls, n);
    l->want_write |= why == SSL_ERROR_WANT_WRITE;
    errno = EAGAIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t link_write(link_ *l, bytes out)
{
    if (!l->tls)
        return send(l->fd, out.at, out.len, MSG_NOSIGNAL);
    int n = SSL_write(l->tls, out.at, out.len > 1 << 20 ? 1 << 20 : (int)out.len);
    if (n > 0)
        return n;
    int why = SSL_get_error(l->tls, n);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static void flush(link_ *l)
{
    l->want_write = false;
    while (!l->closed) {
        bytes out = l->hello.len ? buf_bytes(&l->hello) : l->codec ? ws_output(l->codec)
                                                                   : (bytes){0};
        if (!out.len)
            break;
        ssize_t n = link_write(l, out);
        if (n < 0 && errno == EAGAIN) {
            l->want_write = true;
            return;
        }
        if (n < 0)
            l->closed = true;
        else if (l->hello.len)
            buf_consume(&l->hello, (size_t)n);
        else
            ws_output_consume(l->codec, (size_t)n);
    }
    /* All is said: the server closes the socket, the client waits for that. */
    if (l->codec && ws_get_state(l->codec) == WS_IS_CLOSED && !l->client) {
        if (l->tls)
            SSL_shutdown(l->tls);
        l->closed = true;
    }
}

static void fill(link_ *l)
{
    while (!l->closed) {
        char first[4096], *at = first;
        size_t room = sizeof first;
        if (l->codec && !ws_read_space(l->codec, &at, &room)) {
            l->closed = true;
            return;
        }
        ssize_t n = link_read(l, at, room);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0)
            l->closed = true;
        else if (l->codec)
            ws_read_done(l->codec, (size_t)n);
        else
            got_head(l, at, (size_t)n);
        if (l->codec && ws_output(l->codec).len > 1 << 20)
            break; /* let the peer read first */
    }
}

static link_ *link_new(int fd, SSL_CTX *tls, bool client)
{
    int one = 1;
    link_ *l = calloc(1, sizeof *l);
    if (!l)
        die("calloc");
    l->fd = fd;
    l->client = client;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    buf_init(&l->head, 16384);
    buf_init(&l->hello, 16384);
    if (tls && (!(l->tls = SSL_new(tls)) || !SSL_set_fd(l->tls, fd)))
        die("SSL_new");
    if (l->tls)
        SSL_set_mode(l->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (l->tls && client)
        SSL_set_connect_state(l->tls);
    else if (l->tls)
        SSL_set_accept_state(l->tls);
    return l;
}

static void link_free(link_ *l)
{
    ws_free(l->codec);
    SSL_free(l->tls);
    buf_fini(&l->head);
    buf_fini(&l->hello);
    close(l->fd);
    free(l);
}

/* ---- Server ---- */

static int listen_on(int port, int *got)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 16) || getsockname(fd, (struct sockaddr *)&a, &len))
        die("listen");
    *got = ntohs(a.sin_port);
    return fd;
}

static void serve(int listener, SSL_CTX *tls)
{
    static link_ *links[LINKS_MAX];
    size_t count = 0;
    for (;;) {
        struct pollfd fds[LINKS_MAX + 1] = {{.fd = listener, .events = count < LINKS_MAX ? POLLIN : 0}};
        for (size_t i = 0; i < count; i++)
            fds[i + 1] = (struct pollfd){.fd = links[i]->fd, .events = (short)(links[i]->want_write ? POLLOUT : POLLIN)};
        if (poll(fds, count + 1, -1) < 0 && errno != EINTR)
            die("poll");
        size_t old = count;
        int fd = fds[0].revents ? accept(listener, NULL, NULL) : -1;
        if (fd >= 0)
            links[count++] = link_new(fd, tls, false);
        for (size_t i = old; i-- > 0;) {
            if (!fds[i + 1].revents)
                continue;
            link_ *l = links[i];
            if (!l->want_write || l->tls)
                fill(l);
            flush(l);
            if (l->closed) {
                link_free(l);
                links[i] = links[--count];
            }
        }
    }
}

/* ---- Client ---- */

/* One connection to HOST:PORT/path from handshake to the end of the socket. */
static void visit(const char *host, int port, SSL_CTX *tls, const char *path, char *said)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    for (int tries = 0; connect(fd, (struct sockaddr *)&a, sizeof a); tries++) {
        if (tries == 600)
            die("connect"); /* the suite takes seconds to come up, on a busy machine many */
        poll(NULL, 0, 100);
    }
    char key[WS_KEY_SIZE];
    ws_make_key(key);
    link_ *l = link_new(fd, tls, true);
    l->key = key;
    l->said = said;
    buf_add_fmt(&l->hello, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: ",
                path, host, port, key);
    ws_deflate_offer(&l->hello, &policy);
    buf_add_text(&l->hello, "\r\n\r\n");
    while (!l->closed) {
        flush(l);
        struct pollfd p = {.fd = fd, .events = (short)(l->want_write ? POLLIN | POLLOUT : POLLIN)};
        if (poll(&p, 1, 60000) == 0) {
            fprintf(stderr, "autobahn_peer: '%s': nothing came for a minute\n", path);
            break;
        }
        fill(l);
    }
    link_free(l);
}

static void run_cases(const char *url)
{
    char host[64], path[128], said[64] = "0";
    int port;
    bool secure = strncmp(url, "wss:", 4) == 0;
    if (sscanf(url, secure ? "wss://%63[0-9.]:%d" : "ws://%63[0-9.]:%d", host, &port) != 2) {
        fprintf(stderr, "autobahn_peer: '%s' is not ws://ADDRESS:PORT or wss://ADDRESS:PORT\n", url);
        exit(2);
    }
    SSL_CTX *tls = secure ? SSL_CTX_new(TLS_client_method()) : NULL;
    visit(host, port, tls, "/getCaseCount", said);
    int cases = atoi(said);
    for (int i = 1; i <= cases; i++) {
        snprintf(path, sizeof path, "/runCase?case=%d&agent=weir", i);
        visit(host, port, tls, path, NULL);
    }
    visit(host, port, tls, "/updateReports?agent=weir&shutdownOnComplete=true", said);
    SSL_CTX_free(tls);
    printf("%d cases\n", cases);
}

int main(int argc, char **argv)
{
    int port = 0;
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "port") == 0) {
        close(listen_on(0, &port));
        printf("%d\n", port);
    } else if (argc == 3 && strcmp(argv[1], "client") == 0) {
        run_cases(argv[2]);
    } else if ((argc == 3 || argc == 5) && strcmp(argv[1], "server") == 0) {
        SSL_CTX *tls = argc == 5 ? SSL_CTX_new(TLS_server_method()) : NULL;
        if (tls && (SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1 || SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1)) {
            fprintf(stderr, "autobahn_peer: '%s' and '%s' are no certificate and key\n", argv[3], argv[4]);
            return 1;
        }
        int fd = listen_on(atoi(argv[2]), &port);
        printf("port %d\n", port);
        fflush(stdout);
        serve(fd, tls);
    } else {
        fprintf(stderr, "usage: autobahn_peer port | server PORT [CERT KEY] | client ws[s]://ADDRESS:PORT\n");
        return 2;
    }
    return 0;
}
