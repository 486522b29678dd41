/* WebSocket frames received, against a bare reader of frame headers on the same kind of socket.
 *
 * A forked process sends text frames of 200 octets as fast as it can, 16 KiB at a time, plain and over
 * TLS. The bare reader takes them through a 64 KiB buffer and reads the headers, no more; ws_client does
 * all it always does: turns of the loop, UTF-8 checked, each message told. Both sides take turns and the
 * best round of each counts, in CPU time of the receiving process, so that a busy machine spoils the
 * ratio as little as may be. Where libwebsockets is installed it takes its turn, too. Then: the heap that
 * an idle WebSocket takes.
 *
 * `net_bench --json` prints one JSON object instead of the table. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/cert.h"
#include "net/server.h"
#include "net/ws_client.h"
#include "tests/lib/peer.h"
#ifdef BENCH_LWS
#include "bench/lws_reader.h"
#endif

#define FRAMES 1500000
#define OCTETS 200
#define ROUNDS 4
#define IDLE 500

static char folder[] = "/tmp/weir-bench-XXXXXX", ca[64], cert[64], key[64];

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "net_bench: %s\n", what);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- The sender, a process of its own ---- */

static void blast(peer_conn *c, void *arg)
{
    (void)arg;
    static char block[80 * (OCTETS + 4)];
    char *at = block;
    for (int i = 0; i < 80; i++, at += OCTETS + 4) {
        memcpy(at, "\x81\x7E\x00\xC8", 4);
        memset(at + 4, 'a' + i % 26, OCTETS);
    }
    if (!peer_accept_ws(c, ""))
        return;
    for (int sent = 0; sent < FRAMES; sent += 80)
        if (!peer_write(c, block, sizeof block))
            return;
    peer_wait_end(c);
}

static void upgrade_all(void *arg, server_request *r)
{
    static const server_ws_events quiet = {0};
    (void)arg;
    server_upgrade(r, bytes_make(NULL, 0), &quiet, NULL);
}

/* Forks a process that serves; its port. With `idle` it is our server, else the blaster. */
static uint16_t fork_peer(bool tls, bool idle, pid_t *child)
{
    int pipe_fd[2];
    uint16_t port = 0;
    if (pipe(pipe_fd))
        give_up("no pipe");
    *child = fork();
    if (*child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!idle) {
            peer *p = peer_start(blast, NULL, tls ? cert : NULL, key);
            port = peer_port(p);
            (void)!write(pipe_fd[1], &port, sizeof port);
            for (;;)
                pause();
        }
        loop *l = NULL;
        server *s = NULL;
        server_options o = {.on_request = upgrade_all, .cert_file = tls ? cert : NULL, .key_file = tls ? key : NULL};
        if (loop_new(&l, NULL) || server_new(&s, l, &o, NULL))
            _exit(1);
        port = server_port(s);
        (void)!write(pipe_fd[1], &port, sizeof port);
        loop_run(l);
    }
    close(pipe_fd[1]);
    if (read(pipe_fd[0], &port, sizeof port) != sizeof port)
        give_up("the sender does not start");
    close(pipe_fd[0]);
    return port;
}

static void end_peer(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---- The bare reader ---- */

static size_t bare_read(int fd, SSL *tls, char *at, size_t room)
{
    for (;;) {
        ssize_t n = tls ? SSL_read(tls, at, (int)room) : recv(fd, at, room, MSG_DONTWAIT);
        if (n > 0)
            return (size_t)n;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, -1);
    }
}

static double bare(uint16_t port, bool secure)
{
    static char buffer[65536];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at))
        give_up("cannot connect");
    SSL_CTX *context = secure ? SSL_CTX_new(TLS_client_method()) : NULL;
    SSL *tls = secure ? SSL_new(context) : NULL;
    if (secure) {
        SSL_set_fd(tls, fd);
        SSL_connect(tls);
    }
    static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    if (secure)
        SSL_write(tls, ask, sizeof ask - 1);
    else if (send(fd, ask, sizeof ask - 1, 0) < 0)
        give_up("cannot send");
    size_t have = 0, frames = 0;
    char *end = NULL;
    while (!end) {
        have += bare_read(fd, tls, buffer + have, sizeof buffer - have);
        end = memmem(buffer, have, "\r\n\r\n", 4);
    }
    double begin = cpu_s();
    size_t start = (size_t)(end + 4 - buffer);
    while (frames < FRAMES) {
        while (have - start >= 4 && frames < FRAMES) {
            size_t len = (size_t)(unsigned char)buffer[start + 2] << 8 | (unsigned char)buffer[start + 3];
            if (have - start < 4 + len)
                break;
            start += 4 + len;
            frames++;
        }
        memmove(buffer, buffer + start, have - start);
        have -= start;
        start = 0;
        if (frames < FRAMES)
            have += bare_read(fd, tls, buffer + have, sizeof buffer - have);
    }
    double took = cpu_s() - begin;
    SSL_free(tls);
    SSL_CTX_free(context);
    close(fd);
    return took;
}

/* ---- Ours ---- */

static int opened, failed;
static size_t received;

static void on_open(void *arg, bytes subprotocol)
{
    (void)arg, (void)subprotocol;
    opened++;
}

static bool on_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    (void)arg, (void)binary, (void)message, (void)recv_real_ns;
    received++;
    return true;
}

