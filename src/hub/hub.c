/* Fan-out of records to subscribers.
 *
 * Publishing is the hot path: thousands a second, usually to fewer than ten readers, so a list
 * and a pattern match are enough. Subscribing is rare. All on the loop's thread.
 *
 * An on_ready may do anything, so two things wait while records are handed out: a record published
 * meanwhile (it queues, linked by record.next, which keeps one order for all readers), and the
 * memory of a subscriber that left (the list is being walked).
 *
 * What can go wrong: a reader falls behind. Then its own queue applies its own policy (sub.c). */
#include "base/map.h"
#include "hub/record_impl.h"
#include "hub/sub_impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

struct hub {
    list subs;
    list waiters;
    record_pool *pool;
    map *streams;         /* by what their records share; a reference each */
    record *first, **end; /* published, waiting for their turn */
    bool handing_out;
    bool sweep;       /* a subscriber left meanwhile */
    uint64_t full;    /* subscribers with SUB_BLOCK that are full */
    uint64_t handed;  /* references offered to subscribers: what their accounts must add up to */
    hub_account left; /* published, unread, and the accounts of subscribers that left */
    uint64_t published_octets, lost;
};

weir_code hub_new(hub **out, weir_error *err)
{
    hub *h = calloc(1, sizeof *h);

    if (h) {
        list_init(&h->subs);
        list_init(&h->waiters);
        h->end = &h->first;
    }
    if (!h || !(h->pool = record_pool_new()) || !(h->streams = map_new())) {
        hub_free(h);
        return error_set(err, WEIR_NOMEM, "hub: out of memory");
    }
    *out = h;
    return WEIR_OK;
}

void hub_free(hub *h)
{
    size_t at = 0;
    bytes key;
    void *stream;

    if (!h)
        return;
    assert(!h->handing_out);
    for (list_node *n; (n = list_pop(&h->waiters));)
        continue; /* they belong to others; nobody waits any more */
    for (list_node *n; (n = list_pop(&h->subs));)
        sub_free(LIST_OWNER(n, sub, node));
    if (h->streams) {
        while (map_each(h->streams, &at, &key, &stream))
            record_stream_unref(stream);
        map_free(h->streams);
    }
    record_pool_unref(h->pool);
    free(h);
}

weir_code hub_stream(record_stream **out, hub *h, const record_key *key, weir_error *err)
{
    record_stream *made = NULL, *known;

    if (record_stream_new(&made, h->pool, key, err))
        return err ? err->code : WEIR_INVALID;
    known = map_get(h->streams, made->shared);
    if (known) {
        record_stream_unref(made);
        *out = record_stream_ref(known);
        return WEIR_OK;
    }
    if (!map_set(h->streams, made->shared, made, NULL)) {
        record_stream_unref(made);
        return error_set(err, WEIR_NOMEM, "stream '" BYTES_FMT "." BYTES_FMT "': out of memory", BYTES_ARG(key->type),
                         BYTES_ARG(key->identifier));
    }
    *out = record_stream_ref(made);
    return WEIR_OK;
}

/* ---- Subscribers ---- */

weir_code hub_subscribe(sub **out, hub *h, const char *pattern, const sub_options *options, weir_error *err)
{
    weir_code code = sub_new(out, h, pattern, options, err);
    if (!code)
        list_push(&h->subs, &(*out)->node);
    return code;
}

static void add_account(sub_account *sum, const sub_account *a)
{
    sum->offered += a->offered;
    sum->delivered += a->delivered;
    for (size_t i = 0; i < SUB_DROPPED_REASONS; i++)
        sum->dropped[i] += a->dropped[i];
    sum->queued += a->queued;
    sum->queued_octets += a->queued_octets;
    sum->snapshots += a->snapshots;
    sum->warnings += a->warnings;
    sum->gaps += a->gaps;
    sum->told += a->told;
    sum->still_to_tell += a->still_to_tell;
}

void hub_unsubscribe(hub *h, sub *s)
{
    bool was_full = s->full;

    assert(s->hub == h && !s->gone);
    sub_discard(s);
    add_account(&h->left.subs, &s->account);
    s->gone = true;
    s->full = false;
    if (h->handing_out) {
        h->sweep = true; /* hub_publish still walks over it */
    } else {
        list_remove(&s->node);
        sub_free(s);
    }
    if (was_full)
        hub_room(h);
}

static void sweep(hub *h)
{
    list_node *next;

    h->sweep = false;
    for (list_node *n = h->subs.head.next; n != &h->subs.head; n = next) {
        sub *s = LIST_OWNER(n, sub, node);
        next = n->next;
        if (!s->gone)
            continue;
        list_remove(n);
        sub_free(s);
    }
}

/* ---- Publishing ---- */

/* A change to a reader who has what it changes; to others the whole, made once. */
static void push_kept(sub *s, record *r, record **whole)
{
    if (!sub_needs_whole(s, r) && sub_push(s, r))
        return;
    if (!*whole)
        *whole = r->stream->make_whole(r->stream->make_arg, r);
    s->account.snapshots += *whole != NULL;
    sub_push(s, *whole ? *whole : r);
}

