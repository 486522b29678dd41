/* One call through Extism's C interface: what it returns, what its error is, what stays. */
#include <stdio.h>

#include "libextism/testing.h"

#define MANY                                                                                                         \
    "(module " IMPORTS "(memory (export \"memory\") 1)(global $n (mut i32) (i32.const 0))" ECHO                      \
    "(func (export \"void\") (call $output (call $input) (call $length)))"                                           \
    "(func (export \"three\") (result i32) (i32.const 3))"                                                           \
    "(func (export \"long\") (result i64) (i64.const 0))"                                                            \
    "(func (export \"trap\") (unreachable))"                                                                         \
    "(func (export \"spin\") (loop $l (br $l)))"                                                                     \
    "(func (export \"fails\") (result i32) (call $error (call $input)) (i32.const 0))"                               \
    "(func (export \"fails_void\") (call $error (call $input)))"                                                     \
    "(func (export \"fails_trap\") (call $error (call $input)) (unreachable))"                                       \
    "(func (export \"key\") (drop (call $config (i64.const 12345))))"                                                \
    "(func (export \"parameter\") (param i32))"                                                                      \
    "(func (export \"two\") (result i32 i32) (i32.const 0) (i32.const 0))"                                           \
    "(func (export \"count\") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))" \
    "(func (export \"far\") (call $output (i64.const 77) (i64.const -5)))"                                           \
    "(func (export \"config\") (local $h i64) (local.set $h (call $config (call $input)))"                           \
    " (call $output (local.get $h) (call $block (local.get $h)))))"

static void ends(ExtismPlugin *p, const char *name, int rc, const char *error)
{
    CHECK_INT(call_of(p, name, "in"), rc);
    const char *said = extism_plugin_error(p);
    if (!error)
        CHECK(said == NULL);
    else if (!said)
        test_fail(__FILE__, __LINE__, "%s has no error", name);
    else
        CHECK(strncmp(said, error, strlen(error)) == 0);
}

TEST(calls, end_as_the_table_of_outcomes_says)
{
    ExtismPlugin *p = plugin_of(MANY);
    ends(p, "echo", 0, NULL);
    CHECK_TEXT(output_of(p), "in");
    ends(p, "void", 0, NULL);
    ends(p, "three", 3, NULL);
    ends(p, "long", -1, NULL);
    ends(p, "trap", 134, "error while executing at wasm backtrace:\n    0: ");
    ends(p, "fails", 0, "in");
    ends(p, "fails_void", 0, "in");
    ends(p, "fails_trap", -1, "in");
    ends(p, "key", -1, "error while executing at wasm backtrace:");
    CHECK(strstr(extism_plugin_error(p), "Caused by:\n    invalid handle offset for config key: 12345") != NULL);
    ends(p, "parameter", -1, "expected 1 arguments, got 0");
    ends(p, "two", -1, "Function two has 2 results, expected 0 or 1");
    ends(p, "none", -1, "Function not found: none");
    ends(p, "echo", 0, NULL);
    extism_plugin_free(p);
}

TEST(calls, keep_the_instance_and_its_globals)
{
    ExtismPlugin *p = plugin_of(MANY);
    CHECK_INT(call_of(p, "count", ""), 1);
    CHECK_INT(call_of(p, "trap", ""), 134);
    CHECK_INT(call_of(p, "count", ""), 2);
    CHECK(extism_plugin_output_data(p) != NULL);
    CHECK_UINT(extism_plugin_output_length(p), 0);
    extism_plugin_free(p);
}

TEST(calls, an_output_out_of_range_ends_with_the_memory)
{
    ExtismPlugin *p = plugin_of(MANY);
    CHECK_INT(call_of(p, "far", "in"), 0);
    CHECK(extism_plugin_output_length(p) < 2000000);
    extism_plugin_free(p);
}

