/* engine.h: WebAssembly and nothing else. Behind it is Wasmtime; no file outside this folder (but
 * its benchmark) includes its headers.
 *
 *   engine    one for a process or a host: settings, pool, the thread that ticks. Thread-safe.
 *   module    compiled code; shared between threads and instances; compile on a worker
 *   linked    a module with every import bound to a C function; made once, instantiated often
 *   instance  one memory, one set of globals, one fiber. One thread for life.
 *
 * A guest runs on its instance's own fiber. A host function may suspend it with instance_park; the
 * loop goes on and later continues it with instance_resume. The fiber is made at the first call and
 * serves all calls of the instance, so a call allocates nothing.
 *
 *     instance_call(i, &f, values);          // prepares
 *     switch (instance_resume(i)) {          // runs until it ends, parks, or its slice is over
 *     case RUN_DONE:    o = instance_outcome(i); ...
 *     case RUN_PARKED:  // wait for what it waits for, then instance_resume again
 *     case RUN_YIELDED: // put it at the end of the run queue, then instance_resume again
 *     }
 *
 * C code that runs on the fiber (host functions) has 512 KiB of stack, holds no lock and keeps no
 * thread-local pointer across a park. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct engine engine;
typedef struct module module;
typedef struct linked linked;
typedef struct instance instance;
typedef struct trap trap; /* why a guest stops; made by trap_new, owned by whoever it is returned to */

/* A wasm value. Parameters and results of a call share one array, from index 0. */
typedef union value {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    uint8_t v128[16];
} value;

/* Function types as text: "i" i32, "I" i64, "f" f32, "F" f64, "V" v128, "r" a reference;
 * results, then parameters in brackets: "I(Ii)" takes i64, i32 and gives i64; "()" neither. */
#define ENGINE_TYPE_SIZE 72

/* ---- Engine ---- */

typedef enum slice_verdict {
    SLICE_CONTINUE, /* go on for one more tick */
    SLICE_YIELD,    /* suspend: instance_resume answers RUN_YIELDED */
    SLICE_KILL,     /* stop it: the call ends with TRAP_INTERRUPT */
} slice_verdict;

typedef struct engine_options {
    uint32_t max_instances;     /* size of the pool, at most 20,000; 0: 4,000, or what the machine allows. A pool costs
                                   2.5 us a place at the start: a command that runs one plugin asks for a few. Without
                                   a pool, what may be alive at most; 0: 20,000 */
    uint64_t max_memory;        /* one linear memory, octets; 0: 256 MiB */
    uint32_t tick_ms;           /* length of a tick; 0: 5 */
    bool no_pool;               /* allocate on demand: for valgrind and small programs */
    bool no_interrupts;         /* no ticks at all: faster loops, no CPU limit (an AOT file of its own) */
    bool by_hand;               /* no thread that ticks: engine_tick does */
    bool fuel;                  /* guests use fuel up, see instance_limits (an AOT file of its own) */
    bool single_thread_compile; /* always so in a build for ThreadSanitizer */
    /* Asked at every tick while `guest` runs (not while it is parked). NULL: SLICE_YIELD always. */
    slice_verdict (*on_slice)(void *guest);
} engine_options;

/* WEIR_SYSTEM: the kernel refuses the address space; the text says which limit to raise. */
weir_code engine_new(engine **out, const engine_options *options, weir_error *err);
void engine_free(engine *e);               /* after everything that came from it */
uint32_t engine_capacity(const engine *e); /* live instances at most */
void engine_tick(engine *e);               /* on_slice is asked soon by every guest that runs. Thread-safe */
const char *engine_name(void);             /* "wasmtime 48.0.8" */

/* ---- Module ---- */

typedef enum extern_kind { EXTERN_FUNC,
                           EXTERN_MEMORY,
                           EXTERN_GLOBAL,
                           EXTERN_TABLE,
                           EXTERN_OTHER } extern_kind;

typedef struct module_extern {
    bytes module; /* imports only */
    bytes name;
    extern_kind kind;
    char type[ENGINE_TYPE_SIZE]; /* functions only; "" otherwise. Cut with "..." where too long. */
} module_extern;

