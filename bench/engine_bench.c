/* The engine's costs beside those of Wasmtime alone: the same wasm, the same settings, once through
 * engine.h and once through the C API directly. Both sides take turns, and the best round of each
 * counts, in CPU time of the thread, so that a busy machine spoils the ratios as little as may be.
 *
 *   host call        guest -> host -> guest, an empty host function: ours / a bare unchecked function
 *   call             an export that returns 0, through instance_call and instance_resume: ours / a future each
 *   park + resume    in a host function: ours / an asynchronous host function of Wasmtime's
 *   instance         new and free: ours / store, instantiate, delete
 *   engine_new       for pools of several sizes
 *
 * `engine_bench --json` prints one JSON object instead of the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wasmtime.h>

#include "engine/engine.h"

#define ROUNDS 9

static const char guest_text[] =
    "(module (import \"t\" \"empty\" (func $empty (param i64) (result i64))) (import \"t\" \"park\" (func $park))"
    "(memory (export \"memory\") 1)"
    "(func (export \"zero\") (result i32) (i32.const 0))"
    "(func (export \"calls\") (param i32) (loop $l (drop (call $empty (i64.const 1)))"
    "  (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0))))"
    "(func (export \"parks\") (param i32) (loop $l (call $park)"
    "  (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0)))))";

static bool json;
static int rows;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void row(const char *what, double ours, double bare, double aim)
{
    if (json) {
        printf("%s\"%s\": {\"ours_ns\": %.1f, \"bare_ns\": %.1f, \"ratio\": %.2f, \"aim\": %.2f}", rows++ ? ", " : "{", what, ours, bare,
               bare > 0 ? ours / bare : 0, aim);
        return;
    }
    printf("%-18s %10.1f ns", what, ours);
    if (bare > 0)
        printf("   bare %10.1f ns   ratio %.2f", bare, ours / bare);
    if (aim > 0)
        printf(bare > 0 ? "   aim %.2f" : "   aim %.0f ns", aim);
    printf("\n");
}

/* Runs both sides in turns and prints the row. Each does its thing `count` times. */
static void compare(const char *what, int count, void (*ours)(int count), void (*alone)(int count), double aim)
{
    double best[2] = {1e18, 1e18};
    for (int round = 0; round < ROUNDS; round++)
        for (int side = 0; side < 2; side++) {
            double start = now_ns();
            (side ? alone : ours)(count);
            double took = (now_ns() - start) / count;
            best[side] = took < best[side] ? took : best[side];
        }
    row(what, best[0], best[1], aim);
}

/* ---- Ours ---- */

static engine *e;
static module *m;
static linked *l;
static instance *self;

static trap *ours_empty(void *env, void *guest, value *v)
{
    (void)env, (void)guest, (void)v;
    return NULL;
}

static trap *ours_park(void *env, void *guest, value *v)
{
    (void)env, (void)guest, (void)v;
    return instance_park(self);
}

static void bind(void *arg, const module_extern *x, binding *out)
{
    (void)arg;
    out->fn = bytes_is(x->name, "park") ? ours_park : ours_empty;
    strcpy(out->type, x->type);
}

static slice_verdict go_on(void *guest)
{
    (void)guest;
    return SLICE_CONTINUE;
}

static void call_with(const char *name, int32_t argument)
{
    func f;
    value v[1] = {{.i32 = argument}};
    if (!instance_func(self, name, &f))
        abort();
    instance_call(self, &f, v);
    while (instance_resume(self) != RUN_DONE)
        ;
}

static void ours_host_call(int count)
{
    call_with("calls", count);
}

static void ours_parks(int count)
{
    call_with("parks", count);
}

static void ours_call(int count)
{
    func f;
    value v[1];
    instance_func(self, "zero", &f);
    for (int k = 0; k < count; k++) {
        instance_call(self, &f, v);
        instance_resume(self);
    }
}

static void ours_instance(int count)
{
    weir_error err = WEIR_ERROR_INIT;
    instance *i;
    for (int k = 0; k < count; k++)
        if (!instance_new(&i, l, NULL, NULL, &err))
            instance_free(i);
}

static void ours_open(void)
{
    weir_error err = WEIR_ERROR_INIT;
    engine_options o = {.max_instances = 100, .on_slice = go_on};
    if (engine_new(&e, &o, &err) || module_compile(&m, e, bytes_of(guest_text), &err) || module_link(&l, m, bind, NULL, &err) ||
        instance_new(&self, l, NULL, NULL, &err)) {
        fprintf(stderr, "engine_bench: %s\n", err.text);
        exit(1);
    }
}

static void ours_close(void)
{
    instance_free(self);
    linked_free(l);
    module_unref(m);
    engine_free(e);
}

/* ---- Wasmtime alone ---- */

static bool awake;

static wasm_trap_t *bare_empty(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    (void)env, (void)caller, (void)v, (void)n;
    return NULL;
}

static bool bare_ready(void *env)
{
    (void)env;
    bool was = awake;
    awake = false;
    return was;
}

static void bare_park(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t nargs, wasmtime_val_t *results,
                      size_t nresults, wasm_trap_t **trap_out, wasmtime_async_continuation_t *next)
{
    (void)env, (void)caller, (void)args, (void)nargs, (void)results, (void)nresults, (void)trap_out;
    next->callback = bare_ready;
    next->env = NULL;
    next->finalizer = NULL;
}

