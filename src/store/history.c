/* The history on the loop's side: records into batches, batches to the writer and back, and what happens when it cannot follow.
 *
 * The happy path: a record takes the next number and a slot in the open batch. When the oldest has waited for
 * history_flush_ms, or there is much, all batches go to the writer as one transaction; they come back written, the references
 * are given up here, and the batches are used again.
 *
 * What can go wrong: the transaction fails. Then what was given is given again each second until it is written; the
 * queue behind it grows up to its bound, and then loses its oldest batch for each new one. So there is at most one place
 * where records are missing, behind what is given and ahead of the queue: `lost_n`. When the queue's turn comes, a
 * gap record for each stream that lost some goes first, numbered as the first of the lost. A question meanwhile sees the same. */
#include "store/inside.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

#define GROUP_OCTETS (UINT64_C(16) << 20)
#define IDLE_BATCHES 256
#define TICK_NS (60 * NS_PER_S) /* the retention, also when nothing comes */

/* ---- Batches ---- */

static void push(batch_list *list, batch *b)
{
    b->next = NULL;
    if (list->last)
        list->last->next = b;
    else
        list->first = b;
    list->last = b;
}

static batch *pop(batch_list *list)
{
    batch *b = list->first;
    if (b && !(list->first = b->next))
        list->last = NULL;
    return b;
}

static batch *take_idle(history *h)
{
    batch *b = pop(&h->idle);
    if (b)
        h->idle_count--;
    else
        b = malloc(sizeof *b);
    if (b) {
        b->first_n = 0;
        b->count = 0;
        b->gaps = false;
        b->memory = 0;
    }
    return b;
}

static void put_idle(history *h, batch *b)
{
    if (h->idle_count >= IDLE_BATCHES) {
        free(b);
        return;
    }
    push(&h->idle, b);
    h->idle_count++;
}

static void fill(batch *b, record *r, trail *of, uint64_t place)
{
    b->slots[b->count++] = (slot){r, of, place};
    b->memory += r->line.len + sizeof *r + sizeof(slot);
}

static void release(history *h, batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        record_unref(b->slots[i].r);
    put_idle(h, b);
}

/* ---- What is lost ---- */

record *lost_gap(const trail *t)
{
    record_gap gap = {.cause = RECORD_GAP_SLOW_READER, .from_ns = t->lost_from_ns, .to_ns = t->lost_to_ns, .count = t->lost, .has_seq = t->lost_to_seq != 0, .from_seq = t->lost_from_seq, .to_seq = t->lost_to_seq};
    return record_gap_new(t->stream, &gap);
}

static void lose(store *s, trail *t, const record *r, uint64_t n, uint64_t place)
{
    history *h = &s->history;

    h->lost++;
    if (!h->losing) {
        h->losing = true;
        h->losing_from = h->lost;
        log_error("store", "history: records are given up, since %llu MiB of them wait for the disk; a gap will say how many",
                  (unsigned long long)(s->options.waiting_octets >> 20));
    }
    if (!t)
        return; /* memory is out even to know the stream: the count is all */
    if (!h->lost_first)
        h->lost_n = n;
    if (!t->lost) {
        t->lost_next = NULL;
        if (h->lost_last)
            h->lost_last->lost_next = t;
        else
            h->lost_first = t;
        h->lost_last = t;
        t->lost_from_ns = t->lost_to_ns = r->ts_out;
        t->lost_from_seq = t->lost_to_seq = 0;
    }
    t->lost++;
    t->lost_place = place;
    t->lost_from_ns = r->ts_out < t->lost_from_ns ? r->ts_out : t->lost_from_ns;
    t->lost_to_ns = r->ts_out > t->lost_to_ns ? r->ts_out : t->lost_to_ns;
    if (r->seq) {
        t->lost_from_seq = t->lost_from_seq ? t->lost_from_seq : r->seq;
        t->lost_to_seq = r->seq;
    }
}

