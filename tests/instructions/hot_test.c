/* The hot paths, for callgrind to count (tests/instructions/run): each is warmed up, then run REPEAT times between two marks.
 *
 * What could differ from run to run stands still: the clock (stream/testing.h), ticks (none in an hour), and the socket, whose
 * other end is on the same loop. Run without valgrind it is an ordinary test of the same paths. */
#include <extism.h>
#include <valgrind/callgrind.h>

#include "sink/sink.h"
#define TICK_MS 3600000
#include "stream/testing.h"

#define REPEAT 1000
#define FRAMES 100 /* in one write of the venue */

/* ---- Calls, through Extism's interface ---- */

static void host_answer(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *user)
{
    static const char text[] = "{\"success\":true,\"connectionId\":\"c-00000017\",\"accepted\":2}  ";
    (void)n_in, (void)n_out, (void)user;
    CHECK_UINT(extism_current_plugin_memory_length(plugin, (uint64_t)in[0].v.i64), 200);
    out[0].v.i64 = (int64_t)extism_current_plugin_memory_alloc(plugin, sizeof text - 1);
    memcpy(extism_current_plugin_memory(plugin) + out[0].v.i64, text, sizeof text - 1);
}

static ExtismPlugin *plugin_new(void)
{
    static const ExtismValType i64 = ExtismValType_I64;
    const ExtismFunction *functions[1] = {extism_function_new("answer", &i64, 1, &i64, 1, host_answer, NULL, NULL)};
    char manifest[4200], *why = NULL;
    const char *folder = getenv("WEIR_GUESTS");
    setenv("EXTISM_CACHE_CONFIG", "", 1);
    snprintf(manifest, sizeof manifest, "{\"wasm\":[{\"path\":\"%s/peer.wasm\"}]}", folder ? folder : "build/guests");
    ExtismPlugin *p = extism_plugin_new((const uint8_t *)manifest, strlen(manifest), functions, 1, true, &why);
    if (!p)
        test_fail(__FILE__, __LINE__, "%s", why ? why : "no plugin");
    extism_function_free((ExtismFunction *)(uintptr_t)functions[0]);
    return p;
}

static void call(ExtismPlugin *p, const char *name, const char *input)
{
    CHECK_INT(extism_plugin_call(p, name, (const uint8_t *)input, strlen(input)), 0);
}

TEST(instructions, of_a_call_that_does_nothing)
{
    ExtismPlugin *p = plugin_new();
    for (int i = 0; i < 10; i++)
        call(p, "noop", "");
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < REPEAT; i++)
        call(p, "noop", "");
    CALLGRIND_DUMP_STATS_AT("call");
    CALLGRIND_STOP_INSTRUMENTATION;
    extism_plugin_free(p);
}

TEST(instructions, of_a_host_call_with_two_blocks)
{
    ExtismPlugin *p = plugin_new();
    call(p, "ask", "1000");
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    call(p, "ask", "1000"); /* REPEAT */
    CALLGRIND_DUMP_STATS_AT("host call");
    CALLGRIND_STOP_INSTRUMENTATION;
    CHECK_UINT(extism_plugin_output_length(p), 16);
    extism_plugin_free(p);
}

/* ---- A frame's way ---- */

static void frames(sink *out, uint64_t already, const char *text)
{
    for (int i = 0; i < FRAMES; i++)
        say(text);
    while (sink_read_account(out).written < already + FRAMES) {
        loop_step(w.loop, 1);
        CHECK(sink_drain(out, w.sub, 1024) != SINK_FAILED);
    }
}

/* Each frame becomes one record. */
static void count_way(const char *plugin, bytes symbol, const char *text, const char *name)
{
    char rule[100];
    sub_options so = {.policy = SUB_BLOCK};
    stream_options options = {.type = BYTES("trades"), .identifier = symbol, .parameters = BYTES("{}"), .on_state = on_state};
    sink *out;
    begin(plugin);
    w.plugin.config = "{}";
    CHECK_OK(targets_add(w.targets, BYTES("wss://ws.okx.com:8443/*"), &err));
    snprintf(rule, sizeof rule, "wss://ws.okx.com:8443=ws://127.0.0.1:%u", server_port(w.server));
    CHECK_OK(targets_override(w.targets, bytes_of(rule), &err));
    CHECK_OK(hub_subscribe(&w.sub, w.hub, "trades.>", &so, &err));
    CHECK_OK(sink_open(&out, "ndjson:/dev/null", NULL, &err));
    CHECK_OK(stream_open(&w.stream, &w.plugin, &options, &err));
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 1);
    sink_drain(out, w.sub, 1024);
    uint64_t begun = sink_read_account(out).written;
    for (int i = 0; i < 3; i++)
        frames(out, begun + (uint64_t)i * FRAMES, text);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (int i = 3; i < 3 + REPEAT / FRAMES; i++)
        frames(out, begun + (uint64_t)i * FRAMES, text);
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
    sink_close(out);
    hub_unsubscribe(w.hub, w.sub);
    end();
}

TEST(instructions, of_a_frames_way_through_the_eight_hops)
{
    count_way("woox-push.wasm", BYTES("SPOT_BTC_USDT"),
              "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1767571200000,\"data\":{\"s\":\"SPOT_BTC_USDT\",\"px\":\"67123.45\",\"sx\":\"0.25\",\"sd\":\"BUY\","
              "\"ts\":1767571200000,\"rpi\":false}}",
              "frame");
}

/* The one that bench-peers measures: the plugin as users have it, its records in a list. */
TEST(instructions, of_a_trade_of_okx)
{
    count_way("okx.wasm", BYTES("BTC-USDT"),
              "{\"arg\":{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},\"data\":[{\"instId\":\"BTC-USDT\",\"tradeId\":\"338476307\",\"px\":\"30236.1\","
              "\"sz\":\"0.0002\",\"side\":\"buy\",\"ts\":\"1652459224818\"}]}",
              "okx trade");
}
