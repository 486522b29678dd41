/* weir.h: run sandboxed market-data plugins inside a C program.
 *
 * A plugin is a WebAssembly module that speaks for one venue (an exchange, a calendar, a news feed).
 * It has no socket, no file and no clock of its own: it asks the host, and the host answers within
 * what the plugin's meta asks for and its user granted. What the plugin makes of the venue's
 * messages becomes records, and records go to subscribers.
 *
 *     weir_error err = WEIR_ERROR_INIT;
 *
 *     if (weir_host_new(&host, NULL, &err) ||
 *         weir_plugin_load(&woox, host, "woox.wasm", NULL, &err) ||
 *         weir_subscribe(&sub, host, "ohlcv.>", print_record, stdout, &err) ||
 *         weir_stream_open(&btc, woox, "ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", &err))
 *         errx(1, "%s", err.text);
 *     weir_host_run(host);
 *     weir_host_free(host);
 *
 * Four conventions hold for everything declared here.
 *
 * Errors     A call that can fail returns weir_code, zero for success, and takes a weir_error
 *            last (NULL is fine): the code tells a program what to do, the text tells a person what
 *            happened.
 * Ownership  What comes back through a first argument `type **out` is yours until you give it to
 *            weir_<type>_free; freeing a host frees what still hangs from it. What a getter
 *            returns belongs to its parent. Strings and octets given in are copied.
 * Threads    A host and all that hangs from it belong to the thread that runs it. Only
 *            weir_host_stop may be called from anywhere, a signal handler included. Several hosts may
 *            live in one process, each on its thread; they share compiled modules.
 * Callbacks  Run on that thread, one at a time, and never inside the call that registered them. They
 *            may call everything here but weir_host_free and what says "not from a callback": it turns the loop.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

typedef struct weir_host weir_host;     /* an event loop and everything that lives on it */
typedef struct weir_plugin weir_plugin; /* a loaded module with its meta, its grants, its configuration */
typedef struct weir_stream weir_stream; /* one live feed of one plugin */
typedef struct weir_sub weir_sub;       /* one reader of records, with its own queue */
typedef struct weir_sink weir_sink;     /* a reader that brings records to a file, a pipe, a terminal, a server */
typedef struct weir_guest weir_guest;   /* the instance that called a host function of yours */

/* ---- Results ---- */

/* Every result there is: its name, and its text where no better one is known. */
#define WEIR_CODES(X)                                                  \
    X(OK, "success")                                                   \
    X(NOMEM, "out of memory")                                          \
    X(INVALID, "an argument, a message or a file does not make sense") \
    X(NOT_FOUND, "there is no such thing")                             \
    X(REFUSED, "a permission or a rule does not allow it")             \
    X(LIMIT, "a limit is reached")                                     \
    X(TRAPPED, "the plugin stopped with a trap")                       \
    X(FAILED, "the plugin says it failed")                             \
    X(TIMEOUT, "it took too long")                                     \
    X(CANCELLED, "it was cancelled")                                   \
    X(CLOSED, "the other side closed the connection")                  \
    X(NETWORK, "the network or the other side failed")                 \
    X(SYSTEM, "the operating system refused")                          \
    X(UNSUPPORTED, "this cannot be done here")                         \
    X(BUSY, "something else is going on with it")

typedef enum weir_code {
#define X(name, text) WEIR_##name,
    WEIR_CODES(X)
#undef X
} weir_code;

#define WEIR_ERROR_TEXT 1024

typedef struct weir_error {
    weir_code code;
    char text[WEIR_ERROR_TEXT]; /* one line, safe on a terminal */
} weir_error;

/* clang-format off */
#define WEIR_ERROR_INIT {WEIR_OK, {0}}
/* clang-format on */

WEIR_API const char *weir_version(void);             /* "0.1.0" */
WEIR_API const char *weir_code_name(weir_code code); /* "REFUSED" */
WEIR_API const char *weir_code_text(weir_code code); /* as in the list above */

/* ---- Host ---- */

typedef enum weir_log_level { WEIR_LOG_TRACE,
                              WEIR_LOG_DEBUG,
                              WEIR_LOG_INFO,
                              WEIR_LOG_WARN,
                              WEIR_LOG_ERROR,
                              WEIR_LOG_OFF } weir_log_level;

