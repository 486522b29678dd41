/* Instances: one fiber each, on which everything of the guest's runs.
 *
 * The fiber is entered once, by an asynchronous call of fiber_main, a host function of ours. That is
 * a loop: run the prepared job by a nested call, keep its outcome, park, again. So a call costs a
 * resume, a nested call and a park, and allocates nothing; one whose successor is known by then (on_returned)
 * costs the nested call alone.
 *
 * Parking calls fiber_park, the only asynchronous host function there is: its future is ready when
 * `wake` is set, and until then the whole fiber stays suspended, C frames included. A guest's imports
 * are all plain functions. Wasmtime does not promise this, it follows from how its fibers work; the
 * version is pinned, and engine_test.c guards what we rely on.
 *
 * Two things that Wasmtime leaves to us. Each nested call is given a whole wasm stack from where it
 * starts, so instance_call_nested refuses when that would not fit (its fiber would run into the
 * guard page, and the process would end). And while a fiber is being cancelled nothing may block, so
 * every way to suspend is closed by `cancelling`.
 *
 * An instance on its caller's stack (instance_limits.on_caller) has no fiber: a resume runs the job and comes back
 * when it is over. Threads of other languages, whose collectors and stack checks want to know the
 * stack that their callbacks run on, are served by that.
 *
 * The thread's current instance is a thread-local; a fiber stays on its thread for life. */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/inside.h"

static_assert(sizeof(value) == sizeof(wasmtime_val_raw_t) && _Alignof(value) == _Alignof(wasmtime_val_raw_t),
              "host functions read Wasmtime's arrays of values");
static_assert(sizeof(wasmtime_func_t) == sizeof((func *)0)->handle, "a func holds Wasmtime's");

#define START_TICKS 400                  /* the most that a start section may take, whatever on_slice says: nobody can cancel it */
#define HOST_RESERVE ((size_t)256 << 10) /* stack that a nested call leaves to host functions below it */
#define HOST_PAGE 4096
#define TRIM ((size_t)128 << 10)
#define TRIM_MARGIN 1024 /* for the frame that trims */

typedef enum state {
    STATE_IDLE,
    STATE_READY, /* a call is prepared */
    STATE_RUNNING,
    STATE_PARKED,
    STATE_YIELDED,
} state;

struct instance {
    void *guest, *near;
    state state;
    bool wake;       /* a parked fiber may go on */
    bool cancelling; /* the fiber is being unwound; nothing may suspend it */
    bool quitting;   /* the idle fiber shall end */
    bool starting;   /* its start section runs, on a fiber of its own */
    bool on_caller;  /* no fiber: a resume runs the job where it is called */
    int start_ticks;
    bool counted; /* among the process's mappings: it lives in no pool */
    wasmtime_context_t *cx;
    wasmtime_call_future_t *fiber; /* NULL before the first call and after a cancel */
    seat *seat;
    ticker *ticker;
    value *v;
    size_t slots;
    wasmtime_func_t target, park, main;
    trap *raised;  /* what the last host function returned */
    trap *failure; /* behind the outcome's texts */
    outcome outcome;
    const char *stack_top;
    wasm_trap_t *fiber_trap; /* how the fiber itself ended */
    wasmtime_error_t *fiber_error;
    uint8_t *base; /* of the linear memory; NULL: exports none */
    size_t size;   /* as far as known; it only grows */
    wasmtime_memory_t memory;
    slice_verdict (*on_slice)(void *guest);
    bool (*on_returned)(void *guest); /* NULL: nobody is asked */
    linked *linked;
    wasmtime_store_t *store;
    wasmtime_instance_t handle;
};

static __thread instance *current __attribute__((tls_model("initial-exec")));
__thread void *instance_near __attribute__((tls_model("initial-exec")));

/* ---- On the fiber ---- */

static void next_slice(instance *i)
{
    if (i->ticker)
        wasmtime_context_set_epoch_deadline(i->cx, 1);
}

static bool park_is_over(void *env)
{
    return ((instance *)env)->wake;
}

