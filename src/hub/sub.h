/* sub.h: one reader of records, with its own bounded queue.
 *
 * A subscriber is made by hub_subscribe and taken away by hub_unsubscribe (hub.h). Its queue is
 * bounded by records and by octets (of lines); one record always fits. When it is full:
 *
 *   SUB_DROP_OLDEST       the oldest records go
 *   SUB_NEWEST_PER_KEY    a data record takes the place of the one of its stream that still waits, even
 *                         before the queue is full; when it is full of different streams, the oldest go
 *   SUB_DISCONNECT        the reader is cut off: it may read what is queued and gets no more
 *   SUB_BLOCK             nothing goes; hub_publish tells the publisher to stop reading its socket. A
 *                         publisher that goes on all the same can fill the queue to SUB_OVERRUN
 *                         times its limits; then the oldest go
 *
 * Before that it is warned: when three quarters of either limit wait, a status record (state lagging) that only
 * this reader gets, ahead of all that waits. It says which policy will do what. Once, until half is gone. A queue
 * of fewer than SUB_WARNS records, or in which fewer than half of that wait, is too short for it.
 *
 * What went is counted by reason, and a reader that lost records is told before the next one: a gap
 * record (cause slow_reader) for each stream concerned, with count, from, to, and the numbers lost. A
 * record that gave way to a newer one by SUB_NEWEST_PER_KEY is counted and not told: the reader
 * asked for it. Gaps, status records and backfill are never replaced by newer ones.
 *
 * A stream whose records change something that is kept (record_stream_keep) goes on for this reader with the whole: it
 * gets that in place of the first change that it would get, of the first one behind a loss, and of one that would take
 * the place of another. What of it waits behind the loss is lost as well, up to a record that is whole itself.
 *
 * Reading:
 *
 *     while ((r = sub_peek(s)) && write_somewhere(r))
 *         sub_pop(s);
 *
 * The reader hears by on_ready when its queue becomes non-empty, or is cut off. */
#ifndef HUB_SUB_H
#define HUB_SUB_H

#include "hub/record.h"

typedef struct sub sub;

/* Every policy: its name, and what it will do to a reader that lags. */
#define SUB_POLICIES(X)                                                                                             \
    X(DROP_OLDEST, "drop_oldest", "the oldest go, and a gap record says so")                                        \
    X(NEWEST_PER_KEY, "newest_per_key", "the oldest go, and a gap record says so; of each stream the newest waits") \
    X(DISCONNECT, "disconnect", "this reader is cut off")                                                           \
    X(BLOCK, "block", "the plugins wait for this reader")
typedef enum sub_policy {
#define X(name, text, will) SUB_##name,
    SUB_POLICIES(X)
#undef X
} sub_policy;

const char *sub_policy_name(sub_policy policy);

#define SUB_OVERRUN 4
#define SUB_WARNS 16

#define SUB_RECORDS_DEFAULT 65536
#define SUB_OCTETS_DEFAULT (64u << 20)

/* Every reason why a subscriber did not get a record. */
#define SUB_DROP_REASONS(X)                                              \
    X(OLDEST, "oldest")             /* the queue was full */             \
    X(REPLACED, "replaced")         /* a newer one of its stream came */ \
    X(CUT, "disconnected")          /* did not fit, reader cut off */    \
    X(OVERRUN, "overrun")           /* the publisher would not stop */   \
    X(NOMEM, "out_of_memory")       /* the queue could not grow */       \
    X(UNSUBSCRIBED, "unsubscribed") /* queued when the reader left */
typedef enum sub_drop_reason {
#define X(name, text) SUB_DROPPED_##name,
    SUB_DROP_REASONS(X)
#undef X
        SUB_DROPPED_REASONS
} sub_drop_reason;

const char *sub_drop_reason_name(sub_drop_reason reason);

/* One reader's account: offered = delivered + every reason of dropped + queued, at any moment. And what
 * was lost = what was told of + what is still to be told. */
typedef struct sub_account {
    uint64_t offered;   /* records that matched and were handed to sub_push */
    uint64_t delivered; /* popped by the reader; its own gap records and warnings not counted */
    uint64_t dropped[SUB_DROPPED_REASONS];
    uint64_t queued;
    uint64_t queued_octets;
    uint64_t snapshots; /* of those offered: made for such readers in place of a change */
    uint64_t warnings; /* status records (lagging) that were delivered */
    uint64_t gaps;     /* slow_reader records that were delivered */
    uint64_t told;     /* the sum of their counts */
    uint64_t still_to_tell;
} sub_account;

/* Called when the queue becomes non-empty (once per edge) and when the reader is cut off, from inside
 * hub_publish, which may be on a guest's fiber: a reader schedules its work here and does it on the
 * loop. It may all the same read, publish, subscribe and unsubscribe, itself included. */
typedef void (*sub_on_ready)(sub *s, void *arg);

/* The next record, or NULL. Lent: it is the queue's until sub_pop, and gone with the next hub_publish
 * under a policy that drops. A pending gap comes first. */
record *sub_peek(sub *s);
/* Delivered: takes away what the last sub_peek answered. After a drop in between it takes away nothing
 * and the dropped record stays counted as dropped: a reader that keeps a record takes a reference. */
void sub_pop(sub *s);
/* peek, ref and pop in one: the caller owns a reference. NULL when there is none. */
record *sub_next(sub *s);

bool sub_cut(const sub *s); /* SUB_DISCONNECT has struck: no record comes any more */
bytes sub_pattern(const sub *s);
sub_account sub_read_account(const sub *s);
uint64_t sub_dropped(const sub *s); /* by all reasons together */
bool sub_account_adds_up(const sub_account *a);

#endif
