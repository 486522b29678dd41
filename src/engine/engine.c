/* The engine's settings and its pool.
 *
 * A pool that the kernel refuses is tried at half and a quarter of the size; after that instances
 * are allocated on demand, which is slower to instantiate (20 us instead of 5) and runs as fast. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/inside.h"
#include "engine/weir_rust.h"

#define MEMORY_GUARD ((uint64_t)32 << 20)

#define DEFAULT_MAX_MEMORY ((uint64_t)256 << 20)
#define DEFAULT_TICK_MS 5

/* ThreadSanitizer does not see how the compiler's threads wait for each other. */
#if defined(__SANITIZE_THREAD__)
#define COMPILE_ALONE true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COMPILE_ALONE true
#endif
#endif
#ifndef COMPILE_ALONE
#define COMPILE_ALONE false
#endif

const char *engine_name(void)
{
    return "wasmtime " WASMTIME_VERSION;
}

static void set_pool(wasm_config_t *config, const engine *e, uint32_t size)
{
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, size);
    wasmtime_pooling_allocation_config_total_memories_set(pool, size);
    wasmtime_pooling_allocation_config_total_tables_set(pool, size * 2);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, size);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, e->max_memory);
    wasmtime_pooling_allocation_config_table_elements_set(pool, 65536);
    wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, (size_t)4 << 20);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(pool, 4);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, 8);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
}

static wasm_config_t *make_config(const engine *e, const engine_options *o, uint32_t pool)
{
    wasm_config_t *config = wasm_config_new();
    wasmtime_config_epoch_interruption_set(config, !o->no_interrupts);
    wasmtime_config_consume_fuel_set(config, o->fuel);
    wasmtime_config_max_wasm_stack_set(config, GUEST_STACK);
    wasmtime_config_async_stack_size_set(config, FIBER_STACK);
    wasmtime_config_memory_reservation_set(config, e->reserved);
    wasmtime_config_memory_guard_size_set(config, MEMORY_GUARD);
    wasmtime_config_memory_may_move_set(config, false);
    wasmtime_config_parallel_compilation_set(config, !o->single_thread_compile && !COMPILE_ALONE);
    if (pool)
        set_pool(config, e, pool);
    return config;
}

/* True, or the reason is in `why`. */
static bool try_engine(engine *e, const engine_options *o, uint32_t pool, char why[POOL_WHY])
{
    uint8_t *error = NULL;
    size_t error_len = 0;
    e->wasm = weir_engine_new(make_config(e, o, pool), &error, &error_len);
    if (e->wasm)
        return true;
    snprintf(why, POOL_WHY, "%.*s", (int)error_len, (const char *)error);
    weir_rust_free(error, error_len);
    return false;
}

static bool pool_unwanted(const engine_options *o)
{
    const char *set = getenv("WEIR_NO_POOL");
    return o->no_pool || (set && *set && strcmp(set, "0") != 0);
}

static weir_code start_wasm(engine *e, const engine_options *o, weir_error *err)
{
    machine m;
    char why[POOL_WHY];
    machine_read(&m);
    e->reserved = pool_reservation(&m, e->max_memory);
    snprintf(e->settings, sizeof e->settings, "%s%s %llu", o->no_interrupts ? "plain" : "ticks", o->fuel ? " fuel" : "", (unsigned long long)e->reserved);
    uint32_t asked = o->max_instances;
    uint32_t size = pool_unwanted(o) ? 0 : pool_size(&m, asked, e->reserved + MEMORY_GUARD, why);
    if (!pool_unwanted(o) && (size == 0 || size < asked))
        log_info("engine", "room for %u instances instead of %u: %s", size, asked, why);
    for (int halvings = 0; size && halvings < 3; halvings++, size /= 2) {
        if (try_engine(e, o, size, why)) {
            e->pooled = true;
            e->capacity = size;
            return WEIR_OK;
        }
        log_warn("engine", "no pool for %u instances: %s", size, why);
    }
    if (!try_engine(e, o, 0, why))
        return error_set(err, WEIR_SYSTEM, "the WebAssembly engine cannot start: %s", why);
    e->capacity = asked && asked < POOL_MOST ? asked : POOL_MOST;
    return WEIR_OK;
}

static weir_code define_own(engine *e, weir_error *err)
{
    wasm_functype_t *type = wasm_functype_new_0_0();
    e->own = wasmtime_linker_new(e->wasm);
    wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(e->own, "weir", 4, "fiber", 5, type, fiber_main, NULL, NULL);
    if (!error)
        error = wasmtime_linker_define_async_func(e->own, "weir", 4, "park", 4, type, fiber_park, NULL, NULL);
    wasm_functype_delete(type);
    return error ? error_from_wasmtime(err, WEIR_SYSTEM, error) : WEIR_OK;
}

static void tick(void *arg)
{
    wasmtime_engine_increment_epoch(arg);
}

static weir_code start(engine *e, const engine_options *o, weir_error *err)
{
    weir_code code = start_wasm(e, o, err);
    if (!code)
        code = define_own(e, err);
    if (!code && !o->no_interrupts && !o->by_hand) {
        e->ticker = ticker_new(o->tick_ms ? o->tick_ms : DEFAULT_TICK_MS, tick, e->wasm);
        if (!e->ticker)
            code = error_set(err, WEIR_SYSTEM, "engine: no thread for its ticker; raise 'ulimit -u' or free some memory");
    }
    return code;
}

weir_code engine_new(engine **out, const engine_options *options, weir_error *err)
{
    static const engine_options defaults;
    const engine_options *o = options ? options : &defaults;
    *out = NULL;
    engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(err, WEIR_NOMEM, "engine: out of memory");
    e->on_slice = o->on_slice;
    e->interrupts = !o->no_interrupts;
    e->fuel = o->fuel;
    e->max_memory = o->max_memory ? o->max_memory : DEFAULT_MAX_MEMORY;
    if (e->max_memory > MEMORY_WHOLE)
        e->max_memory = MEMORY_WHOLE;
    weir_code code = start(e, o, err);
    if (code) {
        engine_free(e);
        return code;
    }
    *out = e;
    return WEIR_OK;
}

void engine_free(engine *e)
{
    if (!e)
        return;
    ticker_free(e->ticker);
    if (e->own)
        wasmtime_linker_delete(e->own);
    if (e->wasm)
        wasm_engine_delete(e->wasm);
    free(e);
}

uint32_t engine_capacity(const engine *e)
{
    return e->capacity;
}

void engine_tick(engine *e)
{
    wasmtime_engine_increment_epoch(e->wasm);
}
