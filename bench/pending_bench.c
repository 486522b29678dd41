/* What a stream that waits costs: resident octets beyond its socket.
 *
 *   pending_bench WEIR PLUGIN [COUNT] [--plain] [--json]
 *
 * One process opens COUNT bare ws_clients to the simulated venue, another COUNT streams of the plugin,
 * each with an instance, a suspended start_stream and a socket of the same kind. Both sides are
 * measured by what the process has resident more than before the first, all connections established and
 * quiet; the difference is what the plugin's side adds. Rss counts a page that instances share once for
 * each, Pss once: Rss is what is compared with the aim. */
#include "bench/bench.h"
#include "net/ws_client.h"
#include "weir/weir.h"

static const char *weir, *plugin_path;
static uint32_t wanted = 2000;
static bool plain;

typedef struct figures {
    double rss, pss, seconds; /* octets for each; seconds until all were open */
} figures;

/* Runs `measure` in a process of its own, so that neither side finds memory the other left. */
static figures apart(figures (*measure)(const sim_process *s))
{
    figures f = {0};
    int fds[2];
    sim_process s;
    sim_start(&s, weir, (const char *const[]){"--rate", "0.0167", plain ? "--plain" : NULL, NULL});
    if (pipe(fds))
        give_up("no pipe");
    pid_t child = fork();
    if (child == 0) {
        f = measure(&s);
        _exit(write(fds[1], &f, sizeof f) == sizeof f ? 0 : 1);
    }
    close(fds[1]);
    if (read(fds[0], &f, sizeof f) != sizeof f)
        exit(1); /* it has said why */
    close(fds[0]);
    waitpid(child, NULL, 0);
    sim_end(&s);
    return f;
}

static void measured(figures *f, const figures *before)
{
    f->rss = (resident("Rss") - before->rss) / (wanted - 1);
    f->pss = (resident("Pss") - before->pss) / (wanted - 1);
}

/* ---- Sockets alone ---- */

static uint32_t opened;

static void on_open(void *arg, bytes subprotocol)
{
    (void)arg, (void)subprotocol;
    opened++;
}

static bool on_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    (void)arg, (void)binary, (void)message, (void)recv_real_ns;
    return true;
}

static void on_close(void *arg, uint16_t code, const weir_error *why, uint16_t status, uint32_t retry_after_s)
{
    (void)arg, (void)code, (void)status, (void)retry_after_s;
    give_up("a socket closed: %s", why->text);
}

static figures sockets(const sim_process *s)
{
    static const ws_client_events events = {on_open, on_message, NULL, on_close};
    weir_error err = WEIR_ERROR_INIT;
    ws_client_options ask = {.url = BYTES("wss://wss.woox.io/v3/public"), .connect_ms = 60000};
    targets *to = targets_new();
    figures before = {0}, f;
    loop *l;
    dialer *d;
    ask.targets = to;
    if (loop_new(&l, &err) || dialer_new(&d, l, &(dialer_options){.ca_file = *s->ca ? s->ca : NULL, .connect_ms = 60000}, &err) ||
        targets_add(to, BYTES("wss://wss.woox.io/*"), &err) || targets_override(to, bytes_of(s->overrides[2]), &err))
        give_up("%s", err.text);
    double start = wall_s();
    for (uint32_t i = 0; i < wanted; i++) {
        ws_client *c;
        if (ws_open(&c, d, &ask, &events, NULL, &err))
            give_up("%s", err.text);
        while (opened < i) /* one at a time: nobody waits in a backlog */
            loop_step(l, -1);
        if (i == 1) { /* what is there once for all, and the first */
            before.rss = resident("Rss");
            before.pss = resident("Pss");
        }
    }
    while (opened < wanted)
        loop_step(l, -1);
    f.seconds = wall_s() - start;
    for (int i = 0; i < 50; i++)
        loop_step(l, 10);
    measured(&f, &before);
    return f;
}

/* ---- Streams ---- */

static uint32_t live, failed;
static char why[256];

static void on_state(void *arg, weir_stream *stream, weir_stream_state state)
{
    (void)arg;
    live += state == WEIR_STREAM_LIVE;
    if (state == WEIR_STREAM_WAITING || state == WEIR_STREAM_FAILED) {
        failed++;
        snprintf(why, sizeof why, "%s", weir_stream_why(stream));
    }
}

static figures streams(const sim_process *s)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    figures before = {0}, f;
    weir_host *host;
    weir_plugin *plugin;
    o.ca_file = *s->ca ? s->ca : NULL;
    o.overrides = s->override_list;
    o.max_instances = wanted + 8;
    if (weir_host_new(&host, &o, &err) || weir_plugin_load(&plugin, host, plugin_path, NULL, &err))
        give_up("%s", err.text);
    double start = wall_s();
    for (uint32_t i = 0; i < wanted; i++) {
        weir_stream *stream;
        char params[64];
        snprintf(params, sizeof params, "{\"n\":\"%u\"}", i); /* a stream of its own, not a second one of the same */
        if (weir_stream_open(&stream, plugin, "trades", "SPOT_BTC_USDT", params, &err))
            give_up("%s", err.text);
        weir_stream_on_state(stream, on_state, NULL);
        while (live < i && !failed)
            weir_host_step(host, -1);
        if (failed)
            give_up("stream %u of %u: %s", i, wanted, why);
        if (i == 1) {
            before.rss = resident("Rss");
            before.pss = resident("Pss");
        }
    }
    while (live < wanted && !failed)
        weir_host_step(host, -1);
    f.seconds = wall_s() - start;
    for (int i = 0; i < 50; i++)
        weir_host_step(host, 10);
    if (failed)
        give_up("a stream ended: %s", why);
    measured(&f, &before);
    return f;
}

int main(int argc, char **argv)
{
    bool as_json = false;
    for (; argc > 1 && argv[argc - 1][0] == '-'; argc--) {
        plain |= strcmp(argv[argc - 1], "--plain") == 0;
        as_json |= strcmp(argv[argc - 1], "--json") == 0;
    }
    if (argc > 3)
        wanted = (uint32_t)strtoul(argv[3], NULL, 10);
    if (argc < 3 || argc > 4 || wanted < 10) {
        fprintf(stderr, "usage: pending_bench WEIR PLUGIN [COUNT] [--plain] [--json], at least 10\n");
        return 2;
    }
    weir = argv[1];
    plugin_path = argv[2];
    signal(SIGPIPE, SIG_IGN);
    many_files();
    weir_log(WEIR_LOG_ERROR, NULL, NULL);
    figures socket = apart(sockets), stream = apart(streams);
    if (as_json)
        printf("{\"streams\": %u, \"tls\": %s, \"octets_per_stream\": %.0f, \"octets_per_stream_pss\": %.0f, \"socket_octets\": %.0f, \"seconds\": %.1f}\n",
               wanted, plain ? "false" : "true", stream.rss - socket.rss, stream.pss - socket.pss, socket.rss, stream.seconds);
    else
        printf("%u pending streams, %s: %.1f KiB each beyond its socket (shared pages once: %.1f), the socket %.1f KiB (aim <= 64); open after %.1f s\n",
               wanted, plain ? "plain" : "TLS", (stream.rss - socket.rss) / 1024, (stream.pss - socket.pss) / 1024, socket.rss / 1024, stream.seconds);
    return 0;
}
