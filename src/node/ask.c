/* Questions: found by the name of their operation, kept while they are under way, answered once.
 *
 * A question is copied: whoever asks may let go of it. Two that change the same thing come one after the other, in
 * the order in which they were asked: the second waits (`held`) until the first is answered. What turns the loop is a
 * job (jobs.c) and so comes alone anyway. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/inside.h"

#define ANSWER_MAX (256u << 20)

static const node_op *const tables[] = {node_ops, plugin_ops, connection_ops, stream_ops, sink_ops_of_node, token_ops, command_ops, ui_ops, log_ops};

static const node_op *find(const char *name)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const node_op *op = tables[t]; op->name; op++)
            if (!strcmp(op->name, name))
                return op;
    return NULL;
}

static size_t kind_length(const char *op)
{
    const char *dot = strchr(op, '.');
    return dot ? (size_t)(dot - op) : strlen(op);
}

static bool same_thing(const ask *a, const ask *b)
{
    size_t len = kind_length(a->op->name);
    return (a->op->flags & b->op->flags & OP_CHANGES) && a->id && b->id && !strcmp(a->id, b->id) &&
           kind_length(b->op->name) == len && !strncmp(a->op->name, b->op->name, len);
}

/* ---- Under way ---- */

static void run_as_job(node *n, void *arg)
{
    ask *a = arg;
    (void)n;
    a->op->run(a);
}

static void run(ask *a)
{
    if (a->op->flags & OP_JOB)
        job_put(a->n, &a->job, run_as_job, a);
    else
        a->op->run(a);
}

static void ask_free(ask *a)
{
    list_remove(&a->node);
    job_take(&a->job);
    weir_ahead_forget(a->ahead);
    free(a->id);
    free(a->name);
    free(a->who);
    buf_fini(&a->query_text);
    buf_fini(&a->body);
    free(a);
}

/* The next one that waited for the same thing. */
static void let_next(node *n, const ask *done)
{
    for (list_node *at = n->asks.head.next; at != &n->asks.head && !n->freeing; at = at->next) {
        ask *a = LIST_OWNER(at, ask, node);
        if (a->held && same_thing(done, a)) {
            a->held = false;
            run(a);
            return;
        }
    }
}

static void finish(ask *a, weir_code code, bool created, bytes json, const char *error)
{
    node *n = a->n;
    list_remove(&a->node);
    a->fn(a->arg, code, created, json, error);
    let_next(n, a);
    ask_free(a);
}

void ask_done(ask *a, bool created, buf *json)
{
    if (json && json->failed)
        ask_fail(a, WEIR_NOMEM, "out of memory for the answer");
    else
        finish(a, WEIR_OK, created, json ? buf_bytes(json) : BYTES(""), "");
}

void ask_fail_with(ask *a, const weir_error *err)
{
    finish(a, err->code ? err->code : WEIR_INVALID, false, BYTES(""), err->text);
}

void ask_done_list(ask *a, const char *plural, const list *things, bool (*put)(buf *out, const list_node *at), size_t ceiling)
{
    buf out;
    const char *between = "";
    buf_init(&out, ceiling);
    buf_add_char(&out, '{');
    json_put_key(&out, plural);
    buf_add_char(&out, '[');
    for (const list_node *at = things->head.next; at != &things->head; at = at->next) {
        size_t before = out.len;
        buf_add_text(&out, between);
        if (put(&out, at))
            between = ",";
        else
            out.len = before;
    }
    buf_add_text(&out, "]}");
    ask_done(a, false, &out);
    buf_fini(&out);
}

void ask_fail(ask *a, weir_code code, const char *format, ...)
{
    weir_error err = WEIR_ERROR_INIT;
    char text[WEIR_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&err, code, "%s", text);
    ask_fail_with(a, &err);
}

/* ---- Asking ---- */

static bool keep(char **at, const char *text)
{
    return !text || (*at = strdup(text));
}

