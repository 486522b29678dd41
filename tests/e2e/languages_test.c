/* Guests of other languages, written with Extism's own kits: the same questions to each. */
#include <stdio.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

static e2e world;

static void begin(const char *name)
{
    if (access(guest_path(name), R_OK) != 0)
        test_skip("this language's guest is not built: its compiler is missing (ninja guests-languages)");
    e2e_open(&world, NULL);
}

static weir_plugin *load(const char *name, uint32_t call_ms)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p;
    o.config_json = "{\"greeting\":\"hi\"}";
    o.call_ms = call_ms;
    CHECK_OK(weir_plugin_load(&p, world.host, guest_path(name), &o, &err));
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

static char logged[400];

static void on_log(void *arg, weir_log_level level, const char *part, const char *text)
{
    (void)arg, (void)level, (void)part;
    snprintf(logged, sizeof logged, "%s", text);
}

static void answers(const char *name)
{
    begin(name);
    weir_plugin *p = load(name, 0);
    weir_log(WEIR_LOG_INFO, on_log, NULL);
    CHECK_TEXT(call(p, "greet", "Ada")->output, "hi, Ada");
    CHECK_HAS(logged, "greeting Ada");
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    CHECK_TEXT(call(p, "count", "")->output, "1");
    CHECK_TEXT(call(p, "count", "")->output, "2");
    const weir_result *r = call(p, "fails", "");
    CHECK_UINT(r->code, WEIR_FAILED);
    CHECK_HAS(r->error, "no such market");
    CHECK_HAS(call(p, "asks", "")->output, "{\"success\":false,\"error\":\"ws_send: this instance has no connection");
    CHECK_TEXT(call(p, "sleeps", "20")->output, "awake");
    CHECK_TEXT(call(p, "count", "")->output, "3"); /* all of it on one instance */
    e2e_close(&world);
}

static void is_stopped(const char *name)
{
    begin(name);
    weir_plugin *p = load(name, 200);
    const weir_result *r = call(p, "sleeps", "20000");
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    CHECK_HAS(r->error, "it was waiting in sleep_ms");
    r = call(p, "spins", "");
    CHECK_UINT(r->code, WEIR_TIMEOUT);
    CHECK_HAS(r->error, "it was computing");
    CHECK_TEXT(call(p, "greet", "you")->output, "hi, you");
    e2e_close(&world);
}

TEST(languages, a_guest_in_rust_answers)
{
    answers("rust.wasm");
}

TEST(languages, a_guest_in_rust_is_stopped_asleep_and_computing)
{
    is_stopped("rust.wasm");
}

TEST(languages, a_guest_in_assemblyscript_answers)
{
    answers("assemblyscript.wasm");
}

TEST(languages, a_guest_in_assemblyscript_is_stopped_asleep_and_computing)
{
    is_stopped("assemblyscript.wasm");
}

TEST(languages, a_guest_in_zig_answers)
{
    answers("zig.wasm");
}

TEST(languages, a_guest_in_zig_is_stopped_asleep_and_computing)
{
    is_stopped("zig.wasm");
}