void fiber_park(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t nargs, wasmtime_val_t *results,
                size_t nresults, wasm_trap_t **trap_out, wasmtime_async_continuation_t *next)
{
    (void)env, (void)caller, (void)args, (void)nargs, (void)results, (void)nresults, (void)trap_out;
    next->callback = park_is_over;
    next->env = current;
    next->finalizer = NULL;
}

/* Suspends the fiber until the next resume. False: it is being cancelled. */
static bool suspend(instance *i)
{
    wasmtime_val_raw_t none[1];
    wasm_trap_t *wasm = NULL;
    i->wake = false;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(i->cx, &i->park, none, 1, &wasm);
    if (__builtin_expect(!error && !wasm, true))
        return true;
    if (error)
        wasmtime_error_delete(error);
    if (wasm)
        wasm_trap_delete(wasm);
    return false;
}

static trap *cancelled(void)
{
    return trap_with_kind(TRAP_HOST, "cancelled");
}

trap *instance_park(instance *i)
{
    assert(i == current && !i->on_caller);
    if (i->cancelling)
        return cancelled();
    i->state = STATE_PARKED;
    if (!suspend(i))
        return cancelled();
    next_slice(i);
    return NULL;
}

/* TRIM is less than HOST_RESERVE, so all of it belongs to this fiber. */
void instance_trim_stack(void)
{
    char *here = __builtin_frame_address(0);
    char *end = here - TRIM_MARGIN - (uintptr_t)(here - TRIM_MARGIN) % HOST_PAGE;
    assert(current);
    madvise(end - TRIM, TRIM, MADV_DONTNEED);
}

/* The trap that a host function left, if any; from then on the caller's. */
static trap *take_raised(instance *i)
{
    trap *t = i->raised;
    i->raised = NULL;
    return t;
}

trap *instance_call_nested(instance *i, const func *f, value *v)
{
    assert(i == current);
    const char *here = __builtin_frame_address(0);
    if (i->cancelling)
        return cancelled();
    if (i->starting)
        return trap_new("a start section cannot be called back");
    if ((size_t)(i->stack_top - here) > FIBER_STACK - GUEST_STACK - HOST_RESERVE)
        return trap_with_kind(TRAP_STACK, "call stack exhausted by calls from the host back into the plugin");
    wasm_trap_t *wasm = NULL;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(i->cx, (const wasmtime_func_t *)f->handle,
                                                           (wasmtime_val_raw_t *)v, f->slots, &wasm);
    if (__builtin_expect(!error && !wasm, true))
        return NULL;
    return trap_take(take_raised(i), wasm, error);
}

/* The memory of the module that calls: one of several, or one whose start section calls before there is an instance. */
static void find_memory_of(instance *i, wasmtime_caller_t *caller)
{
    wasmtime_extern_t found;
    i->base = NULL;
    if (wasmtime_caller_export_get(caller, "memory", 6, &found) && found.kind == WASMTIME_EXTERN_MEMORY) {
        i->memory = found.of.memory;
        i->base = wasmtime_memory_data(i->cx, &i->memory);
        i->size = wasmtime_memory_data_size(i->cx, &i->memory);
    }
}

/* Hands a host function's trap to Wasmtime; the words stay with us. */
static __attribute__((noinline)) wasm_trap_t *raise_trap(instance *i, trap *t)
{
    trap_free(i->raised);
    i->raised = t;
    return wasmtime_trap_new("host", 4);
}

void *instance_raise(trap *t)
{
    return raise_trap(current, t);
}

wasm_trap_t *host_enter(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    (void)caller, (void)n;
    const bound *b = env;
    instance *i = current;
    trap *t = b->fn(b->env, i->guest, (value *)v);
    return __builtin_expect(!t, true) ? NULL : raise_trap(i, t);
}

wasm_trap_t *host_enter_early(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    if (current->starting)
        find_memory_of(current, caller);
    return host_enter(env, caller, v, n);
}

wasm_trap_t *host_enter_part(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    find_memory_of(current, caller);
    return host_enter(env, caller, v, n);
}

