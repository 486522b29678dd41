/* Marks: how far the numbers of each stream may be given out, kept in the store ahead of the numbers themselves.
 *
 * The history may lose its last moments in a crash, and with them numbers that readers have seen. So a stream's numbers
 * are given out only below its mark, which is durable before; a node that comes back goes on behind it. A stop in good
 * order puts the mark back to the last number that was given out.
 * What can go wrong: the store takes no mark (it is full). Then the stream goes on, and the log says that numbers
 * may come twice if the node crashes now. */
#include <stdlib.h>

#include "node/inside.h"

#define AHEAD 100000

node_mark *mark_of(node *n, bytes name)
{
    node_mark *m = map_get(n->marks, name);
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m || !(m->name = bytes_dup(name)) || !map_set(n->marks, name, m, NULL)) {
        if (m)
            free(m->name);
        free(m);
        return NULL;
    }
    list_init(&m->waiting);
    return m;
}

node_mark *mark_of_stream(node *n, const record_stream *s)
{
    node_mark *m = mark_of(n, record_stream_name(s));
    const node_mark *old = map_get(n->marks, record_stream_topic(s)); /* of when a topic was one stream */
    if (m && old && !m->kept && old->durable > m->durable) {
        m->durable = m->wanted = old->durable;
        m->at = old->at;
    }
    return m;
}

typedef struct putting {
    node_mark *mark;
    uint64_t seq;
} putting;

static void on_put(void *arg, weir_code code, const char *error)
{
    putting *p = arg;
    node_mark *m = p->mark;
    if (code && !m->refused)
        log_error("node", "'%s': its mark cannot be kept, so its numbers may come twice after a crash: %s", m->name, error ? error : "");
    m->refused = code != WEIR_OK;
    if (!code)
        m->durable = p->seq;
    if (code && m->wanted == p->seq)
        m->wanted = m->durable; /* tried again with the next records */
    free(p);
    for (list_node *at; (at = list_pop(&m->waiting));) {
        mark_wait *w = LIST_OWNER(at, mark_wait, node);
        w->fn(w->arg);
    }
}

static void put(node *n, node_mark *m, uint64_t seq)
{
    buf row;
    putting *p = calloc(1, sizeof *p);
    if (!p)
        return;
    *p = (putting){m, seq};
    m->wanted = seq;
    m->at = clock_real();
    buf_init(&row, 256);
    buf_add_fmt(&row, "{\"seq\":\"%llu\",\"at\":\"%llu\"}", (unsigned long long)seq, (unsigned long long)m->at);
    if (row.failed)
        on_put(p, WEIR_NOMEM, "out of memory");
    else
        store_put(n->store, "mark", m->name, buf_bytes(&row), BYTES(""), on_put, p);
    buf_fini(&row);
}

bool mark_ahead(node *n, node_mark *m, uint64_t seq)
{
    if (seq + AHEAD / 2 > m->wanted)
        put(n, m, seq + AHEAD);
    return seq < m->durable;
}

void mark_exact(node *n, node_mark *m, uint64_t seq)
{
    if (m->wanted != seq)
        put(n, m, seq);
}

/* ---- At the start ---- */

typedef struct loading {
    node *n;
    bool failed;
} loading;

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    loading *l = arg;
    json doc;
    uint64_t seq = 0, at = 0;
    node_mark *m = mark_of(l->n, bytes_of(id));
    (void)secret, (void)sealed;
    if (!m || json_read(&doc, row, NULL) || !json_text_u64(json_member(doc, "seq"), &seq)) {
        l->failed |= !m;
        return;
    }
    json_text_u64(json_member(doc, "at"), &at);
    m->durable = m->wanted = seq;
    m->at = at;
    m->kept = true;
}

/* A history that is further than the marks: of a store that took none for a while. */
static void on_topic(void *arg, const store_topic *t)
{
    loading *l = arg;
    char name[RECORD_NAME_ROOM];
    node_mark *m = mark_of(l->n, record_name(name, bytes_of(t->topic), t->has_connection, t->connection));
    if (!m) {
        l->failed = true;
    } else {
        m->last_ns = t->last_ns;
        if (t->resume_seq > m->durable)
            m->durable = m->wanted = t->resume_seq;
    }
}

weir_code marks_load(node *n, weir_error *err)
{
    loading l = {n, false};
    weir_code code = store_load(n->store, "mark", on_row, &l, err);
    if (code)
        return code;
    store_history_topics(n->store, on_topic, &l);
    return l.failed ? error_set(err, WEIR_NOMEM, "out of memory") : WEIR_OK;
}

void marks_free(node *n)
{
    size_t at = 0;
    bytes key;
    void *m;
    while (n->marks && map_each(n->marks, &at, &key, &m)) {
        free(((node_mark *)m)->name);
        free(m);
    }
    map_free(n->marks);
    n->marks = NULL;
}
