/* inside.h: what the files of this folder share. Nobody else includes it.
 *
 * Three lanes, each a thread with its own connection: settings (settings.c, modules.c), writer (history_write.c,
 * history_keep.c), reader (history_scan.c, audit.c). A request goes to a lane, is run there, and comes back to the loop. What a
 * lane's thread owns is named so below; all else is the loop's. Records are only read by the writer: their counts are the loop's. */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <pthread.h>

#include "base/map.h"
#include "store/db.h"

#define RETRY_NS NS_PER_S /* until what failed is tried again */

/* ---- Requests and lanes ---- */

typedef struct request request;
struct request {
    request *next;
    void (*run)(store *s, request *r);  /* on the lane's thread; of the settings' lane NULL: `change` */
    void (*done)(store *s, request *r); /* on the loop; frees it */
    weir_error error;
    db_trouble trouble; /* of the database, when it was tried */
};

typedef struct lane {
    store *s;
    void (*run)(store *s, request *list); /* on its thread: all that waits, in order */
    pthread_t thread;
    bool started, stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    request *todo, **todo_end, *done, **done_end;
    int bell; /* rung when something is done */
} lane;

weir_code lane_start(lane *l, store *s, void (*run)(store *s, request *list), int bell, weir_error *err);
void lane_post(lane *l, request *r);
request *lane_take(lane *l); /* what is done, in order */
void lane_stop(lane *l);     /* after all that waits; fine when it was not started */

/* ---- Settings ---- */

typedef struct settings {
    db db; /* the lane's */
    sqlite3_stmt *put, *remove, *count;
    char *path;
    map *counters; /* kind to the last number given; the loop's */
} settings;

typedef struct change {
    request base;
    enum { CHANGE_PUT,
           CHANGE_REMOVE,
           CHANGE_PROBE,
           CHANGE_MODULE_PUT,
           CHANGE_MODULE_REMOVE } what;
    store_done fn;
    void *arg;
    uint64_t octets; /* of the file, afterwards; of a module: what it added */
    int64_t module_octets;
    bytes kind, json, secret; /* `json` of a module: its octets */
    char *id;
    char text[];
} change;

weir_code settings_open(store *s, weir_error *err);
void settings_run(store *s, request *list);
void settings_close(store *s);
void settings_probe(store *s);
void settings_post(store *s, change *c);
/* A change with copies of all of it; NULL: out of memory. */
change *change_new(int what, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg);

weir_code modules_open(store *s, weir_error *err);
void module_put_run(store *s, request *r);
void module_remove_run(store *s, request *r);

/* ---- Secrets ---- */

#define SEAL_EXTRA 41 /* a form, a nonce, a tag */
/* `out` gets secret.len + SEAL_EXTRA octets. */
void seal(const unsigned char key[STORE_KEY], const char *kind, const char *id, bytes secret, char *out);
/* `out` has room for sealed.len octets; false: not with this key, not of this thing. */
bool unseal(const unsigned char key[STORE_KEY], const char *kind, const char *id, bytes sealed, char *out, size_t *len);

/* ---- History: what is known of a stream ---- */

/* A record's id: 2^20 streams, and 2^43 records over the life of a store. */
#define HISTORY_BITS 43
#define HISTORY_STREAMS (UINT64_C(1) << 20)
#define HISTORY_ID(stream, n) ((uint64_t)(stream) << HISTORY_BITS | (n))
#define HISTORY_N(id) ((id) & ((UINT64_C(1) << HISTORY_BITS) - 1))

/* What the disk has of a stream: a row of `tally`. */
typedef struct tally {
    bool stored; /* its row of `stream` is there */
    uint64_t records, octets, first_n, last_n, first_ns, last_ns, last_seq;
} tally;

typedef struct trail trail; /* a stream's */
struct trail {
    uint64_t id; /* from 1 */
    bytes topic, envelope;
    bool has_connection;
    uint64_t connection;
    record_stream *stream; /* NULL: none of this process yet */
    uint64_t last_seq, last_place, resume_seq, last_ns, first_ns;
    uint64_t first_n, last_n, records, octets; /* on the disk and waiting */
    bool went_back;                            /* its numbers did; said in the log */
    uint64_t selected;                         /* by the question of this number */
    /* What was lost and has no gap record yet. */
    uint64_t lost, lost_from_ns, lost_to_ns, lost_from_seq, lost_to_seq, lost_place;
    trail *lost_next;
    /* The writer's. */
    tally kept, before;
    uint32_t generation;
    bool touched, dirty; /* in this transaction; its row of `tally` is behind */
    trail *touched_next, *dirty_next;
    uint32_t chain, chain_end; /* its records in the group: slot number + 1, linked in writer.links */
    char text[];
};

typedef struct slot {
    record *r;
    trail *of;
    uint64_t place;
} slot;

#define BATCH_SLOTS 1024

/* Records with numbers in a row. */
typedef struct batch {
    struct batch *next;
    uint64_t first_n;
    uint32_t count;
    bool gaps; /* ours, in the place of lost ones: not in the account */
    uint64_t memory;
    slot slots[BATCH_SLOTS];
} batch;

typedef struct batch_list {
    batch *first, *last;
} batch_list;

/* Some seconds of all records together: a row of `mark`. */
typedef struct mark {
    uint64_t n, last_n, min_ts, max_ts, min_event, max_event, records, octets;
} mark;

/* What the retention took from a stream. */
typedef struct trim {
    trail *of;
    uint64_t records, octets, first_n, first_ns;
} trim;

