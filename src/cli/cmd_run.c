/* weir run: streams from a plugin to a sink until Ctrl-C, --duration or --count, then a summary. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/recording.h"

static void help(void)
{
    fputs("usage: weir run PLUGIN --stream TYPE:IDENTIFIER[:TIMEFRAME] ... [OPTIONS]\n\n"
          "Loads a data-source plugin and streams what it publishes: a table on a terminal, one JSON\n"
          "line for each record otherwise. Ctrl-C stops cleanly and prints a summary on stderr.\n\n"
          "options\n"
          "  -s, --stream SPEC      ohlcv:SPOT_BTC_USDT:1m, trades:PERP_ETH_USDT, orderbook:..., ticker:...,\n"
          "                         bbo:...; more parameters as ,name=value; repeat for more streams\n"
          "  -o, --sink SINK        table, ndjson, csv, both also ndjson:FILE, ndjson:+FILE (append); unix:PATH; or a URL, with\n"
          "                         options behind a '?' (docs/sinks.md): udp://HOST:PORT, redis://[:PASSWORD@]HOST[:PORT][/DB],\n"
          "                         nats://[USER:PASSWORD@]HOST[:PORT], kafka://HOST[:PORT]/TOPIC; repeat\n"
          "  -d, --duration TIME    stop after 90s, 15m, 2h\n"
          "  -n, --count N          stop after N data records\n"
          "      --slow-reader POLICY[:RECORDS]  when a sink is slow and so many records wait (65536): block, drop_oldest,\n"
          "                         newest_per_key, disconnect; block\n"
          "      --silence TIME     a venue that sends nothing for so long is gone; 60s\n"
          "      --quiet-after TIME a stream without data for so long subscribes anew; never: no such limit. Else each\n"
          "                         stream's rhythm is learned, and the venue asked before it is judged\n"
          "      --heartbeat ORIGIN=HEARTBEAT  wss://ws.okx.com=text:ping:pong:20s, app:FIELD:PING:PONG[:TIME], transport:TIME,\n"
          "                         none; before what the plugin declares and what is known; repeat\n"
          "      --retry TIME       at most so long between tries; 60s\n"
          "      --connect-timeout TIME  a connection that is not open by then is given up; 10s\n"
          "      --lifetime ORIGIN=TIME  after so long the venue ends a connection, so the next one is made before,\n"
          "                         such as wss://ws.venue.example=24h, or =none; repeat\n"
          "      --on-trap WHAT     when it traps again and again: quarantine (it rests, then it is tried again),\n"
          "                         restart (for ever), fail; quarantine\n"
          "      --backfill         candles that a gap took are asked for and come marked \"backfill\":true\n"
          "      --stream-route WHAT  of a hybrid: loop (its start_stream), callback (its prepare_stream), auto (callback if\n"
          "                         the loop does not start); auto\n"
          "      --watch            swap the plugin when its file changes, while its streams run; a file that asks for\n"
          "                         more than was granted, or cannot be used, is refused, and the old one goes on\n"
          "      --own-instances    of a push plugin: an instance for each stream, not one for all\n"
          "      --replay-from PATH  play the recording of the plugin's venue, from a folder of recordings or one file, in place\n"
          "                         of the venue; ends with it. Without --stream: what its folder's file 'streams' says\n"
          "      --replay-speed X   times as fast as recorded, or max: as fast as it is read; 1\n"
          "  -q, --quiet            no summary\n" CLI_COMMON_HELP
          "\nexamples\n"
          "  weir run woox.wasm --stream ohlcv:SPOT_BTC_USDT:1m\n"
          "  weir run woox.wasm -s trades:SPOT_BTC_USDT -s trades:SPOT_ETH_USDT --sink ndjson:trades.jsonl\n"
          "  weir run okx.wasm --replay-from sim/captures\n"
          "  weir run woox.wasm -s ohlcv:SPOT_BTC_USDT:1m --count 20 --ca ca.pem \\\n"
          "      --override wss://wss.woox.io=wss://127.0.0.1:8443 --override https://api.woox.io=https://127.0.0.1:8443\n\n"
          "exit codes: 0 stopped as asked; 1 every stream failed, or a sink did (also one whose other end stayed away); others as in 'weir --help'\n",
          stdout);
}

typedef struct run {
    cli_common common;
    cli_list specs, sinks;
    double seconds;
    unsigned long long count, seen;
    bool quiet;
    const char *replay_from;
    double replay_speed;  /* 0: max */
    recording *recording; /* NULL: the venue itself */
    weir_reader_options reader;
    weir_host *host;
    weir_stream **streams;
    weir_sink *out[16];
    weir_sink_account accounts[16]; /* at the end */
    size_t sinks_open;
    struct timespec began;
    size_t failed;           /* streams given up */
    bool stopping, painting; /* a table shows the states */
    bool watch;
    bool changed;      /* the plugin's file has, or is to be looked at again */
    double look_again; /* elapsed() at which; 0: not */
    weir_plugin *plugin;
    const char *path;
    int code;
} run;