/* Asked by the guest's own code when a tick has passed. */
static wasmtime_error_t *on_epoch(wasmtime_context_t *cx, void *data, uint64_t *delta, wasmtime_update_deadline_kind_t *kind)
{
    (void)cx;
    instance *i = data;
    *delta = 1;
    *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    bool too_long = i->cancelling || (i->starting && ++i->start_ticks > START_TICKS);
    slice_verdict verdict = too_long ? SLICE_KILL : i->on_slice ? i->on_slice(i->guest)
                                                                : SLICE_YIELD;
    if (verdict == SLICE_KILL) {
        trap_free(i->raised);
        i->raised = trap_with_kind(TRAP_INTERRUPT, "interrupted: its time is up");
        return wasmtime_error_new("interrupted");
    }
    if (verdict == SLICE_YIELD && !i->on_caller)
        *kind = WASMTIME_UPDATE_DEADLINE_YIELD;
    return NULL;
}

static void set_failure(instance *i, trap *t)
{
    i->failure = t;
    i->outcome.kind = OUTCOME_TRAPPED;
    i->outcome.trap = trap_kind_of(t);
    if (trap_exit_code(t, &i->outcome.exit_code))
        i->outcome.kind = OUTCOME_EXITED;
    i->outcome.text = trap_text(t);
    i->outcome.trace = trap_trace(t);
}

static void set_returned(instance *i)
{
    i->outcome = (outcome){.kind = OUTCOME_RETURNED, .text = "", .trace = ""};
}

static void set_cancelled(instance *i)
{
    i->outcome = (outcome){.kind = OUTCOME_CANCELLED, .text = "cancelled", .trace = ""};
}

static void run_job(instance *i)
{
    wasm_trap_t *wasm = NULL;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(i->cx, &i->target, (wasmtime_val_raw_t *)i->v, i->slots, &wasm);
    set_returned(i);
    if (__builtin_expect(error || wasm, false))
        set_failure(i, trap_take(take_raised(i), wasm, error));
}

wasm_trap_t *fiber_main(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n)
{
    (void)env, (void)caller, (void)v, (void)n;
    instance *i = current;
    i->stack_top = __builtin_frame_address(0);
    for (;;) {
        do {
            i->state = STATE_RUNNING;
            next_slice(i);
            run_job(i);
            i->state = STATE_IDLE;
        } while (i->on_returned && !i->cancelling && i->outcome.kind == OUTCOME_RETURNED && i->on_returned(i->guest));
        if (i->cancelling || !suspend(i))
            return wasmtime_trap_new("cancelled", 9);
        if (i->quitting)
            return NULL;
    }
}

/* ---- From the loop ---- */

typedef struct entry {
    instance *before;
    void *near_before;
} entry;

static entry enter(instance *i)
{
    entry e = {current, instance_near};
    if (i->ticker)
        ticker_enter(i->ticker, i->seat);
    current = i;
    instance_near = i->near;
    return e;
}

static void leave(instance *i, entry e)
{
    current = e.before;
    instance_near = e.near_before;
    if (i->ticker)
        ticker_leave(i->seat);
}

void instance_call(instance *i, const func *f, value *v)
{
    assert(i->state == STATE_IDLE);
    if (i->failure) {
        trap_free(i->failure);
        i->failure = NULL;
    }
    memcpy(&i->target, f->handle, sizeof i->target);
    i->v = v;
    i->slots = f->slots;
    i->state = STATE_READY;
}

/* The start section is over, or else the fiber could not be made: no stack left, most likely. */
static void fiber_ended(instance *i)
{
    wasmtime_call_future_delete(i->fiber);
    i->fiber = NULL;
    trap *t = trap_take(take_raised(i), i->fiber_trap, i->fiber_error);
    i->fiber_trap = NULL;
    i->fiber_error = NULL;
    i->state = STATE_IDLE;
    set_returned(i);
    if (t)
        set_failure(i, t);
}

/* A tick that came since the last call is asked about at once: who stops a guest may do so before it runs. */
static run_state run_here(instance *i)
{
    entry e = enter(i);
    i->state = STATE_RUNNING;
    i->stack_top = __builtin_frame_address(0);
    run_job(i);
    i->state = STATE_IDLE;
    leave(i, e);
    return RUN_DONE;
}

