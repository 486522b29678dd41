/* db.h: one SQLite file: opened as far as its disk allows, migrated, closed; and what its failures mean. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>

#include "base/buf.h"
#include "store/store.h"

/* A database's form: step n makes version n + 1 of version n. Steps are never changed once released, only added. */
typedef struct db_schema {
    const char *const *steps;
    unsigned count;
    const char *pragmas; /* for a new file, ahead of the first step */
} db_schema;

extern const db_schema schema_settings, schema_history;

/* Why the last call failed. */
typedef enum db_trouble {
    DB_FINE,
    DB_READ_ONLY,
    DB_FULL,
    DB_BROKEN,  /* the disk or the system; may pass */
    DB_DAMAGED, /* what is in the file makes no sense */
} db_trouble;

typedef struct db {
    sqlite3 *at; /* NULL: not open */
    char *path;
    bool read_only;
    db_trouble trouble;
    weir_error why; /* it is read_only */
} db;

/* Opens for writing, makes or migrates it. Where it cannot be written and is of this version, it is opened for reading:
 * `read_only`, and `trouble` and `why` say why. WEIR_UNSUPPORTED: a newer one, or another program's. Otherwise `trouble` says why. */
weir_code db_open(db *d, const char *path, const db_schema *schema, weir_error *err);
/* For reading alone, of a file that db_open was at before. */
weir_code db_open_reader(db *d, const char *path, weir_error *err);
void db_close(db *d);
void db_abandon(db *d); /* closes and leaves the files as they are */

weir_code db_exec(db *d, const char *sql, weir_error *err);
weir_code db_prepare(db *d, sqlite3_stmt **out, const char *sql, weir_error *err);
/* Steps a statement that answers nothing, and resets it. */
weir_code db_run(db *d, sqlite3_stmt *statement, weir_error *err);
/* The first column of the first row; `fallback` if there is none or it is NULL. */
weir_code db_number(db *d, const char *sql, uint64_t fallback, uint64_t *out, weir_error *err);
/* Sets `trouble` and says in `err` what the last call's failure means. */
weir_code db_failed(db *d, weir_error *err);
void db_rollback(db *d);

/* PATH, with its -wal and -shm, renamed to PATH.damaged-20261128T101756Z; `name` gets the new path. */
weir_code db_move_aside(const char *path, buf *name, weir_error *err);
uint64_t db_file_octets(const char *path); /* the file and its WAL */
weir_code db_sync_folder(const char *path, weir_error *err);

store_state db_state(db_trouble trouble);

static inline void bind_bytes(sqlite3_stmt *statement, int at, bytes text)
{
    sqlite3_bind_text64(statement, at, text.at ? text.at : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static inline void bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    sqlite3_bind_int64(statement, at, value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value);
}

static inline bytes column_bytes(sqlite3_stmt *statement, int at)
{
    const void *text = sqlite3_column_blob(statement, at);
    return bytes_make(text, text ? (size_t)sqlite3_column_bytes(statement, at) : 0);
}

static inline uint64_t column_u64(sqlite3_stmt *statement, int at)
{
    return (uint64_t)sqlite3_column_int64(statement, at);
}

#endif
