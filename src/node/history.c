/* The history: one more reader of all records, which brings them to the store at once, and looks after the marks.
 *
 * At once, inside on_ready, which may be on a guest's fiber: so who subscribes and asks the store in the same turn finds
 * each record either in the store's answer or in his own queue. To put a mark is left to the loop. */
#include "node/inside.h"

#define EVERY 4096 /* numbers between two looks at a mark: far less than a mark is ahead */

static void look_at_mark(node *n, const record *r)
{
    node_mark *m = map_get(n->marks, record_stream_name(r->stream));
    if (!m)
        return;
    m->reached = r->seq;
    if (!list_linked(&m->due))
        list_push(&n->due_marks, &m->due);
    defer(n->loop, &n->history_work);
}

void history_drain(node *n)
{
    for (record *r; n->history && (r = sub_next(n->history));) {
        if (r->seq && r->seq % EVERY == 0)
            look_at_mark(n, r);
        store_history_add(n->store, r);
        record_unref(r);
    }
}

static void on_ready(sub *s, void *arg)
{
    (void)s;
    history_drain(arg);
}

static void put_marks(void *arg)
{
    node *n = arg;
    for (list_node *at; (at = list_pop(&n->due_marks));) {
        node_mark *m = LIST_OWNER(at, node_mark, due);
        mark_ahead(n, m, m->reached);
    }
}

weir_code history_begin(node *n, weir_error *err)
{
    sub_options options = {.policy = SUB_DROP_OLDEST, .on_ready = on_ready, .arg = n};
    n->history_work = (deferred){.fn = put_marks, .arg = n};
    return hub_subscribe(&n->history, n->hub, ">", &options, err);
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
