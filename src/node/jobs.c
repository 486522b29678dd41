/* Jobs: what turns the host's loop, one after the other, between two turns (node.h says why). */
#include <stdlib.h>

#include "node/inside.h"

void job_put(node *n, node_job *j, void (*fn)(node *n, void *arg), void *arg)
{
    if (list_linked(&j->node))
        return;
    j->fn = fn;
    j->arg = arg;
    list_push(&n->jobs, &j->node);
    loop_wake(n->loop); /* node_step may be waiting for a descriptor */
}

void job_take(node_job *j)
{
    list_remove(&j->node);
}

bool node_step(node *n, int timeout_ms)
{
    bool more = weir_host_step(n->host, list_empty(&n->jobs) ? timeout_ms : 0);
    list_node *first = list_pop(&n->jobs);
    if (first) {
        node_job *j = LIST_OWNER(first, node_job, node);
        j->fn(n, j->arg);
    }
    return more || !list_empty(&n->jobs);
}

/* ---- The store, waited for ---- */

typedef struct waiting {
    bool over;
    weir_error err;
} waiting;

static void on_stored(void *arg, weir_code code, const char *error)
{
    waiting *w = arg;
    w->over = true;
    if (code)
        error_set(&w->err, code, "%s", error && *error ? error : weir_code_text(code));
}

static weir_code wait_for(node *n, waiting *w, weir_error *err)
{
    while (!w->over)
        weir_host_step(n->host, -1);
    if (w->err.code)
        error_set(err, w->err.code, "the store: %s", w->err.text);
    return w->err.code;
}

weir_code put_and_wait(node *n, const char *kind, const char *id, const buf *json, bytes secret, weir_error *err)
{
    waiting w = {.err = WEIR_ERROR_INIT};
    if (json->failed)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (n->taking)
        store_put(n->store, kind, id, buf_bytes(json), secret, on_stored, &w);
    else
        row_change(n, kind, id, NULL, buf_bytes(json), secret, on_stored, &w);
    return wait_for(n, &w, err);
}

weir_code remove_and_wait(node *n, const char *kind, const char *id, weir_error *err)
{
    waiting w = {.err = WEIR_ERROR_INIT};
    if (n->taking)
        store_remove(n->store, kind, id, on_stored, &w);
    else
        row_change(n, kind, id, NULL, BYTES(""), BYTES(""), on_stored, &w);
    return wait_for(n, &w, err);
}

weir_code module_put_and_wait(node *n, const char *sha256, bytes octets, weir_error *err)
{
    waiting w = {.err = WEIR_ERROR_INIT};
    if (n->share) {
        n->share->module(n->share->arg, sha256, octets, on_stored, &w);
        if (wait_for(n, &w, err))
            return err->code;
        w = (waiting){.err = WEIR_ERROR_INIT};
    }
    store_module_put(n->store, sha256, octets, on_stored, &w);
    return wait_for(n, &w, err);
}
