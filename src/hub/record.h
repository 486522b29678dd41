/* record.h: one immutable piece of market data, encoded once as one JSON line.
 *
 *   {"seq":"41","kind":"data","type":"ohlcv","source":"woox","identifier":"SPOT_BTC_USDT",
 *    "parameters":{"timeframe":"1m"},"connection":1,"ts_event":"ns","ts_recv":"ns","ts_out":"ns","data":{...}}
 *   ("backfill":true ahead of "data" where it came out of the plugin's history)
 *   {"seq":"42","kind":"gap",<type to connection>,"cause":"disconnected","from":"ns","to":"ns","count":3,
 *    "from_seq":"7","to_seq":"9","ts_out":"ns"}
 *   {"kind":"status",<type to connection>,"state":"live","why":"...","ts_out":"ns"}
 *
 * (each one line). Times are nanoseconds since 1970 UTC as decimal strings, null where not known;
 * count, from_seq and to_seq of a gap are left out where not known. A gap of cause slow_reader is
 * made for one reader only and so has no seq of its own: its from_seq and to_seq are the records
 * which that reader missed. Status records are not numbered either.
 *
 * What all records of a stream share (type to connection, topic, the counter behind seq) lives in a
 * record_stream, made once. Records are counted; a record keeps its stream, a stream keeps its
 * pool. All on one thread: the counts are plain integers.
 *
 * The frequent operation is record_new, more than a million a second: one block from the pool's
 * free list, a few copies, no allocation once the pool is warm. */
#ifndef HUB_RECORD_H
#define HUB_RECORD_H

#include "hub/topic.h"

/* ---- Pool: record blocks by size class, used again ---- */

typedef struct record_pool record_pool;

typedef struct record_pool_stats {
    uint64_t live;        /* records that somebody holds */
    uint64_t idle_octets; /* in free blocks, at most RECORD_POOL_IDLE */
} record_pool_stats;

#define RECORD_POOL_IDLE (8u << 20)

record_pool *record_pool_new(void); /* NULL when out of memory */
/* Gives up our reference: the pool goes when its last stream, and so its last record, is gone. */
void record_pool_unref(record_pool *p);
record_pool_stats record_pool_read_stats(const record_pool *p);

/* ---- Stream: what its records share ---- */

/* A stream's name as the plugin knows it. All of it is copied. */
typedef struct record_key {
    bytes type, source, identifier;
    bytes parameters; /* a JSON object of strings, numbers, booleans and nulls; empty: none. Kept in
                         the order of its keys; a null stays out of the topic */
    bool has_connection;
    uint64_t connection;
} record_key;

/* Figures of one stream. `published` and `gaps` are counted here; the stream's code counts the others. */
typedef struct record_counts {
    uint64_t received;  /* messages from the venue */
    uint64_t published; /* data records made */
    uint64_t gaps;      /* gap records made */
    uint64_t restarts;  /* new instances that took over */
    uint64_t doubles;   /* messages left out when a connection took over from another that had brought them */
    uint64_t repeated;  /* messages whose number was there before, or goes back; passed on. Of a book: doubles, left out */
    uint64_t stale;     /* changes of a book that its snapshot has already, or that came before it; left out */
} record_counts;

typedef struct record_stream record_stream;

/* WEIR_INVALID: an empty or overlong name, text that is no UTF-8, parameters that are no such object.
 * hub_stream (hub.h) is the usual way: it gives the same key the same stream. */
weir_code record_stream_new(record_stream **out, record_pool *pool, const record_key *key, weir_error *err);
record_stream *record_stream_ref(record_stream *s);
void record_stream_unref(record_stream *s);

bytes record_stream_topic(const record_stream *s); /* NUL-terminated, too */
/* By which it goes where one topic may be two streams: the topic, and "@7" behind it of connection 7. NUL-terminated, too. */
bytes record_stream_name(const record_stream *s);
#define RECORD_NAME_ROOM (TOPIC_MAX + 22)
/* The same, made of its parts; `topic` has at most TOPIC_MAX octets. */
bytes record_name(char out[RECORD_NAME_ROOM], bytes topic, bool has_connection, uint64_t connection);
bytes record_stream_type(const record_stream *s); /* as given, not escaped; these too */
bytes record_stream_source(const record_stream *s);
bytes record_stream_identifier(const record_stream *s);
bytes record_stream_parameters(const record_stream *s);               /* a JSON object, keys in order */
bool record_stream_connection(const record_stream *s, uint64_t *out); /* false: null */
uint64_t record_stream_seq(const record_stream *s);                   /* the last one given; 0: none yet */
/* Goes on counting behind `seq`, for instance behind the last one in a history. Never goes back. */
void record_stream_resume(record_stream *s, uint64_t seq);
record_counts *record_stream_counts(record_stream *s);

/* Somebody keeps what the stream's records change, an order book: then a reader that begins late or lost some gets
 * the whole in place of the next change. `make` answers what is whole behind the record (record_whole_new, with
 * its number), or NULL if it cannot now. NULL: nobody keeps it any more. `depth`: of the whole, for who keeps it elsewhere. */
