/* Calls of exports, from the input to the verdict. */
#include "extism/testing.h"

/* Imports that most of the modules below need, then the module's own fields. */
#define MODULE(fields)                                                                                        \
    "(module"                                                                                                 \
    " (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"                          \
    " (import \"extism:host/env\" \"store_u64\" (func $store (param i64 i64)))"                               \
    " (import \"extism:host/env\" \"load_u64\" (func $load (param i64) (result i64)))"                        \
    " (import \"extism:host/env\" \"error_set\" (func $error (param i64)))"                                   \
    " (import \"extism:host/env\" \"output_set\" (func $output (param i64 i64)))"                             \
    " (import \"extism:host/env\" \"input_offset\" (func $input (result i64)))"                               \
    " (import \"extism:host/env\" \"input_length\" (func $length (result i64)))"                              \
    " (import \"extism:host/env\" \"var_set\" (func $var_set (param i64 i64)))"                               \
    " (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"                             \
    " (import \"wasi_snapshot_preview1\" \"fd_write\" (func $fd_write (param i32 i32 i32 i32) (result i32)))" \
    " (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $poll (param i32 i32 i32 i32) (result i32)))"  \
    " (memory (export \"memory\") 1)"                                                                         \
    " (global $n (mut i32) (i32.const 0))" /* a block of eight octets, "an error" */                          \
    " (func $text (result i64) (local $at i64)"                                                               \
    "   (local.set $at (call $alloc (i64.const 8)))"                                                          \
    "   (call $store (local.get $at) (i64.const 0x726f727265206e61)) (local.get $at))" fields ")"

static const call_result *run(test_guest *t, const char *name)
{
    return test_call(t->g, name, BYTES("input"));
}

static void expect(test_guest *t, const char *name, weir_code code, int32_t rc, const char *error, const char *why)
{
    const call_result *r = run(t, name);
    if (r->code != code || r->rc != rc)
        test_fail(__FILE__, __LINE__, "%s: code %d rc %d, wanted %d and %d; %s", name, (int)r->code, (int)r->rc, (int)code, (int)rc, r->why);
    CHECK_BYTES(r->error, bytes_of(error));
    if (*why)
        CHECK_HAS(r->why, why);
    else
        CHECK_TEXT(r->why, "");
}

TEST(guest, outcomes_of_an_export_that_returns)
{
    test_guest t = test_guest_new(MODULE(
                                      "(func (export \"zero\") (result i32) (i32.const 0))"
                                      "(func (export \"seven\") (result i32) (i32.const 7))"
                                      "(func (export \"zero_error\") (result i32) (call $error (call $text)) (i32.const 0))"
                                      "(func (export \"seven_error\") (result i32) (call $error (call $text)) (i32.const 7))"
                                      "(func (export \"cleared\") (result i32) (call $error (call $text)) (call $error (i64.const 0)) (i32.const 0))"
                                      "(func (export \"inside\") (result i32) (call $error (i64.add (call $text) (i64.const 1))) (i32.const 0))"
                                      "(func (export \"none\"))"
                                      "(func (export \"none_error\") (call $error (call $text)))"
                                      "(func (export \"long\") (result i64) (i64.const 0))"
                                      "(func (export \"pair\") (result i32 i32) (i32.const 0) (i32.const 0))"
                                      "(func (export \"wants\") (param i32) (result i32) (i32.const 0))"),
                                  "");
    expect(&t, "zero", WEIR_OK, 0, "", "");
    expect(&t, "seven", WEIR_FAILED, 7, "", "seven failed (code 7)");
    expect(&t, "zero_error", WEIR_FAILED, 0, "an error", "zero_error failed: an error");
    expect(&t, "seven_error", WEIR_FAILED, 7, "an error", "an error");
    expect(&t, "cleared", WEIR_OK, 0, "", "");
    expect(&t, "inside", WEIR_OK, 0, "", "");
    expect(&t, "none", WEIR_OK, 0, "", "");
    expect(&t, "none_error", WEIR_FAILED, 0, "an error", "an error");
    expect(&t, "long", WEIR_INVALID, -1, "", "returned a value that is no code");
    expect(&t, "pair", WEIR_INVALID, -1, "", "more than one result, expected 0 or 1");
    expect(&t, "wants", WEIR_INVALID, -1, "", "takes parameters");
    expect(&t, "absent", WEIR_NOT_FOUND, -1, "", "Function not found: absent");
    expect(&t, "memory", WEIR_NOT_FOUND, -1, "", "Function not found: memory");
    CHECK(!guest_result(t.g)->needs_reset);
    test_guest_free(&t);
}