/* To those who are subscribed now; who subscribes meanwhile begins with the next record. */
static void hand_out(hub *h, record *r)
{
    list_node *n = &h->subs.head, *last = h->subs.head.prev;
    record *whole = NULL; /* made once, for those who need it in place of `r` */
    bool read = false;

    while (n != last) {
        n = n->next;
        sub *s = LIST_OWNER(n, sub, node);
        if (s->gone || s->cut || !sub_selects(s, r->stream))
            continue;
        read = true;
        h->handed++;
        if (r->stream->make_whole)
            push_kept(s, r, &whole);
        else
            sub_push(s, r);
    }
    record_unref(whole);
    h->left.unread += !read;
}

/* Hop 6, record to readers. A subscriber that cannot keep up pays with its own records. */
bool hub_publish(hub *h, record *r)
{
    if (!r) {
        h->lost++;
        return !h->full;
    }
    record_stream *stream = record_stream_ref(r->stream);
    h->left.published++;
    h->published_octets += r->line.len;
    r->next = NULL;
    *h->end = r;
    h->end = &r->next;
    if (!h->handing_out) {
        h->handing_out = true;
        while ((r = h->first)) {
            h->first = r->next;
            if (!h->first)
                h->end = &h->first;
            r->next = NULL;
            hand_out(h, r);
            record_unref(r);
        }
        h->handing_out = false;
        if (h->sweep)
            sweep(h);
    }
    bool go_on = !hub_blocked(h, stream);
    record_stream_unref(stream);
    return go_on;
}

bool hub_publish_gap(hub *h, record_stream *s, const record_gap *gap)
{
    return hub_publish(h, record_gap_new(s, gap));
}

bool hub_publish_status(hub *h, record_stream *s, record_state state, const char *why)
{
    return hub_publish(h, record_status_new(s, state, why));
}

/* ---- Back-pressure ---- */

bool hub_blocked(const hub *h, const record_stream *stream)
{
    if (!h->full || !stream)
        return h->full > 0;
    for (const list_node *n = h->subs.head.next; n != &h->subs.head; n = n->next) {
        const sub *s = LIST_OWNER(n, sub, node);
        if (s->full && sub_selects(s, stream))
            return true;
    }
    return false;
}

void hub_wait(hub *h, hub_waiter *w)
{
    if (!list_linked(&w->node))
        list_push(&h->waiters, &w->node);
}

void hub_wait_cancel(hub_waiter *w)
{
    list_remove(&w->node);
}

void hub_full(hub *h)
{
    h->full++;
}

/* Wakes those who wait now; one that waits again from inside its callback hears the next time. */
void hub_room(hub *h)
{
    list now;

    assert(h->full > 0);
    h->full--;
    list_init(&now);
    for (list_node *n; (n = list_pop(&h->waiters));)
        list_push(&now, n);
    for (list_node *n; (n = list_pop(&now));) {
        hub_waiter *w = LIST_OWNER(n, hub_waiter, node);
        w->on_room(w->arg);
    }
}

/* ---- Figures ---- */

hub_account hub_read_account(const hub *h)
{
    hub_account sum = h->left;

    for (const list_node *n = h->subs.head.next; n != &h->subs.head; n = n->next) {
        const sub *s = LIST_OWNER(n, sub, node);
        if (!s->gone) /* else its account is among those who left */
            add_account(&sum.subs, &s->account);
    }
    return sum;
}

static weir_code wrong(weir_error *err, const char *who, const sub_account *a)
{
    uint64_t dropped = 0;
    for (size_t i = 0; i < SUB_DROPPED_REASONS; i++)
        dropped += a->dropped[i];
    return error_set(err, WEIR_INVALID,
                     "%s: offered %" PRIu64 ", delivered %" PRIu64 ", dropped %" PRIu64 ", queued %" PRIu64
                     ", told %" PRIu64 ", still to tell %" PRIu64 " do not add up",
                     who, a->offered, a->delivered, dropped, a->queued, a->told, a->still_to_tell);
}

bool hub_account_check(const hub *h, weir_error *err)
{
    hub_account sum = hub_read_account(h);

    for (const list_node *n = h->subs.head.next; n != &h->subs.head; n = n->next) {
        const sub *s = LIST_OWNER(n, sub, node);
        if (!sub_account_adds_up(&s->account) || s->account.queued != s->tail - s->head) {
            wrong(err, s->pattern_text, &s->account);
            return false;
        }
    }
    if (!sub_account_adds_up(&sum.subs) || sum.subs.offered != h->handed) {
        wrong(err, "all subscribers", &sum.subs);
        return false;
    }
    return true;
}

hub_stats hub_read_stats(const hub *h)
{
    hub_stats out = {
        .published = h->left.published,
        .published_octets = h->published_octets,
        .lost = h->lost,
        .streams = map_count(h->streams),
        .blocked = h->full,
        .pool = record_pool_read_stats(h->pool),
    };
    size_t at = 0;
    bytes key;
    void *stream;

    for (const list_node *n = h->subs.head.next; n != &h->subs.head; n = n->next)
        out.subs += !LIST_OWNER(n, sub, node)->gone;
    while (map_each(h->streams, &at, &key, &stream)) {
        const record_counts *c = record_stream_counts(stream);
        out.counts.received += c->received;
        out.counts.published += c->published;
        out.counts.gaps += c->gaps;
        out.counts.restarts += c->restarts;
        out.counts.repeated += c->repeated;
        out.counts.doubles += c->doubles;
        out.counts.stale += c->stale;
    }
    return out;
}
