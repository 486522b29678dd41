/* The history: one more reader of all records, which brings them to the store, and looks after the marks.
 *
 * Its queue drops the oldest when the store cannot keep up at all; the store's own bound comes first. */
#include "node/inside.h"

#define BATCH 8192
#define EVERY 4096 /* numbers between two looks at a mark: far less than a mark is ahead */

static void work(void *arg)
{
    node *n = arg;
    record *r = NULL;
    for (int i = 0; i < BATCH && (r = sub_next(n->history)); i++) {
        if (r->seq % EVERY == 0 && r->seq) {
            bytes topic = record_stream_topic(r->stream);
            node_mark *m = mark_of(n, topic);
            if (m)
                mark_ahead(n, m, r->seq);
        }
        store_history_add(n->store, r);
        record_unref(r);
    }
    if (r)
        defer(n->loop, &n->history_work);
}

static void on_ready(sub *s, void *arg)
{
    node *n = arg;
    (void)s;
    defer(n->loop, &n->history_work);
}

weir_code history_begin(node *n, weir_error *err)
{
    sub_options options = {.policy = SUB_DROP_OLDEST, .on_ready = on_ready, .arg = n};
    n->history_work = (deferred){.fn = work, .arg = n};
    return hub_subscribe(&n->history, n->hub, ">", &options, err);
}

void history_drain(node *n)
{
    for (record *r; n->history && (r = sub_next(n->history));) {
        store_history_add(n->store, r);
        record_unref(r);
    }
}

void history_end(node *n)
{
    if (!n->history)
        return;
    history_drain(n);
    defer_cancel(&n->history_work);
    hub_unsubscribe(n->hub, n->history);
    n->history = NULL;
}