TEST(guest, outcomes_of_an_export_that_does_not_return)
{
    static const struct {
        const char *name;
        weir_code code;
        int32_t rc;
        const char *error, *why;
        bool needs_reset;
    } rows[] = {
        {"trap", WEIR_TRAPPED, 134, "", "trap trapped: ", true},
        {"trap_error", WEIR_TRAPPED, -1, "an error", "trapped", true},
        {"bad_key", WEIR_TRAPPED, -1, "", "invalid handle offset for var key: 9", true},
        {"exit0", WEIR_OK, 0, "", "", false},
        {"exit0_error", WEIR_FAILED, -1, "an error", "an error", false},
        {"exit3", WEIR_FAILED, 3, "", "exit3 left with exit code 3", true},
        {"exit3_error", WEIR_FAILED, -1, "an error", "an error", true},
        {"exit126", WEIR_FAILED, -1, "", "exit code 126", true},
        {"exit_minus", WEIR_FAILED, -1, "", "exit code -1", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_guest t = test_guest_new(MODULE(
                                          "(func (export \"trap\") (result i32) unreachable)"
                                          "(func (export \"trap_error\") (result i32) (call $error (call $text)) unreachable)"
                                          "(func (export \"bad_key\") (call $var_set (i64.const 9) (i64.const 0)))"
                                          "(func (export \"exit0\") (call $exit (i32.const 0)))"
                                          "(func (export \"exit0_error\") (call $error (call $text)) (call $exit (i32.const 0)))"
                                          "(func (export \"exit3\") (call $exit (i32.const 3)))"
                                          "(func (export \"exit3_error\") (call $error (call $text)) (call $exit (i32.const 3)))"
                                          "(func (export \"exit126\") (call $exit (i32.const 126)))"
                                          "(func (export \"exit_minus\") (call $exit (i32.const -1)))"),
                                      "");
        expect(&t, rows[i].name, rows[i].code, rows[i].rc, rows[i].error, rows[i].why);
        CHECK(guest_result(t.g)->needs_reset == rows[i].needs_reset);
        if (rows[i].code == WEIR_TRAPPED)
            CHECK(guest_result(t.g)->trace[0] != '\0');
        test_guest_free(&t);
    }
}

TEST(guest, output_is_any_range_and_survives_an_exit)
{
    test_guest t = test_guest_new(MODULE(
                                      "(func (export \"echo\") (result i32) (call $output (call $input) (call $length)) (i32.const 0))"
                                      "(func (export \"part\") (result i32) (call $output (i64.add (call $input) (i64.const 1)) (i64.const 3)) (i32.const 0))"
                                      "(func (export \"beyond\") (result i32) (call $output (call $input) (i64.const -5)) (i32.const 0))"
                                      "(func (export \"leave\") (call $output (call $input) (call $length)) (call $exit (i32.const 0)))"
                                      "(func (export \"fail\") (result i32) (call $output (call $input) (call $length)) (i32.const 1))"),
                                  "");
    CHECK_BYTES(run(&t, "echo")->output, BYTES("input"));
    CHECK_BYTES(run(&t, "part")->output, BYTES("npu"));
    CHECK_UINT(run(&t, "beyond")->output.len, kernel_size(t.g->kernel) - 77);
    CHECK_BYTES(run(&t, "leave")->output, BYTES("input"));
    CHECK_BYTES(run(&t, "fail")->output, BYTES("input"));
    const call_result *r = test_call(t.g, "echo", BYTES(""));
    CHECK_INT(r->code, WEIR_OK);
    CHECK_UINT(r->output.len, 0);
    test_guest_free(&t);
}

TEST(guest, globals_stay_and_exchange_memory_does_not)
{
    test_guest t = test_guest_new(MODULE(
                                      "(func (export \"count\") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))"
                                      "(func (export \"fresh\") (result i32) (i64.ne (call $load (i64.const 200)) (i64.const 0))"
                                      "  (call $store (i64.const 200) (i64.const 5)) (drop (call $alloc (i64.const 500))))"),
                                  "");
    CHECK_INT(run(&t, "count")->rc, 1);
    CHECK_INT(run(&t, "count")->rc, 2);
    CHECK_INT(run(&t, "fresh")->rc, 0);
    CHECK_INT(run(&t, "fresh")->rc, 0);
    test_guest_free(&t);
}

TEST(guest, an_input_that_does_not_fit_is_refused)
{
    test_guest t = test_guest_new(MODULE("(func (export \"zero\") (result i32) (i32.const 0))"), "");
    size_t len = (size_t)65 << 20;
    char *big = calloc(1, len);
    const call_result *r = test_call(t.g, "zero", bytes_make(big, len));
    CHECK_INT(r->code, WEIR_LIMIT);
    CHECK_INT(r->rc, -1);
    CHECK_HAS(r->why, "failed to allocate extism memory");
    free(big);
    CHECK_INT(run(&t, "zero")->code, WEIR_OK);
    test_guest_free(&t);
}

/* ---- Initialisation ---- */

#define BUMP(by) "(global.set $n (i32.add (i32.mul (global.get $n) (i32.const 10)) (i32.const " by ")))"
#define READ_N "(func (export \"n\") (result i32) (global.get $n))"

static int32_t initialised(const char *wat)
{
    test_guest t = test_guest_new(wat, "");
    int32_t first = run(&t, "n")->rc;
    CHECK_INT(run(&t, "n")->rc, first); /* once only */
    test_guest_free(&t);
    return first;
}

TEST(guest, the_runtime_is_initialised_once_before_the_first_export)
{
    CHECK_INT(initialised(MODULE(READ_N)), 0);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_initialize\") " BUMP("1") ")")), 1);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"__wasm_call_ctors\") " BUMP("2") ")")), 2);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_initialize\") " BUMP("1") ")(func (export \"__wasm_call_ctors\") " BUMP("2") ")")), 2);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_initialize\") " BUMP("1") ")(func (export \"__wasm_call_ctors\") (param i32) " BUMP("2") ")")), 0);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"hs_init\") (param i32 i32) (if (i32.or (local.get 0) (local.get 1)) (then unreachable)) " BUMP("3") ")"
                                                                                                                                                             "(func (export \"_initialize\") " BUMP("1") ")(func (export \"__wasm_call_ctors\") " BUMP("2") ")")),
              13);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_initialize\") (result i32) " BUMP("1") " (i32.const 0))")), 0);
}