/* Start from WEIR_HOST_OPTIONS_INIT, so that later versions can add members. */
typedef struct weir_host_options {
    size_t size;           /* of this struct, as the program knows it */
    const char *cache_dir; /* compiled modules; NULL: $XDG_CACHE_HOME/weir or ~/.cache/weir; "": none kept */
    const char *ca_file;   /* PEM with the authorities to trust; NULL: $WEIR_CA_FILE, else the system's */
    /* "https://api.woox.io=https://127.0.0.1:8443": where an origin really is, for simulated venues.
     * Applied after the permission check. NULL at the end. NULL itself: those in $WEIR_OVERRIDES, separated
     * by blanks. */
    const char *const *overrides;
    uint32_t max_instances;                  /* guests alive at once, of all hosts in the process; 0: 1,000. The first host decides. */
    uint64_t backoff_min_ms, backoff_max_ms; /* between tries of a stream; 0: 1 s and 60 s */
    uint32_t silence_ms;                     /* a venue that sends nothing at all for so long is gone; 0: 60,000 */
    uint32_t connect_ms;                     /* until a connection is open: name, TCP, TLS and upgrade together; 0: 10,000 */
    /* "wss://ws.okx.com=text:ping:pong:20s": the heartbeats of an origin, before what plugins declare and what is known
     * of it (docs/plugin-guide.md). NULL at the end. NULL itself: none. */
    const char *const *heartbeats;
    /* "wss://ws.venue.example=24h": after how long a venue ends a connection, if its plugin does not say so and Weir does
     * not know; "=none": never. A push stream's next connection is made before. NULL at the end; NULL itself: none. */
    const char *const *lifetimes;
    const char *state_dir; /* what outlives the process: traps; NULL: $XDG_STATE_HOME/weir or ~/.local/state/weir; "": nothing does */
} weir_host_options;

/* clang-format off */
#define WEIR_HOST_OPTIONS_INIT {sizeof(weir_host_options), NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL}
/* clang-format on */

/* `options` may be NULL. WEIR_SYSTEM: no descriptors, threads or address space; WEIR_INVALID: an override, a heartbeat or a lifetime. */
WEIR_API weir_code weir_host_new(weir_host **out, const weir_host_options *options, weir_error *err);
/* Ends what still runs, at once, and frees all of it. NULL is fine. */
WEIR_API void weir_host_free(weir_host *host);

/* The host's own loop: runs until weir_host_stop. */
WEIR_API void weir_host_run(weir_host *host);
/* From any thread or signal handler: weir_host_run returns soon. */
WEIR_API void weir_host_stop(weir_host *host);

/* The program's loop instead: poll weir_host_fd for reading, at most weir_host_timeout milliseconds
 * (-1: no limit), then weir_host_step(host, 0). */
WEIR_API int weir_host_fd(weir_host *host);
WEIR_API int weir_host_timeout(weir_host *host);
/* One turn of the loop, waiting up to `timeout_ms` for something to do. True: more is due at once. */
WEIR_API bool weir_host_step(weir_host *host, int timeout_ms);

/* Calls `fn` every `interval_ms` on the host's thread; 0 stops it. One per host. */
WEIR_API void weir_host_tick(weir_host *host, uint32_t interval_ms, void (*fn)(void *arg), void *arg);

/* Log lines of the whole process: the host's and, escaped, the plugins'. NULL: stderr. */
WEIR_API void weir_log(weir_log_level threshold, void (*fn)(void *arg, weir_log_level level, const char *part, const char *text), void *arg);

/* ---- Host functions of your own ---- */

typedef union weir_value {
    int32_t i32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    uint8_t v128[16];
} weir_value;

/* Parameters come in v[0], v[1] ...; the result goes to v[0]. By convention an i64 is the offset of a
 * block of Extism memory. Runs on the guest's own stack of 512 KiB: quick and shallow, and it may
 * not free the plugin or the stream that calls it. Return false after weir_guest_fail to end the guest's call. */
typedef bool (*weir_host_function)(void *arg, weir_guest *guest, weir_value *v);

/* Offers `name` in `namespace_` ("extism:host/user" is usual) to plugins loaded from now on. `type` is
 * results, then parameters in brackets, i32 i, i64 I, f32 f, f64 F: "I(I)" takes an i64 and gives one.
 * A second definition of a name replaces the first; one of a built-in's name replaces that. */
