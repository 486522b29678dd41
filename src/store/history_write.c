/* The writer: one transaction for all that it is given.
 *
 * The happy path: the records of the group are chained by their stream, so that neighbours go side by side into the tree; the
 * current mark follows, then the audit, then COMMIT (synchronous=FULL: on the disk when it returns). Tallies follow with each
 * new mark only, since with many streams they would cost as much as the records: after a crash they are counted up. What can go wrong: anything at all; then the transaction is rolled back, what is known of the disk is what it was, and the group comes again. A file that
 * is damaged is moved aside, and a fresh one takes the group. */
#include "store/inside.h"

#include "base/clock.h"

#include <stdlib.h>

/* The last page of each busy stream is written again and again. A reader wants no more than SQLite's 2 MiB: it comes by once. */
#define CACHE "PRAGMA cache_size=-65536;"
#define MARK_NS (10 * NS_PER_S)
#define MARK_OCTETS (UINT64_C(4) << 20)

/* ---- The connection ---- */

static void forget(writer *w)
{
    sqlite3_stmt **all[] = {&w->insert, &w->stream, &w->tally, &w->mark_put, &w->audit, &w->audit_trim, &w->oldest, &w->weigh, &w->cut, &w->first, &w->unmark};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
}

static weir_code prepare(writer *w, weir_error *err)
{
    db *d = &w->db;
    return db_prepare(d, &w->insert, "INSERT INTO record(id, place, kind, ts_out, ts_event, line) VALUES(?,?,?,?,?,?)", err) ||
                   db_prepare(d, &w->stream, "INSERT OR REPLACE INTO stream(id, topic, connection, envelope) VALUES(?,?,?,?)", err) ||
                   db_prepare(d, &w->tally, "INSERT OR REPLACE INTO tally VALUES(?,?,?,?,?,?,?,?)", err) ||
                   db_prepare(d, &w->mark_put, "INSERT OR REPLACE INTO mark VALUES(?,?,?,?,?,?,?,?)", err) ||
                   db_prepare(d, &w->audit, "INSERT OR REPLACE INTO audit VALUES(?,?,?)", err) ||
                   db_prepare(d, &w->audit_trim, "DELETE FROM audit WHERE id <= ?", err) ||
                   db_prepare(d, &w->oldest, "SELECT last_n, max_ts FROM mark ORDER BY n LIMIT 1", err) ||
                   db_prepare(d, &w->weigh, "SELECT count(*), sum(length(CAST(line AS BLOB)) + 1) FROM record WHERE id BETWEEN ? AND ?", err) ||
                   db_prepare(d, &w->cut, "DELETE FROM record WHERE id BETWEEN ? AND ?", err) ||
                   db_prepare(d, &w->first, "SELECT id, ts_out FROM record WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1", err) ||
                   db_prepare(d, &w->unmark, "DELETE FROM mark WHERE last_n <= ?", err)
               ? err->code
               : WEIR_OK;
}

/* Records that are accepted from now on are not on the disk yet: until store_close says otherwise, this did not end well. */
static weir_code begin_writing(writer *w, weir_error *err)
{
    if (w->db.read_only || !prepare(w, err))
        return w->db.read_only ? WEIR_OK : db_exec(&w->db, CACHE "INSERT OR REPLACE INTO meta VALUES('ended_well', 0)", err);
    return err->code;
}

static void disconnect(writer *w, bool abandon)
{
    db_trouble trouble = w->db.trouble;
    forget(w);
    if (abandon)
        db_abandon(&w->db);
    else
        db_close(&w->db);
    w->db.trouble = trouble;
}

/* A fresh file in the place of a damaged one. */
static weir_code replace(store *s, history_write *job, weir_error *err)
{
    writer *w = &s->writer;
    weir_error why = *err;
    buf name;

    buf_init(&name, 64 << 10);
    disconnect(w, true);
    weir_code code = db_move_aside(s->history.path, &name, err);
    if (!code) {
        error_set(&job->note, WEIR_INVALID, "history: %s; it was moved to '" BYTES_FMT "', and a fresh one is begun; what is whole in it comes out by: sqlite3 FILE .recover", why.text, BYTES_ARG(buf_bytes(&name)));
        job->fresh = true;
        w->generation++;
        w->mark = (mark){.n = 0};
        code = db_open(&w->db, s->history.path, &schema_history, err);
    }
    if (!code)
        code = begin_writing(w, err);
    __atomic_add_fetch(&s->generation, 1, __ATOMIC_RELEASE);
    buf_fini(&name);
    return code;
}

