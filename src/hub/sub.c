/* A reader's queue: a ring of references that grows to what the reader was promised.
 *
 * Pushing and popping are the frequent operations and touch the ring alone. Losses are rare: they
 * gather by stream in a second ring, in the order in which streams began to lose, and become gap
 * records when the reader next looks. Which stream has an entry there (and, for
 * SUB_NEWEST_PER_KEY, where its newest record waits) stands in a small hash table keyed by the
 * stream. Records are dropped at the head only, so a gap shown before the head is in its place.
 *
 * What can go wrong: the ring cannot grow for want of memory; then the queue is as full as it is. A
 * loss that cannot be noted for want of memory stays in still_to_tell. */
#include "hub/record_impl.h"
#include "hub/sub_impl.h"

#include "base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 16

const char *sub_drop_reason_name(sub_drop_reason reason)
{
    static const char *const names[] = {
#define X(name, text) text,
        SUB_DROP_REASONS(X)
#undef X
    };
    return names[reason];
}

static const struct {
    const char *name, *will;
} policies[] = {
#define X(name, text, will) {text, will},
    SUB_POLICIES(X)
#undef X
};

const char *sub_policy_name(sub_policy policy)
{
    return policies[policy].name;
}

/* ---- Birth and end ---- */

weir_code sub_new(sub **out, hub *h, const char *pattern, const sub_options *options, weir_error *err)
{
    static const sub_options defaults = {.policy = SUB_DROP_OLDEST};
    const sub_options *o = options ? options : &defaults;
    sub *s;

    if (topic_pattern_check(bytes_of(pattern), err))
        return error_wrap(err, "subscriber");
    s = calloc(1, sizeof *s);
    if (!s || !(s->pattern_text = bytes_dup(bytes_of(pattern)))) {
        sub_free(s);
        return error_set(err, WEIR_NOMEM, "subscriber '%s': out of memory", pattern);
    }
    s->hub = h;
    s->pattern = bytes_of(s->pattern_text);
    s->policy = o->policy;
    s->max_records = o->max_records ? o->max_records : SUB_RECORDS_DEFAULT;
    s->max_octets = o->max_octets ? o->max_octets : SUB_OCTETS_DEFAULT;
    s->of_one = o->connection != NULL;
    s->connection = o->connection ? *o->connection : 0;
    s->on_ready = o->on_ready;
    s->arg = o->arg;
    s->head = s->tail = s->loss_head = s->loss_tail = 1; /* 0 is no position */
    *out = s;
    return WEIR_OK;
}

bool sub_selects(const sub *s, const record_stream *stream)
{
    return (!s->of_one || (stream->has_connection && stream->connection == s->connection)) && topic_match(s->pattern, stream->topic);
}

void sub_discard(sub *s)
{
    while (s->head != s->tail) {
        record *r = s->ring[s->head++ & (s->cap - 1)];
        s->account.dropped[SUB_DROPPED_UNSUBSCRIBED]++;
        s->account.queued--;
        s->account.queued_octets -= r->line.len;
        record_unref(r);
    }
    while (s->loss_head != s->loss_tail)
        record_stream_unref(s->losses[s->loss_head++ & (s->loss_cap - 1)].stream);
    for (size_t i = 0; i < s->seen_cap; i++)
        if (s->seen[i].follows) {
            s->seen[i].follows = false;
            record_stream_unref(s->seen[i].stream);
        }
    record_unref(s->gap);
    record_unref(s->warning);
    if (s->lag_stream)
        record_stream_unref(s->lag_stream);
    s->lag_stream = NULL;
    s->gap = s->warning = s->peeked = NULL;
}

void sub_free(sub *s)
{
    if (!s)
        return;
    sub_discard(s);
    free(s->ring);
    free(s->losses);
    free(s->seen);
    free(s->pattern_text);
    free(s);
}

/* ---- The table of streams ---- */

