/* Plugins that do wrong while another one streams beside them: each is answered or stopped with a reason,
 * and its neighbour neither loses a record nor waits for longer than a slice. */
#include "base/clock.h"
#include "tests/e2e/faults.h"

static e2e world;
static weir_host *host;
static watched neighbour;

static void read_port(sim *s, void *arg)
{
    *(uint16_t *)arg = sim_port(s);
}

/* A venue, a neighbour that streams from it, and a host that does not take a busy machine for a silent venue. */
static void begin(void)
{
    static const sim_options venue_options = {.seed = 11, .rate = 200, .no_limits = true};
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    uint16_t port;
    char rule[100];
    e2e_open(&world, &venue_options);
    e2e_on_venue(&world, read_port, &port);
    snprintf(rule, sizeof rule, "wss://wss.woox.io=ws://127.0.0.1:%u", port);
    o.overrides = (const char *const[]){rule, NULL};
    o.max_instances = 64;
    weir_host_free(world.host);
    CHECK_OK(weir_host_new(&host, &o, &err));
    world.host = host;
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    watch_open(&neighbour, host);
    UNTIL(host, neighbour.data >= 3);
}

static weir_plugin *load(const char *name, const weir_plugin_options *options)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p;
    CHECK_OK(weir_plugin_load(&p, host, guest_path(name), options, &err));
    return p;
}

static const weir_result *call(weir_plugin *p, const char *export_name, const char *input)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *r = NULL;
    weir_plugin_call_wait(p, export_name, input, strlen(input), &r, &err);
    if (!r)
        test_fail(__FILE__, __LINE__, "%s: %s", export_name, err.text);
    return r;
}

/* Whatever happened, the neighbour goes on, has missed nothing, and everything adds up. */
static void end(void)
{
    weir_account a;
    uint64_t before = neighbour.data;
    UNTIL(host, neighbour.data >= before + 5);
    CHECK_INT(weir_stream_get_state(neighbour.stream), WEIR_STREAM_LIVE);
    CHECK_UINT(neighbour.gaps, 0);
    weir_stream_stop(neighbour.stream);
    UNTIL(host, weir_stream_get_state(neighbour.stream) == WEIR_STREAM_CLOSED);
    check_account(&neighbour);
    weir_host_account(host, &a);
    CHECK_UINT(a.lost, 0);
    e2e_close(&world);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
}

TEST(plugin_faults, ten_thousand_connects_get_thirty_two_sockets)
{
    begin();
    weir_plugin *p = load("connects.wasm", NULL);
    size_t before = open_descriptors();
    const weir_result *r = call(p, "connect", "wss://wss.woox.io/v3/public");
    CHECK_HAS(r->output, "\"opened\":32,");
    CHECK_HAS(r->output, "32 sockets are open already");
    weir_plugin_free(p);
    UNTIL(host, open_descriptors() <= before); /* the venue's ends of them, too */
    end();
}

TEST(plugin_faults, a_giant_message_to_the_venue_is_refused)
{
    static char giant[(17 << 20) + 200];
    char id[64] = "";
    const weir_result *r;
    begin();
    weir_plugin *p = load("ask.wasm", NULL);
    r = call(p, "ws_connect", "{\"url\":\"wss://wss.woox.io/v3/public\"}");
    CHECK_HAS(r->output, "\"success\":true");
    sscanf(strstr(r->output, "connectionId"), "connectionId\":\"%63[0-9a-f]", id);
    int head = snprintf(giant, sizeof giant, "{\"connectionId\":\"%s\",\"message\":\"", id);
    memset(giant + head, 'x', 17 << 20);
    strcpy(giant + head + (17 << 20), "\"}");
    r = call(p, "ws_send", giant);
    CHECK_HAS(r->output, "\"success\":false");
    CHECK_HAS(r->output, "at most 16777216");
    snprintf(giant, sizeof giant, "{\"connectionId\":\"%s\",\"message\":\"small\"}", id);
    CHECK_HAS(call(p, "ws_send", giant)->output, "\"success\":true"); /* the socket is as good as before */
    end();
}

/* What does not fit into a guest is the caller's to hear of, and the plugin works afterwards. */
TEST(plugin_faults, a_gigabyte_of_input_is_refused)
{
    size_t len = (size_t)1 << 30;
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *r = NULL;
    begin();
    weir_plugin *p = load("echo.wasm", NULL);
    char *zeros = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(zeros != MAP_FAILED);
    CHECK(weir_plugin_call_wait(p, "echo", zeros, len, &r, &err) != WEIR_OK);
    CHECK_HAS(err.text, "1073741824");
    munmap(zeros, len);
    CHECK_TEXT(call(p, "echo", "small")->output, "small");
    end();
}

static unsigned logged;

static void count_log(void *arg, weir_log_level level, const char *part, const char *text)
{
    (void)arg;
    (void)level;
    (void)part;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 && *c != '\n')
            test_fail(__FILE__, __LINE__, "a control character reached the log: %s", text);
    logged++;
}