/* Open for writing, or a text. */
static weir_code connected(store *s, history_write *job, weir_error *err)
{
    writer *w = &s->writer;

    if (w->db.at && !w->db.read_only)
        return WEIR_OK;
    bool was = w->db.at != NULL;
    disconnect(w, false);
    weir_code code = db_open(&w->db, s->history.path, &schema_history, err);
    if (code && w->db.trouble == DB_DAMAGED)
        return replace(s, job, err);
    if (!code && w->db.read_only) {
        *err = w->db.why;
        code = err->code;
    }
    if (!code)
        code = begin_writing(w, err);
    if (!code || was)
        __atomic_add_fetch(&s->generation, 1, __ATOMIC_RELEASE);
    return code;
}

/* ---- What the disk has of each stream ---- */

/* By its number, for the retention. */
trail *writer_known(writer *w, trail *t)
{
    if (t->id >= w->by_id_cap) {
        size_t cap = w->by_id_cap ? w->by_id_cap : 64;
        while (cap <= t->id)
            cap *= 2;
        trail **more = realloc(w->by_id, cap * sizeof *more);
        if (!more)
            return NULL;
        memset(more + w->by_id_cap, 0, (cap - w->by_id_cap) * sizeof *more);
        w->by_id = more;
        w->by_id_cap = cap;
    }
    w->by_id[t->id] = t;
    return t;
}

/* Once in a transaction, before its tally changes. */
void writer_touch(writer *w, trail *t)
{
    if (t->touched)
        return;
    if (t->generation != w->generation) { /* of a file that was moved aside */
        t->kept = (tally){.last_seq = t->kept.last_seq};
        t->generation = w->generation;
    }
    t->touched = true;
    t->before = t->kept;
    t->chain = t->chain_end = 0;
    t->touched_next = w->touched;
    w->touched = t;
    if (t->dirty)
        return;
    t->dirty = true;
    t->dirty_next = w->dirty;
    w->dirty = t;
}

void writer_settle(writer *w, bool committed, bool tallied)
{
    for (trail *t = w->touched; t; t = t->touched_next) {
        t->touched = false;
        if (!committed)
            t->kept = t->before;
    }
    w->touched = NULL;
    for (; committed && tallied && w->dirty; w->dirty = w->dirty->dirty_next)
        w->dirty->dirty = false;
}

static weir_code store_stream(writer *w, trail *t, weir_error *err)
{
    if (t->kept.stored)
        return WEIR_OK;
    bind_u64(w->stream, 1, t->id);
    bind_bytes(w->stream, 2, t->topic);
    if (t->has_connection)
        bind_u64(w->stream, 3, t->connection);
    else
        sqlite3_bind_null(w->stream, 3);
    bind_bytes(w->stream, 4, t->envelope);
    t->kept.stored = true;
    return db_run(&w->db, w->stream, err);
}

weir_code writer_tallies(writer *w, weir_error *err)
{
    for (const trail *t = w->dirty; t; t = t->dirty_next) {
        const tally *k = &t->kept;
        if (t->generation != w->generation)
            continue; /* of a file that was moved aside */
        const uint64_t values[] = {t->id, k->records, k->octets, k->first_n, k->last_n, k->first_ns, k->last_ns, k->last_seq};
        for (int i = 0; i < 8; i++)
            bind_u64(w->tally, i + 1, values[i]);
        if (db_run(&w->db, w->tally, err))
            return err->code;
    }
    return WEIR_OK;
}

/* ---- A group ---- */

static weir_code room_for(writer *w, size_t count, weir_error *err)
{
    if (count <= w->flat_cap)
        return WEIR_OK;
    if (count < w->flat_cap * 2)
        count = w->flat_cap * 2;
    slot **flat = realloc(w->flat, count * sizeof *flat);
    w->flat = flat ? flat : w->flat;
    uint32_t *links = realloc(w->links, count * sizeof *links);
    w->links = links ? links : w->links;
    if (!flat || !links)
        return error_set(err, WEIR_NOMEM, "out of memory");
    w->flat_cap = count;
    return WEIR_OK;
}

/* Chains the slots of each stream; they point into `flat`, which knows their numbers by batch. */
static weir_code chain(writer *w, const history_write *job, weir_error *err)
{
    size_t count = 0;
    for (const batch *b = job->batches; b; b = b->next)
        count += b->count;
    if (room_for(w, count, err))
        return err->code;
    uint32_t at = 0;
    for (batch *b = job->batches; b; b = b->next)
        for (uint32_t i = 0; i < b->count; i++, at++) {
            trail *t = b->slots[i].of;
            if (!writer_known(w, t))
                return error_set(err, WEIR_NOMEM, "out of memory");
            writer_touch(w, t);
            w->flat[at] = &b->slots[i];
            w->links[at] = 0;
            if (t->chain)
                w->links[t->chain_end - 1] = at + 1;
            else
                t->chain = at + 1;
            t->chain_end = at + 1;
        }
    return WEIR_OK;
}

