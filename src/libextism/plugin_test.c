/* Plugins through Extism's C interface: making them when memory fails, host functions, threads, several modules. What has an
 * answer of upstream's to compare with is in tests/extism; here is what has none. */
#include <pthread.h>
#include <sched.h>

#include "libextism/testing.h"

#define HOST "(import \"extism:host/user\" \"host\" (func $host (param i64) (result i64)))"
#define CALLS_HOST "(func (export \"go\") (result i32) (i32.wrap_i64 (call $host (call $input))))"

static ExtismPlugin *with_host(const char *text, ExtismFunctionType call, void *data)
{
    static const ExtismValType i64[] = {EXTISM_PTR};
    char *why = NULL;
    ExtismFunction *f = extism_function_new("host", i64, 1, i64, 1, call, data, NULL);
    const ExtismFunction *list[] = {f};
    ExtismPlugin *p = f ? extism_plugin_new((const uint8_t *)text, strlen(text), list, 1, true, &why) : NULL;
    extism_function_free(f);
    extism_plugin_new_error_free(why);
    return p;
}

static void seven(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    (void)plugin, (void)in, (void)n_in, (void)n_out, (void)data;
    out[0].v.i64 = 7;
}

TEST(plugin, is_made_or_refused_when_any_allocation_fails)
{
    static const char text[] = "(module " IMPORTS HOST "(memory (export \"memory\") 1)" ECHO CALLS_HOST ")";
    static const char linked[] = "{\"wasm\":[{\"data\":\"KG1vZHVsZSAoZnVuYyAoZXhwb3J0ICJmIikpKQ==\",\"name\":\"a\"},"
                                 "{\"data\":\"KG1vZHVsZSAoaW1wb3J0ICJhIiAiZiIgKGZ1bmMpKSk=\"}],"
                                 "\"config\":{\"a\":\"b\"},\"allowed_hosts\":[\"x\"],\"allowed_paths\":{\"/tmp\":\"/t\"}}";
    int made = 0;
    setenv("EXTISM_CACHE_CONFIG", "", 1);
    extism_plugin_free(plugin_of(linked)); /* the engine is there from now on */
    FAULT_SWEEP(alloc) {
        ExtismPlugin *p = with_host(text, seven, NULL);
        if (p && call_of(p, "go", "in") == 7)
            made++;
        extism_plugin_free(p);
    }
    CHECK(made > 0);
    made = 0;
    FAULT_SWEEP(alloc) {
        char *why = NULL;
        ExtismPlugin *p = extism_plugin_new((const uint8_t *)linked, strlen(linked), NULL, 0, true, &why);
        made += p != NULL;
        extism_plugin_free(p);
        extism_plugin_new_error_free(why);
    }
    CHECK(made > 0);
}

static void fails(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    (void)in, (void)n_in, (void)out, (void)n_out, (void)data;
    extism_weir_fail(plugin, "first");
    extism_weir_fail(plugin, "no such symbol");
}

TEST(plugin, host_functions_can_fail_with_a_text)
{
    ExtismPlugin *p = with_host("(module " IMPORTS HOST CALLS_HOST ECHO ")", fails, NULL);
    CHECK_INT(call_of(p, "go", "in"), -1);
    CHECK_HAS(extism_plugin_error(p), "Caused by:\n    no such symbol");
    CHECK_INT(call_of(p, "echo", "in"), 0);
    CHECK(extism_plugin_error(p) == NULL);
    extism_plugin_free(p);
}

static void again(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    (void)plugin, (void)in, (void)n_in, (void)n_out;
    ExtismPlugin **self = data;
    out[0].v.i64 = call_of(*self, "echo", "x");
    CHECK_TEXT(extism_plugin_error(*self), "cannot make reentrant calls into plugin");
}