/* The queue's oldest batch goes. */
static void drop_oldest(store *s)
{
    history *h = &s->history;
    batch *b = pop(&h->queue);

    h->queue_octets -= b->memory;
    h->waiting -= b->count;
    for (uint32_t i = 0; i < b->count; i++) {
        const slot *at = &b->slots[i];
        at->of->records--;
        at->of->octets -= at->r->line.len + 1;
        lose(s, at->of, at->r, b->first_n + i, at->place);
    }
    release(h, b);
}

/* Gap records for all that was lost, as batches of their own ahead of what is given next. False: out of memory, again later. */
static bool give_gaps(store *s)
{
    history *h = &s->history;
    batch_list made = {NULL, NULL};
    uint64_t n = h->lost_n, gaps = 0;

    for (trail *t = h->lost_first; t; t = t->lost_next, n++, gaps++) {
        record *gap = lost_gap(t);
        batch *b = made.last && made.last->count < BATCH_SLOTS ? made.last : take_idle(h);
        if (gap && b && b != made.last) {
            b->first_n = n;
            b->gaps = true;
            push(&made, b);
        }
        if (!gap || !b) {
            record_unref(gap);
            if (b && b != made.last)
                put_idle(h, b);
            while ((b = pop(&made)))
                release(h, b);
            return false;
        }
        fill(b, gap, t, t->lost_place | 1);
    }
    log_warn("store", "history: %llu records of %llu streams were given up, and a gap record stands in their place", (unsigned long long)(h->lost - h->losing_from + 1), (unsigned long long)gaps);
    h->losing = false;
    h->gaps += gaps;
    for (batch *b; (b = pop(&made));) {
        for (uint32_t i = 0; i < b->count; i++) {
            trail *t = b->slots[i].of;
            if (!t->records++ || b->first_n + i < t->first_n) {
                t->first_n = b->first_n + i;
                t->first_ns = t->lost_from_ns;
            }
            t->octets += b->slots[i].r->line.len + 1;
            t->lost = 0;
        }
        h->given_octets += b->memory;
        push(&h->given, b);
    }
    h->lost_first = h->lost_last = NULL;
    return true;
}

/* ---- To the writer ---- */

bool history_idle(const store *s)
{
    const history *h = &s->history;
    return !h->in_flight && !h->given.first && !h->queue.first && !h->lost_first && !s->audit.given.len && !s->audit.open.len;
}

static bool fill_given(store *s)
{
    history *h = &s->history;

    if (h->given.first)
        return true; /* what failed goes again, as it was */
    if (h->lost_first && !give_gaps(s))
        return false;
    while (h->queue.first && h->given_octets < h->group_octets) {
        batch *b = pop(&h->queue);
        h->queue_octets -= b->memory;
        h->given_octets += b->memory;
        push(&h->given, b);
    }
    h->due = h->queue.first != NULL;
    return true;
}

void history_give(store *s, bool force)
{
    history *h = &s->history;

    if (h->in_flight || !s->writer_lane.started || (h->failing && !force))
        return;
    if (!force && !h->due && h->queue_octets < h->group_octets && !s->flushes)
        return;
    if (!fill_given(s)) {
        timer_after(&h->retry, RETRY_NS);
        return;
    }
    audit_give(s);
    history_write *w = &h->write;
    w->batches = h->given.first;
    w->audit = buf_bytes(&s->audit.given);
    w->audit_id = s->audit.given_id;
    w->suspect = h->suspect;
    w->probe = h->failing;
    w->now_real = clock_real();
    w->now_mono = clock_mono();
    w->last = h->closing && !h->queue.first && !h->lost_first && !s->audit.open.len;
    h->suspect = false;
    h->in_flight = true;
    timer_stop(&h->retry);
    store_post(s, &s->writer_lane, &w->base);
}

static void on_flush(void *arg)
{
    store *s = arg;
    s->history.due = true;
    history_give(s, false);
}

static void on_retry(void *arg)
{
    history_give(arg, true);
}

static void on_tick(void *arg)
{
    store *s = arg;
    timer_after(&s->history.tick, TICK_NS);
    history_give(s, true);
}

static batch *open_batch(store *s)
{
    history *h = &s->history;
    batch *b = h->queue.last;

    if (b && b->count < BATCH_SLOTS)
        return b;
    b = take_idle(h);
    if (!b && h->queue.first) {
        drop_oldest(s); /* and use it */
        b = take_idle(h);
    }
    if (b) {
        b->first_n = h->next_n;
        push(&h->queue, b);
    }
    return b;
}