TEST(guest, a_command_runs_its_start_once_and_then_serves_its_exports)
{
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_start\") " BUMP("4") ")")), 4);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_start\") " BUMP("4") " (call $exit (i32.const 0)))")), 4);
    CHECK_INT(initialised(MODULE(READ_N "(func (export \"_start\") " BUMP("4") ")(func (export \"_initialize\") " BUMP("1") ")")), 1);
}

TEST(guest, start_called_by_name_runs_once_and_asks_for_a_new_guest)
{
    test_guest t = test_guest_new(MODULE(READ_N "(func (export \"_start\") " BUMP("4") " (call $exit (i32.const 0)))"), "");
    const call_result *r = run(&t, "_start");
    CHECK_INT(r->code, WEIR_OK);
    CHECK(r->needs_reset);
    CHECK_INT(run(&t, "n")->rc, 4);
    CHECK(!guest_result(t.g)->needs_reset);
    test_guest_free(&t);
}

TEST(guest, initialisers_may_use_every_import_and_the_input_comes_after_them)
{
    test_guest t = test_guest_new(MODULE(
                                      "(func (export \"_initialize\") (call $var_set (call $text) (call $text)) (call $output (call $text) (i64.const 8)) (call $error (call $text)))"
                                      "(func (export \"echo\") (result i32) (call $output (call $input) (call $length)) (i32.const 0))"),
                                  "");
    const call_result *r = run(&t, "echo");
    CHECK_INT(r->code, WEIR_OK);
    CHECK_BYTES(r->output, BYTES("input"));
    CHECK_BYTES(vars_get(t.g->vars, BYTES("an error")), BYTES("an error"));
    test_guest_free(&t);
}

