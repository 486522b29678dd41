/* One SQLite file. See db.h.
 *
 * The happy path: opened for writing, WAL, synchronous=FULL, brought to the newest form in one transaction for each step.
 * A file that may not be written is opened for reading, a WAL beside it included; where not even the WAL's index can be
 * made (a read-only folder, a full disk) and there is no WAL, as immutable. */
#include "store/db.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION 0x57656972 /* "Weir" */
#define BUSY_MS 10000          /* somebody's shell may hold a lock for a moment */

static db_trouble trouble_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return DB_READ_ONLY;
    case SQLITE_FULL:
        return DB_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* our own words make no sense there: a table or column is gone */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
        return DB_DAMAGED;
    default:
        return DB_BROKEN;
    }
}

weir_code db_failed(db *d, weir_error *err)
{
    int code = d->at ? sqlite3_extended_errcode(d->at) : SQLITE_NOMEM;
    const char *text = d->at ? sqlite3_errmsg(d->at) : "out of memory";

    d->trouble = trouble_of(code);
    if ((code & 0xff) == SQLITE_NOMEM)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", d->path);
    if ((code & 0xff) == SQLITE_BUSY)
        return error_set(err, WEIR_BUSY, "'%s': another program holds it (%s); end what else has it open", d->path, text);
    switch (d->trouble) {
    case DB_READ_ONLY:
        return error_set(err, WEIR_SYSTEM, "'%s': may not be written (%s); the file and its folder must be writable for this user", d->path, text);
    case DB_FULL:
        return error_set(err, WEIR_SYSTEM, "'%s': the disk is full; free some space and it goes on by itself", d->path);
    case DB_DAMAGED:
        return error_set(err, WEIR_INVALID, "'%s': is damaged (%s)", d->path, text);
    default:
        return error_set(err, WEIR_SYSTEM, "'%s': %s (%s)", d->path, text, d->at && sqlite3_system_errno(d->at) ? strerror(sqlite3_system_errno(d->at)) : "SQLite");
    }
}

weir_code db_exec(db *d, const char *sql, weir_error *err)
{
    return sqlite3_exec(d->at, sql, NULL, NULL, NULL) ? db_failed(d, err) : WEIR_OK;
}

weir_code db_prepare(db *d, sqlite3_stmt **out, const char *sql, weir_error *err)
{
    return sqlite3_prepare_v3(d->at, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) ? db_failed(d, err) : WEIR_OK;
}

weir_code db_run(db *d, sqlite3_stmt *statement, weir_error *err)
{
    weir_code code = WEIR_OK;
    if (sqlite3_step(statement) != SQLITE_DONE)
        code = db_failed(d, err);
    sqlite3_reset(statement);
    return code;
}

weir_code db_number(db *d, const char *sql, uint64_t fallback, uint64_t *out, weir_error *err)
{
    sqlite3_stmt *statement = NULL;
    weir_code code = db_prepare(d, &statement, sql, err);
    if (code)
        return code;
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        *out = sqlite3_column_type(statement, 0) == SQLITE_NULL ? fallback : column_u64(statement, 0);
    else if (step == SQLITE_DONE)
        *out = fallback;
    else
        code = db_failed(d, err);
    sqlite3_finalize(statement);
    return code;
}

void db_rollback(db *d)
{
    if (d->at && !sqlite3_get_autocommit(d->at))
        sqlite3_exec(d->at, "ROLLBACK", NULL, NULL, NULL);
}

