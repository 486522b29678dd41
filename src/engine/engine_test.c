/* The engine's promises, and what we rely on in Wasmtime without its promise (instance.c). */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/inside.h"
#include "engine/toml.h"
#include "tests/lib/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

/* What a guest of these tests can reach, by import name:
 *   park ()        suspends                     call (i)     calls the export "inner" with i, nested
 *   note (i)       remembers i                  fail ()      traps             quit (i)  exits
 *   other ()       runs another instance's prepared call to its next stop
 *   trim ()        1 when instance_trim_stack gave back what deep calls touched */
typedef struct world {
    instance *self, *other;
    func inner;
    int note, parks, cancelled_frames, slices, slices_to_kill;
    bool ignore_cancel, yields;
    trap_kind nested_trap;
    char nested_text[128];
} world;

static trap *host_park(void *env, void *guest, value *v)
{
    world *w = guest;
    (void)env, (void)v;
    w->parks++;
    trap *t = instance_park(w->self);
    if (t)
        w->cancelled_frames++;
    if (t && w->ignore_cancel) {
        trap_free(t);
        trap_free(instance_park(w->self));
        return NULL;
    }
    return t;
}

static trap *host_call(void *env, void *guest, value *v)
{
    world *w = guest;
    (void)env;
    value args[1] = {{.i32 = v[0].i32}};
    trap *t = instance_call_nested(w->self, &w->inner, args);
    if (t) {
        w->cancelled_frames++;
        snprintf(w->nested_text, sizeof w->nested_text, "%s", trap_text(t));
        w->nested_trap = trap_kind_of(t);
        return t;
    }
    v[0].i32 = args[0].i32;
    return NULL;
}

/* The same, but a trap of the export becomes -1. */
static trap *host_try(void *env, void *guest, value *v)
{
    trap *t = host_call(env, guest, v);
    if (t)
        v[0].i32 = -1;
    trap_free(t);
    return NULL;
}

static trap *host_note(void *env, void *guest, value *v)
{
    (void)env;
    ((world *)guest)->note = v[0].i32;
    return NULL;
}

static trap *host_fail(void *env, void *guest, value *v)
{
    (void)env, (void)guest, (void)v;
    return trap_new("no block at %d,\nsays the host", 8);
}

static trap *host_quit(void *env, void *guest, value *v)
{
    (void)env, (void)guest;
    return trap_exit(v[0].i32);
}

static trap *host_other(void *env, void *guest, value *v)
{
    world *w = guest;
    (void)env, (void)v;
    instance_resume(w->other);
    return instance_park(w->self);
}

static trap *host_peek(void *env, void *guest, value *v)
{
    (void)env;
    const uint8_t *at = instance_at(((world *)guest)->self, 16, 4);
    v[0].i32 = at ? *at : -1;
    return NULL;
}

/* Touches 64 KiB of stack and tells where. */
static __attribute__((noinline, no_sanitize("address"))) char *dig(char with)
{
    volatile char deep[64 << 10];
    for (size_t k = 0; k < sizeof deep; k++)
        deep[k] = with;
    char *volatile at = (char *)deep;
    return at;
}

/* 1: what deep calls left on the fiber is gone, and this frame is not. */
static trap *host_trim(void *env, void *guest, value *v)
{
    (void)env, (void)guest;
    volatile int mine = 4711;
    char *deep = dig(7);
    unsigned char resident[8];
    char *page = deep + 4096 - (uintptr_t)deep % 4096;
    instance_trim_stack();
    v[0].i32 = mine == 4711 && mincore(page, 8 * 4096, resident) == 0;
    for (int k = 0; k < 8; k++)
        v[0].i32 &= !(resident[k] & 1);
    return NULL;
}

/* Adds to what its instance has near. Beyond 100 it traps. */
static void *host_add_near(void *bound, void *caller, value *v, size_t n)
{
    int *sum = instance_near;
    (void)bound, (void)caller;
    CHECK_UINT(n, 1);
    *sum += v[0].i32;
    v[0].i32 = *sum;
    return *sum > 100 ? instance_raise(trap_new("%d is too much", *sum)) : NULL;
}

static trap *host_never(void *env, void *guest, value *v)
{
    (void)env, (void)guest, (void)v;
    return trap_new("the way that is not direct");
}

static const struct {
    const char *name, *type;
    host_fn fn;
    direct_fn direct;
} imports[] = {
    {"park", "()", host_park, NULL},
    {"call", "i(i)", host_call, NULL},
    {"try", "i(i)", host_try, NULL},
    {"note", "(i)", host_note, NULL},
    {"fail", "()", host_fail, NULL},
    {"quit", "(i)", host_quit, NULL},
    {"other", "()", host_other, NULL},
    {"peek", "i()", host_peek, NULL},
    {"trim", "i()", host_trim, NULL},
    {"vector", "V(V)", host_note, NULL},
    {"wide", "(i)", host_note, NULL},
    {"add_near", "i(i)", host_never, host_add_near},
};

static void bind(void *arg, const module_extern *x, binding *out)
{
    int *asked = arg;
    if (asked)
        ++*asked;
    for (size_t k = 0; k < sizeof imports / sizeof *imports; k++)
        if (bytes_is(x->module, "t") && bytes_is(x->name, imports[k].name)) {
            out->fn = imports[k].fn;
            out->direct = imports[k].direct;
            strcpy(out->type, imports[k].type);
        }
}

static slice_verdict on_slice(void *guest)
{
    world *w = guest;
    w->slices++;
    if (w->slices_to_kill && w->slices >= w->slices_to_kill)
        return SLICE_KILL;
    return w->yields ? SLICE_YIELD : SLICE_CONTINUE;
}

#define GUEST_IMPORTS                                                                                    \
    "(import \"t\" \"park\" (func $park)) (import \"t\" \"call\" (func $call (param i32) (result i32)))" \
    "(import \"t\" \"try\" (func $try (param i32) (result i32)))"                                        \
    "(import \"t\" \"note\" (func $note (param i32))) (import \"t\" \"fail\" (func $fail))"              \
    "(import \"t\" \"quit\" (func $quit (param i32))) (import \"t\" \"other\" (func $other))"            \
    "(import \"t\" \"trim\" (func $trim (result i32)))"

