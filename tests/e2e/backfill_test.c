/* Candles that a cut took come from the venue's history, marked, and are what the venue says when it is asked again. */
#include "tests/e2e/e2e.h"

#include "base/clock.h"
#include "base/json.h"

#define SPEED 600
#define MINUTE_NS (60 * NS_PER_S)
#define BARS 200

typedef struct run {
    e2e world;
    uint64_t live[BARS], filled[BARS]; /* when the bars begin that came so */
    char rows[BARS][300];              /* of the latter, the records' data */
    size_t live_count, filled_count;
    unsigned gaps, resynced, backfilled, unfilled;
    uint64_t last_seq, out_of_seq;
    char why[400];
} run;

static void note_bar(uint64_t *list, size_t *count, uint64_t start)
{
    for (size_t i = 0; i < *count; i++)
        if (list[i] == start)
            return;
    if (*count < BARS)
        list[(*count)++] = start;
}

static void on_record(void *arg, const weir_record *record)
{
    run *r = arg;
    json doc;
    CHECK(!json_read(&doc, bytes_make(record->json, record->json_len), NULL));
    if (record->kind == WEIR_RECORD_STATUS) {
        json state = json_member(doc, "state");
        r->resynced += json_is(state, "resynced");
        r->backfilled += json_is(state, "backfilled");
        r->unfilled += json_is(state, "unfilled");
        if (json_is(state, "backfilled") || json_is(state, "unfilled"))
            snprintf(r->why, sizeof r->why, BYTES_FMT, BYTES_ARG(json_member(doc, "why").raw));
        return;
    }
    r->out_of_seq += record->seq != r->last_seq + 1;
    r->last_seq = record->seq;
    if (record->kind == WEIR_RECORD_GAP) {
        r->gaps++;
        return;
    }
    if (json_member(doc, "backfill").type == JSON_TRUE) {
        if (r->filled_count < BARS)
            snprintf(r->rows[r->filled_count], sizeof r->rows[0], "%.*s", (int)record->data_len, record->data);
        note_bar(r->filled, &r->filled_count, record->ts_event);
    } else {
        bytes begins = BYTES("");
        uint64_t at = 0;
        json_string_slice(json_member(json_member(doc, "data"), "timestamp"), &begins);
        CHECK(clock_parse(begins, &at));
        note_bar(r->live, &r->live_count, at);
    }
}

static bool some_bars(void *arg)
{
    return ((run *)arg)->live_count >= 5;
}

static bool gap_closed(void *arg) /* and there were candles in it, or nothing to ask for */
{
    run *r = arg;
    return r->resynced && (r->filled_count || r->unfilled);
}

static void begin(run *r, weir_plugin **plugin, const sim_options *venue, const char *type, bool wanted)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_stream *stream;
    weir_sub *sub;
    o.backfill = wanted;
    weir_log(getenv("WEIR_TEST_LOG") ? WEIR_LOG_INFO : WEIR_LOG_OFF, NULL, NULL);
    e2e_open(&r->world, venue);
    CHECK_OK(weir_plugin_load(plugin, r->world.host, guest_path("woox.wasm"), &o, &err));
    CHECK_OK(weir_subscribe(&sub, r->world.host, ">", on_record, r, &err));
    CHECK_OK(weir_stream_open(&stream, *plugin, type, "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", &err));
    e2e_until(&r->world, some_bars, r, 30, "five candles");
}

static void end(run *r)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_UINT(r->out_of_seq, 0);
    if (!weir_host_account_check(r->world.host, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    e2e_close(&r->world);
    free(r);
}

static void no_more_faults(sim *s, void *arg)
{
    (void)arg;
    sim_fault_clear(s);
}

static void cut_for_minutes(run *r)
{
    e2e_fault(&r->world, "upgrade:status=503,disconnect:every=1s");
    for (uint64_t until = clock_mono() + 800 * NS_PER_MS; clock_mono() < until;) /* eight minutes of the venue's time */
        weir_host_step(r->world.host, 20);
    e2e_on_venue(&r->world, no_more_faults, NULL);
}

TEST(backfill, closes_a_gap_with_the_venues_own_candles)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *plugin;
    const weir_result *history;
    run *r = calloc(1, sizeof *r);
    sim_options venue = {.seed = 5, .speed = SPEED, .rate = 0.5, .no_limits = true, .silence_ms = 3600000, .ping_ms = 600000};
    begin(r, &plugin, &venue, "ohlcv", true);
    cut_for_minutes(r);
    e2e_until(&r->world, gap_closed, r, 30, "the gap was closed");
    CHECK_UINT(r->unfilled, 0);
    if (!r->filled_count)
        test_fail(__FILE__, __LINE__, "no candle came from the history: %s; %u gaps", r->why, r->gaps);
    weir_host *h = r->world.host;
    while (weir_host_step(h, 0))
        ;
    /* Between the first and the last live candle none is missing now. */
    uint64_t first = r->live[0], last = r->live[r->live_count - 1];
    for (uint64_t at = first; at < last; at += MINUTE_NS) {
        bool found = false;
        for (size_t i = 0; i < r->live_count; i++)
            found |= r->live[i] == at;
        for (size_t i = 0; i < r->filled_count; i++)
            found |= r->filled[i] == at;
        if (!found)
            test_fail(__FILE__, __LINE__, "the candle at %llu is missing; %s", (unsigned long long)at, r->why);
    }
    /* And they are what the venue says when it is asked again. */
    CHECK_OK(weir_command_wait(plugin, "getOHLCV", "{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1m\",\"limit\":300}", 0, &history, &err));
    for (size_t i = 0; i < r->filled_count; i++) {
        const char *candle = strstr(r->rows[i], "\"ts_event\"");
        if (!candle || !strstr(history->output, candle))
            test_fail(__FILE__, __LINE__, "not the venue's own: %s", r->rows[i]);
    }
    end(r);
}