/* The version that wrote it, for the text of a refusal. */
static void written_by(db *d, char out[64])
{
    sqlite3_stmt *statement = NULL;
    strcpy(out, "a newer version");
    if (sqlite3_prepare_v2(d->at, "SELECT value FROM meta WHERE name='written_by'", -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        bytes text = column_bytes(statement, 0);
        snprintf(out, 64, BYTES_FMT, (int)(text.len < 40 ? text.len : 40), text.at ? text.at : "");
    }
    sqlite3_finalize(statement);
}

/* Is it ours, and of a version that we know? */
static weir_code check_form(db *d, const db_schema *schema, uint64_t *version, weir_error *err)
{
    uint64_t application, tables;
    char writer[64];

    if (db_number(d, "PRAGMA application_id", 0, &application, err) || db_number(d, "PRAGMA user_version", 0, version, err) ||
        db_number(d, "SELECT count(*) FROM sqlite_schema", 0, &tables, err))
        return err->code;
    if ((tables || *version || application) && application != APPLICATION)
        return error_set(err, WEIR_UNSUPPORTED, "'%s': is another program's database; Weir wants a folder of its own", d->path);
    if (*version <= schema->count)
        return WEIR_OK;
    written_by(d, writer);
    return error_set(err, WEIR_UNSUPPORTED,
                     "'%s': was written by Weir %s (form %llu), and this Weir %s knows forms up to %u; run that version, or restore a back-up from before its upgrade",
                     d->path, writer, (unsigned long long)*version, WEIR_VERSION, schema->count);
}

static weir_code step_forward(db *d, const db_schema *schema, uint64_t from, weir_error *err)
{
    char sql[160];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%llu;"
                              "INSERT OR REPLACE INTO meta VALUES('written_by','" WEIR_VERSION "'); COMMIT",
             APPLICATION, (unsigned long long)from + 1);
    if (!db_exec(d, "BEGIN IMMEDIATE", err) && !db_exec(d, schema->steps[from], err) && !db_exec(d, sql, err))
        return WEIR_OK;
    weir_code code = err->code;
    if (sqlite3_errcode(d->at) == SQLITE_ERROR) { /* the step's fault, not the file's */
        d->trouble = DB_BROKEN;
        code = error_set(err, WEIR_SYSTEM, "'%s': cannot be brought to form %llu: %s", d->path, (unsigned long long)from + 1, sqlite3_errmsg(d->at));
    }
    db_rollback(d);
    return code;
}

static weir_code migrate(db *d, const db_schema *schema, weir_error *err)
{
    uint64_t version = 0;

    if (check_form(d, schema, &version, err))
        return err->code;
    if (d->read_only && version < schema->count) {
        d->trouble = DB_READ_ONLY;
        return error_set(err, WEIR_SYSTEM, "'%s': is of form %llu and must be brought to form %u, but may not be written", d->path, (unsigned long long)version, schema->count);
    }
    if (!version && db_exec(d, schema->pragmas, err))
        return err->code;
    if (!d->read_only && db_exec(d, "PRAGMA journal_mode=WAL", err))
        return err->code;
    for (; version < schema->count; version++)
        if (step_forward(d, schema, version, err))
            return err->code;
    /* A newer program of the same form, or an older one. Also the first write: it shows whether there can be one. */
    if (!d->read_only && db_exec(d, "INSERT OR REPLACE INTO meta VALUES('written_by','" WEIR_VERSION "')", err))
        return err->code;
    return WEIR_OK;
}

static weir_code connect_file(db *d, const char *name, int flags, weir_error *err)
{
    if (sqlite3_open_v2(name, &d->at, flags | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL))
        return db_failed(d, err);
    sqlite3_busy_timeout(d->at, BUSY_MS);
    return db_exec(d, "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=67108864", err);
}

static void disconnect(db *d)
{
    sqlite3_close_v2(d->at);
    d->at = NULL;
}

/* "file:PATH?immutable=1", what a URI gives a meaning to escaped. */
static weir_code immutable_name(buf *out, const char *path, weir_error *err)
{
    buf_add_text(out, "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path))
            buf_add_fmt(out, "%%%02X", (unsigned char)*path);
        else
            buf_add_char(out, *path);
    }
    buf_add_text(out, "?immutable=1");
    buf_add_char(out, '\0');
    return out->failed ? error_set(err, WEIR_NOMEM, "out of memory") : WEIR_OK;
}

static bool has_wal(const char *path)
{
    char name[PATH_MAX];
    struct stat st;
    snprintf(name, sizeof name, "%s-wal", path);
    return stat(name, &st) == 0 && st.st_size > 0;
}

/* The second way, for reading; the third, as immutable, if there is no WAL. */
static weir_code open_to_read(db *d, weir_error *err)
{
    weir_error first = WEIR_ERROR_INIT;
    uint64_t any;
    buf name;

    d->read_only = true;
    if (!connect_file(d, d->path, SQLITE_OPEN_READONLY, &first) && !db_number(d, "SELECT count(*) FROM sqlite_schema", 0, &any, &first))
        return WEIR_OK;
    if (d->trouble == DB_DAMAGED || has_wal(d->path)) {
        *err = first;
        return err->code;
    }
    disconnect(d);
    buf_init(&name, 4 * PATH_MAX);
    weir_code code = immutable_name(&name, d->path, err);
    if (!code && !(code = connect_file(d, name.at, SQLITE_OPEN_READONLY, err)))
        code = db_number(d, "SELECT count(*) FROM sqlite_schema", 0, &any, err);
    buf_fini(&name);
    return code;
}