static const char guest_text[] =
    "(module $guest " GUEST_IMPORTS
    "(memory (export \"memory\") 1)"
    "(table 2 funcref) (elem (i32.const 0) $add)"
    "(func $add (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))"
    "(func (export \"inner\") (param i32) (result i32)"
    "  (if (i32.eq (local.get 0) (i32.const 1)) (then (call $park)))"
    "  (if (i32.eq (local.get 0) (i32.const 2)) (then (unreachable)))"
    "  (if (i32.eq (local.get 0) (i32.const 3)) (then (loop $l (br $l))))"
    "  (if (i32.eq (local.get 0) (i32.const 4)) (then (return (call $call (i32.const 4)))))"
    "  (if (i32.eq (local.get 0) (i32.const 5)) (then (return (call $call (i32.const 1)))))"
    "  (i32.add (local.get 0) (i32.const 100)))"
    "(func (export \"outer\") (param i32) (result i32) (call $call (local.get 0)))"
    "(func (export \"tries\") (param i32) (result i32) (call $try (local.get 0)))"
    "(func (export \"parks\") (param i32) (result i32)"
    "  (loop $l (call $park) (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0))) (i32.const 77))"
    "(func (export \"trims\") (result i32) (call $trim))"
    "(func $boom (export \"boom\") unreachable)"
    "(func (export \"fails\") (call $fail)) (func (export \"quits\") (param i32) (call $quit (local.get 0)))"
    "(func $spin (export \"spins\") (loop $l (br $l)))"
    "(func $deep (export \"deep\") (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))"
    "(func (export \"load\") (param i32) (result i32) (i32.load (local.get 0)))"
    "(func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))"
    "(func (export \"divide\") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))"
    "(func (export \"indirect\") (param i32) (result i32) (call_indirect (param i32) (result i32) (local.get 0) (local.get 0)))"
    "(func (export \"notes\") (param i32) (call $note (local.get 0)))"
    "(func (export \"others\") (call $other))"
    "(func (export \"swap\") (param f64 i64) (result i64 f64) (local.get 1) (local.get 0)))";

static engine *engine_make(engine_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    engine *e = NULL;
    if (!o.max_instances)
        o.max_instances = 8;
    if (!o.on_slice)
        o.on_slice = on_slice;
    o.tick_ms = 1;
    CHECK_OK(engine_new(&e, &o, &err));
    return e;
}

static linked *link_text(engine *e, const char *text)
{
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    linked *l = NULL;
    CHECK_OK(module_compile(&m, e, bytes_of(text), &err));
    CHECK_OK(module_link(&l, m, bind, NULL, &err));
    module_unref(m);
    return l;
}

static instance *instance_make(linked *l, world *w)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(w, 0, sizeof *w);
    CHECK_OK(instance_new(&w->self, l, NULL, w, &err));
    instance_func(w->self, "inner", &w->inner);
    return w->self;
}

/* One engine, the guest above, one instance: what most tests need. */
typedef struct rig {
    engine *e;
    linked *l;
    world w;
    instance *i;
    value v[2];
} rig;

static void rig_init_with(rig *r, engine_options o)
{
    r->e = engine_make(o);
    r->l = link_text(r->e, guest_text);
    r->i = instance_make(r->l, &r->w);
}

static void rig_init(rig *r)
{
    rig_init_with(r, (engine_options){0});
}

static void rig_fini(rig *r)
{
    instance_free(r->i);
    linked_free(r->l);
    engine_free(r->e);
}

static run_state begin(rig *r, const char *name, int a, int b)
{
    func f;
    CHECK(instance_func(r->i, name, &f));
    r->v[0].i64 = a;
    r->v[1].i64 = b;
    instance_call(r->i, &f, r->v);
    return instance_resume(r->i);
}

static const outcome *run(rig *r, const char *name, int a, int b)
{
    run_state s = begin(r, name, a, b);
    while (s != RUN_DONE)
        s = instance_resume(r->i);
    return instance_outcome(r->i);
}

static void check_usable(rig *r)
{
    CHECK(instance_idle(r->i));
    CHECK_INT(run(r, "add", 20, 22)->kind, OUTCOME_RETURNED);
    CHECK_INT(r->v[0].i32, 42);
}

/* ---- Calls ---- */

TEST(engine, a_call_hands_values_in_and_out)
{
    rig r;
    rig_init(&r);
    check_usable(&r);
    func f;
    CHECK(instance_func(r.i, "swap", &f));
    CHECK_TEXT(f.export->type, "IF(FI)");
    CHECK_UINT(f.slots, 2);
    value v[2] = {{.f64 = 2.5}, {.i64 = -7}};
    instance_call(r.i, &f, v);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(v[0].i64, -7);
    CHECK(v[1].f64 == 2.5);
    run(&r, "notes", 5, 0);
    CHECK_INT(r.w.note, 5);
    CHECK(!instance_func(r.i, "absent", &f));
    CHECK(!instance_func(r.i, "memory", &f));
    rig_fini(&r);
}

TEST(engine, a_call_allocates_nothing)
{
    rig r;
    rig_init(&r);
    func f;
    CHECK(instance_func(r.i, "add", &f));
    run(&r, "add", 1, 1);
    uint64_t before = fault_allocations();
    for (int k = 0; k < 100; k++) {
        instance_call(r.i, &f, r.v);
        instance_resume(r.i);
    }
    CHECK_UINT(fault_allocations() - before, 0);
    rig_fini(&r);
}

/* What on_returned calls next, as the export's name and its argument; NULL: nothing. */
static const char *chain[200];
static int chained;

static bool next_in_chain(void *guest)
{
    static value v[2];
    world *w = guest;
    func f;
    if (!chain[chained])
        return false;
    CHECK(instance_outcome(w->self)->kind == OUTCOME_RETURNED);
    CHECK(instance_func(w->self, chain[chained++], &f));
    v[0].i64 = chained;
    instance_call(w->self, &f, v);
    return true;
}

