/* sub_impl.h: what the hub knows of a subscriber beyond sub.h. */
#ifndef HUB_SUB_IMPL_H
#define HUB_SUB_IMPL_H

#include "hub/hub.h"

/* Records of one stream that this reader missed, not told yet. */
typedef struct sub_loss {
    record_stream *stream; /* a reference */
    record_gap gap;
} sub_loss;

/* Where a stream stands in this reader's queues. Positions count from 1 and only grow; 0: nowhere. */
typedef struct sub_seen {
    record_stream *stream; /* NULL: a free place. Kept alive by what waits at the positions, or `follows` */
    uint64_t queued;       /* its newest data record in the ring (SUB_NEWEST_PER_KEY only) */
    uint64_t lost;         /* its entry in the losses */
    bool follows;          /* of a stream that somebody keeps: the reader has the whole, so changes may come. A reference */
} sub_seen;

struct sub {
    list_node node; /* in the hub's list */
    hub *hub;
    char *pattern_text;
    bytes pattern;
    bool of_one; /* only streams of this connection */
    uint64_t connection;
    sub_policy policy;
    uint64_t max_records, max_octets;
    sub_on_ready on_ready;
    void *arg;

    record **ring; /* places are positions modulo `cap`, a power of two */
    uint64_t cap, head, tail;
    sub_loss *losses; /* the same */
    uint64_t loss_cap, loss_head, loss_tail;
    sub_seen *seen; /* open addressing by stream, at most half full */
    size_t seen_cap, seen_count;

    record *gap; /* made from the first loss and shown, not popped yet */
    uint64_t gap_count;
    record_stream *lag_stream; /* of the record at which a warning became due that is not shown yet; a reference */
    record *warning;           /* made from it and shown, not popped yet */
    bool lagging;              /* warned, or to be warned, since half of the queue was free */
    record *peeked;            /* what the last sub_peek answered, while it is still there */

    bool cut, full, gone;
    sub_account account; /* queued and queued_octets included */
};

weir_code sub_new(sub **out, hub *h, const char *pattern, const sub_options *options, weir_error *err);
/* Drops what is queued as SUB_DROPPED_UNSUBSCRIBED; the account is final after it. */
void sub_discard(sub *s);
void sub_free(sub *s); /* NULL is fine */
bool sub_selects(const sub *s, const record_stream *stream);

/* `r` is a change of a whole that this reader has not got, or will not by the time. */
bool sub_needs_whole(sub *s, const record *r);
/* Hop 7: takes a reference of its own if it keeps `r`. False: making room for `r` cost what it changes, so the
 * whole is to be pushed instead; nothing was counted. */
bool sub_push(sub *s, record *r);

/* A full reader has room again: hub.c tells the waiters. */
void hub_full(hub *h);
void hub_room(hub *h);

#endif