static volatile sig_atomic_t interrupted, resized;
static weir_host *signalled;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        interrupted++;
    weir_host_stop(signalled);
}

static weir_code open_stream(weir_stream **out, weir_plugin *plugin, const char *spec, weir_error *err)
{
    cli_spec s;
    if (!cli_spec_read(&s, spec)) {
        err->code = WEIR_NOMEM;
        snprintf(err->text, sizeof err->text, "out of memory");
        return WEIR_NOMEM;
    }
    weir_code code = weir_stream_open(out, plugin, s.type, s.identifier, s.parameters, err);
    cli_spec_free(&s);
    return code;
}

static void stop_all(run *r)
{
    r->stopping = true;
    for (size_t i = 0; i < r->specs.count; i++)
        if (r->streams[i])
            weir_stream_stop(r->streams[i]);
}

static void on_record(void *arg, const weir_record *record)
{
    run *r = arg;
    if (record->kind == WEIR_RECORD_DATA && ++r->seen == r->count)
        weir_host_stop(r->host);
}

static void on_state(void *arg, weir_stream *stream, weir_stream_state state)
{
    run *r = arg;
    if (state == WEIR_STREAM_FAILED) {
        fprintf(stderr, "weir: a stream is given up: %s%s\n", weir_stream_why(stream), cli_cure(weir_stream_why(stream)));
        r->failed++;
        if (r->recording) /* its socket will not read the end */
            recording_watch(r->recording, r->host, r->specs.count - r->failed);
    } else if (state == WEIR_STREAM_WAITING && !r->painting) {
        const char *why = weir_stream_why(stream);
        fprintf(stderr, "weir: a stream waits: %s%s\n", why, cli_cure(why));
    }
    if (state == WEIR_STREAM_FAILED || state == WEIR_STREAM_CLOSED)
        weir_host_stop(r->host); /* to see whether any is left */
}

static void on_sink_end(void *arg, const weir_error *why)
{
    run *r = arg;
    if (why->code != WEIR_CLOSED) /* a reader that has read enough is no failure */
        r->code = cli_fail(EXIT_FAILED, "%s", why->text);
    interrupted++;
    weir_host_stop(r->host);
}

static double elapsed(const run *r)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - r->began.tv_sec) + (double)(now.tv_nsec - r->began.tv_nsec) * 1e-9;
}

/* The recording was read to its end, and what was read has been made records of. */
static bool played_out(const run *r)
{
    if (!r->recording || !recording_over(r->recording))
        return false;
    for (size_t i = 0; i < r->specs.count; i++)
        if (r->streams[i] && !weir_stream_idle(r->streams[i]))
            return false;
    return true;
}

static bool is_enough(const run *r)
{
    return interrupted || (r->count && r->seen >= r->count) || (r->seconds > 0 && elapsed(r) >= r->seconds) || played_out(r);
}

static void on_tick(void *arg)
{
    run *r = arg;
    r->changed |= r->look_again > 0 && elapsed(r) >= r->look_again;
    if (r->changed || is_enough(r))
        weir_host_stop(r->host);
}

