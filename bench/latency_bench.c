/* How much later a record is written because a plugin made it.
 *
 *   latency_bench PLUGIN [PER_SECOND] [SECONDS] [--json]
 *
 * A venue in a process of its own sends trades at a fixed rate (20,000 a second), each with the moment in it at which it
 * is given to the socket; this process takes the time when the write() that brings the trade's record to the sink has
 * returned. So what is measured is from readable to written. The venue keeps to its plan whatever the reader does, and a
 * frame that has to wait for the socket counts from when it was due: nothing is left out for being late. Plugin and
 * native handler (native.h) take turns; the best round of each counts, since others use the machine, too. */
#include <sys/socket.h>

#include "bench/native.h"
#include "net/server.h"
#include "weir/weir.h"

#define ROUNDS 5
#define MAX_FRAMES (1u << 22)

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- The venue ---- */

typedef struct sender {
    pid_t child;
    char override[80];
} sender;

static struct {
    loop *loop;
    server_ws *ws;
    bool subscribed, over;
} v;

static void venue_message(void *arg, bool binary, bytes message)
{
    (void)arg, (void)binary, (void)message;
    v.subscribed = true;
}

static void venue_drained(void *arg)
{
    (void)arg;
}

static void venue_closed(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)code, (void)reason;
    v.over = true;
}

static void venue_request(void *arg, server_request *r)
{
    static const server_ws_events events = {venue_message, venue_drained, venue_closed};
    (void)arg;
    v.ws = server_upgrade(r, BYTES(""), &events, &v);
}

static void send_one(uint64_t due)
{
    char frame[200];
    bool waits = server_ws_queued(v.ws) > 0;
    int len = snprintf(frame, sizeof frame, "{\"topic\":\"trade@" SYMBOL "\",\"ts\":1767571200000,\"data\":{\"px\":\"%llu\",\"sx\":\"0.25\",\"sd\":\"BUY\",\"ts\":1767571200000}}",
                       (unsigned long long)(waits ? due : now_ns()));
    server_ws_send(v.ws, false, bytes_make(frame, (size_t)len));
    loop_step(v.loop, 0); /* to the socket */
}

static void venue_run(int port_fd, uint64_t frames, uint64_t apart)
{
    weir_error err = WEIR_ERROR_INIT;
    server_options o = {.on_request = venue_request, .no_deflate = true};
    server *s;
    if (loop_new(&v.loop, &err) || server_new(&s, v.loop, &o, &err))
        give_up("%s", err.text);
    uint16_t port = server_port(s);
    if (write(port_fd, &port, sizeof port) != sizeof port)
        give_up("no pipe");
    while (!v.subscribed)
        loop_step(v.loop, -1);
    uint64_t due = now_ns() + 10 * NS_PER_MS;
    for (uint64_t n = 0; n < frames && !v.over; n++, due += apart) {
        struct timespec at = {(time_t)(due / NS_PER_S), (long)(due % NS_PER_S)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); /* at once when it is past */
        send_one(due);
    }
    while (!v.over)
        loop_step(v.loop, -1);
    _exit(0);
}

static void sender_start(sender *s, uint64_t frames, uint64_t apart)
{
    int fds[2];
    uint16_t port;
    if (pipe(fds))
        give_up("no pipe");
    s->child = fork();
    if (s->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        prctl(PR_SET_TIMERSLACK, 1);
        venue_run(fds[1], frames, apart);
    }
    if (read(fds[0], &port, sizeof port) != sizeof port)
        give_up("the venue does not start");
    close(fds[0]);
    close(fds[1]);
    snprintf(s->override, sizeof s->override, "wss://wss.woox.io=ws://127.0.0.1:%u", port);
}

static void sender_end(sender *s)
{
    kill(s->child, SIGTERM);
    waitpid(s->child, NULL, 0);
}

/* ---- What is written ---- */

static uint32_t *took; /* nanoseconds, of each record */
static size_t written;

ssize_t __real_write(int fd, const void *at, size_t len);
ssize_t __wrap_write(int fd, const void *at, size_t len);