/* Compiles. May take seconds: call it on a worker. `wasm` is binary or, if it starts with "(" or
 * ";;", text. WEIR_INVALID: not a module, and the text says what it is instead (a component, a
 * truncated file, something else) and where it breaks. */
weir_code module_compile(module **out, engine *e, bytes wasm, weir_error *err);

/* How much there is to compile in a binary module, read from its outside in no time: the octets of its code, its functions, and
 * the longest of them. What is no whole module has less than it says. */
typedef struct module_size {
    uint64_t code;
    uint32_t functions, longest;
} module_size;
module_size module_measure(bytes wasm);

/* The same through the cache of compiled files in `folder` (made if missing, mode 0700; refused if
 * others may write there): mapped in under a millisecond when known, compiled and stored otherwise.
 * A corrupt, foreign or stale file is compiled anew, never trusted. A cache that cannot be written
 * (no disk) is not an error: *cached says what happened, and the log says why. */
typedef enum cache_result { CACHE_HIT,
                            CACHE_STORED,
                            CACHE_OFF } cache_result;
weir_code module_load(module **out, engine *e, bytes wasm, const char *folder, cache_result *cached, weir_error *err);

/* The module in the file `path`, when its compiled file is there: the module itself is read for its digest only, piece
 * by piece, and not kept. False, whatever the reason: load it, which says why if that fails, too. */
bool module_known(module **out, engine *e, const char *path, const char *folder);

module *module_ref(module *m);
void module_unref(module *m); /* NULL is fine; thread-safe */
size_t module_import_count(const module *m);
const module_extern *module_import(const module *m, size_t i);
size_t module_export_count(const module *m);
const module_extern *module_export(const module *m, size_t i);
const module_extern *module_find_export(const module *m, const char *name); /* NULL if none */
size_t module_wasm_size(const module *m);
uint64_t module_compile_ns(const module *m); /* 0 when it came from the cache */

/* ---- Linking ---- */

/* A host function. `env` belongs to the binding, `guest` to the instance. Results go to v[0...].
 * Returning a trap ends the guest's call. */
typedef trap *(*host_fn)(void *env, void *guest, value *v);

/* The same for what guests call all the time, with nothing of ours between: it works on instance_near and raises its
 * trap itself. For one that neither parks, nor calls the guest, nor looks at linear memory. */
typedef void *(*direct_fn)(void *, void *, value *v, size_t n);
extern __thread void *instance_near __attribute__((tls_model("initial-exec"))); /* that of the guest which runs here */
void *instance_raise(trap *t);                                                  /* to be returned; takes the trap */

typedef struct binding {
    host_fn fn;       /* NULL: this import is not offered */
    direct_fn direct; /* called in place of fn, unless NULL */
    void *env;
    char type[ENGINE_TYPE_SIZE]; /* the type that fn has */
} binding;

/* Asked once for each import, in order. */
typedef void (*bind_fn)(void *arg, const module_extern *import, binding *out);

/* WEIR_INVALID: an import is not offered, or has another type, or is no function; the text names
 * module, name, both types. Every import is asked for; the first failure is reported. */
weir_code module_link(linked **out, module *m, bind_fn bind, void *arg, weir_error *err);
void linked_free(linked *l); /* instances of it may live on */

/* The same for a module that imports from others, which are parts of the same instance. A part comes behind
 * those that it imports from; what is not imported from a part is asked of `bind`. A part with `_start` and
 * without `_initialize` is made anew for each call of an export of its; `_initialize` of another one runs once, when
 * the instance is made. Only functions of the module itself are found by instance_func. */
typedef struct module_part {
    const char *name;
    module *module;
} module_part;
weir_code module_link_parts(linked **out, module *m, const module_part *parts, size_t count, bind_fn bind, void *arg, weir_error *err);

/* ---- Instance ---- */

typedef struct instance_limits {
    uint64_t max_memory;   /* linear memory, octets; growth beyond answers -1. 0: the engine's */
    uint32_t max_elements; /* of a table; 0: 1,000,000 */
    bool on_caller;        /* no fiber: it runs on its caller's stack, on any thread, one at a time, and cannot park */
    uint64_t fuel;         /* at birth, where the engine counts it */
    void *near;            /* what its direct functions work on */
} instance_limits;

