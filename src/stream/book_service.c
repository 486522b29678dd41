/* Keeping a stream's order book: see book_service.h. */
#include "stream/book_service.h"

#include <inttypes.h>
#include <stdio.h>

/* In front of each change that is held. */
typedef struct held {
    uint64_t ts_event, recv_ns;
    uint32_t len;
    bool last;
} held;

static const char *topic(const book_service *b)
{
    return record_stream_topic(b->stream->records).at;
}

/* ---- Records ---- */

/* The data with these flags, too; its other octets are the plugin's. Empty when out of memory. */
static bytes with_flags(book_service *b, bytes data, const guard_marks *m, unsigned flags)
{
    buf *out = &b->text;
    const char *to = data.at + data.len - 1, *from = to; /* the brace */
    bool known = m->flags.type == JSON_ARRAY, there = m->flags.type != JSON_NONE;
    buf_clear(out);
    if (known)
        to = from = m->flags.raw.at + m->flags.raw.len - 1; /* the bracket */
    else if (there)
        to = m->flags.raw.at, from = to + m->flags.raw.len; /* what is no list gives way to one */
    buf_add(out, data.at, (size_t)(to - data.at));
    if (!there)
        buf_add_text(out, memchr(data.at, '"', data.len) ? ",\"flags\":" : "\"flags\":");
    buf_add_text(out, known ? "" : "[");
    book_put_flags(out, flags, !known || !memchr(m->flags.raw.at, '"', m->flags.raw.len));
    buf_add_text(out, known ? "" : "]");
    buf_add(out, from, (size_t)(data.at + data.len - from));
    return out->failed ? (bytes){NULL, 0} : buf_bytes(out);
}

/* Hop 5 for an order book. False: out of memory, so the readers' books are no longer the venue's. */
static bool publish(book_service *b, const book_message *m, const guard_marks *marks, unsigned flags)
{
    stream *s = b->stream;
    bytes data = m->data.raw;
    unsigned given = book_flags(marks), wanted = flags | (m->last ? BOOK_LAST : 0);
    bool typed = marks->flags.type == JSON_ARRAY || marks->type.type == JSON_STRING;
    if (m->data.type == JSON_OBJECT && (!typed || (wanted & ~given)))
        data = with_flags(b, data, marks, wanted & ~given);
    record *r = NULL;
    if (data.len)
        r = flags == BOOK_SNAPSHOT ? record_whole_new(s->records, 0, m->ts_event, m->recv_ns, data)
                                   : record_new(s->records, m->ts_event, m->recv_ns, data);
    if (r)
        b->record_seq = r->seq;
    bool made = r != NULL;
    hub_publish(s->plugin->hub, r);
    return made;
}

/* ---- Snapshots of our own ---- */

/* The book behind this record. (record_make_whole) */
static record *make_whole(void *arg, const record *change)
{
    book_service *b = arg;
    buf *out = &b->text;
    guard_marks marks;
    json data = {JSON_OBJECT, change->data};
    if (!b->whole || change->seq != b->record_seq || guard_read_marks(&marks, data, NULL))
        return NULL;
    buf_clear(out);
    book_put_whole(out, &b->book, data, &marks);
    return out->failed ? NULL : record_whole_new(b->stream->records, change->seq, change->ts_event, change->ts_recv, buf_bytes(out));
}

/* ---- What is held ---- */

/* The one at `at`, which moves behind it. False: there is none. */
static bool next_held(const book_service *b, size_t *at, book_message *out)
{
    held h;
    if (*at >= b->held.len)
        return false;
    memcpy(&h, b->held.at + *at, sizeof h);
    *out = (book_message){{JSON_OBJECT, {b->held.at + *at + sizeof h, h.len}}, h.last, h.ts_event, h.recv_ns};
    *at += sizeof h + h.len;
    return true;
}

