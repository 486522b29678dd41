/* Questions to the history, on the reader's thread: what is on the disk.
 *
 * It is read window by window of the numbers that all streams share. One stream's rows go into the page as they lie. Of
 * several each one's part of the window is read, and all are put in order: numbers have no holes over all streams, so a window of as many
 * numbers as the page has lines to go cannot bring more lines than that. Windows that bring little grow; one that brings too
 * many octets is halved. A question that finds next to nothing ends its page after TURN_NS, so that others have their turn. */
#include "store/scan.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW_MAX (UINT64_C(1) << 22)
#define ALONE (UINT64_C(1) << 17) /* of one stream: rows by the thousand, between two looks at the clock */
#define TURN_NS (200 * NS_PER_MS)
#define WINDOW_OCTETS (2 * PAGE_OCTETS)

/* ---- The connection ---- */

weir_code reader_connect(store *s, weir_error *err)
{
    uint32_t generation = __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);

    if (s->reader.at && s->reader_generation == generation) {
        s->reader.trouble = DB_FINE;
        return WEIR_OK;
    }
    db_close(&s->reader);
    s->reader_generation = generation;
    return db_open_reader(&s->reader, s->history.path, err);
}

void reader_close(store *s)
{
    db_close(&s->reader);
}

void reader_run(store *s, request *list)
{
    for (; list; list = list->next)
        list->run(s, list);
}

/* ---- One range of one stream ---- */

typedef struct scan {
    store *s;
    question *q;
    sqlite3_stmt *rows;
    /* Of a window. */
    buf lines;
    struct found {
        uint64_t n;
        size_t at, len;
    } * found;
    size_t count, cap;
    uint64_t from, to; /* the window's numbers, as far as it was read */
} scan;

/* Only the conditions that there are: a chart's question has none but the range. */
static sqlite3_stmt *prepare(db *d, const question *q, weir_error *err)
{
    sqlite3_stmt *rows = NULL;
    char sql[256];

    snprintf(sql, sizeof sql, "SELECT id, line FROM record WHERE id BETWEEN ?1 AND ?2%s%s%s ORDER BY id%s", q->behind ? " AND place > ?3" : "",
             q->kinds == EVERY_KIND ? "" : " AND (?4 >> kind) & 1", !q->timed ? "" : q->by_event ? " AND ts_event BETWEEN ?5 AND ?6"
                                                                                                 : " AND ts_out BETWEEN ?5 AND ?6",
             q->newest_first ? " DESC" : "");
    if (db_prepare(d, &rows, sql, err))
        return NULL;
    if (q->behind)
        bind_u64(rows, 3, q->behind_place);
    if (q->kinds != EVERY_KIND)
        bind_u64(rows, 4, q->kinds);
    if (q->timed) {
        bind_u64(rows, 5, q->from_ns);
        bind_u64(rows, 6, q->to_ns - 1);
    }
    return rows;
}

/* Calls `fn` for each row of stream `at` from `low` to `high`, until it answers false. */
static bool each_row(scan *c, size_t at, uint64_t low, uint64_t high, bool (*fn)(scan *c, bytes line, uint64_t n))
{
    question *q = c->q;
    int step;
    bool more = true;

    low = low > q->firsts[at] ? low : q->firsts[at];
    high = high < q->lasts[at] ? high : q->lasts[at];
    if (low > high)
        return true;
    bind_u64(c->rows, 1, HISTORY_ID(q->ids[at], low));
    bind_u64(c->rows, 2, HISTORY_ID(q->ids[at], high));
    while (more && (step = sqlite3_step(c->rows)) == SQLITE_ROW)
        more = fn(c, column_bytes(c->rows, 1), HISTORY_N(column_u64(c->rows, 0)));
    if (more && step != SQLITE_DONE)
        db_failed(&c->s->reader, &q->base.error);
    sqlite3_reset(c->rows);
    return more && !q->base.error.code && !__atomic_load_n(&c->s->stopping, __ATOMIC_RELAXED);
}

static bool into_page(scan *c, bytes line, uint64_t n)
{
    return page_add(&c->q->page, line, n);
}

/* ---- Behind a number: where is that? Places never go back, so by halving ---- */

/* The first record of the stream from number `n` on. */
static bool record_from(sqlite3_stmt *from, uint64_t id, uint64_t n, uint64_t *found, uint64_t *place)
{
    bind_u64(from, 1, HISTORY_ID(id, n));
    bind_u64(from, 2, HISTORY_ID(id + 1, 0) - 1);
    bool any = sqlite3_step(from) == SQLITE_ROW;
    if (any) {
        *found = HISTORY_N(column_u64(from, 0));
        *place = column_u64(from, 1);
    }
    sqlite3_reset(from);
    return any;
}