TEST(plugin, called_from_its_own_host_function_refuses)
{
    ExtismPlugin *p = NULL;
    p = with_host("(module " IMPORTS HOST CALLS_HOST ECHO ")", again, &p);
    CHECK_INT(call_of(p, "go", "in"), -1);
    CHECK(extism_plugin_error(p) == NULL);
    extism_plugin_free(p);
}

static void other(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    (void)plugin, (void)in, (void)n_in, (void)n_out;
    CHECK_INT(call_of(data, "echo", "inner"), 0);
    CHECK_TEXT(output_of(data), "inner");
    out[0].v.i64 = 5;
}

TEST(plugin, host_functions_may_call_another_plugin)
{
    ExtismPlugin *inner = plugin_of("(module " IMPORTS ECHO ")");
    ExtismPlugin *p = with_host("(module " IMPORTS HOST CALLS_HOST ")", other, inner);
    CHECK_INT(call_of(p, "go", "in"), 5);
    extism_plugin_free(p);
    extism_plugin_free(inner);
}

/* ---- Threads ---- */

#define LOOPS                                                                                                      \
    "(module (global $n (mut i32) (i32.const 0)) (func (export \"spin\") (loop $l (br $l)))"                       \
    "(func (export \"count\") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.const 0))" \
    "(func (export \"n\") (result i32) (global.get $n)) (func (export \"long\") (local $i i32) (loop $l"           \
    " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000000))))))"

static void *call_thousand(void *arg)
{
    for (int i = 0; i < 1000; i++)
        CHECK_INT(call_of(arg, "count", ""), 0);
    return NULL;
}

TEST(plugin, takes_calls_from_any_thread_one_after_the_other)
{
    ExtismPlugin *p = plugin_of(LOOPS);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_thousand, p);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(call_of(p, "n", ""), 4000);
    extism_plugin_free(p);
}

static void *echo_in_turns(void *arg)
{
    for (int i = 0; i < 2000; i++)
        CHECK_INT(call_of(arg, "echo", i % 2 ? "four" : "sixsix"), 0);
    return NULL;
}

/* Never the 0 that stands there while a call runs. */
TEST(plugin, an_output_asked_for_by_another_thread_is_that_of_a_whole_call)
{
    ExtismPlugin *p = plugin_of("(module " IMPORTS ECHO ")");
    pthread_t thread;
    CHECK_UINT(extism_plugin_output_length(p), 0);
    CHECK(extism_plugin_output_data(p) != NULL);
    CHECK_INT(call_of(p, "echo", "four"), 0);
    pthread_create(&thread, NULL, echo_in_turns, p);
    for (int i = 0; i < 20000; i++) {
        uint64_t len = extism_plugin_output_length(p);
        CHECK(len == 4 || len == 6);
        CHECK(extism_plugin_output_data(p) != NULL);
    }
    pthread_join(thread, NULL);
    CHECK_TEXT(output_of(p), "four");
    extism_plugin_free(p);
}

static void *call_long(void *arg)
{
    static int rc;
    rc = call_of(arg, "long", "");
    return &rc;
}

static void *cancel_soon(void *arg)
{
    ExtismPlugin *p = arg;
    while (!atomic_load(&p->stop.running))
        sched_yield();
    extism_plugin_cancel(extism_plugin_cancel_handle(p));
    return NULL;
}

TEST(plugin, one_that_is_cancelled_does_not_stop_its_siblings)
{
    ExtismCompiledPlugin *c = extism_compiled_plugin_new((const uint8_t *)LOOPS, sizeof LOOPS - 1, NULL, 0, false, NULL);
    ExtismPlugin *a = extism_plugin_new_from_compiled(c, NULL), *b = extism_plugin_new_from_compiled(c, NULL);
    extism_compiled_plugin_free(c);
    pthread_t sibling, canceller;
    void *rc;
    pthread_create(&sibling, NULL, call_long, b);
    for (int i = 0; i < 3; i++) {
        pthread_create(&canceller, NULL, cancel_soon, a);
        CHECK_INT(call_of(a, "spin", ""), 134);
        CHECK_TEXT(extism_plugin_error(a), "timeout");
        pthread_join(canceller, NULL);
    }
    pthread_join(sibling, &rc);
    CHECK_INT(*(int *)rc, 0);
    CHECK_INT(call_of(a, "count", ""), 0);
    extism_plugin_free(a);
    extism_plugin_free(b);
}