/* Those that nobody got are counted. */
static void drop_held(book_service *b)
{
    book_message m;
    while (next_held(b, &b->held_at, &m))
        record_stream_counts(b->stream->records)->stale++;
    buf_clear(&b->held);
    b->held_at = 0;
    b->replaying = false;
}

static void hold(book_service *b, const book_message *m)
{
    held h = {m->ts_event, m->recv_ns, (uint32_t)m->data.raw.len, m->last};
    if (b->held_at && b->held.len + sizeof h + h.len > HELD_OCTETS) {
        buf_consume(&b->held, b->held_at);
        b->held_at = 0;
    }
    if (!buf_reserve(&b->held, sizeof h + h.len)) {
        log_warn("stream", "'%s': more than %zu octets of changes wait for the snapshot; they are dropped, and another one is asked for", topic(b), b->held.len);
        drop_held(b);
        b->owner.want(b->owner.arg, "too many changes wait for the snapshot", true);
        if (!buf_reserve(&b->held, sizeof h + h.len))
            return;
    }
    buf_add(&b->held, &h, sizeof h);
    buf_add_bytes(&b->held, m->data.raw);
}

/* ---- Findings ---- */

/* From here on a snapshot is waited for. */
static void lose_book(book_service *b)
{
    b->whole = false;
    b->stream->resyncs_later = true;
    b->newest.len = 0;
}

/* The change is not one of this book: its gap, itself, and what follows from it. */
static void tell_bad(book_service *b, const book_message *m, const guard_marks *marks, record_gap *gap)
{
    stream *s = b->stream;
    bool told = gap->has_seq && s->dropped; /* the hole is where a message was dropped */
    log_warn("stream", "'%s': the order book: %s; it waits for a snapshot", topic(b), b->why);
    lose_book(b);
    stream_end_gap(s);
    gap->from_ns = b->recv_ns;
    gap->to_ns = m->recv_ns;
    if (!told)
        stream_tell_gap(s, gap);
    publish(b, m, marks, BOOK_MAYBE_BAD);
    b->owner.want(b->owner.arg, b->why, true);
}

static void tell_unreadable(book_service *b, const book_message *m, const guard_marks *marks, const weir_error *err)
{
    record_gap gap = {.cause = RECORD_GAP_DROPPED, .count = 1};
    snprintf(b->why, sizeof b->why, "%s", err->text);
    tell_bad(b, m, marks, &gap);
}

static void tell_order(book_service *b, const book_message *m, const guard_marks *marks, guard_finding found)
{
    record_gap gap = {.cause = RECORD_GAP_SEQUENCE};
    const guard *g = &b->guard;
    uint64_t before = (g->kinds & GUARD_PREVIOUS) && marks->has_previous ? marks->previous : marks->first - 1;
    if (found == GUARD_HOLE && before > g->last) {
        gap.has_seq = true;
        gap.from_seq = g->last + 1;
        gap.to_seq = before;
        snprintf(b->why, sizeof b->why, "the changes %" PRIu64 " to %" PRIu64 " are missing", gap.from_seq, before);
    } else {
        snprintf(b->why, sizeof b->why, "change %" PRIu64 " (behind %" PRIu64 ") does not follow %" PRIu64, marks->sequence, before, g->last);
    }
    tell_bad(b, m, marks, &gap);
}

static void tell_checksum(book_service *b, const book_message *m, const guard_marks *marks)
{
    record_gap gap = {.cause = RECORD_GAP_SEQUENCE};
    snprintf(b->why, sizeof b->why, "its checksum is %" PRId64 ", the venue says %" PRId64,
             b->guard.form.is_signed ? (int64_t)(int32_t)b->guard.crc : (int64_t)b->guard.crc, marks->checksum);
    tell_bad(b, m, marks, &gap);
}

/* All of it in one pass. */
static weir_code read_change(book_service *b, guard_marks *marks, json data, weir_error *err)
{
    if (data.type != JSON_OBJECT)
        return guard_read_marks(marks, data, err); /* which says so */
    return guard_read_levels(marks, b->levels, data.raw, err);
}