static void chain_begin(rig *r)
{
    rig_init(r);
    memset(chain, 0, sizeof chain);
    chained = 0;
    instance_on_returned(r->i, next_in_chain);
}

TEST(engine, a_chain_of_calls_runs_in_one_resume_and_allocates_nothing)
{
    rig r;
    chain_begin(&r);
    run(&r, "notes", 0, 0);
    for (int k = 0; k < 199; k++)
        chain[k] = "notes";
    uint64_t before = fault_allocations();
    CHECK_INT(begin(&r, "notes", 0, 0), RUN_DONE);
    CHECK_UINT(fault_allocations() - before, 0);
    CHECK_INT(chained, 199);
    CHECK_INT(r.w.note, 199);
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, a_link_of_a_chain_may_park_trap_and_be_cancelled)
{
    rig r;
    chain_begin(&r);
    chain[0] = "parks";
    chain[1] = "notes";
    chain[2] = "boom";
    chain[3] = "notes";
    CHECK_INT(begin(&r, "notes", 9, 0), RUN_PARKED);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(r.w.note, 2);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_TRAPPED);
    CHECK_INT(chained, 3); /* behind a trap nothing is asked */
    memset(chain, 0, sizeof chain);
    check_usable(&r);

    chained = 0;
    chain[0] = "parks";
    CHECK_INT(begin(&r, "notes", 9, 0), RUN_PARKED);
    instance_cancel(r.i);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_CANCELLED);
    memset(chain, 0, sizeof chain);
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, a_trap_says_why_and_where_and_the_instance_goes_on)
{
    static const struct {
        const char *name;
        int a, b;
        trap_kind kind;
        const char *text;
    } traps[] = {
        {"boom", 0, 0, TRAP_UNREACHABLE, "unreachable executed"},
        {"divide", 1, 0, TRAP_ARITHMETIC, "integer division by zero"},
        {"load", 0x20000, 0, TRAP_MEMORY, "memory access out of bounds: address 0x20000, memory ends at 0x10000"},
        {"indirect", 0, 0, TRAP_INDIRECT, "indirect call of a function of another type"},
        {"indirect", 1, 0, TRAP_INDIRECT, "call through an empty table entry"},
        {"indirect", 9, 0, TRAP_TABLE, "table access out of bounds"},
        {"deep", 0, 0, TRAP_STACK, "call stack exhausted"},
        {"fails", 0, 0, TRAP_HOST, "no block at 8,?says the host"},
    };
    rig r;
    rig_init(&r);
    for (size_t k = 0; k < sizeof traps / sizeof *traps; k++) {
        const outcome *o = run(&r, traps[k].name, traps[k].a, traps[k].b);
        CHECK_INT(o->kind, OUTCOME_TRAPPED);
        CHECK_TEXT(o->text, traps[k].text);
        CHECK_INT(o->trap, traps[k].kind);
        CHECK_HAS(o->trace, "  0: ");
        check_usable(&r);
    }
    const outcome *o = run(&r, "boom", 0, 0);
    CHECK_HAS(o->trace, "guest!boom\n");
    o = run(&r, "quits", 3, 0);
    CHECK_INT(o->kind, OUTCOME_EXITED);
    CHECK_INT(o->exit_code, 3);
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, names_in_a_trace_are_demangled)
{
    engine *e = engine_make((engine_options){0});
    linked *l = link_text(e, "(module (func $_ZN4main5parseEv (export \"f\") unreachable))");
    rig r = {.e = e, .l = l};
    r.i = instance_make(l, &r.w);
    CHECK_HAS(run(&r, "f", 0, 0)->trace, "main::parse");
    rig_fini(&r);
}

/* ---- Parking ---- */

TEST(engine, a_parked_guest_goes_on_where_it_stopped)
{
    rig r;
    rig_init(&r);
    CHECK_INT(begin(&r, "parks", 3, 0), RUN_PARKED);
    CHECK(!instance_idle(r.i));
    CHECK_INT(instance_resume(r.i), RUN_PARKED);
    CHECK_INT(instance_resume(r.i), RUN_PARKED);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(r.v[0].i32, 77);
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, what_deep_host_calls_left_on_the_fiber_goes_back_to_the_system)
{
    rig r;
    rig_init(&r);
    run(&r, "trims", 0, 0);
    CHECK_INT(r.v[0].i32, 1);
    check_usable(&r);
    rig_fini(&r);
}

enum { CROWD = 1000,
       ROUNDS = 50 };

TEST(engine, a_thousand_guests_park_a_hundred_thousand_times_in_any_order)
{
    engine *e = engine_make((engine_options){.max_instances = CROWD});
    linked *l = link_text(e, guest_text);
    static world w[CROWD];
    static value v[CROWD][2];
    func f;
    for (int k = 0; k < CROWD; k++) {
        instance_make(l, &w[k]);
        CHECK(instance_func(w[k].self, "parks", &f));
        v[k][0].i32 = 2 * ROUNDS;
        instance_call(w[k].self, &f, v[k]);
        CHECK_INT(instance_resume(w[k].self), RUN_PARKED);
    }
    for (int round = 1; round < 2 * ROUNDS; round++)
        for (int k = 0; k < CROWD; k++)
            CHECK_INT(instance_resume(w[round % 2 ? k : CROWD - 1 - k].self), RUN_PARKED);
    for (int k = 0; k < CROWD; k++) {
        CHECK_INT(instance_resume(w[k].self), RUN_DONE);
        CHECK_INT(v[k][0].i32, 77);
        CHECK_INT(w[k].parks, 2 * ROUNDS);
    }
    for (int k = 0; k < CROWD; k++)
        instance_free(w[k].self);
    linked_free(l);
    engine_free(e);
}

TEST(engine, a_cancelled_guest_sees_its_park_fail_and_may_be_called_again)
{
    rig r;
    rig_init(&r);
    CHECK_INT(begin(&r, "parks", 5, 0), RUN_PARKED);
    instance_cancel(r.i);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_CANCELLED);
    CHECK_INT(r.w.cancelled_frames, 1);
    CHECK_INT(r.w.parks, 1);
    check_usable(&r);
    CHECK_INT(begin(&r, "parks", 1, 0), RUN_PARKED);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(r.v[0].i32, 77);
    rig_fini(&r);
}

