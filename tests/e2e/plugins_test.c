/* Guests that do wrong: each is answered or stopped with a reason, and the host and its neighbours go on. */
#include "tests/e2e/e2e.h"

static weir_host *host;
static e2e world;

static void begin(void)
{
    e2e_open(&world, NULL);
    host = world.host;
}

static weir_plugin *load(const char *name, const weir_plugin_options *options)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p;
    CHECK_OK(weir_plugin_load(&p, host, guest_path(name), options, &err));
    return p;
}

static const char *refused(const char *name)
{
    static weir_error err;
    weir_plugin *p = NULL;
    err = (weir_error)WEIR_ERROR_INIT;
    CHECK(weir_plugin_load(&p, host, guest_path(name), NULL, &err) != WEIR_OK);
    CHECK(p == NULL);
    return err.text;
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

/* After whatever `p` did: another plugin works, and so does p itself on a new instance. */
static void end(void)
{
    weir_plugin *echo = load("echo.wasm", NULL);
    CHECK_TEXT(call(echo, "echo", "still here")->output, "still here");
    e2e_close(&world);
}

TEST(plugins, echo_gives_back_what_it_got)
{
    begin();
    weir_plugin *p = load("echo.wasm", NULL);
    char large[100001];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    CHECK_TEXT(call(p, "echo", "")->output, "");
    CHECK_TEXT(call(p, "echo", "1234567")->output, "1234567");
    CHECK_TEXT(call(p, "echo", large)->output, large);
    end();
}

TEST(plugins, globals_live_from_call_to_call)
{
    begin();
    weir_plugin *p = load("counter.wasm", NULL);
    CHECK_TEXT(call(p, "count", "")->output, "1");
    CHECK_TEXT(call(p, "count", "")->output, "2");
    end();
}

TEST(plugins, a_command_is_started_once_and_then_called)
{
    begin();
    CHECK_HAS(weir_plugin_meta(load("command.wasm", NULL)), "\"pluginId\"");
    end();
}

TEST(plugins, outcomes_are_told_apart)
{
    begin();
    weir_plugin *p = load("outcome.wasm", NULL);
    CHECK_UINT(call(p, "error_and_0", "")->code, WEIR_FAILED);
    const weir_result *r = call(p, "document_and_1", "");
    CHECK_UINT(r->code, WEIR_FAILED);
    CHECK_INT(r->rc, 1);
    r = call(p, "nothing_and_7", "");
    CHECK_INT(r->rc, 7);
    CHECK_HAS(r->error, "7");
    CHECK_UINT(call(p, "cleared_and_0", "")->code, WEIR_OK);
    weir_error err = WEIR_ERROR_INIT;
    CHECK_UINT(weir_plugin_call_wait(p, "no_such_export", "", 0, &r, &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "nothing_and_7");
    end();
}

TEST(plugins, a_trap_names_its_reason_and_the_next_call_works)
{
    begin();
    weir_plugin *p = load("trap.wasm", NULL);
    const weir_result *r = call(p, "unreachable", "");
    CHECK_UINT(r->code, WEIR_TRAPPED);
    CHECK_HAS(r->error, "unreachable");
    CHECK(*r->trace);
    CHECK_UINT(call(p, "divide_by_zero", "")->code, WEIR_TRAPPED);
    CHECK_UINT(call(p, "out_of_bounds", "")->code, WEIR_TRAPPED);
    CHECK_UINT(call(p, "fine", "")->code, WEIR_OK);
    end();
}

TEST(plugins, a_tight_loop_is_stopped_at_its_limit)
{
    begin();
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.cpu_ms = 50;
    weir_plugin *p = load("endless.wasm", &o);
    const weir_result *r = call(p, "spin", "");
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    CHECK_HAS(r->error, "CPU");
    end();
}

TEST(plugins, a_call_past_its_time_is_stopped_and_says_where_it_waited)
{
    begin();
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.call_ms = 30;
    weir_plugin *p = load("sleeper.wasm", &o);
    const weir_result *r = call(p, "by_host", "60000");
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    CHECK_HAS(r->error, "waiting in sleep_ms");
    CHECK_UINT(call(p, "by_wasi", "60000")->code, WEIR_TIMEOUT);
    CHECK_UINT(call(p, "by_host", "1")->code, WEIR_OK);
    CHECK_UINT(call(p, "by_wasi", "1")->code, WEIR_OK);
    end();
}

TEST(plugins, deep_recursion_is_a_trap)
{
    begin();
    weir_plugin *p = load("recurse.wasm", NULL);
    CHECK_UINT(call(p, "deep", "100000000")->code, WEIR_TRAPPED);
    end();
}

TEST(plugins, memory_has_a_ceiling)
{
    begin();
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.memory_bytes = 16 << 20;
    weir_plugin *p = load("memory_bomb.wasm", &o);
    const weir_result *r = call(p, "grow", "");
    CHECK(strtoul(r->output, NULL, 10) <= 256); /* pages */
    p = load("block_bomb.wasm", NULL);
    call(p, "many", "");
    call(p, "one", "");
    end();
}

TEST(plugins, proc_exit_zero_is_fine_and_others_are_not)
{
    begin();
    weir_plugin *p = load("proc_exit.wasm", NULL);
    CHECK_UINT(call(p, "leave", "0")->code, WEIR_OK);
    const weir_result *r = call(p, "leave", "3");
    CHECK(r->code != WEIR_OK);
    CHECK_INT(r->rc, 3);
    end();
}

TEST(plugins, a_trap_in_initialize_is_told_when_loading)
{
    begin();
    CHECK_HAS(refused("init_trap.wasm"), "meta");
    end();
}

TEST(plugins, bad_offsets_get_answers)
{
    begin();
    weir_plugin *p = load("bad_offsets.wasm", NULL);
    CHECK_UINT(call(p, "call", "")->code, WEIR_OK);
    CHECK_UINT(call(p, "poke", "")->code, WEIR_OK);
    call(p, "claim", "");
    call(p, "own", "");
    end();
}

TEST(plugins, bad_json_gets_answers)
{
    begin();
    CHECK_UINT(call(load("bad_json.wasm", NULL), "call", "")->code, WEIR_OK);
    end();
}

TEST(plugins, targets_are_refused_with_what_is_allowed)
{
    begin();
    weir_plugin *p = load("ask.wasm", NULL);
    const weir_result *r = call(p, "ws_connect", "{\"url\":\"wss://evil.example/\"}");
    CHECK_HAS(r->output, "\"success\":false");
    CHECK_HAS(r->output, "wss://wss.woox.io/*");
    r = call(p, "http_request", "{\"url\":\"https://evil.example/\",\"method\":\"GET\",\"headers\":null,\"body\":null}");
    CHECK_HAS(r->output, "\"error\"");
    r = call(p, "ws_receive", "{\"connectionId\":\"nobody\",\"timeoutMs\":-1}");
    CHECK_HAS(r->output, "no connection");
    r = call(p, "publish_stream_data", "{\"key\":{\"type\":\"ohlcv\",\"source\":\"x\",\"identifier\":\"y\"},\"data\":1,\"timestamp\":\"\"}");
    CHECK_HAS(r->output, "no stream runs");
    end();
}

TEST(plugins, time_now_is_a_json_string_in_utc)
{
    begin();
    const weir_result *r = call(load("ask.wasm", NULL), "time_now", "x");
    CHECK(r->output[0] == '"' && r->output[5] == '-');
    CHECK_HAS(r->output, "Z\"");
    end();
}

TEST(plugins, both_names_work_for_host_functions)
{
    begin();
    const weir_result *r = call(load("ask_env.wasm", NULL), "ws_close", "{\"connectionId\":\"x\"}");
    CHECK_HAS(r->output, "\"success\":false");
    CHECK(!strstr(r->output, "not available")); /* so says the stub of a function that nobody offers */
    end();
}

static unsigned logged;

static void count_log(void *arg, weir_log_level level, const char *part, const char *text)
{
    (void)arg;
    (void)level;
    (void)part;
    (void)text;
    logged++;
}

TEST(plugins, a_flood_of_log_lines_is_cut_and_counted)
{
    begin();
    weir_plugin *p = load("log_flood.wasm", NULL);
    logged = 0;
    weir_log(WEIR_LOG_TRACE, count_log, NULL);
    CHECK_UINT(call(p, "flood", "")->code, WEIR_OK);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    CHECK(logged > 0 && logged < 3000);
    end();
}

TEST(plugins, unknown_functions_answer_an_error_document)
{
    begin();
    const weir_result *r = call(load("unknown_import.wat", NULL), "ask", "");
    CHECK_HAS(r->output, "is not available");
    end();
}

TEST(plugins, what_is_no_module_is_said_with_its_cure)
{
    begin();
    CHECK_HAS(refused("no-such-file.wasm"), "no such file");
    CHECK_HAS(refused("component.wasm"), "component");
    CHECK_HAS(refused("truncated.wasm"), "truncated.wasm");
    refused("empty.wasm");
    refused("text.wasm");
    CHECK_HAS(refused("mistyped_import.wat"), "//go:wasmimport extism:host/user");
    end();
}

TEST(plugins, imports_from_a_wrong_place_are_diagnosed)
{
    begin();
    weir_error err = WEIR_ERROR_INIT;
    char *json;
    CHECK_OK(weir_inspect(&json, host, guest_path("wrong_namespace.wat"), &err));
    CHECK_HAS(json, "extism:host/user");
    free(json);
    CHECK_OK(weir_inspect(&json, host, guest_path("foreign_env.wat"), &err));
    CHECK_HAS(json, "nothing answers");
    free(json);
    CHECK_OK(weir_inspect(&json, host, guest_path("nothing.wat"), &err));
    CHECK_HAS(json, "findings");
    free(json);
    CHECK_OK(weir_inspect(&json, host, guest_path("command.wasm"), &err));
    CHECK_HAS(json, "-buildmode=c-shared");
    free(json);
    end();
}

TEST(plugins, only_a_plugin_that_asked_for_it_needs_weir)
{
    static const struct {
        const char *guest;
        bool needs_weir;
    } all[] = {{"woox.wasm", true}, {"woox-portable.wasm", false}, {"minimal-c.wasm", false}, {"echo.wasm", false}};
    begin();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_error err = WEIR_ERROR_INIT;
        char *json;
        CHECK_OK(weir_inspect(&json, host, guest_path(all[i].guest), &err));
        CHECK_HAS(json, "extism:host/env");
        CHECK((strstr(json, "weir:host") != NULL) == all[i].needs_weir);
        free(json);
    }
    end();
}

TEST(plugins, config_and_variables_reach_the_guest)
{
    begin();
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.config_json = "{\"greeting\":\"hello\"}";
    CHECK_TEXT(call(load("config.wasm", &o), "get", "greeting")->output, "hello");
    end();
}

TEST(plugins, narrower_targets_are_fine_and_wider_ones_refused)
{
    begin();
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    const char *narrow[] = {"wss://wss.woox.io/v3/*", NULL}, *wide[] = {"wss://other.example/*", NULL};
    weir_plugin *p = NULL;
    o.allow = narrow;
    p = load("ask.wasm", &o);
    CHECK_HAS(call(p, "http_request", "{\"url\":\"https://api.woox.io/v1\",\"method\":\"GET\"}")->output, "may not open");
    o.allow = wide;
    p = NULL;
    CHECK_UINT(weir_plugin_load(&p, host, guest_path("ask.wasm"), &o, &err), WEIR_REFUSED);
    end();
}
