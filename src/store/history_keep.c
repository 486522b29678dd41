/* The retention: what is too old, and the oldest when there is too much. On the writer's thread, behind its transaction.
 *
 * One mark at a time, some seconds of all streams, in a transaction of its own, so that a commit waits for little. Pages that
 * become free are used again; when there are many, some go back to the disk each time.
 *
 * The clock may step. Forward by a year, and everything would be too old: so for ten minutes after a step nothing is. */
#include "store/inside.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICES 8 /* in one go */
#define STEP_NS ((int64_t)(60 * NS_PER_S))
#define DISTRUST_NS (600 * NS_PER_S)
#define VACUUM_PAGES 512

/* False: it has stepped lately. */
static bool clock_trusted(writer *w, history_write *job)
{
    uint64_t mono = job->now_mono;
    int64_t apart = (int64_t)(job->now_real - mono), moved = apart - w->clock_apart;

    if (w->clock_known && (moved > STEP_NS || moved < -STEP_NS)) {
        w->distrust_until = mono + DISTRUST_NS;
        if (!job->note.text[0])
            error_set(&job->note, WEIR_OK, "history: the clock has stepped by %lld s; what is too old is judged again in ten minutes", (long long)(moved / (int64_t)NS_PER_S));
    }
    w->clock_apart = apart;
    w->clock_known = true;
    return mono >= w->distrust_until;
}

/* The octets in use, free pages left out; and how many are free. */
static bool weigh_file(writer *w, uint64_t *used, uint64_t *pages, uint64_t *idle)
{
    uint64_t size;
    if (db_number(&w->db, "PRAGMA page_count", 0, pages, NULL) || db_number(&w->db, "PRAGMA freelist_count", 0, idle, NULL) ||
        db_number(&w->db, "PRAGMA page_size", 0, &size, NULL))
        return false;
    *used = (*pages - *idle) * size;
    return true;
}

/* The oldest mark. False: there is none. */
static bool oldest_mark(writer *w, uint64_t *last_n, uint64_t *max_ts)
{
    bool found = sqlite3_step(w->oldest) == SQLITE_ROW;
    if (found) {
        *last_n = column_u64(w->oldest, 0);
        *max_ts = column_u64(w->oldest, 1);
    }
    sqlite3_reset(w->oldest);
    return found;
}

static weir_code cut_stream(writer *w, trail *t, uint64_t last_n, trim *cut, weir_error *err)
{
    uint64_t from = HISTORY_ID(t->id, 0), to = HISTORY_ID(t->id, last_n), end = HISTORY_ID(t->id + 1, 0) - 1;

    writer_touch(w, t);
    bind_u64(w->weigh, 1, from);
    bind_u64(w->weigh, 2, to);
    if (sqlite3_step(w->weigh) != SQLITE_ROW) {
        db_failed(&w->db, err);
        sqlite3_reset(w->weigh);
        return err->code;
    }
    *cut = (trim){.of = t, .records = column_u64(w->weigh, 0), .octets = column_u64(w->weigh, 1)};
    sqlite3_reset(w->weigh);
    bind_u64(w->cut, 1, from);
    bind_u64(w->cut, 2, to);
    if (db_run(&w->db, w->cut, err))
        return err->code;
    bind_u64(w->first, 1, from);
    bind_u64(w->first, 2, end);
    if (sqlite3_step(w->first) == SQLITE_ROW) {
        cut->first_n = HISTORY_N(column_u64(w->first, 0));
        cut->first_ns = column_u64(w->first, 1);
    }
    sqlite3_reset(w->first);
    t->kept.records -= cut->records;
    t->kept.octets -= cut->octets;
    t->kept.first_n = cut->first_n;
    t->kept.first_ns = cut->first_ns;
    return WEIR_OK;
}

/* Room for the cuts of all streams, so that none is made that cannot be told. */
static bool room_for(history_write *job, size_t more)
{
    if (job->trims_count + more <= job->trims_cap)
        return true;
    trim *list = realloc(job->trims, (job->trims_count + more) * sizeof *list);
    if (!list)
        return false;
    job->trims = list;
    job->trims_cap = job->trims_count + more;
    return true;
}

static weir_code cut_all(writer *w, uint64_t last_n, history_write *job, size_t *made, weir_error *err)
{
    if (db_exec(&w->db, "BEGIN IMMEDIATE", err))
        return err->code;
    for (size_t i = 1; i < w->by_id_cap; i++) {
        trail *t = w->by_id[i];
        if (!t || t->generation != w->generation || !t->kept.records || t->kept.first_n > last_n)
            continue;
        if (cut_stream(w, t, last_n, &job->trims[job->trims_count + *made], err))
            return err->code;
        ++*made;
    }
    bind_u64(w->unmark, 1, last_n);
    if (db_run(&w->db, w->unmark, err) || writer_tallies(w, err))
        return err->code;
    return db_exec(&w->db, "COMMIT", err);
}

static bool cut_mark(writer *w, uint64_t last_n, history_write *job)
{
    weir_error err = WEIR_ERROR_INIT;
    size_t made = 0, streams = 0;

    for (size_t i = 1; i < w->by_id_cap; i++)
        streams += w->by_id[i] != NULL;
    if (!room_for(job, streams))
        return false;
    weir_code code = cut_all(w, last_n, job, &made, &err);
    if (code)
        db_rollback(&w->db);
    writer_settle(w, !code, true);
    if (code)
        return false; /* it is tried again; what hinders it hinders the next group, too, and is told then */
    job->trims_count += made;
    job->trimmed_n = last_n;
    if (w->mark.n && w->mark.last_n <= last_n)
        w->mark = (mark){.n = 0};
    return true;
}

void keep(store *s, history_write *job)
{
    writer *w = &s->writer;
    uint64_t used = 0, pages = 0, idle = 0, last_n, max_ts, now = job->now_real;
    uint64_t ms = __atomic_load_n(&s->options.history_ms, __ATOMIC_RELAXED), octets = __atomic_load_n(&s->options.history_octets, __ATOMIC_RELAXED);
    uint64_t age = ms > UINT64_MAX / NS_PER_MS ? UINT64_MAX : ms * NS_PER_MS; /* as good as for ever */
    bool trusted = clock_trusted(w, job);

    for (int i = 0; i < SLICES; i++) {
        if (!weigh_file(w, &used, &pages, &idle) || !oldest_mark(w, &last_n, &max_ts))
            break;
        bool old = trusted && max_ts < now && now - max_ts > age;
        if (!old && used <= octets)
            break;
        if (!cut_mark(w, last_n, job))
            break;
    }
    if (idle > VACUUM_PAGES && idle > pages / 4) {
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
        db_exec(&w->db, sql, NULL);
    }
}
