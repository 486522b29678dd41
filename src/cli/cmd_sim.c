/* weir sim: a simulated exchange, and a player of recorded traffic, on loopback. */
#include "cli/cli.h"
#include "loop/loop.h"
#include "sim/replay.h"
#include "sim/sim.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    bool replay, json, quiet;
    sim_options sim;
    replay_options player;
    uint64_t duration_ms;
} settings;

static void help(void)
{
    fputs("usage: weir sim woox [OPTIONS]\n"
          "       weir sim replay FILE [OPTIONS]\n\n"
          "woox: the WOO X exchange, simulated: REST v1, v3 and history, WebSocket v1/v2 and v3, on one port\n"
          "with TLS under a throw-away authority. Prices, trades and candles follow from the seed and the time.\n"
          "replay: plays a file of recorded traffic to every WebSocket that connects.\n\n"
          "options of both\n"
          "  -p, --port N           8443; 0 for any free one\n"
          "      --address IP       127.0.0.1\n"
          "      --plain            no TLS: http:// and ws://\n"
          "      --certs DIR        where ca.pem goes and stays; none: a temporary folder\n"
          "  -s, --speed N|max      N times as fast as the clock (the recording); max: as fast as readers take it\n"
          "      --deflate          negotiate permessage-deflate\n"
          "      --duration TIME    end after so long, e.g. 90s\n"
          "  -j, --json             one JSON line about where it listens, and one at the end\n"
          "  -q, --quiet            say nothing but errors\n"
          "  -h, --help             this\n\n"
          "options of woox\n"
          "      --seed N           another market; 1\n"
          "      --start TIME       simulated time at the start: RFC 3339 or ms since 1970; now\n"
          "      --rate N|max       trades per second and symbol; 2. max is --speed max\n"
          "      --frames N         stop after so many pushed frames\n"
          "      --symbols N        at least so many instruments; 20\n"
          "      --history DAYS     how far back the market goes; 60\n"
          "      --truth FILE       write each candle that closes, a JSON line each\n"
          "      --fault LIST       what goes wrong, see below; repeat\n"
          "      --no-limits        no request rates, no ceilings of topics and connections\n"
          "      --ping TIME        between server pings of v1/v2; 10s\n"
          "      --silence TIME     v3 closes a client silent for so long; 60s\n"
          "      --life TIME        of a connection, in simulated time; 24h\n"
          "      --key K, --secret S  of the account; those of the exchange's published examples\n"
          "      --legacy-kline     v3 also knows topics kline_SYMBOL_TIMEFRAME\n"
          "      --wrapped-kline    /v1/public/kline answers data.rows and honours size\n\n"
          "options of replay\n"
          "      --http FILE        recorded REST replies to answer with\n"
          "      --hold             keep the socket open at the end of the recording\n"
          "      --loop             begin again at the end\n\n"
          "faults (--fault LIST)\n",
          stdout);
    fputs(sim_fault_help, stdout);
    fputs("\nexamples\n"
          "  weir sim woox\n"
          "  weir sim woox --seed 7 --speed 60 --truth candles.ndjson\n"
          "  weir sim woox --speed max --frames 10000000\n"
          "  weir sim woox --fault disconnect:every=30s,dup:p=0.01 --fault 429:every=5\n"
          "  weir sim replay sim/captures/OKX.ws --speed 10 --port 9443\n\n"
          "exit codes: 0 it ran until it was told to stop; 1 it could not run; 2 wrong usage\n",
          stdout);
}

static bool parse_count(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return end != text && !*end && *text != '-';
}

/* "250ms", "30s", "5m", "24h", or bare seconds. */
static bool parse_duration(const char *text, uint64_t *ms)
{
    char *end;
    double value = strtod(text, &end);
    double unit = !strcmp(end, "ms") ? 1 : !*end || !strcmp(end, "s") ? 1000
                                       : !strcmp(end, "m")            ? 60000
                                       : !strcmp(end, "h")            ? 3600000
                                                                      : -1;
    *ms = (uint64_t)(value * unit);
    return end != text && unit > 0 && value >= 0 && value < 1e12;
}