/* ---- Manifests ---- */

TEST(plugin, reads_a_module_where_the_program_has_it)
{
    static const char text[] = "(module " IMPORTS ECHO ")";
    char manifest[256];
    snprintf(manifest, sizeof manifest, "{\"wasm\":[{\"data\":{\"ptr\":%llu,\"len\":%zu}}]}", (unsigned long long)(uintptr_t)text, sizeof text - 1);
    ExtismPlugin *p = plugin_of(manifest);
    CHECK_INT(call_of(p, "echo", "in"), 0);
    CHECK_TEXT(output_of(p), "in");
    extism_plugin_free(p);
    CHECK_HAS(refusal_of("{\"wasm\":[{\"data\":{\"ptr\":0,\"len\":5}}]}", false), "Unknown manifest format");
    CHECK_HAS(refusal_of("{\"wasm\":[{\"data\":{\"ptr\":5}}]}", false), "Unknown manifest format");
}

TEST(plugin, takes_a_hash_in_capitals)
{
    extism_plugin_free(plugin_of("{\"wasm\":[{\"data\":\"AGFzbQEAAAA=\",\"hash\":\"93A44BBB96C751218E4C00D479E4C14358122A389ACCA16205B1E4D0DC5F9476\"}]}"));
}

TEST(plugin, modules_that_import_in_a_circle_are_refused)
{
    /* each imports "f" from the other and exports it */
    CHECK_HAS(refusal_of("{\"wasm\":[{\"name\":\"a\",\"data\":\"KG1vZHVsZSAoaW1wb3J0ICJtYWluIiAiZiIgKGZ1bmMgJGYpKSAoZXhwb3J0ICJmIiAoZnVuYyAkZikpKQ==\"},"
                         "{\"name\":\"main\",\"data\":\"KG1vZHVsZSAoaW1wb3J0ICJhIiAiZiIgKGZ1bmMgJGYpKSAoZXhwb3J0ICJmIiAoZnVuYyAkZikpKQ==\"}]}",
                         false),
              "circle");
}

TEST(plugin, errors_go_on_behind_upstreams_first_line)
{
    CHECK_HAS(refusal_of("{\"wasm\":[],\"wasn\":1}", false), "Unable to compile Extism plugin: Unknown manifest format\n");
    CHECK_HAS(refusal_of("{\"wasm\":[],\"wasn\":1}", false), "\"wasn\"");
    CHECK_HAS(refusal_of("(module (import \"extism:host/env\" \"alloc\" (func (param i32) (result i64))))", false), "extism:host/env");
    CHECK_HAS(refusal_of("(module (func", false), "Unable to compile Extism plugin: ");
    CHECK_HAS(refusal_of("(module (func $f unreachable) (start $f))", false), "unreachable");
}

TEST(plugin, an_input_beyond_exchange_memory_is_refused)
{
    ExtismPlugin *p = plugin_of("(module " IMPORTS ECHO ")");
    uint8_t none = 0;
    CHECK_INT(extism_plugin_call(p, "echo", &none, UINT64_C(1) << 31), -1); /* refused before it is read */
    CHECK_HAS(extism_plugin_error(p), "failed to allocate extism memory");
    CHECK_INT(call_of(p, "echo", "small"), 0);
    extism_plugin_free(p);
}

