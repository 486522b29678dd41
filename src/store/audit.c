/* The audit: who asked for what, and what was answered. One line of JSON for each, written with the history's batches.
 *
 * Lines wait in two buffers, one with the writer, one open. Numbers are given here, so that a question can take what waits and
 * what is on the disk together. What goes beyond the bound while the disk does not take it is counted. */
#include "store/inside.h"

#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define WAITING (8u << 20)
#define FIELD 1024
#define KEPT 200000
#define READ_DEFAULT 100
#define READ_MAX 10000

void audit_init(store *s)
{
    buf_init(&s->audit.open, WAITING);
    buf_init(&s->audit.given, WAITING);
    s->audit.next_id = s->audit.open_id = s->audit.given_id = 1;
}

static void put_field(buf *out, const char *name, const char *text)
{
    bytes value = bytes_of(text ? text : "");
    if (value.len > FIELD)
        value.len = bytes_utf8_prefix(bytes_make(value.at, FIELD));
    json_put_member(out, name, value);
}

void store_audit_add(store *s, const store_audit *entry)
{
    audit *a = &s->audit;
    size_t before = a->open.len;

    buf_add_fmt(&a->open, "{\"time\":\"%llu\"", (unsigned long long)entry->time_ns);
    put_field(&a->open, "who", entry->who);
    put_field(&a->open, "scope", entry->scope);
    put_field(&a->open, "peer", entry->peer);
    put_field(&a->open, "action", entry->action);
    put_field(&a->open, "target", entry->target);
    buf_add_fmt(&a->open, ",\"status\":%u}\n", entry->status);
    if (a->open.failed) {
        a->open.failed = false;
        a->open.len = before;
        a->lost++;
        if (!a->losing)
            log_error("store", "audit: entries are given up, since the disk does not take them");
        a->losing = true;
        return;
    }
    if (!before)
        a->open_id = a->next_id;
    a->next_id++;
    if (!s->history.due && !timer_running(&s->history.flush))
        timer_after(&s->history.flush, s->options.history_flush_ms * NS_PER_MS);
}

void audit_give(store *s)
{
    audit *a = &s->audit;
    buf moved = a->given;

    if (a->given.len || !a->open.len)
        return; /* what failed goes again, as it was */
    a->given = a->open;
    a->given_id = a->open_id;
    a->open = moved;
}

void audit_written(store *s)
{
    buf_clear(&s->audit.given);
    s->audit.losing = false;
}

/* ---- On the writer's thread ---- */

static bytes next_line(bytes *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    bytes line = bytes_make(rest->at, (size_t)(end - rest->at));
    rest->at = end + 1;
    rest->len -= line.len + 1;
    return line;
}

weir_code audit_write(writer *w, const history_write *job, weir_error *err)
{
    bytes rest = job->audit;
    uint64_t id = job->audit_id;

    for (; rest.len; id++) {
        bytes line = next_line(&rest);
        bind_u64(w->audit, 1, id);
        bind_u64(w->audit, 2, strtoull(line.at + strlen("{\"time\":\""), NULL, 10));
        bind_bytes(w->audit, 3, line);
        if (db_run(&w->db, w->audit, err))
            return err->code;
    }
    if (!job->audit.len || id <= KEPT)
        return WEIR_OK;
    bind_u64(w->audit_trim, 1, id - 1 - KEPT);
    return db_run(&w->db, w->audit_trim, err);
}

/* ---- Reading: what waits on the loop, then the disk on the reader's thread ---- */

typedef struct audit_ask {
    request base;
    void (*fn)(void *arg, weir_code code, bytes json, const char *error);
    void *arg;
    uint64_t below, limit, last; /* the last number in `out` */
    buf out;
} audit_ask;

static void put_entry(audit_ask *q, uint64_t id, bytes entry)
{
    buf_add_text(&q->out, q->last ? ",{\"id\":" : "{\"id\":");
    buf_add_u64(&q->out, id);
    buf_add_char(&q->out, ',');
    buf_add(&q->out, entry.at + 1, entry.len - 1);
    q->last = id;
    q->limit--;
}

/* From the newest back. */
static void put_waiting(audit_ask *q, bytes lines, uint64_t first_id)
{
    uint64_t id = first_id;
    for (size_t i = 0; i < lines.len; i++)
        id += lines.at[i] == '\n';
    while (lines.len && q->limit) {
        size_t begin = lines.len - 1;
        while (begin && lines.at[begin - 1] != '\n')
            begin--;
        if (--id < q->below)
            put_entry(q, id, bytes_make(lines.at + begin, lines.len - begin - 1));
        lines.len = begin;
    }
}

static weir_code read_rows(audit_ask *q, db *d, weir_error *err)
{
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    weir_code code = db_prepare(d, &rows, "SELECT id, entry FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?", err);

    if (code)
        return code;
    bind_u64(rows, 1, q->below);
    bind_u64(rows, 2, q->limit);
    while ((step = sqlite3_step(rows)) == SQLITE_ROW)
        put_entry(q, column_u64(rows, 0), column_bytes(rows, 1));
    if (step != SQLITE_DONE)
        code = db_failed(d, err);
    sqlite3_finalize(rows);
    return code;
}

static void ask_run(store *s, request *r)
{
    audit_ask *q = (audit_ask *)r;
    if (q->limit && !reader_connect(s, &r->error))
        read_rows(q, &s->reader, &r->error);
    buf_add_text(&q->out, "],\"next\":");
    if (q->limit || q->last <= 1)
        buf_add_text(&q->out, "null}");
    else
        buf_add_fmt(&q->out, "%llu}", (unsigned long long)q->last);
    if (q->out.failed && !r->error.code)
        error_set(&r->error, WEIR_NOMEM, "audit: out of memory");
}

static void ask_done(store *s, request *r)
{
    audit_ask *q = (audit_ask *)r;
    bool ok = !r->error.code;
    (void)s;
    q->fn(q->arg, r->error.code, ok ? buf_bytes(&q->out) : (bytes){NULL, 0}, ok ? NULL : r->error.text);
    buf_fini(&q->out);
    free(q);
}

void store_audit_read(store *s, uint64_t before, uint32_t limit, void (*fn)(void *arg, weir_code code, bytes json, const char *error), void *arg)
{
    const audit *a = &s->audit;
    audit_ask *q = calloc(1, sizeof *q);

    if (!q) {
        refusal no = {.audit = fn, .arg = arg};
        error_set(&no.error, WEIR_NOMEM, "audit: out of memory");
        store_refuse(s, &no);
        return;
    }
    *q = (audit_ask){.base = {.run = ask_run, .done = ask_done}, .fn = fn, .arg = arg, .below = before ? before : UINT64_MAX};
    q->limit = !limit ? READ_DEFAULT : limit > READ_MAX ? READ_MAX
                                                        : limit;
    buf_init(&q->out, SIZE_MAX / 2);
    buf_add_text(&q->out, "{\"entries\":[");
    put_waiting(q, buf_bytes(&a->open), a->open_id);
    put_waiting(q, buf_bytes(&a->given), a->given_id);
    uint64_t oldest = a->given.len ? a->given_id : a->open.len ? a->open_id
                                                               : a->next_id;
    q->below = q->below < oldest ? q->below : oldest; /* what was waiting may be on the disk meanwhile */
    store_post(s, &s->reader_lane, &q->base);
}