static bool parse_start(const char *text, uint64_t *ms)
{
    uint64_t ns;
    if (clock_parse(bytes_of(text), &ns)) {
        *ms = ns / NS_PER_MS;
        return true;
    }
    return parse_count(text, ms);
}

enum { O_ADDRESS = 256,
       O_PLAIN,
       O_CERTS,
       O_DEFLATE,
       O_DURATION,
       O_SEED,
       O_START,
       O_RATE,
       O_FRAMES,
       O_SYMBOLS,
       O_HISTORY,
       O_TRUTH,
       O_FAULT,
       O_NO_LIMITS,
       O_PING,
       O_SILENCE,
       O_LIFE,
       O_KEY,
       O_SECRET,
       O_LEGACY,
       O_WRAPPED,
       O_HTTP,
       O_HOLD,
       O_LOOP };

static const struct option long_options[] = {
    {"port", required_argument, 0, 'p'},
    {"speed", required_argument, 0, 's'},
    {"json", no_argument, 0, 'j'},
    {"quiet", no_argument, 0, 'q'},
    {"help", no_argument, 0, 'h'},
    {"address", required_argument, 0, O_ADDRESS},
    {"plain", no_argument, 0, O_PLAIN},
    {"certs", required_argument, 0, O_CERTS},
    {"deflate", no_argument, 0, O_DEFLATE},
    {"duration", required_argument, 0, O_DURATION},
    {"seed", required_argument, 0, O_SEED},
    {"start", required_argument, 0, O_START},
    {"rate", required_argument, 0, O_RATE},
    {"frames", required_argument, 0, O_FRAMES},
    {"symbols", required_argument, 0, O_SYMBOLS},
    {"history", required_argument, 0, O_HISTORY},
    {"truth", required_argument, 0, O_TRUTH},
    {"fault", required_argument, 0, O_FAULT},
    {"no-limits", no_argument, 0, O_NO_LIMITS},
    {"ping", required_argument, 0, O_PING},
    {"silence", required_argument, 0, O_SILENCE},
    {"life", required_argument, 0, O_LIFE},
    {"key", required_argument, 0, O_KEY},
    {"secret", required_argument, 0, O_SECRET},
    {"legacy-kline", no_argument, 0, O_LEGACY},
    {"wrapped-kline", no_argument, 0, O_WRAPPED},
    {"http", required_argument, 0, O_HTTP},
    {"hold", no_argument, 0, O_HOLD},
    {"loop", no_argument, 0, O_LOOP},
    {0, 0, 0, 0},
};

static bool set_speed(settings *s, const char *text)
{
    char *end;
    if (!strcmp(text, "max")) {
        s->sim.clock = SIM_CLOCK_MAX;
        s->player.max_speed = true;
        return true;
    }
    s->sim.speed = s->player.speed = strtod(text + (*text == 'x'), &end);
    return !*end && s->sim.speed > 0 && s->sim.speed <= 1e6;
}

static bool set_rate(settings *s, const char *text)
{
    char *end;
    if (!strcmp(text, "max")) {
        s->sim.clock = SIM_CLOCK_MAX;
        return true;
    }
    s->sim.rate = strtod(text, &end);
    return !*end && s->sim.rate > 0;
}

/* Several --fault make one list. */
static bool add_fault(settings *s, const char *text)
{
    static char all[4096];
    size_t len = strlen(all);
    if (len + strlen(text) + 2 > sizeof all)
        return false;
    snprintf(all + len, sizeof all - len, "%s%s", len ? "," : "", text);
    s->sim.faults = all;
    return true;
}

/* Options that count or measure. -1: not one of them. */
static int set_figure(settings *s, int option, const char *value)
{
    uint64_t n = 0, ms = 0;
    bool count = parse_count(value, &n), span = parse_duration(value, &ms);
    switch (option) {
    case 'p':
        s->sim.port = s->player.port = (uint16_t)n;
        return count && n < 65536;
    case O_SEED:
        s->sim.seed = n;
        return count;
    case O_START:
        return parse_start(value, &s->sim.start_ms) && s->sim.start_ms > 366 * DAY_MS;
    case O_FRAMES:
        s->sim.frames = n;
        return count && n > 0;
    case O_SYMBOLS:
        s->sim.symbols = (uint32_t)n;
        return count && n <= 100000;
    case O_HISTORY:
        s->sim.history_days = (uint32_t)n;
        return count && n >= 1 && n <= 4000;
    case O_DURATION:
        s->duration_ms = ms;
        return span && ms > 0;
    case O_PING:
        s->sim.ping_ms = (uint32_t)ms;
        return span && ms > 0;
    case O_SILENCE:
        s->sim.silence_ms = (uint32_t)ms;
        return span && ms > 0;
    case O_LIFE:
        s->sim.life_ms = ms;
        return span && ms > 0;
    default:
        return -1;
    }
}

