/* store.h: what a node keeps on its disk: settings, which must survive power loss, and the history, which may lose its
 * last moments in a crash and says so.
 *
 *     DIR/lock              held while a process has the store; its pid
 *     DIR/settings.db       things, their secrets (sealed), the numbers given
 *     DIR/modules/SHA.wasm  modules by their SHA-256
 *     DIR/history.db        records, audit
 *
 * Two SQLite databases (WAL, synchronous=FULL, both), since they differ in all that counts: the settings are small, are
 * checked at every start and refused when damaged; the history is large, is written all the time, and when it is damaged it
 * is moved aside and begun anew. Neither waits for the other's commit, and a back-up of the settings is one small file.
 *
 * The loop never waits for the disk: a thread writes the settings, one the history, one reads it. A change is given with
 * a callback that comes on the loop when the change is durable or has failed; changes are done in the order in which they
 * were given, several in one transaction. Callbacks never come inside the call that registered them (but when
 * memory is out even for that), and each comes exactly once. The node reads everything once (store_load) and is the only
 * writer. Secrets are sealed (libsodium, XChaCha20-Poly1305, bound to their kind and id) before they leave the loop's thread.
 *
 * The frequent operation is store_history_add: a reference taken and a slot filled, no allocation once batches are warm.
 *
 * What can go wrong: a full disk, a read-only or damaged file. Then changes fail with a text and what is kept in memory is
 * not touched; records wait and are tried again each second, up to a bound; what goes beyond it is counted, and a gap
 * record stands in its place. store_get_state tells, and the log, once for each change of the state.
 *
 * Migrations go forward only: a file of a newer Weir is refused with the version that wrote it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "hub/record.h"
#include "loop/loop.h"

typedef struct store store;

#define STORE_KEY 32 /* octets of the key for secrets */

typedef struct store_options {
    const char *dir;           /* made if missing; locked: a second process is refused (WEIR_BUSY, the text has its pid) */
    bytes key;                 /* STORE_KEY octets, for secrets */
    uint64_t history_octets;   /* on the disk at most, then the oldest go; 0: 1 GiB */
    uint64_t history_ms;       /* kept so long; 0: 7 days */
    uint32_t history_flush_ms; /* a record is on its way to the disk after so long at most; 0: 200 */
    uint64_t waiting_octets;   /* of records that wait for the disk at most; 0: 64 MiB */
} store_options;

weir_code store_open(store **out, loop *l, const store_options *options, weir_error *err);
/* Writes what was given, once more if it failed before, and closes. Callbacks that are due come in here; `store_flush` first if the
 * loop shall not wait. NULL is fine. */
void store_close(store *s);

/* False: the process before did not come to store_close, or could not write all: what it took in its last moments
 * (history_flush_ms and the commit under way) is not here. Streams go on behind resume_seq (store_topic), which leaves room
 * for it, and their gap records may begin at last_ns. True for a new store. */
bool store_ended_well(const store *s);

/* How much of the history is kept from now on, and how long; 0: as before. */
void store_retain(store *s, uint64_t history_octets, uint64_t history_ms);

typedef void (*store_done)(void *arg, weir_code code, const char *error);
/* When all that was given so far is on the disk; a code and a text if some of it could not be written now. */
void store_flush(store *s, store_done fn, void *arg);

typedef enum store_state { STORE_OK,
                           STORE_READ_ONLY,
                           STORE_FULL,
                           STORE_FAILED } store_state;
store_state store_get_state(const store *s, const char **why); /* the worse of settings and history */
const char *store_state_name(store_state state);               /* "read_only" */

/* ---- Things: plugins, versions, connections, streams, sinks, tokens, grants, ui: rows of JSON under a kind and an id ---- */

/* Each thing of `kind`, those whose ids are numbers in the order of these, the others by their text. Reads the disk: at the
 * start only, what is durable only. `secret` is unsealed, empty: none; one that cannot be unsealed (another key, another
 * thing's) comes with `sealed` true and its thing must say so. All is lent. */
typedef void (*store_each)(void *arg, const char *id, bytes json, bytes secret, bool sealed);
weir_code store_load(store *s, const char *kind, store_each fn, void *arg, weir_error *err);
/* Puts or replaces, secret and all. `secret` may be empty. `fn` may be NULL, here and below. */
void store_put(store *s, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg);
void store_remove(store *s, const char *kind, const char *id, store_done fn, void *arg); /* fine when it is not there */
/* The next number of a kind, from 1; none that was ever put comes again, removed or not. */
uint64_t store_next_id(store *s, const char *kind);