WEIR_API weir_code weir_host_define(weir_host *host, const char *namespace_, const char *name, const char *type,
                                    weir_host_function fn, void *arg, weir_error *err);

/* The octets of a block, in place, until the function returns. False: no block starts there. */
WEIR_API bool weir_guest_block(weir_guest *guest, uint64_t offset, const char **at, size_t *len);
/* A new block with these octets; 0: exchange memory is full (or len is 0). */
WEIR_API uint64_t weir_guest_alloc(weir_guest *guest, const void *at, size_t len);
WEIR_API void weir_guest_fail(weir_guest *guest, const char *text);
WEIR_API weir_plugin *weir_guest_plugin(weir_guest *guest);

/* ---- Plugins ---- */

/* What follows when it traps or overruns its time again and again: it rests, with all its streams, and is
 * tried again; new instances for ever; or its streams fail. */
typedef enum weir_on_trap { WEIR_ON_TRAP_QUARANTINE,
                            WEIR_ON_TRAP_RESTART,
                            WEIR_ON_TRAP_FAIL } weir_on_trap;

/* How a hybrid streams, a plugin that has a loop of its own (start_stream) and callbacks (prepare_stream): by its loop, or by
 * its callbacks where the loop does not start; or by one of them only. Of no account for others. */
typedef enum weir_route { WEIR_ROUTE_AUTO,
                          WEIR_ROUTE_LOOP,
                          WEIR_ROUTE_CALLBACK } weir_route;

typedef struct weir_plugin_options {
    size_t size;
    const char *config_json; /* {"name":"value"}: for plugin_configure and Extism's config_get. NULL: none */
    /* Targets granted, NULL at the end: must lie within those that meta asks for. NULL: all of them. */
    const char *const *allow;
    uint32_t call_ms;      /* of one call, what it waits and computes; 0: 30,000 */
    bool strict_imports;   /* refuse a module with an import that nobody offers, instead of a stub for it */
    uint64_t memory_bytes; /* linear memory of one instance; 0: 256 MiB */
    uint32_t cpu_ms;       /* between two host calls; 0: 10,000 */
    bool own_instances;    /* of a push plugin: an instance for each stream, instead of one for all of them */
    weir_on_trap on_trap;
    uint32_t traps_max, traps_within_ms; /* that many traps in that time are too many; 0: 5, at most 64, and 60,000 */
    uint32_t quarantine_ms;              /* the first one, each next one twice as long, up to an hour; 0: 300,000 */
    uint32_t rate_wait_ms;               /* longest wait for the plugin's own rate limits (weir_command_wait); 0: 60,000 */
    /* A live stream without data for so long subscribes anew. 0: Weir learns each stream's rhythm, asks the venue
     * first, and compares with its siblings (docs/plugin-guide.md); WEIR_QUIET_NEVER: never. */
    uint32_t quiet_after_ms;
    bool backfill; /* candles that a gap took are asked for (getOHLCV) and come as records marked so */
    weir_route stream_route;
    /* Folders granted, NULL at the end: "HOST:GUEST", or "ro:HOST:GUEST" to be read only. GUEST is a path that the plugin's meta
     * asks for (fsWriteAccess), or any if it has no meta; HOST is where that is on this machine. NULL: none; an empty list:
     * none, and the log does not mention those that are missing. */
    const char *const *folders;
    uint64_t connection; /* which of a user's connections this is: "connection" of its records; 0: null */
} weir_plugin_options;

#define WEIR_QUIET_NEVER UINT32_MAX

/* clang-format off */
#define WEIR_PLUGIN_OPTIONS_INIT {sizeof(weir_plugin_options), NULL, NULL, 0, false, 0, 0, false, WEIR_ON_TRAP_QUARANTINE, 0, 0, 0, 0, 0, false, WEIR_ROUTE_AUTO, NULL, 0}
/* clang-format on */

/* Loads a module or an Extism manifest (JSON, TOML): compiles it on another thread, or maps it from the
 * cache, links it, and reads its meta. Turns the host's loop until that is done, so streams that run
 * go on; not from a callback.
 * WEIR_INVALID: not a module, or one that cannot be linked; the text says what is wrong and the cure.
 * WEIR_REFUSED: `allow` or `folders` go beyond what meta asks for. WEIR_NOT_FOUND: a folder is not there. */
