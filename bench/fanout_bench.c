/* What very many readers cost, and whether two that do not read are noticed by the others.
 *
 *   fanout_bench [READERS] [RATE] [SECONDS] [PAIRS] [--json]
 *   fanout_bench --steps STUCK [READERS] [RECORDS]
 *
 * A node with its API publishes RATE records a second; another process has READERS WebSockets that subscribe to all of them
 * and checks that each gets every number once and in order. Then the same with two more that never read; PAIRS of such runs in
 * turns, and the median of each figure. Of both: the CPU time of the node's process, user and system, and how long a record took
 * from its ts_out to a reader (every 16th reader looks). Allocations and sends are counted at link time, in the node's process,
 * while records flow; before that a second's records at once make queues and buffers as large as a hiccup would.
 *
 * --steps goes by counts in place of time: a record, three turns of the loop, and every 50 records a wait until all have been
 * read, by a clock that goes a millisecond a record. So the same work is done each time, however busy the machine; under
 *   valgrind --tool=callgrind --toggle-collect=step build/bench/fanout_bench --steps 0 50 1000
 * its instructions are counted, those of the history's thread left out. */
#include "bench/bench.h"

#include "api/api.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define STUCK 2
#define PIECE (256u * 1024u)
#define STEPS 50         /* records between two waits */
#define FIRST_STEPS 2000 /* until all has grown, and who does not read is stuck */

static unsigned readers = 1000, rate = 1000, seconds = 10, pairs = 1;
static uint64_t allocations, sends;

ssize_t __real_send(int fd, const void *at, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *at, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *at, size_t len, int flags)
{
    sends++;
    return __real_send(fd, at, len, flags);
}

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
    double user_s, system_s, wall_s;
    uint64_t allocations, sends;
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

/* `steps`: a word after every so many records that all have, 0: none. */
static void read_all(uint16_t port, const char *token, unsigned stuck, uint64_t want, unsigned steps, int told, int answer)
{
    outcome o = {0};
    uint64_t done = 0, due = (uint64_t)steps * readers;
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
        for (; steps && o.got >= due; due += (uint64_t)steps * readers)
            if (write(told, "x", 1) != 1)
                give_up("nobody is there");
    }
    for (unsigned i = 0; i < readers; i++)
        o.lost += want - peers[i].seq;
    qsort(waits, wait_count, sizeof *waits, compare);
    o.p50_ms = wait_count ? waits[wait_count / 2] : 0;
    o.p99_ms = wait_count ? waits[wait_count * 99 / 100] : 0;
    _exit(write(answer, &o, sizeof o) == sizeof o ? 0 : 1);
}

/* ---- The node's process ---- */

typedef struct world {
    char dir[32], token[NODE_TOKEN_TEXT];
    node *n;
    api *a;
    record_stream *s;
    int told[2], answer[2];
    pid_t child;
    uint64_t made;
} world;

static void world_open(world *w, unsigned stuck, uint64_t want, unsigned steps)
{
    weir_error err = WEIR_ERROR_INIT;
    *w = (world){.dir = "/tmp/weir-fanout-XXXXXX"};
    node_options no = {.data_dir = mkdtemp(w->dir), .name = "bench", .host = WEIR_HOST_OPTIONS_INIT};
    api_options ao = {.rate = 1000000, .idle_ms = 600000};
    record_key key = {.type = BYTES("trades"), .source = BYTES("bench"), .identifier = BYTES("SPOT_BTC_USDT")};
    if (node_new(&w->n, &no, &err) || node_token_make(w->n, "bench", NODE_SCOPE_READ, w->token, &err) || api_new(&w->a, w->n, &ao, &err) || hub_stream(&w->s, node_hub(w->n), &key, &err))
        give_up("%s", err.text);
    node_start(w->n);
    if (pipe(w->told) || pipe(w->answer))
        give_up("no pipe");
    w->child = fork();
    if (w->child == 0)
        read_all(api_port(w->a), w->token, stuck, want, steps, w->told[1], w->answer[1]);
    close(w->told[1]);
    close(w->answer[1]);
}

static outcome world_close(world *w)
{
    char command[64];
    hub_account readers_all = hub_read_account(node_hub(w->n));
    outcome o;
    if (read(w->answer[0], &o, sizeof o) != sizeof o)
        give_up("the readers' process has failed");
    o.dropped = readers_all.subs.dropped[SUB_DROPPED_OLDEST];
    waitpid(w->child, NULL, 0);
    close(w->told[0]);
    close(w->answer[0]);
    record_stream_unref(w->s);
    api_free(w->a);
    node_free(w->n);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    if (system(command))
        give_up("cannot remove %s", w->dir);
    return o;
}