run_state instance_resume(instance *i)
{
    assert(i->state != STATE_IDLE && i->state != STATE_RUNNING);
    if (i->on_caller)
        return run_here(i);
    if (__builtin_expect(!i->fiber, false))
        i->fiber = wasmtime_func_call_async(i->cx, &i->main, NULL, 0, NULL, 0, &i->fiber_trap, &i->fiber_error);
    i->state = STATE_RUNNING;
    i->wake = true;
    entry e = enter(i);
    bool ended = wasmtime_call_future_poll(i->fiber);
    leave(i, e);
    if (__builtin_expect(ended, false))
        fiber_ended(i);
    if (i->state == STATE_IDLE)
        return RUN_DONE;
    if (i->state == STATE_PARKED)
        return RUN_PARKED;
    i->state = STATE_YIELDED;
    return RUN_YIELDED;
}

void instance_on_returned(instance *i, bool (*next)(void *guest))
{
    i->on_returned = next;
}

const outcome *instance_outcome(const instance *i)
{
    return &i->outcome;
}

bool instance_idle(const instance *i)
{
    return i->state == STATE_IDLE;
}

void instance_cancel(instance *i)
{
    assert(i->state != STATE_RUNNING);
    if (i->state == STATE_IDLE)
        return;
    if (i->state != STATE_READY) {
        i->cancelling = true;
        entry e = enter(i);
        wasmtime_call_future_delete(i->fiber);
        leave(i, e);
        i->fiber = NULL;
        i->cancelling = false;
        trap_free(take_raised(i));
        trap_free(i->failure);
        i->failure = NULL;
    }
    i->state = STATE_IDLE;
    set_cancelled(i);
}

/* ---- Birth and death ---- */

static weir_code start_store(instance *i, const instance_limits *limits, weir_error *err)
{
    engine *e = i->linked->module->engine;
    uint64_t memory = limits && limits->max_memory && limits->max_memory < e->max_memory ? limits->max_memory : e->max_memory;
    uint32_t elements = limits && limits->max_elements ? limits->max_elements : 1000000;
    wasmtime_extern_t found;

    i->store = wasmtime_store_new(e->wasm, NULL, NULL);
    i->cx = wasmtime_store_context(i->store);
    i->ticker = i->on_caller ? NULL : e->ticker;
    i->on_slice = e->on_slice;
    wasmtime_store_limiter(i->store, (int64_t)memory, elements, -1, -1, -1);
    if (i->ticker && !(i->seat = ticker_seat(i->ticker)))
        return error_set(err, WEIR_NOMEM, "instance: out of memory");
    if (e->fuel)
        instance_refuel(i, limits ? limits->fuel : 0);
    if (e->interrupts) {
        wasmtime_store_epoch_deadline_callback(i->store, on_epoch, i, NULL);
        wasmtime_context_set_epoch_deadline(i->cx, 1);
    }
    if (i->on_caller)
        return WEIR_OK;
    bool found_park = wasmtime_linker_get(e->own, i->cx, "weir", 4, "park", 4, &found);
    i->park = found.of.func;
    bool found_main = wasmtime_linker_get(e->own, i->cx, "weir", 4, "fiber", 5, &found);
    i->main = found.of.func;
    assert(found_park && found_main);
    (void)found_park, (void)found_main; // under NDEBUG
    return WEIR_OK;
}

static weir_code no_mappings(uint32_t live, uint64_t wanted, weir_error *err)
{
    machine m;
    machine_read(&m);
    return error_set(err, WEIR_LIMIT, "no room for another instance: %u are alive, as many as vm.max_map_count (%llu) allows; 'sysctl vm.max_map_count=%llu' makes room for %u",
                     live, (unsigned long long)m.max_map_count, (unsigned long long)wanted, POOL_MOST);
}

/* The most mappings that it takes, or the least. */
static uint32_t mappings_of(const instance *i, uint32_t memory)
{
    return ((uint32_t)i->linked->part_count + 1) * memory + (i->on_caller ? 0 : STACK_MAPPINGS);
}