/* The one request to the writer, used again and again. */
typedef struct history_write {
    request base;
    batch *batches;
    bytes audit; /* lines */
    uint64_t audit_id;
    bool suspect; /* the reader says that the file is damaged */
    bool last;    /* the store closes: all is well if this is */
    bool probe;   /* the last one failed */
    uint64_t now_real, now_mono;
    /* What came of it. */
    bool fresh;      /* a new file was begun */
    weir_error note; /* something to log */
    mark mark;       /* the current one; n = 0: none */
    trim *trims;
    size_t trims_count, trims_cap;
    uint64_t trimmed_n; /* marks up to this record are gone */
    uint64_t octets;
    bool committed;
} history_write;

typedef struct audit {
    buf open, given; /* lines; `given` is with the writer, or was and failed */
    uint64_t open_id, given_id, next_id;
    uint64_t lost;
    bool losing;
} audit;

/* In order: `given`, the lost, `queue`; its last one is open. What is given stays until it is written, however often it is tried. */
typedef struct history {
    char *path;
    batch_list given, queue, idle;
    uint64_t idle_count;
    trail *lost_first, *lost_last;
    uint64_t lost_n; /* where the lost ones began */
    uint64_t next_n, given_octets, queue_octets;
    uint64_t group_octets; /* in one transaction, about; as much does not wait for history_flush_ms */
    bool in_flight, failing, due, suspect, closing, ended_well;
    timer flush, retry, tick;
    history_write write;
    mark *marks;
    size_t marks_count, marks_cap;
    /* Streams: by id (from 1), by topic and connection, and by the address of their record_stream. */
    trail **trails;
    size_t trails_count, trails_cap;
    map *by_name;
    struct {
        record_stream *stream;
        trail *trail;
    } * table, recent;
    size_t table_cap, table_count;
    uint64_t questions;
    buf spare; /* of the last page's lines */
    uint64_t added, written, lost, waiting, gaps, commits, commit_max_us, octets;
    bool losing; /* said in the log */
    uint64_t losing_from;
} history;

/* The writer's thread's. */
typedef struct writer {
    db db;
    sqlite3_stmt *insert, *stream, *tally, *mark_put, *audit, *audit_trim;
    sqlite3_stmt *oldest, *weigh, *cut, *first, *unmark;
    uint32_t generation; /* of the file: a fresh one has the next */
    trail **by_id;
    size_t by_id_cap;
    trail *touched, *dirty;
    mark mark; /* the current one; n = 0: none */
    slot **flat;
    uint32_t *links;
    size_t flat_cap;
    bool clock_known;
    int64_t clock_apart;     /* real less monotonic */
    uint64_t distrust_until; /* monotonic: the clock has stepped */
} writer;

weir_code history_open(store *s, weir_error *err);
void history_close(store *s);
void history_give(store *s, bool force);
void history_written(store *s, request *r);
bool history_idle(const store *s); /* nothing is left to write */
trail *trail_of(store *s, record_stream *stream);
trail *trail_find(const store *s, bytes topic, uint64_t connection); /* NULL: none */
trail *trail_add(store *s, bytes topic, bytes envelope, const uint64_t *connection);
void trails_forget(store *s); /* before any record came */
void trails_free(store *s);
void history_mark(history *h, const mark *m);
/* A gap record for what was lost of it; NULL: out of memory. */
record *lost_gap(const trail *t);

weir_code writer_open(store *s, history_write *job, weir_error *err);
void writer_run(store *s, request *list);
void writer_close(writer *w);
/* The tallies of all streams that are behind, in the transaction under way. */
weir_code writer_tallies(writer *w, weir_error *err);
void writer_touch(writer *w, trail *t);
void writer_settle(writer *w, bool committed, bool tallied);
trail *writer_known(writer *w, trail *t); /* NULL: out of memory */
void keep(store *s, history_write *job);

weir_code reader_connect(store *s, weir_error *err);
void reader_run(store *s, request *list);
void reader_close(store *s);

void audit_init(store *s);
void audit_give(store *s);
weir_code audit_write(writer *w, const history_write *job, weir_error *err);
void audit_written(store *s);

/* ---- The whole ---- */

typedef struct flush flush;

/* An answer that could not even be asked for: it still comes on the loop. */
typedef struct refusal {
    store_done done;
    void (*page)(void *arg, const store_history_page *page);
    void (*audit)(void *arg, weir_code code, bytes json, const char *error);
    void *arg;
    weir_error error;
} refusal;
#define REFUSALS 16

struct store {
    loop *l;
    char *dir;
    int lock;
    unsigned char *key; /* STORE_KEY octets, locked in memory */
    store_options options;
    int bell;
    loop_io *io;
    lane settings_lane, writer_lane, reader_lane;
    uint64_t outstanding; /* requests that are not done */
    settings settings;
    history history;
    writer writer;
    audit audit;
    db reader; /* the reader's */
    uint32_t reader_generation;
    uint32_t generation; /* atomic: of the history's file, as the writer has it open */
    db_trouble settings_trouble, history_trouble;
    weir_error settings_why, history_why;
    timer probe;
    flush *flushes, **flushes_end;
    refusal refusals[REFUSALS];
    size_t refusals_count;
    deferred refuse;
    uint64_t settings_octets, modules_octets;
    int stopping; /* atomic: long reads end */
};

void store_post(store *s, lane *l, request *r);
void store_refuse(store *s, const refusal *r);
/* A state as the last try found it, told in the log when it changed. */
void store_note(store *s, bool history, db_trouble trouble, const weir_error *why);
/* After each write of the history; `error`: it failed. */
void store_flushes_check(store *s, const weir_error *error);
char *store_path(const store *s, const char *name); /* DIR/name, to free; NULL: out of memory */

#endif