static void tell_mark(mark *m, const record *r)
{
    uint64_t event = r->ts_event;
    m->min_ts = r->ts_out < m->min_ts ? r->ts_out : m->min_ts;
    m->max_ts = r->ts_out > m->max_ts ? r->ts_out : m->max_ts;
    if (event) {
        m->min_event = event < m->min_event ? event : m->min_event;
        m->max_event = event > m->max_event ? event : m->max_event;
    }
    m->records++;
    m->octets += r->line.len + 1;
}

static weir_code insert(writer *w, trail *t, const slot *at, uint64_t n, weir_error *err)
{
    const record *r = at->r;
    tally *k = &t->kept;

    bind_u64(w->insert, 1, HISTORY_ID(t->id, n));
    bind_u64(w->insert, 2, at->place);
    sqlite3_bind_int(w->insert, 3, r->kind);
    bind_u64(w->insert, 4, r->ts_out);
    if (r->ts_event)
        bind_u64(w->insert, 5, r->ts_event);
    else
        sqlite3_bind_null(w->insert, 5);
    bind_bytes(w->insert, 6, r->line);
    if (!k->records++) {
        k->first_n = n;
        k->first_ns = r->ts_out;
    }
    k->octets += r->line.len + 1;
    k->last_n = n;
    k->last_ns = r->ts_out;
    if (at->place / 2 > k->last_seq)
        k->last_seq = at->place / 2;
    tell_mark(&w->mark, r);
    return db_run(&w->db, w->insert, err);
}

/* The number of a slot: that of its batch and its place in it. */
static uint64_t number_of(const batch **b, uint32_t *base, uint32_t at)
{
    while (at - *base >= (*b)->count) {
        *base += (*b)->count;
        *b = (*b)->next;
    }
    return (*b)->first_n + (at - *base);
}

static weir_code insert_chain(writer *w, trail *t, const batch *batches, weir_error *err)
{
    const batch *b = batches;
    uint32_t base = 0;

    if (store_stream(w, t, err))
        return err->code;
    for (uint32_t at = t->chain; at; at = w->links[at - 1])
        if (insert(w, t, w->flat[at - 1], number_of(&b, &base, at - 1), err))
            return err->code;
    return WEIR_OK;
}

/* A new mark when the current one is old or large; false: it goes on. */
static bool turn_mark(store *s, const history_write *job)
{
    writer *w = &s->writer;
    uint64_t octets = __atomic_load_n(&s->options.history_octets, __ATOMIC_RELAXED), limit = octets / 16 < MARK_OCTETS ? octets / 16 : MARK_OCTETS;
    const record *first = job->batches->slots[0].r;

    if (w->mark.n && w->mark.octets < limit && first->ts_out < w->mark.min_ts + MARK_NS && first->ts_out + MARK_NS >= w->mark.min_ts)
        return false;
    w->mark = (mark){.n = job->batches->first_n, .min_ts = INT64_MAX, .min_event = INT64_MAX};
    return true;
}

static weir_code put_mark(writer *w, const history_write *job, weir_error *err)
{
    const batch *b = job->batches;
    mark *m = &w->mark;
    while (b->next)
        b = b->next;
    m->last_n = b->first_n + b->count - 1;
    const uint64_t values[] = {m->n, m->last_n, m->min_ts, m->max_ts, m->min_event, m->max_event, m->records, m->octets};
    for (int i = 0; i < 8; i++)
        bind_u64(w->mark_put, i + 1, values[i]);
    return db_run(&w->db, w->mark_put, err);
}

static weir_code insert_all(store *s, const history_write *job, bool *turned, weir_error *err)
{
    writer *w = &s->writer;

    *turned = turn_mark(s, job);
    if (chain(w, job, err))
        return err->code;
    for (trail *t = w->touched; t; t = t->touched_next)
        if (insert_chain(w, t, job->batches, err))
            return err->code;
    return put_mark(w, job, err);
}

static weir_code fill_group(store *s, const history_write *job, bool *tallied, weir_error *err)
{
    writer *w = &s->writer;

    if (db_exec(&w->db, "BEGIN IMMEDIATE", err) || (job->batches && insert_all(s, job, tallied, err)) || audit_write(w, job, err))
        return err->code;
    *tallied |= job->last;
    if (*tallied && writer_tallies(w, err))
        return err->code;
    if (job->last && db_exec(&w->db, "INSERT OR REPLACE INTO meta VALUES('ended_well', 1)", err))
        return err->code;
    return db_exec(&w->db, "COMMIT", err);
}