static wasmtime_error_t *bare_epoch(wasmtime_context_t *cx, void *data, uint64_t *delta, wasmtime_update_deadline_kind_t *kind)
{
    (void)cx, (void)data;
    *delta = 1;
    *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return NULL;
}

typedef struct bare {
    wasm_engine_t *engine;
    wasmtime_linker_t *linker;
    wasmtime_module_t *module;
    wasmtime_instance_pre_t *pre;
    wasmtime_store_t *store;
    wasmtime_context_t *cx;
    wasmtime_instance_t instance;
} bare;

static void must(const void *failure)
{
    if (failure)
        abort();
}

static void bare_open(bare *b)
{
    wasm_config_t *config = wasm_config_new();
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_async_stack_size_set(config, 1536 << 10);
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, 100);
    wasmtime_pooling_allocation_config_total_memories_set(pool, 100);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, 100);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    b->engine = wasm_engine_new_with_config(config);
    b->linker = wasmtime_linker_new(b->engine);
    wasm_functype_t *none = wasm_functype_new_0_0();
    wasm_functype_t *one = wasm_functype_new_1_1(wasm_valtype_new_i64(), wasm_valtype_new_i64());
    must(wasmtime_linker_define_func_unchecked(b->linker, "t", 1, "empty", 5, one, bare_empty, NULL, NULL));
    must(wasmtime_linker_define_async_func(b->linker, "t", 1, "park", 4, none, bare_park, NULL, NULL));
    wasm_functype_delete(none);
    wasm_functype_delete(one);
    wasm_byte_vec_t binary;
    must(wasmtime_wat2wasm(guest_text, strlen(guest_text), &binary));
    must(wasmtime_module_new(b->engine, (const uint8_t *)binary.data, binary.size, &b->module));
    wasm_byte_vec_delete(&binary);
    must(wasmtime_linker_instantiate_pre(b->linker, b->module, &b->pre));
}

static void bare_start(bare *b)
{
    wasm_trap_t *trap_out = NULL;
    wasmtime_error_t *error = NULL;
    b->store = wasmtime_store_new(b->engine, NULL, NULL);
    b->cx = wasmtime_store_context(b->store);
    wasmtime_store_limiter(b->store, 256 << 20, 1000000, -1, -1, -1);
    wasmtime_store_epoch_deadline_callback(b->store, bare_epoch, NULL, NULL);
    wasmtime_context_set_epoch_deadline(b->cx, 1);
    wasmtime_call_future_t *f = wasmtime_instance_pre_instantiate_async(b->pre, b->cx, &b->instance, &trap_out, &error);
    while (!wasmtime_call_future_poll(f))
        ;
    wasmtime_call_future_delete(f);
    must(trap_out);
    must(error);
}

/* One asynchronous call, as Wasmtime's manual says. */
static void bare_call(bare *b, const char *name, size_t nargs, int32_t argument, size_t nresults)
{
    wasmtime_extern_t x;
    wasm_trap_t *trap_out = NULL;
    wasmtime_error_t *error = NULL;
    wasmtime_val_t args[1] = {{.kind = WASMTIME_I32, .of.i32 = argument}}, results[1];
    if (!wasmtime_instance_export_get(b->cx, &b->instance, name, strlen(name), &x))
        abort();
    wasmtime_call_future_t *f = wasmtime_func_call_async(b->cx, &x.of.func, args, nargs, results, nresults, &trap_out, &error);
    while (!wasmtime_call_future_poll(f))
        awake = true;
    wasmtime_call_future_delete(f);
    must(trap_out);
    must(error);
}

static bare alone, churned;

static void bare_host_call(int count)
{
    bare_call(&alone, "calls", 1, count, 0);
}

static void bare_parks(int count)
{
    bare_call(&alone, "parks", 1, count, 0);
}

static void bare_calls(int count)
{
    for (int k = 0; k < count; k++)
        bare_call(&alone, "zero", 0, 0, 1);
}

static void bare_instance(int count)
{
    churned = alone;
    for (int k = 0; k < count; k++) {
        bare_start(&churned);
        wasmtime_store_delete(churned.store);
    }
}

static void bare_close(bare *b)
{
    wasmtime_store_delete(b->store);
    wasmtime_instance_pre_delete(b->pre);
    wasmtime_module_delete(b->module);
    wasmtime_linker_delete(b->linker);
    wasm_engine_delete(b->engine);
}

static double measure_engine(uint32_t pool)
{
    weir_error err = WEIR_ERROR_INIT;
    engine_options o = {.max_instances = pool};
    double best = 1e18;
    for (int k = 0; k < 3; k++) {
        double start = now_ns();
        if (engine_new(&e, &o, &err))
            exit(1);
        double took = now_ns() - start;
        best = took < best ? took : best;
        engine_free(e);
    }
    return best;
}

int main(int argc, char **argv)
{
    json = argc > 1 && strcmp(argv[1], "--json") == 0;
    ours_open();
    bare_open(&alone);
    bare_start(&alone);
    compare("host call", 1000000, ours_host_call, bare_host_call, 1.5);
    compare("call", 100000, ours_call, bare_calls, 1.5);
    compare("park + resume", 100000, ours_parks, bare_parks, 1.5);
    compare("instance", 1000, ours_instance, bare_instance, 0);
    bare_close(&alone);
    ours_close();
    row("engine_new, 8", measure_engine(8), 0, 0);
    row("engine_new, 1000", measure_engine(1000), 0, 0);
    row("engine_new, 5000", measure_engine(5000), 0, 0);
    if (json)
        printf("}\n");
    return 0;
}
