/* The public API: whatever fails, an error, no leak, still usable; callbacks that free; hosts side by
 * side; a foreign loop. Guests from tests/plugins. */
#include <weir/weir.h>

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

static const char *guest(const char *name)
{
    static _Thread_local char path[4096];
    const char *folder = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "build/guests", name);
    return path;
}

static weir_host *host_new(void)
{
    ERR;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h = NULL;
    o.cache_dir = "";
    o.max_instances = 40;
    CHECK_OK(weir_host_new(&h, &o, &err));
    return h;
}

static weir_plugin *load(weir_host *h, const char *name, const char *config)
{
    ERR;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    o.config_json = config;
    CHECK_OK(weir_plugin_load(&p, h, guest(name), &o, &err));
    return p;
}

static weir_plugin *load_text(weir_host *h, const char *wat)
{
    ERR;
    weir_plugin *p = NULL;
    CHECK_OK(weir_plugin_load_bytes(&p, h, "text", wat, strlen(wat), NULL, &err));
    return p;
}

/* ---- Failed allocations ---- */

TEST(host, new_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        ERR;
        weir_host *h = NULL;
        weir_host_options o = WEIR_HOST_OPTIONS_INIT;
        const char *overrides[] = {"https://api.woox.io=https://127.0.0.1:1", NULL};
        o.cache_dir = "/tmp/weir-no-such-cache";
        o.overrides = overrides;
        o.max_instances = 4;
        if (weir_host_new(&h, &o, &err))
            CHECK(err.code != WEIR_OK && *err.text);
        weir_host_free(h);
    }
}

TEST(host, load_survives_any_failed_allocation)
{
    weir_host *h = host_new();
    weir_plugin *first = load(h, "ask.wasm", NULL); /* compiled once */
    FAULT_SWEEP(alloc) {
        ERR;
        weir_plugin *p = NULL;
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        const char *allow[] = {"wss://wss.woox.io/v3/*", NULL};
        o.config_json = "{\"api_key\":\"k\",\"n\":5}";
        o.allow = allow;
        if (weir_plugin_load(&p, h, guest("ask.wasm"), &o, &err))
            CHECK(err.code != WEIR_OK && *err.text);
        weir_plugin_free(p);
    }
    CHECK_TEXT(weir_plugin_id(first), "ask");
    weir_host_free(h);
}