static size_t seen_place(const sub *s, const record_stream *stream)
{
    uint64_t hash = (uint64_t)(uintptr_t)stream * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 32) & (s->seen_cap - 1);

    while (s->seen[at].stream && s->seen[at].stream != stream)
        at = (at + 1) & (s->seen_cap - 1);
    return at;
}

static sub_seen *seen_find(sub *s, const record_stream *stream)
{
    if (!s->seen_cap)
        return NULL;
    sub_seen *found = &s->seen[seen_place(s, stream)];
    return found->stream ? found : NULL;
}

static bool seen_grow(sub *s)
{
    size_t old_cap = s->seen_cap, cap = old_cap ? old_cap * 2 : FIRST_CAP;
    sub_seen *old = s->seen, *seen = calloc(cap, sizeof *seen);

    if (!seen)
        return false;
    s->seen = seen;
    s->seen_cap = cap;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].stream)
            seen[seen_place(s, old[i].stream)] = old[i];
    free(old);
    return true;
}

/* Finds or makes; NULL when out of memory. */
static sub_seen *seen_add(sub *s, record_stream *stream)
{
    sub_seen *found = seen_find(s, stream);

    if (found)
        return found;
    if (s->seen_count * 2 >= s->seen_cap && !seen_grow(s))
        return NULL;
    found = &s->seen[seen_place(s, stream)];
    found->stream = stream;
    s->seen_count++;
    return found;
}

/* Forgets a stream that nothing of waits any more. Those that the place had pushed on move up. */
static void seen_settle(sub *s, sub_seen *entry)
{
    if (entry->queued || entry->lost || entry->follows)
        return;
    size_t hole = (size_t)(entry - s->seen), at = hole;
    s->seen_count--;
    for (;;) {
        s->seen[hole] = (sub_seen){0};
        do {
            at = (at + 1) & (s->seen_cap - 1);
            if (!s->seen[at].stream)
                return;
        } while (seen_place(s, s->seen[at].stream) != hole);
        s->seen[hole] = s->seen[at];
        hole = at;
    }
}

/* The record at `position` leaves the ring, or is no longer the one that a newer one may replace. */
static void forget_newest(sub *s, const record_stream *stream, uint64_t position)
{
    if (s->policy != SUB_NEWEST_PER_KEY)
        return;
    sub_seen *entry = seen_find(s, stream);
    if (!entry || !entry->queued || (position && entry->queued != position))
        return;
    entry->queued = 0;
    seen_settle(s, entry);
}

/* ---- Streams that somebody keeps whole ---- */

bool sub_needs_whole(sub *s, const record *r)
{
    if (r->kind != RECORD_DATA || r->whole)
        return false;
    const sub_seen *entry = seen_find(s, r->stream);
    return !entry || !entry->follows || (s->policy == SUB_NEWEST_PER_KEY && entry->queued);
}

/* The whole is in the queue. Without memory for it the next change is replaced again. */
static void follow(sub *s, record *r)
{
    sub_seen *entry = r->whole && r->stream->make_whole ? seen_add(s, r->stream) : NULL;
    if (!entry || entry->follows)
        return;
    entry->follows = true;
    record_stream_ref(r->stream);
}

static void follow_no_more(sub *s, record_stream *stream)
{
    sub_seen *entry = seen_find(s, stream);
    if (!entry || !entry->follows)
        return;
    entry->follows = false;
    seen_settle(s, entry);
    record_stream_unref(stream); /* what is lost keeps it */
}

/* ---- Losses ---- */

static bool losses_grow(sub *s)
{
    uint64_t cap = s->loss_cap ? s->loss_cap * 2 : FIRST_CAP;
    sub_loss *losses = malloc(cap * sizeof *losses);

    if (!losses)
        return false;
    for (uint64_t i = s->loss_head; i != s->loss_tail; i++)
        losses[i & (cap - 1)] = s->losses[i & (s->loss_cap - 1)];
    free(s->losses);
    s->losses = losses;
    s->loss_cap = cap;
    return true;
}

