#include "tests/lib/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer_conn {
    int fd;
    SSL *tls;
    char head[16384];
    size_t head_len;
};

struct peer {
    int listener;
    uint16_t port;
    SSL_CTX *tls;
    void (*serve)(peer_conn *c, void *arg);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* over `current` and `stopping` */
    peer_conn *current;
    bool stopping;
    int accepted;
};

static void serve_one(peer *p, int fd)
{
    peer_conn c = {.fd = fd};
    pthread_mutex_lock(&p->lock);
    p->current = &c;
    bool stopping = p->stopping;
    pthread_mutex_unlock(&p->lock);
    __atomic_fetch_add(&p->accepted, 1, __ATOMIC_RELAXED);
    bool ready = !stopping;
    if (ready && p->tls) {
        c.tls = SSL_new(p->tls);
        SSL_set_fd(c.tls, fd);
        ready = SSL_accept(c.tls) == 1;
    }
    if (ready)
        p->serve(&c, p->arg);
    pthread_mutex_lock(&p->lock);
    p->current = NULL;
    pthread_mutex_unlock(&p->lock);
    if (c.tls && ready && c.fd >= 0)
        SSL_shutdown(c.tls);
    SSL_free(c.tls);
    if (c.fd >= 0)
        close(c.fd);
}

static void *run(void *arg)
{
    peer *p = arg;
    sigset_t pipe; /* OpenSSL writes without MSG_NOSIGNAL; only this thread may not mind */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    for (int fd; (fd = accept(p->listener, NULL, NULL)) >= 0;)
        serve_one(p, fd);
    return NULL;
}

peer *peer_start(void (*serve)(peer_conn *c, void *arg), void *arg, const char *cert, const char *key)
{
    peer *p = calloc(1, sizeof *p);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    p->serve = serve;
    p->arg = arg;
    pthread_mutex_init(&p->lock, NULL);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = bind(p->listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(p->listener, 64) == 0 &&
              getsockname(p->listener, (struct sockaddr *)&at, &len) == 0;
    p->port = ntohs(at.sin_port);
    if (ok && cert) {
        p->tls = SSL_CTX_new(TLS_server_method());
        ok = SSL_CTX_use_certificate_chain_file(p->tls, cert) == 1 && SSL_CTX_use_PrivateKey_file(p->tls, key, SSL_FILETYPE_PEM) == 1;
    }
    if (!ok || pthread_create(&p->thread, NULL, run, p)) {
        perror("peer: cannot listen on loopback");
        exit(1);
    }
    return p;
}

uint16_t peer_port(const peer *p)
{
    return p->port;
}

int peer_accepted(const peer *p)
{
    return __atomic_load_n(&p->accepted, __ATOMIC_RELAXED);
}

void peer_stop(peer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    if (p->current && p->current->fd >= 0)
        shutdown(p->current->fd, SHUT_RDWR);
    pthread_mutex_unlock(&p->lock);
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    SSL_CTX_free(p->tls);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

size_t peer_read(peer_conn *c, void *at, size_t size)
{
    ssize_t n = c->fd < 0 ? 0 : c->tls ? SSL_read(c->tls, at, (int)size)
                                       : recv(c->fd, at, size, 0);
    return n > 0 ? (size_t)n : 0;
}

bool peer_write(peer_conn *c, const void *at, size_t len)
{
    while (len && c->fd >= 0) {
        ssize_t n = c->tls ? SSL_write(c->tls, at, (int)len) : send(c->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at = (const char *)at + n;
        len -= (size_t)n;
    }
    return len == 0;
}

bool peer_text(peer_conn *c, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return peer_write(c, text, (size_t)n);
}

bool peer_read_head(peer_conn *c)
{
    c->head_len = 0;
    while (c->head_len + 1 < sizeof c->head && peer_read(c, c->head + c->head_len, 1) == 1) {
        c->head[++c->head_len] = 0;
        if (c->head_len >= 4 && memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

const char *peer_head(const peer_conn *c)
{
    return c->head;
}

bool peer_header(const peer_conn *c, const char *name, char *value, size_t size)
{
    size_t n = strlen(name);
    for (const char *line = c->head; (line = strstr(line, "\r\n"));) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            line += n + 1 + strspn(line + n + 1, " ");
            snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
            return true;
        }
    }
    return false;
}

bool peer_accept_ws(peer_conn *c, const char *more)
{
    char key[64], text[128];
    unsigned char hash[EVP_MAX_MD_SIZE], accept[64];
    unsigned hash_len = 0;
    if (!peer_read_head(c) || !peer_header(c, "Sec-WebSocket-Key", key, sizeof key))
        return false;
    snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(text, strlen(text), hash, &hash_len, EVP_sha1(), NULL);
    EVP_EncodeBlock(accept, hash, (int)hash_len);
    return peer_text(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept, more);
}

void peer_wait_end(peer_conn *c)
{
    char scrap[4096];
    while (peer_read(c, scrap, sizeof scrap))
        ;
}

void peer_reset(peer_conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    c->fd = -1;
}
