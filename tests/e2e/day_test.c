/* A day of the venue's time: ten streams of all generations and dialects, in C and in Go, and one fault after another,
 * as chance has it. At its end each record that the venue made has arrived, once, or a gap record stands in its place, or
 * the venue kept it back on a living connection and nobody could know (ledger.h).
 *
 *     WEIR_SEED=7 WEIR_HOURS=2 build/tests/e2e_day day.as_chance_has_it       a day of your own */
#include "tests/e2e/e2e.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/e2e/dialects.h"
#include "tests/e2e/ledger.h"

#define SPEED 2000
#define START_MS UINT64_C(1700000000000)
#define STREAMS 10

static weir_error err;

/* Candles where the dialect knows nothing else. In place of Go guests that are not built: those in C once more. */
static const struct {
    const char *go, *c, *type, *symbol;
} streams[STREAMS] = {
    {"dialect_1-go.wasm", "dialect_1.wasm", "trades", "SPOT_BTC_USDT"},
    {"dialect_1.wasm", "dialect_1.wasm", "ohlcv", "SPOT_ETH_USDT"},
    {"dialect_1_oldest-go.wasm", "dialect_1_oldest.wasm", "ohlcv", "SPOT_SOL_USDT"},
    {"woox-go.wasm", "woox.wasm", "trades", "SPOT_WOO_USDT"},
    {"woox.wasm", "woox.wasm", "trades", "SPOT_DOGE_USDT"},
    {"woox-portable.wasm", "woox-portable.wasm", "ohlcv", "SPOT_XRP_USDT"},
    {"dialect_3_text-go.wasm", "dialect_3_text.wasm", "ohlcv", "SPOT_AAVE_USDT"},
    {"dialect_3_text.wasm", "dialect_3_text.wasm", "trades", "SPOT_BTC_USDC"},
    {"dialect_3_base64-go.wasm", "dialect_3_base64.wasm", "trades", "PERP_BTC_USDT"},
    {"dialect_3_base64.wasm", "dialect_3_base64.wasm", "ohlcv", "PERP_ETH_USDT"},
};

/* What may go wrong in a while; %u is a number of minutes, or of frames. */
static const char *const faults[] = {
    "disconnect:every=%um",
    "drop:every=%um",
    "close:every=%um:code=1012",
    "half-open:after=%um",
    "silence:every=%um:for=90s",
    "silence:after=%um:for=3h",
    "pingflood:every=%um:count=50",
    "malformed:every=%u0",
    "badutf8:every=%u0",
    "badjson:every=%u",
    "binary:every=%u",
    "huge:every=%u0:size=100000",
    "dup:every=%u",
    "reorder:every=%u",
    "lose:every=%u",
    "slow:delay=1ms:split=1%u0",
    "cut:after=%um",
    "upgrade:p=0.6:status=503,disconnect:every=%um",
    "refuse:after=0,drop:every=%um",
};
#define FAULTS (sizeof faults / sizeof *faults)

typedef struct day {
    e2e world;
    ledger *ledger;
    ledger_line *lines[STREAMS];
    weir_stream *streams[STREAMS];
    rand_seeded chance;
    uint64_t ms;       /* how long it lasts */
    uint64_t until_ms; /* of the present faults */
    unsigned changes;
    bool over;
    uint64_t look_at; /* at the venue again */
    bool well[STREAMS];
    unsigned seen[FAULTS];
} day;

/* On the venue's thread: the next faults, when their time has come. */
static void next_faults(sim *s, void *arg)
{
    day *d = arg;
    if (sim_now_ms(s) < d->until_ms)
        return;
    d->over = sim_now_ms(s) >= START_MS + d->ms;
    sim_fault_clear(s);
    for (unsigned n = d->over ? 0 : (unsigned)(rand_next(&d->chance) % 3); n > 0; n--) {
        char list[200];
        unsigned which = (unsigned)(rand_next(&d->chance) % FAULTS);
        snprintf(list, sizeof list, faults[which], 5 + (unsigned)(rand_next(&d->chance) % 20));
        CHECK_OK(sim_fault(s, list, &err));
        d->seen[which]++;
    }
    d->changes++;
    d->until_ms = sim_now_ms(s) + (8 + rand_next(&d->chance) % 30) * MINUTE_MS;
}