/* The sink's: whole lines of records. */
ssize_t __wrap_write(int fd, const void *at, size_t len)
{
    ssize_t went = __real_write(fd, at, len);
    const char *text = at, *end = text + len;
    if (len < 8 || memcmp(text, "{\"seq\":", 7) != 0)
        return went;
    uint64_t now = now_ns();
    while (written < MAX_FRAMES && (text = memmem(text, (size_t)(end - text), "\"price\":\"", 9))) {
        uint64_t stamp = strtoull(text + 9, NULL, 10);
        took[written++] = now - stamp < UINT32_MAX ? (uint32_t)(now - stamp) : UINT32_MAX;
        text += 9;
    }
    return went;
}

typedef struct quantiles {
    double p50, p99; /* microseconds */
} quantiles;

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Of what came behind the first tenth, into *best where it is better. */
static void take_quantiles(quantiles *best)
{
    size_t from = written / 10, n = written - from;
    qsort(took + from, n, sizeof *took, by_size);
    double p50 = took[from + n / 2] / 1e3, p99 = took[from + n * 99 / 100] / 1e3;
    best->p50 = p50 < best->p50 ? p50 : best->p50;
    best->p99 = p99 < best->p99 ? p99 : best->p99;
}

/* ---- Both sides ---- */

static void by_plugin(const char *plugin_path, const char *override, uint64_t frames)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *host;
    weir_plugin *plugin;
    weir_sink *sink;
    weir_stream *stream;
    o.overrides = (const char *const[]){override, NULL};
    o.max_instances = 8;
    if (weir_host_new(&host, &o, &err) || weir_plugin_load(&plugin, host, plugin_path, NULL, &err) ||
        weir_sink_open(&sink, host, "ndjson:/dev/null", ">", NULL, NULL, &err) ||
        weir_stream_open(&stream, plugin, "trades", SYMBOL, NULL, &err))
        give_up("%s", err.text);
    while (written < frames) {
        weir_host_step(host, -1);
        if (weir_stream_get_state(stream) == WEIR_STREAM_WAITING || weir_stream_get_state(stream) == WEIR_STREAM_FAILED)
            give_up("the stream was interrupted: %s", weir_stream_why(stream));
    }
    weir_sink_free(sink);
    weir_host_free(host);
}

static void natively(const char *override, uint64_t frames)
{
    native_side n;
    native_open(&n, "", override, "ndjson:/dev/null");
    while (written < frames)
        loop_step(n.loop, -1);
    native_close(&n);
}

static void measure(quantiles *best, const char *plugin_path, uint64_t frames, uint64_t per_s)
{
    sender s;
    written = 0;
    sender_start(&s, frames, NS_PER_S / per_s);
    if (plugin_path)
        by_plugin(plugin_path, s.override, frames);
    else
        natively(s.override, frames);
    sender_end(&s);
    take_quantiles(best);
}

int main(int argc, char **argv)
{
    bool as_json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    argc -= as_json;
    uint64_t per_s = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000, seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : 3;
    quantiles plugin = {1e9, 1e9}, native = {1e9, 1e9};
    if (argc < 2 || argc > 4 || per_s < 10 || seconds < 1 || per_s * seconds > MAX_FRAMES) {
        fprintf(stderr, "usage: latency_bench PLUGIN [PER_SECOND] [SECONDS] [--json]\n");
        return 2;
    }
    took = calloc(MAX_FRAMES, sizeof *took);
    if (!took)
        give_up("out of memory");
    signal(SIGPIPE, SIG_IGN);
    weir_log(WEIR_LOG_ERROR, NULL, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        measure(&native, NULL, per_s * seconds, per_s);
        measure(&plugin, argv[1], per_s * seconds, per_s);
    }
    if (as_json)
        printf("{\"per_s\": %llu, \"plugin_p50_us\": %.1f, \"plugin_p99_us\": %.1f, \"native_p50_us\": %.1f, \"native_p99_us\": %.1f}\n",
               (unsigned long long)per_s, plugin.p50, plugin.p99, native.p50, native.p99);
    else
        printf("%llu frames a second, from readable to written: by the plugin p50 %.1f us, p99 %.1f us; natively %.1f, %.1f; ratios %.2f, %.2f\n",
               (unsigned long long)per_s, plugin.p50, plugin.p99, native.p50, native.p99, plugin.p50 / native.p50, plugin.p99 / native.p99);
    return 0;
}