static weir_code no_mappings_on_demand(const instance *i, weir_error *err)
{
    uint32_t live = __atomic_load_n(&i->linked->module->engine->live, __ATOMIC_RELAXED) - 1; /* it counts itself */
    uint32_t more = live < POOL_MOST ? POOL_MOST - live : 0;
    return no_mappings(live, mappings_wanted(mappings_now(), more, mappings_of(i, MEMORY_MOST)), err);
}

static weir_code take_place(instance *i, weir_error *err)
{
    engine *e = i->linked->module->engine;
    machine m;
    if (__atomic_add_fetch(&e->live, 1, __ATOMIC_RELAXED) <= e->capacity) {
        i->counted = !e->pooled && mappings_take(mappings_of(i, MEMORY_MOST));
        return i->counted || e->pooled ? WEIR_OK : no_mappings_on_demand(i, err);
    }
    machine_read(&m);
    if (e->pooled && m.max_map_count < pool_mappings(e->capacity + 1))
        return no_mappings(e->capacity, pool_mappings(POOL_MOST), err);
    return error_set(err, WEIR_LIMIT, "no room for another instance: %u are alive, as many as this engine holds", e->capacity);
}

/* Says why instantiating failed. What the words stand for: a pool or the kernel's mappings used up;
 * a memory or table that starts larger than allowed; a trap of the start section or of a segment. */
static weir_code instantiation_error(const instance *i, weir_error *err, const trap *t)
{
    const char *text = trap_text(t);
    machine m;
    if (strstr(text, "maximum concurrent"))
        return error_set(err, WEIR_LIMIT, "no room for another instance: the engine's pool is full (%s)", text);
    bool refused = strstr(text, "Cannot allocate memory") || strstr(text, "os error 12");
    if (refused && i->counted && (machine_read(&m), m.max_map_count < mappings_now() + 2 * MEMORY_MOST))
        return no_mappings_on_demand(i, err);
    if (refused)
        return error_set(err, WEIR_LIMIT, "no room for another instance: the kernel gives no more mappings (raise the sysctl "
                                          "vm.max_map_count) or memory");
    if (trap_kind_of(t) == TRAP_OTHER && strstr(text, "exceeds"))
        return error_set(err, WEIR_LIMIT, "the module asks for more than its limits allow: %s", text);
    if (*trap_trace(t))
        return error_set(err, WEIR_TRAPPED, "its start section stopped: %s", text);
    return error_set(err, WEIR_TRAPPED, "its initialisation stopped: %s", text);
}

/* A start section runs code, which may yield, so it has a fiber: its own, since Wasmtime starts no
 * module from inside another call. */
static weir_code run_start(instance *i, weir_error *err)
{
    run_state run;
    i->fiber = wasmtime_instance_pre_instantiate_async(i->linked->pre, i->cx, &i->handle, &i->fiber_trap, &i->fiber_error);
    i->starting = true;
    i->state = STATE_READY;
    while ((run = instance_resume(i)) == RUN_YIELDED)
        ;
    if (run == RUN_PARKED)
        instance_cancel(i);
    i->starting = false;
    if (run == RUN_PARKED)
        return error_set(err, WEIR_TRAPPED, "its start section waits for the host, which only a call of an export may do");
    return i->outcome.kind == OUTCOME_RETURNED ? WEIR_OK : instantiation_error(i, err, i->failure);
}

static weir_code instantiate(instance *i, weir_error *err)
{
    if (i->linked->module->has_start && !i->on_caller)
        return run_start(i, err);
    wasm_trap_t *wasm = NULL;
    entry e = enter(i);
    i->starting = true;
    wasmtime_error_t *error = i->linked->pre ? wasmtime_instance_pre_instantiate(i->linked->pre, i->cx, &i->handle, &wasm)
                                             : parts_instantiate(i->linked, i->cx, &i->handle, &wasm);
    i->starting = false;
    leave(i, e);
    trap *t = trap_take(take_raised(i), wasm, error);
    if (!t)
        return WEIR_OK;
    weir_code code = instantiation_error(i, err, t);
    trap_free(t);
    return code;
}

