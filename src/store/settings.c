/* Things: rows of JSON under a kind and an id, with a sealed secret.
 *
 * The happy path: a change is copied and its secret sealed on the loop, the lane writes all changes that wait in one
 * transaction, and each is answered when that is durable. What can go wrong: the transaction fails, then every change in it
 * does; a connection that may not write is opened anew for the next one, since the disk may be in order again. */
#include "store/inside.h"

#include "base/digest.h"

#include "base/clock.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>

/* ---- On the loop ---- */

change *change_new(int what, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg)
{
    size_t kind_len = strlen(kind), id_len = strlen(id), sealed = secret.len ? secret.len + SEAL_EXTRA : 0;
    change *c = malloc(sizeof *c + kind_len + id_len + 2 + json.len + sealed);
    if (!c)
        return NULL;
    *c = (change){.what = what, .fn = fn, .arg = arg};
    char *at = c->text;
    memcpy(at, kind, kind_len + 1);
    c->kind = bytes_make(at, kind_len);
    at += kind_len + 1;
    c->id = memcpy(at, id, id_len + 1);
    at += id_len + 1;
    if (json.len)
        memcpy(at, json.at, json.len);
    c->json = bytes_make(at, json.len);
    c->secret = bytes_make(at + json.len, sealed); /* filled by who seals */
    return c;
}

static void change_done(store *s, request *r)
{
    change *c = (change *)r;
    bool ok = !r->error.code;

    if (c->what <= CHANGE_PROBE) {
        store_note(s, false, r->trouble, &r->error);
        if (c->octets)
            s->settings_octets = c->octets;
    }
    if (ok)
        s->modules_octets += (uint64_t)c->module_octets;
    if (c->fn)
        c->fn(c->arg, r->error.code, ok ? NULL : r->error.text);
    free(c);
}

void settings_post(store *s, change *c)
{
    c->base.done = change_done;
    store_post(s, &s->settings_lane, &c->base);
}

static void refuse(store *s, store_done fn, void *arg)
{
    refusal no = {.done = fn, .arg = arg};
    error_set(&no.error, WEIR_NOMEM, "store: out of memory");
    if (fn)
        store_refuse(s, &no);
}

/* False: `id` is no number. */
static bool number_of(const char *id, uint64_t *out)
{
    uint64_t value = 0;
    if (!*id || (*id == '0' && id[1]) || strlen(id) > 18)
        return false;
    for (; *id; id++) {
        if (!isdigit((unsigned char)*id))
            return false;
        value = value * 10 + (uint64_t)(*id - '0');
    }
    *out = value;
    return true;
}

/* Counters lie in the map as their values: numbers of at most 18 digits fit a pointer. */
static bool count_to(store *s, const char *kind, uint64_t number)
{
    uint64_t last = (uint64_t)(uintptr_t)map_get(s->settings.counters, bytes_of(kind));
    return number <= last || map_set(s->settings.counters, bytes_of(kind), (void *)(uintptr_t)number, NULL);
}

void store_put(store *s, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg)
{
    uint64_t number;
    change *c = change_new(CHANGE_PUT, kind, id, json, secret, fn, arg);
    if (!c || (number_of(id, &number) && !count_to(s, kind, number))) {
        free(c);
        refuse(s, fn, arg);
        return;
    }
    if (secret.len)
        seal(s->key, kind, id, secret, (char *)c->secret.at);
    settings_post(s, c);
}

void store_remove(store *s, const char *kind, const char *id, store_done fn, void *arg)
{
    change *c = change_new(CHANGE_REMOVE, kind, id, (bytes){NULL, 0}, (bytes){NULL, 0}, fn, arg);
    if (c)
        settings_post(s, c);
    else
        refuse(s, fn, arg);
}

uint64_t store_next_id(store *s, const char *kind)
{
    uint64_t next = (uint64_t)(uintptr_t)map_get(s->settings.counters, bytes_of(kind)) + 1;
    map_set(s->settings.counters, bytes_of(kind), (void *)(uintptr_t)next, NULL); /* if memory is out: again when it is put */
    return next;
}

void settings_probe(store *s)
{
    change *c = change_new(CHANGE_PROBE, "", "", (bytes){NULL, 0}, (bytes){NULL, 0}, NULL, NULL);
    if (c)
        settings_post(s, c);
}

/* ---- Reading, at the start ---- */

typedef struct loading {
    store *s;
    const char *kind;
    store_each fn;
    void *arg;
    char *secret;
    size_t secret_cap;
} loading;