/* Options whose value is kept as it is. False: not one of them. */
static bool set_text(settings *s, int option, const char *value)
{
    const struct {
        int option;
        const char **one, **two;
    } texts[] = {
        {O_ADDRESS, &s->sim.address, &s->player.address},
        {O_CERTS, &s->sim.folder, &s->player.folder},
        {O_TRUTH, &s->sim.truth_file, NULL},
        {O_KEY, &s->sim.api_key, NULL},
        {O_SECRET, &s->sim.api_secret, NULL},
        {O_HTTP, &s->player.http_file, NULL},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].option != option)
            continue;
        *texts[i].one = value;
        if (texts[i].two)
            *texts[i].two = value;
        return true;
    }
    return false;
}

static void set_switch(settings *s, int option)
{
    s->json |= option == 'j';
    s->quiet |= option == 'q';
    s->sim.no_limits |= option == O_NO_LIMITS;
    s->sim.legacy_kline |= option == O_LEGACY;
    s->sim.wrapped_kline |= option == O_WRAPPED;
    s->player.hold |= option == O_HOLD;
    s->player.again |= option == O_LOOP;
    if (option == O_PLAIN)
        s->sim.tls = s->player.tls = false;
    if (option == O_DEFLATE)
        s->sim.deflate = s->player.deflate = true;
}

/* False: the value makes no sense. */
static bool set_option(settings *s, int option, const char *value)
{
    if (!value) {
        set_switch(s, option);
        return true;
    }
    int figure = set_figure(s, option, value);
    if (figure >= 0)
        return figure;
    if (set_text(s, option, value))
        return true;
    return option == 's' ? set_speed(s, value) : option == O_RATE ? set_rate(s, value)
                                                                  : add_fault(s, value);
}

/* ---- Running ---- */

typedef struct running {
    loop *loop;
    sim *sim;
    replay *replay;
    loop_signal *signals[2];
    timer end;
    uint64_t began;
} running;

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void announce(const settings *s, const running *r)
{
    uint16_t port = s->replay ? replay_port(r->replay) : sim_port(r->sim);
    const char *ca = s->replay ? replay_ca_file(r->replay) : sim_ca_file(r->sim);
    const char *host = s->sim.address ? s->sim.address : "127.0.0.1";
    const char *t = ca ? "s" : "";
    if (s->json) {
        printf("{\"port\":%u,\"http\":\"http%s://%s:%u\",\"ws\":\"ws%s://%s:%u\",\"ca\":", port, t, host, port, t, host, port);
        printf(ca ? "\"%s\"}\n" : "null}\n", ca);
    } else if (!s->quiet) {
        printf("listening on http%s://%s:%u and ws%s://%s:%u\n", t, host, port, t, host, port);
        if (ca)
            printf("certificate authority: %s\n", ca);
        if (!s->replay)
            printf("\n  weir run woox.wasm --stream ohlcv:SPOT_BTC_USDT:1m%s%s \\\n"
                   "      --override https://api.woox.io=http%s://%s:%u \\\n"
                   "      --override https://api-pub.woox.io=http%s://%s:%u \\\n"
                   "      --override wss://wss.woox.io=ws%s://%s:%u\n\nCtrl-C stops it\n",
                   ca ? " --ca " : "", ca ? ca : "", t, host, port, t, host, port, t, host, port);
    }
    fflush(stdout);
}

