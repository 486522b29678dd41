/* stream.h: one live feed of one plugin, kept alive: instance, sessions, restarts, records.
 *
 * A stream of a pull plugin has an instance of its own. It configures it, calls start_stream, which stays
 * pending for days, and turns what the plugin publishes into records. The streams of a push plugin share
 * one (shared.h), which is asked about each message. When the instance or its
 * socket is lost, a new one takes over after a back-off; the records' numbers go on, and what may be
 * missing is a gap record in its place. All on the loop's thread. */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "plugin/generation.h"
#include "plugin/trap_note.h"
#include "stream/health.h"
#include "stream/venue.h"

typedef struct stream stream;

typedef enum stream_state {
    STREAM_CONNECTING, /* an instance is being set up, or dials */
    STREAM_LIVE,       /* it waits for messages on an open socket */
    STREAM_WAITING,    /* for the back-off to end */
    STREAM_STOPPING,   /* stop_stream was called; at most 2 s */
    STREAM_CLOSED,     /* stopped as asked */
    STREAM_FAILED,     /* given up: the plugin refuses, or fails again and again */
} stream_state;

const char *stream_state_name(stream_state state);

/* What the plugin's rate limits say to a command. */
typedef struct stream_turn {
    uint64_t wait_ns; /* how long it waits; 0: it may be asked now */
    bool again;       /* nothing is reserved for it: then this is asked once more */
    char limit[200];  /* that it waits for, such as "ohlcvStream: 1 a minute" */
} stream_turn;

/* What all streams of one plugin with one configuration share: a connection. Lent; outlives them. */
typedef struct stream_plugin {
    loop *loop;
    dialer *dialer;
    hub *hub;
    linked *code;
    const manifest *manifest;
    const targets *targets;
    const char *name;      /* for logs and errors */
    const char *plugin_id; /* the key's source */
    const generation *generation;
    const char *config; /* JSON object for the generation's configure; NULL: none, or it has no such export */
    bool has_stop;      /* the module exports stop_stream */
    bool has_shutdown;
    const policy_limits *limits;
    void *owner;                              /* the weir_plugin, for the program's own host functions */
    uint64_t backoff_min_ns;                  /* 0: 1 s */
    uint64_t backoff_max_ns;                  /* 0: 60 s */
    const struct heartbeat_rules *heartbeats; /* the user's; NULL: none */
    uint32_t silence_ms;                      /* 0: what is known of the origin */
    uint32_t quiet_after_ms;                  /* without data for so long a stream subscribes anew; 0: as its rhythm says; LIVENESS_NEVER */
    const struct lifetimes *lifetimes;        /* the user's; NULL: none */
    bool own_instances;                       /* each push stream has an instance to itself */
    struct shared *instance;                  /* of the push streams; NULL: none now. Kept by shared.c */
    uint64_t topic_cut;                       /* clock_mono: liveness.c took a topic for dead */
    health health;                            /* the user's part, at the beginning of it, may be set before the first stream */
    list streams;                             /* kept by stream.c */
    meter *meter;                             /* NULL: nobody counts */
    /* An instance died; may be NULL. Must not touch the streams. */
    void (*on_trap)(void *owner, const trap_note *note);
    /* When the command that opens a stream may be asked; `tries`: how often it was told `again`. NULL: at any time. */
    stream_turn (*turn)(void *owner, bytes command, json params, unsigned tries);
} stream_plugin;

typedef struct stream_options {
    bytes type, identifier;
    bytes parameters; /* JSON object of strings; empty: none */
    bool has_connection;
    uint64_t connection;
    void (*on_state)(void *arg, stream *s, stream_state state, const char *why); /* may be NULL; never
                         inside stream_open; may stop and free the stream */
    /* It is whole again behind gaps; `from_event` is the ts_event of the last data record before them, 0 if there
     * was none or it is not known. May be NULL. On a guest's fiber: schedule, and act later. */
    void (*on_resynced)(void *arg, uint64_t from_event);
    void *arg;
} stream_options;

/* The plugin's code is another now (code, manifest, generation, config and what the module exports were set, with no
 * call of the old under way but those of the streams): its streams go over to it, and what its health remembers of the
 * old is forgotten. Not from a callback of a stream. */
void stream_plugin_renew(stream_plugin *p);
static inline bool stream_plugin_any(const stream_plugin *p) /* it has streams, ended ones among them */
{
    return p->streams.head.next && !list_empty(&p->streams);
}

/* Begins at once; what happens then shows in on_state, status records and the log. */
weir_code stream_open(stream **out, stream_plugin *p, const stream_options *options, weir_error *err);
/* Something may be missing since `from_ns`, from before it was opened: a gap (restart) ahead of its first data record.
 * `from_event`: ts_event of the last data record of that time, for who fills gaps; 0: not known. Right behind stream_open. */
void stream_missed(stream *s, uint64_t from_ns, uint64_t from_event);
uint64_t stream_missing(const stream *s); /* since when records would be missing if it ended now: the gap that is due, or the last message; 0 */
/* Ends it in good order: nested stop_stream, 2 s, then by force. on_state comes with STREAM_CLOSED. */
void stream_stop(stream *s);
/* Any time outside its own callbacks' guest calls; unwinds what runs. NULL is fine. */
void stream_free(stream *s);

stream_state stream_get_state(const stream *s);
const char *stream_why(const stream *s); /* of the last change of state */
record_stream *stream_records(const stream *s);
uint64_t stream_last_event(const stream *s); /* ts_event of the last data record */
uint64_t stream_last_recv(const stream *s);  /* real time of the last message; 0: none */
uint64_t stream_open_sockets(const stream *s);
uint64_t stream_queued(const stream *s); /* messages that wait in its inboxes */
uint64_t stream_taken(const stream *s);  /* messages that its plugin took: of all it received, what is in none of these three */
/* Nothing waits, nobody is asked about anything, and no first snapshot is under way. */
bool stream_idle(const stream *s);
uint64_t stream_unread(const stream *s);  /* messages that waited when it was stopped as asked */
uint64_t stream_lost(const stream *s);    /* messages that no plugin read: they died with an instance, or it
                                             closed their socket */
uint64_t stream_repeats(const stream *s); /* records that a pull plugin's old socket and its new one brought both, left out once */

#endif