/* ---- Another file for the plugin (--watch) ---- */

#define LOOK_AGAIN_S 0.5

static void on_change(void *arg, weir_plugin *plugin)
{
    run *r = arg;
    (void)plugin;
    r->changed = true;
    r->look_again = 0;
    weir_host_stop(r->host); /* not from inside a callback */
}

/* A file that cannot be used may be half written: it gets another look before anything is said. */
static void swap(run *r)
{
    weir_error err = WEIR_ERROR_INIT;
    bool second = r->look_again > 0;
    r->changed = false;
    r->look_again = 0;
    switch (weir_plugin_swap(r->plugin, r->path, &err)) {
    case WEIR_OK:
        fprintf(stderr, "weir: the plugin is replaced; the streams go on\n");
        return;
    case WEIR_INVALID:
    case WEIR_NOT_FOUND:
        if (!second) {
            r->look_again = elapsed(r) + LOOK_AGAIN_S;
            return;
        } /* fall through */
    default:
        fprintf(stderr, "weir: the new file is refused, the old plugin goes on: %s\n", err.text);
    }
}

static bool any_left(const run *r)
{
    for (size_t i = 0; i < r->specs.count; i++)
        if (r->streams[i]) {
            weir_stream_state s = weir_stream_get_state(r->streams[i]);
            if (s != WEIR_STREAM_CLOSED && s != WEIR_STREAM_FAILED)
                return true;
        }
    return false;
}

/* Turns the loop until something asks to stop, then until all streams have ended. */
static void turn(run *r)
{
    for (;;) {
        weir_host_run(r->host);
        if (resized) {
            resized = 0;
            for (size_t i = 0; i < r->sinks_open; i++)
                weir_sink_resize(r->out[i]);
        }
        bool enough = is_enough(r);
        if (!any_left(r) || interrupted > 1)
            return;
        if (enough && !r->stopping)
            stop_all(r);
        else if (r->changed && !r->stopping)
            swap(r);
        if (!any_left(r))
            return;
    }
}

#define AWAY_S 10 /* a sink's other end that is away has so long to come back */

/* Until one sink has brought all out: a slow reader gets all of it, unless the user is in a hurry (Ctrl-C once more). */
static void drain_sink(run *r, weir_sink *sink, const char *spec)
{
    char shown[256];
    weir_sink_account a;
    double there = elapsed(r);
    int before = interrupted;
    while (interrupted == before && before < 2 && !weir_sink_idle(sink) && elapsed(r) - there < AWAY_S) {
        if (weir_sink_get_state(sink) == WEIR_SINK_OPEN)
            there = elapsed(r);
        weir_host_step(r->host, 200);
    }
    weir_sink_get_account(sink, &a);
    if (weir_sink_idle(sink) || weir_sink_get_state(sink) != WEIR_SINK_WAITING)
        return;
    weir_sink_mask(shown, sizeof shown, spec);
    r->code = cli_fail(EXIT_FAILED, "sink '%s': %llu records were not brought out: %s", shown, (unsigned long long)(a.queued + a.buffered), weir_sink_why(sink));
}

/* Until all that was published has been counted and written. */
static void drain(run *r)
{
    for (size_t i = 0; i < r->sinks_open; i++)
        drain_sink(r, r->out[i], r->sinks.at[i]);
    for (int i = 0; i < 16 && !any_left(r) && weir_host_step(r->host, 0); i++)
        ;
    if (r->count && r->seen > r->count)
        r->seen = r->count; /* what came behind it was published, but not written */
}

/* Sinks whose other end acknowledges, or that lost something. */
static bool tells(const weir_sink_account *a)
{
    return a->connects || a->lost || a->buffered;
}