TEST(guest, a_failing_initialiser_says_which_and_why)
{
    test_guest t = test_guest_new(MODULE(READ_N "(func (export \"_initialize\") unreachable)"), "");
    expect(&t, "n", WEIR_TRAPPED, -1, "", "the plugin's runtime could not be initialised: _initialize: ");
    CHECK(guest_result(t.g)->needs_reset);
    test_guest_free(&t);
    t = test_guest_new(MODULE(READ_N "(func (export \"_start\") (call $exit (i32.const 2)))"), "");
    expect(&t, "n", WEIR_FAILED, -1, "", "_start left with exit code 2");
    CHECK(guest_result(t.g)->needs_reset);
    test_guest_free(&t);
}

TEST(guest, a_start_section_may_use_exchange_memory)
{
    test_guest t = test_guest_new(MODULE(READ_N "(func $s (drop (call $text)) " BUMP("6") " (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))) (start $s)"), "");
    CHECK_INT(run(&t, "n")->rc, 6);
    test_guest_free(&t);
}

TEST(guest, a_start_section_that_traps_is_an_error_of_guest_new)
{
    ERR;
    test_guest t;
    CHECK_INT(test_guest_try(&t, BYTES("(module (func $s unreachable) (start $s))"), "", NULL, NULL, &err), WEIR_TRAPPED);
    CHECK_HAS(err.text, "test: ");
    CHECK(t.g == NULL);
    test_guest_free(&t);
}

TEST(guest, max_pages_bounds_the_memory_of_the_module)
{
    ERR;
    test_guest t;
    CHECK_INT(test_guest_try(&t, BYTES("(module (memory (export \"memory\") 3) (func (export \"grow\") (result i32) (memory.grow (i32.const 1))))"),
                             "\"memory\":{\"max_pages\":3}", NULL, NULL, &err),
              WEIR_OK);
    CHECK_INT(run(&t, "grow")->rc, -1);
    test_guest_free(&t);
    CHECK(test_guest_try(&t, BYTES("(module (memory 3))"), "\"memory\":{\"max_pages\":0}", NULL, NULL, &err) != WEIR_OK);
    test_guest_free(&t);
}

/* ---- Waiting, cancelling ---- */

/* A clock subscription: relative, monotonic, 1 ms. */
#define SLEEP                                                                                              \
    "(func $sleep (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 1000000))" \
    " (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))"

TEST(guest, a_waiting_guest_parks_and_goes_on)
{
    test_guest t = test_guest_new(MODULE(SLEEP "(func (export \"nap\") (result i32) (call $sleep) (i32.load (i32.const 128)))"), "");
    test_parks = true;
    guest_call(t.g, "nap", BYTES(""));
    CHECK_INT(guest_step(t.g), RUN_PARKED);
    CHECK_UINT(test_waited_until, test_mono + 1000000);
    CHECK_INT(guest_step(t.g), RUN_DONE);
    CHECK_INT(guest_result(t.g)->rc, 1);
    test_parks = false;
    test_guest_free(&t);
}

static void cancel_at(const char *name, int steps, weir_code why, bool needs_reset)
{
    test_guest t = test_guest_new(MODULE(SLEEP
                                         "(func (export \"_initialize\") (call $sleep))"
                                         "(func (export \"nap\") (result i32) (call $sleep) (i32.const 0))"
                                         "(func (export \"nap_error\") (result i32) (call $error (call $text)) (call $sleep) (i32.const 0))"),
                                  "");
    test_parks = true;
    guest_call(t.g, name, BYTES("x"));
    for (int i = 0; i < steps; i++)
        CHECK_INT(guest_step(t.g), RUN_PARKED);
    guest_cancel(t.g, why, "too slow: 50 ms (call_ms)");
    const call_result *r = guest_result(t.g);
    CHECK_INT(r->code, why);
    CHECK_TEXT(r->why, "too slow: 50 ms (call_ms)");
    CHECK_INT(r->rc, r->error.len ? -1 : 134);
    CHECK(r->needs_reset == needs_reset);
    CHECK_INT(guest_step(t.g), RUN_DONE);
    guest_cancel(t.g, WEIR_CANCELLED, "again"); /* an idle guest: nothing happens */
    CHECK_INT(guest_result(t.g)->code, why);
    test_parks = false;
    test_guest_free(&t);
}