static ask *ask_new(node *n, const node_op *op, const node_question *q, node_answer fn, void *arg)
{
    ask *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->n = n;
    a->op = op;
    a->fn = fn;
    a->arg = arg;
    buf_init(&a->query_text, 1 << 20);
    buf_init(&a->body, ANSWER_MAX);
    buf_add_bytes(&a->query_text, q->query);
    buf_add_bytes(&a->body, q->body);
    list_push(&n->asks, &a->node);
    if (keep(&a->id, q->id) && keep(&a->name, q->name) && keep(&a->who, q->who) && !a->query_text.failed && !a->body.failed)
        return a;
    ask_free(a);
    return NULL;
}

void node_ask(node *n, const node_question *q, node_answer fn, void *arg)
{
    const node_op *op = find(q->op);
    weir_error err = WEIR_ERROR_INIT;
    ask *a = op ? ask_new(n, op, q, fn, arg) : NULL;
    if (!a) {
        if (op)
            error_set(&err, WEIR_NOMEM, "out of memory");
        else
            error_set(&err, WEIR_NOT_FOUND, "there is no operation '%s'", q->op);
        fn(arg, err.code, false, BYTES(""), err.text);
        return;
    }
    if (n->draining && (op->flags & (OP_CHANGES | OP_JOB)))
        ask_fail(a, WEIR_CLOSED, "the node is stopping; nothing new is begun");
    else if (a->query_text.len && (json_read(&a->query, buf_bytes(&a->query_text), &err) || a->query.type != JSON_OBJECT))
        ask_fail(a, WEIR_INVALID, "query: %s", err.code ? err.text : "no object");
    else {
        for (list_node *at = n->asks.head.next; at != &a->node; at = at->next)
            a->held |= same_thing(LIST_OWNER(at, ask, node), a);
        if (!a->held)
            run(a);
    }
}

static void tell_nobody(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    (void)arg, (void)code, (void)created, (void)json, (void)error;
}

void asks_mute(node *n)
{
    for (list_node *at = n->asks.head.next; at != &n->asks.head; at = at->next)
        LIST_OWNER(at, ask, node)->fn = tell_nobody;
}

void asks_drop(node *n)
{
    while (!list_empty(&n->asks))
        ask_free(LIST_OWNER(n->asks.head.next, ask, node));
}

/* ---- What is in it ---- */

static bool known(json key, const char *const *members)
{
    for (; *members; members++)
        if (json_is(key, *members))
            return true;
    return false;
}

bool ask_body(ask *a, json *out, const char *const *members)
{
    weir_error err = WEIR_ERROR_INIT;
    json key, value;
    *out = (json){JSON_OBJECT, BYTES("{}")};
    if (!a->body.len)
        return true;
    if (json_read(out, buf_bytes(&a->body), &err)) {
        ask_fail(a, WEIR_INVALID, "the body: %s", err.text);
        return false;
    }
    if (out->type != JSON_OBJECT) {
        ask_fail(a, WEIR_INVALID, "the body is no JSON object");
        return false;
    }
    for (json_iter it = json_each(*out); json_next(&it, &key, &value);)
        if (!known(key, members)) {
            buf list;
            buf_init(&list, 400);
            for (const char *const *m = members; *m; m++)
                buf_add_fmt(&list, "%s%s", m == members ? "" : ", ", *m);
            ask_fail(a, WEIR_INVALID, "the body: nothing is called " BYTES_FMT " here; there is %.*s", BYTES_ARG(key.raw), (int)list.len, list.at ? list.at : "nothing");
            buf_fini(&list);
            return false;
        }
    return true;
}

bool ask_flag(const ask *a, const char *name)
{
    json v = json_member(a->query, name);
    return v.type == JSON_TRUE || json_is(v, "1") || json_is(v, "true") || json_is(v, "");
}

bool ask_text(ask *a, json body, const char *member, char **out)
{
    json v = json_member(body, member);
    if (v.type == JSON_NONE)
        return true;
    char *text = json_string_dup(v);
    if (!text) {
        ask_fail(a, WEIR_INVALID, "\"%s\" is no text (or holds a NUL)", member);
        return false;
    }
    free(*out);
    *out = text;
    return true;
}
