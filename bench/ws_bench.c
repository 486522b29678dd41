/* ws_bench: what the WebSocket codec costs, as a ratio to a bare reader that only walks frame headers
 * over the same octets.
 *
 *     ws_bench [--json] [FRAMES]      frames per round, default 1,000,000
 *
 * Three ways in: from memory (the copy into the read space is the "socket"), over a socket pair, over
 * a socket pair with TLS; a thread writes, and what counts is the CPU time of the thread that reads.
 * Rounds of both readers alternate and the best of each counts, so that a busy machine hurts less. */
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/ws.h"

#define ROUNDS 5
#define BATCH 2000 /* frames in the block that is sent again and again */

typedef enum way { MEMORY,
                   SOCKET,
                   TLS } way;

typedef struct source {
    way way;
    const char *block;
    size_t block_len, total, given; /* memory: octets to give, and given so far */
    int fds[2];
    SSL *tls[2];
} source;

static uint64_t received, received_len;

static bool on_message(void *arg, bool binary, bytes message)
{
    (void)arg, (void)binary;
    received++;
    received_len += message.len;
    return true;
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)code, (void)reason;
}

static void on_fail(void *arg, uint16_t code, const char *why)
{
    (void)arg;
    fprintf(stderr, "ws_bench: %u: %s\n", code, why);
    exit(1);
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- Where the octets come from ---- */

static size_t source_read(source *s, char *at, size_t room)
{
    if (s->way == MEMORY) {
        size_t from = s->given % s->block_len, n = s->block_len - from;
        if (n > room)
            n = room;
        if (n > s->total - s->given)
            n = s->total - s->given;
        memcpy(at, s->block + from, n);
        s->given += n;
        return n;
    }
    ssize_t n = s->way == TLS ? SSL_read(s->tls[0], at, (int)room) : read(s->fds[0], at, room);
    return n > 0 ? (size_t)n : 0;
}

static void *write_all(void *arg)
{
    source *s = arg;
    if (s->way == TLS && SSL_accept(s->tls[1]) != 1)
        exit(1);
    while (s->given < s->total) {
        size_t from = s->given % s->block_len, n = s->block_len - from;
        if (n > s->total - s->given)
            n = s->total - s->given;
        if (s->way == TLS && n > 16384)
            n = 16384;
        ssize_t sent = s->way == TLS ? SSL_write(s->tls[1], s->block + from, (int)n) : write(s->fds[1], s->block + from, n);
        if (sent <= 0)
            exit(1);
        s->given += (size_t)sent;
    }
    shutdown(s->fds[1], SHUT_WR);
    return NULL;
}

/* A throw-away certificate. */
static SSL_CTX *server_context(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(c, cert);
    SSL_CTX_use_PrivateKey(c, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return c;
}

static void source_open(source *s)
{
    s->given = 0;
    if (s->way == MEMORY)
        return;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s->fds)) {
        perror("socketpair");
        exit(1);
    }
    if (s->way != TLS)
        return;
    static SSL_CTX *contexts[2];
    if (!contexts[0]) {
        contexts[0] = SSL_CTX_new(TLS_client_method());
        contexts[1] = server_context();
        SSL_CTX_set_read_ahead(contexts[0], 1);
    }
    for (int i = 0; i < 2; i++) {
        s->tls[i] = SSL_new(contexts[i]);
        SSL_set_fd(s->tls[i], s->fds[i]);
    }
}

static void source_close(source *s)
{
    if (s->way == MEMORY)
        return;
    for (int i = 0; i < 2; i++) {
        if (s->way == TLS)
            SSL_free(s->tls[i]);
        close(s->fds[i]);
    }
}

/* ---- The two readers ---- */