/* The loss entry of this stream, made if there is none; NULL when out of memory. */
static record_gap *loss_of(sub *s, record_stream *stream)
{
    sub_seen *entry = seen_add(s, stream);

    if (!entry)
        return NULL;
    if (!entry->lost) {
        if (s->loss_tail - s->loss_head == s->loss_cap && !losses_grow(s)) {
            seen_settle(s, entry);
            return NULL;
        }
        entry->lost = s->loss_tail++;
        s->losses[entry->lost & (s->loss_cap - 1)] =
            (sub_loss){record_stream_ref(stream), {.cause = RECORD_GAP_SLOW_READER}};
    }
    return &s->losses[entry->lost & (s->loss_cap - 1)].gap;
}

/* Notes that the reader will not see `r`. A lost gap record makes the gap at least as wide as it was. */
static void note_loss(sub *s, record *r)
{
    record_gap *gap = loss_of(s, r->stream);
    uint64_t last = r->ts_recv ? r->ts_recv : r->ts_out;
    uint64_t first = r->kind == RECORD_GAP && r->ts_event ? r->ts_event : last;

    s->account.still_to_tell++;
    if (!gap)
        return;
    gap->count++;
    if (!gap->from_ns || first < gap->from_ns)
        gap->from_ns = first;
    if (last > gap->to_ns)
        gap->to_ns = last;
    if (r->seq) {
        if (!gap->has_seq)
            gap->from_seq = r->seq;
        gap->has_seq = true;
        gap->to_seq = r->seq;
    }
}

/* Makes the gap record of the first loss. Without memory the loss waits for the next look. */
static void show_loss(sub *s)
{
    sub_loss *loss = &s->losses[s->loss_head & (s->loss_cap - 1)];
    record_stream *stream = loss->stream;

    s->gap = record_gap_new(stream, &loss->gap);
    if (!s->gap)
        return;
    s->gap_count = loss->gap.count;
    s->loss_head++;
    sub_seen *entry = seen_find(s, stream);
    entry->lost = 0;
    seen_settle(s, entry);
    record_stream_unref(stream); /* the gap record keeps it */
}

/* ---- Warnings ---- */

/* `quarters` of either limit wait. */
static bool fills(const sub *s, uint64_t quarters)
{
    return s->account.queued >= s->max_records - s->max_records / 4 * (4 - quarters) ||
           s->account.queued_octets >= s->max_octets - s->max_octets / 4 * (4 - quarters);
}

/* Makes the warning that is due. Without memory it waits for the next look. */
static void show_warning(sub *s)
{
    char why[200];

    snprintf(why, sizeof why, "%s: %" PRIu64 " of %" PRIu64 " records and %" PRIu64 " of %" PRIu64 " octets wait for this reader; when its queue is full, %s",
             policies[s->policy].name, s->account.queued, s->max_records, s->account.queued_octets, s->max_octets, policies[s->policy].will);
    s->warning = record_status_new(s->lag_stream, RECORD_LAGGING, why);
    if (!s->warning)
        return;
    record_stream_unref(s->lag_stream); /* the record keeps it */
    s->lag_stream = NULL;
}

/* ---- The ring ---- */

static record *take_head(sub *s)
{
    record *r = s->ring[s->head & (s->cap - 1)];

    forget_newest(s, r->stream, s->head);
    s->head++;
    s->account.queued--;
    s->account.queued_octets -= r->line.len;
    if (s->peeked == r)
        s->peeked = NULL;
    return r;
}

static void move_in_ring(sub *s, uint64_t from, uint64_t to)
{
    record *r = s->ring[from & (s->cap - 1)];
    sub_seen *entry = s->policy == SUB_NEWEST_PER_KEY && from != to ? seen_find(s, r->stream) : NULL;

    s->ring[to & (s->cap - 1)] = r;
    if (entry && entry->queued == from)
        entry->queued = to;
}

