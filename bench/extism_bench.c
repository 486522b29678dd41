/* An Extism call of an export that returns 0: exchange memory emptied, the export run, the outcome read.
 * What it takes in CPU time of the thread, the best of several rounds, and how often it allocates: our
 * code and the engine are counted apart (the archive for tests calls malloc by other names).
 *
 * `extism_bench --json` prints one JSON object instead of the table. */
#include "bench/bench.h"
#include "extism/guest.h"

#define ROUNDS 9
#define CALLS 200000

static const char guest_text[] = "(module (memory (export \"memory\") 1) (func (export \"zero\") (result i32) (i32.const 0)))";

static uint64_t ours, engines;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *rust_malloc(size_t n);
void *rust_calloc(size_t n, size_t size);
void *rust_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    ours++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    ours++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    ours++;
    return __real_realloc(p, n);
}

void *rust_malloc(size_t n)
{
    __atomic_add_fetch(&engines, 1, __ATOMIC_RELAXED); /* its threads allocate, too */
    return __real_malloc(n);
}

void *rust_calloc(size_t n, size_t size)
{
    __atomic_add_fetch(&engines, 1, __ATOMIC_RELAXED);
    return __real_calloc(n, size);
}

void *rust_realloc(void *p, size_t n)
{
    __atomic_add_fetch(&engines, 1, __ATOMIC_RELAXED);
    return __real_realloc(p, n);
}

static void bind(void *arg, const module_extern *import, binding *out)
{
    (void)arg;
    guest_bind(import, out);
}

static slice_verdict go_on(void *guest)
{
    (void)guest;
    return SLICE_CONTINUE;
}

static void call(guest *g)
{
    guest_call(g, "zero", BYTES("{}"));
    while (guest_step(g) != RUN_DONE)
        ;
    if (guest_result(g)->code != WEIR_OK)
        give_up("the call failed: %s", guest_result(g)->why);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    static const guest_ops ops;
    weir_error err = WEIR_ERROR_INIT;
    engine_options options = {.max_instances = 8, .on_slice = go_on};
    engine *e;
    module *m;
    linked *l;
    manifest *plain;
    guest *g;
    if (engine_new(&e, &options, &err) || module_compile(&m, e, bytes_of(guest_text), &err) || module_link(&l, m, bind, NULL, &err) ||
        manifest_read(&plain, BYTES("{\"wasm\":[{\"path\":\"x\"}]}"), &err) ||
        guest_new(&g, l, &(guest_options){.manifest = plain, .ops = &ops, .name = "bench"}, &err))
        give_up("%s", err.text);
    call(g); /* makes what is made once */
    uint64_t ours_before = ours, engines_before = engines;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = clock_s(CLOCK_THREAD_CPUTIME_ID);
        for (int i = 0; i < CALLS; i++)
            call(g);
        double took = clock_s(CLOCK_THREAD_CPUTIME_ID) - start;
        best = took < best ? took : best;
    }
    double each = best / CALLS * 1e9, total = (double)ROUNDS * CALLS;
    double ours_each = (double)(ours - ours_before) / total, engines_each = (double)(engines - engines_before) / total;
    if (json)
        printf("{\"call_ns\": %.1f, \"allocations_ours\": %.4f, \"allocations_engine\": %.4f}\n", each, ours_each, engines_each);
    else
        printf("guest_call of an export that returns 0   %.1f ns   allocations: %.4f ours, %.4f the engine's   aim <= 500 ns, 0 of ours\n", each, ours_each, engines_each);
    guest_free(g);
    manifest_free(plain);
    linked_free(l);
    module_unref(m);
    engine_free(e);
    return 0;
}
