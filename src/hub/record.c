/* Records: number, topic and JSON, encoded once, never changed again.
 *
 * The happy path of record_new: a block from the pool, the prefix of the stream copied, digits, the
 * plugin's data copied: about 100 ns for a candle, a third of it the clock.
 *
 * What can go wrong: no memory; then there is no record and no number is used up, and whoever
 * publishes counts the loss. */
#include "hub/record_impl.h"

#include "base/clock.h"
#include "base/json.h"

#include <assert.h>

/* More than all fixed text and digits of one line together. */
#define FIXED 320

static char *put(char *at, const void *from, size_t len)
{
    if (len)
        memcpy(at, from, len);
    return at + len;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                            "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                            "8081828384858687888990919293949596979899";

/* Eight digits, whether zeros or not. */
static void put_eight(char *to, uint32_t value)
{
    uint32_t high = value / 10000, low = value % 10000;

    memcpy(to, pairs + high / 100 * 2, 2);
    memcpy(to + 2, pairs + high % 100 * 2, 2);
    memcpy(to + 4, pairs + low / 100 * 2, 2);
    memcpy(to + 6, pairs + low % 100 * 2, 2);
}

/* Decimal digits, eight or two at a time: four numbers of up to 20 digits go into each line. */
static char *put_u64(char *at, uint64_t value)
{
    char digits[24];
    size_t from = sizeof digits;

    for (; value >= 100000000; value /= 100000000)
        put_eight(digits + (from -= 8), (uint32_t)(value % 100000000));
    for (; value >= 100; value /= 100)
        memcpy(digits + (from -= 2), pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(digits + (from -= 2), pairs + value * 2, 2);
    else
        digits[--from] = (char)('0' + value);
    return put(at, digits + from, sizeof digits - from);
}

static char *put_time(char *at, uint64_t ns)
{
    if (!ns)
        return PUT(at, "null");
    *at++ = '"';
    at = put_u64(at, ns);
    *at++ = '"';
    return at;
}

static char *put_start(char *at, uint64_t seq, const char *kind, const record_stream *s)
{
    if (seq) {
        at = PUT(at, "{\"seq\":\"");
        at = put_u64(at, seq);
        at = PUT(at, "\",\"kind\":\"");
    } else {
        at = PUT(at, "{\"kind\":\"");
    }
    at = put(at, kind, strlen(kind));
    at = PUT(at, "\",");
    return put(at, s->shared.at, s->shared.len);
}

/* Raw line breaks are allowed in JSON only as blanks between tokens; a blank says the same. */
static void join_lines(char *at, size_t len)
{
    for (char *found = at; (found = memchr(found, '\n', len - (size_t)(found - at))); found++)
        *found = ' ';
    for (char *found = at; (found = memchr(found, '\r', len - (size_t)(found - at))); found++)
        *found = ' ';
}

static char *line_of(record *r)
{
    return (char *)(r + 1);
}

static record *record_start(record_stream *s, record_kind kind, size_t variable)
{
    if (variable > SIZE_MAX / 4)
        return NULL;
    record *r = record_pool_take(s->pool, FIXED + s->shared.len + variable);
    if (!r)
        return NULL;
    r->stream = record_stream_ref(s);
    r->data = (bytes){NULL, 0};
    r->seq = r->ts_event = r->ts_recv = 0;
    r->ts_out = clock_real();
    r->refs = 1;
    r->kind = (uint8_t)kind;
    r->state = r->cause = 0;
    r->whole = false;
    r->backfill = false;
    r->foreign = false;
    r->next = NULL;
    return r;
}

static record *record_end(record *r, char *at)
{
    *at++ = '}';
    *at = '\n';
    r->line = bytes_make(line_of(r), (size_t)(at - line_of(r)));
    return r;
}

/* The line; the number is there already. */
static record *data_line(record *r, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    record_stream *s = r->stream;
    char *at;

    r->ts_event = ts_event;
    r->ts_recv = ts_recv;
    at = put_start(line_of(r), r->seq, "data", s);
    at = PUT(at, "\"ts_event\":");
    at = put_time(at, ts_event);
    at = PUT(at, ",\"ts_recv\":");
    at = put_time(at, ts_recv);
    at = PUT(at, ",\"ts_out\":");
    at = put_time(at, r->ts_out);
    if (r->backfill)
        at = PUT(at, ",\"backfill\":true");
    at = PUT(at, ",\"data\":");
    r->data = bytes_make(at, data.len);
    put(at, data.at, data.len);
    if (data.len)
        join_lines(at, data.len);
    return record_end(r, at + data.len);
}

record *record_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    record *r = record_start(s, RECORD_DATA, data.len);

    if (!r)
        return NULL;
    r->seq = ++s->seq;
    s->counts.published++;
    return data_line(r, ts_event, ts_recv, data);
}

record *record_whole_new(record_stream *s, uint64_t seq, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    record *r = record_start(s, RECORD_DATA, data.len);

    if (!r)
        return NULL;
    r->whole = true;
    r->seq = seq ? seq : ++s->seq;
    s->counts.published += !seq;
    return data_line(r, ts_event, ts_recv, data);
}

record *record_backfill_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    record *r = record_start(s, RECORD_DATA, data.len);

    if (!r)
        return NULL;
    r->backfill = true;
    r->seq = ++s->seq;
    s->counts.published++;
    return data_line(r, ts_event, ts_recv, data);
}