TEST(calls, see_the_configuration_as_it_is_now)
{
    ExtismPlugin *p = plugin_of(MANY);
    CHECK(extism_plugin_config(p, (const uint8_t *)"{\"in\":\"one\",\"b\":\"x\"}", 20));
    CHECK_INT(call_of(p, "config", "in"), 0);
    CHECK_TEXT(output_of(p), "one");
    CHECK(!extism_plugin_config(p, (const uint8_t *)"{\"in\":5}", 8));
    CHECK(!extism_plugin_config(p, (const uint8_t *)"[]", 2));
    CHECK_INT(call_of(p, "config", "in"), 0);
    CHECK_TEXT(output_of(p), "one");
    CHECK(extism_plugin_config(p, (const uint8_t *)"{\"in\":null}", 11));
    CHECK_INT(call_of(p, "config", "in"), 0);
    CHECK_UINT(extism_plugin_output_length(p), 0);
    extism_plugin_free(p);
}

static ExtismPlugin *with_limit(const char *members)
{
    char path[] = "/tmp/weir-extism-XXXXXX", text[256];
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    fputs(MANY, f);
    fclose(f);
    snprintf(text, sizeof text, "{\"wasm\":[{\"path\":\"%s\"}],%s}", path, members);
    ExtismPlugin *p = plugin_of(text);
    remove(path);
    return p;
}

TEST(calls, stop_when_their_time_is_over_and_go_on_afterwards)
{
    ExtismPlugin *p = with_limit("\"timeout_ms\":30");
    ends(p, "spin", 134, "timeout");
    ends(p, "echo", 0, NULL);
    ends(p, "spin", 134, "timeout");
    ends(p, "echo", 0, NULL);
    extism_plugin_free(p);
    p = with_limit("\"timeout_ms\":0");
    ends(p, "echo", 134, "timeout");
    extism_plugin_free(p);
}

#define WAITS                                                                                                                                \
    "(import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $poll (param i32 i32 i32 i32) (result i32)))"                                  \
    "(memory (export \"memory\") 1)(func $sleep (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 60000000000))" \
    " (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))"

/* `module` with a limit of 30 ms. */
static ExtismPlugin *limited(const char *module)
{
    char manifest[200];
    snprintf(manifest, sizeof manifest, "{\"wasm\":[{\"data\":{\"ptr\":%llu,\"len\":%zu}}],\"timeout_ms\":30}",
             (unsigned long long)(uintptr_t)module, strlen(module));
    return extism_plugin_new((const uint8_t *)manifest, strlen(manifest), NULL, 0, true, NULL);
}

TEST(calls, stop_while_they_sleep_and_while_they_initialise)
{
    ExtismPlugin *p = limited("(module " WAITS "(func (export \"sleep\") (call $sleep)) (func (export \"fine\")))");
    ends(p, "sleep", 134, "timeout");
    ends(p, "fine", 0, NULL);
    extism_plugin_free(p);
    p = limited("(module (func (export \"_initialize\") (loop $l (br $l))) (func (export \"fine\")))");
    ends(p, "fine", 134, "timeout");
    extism_plugin_free(p);
}

TEST(calls, without_end_inside_end_with_a_trap_and_go_on)
{
    ExtismPlugin *p = plugin_of("(module (func $f (export \"deeper\") (call $f)) (func (export \"fine\") (result i32) (i32.const 4)))");
    ends(p, "deeper", 134, "error while executing at wasm backtrace:\n    0: ");
    CHECK_HAS(extism_plugin_error(p), "Caused by:\n    ");
    ends(p, "fine", 4, NULL);
    extism_plugin_free(p);
}

TEST(calls, leave_the_guests_own_error_until_the_next)
{
    ExtismPlugin *p = plugin_of(MANY);
    ends(p, "fails", 0, "in");
    CHECK(extism_plugin_config(p, (const uint8_t *)"{}", 2));
    CHECK(!extism_plugin_config(p, (const uint8_t *)"5", 1));
    CHECK(extism_plugin_function_exists(p, "fails"));
    CHECK_TEXT(extism_plugin_error(p), "in");
    ends(p, "trap", 134, "error");
    CHECK(extism_plugin_function_exists(p, "trap"));
    CHECK(extism_plugin_error(p) == NULL);
    extism_plugin_free(p);
}