static void put_sinks(const run *r)
{
    char shown[256];
    const char *comma = "";
    fputs(",\"sinks\":[", stderr);
    for (size_t i = 0; i < r->sinks_open; i++) {
        const weir_sink_account *a = &r->accounts[i];
        weir_sink_mask(shown, sizeof shown, r->sinks.at[i]);
        fprintf(stderr, "%s{\"sink\":", comma);
        cli_put_json(stderr, shown, strlen(shown));
        fprintf(stderr, ",\"accepted\":%llu,\"written\":%llu,\"buffered\":%llu,\"lost\":%llu,\"again\":%llu,\"doubles\":%llu,\"connects\":%llu}",
                (unsigned long long)a->accepted, (unsigned long long)a->written, (unsigned long long)a->buffered, (unsigned long long)a->lost,
                (unsigned long long)a->again, (unsigned long long)a->doubles, (unsigned long long)a->connects);
        comma = ",";
    }
    fputs("]", stderr);
}

static void say_sinks(const run *r)
{
    char shown[256];
    for (size_t i = 0; i < r->sinks_open; i++) {
        const weir_sink_account *a = &r->accounts[i];
        if (!tells(a))
            continue;
        weir_sink_mask(shown, sizeof shown, r->sinks.at[i]);
        fprintf(stderr, "  to '%s': %llu records, not brought out %llu, lost %llu, sent again %llu (%llu of them were there)\n", shown, (unsigned long long)a->written,
                (unsigned long long)(a->buffered + a->queued), (unsigned long long)a->lost, (unsigned long long)a->again, (unsigned long long)a->doubles);
    }
}

static void summary(const run *r, const weir_account *a)
{
    if (r->common.json) {
        fprintf(stderr,
                "{\"received\":%llu,\"taken\":%llu,\"waiting\":%llu,\"lost\":%llu,\"unread\":%llu,\"published\":%llu,\"delivered\":%llu,"
                "\"dropped\":%llu,\"gaps\":%llu,\"restarts\":%llu,\"doubles\":%llu,\"repeats\":%llu,\"readers\":{\"offered\":%llu,\"delivered\":%llu,\"dropped\":%llu,"
                "\"queued\":%llu},\"seconds\":%.3f",
                (unsigned long long)a->received, (unsigned long long)a->taken, (unsigned long long)a->waiting,
                (unsigned long long)a->lost, (unsigned long long)a->unread, (unsigned long long)a->published,
                (unsigned long long)r->seen, (unsigned long long)a->dropped, (unsigned long long)a->gaps, (unsigned long long)a->restarts, (unsigned long long)a->doubles,
                (unsigned long long)a->repeats,
                (unsigned long long)a->offered, (unsigned long long)a->delivered, (unsigned long long)a->dropped, (unsigned long long)a->queued,
                elapsed(r));
        put_sinks(r);
        fputs("}\n", stderr);
    } else {
        fprintf(stderr, "received %llu messages (taken %llu, lost %llu, unread %llu, doubles %llu), delivered %llu records, dropped %llu, gaps %llu, restarts %llu, in %.1f s\n",
                (unsigned long long)a->received, (unsigned long long)a->taken, (unsigned long long)a->lost, (unsigned long long)a->unread, (unsigned long long)a->doubles,
                (unsigned long long)r->seen, (unsigned long long)a->dropped, (unsigned long long)a->gaps, (unsigned long long)a->restarts, elapsed(r));
        say_sinks(r);
    }
}

/* What came in, what went out. */
static void settle(run *r)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_account account;
    weir_host_account(r->host, &account);
    if (!weir_host_account_check(r->host, &err))
        r->code = cli_fail(EXIT_FAILED, "a bug of ours: %s", err.text);
    if (!r->quiet)
        summary(r, &account);
}

/* A time as milliseconds, from 1 up to a day. */
static bool parse_span(const char *text, uint32_t *ms)
{
    double seconds;
    if (!cli_duration(text, &seconds) || seconds < 0.001 || seconds > 86400)
        return false;
    *ms = (uint32_t)(seconds * 1000);
    return true;
}