/* The memory called "memory", or else the first one exported. */
static void find_memory(instance *i)
{
    const module *m = i->linked->module;
    const module_extern *which = NULL;
    for (size_t k = 0; k < m->export_count; k++)
        if (m->exports[k].kind == EXTERN_MEMORY && (!which || bytes_is(m->exports[k].name, "memory")))
            which = &m->exports[k];
    wasmtime_extern_t found;
    i->base = NULL;
    if (which && wasmtime_instance_export_get(i->cx, &i->handle, which->name.at, which->name.len, &found) &&
        found.kind == WASMTIME_EXTERN_MEMORY) {
        i->memory = found.of.memory;
        i->base = wasmtime_memory_data(i->cx, &i->memory);
        i->size = wasmtime_memory_data_size(i->cx, &i->memory);
    }
}

weir_code instance_new(instance **out, linked *l, const instance_limits *limits, void *guest, weir_error *err)
{
    *out = NULL;
    instance *i = calloc(1, sizeof *i);
    if (!i)
        return error_set(err, WEIR_NOMEM, "instance: out of memory");
    i->guest = guest;
    i->near = limits ? limits->near : NULL;
    i->linked = l;
    i->on_caller = limits && limits->on_caller;
    __atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
    *out = i; /* already here, since a start section calls host functions */
    weir_code code;
    if ((code = take_place(i, err)) || (code = start_store(i, limits, err)) || (code = instantiate(i, err))) {
        *out = NULL;
        instance_free(i);
        return code;
    }
    find_memory(i);
    return WEIR_OK;
}

void instance_free(instance *i)
{
    if (!i)
        return;
    assert(i != current);
    instance_cancel(i);
    if (i->fiber) {
        i->quitting = true;
        i->wake = true;
        entry e = enter(i);
        bool ended = wasmtime_call_future_poll(i->fiber);
        leave(i, e);
        assert(ended);
        wasmtime_call_future_delete(i->fiber);
    }
    trap_free(i->raised);
    trap_free(i->failure);
    if (i->store)
        wasmtime_store_delete(i->store);
    __atomic_sub_fetch(&i->linked->module->engine->live, 1, __ATOMIC_RELAXED);
    if (i->counted)
        mappings_give(mappings_of(i, MEMORY_LEAST));
    linked_unref(i->linked);
    free(i);
}

/* ---- Fuel ---- */

void instance_refuel(instance *i, uint64_t fuel)
{
    wasmtime_error_t *error = wasmtime_context_set_fuel(i->cx, fuel);
    if (error)
        wasmtime_error_delete(error);
}

uint64_t instance_fuel(instance *i)
{
    uint64_t left = 0;
    wasmtime_error_t *error = wasmtime_context_get_fuel(i->cx, &left);
    if (error)
        wasmtime_error_delete(error);
    return left;
}

/* ---- Looking in ---- */

bool instance_func(instance *i, const char *name, func *out)
{
    const module_extern *x = module_find_export(i->linked->module, name);
    wasmtime_extern_t found;
    if (!x || x->kind != EXTERN_FUNC || !wasmtime_instance_export_get(i->cx, &i->handle, name, strlen(name), &found))
        return false;
    memcpy(out->handle, &found.of.func, sizeof out->handle);
    out->export = x;
    wasm_functype_t *type = wasmtime_func_type(i->cx, &found.of.func);
    size_t params = wasm_functype_params(type)->size, results = wasm_functype_results(type)->size;
    out->slots = (uint32_t)(params > results ? params : results);
    wasm_functype_delete(type);
    return true;
}

uint8_t *instance_memory(instance *i, size_t *size)
{
    *size = i->base ? i->size = wasmtime_memory_data_size(i->cx, &i->memory) : 0;
    return i->base;
}

void *instance_at(instance *i, uint32_t at, uint64_t len)
{
    if (!i->base || len > UINT64_MAX - at)
        return NULL;
    if (at + len > i->size) { /* it may have grown since */
        i->size = wasmtime_memory_data_size(i->cx, &i->memory);
        if (at + len > i->size)
            return NULL;
    }
    return i->base + at;
}
