/* How imports find their functions, and the small host functions. */
#include "plugin/diagnose.h"
#include "plugin/testing.h"

static const char *const names[] = {"ws_connect", "ws_send", "ws_receive", "ws_close", "publish_stream_data", "http_request", "log_record", "time_now", "sleep_ms"};

static binding bound(const char *module, const char *name, const char *type, const task_imports *imports)
{
    module_extern e = {.module = bytes_of(module), .name = bytes_of(name), .kind = EXTERN_FUNC};
    binding b;
    snprintf(e.type, sizeof e.type, "%s", type);
    task_bind((void *)(uintptr_t)imports, &e, &b);
    return b;
}

TEST(imports, every_function_answers_under_both_names)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        binding a = bound("env", names[i], "I(I)", NULL), b = bound("extism:host/user", names[i], "I(I)", NULL);
        CHECK(a.fn && a.fn != task_stub);
        CHECK(a.fn == b.fn && a.env == b.env);
        CHECK_TEXT(a.type, "I(I)");
        CHECK(bound("elsewhere", names[i], "I(I)", NULL).fn == task_stub);
        CHECK(bound("extism:host/env", names[i], "I(I)", NULL).fn == NULL || i == 5); /* Extism has an http_request, too */
    }
}

TEST(imports, the_complete_namespaces_have_no_stubs_and_strict_has_none_at_all)
{
    task_imports strict = {.strict = true};
    CHECK(!bound("wasi_snapshot_preview1", "no_such", "i()", NULL).fn);
    CHECK(!bound("extism:host/env", "no_such", "I()", NULL).fn);
    CHECK(!bound("weir:host", "no_such", "I()", NULL).fn);
    CHECK(bound("env", "no_such", "I(I)", NULL).fn == task_stub);
    CHECK(!bound("env", "no_such", "I(I)", &strict).fn);
    CHECK(bound("env", "time_now", "I(I)", &strict).fn);
}

#define CALLS(name, rest)                                                                                                                       \
    "(module (import \"nowhere\" \"" name "\" (func $f " rest ")) (import \"extism:host/env\" \"length\" (func $len (param i64) (result i64)))" \
    "(import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"

TEST(imports, a_stub_answers_a_document_and_says_so_once)
{
    fake f;
    fake_begin(&f, CALLS("kv_\\22get\\22", "(param i64) (result i64)") "(func (export \"go\") (result i32) (local $o i64) (local.set $o (call $f (i64.const 0)))"
                                                                       "(call $out (local.get $o) (call $len (local.get $o))) (i32.const 0)))",
               NULL);
    CHECK_TEXT(fake_ask(&f, "go", ""), "{\"success\":false,\"result\":false,\"error\":\"host function kv_?get? is not available\"}");
    fake_ask(&f, "go", "");
    CHECK_TEXT(text_of(&f.log), "warn host: host function 'kv_\"get\"' of 'nowhere' is not available; it answers an error\n");
    fake_end(&f);
}

TEST(imports, a_stub_of_another_type_answers_zero)
{
    fake f;
    fake_begin(&f, CALLS("vec", "(param i32) (result v128)") "(func (export \"go\") (result i32) (i32.add (i64x2.all_true (call $f (i32.const -1)))"
                                                             "(i32x4.extract_lane 3 (call $f (i32.const -1))))))",
               NULL);
    fake_ask(&f, "go", "");
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
    fake_begin(&f, CALLS("none", "(param f64 i32 i64)") "(func (export \"go\") (result i32) (call $f (f64.const 1) (i32.const 1) (i64.const 1)) (i32.const 0)))", NULL);
    fake_ask(&f, "go", "");
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
}

TEST(time_now, is_a_json_string_in_utc)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    test_real = 1763884482 * NS_PER_S + 187000000;
    CHECK_TEXT(fake_ask(&f, "time_now", "{}"), "\"2025-11-23T07:54:42.187000000Z\"");
    fake_end(&f);
}