/* Walks headers and skips payloads. */
static uint64_t read_bare(source *s)
{
    static unsigned char space[65536];
    uint64_t frames = 0, skip = 0;
    size_t have = 0, n;
    while ((n = source_read(s, (char *)space + have, sizeof space - have))) {
        size_t len = have + n, at = 0;
        for (;;) {
            if (skip) {
                size_t step = skip < len - at ? (size_t)skip : len - at;
                at += step;
                skip -= step;
            }
            if (skip || len - at < 2)
                break;
            size_t payload = space[at + 1] & 127, head = payload < 126 ? 2 : payload == 126 ? 4
                                                                                            : 10;
            if (len - at < head)
                break;
            if (payload >= 126) {
                size_t wide = 0;
                for (size_t i = 2; i < head; i++)
                    wide = wide << 8 | space[at + i];
                payload = wide;
            }
            at += head;
            skip = payload;
            frames++;
        }
        have = len - at;
        memmove(space, space + at, have);
    }
    return frames;
}

static uint64_t read_codec(source *s)
{
    static const ws_events events = {.on_message = on_message, .on_close = on_close, .on_fail = on_fail};
    ws *w;
    char *at;
    size_t room, n;
    received = 0;
    if (ws_new(&w, &(ws_options){.role = WS_CLIENT}, &events, NULL, NULL))
        exit(1);
    while (ws_read_space(w, &at, &room) && (n = source_read(s, at, room)))
        ws_read_done(w, n);
    ws_free(w);
    return received;
}

/* Seconds of CPU for one round. */
static double round_of(source *s, uint64_t (*reader)(source *), uint64_t frames)
{
    pthread_t writer;
    source_open(s);
    if (s->way != MEMORY && pthread_create(&writer, NULL, write_all, s))
        exit(1);
    if (s->way == TLS && SSL_connect(s->tls[0]) != 1)
        exit(1);
    double began = cpu_now();
    uint64_t got = reader(s);
    double took = cpu_now() - began;
    if (s->way != MEMORY)
        pthread_join(writer, NULL);
    source_close(s);
    if (got != frames) {
        fprintf(stderr, "ws_bench: %llu frames of %llu arrived\n", (unsigned long long)got, (unsigned long long)frames);
        exit(1);
    }
    return took;
}

static void compare(way how, size_t payload, uint64_t frames, bool json)
{
    static const char *names[] = {"memory", "socket", "tls"};
    buf block;
    buf_init(&block, SIZE_MAX / 2);
    for (int i = 0; i < BATCH; i++) {
        buf_add_char(&block, (char)0x81);
        if (payload < 126) {
            buf_add_char(&block, (char)payload);
        } else {
            buf_add_char(&block, 126);
            buf_add_char(&block, (char)(payload >> 8));
            buf_add_char(&block, (char)payload);
        }
        for (size_t k = 0; k < payload; k++)
            buf_add_char(&block, "{\"symbol\":\"SPOT_BTC_USDT\",\"price\":64123.5}"[k % 43]);
    }
    frames -= frames % BATCH;
    source s = {.way = how, .block = block.at, .block_len = block.len, .total = block.len / BATCH * frames};
    double bare = 1e9, codec = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double b = round_of(&s, read_bare, frames), c = round_of(&s, read_codec, frames);
        bare = b < bare ? b : bare;
        codec = c < codec ? c : codec;
    }
    double n = (double)frames;
    if (json)
        printf("{\"bench\":\"ws_receive\",\"way\":\"%s\",\"octets\":%zu,\"bare_ns\":%.2f,\"codec_ns\":%.2f,\"ratio\":%.3f}\n",
               names[how], payload, bare / n * 1e9, codec / n * 1e9, bare / codec);
    else
        printf("%-8s %6zu %9.1f %9.1f %9.1f M/s %8.2f\n", names[how], payload, bare / n * 1e9, codec / n * 1e9, n / codec / 1e6, bare / codec);
    buf_fini(&block);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *count = argc > 1 + json ? argv[1 + json] : "1000000";
    uint64_t frames = strtoull(count, NULL, 10);
    if (frames < BATCH) {
        fprintf(stderr, "usage: ws_bench [--json] [FRAMES], at least %d of them\n", BATCH);
        return 2;
    }
    if (!json)
        printf("%-8s %6s %9s %9s %13s %8s\n", "from", "octets", "bare ns", "codec ns", "codec", "ratio");
    for (way how = MEMORY; how <= TLS; how++)
        compare(how, 200, frames, json);
    compare(SOCKET, 1000, frames / 4, json);
    return 0;
}