void store_seal(const store *s, const char *kind, const char *id, bytes secret, buf *out)
{
    if (!buf_reserve(out, secret.len + SEAL_EXTRA))
        return;
    seal(s->key, kind, id, secret, out->at + out->len);
    out->len += secret.len + SEAL_EXTRA;
}

bool store_unseal(const store *s, const char *kind, const char *id, bytes sealed, buf *out)
{
    size_t len = 0;
    if (!buf_reserve(out, sealed.len) || !unseal(s->key, kind, id, sealed, out->at + out->len, &len))
        return false;
    out->len += len;
    return true;
}

void store_key_print(const store *s, char out[STORE_KEY_PRINT])
{
    char whole[DIGEST_HEX];
    digest_hmac_sha256(whole, bytes_make(s->key, STORE_KEY), BYTES("weir key print 1"));
    memcpy(out, whole, STORE_KEY_PRINT - 1);
    out[STORE_KEY_PRINT - 1] = '\0';
}

static bool unseal_row(loading *l, const char *id, bytes sealed, bytes *secret)
{
    if (sealed.len > l->secret_cap) {
        char *more = realloc(l->secret, sealed.len);
        if (!more)
            return false;
        l->secret = more;
        l->secret_cap = sealed.len;
    }
    *secret = bytes_make(l->secret, 0);
    return unseal(l->s->key, l->kind, id, sealed, l->secret, &secret->len);
}

static weir_code load_row(loading *l, sqlite3_stmt *row, weir_error *err)
{
    const char *id = (const char *)sqlite3_column_text(row, 0);
    bytes sealed = column_bytes(row, 2), secret = {NULL, 0};
    char *copy = id ? strdup(id) : NULL; /* `id` moves when other columns are read */

    if (!copy)
        return error_set(err, WEIR_NOMEM, "out of memory");
    bool closed = sealed.len && !unseal_row(l, copy, sealed, &secret);
    if (closed && sealed.len > l->secret_cap) {
        free(copy);
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    l->fn(l->arg, copy, column_bytes(row, 1), closed ? (bytes){NULL, 0} : secret, closed);
    if (l->secret)
        sodium_memzero(l->secret, l->secret_cap);
    free(copy);
    return WEIR_OK;
}

static weir_code load_rows(loading *l, db *d, weir_error *err)
{
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    weir_code code = db_prepare(d, &rows, "SELECT id, json, secret FROM thing WHERE kind=? ORDER BY number, id", err);

    if (code)
        return code;
    bind_bytes(rows, 1, bytes_of(l->kind));
    while (!code && (step = sqlite3_step(rows)) == SQLITE_ROW)
        code = load_row(l, rows, err);
    if (!code && step != SQLITE_DONE)
        code = db_failed(d, err);
    sqlite3_finalize(rows);
    return code;
}

weir_code store_load(store *s, const char *kind, store_each fn, void *arg, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    loading l = {.s = s, .kind = kind, .fn = fn, .arg = arg};
    db d;

    if (!err)
        err = &own;
    weir_code code = db_open_reader(&d, s->settings.path, err);
    if (!code)
        code = load_rows(&l, &d, err);
    db_close(&d);
    free(l.secret);
    return code ? error_wrap(err, "store: reading '%s'", kind) : WEIR_OK;
}

static weir_code load_counters(store *s, db *d, weir_error *err)
{
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    weir_code code = db_prepare(d, &rows, "SELECT kind, last FROM counter", err);

    if (code)
        return code;
    while (!code && (step = sqlite3_step(rows)) == SQLITE_ROW)
        if (!map_set(s->settings.counters, column_bytes(rows, 0), (void *)(uintptr_t)column_u64(rows, 1), NULL))
            code = error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && step != SQLITE_DONE)
        code = db_failed(d, err);
    sqlite3_finalize(rows);
    return code;
}

/* Small enough to look at every page. */
static weir_code check_whole(db *d, weir_error *err)
{
    sqlite3_stmt *check = NULL;
    weir_code code = db_prepare(d, &check, "PRAGMA quick_check(1)", err);

    if (code)
        return code;
    if (sqlite3_step(check) != SQLITE_ROW) {
        code = db_failed(d, err);
    } else {
        bytes text = column_bytes(check, 0);
        if (!bytes_is(text, "ok"))
            code = error_set(err, WEIR_INVALID, "'%s': is damaged (" BYTES_FMT ")", d->path, BYTES_ARG(text));
    }
    sqlite3_finalize(check);
    return code;
}

