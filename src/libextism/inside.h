/* inside.h: what the files of libextism share. Extism's C interface (extism.h) over guests: no engine of its own.
 *
 *   plugin.c     a plugin's life, and its settings          call.c       one call and what became of it
 *   compiled.c   manifest to code that plugins share        functions.c  the program's host functions
 *   process.c    the engines of a process and its cache     stop.c       time limits and cancelling
 *   fetch.c      HTTP, for plugins and for modules          logs.c       where log lines go
 *   texts.c      errors in Extism's words                late.c         libcurl, opened when it is first wanted
 *
 * A plugin's lock is held while it is called and while its error is asked for; who asks for its output waits for a call
 * that runs. Everything else about it is the caller's business, as upstream. */
#ifndef LIBEXTISM_INSIDE_H
#define LIBEXTISM_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#pragma GCC visibility push(default)
#include <extism.h>
#pragma GCC visibility pop

#include "extism/guest.h"

/* ---- Host functions ---- */

typedef struct function function;
/* What was registered, taken out of its shell; NULL-terminated nowhere, so count it. */
typedef struct functions {
    function **list;
    size_t count;
} functions;

/* False: *why is the reason. What was taken before it stays taken. */
bool functions_take(functions *out, const ExtismFunction **given, size_t count, const char **why);
void functions_free(functions *f);
function *functions_find(const functions *f, bytes module, bytes name); /* the last of that name; NULL */
const char *function_type(const function *f);
trap *function_enter(void *env, void *self, value *v);

/* ---- Code ---- */

struct ExtismCompiledPlugin {
    atomic_int refs;
    engine *engine;
    manifest *manifest;
    functions functions;
    linked *linked; /* NULL until it is first wanted */
    pthread_mutex_t lock;
    module **modules;
    size_t module_count, main;
    bool wasi, fueled, command;
    uint64_t fuel;
};

/* NULL: *errmsg (if there is one) is the whole text. */
ExtismCompiledPlugin *compiled_new(const uint8_t *wasm, uint64_t size, const ExtismFunction **given, uint64_t count, bool wasi,
                                   const uint64_t *fuel, char **errmsg);
weir_code compiled_link(ExtismCompiledPlugin *c, buf *why); /* `why` in Extism's words */
void compiled_unref(ExtismCompiledPlugin *c);

/* ---- Stopping ---- */

/* What a call can be stopped by: a time limit, or somebody who cancels. */
struct ExtismCancelHandle {
    engine *engine;
    atomic_uint running; /* number of the call that runs; 0: none does */
    atomic_uint stopped; /* number of the call that shall stop */
    unsigned last;
    bool limited; /* the call that runs has a limit */
    pthread_mutex_t lock;
    pthread_cond_t wake;                    /* for a guest that sleeps */
    uint64_t deadline;                      /* clock_mono; UINT64_MAX: none */
    struct ExtismCancelHandle *next, *prev; /* in the list of deadlines */
};
typedef struct ExtismCancelHandle stop;

void stop_init(stop *s, engine *e);
void stop_fini(stop *s);
bool stop_begin(stop *s, uint64_t timeout_ms); /* MANIFEST_NO_LIMIT: none. False: no thread to watch it; stop_end all the same */
void stop_end(stop *s);
static inline bool stop_asked(const stop *s)
{
    unsigned n = atomic_load_explicit(&s->stopped, memory_order_relaxed);
    return n && n == s->last;
}
bool stop_sleep(stop *s, uint64_t deadline); /* false: it is to stop */

/* ---- Plugins ---- */

struct ExtismPlugin {
    pthread_mutex_t lock;
    atomic_uintptr_t owner; /* the thread that is inside a call */
    atomic_uint turn;       /* counts takings and givings back of the lock: odd while somebody has it */
    ExtismCompiledPlugin *compiled;
    manifest *policy; /* of its own, since its config changes */
    guest *guest;     /* NULL: to be made by the next call */
    stop stop;
    void *context;
    trap *failed;             /* what a host function left, extism_weir_fail */
    buf error;                /* with its NUL */
    bool has_error, by_guest; /* by_guest: it is the guest's own text, which stays until the next call */
    bool started_over, headers, stdio;
    _Atomic(const uint8_t *) output; /* written under the lock, read without (call.c) */
    atomic_uint_least64_t output_len;
    uint8_t id[16];
    char id_text[37];
};

weir_code plugin_guest(ExtismPlugin *p, buf *why); /* makes its guest unless there is one */
bool plugin_enter(ExtismPlugin *p);                /* false: this thread is inside a call of it */
void plugin_leave(ExtismPlugin *p);
void plugin_error(ExtismPlugin *p, const char *format, ...) PRINTF_LIKE(2, 3);
void plugin_forget(ExtismPlugin *p); /* the host's error, not the guest's */
extern const guest_ops plugin_ops;

/* ---- The process ---- */

engine *process_engine(bool fuel, weir_error *err);
/* The folder of compiled files, or "" for none. WEIR_INVALID: EXTISM_CACHE_CONFIG names a file that is none. */
weir_code process_cache(buf *folder, weir_error *err);

/* ---- HTTP ---- */

/* Before the first function of libcurl's; not there where they are linked. WEIR_SYSTEM: a library is missing. */
__attribute__((weak)) weir_code late_open(weir_error *err);
bool fetch_for_guest(guest *g, guest_http *h);
weir_code fetch_module(manifest_module *m, weir_error *err);

/* ---- Logs ---- */

log_level logs_level(void); /* the most that anybody wants to see; LOG_OFF: nothing is installed */
void logs_write(log_level level, const char *target, const char *plugin_id, const char *format, ...) PRINTF_LIKE(4, 5);
void logs_guest(guest *g, log_level level, const char *origin, bytes text);

/* ---- Texts ---- */

/* "(func (param i64) (result i64))" of "I(I)" */
void text_functype(buf *out, const char *type);
/* An error of ours, with Extism's sentence as the first line where there is one. */
void text_translate(buf *out, const char *text);
void text_backtrace(buf *out, const char *trace, const char *cause);
char *text_errmsg(char **errmsg, const char *prefix, const char *text); /* sets it, if there is one; NULL */

#endif
