/* Questions to the history, on the loop.
 *
 * What is on the disk is asked of the reader's thread; what waits for it is here. Both meet at a number: all records
 * below the first one that waits are on the disk, and stay readable there until the answer comes; those from it on are copied now. So the
 * answer is what there was at this moment, though records move from one side to the other meanwhile. A time becomes a range
 * of numbers by the marks (a step of the clock widens it, no more), and then each record is looked at. */
#include "store/scan.h"

#include <stdlib.h>

bool page_add(page *p, bytes line, uint64_t n)
{
    if (p->full)
        return false;
    buf_add_bytes(&p->lines, line);
    buf_add_char(&p->lines, '\n');
    p->count++;
    p->last_n = n;
    p->full = p->count == p->limit || p->lines.len >= PAGE_OCTETS || p->lines.failed;
    return !p->full;
}

/* ---- Which streams, which numbers ---- */

static void select_trail(question *q, trail *t)
{
    t->selected = q->number;
    if (!t->records || !t->first_n)
        return; /* what is lost of it still counts, below */
    q->ids[q->count] = t->id;
    q->firsts[q->count] = t->first_n;
    q->lasts[q->count++] = t->last_n;
}

static bool select_trails(store *s, question *q, const store_history_query *asked)
{
    history *h = &s->history;
    bytes pattern = bytes_of(asked->pattern), topic = bytes_of(asked->topic);
    bool one = asked->topic && asked->connection;
    size_t room = h->trails_count && !one ? h->trails_count : 1;

    q->ids = malloc(3 * room * sizeof *q->ids);
    if (!q->ids)
        return false;
    q->firsts = q->ids + room;
    q->lasts = q->firsts + room;
    q->number = ++h->questions;
    if (one) { /* ten thousand streams that begin ask one by one */
        trail *t = trail_find(s, topic, *asked->connection);
        if (t)
            select_trail(q, t);
        return true;
    }
    for (size_t i = 0; i < h->trails_count; i++) {
        trail *t = h->trails[i];
        if (asked->connection && (!t->has_connection || t->connection != *asked->connection))
            continue;
        if (asked->topic ? bytes_equal(t->topic, topic) : topic_match(pattern, t->topic))
            select_trail(q, t);
    }
    return true;
}

/* The numbers of the disk that may have something of that time; all, if it is open. */
static void narrow(const history *h, question *q)
{
    size_t first = 0, last = h->marks_count;

    if (!q->timed)
        return;
    while (first < last && (q->by_event ? h->marks[first].max_event : h->marks[first].max_ts) < q->from_ns)
        first++;
    while (last > first && (q->by_event ? h->marks[last - 1].min_event : h->marks[last - 1].min_ts) >= q->to_ns)
        last--;
    if (first == last) {
        q->high = 0;
        return;
    }
    if (h->marks[first].n > q->low)
        q->low = h->marks[first].n;
    if (h->marks[last - 1].last_n < q->high)
        q->high = h->marks[last - 1].last_n;
}

static bool in_time(const question *q, const record *r)
{
    uint64_t t = q->by_event ? r->ts_event : r->ts_out;
    return !q->timed || ((t || !q->by_event) && t >= q->from_ns && t < q->to_ns);
}

/* ---- What waits ---- */

typedef struct waiting {
    question *q;
    uint64_t cursor;
} waiting;

static bool selects(const waiting *w, const record *r, const trail *t, uint64_t n, uint64_t place)
{
    const question *q = w->q;
    if (t->selected != q->number || !(q->kinds >> r->kind & 1) || !in_time(q, r) || (q->behind && place <= q->behind_place))
        return false;
    return !w->cursor || (q->newest_first ? n < w->cursor : n > w->cursor);
}

static void take(waiting *w, const record *r, const trail *t, uint64_t n, uint64_t place)
{
    question *q = w->q;
    if (!selects(w, r, t, n, place))
        return;
    if (q->newest_first) {
        page_add(&q->page, r->line, n);
        return;
    }
    if (q->tail_ends.len / sizeof(put_by) >= q->page.limit || q->tail.len >= PAGE_OCTETS)
        return; /* more than a page; `full` is found out when it is put in */
    buf_add_bytes(&q->tail, r->line);
    put_by end = {n, q->tail.len};
    buf_add(&q->tail_ends, &end, sizeof end);
}

static void take_batch(waiting *w, const batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t at = w->q->newest_first ? b->count - 1 - i : i;
        take(w, b->slots[at].r, b->slots[at].of, b->first_n + at, b->slots[at].place);
    }
}

/* Batches are linked forward; newest first they are walked from the last by counting. */
static void take_list(waiting *w, const batch_list *list)
{
    if (!w->q->newest_first) {
        for (const batch *b = list->first; b; b = b->next)
            take_batch(w, b);
        return;
    }
    const batch *done = NULL;
    while (done != list->first && !w->q->page.full) {
        const batch *b = list->first;
        while (b && b->next != done)
            b = b->next;
        if (!b)
            return;
        take_batch(w, b);
        done = b;
    }
}

/* The gap records that would be written now, in the same order under the same numbers. */
static bool take_lost(const store *s, waiting *w)
{
    uint64_t n = s->history.lost_n, count = 0;
    for (const trail *t = s->history.lost_first; t; t = t->lost_next)
        count++;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = w->q->newest_first ? count - 1 - i : i;
        const trail *t = s->history.lost_first;
        if (w->q->page.full)
            break;
        for (uint64_t k = 0; k < at; k++)
            t = t->lost_next;
        if (t->selected != w->q->number)
            continue;
        record *gap = lost_gap(t);
        if (!gap)
            return false;
        take(w, gap, t, n + at, t->lost_place | 1);
        record_unref(gap);
    }
    return true;
}