/* Where the record stands among those of its stream. Never goes back, whatever the numbers do. */
static uint64_t place_in(trail *t, const record *r)
{
    if (r->seq && r->seq <= t->last_seq && !r->whole && !t->went_back) {
        t->went_back = true;
        log_warn("store", "history: '" BYTES_FMT "': number %llu comes behind %llu; who resumes there may miss records", BYTES_ARG(t->topic), (unsigned long long)r->seq, (unsigned long long)t->last_seq);
    }
    if (r->seq > t->last_seq)
        t->last_seq = r->seq;
    uint64_t place = r->seq ? r->seq * 2 : t->last_seq * 2 + 1;
    if (place > t->last_place)
        t->last_place = place;
    return t->last_place;
}

void store_history_add(store *s, record *r)
{
    history *h = &s->history;
    trail *t = trail_of(s, r->stream);

    h->added++;
    if (!t) {
        lose(s, NULL, r, 0, 0);
        return;
    }
    uint64_t place = place_in(t, r);
    t->last_ns = r->ts_out;
    batch *b = open_batch(s);
    if (!b) {
        lose(s, t, r, h->next_n++, place);
        return;
    }
    if (!t->records++) {
        t->first_n = h->next_n;
        t->first_ns = r->ts_out;
    }
    t->last_n = h->next_n++;
    t->octets += r->line.len + 1;
    uint64_t before = b->memory;
    fill(b, record_ref(r), t, place);
    h->queue_octets += b->memory - before;
    h->waiting++;
    if (!h->due && !timer_running(&h->flush))
        timer_after(&h->flush, s->options.history_flush_ms * NS_PER_MS);
    if (h->queue_octets + h->given_octets > s->options.waiting_octets)
        drop_oldest(s);
    else if (h->queue_octets >= h->group_octets)
        history_give(s, false);
}

/* ---- Back from the writer ---- */

/* A new file was begun: what is known of the disk is no longer there. */
static void begin_anew(history *h)
{
    const batch_list *lists[] = {&h->given, &h->queue};

    h->marks_count = 0;
    for (size_t i = 0; i < h->trails_count; i++)
        h->trails[i]->records = h->trails[i]->octets = h->trails[i]->first_n = 0;
    for (size_t i = 0; i < 2; i++)
        for (const batch *b = lists[i]->first; b; b = b->next)
            for (uint32_t k = 0; k < b->count; k++) {
                trail *t = b->slots[k].of;
                if (!t->records++) {
                    t->first_n = b->first_n + k;
                    t->first_ns = b->slots[k].r->ts_out;
                }
                t->octets += b->slots[k].r->line.len + 1;
            }
}

void history_mark(history *h, const mark *m)
{
    if (!m->n)
        return;
    if (h->marks_count && h->marks[h->marks_count - 1].n == m->n) {
        h->marks[h->marks_count - 1] = *m;
        return;
    }
    if (h->marks_count == h->marks_cap) {
        size_t cap = h->marks_cap ? h->marks_cap * 2 : 64;
        mark *more = realloc(h->marks, cap * sizeof *more);
        if (!more) { /* the last one stands for both */
            mark *last = h->marks_count ? &h->marks[h->marks_count - 1] : NULL;
            if (last)
                *last = (mark){last->n, m->last_n, 0, UINT64_MAX, 0, UINT64_MAX, 0, 0};
            return;
        }
        h->marks = more;
        h->marks_cap = cap;
    }
    h->marks[h->marks_count++] = *m;
}

static void take_trims(history *h, const history_write *w)
{
    size_t gone = 0;

    for (size_t i = 0; i < w->trims_count; i++) {
        const trim *cut = &w->trims[i];
        cut->of->records -= cut->records;
        cut->of->octets -= cut->octets;
        if (cut->first_n) {
            cut->of->first_n = cut->first_n;
            cut->of->first_ns = cut->first_ns;
        } else { /* nothing of it is left on the disk: what waits or is lost comes behind */
            cut->of->first_n = w->trimmed_n + 1;
            cut->of->first_ns = cut->of->last_ns;
        }
    }
    while (gone < h->marks_count && h->marks[gone].last_n <= w->trimmed_n)
        gone++;
    h->marks_count -= gone;
    if (gone)
        memmove(h->marks, h->marks + gone, h->marks_count * sizeof *h->marks);
}