/* The levels into the book. */
static weir_code apply(book_service *b, const guard_marks *marks, weir_error *err)
{
    book *k = &b->book;
    if (guard_apply(marks, k, err))
        return err->code;
    if (book_count(k, BOOK_BIDS) > SERVICE_LEVELS || book_count(k, BOOK_ASKS) > SERVICE_LEVELS)
        return error_set(err, WEIR_LIMIT, "more than %u levels of a side", SERVICE_LEVELS);
    return WEIR_OK;
}

/* Passes on what is in the book now. */
static void pass_on(book_service *b, const book_message *m, const guard_marks *marks, unsigned flags)
{
    weir_error err = WEIR_ERROR_INIT;
    b->recv_ns = m->recv_ns;
    b->stream->dropped = 0;
    stream_end_gap(b->stream);
    if (publish(b, m, marks, flags))
        return;
    error_set(&err, WEIR_NOMEM, "a record: out of memory");
    tell_unreadable(b, m, marks, &err);
}

/* ---- Snapshots ---- */

/* Are changes missing between this snapshot and the first one held that is newer? */
static bool too_old(const book_service *b, const guard_marks *snapshot)
{
    guard g = b->guard; /* its numbers are what counts */
    guard_marks marks;
    book_message m;
    guard_snapshot(&g, snapshot);
    for (size_t at = b->held_at; next_held(b, &at, &m);) {
        if (guard_read_marks(&marks, m.data, NULL))
            return false;
        guard_finding found = guard_order(&g, &marks, true);
        if (found != GUARD_STALE)
            return found == GUARD_HOLE;
    }
    return false;
}

static void take_snapshot(book_service *b, const book_message *m, const guard_marks *marks)
{
    weir_error err = WEIR_ERROR_INIT;
    if (b->by_request && too_old(b, marks)) {
        log_info("stream", "'%s': the snapshot, %" PRIu64 ", is older than the changes that wait for it", topic(b), marks->sequence);
        b->owner.want(b->owner.arg, "the snapshot is older than the changes that wait for it", true);
        return;
    }
    book_clear(&b->book);
    guard_snapshot(&b->guard, marks);
    if (apply(b, marks, &err)) {
        tell_unreadable(b, m, marks, &err);
        return;
    }
    if (guard_check(&b->guard, &b->book, marks) != GUARD_GOOD) {
        tell_checksum(b, m, marks);
        return;
    }
    stream_end_gap(b->stream); /* the one that is due comes before */
    b->whole = true;
    b->first = b->by_request;
    b->stream->resyncs_later = false;
    b->newest.len = 0;
    b->replaying = b->held_at < b->held.len;
    b->owner.whole(b->owner.arg);
    stream_resynced(b->stream, "the order book is whole again: a snapshot follows");
    pass_on(b, m, marks, BOOK_SNAPSHOT);
}

/* ---- Changes ---- */

static bool doubles(const book_service *b, bytes data)
{
    return b->newest.len == data.len && memcmp(b->newest.at, data.at, data.len) == 0;
}

/* False: it did not follow. */
static bool take_change(book_service *b, const book_message *m, const guard_marks *marks)
{
    weir_error err = WEIR_ERROR_INIT;
    record_counts *counts = record_stream_counts(b->stream->records);
    if (doubles(b, m->data.raw)) {
        if (!counts->repeated++)
            log_warn("stream", "'%s': a change of the order book came twice; it is left out, and so are others without a line each", topic(b));
        return true;
    }
    guard_finding found = guard_order(&b->guard, marks, b->first);
    if (found == GUARD_STALE) {
        counts->stale++;
        return true;
    }
    if (found != GUARD_GOOD) {
        tell_order(b, m, marks, found);
        return false;
    }
    b->first = false;
    if (apply(b, marks, &err)) {
        tell_unreadable(b, m, marks, &err);
        return false;
    }
    if (guard_check(&b->guard, &b->book, marks) != GUARD_GOOD) {
        tell_checksum(b, m, marks);
        return false;
    }
    buf_clear(&b->newest);
    buf_add_bytes(&b->newest, m->data.raw);
    pass_on(b, m, marks, 0);
    return b->whole;
}