static weir_code write_group(store *s, const history_write *job, weir_error *err)
{
    writer *w = &s->writer;
    mark before = w->mark;
    bool tallied = false;

    if (!job->batches && !job->audit.len && !job->last && !job->probe)
        return WEIR_OK; /* the retention alone */
    weir_code code = fill_group(s, job, &tallied, err);
    if (code) {
        db_rollback(&w->db);
        w->mark = before;
    }
    writer_settle(w, !code, tallied);
    return code;
}

/* The reader says so; is it so? */
static weir_code check_whole(writer *w, weir_error *err)
{
    sqlite3_stmt *check = NULL;

    if (db_prepare(&w->db, &check, "PRAGMA quick_check(1)", err))
        return err->code;
    if (sqlite3_step(check) != SQLITE_ROW) {
        db_failed(&w->db, err);
    } else if (!bytes_is(column_bytes(check, 0), "ok")) {
        bytes text = column_bytes(check, 0);
        w->db.trouble = DB_DAMAGED;
        error_set(err, WEIR_INVALID, "'%s': is damaged (" BYTES_FMT ")", w->db.path, BYTES_ARG(text));
    }
    sqlite3_finalize(check);
    return err->code;
}

static void run_write(store *s, request *r)
{
    history_write *job = (history_write *)r;
    writer *w = &s->writer;
    weir_error *err = &r->error;

    *err = job->note = (weir_error)WEIR_ERROR_INIT;
    job->fresh = job->committed = false;
    job->trims_count = 0;
    job->trimmed_n = 0;
    w->db.trouble = DB_FINE;
    weir_code code = connected(s, job, err);
    if (!code && job->suspect)
        code = check_whole(w, err);
    if (!code)
        code = write_group(s, job, err);
    if (code && w->db.at && w->db.trouble == DB_DAMAGED && !job->fresh) {
        code = replace(s, job, err);
        if (!code)
            code = write_group(s, job, err);
    }
    job->committed = !code;
    r->trouble = !code ? DB_FINE : w->db.trouble ? w->db.trouble
                                                 : DB_BROKEN;
    if (!code) {
        *err = (weir_error)WEIR_ERROR_INIT;
        keep(s, job);
    } else if (r->trouble != DB_FULL && code != WEIR_NOMEM) {
        disconnect(w, false); /* the next one begins anew */
    }
    job->mark = w->mark;
    job->octets = db_file_octets(s->history.path);
}

void writer_run(store *s, request *list)
{
    for (; list; list = list->next)
        run_write(s, list);
}

/* ---- At the start ---- */

static trail *load_trail(store *s, sqlite3_stmt *row, weir_error *err)
{
    uint64_t connection = column_u64(row, 2);
    trail *t;

    if (column_u64(row, 0) != s->history.trails_count + 1) {
        s->writer.db.trouble = DB_DAMAGED;
        error_set(err, WEIR_INVALID, "'%s': is damaged (a stream is missing)", s->writer.db.path);
        return NULL;
    }
    t = trail_add(s, column_bytes(row, 1), column_bytes(row, 3), sqlite3_column_type(row, 2) == SQLITE_NULL ? NULL : &connection);
    if (!t || !writer_known(&s->writer, t)) {
        error_set(err, WEIR_NOMEM, "out of memory");
        return NULL;
    }
    t->kept = (tally){true, column_u64(row, 4), column_u64(row, 5), column_u64(row, 6), column_u64(row, 7), column_u64(row, 8), column_u64(row, 9), column_u64(row, 10)};
    return t;
}

static weir_code load_trails(store *s, weir_error *err)
{
    writer *w = &s->writer;
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    weir_code code = db_prepare(&w->db, &rows, "SELECT s.id, s.topic, s.connection, s.envelope, t.records, t.octets, t.first_n, t.last_n, t.first_ns, t.last_ns, t.last_seq"
                                               " FROM stream s LEFT JOIN tally t ON t.stream = s.id ORDER BY s.id",
                                err);
    if (code)
        return code;
    while (!code && (step = sqlite3_step(rows)) == SQLITE_ROW)
        if (!load_trail(s, rows, err))
            code = err->code;
    if (!code && step != SQLITE_DONE)
        code = db_failed(&w->db, err);
    sqlite3_finalize(rows);
    return code;
}

