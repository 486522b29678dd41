/* store.h: what a node keeps on its disk, in one SQLite file (WAL): settings that must survive power loss, and the
 * history, which may lose its last moments in a crash and says so.
 *
 * One thread of the store's own writes; the loop never waits for the disk. A change is given with a callback that
 * comes on the loop when the change is durable (synchronous=FULL) or has failed; changes are done in the order they were given, several
 * in one transaction. What was read at the start and changed since is in the hands of the node: it reads
 * everything once (store_load) and is the only writer. Secrets are sealed (libsodium, XChaCha20-Poly1305) before they
 * leave the loop's thread. Modules are files beside the database, named by their SHA-256.
 *
 * What can go wrong: a full disk, a read-only or damaged file. Then changes fail with a text and what is kept in
 * memory is not touched; the history counts what it had to give up and writes a gap record (cause "dropped") where it is whole again.
 *
 * Migrations go forward only: a file of a newer Weir is refused with the version that wrote it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "hub/record.h"
#include "loop/loop.h"

typedef struct store store;

typedef struct store_options {
    const char *dir;         /* made if missing; locked: a second process is refused (WEIR_BUSY, the text has its pid) */
    bytes key;               /* 32 octets, for secrets */
    uint64_t history_octets; /* 0: 1 GiB */
    uint64_t history_ms;     /* 0: 7 days */
    uint32_t history_flush_ms; /* a record is on the disk after so long at most; 0: 200 */
} store_options;

weir_code store_open(store **out, loop *l, const store_options *options, weir_error *err);
/* Flushes what was given, closes. `store_flush` first if the loop shall not wait. NULL is fine. */
void store_close(store *s);

typedef void (*store_done)(void *arg, weir_code code, const char *error);
void store_flush(store *s, store_done fn, void *arg); /* when all that was given so far is on the disk */

typedef enum store_state { STORE_OK, STORE_READ_ONLY, STORE_FULL, STORE_FAILED } store_state;
store_state store_get_state(const store *s, const char **why);

/* ---- Things: plugins, versions, connections, streams, sinks, tokens, grants, ui: rows of JSON under a kind and an id ---- */

/* Each thing of `kind` in the order of their ids. Reads the disk: at the start only. `secret` is unsealed, empty: none;
 * one that cannot be unsealed (another key) comes with `sealed` true and its thing must say so. */
typedef void (*store_each)(void *arg, const char *id, bytes json, bytes secret, bool sealed);
weir_code store_load(store *s, const char *kind, store_each fn, void *arg, weir_error *err);
/* Puts or replaces. `secret` may be empty. */
void store_put(store *s, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg);
void store_remove(store *s, const char *kind, const char *id, store_done fn, void *arg);
/* The next number of a kind; never given twice, a removed thing's id does not come back. */
uint64_t store_next_id(store *s, const char *kind);

/* Modules: DIR/modules/SHA256.wasm, written whole and durable before `fn`. */
void store_module_put(store *s, const char *sha256, bytes octets, store_done fn, void *arg);
void store_module_path(const store *s, const char *sha256, buf *out);
void store_module_remove(store *s, const char *sha256, store_done fn, void *arg);

/* ---- Audit ---- */

typedef struct store_audit {
    uint64_t time_ns;
    const char *who, *scope, *peer, *action, *target;
    uint16_t status;
} store_audit;
void store_audit_add(store *s, const store_audit *entry); /* batched with the history's durability */
/* The newest `limit` before `before` (0: from the newest), newest first; on the loop when read. `json`: the API's form. */
void store_audit_read(store *s, uint64_t before, uint32_t limit, void (*fn)(void *arg, weir_code code, bytes json, const char *error), void *arg);

/* ---- History ---- */

/* Takes a reference and writes it with its batch. Never blocks: when the writer cannot keep up and its bound (64 MiB) is reached, the
 * record is counted as lost and a gap goes in its place. */
void store_history_add(store *s, record *r);

typedef struct store_history_query {
    const char *pattern;   /* as hub/topic.h */
    uint64_t from_ns, to_ns; /* of ts_out (records of backfill: when they came); 0: open */
    const char *topic;     /* with after_seq: exactly this topic, behind this number; NULL: by time */
    uint64_t after_seq;
    uint64_t cursor;       /* of the last page; 0: the first */
    uint32_t limit;        /* 0: 10,000 */
    bool newest_first;
    bool by_event_time;    /* from and to are of ts_event */
    unsigned kinds;        /* bits 1 << RECORD_DATA ...; 0: all that is kept (data, gap, status) */
} store_history_query;

typedef struct store_history_page {
    weir_code code;
    const char *error;
    bytes lines;     /* NDJSON, in order: what is on the disk AND what still waits to be written, whichever selects */
    uint32_t count;
    uint64_t cursor; /* 0: that was all */
} store_history_page;
/* Answers on the loop; the page is lent. */
void store_history_read(store *s, const store_history_query *q, void (*fn)(void *arg, const store_history_page *page), void *arg);

typedef struct store_topic {
    const char *topic;
    bytes envelope; /* {"type":..,"source":..,"identifier":..,"parameters":{},"connection":1} */
    uint64_t records, octets, first_ns, last_ns, last_seq;
} store_topic;
/* Every topic there is; at once, from memory. */
void store_history_topics(store *s, void (*fn)(void *arg, const store_topic *t), void *arg);

typedef struct store_figures {
    uint64_t octets, history_octets, history_records;
    uint64_t added, written, lost, waiting; /* added = written + lost + waiting */
    uint64_t commits, commit_max_us;
} store_figures;
store_figures store_read_figures(const store *s);

#endif