/* With our mode from the start; SQLite gives the WAL the same. */
static void make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

/* Though it cannot be written: is it worth a try? */
static bool may_be_read(const db *d, weir_code failed)
{
    struct stat st;
    return failed != WEIR_UNSUPPORTED && failed != WEIR_NOMEM && d->trouble != DB_DAMAGED && stat(d->path, &st) == 0 && st.st_size > 0;
}

weir_code db_open(db *d, const char *path, const db_schema *schema, weir_error *err)
{
    weir_error first = WEIR_ERROR_INIT, second = WEIR_ERROR_INIT;

    *d = (db){.path = strdup(path)};
    if (!d->path)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    make_file(path);
    if (!connect_file(d, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &first)) {
        d->read_only = sqlite3_db_readonly(d->at, "main") == 1;
        if (!migrate(d, schema, &first)) {
            if (!d->read_only)
                return WEIR_OK;
            d->trouble = DB_READ_ONLY;
            error_set(&d->why, WEIR_SYSTEM, "'%s': may not be written; the file and its folder must be writable for this user", path);
            return WEIR_OK;
        }
    }
    db_trouble trouble = d->trouble;
    if (may_be_read(d, first.code)) {
        disconnect(d);
        if (!open_to_read(d, &second) && !migrate(d, schema, &second)) {
            d->trouble = trouble;
            d->why = first;
            return WEIR_OK;
        }
        if (second.code == WEIR_UNSUPPORTED || d->trouble == DB_DAMAGED) { /* else the first one's text tells more */
            first = second;
            trouble = d->trouble;
        }
    }
    db_abandon(d);
    d->trouble = trouble ? trouble : DB_BROKEN;
    *err = first;
    return first.code;
}

weir_code db_open_reader(db *d, const char *path, weir_error *err)
{
    *d = (db){.path = strdup(path)};
    if (!d->path)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    weir_code code = open_to_read(d, err);
    if (code) {
        db_trouble trouble = d->trouble;
        db_abandon(d);
        d->trouble = trouble;
    }
    return code;
}

void db_close(db *d)
{
    if (d->at)
        disconnect(d);
    free(d->path);
    *d = (db){.at = NULL};
}

void db_abandon(db *d)
{
    if (d->at)
        sqlite3_db_config(d->at, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    db_close(d);
}

static weir_code move_one(const char *path, const char *end, const char *to, bool must, weir_error *err)
{
    char from[PATH_MAX], there[PATH_MAX];
    snprintf(from, sizeof from, "%s%s", path, end);
    snprintf(there, sizeof there, "%s%s", to, end);
    if (rename(from, there) && (must || errno != ENOENT))
        return error_set(err, WEIR_SYSTEM, "'%s': cannot be renamed to '%s': %s", from, there, strerror(errno));
    return WEIR_OK;
}

weir_code db_move_aside(const char *path, buf *name, weir_error *err)
{
    char time[CLOCK_RFC3339_SIZE], compact[CLOCK_RFC3339_SIZE], *out = compact;

    clock_rfc3339(time, clock_real(), 3);
    for (const char *c = time; *c; c++)
        if (*c != '-' && *c != ':')
            *out++ = *c;
    *out = '\0';
    buf_add_fmt(name, "%s.damaged-%s", path, compact);
    buf_add_char(name, '\0');
    if (name->failed)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    name->len--;
    if (move_one(path, "", name->at, true, err) || move_one(path, "-wal", name->at, false, err) || move_one(path, "-shm", name->at, false, err))
        return err->code;
    return db_sync_folder(path, err);
}

weir_code db_sync_folder(const char *path, weir_error *err)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        return error_set(err, WEIR_SYSTEM, "'%s': %s", folder, strerror(cause));
    }
    close(fd);
    return WEIR_OK;
}

uint64_t db_file_octets(const char *path)
{
    char name[PATH_MAX];
    struct stat st;
    uint64_t sum = stat(path, &st) ? 0 : (uint64_t)st.st_size;
    snprintf(name, sizeof name, "%s-wal", path);
    return stat(name, &st) ? sum : sum + (uint64_t)st.st_size;
}

store_state db_state(db_trouble trouble)
{
    switch (trouble) {
    case DB_FINE:
        return STORE_OK;
    case DB_READ_ONLY:
        return STORE_READ_ONLY;
    case DB_FULL:
        return STORE_FULL;
    default:
        return STORE_FAILED;
    }
}