/* For who keeps the same secret elsewhere under the same key: appends it sealed; opens it (false: another key, or another thing's). */
void store_seal(const store *s, const char *kind, const char *id, bytes secret, buf *out);
bool store_unseal(const store *s, const char *kind, const char *id, bytes sealed, buf *out);
#define STORE_KEY_PRINT 33
/* By which two nodes see that they have the same key; tells nothing of it. */
void store_key_print(const store *s, char out[STORE_KEY_PRINT]);

/* Modules: DIR/modules/SHA256.wasm, whole and durable before `fn`. WEIR_INVALID: that is not their hash. */
void store_module_put(store *s, const char *sha256, bytes octets, store_done fn, void *arg);
void store_module_path(const store *s, const char *sha256, buf *out);
void store_module_remove(store *s, const char *sha256, store_done fn, void *arg);

/* ---- Audit ---- */

typedef struct store_audit {
    uint64_t time_ns;
    const char *who, *scope, *peer, *action, *target; /* NULL: "" */
    uint16_t status;
} store_audit;
void store_audit_add(store *s, const store_audit *entry); /* durable with the history's next batch; the newest 200,000 are kept */
/* The newest `limit` (0: 100, at most 10,000) before `before` (0: from the newest), newest first, those that wait for the disk
 * too; on the loop when read. `json`: {"entries":[...],"next":ID|null}, the API's form. */
void store_audit_read(store *s, uint64_t before, uint32_t limit, void (*fn)(void *arg, weir_code code, bytes json, const char *error), void *arg);

/* ---- History ---- */

/* Takes a reference and writes it with its batch. Never blocks: where the disk cannot keep up and the bound is reached, the
 * oldest that have not been on their way to the disk yet go. They are counted as lost, and a gap record for each stream
 * concerned (cause slow_reader, since the history is one reader and the others got them; with their numbers) goes in their place. */
void store_history_add(store *s, record *r);

typedef struct store_history_query {
    const char *pattern;        /* as hub/topic.h; NULL: by `topic` */
    const char *topic;          /* exactly this one; NULL: by `pattern` */
    const uint64_t *connection; /* only streams of this one; NULL: any, so that a topic may be two streams, each with its own seq */
    bool behind_seq;            /* with `topic`: only what came behind `after_seq`, unnumbered records included */
    uint64_t after_seq;
    uint64_t from_ns, to_ns; /* from <= t < to, of ts_out (records of backfill: when they came); 0: open */
    bool by_event_time;      /* from and to are of ts_event */
    uint64_t cursor;         /* of the last page; 0: the first */
    uint32_t limit;          /* 0: 10,000 */
    bool newest_first;
    unsigned kinds; /* bits 1 << RECORD_DATA ...; 0: all that is kept (data, gap, status) */
} store_history_query;

typedef struct store_history_page {
    weir_code code;
    const char *error;
    bytes lines; /* NDJSON, the lines as all readers got them, in the order in which they came (clock steps change nothing about it):
                    what was on the disk AND what waited for it when the question was asked */
    uint32_t count;
    uint64_t cursor; /* 0: that was all. A page ends at its limit, at 16 MiB, or, with what it found, when others wait for their turn */
} store_history_page;
/* Answers on the loop; the page is lent. All that was added before the question and not yet past its retention is in the answer: who
 * subscribes in the same turn and then reads until the cursor is 0 misses nothing. */
void store_history_read(store *s, const store_history_query *q, void (*fn)(void *arg, const store_history_page *page), void *arg);

/* A stream: a topic of one connection (or of none). */
typedef struct store_topic {
    const char *topic;
    bytes envelope;                                        /* {"type":..,"source":..,"identifier":..,"parameters":{},"connection":1} */
    uint64_t records, octets, first_ns, last_ns, last_seq; /* what waits for the disk included; 0: none */
    uint64_t resume_seq;                                   /* record_stream_resume behind this, so that no number comes twice; last_seq when all ended well */
    bool has_connection;
    uint64_t connection;
} store_topic;
/* Every stream there is; at once, from memory. */
void store_history_topics(store *s, void (*fn)(void *arg, const store_topic *t), void *arg);

typedef struct store_figures {
    uint64_t octets;         /* of all files */
    uint64_t history_octets; /* of the history's */
    uint64_t history_records;
    uint64_t added, written, lost, waiting; /* added = written + lost + waiting */
    uint64_t gaps;                          /* records put in the place of lost ones */
    uint64_t audit_lost;
    uint64_t commits, commit_max_us; /* of the history */
} store_figures;
store_figures store_read_figures(const store *s);

#endif