static bool take_waiting(store *s, question *q, uint64_t cursor)
{
    history *h = &s->history;
    waiting w = {q, cursor};

    take_list(&w, q->newest_first ? &h->queue : &h->given);
    if (!take_lost(s, &w))
        return false;
    take_list(&w, q->newest_first ? &h->given : &h->queue);
    return !q->page.lines.failed && !q->tail.failed && !q->tail_ends.failed;
}

/* ---- Asking and answering ---- */

/* A page's memory is used again: to get as much new is half of the time that a page takes. */
static void take_spare(history *h, buf *out)
{
    buf_init(out, 4 * PAGE_OCTETS + ((size_t)64 << 20));
    if (h->spare.cap) {
        *out = h->spare;
        buf_clear(out);
        h->spare = (buf){.at = NULL};
    }
}

static void give_spare(history *h, buf *out)
{
    if (!h->spare.cap && out->cap <= 2 * PAGE_OCTETS)
        h->spare = *out;
    else
        buf_fini(out);
}

static void free_question(store *s, question *q)
{
    give_spare(&s->history, &q->page.lines);
    buf_fini(&q->tail);
    buf_fini(&q->tail_ends);
    free(q->ids);
    free(q);
}

static void add_tail(question *q)
{
    const put_by *ends = (const put_by *)(const void *)q->tail_ends.at;
    size_t count = q->tail_ends.len / sizeof *ends, from = 0;

    for (size_t i = 0; i < count && !q->page.full; i++) {
        page_add(&q->page, bytes_make(q->tail.at + from, ends[i].end - from), ends[i].n);
        from = ends[i].end;
    }
}

static void question_done(store *s, request *r)
{
    question *q = (question *)r;

    if (q->damaged) {
        s->history.suspect = true;
        history_give(s, true);
    }
    if (!r->error.code)
        add_tail(q);
    if (q->page.lines.failed && !r->error.code)
        error_set(&r->error, WEIR_NOMEM, "history: out of memory");
    store_history_page page = {.code = r->error.code, .error = r->error.code ? r->error.text : NULL};
    if (!r->error.code) {
        page.lines = buf_bytes(&q->page.lines);
        page.count = q->page.count;
        page.cursor = q->page.full ? q->page.last_n : 0;
    }
    q->fn(q->arg, &page);
    free_question(s, q);
}

static void question_run(store *s, request *r)
{
    question *q = (question *)r;
    if (!q->page.full && q->count && q->low <= q->high)
        scan_disk(s, q);
}

static weir_code check(const store_history_query *asked, weir_error *err)
{
    if (asked->topic)
        return WEIR_OK;
    if (asked->behind_seq)
        return error_set(err, WEIR_INVALID, "history: a number is of one topic, and none is named");
    if (!asked->pattern)
        return error_set(err, WEIR_INVALID, "history: neither a pattern nor a topic is named; '>' selects everything");
    return topic_pattern_check(bytes_of(asked->pattern), err);
}

static uint64_t first_waiting(const history *h)
{
    return h->given.first ? h->given.first->first_n : h->lost_first ? h->lost_n
                                                  : h->queue.first  ? h->queue.first->first_n
                                                                    : h->next_n;
}

static bool fill_question(store *s, question *q, const store_history_query *asked)
{
    q->newest_first = asked->newest_first;
    q->timed = asked->from_ns || asked->to_ns;
    q->from_ns = asked->from_ns;
    q->to_ns = asked->to_ns ? asked->to_ns : INT64_MAX;
    q->by_event = asked->by_event_time;
    q->behind = asked->behind_seq;
    q->behind_place = asked->after_seq > INT64_MAX / 2 ? INT64_MAX : asked->after_seq * 2;
    q->kinds = asked->kinds ? asked->kinds & EVERY_KIND : EVERY_KIND;
    q->page.limit = asked->limit ? asked->limit : PAGE_RECORDS;
    q->low = 1;
    q->high = first_waiting(&s->history) - 1;
    take_spare(&s->history, &q->page.lines);
    buf_init(&q->tail, SIZE_MAX / 2);
    buf_init(&q->tail_ends, SIZE_MAX / 2);
    if (asked->cursor && q->newest_first && asked->cursor <= q->high)
        q->high = asked->cursor - 1;
    if (asked->cursor && !q->newest_first && asked->cursor >= q->low)
        q->low = asked->cursor + 1;
    narrow(&s->history, q);
    return select_trails(s, q, asked) && take_waiting(s, q, asked->cursor);
}

void store_history_read(store *s, const store_history_query *asked, void (*fn)(void *arg, const store_history_page *page), void *arg)
{
    refusal no = {.page = fn, .arg = arg};
    question *q = check(asked, &no.error) ? NULL : calloc(1, sizeof *q);

    if (q) {
        q->base.run = question_run;
        q->base.done = question_done;
        q->fn = fn;
        q->arg = arg;
    }
    if (q && fill_question(s, q, asked)) {
        store_post(s, &s->reader_lane, &q->base);
        return;
    }
    if (q)
        free_question(s, q);
    if (!no.error.code)
        error_set(&no.error, WEIR_NOMEM, "history: out of memory");
    store_refuse(s, &no);
}
