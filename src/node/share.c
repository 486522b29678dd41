/* What stands behind share.h: rows on their way through the share, rows that come from it. */
#include "node/share.h"

#include <stdlib.h>

#include "node/inside.h"

void node_share_by(node *n, const node_share *share)
{
    n->share = share;
}

const char *node_name(const node *n)
{
    return n->name;
}

static bool shared(const node *n, const char *kind)
{
    return n->share && (!strcmp(kind, "plugin") || !strcmp(kind, "connection") || !strcmp(kind, "stream"));
}

/* ---- Out ---- */

typedef struct passing {
    node *n;
    char *kind, *id;
    buf json, secret;
    store_done fn;
    void *arg;
} passing;

static void passing_free(passing *p)
{
    if (p->secret.at)
        explicit_bzero(p->secret.at, p->secret.cap);
    buf_fini(&p->json);
    buf_fini(&p->secret);
    free(p->kind);
    free(p->id);
    free(p);
}

static passing *passing_new(node *n, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg)
{
    passing *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (passing){.n = n, .kind = strdup(kind), .id = strdup(id), .fn = fn, .arg = arg};
    buf_init(&p->json, 64u << 20);
    buf_init(&p->secret, 64u << 20);
    buf_add_bytes(&p->json, json);
    buf_add_bytes(&p->secret, secret);
    if (p->kind && p->id && !p->json.failed && !p->secret.failed)
        return p;
    passing_free(p);
    return NULL;
}

static void into_store(node *n, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg)
{
    if (json.len)
        store_put(n->store, kind, id, json, secret, fn, arg);
    else
        store_remove(n->store, kind, id, fn, arg);
}

static void on_shared(void *arg, weir_code code, const char *error)
{
    passing *p = arg;
    if (code)
        p->fn(p->arg, code, error);
    else
        into_store(p->n, p->kind, p->id, buf_bytes(&p->json), buf_bytes(&p->secret), p->fn, p->arg);
    passing_free(p);
}

void row_change(node *n, const char *kind, const char *id, const char *unique, bytes json, bytes secret, store_done fn, void *arg)
{
    if (!shared(n, kind)) {
        into_store(n, kind, id, json, secret, fn, arg);
        return;
    }
    passing *p = passing_new(n, kind, id, json, secret, fn, arg);
    if (p)
        n->share->change(n->share->arg, kind, id, unique, json, secret, on_shared, p);
    else
        fn(arg, WEIR_NOMEM, "out of memory");
}

uint64_t row_next_id(node *n, const char *kind, weir_error *err)
{
    uint64_t id = shared(n, kind) ? n->share->next_id(n->share->arg, kind) : store_next_id(n->store, kind);
    if (!id)
        error_set(err, WEIR_BUSY, "the cluster gives no numbers now, so nothing new can be made; GET /v1/node says what is wrong with it");
    return id;
}

/* ---- In ---- */

typedef struct taking {
    list_node node; /* of those that wait */
    passing *row;
    node_job job;
} taking;

static weir_code take(node *n, const passing *p, weir_error *err)
{
    bytes json = buf_bytes(&p->json), secret = buf_bytes(&p->secret);
    if (!strcmp(p->kind, "plugin"))
        return plugin_take(n, p->id, json, err);
    if (!strcmp(p->kind, "connection"))
        return connection_take(n, p->id, json, secret, err);
    if (!strcmp(p->kind, "stream"))
        return stream_take(n, p->id, json, err);
    return error_set(err, WEIR_UNSUPPORTED, "rows of the kind '%s' are not known here; a newer node made it", p->kind);
}

static void run_take(node *n, void *arg)
{
    taking *t = arg;
    weir_error err = WEIR_ERROR_INIT;
    list_remove(&t->node);
    n->taking = true;
    weir_code code = n->draining ? error_set(&err, WEIR_CLOSED, "the node is stopping") : take(n, t->row, &err);
    n->taking = false;
    t->row->fn(t->row->arg, code, err.text);
    passing_free(t->row);
    free(t);
}

void node_take_row(node *n, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg)
{
    taking *t = calloc(1, sizeof *t);
    if (!t || !(t->row = passing_new(n, kind, id, json, secret, fn, arg))) {
        free(t);
        fn(arg, WEIR_NOMEM, "out of memory");
        return;
    }
    list_push(&n->takings, &t->node);
    job_put(n, &t->job, run_take, t);
}

void share_free(node *n)
{
    for (list_node *at; (at = list_pop(&n->takings));) {
        taking *t = LIST_OWNER(at, taking, node);
        job_take(&t->job);
        passing_free(t->row);
        free(t);
    }
}

/* ---- Streams ---- */

void node_streams_each(node *n, void (*fn)(void *arg, const node_stream_view *v), void *arg)
{
    for (list_node *at = n->streams.head.next, *next; at != &n->streams.head; at = next) {
        const node_stream *s = LIST_OWNER(at, node_stream, node);
        const node_connection *c = s->connection;
        next = at->next;
        if (!s->stored || !s->records || map_get(n->names, record_stream_name(s->records)) != s)
            continue;
        bool account = *c->secrets && strcmp(c->secrets, "{}") != 0;
        node_stream_view v = {
            .id = s->id_text,
            .name = record_stream_name(s->records),
            .account = account ? c->id_text : NULL,
            .wanted = s->wanted && !s->removing && c->enabled && c->plugin->enabled,
            .open = s->live != NULL,
            .seq = record_stream_seq(s->records),
        };
        fn(arg, &v);
    }
}

void node_stream_open(node *n, bytes name, uint64_t seq, uint64_t missed, uint64_t missed_event)
{
    node_stream *s = map_get(n->names, name);
    if (!s)
        return;
    record_stream_resume(s->records, seq);
    s->missed = missed;
    s->missed_event = missed_event;
    stream_go(s);
}

record_stream *node_stream_records(node *n, bytes name)
{
    node_stream *s = map_get(n->names, name);
    return s ? s->records : NULL;
}

void node_stream_close(node *n, bytes name, const char *why)
{
    node_stream *s = map_get(n->names, name);
    if (s)
        stream_halt(s, why);
}