/* Raises firsts[at] to about the first record behind q->behind_place; the statement looks at each place all the same. */
static void skip_to_place(question *q, size_t at, sqlite3_stmt *from)
{
    uint64_t low = q->firsts[at], high = q->lasts[at] + 1, n, place;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (record_from(from, q->ids[at], middle, &n, &place) && place <= q->behind_place)
            low = n + 1;
        else
            high = middle;
    }
    q->firsts[at] = low;
}

static void skip_all(store *s, question *q)
{
    sqlite3_stmt *from = NULL;
    if (db_prepare(&s->reader, &from, "SELECT id, place FROM record WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1", &q->base.error))
        return;
    for (size_t i = 0; i < q->count; i++)
        skip_to_place(q, i, from);
    sqlite3_finalize(from);
}

/* ---- Windows ---- */

static bool into_window(scan *c, bytes line, uint64_t n)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 1024;
        struct found *more = realloc(c->found, cap * sizeof *more);
        if (!more) {
            error_set(&c->q->base.error, WEIR_NOMEM, "history: out of memory");
            return false;
        }
        c->found = more;
        c->cap = cap;
    }
    c->found[c->count++] = (struct found){n, c->lines.len, line.len};
    buf_add_bytes(&c->lines, line);
    if (c->lines.failed)
        error_set(&c->q->base.error, WEIR_NOMEM, "history: out of memory");
    return !c->lines.failed && (c->lines.len < WINDOW_OCTETS || c->count == 1);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct found *)a)->n, y = ((const struct found *)b)->n;
    return (x > y) - (x < y);
}

/* Into the page, in order; false: it is full. */
static bool empty_window(scan *c)
{
    bool down = c->q->newest_first;

    if (c->count)
        qsort(c->found, c->count, sizeof *c->found, by_number);
    for (size_t i = 0; i < c->count; i++) {
        const struct found *f = &c->found[down ? c->count - 1 - i : i];
        if (!page_add(&c->q->page, bytes_make(c->lines.at + f->at, f->len), f->n))
            return false;
    }
    return true;
}

/* False: it brings too much, or something failed. */
static bool fill_window(scan *c, uint64_t low, uint64_t high)
{
    buf_clear(&c->lines);
    c->count = 0;
    for (size_t i = 0; i < c->q->count; i++)
        if (!each_row(c, i, low, high, into_window))
            return false;
    return true;
}

/* One window into the page; false: the page is full, or something failed. `width` is what the next one may have. */
static bool scan_window(scan *c, uint64_t from, uint64_t to, uint64_t *width)
{
    question *q = c->q;

    if (q->count == 1)
        return each_row(c, 0, from, to, into_page);
    while (!fill_window(c, from, to)) {
        if (q->base.error.code || __atomic_load_n(&c->s->stopping, __ATOMIC_RELAXED) || from == to)
            return false;
        *width = (to - from + 2) / 2;
        if (q->newest_first)
            from = to - *width + 1;
        else
            to = from + *width - 1;
    }
    c->from = from;
    c->to = to;
    return empty_window(c);
}

static void scan_windows(scan *c)
{
    question *q = c->q;
    uint64_t low = UINT64_MAX, high = 0, width, end = clock_mono() + TURN_NS;

    for (size_t i = 0; i < q->count; i++) {
        low = q->firsts[i] < low ? q->firsts[i] : low;
        high = q->lasts[i] > high ? q->lasts[i] : high;
    }
    low = low > q->low ? low : q->low;
    high = high < q->high ? high : q->high;
    width = q->count == 1 ? ALONE : q->page.limit - q->page.count;
    while (low <= high) {
        uint64_t step = width - 1 < high - low ? width - 1 : high - low;
        c->from = q->newest_first ? high - step : low;
        c->to = q->newest_first ? high : low + step;
        uint32_t before = q->page.count;
        if (!scan_window(c, c->from, c->to, &width))
            return;
        if (q->newest_first)
            high = c->from - 1;
        else
            low = c->to + 1;
        if (q->count > 1 && q->page.count - before < width / 4 && width < WINDOW_MAX)
            width *= 2;
        if (low <= high && clock_mono() > end) {
            q->page.full = true; /* of time */
            q->page.last_n = q->newest_first ? c->from : c->to;
        }
        if (q->page.full)
            return;
    }
}

void scan_disk(store *s, question *q)
{
    scan c = {.s = s, .q = q};

    if (reader_connect(s, &q->base.error))
        return;
    if (q->behind)
        skip_all(s, q);
    if (!q->base.error.code && (c.rows = prepare(&s->reader, q, &q->base.error))) {
        buf_init(&c.lines, SIZE_MAX / 2);
        scan_windows(&c);
        buf_fini(&c.lines);
        free(c.found);
        sqlite3_finalize(c.rows);
    }
    if (!q->base.error.code && __atomic_load_n(&s->stopping, __ATOMIC_RELAXED))
        error_set(&q->base.error, WEIR_CANCELLED, "history: the store is being closed");
    q->damaged = q->base.error.code && s->reader.trouble == DB_DAMAGED;
}