record *record_gap_new(record_stream *s, const record_gap *gap)
{
    const char *cause = record_gap_cause_name(gap->cause);
    record *r = record_start(s, RECORD_GAP, strlen(cause));
    char *at;

    if (!r)
        return NULL;
    if (gap->cause != RECORD_GAP_SLOW_READER) {
        r->seq = ++s->seq;
        s->counts.gaps++;
    }
    r->cause = (uint8_t)gap->cause;
    r->ts_event = gap->from_ns;
    r->ts_recv = gap->to_ns;
    at = put_start(line_of(r), r->seq, "gap", s);
    at = PUT(at, "\"cause\":\"");
    at = put(at, cause, strlen(cause));
    at = PUT(at, "\",\"from\":");
    at = put_time(at, gap->from_ns);
    at = PUT(at, ",\"to\":");
    at = put_time(at, gap->to_ns);
    if (gap->count) {
        at = PUT(at, ",\"count\":");
        at = put_u64(at, gap->count);
    }
    if (gap->has_seq) {
        at = PUT(at, ",\"from_seq\":\"");
        at = put_u64(at, gap->from_seq);
        at = PUT(at, "\",\"to_seq\":\"");
        at = put_u64(at, gap->to_seq);
        *at++ = '"';
    }
    at = PUT(at, ",\"ts_out\":");
    return record_end(r, put_time(at, r->ts_out));
}

record *record_status_new(record_stream *s, record_state state, const char *why)
{
    const char *name = record_state_name(state);
    record *r = NULL;
    buf *text = record_pool_text(s->pool);
    char *at;

    json_put_text(text, why ? why : "");
    if (!text->failed)
        r = record_start(s, RECORD_STATUS, strlen(name) + text->len);
    if (r) {
        r->state = (uint8_t)state;
        at = put_start(line_of(r), 0, "status", s);
        at = PUT(at, "\"state\":\"");
        at = put(at, name, strlen(name));
        at = PUT(at, "\",\"why\":");
        at = put(at, text->at, text->len);
        at = PUT(at, ",\"ts_out\":");
        record_end(r, put_time(at, r->ts_out));
    }
    return r;
}

void record_unref(record *r)
{
    if (!r)
        return;
    assert(r->refs > 0);
    if (--r->refs)
        return;
    record_stream *s = r->stream;
    record_pool_give(s->pool, r);
    record_stream_unref(s);
}

const char *record_gap_cause_name(record_gap_cause cause)
{
    static const char *const names[] = {
#define X(name, text) text,
        RECORD_GAP_CAUSES(X)
#undef X
    };
    return names[cause];
}

const char *record_state_name(record_state state)
{
    static const char *const names[] = {
#define X(name, text) text,
        RECORD_STATES(X)
#undef X
    };
    return names[state];
}
