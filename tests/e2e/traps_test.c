/* Traps of the contract (its section 14) that no other test holds; tests/traps has the whole table. */
#include "tests/e2e/e2e.h"

#include "tests/e2e/dialects.h"
#include "tests/e2e/ledger.h"

static weir_error err;
static e2e world;

static weir_plugin *load(const char *guest, const char *config)
{
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p;
    o.config_json = config;
    CHECK_OK(weir_plugin_load(&p, world.host, guest_path(guest), &o, &err));
    return p;
}

static void begin(const sim_options *venue)
{
    weir_log(getenv("WEIR_DEBUG") ? WEIR_LOG_DEBUG : WEIR_LOG_OFF, NULL, NULL);
    e2e_open(&world, venue);
}

/* Its init answers 1 and nothing else: the host says which export it was and what it answered. */
TEST(traps, number_6_a_failure_without_a_text_has_one)
{
    const weir_result *r;
    begin(NULL);
    weir_plugin *p = load("dialect_3_base64.wasm", "{\"depth\":5000}");
    CHECK(weir_command_wait(p, "getTimeframes", NULL, 0, &r, &err) != WEIR_OK);
    CHECK_HAS(err.text, "init failed (code 1)");
    err = (weir_error)WEIR_ERROR_INIT;
    e2e_close(&world);
}

static bool came(void *line)
{
    return ledger_arrived(line) >= 50;
}

/* The marker does not say its type, as older libraries', and yet the plugin reads base64 only. */
TEST(traps, number_9_a_newer_library_behind_a_bare_marker_gets_base64)
{
    ledger *l = ledger_new();
    sim_options venue = {.seed = 9, .speed = 1000, .rate = 1, .no_limits = true, .silence_ms = 3600000, .on_frame = ledger_told, .on_frame_arg = l};
    weir_stream *stream;
    begin(&venue);
    weir_plugin *p = load("dialect_3_base64.wasm", "{}");
    ledger_line *line = ledger_add(l, world.host, "ohlcv", "SPOT_BTC_USDT");
    CHECK_OK(weir_stream_open(&stream, p, "ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\",\"bare\":\"yes\"}", &err));
    e2e_until(&world, came, line, 30, "records behind a bare marker");
    e2e_on_venue(&world, ledger_made, l);
    e2e_close(&world);
    ledger_check(line, "a bare marker", NULL);
    CHECK_UINT(ledger_gaps(line), 0); /* the frame that told was asked about again, not lost */
    ledger_free(l);
}

/* The module has both exports: its constructors run first, once, and init once, with the configuration. */
TEST(traps, number_25_init_is_called_with_the_configuration_and_at_no_other_time)
{
    const weir_result *r;
    begin(NULL);
    weir_plugin *p = load("dialect_3_base64.wasm", "{\"depth\":7}");
    CHECK_OK(weir_command_wait(p, "howItBegan", NULL, WEIR_COMMAND_RAW, &r, &err));
    CHECK_TEXT(r->output, "{\"constructed\":1,\"inits\":1,\"depth\":7}");
    e2e_close(&world);
}