TEST(engine, cancelling_unwinds_every_nested_call)
{
    rig r;
    rig_init(&r);
    CHECK_INT(begin(&r, "outer", 5, 0), RUN_PARKED); /* outer, host, inner, host, inner, host */
    instance_cancel(r.i);
    CHECK_INT(r.w.cancelled_frames, 3);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_CANCELLED);
    check_usable(&r);
    CHECK_INT(begin(&r, "outer", 1, 0), RUN_PARKED);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(r.v[0].i32, 101);
    CHECK_INT(begin(&r, "outer", 1, 0), RUN_PARKED);
    rig_fini(&r); /* frees a parked one */
}

TEST(engine, a_host_function_that_ignores_its_cancellation_does_no_harm)
{
    rig r;
    rig_init(&r);
    r.w.ignore_cancel = true;
    CHECK_INT(begin(&r, "parks", 5, 0), RUN_PARKED);
    instance_cancel(r.i); /* the guest goes on, and every further park fails at once */
    CHECK_INT(r.w.parks, 5);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_CANCELLED);
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, a_prepared_call_can_be_cancelled_before_it_runs)
{
    rig r;
    func f;
    rig_init(&r);
    CHECK(instance_func(r.i, "boom", &f));
    instance_call(r.i, &f, r.v);
    instance_cancel(r.i);
    CHECK_INT(instance_outcome(r.i)->kind, OUTCOME_CANCELLED);
    check_usable(&r);
    rig_fini(&r);
}

/* What is near stays each instance's own: where one runs another's call, and where a start section runs. */
TEST(engine, a_direct_function_works_on_what_its_instance_has_near)
{
    static const char text[] = "(module (import \"t\" \"add_near\" (func $add (param i32) (result i32))) (import \"t\" \"other\" (func $other))"
                               "(func $start (drop (call $add (i32.const 1)))) (start $start)"
                               "(func (export \"add\") (param i32) (result i32) (call $add (local.get 0)))"
                               "(func (export \"both\") (result i32) (drop (call $add (i32.const 10))) (call $other) (call $add (i32.const 20))))";
    rig r = {.e = engine_make((engine_options){0})};
    world second = {0};
    weir_error err = WEIR_ERROR_INIT;
    int near[2] = {0, 50};
    value v[2] = {{.i32 = 3}};
    func f;
    r.l = link_text(r.e, text);
    CHECK_OK(instance_new(&r.w.self, r.l, &(instance_limits){.near = &near[0]}, &r.w, &err));
    CHECK_OK(instance_new(&second.self, r.l, &(instance_limits){.near = &near[1]}, &second, &err));
    r.i = r.w.self;
    CHECK_INT(near[0], 1);
    CHECK_INT(near[1], 51);
    CHECK(instance_func(second.self, "add", &f));
    instance_call(second.self, &f, v);
    r.w.other = second.self;
    CHECK_INT(begin(&r, "both", 0, 0), RUN_PARKED);
    CHECK_INT(v[0].i32, 54);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    CHECK_INT(r.v[0].i32, 31);
    CHECK_INT(run(&r, "add", 70, 0)->kind, OUTCOME_TRAPPED);
    CHECK_TEXT(instance_outcome(r.i)->text, "101 is too much");
    CHECK(instance_near == NULL);
    instance_free(second.self);
    rig_fini(&r);
}

TEST(engine, a_host_function_may_run_another_guest)
{
    rig r;
    world second;
    value v[2] = {{.i32 = 1}};
    func f;
    rig_init(&r);
    instance_make(r.l, &second);
    CHECK(instance_func(second.self, "parks", &f));
    instance_call(second.self, &f, v);
    r.w.other = second.self;
    CHECK_INT(begin(&r, "others", 0, 0), RUN_PARKED);
    CHECK_INT(second.parks, 1);
    CHECK_INT(instance_resume(second.self), RUN_DONE);
    CHECK_INT(v[0].i32, 77);
    CHECK_INT(instance_resume(r.i), RUN_DONE);
    instance_free(second.self);
    rig_fini(&r);
}

/* ---- Nested calls ---- */

TEST(engine, a_trap_in_a_nested_call_is_the_host_functions_to_judge)
{
    rig r;
    rig_init(&r);
    CHECK_INT(run(&r, "tries", 2, 0)->kind, OUTCOME_RETURNED);
    CHECK_INT(r.v[0].i32, -1);
    CHECK_TEXT(r.w.nested_text, "unreachable executed");
    const outcome *o = run(&r, "outer", 2, 0);
    CHECK_INT(o->kind, OUTCOME_TRAPPED);
    CHECK_INT(o->trap, TRAP_UNREACHABLE);
    CHECK_TEXT(o->text, "unreachable executed");
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, endless_recursion_through_the_host_is_a_trap)
{
    rig r;
    rig_init(&r);
    const outcome *o = run(&r, "outer", 4, 0);
    CHECK_INT(o->kind, OUTCOME_TRAPPED);
    CHECK_INT(o->trap, TRAP_STACK);
    CHECK_HAS(o->text, "call stack exhausted");
    check_usable(&r);
    rig_fini(&r);
}

/* ---- Slices ---- */

TEST(engine, a_spinning_guest_yields_and_is_killed_in_the_end)
{
    rig r;
    rig_init(&r);
    r.w.yields = true;
    CHECK_INT(begin(&r, "spins", 0, 0), RUN_YIELDED);
    CHECK(r.w.slices >= 1);
    r.w.slices_to_kill = r.w.slices + 3;
    run_state s;
    while ((s = instance_resume(r.i)) == RUN_YIELDED)
        ;
    CHECK_INT(s, RUN_DONE);
    CHECK_INT(r.w.slices, r.w.slices_to_kill);
    CHECK_INT(instance_outcome(r.i)->trap, TRAP_INTERRUPT);
    CHECK_HAS(instance_outcome(r.i)->trace, "spin");
    r.w.slices_to_kill = 0;
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, a_yield_inside_a_nested_call_can_be_resumed_and_cancelled)
{
    rig r;
    rig_init(&r);
    r.w.yields = true;
    CHECK_INT(begin(&r, "outer", 3, 0), RUN_YIELDED);
    CHECK_INT(instance_resume(r.i), RUN_YIELDED);
    instance_cancel(r.i);
    CHECK_INT(r.w.cancelled_frames, 1);
    check_usable(&r);
    CHECK_INT(begin(&r, "spins", 0, 0), RUN_YIELDED);
    rig_fini(&r);
}