TEST(host, what_hangs_from_it_survives_any_failed_allocation)
{
    weir_host *h = host_new();
    weir_plugin *p = load(h, "streams.wasm", NULL);
    FAULT_SWEEP(alloc) {
        ERR;
        weir_stream *s = NULL;
        weir_sub *sub = NULL;
        weir_sink *sink = NULL;
        if (weir_stream_open(&s, p, "raw", "x", "{\"a\":\"b\"}", &err) ||
            weir_subscribe(&sub, h, "raw.>", NULL, NULL, &err) ||
            weir_sink_open(&sink, h, "ndjson:/dev/null", ">", NULL, NULL, &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        weir_sink_free(sink);
        weir_sub_free(sub);
        weir_stream_free(s);
    }
    weir_host_free(h);
}

static bool answer(void *arg, weir_guest *g, weir_value *v)
{
    const char *at;
    size_t len;
    ++*(int *)arg;
    if (!weir_guest_block(g, v[0].u64, &at, &len)) {
        weir_guest_fail(g, "that is no block");
        return false;
    }
    v[0].u64 = weir_guest_alloc(g, at, len);
    return true;
}

TEST(host, define_and_inspect_survive_any_failed_allocation)
{
    int calls = 0;
    weir_host *h = host_new();
    load(h, "ask.wasm", NULL);
    FAULT_SWEEP(alloc) {
        ERR;
        char *json = NULL;
        if (weir_host_define(h, "app", "f", "I(I)", answer, &calls, &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        else if (weir_inspect(&json, h, guest("ask.wasm"), &err))
            CHECK(err.code != WEIR_OK);
        free(json);
    }
    weir_host_free(h);
}

/* ---- What is refused ---- */

TEST(host, options_that_make_no_sense_are_refused)
{
    ERR;
    weir_host *h = NULL;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    const char *overrides[] = {"nonsense", NULL};
    o.overrides = overrides;
    CHECK(weir_host_new(&h, &o, &err) != WEIR_OK);
    CHECK_HAS(err.text, "nonsense");
    CHECK(weir_host_new(&h, &o, NULL) != WEIR_OK);
}

/* Before its meta has said what it wants, a plugin reaches nothing: its meta is asked without a network. */
TEST(plugin, reaches_nothing_while_its_meta_is_asked)
{
    ERR;
    weir_host *h = host_new();
    weir_plugin *p = NULL;
    const char *wat =
        "(module (import \"env\" \"ws_connect\" (func $w (param i64) (result i64)))"
        "(import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
        "(import \"extism:host/env\" \"error_set\" (func $err (param i64)))"
        "(import \"extism:host/env\" \"store_u8\" (func $put (param i64 i32)))"
        "(memory (export \"memory\") 1) (data (i32.const 0) \"{\\22url\\22:\\22ws://192.0.2.1:81/\\22}\")"
        "(func (export \"meta\") (result i32) (local $o i64) (local $i i32) (local.set $o (call $alloc (i64.const 28)))"
        "(loop $l (call $put (i64.add (local.get $o) (i64.extend_i32_u (local.get $i))) (i32.load8_u (local.get $i)))"
        "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 28))))"
        "(call $err (call $w (local.get $o))) (i32.const 1)))";
    CHECK_INT(weir_plugin_load_bytes(&p, h, "text", wat, strlen(wat), NULL, &err), WEIR_FAILED);
    CHECK_HAS(err.text, "\"success\":false");
    CHECK_HAS(err.text, "allow nothing");
    weir_host_free(h);
}

TEST(plugin, inspect_explains_a_file_that_is_no_module_also_without_an_error_to_fill)
{
    ERR;
    weir_host *h = host_new();
    char *json = NULL;
    CHECK_OK(weir_inspect(&json, h, guest("text.wasm"), NULL));
    CHECK_HAS(json, "\"level\":\"error\"");
    free(json);
    CHECK_OK(weir_inspect(&json, h, guest("truncated.wasm"), NULL));
    CHECK_HAS(json, "\"level\":\"error\"");
    free(json);
    char path[] = "/tmp/weir-host-test-XXXXXX"; /* a manifest that is wrong */
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "{\"wasm\":7}", 10) == 10);
    close(fd);
    CHECK_OK(weir_inspect(&json, h, path, NULL));
    unlink(path);
    CHECK_HAS(json, "\"level\":\"error\"");
    free(json);
    CHECK_INT(weir_inspect(&json, h, guest("nothing-of-this-name.wasm"), NULL), WEIR_NOT_FOUND);
    CHECK_OK(weir_inspect(&json, h, guest("ask.wasm"), &err));
    CHECK_HAS(json, "\"findings\":[]");
    free(json);
    weir_host_free(h);
}

TEST(stream, open_refuses_what_cannot_stream)
{
    ERR;
    weir_host *h = host_new();
    weir_stream *s = NULL;
    weir_plugin *woox = load(h, "woox.wasm", NULL);
    CHECK_INT(weir_stream_open(&s, woox, NULL, "SPOT_BTC_USDT", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "its type is missing");
    CHECK_INT(weir_stream_open(&s, woox, "trades", NULL, NULL, &err), WEIR_INVALID);
    CHECK_INT(weir_stream_open(&s, load(h, "ask.wasm", NULL), "raw", "x", NULL, &err), WEIR_UNSUPPORTED);
    weir_plugin *p = load(h, "streams.wasm", NULL);
    CHECK_INT(weir_stream_open(&s, p, "raw", "x", "[1]", &err), WEIR_INVALID);
    CHECK_INT(weir_stream_open(&s, p, "raw", "x", "{\"a\":{}}", &err), WEIR_INVALID);
    CHECK_INT(weir_stream_open(&s, p, "raw", "x", "{", &err), WEIR_INVALID);
    CHECK_INT(weir_stream_open(&s, p, "", "x", NULL, &err), WEIR_INVALID);
    weir_host_free(h);
}

/* ---- Configuration ---- */

#define CONFIGURED                                                                                                          \
    "(module (import \"extism:host/env\" \"input_offset\" (func $in (result i64)))"                                         \
    "(import \"extism:host/env\" \"length\" (func $len (param i64) (result i64)))"                                          \
    "(import \"extism:host/env\" \"error_set\" (func $err (param i64)))"                                                    \
    "(memory (export \"memory\") 1) (func (export \"plugin_configure\") (result i32) (call $err (call $in)) (i32.const 1))" \
    "(func (export \"f\") (result i32) (i32.const 0)))"

TEST(config, reaches_plugin_configure_with_twins_of_snake_case_names)
{
    static const char *const cases[][2] = {
        {"{\"api_key\":\"k\"}", "{\"api_key\":\"k\",\"apiKey\":\"k\"}"},
        {"{\"api_key\":\"k\",\"apiKey\":\"other\"}", "{\"api_key\":\"k\",\"apiKey\":\"other\"}"},
        {"{\"_x\":1,\"y_\":true,\"z\":null,\"a__b\":\"q\\\"\"}", "{\"_x\":\"1\",\"y_\":\"true\",\"a__b\":\"q\\\"\",\"a_b\":\"q\\\"\"}"},
        {"{}", "{}"},
    };
    weir_host *h = host_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ERR;
        weir_plugin *p = NULL;
        const weir_result *r = NULL;
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        o.config_json = cases[i][0];
        CHECK_OK(weir_plugin_load_bytes(&p, h, "text", CONFIGURED, strlen(CONFIGURED), &o, &err));
        CHECK_INT(weir_plugin_call_wait(p, "f", NULL, 0, &r, &err), WEIR_FAILED);
        CHECK_TEXT(r->error, cases[i][1]);
    }
    weir_host_free(h);
}

TEST(config, refuses_what_is_no_object_of_plain_values)
{
    static const char *const bad[] = {"{", "[]", "7", "{\"a\":{}}", "{\"a\":[1]}", "{\"a\":\"\\u0000\"}"};
    weir_host *h = host_new();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ERR;
        weir_plugin *p = NULL;
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        o.config_json = bad[i];
        CHECK_INT(weir_plugin_load_bytes(&p, h, "text", CONFIGURED, strlen(CONFIGURED), &o, &err), WEIR_INVALID);
        CHECK_HAS(err.text, "configuration");
    }
    weir_host_free(h);
}

/* ---- The program's own functions ---- */

#define CUSTOM                                                                                                             \
    "(module (import \"app\" \"f\" (func $f (param i64) (result i64)))"                                                    \
    "(import \"extism:host/env\" \"input_offset\" (func $in (result i64)))"                                                \
    "(import \"extism:host/env\" \"length\" (func $len (param i64) (result i64)))"                                         \
    "(import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"                                              \
    "(memory (export \"memory\") 1) (func (export \"go\") (result i32) (local $o i64) (local.set $o (call $f (call $in)))" \
    "(call $out (local.get $o) (call $len (local.get $o))) (i32.const 0)))"

TEST(functions, of_the_program_read_and_give_blocks_and_can_fail)
{
    ERR;
    int calls = 0;
    const weir_result *r;
    weir_host *h = host_new();
    CHECK_OK(weir_host_define(h, "app", "f", "I(I)", answer, &calls, &err));
    weir_plugin *p = load_text(h, CUSTOM);
    CHECK_OK(weir_plugin_call_wait(p, "go", "hello", 5, &r, &err));
    CHECK_TEXT(r->output, "hello");
    CHECK_INT(weir_plugin_call_wait(p, "go", "", 0, &r, &err), WEIR_TRAPPED);
    CHECK_HAS(r->error, "that is no block");
    CHECK_INT(calls, 2);
    weir_host_free(h);
}

TEST(functions, need_a_name_and_a_type_that_exists)
{
    static const char *const types[] = {"", "I", "II(I)", "I(I", "I(x)", "I(I)I", NULL};
    ERR;
    int calls;
    weir_host *h = host_new();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        CHECK_INT(weir_host_define(h, "app", "f", types[i], answer, &calls, &err), WEIR_INVALID);
    CHECK_INT(weir_host_define(h, "", "f", "I(I)", answer, &calls, &err), WEIR_INVALID);
    CHECK_INT(weir_host_define(h, "app", NULL, "I(I)", answer, &calls, &err), WEIR_INVALID);
    CHECK_INT(weir_host_define(h, "app", "f", "I(I)", NULL, NULL, &err), WEIR_INVALID);
    weir_host_free(h);
}

/* ---- Callbacks that free ---- */

typedef struct freer {
    weir_host *host;
    weir_plugin *plugin;
    int called;
} freer;

static void free_plugin(void *arg, const weir_result *r)
{
    freer *f = arg;
    (void)r;
    f->called++;
    weir_plugin_free(f->plugin);
}

TEST(plugin, may_be_freed_when_its_call_is_done)
{
    ERR;
    freer f = {.host = host_new()};
    f.plugin = load(f.host, "ask.wasm", NULL);
    CHECK_OK(weir_plugin_call(f.plugin, "time_now", "{}", 2, free_plugin, &f, &err));
    CHECK_OK(weir_plugin_call(f.plugin, "sleep_ms", "100000", 6, free_plugin, &f, &err));
    while (!f.called)
        weir_host_step(f.host, -1);
    weir_host_step(f.host, 0);
    CHECK_INT(f.called, 1);
    weir_host_free(f.host);
}

static void tick_frees(void *arg)
{
    freer *f = arg;
    if (!f->called++)
        weir_plugin_free(f->plugin);
}

TEST(plugin, may_be_freed_while_somebody_waits_for_its_call)
{
    ERR;
    const weir_result *r;
    freer f = {.host = host_new()};
    f.plugin = load(f.host, "ask.wasm", NULL);
    weir_host_tick(f.host, 1, tick_frees, &f);
    CHECK_INT(weir_plugin_call_wait(f.plugin, "sleep_ms", "100000", 6, &r, &err), WEIR_CANCELLED);
    weir_host_free(f.host);
}

static void stream_frees(void *arg, weir_stream *s, weir_stream_state state)
{
    freer *f = arg;
    (void)s;
    (void)state;
    if (!f->called++)
        weir_plugin_free(f->plugin);
}

TEST(plugin, may_be_freed_by_its_own_streams_first_state)
{
    ERR;
    weir_stream *s;
    freer f = {.host = host_new()};
    f.plugin = load(f.host, "streams.wasm", NULL);
    CHECK_OK(weir_stream_open(&s, f.plugin, "raw", "x", NULL, &err));
    weir_stream_on_state(s, stream_frees, &f);
    while (!f.called)
        weir_host_step(f.host, -1);
    weir_host_step(f.host, 0);
    weir_host_free(f.host);
}

static void sub_frees(void *arg, const weir_record *r)
{
    weir_sub **sub = arg;
    CHECK(r->json_len > 0);
    weir_sub_free(*sub);
    *sub = NULL;
}

TEST(sub, may_be_freed_by_its_own_callback)
{
    ERR;
    weir_stream *s;
    weir_sub *sub = NULL;
    weir_host *h = host_new();
    CHECK_OK(weir_subscribe(&sub, h, ">", sub_frees, &sub, &err));
    CHECK_OK(weir_stream_open(&s, load(h, "streams.wasm", NULL), "raw", "x", "{\"behaviour\":\"refuse\"}", &err));
    while (sub)
        weir_host_step(h, -1);
    CHECK(weir_host_account_check(h, &err));
    weir_host_free(h);
}

static void sink_frees(void *arg, const weir_error *why)
{
    weir_sink **sink = arg;
    CHECK(why->code != WEIR_OK);
    weir_sink_free(*sink);
    *sink = NULL;
}

TEST(sink, may_be_freed_by_its_own_end)
{
    ERR;
    weir_stream *s;
    weir_sink *sink = NULL;
    weir_host *h = host_new();
    CHECK_OK(weir_sink_open(&sink, h, "ndjson:/dev/full", ">", sink_frees, &sink, &err));
    CHECK_OK(weir_stream_open(&s, load(h, "streams.wasm", NULL), "raw", "x", "{\"behaviour\":\"refuse\"}", &err));
    for (int i = 0; sink && i < 1000; i++)
        weir_host_step(h, 10);
    CHECK(sink == NULL);
    weir_host_free(h);
}

static void note_state(void *arg, weir_sink *sink, weir_sink_state state)
{
    CHECK_INT(weir_sink_get_state(sink), state);
    *(int *)arg = state;
}

TEST(sink, has_an_account_and_a_state_with_its_reason)
{
    ERR;
    weir_stream *s;
    weir_sink *fine = NULL, *full = NULL;
    weir_sink_account a;
    int told = -1;
    weir_host *h = host_new();
    CHECK_OK(weir_sink_open(&fine, h, "ndjson:/dev/null", ">", NULL, NULL, &err));
    CHECK_OK(weir_sink_open(&full, h, "ndjson:/dev/full", ">", NULL, NULL, &err));
    weir_sink_on_state(full, note_state, &told);
    CHECK_TEXT(weir_sink_why(full), "");
    CHECK_INT(weir_sink_get_state(full), WEIR_SINK_OPEN);
    CHECK_OK(weir_stream_open(&s, load(h, "streams.wasm", NULL), "raw", "x", "{\"behaviour\":\"refuse\"}", &err));
    for (int i = 0; told < 0 && i < 1000; i++)
        weir_host_step(h, 10);
    CHECK_INT(told, WEIR_SINK_FAILED);
    CHECK_HAS(weir_sink_why(full), "No space left on device");
    CHECK(weir_sink_idle(full)); /* nothing can go out any more */
    weir_sink_get_account(full, &a);
    CHECK(a.lost > 0);
    CHECK_UINT(a.accepted, a.written + a.buffered + a.lost);
    CHECK_UINT(a.offered, a.delivered + a.dropped + a.queued);
    while (!weir_sink_idle(fine))
        weir_host_step(h, 10);
    weir_sink_get_account(fine, &a);
    CHECK(a.written > 0 && a.written == a.accepted && a.delivered == a.accepted);
    CHECK_UINT(a.offered, a.delivered);
    CHECK(a.octets > a.written * 20);
    CHECK_UINT(a.lag_ns, 0);
    CHECK_INT(weir_sink_get_state(fine), WEIR_SINK_OPEN);
    weir_host_free(h);
}

TEST(sink, spec_is_shown_without_its_secrets)
{
    char shown[40];
    weir_sink_mask(shown, sizeof shown, "redis://u:hunter2@h/1");
    CHECK_TEXT(shown, "redis://u:***@h/1");
}

/* ---- Loops ---- */

static void stop(void *arg)
{
    weir_host_stop(arg);
}

TEST(host, runs_until_it_is_stopped)
{
    weir_host *h = host_new();
    weir_host_tick(h, 1, stop, h);
    weir_host_run(h);
    weir_host_run(h);
    weir_host_tick(h, 0, NULL, NULL);
    weir_host_free(h);
}

static void count(void *arg, const weir_result *r)
{
    CHECK_INT(r->code, WEIR_OK);
    ++*(int *)arg;
}

TEST(host, lives_in_a_foreign_epoll)
{
    ERR;
    int done = 0, poll = epoll_create1(0);
    weir_host *h = host_new();
    weir_plugin *p = load(h, "ask.wasm", NULL);
    struct epoll_event e = {.events = EPOLLIN};
    CHECK_INT(epoll_ctl(poll, EPOLL_CTL_ADD, weir_host_fd(h), &e), 0);
    CHECK_OK(weir_plugin_call(p, "sleep_ms", "5", 1, count, &done, &err));
    CHECK_OK(weir_plugin_call(p, "time_now", "{}", 2, count, &done, &err));
    while (done < 2) {
        CHECK(epoll_wait(poll, &e, 1, weir_host_timeout(h)) >= 0);
        weir_host_step(h, 0);
    }
    CHECK(weir_host_timeout(h) == -1);
    close(poll);
    weir_host_free(h);
}

/* ---- Threads ---- */

static void *one_host(void *arg)
{
    int *bad = arg;
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h;
    o.cache_dir = "";
    o.max_instances = 40;
    for (int i = 0; i < 3; i++) {
        weir_plugin *p = NULL;
        const weir_result *r;
        if (weir_host_new(&h, &o, &err))
            break;
        for (int k = 0; k < 5; k++)
            *bad += weir_plugin_load(&p, h, guest("unknown_import.wat"), NULL, &err) != WEIR_OK ||
                    weir_plugin_load(&p, h, guest("ask.wasm"), NULL, &err) != WEIR_OK ||
                    weir_plugin_call_wait(p, "time_now", "{}", 2, &r, &err) != WEIR_OK || r->output_len != 32;
        weir_host_free(h);
    }
    *bad += err.code != WEIR_OK;
    return NULL;
}

TEST(host, may_be_many_each_on_its_thread_sharing_modules)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int bad[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, one_host, &bad[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(bad[i], 0);
}