WEIR_API weir_code weir_plugin_load(weir_plugin **out, weir_host *host, const char *path, const weir_plugin_options *options, weir_error *err);
/* The same for octets in memory; `name` is for messages. */
WEIR_API weir_code weir_plugin_load_bytes(weir_plugin **out, weir_host *host, const char *name, const void *at, size_t len,
                                          const weir_plugin_options *options, weir_error *err);
/* Another file for it, with the same options, while its streams run. Loads it as weir_plugin_load does and configures
 * it once on trial; if anything is wrong with it the old one goes on. Then the streams go over: those of a push plugin
 * between two messages, on the same sockets; those that dial themselves on fresh ones, to which what still comes over
 * the old ones is joined. No record is lost or doubled. What getters of the plugin returned before is gone. Turns the
 * host's loop; not from a callback.
 * WEIR_REFUSED: it asks for more than the first file did; the text shows each target that is new, "+ https ...".
 * WEIR_INVALID: another plugin, or as for weir_plugin_load; perhaps it is half written. WEIR_UNSUPPORTED: of a kind that
 * streams which run cannot go over to. */
WEIR_API weir_code weir_plugin_swap(weir_plugin *plugin, const char *path, weir_error *err);
/* Calls `fn` when the file at `path` has changed and is left alone since 0.2 s: the moment for weir_plugin_swap, outside
 * the callback. One watch per plugin; `fn` NULL ends it. The file of a manifest is watched, not the module it names. */
WEIR_API weir_code weir_plugin_watch(weir_plugin *plugin, const char *path, void (*fn)(void *arg, weir_plugin *plugin), void *arg, weir_error *err);

/* Ends its calls and streams first. NULL is fine. */
WEIR_API void weir_plugin_free(weir_plugin *plugin);

WEIR_API const char *weir_plugin_id(const weir_plugin *plugin);   /* meta's pluginId, or the file's name */
WEIR_API const char *weir_plugin_meta(const weir_plugin *plugin); /* JSON as the plugin gave it; "" without meta */
/* The form of its configuration as the plugin declares it, a JSON list of {"name","label","type","required","mask",
 * "default","options"}; "[]" if it declares none. */
WEIR_API const char *weir_plugin_fields(const weir_plugin *plugin);
/* Another configuration in place of config_json. Turns the loop; not from a callback. What is wrong with it is the
 * result, and fails what needs it until it is right: WEIR_INVALID, a value is not what the plugin's form wants;
 * WEIR_NOT_FOUND, required ones are missing, and the text names them. WEIR_BUSY: it has streams or calls. */
WEIR_API weir_code weir_plugin_configure(weir_plugin *plugin, const char *config_json, weir_error *err);
WEIR_API bool weir_plugin_exports(const weir_plugin *plugin, const char *export_name);

/* Why its instances died: a JSON list of the last 16 traps (and calls that overran their time), the newest
 * first, "[]" if there was none. Good until the next call of this. Of each: time, plugin, version, file, stream
 * (its key; null: a plain call), topic, export, code, trap (the text), then ("restarted", "quarantined", "gave up",
 * "stopped", "told the caller"), again_s (until when it rests), input and message (what the export was given, and
 * the venue's message that it was about: cut at 4096 octets, with input_octets and message_octets as it was, and
 * secrets as ***), calls (the last 16 host calls, the latest first: name, time, ms, outcome) and backtrace. */
WEIR_API const char *weir_plugin_why(weir_plugin *plugin);
/* The same from the state folder, also of earlier runs: of each plugin the last 16. `what` is a plugin's id or
 * file, or a stream, "TYPE:IDENTIFIER[:TIMEFRAME]" or its topic. `state_dir` as in weir_host_options. The text is
 * yours; free(). WEIR_NOT_FOUND: none is kept, and the text says of whom there are some. */
WEIR_API weir_code weir_why(char **json, const char *what, const char *state_dir, weir_error *err);

/* What a call came to. Everything is lent to the callback. */
typedef struct weir_result {
    weir_code code; /* OK: it returned 0 and set no error */
    int32_t rc;     /* the export's return code; 134 after a trap; the code of proc_exit */
    const char *output;
    size_t output_len;
    const char *error; /* why, in the plugin's words or the host's; "" for OK */
    const char *trace; /* the guest's back-trace, a frame a line; "" if there is none */
} weir_result;

/* Calls one export on an instance of its own, configured before. `on_done` comes exactly once, never inside this
 * call; freeing the plugin before it ends the call, and then it does not come. */