TEST(engine, the_ticker_sleeps_while_no_guest_runs_and_wakes_for_one)
{
    rig r;
    rig_init(&r);
    check_usable(&r);
    while (!ticker_sleeping(r.e->ticker))
        usleep(1000);
    r.w.yields = true;
    CHECK_INT(begin(&r, "spins", 0, 0), RUN_YIELDED);
    CHECK(!ticker_sleeping(r.e->ticker));
    rig_fini(&r);
}

TEST(engine, without_interrupts_there_is_no_ticker)
{
    rig r;
    rig_init_with(&r, (engine_options){.no_interrupts = true});
    CHECK(r.e->ticker == NULL);
    check_usable(&r);
    rig_fini(&r);
}

/* ---- Start sections ---- */

TEST(engine, a_start_section_runs_on_the_fiber_with_its_memory_in_reach)
{
    engine *e = engine_make((engine_options){0});
    linked *l = link_text(e, "(module (import \"t\" \"peek\" (func $peek (result i32))) (import \"t\" \"note\" (func $note (param i32)))"
                             "(memory (export \"memory\") 1) (data (i32.const 16) \"\\2a\")"
                             "(func $s (call $note (call $peek))) (start $s)"
                             "(func (export \"f\") (result i32) (call $peek)))");
    rig r = {.e = e, .l = l};
    memset(&r.w, 0, sizeof r.w);
    r.i = instance_make(l, &r.w);
    CHECK_INT(r.w.note, 42);
    run(&r, "f", 0, 0);
    CHECK_INT(r.v[0].i32, 42);
    rig_fini(&r);
}

TEST(engine, a_start_section_that_traps_parks_or_spins_is_an_error)
{
    static const struct {
        const char *body, *text;
    } starts[] = {
        {"unreachable", "its start section stopped: unreachable executed"},
        {"(call $park)", "its start section waits for the host"},
        {"(loop $l (br $l))", "its start section stopped: interrupted"}, /* on_slice never says so here */
    };
    engine *e = engine_make((engine_options){0});
    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        char text[512];
        weir_error err = WEIR_ERROR_INIT;
        world w = {.yields = k == 2};
        snprintf(text, sizeof text, "(module (import \"t\" \"park\" (func $park)) (func $s %s) (start $s))", starts[k].body);
        linked *l = link_text(e, text);
        CHECK_INT(instance_new(&w.self, l, NULL, &w, &err), WEIR_TRAPPED);
        CHECK(w.self == NULL);
        CHECK_HAS(err.text, starts[k].text);
        linked_free(l);
    }
    engine_free(e);
}

/* ---- Memory and limits ---- */

TEST(engine, memory_is_read_in_place_within_its_bounds)
{
    rig r;
    size_t size;
    rig_init(&r);
    uint8_t *base = instance_memory(r.i, &size);
    CHECK_UINT(size, 65536);
    CHECK(instance_at(r.i, 65532, 4) == base + 65532);
    CHECK(instance_at(r.i, 65536, 0) == base + 65536);
    CHECK(instance_at(r.i, 65533, 4) == NULL);
    CHECK(instance_at(r.i, UINT32_MAX, 1) == NULL);
    CHECK(instance_at(r.i, 1, UINT64_MAX) == NULL);
    run(&r, "grow", 1, 0);
    CHECK_INT(r.v[0].i32, 1);
    CHECK(instance_at(r.i, 131068, 4) == base + 131068);
    CHECK(instance_memory(r.i, &size) == base);
    CHECK_UINT(size, 131072);
    rig_fini(&r);
}