static void summarise(const settings *s, const running *r)
{
    double seconds = (double)(clock_mono() - r->began) / 1e9;
    if (s->replay) {
        replay_stats st = replay_get_stats(r->replay);
        if (s->json)
            printf("{\"connections\":%llu,\"frames\":%llu,\"received\":%llu,\"seconds\":%.3f}\n", (unsigned long long)st.connections,
                   (unsigned long long)st.frames, (unsigned long long)st.received, seconds);
        else if (!s->quiet)
            fprintf(stderr, "\n%llu connections, %llu frames sent, %llu received, %.1f s\n", (unsigned long long)st.connections,
                    (unsigned long long)st.frames, (unsigned long long)st.received, seconds);
        return;
    }
    sim_stats st = sim_get_stats(r->sim);
    if (s->json)
        printf("{\"connections\":%llu,\"requests\":%llu,\"refused\":%llu,\"frames\":%llu,\"octets\":%llu,\"trades\":%llu,\"candles\":%llu,"
               "\"faults\":%llu,\"lost\":%llu,\"seconds\":%.3f}\n",
               (unsigned long long)st.connections, (unsigned long long)st.requests, (unsigned long long)st.refused, (unsigned long long)st.frames,
               (unsigned long long)st.octets, (unsigned long long)st.trades, (unsigned long long)st.candles, (unsigned long long)st.faults,
               (unsigned long long)st.lost, seconds);
    else if (!s->quiet)
        fprintf(stderr, "\n%llu connections, %llu requests (%llu refused), %llu frames, %llu trades, %llu faults (%llu frames kept back), %.1f s\n",
                (unsigned long long)st.connections, (unsigned long long)st.requests, (unsigned long long)st.refused, (unsigned long long)st.frames,
                (unsigned long long)st.trades, (unsigned long long)st.faults, (unsigned long long)st.lost, seconds);
}

static weir_code start(const settings *s, running *r, weir_error *err)
{
    if (loop_new(&r->loop, err) || signal_open(&r->signals[0], r->loop, SIGINT, on_stop, r->loop, err) ||
        signal_open(&r->signals[1], r->loop, SIGTERM, on_stop, r->loop, err))
        return err->code;
    if (s->replay ? replay_new(&r->replay, r->loop, &s->player, err) : sim_new(&r->sim, r->loop, &s->sim, err))
        return err->code;
    timer_init(&r->end, r->loop, on_stop, r->loop);
    if (s->duration_ms)
        timer_after(&r->end, s->duration_ms * NS_PER_MS);
    return WEIR_OK;
}

static int serve(const settings *s)
{
    running r = {.began = clock_mono()};
    weir_error err = WEIR_ERROR_INIT;
    int code = EXIT_FINE;
    if (start(s, &r, &err)) {
        code = cli_fail(err.code == WEIR_INVALID ? EXIT_USAGE : EXIT_FAILED, "%s", err.text);
    } else {
        announce(s, &r);
        loop_run(r.loop);
        timer_stop(&r.end);
        summarise(s, &r);
    }
    replay_free(r.replay);
    sim_free(r.sim);
    for (int i = 0; i < 2; i++)
        if (r.signals[i])
            signal_close(r.signals[i]);
    loop_free(r.loop);
    return code;
}

int cmd_sim(int argc, char **argv)
{
    settings s = {.sim = {.seed = 1, .port = 8443, .tls = true}, .player = {.port = 8443, .tls = true}};
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "p:s:jqh", long_options, &index)) != -1) {
        if (option == 'h') {
            help();
            return EXIT_FINE;
        }
        if (option == '?')
            return cli_wrong_option("sim", argv);
        if (!set_option(&s, option, optarg))
            return cli_usage("sim", "'%s' is no value for option '%s'", optarg ? optarg : "", argv[optind - 1]);
    }
    const char *what = optind < argc ? argv[optind] : "";
    s.replay = !strcmp(what, "replay");
    if (!s.replay && strcmp(what, "woox"))
        return cli_usage("sim", *what ? "venue '%s' is unknown; there are 'woox' and 'replay FILE'" : "which venue%s? 'woox', or 'replay FILE'", what);
    if (s.replay && optind + 1 >= argc)
        return cli_usage("sim", "replay what? a file of recorded traffic, as in sim/captures/");
    if (optind + (s.replay ? 2 : 1) < argc)
        return cli_usage("sim", "'%s' is too much", argv[optind + (s.replay ? 2 : 1)]);
    s.player.file = s.replay ? argv[optind + 1] : NULL;
    return serve(&s);
}
