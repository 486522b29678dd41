/* The whole way of a trade, and a stream that never ends.
 *
 *   stream_bench trades WEIR PLUGIN [FRAMES] [--json]
 *       TLS socket -> plugin -> record -> NDJSON to /dev/null, against the same parse done natively
 *       (native.h). First both write a file from the same
 *       frames and every record must be equal but for when it was received and written. Then both
 *       take turns and the best round of each counts, in CPU time of this process; the venue
 *       is `weir sim woox` in another.
 *   stream_bench soak WEIR PLUGIN FRAMES [--json]
 *       that many frames through one start_stream: resident size after 1 % and at the end, and whether
 *       every message became exactly one record. */
#include "bench/native.h"
#include "weir/weir.h"

#define ROUNDS 4
#define CHECKED 20000

static const char *weir, *plugin_path;

static void venue(sim_process *s, uint64_t frames)
{
    char count[24];
    snprintf(count, sizeof count, "%llu", (unsigned long long)frames);
    sim_start(s, weir, (const char *const[]){"--speed", "max", "--seed", "7", "--frames", count, NULL});
}

/* ---- By the plugin ---- */

typedef struct plugin_side {
    weir_host *host;
    weir_plugin *plugin;
    weir_sink *sink;
    weir_stream *stream;
    uint64_t before; /* messages of other kinds: the answer to the subscription */
} plugin_side;

static void on_end(void *arg, const weir_error *why)
{
    (void)arg;
    give_up("the sink ended: %s", why->text);
}

static void plugin_open(plugin_side *p, const sim_process *s, const char *sink)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    o.ca_file = s->ca;
    o.overrides = s->override_list;
    o.max_instances = 8;
    if (weir_host_new(&p->host, &o, &err) || weir_plugin_load(&p->plugin, p->host, plugin_path, NULL, &err) ||
        weir_sink_open(&p->sink, p->host, sink, ">", on_end, NULL, &err) ||
        weir_stream_open(&p->stream, p->plugin, "trades", SYMBOL, NULL, &err))
        give_up("%s", err.text);
}

/* Turns the loop until so many records have left the queue. */
static void plugin_until(plugin_side *p, uint64_t delivered)
{
    weir_account a;
    do {
        weir_host_step(p->host, -1);
        weir_host_account(p->host, &a);
        if (a.restarts || a.gaps)
            give_up("the stream was interrupted: %s", weir_stream_why(p->stream));
    } while (a.delivered < delivered);
}

static void plugin_close(plugin_side *p)
{
    weir_sink_free(p->sink);
    weir_host_free(p->host);
}

/* ---- Both ---- */

/* Seconds of CPU for the frames behind the first twentieth. */
static double by_plugin(uint64_t frames)
{
    sim_process s;
    plugin_side p;
    venue(&s, frames);
    plugin_open(&p, &s, "ndjson:/dev/null");
    plugin_until(&p, frames / 20);
    weir_account a;
    weir_host_account(p.host, &a);
    double start = cpu_s();
    plugin_until(&p, frames);
    double took = (cpu_s() - start) / (double)(frames - a.delivered);
    plugin_close(&p);
    sim_end(&s);
    return took;
}

static double natively(uint64_t frames)
{
    sim_process s;
    native_side n;
    venue(&s, frames);
    native_open(&n, s.ca, s.overrides[2], "ndjson:/dev/null");
    native_until(&n, frames / 20);
    uint64_t before = n.data;
    double start = cpu_s();
    native_until(&n, frames);
    double took = (cpu_s() - start) / (double)(frames - before);
    native_close(&n);
    sim_end(&s);
    return took;
}

/* The next data record without what depends on when it was read; false at the end. */
static bool next_data(FILE *f, char *line, int size)
{
    while (fgets(line, size, f)) {
        char *recv = strstr(line, "\"ts_recv\":"), *data = strstr(line, ",\"data\":");
        if (!recv || !data)
            continue; /* a status */
        memmove(recv, data, strlen(data) + 1);
        return true;
    }
    return false;
}