WEIR_API weir_code weir_plugin_call(weir_plugin *plugin, const char *export_name, const void *input, size_t len,
                                    void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err);
/* The same, turning the loop until it is done; the result stays good until the plugin's next
 * weir_plugin_call_wait. Returns the result's code. Not from a callback. */
WEIR_API weir_code weir_plugin_call_wait(weir_plugin *plugin, const char *export_name, const void *input, size_t len,
                                         const weir_result **result, weir_error *err);

/* Asks for data in one way, whatever generation the plugin is: "getMarkets", "getTimeframes", "getOHLCV",
 * or what else it knows, also the exports of a tax plugin, whose output comes as it is: export_entries_excel
 * answers the octets of a file. `params_json` is an object or NULL; getOHLCV takes symbol, timeframe, startTime
 * and endTime (RFC 3339, or Unix milliseconds), limit. The result's output is JSON in normal form: lists
 * are lists, candles {"ts_event" (ns), open, high, low, close, volume} with their own decimals as text,
 * oldest first, each once. An answer that the plugin says may be kept (cacheForSeconds) is kept in the host's
 * cache folder, and given again to the same question. `on_done` as for weir_plugin_call; several commands may be
 * under way, each on an instance of its own. Also from callbacks.
 * A plugin may say how often its commands may be asked (get_rate_limits): until then the command waits.
 * At once, without on_done: WEIR_INVALID, the parameters or the plugin's configuration; WEIR_UNSUPPORTED, plugins
 * of this generation know no such command; WEIR_LIMIT, the plugin's rate limit allows it only after rate_wait_ms: the
 * text says when (as the result if another process counts at that moment). */
enum { WEIR_COMMAND_RAW = 1,     /* the plugin's own form */
       WEIR_COMMAND_FRESH = 2 }; /* ask, whatever is kept */
WEIR_API weir_code weir_command(weir_plugin *plugin, const char *name, const char *params_json, unsigned flags,
                                void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err);
/* The same, turning the loop until it is done; the result is good until the plugin's next call_wait or
 * command_wait. Returns the result's code. Not from a callback. */
WEIR_API weir_code weir_command_wait(weir_plugin *plugin, const char *name, const char *params_json, unsigned flags,
                                     const weir_result **result, weir_error *err);

/* `fn` hears of each wait for a rate limit before it begins; `limit` is such as "getMarkets: 1 a minute". */
WEIR_API void weir_plugin_on_wait(weir_plugin *plugin, void (*fn)(void *arg, weir_plugin *plugin, uint64_t wait_ms, const char *limit), void *arg);

/* All that can be said of a module without running more than its meta, as JSON: see docs/plugin-guide.md.
 * Also for modules that cannot be loaded: then "findings" say why. The text is yours; free(). */
WEIR_API weir_code weir_inspect(char **json, weir_host *host, const char *path, weir_error *err);

/* ---- Streams ---- */

typedef enum weir_stream_state {
    WEIR_STREAM_CONNECTING,
    WEIR_STREAM_LIVE,
    WEIR_STREAM_WAITING, /* for the next try */
    WEIR_STREAM_STOPPING,
    WEIR_STREAM_CLOSED,
    WEIR_STREAM_FAILED, /* given up; weir_stream_why says why */
} weir_stream_state;

/* Opens a live feed: `type` is "ohlcv", "trades", "orderbook", "ticker", "bbo" or what else the plugin
 * knows (one that it does not know it refuses itself, and the stream's state says so in its words),
 * `identifier` the venue's symbol, `params_json` an object of strings such as
 * {"timeframe":"1m"} (may be NULL). Returns at once; connecting, reconnecting and restarts happen on
 * the loop and show in weir_stream_get_state, in status records and in the log. */
WEIR_API weir_code weir_stream_open(weir_stream **out, weir_plugin *plugin, const char *type, const char *identifier,
                                    const char *params_json, weir_error *err);