/* How long something may take, in four ways. False: said already. */
static bool parse_patience(cli_common *c, int option, const char *text)
{
    const char *name = option == 'S' ? "silence" : option == 'R' ? "retry"
                                               : option == 'Q'   ? "quiet-after"
                                                                 : "connect-timeout";
    uint32_t *ms = option == 'S' ? &c->silence_ms : option == 'R' ? &c->retry_ms
                                                : option == 'Q'   ? &c->quiet_after_ms
                                                                  : &c->connect_ms;
    bool never = option == 'Q' && !strcmp(text, "never");
    if (never)
        *ms = WEIR_QUIET_NEVER;
    if (never || parse_span(text, ms))
        return true;
    cli_usage("run", "--%s '%s': expected a time such as 500ms, 30s or 5m%s", name, text, option == 'Q' ? ", up to a day, or never" : "");
    return false;
}

/* "drop_oldest:1000" */
static bool parse_reader(const char *text, weir_reader_options *out)
{
    const char *colon = strchr(text, ':');
    char name[32], *end;
    int len = colon ? (int)(colon - text) : (int)strlen(text);
    *out = (weir_reader_options)WEIR_READER_OPTIONS_INIT;
    snprintf(name, sizeof name, "%.*s", len, text);
    if (!weir_slow_policy_find(name, &out->policy))
        return false;
    if (!colon)
        return true;
    out->max_records = strtoull(colon + 1, &end, 10);
    return out->max_records && !*end && colon[1] >= '0' && colon[1] <= '9';
}

static bool parse_on_trap(const char *text, weir_on_trap *out)
{
    static const char *const names[] = {[WEIR_ON_TRAP_QUARANTINE] = "quarantine", [WEIR_ON_TRAP_RESTART] = "restart", [WEIR_ON_TRAP_FAIL] = "fail"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            *out = (weir_on_trap)i;
            return true;
        }
    return false;
}

static bool parse_route(const char *text, weir_route *out)
{
    static const char *const names[] = {[WEIR_ROUTE_AUTO] = "auto", [WEIR_ROUTE_LOOP] = "loop", [WEIR_ROUTE_CALLBACK] = "callback"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            *out = (weir_route)i;
            return true;
        }
    return false;
}

static bool parse_speed(const char *text, double *out)
{
    char *end;
    *out = 0;
    if (!strcmp(text, "max"))
        return true;
    *out = strtod(text, &end);
    return end != text && !*end && *out > 0 && *out <= 1e6;
}

/* What is there behind the options, and what they leave open. */
static int complete(run *r, int argc, char **argv)
{
    if (argc - optind != 1)
        return cli_usage("run", argc == optind ? "which plugin?" : "one plugin, please; '%s' is too much", argv[argc - 1]);
    if (!r->specs.count && !r->replay_from)
        return cli_usage("run", "what to stream? for example --stream ohlcv:SPOT_BTC_USDT:1m");
    r->painting = isatty(STDOUT_FILENO) && !r->common.json && !r->sinks.count;
    if (!r->sinks.count)
        cli_add(&r->sinks, isatty(STDOUT_FILENO) && !r->common.json ? "table" : "ndjson");
    return EXIT_FINE;
}

static const struct option long_options[] = {
    {"stream", required_argument, 0, 's'},
    {"sink", required_argument, 0, 'o'},
    {"duration", required_argument, 0, 'd'},
    {"count", required_argument, 0, 'n'},
    {"silence", required_argument, 0, 'S'},
    {"quiet-after", required_argument, 0, 'Q'},
    {"heartbeat", required_argument, 0, 'H'},
    {"retry", required_argument, 0, 'R'},
    {"connect-timeout", required_argument, 0, 'C'},
    {"lifetime", required_argument, 0, 'L'},
    {"on-trap", required_argument, 0, 'T'},
    {"slow-reader", required_argument, 0, 'W'},
    {"own-instances", no_argument, 0, 'I'},
    {"stream-route", required_argument, 0, 'U'},
    {"backfill", no_argument, 0, 'B'},
    {"replay-from", required_argument, 0, 'F'},
    {"replay-speed", required_argument, 0, 'X'},
    {"watch", no_argument, 0, 'w'},
    {"quiet", no_argument, 0, 'q'},
    CLI_COMMON_OPTIONS,
    {0, 0, 0, 0},
};

