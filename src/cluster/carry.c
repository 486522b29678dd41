/* Records on their way out: what this node publishes of streams that it holds, to the stream WEIR_RECORDS.
 *
 * One more reader of the hub, which drops the oldest when NATS cannot keep up at all, and tells (a gap of cause slow_reader is
 * carried like any record). A stream's records are gathered into chunks, lines one after the other; one chunk is on its way at a
 * time, with the place of its forerunner on the subject as a condition, the next one gathers meanwhile: so the server refuses whatever
 * comes of a lease that another has taken over, and a busy stream has larger messages, not more of them. A chunk whose
 * answer does not come is sent again under the same id, by which the server knows it.
 * What can go wrong: it is refused. Then the lease is another's, whatever we thought: the stream is closed at once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cluster/inside.h"

#define CHUNK_OCTETS (256u << 10)
#define LINE_MAX (900u << 10) /* a server takes 1 MiB a message, usually */
#define WAITING_MAX (64u << 20)
#define SPARE_MAX 64
#define REFUSAL_NS (10 * NS_PER_S) /* between two lines about records that the server does not take */

/* ---- Chunks ---- */

static chunk *chunk_new(cluster *c)
{
    list_node *at = list_pop(&c->spare);
    chunk *k = at ? LIST_OWNER(at, chunk, node) : calloc(1, sizeof *k);
    c->spare_count -= at != NULL;
    if (!k)
        return NULL;
    buf lines = k->lines;
    *k = (chunk){.lines = lines};
    if (!at)
        buf_init(&k->lines, LINE_MAX + CHUNK_OCTETS);
    buf_clear(&k->lines);
    return k;
}

static void chunk_free(chunk *k)
{
    buf_fini(&k->lines);
    free(k);
}

static void chunk_drop(lease *l, chunk *k)
{
    cluster *c = l->c;
    list_remove(&k->node);
    c->out_octets -= k->lines.len;
    if (k->lines.cap <= 2 * CHUNK_OCTETS && c->spare_count < SPARE_MAX) {
        c->spare_count++;
        list_push(&c->spare, &k->node);
    } else {
        chunk_free(k);
    }
}

static chunk *first_of(const lease *l)
{
    return list_empty(&l->chunks) ? NULL : LIST_OWNER(l->chunks.head.next, chunk, node);
}

void carry_drop(lease *l)
{
    uint64_t records = 0;
    for (chunk *k; (k = first_of(l));) {
        records += k->records;
        chunk_drop(l, k);
    }
    l->sending = NULL;
    record_unref(l->newest);
    l->newest = NULL;
    l->lost.count = 0;
    l->c->figures.dropped += records;
    if (records)
        log_warn("cluster", "'%s': %llu records that were seen here alone are not carried: they lie in the next holder's gap", l->name, (unsigned long long)records);
}

/* ---- Sending ---- */

static void on_carried(void *arg, const talk_answer *a)
{
    lease *l = arg;
    cluster *c = l->c;
    chunk *k = l->sending;
    l->flying = false;
    l->sending = NULL;
    if (!k || k != first_of(l)) /* dropped meanwhile */
        return;
    if (a->code == WEIR_OK) {
        l->place = a->seq;
        l->last_time = k->last_time;
        l->last_event = k->last_event;
        c->figures.carried += k->records;
        c->figures.messages++;
        chunk_drop(l, k);
        carry_drain(c);
        if (list_empty(&l->chunks))
            lease_emptied(l);
        else
            carry_flush(l);
    } else if (a->code == WEIR_BUSY) {
        c->figures.refused += k->records;
        log_warn("cluster", "'%s': NATS refuses records under fence %llu, another node has taken over", l->name, (unsigned long long)l->epoch);
        lease_lost(l, "another node has taken it over");
        cluster_look(c);
    } else {
        l->late = true; /* again, with the next tick or when the connection is there */
        if (a->code == WEIR_TIMEOUT)
            carry_flush(l);
        else if (a->code == WEIR_FAILED && clock_mono() > c->refusal_told + REFUSAL_NS) {
            c->refusal_told = clock_mono();
            log_warn("cluster", "'%s': its records are not taken and wait here: %s", l->name, a->error);
        }
    }
}

/* For the others, who keep it, too (mirror.h). */
static uint64_t book_of(const lease *l)
{
    size_t depth = 0;
    return l->newest && record_stream_keeper(l->newest->stream, &depth) ? depth + 1 : 0;
}

void carry_flush(lease *l)
{
    char subject[SUBJECT_TEXT], id[SUBJECT_TEXT + 64];
    chunk *k = first_of(l);
    if (!k || l->flying || !talk_is_up(l->c->talk) || (l->state != LEASE_HELD && l->state != LEASE_LEAVING))
        return;
    if (!k->id)
        k->id = ++l->c->chunk_ids;
    snprintf(subject, sizeof subject, TALK_RECORDS "%s", l->name);
    snprintf(id, sizeof id, "%s:%llu:%s.%llu", l->name, (unsigned long long)k->first_seq, l->c->run, (unsigned long long)k->id);
    talk_note note = {
        .subject = subject,
        .data = buf_bytes(&k->lines),
        .expects = true,
        .expect = l->place,
        .id = id,
        .run = l->c->run,
        .epoch = l->epoch,
        .last_seq = k->last_seq ? k->last_seq : l->seq_given,
        .last_time = k->last_time ? k->last_time : l->last_time,
        .last_event = k->last_event ? k->last_event : l->last_event,
        .book = book_of(l),
    };
    l->flying = true;
    l->late = false;
    l->sending = k;
    talk_send(l->c->talk, &note, on_carried, l);
}