/* A crash came between a stream's records and its tally: those behind it are counted up. */
static weir_code count_up(writer *w, trail *t, sqlite3_stmt *rows, weir_error *err)
{
    tally *k = &t->kept;
    int step;

    bind_u64(rows, 1, HISTORY_ID(t->id, k->last_n) + 1);
    bind_u64(rows, 2, HISTORY_ID(t->id + 1, 0) - 1);
    while ((step = sqlite3_step(rows)) == SQLITE_ROW) {
        uint64_t n = HISTORY_N(column_u64(rows, 0)), place = column_u64(rows, 1);
        writer_touch(w, t);
        if (!k->records++) {
            k->first_n = n;
            k->first_ns = column_u64(rows, 2);
        }
        k->last_n = n;
        k->last_ns = column_u64(rows, 2);
        k->octets += column_u64(rows, 3) + 1;
        k->last_seq = place / 2 > k->last_seq ? place / 2 : k->last_seq;
    }
    if (step != SQLITE_DONE)
        db_failed(&w->db, err);
    sqlite3_reset(rows);
    return err->code;
}

static weir_code count_all_up(store *s, weir_error *err)
{
    writer *w = &s->writer;
    sqlite3_stmt *rows = NULL;
    weir_code code = db_prepare(&w->db, &rows, "SELECT id, place, ts_out, length(CAST(line AS BLOB)) FROM record WHERE id BETWEEN ? AND ? ORDER BY id", err);

    for (size_t i = 0; !code && i < s->history.trails_count; i++)
        code = count_up(w, s->history.trails[i], rows, err);
    sqlite3_finalize(rows);
    writer_settle(w, !code, false); /* written with the next mark */
    return code;
}

static void tell_loop(history *h)
{
    for (size_t i = 0; i < h->trails_count; i++) {
        trail *t = h->trails[i];
        const tally *k = &t->kept;
        t->records = k->records;
        t->octets = k->octets;
        t->first_n = k->first_n;
        t->last_n = k->last_n;
        t->first_ns = k->first_ns;
        t->last_ns = k->last_ns;
        t->last_seq = k->last_seq;
        t->last_place = k->last_seq * 2;
        if (t->last_n >= h->next_n)
            h->next_n = t->last_n + 1;
    }
}

static weir_code load_marks(store *s, weir_error *err)
{
    writer *w = &s->writer;
    history *h = &s->history;
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    weir_code code = db_prepare(&w->db, &rows, "SELECT n, last_n, min_ts, max_ts, min_event, max_event, records, octets FROM mark ORDER BY n", err);

    if (code)
        return code;
    while ((step = sqlite3_step(rows)) == SQLITE_ROW) {
        w->mark = (mark){column_u64(rows, 0), column_u64(rows, 1), column_u64(rows, 2), column_u64(rows, 3), column_u64(rows, 4), column_u64(rows, 5), column_u64(rows, 6), column_u64(rows, 7)};
        history_mark(h, &w->mark);
        if (w->mark.last_n >= h->next_n)
            h->next_n = w->mark.last_n + 1;
    }
    if (step != SQLITE_DONE)
        code = db_failed(&w->db, err);
    sqlite3_finalize(rows);
    return code;
}

static weir_code load(store *s, weir_error *err)
{
    uint64_t well;
    writer *w = &s->writer;

    s->history.next_n = 1;
    if (load_trails(s, err) || load_marks(s, err) || db_number(&w->db, "SELECT max(id) FROM audit", 0, &s->audit.next_id, err) ||
        db_number(&w->db, "SELECT value FROM meta WHERE name='ended_well'", 1, &well, err) || (!well && count_all_up(s, err)))
        return err->code;
    tell_loop(&s->history);
    s->audit.next_id++;
    s->history.ended_well = well != 0;
    return WEIR_OK;
}

static void unload(store *s)
{
    trails_forget(s);
    s->history.marks_count = 0;
    s->writer.mark = (mark){.n = 0};
    s->writer.touched = s->writer.dirty = NULL;
    if (s->writer.by_id)
        memset(s->writer.by_id, 0, s->writer.by_id_cap * sizeof *s->writer.by_id);
}

weir_code writer_open(store *s, history_write *job, weir_error *err)
{
    writer *w = &s->writer;
    weir_code code = db_open(&w->db, s->history.path, &schema_history, err);

    if (!code)
        code = load(s, err);
    if (!code)
        code = begin_writing(w, err);
    if (code && w->db.trouble == DB_DAMAGED) {
        unload(s);
        code = replace(s, job, err);
        if (!code)
            code = load(s, err);
        s->history.ended_well = false; /* whatever was in it */
    }
    return code;
}

void writer_close(writer *w)
{
    forget(w);
    db_close(&w->db);
    free(w->by_id);
    free(w->flat);
    free(w->links);
}