/* Options that are kept as they are. False: not one of them. */
static bool take_plain(run *r, int option)
{
    switch (option) {
    case 'B':
        return r->common.backfill = true;
    case 'F':
        r->replay_from = optarg;
        return true;
    case 'H':
        cli_add(&r->common.heartbeats, optarg);
        return true;
    case 'L':
        cli_add(&r->common.lifetimes, optarg);
        return true;
    case 'I':
        return r->common.own_instances = true;
    case 'w':
        return r->watch = true;
    case 'q':
        return r->quiet = true;
    default:
        return cli_common_option(&r->common, option, optarg);
    }
}

/* EXIT_FINE, or the code after what is wrong has been said. */
static int take_option(run *r, int option, char **argv)
{
    char *end;
    switch (option) {
    case 's':
        if (!cli_is_spec(optarg))
            return cli_usage("run", "--stream '%s': expected TYPE:IDENTIFIER[:TIMEFRAME], such as ohlcv:SPOT_BTC_USDT:1m", optarg);
        cli_add(&r->specs, optarg);
        return EXIT_FINE;
    case 'o':
        if (r->sinks.count == sizeof r->out / sizeof *r->out)
            return cli_usage("run", "more than %zu sinks", r->sinks.count);
        cli_add(&r->sinks, optarg);
        return EXIT_FINE;
    case 'd':
        if (!cli_duration(optarg, &r->seconds))
            return cli_usage("run", "--duration '%s': expected a time such as 90s, 15m or 2h", optarg);
        return EXIT_FINE;
    case 'S':
    case 'R':
    case 'C':
    case 'Q':
        return parse_patience(&r->common, option, optarg) ? EXIT_FINE : EXIT_USAGE;
    case 'W':
        if (!parse_reader(optarg, &r->reader))
            return cli_usage("run", "--slow-reader '%s': expected block, drop_oldest, newest_per_key or disconnect, and how many records may wait, such as drop_oldest:1000", optarg);
        return EXIT_FINE;
    case 'n':
        r->count = strtoull(optarg, &end, 10);
        if (!r->count || *end || *optarg == '-')
            return cli_usage("run", "--count '%s': a number from 1", optarg);
        return EXIT_FINE;
    case 'T':
        if (!parse_on_trap(optarg, &r->common.on_trap))
            return cli_usage("run", "--on-trap '%s': quarantine, restart or fail", optarg);
        return EXIT_FINE;
    case 'U':
        if (!parse_route(optarg, &r->common.route))
            return cli_usage("run", "--stream-route '%s': loop, callback or auto", optarg);
        return EXIT_FINE;
    case 'X':
        if (!parse_speed(optarg, &r->replay_speed))
            return cli_usage("run", "--replay-speed '%s': a number above 0, such as 10, or max", optarg);
        return EXIT_FINE;
    default:
        return take_plain(r, option) ? EXIT_FINE : cli_wrong_option("run", argv);
    }
}

static int parse(run *r, int argc, char **argv)
{
    int option, code;
    while ((option = getopt_long(argc, argv, "s:o:d:n:qvjh", long_options, NULL)) != -1) {
        if (option == 'h') {
            help();
            return -1;
        }
        if ((code = take_option(r, option, argv)))
            return code;
    }
    return complete(r, argc, argv);
}

static bool open_all(run *r, weir_plugin *plugin)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_sub *counter;
    for (; r->sinks_open < r->sinks.count; r->sinks_open++)
        if (weir_sink_open_with(&r->out[r->sinks_open], r->host, r->sinks.at[r->sinks_open], ">", &r->reader, on_sink_end, r, &err)) {
            r->code = cli_fail(err.code == WEIR_NOT_FOUND || err.code == WEIR_INVALID ? EXIT_USAGE : EXIT_FAILED, "%s", err.text);
            return false;
        } else if (r->count) {
            weir_sink_limit(r->out[r->sinks_open], r->count);
        }
    if (weir_subscribe(&counter, r->host, ">", on_record, r, &err)) {
        r->code = cli_fail(EXIT_FAILED, "%s", err.text);
        return false;
    }
    for (size_t i = 0; i < r->specs.count; i++) {
        if (open_stream(&r->streams[i], plugin, r->specs.at[i], &err)) {
            r->code = cli_fail(cli_exit_code(err.code), "%s", err.text);
            return false;
        }
        weir_stream_on_state(r->streams[i], on_state, r);
    }
    return true;
}