TEST(backfill, that_cannot_be_had_says_so_and_the_stream_goes_on)
{
    weir_plugin *plugin;
    run *r = calloc(1, sizeof *r);
    sim_options venue = {.seed = 5, .speed = SPEED, .rate = 0.5, .no_limits = true, .silence_ms = 3600000, .ping_ms = 600000};
    begin(r, &plugin, &venue, "ohlcv", true);
    cut_for_minutes(r);
    e2e_fault(&r->world, "5xx:p=1");
    e2e_until(&r->world, gap_closed, r, 30, "the gap was given up");
    CHECK_UINT(r->unfilled, 1);
    CHECK_UINT(r->filled_count, 0);
    CHECK_HAS(r->why, "the gap stays open");
    size_t so_far = r->live_count;
    e2e_on_venue(&r->world, no_more_faults, NULL);
    for (uint64_t until = clock_mono() + 10 * NS_PER_S; r->live_count <= so_far + 1;) {
        CHECK(clock_mono() < until);
        weir_host_step(r->world.host, 20);
    }
    end(r);
}

static void note_faults(sim *s, void *arg)
{
    *(uint64_t *)arg = sim_get_stats(s).faults;
}

static uint64_t faults_so_far(run *r)
{
    uint64_t all = 0;
    e2e_on_venue(&r->world, note_faults, &all);
    return all;
}

/* The third answer trickles for as long as the second gap takes, and is none in the end. */
TEST(backfill, of_a_gap_behind_one_that_is_given_up_does_not_wait_for_the_next)
{
    weir_plugin *plugin;
    run *r = calloc(1, sizeof *r);
    sim_options venue = {.seed = 5, .speed = SPEED, .rate = 0.5, .no_limits = true, .silence_ms = 3600000, .ping_ms = 600000};
    begin(r, &plugin, &venue, "ohlcv", true);
    cut_for_minutes(r);
    uint64_t before = faults_so_far(r);
    e2e_fault(&r->world, "5xx:p=1:times=2,slowbody:p=1:for=6s");
    for (uint64_t until = clock_mono() + 30 * NS_PER_S; faults_so_far(r) < before + 3;) {
        CHECK(clock_mono() < until);
        weir_host_step(r->world.host, 20);
    }
    cut_for_minutes(r);
    e2e_until(&r->world, gap_closed, r, 30, "the first gap was given up");
    CHECK_UINT(r->unfilled, 1);
    for (uint64_t until = clock_mono() + 30 * NS_PER_S; !r->backfilled;) { /* and no third gap comes */
        CHECK(clock_mono() < until);
        weir_host_step(r->world.host, 20);
    }
    CHECK(r->filled_count > 0);
    end(r);
}

TEST(backfill, is_not_asked_for_unless_wanted)
{
    weir_plugin *plugin;
    run *r = calloc(1, sizeof *r);
    sim_options venue = {.seed = 5, .speed = SPEED, .rate = 0.5, .no_limits = true, .silence_ms = 3600000, .ping_ms = 600000};
    begin(r, &plugin, &venue, "ohlcv", false);
    cut_for_minutes(r);
    size_t so_far = r->live_count;
    for (uint64_t until = clock_mono() + 10 * NS_PER_S; !r->resynced || r->live_count <= so_far + 2;) {
        CHECK(clock_mono() < until);
        weir_host_step(r->world.host, 20);
    }
    CHECK_UINT(r->filled_count + r->backfilled + r->unfilled, 0);
    end(r);
}