/* A change was lost: those that wait behind it change what the reader does not have. Up to the next whole. */
static void drop_orphans(sub *s, record_stream *stream, sub_drop_reason reason)
{
    uint64_t to = s->head;
    bool orphan = true;

    for (uint64_t from = s->head; from != s->tail; from++) {
        record *r = s->ring[from & (s->cap - 1)];
        orphan = orphan && !(r->stream == stream && r->whole);
        if (!orphan || r->stream != stream || r->kind != RECORD_DATA) {
            move_in_ring(s, from, to++);
            continue;
        }
        forget_newest(s, stream, from);
        s->account.dropped[reason]++;
        s->account.queued--;
        s->account.queued_octets -= r->line.len;
        if (s->peeked == r)
            s->peeked = NULL;
        note_loss(s, r);
        record_unref(r);
    }
    s->tail = to;
    if (orphan)
        follow_no_more(s, stream);
}

static void drop_head(sub *s, sub_drop_reason reason)
{
    record *r = take_head(s);

    s->account.dropped[reason]++;
    note_loss(s, r);
    if (r->kind == RECORD_DATA && r->stream->make_whole)
        drop_orphans(s, r->stream, reason);
    record_unref(r);
}

static bool ring_grow(sub *s)
{
    uint64_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
    record **ring = malloc(cap * sizeof *ring);

    if (!ring)
        return false;
    for (uint64_t i = s->head; i != s->tail; i++)
        ring[i & (cap - 1)] = s->ring[i & (s->cap - 1)];
    free(s->ring);
    s->ring = ring;
    s->cap = cap;
    return true;
}

static uint64_t times(uint64_t value, uint64_t factor)
{
    return value > UINT64_MAX / factor ? UINT64_MAX : value * factor;
}

static bool fits(const sub *s, size_t octets, uint64_t factor)
{
    return s->account.queued < times(s->max_records, factor) &&
           s->account.queued_octets + octets <= times(s->max_octets, factor);
}

/* Drops from the head until there is a place for `r`. False: the policy or the memory says no. */
static bool make_room(sub *s, const record *r, sub_drop_reason *why)
{
    uint64_t factor = s->policy == SUB_BLOCK ? SUB_OVERRUN : 1;

    *why = SUB_DROPPED_CUT;
    while (s->account.queued && !fits(s, r->line.len, factor)) {
        if (s->policy == SUB_DISCONNECT)
            return false;
        drop_head(s, s->policy == SUB_BLOCK ? SUB_DROPPED_OVERRUN : SUB_DROPPED_OLDEST);
    }
    if (s->account.queued < s->cap || ring_grow(s))
        return true;
    if (s->policy == SUB_DISCONNECT)
        return false;
    *why = SUB_DROPPED_NOMEM;
    if (!s->account.queued)
        return false;
    drop_head(s, SUB_DROPPED_NOMEM);
    return true;
}

/* A waiting data record of the same stream gives its place to `r`. */
static bool replace_newest(sub *s, record *r)
{
    sub_seen *entry = seen_find(s, r->stream);

    if (!entry || !entry->queued)
        return false;
    record **place = &s->ring[entry->queued & (s->cap - 1)], *old = *place;
    s->account.queued_octets += r->line.len - old->line.len;
    s->account.dropped[SUB_DROPPED_REPLACED]++;
    if (s->peeked == old)
        s->peeked = NULL;
    *place = record_ref(r);
    follow(s, r);
    record_unref(old);
    while (s->account.queued > 1 && s->account.queued_octets > s->max_octets)
        drop_head(s, SUB_DROPPED_OLDEST);
    return true;
}

static bool idle(const sub *s)
{
    return s->head == s->tail && s->loss_head == s->loss_tail && !s->gap && !s->lag_stream && !s->warning;
}

static void append(sub *s, record *r)
{
    if (s->policy == SUB_NEWEST_PER_KEY) {
        sub_seen *entry = r->kind == RECORD_DATA && !r->backfill ? seen_add(s, r->stream) : NULL;
        if (entry) /* without memory for it the next one is just not replaced */
            entry->queued = s->tail;
        else
            forget_newest(s, r->stream, 0); /* nothing may overtake a gap or a status */
    }
    s->ring[s->tail++ & (s->cap - 1)] = record_ref(r);
    follow(s, r);
    s->account.queued++;
    s->account.queued_octets += r->line.len;
}

