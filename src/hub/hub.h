/* hub.h: fan-out of records to subscribers.
 *
 * Publishing is the hot path, usually to fewer than ten readers, so a list and a pattern match are
 * enough. Subscribing is rare. All on one thread.
 *
 *     record_stream *btc;    hub_stream(&btc, h, &key, err);
 *     sub *s;                hub_subscribe(&s, h, "ohlcv.*.SPOT_BTC_USDT.>", &options, err);
 *     if (!hub_publish(h, record_new(btc, ts_event, ts_recv, data)))
 *         stop reading the venue's socket, hub_wait(h, &w)
 *
 * What can go wrong: a reader falls behind. Then its own queue applies its own policy (sub.h), and
 * nobody else notices, unless it asked that publishers wait for it (SUB_BLOCK). */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/list.h"
#include "hub/sub.h"

typedef struct hub hub;

weir_code hub_new(hub **out, weir_error *err);
/* Unsubscribes whoever is left and drops the hub's streams. Records and streams that others hold stay
 * good until they let go. Not from inside a callback. NULL is fine. */
void hub_free(hub *h);

/* The stream of this key, the same one every time for as long as the hub lives, so that its seq never
 * repeats. The caller owns a reference (record_stream_unref). */
weir_code hub_stream(record_stream **out, hub *h, const record_key *key, weir_error *err);

typedef struct sub_options {
    sub_policy policy;
    uint64_t max_records;       /* 0: SUB_RECORDS_DEFAULT */
    uint64_t max_octets;        /* 0: SUB_OCTETS_DEFAULT */
    const uint64_t *connection; /* only streams of this one, since a topic may be two streams; NULL: any. Copied */
    sub_on_ready on_ready;      /* may be NULL */
    void *arg;
} sub_options;

/* Sees records published from now on. `options` may be NULL: all defaults, drop_oldest.
 * WEIR_INVALID: the pattern (topic.h). */
weir_code hub_subscribe(sub **out, hub *h, const char *pattern, const sub_options *options, weir_error *err);
/* The subscriber is gone when this returns; what was queued counts as dropped (unsubscribed). */
void hub_unsubscribe(hub *h, sub *s);

/* Hop 6, record to readers. Hands `r` to every subscriber whose pattern matches its topic, and gives up
 * our reference. All readers see all records in the same order, also those published from inside an
 * on_ready (they follow when the outer one is done). NULL, a record that could not be made for want of
 * memory, is counted (stats.lost).
 * False: taken, but a reader with SUB_BLOCK is full; stop until hub_wait's waiter hears. */
bool hub_publish(hub *h, record *r);

/* record_gap_new and record_status_new, published. */
bool hub_publish_gap(hub *h, record_stream *s, const record_gap *gap);
bool hub_publish_status(hub *h, record_stream *s, record_state state, const char *why);

/* Is a reader with SUB_BLOCK full that this stream would reach? NULL: any stream. */
bool hub_blocked(const hub *h, const record_stream *s);

/* Waits, once, for a full reader to have room again (half of its queue). on_room runs inside sub_pop or
 * hub_unsubscribe: schedule there, and ask hub_blocked again. Embedded in its owner, no allocation. */
typedef struct hub_waiter {
    list_node node;
    void (*on_room)(void *arg);
    void *arg;
} hub_waiter;
void hub_wait(hub *h, hub_waiter *w); /* no effect when it waits already */
void hub_wait_cancel(hub_waiter *w);

/* ---- Figures ---- */

/* All readers that are or were, added up; `published` counts each record once, `unread` those that no
 * pattern matched. */
typedef struct hub_account {
    uint64_t published;
    uint64_t unread;
    sub_account subs;
} hub_account;
hub_account hub_read_account(const hub *h);
/* Adds up every single reader, the sum of all, and the sum against the hub's own count of references
 * handed out. False: a bug of ours; `err` says where. */
bool hub_account_check(const hub *h, weir_error *err);

typedef struct hub_stats {
    uint64_t published, published_octets; /* records of all kinds, and their lines */
    uint64_t lost;                        /* could not be made: out of memory */
    uint64_t streams, subs, blocked;      /* now */
    record_counts counts;                 /* of all streams together */
    record_pool_stats pool;
} hub_stats;
hub_stats hub_read_stats(const hub *h);

#endif