static void on_close(void *arg, uint16_t code, const weir_error *why, uint16_t status, uint32_t retry_after_s)
{
    (void)arg, (void)code, (void)status, (void)retry_after_s;
    fprintf(stderr, "net_bench: %s\n", why->text);
    failed++;
}

static const ws_client_events events = {on_open, on_message, NULL, on_close};

typedef struct world {
    loop *loop;
    dialer *dialer;
    targets *targets;
    char url[64];
} world;

static void begin(world *w, uint16_t port, bool tls)
{
    dialer_options o = {.ca_file = ca, .no_proxy = true};
    weir_error err = WEIR_ERROR_INIT;
    opened = failed = 0;
    received = 0;
    w->targets = targets_new();
    snprintf(w->url, sizeof w->url, "%s://127.0.0.1:%u/*", tls ? "wss" : "ws", port);
    if (loop_new(&w->loop, &err) || dialer_new(&w->dialer, w->loop, &o, &err) || targets_add(w->targets, bytes_of(w->url), &err) ||
        targets_allow_private(w->targets, BYTES("127.0.0.1")))
        give_up(err.text);
    w->url[strlen(w->url) - 1] = 0;
}

static ws_client *open_one(world *w)
{
    ws_client *c = NULL;
    weir_error err = WEIR_ERROR_INIT;
    ws_client_options o = {.url = bytes_of(w->url), .targets = w->targets};
    if (ws_open(&c, w->dialer, &o, &events, NULL, &err))
        give_up(err.text);
    int want = opened + 1;
    while (opened < want && !failed)
        loop_step(w->loop, -1);
    if (failed)
        exit(1);
    return c;
}

static void finish(world *w)
{
    dialer_free(w->dialer);
    targets_free(w->targets);
    loop_free(w->loop);
}

static double ours(uint16_t port, bool tls)
{
    world w;
    begin(&w, port, tls);
    ws_client *c = open_one(&w);
    double start = cpu_s();
    while (received < FRAMES && !failed)
        loop_step(w.loop, -1);
    double took = cpu_s() - start;
    ws_client_free(c);
    finish(&w);
    return took;
}

/* Octets of heap for each of IDLE open sockets, ours and OpenSSL's together. */
static double idle_octets(bool tls)
{
    static ws_client *all[IDLE];
    pid_t child;
    world w;
    begin(&w, fork_peer(tls, true, &child), tls);
    ws_client *warm = open_one(&w); /* what is there once for all */
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < IDLE; i++)
        all[i] = open_one(&w);
    for (int i = 0; i < 50; i++)
        loop_step(w.loop, 10);
    struct mallinfo2 after = mallinfo2();
    for (int i = 0; i < IDLE; i++)
        ws_client_free(all[i]);
    ws_client_free(warm);
    finish(&w);
    end_peer(child);
    return ((double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd)) / IDLE;
}

static double best(double a, double b)
{
    return a < b ? a : b;
}

static void compare(const char *name, bool tls, bool json)
{
    pid_t child;
    uint16_t port = fork_peer(tls, false, &child);
    double mine = 1e9, theirs = 1e9, peers = 0;
    for (int i = 0; i < ROUNDS; i++) {
        theirs = best(theirs, bare(port, tls));
        mine = best(mine, ours(port, tls));
    }
#ifdef BENCH_LWS
    for (int i = 0; i < 2; i++) {
        double took = lws_read_frames(port, tls, FRAMES / 3); /* it is slow */
        if (took > 0 && (!peers || took * 3 < peers))
            peers = took * 3;
    }
#endif
    end_peer(child);
    double ours_rate = FRAMES / mine / 1e6, bare_rate = FRAMES / theirs / 1e6, peers_rate = peers > 0 ? FRAMES / peers / 1e6 : 0;
    if (json)
        printf("%s\"frames_%s\": {\"ours_m_per_cpu_s\": %.2f, \"bare_m_per_cpu_s\": %.2f, \"lws_m_per_cpu_s\": %.2f, \"ratio\": %.2f, \"aim\": 0.60}", tls ? ", " : "{", name, ours_rate, bare_rate, peers_rate, ours_rate / bare_rate);
    else
        printf("frames of %d, %-6s %7.2f M/s of CPU   bare %7.2f M/s   ratio %.2f   aim >= 0.60   libwebsockets %.2f M/s\n", OCTETS, name, ours_rate, bare_rate, ours_rate / bare_rate, peers_rate);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *names[] = {"127.0.0.1"};
    weir_error err = WEIR_ERROR_INIT;
    struct rlimit files = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &files);
    if (!mkdtemp(folder) || cert_make(folder, names, 1, &err))
        give_up(err.text);
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(cert, sizeof cert, "%s/server.pem", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    compare("plain", false, json);
    compare("tls", true, json);
    double plain = idle_octets(false), tls = idle_octets(true);
    if (json)
        printf(", \"idle_plain_octets\": %.0f, \"idle_tls_octets\": %.0f}\n", plain, tls);
    else
        printf("idle WebSocket       plain %.1f KiB, over TLS %.1f KiB of heap, OpenSSL's part included   aim <= 24 KiB without it\n", plain / 1024, tls / 1024);
    unlink(ca);
    unlink(cert);
    unlink(key);
    rmdir(folder);
    return 0;
}