/* ---- Gathering ---- */

/* The last chunk, if it is not on its way and has room. */
static chunk *open_chunk(lease *l, size_t octets)
{
    if (!list_empty(&l->chunks)) {
        chunk *k = LIST_OWNER(l->chunks.head.prev, chunk, node);
        if (!k->id && k->lines.len + octets <= CHUNK_OCTETS)
            return k;
    }
    chunk *k = chunk_new(l->c);
    if (k)
        list_push(&l->chunks, &k->node);
    return k;
}

/* False: it is too large for a message, or memory is out. */
static bool put(lease *l, const record *r)
{
    cluster *c = l->c;
    chunk *k = r->line.len < LINE_MAX ? open_chunk(l, r->line.len + 1) : NULL;
    if (!k || !buf_reserve(&k->lines, r->line.len + 1))
        return false;
    buf_add(&k->lines, r->line.at, r->line.len + 1); /* with its newline */
    c->out_octets += r->line.len + 1;
    k->records++;
    if (r->seq) {
        k->first_seq = k->first_seq ? k->first_seq : r->seq;
        k->last_seq = r->seq;
    }
    if (r->kind != RECORD_STATUS) {
        k->last_time = r->ts_recv ? r->ts_recv : r->ts_out;
        k->last_event = r->kind == RECORD_DATA && r->ts_event ? r->ts_event : k->last_event;
    }
    return true;
}

/* It is a hole in the numbers of the other nodes: there a gap says so, ahead of the next one. */
static void lose(lease *l, const record *r)
{
    record_gap *lost = &l->lost;
    l->c->figures.dropped++;
    log_warn("cluster", "'%s': a record of %zu octets is not carried: %s; a gap record says so on the other nodes", l->name, r->line.len, r->line.len < LINE_MAX ? "memory is out" : "it is too large for a message");
    if (!r->seq)
        return;
    if (!lost->count++)
        *lost = (record_gap){.cause = RECORD_GAP_SLOW_READER, .from_ns = r->ts_out, .count = 1, .has_seq = true, .from_seq = r->seq};
    lost->to_ns = r->ts_out;
    lost->to_seq = r->seq;
}

static void tell_lost(lease *l, record_stream *s)
{
    record *gap = record_gap_new(s, &l->lost);
    if (gap && put(l, gap))
        l->lost.count = 0;
    record_unref(gap);
}

static void gather(lease *l, const record *r)
{
    if (l->lost.count)
        tell_lost(l, r->stream);
    if (l->lost.count || !put(l, r))
        lose(l, r);
}

/* ---- Wholes that others ask for ---- */

static void keep_newest(lease *l, record *r)
{
    if (r->kind != RECORD_DATA || !record_stream_keeper(r->stream, NULL))
        return;
    record_unref(l->newest);
    l->newest = record_ref(r);
}

/* Behind the change that it stands for, under the same number: who has that passes it over, who waits for a whole takes it. */
void carry_whole(cluster *c, bytes name)
{
    lease *l = lease_of_stream(c, name);
    if (!l || l->state != LEASE_HELD)
        return;
    carry_drain(c);
    record *whole = l->newest ? record_stream_whole(l->newest->stream, l->newest) : NULL;
    if (!whole)
        return;
    if (whole->line.len < LINE_MAX) {
        put(l, whole);
        carry_flush(l);
    } else if (!l->large_told) {
        l->large_told = true;
        log_warn("cluster", "'%s': its order book has %zu octets and messages have at most %u: readers that begin late on other nodes get changes alone, until the venue sends the next whole", l->name, whole->line.len, LINE_MAX);
    }
    record_unref(whole);
}

static void take(cluster *c, record *r)
{
    lease *l = r->foreign ? NULL : lease_of_stream(c, record_stream_name(r->stream));
    if (r->foreign)
        return;
    feed_passed(c, r);
    if (!l || (l->state != LEASE_HELD && l->state != LEASE_LEAVING)) {
        c->figures.dropped += r->kind != RECORD_STATUS; /* what a stream says when it is closed */
        return;
    }
    if (r->seq && r->cause != RECORD_GAP_SLOW_READER)
        l->seq_given = r->seq;
    if (l->state == LEASE_HELD && l->seq_given + 50000 > l->mark)
        lease_mark(l);
    keep_newest(l, r);
    gather(l, r);
    carry_flush(l);
}

void carry_drain(cluster *c)
{
    for (record *r; c->out && c->out_octets < WAITING_MAX && (r = sub_next(c->out));) {
        take(c, r);
        record_unref(r);
    }
}

static void on_send(void *arg)
{
    cluster *c = arg;
    if (c->state == CLUSTER_IN && !session_valid(c))
        session_lapse(c);
    carry_drain(c);
}

static void on_ready(sub *s, void *arg)
{
    cluster *c = arg;
    (void)s;
    defer(c->loop, &c->send);
}

void carry_retry(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    carry_drain(c);
    while (map_each(c->streams, &at, &key, &value))
        carry_flush(value);
}

weir_code carry_begin(cluster *c, weir_error *err)
{
    sub_options o = {.policy = SUB_DROP_OLDEST, .on_ready = on_ready, .arg = c};
    c->send = (deferred){.fn = on_send, .arg = c};
    return hub_subscribe(&c->out, node_hub(c->n), ">", &o, err);
}

void carry_end(cluster *c)
{
    defer_cancel(&c->send);
    if (c->out)
        hub_unsubscribe(node_hub(c->n), c->out);
    c->out = NULL;
    for (list_node *at; (at = list_pop(&c->spare));)
        chunk_free(LIST_OWNER(at, chunk, node));
}