TEST(plugin, an_input_of_a_hundred_megabytes_comes_back)
{
    ExtismPlugin *p = plugin_of("(module " IMPORTS ECHO ")");
    size_t size = (size_t)100 << 20;
    uint8_t *data = calloc(1, size);
    data[size - 1] = 9;
    CHECK_INT(extism_plugin_call(p, "echo", data, size), 0);
    CHECK_UINT(extism_plugin_output_length(p), size);
    CHECK_UINT(extism_plugin_output_data(p)[size - 1], 9);
    CHECK_INT(call_of(p, "echo", "small"), 0);
    CHECK_TEXT(output_of(p), "small");
    CHECK(extism_plugin_reset(p));
    free(data);
    extism_plugin_free(p);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
typedef struct statm {
    long pages, mappings; /* resident ones; of the process */
} statm;

static statm statm_now(void)
{
    statm s = {0, 0};
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%*d %ld", &s.pages) == 1);
    fclose(f);
    CHECK((f = fopen("/proc/self/maps", "r")) != NULL);
    for (int c; (c = getc(f)) != EOF;)
        s.mappings += c == '\n';
    fclose(f);
    return s;
}
#endif

TEST(plugin, a_thousand_live_at_once)
{
#if defined(__SANITIZE_THREAD__)
    test_skip("ThreadSanitizer leaves too little address space");
#endif
    static ExtismPlugin *many[1000];
    ExtismCompiledPlugin *c = extism_compiled_plugin_new((const uint8_t *)LOOPS, sizeof LOOPS - 1, NULL, 0, false, NULL);
    for (int i = 0; i < 1000; i++)
        CHECK((many[i] = extism_plugin_new_from_compiled(c, NULL)) != NULL);
    extism_compiled_plugin_free(c);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(call_of(many[i], "count", ""), 0);
    CHECK(memcmp(extism_plugin_id(many[0]), extism_plugin_id(many[1]), 16) != 0);
    CHECK_UINT(extism_plugin_id(many[0])[6] >> 4, 4);
    for (int i = 0; i < 1000; i++)
        extism_plugin_free(many[i]);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* What was reached, and shall stay so: docs/performance.md, "An instance". */
TEST(plugin, two_thousand_take_three_mappings_and_under_three_pages_each)
{
    enum { N = 2000 };
    static const char text[] = "(module " IMPORTS "(memory (export \"memory\") 34) (data (i32.const 1024) \"some data\")" ECHO ")";
    static ExtismPlugin *many[N];
    ExtismCompiledPlugin *c = extism_compiled_plugin_new((const uint8_t *)text, sizeof text - 1, NULL, 0, false, NULL);
    extism_plugin_free(extism_plugin_new_from_compiled(c, NULL)); /* what is made once for all */
    statm before = statm_now();
    for (int i = 0; i < N; i++) {
        CHECK((many[i] = extism_plugin_new_from_compiled(c, NULL)) != NULL);
        CHECK_INT(call_of(many[i], "echo", ""), 0);
    }
    statm now = statm_now();
    CHECK(now.mappings - before.mappings <= N * 3 + 100);
    CHECK(now.pages - before.pages <= N * 5 / 2);
    for (int i = 0; i < N; i++)
        extism_plugin_free(many[i]);
    extism_compiled_plugin_free(c);
}
#endif

TEST(plugin, null_is_answered_where_upstream_crashes)
{
    CHECK(!extism_plugin_reset(NULL));
    CHECK(!extism_plugin_cancel(NULL));
    CHECK(extism_plugin_new_from_compiled(NULL, NULL) == NULL);
    CHECK(extism_function_new(NULL, NULL, 0, NULL, 0, seven, NULL, NULL) == NULL);
    extism_plugin_allow_http_response_headers(NULL);
    extism_function_set_namespace(NULL, "x");
    extism_weir_fail(NULL, NULL);
}

TEST(plugin, log_files_that_cannot_be_opened_are_refused)
{
    CHECK(!extism_log_file("/no/such/folder/log", "debug"));
    CHECK(!extism_log_file("\xff", "debug"));
    CHECK(extism_log_file("/dev/null", "debug"));
    CHECK(!extism_log_custom("trace"));
}