static bool readable(int fd)
{
    fd_set set;
    struct timeval none = {0, 0};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &none) > 0;
}

static void wait_word(world *w)
{
    char word;
    while (!readable(w->told[0]))
        node_step(w->n, 5);
    if (read(w->told[0], &word, 1) != 1)
        give_up("the readers' process has failed");
}

static void publish(world *w, uint64_t up_to)
{
    static const char trade[] = "{\"symbol\":\"SPOT_BTC_USDT\",\"ts_event\":\"1795866193810000000\",\"price\":\"64123.40\",\"size\":\"0.0150\",\"side\":\"buy\"}";
    for (uint64_t now = clock_real(); w->made < up_to; w->made++)
        hub_publish(node_hub(w->n), record_new(w->s, now, now, bytes_make(trade, sizeof trade - 1)));
}

/* So many records as are due, until all are made and read. */
static void flow(world *w, uint64_t want, outcome *o)
{
    uint64_t before = 0, sent = 0;
    publish(w, rate);
    for (double began = wall_s(); !readable(w->answer[0]);) {
        uint64_t due = rate + (uint64_t)((wall_s() - began) * rate);
        publish(w, due < want ? due : want);
        if (!before && w->made > want / 5) {
            before = allocations;
            sent = sends;
        }
        if (w->made == want && !o->allocations) {
            o->allocations = allocations - before;
            o->sends = sends - sent;
        }
        node_step(w->n, 1);
    }
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static outcome measure(unsigned stuck)
{
    uint64_t want = (uint64_t)rate * (seconds + 1);
    outcome counted = {0}, o;
    struct rusage before, after;
    world w;
    world_open(&w, stuck, want, 0);
    wait_word(&w);
    for (int i = 0; i < 200; i++)
        node_step(w.n, 5);
    double began = wall_s();
    getrusage(RUSAGE_SELF, &before);
    flow(&w, want, &counted);
    getrusage(RUSAGE_SELF, &after);
    double wall = wall_s() - began;
    o = world_close(&w);
    o.user_s = seconds_of(after.ru_utime) - seconds_of(before.ru_utime);
    o.system_s = seconds_of(after.ru_stime) - seconds_of(before.ru_stime);
    o.wall_s = wall;
    o.allocations = counted.allocations;
    o.sends = counted.sends;
    return o;
}

/* ---- By steps ---- */

static uint64_t now_ns = UINT64_C(1795866193) * NS_PER_S;

static uint64_t steps_clock(void)
{
    return now_ns;
}

static void publish_and_turn(world *w)
{
    publish(w, w->made + 1);
    for (int i = 0; i < 3; i++)
        node_step(w->n, 0);
}

/* What is counted. */
__attribute__((noinline)) static void step(world *w)
{
    publish_and_turn(w);
}

static int count_steps(unsigned stuck, uint64_t want)
{
    world w;
    uint64_t before = 0, sent = 0;
    clock_replace(steps_clock, steps_clock);
    want += FIRST_STEPS + STEPS - want % STEPS;
    world_open(&w, stuck, want, STEPS);
    wait_word(&w);
    for (int i = 0; i < 200; i++)
        node_step(w.n, 1);
    publish(&w, FIRST_STEPS / 4); /* at once, as many as there will never be again on their way to the disk */
    for (unsigned i = 0; i < FIRST_STEPS / 4 / STEPS; i++)
        wait_word(&w);
    for (uint64_t i = w.made; i < want; i++) {
        if (i == FIRST_STEPS) {
            before = allocations;
            sent = sends;
        }
        if (i < FIRST_STEPS)
            publish_and_turn(&w);
        else
            step(&w);
        now_ns += NS_PER_MS;
        if (w.made % STEPS == 0)
            wait_word(&w);
    }
    before = allocations - before;
    sent = sends - sent;
    while (!readable(w.answer[0]))
        node_step(w.n, 1);
    outcome o = world_close(&w);
    uint64_t half = want - FIRST_STEPS;
    printf("%u readers and %u that do not read, %llu records: lost %llu, doubled %llu, dropped for the stuck %llu; of the last %llu: %llu allocations, %llu sends, %.4f for each record and reader\n", readers, stuck,
           (unsigned long long)want, (unsigned long long)o.lost, (unsigned long long)o.doubled, (unsigned long long)o.dropped, (unsigned long long)half, (unsigned long long)before, (unsigned long long)sent,
           (double)sent / (double)(half * readers));
    return 0;
}

/* ---- The report ---- */

static double sent_of(void)
{
    return (double)rate * (seconds + 1) * readers;
}

static double counted_of(void)
{
    return (double)(rate * (seconds + 1) * 4 / 5) * readers;
}

static double ns_each(const outcome *o)
{
    return (o->user_s + o->system_s) * 1e9 / sent_of();
}

static int by_cpu(const void *a, const void *b)
{
    double x = ns_each(a), y = ns_each(b);
    return (x > y) - (x < y);
}

static double middle(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The run in the middle by its CPU time, with what none may have of all of them. */
static outcome summary(const outcome *runs)
{
    outcome sorted[64], o;
    memcpy(sorted, runs, pairs * sizeof *runs);
    qsort(sorted, pairs, sizeof *sorted, by_cpu);
    o = sorted[pairs / 2];
    o.lost = o.doubled = o.gaps = 0;
    for (unsigned i = 0; i < pairs; i++) {
        o.lost += runs[i].lost;
        o.doubled += runs[i].doubled;
        o.gaps += runs[i].gaps;
    }
    return o;
}

static void tell(const char *name, const outcome *o, bool json)
{
    if (json) {
        printf("\"%s\":{\"got\":%llu,\"lost\":%llu,\"doubled\":%llu,\"gaps\":%llu,\"dropped\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"user_s\":%.3f,\"system_s\":%.3f,\"wall_s\":%.3f,\"ns_each\":%.1f,\"allocations\":%llu,\"sends_each\":%.6f},", name,
               (unsigned long long)o->got, (unsigned long long)o->lost, (unsigned long long)o->doubled, (unsigned long long)o->gaps, (unsigned long long)o->dropped, o->p50_ms, o->p99_ms, o->user_s, o->system_s, o->wall_s,
               ns_each(o), (unsigned long long)o->allocations, (double)o->sends / counted_of());
        return;
    }
    printf("%-10s got %llu lost %llu doubled %llu gaps %llu (dropped for others %llu); p50 %.2f ms p99 %.2f ms; CPU %.2f s user and %.2f s system of %.2f s, %.0f ns for each record and reader; %llu allocations, %.4f sends\n", name,
           (unsigned long long)o->got, (unsigned long long)o->lost, (unsigned long long)o->doubled, (unsigned long long)o->gaps, (unsigned long long)o->dropped, o->p50_ms, o->p99_ms, o->user_s, o->system_s, o->wall_s,
           ns_each(o), (unsigned long long)o->allocations, (double)o->sends / counted_of());
}

static void report(outcome *none, outcome *two, bool json)
{
    double cpu[64], p50[64], p99[64];
    for (unsigned i = 0; i < pairs; i++) {
        cpu[i] = ns_each(&two[i]) / ns_each(&none[i]);
        p50[i] = none[i].p50_ms > 0 ? two[i].p50_ms / none[i].p50_ms : 1;
        p99[i] = none[i].p99_ms > 0 ? two[i].p99_ms / none[i].p99_ms : 1;
    }
    outcome a = summary(none), b = summary(two);
    printf("%s", json ? "{" : "");
    tell("none_stuck", &a, json);
    tell("two_stuck", &b, json);
    printf(json ? "\"pairs\":%u,\"cpu_ratio\":%.3f,\"p50_ratio\":%.3f,\"p99_ratio\":%.3f}\n" : "two stuck to none, the middle of %u pairs: CPU %.3f, p50 %.3f, p99 %.3f\n", pairs, middle(cpu, pairs),
           middle(p50, pairs), middle(p99, pairs));
}

int main(int argc, char **argv)
{
    static outcome none[64], two[64];
    bool json = false, steps = false;
    unsigned *numbers[] = {&readers, &rate, &seconds, &pairs}, n = 0;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--steps"))
            steps = true;
        else if (n < 4)
            *numbers[n++] = (unsigned)strtoul(argv[i], NULL, 10);
    many_files();
    if (steps) {
        unsigned stuck = n > 0 ? readers : 0, records = n > 2 ? seconds : 1000;
        readers = n > 1 ? rate : 50;
        return count_steps(stuck, records);
    }
    if (!readers || !rate || !seconds || !pairs || pairs > 64)
        give_up("READERS, RATE and SECONDS are 1 or more, PAIRS 1 to 64");
    for (unsigned i = 0; i < pairs; i++) {
        none[i] = measure(0);
        two[i] = measure(STUCK);
    }
    report(none, two, json);
    return 0;
}
