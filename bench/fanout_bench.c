/* What very many readers cost, and whether two that do not read are noticed by the others.
 *
 *   fanout_bench [READERS] [RATE] [SECONDS] [--json]
 *
 * A node with its API publishes RATE records a second; another process has READERS WebSockets that subscribe to all of them
 * and checks that each gets every number once and in order. Then the same with two more that never read. Of both: the
 * CPU time of the node's process, and how long a record took from its ts_out to a reader (every 16th reader looks). Allocations
 * are counted at link time, in the node's process, while records flow. */
#include "bench/bench.h"

#include "api/api.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define STUCK 2
#define PIECE (256u * 1024u)

static unsigned readers = 1000, rate = 1000, seconds = 10;
static uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_calloc(count, size);
}
void *__wrap_realloc(void *at, size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_realloc(at, size);
}

typedef struct outcome {
    uint64_t got, lost, doubled, gaps;
    uint64_t dropped; /* by the queues of those that do not read */
    double p50_ms, p99_ms;
    double cpu_s, wall_s;
    uint64_t allocations;
} outcome;

/* ---- The readers' process ---- */

typedef struct peer {
    int fd;
    size_t rest; /* octets of a frame that has not come whole, in `kept` */
    char kept[4096];
    uint64_t seq;
} peer;

static double *waits;
static size_t wait_count, wait_room = 1 << 20;

static void take_line(peer *p, const char *at, size_t len, bool look, outcome *o)
{
    if (len < 20 || memcmp(at, "{\"seq\":\"", 8) != 0)
        return;
    uint64_t seq = strtoull(at + 8, NULL, 10);
    if (memmem(at, len < 60 ? len : 60, "\"kind\":\"gap\"", 12))
        o->gaps++;
    o->got++;
    o->lost += seq > p->seq + 1 ? seq - p->seq - 1 : 0;
    o->doubled += seq <= p->seq;
    p->seq = seq;
    const char *out = look && wait_count < wait_room ? memmem(at, len, "\"ts_out\":\"", 10) : NULL;
    if (out)
        waits[wait_count++] = (double)(clock_real() - strtoull(out + 10, NULL, 10)) / 1e6;
}

static void take(peer *p, const char *at, size_t len, bool look, outcome *o)
{
    while (len >= 2) {
        const unsigned char *h = (const unsigned char *)at;
        size_t n = h[1] & 127, head = n < 126 ? 2 : 4;
        if (n == 126 && len >= 4)
            n = (size_t)h[2] << 8 | h[3];
        if (len < head || len < head + n)
            break;
        take_line(p, at + head, n, look, o);
        at += head + n;
        len -= head + n;
    }
    if (len > sizeof p->kept)
        give_up("a frame of more than %zu octets", sizeof p->kept);
    memmove(p->kept, at, len);
    p->rest = len;
}

static void read_peer(peer *p, bool look, outcome *o)
{
    static char piece[sizeof p->kept + PIECE];
    memcpy(piece, p->kept, p->rest);
    ssize_t n = recv(p->fd, piece + p->rest, PIECE, MSG_DONTWAIT);
    if (n == 0)
        give_up("a reader was hung up on");
    if (n > 0)
        take(p, piece, p->rest + (size_t)n, look, o);
}

static int open_peer(uint16_t port, const char *token, bool stuck)
{
    const char *subscribe = stuck ? "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"max_records\":100}" : "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}";
    size_t size = strlen(subscribe);
    int small = 4096;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (stuck)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
        give_up("cannot connect: %s", strerror(errno));
    int len = snprintf(text, sizeof text, "GET /v1/records/ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                       token);
    if (send(fd, text, (size_t)len, 0) != len)
        give_up("cannot send");
    for (len = 0; len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0; len++)
        if (len == sizeof text || recv(fd, text + len, 1, 0) != 1)
            give_up("no handshake");
    memcpy(text, (const char[]){(char)0x81, (char)(0x80 | size), 0, 0, 0, 0}, 6);
    memcpy(text + 6, subscribe, size);
    if (send(fd, text, 6 + size, 0) != (ssize_t)(6 + size))
        give_up("cannot send");
    return fd;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_all(uint16_t port, const char *token, unsigned stuck, int told, int answer)
{
    outcome o = {0};
    uint64_t want = (uint64_t)rate * seconds, done = 0;
    peer *peers = calloc(readers, sizeof *peers);
    int poll = epoll_create1(0);
    waits = malloc(wait_room * sizeof *waits);
    for (unsigned i = 0; i < readers; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        peers[i].fd = open_peer(port, token, false);
        epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &e);
    }
    for (unsigned i = 0; i < stuck; i++)
        open_peer(port, token, true);
    if (write(told, "x", 1) != 1)
        give_up("nobody is there");
    for (double until = wall_s() + 10 * seconds + 60; done < readers && wall_s() < until;) {
        struct epoll_event events[256];
        int n = epoll_wait(poll, events, 256, 1000);
        for (int i = 0; i < n; i++) {
            peer *p = &peers[events[i].data.u32];
            bool before = p->seq >= want;
            read_peer(p, events[i].data.u32 % 16 == 0, &o);
            done += !before && p->seq >= want;
        }
    }
    for (unsigned i = 0; i < readers; i++)
        o.lost += want - peers[i].seq;
    qsort(waits, wait_count, sizeof *waits, compare);
    o.p50_ms = wait_count ? waits[wait_count / 2] : 0;
    o.p99_ms = wait_count ? waits[wait_count * 99 / 100] : 0;
    _exit(write(answer, &o, sizeof o) == sizeof o ? 0 : 1);
}

/* ---- The node's process ---- */

static void publish(node *n, record_stream *s, uint64_t *made, double began)
{
    static const char trade[] = "{\"symbol\":\"SPOT_BTC_USDT\",\"ts_event\":\"1795866193810000000\",\"price\":\"64123.40\",\"size\":\"0.0150\",\"side\":\"buy\"}";
    double due = (wall_s() - began) * rate;
    uint64_t want = (uint64_t)rate * seconds;
    for (uint64_t now = clock_real(); *made < want && (double)*made < due; ++*made)
        hub_publish(node_hub(n), record_new(s, now, now, bytes_make(trade, sizeof trade - 1)));
}

static bool readable(int fd)
{
    fd_set set;
    struct timeval none = {0, 0};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &none) > 0;
}