static bool watch(run *r)
{
    weir_error err = WEIR_ERROR_INIT;
    if (r->watch && weir_plugin_watch(r->plugin, r->path, on_change, r, &err))
        r->code = cli_fail(EXIT_FAILED, "%s", err.text);
    return !r->code;
}

/* In place of the venue, its recording: which one, says the plugin's meta, so the plugin is looked at first. */
static int open_recording(run *r, const char *path)
{
    weir_error err = WEIR_ERROR_INIT;
    int code = EXIT_FINE;
    weir_host *host = cli_host(&r->common, 1, &code);
    weir_plugin *plugin = host ? cli_plugin(host, &r->common, path, &code) : NULL;
    if (plugin && recording_open(&r->recording, r->replay_from, weir_plugin_meta(plugin), r->replay_speed, &err))
        code = cli_fail(err.code == WEIR_NOMEM ? EXIT_FAILED : EXIT_USAGE, "%s", err.text);
    weir_host_free(host);
    if (code)
        return code;
    const cli_list *streams = recording_streams(r->recording);
    for (size_t i = 0, given = r->specs.count; !given && i < streams->count; i++)
        cli_add(&r->specs, streams->at[i]);
    if (!r->specs.count)
        return cli_usage("run", "--replay-from '%s': what to stream? the file 'streams' of the recording's folder names nothing for it; name it with --stream", r->replay_from);
    for (size_t i = 0; i < r->specs.count; i++)
        if (recording_check(r->recording, r->specs.at[i], &err))
            return cli_fail(EXIT_USAGE, "%s", err.text);
    for (const char *const *o = recording_overrides(r->recording); *o; o++)
        cli_add(&r->common.overrides, *o);
    return EXIT_FINE;
}

/* The run itself, once all is known. */
static void stream_all(run *r, weir_plugin *plugin)
{
    if (r->recording)
        recording_watch(r->recording, r->host, r->specs.count);
    if (!open_all(r, plugin) || !watch(r))
        return;
    if (r->seconds > 0 || r->recording || r->watch)
        weir_host_tick(r->host, 50, on_tick, r);
    turn(r);
    drain(r);
    if (r->failed == r->specs.count)
        r->code = EXIT_FAILED;
    for (size_t i = 0; i < r->sinks_open; i++) {
        weir_sink_get_account(r->out[i], &r->accounts[i]);
        weir_sink_free(r->out[i]);
    }
    settle(r);
}

int cmd_run(int argc, char **argv)
{
    static run r; /* the lists of options live as long as the process */
    r.reader = (weir_reader_options)WEIR_READER_OPTIONS_INIT;
    r.replay_speed = 1;
    int code = parse(&r, argc, argv);
    if (code)
        return code < 0 ? EXIT_FINE : code;
    if (r.replay_from && (code = open_recording(&r, argv[optind]))) {
        recording_close(r.recording);
        return code;
    }
    r.streams = calloc(r.specs.count, sizeof *r.streams);
    if (!r.streams || !(r.host = cli_host(&r.common, (uint32_t)(2 * r.specs.count + 8), &r.code)))
        return r.code;
    weir_plugin *plugin = cli_plugin(r.host, &r.common, argv[optind], &r.code);
    signalled = r.host;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    clock_gettime(CLOCK_MONOTONIC, &r.began);
    r.plugin = plugin;
    r.path = argv[optind];
    if (plugin)
        stream_all(&r, plugin);
    recording_close(r.recording);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    weir_host_free(r.host);
    free(r.streams);
    return r.code;
}