weir_code settings_open(store *s, weir_error *err)
{
    settings *t = &s->settings;

    t->path = store_path(s, "settings.db");
    t->counters = map_new();
    if (!t->path || !t->counters)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (db_open(&t->db, t->path, &schema_settings, err)) {
        if (t->db.trouble == DB_DAMAGED)
            error_set(err, WEIR_INVALID, "'%s': is damaged; put a back-up in its place, or move it and its '-wal' away to begin without plugins and connections", t->path);
        return err->code;
    }
    if (check_whole(&t->db, err)) {
        if (err->code == WEIR_INVALID)
            error_wrap(err, "put a back-up in its place");
        return err->code;
    }
    store_note(s, false, t->db.trouble, &t->db.why);
    s->settings_octets = db_file_octets(t->path);
    return load_counters(s, &t->db, err);
}

/* ---- On the lane ---- */

static void forget(settings *t)
{
    sqlite3_finalize(t->put);
    sqlite3_finalize(t->remove);
    sqlite3_finalize(t->count);
    t->put = t->remove = t->count = NULL;
}

static weir_code connected(settings *t, weir_error *err)
{
    if (t->db.at && t->db.read_only)
        db_close(&t->db);
    if (!t->db.at && db_open(&t->db, t->path, &schema_settings, err))
        return err->code;
    if (t->db.read_only) {
        *err = t->db.why;
        return err->code;
    }
    if (t->put)
        return WEIR_OK;
    if (db_prepare(&t->db, &t->put, "INSERT OR REPLACE INTO thing(kind, id, number, json, secret) VALUES(?,?,?,?,?)", err) ||
        db_prepare(&t->db, &t->remove, "DELETE FROM thing WHERE kind=? AND id=?", err) ||
        db_prepare(&t->db, &t->count, "INSERT INTO counter VALUES(?,?) ON CONFLICT(kind) DO UPDATE SET last=max(last, excluded.last)", err))
        return err->code;
    return WEIR_OK;
}

static weir_code put_row(settings *t, const change *c, weir_error *err)
{
    uint64_t number;
    bool numbered = number_of(c->id, &number);

    bind_bytes(t->put, 1, c->kind);
    bind_bytes(t->put, 2, bytes_of(c->id));
    if (numbered)
        bind_u64(t->put, 3, number);
    else
        sqlite3_bind_null(t->put, 3);
    bind_bytes(t->put, 4, c->json);
    if (c->secret.len)
        sqlite3_bind_blob64(t->put, 5, c->secret.at, c->secret.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(t->put, 5);
    if (db_run(&t->db, t->put, err))
        return err->code;
    if (!numbered)
        return WEIR_OK;
    bind_bytes(t->count, 1, c->kind);
    bind_u64(t->count, 2, number);
    return db_run(&t->db, t->count, err);
}

static weir_code apply(settings *t, const change *c, weir_error *err)
{
    switch (c->what) {
    case CHANGE_PUT:
        return put_row(t, c, err);
    case CHANGE_REMOVE:
        bind_bytes(t->remove, 1, c->kind);
        bind_bytes(t->remove, 2, bytes_of(c->id));
        return db_run(&t->db, t->remove, err);
    default:
        return db_exec(&t->db, "INSERT OR REPLACE INTO meta VALUES('probe', datetime('now'))", err);
    }
}

/* From `first` up to `end`, in one transaction. */
static void run_changes(settings *t, request *first, const request *end)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_code code = connected(t, &err);

    if (!code)
        code = db_exec(&t->db, "BEGIN IMMEDIATE", &err);
    for (request *r = first; !code && r != end; r = r->next)
        code = apply(t, (change *)r, &err);
    if (!code)
        code = db_exec(&t->db, "COMMIT", &err);
    db_trouble trouble = !code ? DB_FINE : t->db.trouble ? t->db.trouble
                                                         : DB_BROKEN;
    if (code)
        db_rollback(&t->db);
    for (request *r = first; r != end; r = r->next) {
        r->trouble = trouble;
        if (code)
            r->error = err;
        ((change *)r)->octets = db_file_octets(t->path);
    }
    if (!code || trouble == DB_FULL)
        return;
    forget(t); /* the next one begins anew */
    db_close(&t->db);
    t->db.trouble = trouble;
}

void settings_run(store *s, request *list)
{
    while (list) {
        request *end = list->next;
        if (list->run) {
            list->run(s, list);
        } else {
            while (end && !end->run)
                end = end->next;
            run_changes(&s->settings, list, end);
        }
        list = end;
    }
}

void settings_close(store *s)
{
    settings *t = &s->settings;

    forget(t);
    db_close(&t->db);
    free(t->path);
    map_free(t->counters);
}