void book_service_take(book_service *b, const book_message *m)
{
    guard_marks marks = {0};
    weir_error err = WEIR_ERROR_INIT;
    if (!read_change(b, &marks, m->data, &err) && marks.flags.type > JSON_NULL && marks.flags.type != JSON_ARRAY)
        error_set(&err, WEIR_INVALID, "\"flags\" is " BYTES_FMT "; it is a list", BYTES_ARG(marks.flags.raw));
    if (!err.code && (book_flags(&marks) & BOOK_MAYBE_BAD))
        error_set(&err, WEIR_INVALID, "the plugin says that it may be bad");
    if (!b->whole && (err.code || !book_is_snapshot(&marks))) {
        if (b->by_request && !err.code)
            hold(b, m);
        else
            record_stream_counts(b->stream->records)->stale++;
        b->owner.want(b->owner.arg, "changes come, and the book has no snapshot yet", false);
    } else if (err.code) {
        drop_held(b);
        tell_unreadable(b, m, &marks, &err);
    } else if (book_is_snapshot(&marks)) {
        take_snapshot(b, m, &marks);
    } else if (!take_change(b, m, &marks) && b->by_request) {
        drop_held(b);
        hold(b, m); /* good for the book to come, if it is behind a hole */
    }
}

bool book_service_next(book_service *b)
{
    guard_marks marks;
    book_message m;
    size_t at = b->held_at;
    while (b->replaying && next_held(b, &at, &m)) {
        uint64_t before = b->record_seq;
        if (!read_change(b, &marks, m.data, NULL) && !take_change(b, &m, &marks)) {
            b->replaying = false; /* it waits for the next snapshot, and so does what is behind it */
            return false;
        }
        b->held_at = at;
        if (b->record_seq != before)
            return true;
    }
    if (b->replaying)
        drop_held(b);
    return false;
}

/* ---- Begin and end ---- */

weir_code book_service_init(book_service *b, stream *s, json declaration, const book_owner *owner, weir_error *err)
{
    *b = (book_service){.stream = s, .owner = *owner};
    if (guard_read(&b->guard, declaration, err))
        return error_wrap(err, "\"book\"");
    b->by_request = json_member(json_member(declaration, "snapshot"), "url").type != JSON_NONE;
    book_init(&b->book, b->guard.depth);
    buf_init(&b->held, HELD_OCTETS);
    buf_init(&b->newest, SIZE_MAX);
    buf_init(&b->text, SIZE_MAX);
    lose_book(b);
    record_stream_keep(s->records, make_whole, b, b->guard.depth);
    return WEIR_OK;
}

void book_service_fini(book_service *b)
{
    if (b->stream) {
        record_stream_keep(b->stream->records, NULL, NULL, 0);
        b->stream->resyncs_later = false;
    }
    guard_fini(&b->guard);
    book_fini(&b->book);
    buf_fini(&b->held);
    buf_fini(&b->newest);
    buf_fini(&b->text);
    levels_fini(&b->levels[0]);
    levels_fini(&b->levels[1]);
    *b = (book_service){0};
}

void book_service_forget(book_service *b)
{
    drop_held(b);
    lose_book(b);
}

void book_service_missed(book_service *b)
{
    const guard *g = &b->guard;
    if (!b->whole || (g->has_last && (g->kinds & (GUARD_SEQUENCE | GUARD_PREVIOUS)))) /* the numbers tell whether it was one of the book's */
        return;
    snprintf(b->why, sizeof b->why, "a message was dropped, which may have changed it");
    log_warn("stream", "'%s': the order book: %s; it waits for a snapshot", topic(b), b->why);
    lose_book(b);
    b->owner.want(b->owner.arg, b->why, false);
}
