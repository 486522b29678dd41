/* A book kept from another node's records: see mirror.h. Nothing is allocated for a change once its buffers have grown. */
#include "cluster/mirror.h"

#include <stdlib.h>

#include "book/text.h"

#define ASKS_NS NS_PER_S

struct mirror {
    cluster *c;
    record_stream *stream; /* a reference */
    book book;
    levels levels[2]; /* of the record at hand */
    buf text;         /* a whole in the making */
    size_t depth;
    bool whole;
    uint64_t seq;   /* of the record that the book is at */
    uint64_t asked; /* mono */
};

mirror *mirror_new(cluster *c, record_stream *s, size_t depth)
{
    mirror *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->c = c;
    m->depth = depth;
    m->stream = record_stream_ref(s);
    book_init(&m->book, depth);
    buf_init(&m->text, SIZE_MAX);
    return m;
}

void mirror_free(mirror *m)
{
    if (!m)
        return;
    if (record_stream_keeper(m->stream, NULL) == m)
        record_stream_keep(m->stream, NULL, NULL, 0);
    record_stream_unref(m->stream);
    book_fini(&m->book);
    levels_fini(&m->levels[0]);
    levels_fini(&m->levels[1]);
    buf_fini(&m->text);
    free(m);
}

/* (record_make_whole) */
static record *make_whole(void *arg, const record *change)
{
    mirror *m = arg;
    guard_marks marks;
    json data = {JSON_OBJECT, change->data};
    if (!m->whole || change->seq != m->seq || guard_read_marks(&marks, data, NULL))
        return NULL;
    buf_clear(&m->text);
    book_put_whole(&m->text, &m->book, data, &marks);
    record *r = m->text.failed ? NULL : record_whole_new(m->stream, change->seq, change->ts_event, change->ts_recv, buf_bytes(&m->text));
    if (r)
        r->foreign = true; /* of the other node's: it does not go there again */
    return r;
}

static void lose(mirror *m)
{
    m->whole = false;
    book_clear(&m->book);
}

static void ask(mirror *m)
{
    uint64_t now = clock_mono();
    if (m->asked && now < m->asked + ASKS_NS)
        return;
    m->asked = now;
    talk_tell(m->c->talk, TALK_WHOLES, record_stream_name(m->stream));
}

static void take_data(mirror *m, record *r)
{
    guard_marks marks;
    bool plain = r->data.len && *r->data.at == '{' && !guard_read_levels(&marks, m->levels, r->data, NULL);
    bool snapshot = plain && book_is_snapshot(&marks), bad = !plain || (book_flags(&marks) & BOOK_MAYBE_BAD);
    if (r->seq <= m->seq && (m->whole || !snapshot)) /* asked for by another node, or old */
        return;
    if (snapshot && !bad)
        book_clear(&m->book);
    bool follows = !bad && (snapshot || (m->whole && r->seq == m->seq + 1));
    m->seq = r->seq;
    m->whole = follows && !guard_apply(&marks, &m->book, NULL);
    r->whole = m->whole && snapshot;
    if (!m->whole) {
        lose(m);
        ask(m);
    }
}

void mirror_take(mirror *m, record *r)
{
    if (record_stream_keeper(m->stream, NULL) != m)
        record_stream_keep(m->stream, make_whole, m, m->depth);
    if (r->kind == RECORD_DATA) {
        take_data(m, r);
    } else if (r->kind == RECORD_GAP && (!r->seq || r->seq > m->seq)) {
        lose(m);
        m->seq = r->seq ? r->seq : m->seq;
    }
}
