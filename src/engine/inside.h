/* Shared by the files of this folder only: what engine.h hides, and Wasmtime's headers.
 *
 *   engine.c    settings, pool, life of an engine       module.c    compile, imports and exports
 *   pool.c      how many instances the machine can hold wasm.c      what a file is, if not a module
 *   mappings.c  what is left for instances without one
 *   ticker.c    the thread that counts ticks            aot.c       the folder of compiled files
 *   link.c      imports bound to C functions            trap.c      why a guest stopped, in words
 *   parts.c     several modules in one instance
 *   instance.c  the fiber and everything that runs on it */
#ifndef ENGINE_INSIDE_H
#define ENGINE_INSIDE_H

#include <wasmtime.h>

#include "engine/engine.h"
#include "engine/ticker.h"

/* A host function on a fiber has what the guest leaves of this; see instance_call_nested. */
#define FIBER_STACK ((size_t)1536 << 10)
#define GUEST_STACK ((size_t)512 << 10)

struct engine {
    wasm_engine_t *wasm;
    wasmtime_linker_t *own; /* "weir" "fiber" and "park": the two functions that no guest imports */
    ticker *ticker;         /* NULL without interrupts */
    slice_verdict (*on_slice)(void *guest);
    uint64_t max_memory;
    uint64_t reserved; /* address space of one linear memory */
    uint32_t capacity; /* instances, whatever else ends them */
    uint32_t live;     /* atomic */
    bool pooled;
    bool interrupts, fuel;
    char settings[40]; /* what changes compiled code, as text; part of a cache key */
};

struct module {
    engine *engine;
    wasmtime_module_t *wasm;
    module_extern *imports, *exports;
    size_t import_count, export_count;
    char *names; /* what the bytes in both lists point into */
    size_t wasm_size;
    uint64_t compile_ns;
    int refs;
    bool has_start;
};

/* One import and its function; Wasmtime hands it back at each call. */
typedef struct bound {
    host_fn fn;
    direct_fn direct;
    void *env;
} bound;

/* Kept by every instance made from it, since its `bound` are called by them. */
struct linked {
    module *module;
    wasmtime_instance_pre_t *pre; /* NULL where it has parts */
    bound *bound;
    struct part *parts;
    size_t part_count;
    int refs;
};

/* ---- trap.c ---- */

/* Takes what a call ended with (one of the two, or both NULL: answers NULL) and says it in our
 * words. `host` is the trap that a host function returned meanwhile, or NULL; it is taken too. */
trap *trap_take(trap *host, wasm_trap_t *wasm, wasmtime_error_t *error);
trap *trap_with_kind(trap_kind kind, const char *text);
trap_kind trap_kind_of(const trap *t);
const char *trap_trace(const trap *t);

/* The first line of an error of Wasmtime's, as the text behind `code`; frees it. */
weir_code error_from_wasmtime(weir_error *err, weir_code code, wasmtime_error_t *error);

/* ---- wasm.c: what a file is ---- */

/* WEIR_INVALID unless the octets can be a core module as a whole: tells a component, a truncated
 * file, and what else people hand in (ELF, gzip, HTML ...), each with its cure. */
weir_code wasm_check(bytes wasm, bool *has_start, weir_error *err);
bool wasm_is_text(bytes wasm);

/* ---- pool.c: what the machine can hold ---- */

typedef struct machine {
    uint64_t max_map_count; /* mappings of one process */
    uint64_t address_space; /* RLIMIT_AS, octets; UINT64_MAX: no limit */
    uint64_t memory;        /* octets of RAM */
    bool strict_overcommit; /* vm.overcommit_memory is 2 */
} machine;

#define POOL_WHY 80
#define POOL_MOST 20000 /* instances */

void machine_read(machine *m);

/* With 4 GiB reserved a 32-bit address needs no check and the memory never moves. Where address
 * space is short, only as much is reserved as a memory may take; then code checks, and is slower. */
#define MEMORY_WHOLE ((uint64_t)4 << 30)
uint64_t pool_reservation(const machine *m, uint64_t max_memory);

/* What vm.max_map_count has to be for so many instances. */
uint64_t pool_mappings(uint32_t instances);

/* The size of the pool for `wanted` instances (0: as many as sensible), or 0: no pool at all. `why` is what
 * made it smaller than wanted, "" if nothing did. */
uint32_t pool_size(const machine *m, uint32_t wanted, uint64_t memory_slot, char why[POOL_WHY]);

/* ---- mappings.c: where there is no pool ---- */

#define MAPPINGS_SPARE 1000 /* for the program's threads and large blocks */
#define MEMORY_MOST 4       /* mappings of a linear memory: what is before, in and behind its data, and what it may grow into */
#define MEMORY_LEAST 2
#define STACK_MAPPINGS 2 /* of a fiber: its guard, too */

bool mappings_take(uint32_t n);
void mappings_give(uint32_t n);
uint64_t mappings_now(void);

/* What vm.max_map_count has to be for `more` instances that take up to `each`, beside the `now` mappings that there are. */
uint64_t mappings_wanted(uint64_t now, uint32_t more, uint32_t each);

/* ---- module.c ---- */

weir_code module_wrap(module **out, engine *e, wasmtime_module_t *wasm, size_t size, bool has_start, weir_error *err);
void functype_text(char out[ENGINE_TYPE_SIZE], const wasm_functype_t *type);

/* ---- link.c ---- */

/* Asks for every import of `m` that is from no part of `l`, whatever happens, and keeps the first failure. */
weir_code link_bind(const linked *l, module *m, bound *bounds, bind_fn bind, void *arg, weir_error *err);
wasmtime_error_t *link_define(const linked *l, wasmtime_linker_t *linker, module *m, bound *bounds, wasmtime_func_unchecked_callback_t enter);
void linked_unref(linked *l);

/* ---- parts.c ---- */

typedef struct part {
    char *name;
    module *module;
    bound *bound; /* by its imports */
} part;

bool parts_offer(const linked *l, bytes module);
wasmtime_error_t *parts_instantiate(const linked *l, wasmtime_context_t *cx, wasmtime_instance_t *out, wasm_trap_t **trap);
void parts_free(linked *l);

/* ---- instance.c ---- */

/* Both have Wasmtime's signatures and are defined in the engine's own linker. */
wasm_trap_t *fiber_main(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n);
void fiber_park(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t nargs, wasmtime_val_t *results,
                size_t nresults, wasm_trap_t **trap_out, wasmtime_async_continuation_t *next);
/* Every import of every guest: `env` is its `bound`. */
wasm_trap_t *host_enter(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n);
/* The same for a module with a start section, whose imports may be called before it is all there. */
wasm_trap_t *host_enter_early(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n);
/* The same for an instance of several modules, each with a memory of its own. */
wasm_trap_t *host_enter_part(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n);

#endif