static void release_given(history *h)
{
    for (batch *b; (b = pop(&h->given));) {
        if (!b->gaps) {
            h->written += b->count;
            h->waiting -= b->count;
        }
        release(h, b);
    }
    h->given_octets = 0;
}

void history_written(store *s, request *r)
{
    history *h = &s->history;
    history_write *w = (history_write *)r;
    weir_error error = r->error;

    h->in_flight = false;
    if (w->note.text[0])
        log_at(w->note.code ? LOG_ERROR : LOG_WARN, "store", "%s", w->note.text);
    if (w->fresh)
        begin_anew(h);
    h->octets = w->octets;
    if (w->committed) {
        uint64_t took_us = (clock_mono() - w->now_mono) / 1000;
        h->commits += w->batches != NULL;
        h->commit_max_us = w->batches && took_us > h->commit_max_us ? took_us : h->commit_max_us;
        history_mark(h, &w->mark);
        release_given(h);
        audit_written(s);
    }
    take_trims(h, w);
    store_note(s, true, r->trouble, &error);
    h->failing = !w->committed;
    store_flushes_check(s, h->failing ? &error : NULL);
    if (h->failing && !h->closing)
        timer_after(&h->retry, RETRY_NS);
    else if (!h->failing)
        history_give(s, h->closing && (!w->last || !history_idle(s)));
}

/* ---- Opening and closing ---- */

bool store_ended_well(const store *s)
{
    return s->history.ended_well;
}

/* Behind the last number that is known there were others: not more than this in what a crash takes, nor on
 * average where the disk did not take them for long. */
#define ROOM (UINT64_C(1) << 20)
#define ROOM_PER_S 1024

static void leave_room(history *h)
{
    uint64_t now = clock_real();
    for (size_t i = 0; i < h->trails_count; i++) {
        trail *t = h->trails[i];
        uint64_t since = now > t->last_ns && t->last_ns ? (now - t->last_ns) / NS_PER_S : 0;
        t->resume_seq = t->last_seq + ROOM + since * ROOM_PER_S;
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

weir_code history_open(store *s, weir_error *err)
{
    history *h = &s->history;
    weir_code code;

    timer_init(&h->flush, s->l, on_flush, s);
    timer_init(&h->retry, s->l, on_retry, s);
    timer_init(&h->tick, s->l, on_tick, s);
    h->write.base.done = history_written;
    h->group_octets = least(GROUP_OCTETS, least(s->options.waiting_octets / 4, s->options.history_octets / 16));
    h->path = store_path(s, "history.db");
    h->by_name = map_new();
    if (!h->path || !h->by_name)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if ((code = writer_open(s, &h->write, err)))
        return code;
    if (h->write.note.text[0])
        log_error("store", "%s", h->write.note.text);
    if (!h->ended_well)
        leave_room(h);
    h->octets = db_file_octets(h->path);
    store_note(s, true, s->writer.db.trouble, &s->writer.db.why);
    timer_after(&h->tick, TICK_NS);
    return WEIR_OK;
}

void history_close(store *s)
{
    history *h = &s->history;

    timer_stop(&h->flush);
    timer_stop(&h->retry);
    timer_stop(&h->tick);
    while (h->queue.first && h->by_name)
        drop_oldest(s);
    if (h->given.first) {
        uint64_t count = 0;
        for (batch *b; (b = pop(&h->given)); release(h, b))
            count += b->count;
        log_error("store", "history: %llu records could not be written before the end", (unsigned long long)count);
    }
    for (batch *b; (b = pop(&h->idle));)
        free(b);
    writer_close(&s->writer);
    buf_fini(&s->audit.open);
    buf_fini(&s->audit.given);
    trails_free(s);
    buf_fini(&h->spare);
    free(h->write.trims);
    free(h->marks);
    free(h->path);
}
