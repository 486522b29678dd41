/* Order book: the snapshot and the deltas that belong behind it.
 *
 * The venue sends changes only, each naming the time of the one before it (prevTs), and no snapshot
 * when one subscribes; that comes by REST, and on a busy symbol may be older than the first change we
 * were sent. So: subscribe, fetch, hold what arrives meanwhile, drop what the snapshot already
 * contains, and go live when the first change left touches it. A change whose prevTs is not the time
 * of the last one means that something was lost: then all of it again, and readers get a new snapshot.
 *
 *     FETCH -> DRAIN -> LIVE
 *       ^        |        |
 *       +- PAUSE <-+ does not fit; gap (straight to FETCH)
 *
 * A change may begin before the snapshot's time and end behind it. It still fits: sizes are absolute,
 * so what the snapshot has already is set to the same once more.
 *
 * What can go wrong: REST fails, or never catches up. After 20 snapshots we give up, the stream ends
 * with the reason, and the host starts it again with its own pauses.
 */
#include "woox.h"

#define BOOK_TRIES 20
#define BOOK_HELD (4u << 20) /* octets of changes to hold; far above what 20 tries let through */

typedef struct delta {
    uint64_t ms, prev_ms;
    weir_str bids, asks;
} delta;

void woox_book_reset(woox_book *b)
{
    b->state = BOOK_FETCH;
    b->tries = 0;
    weir_buf_clear(&b->held);
    b->held_count = b->pause_until = 0;
    b->last_ms = 0;
}

int32_t woox_book_patience(const woox_book *b)
{
    return b->state == BOOK_DRAIN ? -1 : b->state == BOOK_PAUSE ? 500
                                                                : 5000;
}

static bool delta_read(delta *d, weir_str data)
{
    weir_json_iter it = weir_json_each(data);
    d->ms = d->prev_ms = 0;
    d->bids = d->asks = weir_slice(NULL, 0);
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "ts"))
            weir_json_u64(it.value, &d->ms);
        else if (weir_is(it.key, "prevTs"))
            weir_json_u64(it.value, &d->prev_ms);
        else if (weir_is(it.key, "bids"))
            d->bids = it.value;
        else if (weir_is(it.key, "asks"))
            d->asks = it.value;
    }
    return !it.bad && d->ms && weir_json_kind_of(d->bids) == WEIR_JSON_ARRAY && weir_json_kind_of(d->asks) == WEIR_JSON_ARRAY;
}

/* Appends one side as [["price","size"], …]; the socket has pairs, REST has {price, quantity}. */
static bool put_side(weir_buf *b, const char *name, weir_str levels)
{
    weir_json_iter each, it;
    bool first = true;
    weir_put_text(b, name);
    for (each = weir_json_each(levels); weir_json_next(&each); first = false) {
        weir_str part[2] = {{NULL, 0}, {NULL, 0}};
        bool object = weir_json_kind_of(each.value) == WEIR_JSON_OBJECT;
        int at = 0;
        for (it = weir_json_each(each.value); weir_json_next(&it); at++) {
            if (object)
                at = weir_is(it.key, "price") ? 0 : weir_is(it.key, "quantity") ? 1
                                                                                : 2;
            if (at < 2)
                part[at] = weir_json_decimal(it.value);
        }
        if (it.bad || !part[0].len || !part[1].len)
            return false;
        weir_put_text(b, first ? "[\"" : ",[\"");
        weir_put_str(b, part[0]);
        weir_put_text(b, "\",\"");
        weir_put_str(b, part[1]);
        weir_put_text(b, "\"]");
    }
    weir_put_text(b, "]");
    return !each.bad;
}

/* Publishes a snapshot, or a delta when there is a previous time, and makes it the chain's end. */
static bool publish(woox_book *b, weir_publisher *out, const woox_key *key, uint64_t ms, uint64_t prev_ms,
                    weir_str bids, weir_str asks, weir_fail *fail)
{
    weir_buf *json = woox_record_begin(out, key, ms, ms);
    if (prev_ms) {
        weir_put_text(json, ",\"type\":\"delta\",\"prev_ts\":");
        weir_put_u64(json, prev_ms);
    } else {
        weir_put_text(json, ",\"type\":\"snapshot\"");
    }
    weir_put_text(json, ",\"ts\":");
    weir_put_u64(json, ms);
    b->last_ms = ms;
    if (!put_side(json, ",\"bids\":[", bids) || !put_side(json, ",\"asks\":[", asks))
        return weir_fail_set(fail, "WOO X: a book of ", weir_text(key->symbol), " has a level without price or size");
    weir_put_char(json, '}');
    return weir_publish_end(out, fail);
}

/* A record that could not be published leaves a hole that the reader cannot see: begin again. */
static void restart(woox_book *b, const char *why)
{
    weir_log_record("warn", weir_text(why));
    b->state = BOOK_FETCH;
    weir_buf_clear(&b->held);
    b->held_count = 0;
}

