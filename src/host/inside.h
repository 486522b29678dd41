/* inside.h: what the files of host/ share: the structs behind weir.h's names. */
#ifndef HOST_INSIDE_H
#define HOST_INSIDE_H

#include "host/rates.h"
#include "base/json.h"
#include "host/traps.h"
#include "net/dial.h"
#include "plugin/mask.h"
#include "plugin/meta.h"
#include "plugin/meter.h"
#include "sink/sink.h"
#include "stream/lifetime.h"
#include "stream/stream.h"

typedef struct custom_function custom_function;
typedef struct command command; /* command.c */

struct weir_host {
    loop *loop;
    dialer *dialer;
    hub *hub;
    engine *engine;  /* shared by the hosts of the process: modules.c */
    char *cache_dir; /* NULL: none */
    char **overrides;
    size_t override_count;
    uint64_t backoff_min_ns, backoff_max_ns;
    uint32_t silence_ms;
    struct heartbeat_rules *heartbeats; /* NULL: none */
    lifetimes lifetimes;
    rates *rates; /* what the plugins' rate limits have left */
    custom_function *functions;
    list plugins, streams, subs, sinks;
    list ahead; /* modules that wait to be compiled */
    unsigned compiling;
    bool stopping;
    bool running;
    timer ticker;
    uint64_t tick_ns;
    void (*on_tick)(void *arg);
    void *tick_arg;
    uint64_t taken, lost, unread; /* messages of streams that are gone */
    uint64_t repeats;
    traps *traps; /* on disk; NULL: they are kept in memory alone */
};

/* One call under way, or an instance that waits for the next one. */
typedef struct plugin_call {
    list_node node;
    weir_plugin *plugin;
    task *task;
    bool configured;
    char *export_name, *input;
    size_t input_len;
    void (*on_done)(void *arg, const weir_result *result);
    void *arg;
    bool *gone; /* set when on_done frees it */
} plugin_call;

typedef enum call_wait_state { WAIT_ON,
                               WAIT_OVER,
                               WAIT_GONE /* the plugin was freed */ } call_wait_state;

#define WHY_KEPT 16 /* traps, in memory */

struct weir_plugin {
    list_node node;
    weir_host *host;
    char *name; /* the file's name without folder: for messages */
    manifest *manifest;
    module *module;
    linked *code;
    meta *meta; /* NULL: it has none */
    targets *targets;
    const generation *generation;
    char digest[65];         /* of its octets, for generations whose answers may be kept */
    char *fields;            /* the form of its configuration, as it declares it: a JSON list; NULL: none */
    char *config_given;      /* what the user gave: a JSON object; NULL: nothing */
    char *config;            /* all values as text, defaults and twins included; NULL: none */
    char *config_typed;      /* the same for generations with typed values: as its fields declare */
    kept_error config_wrong; /* what its fields say against it; nothing streams or answers until it is right */
    policy_limits limits;
    struct limits rate_limits; /* of its commands, as it declares them */
    uint32_t rate_wait_ms;     /* longest wait for one of them */
    void (*on_wait)(void *arg, weir_plugin *plugin, uint64_t wait_ms, const char *limit);
    void *on_wait_arg;
    uint32_t call_ms;
    bool own_instances;
    uint32_t quiet_after_ms;
    bool backfill;           /* gaps in candles are closed from the plugin's history */
    health health;           /* as the options say, nothing happened yet */
    meter meter;             /* of its instances, of calls and of streams */
    venue venue;             /* for plain calls */
    stream_plugin shared;    /* for streams */
    stream_plugin callbacks; /* of a hybrid, by its other route; no generation: it is none */
    weir_route route;
    record_stream *event_stream;             /* of a calendar; NULL: none was reported yet */
    buf events;                              /* of the import_events under way: a JSON list without its end */
    list calls, commands;                    /* under way */
    plugin_call *idle;                       /* one instance kept warm */
    buf wait_output, wait_error, wait_trace; /* of weir_plugin_call_wait */
    weir_result wait_result;
    call_wait_state *waiting; /* NULL: nobody waits */

    weir_plugin_options options; /* as given, without the configuration; allow is a copy */
    char **allow;                /* options.allow; NULL: none given */
    char **folders;              /* options.folders; the same */
    targets *granted;            /* what the first file asked for: no later one may ask for more */
    manifest **retired;          /* of codes before, which instances may still hold */
    size_t retired_count;
    bool *gone; /* set when it is freed while its new file is loaded */
    loop_watch *watch;
    void (*on_change)(void *arg, weir_plugin *plugin);
    void *on_change_arg;

    mask *mask;            /* of what is secret in its configuration */
    char *traps[WHY_KEPT]; /* JSON, a ring */
    uint64_t trap_count;   /* all there were */
    buf why;               /* of weir_plugin_why */
};

