/* task.h: a guest on the loop and the call it is in.
 *
 *     ready -> running -> parked (in a host function) -> ready ... -> done | failed | cancelled
 *
 * task_call queues the call and returns; the loop runs it. A host function that has to wait parks
 * the guest with task_wait and the loop goes on; task_wake makes it ready again. Between two host
 * calls a guest may use the CPU for one tick at a time, then others have their turn; past its limit
 * it is stopped. One call at a time. on_done comes exactly once for each call, on the loop's stack,
 * and may free the task. */
#ifndef PLUGIN_TASK_H
#define PLUGIN_TASK_H

#include "extism/guest.h"
#include "loop/loop.h"
#include "plugin/meter.h"
#include "plugin/policy.h"
#include "plugin/socket.h"

typedef struct task task;

typedef void (*task_done)(void *arg, const call_result *result);
typedef bool (*task_returned)(void *arg, const call_result *result);

/* One host call, as the account of a trap shows it. */
#define TASK_CALLS 16
typedef struct host_call {
    const char *name; /* lives as long as the linked module */
    uint64_t serial;
    uint64_t began, ended; /* loop_now; ended 0: it is under way */
    weir_code code;        /* of its answer */
} host_call;

struct task {
    guest *guest;
    loop *loop;
    const world *world;
    void *world_arg;
    char *name;
    policy policy;

    deferred ready;   /* in the loop's run queue */
    timer wait_timer; /* of a park with a deadline */
    timer call_timer; /* of the whole call */
    bool active, waiting, woken;
    uint64_t began, deadline; /* of the call, clock_mono; 0: none */
    uint64_t call_ms;
    bool by_clock;       /* the deadline stays where it is (task_by_clock) */
    uint64_t waited;     /* in this call, ns */
    uint32_t call_ticks; /* of CPU in this call */
    uint32_t ticks;      /* since the last host call */
    bool overran;        /* stopped for using the CPU too long */
    char export_name[64];
    char waiting_in[32]; /* the host function it is parked in */
    call_result result;  /* with our words where the guest layer has none */
    weir_error why;
    task_done on_done;
    task_returned on_returned; /* NULL: nobody is asked */
    void *done_arg;

    list sockets;
    uint32_t socket_count;
    uint64_t taken;                /* messages that the plugin took */
    uint64_t discarded;            /* messages that the plugin closed its sockets over */
    char unknown_id[PLUG_ID_SIZE]; /* the last that was none of its connections */
    uint32_t unknown_errors;       /* how often it was told so */
    buf reply, scratch;            /* for host functions, used again and again */
    buf headers;                   /* http_header after http_header: those of the request being made */

    /* what to call nested in the next ws_receive; freed by the task */
    char *stop_export, *stop_input;
    bool stopping;

    /* What the frequent host calls asked last, recognised by its octets. */
    buf receive_request;
    plug *receive_plug; /* NULL: none */
    int64_t receive_timeout_ms;
    bool receive_raw;
    buf key;                              /* a StreamKey as it came, then its type, source and identifier, decoded */
    size_t key_raw, key_type, key_source; /* where each part ends; key_raw 0: none yet */
    uint64_t recv_ns;                     /* arrival of the message that ws_receive gave last */

    host_call calls[TASK_CALLS]; /* the last ones, a ring by serial */
    uint64_t call_count;
    meter *meter; /* NULL: nobody counts */
    list_node metered;
    weir_code said; /* what the host function at work answers */

    const plug *received_from; /* whose message ws_receive gave last; NULL: none yet, or it is gone */
    bool received_before;      /* it came over the socket before (plug.before) */
    bool unanswered;           /* and nothing was published or asked for since */
    bool leaving, left;        /* it is to stop between two messages; it has */
};

typedef struct task_options {
    const manifest *manifest; /* lent */
    const world *world;
    void *world_arg;
    const char *name;            /* copied; for logs and errors */
    const policy_limits *limits; /* NULL: the defaults */
    const char *const *env;      /* lent; for WASI */
    meter *meter;                /* outlives it; NULL: nobody counts */
} task_options;

weir_code task_new(task **out, loop *l, linked *code, const task_options *options, weir_error *err);
/* Any time but from inside a host function of its own guest: unwinds, closes sockets, then frees. No
 * on_done comes. NULL is fine. */
void task_free(task *t);

/* Starts a call. `call_ms` bounds the whole call, what it waits and what it computes; 0 does not. Time in which a busy machine gives it no
 * turn is not its own, up to ten times as much. `input` is copied. The task must be idle. */
void task_call(task *t, const char *export_name, bytes input, uint64_t call_ms, task_done on_done, void *arg);
/* Of the call that task_call began: its time passes whoever has the CPU, as somebody waits for its end. */
void task_by_clock(task *t);
/* Begins at once what task_call has queued; on_done may come from within. On the loop's own stack only. */
void task_run(task *t);
/* `on_returned` is asked on the guest's fiber, with task_call's arg, when an export has returned: true, and it has taken
 * the result and made the next call with task_call_next, which goes on at once; on_done comes of the last one. It may free
 * nothing, and wait for nothing. */
void task_on_returned(task *t, task_returned on_returned);
void task_call_next(task *t, const char *export_name, bytes input, uint64_t call_ms);
bool task_idle(const task *t);
uint64_t task_memory(const task *t); /* its linear memory now, octets */

/* Ends the call with this code and text; on_done comes in the next turn. No effect when idle. */
void task_cancel(task *t, weir_code code, const char *text);

/* Asks the plugin to stop by calling `export_name` with `input` nested in its next or present
 * ws_receive. */
weir_code task_ask_stop(task *t, const char *export_name, bytes input, weir_error *err);

/* Lets it go on to its next ws_receive, and there no further: world->left tells, and the task waits to be freed. */
void task_ask_leave(task *t);

/* ---- On the guest's fiber ---- */

/* Parks until task_wake or `deadline` (clock_mono; UINT64_MAX: none). `where` names the host function. */
wait_end task_wait(task *t, const char *where, uint64_t deadline);

/* Notes a host call in the ring: its beginning, which answers its serial, and its end. */
uint64_t task_call_begins(task *t, const char *name);
void task_call_ends(task *t, uint64_t serial, weir_code code);

/* ---- From anywhere on the loop's thread ---- */

void task_wake(task *t);

/* The i-th last host call, 0 the latest; NULL: there were not so many. */
const host_call *task_last_call(const task *t, uint64_t i);
/* The message that the plugin was given last and that it has not got past: its next host call would have come
 * behind it. Empty: there is none. Lent until the next call of this task. */
bytes task_message(const task *t);

/* For engine_options.on_slice. */
slice_verdict task_on_slice(void *guest);

/* Binds everything that a data-source plugin may import from us: the streaming family under `env` and
 * `extism:host/user`, what Extism and WASI offer, and for anything else a stub that
 * answers an error document. For module_link; `arg` is a task_imports or NULL. */
typedef struct task_imports {
    /* The embedding program's own functions come first; false: not one of them. */
    bool (*custom)(void *arg, const module_extern *import, binding *out);
    void *arg;
    bool strict; /* no stubs: a missing import is an error at link time */
} task_imports;
void task_bind(void *arg, const module_extern *import, binding *out);
/* The function behind every stub, to tell them apart. */
trap *task_stub(void *env, void *self, value *v);

#endif
