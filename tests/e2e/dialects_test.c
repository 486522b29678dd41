/* Each dialect of each generation, in C and in Go, from the file to a stopped stream: the host tells what it is,
 * configures it, asks it for markets, time frames and history, streams candles and trades, and what comes is what
 * the venue has, value for value. Nobody outside of src/plugin/generation*.c knows which one it is. */
#include "tests/e2e/e2e.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "tests/e2e/dialects.h"
#include "tests/e2e/ledger.h"

#define SPEED 2000
#define START_MS UINT64_C(1700000000000)
#define BARS 20

static weir_error err;

typedef struct scene {
    e2e world;
    const dialect_row *row;
    weir_plugin *plugin;
    const weir_result *result;
} scene;

static weir_plugin *load(e2e *world, const dialect_row *row)
{
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p;
    o.config_json = row->config;
    CHECK_OK(weir_plugin_load(&p, world->host, guest_path(row->guest), &o, &err));
    return p;
}

static json ask(scene *s, const char *command, const char *params)
{
    json doc;
    if (weir_command_wait(s->plugin, command, params, 0, &s->result, &err))
        test_fail(__FILE__, __LINE__, "%s: %s: %s", s->row->guest, command, err.text);
    CHECK_OK(json_read(&doc, bytes_make(s->result->output, s->result->output_len), &err));
    CHECK_INT(doc.type, JSON_ARRAY);
    return doc;
}

/* ---- Told by its exports ---- */

static void check_generation(scene *s)
{
    char *text = NULL;
    json doc;
    bytes is = BYTES("");
    CHECK_OK(weir_inspect(&text, s->world.host, guest_path(s->row->guest), &err));
    CHECK_OK(json_read(&doc, bytes_of(text), &err));
    json_string_slice(json_member(doc, "generation"), &is);
    if (!bytes_is(is, s->row->generation))
        test_fail(__FILE__, __LINE__, "%s is told to be of generation '" BYTES_FMT "'", s->row->guest, BYTES_ARG(is));
    free(text);
}

/* ---- Markets, time frames ---- */

static void check_lists(scene *s)
{
    json key, row;
    unsigned found = 0, frames = 0;
    json doc = ask(s, "getMarkets", NULL);
    for (json_iter it = json_each(doc); json_next(&it, &key, &row);)
        if (json_is(json_member(row, "symbol"), "SPOT_BTC_USDT"))
            found += json_is(json_member(row, "base"), "BTC") && json_is(json_member(row, "quote"), "USDT") && json_is(json_member(row, "assetType"), "spot");
    if (found != 1)
        test_fail(__FILE__, __LINE__, "%s: SPOT_BTC_USDT stands %u times among its markets", s->row->guest, found);
    doc = ask(s, "getTimeframes", NULL);
    for (json_iter it = json_each(doc); json_next(&it, &key, &row);)
        frames++;
    CHECK(frames > 0);
}

/* ---- History ---- */

typedef struct past { /* as the venue has it */
    uint64_t from_ms;
    char candles[BARS][400];
} past;

static void look_back(sim *s, void *arg)
{
    past *p = arg;
    market *m = venue_find(sim_venue(s), BYTES("SPOT_BTC_USDT"));
    for (unsigned i = 0; i < BARS; i++) {
        candle c;
        uint64_t start = p->from_ms + i * MINUTE_MS;
        char text[5][64];
        CHECK(market_candle(m, timeframe_at(0), start, sim_now_ms(s), &c));
        const uint64_t prices[4] = {c.open, c.high, c.low, c.close};
        for (unsigned k = 0; k < 4; k++)
            *put_ticks(text[k], prices[k], m->price_digits) = '\0';
        *put_ticks_wide(text[4], c.volume, m->size_digits) = '\0';
        snprintf(p->candles[i], sizeof p->candles[i], "{\"ts_event\":\"%llu000000\",\"open\":\"%s\",\"high\":\"%s\",\"low\":\"%s\",\"close\":\"%s\",\"volume\":\"%s\"}",
                 (unsigned long long)start, text[0], text[1], text[2], text[3], text[4]);
    }
}

/* Oldest first, each once, the venue's own digits, whatever unit the plugin takes its times in. */
static void check_history(scene *s, const char *params_format)
{
    past p = {.from_ms = START_MS / MINUTE_MS * MINUTE_MS - 600 * MINUTE_MS};
    char params[400], start[CLOCK_RFC3339_SIZE], end[CLOCK_RFC3339_SIZE];
    json key, row;
    unsigned i = 0;
    e2e_on_venue(&s->world, look_back, &p);
    clock_rfc3339(start, p.from_ms * NS_PER_MS, 3);
    clock_rfc3339(end, (p.from_ms + (BARS - 1) * MINUTE_MS) * NS_PER_MS, 3);
    snprintf(params, sizeof params, params_format, start, end);
    json doc = ask(s, "getOHLCV", params);
    for (json_iter it = json_each(doc); json_next(&it, &key, &row); i++) {
        char text[400];
        snprintf(text, sizeof text, "%.*s", (int)row.raw.len, row.raw.at);
        CHECK(i < BARS);
        CHECK_TEXT(text, p.candles[i]);
    }
    CHECK_UINT(i, BARS);
}

/* ---- Streams ---- */