/* Both write CHECKED trades of the same market: the same records, octet for octet. */
static void check_same(void)
{
    char folder[] = "/tmp/weir-bench-XXXXXX", path[2][64], spec[2][80], line[2][4096];
    sim_process s;
    plugin_side p;
    native_side n;
    FILE *f[2];
    uint64_t same = 0;
    if (!mkdtemp(folder))
        give_up("no temporary folder");
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%d", folder, i);
        snprintf(spec[i], sizeof spec[i], "ndjson:%s", path[i]);
    }
    venue(&s, CHECKED + 100);
    plugin_open(&p, &s, spec[0]);
    plugin_until(&p, CHECKED + 100);
    plugin_close(&p);
    sim_end(&s);
    venue(&s, CHECKED + 100);
    native_open(&n, s.ca, s.overrides[2], spec[1]);
    native_until(&n, CHECKED + 100);
    native_close(&n);
    sim_end(&s);
    for (int i = 0; i < 2; i++)
        if (!(f[i] = fopen(path[i], "r")))
            give_up("no '%s'", path[i]);
    while (same < CHECKED && next_data(f[0], line[0], sizeof line[0]) && next_data(f[1], line[1], sizeof line[1])) {
        if (strcmp(line[0], line[1]) != 0)
            give_up("the two sides differ in record %llu:\n  %s  %s", (unsigned long long)same + 1, line[0], line[1]);
        same++;
    }
    if (same < CHECKED)
        give_up("only %llu records of %d to compare", (unsigned long long)same, CHECKED);
    for (int i = 0; i < 2; i++) {
        fclose(f[i]);
        unlink(path[i]);
    }
    rmdir(folder);
}

static void trades(uint64_t frames, bool as_json)
{
    double mine = 1e9, theirs = 1e9;
    check_same();
    for (int i = 0; i < ROUNDS; i++) {
        double n = natively(frames), p = by_plugin(frames);
        theirs = n < theirs ? n : theirs;
        mine = p < mine ? p : mine;
    }
    if (as_json)
        printf("{\"plugin_per_cpu_s\": %.0f, \"native_per_cpu_s\": %.0f, \"ratio\": %.3f, \"checked\": %d}\n", 1 / mine, 1 / theirs, theirs / mine, CHECKED);
    else
        printf("trades of one CPU second: by the plugin %.0f, natively %.0f, ratio %.3f; %d records compared first\n", 1 / mine, 1 / theirs, theirs / mine, CHECKED);
}

/* ---- Soak ---- */

typedef struct soaked {
    uint64_t data, other, last, holes;
} soaked;

static void on_record(void *arg, const weir_record *r)
{
    soaked *k = arg;
    if (r->kind != WEIR_RECORD_DATA) {
        k->other += r->kind == WEIR_RECORD_GAP;
        return;
    }
    k->data++;
    k->holes += r->seq != k->last + 1;
    k->last = r->seq;
}

static void soak(uint64_t frames, bool as_json)
{
    sim_process s;
    plugin_side p;
    soaked k = {0};
    weir_sub *counter;
    weir_account a;
    weir_error err = WEIR_ERROR_INIT;
    double early = 0, start = 0;
    venue(&s, frames);
    plugin_open(&p, &s, "ndjson:/dev/null");
    if (weir_subscribe(&counter, p.host, ">", on_record, &k, &err))
        give_up("%s", err.text);
    while (k.data < frames) {
        weir_host_step(p.host, -1);
        if (!start && k.data >= frames / 100) {
            early = resident("Rss");
            start = cpu_s();
        }
        if (k.other || k.holes)
            give_up("after %llu records: %s", (unsigned long long)k.data, weir_stream_why(p.stream));
    }
    double grown = resident("Rss") - early, took = cpu_s() - start;
    weir_host_account(p.host, &a);
    /* every message but the answer to the subscription became a record */
    uint64_t missing = a.received - 1 - k.data + a.lost + a.dropped + a.waiting;
    if (!weir_host_account_check(p.host, &err))
        give_up("%s", err.text);
    if (as_json)
        printf("{\"frames\": %llu, \"resident_early\": %.0f, \"grown\": %.0f, \"lost\": %lld, \"per_cpu_s\": %.0f}\n", (unsigned long long)frames, early, grown, (long long)missing, (double)frames * 0.99 / took);
    else
        printf("%llu frames: resident %.1f MiB after 1 %%, %+.2f MiB at the end (aim <= 1); %lld lost; %.0f a CPU second\n", (unsigned long long)frames, early / 1048576, grown / 1048576, (long long)missing, (double)frames * 0.99 / took);
    plugin_close(&p);
    sim_end(&s);
}

int main(int argc, char **argv)
{
    bool as_json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    argc -= as_json;
    uint64_t frames = argc > 4 ? strtoull(argv[4], NULL, 10) : 300000;
    if (argc < 4 || argc > 5 || frames < 2000) {
        fprintf(stderr, "usage: stream_bench trades|soak WEIR PLUGIN [FRAMES] [--json], at least 2000 frames\n");
        return 2;
    }
    weir = argv[2];
    plugin_path = argv[3];
    signal(SIGPIPE, SIG_IGN);
    weir_log(WEIR_LOG_ERROR, NULL, NULL);
    if (strcmp(argv[1], "soak") == 0)
        soak(frames, as_json);
    else
        trades(frames, as_json);
    return 0;
}