TEST(sleep_ms, takes_no_time_for_zero_and_for_less)
{
    fake f;
    fake_begin(&f, "(module (import \"extism:host/user\" \"sleep_ms\" (func $s (param i64) (result i64)))"
                   "(func (export \"less\") (result i32) (drop (call $s (i64.const -5))) (drop (call $s (i64.const 0))) (i32.const 0))"
                   "(func (export \"ages\") (result i32) (drop (call $s (i64.const 0x7fffffffffffffff))) (i32.const 0)))",
               NULL);
    fake_ask(&f, "less", "");
    CHECK_INT(f.code, WEIR_OK);
    fake_call(&f, "ages", "", 0);
    fake_later(&f, 86400000 - 1);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK(f.over);
    fake_end(&f);
}

TEST(log_record, passes_level_message_and_data_and_answers_nothing)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "log_record", "{\"id\":0,\"pluginId\":\"someone else\",\"eventType\":\"warn\",\"message\":\"a \\u0026 b\",\"data\":{\"n\":1}}", 0);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_FAILED); /* ask takes an answer of 0 for a failure */
    fake_call(&f, "log_record", "{\"eventType\":\"strange\",\"message\":7}", 0);
    fake_call(&f, "log_record", "{\"eventType\":\"error\"", 0);
    CHECK_HAS(text_of(&f.log), "warn log_record: a & b {\"n\":1}\ninfo log_record: 7\nwarn host: log_record: ");
    fake_end(&f);
}

TEST(log_record, is_bounded_and_says_how_many_lines_went)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.log_per_s = 1;
    fake_begin(&f, "ask.wasm", &limits);
    for (int i = 0; i < 8; i++)
        fake_call(&f, "log_record", "{\"eventType\":\"info\",\"message\":\"m\"}", 0);
    fake_later(&f, 1000);
    fake_call(&f, "log_record", "{\"eventType\":\"info\",\"message\":\"last\"}", 0);
    CHECK_TEXT(text_of(&f.log), "info log_record: m\ninfo log_record: m\ninfo log_record: m\ninfo log_record: m\ninfo log_record: m\n"
                                "warn host: 3 log lines dropped: more than 1 in a second\ninfo log_record: last\n");
    fake_end(&f);
}

/* A block that is none is an answer, never a trap, whatever number it is. */
TEST(imports, any_offset_gets_an_answer)
{
    static const char *const offsets[] = {"0", "1", "8", "-1", "0x7fffffffffffffff", "0x8000000000000000", "67108864"};
    for (size_t i = 0; i < sizeof names / sizeof *names - 2; i++)
        for (size_t k = 0; k < sizeof offsets / sizeof *offsets; k++) {
            fake f;
            char text[500];
            snprintf(text, sizeof text,
                     "(module (import \"env\" \"%s\" (func $f (param i64) (result i64))) (func (export \"go\") (result i32) (i64.eqz (call $f (i64.const %s)))))",
                     names[i], offsets[k]);
            fake_begin(&f, text, NULL);
            fake_ask(&f, "go", "");
            CHECK_INT(f.code, WEIR_OK);
            fake_end(&f);
        }
}

/* Blocks of a call that never returns are used again: memory stays where it was. */
TEST(imports, a_long_call_runs_in_constant_memory)
{
    fake f;
    fake_begin(&f, "(module (import \"env\" \"time_now\" (func $t (param i64) (result i64))) (import \"env\" \"ws_close\" (func $c (param i64) (result i64)))"
                   "(import \"extism:host/env\" \"alloc\" (func $a (param i64) (result i64))) (import \"nowhere\" \"stub\" (func $s (param i64) (result i64)))"
                   "(func (export \"go\") (result i32) (local $i i32) (loop $l (drop (call $t (i64.const 0))) (drop (call $c (call $a (i64.const 100))))"
                   "(drop (call $s (i64.const 0))) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 20000)))) (i32.const 0)))",
               NULL);
    fake_call(&f, "go", "", 0);
    while (!f.over)
        loop_step(f.loop, 0);
    CHECK_INT(f.code, WEIR_OK);
    CHECK(kernel_used(f.task->guest->kernel) < 4096);
    fake_end(&f);
}