TEST(guest, a_call_can_be_cancelled_at_every_stage)
{
    cancel_at("nap", 0, WEIR_CANCELLED, false);
    cancel_at("nap", 1, WEIR_TIMEOUT, true); /* in _initialize */
    cancel_at("nap", 2, WEIR_TIMEOUT, true);
    cancel_at("nap_error", 2, WEIR_CANCELLED, true);
}

TEST(guest, a_parked_guest_can_be_freed)
{
    test_guest t = test_guest_new(MODULE(SLEEP "(func (export \"nap\") (call $sleep))"), "");
    test_parks = true;
    guest_call(t.g, "nap", BYTES("x"));
    CHECK_INT(guest_step(t.g), RUN_PARKED);
    test_guest_free(&t);
    test_parks = false;
}

#define SPIN "(func (export \"spin\") (result i32) (loop $l (br $l)) (i32.const 0))"

static slice_verdict kill_it(guest *g)
{
    guest_cancel(g, WEIR_TIMEOUT, "stopped after 50 ms (call_ms)");
    return SLICE_KILL;
}

static slice_verdict just_kill_it(guest *g)
{
    (void)g;
    return SLICE_KILL;
}

static slice_verdict let_others_run(guest *g)
{
    (void)g;
    return SLICE_YIELD;
}

TEST(guest, an_endless_loop_is_stopped_with_the_reason_given)
{
    test_guest t = test_guest_new(MODULE(SPIN), "");
    test_slice = kill_it;
    expect(&t, "spin", WEIR_TIMEOUT, 134, "", "stopped after 50 ms (call_ms)");
    CHECK(guest_result(t.g)->needs_reset);
    test_guest_free(&t);
    t = test_guest_new(MODULE(SPIN), "");
    test_slice = just_kill_it;
    expect(&t, "spin", WEIR_TIMEOUT, 134, "", "spin was stopped: ");
    test_slice = NULL;
    test_guest_free(&t);
}

TEST(guest, an_endless_loop_yields_and_can_be_cancelled)
{
    test_guest t = test_guest_new(MODULE(SPIN), "");
    test_slice = let_others_run;
    guest_call(t.g, "spin", BYTES("x"));
    for (int i = 0; i < 3; i++)
        CHECK_INT(guest_step(t.g), RUN_YIELDED);
    guest_cancel(t.g, WEIR_CANCELLED, "the user asked");
    CHECK_INT(guest_result(t.g)->code, WEIR_CANCELLED);
    CHECK_TEXT(guest_result(t.g)->why, "the user asked");
    test_slice = NULL;
    test_guest_free(&t);
}

/* ---- What the guest said ---- */

/* iovec at 0: text at 32, its length given. */
#define SAY(len) "(i32.store (i32.const 0) (i32.const 32)) (i32.store (i32.const 4) (i32.const " len ")) (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))"

TEST(guest, a_panic_on_stderr_explains_the_trap)
{
    test_guest t = test_guest_new(MODULE(
                                      "(data (i32.const 32) \"panic: boom\\n\\ngoroutine 1 [running]:\\nmain.go:12\\n\")"
                                      "(func (export \"die\") " SAY("45") " unreachable)"
                                                                          "(func (export \"leave\") " SAY("45") " (call $exit (i32.const 2)))"
                                                                                                                "(func (export \"quiet\") unreachable)"),
                                  "");
    expect(&t, "die", WEIR_TRAPPED, 134, "", "; it said 'panic: boom'");
    CHECK_HAS(test_log_text(), "warn stderr: goroutine 1 [running]:\n");
    expect(&t, "leave", WEIR_FAILED, 2, "", "leave left with exit code 2; it said 'panic: boom'");
    CHECK(strstr(run(&t, "quiet")->why, "boom") == NULL);
    test_guest_free(&t);
}