static void begin(day *d, uint64_t seed)
{
    sim_options venue = {.seed = seed, .start_ms = START_MS, .speed = SPEED, .rate = 0.034, .no_limits = true, .silence_ms = 36000000, .ping_ms = 36000000, .life_ms = 30 * DAY_MS};
    bool go = access(guest_path("dialect_1-go.wasm"), R_OK) == 0;
    const char *hours = getenv("WEIR_HOURS");
    *d = (day){.ledger = ledger_new(), .chance = {seed}, .ms = hours ? strtoull(hours, NULL, 10) * 60 * MINUTE_MS : DAY_MS};
    venue.on_frame = ledger_told;
    venue.on_frame_arg = d->ledger;
    weir_log(getenv("WEIR_DEBUG") ? WEIR_LOG_DEBUG : WEIR_LOG_OFF, NULL, NULL);
    e2e_open_patient(&d->world, &venue, 1000);
    for (size_t i = 0; i < STREAMS; i++) {
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        weir_plugin *p;
        const char *guest = go ? streams[i].go : streams[i].c;
        for (size_t k = 0; k < DIALECT_ROWS; k++)
            if (!strcmp(dialect_rows[k].guest, guest))
                o.config_json = dialect_rows[k].config;
        CHECK_OK(weir_plugin_load(&p, d->world.host, guest_path(guest), &o, &err));
        d->lines[i] = ledger_add(d->ledger, d->world.host, streams[i].type, streams[i].symbol);
        CHECK_OK(weir_stream_open(&d->streams[i], p, streams[i].type, streams[i].symbol, strcmp(streams[i].type, "ohlcv") ? NULL : "{\"timeframe\":\"1m\"}", &err));
    }
}

static bool is_over(void *arg)
{
    day *d = arg;
    if (clock_mono() < d->look_at)
        return false;
    d->look_at = clock_mono() + 20 * NS_PER_MS;
    for (size_t i = 0; i < STREAMS; i++)
        if (weir_stream_get_state(d->streams[i]) == WEIR_STREAM_FAILED)
            test_fail(__FILE__, __LINE__, "%s on %s has failed: %s", streams[i].go, streams[i].symbol, weir_stream_why(d->streams[i]));
    if (!d->over)
        e2e_on_venue(&d->world, next_faults, d);
    return d->over;
}

static void show(day *d)
{
    for (size_t i = 0; i < STREAMS; i++)
        fprintf(stderr, "%s: %s: %llu arrived, to %.1f h, %llu since the last of %llu gaps, %s: %s\n", streams[i].go, streams[i].symbol,
                (unsigned long long)ledger_arrived(d->lines[i]), ((double)ledger_last_ms(d->lines[i]) - (double)START_MS) / 3600e3,
                (unsigned long long)ledger_since_gap(d->lines[i]), (unsigned long long)ledger_gaps(d->lines[i]),
                weir_stream_state_name(weir_stream_get_state(d->streams[i])), weir_stream_why(d->streams[i]));
}

static bool all_are_well(void *arg)
{
    day *d = arg;
    bool all = true;
    for (size_t i = 0; i < STREAMS; i++) {
        d->well[i] |= ledger_last_ms(d->lines[i]) >= START_MS + d->ms && ledger_since_gap(d->lines[i]) >= 20;
        all &= d->well[i];
    }
    if (getenv("WEIR_DEBUG") && clock_mono() > d->look_at) {
        d->look_at = clock_mono() + 5 * NS_PER_S;
        show(d);
    }
    return all;
}

static void add_up(day *d)
{
    weir_account a;
    while (weir_host_step(d->world.host, 0))
        ;
    weir_host_account(d->world.host, &a);
    if (!weir_host_account_check(d->world.host, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(a.dropped, 0);
}

static void live_through(uint64_t seed)
{
    static day d; /* outlives a test that fails */
    ledger_sum sum = {0};
    uint64_t gaps = 0;
    char what[100];
    begin(&d, seed);
    snprintf(what, sizeof what, "the day of WEIR_SEED=%llu", (unsigned long long)seed);
    e2e_until(&d.world, is_over, &d, 240, what);
    e2e_until(&d.world, all_are_well, &d, 40, "that all streams go on when all faults are over");
    add_up(&d);
    e2e_on_venue(&d.world, ledger_made, d.ledger);
    e2e_close(&d.world);
    for (size_t i = 0; i < STREAMS; i++) {
        gaps += ledger_gaps(d.lines[i]);
        ledger_check(d.lines[i], what, &sum);
    }
    printf("%s: %u times other faults; of %llu records made %llu arrived (%llu of them more than once, as they were sent), %llu are named by %llu gaps, the venue kept back %llu\n",
           what, d.changes, (unsigned long long)sum.made, (unsigned long long)sum.arrived, (unsigned long long)sum.doubled, (unsigned long long)sum.named,
           (unsigned long long)gaps, (unsigned long long)sum.kept_back);
    CHECK_UINT(sum.made, sum.arrived + sum.named + sum.kept_back);
    CHECK(sum.arrived > sum.made / 2 && sum.named > 0 && gaps > 0);
    ledger_free(d.ledger);
}

TEST(day, as_chance_has_it_one_time)
{
    const char *seed = getenv("WEIR_SEED");
    live_through(seed ? strtoull(seed, NULL, 0) : 1);
}

TEST(day, as_chance_has_it_another_time)
{
    live_through(2);
}

TEST(day, as_chance_has_it_a_third_time)
{
    live_through(3);
}
