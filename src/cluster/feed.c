/* Records of the others: from the stream WEIR_RECORDS into this node's hub, so that its API, history and sinks have them all.
 *
 * What this process published itself is passed over; so is what the history has already, by its number, and what comes under
 * a fence that is older than one that was seen (the server lets none in; this is for a server that lost its disk). The place is
 * kept in the store each second: a node that comes back reads on from there. Where the server does not have that any more a gap
 * record (cause slow_reader: this node is the reader that fell behind) stands ahead of the stream's next record. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cluster/mirror.h"

static fed *fed_new(cluster *c, bytes name, record_stream *s)
{
    fed *f = calloc(1, sizeof *f);
    if (!f || !map_set(c->fed, name, f, NULL)) {
        free(f);
        return NULL;
    }
    f->stream = record_stream_ref(s);
    f->holes = c->holes;
    return f;
}

/* By its name among this node's streams, else by what its line says. */
static fed *fed_of(cluster *c, bytes name, bytes line)
{
    fed *f = map_get(c->fed, name);
    if (f)
        return f;
    record_key key;
    record_stream *s = node_stream_records(c->n, name), *made = NULL;
    if (!s && !record_foreign_key(&key, line, NULL) && !hub_stream(&made, node_hub(c->n), &key, NULL))
        s = made;
    if (s && bytes_equal(record_stream_name(s), name))
        f = fed_new(c, name, s);
    record_stream_unref(made);
    return f;
}

void feed_passed(cluster *c, record *r)
{
    bytes name = record_stream_name(r->stream);
    fed *f = map_get(c->fed, name);
    if (!f && !(f = fed_new(c, name, r->stream)))
        return;
    mirror_free(f->mirror); /* it runs here */
    f->mirror = NULL;
    if (r->seq > f->last_seq && r->cause != RECORD_GAP_SLOW_READER)
        f->last_seq = r->seq;
    f->last_time = r->ts_out;
}

/* The server has lost what came before it, before we could read it. */
static void tell_hole(cluster *c, fed *f, const record *next)
{
    record_gap gap = {.cause = RECORD_GAP_SLOW_READER, .from_ns = f->last_time, .to_ns = next->ts_out, .has_seq = true, .from_seq = f->last_seq + 1, .to_seq = next->seq - 1};
    f->holes = c->holes;
    if (next->seq > f->last_seq + 1)
        hub_publish_gap(node_hub(c->n), f->stream, &gap);
}

static void publish(cluster *c, fed *f, bytes line)
{
    weir_error err = WEIR_ERROR_INIT;
    record *r = NULL;
    if (record_foreign_new(&r, f->stream, line, &err)) {
        if (!c->figures.bad++)
            log_error("cluster", "a record of another node is left out: %s", err.text);
        f->holes = c->holes - 1; /* a gap ahead of the next one */
        return;
    }
    if (f->mirror)
        mirror_take(f->mirror, r);
    if (r->seq && r->seq <= f->last_seq) { /* the history has it, or it is a whole that somebody asked for */
        c->figures.old++;
        record_unref(r);
        return;
    }
    if (r->seq && f->holes != c->holes)
        tell_hole(c, f, r);
    if (r->seq)
        f->last_seq = r->seq;
    f->last_time = r->ts_out;
    c->figures.fed++;
    hub_publish(node_hub(c->n), r);
}

void feed_on_record(cluster *c, const talk_message *m)
{
    bytes name = bytes_of(m->subject), rest = m->data;
    c->record_place = m->seq;
    if (!strcmp(m->run, c->run))
        return;
    lease *l = lease_of_stream(c, name);
    if (l && l->state != LEASE_NONE && m->epoch > l->epoch) /* before its numbers touch ours: we may have slept */
        lease_lost(l, "another node has taken it over");
    while (rest.len) {
        const char *end = memchr(rest.at, '\n', rest.len);
        bytes line = bytes_make(rest.at, end ? (size_t)(end - rest.at) : rest.len);
        fed *f = fed_of(c, name, line);
        rest = bytes_make(rest.at + line.len, rest.len - line.len);
        if (rest.len)
            rest = bytes_make(rest.at + 1, rest.len - 1);
        if (!f || m->epoch < f->epoch) {
            c->figures.bad += !f;
            c->figures.refused += f != NULL;
            continue;
        }
        f->epoch = m->epoch;
        if (m->book && !f->mirror && (!l || l->state == LEASE_NONE))
            f->mirror = mirror_new(c, f->stream, m->book - 1);
        if (line.len)
            publish(c, f, line);
    }
}

void feed_on_up(cluster *c, uint64_t first)
{
    if (c->record_place && first > c->record_place + 1) {
        c->holes++;
        log_warn("cluster", "records were away from JetStream before this node could read them; gap records say so");
    }
}

void feed_keep(cluster *c)
{
    buf row;
    if (c->record_place == c->record_kept)
        return;
    c->record_kept = c->record_place;
    buf_init(&row, 256);
    buf_add_fmt(&row, "{\"place\":\"%llu\",\"meta\":\"%s\"}", (unsigned long long)c->record_place, c->meta);
    if (!row.failed)
        store_put(node_store(c->n), "cluster", "records", buf_bytes(&row), BYTES(""), NULL, NULL);
    buf_fini(&row);
}

static void on_topic(void *arg, const store_topic *t)
{
    cluster *c = arg;
    char room[RECORD_NAME_ROOM];
    bytes name = record_name(room, bytes_of(t->topic), t->has_connection, t->connection);
    record_stream *s = node_stream_records(c->n, name);
    fed *f = map_get(c->fed, name);
    if (!s || (!f && !(f = fed_new(c, name, s))))
        return;
    if (t->last_seq > f->last_seq) {
        f->last_seq = t->last_seq;
        f->last_time = t->last_ns;
    }
}

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    cluster *c = arg;
    json doc;
    (void)secret, (void)sealed;
    if (!strcmp(id, "records") && !json_read(&doc, row, NULL) && json_text_u64(json_member(doc, "place"), &c->record_place))
        c->record_kept = c->record_place;
}

weir_code feed_begin(cluster *c, weir_error *err)
{
    weir_code code = store_load(node_store(c->n), "cluster", on_row, c, err);
    if (!code)
        store_history_topics(node_store(c->n), on_topic, c);
    return code;
}

void feed_end(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (c->fed && map_each(c->fed, &at, &key, &value)) {
        mirror_free(((fed *)value)->mirror);
        record_stream_unref(((fed *)value)->stream);
        free(value);
    }
    map_free(c->fed);
}