TEST(engine, a_memory_grows_to_its_limit_and_no_further)
{
    weir_error err = WEIR_ERROR_INIT;
    rig r;
    rig_init(&r);
    instance_limits limits = {.max_memory = 131072};
    instance_free(r.i);
    CHECK_OK(instance_new(&r.i, r.l, &limits, &r.w, &err));
    run(&r, "grow", 1, 0);
    CHECK_INT(r.v[0].i32, 1);
    run(&r, "grow", 1, 0);
    CHECK_INT(r.v[0].i32, -1);
    linked *l = link_text(r.e, "(module (memory 3))");
    instance *i;
    CHECK_INT(instance_new(&i, l, &limits, NULL, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "memory");
    linked_free(l);
    rig_fini(&r);
}

TEST(engine, a_full_pool_is_an_error_and_a_free_makes_room)
{
    weir_error err = WEIR_ERROR_INIT;
    engine *e = engine_make((engine_options){.max_instances = 4});
    CHECK_UINT(engine_capacity(e), 4);
    linked *l = link_text(e, guest_text);
    world w[4];
    instance *extra;
    for (int k = 0; k < 4; k++)
        instance_make(l, &w[k]);
    CHECK_INT(instance_new(&extra, l, NULL, NULL, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "no room for another instance: 4");
    instance_free(w[0].self);
    instance_make(l, &w[0]);
    for (int k = 0; k < 4; k++)
        instance_free(w[k].self);
    linked_free(l);
    engine_free(e);
}

/* In a process of its own, since a lower limit cannot be raised again. */
static int run_in_little_space(void)
{
    struct rlimit little = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    engine_options o = {.single_thread_compile = true, .on_slice = on_slice}; /* a fork has no other threads */
    weir_error err = WEIR_ERROR_INIT;
    engine *e;
    module *m;
    linked *l;
    rig r = {0};
    if (setrlimit(RLIMIT_AS, &little) || engine_new(&e, &o, &err) || module_compile(&m, e, bytes_of(guest_text), &err) ||
        module_link(&l, m, bind, NULL, &err) || instance_new(&r.i, l, NULL, &r.w, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    run(&r, "add", 20, 22);
    int sum = r.v[0].i32;
    const outcome *o2 = run(&r, "load", 0x20000, 0);
    return sum == 42 && o2->kind == OUTCOME_TRAPPED && o2->trap == TRAP_MEMORY ? 0 : 2;
}

TEST(engine, a_process_with_little_address_space_runs_guests_all_the_same)
{
#ifdef SANITIZED
    test_skip("sanitizers need the address space themselves");
#endif
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(run_in_little_space());
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

/* Uses up the process's mappings, every second page of one area being of another kind. */
TEST(engine, used_up_mappings_are_an_error)
{
    machine m;
    machine_read(&m);
    if (m.max_map_count > 200000)
        test_skip("vm.max_map_count is too high to use it up quickly");
    rig r;
    rig_init_with(&r, (engine_options){.no_pool = true});
    size_t pages = m.max_map_count + 16;
    char *area = mmap(NULL, pages * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) {
        rig_fini(&r);
        test_skip("no address space for it");
    }
    for (size_t k = 0; k < pages; k += 2)
        if (mprotect(area + k * 4096, 4096, PROT_NONE) != 0)
            break;
    weir_error err = WEIR_ERROR_INIT;
    instance *i = NULL;
    weir_code code = instance_new(&i, r.l, NULL, &r.w, &err);
    munmap(area, pages * 4096);
    CHECK_INT(code, WEIR_LIMIT);
    CHECK_HAS(err.text, "vm.max_map_count");
    check_usable(&r);
    rig_fini(&r);
}

/* Leaves fewer than an engine wants to have left, in one area whose every second page is of another kind. NULL: cannot. */
static char *crowd(uint64_t max, size_t *len)
{
    uint64_t pages = max - mappings_now() - MAPPINGS_SPARE / 2;
    *len = pages * 4096;
    char *area = mmap(NULL, *len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    for (size_t k = 0; k < pages; k += 2)
        CHECK_INT(mprotect(area + k * 4096, 4096, PROT_NONE), 0);
    return area;
}

TEST(engine, a_process_full_of_mappings_is_told_how_many_would_do)
{
    machine m;
    rig r;
    machine_read(&m);
    if (m.max_map_count > 200000)
        test_skip("vm.max_map_count is too high to use it up quickly");
    rig_init_with(&r, (engine_options){.no_pool = true});
    size_t len;
    char *area = crowd(m.max_map_count, &len);
    CHECK(area);
    uint32_t taken = 0;
    while (mappings_take(MEMORY_MOST))
        taken += MEMORY_MOST;
    weir_error err = WEIR_ERROR_INIT;
    instance *i;
    CHECK_INT(instance_new(&i, r.l, NULL, &r.w, &err), WEIR_LIMIT);
    uint64_t wanted = mappings_wanted(mappings_now(), POOL_MOST - 1, MEMORY_MOST + STACK_MAPPINGS);
    munmap(area, len);
    mappings_give(taken);
    char text[200];
    snprintf(text, sizeof text, "1 are alive, as many as vm.max_map_count (%llu) allows; 'sysctl vm.max_map_count=%llu' makes room for 20000",
             (unsigned long long)m.max_map_count, (unsigned long long)wanted);
    CHECK_HAS(err.text, text);
    CHECK_OK(instance_new(&i, r.l, NULL, &r.w, &err)); /* counted anew */
    instance_free(i);
    check_usable(&r);
    rig_fini(&r);
}

/* What mappings.c counts with is Wasmtime's doing. */
TEST(engine, instances_on_demand_take_no_more_mappings_than_is_counted)
{
#ifdef SANITIZED
    test_skip("sanitizers have mappings of their own");
#endif
    static const struct {
        const char *data; /* where the memory's data is */
        int most;
        bool fiber;
    } cases[] = {
        {"", MEMORY_LEAST, false},
        {"(data (i32.const 8) \"first page\")", MEMORY_LEAST + 1, false},
        {"(data (i32.const 70000) \"in between\")", MEMORY_MOST, false},
        {"(data (i32.const 70000) \"in between\")", MEMORY_MOST + STACK_MAPPINGS, true},
    };
    enum { N = 50 };
    engine *e = engine_make((engine_options){.no_pool = true, .max_instances = N});
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char text[200];
        instance *i[N];
        weir_error err = WEIR_ERROR_INIT;
        instance_limits limits = {.on_caller = !cases[c].fiber};
        snprintf(text, sizeof text, "(module (memory (export \"memory\") 3) %s (func (export \"f\")))", cases[c].data);
        linked *l = link_text(e, text);
        uint64_t before = mappings_now();
        for (int k = 0; k < N; k++) {
            func f;
            value v[1];
            CHECK_OK(instance_new(&i[k], l, &limits, NULL, &err));
            CHECK(instance_func(i[k], "f", &f));
            instance_call(i[k], &f, v);
            CHECK_INT(instance_resume(i[k]), RUN_DONE);
        }
        uint64_t now = mappings_now();
        CHECK(now - before <= (uint64_t)N * (uint64_t)cases[c].most + 20);
        CHECK(now - before >= (uint64_t)N * MEMORY_LEAST - 20);
        for (int k = 0; k < N; k++)
            instance_free(i[k]);
        linked_free(l);
    }
    engine_free(e);
}

TEST(engine, an_engine_holds_no_more_than_it_was_asked_to)
{
    rig r;
    instance *i;
    rig_init_with(&r, (engine_options){.no_pool = true, .max_instances = 1});
    weir_error err = WEIR_ERROR_INIT;
    CHECK_INT(instance_new(&i, r.l, NULL, &r.w, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "1 are alive, as many as this engine holds");
    check_usable(&r);
    rig_fini(&r);
}

/* A pool is as large as the mappings allow, and says so when it is full. */
TEST(engine, a_full_pool_says_which_setting_would_do)
{
    machine m;
    rig r;
    instance *i;
    machine_read(&m);
    if (m.max_map_count >= pool_mappings(12000))
        test_skip("vm.max_map_count is higher than what would fill this engine");
    rig_init_with(&r, (engine_options){.max_instances = 4});
    weir_error err = WEIR_ERROR_INIT;
    uint32_t live = r.e->live, capacity = r.e->capacity;
    r.e->live = r.e->capacity = 12000; /* making it so large takes long */
    CHECK_INT(instance_new(&i, r.l, NULL, &r.w, &err), WEIR_LIMIT);
    r.e->live = live;
    r.e->capacity = capacity;
    CHECK_HAS(err.text, "12000 are alive");
    CHECK_HAS(err.text, "'sysctl vm.max_map_count=122000' makes room for 20000");
    check_usable(&r);
    rig_fini(&r);
}

TEST(engine, the_pool_fits_the_machine)
{
    char why[POOL_WHY];
    const uint64_t slot = MEMORY_WHOLE + ((uint64_t)32 << 20);
    machine m = {.max_map_count = 65530, .address_space = UINT64_MAX, .memory = (uint64_t)4 << 30};
    CHECK_UINT(pool_size(&m, 0, slot, why), 4000);
    CHECK_TEXT(why, "");
    CHECK_UINT(pool_size(&m, 12000, slot, why), 10588);
    CHECK_HAS(why, "max_map_count");
    m.max_map_count = pool_mappings(20000);
    CHECK_UINT(pool_size(&m, 20000, slot, why), 20000);
    m.max_map_count--;
    CHECK_UINT(pool_size(&m, 20000, slot, why), 19999);
    m.max_map_count = 1048576;
    CHECK_UINT(pool_size(&m, 30000, slot, why), 20000);
    m.address_space = (uint64_t)100 << 30;
    CHECK_UINT(pool_size(&m, 1000, slot, why), 18);
    CHECK_HAS(why, "ulimit -v");
    m.address_space = (uint64_t)1 << 30;
    CHECK_UINT(pool_size(&m, 1000, slot, why), 0);
    CHECK_UINT(pool_reservation(&m, 1 << 20), 1 << 20);
    m.address_space = UINT64_MAX;
    m.strict_overcommit = true;
    CHECK(pool_size(&m, 1000, slot, why) < 1000);
}

TEST(engine, without_a_pool_all_is_the_same)
{
    rig r;
    rig_init_with(&r, (engine_options){.no_pool = true});
    check_usable(&r);
    CHECK_INT(begin(&r, "outer", 5, 0), RUN_PARKED);
    instance_cancel(r.i);
    CHECK_INT(run(&r, "deep", 0, 0)->trap, TRAP_STACK);
    check_usable(&r);
    rig_fini(&r);
}

/* ---- Threads ---- */

static void *use_from_another_thread(void *arg)
{
    rig r = *(rig *)arg;
    bool *done = (bool *)r.w.other;
    memset(&r.w, 0, sizeof r.w);
    weir_error err = WEIR_ERROR_INIT;
    if (instance_new(&r.i, r.l, NULL, &r.w, &err) || !instance_func(r.i, "inner", &r.w.inner))
        return NULL;
    r.w.self = r.i;
    func f;
    instance_func(r.i, "outer", &f);
    *done = true;
    for (int k = 0; k < 2000 && *done; k++) {
        r.v[0].i32 = 1;
        instance_call(r.i, &f, r.v);
        *done = instance_resume(r.i) == RUN_PARKED && instance_resume(r.i) == RUN_DONE && r.v[0].i32 == 101;
    }
    instance_free(r.i);
    return NULL;
}

TEST(engine, threads_share_a_module_and_keep_their_instances)
{
    rig r;
    rig_init(&r);
    pthread_t threads[2];
    bool done[2] = {false, false};
    rig copies[2] = {r, r};
    for (int k = 0; k < 2; k++) {
        copies[k].w.other = (instance *)(void *)&done[k];
        CHECK_INT(pthread_create(&threads[k], NULL, use_from_another_thread, &copies[k]), 0);
    }
    for (int k = 0; k < 2; k++)
        pthread_join(threads[k], NULL);
    CHECK(done[0] && done[1]);
    rig_fini(&r);
}

/* ---- Modules and linking ---- */

TEST(engine, a_module_tells_its_imports_and_exports)
{
    weir_error err = WEIR_ERROR_INIT;
    engine *e = engine_make((engine_options){0});
    module *m = NULL;
    char text[1024] = "(module (import \"t\" \"vector\" (func (param v128) (result v128)))"
                      "(import \"t\" \"ref\" (func (param funcref)))"
                      "(import \"m\" \"\" (memory 1)) (import \"m\" \"g\" (global i32)) (import \"m\" \"t\" (table 1 funcref))"
                      "(func (export \"f\") (param i32 i64 f32 f64)) (func (export \"long\") (param";
    for (int k = 0; k < 100; k++)
        strcat(text, " i64");
    strcat(text, ")))");
    CHECK_OK(module_compile(&m, e, bytes_of(text), &err));
    CHECK_UINT(module_import_count(m), 5);
    CHECK_TEXT(module_import(m, 0)->type, "V(V)");
    CHECK_TEXT(module_import(m, 1)->type, "(r)");
    CHECK_INT(module_import(m, 2)->kind, EXTERN_MEMORY);
    CHECK_INT(module_import(m, 3)->kind, EXTERN_GLOBAL);
    CHECK_INT(module_import(m, 4)->kind, EXTERN_TABLE);
    CHECK_BYTES(module_import(m, 3)->name, BYTES("g"));
    CHECK_TEXT(module_find_export(m, "f")->type, "(iIfF)");
    CHECK_UINT(strlen(module_find_export(m, "long")->type), ENGINE_TYPE_SIZE - 1);
    CHECK_HAS(module_find_export(m, "long")->type, "III...");
    CHECK(module_find_export(m, "F") == NULL);
    CHECK(module_export(m, 2) == NULL);
    CHECK(module_compile_ns(m) > 0);
    module_unref(m);
    engine_free(e);
}

TEST(engine, an_import_that_cannot_be_bound_is_named)
{
    static const struct {
        const char *import, *text;
    } bad[] = {
        {"(import \"t\" \"absent\" (func (param i32)))", "import 'absent' of 't' with type (i) is not offered here"},
        {"(import \"env\" \"park\" (func))", "import 'park' of 'env' with type () is not offered here"},
        {"(import \"t\" \"park\" (func (param i32 i32)))", "import 'park' of 't' has type () here, but the module declares (ii)"},
        {"(import \"t\" \"park\" (memory 1))", "import 'park' of 't' is a memory; a host offers functions only"},
    };
    engine *e = engine_make((engine_options){0});
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char text[256];
        weir_error err = WEIR_ERROR_INIT;
        module *m = NULL;
        linked *l = NULL;
        int asked = 0;
        snprintf(text, sizeof text, "(module %s (import \"t\" \"note\" (func (param i32))))", bad[k].import);
        CHECK_OK(module_compile(&m, e, bytes_of(text), &err));
        CHECK_INT(module_link(&l, m, bind, &asked, &err), WEIR_INVALID);
        CHECK_TEXT(err.text, bad[k].text);
        CHECK_INT(asked, 2);
        CHECK(l == NULL);
        module_unref(m);
    }
    engine_free(e);
}

TEST(engine, the_same_function_may_be_imported_twice)
{
    engine *e = engine_make((engine_options){0});
    linked *l = link_text(e, "(module (import \"t\" \"note\" (func $a (param i32))) (import \"t\" \"note\" (func $b (param i32)))"
                             "(func (export \"f\") (call $a (i32.const 1)) (call $b (i32.const 2))))");
    rig r = {.e = e, .l = l};
    r.i = instance_make(l, &r.w);
    CHECK_INT(run(&r, "f", 0, 0)->kind, OUTCOME_RETURNED);
    CHECK_INT(r.w.note, 2);
    rig_fini(&r);
}

TEST(engine, what_is_no_module_is_told_for_what_it_is)
{
    static const struct {
        bytes file;
        const char *text;
    } files[] = {
        {{"", 0}, "it is empty"},
        {BYTES("\0asm\x0d\0\1\0"), "this is a component"},
        {BYTES("\0asm\2\0\0\0"), "version 2, layer 0"},
        {BYTES("\0as"), "truncated: the file ends in the header"},
        {BYTES("\0asm\1\0\0\0\1"), "truncated: the file ends after 9 octets, inside the section that starts at 8"},
        {BYTES("\0asm\1\0\0\0\1\x90\1\1"), "truncated: the section at octet 8 needs 144 octets and the file has 1 more"},
        {BYTES("\0asm\1\0\0\0\1\xff\xff\xff\xff\xff\1"), "damaged: at octet 8 the size of a section is no number"},
        {BYTES("\0asm\1\0\0\0\x7f\0"), "damaged: at octet 8 a section has the unknown id 127"},
        {BYTES("\177ELF\2\1\1"), "a native program or library (ELF)"},
        {BYTES("\x1f\x8b\x08\0"), "compressed with gzip; unpack it first"},
        {BYTES("<!DOCTYPE html>"), "a web page"},
        {BYTES("{\"wasm\": []}"), "JSON"},
        {BYTES("package main\n\nimport"), "text, starting with 'package main??import'"},
        {BYTES("\xff\xfe\1"), "it starts with ff fe 01 00 instead of 00 61 73 6d"},
        {BYTES("\0asm\1\0\0\0\1\1\x05"), "not a valid module: "},
        {BYTES("(module (func (nonsense)))"), "not valid WebAssembly text: "},
        {BYTES("(module (func (result i32)))"), "not a valid module: "},
    };
    engine *e = engine_make((engine_options){0});
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        weir_error err = WEIR_ERROR_INIT;
        module *m = NULL;
        CHECK_INT(module_compile(&m, e, files[k].file, &err), WEIR_INVALID);
        CHECK_HAS(err.text, files[k].text);
        CHECK(m == NULL);
    }
    engine_free(e);
}

TEST(engine, constructors_survive_any_failed_allocation)
{
    engine_options o = {.max_instances = 4, .on_slice = on_slice};
    world w = {0};
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        engine *e = NULL;
        module *m = NULL;
        linked *l = NULL;
        instance *i = NULL;
        weir_code code;
        (void)((code = engine_new(&e, &o, &err)) || (code = module_compile(&m, e, bytes_of(guest_text), &err)) ||
               (code = module_link(&l, m, bind, NULL, &err)) || (code = instance_new(&i, l, NULL, &w, &err)));
        if (code)
            CHECK(*err.text);
        instance_free(i);
        linked_free(l);
        module_unref(m);
        engine_free(e);
    }
}

TEST(engine, a_trap_survives_any_failed_allocation)
{
    rig r;
    rig_init(&r);
    FAULT_SWEEP(alloc) {
        const outcome *o = run(&r, "fails", 0, 0);
        CHECK_INT(o->kind, OUTCOME_TRAPPED);
        CHECK(*o->text);
    }
    check_usable(&r);
    rig_fini(&r);
}

/* ---- TOML ---- */

TEST(toml, a_document_becomes_json)
{
    weir_error err = WEIR_ERROR_INIT;
    buf out;
    buf_init(&out, 1 << 20);
    CHECK_OK(toml_to_json(&out, BYTES("allowed_hosts = [\"a.example\"]\n[config]\nkey = 'v'\n"), &err));
    CHECK_BYTES(buf_bytes(&out), BYTES("{\"allowed_hosts\":[\"a.example\"],\"config\":{\"key\":\"v\"}}"));
    buf_fini(&out);
}

TEST(toml, an_error_says_where_and_what)
{
    weir_error err = WEIR_ERROR_INIT;
    buf out;
    buf_init(&out, 8);
    CHECK_INT(toml_to_json(&out, BYTES("a = 1\nb = \n"), &err), WEIR_INVALID);
    CHECK_HAS(err.text, "not valid TOML: line 2, column ");
    CHECK_INT(toml_to_json(&out, BYTES("a = \"\xff\""), &err), WEIR_INVALID);
    CHECK_HAS(err.text, "not valid TOML: ");
    CHECK_INT(toml_to_json(&out, BYTES("a = 'longer than the buffer'"), &err), WEIR_LIMIT);
    buf_fini(&out);
}