static bool hold(woox_book *b, weir_str data, weir_fail *fail)
{
    const char *end = data.at + data.len, *at = weir_json_blank(data.at, end);
    uint32_t len = (uint32_t)(weir_json_skip(at, end) - at); /* there may be more behind the object */
    if (b->held.len + len > BOOK_HELD)
        return weir_fail_set(fail, "WOO X: the book changes faster than its snapshot can be fetched", weir_slice(NULL, 0), "");
    weir_put(&b->held, (const char *)&len, sizeof len);
    weir_put(&b->held, at, len);
    b->held_count++;
    return !b->held.failed || weir_fail_set(fail, "WOO X: no memory to hold changes of the book", weir_slice(NULL, 0), "");
}

bool woox_book_delta(woox_book *b, weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    delta d;
    weir_fail why;
    if (!delta_read(&d, data)) {
        /* Not a change that can be applied. If one was lost here, the next prevTs tells. */
        weir_log_record("warn", weir_text("WOO X: a change of the book lacks ts, bids or asks"));
        return true;
    }
    if (b->state != BOOK_LIVE)
        return hold(b, data, fail);
    if (d.ms <= b->last_ms)
        return true; /* a duplicate, or late: its content is in what we have */
    if (d.prev_ms > b->last_ms) {
        restart(b, "WOO X: the book has a gap, fetching a new snapshot");
        b->tries = 0;
        return hold(b, data, fail);
    }
    if (!publish(b, out, key, d.ms, b->last_ms, d.bids, d.asks, &why))
        restart(b, why.text);
    return true;
}

/* The next held change at *at, or false at the end. */
static bool held_next(const woox_book *b, size_t *at, delta *d)
{
    uint32_t len;
    if (*at >= b->held.len)
        return false;
    __builtin_memcpy(&len, b->held.at + *at, sizeof len);
    delta_read(d, weir_slice(b->held.at + *at + sizeof len, len));
    *at += sizeof len + len;
    return true;
}

/* Whether the changes held continue the snapshot without a hole. */
static bool fits(const woox_book *b)
{
    uint64_t last = b->snapshot.timestamp_ms;
    size_t at = 0;
    delta d;
    while (held_next(b, &at, &d)) {
        if (d.ms <= last)
            continue;
        if (d.prev_ms > last)
            return false;
        last = d.ms;
    }
    return true;
}

/* Publishes the snapshot and what is held behind it. */
static bool go_live(woox_book *b, weir_publisher *out, const woox_key *key, weir_fail *why)
{
    size_t at = 0;
    delta d;
    bool ok = publish(b, out, key, b->snapshot.timestamp_ms, 0, weir_json_member(b->snapshot.data, "bids"),
                      weir_json_member(b->snapshot.data, "asks"), why);
    while (ok && held_next(b, &at, &d))
        if (d.ms > b->last_ms)
            ok = publish(b, out, key, d.ms, b->last_ms, d.bids, d.asks, why);
    if (!ok) {
        restart(b, why->text);
        return false;
    }
    b->state = BOOK_LIVE;
    b->tries = 0;
    weir_buf_clear(&b->held);
    b->held_count = 0;
    return true;
}

static bool fetch(woox_book *b, const woox_key *key, weir_fail *fail)
{
    char room[128];
    weir_buf path = weir_buf_over(room, sizeof room);
    weir_str none = {NULL, 0};
    weir_put_text(&path, "/v3/public/orderbook?symbol=");
    weir_put_text(&path, key->symbol);
    weir_put_text(&path, "&maxLevel=");
    weir_put_text(&path, key->span);
    if (!woox_get(&b->http, weir_buf_str(&path), none, none, &b->snapshot, fail))
        return false;
    return b->snapshot.timestamp_ms || weir_fail_set(fail, "WOO X: the book of ", weir_text(key->symbol), " has no timestamp");
}

bool woox_book_step(woox_book *b, weir_publisher *out, const woox_key *key, bool quiet, weir_fail *fail)
{
    bool again = false;
    weir_fail why = {"the snapshots stay older than the changes"};
    if (b->state == BOOK_PAUSE && (quiet || b->held_count >= b->pause_until))
        b->state = BOOK_FETCH;
    if (b->state == BOOK_FETCH) {
        b->tries++;
        if (fetch(b, key, &why))
            b->state = BOOK_DRAIN;
        else
            again = true;
    } else if (b->state == BOOK_DRAIN && quiet) {
        again = !fits(b) || !go_live(b, out, key, &why);
    }
    if (!again)
        return true;
    if (b->tries >= BOOK_TRIES)
        return weir_fail_set(fail, "WOO X: no usable snapshot in 20 tries: ", weir_text(why.text), "");
    b->state = BOOK_PAUSE;
    b->pause_until = b->held_count + 10; /* on a busy symbol no wait ends quietly */
    return true;
}