/* ---- Nested calls ---- */

static const char *nested_name;
static bool nested_ok;
static int32_t nested_rc;
static buf nested_out;
static weir_error nested_err;

static trap *import_nest(void *env, void *self, value *v)
{
    (void)env, (void)v;
    buf_clear(&nested_out);
    nested_err.text[0] = '\0';
    nested_ok = guest_call_nested(self, nested_name, BYTES("nested input"), &nested_rc, &nested_out, &nested_err);
    return NULL;
}

static void bind_nest(const module_extern *import, binding *out)
{
    if (bytes_is(import->name, "nest"))
        *out = (binding){.fn = import_nest, .type = "()"};
}

TEST(guest, a_nested_call_leaves_the_outer_one_as_it_was)
{
    test_more_imports = bind_nest;
    nested_out.max = 1 << 20;
    /* the outer sets its output, nests, and answers whether its input is still there */
    test_guest t = test_guest_new(
        "(module (import \"env\" \"nest\" (func $nest))"
        " (import \"extism:host/env\" \"input_offset\" (func $input (result i64)))"
        " (import \"extism:host/env\" \"input_length\" (func $length (result i64)))"
        " (import \"extism:host/env\" \"output_set\" (func $output (param i64 i64)))"
        " (import \"extism:host/env\" \"error_set\" (func $error (param i64)))"
        " (func (export \"outer\") (result i32) (call $output (call $input) (i64.const 2)) (call $nest) (i32.wrap_i64 (i64.sub (call $length) (i64.const 5))))"
        " (func (export \"echo\") (result i32) (call $output (call $input) (call $length)) (i32.const 0))"
        " (func (export \"three\") (result i32) (call $output (call $input) (i64.const 6)) (i32.const 3))"
        " (func (export \"error\") (result i32) (call $error (call $input)) (i32.const 0))"
        " (func (export \"trap\") (result i32) unreachable))",
        "");
    static const struct {
        const char *name, *out, *error;
        bool ok;
        int32_t rc;
    } rows[] = {
        {"echo", "nested input", "", true, 0},
        {"three", "nested", "", true, 3},
        {"error", "nested input", "", true, -1},
        {"trap", "", "trap: ", false, 0},
        {"absent", "", "Function not found: absent", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nested_name = rows[i].name;
        nested_rc = 0;
        const call_result *r = run(&t, "outer");
        CHECK_INT(r->code, WEIR_OK);
        CHECK_BYTES(r->output, BYTES("in"));
        CHECK(nested_ok == rows[i].ok);
        CHECK_INT(nested_rc, rows[i].rc);
        CHECK_BYTES(buf_bytes(&nested_out), bytes_of(rows[i].out));
        CHECK_HAS(nested_err.text, rows[i].error);
        CHECK_UINT(kernel_block_count(t.g->kernel), 1); /* the outer input alone */
    }
    buf_fini(&nested_out);
    test_more_imports = NULL;
    test_guest_free(&t);
}

/* ---- Long calls ---- */

static trap *import_exchange(void *env, void *self, value *v)
{
    (void)env;
    guest *g = self;
    char answer[300];
    uint64_t request = v[0].u64;
    bytes text;
    if (!guest_block(g, request, &text))
        return guest_trap(g, "exchange: no block at %llu", (unsigned long long)request);
    memset(answer, 'a' + text.at[0] % 20, sizeof answer);
    kernel_request_done(g->kernel, request);
    return guest_reply(g, bytes_make(answer, sizeof answer), v);
}

static trap *import_cancel(void *env, void *self, value *v)
{
    (void)env, (void)v;
    guest_cancel(self, WEIR_CANCELLED, "it asked for it");
    return NULL;
}

static void bind_exchange(const module_extern *import, binding *out)
{
    if (bytes_is(import->name, "exchange"))
        *out = (binding){.fn = import_exchange, .type = "I(I)"};
    if (bytes_is(import->name, "cancel"))
        *out = (binding){.fn = import_cancel, .type = "()"};
}

TEST(guest, a_call_of_many_messages_stays_small)
{
    test_more_imports = bind_exchange;
    /* for each message: a request of 100 octets, the reply's length, the request freed now and then */
    test_guest t = test_guest_new(
        "(module (import \"env\" \"exchange\" (func $exchange (param i64) (result i64)))"
        " (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
        " (import \"extism:host/env\" \"free\" (func $free (param i64)))"
        " (import \"extism:host/env\" \"length\" (func $length (param i64) (result i64)))"
        " (func (export \"stream\") (result i32) (local $i i32) (local $q i64) (local $r i64)"
        "  (loop $next"
        "   (local.set $q (call $alloc (i64.const 100)))"
        "   (local.set $r (call $exchange (local.get $q)))"
        "   (if (i32.and (local.get $i) (i32.const 1)) (then (call $free (local.get $q)) (call $free (local.get $q))))"
        "   (if (i64.ne (call $length (local.get $r)) (i64.const 300)) (then (return (i32.const 1))))"
        "   (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200000))))"
        "  (i32.const 0)))",
        "");
    expect(&t, "stream", WEIR_OK, 0, "", "");
    CHECK_UINT(kernel_size(t.g->kernel), 16 * 65536);
    CHECK(kernel_used(t.g->kernel) < 10000);
    test_more_imports = NULL;
    test_guest_free(&t);
}

TEST(guest, a_call_cancelled_from_inside_ends_at_its_next_wait)
{
    test_more_imports = bind_exchange;
    test_guest t = test_guest_new(
        "(module (import \"env\" \"cancel\" (func $cancel))"
        " (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $poll (param i32 i32 i32 i32) (result i32)))"
        " (memory (export \"memory\") 1)" SLEEP
        " (func (export \"nap\") (call $cancel) (call $sleep)))",
        "");
    test_parks = true;
    guest_call(t.g, "nap", BYTES(""));
    CHECK_INT(guest_step(t.g), RUN_DONE);
    CHECK_INT(guest_result(t.g)->code, WEIR_CANCELLED);
    CHECK_TEXT(guest_result(t.g)->why, "it asked for it");
    test_parks = false;
    test_more_imports = NULL;
    test_guest_free(&t);
}

/* ---- Cost, faults ---- */

TEST(guest, a_call_allocates_nothing)
{
    test_guest t = test_guest_new(MODULE("(func (export \"zero\") (result i32) (i32.const 0))"), "");
    run(&t, "zero");
    uint64_t before = fault_allocations();
    for (int i = 0; i < 1000; i++)
        CHECK_INT(run(&t, "zero")->code, WEIR_OK);
    CHECK_UINT(fault_allocations(), before);
    test_guest_free(&t);
}

TEST(guest, many_names_are_looked_up_right)
{
    char name[100];
    buf wat;
    buf_init(&wat, 1 << 20);
    buf_add_text(&wat, "(module");
    for (int i = 0; i < 50; i++)
        buf_add_fmt(&wat, "(func (export \"f%0*d\") (result i32) (i32.const %d))", i % 2 ? 90 : 3, i, i);
    buf_add_text(&wat, ")");
    buf_add_char(&wat, '\0');
    test_guest t = test_guest_new(wat.at, "");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof name, "f%0*d", i % 2 ? 90 : 3, i);
            CHECK_INT(run(&t, name)->rc, i);
        }
    buf_fini(&wat);
    test_guest_free(&t);
}

TEST(guest, guest_new_survives_any_failed_allocation)
{
    static const char *const env[] = {"A=1", NULL};
    test_guest t = test_guest_new("(module (memory 1))", "\"allowed_paths\":{\"/tmp\":\"/t\"}");
    FAULT_SWEEP(alloc) {
        ERR;
        guest *g = NULL;
        guest_options options = {.manifest = t.manifest, .ops = &test_ops, .name = "swept", .env = env};
        if (guest_new(&g, t.linked, &options, &err)) {
            CHECK(err.code == WEIR_NOMEM || err.code == WEIR_LIMIT);
            CHECK(g == NULL);
            CHECK_HAS(err.text, "swept");
        }
        guest_free(g);
    }
    test_guest_free(&t);
}