TEST(plugin_faults, an_endless_log_is_cut_and_its_call_stopped)
{
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.call_ms = 300;
    begin();
    weir_plugin *p = load("log_flood.wasm", &o);
    logged = 0;
    weir_log(WEIR_LOG_TRACE, count_log, NULL);
    const weir_result *r = call(p, "endless", "");
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    CHECK(logged > 0);
    CHECK(logged < 5000); /* a burst of 1,000 and 200 a second, of some hundred thousand */
    end();
}

TEST(plugin_faults, memory_bombs_of_every_kind_end_at_their_ceiling)
{
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.memory_bytes = 8 << 20;
    o.call_ms = 20000;
    begin();
    CHECK(strtoul(call(load("memory_bomb.wasm", &o), "grow", "")->output, NULL, 10) <= 128);
    weir_plugin *p = load("block_bomb.wasm", &o);
    static const char *const bombs[][2] = {{"many", ""}, {"tiny", ""}, {"one", "1073741824"}, {"one", "18446744073709551615"}};
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        const weir_result *r = call(p, bombs[i][0], bombs[i][1]);
        CHECK(r->code == WEIR_TRAPPED || r->code == WEIR_FAILED);
    }
    CHECK_UINT(call(p, "one", "1000")->code, WEIR_OK);
    end();
}

TEST(plugin_faults, recursion_of_both_kinds_is_a_trap)
{
    begin();
    weir_plugin *p = load("recurse.wasm", NULL);
    CHECK_UINT(call(p, "deep", "")->code, WEIR_TRAPPED);
    CHECK_UINT(call(p, "wide", "")->code, WEIR_TRAPPED);
    CHECK_UINT(call(p, "deep", "")->code, WEIR_TRAPPED);
    end();
}

static bool over;

static void on_over(void *arg, const weir_result *r)
{
    (void)arg;
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    over = true;
}

/* A slice is a tick of the engine, 10 ms or so: in a second of computing the neighbour has its turn
 * dozens of times. Counted in turns of the loop and in records, not in time. */
TEST(plugin_faults, a_neighbour_has_its_turn_between_the_slices_of_an_endless_loop)
{
    static const char *const loops[] = {"spin", "babble"};
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.cpu_ms = 1000;
    o.call_ms = 1500;
    begin();
    weir_plugin *p = load("endless.wasm", &o);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        unsigned turns = 0, turns_with_records = 0;
        over = false;
        CHECK_OK(weir_plugin_call(p, loops[i], "", 0, on_over, NULL, &err));
        while (!over) {
            uint64_t before = neighbour.data;
            weir_host_step(host, -1);
            turns++;
            turns_with_records += neighbour.data > before;
        }
        CHECK(turns > 20);
        CHECK(turns_with_records > 10);
    }
    end();
}

TEST(plugin_faults, a_real_connection_id_of_another_instance_opens_nothing)
{
    char id[64] = "", input[200];
    begin();
    weir_plugin *owner = load("ask.wasm", NULL), *thief = load("foreign_id.wasm", NULL), *twin = load("ask.wasm", NULL);
    sscanf(strstr(call(owner, "ws_connect", "{\"url\":\"wss://wss.woox.io/v3/public\"}")->output, "connectionId"), "connectionId\":\"%63[0-9a-f]", id);
    CHECK(strlen(id) >= 16);
    CHECK_TEXT(call(thief, "use", id)->output, "0");
    snprintf(input, sizeof input, "{\"connectionId\":\"%s\",\"message\":\"mine\",\"timeoutMs\":-1}", id);
    CHECK_HAS(call(twin, "ws_send", input)->output, "no connection");
    CHECK_HAS(call(twin, "ws_close", input)->output, "no connection");
    CHECK_HAS(call(owner, "ws_send", input)->output, "\"success\":true");
    CHECK_HAS(call(owner, "ws_close", input)->output, "\"success\":true");
    end();
}

/* ---- start_stream itself ---- */

static weir_stream *open_text(const char *body)
{
    weir_error err = WEIR_ERROR_INIT;
    char text[2000];
    weir_plugin *p;
    weir_stream *s;
    int len = snprintf(text, sizeof text,
                       "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
                       " (memory (export \"memory\") 1)"
                       " (func (export \"start_stream\") (result i32) %s))",
                       body);
    CHECK_OK(weir_plugin_load_bytes(&p, host, "bad.wat", text, (size_t)len, NULL, &err));
    CHECK_OK(weir_stream_open(&s, p, "raw", "x", NULL, &err));
    return s;
}

TEST(plugin_faults, a_start_stream_that_exits_fails_or_traps_is_given_up_with_the_reason)
{
    static const struct {
        const char *body, *words;
    } all[] = {
        {"i32.const 3 call $exit unreachable", "3"},
        {"i32.const 0 call $exit unreachable", "start_stream"},
        {"i32.const 1", "start_stream"},
        {"i32.const 0", "start_stream"},
    };
    begin();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_stream *s = open_text(all[i].body);
        UNTIL(host, weir_stream_get_state(s) == WEIR_STREAM_FAILED);
        CHECK_HAS(weir_stream_why(s), all[i].words);
        weir_stream_free(s);
    }
    end();
}