static bool enough(void *arg)
{
    ledger_line **lines = arg;
    for (unsigned i = 0; i < 2; i++)
        if (lines[i] && ledger_arrived(lines[i]) < 200)
            return false;
    return true;
}

static void check_streams(scene *s, ledger *l)
{
    weir_stream *streams[2] = {NULL, NULL};
    ledger_line *lines[2] = {ledger_add(l, s->world.host, "ohlcv", "SPOT_BTC_USDT"), NULL};
    weir_account a;
    CHECK_OK(weir_stream_open(&streams[0], s->plugin, "ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", &err));
    if (!s->row->candles_only) {
        lines[1] = ledger_add(l, s->world.host, "trades", "SPOT_ETH_USDT");
        CHECK_OK(weir_stream_open(&streams[1], s->plugin, "trades", "SPOT_ETH_USDT", NULL, &err));
    }
    e2e_until(&s->world, enough, lines, 60, s->row->guest);
    for (unsigned i = 0; i < 2; i++)
        weir_stream_stop(streams[i] ? streams[i] : streams[0]);
    while (weir_stream_get_state(streams[0]) != WEIR_STREAM_CLOSED || (streams[1] && weir_stream_get_state(streams[1]) != WEIR_STREAM_CLOSED))
        weir_host_step(s->world.host, 20);
    for (unsigned i = 0; i < 2; i++)
        if (streams[i])
            CHECK_TEXT(weir_stream_why(streams[i]), "stopped");
    while (weir_host_step(s->world.host, 0))
        ;
    weir_host_account(s->world.host, &a);
    if (!weir_host_account_check(s->world.host, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", s->row->guest, err.text);
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(a.dropped + a.queued + a.waiting + a.lost + a.gaps + a.restarts, 0);
    e2e_on_venue(&s->world, ledger_made, l);
    e2e_close(&s->world);
    for (unsigned i = 0; i < 2; i++)
        if (lines[i])
            ledger_check(lines[i], s->row->guest, NULL);
}

static void whole_life(const dialect_row *row)
{
    scene s = {.row = row};
    ledger *l = ledger_new();
    sim_options venue = {.seed = 5, .start_ms = START_MS, .speed = SPEED, .rate = 0.5, .no_limits = true, .silence_ms = 3600000, .ping_ms = 600000, .on_frame = ledger_told, .on_frame_arg = l};
    e2e_open(&s.world, &venue);
    s.plugin = load(&s.world, row);
    check_generation(&s);
    if (strncmp(row->guest, "minimal", 7)) { /* the templates stream and do nothing else */
        check_lists(&s);
        check_history(&s, "{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1m\",\"startTime\":\"%s\",\"endTime\":\"%s\",\"limit\":100}");
        check_history(&s, "{\"market\":{\"symbol\":\"SPOT_BTC_USDT\"},\"interval\":\"1m\",\"startTime\":\"%s\",\"endTime\":\"%s\",\"limit\":100}");
    }
    check_streams(&s, l);
    ledger_free(l);
}

static void all_of(bool go)
{
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    for (size_t i = 0; i < DIALECT_ROWS; i++)
        if (dialect_rows[i].go == go)
            whole_life(&dialect_rows[i]);
}

TEST(dialects, in_c_do_all_that_the_contract_says)
{
    all_of(false);
}

TEST(dialects, in_go_do_all_that_the_contract_says)
{
    if (access(guest_path("dialect_1-go.wasm"), R_OK))
        test_skip("the Go guests are not built; 'make test' does (ninja guests-go)");
    all_of(true);
}

/* ---- Refusals, each in its dialect's way ---- */

static void refusal(scene *s, const char *guest, const char *config, const char *type, const char *want)
{
    dialect_row row = {.guest = guest, .config = config};
    weir_stream *stream;
    s->row = &row;
    s->plugin = load(&s->world, &row);
    CHECK_OK(weir_stream_open(&stream, s->plugin, type, "SPOT_BTC_USDT", NULL, &err));
    for (uint64_t until = clock_mono() + 20 * NS_PER_S; weir_stream_get_state(stream) != WEIR_STREAM_FAILED && clock_mono() < until;)
        weir_host_step(s->world.host, 20);
    if (weir_stream_get_state(stream) != WEIR_STREAM_FAILED || !strstr(weir_stream_why(stream), want))
        test_fail(__FILE__, __LINE__, "%s: '%s' does not say '%s'", guest, weir_stream_why(stream), want);
    weir_stream_free(stream);
    weir_plugin_free(s->plugin);
}

TEST(dialects, refuse_in_their_own_words)
{
    scene s = {0};
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    e2e_open(&s.world, NULL);
    refusal(&s, "dialect_1.wasm", KEYS, "nonsense", "unknown stream type");                    /* success false with code 0 */
    refusal(&s, "dialect_1.wasm", "{\"app_id\":\"x\"}", "ohlcv", "no apiKey or no apiSecret"); /* error_set and 1 */
    refusal(&s, "dialect_3_text.wasm", "{}", "nonsense", "unknown command");                   /* the output and 1 */
    refusal(&s, "dialect_3_base64.wasm", "{\"depth\":20}", "nonsense", "unknown command");
    refusal(&s, "woox.wasm", NULL, "nonsense", "unknown stream type"); /* start_stream's output and 1 */
    e2e_close(&s.world);
}
