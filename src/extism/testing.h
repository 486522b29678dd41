/* testing.h: what the tests of this folder share: one engine, guests from module text, a world
 * whose time moves only when a guest waits, a log that can be read. */
#ifndef EXTISM_TESTING_H
#define EXTISM_TESTING_H

#include "base/clock.h"
#include "extism/guest_internal.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

/* ---- Time ---- */

static uint64_t test_mono = 1000 * NS_PER_S, test_real = 1700000000 * NS_PER_S;

static inline uint64_t test_clock_real(void)
{
    return test_real;
}

static inline uint64_t test_clock_mono(void)
{
    return test_mono;
}

/* ---- The world of a guest ---- */

static buf test_log; /* "level origin: text\n" */
static int test_waits;
static uint64_t test_waited_until;
static bool test_parks; /* wait by parking; otherwise time jumps to the deadline at once */

static inline wait_end test_wait(guest *g, uint64_t deadline)
{
    test_waits++;
    test_waited_until = deadline;
    if (test_parks) {
        g->cancelled = instance_park(g->inst);
        if (g->cancelled)
            return WAIT_CANCELLED;
    }
    if (deadline == UINT64_MAX)
        return WAIT_WOKEN;
    if (test_mono < deadline) {
        test_real += deadline - test_mono;
        test_mono = deadline;
    }
    return WAIT_TIMEOUT;
}

static inline void test_log_line(guest *g, log_level level, const char *origin, bytes text)
{
    (void)g;
    buf_add_fmt(&test_log, "%s %s: ", log_level_name(level), origin);
    buf_add_bytes(&test_log, text);
    buf_add_char(&test_log, '\n');
}

static inline const char *test_log_text(void)
{
    buf_add_char(&test_log, '\0');
    return test_log.at;
}

static guest_ops test_ops = {.wait = test_wait, .log = test_log_line};

/* ---- Guests ---- */

static engine *test_engine;
static slice_verdict (*test_slice)(guest *g); /* asked at each tick; NULL: go on */

static inline slice_verdict test_on_slice(void *g)
{
    return test_slice ? test_slice(g) : SLICE_CONTINUE;
}

static inline void test_engine_free(void)
{
    engine_free(test_engine);
    buf_fini(&test_log);
}

static inline engine *test_the_engine(void)
{
    ERR;
    engine_options options = {.no_pool = true, .max_instances = 100, .tick_ms = 1, .on_slice = test_on_slice};
    if (!test_engine) {
        CHECK_OK(engine_new(&test_engine, &options, &err));
        atexit(test_engine_free);
        clock_replace(test_clock_real, test_clock_mono);
    }
    return test_engine;
}

static inline void test_bind(void *arg, const module_extern *import, binding *out)
{
    void (*more)(const module_extern *import, binding *out) = arg ? *(void (**)(const module_extern *, binding *))arg : NULL;
    if (!guest_bind(import, out) && more)
        more(import, out);
}

static void (*test_more_imports)(const module_extern *import, binding *out);

/* A guest with the manifest given as JSON members after "wasm", such as "\"config\":{}"; freed by
 * test_guest_free. */
typedef struct test_guest {
    guest *g;
    manifest *manifest;
    linked *linked;
    module *module;
} test_guest;

static inline weir_code test_guest_try(test_guest *t, bytes wasm, const char *members, const char *const *args, const char *const *env, weir_error *out)
{
    ERR;
    buf text;
    *t = (test_guest){0};
    buf_clear(&test_log);
    test_log.max = 1 << 24;
    buf_init(&text, 1 << 20);
    buf_add_fmt(&text, "{\"wasm\":[{\"path\":\"x\"}]%s%s}", *members ? "," : "", members);
    CHECK_OK(manifest_read(&t->manifest, buf_bytes(&text), &err));
    buf_fini(&text);
    weir_code code = module_compile(&t->module, test_the_engine(), wasm, out);
    if (!code)
        code = module_link(&t->linked, t->module, test_bind, &test_more_imports, out);
    guest_options options = {.manifest = t->manifest, .ops = &test_ops, .name = "test", .args = args, .env = env};
    return code ? code : guest_new(&t->g, t->linked, &options, out);
}

static inline test_guest test_guest_new(const char *wat, const char *members)
{
    ERR;
    test_guest t;
    test_waits = 0;
    if (test_guest_try(&t, bytes_of(wat), members, NULL, NULL, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return t;
}

static inline void test_guest_free(test_guest *t)
{
    guest_free(t->g);
    if (t->linked)
        linked_free(t->linked);
    module_unref(t->module);
    manifest_free(t->manifest);
}

/* Runs a whole call; parks and slices just go on. */
static inline const call_result *test_call(guest *g, const char *name, bytes input)
{
    guest_call(g, name, input);
    while (guest_step(g) != RUN_DONE)
        continue;
    return guest_result(g);
}

/* Calls an import by name, as a guest would, without one: results in v. */
static inline trap *test_import(guest *g, const char *name, value *v)
{
    for (size_t i = 0; i < imports_count; i++)
        if (strcmp(imports_table[i].name, name) == 0)
            return imports_table[i].fn(NULL, g, v);
    for (size_t i = 0; i < wasi_count; i++)
        if (strcmp(wasi_table[i].name, name) == 0)
            return wasi_table[i].fn(NULL, g, v);
    for (size_t i = 0; i < blocks_count; i++)
        if (strcmp(blocks_table[i].name, name) == 0)
            return blocks_table[i].fn(NULL, g, v);
    test_fail(__FILE__, __LINE__, "there is no import '%s'", name);
}

#endif