static void cut_off(sub *s)
{
    s->cut = true;
    log_warn("hub", "a reader of '%s' is cut off, as its policy says: %" PRIu64 " records wait for it", s->pattern_text, s->account.queued);
}

/* Hop 7, the queue: bounded; the reader's policy decides, a counter tells. */
bool sub_push(sub *s, record *r)
{
    bool was_idle = idle(s), kept = r->stream->make_whole && !sub_needs_whole(s, r);
    sub_drop_reason why;

    s->account.offered++;
    if (s->policy == SUB_NEWEST_PER_KEY && r->kind == RECORD_DATA && !r->backfill && replace_newest(s, r))
        return true;
    if (make_room(s, r, &why)) {
        if (kept && sub_needs_whole(s, r)) {
            s->account.offered--;
            return false;
        }
        append(s, r);
    } else {
        s->account.dropped[why]++;
        if (why == SUB_DROPPED_CUT)
            cut_off(s);
        else
            note_loss(s, r);
        if (r->kind == RECORD_DATA)
            follow_no_more(s, r->stream);
    }
    if (!s->lagging && s->max_records >= SUB_WARNS && s->account.queued >= SUB_WARNS / 2 && fills(s, 3)) {
        s->lagging = true;
        s->lag_stream = record_stream_ref(r->stream);
    }
    if (s->policy == SUB_BLOCK && !s->full &&
        (s->account.queued >= s->max_records || s->account.queued_octets >= s->max_octets)) {
        s->full = true;
        hub_full(s->hub);
    }
    if (s->on_ready && (was_idle || s->cut))
        s->on_ready(s, s->arg);
    return true;
}

/* ---- Reading ---- */

record *sub_peek(sub *s)
{
    if (s->lag_stream)
        show_warning(s);
    if (s->warning)
        return s->peeked = s->warning;
    if (!s->gap && s->loss_head != s->loss_tail)
        show_loss(s);
    if (s->gap)
        s->peeked = s->gap;
    else
        s->peeked = s->head == s->tail ? NULL : s->ring[s->head & (s->cap - 1)];
    return s->peeked;
}

void sub_pop(sub *s)
{
    record *r = s->peeked;

    if (!r)
        return;
    if (r == s->warning) {
        s->account.warnings++;
        s->warning = s->peeked = NULL;
    } else if (r == s->gap) {
        s->account.gaps++;
        s->account.told += s->gap_count;
        s->account.still_to_tell -= s->gap_count;
        s->gap = s->peeked = NULL;
    } else {
        take_head(s);
        s->account.delivered++;
    }
    record_unref(r);
    if (s->lagging && !s->lag_stream && !s->warning && !fills(s, 2))
        s->lagging = false;
    if (s->full && s->account.queued <= s->max_records / 2 && s->account.queued_octets <= s->max_octets / 2) {
        s->full = false;
        hub_room(s->hub);
    }
}

record *sub_next(sub *s)
{
    record *r = sub_peek(s);

    if (r) {
        record_ref(r);
        sub_pop(s);
    }
    return r;
}

bool sub_cut(const sub *s)
{
    return s->cut;
}

bytes sub_pattern(const sub *s)
{
    return s->pattern;
}

sub_account sub_read_account(const sub *s)
{
    return s->account;
}

static uint64_t dropped_of(const sub_account *a)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SUB_DROPPED_REASONS; i++)
        sum += a->dropped[i];
    return sum;
}

uint64_t sub_dropped(const sub *s)
{
    return dropped_of(&s->account);
}

bool sub_account_adds_up(const sub_account *a)
{
    uint64_t lost = a->dropped[SUB_DROPPED_OLDEST] + a->dropped[SUB_DROPPED_OVERRUN] + a->dropped[SUB_DROPPED_NOMEM];
    return a->offered == a->delivered + dropped_of(a) + a->queued && lost == a->told + a->still_to_tell;
}