/* What a stream's gaps still want from the history: backfill.c. */
typedef struct backfill {
    uint64_t from;                 /* ts_event of the last record before a gap; 0: nothing is wanted */
    uint64_t asked_from, asked_to; /* of the question under way or the rows at hand */
    uint64_t span;                 /* of a candle, ns */
    command *asking;               /* NULL: no question is under way */
    unsigned tries;
    bool holding; /* rows are at hand */
    buf rows, line;
    json_iter rest;
    size_t published;
    timer next;
} backfill;

struct weir_stream {
    list_node node;
    backfill backfill;
    weir_plugin *plugin;
    stream *stream;
    char *type, *identifier, *params; /* what it was opened with; params NULL: nothing */
    bool was_live, fell_back;         /* by its first route; to its second */
    bool changing;                    /* the route, in `change` */
    deferred change;
    void (*on_state)(void *arg, weir_stream *stream, weir_stream_state state);
    void *arg;
};

/* ---- modules.c: the process's engine and its compiled modules ---- */

weir_code modules_engine(engine **out, uint32_t max_instances, weir_error *err); /* one reference each */
void modules_release(engine *e);
/* The compiled module of these octets: from the process, the cache folder, or the compiler, which works on
 * another thread while this turns the loop. */
weir_code modules_get(module **out, weir_host *host, bytes wasm, const char *name, weir_error *err);
void modules_ahead_end(weir_host *host); /* what waits to be compiled ahead is not */
/* A later load of `m` finds it no more, unless it is `but`: who has it keeps it. */
void modules_forget(const module *m, const module *but);

/* ---- plugin.c, for swap.c ---- */

weir_code plugin_call_wait(weir_plugin *p, const char *export_name, bytes input, uint64_t ms, const weir_result **result, weir_error *err);
void plugin_drop_idle(weir_plugin *p);
void plugin_share_code(weir_plugin *p); /* into p->shared, where streams run */
void plugin_share(weir_plugin *p);      /* all of it, where none does */

/* ---- await.c: what is waited for, one at a time ---- */

weir_code await_begin(weir_plugin *p, call_wait_state *state, weir_error *err); /* then start it, or p->waiting = NULL */
void await_keep(void *arg, const weir_result *r);                               /* its on_done; arg is the plugin */
weir_code await_end(weir_plugin *p, loop *l, const call_wait_state *state, const weir_result **result, weir_error *err);

/* ---- command.c ---- */

/* weir_command, with a handle that is good until on_done. */
weir_code command_start(command **out, weir_plugin *p, const char *name, const char *params_json, unsigned flags,
                        void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err);
void command_mute(command *c);         /* goes on, and tells nobody */
void command_drop_all(weir_plugin *p); /* none of them tells any more */

/* ---- backfill.c ---- */

void backfill_init(weir_stream *w);
void backfill_want(weir_stream *w, uint64_t from); /* from on_resynced, on any stack */
void backfill_fini(weir_stream *w);

/* ---- functions.c: the program's own host functions ---- */

bool functions_bind(void *host, const module_extern *import, binding *out);
void functions_free(weir_host *host);

/* ---- readers.c ---- */

bool readers_add_up(const weir_host *host, weir_error *err); /* their sinks */
void readers_free(weir_host *host);                          /* closes every sink and subscriber */

/* ---- events.c: what planners report ---- */

extern const venue_listener events_listener; /* of plain calls; its argument is the weir_plugin */
void events_begin(weir_plugin *p);
/* A command that returned nothing returned its events; they hold until the next events_begin. */
void events_answer(weir_plugin *p, answer *a);
void events_free(weir_plugin *p);

/* streams.c: stream_plugin.turn of a weir_plugin. */
stream_turn streams_turn(void *owner, bytes command, json params, unsigned tries);

/* folders.c: grants what `given` names (weir_plugin_options.folders) of what meta asks for. `strict`: what it does not ask for is
 * WEIR_REFUSED, else left out. */
weir_code folders_grant(weir_plugin *p, const char *const *given, bool strict, weir_error *err);

/* ---- why.c ---- */

void why_keep(void *plugin, const trap_note *note); /* for stream_plugin.on_trap */
void why_free(weir_plugin *p);

/* ---- config.c ---- */

/* Takes the user's values instead of earlier ones: into the manifest for Extism's config_get, and into what its
 * configuring export gets (config_build). NULL or "": none. WEIR_INVALID: no JSON object of plain values. */
weir_code config_take(weir_plugin *p, const char *config_json, weir_error *err);
/* Checks what was given against p->fields and makes p->config and p->config_typed of it. What is wrong stays in
 * p->config_wrong: only what needs the configuration fails for it. */
weir_code config_build(weir_plugin *p, weir_error *err);

#endif
