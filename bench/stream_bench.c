/* The whole way of a trade, and a stream that never ends.
 *
 *   stream_bench trades WEIR PLUGIN [FRAMES] [--json]
 *       TLS socket -> plugin (pull) -> record -> NDJSON to /dev/null, against the same parse done natively:
 *       ws_client, base/json, record_new, the hub, the same sink. First both write a file from the same
 *       frames and every record must be equal but for when it was received and written. Then both
 *       take turns and the best round of each counts, in CPU time of this process; the venue
 *       is `weir sim woox` in another.
 *   stream_bench soak WEIR PLUGIN FRAMES [--json]
 *       that many frames through one start_stream: resident size after 1 % and at the end, and whether
 *       every message became exactly one record. */
#include "base/json.h"
#include "bench/bench.h"
#include "net/ws_client.h"
#include "sink/sink.h"
#include "weir/weir.h"

#define ROUNDS 4
#define CHECKED 20000
#define SYMBOL "SPOT_BTC_USDT"

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

/* ---- Natively ---- */

typedef struct native_side {
    loop *loop;
    dialer *dialer;
    targets *targets;
    ws_client *ws;
    hub *hub;
    record_stream *records;
    sub *sub;
    sink *sink;
    deferred drain, resume;
    hub_waiter waiter;
    buf out;
    uint64_t second;
    char stamp[CLOCK_RFC3339_SIZE];
    uint64_t data; /* records made */
} native_side;

static bool decimal(json value, bytes *text)
{
    if (!json_string_slice(value, text) || !text->len)
        return false;
    for (size_t i = 0, points = 0; i < text->len; i++)
        if (text->at[i] == '.' ? points++ > 0 || i == 0 : text->at[i] < '0' || text->at[i] > '9')
            return false;
    return true;
}

/* The plugin's own shape: {"symbol","timestamp","price","size","side"}. */
static void write_trade(native_side *n, uint64_t ms, bytes price, bytes size, bool buys)
{
    if (ms / 1000 != n->second) {
        n->second = ms / 1000;
        clock_rfc3339(n->stamp, ms * NS_PER_MS, 3);
    }
    n->stamp[20] = (char)('0' + ms / 100 % 10);
    n->stamp[21] = (char)('0' + ms / 10 % 10);
    n->stamp[22] = (char)('0' + ms % 10);
    buf_clear(&n->out);
    buf_add_text(&n->out, "{\"symbol\":\"" SYMBOL "\",\"timestamp\":\"");
    buf_add(&n->out, n->stamp, 24);
    buf_add_text(&n->out, "\",\"price\":\"");
    buf_add_bytes(&n->out, price);
    buf_add_text(&n->out, "\",\"size\":\"");
    buf_add_bytes(&n->out, size);
    buf_add_text(&n->out, buys ? "\",\"side\":\"buy\"}" : "\",\"side\":\"sell\"}");
}

static bool native_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    native_side *n = arg;
    json topic, data, px, sx, sd, ts;
    bytes price, size;
    uint64_t ms;
    (void)binary;
    if (hub_blocked(n->hub, n->records)) {
        hub_wait(n->hub, &n->waiter);
        return false;
    }
    if (json_read_fields(message, (const json_field[]){{"topic", &topic}, {"data", &data}}, 2, NULL) ||
        !json_is(topic, "trade@" SYMBOL))
        return true; /* the answer to the subscription */
    if (json_fields(data, (const json_field[]){{"px", &px}, {"sx", &sx}, {"sd", &sd}, {"ts", &ts}}, 4, NULL) ||
        !decimal(px, &price) || !decimal(sx, &size) || !json_u64(ts, &ms))
        give_up("a trade that is none: %.*s", (int)message.len, message.at);
    write_trade(n, ms, price, size, json_is(sd, "BUY"));
    hub_publish(n->hub, record_new(n->records, ms * NS_PER_MS, recv_real_ns, buf_bytes(&n->out)));
    n->data++;
    return true;
}

static void native_open_done(void *arg, bytes subprotocol)
{
    native_side *n = arg;
    (void)subprotocol;
    ws_client_send(n->ws, false, BYTES("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@" SYMBOL "\"]}"), NULL);
}

static void native_closed(void *arg, uint16_t code, const weir_error *why, uint16_t status, uint32_t retry_after_s)
{
    (void)arg, (void)code, (void)status, (void)retry_after_s;
    give_up("%s", why->text);
}

static void native_drain(void *arg)
{
    native_side *n = arg;
    switch (sink_drain(n->sink, n->sub, 1024)) {
    case SINK_MORE:
        defer(n->loop, &n->drain);
        break;
    case SINK_DONE:
        break;
    default:
        give_up("the native side's sink: %s", sink_why(n->sink)->text);
    }
}

static void native_ready(sub *s, void *arg)
{
    native_side *n = arg;
    (void)s;
    defer(n->loop, &n->drain);
}

static void native_resume(void *arg)
{
    native_side *n = arg;
    ws_client_resume(n->ws);
}

static void native_room(void *arg)
{
    native_side *n = arg;
    defer(n->loop, &n->resume);
}

static void native_open(native_side *n, const sim_process *s, const char *sink)
{
    static const ws_client_events events = {native_open_done, native_message, NULL, native_closed};
    weir_error err = WEIR_ERROR_INIT;
    dialer_options dial = {.ca_file = s->ca};
    sub_options options = {.policy = SUB_BLOCK, .on_ready = native_ready, .arg = n};
    record_key key = {.type = BYTES("trades"), .source = BYTES("woox-datasource"), .identifier = BYTES(SYMBOL)};
    ws_client_options ask = {.url = BYTES("wss://wss.woox.io/v3/public")};
    *n = (native_side){.drain = {.fn = native_drain, .arg = n}, .resume = {.fn = native_resume, .arg = n}, .waiter = {.on_room = native_room, .arg = n}, .second = UINT64_MAX};
    buf_init(&n->out, 4096);
    ask.targets = n->targets = targets_new();
    if (loop_new(&n->loop, &err) || dialer_new(&n->dialer, n->loop, &dial, &err) ||
        targets_add(n->targets, BYTES("wss://wss.woox.io/*"), &err) || targets_override(n->targets, bytes_of(s->overrides[2]), &err) ||
        hub_new(&n->hub, &err) || hub_stream(&n->records, n->hub, &key, &err) ||
        hub_subscribe(&n->sub, n->hub, ">", &options, &err) || sink_open(&n->sink, sink, NULL, &err) ||
        ws_open(&n->ws, n->dialer, &ask, &events, n, &err))
        give_up("%s", err.text);
}

static void native_until(native_side *n, uint64_t delivered)
{
    do
        loop_step(n->loop, -1);
    while (hub_read_account(n->hub).subs.delivered < delivered);
}

static void native_close(native_side *n)
{
    sink_flush(n->sink);
    sink_close(n->sink);
    ws_client_free(n->ws);
    hub_unsubscribe(n->hub, n->sub);
    defer_cancel(&n->drain);
    defer_cancel(&n->resume);
    hub_wait_cancel(&n->waiter);
    record_stream_unref(n->records);
    hub_free(n->hub);
    dialer_free(n->dialer);
    targets_free(n->targets);
    loop_free(n->loop);
    buf_fini(&n->out);
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
    native_open(&n, &s, "ndjson:/dev/null");
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
    native_open(&n, &s, spec[1]);
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
        printf("trades of one CPU second: by the plugin %.0f, natively %.0f, ratio %.3f (aim >= 0.5); %d records compared first\n", 1 / mine, 1 / theirs, theirs / mine, CHECKED);
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