/* Instantiates. A start section runs here, on a fiber, with *out set already (its imports may want
 * it); it must not park, and is stopped after 400 ticks. WEIR_LIMIT: the pool or the machine's
 * mappings are used up. WEIR_TRAPPED: the start section trapped. */
weir_code instance_new(instance **out, linked *l, const instance_limits *limits, void *guest, weir_error *err);

/* Ends it in any state but running: a parked guest is unwound first (its instance_park answers a
 * trap). Never from inside a host function of this instance. */
void instance_free(instance *i);

/* A function of the instance, looked up once. */
typedef struct func {
    uint64_t handle[2];          /* the engine's own */
    const module_extern *export; /* its name and type; of the module, which outlives its instances */
    uint32_t slots;              /* values that a call needs: the larger of parameters and results */
} func;

bool instance_func(instance *i, const char *name, func *out); /* false: no such function export */

void instance_refuel(instance *i, uint64_t fuel);
uint64_t instance_fuel(instance *i); /* what is left of it */

/* Its linear memory now. The base never moves; the size grows, so ask again after guest code ran. */
uint8_t *instance_memory(instance *i, size_t *size); /* NULL, 0 if it exports none */

/* Reads `len` octets at `at` of linear memory in place, or NULL when they are not all there. */
void *instance_at(instance *i, uint32_t at, uint64_t len);

/* ---- Calls ---- */

typedef enum run_state { RUN_DONE,
                         RUN_PARKED,
                         RUN_YIELDED } run_state;

typedef enum outcome_kind {
    OUTCOME_RETURNED,
    OUTCOME_TRAPPED, /* text: reason; trace: the guest's back-trace */
    OUTCOME_EXITED,  /* by trap_exit; code */
    OUTCOME_CANCELLED,
} outcome_kind;

typedef enum trap_kind {
    TRAP_HOST, /* made by trap_new */
    TRAP_STACK,
    TRAP_MEMORY,
    TRAP_TABLE,
    TRAP_INDIRECT,
    TRAP_ARITHMETIC,
    TRAP_UNREACHABLE,
    TRAP_INTERRUPT, /* SLICE_KILL */
    TRAP_OTHER,
} trap_kind;

typedef struct outcome {
    outcome_kind kind;
    trap_kind trap;
    int32_t exit_code;
    const char *text;  /* one line; owned by the instance until its next call */
    const char *trace; /* one frame a line, "  0: 0x1977 woox.wasm!main.parse"; "" if none */
} outcome;

/* Prepares a call; nothing runs yet. `v` (parameters in, results out) must stay until it ends.
 * The instance must be idle. */
void instance_call(instance *i, const func *f, value *v);
run_state instance_resume(instance *i);
const outcome *instance_outcome(const instance *i); /* after RUN_DONE */

/* When a call has returned, `next` is asked on the fiber before the loop is: true, and it has prepared another
 * by instance_call, which runs at once. So a chain of calls costs no resume and no park in between. It may
 * neither park nor free the instance. */
void instance_on_returned(instance *i, bool (*next)(void *guest));
bool instance_idle(const instance *i);

/* Unwinds a parked or yielded call: every instance_park on its fiber answers a trap, the outcome is
 * OUTCOME_CANCELLED. The guest's state is torn; free the instance soon. */
void instance_cancel(instance *i);

/* From inside a host function: suspends the guest until the next instance_resume. A non-NULL answer
 * means that the call is being cancelled: clean up and return it at once, never park again. */
trap *instance_park(instance *i);

/* From inside a host function: gives back the memory that calls deeper than its caller touched on the
 * fiber, a dialling library's for one, which a guest that waits for long would keep. A system call. */
void instance_trim_stack(void);

/* From inside a host function: calls another export, on the same fiber, and comes back. NULL:
 * returned; otherwise its trap, which is the caller's to return or to trap_free. */
trap *instance_call_nested(instance *i, const func *f, value *v);

trap *trap_new(const char *format, ...) PRINTF_LIKE(1, 2);
trap *trap_outside(const char *format, ...) PRINTF_LIKE(1, 2); /* memory out of bounds, as if the guest's own code had done it */
trap *trap_exit(int32_t code);                                 /* proc_exit */
const char *trap_text(const trap *t);
bool trap_exit_code(const trap *t, int32_t *code); /* true if it is an exit */
void trap_free(trap *t);

#endif
