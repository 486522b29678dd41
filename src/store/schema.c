/* The form of both databases, step by step. A released step is never changed; a new one goes behind it.
 *
 * A record's id is its stream's number and its own (HISTORY_ID in inside.h): so the records of one stream lie side by
 * side in the order in which they came, which is what a chart reads, and one tree holds them, which is what a writer
 * wants. Records are numbered over all streams without holes; a mark sums up some seconds of them, so that a time finds
 * its numbers without an index, and tells which are the oldest. `place` is twice the record's seq; of one without a seq,
 * twice that of the one before it, plus one. */
#include "store/db.h"

static const char *const settings_steps[] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE thing(kind TEXT NOT NULL, id TEXT NOT NULL, number INTEGER, json TEXT NOT NULL, secret BLOB, PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    "CREATE TABLE counter(kind TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;",
};

static const char *const history_steps[] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE stream(id INTEGER PRIMARY KEY, topic TEXT NOT NULL, connection INTEGER, envelope TEXT NOT NULL);"
    "CREATE TABLE tally(stream INTEGER PRIMARY KEY, records INTEGER NOT NULL, octets INTEGER NOT NULL, first_n INTEGER NOT NULL, last_n INTEGER NOT NULL,"
    " first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, last_seq INTEGER NOT NULL);"
    "CREATE TABLE record(id INTEGER PRIMARY KEY, place INTEGER NOT NULL, kind INTEGER NOT NULL, ts_out INTEGER NOT NULL, ts_event INTEGER, line TEXT NOT NULL);"
    "CREATE TABLE mark(n INTEGER PRIMARY KEY, last_n INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL,"
    " min_event INTEGER NOT NULL, max_event INTEGER NOT NULL, records INTEGER NOT NULL, octets INTEGER NOT NULL);"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, entry TEXT NOT NULL);",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

const db_schema schema_settings = {settings_steps, COUNT(settings_steps), "PRAGMA page_size=4096;"};
const db_schema schema_history = {history_steps, COUNT(history_steps), "PRAGMA auto_vacuum=INCREMENTAL;"};