/* Stops it in good order, within 2 s; the state becomes WEIR_STREAM_CLOSED. */
WEIR_API void weir_stream_stop(weir_stream *stream);
/* At once. NULL is fine. */
WEIR_API void weir_stream_free(weir_stream *stream);
WEIR_API weir_stream_state weir_stream_get_state(const weir_stream *stream);
WEIR_API const char *weir_stream_state_name(weir_stream_state state); /* "live" */
/* All that its sockets have brought so far has become records, and no answer that it asked the venue for is under way. */
WEIR_API bool weir_stream_idle(const weir_stream *stream);
WEIR_API const char *weir_stream_why(const weir_stream *stream);
WEIR_API void weir_stream_on_state(weir_stream *stream, void (*fn)(void *arg, weir_stream *stream, weir_stream_state state), void *arg);

/* ---- Records ---- */

typedef enum weir_record_kind { WEIR_RECORD_DATA,
                                WEIR_RECORD_GAP,
                                WEIR_RECORD_STATUS } weir_record_kind;

/* One immutable piece of market data, lent to the callback. */
typedef struct weir_record {
    weir_record_kind kind;
    uint64_t seq;      /* counts per stream; 0: none */
    const char *topic; /* "ohlcv.woox-datasource.SPOT_BTC_USDT.1m" */
    const char *json;  /* the whole record, one line, without the line's end */
    size_t json_len;
    const char *data; /* the plugin's own object within `json`; NULL unless WEIR_RECORD_DATA */
    size_t data_len;
    uint64_t ts_event, ts_recv, ts_out; /* nanoseconds since 1970 UTC; 0: not known */
} weir_record;

typedef void (*weir_on_record)(void *arg, const weir_record *record);

/* Reads the records whose topic `pattern` selects: tokens joined by dots, '*' for one token, '>' for all
 * that follow. The queue holds 65,536 records and publishers wait while it is full, so nothing is lost. */
WEIR_API weir_code weir_subscribe(weir_sub **out, weir_host *host, const char *pattern, weir_on_record fn, void *arg, weir_error *err);
WEIR_API void weir_sub_free(weir_sub *sub);

/* What happens when a reader is too slow and its queue is full. Nobody else is affected but by `block`. */
#define WEIR_SLOW_POLICIES(X)                                                                            \
    X(BLOCK, "block")                   /* publishers wait: the plugins, then the venues' sockets */     \
    X(DROP_OLDEST, "drop_oldest")       /* the oldest records go, a gap record (slow_reader) says so */  \
    X(NEWEST_PER_KEY, "newest_per_key") /* of each stream the newest record waits, the older one goes */ \
    X(DISCONNECT, "disconnect")         /* the reader gets what is queued and nothing more */
typedef enum weir_slow_policy {
#define X(name, text) WEIR_SLOW_##name,
    WEIR_SLOW_POLICIES(X)
#undef X
} weir_slow_policy;

/* False: there is no policy of this name. */
WEIR_API bool weir_slow_policy_find(const char *name, weir_slow_policy *out);

typedef struct weir_reader_options {
    size_t size;
    weir_slow_policy policy;
    uint64_t max_records;       /* in its queue; 0: 65,536 */
    uint64_t max_octets;        /* of their lines; 0: 64 MiB */
    const uint64_t *connection; /* only records of this connection (weir_plugin_options.connection); NULL: of any. Copied */
} weir_reader_options;

/* clang-format off */
#define WEIR_READER_OPTIONS_INIT {sizeof(weir_reader_options), WEIR_SLOW_BLOCK, 0, 0, NULL}
/* clang-format on */

/* weir_subscribe with a policy and limits of its own (NULL: those). When three quarters of either limit wait, this
 * reader alone gets a status record of state "lagging" ahead of all that waits, which says what will happen. */
WEIR_API weir_code weir_subscribe_with(weir_sub **out, weir_host *host, const char *pattern, const weir_reader_options *options,
                                       weir_on_record fn, void *arg, weir_error *err);

/* One reader's account: offered = delivered + dropped + queued, at any moment. */
typedef struct weir_reader_account {
    uint64_t offered;   /* records that its pattern selects */
    uint64_t delivered; /* not counting its own gap and status records */
    uint64_t dropped;
    uint64_t queued;
    bool disconnected; /* by its policy */
} weir_reader_account;
WEIR_API void weir_sub_account(const weir_sub *sub, weir_reader_account *out);

/* Brings records to a sink: "ndjson", "ndjson:FILE", "ndjson:+FILE" (append), "table", or one of docs/sinks.md.
 * `on_end` (may be NULL) tells when the sink can go on no more (a full disk, a closed pipe). */
