/* What is known of each stream, in memory: found by the address of its record_stream with each record, by topic and
 * connection when a process sees it for the first time, by number when it comes from the disk.
 *
 * A trail stays as long as the store, also when its records are past their retention: its last number is what the stream
 * goes on behind. The table of addresses keeps a reference to each stream, so that no other gets its address. */
#include "store/inside.h"

#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN (TOPIC_MAX + 32)

/* Topics have no control characters, so the line break keeps both parts apart. */
static bytes name_of(char out[NAME_MAX_LEN], bytes topic, bool has_connection, uint64_t connection)
{
    int len = snprintf(out, NAME_MAX_LEN, "%.*s\n", (int)topic.len, topic.at);
    if (has_connection)
        len += snprintf(out + len, NAME_MAX_LEN - (size_t)len, "%llu", (unsigned long long)connection);
    return bytes_make(out, (size_t)len);
}

trail *trail_add(store *s, bytes topic, bytes envelope, const uint64_t *connection)
{
    history *h = &s->history;
    char name[NAME_MAX_LEN];

    if (h->trails_count + 1 >= HISTORY_STREAMS || topic.len > TOPIC_MAX)
        return NULL;
    if (h->trails_count == h->trails_cap) {
        size_t cap = h->trails_cap ? h->trails_cap * 2 : 64;
        trail **more = realloc(h->trails, cap * sizeof *more);
        if (!more)
            return NULL;
        h->trails = more;
        h->trails_cap = cap;
    }
    trail *t = calloc(1, sizeof *t + topic.len + envelope.len + 2);
    if (!t)
        return NULL;
    t->id = h->trails_count + 1;
    t->has_connection = connection != NULL;
    t->connection = connection ? *connection : 0;
    memcpy(t->text, topic.at, topic.len);
    memcpy(t->text + topic.len + 1, envelope.at, envelope.len);
    t->topic = bytes_make(t->text, topic.len);
    t->envelope = bytes_make(t->text + topic.len + 1, envelope.len);
    if (!map_set(h->by_name, name_of(name, topic, t->has_connection, t->connection), t, NULL)) {
        free(t);
        return NULL;
    }
    h->trails[h->trails_count++] = t;
    return t;
}

trail *trail_find(const store *s, bytes topic, uint64_t connection)
{
    char name[NAME_MAX_LEN];
    return topic.len <= TOPIC_MAX ? map_get(s->history.by_name, name_of(name, topic, true, connection)) : NULL;
}

static trail *begin_trail(store *s, record_stream *stream)
{
    uint64_t connection;
    bool has = record_stream_connection(stream, &connection);
    trail *t = NULL;
    buf out;

    buf_init(&out, 64 << 10);
    buf_add_char(&out, '{');
    json_put_member(&out, "type", record_stream_type(stream));
    json_put_member(&out, "source", record_stream_source(stream));
    json_put_member(&out, "identifier", record_stream_identifier(stream));
    json_put_key(&out, "parameters");
    buf_add_bytes(&out, record_stream_parameters(stream));
    json_put_key(&out, "connection");
    if (has)
        buf_add_u64(&out, connection);
    else
        buf_add_text(&out, "null");
    buf_add_char(&out, '}');
    if (!out.failed)
        t = trail_add(s, record_stream_topic(stream), buf_bytes(&out), has ? &connection : NULL);
    buf_fini(&out);
    return t;
}

static size_t place_of(const history *h, const record_stream *stream)
{
    size_t at = (size_t)(((uintptr_t)stream >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (h->table_cap - 1);
    while (h->table[at].stream && h->table[at].stream != stream)
        at = (at + 1) & (h->table_cap - 1);
    return at;
}

static bool grow_table(history *h)
{
    history old = *h;
    size_t cap = old.table_cap ? old.table_cap * 2 : 64;

    h->table = calloc(cap, sizeof *h->table);
    if (!h->table) {
        h->table = old.table;
        return false;
    }
    h->table_cap = cap;
    for (size_t i = 0; i < old.table_cap; i++)
        if (old.table[i].stream)
            h->table[place_of(h, old.table[i].stream)] = old.table[i];
    free(old.table);
    return true;
}

static trail *learn(store *s, record_stream *stream)
{
    history *h = &s->history;
    char name[NAME_MAX_LEN];
    uint64_t connection = 0;
    bool has = record_stream_connection(stream, &connection);

    if (h->table_count * 2 >= h->table_cap && !grow_table(h))
        return NULL;
    trail *t = map_get(h->by_name, name_of(name, record_stream_topic(stream), has, connection));
    if (!t && !(t = begin_trail(s, stream)))
        return NULL;
    size_t at = place_of(h, stream);
    h->table[at].stream = record_stream_ref(stream);
    h->table[at].trail = t;
    h->table_count++;
    t->stream = stream;
    return t;
}

trail *trail_of(store *s, record_stream *stream)
{
    history *h = &s->history;

    if (h->recent.stream == stream)
        return h->recent.trail;
    trail *t = h->table_cap ? h->table[place_of(h, stream)].trail : NULL;
    if (!t && !(t = learn(s, stream)))
        return NULL;
    h->recent.stream = stream;
    h->recent.trail = t;
    return t;
}

void trails_forget(store *s)
{
    history *h = &s->history;

    for (size_t i = 0; i < h->trails_count; i++) {
        char name[NAME_MAX_LEN];
        map_remove(h->by_name, name_of(name, h->trails[i]->topic, h->trails[i]->has_connection, h->trails[i]->connection));
        free(h->trails[i]);
    }
    h->trails_count = 0;
}

void trails_free(store *s)
{
    history *h = &s->history;

    for (size_t i = 0; i < h->table_cap; i++)
        record_stream_unref(h->table[i].stream);
    for (size_t i = 0; i < h->trails_count; i++)
        free(h->trails[i]);
    free(h->table);
    free(h->trails);
    map_free(h->by_name);
}

void store_history_topics(store *s, void (*fn)(void *arg, const store_topic *t), void *arg)
{
    for (size_t i = 0; i < s->history.trails_count; i++) {
        const trail *t = s->history.trails[i];
        store_topic told = {.topic = t->topic.at, .envelope = t->envelope, .records = t->records, .octets = t->octets, .first_ns = t->records ? t->first_ns : 0, .last_ns = t->last_ns, .last_seq = t->last_seq, .resume_seq = t->resume_seq > t->last_seq ? t->resume_seq : t->last_seq, .has_connection = t->has_connection, .connection = t->connection};
        fn(arg, &told);
    }
}
