/* guest.h: one instance as Extism sees it.
 *
 * A guest is an engine instance with its exchange memory (kernel.h), its variables, its
 * configuration and its WASI state. Every host function of the program, Extism's and the plugin
 * layer's alike, gets a guest and does the same three steps: fetch from the guest, ask what may
 * refuse, do it.
 *
 *     static trap *import_ws_send(void *env, void *self, value *v)
 *     {
 *         guest *g = self;
 *         bytes json;
 *         if (!guest_block(g, v[0].u64, &json))
 *             return guest_trap(g, "ws_send: no block at %" PRIu64, v[0].u64);
 *         ...
 *         return guest_reply(g, answer, v);
 *     }
 *
 * What a guest needs from outside (time to pass, the network, a log) comes through guest_ops: the
 * task on the loop in the real host, a few lines in a test. */
#ifndef EXTISM_GUEST_H
#define EXTISM_GUEST_H

#include "base/buf.h"
#include "base/http_header.h"
#include "base/log.h"
#include "engine/engine.h"
#include "extism/kernel.h"
#include "extism/manifest.h"

typedef struct guest guest;
typedef struct wasi wasi;
typedef struct vars vars;

/* Why a wait ended. */
typedef enum wait_end {
    WAIT_WOKEN,     /* somebody called the waker: look again */
    WAIT_TIMEOUT,   /* the time is over */
    WAIT_CANCELLED, /* the call is being unwound: return guest->cancelled at once */
} wait_end;

/* Extism's own http_request, between the guest and whoever performs it. */
typedef struct guest_http {
    bytes method, url, body;
    const http_header *headers;
    size_t header_count;
    const manifest *manifest; /* allowed_hosts, for every hop */
    uint64_t max_body;
    /* the answer, filled by the op; buffers belong to the guest and are used again */
    uint16_t status;
    buf *out_headers; /* a JSON object, names in lower case */
    buf *out_body;
    weir_error error; /* code != 0: no answer was obtained */
} guest_http;
/* For the op: an answer that came, into the buffers. */
void guest_http_answer(guest_http *h, const http_header *headers, size_t count, bytes body);

typedef struct guest_ops {
    /* Suspends the guest until somebody wakes it or `deadline` (clock_mono; UINT64_MAX: never). */
    wait_end (*wait)(guest *g, uint64_t deadline);
    /* Performs one request, suspending the guest meanwhile. False: it is being cancelled. NULL op: no HTTP here. */
    bool (*http)(guest *g, guest_http *request);
    /* One log line of the guest: Extism's log_*, its stdout and stderr. Not yet escaped. */
    void (*log)(guest *g, log_level level, const char *origin, bytes text);
    /* What it writes to stdout or stderr, as it comes. NULL op: it goes to `log`, line by line. */
    void (*print)(guest *g, bool to_stderr, bytes text);
    /* An export has returned, and guest_result tells of it. Asked on the guest's fiber, before guest_step comes
     * back: true, and it has made the next call by guest_call, which goes on at once. NULL op: never. */
    bool (*next)(guest *g);
} guest_ops;

struct guest {
    instance *inst;
    kernel *kernel;
    vars *vars;
    wasi *wasi;
    const manifest *manifest;
    const guest_ops *ops;
    void *owner;         /* the layer above: plugin/task.c */
    const char *name;    /* for logs and errors; owned by the owner */
    trap *cancelled;     /* what instance_park answered while a wait was cancelled; return it */
    log_level log_level; /* what get_log_level answers */
    uint16_t http_status;
    buf http_headers;
    bool http_headers_on;
    bool started; /* the runtime is initialised */
};

typedef struct guest_options {
    const manifest *manifest; /* lent; outlives the guest */
    const guest_ops *ops;
    void *owner;
    const char *name;
    uint64_t max_exchange;   /* exchange memory, octets; 0: 64 MiB */
    uint64_t max_memory;     /* linear memory, octets; 0: what the manifest's max_pages and the engine allow */
    const char *const *env;  /* "NAME=value" for WASI, NULL at the end; may be NULL */
    const char *const *args; /* likewise; may be NULL */
    bool on_caller;          /* no fiber: guest_step comes back when the call is over; ops->wait blocks */
    bool as_extism;          /* `_start` is an export like any other, never run unasked; an initialiser is tried once */
    uint64_t fuel;           /* where the engine counts it: for the instance's start */
} guest_options;

/* Makes the guest and its instance. A start section runs here, with *out set already. */
weir_code guest_new(guest **out, linked *l, const guest_options *options, weir_error *err);
void guest_free(guest *g); /* instance first, then what it used */

/* Binds what Extism and WASI offer: the 32 functions of extism:host/env, all of
 * wasi_snapshot_preview1, and what weir:host adds to Extism's memory. False: the import is neither (or has no such name). For module_link. */
bool guest_bind(const module_extern *import, binding *out);

/* ---- One call: initialise once, reset, input, export, outcome. ---- */

typedef struct call_result {
    weir_code code;    /* OK: returned 0 without an error set. FAILED: returned non-zero or set an error.
                          TRAPPED, TIMEOUT, CANCELLED, NOT_FOUND (no such export), INVALID (its type) */
    int32_t rc;        /* what the export returned, 0 where it returns nothing. proc_exit's code, up to
                          125. 134: a trap of the engine or a cancelled call, unless the guest set an
                          error. -1: everything else */
    bytes output;      /* in exchange memory: valid until the next call on this guest */
    bytes error;       /* the guest's own error text, or empty */
    const char *why;   /* host's text for anything but OK: reason, one line; "" if none */
    const char *trace; /* guest back-trace, "" if none */
    bool needs_reset;  /* the next call wants a new guest: this one trapped, was cancelled, left with a
                          code, could not be initialised, or has run `_start` as its export */
} call_result;

/* Starts calling `name`; nothing runs before guest_step. The guest must be idle. Runtime
 * initialisation (_initialize, __wasm_call_ctors, hs_init, a command's
 * _start once) happens first, inside the same task, under the same deadline. */
void guest_call(guest *g, const char *name, bytes input);
run_state guest_step(guest *g);                               /* RUN_DONE when the whole sequence is over */
const call_result *guest_result(guest *g);                    /* after RUN_DONE */
void guest_cancel(guest *g, weir_code why, const char *text); /* TIMEOUT or CANCELLED; then guest_result says so */

/* A call nested in a host function of the same guest: input, output and error are
 * saved and restored, exchange memory is not reset. `out` gets output and error appended.
 * `rc` is what the export returned, or -1 where it returned 0 with an error set. False: it trapped
 * or there is no such export (the text says why). It must not wait. */
bool guest_call_nested(guest *g, const char *name, bytes input, int32_t *rc, buf *out, weir_error *err);

/* ---- For host functions ---- */

/* The octets of a block by its offset. False if no active block starts there (0 included). */
bool guest_block(guest *g, uint64_t offset, bytes *out);

/* Answers with a new block that holds `text`: v[0] becomes its offset. Traps when exchange memory
 * is full. guest_reply_space lets the answer be written in place: `len` octets at the pointer. */
trap *guest_reply(guest *g, bytes text, value *v);
char *guest_reply_space(guest *g, uint64_t len, value *v); /* NULL: full */

trap *guest_trap(guest *g, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