WEIR_API weir_code weir_sink_open(weir_sink **out, weir_host *host, const char *spec, const char *pattern,
                                  void (*on_end)(void *arg, const weir_error *why), void *arg, weir_error *err);
/* The same with a policy. One that is disconnected ends with WEIR_LIMIT, when what was queued has gone out. */
WEIR_API weir_code weir_sink_open_with(weir_sink **out, weir_host *host, const char *spec, const char *pattern, const weir_reader_options *options,
                                       void (*on_end)(void *arg, const weir_error *why), void *arg, weir_error *err);
/* Writes what is queued, as far as that needs no waiting, and closes; a server that answers gets up to a second to
 * acknowledge what it was sent. */
WEIR_API void weir_sink_free(weir_sink *sink);
/* True when all that was published so far has gone out and, where the other end acknowledges, was, or nothing can any
 * more. Until then turn the host. */
WEIR_API bool weir_sink_idle(const weir_sink *sink);
/* From now on at most so many data records are written, then only how the streams end; 0: no limit. */
WEIR_API void weir_sink_limit(weir_sink *sink, uint64_t data_records);
/* The terminal has another size now. */
WEIR_API void weir_sink_resize(weir_sink *sink);

/* A sink whose other end is away waits for it, and keeps what was not acknowledged; FAILED: for good. */
typedef enum weir_sink_state { WEIR_SINK_OPEN,
                               WEIR_SINK_WAITING,
                               WEIR_SINK_FAILED } weir_sink_state;

WEIR_API weir_sink_state weir_sink_get_state(const weir_sink *sink);
/* For what it waits, or why it failed; "" while it is open. No secret of its spec is in it. */
WEIR_API const char *weir_sink_why(const weir_sink *sink);
/* One listener; `fn` NULL: none. FAILED is told by on_end instead, if there is one. */
WEIR_API void weir_sink_on_state(weir_sink *sink, void (*fn)(void *arg, weir_sink *sink, weir_sink_state state), void *arg);

/* Two accounts, one behind the other: offered = delivered + dropped + queued, in the queue ahead of the sink (its own gap
 * and status records not counted); accepted = written + buffered + lost, in the sink. */
typedef struct weir_sink_account {
    uint64_t offered, delivered, dropped, queued;
    uint64_t accepted;
    uint64_t written;  /* the kernel has it; where the other end acknowledges: it has */
    uint64_t buffered; /* not yet */
    uint64_t lost;     /* the other end went away for good, or never takes such a one (too large) */
    uint64_t octets;   /* of what is written */
    uint64_t again;    /* sent once more, since the first time was not acknowledged */
    uint64_t doubles;  /* of them: the other end says that it had them already */
    uint64_t connects; /* how often the other end was reached */
    uint64_t lag_ns;   /* how old the oldest record is that is queued or buffered; 0: none is */
} weir_sink_account;
WEIR_API void weir_sink_get_account(const weir_sink *sink, weir_sink_account *out);

/* `spec` without its secrets, for people: "redis://:***@host:6379/0". Cut at `size`. */
WEIR_API void weir_sink_mask(char *out, size_t size, const char *spec);

/* The account, at any moment: received = taken + waiting + lost + unread + doubles, and what was offered to the readers =
 * delivered + dropped + queued. */
typedef struct weir_account {
    uint64_t received;  /* messages from venues, of all streams */
    uint64_t taken;     /* of them, by plugins */
    uint64_t published; /* records of all kinds */
    uint64_t offered;   /* of them, to all readers together: each whose pattern selects it */
    uint64_t delivered; /* to all readers together */
    uint64_t dropped;   /* by all readers together */
    uint64_t queued;    /* now, in all readers' queues */
    uint64_t waiting;   /* messages in plugins' inboxes now */
    uint64_t lost;      /* messages that died with an instance */
    uint64_t unread;    /* messages that waited for a plugin when its stream was stopped as asked, or that its next socket brought, too */
    uint64_t gaps;      /* gap records */
    uint64_t restarts;  /* of streams */
    uint64_t doubles;   /* messages left out when a connection took over from another that had brought them */
    uint64_t repeats;   /* records that an old socket and its successor brought both, left out once */
} weir_account;
WEIR_API void weir_host_account(const weir_host *host, weir_account *out);
/* True when every counter adds up; otherwise a bug of ours, and `err` says where. */
WEIR_API bool weir_host_account_check(const weir_host *host, weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