typedef struct record record;
typedef record *(*record_make_whole)(void *arg, const record *change);
void record_stream_keep(record_stream *s, record_make_whole make, void *arg, size_t depth);
const void *record_stream_keeper(const record_stream *s, size_t *depth); /* its `arg`; NULL: nobody keeps it */
record *record_stream_whole(record_stream *s, const record *change);     /* what `make` answers; NULL without it */

/* ---- Records ---- */

typedef enum record_kind { RECORD_DATA,
                           RECORD_GAP,
                           RECORD_STATUS } record_kind;

/* Every cause of a gap: its name in the record. */
#define RECORD_GAP_CAUSES(X)                                                \
    X(DISCONNECTED, "disconnected") /* the venue's connection was away */   \
    X(DROPPED, "dropped")           /* a queue before the hub was full */   \
    X(SEQUENCE, "sequence")         /* the venue's numbers have a hole */   \
    X(RESTART, "restart")           /* the plugin's instance was renewed */ \
    X(SILENCE, "silence")           /* nothing came when it should have */  \
    X(SLOW_READER, "slow_reader")   /* this reader fell behind */
typedef enum record_gap_cause {
#define X(name, text) RECORD_GAP_##name,
    RECORD_GAP_CAUSES(X)
#undef X
} record_gap_cause;

/* Every state a status record can tell. */
#define RECORD_STATES(X)                                                                 \
    X(CONNECTING, "connecting")                                                          \
    X(LIVE, "live")                                                                      \
    X(WAITING, "waiting")                                                                \
    X(COMPILING, "compiling")                                                            \
    X(FAILED, "failed")                                                                  \
    X(CLOSED, "closed")                                                                  \
    X(STOPPED, "stopped")                                                                \
    X(RESYNCED, "resynced")     /* whole again behind a gap; the state is what it was */ \
    X(BACKFILLED, "backfilled") /* candles of a gap came from the history */             \
    X(UNFILLED, "unfilled")     /* they could not be had */                              \
    X(LAGGING, "lagging")       /* told to one reader alone: its queue fills (sub.h) */
typedef enum record_state {
#define X(name, text) RECORD_##name,
    RECORD_STATES(X)
#undef X
} record_state;

typedef struct record_gap {
    record_gap_cause cause;
    uint64_t from_ns, to_ns; /* real time; 0: not known */
    uint64_t count;          /* what is missing; 0: not known */
    bool has_seq;            /* from_seq and to_seq are known: the venue's, or ours for slow_reader */
    uint64_t from_seq, to_seq;
} record_gap;

/* Never changes once it is published. `line` has no newline, but one octet behind it there is one, so
 * line.len + 1 octets can be written as they are. `data` is a piece of `line`, empty unless the kind
 * is RECORD_DATA. */
struct record {
    record_stream *stream;
    bytes line;
    bytes data;
    uint64_t seq;                       /* 0: none */
    uint64_t ts_event, ts_recv, ts_out; /* of a gap: from, to, and when it was told */
    uint32_t refs;
    uint8_t kind;        /* record_kind */
    uint8_t state;       /* record_state, of a status */
    uint8_t cause;       /* record_gap_cause, of a gap */
    uint8_t size_class;  /* of the block, for the pool */
    bool whole;          /* of data: what came before it is of no account */
    bool foreign;        /* made elsewhere (record_foreign_new) */
    bool backfill;       /* data that did not come live: out of the plugin's history */
    struct record *next; /* while it waits in the hub or the pool */
};

/* Hop 5, verdict to record: number, topic and JSON, encoded once, never changed again.
 *
 * `data` is validated JSON from the plugin and goes in unchanged, except that raw line breaks (JSON
 * allows them between tokens only) become blanks, since a record is one line. `ts_event` is the venue's
 * time, `ts_recv` when the message arrived (both real ns, 0: not known); ts_out is now.
 * One reference for the caller. NULL when out of memory; then no seq is used up. */
record *record_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data);
/* The same, with `whole` set. A `seq` that is not 0 is that of the record in whose place it stands, for some readers. */
record *record_whole_new(record_stream *s, uint64_t seq, uint64_t ts_event, uint64_t ts_recv, bytes data);
/* The same, marked "backfill":true. */
record *record_backfill_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data);
record *record_gap_new(record_stream *s, const record_gap *gap);
record *record_status_new(record_stream *s, record_state state, const char *why);

/* A record that another program made, with its line and number as they are; the stream counts on behind it. WEIR_INVALID: the
 * line is no record, or another stream's. */
weir_code record_foreign_new(record **out, record_stream *s, bytes line, weir_error *err);
/* Whose line that is, for hub_stream; pieces of `line`. WEIR_INVALID also for names with escapes in them. */
weir_code record_foreign_key(record_key *key, bytes line, weir_error *err);

static inline record *record_ref(record *r)
{
    r->refs++;
    return r;
}
void record_unref(record *r); /* NULL is fine */

const char *record_gap_cause_name(record_gap_cause cause);
const char *record_state_name(record_state state);

#endif