static outcome measure(unsigned stuck)
{
    char dir[] = "/tmp/weir-fanout-XXXXXX", token[NODE_TOKEN_TEXT], command[64];
    weir_error err = WEIR_ERROR_INIT;
    node_options no = {.data_dir = mkdtemp(dir), .name = "bench", .host = WEIR_HOST_OPTIONS_INIT};
    api_options ao = {.rate = 1000000, .idle_ms = 600000};
    record_key key = {.type = BYTES("trades"), .source = BYTES("bench"), .identifier = BYTES("SPOT_BTC_USDT")};
    record_stream *s;
    outcome o = {0};
    node *n;
    api *a;
    int told[2], answer[2];
    if (node_new(&n, &no, &err) || node_token_make(n, "bench", NODE_SCOPE_READ, token, &err) || api_new(&a, n, &ao, &err) || hub_stream(&s, node_hub(n), &key, &err))
        give_up("%s", err.text);
    node_start(n);
    if (pipe(told) || pipe(answer))
        give_up("no pipe");
    pid_t child = fork();
    if (child == 0)
        read_all(api_port(a), token, stuck, told[1], answer[1]);
    close(answer[1]);
    while (!readable(told[0]))
        node_step(n, 5);
    for (int i = 0; i < 200; i++)
        node_step(n, 5);
    double cpu = cpu_s(), began = wall_s();
    uint64_t made = 0, before = 0, want = (uint64_t)rate * seconds;
    while (!readable(answer[0])) {
        publish(n, s, &made, began);
        if (!before && made > want / 5) /* buffers and queues have grown to what they need */
            before = allocations;
        if (made == want && !o.allocations)
            o.allocations = allocations - before;
        node_step(n, 1);
    }
    cpu = cpu_s() - cpu;
    uint64_t counted = o.allocations;
    double wall = wall_s() - began;
    hub_account readers_all = hub_read_account(node_hub(n));
    if (read(answer[0], &o, sizeof o) != sizeof o)
        give_up("the readers' process has failed");
    o.dropped = readers_all.subs.dropped[SUB_DROPPED_OLDEST];
    o.cpu_s = cpu;
    o.wall_s = wall;
    o.allocations = counted;
    waitpid(child, NULL, 0);
    record_stream_unref(s);
    api_free(a);
    node_free(n);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command))
        give_up("cannot remove %s", dir);
    return o;
}

static void tell(const char *name, const outcome *o, bool json, bool last)
{
    double sent = (double)rate * seconds * readers;
    if (json) {
        printf("\"%s\":{\"got\":%llu,\"lost\":%llu,\"doubled\":%llu,\"gaps\":%llu,\"dropped\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"cpu_s\":%.3f,\"wall_s\":%.3f,\"ns_each\":%.1f,\"allocations_each\":%.6f}%s", name,
               (unsigned long long)o->got, (unsigned long long)o->lost, (unsigned long long)o->doubled, (unsigned long long)o->gaps, (unsigned long long)o->dropped, o->p50_ms, o->p99_ms, o->cpu_s, o->wall_s,
               o->cpu_s * 1e9 / sent, (double)o->allocations / (0.8 * sent), last ? "" : ",");
        return;
    }
    printf("%-10s got %llu lost %llu doubled %llu gaps %llu (dropped for others %llu); p50 %.2f ms p99 %.2f ms; CPU %.2f s of %.2f s, %.0f ns for each record and reader; %.6f allocations\n", name,
           (unsigned long long)o->got, (unsigned long long)o->lost, (unsigned long long)o->doubled, (unsigned long long)o->gaps, (unsigned long long)o->dropped, o->p50_ms, o->p99_ms, o->cpu_s, o->wall_s,
           o->cpu_s * 1e9 / sent, (double)o->allocations / (0.8 * sent));
}

int main(int argc, char **argv)
{
    bool json = false;
    unsigned *numbers[] = {&readers, &rate, &seconds}, n = 0;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (n < 3)
            *numbers[n++] = (unsigned)strtoul(argv[i], NULL, 10);
    many_files();
    outcome none = measure(0), two = measure(STUCK);
    printf("%s", json ? "{" : "");
    tell("none_stuck", &none, json, false);
    tell("two_stuck", &two, json, true);
    printf("%s", json ? "}\n" : "");
    return 0;
}
