/* Sinks: ways out of this node, opened again when they fail.
 *
 * A sink's spec may hold a password, so the store seals it, and only its masked form is ever shown. A sink that ends for good
 * (a full disk, a closed pipe) is opened again after a back-off, while it is enabled; one that waits for its other end by itself
 * is left alone. */
#include <stdio.h>
#include <stdlib.h>

#include "node/inside.h"

#define SPEC_SHOWN 1024
#define RETRY_MIN_NS NS_PER_S
#define RETRY_MAX_NS (60 * NS_PER_S)

static node_sink *sink_of(const node *n, const char *id)
{
    for (const list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next) {
        node_sink *k = LIST_OWNER(at, node_sink, node);
        if (!strcmp(k->id_text, id))
            return k;
    }
    return NULL;
}

/* ---- Alive ---- */

static void on_retry(void *arg);
static void on_reap(void *arg);

static node_sink *sink_new(node *n, uint64_t id)
{
    node_sink *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->n = n;
    k->id = id;
    k->enabled = true;
    snprintf(k->id_text, sizeof k->id_text, "%llu", (unsigned long long)id);
    timer_init(&k->retry, n->loop, on_retry, k);
    k->reap = (deferred){.fn = on_reap, .arg = k};
    list_push(&n->sinks, &k->node);
    return k;
}

/* It has gone, or is of no interest any more: keeps what it counted. */
static void settle(node_sink *k)
{
    k->before = sink_account_of(k);
    k->before.dropped += k->before.queued;
    k->before.lost += k->before.buffered;
    k->leaving = NULL;
}

static void on_gone(void *arg, weir_sink *sink)
{
    node_sink *k = arg;
    (void)sink;
    settle(k);
    if (k->n->freeing)
        return;
    if (k->open_then)
        on_retry(k);
    changed(k->n, "sinks", k->id_text);
}

/* Lets go of it. Its other end may take its time, which is not the loop's. */
static void close_it(node_sink *k)
{
    if (k->live) {
        k->leaving = k->live;
        k->live = NULL;
        weir_sink_part(k->leaving, on_gone, k);
    }
    k->open_then = false;
    timer_stop(&k->retry);
    defer_cancel(&k->reap);
}

static void sink_drop(node_sink *k)
{
    close_it(k);
    if (k->leaving)
        weir_sink_part(k->leaving, NULL, NULL);
    list_remove(&k->node);
    free(k->name);
    if (k->spec)
        explicit_bzero(k->spec, strlen(k->spec));
    free(k->spec);
    free(k->pattern);
    free(k->policy);
    free(k->why);
    free(k);
}

static void retry_later(node_sink *k, const char *why)
{
    uint64_t wait = RETRY_MIN_NS << (k->tries < 6 ? k->tries : 6);
    k->tries++;
    text_replace(&k->why, why);
    log_warn("node", "sink %s ('%s'): %s", k->id_text, k->name, why);
    timer_after(&k->retry, wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
    changed(k->n, "sinks", k->id_text);
}

static void on_end(void *arg, const weir_error *why)
{
    node_sink *k = arg;
    text_replace(&k->why, why->text);
    defer(k->n->loop, &k->reap);
}

static void on_state(void *arg, weir_sink *live, weir_sink_state state)
{
    node_sink *k = arg;
    (void)live;
    if (state == WEIR_SINK_OPEN)
        k->tries = 0;
    changed(k->n, "sinks", k->id_text);
}

static void on_reap(void *arg)
{
    node_sink *k = arg;
    char why[WEIR_ERROR_TEXT];
    snprintf(why, sizeof why, "%s", k->why ? k->why : "it ended");
    close_it(k);
    if (k->enabled)
        retry_later(k, why);
}

static weir_code open_it(node_sink *k, weir_error *err)
{
    weir_reader_options options = WEIR_READER_OPTIONS_INIT;
    weir_slow_policy_find(k->policy, &options.policy);
    options.connection = k->of_one ? &k->connection : NULL;
    weir_code code = weir_sink_open_with(&k->live, k->n->host, k->spec, k->pattern, &options, on_end, k, err);
    if (code) {
        k->live = NULL;
        return code;
    }
    text_replace(&k->why, NULL);
    weir_sink_on_state(k->live, on_state, k);
    changed(k->n, "sinks", k->id_text);
    return WEIR_OK;
}

static void on_retry(void *arg)
{
    node_sink *k = arg;
    weir_error err = WEIR_ERROR_INIT;
    k->open_then = k->leaving != NULL; /* one behind the other, so that records stay in order */
    if (k->enabled && !k->live && !k->leaving && open_it(k, &err))
        retry_later(k, err.text);
}

void sinks_start(node *n)
{
    for (list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next)
        on_retry(LIST_OWNER(at, node_sink, node));
}

bool sinks_settled(const node *n)
{
    for (const list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next) {
        const node_sink *k = LIST_OWNER(at, node_sink, node);
        if (k->live && weir_sink_get_state(k->live) == WEIR_SINK_OPEN && !weir_sink_idle(k->live))
            return false;
    }
    return true;
}

void sinks_free(node *n)
{
    while (!list_empty(&n->sinks))
        sink_drop(LIST_OWNER(n->sinks.head.next, node_sink, node));
}

/* ---- In the store ---- */

static void put_connection(buf *out, const node_sink *k)
{
    if (k->of_one)
        member_u64(out, "connection", k->connection);
    else
        member_raw(out, "connection", "null");
}

static weir_code store_sink(node_sink *k, weir_error *err)
{
    buf row;
    buf_init(&row, 1 << 20);
    buf_add_char(&row, '{');
    member_text(&row, "name", k->name);
    member_text(&row, "pattern", k->pattern);
    put_connection(&row, k);
    member_text(&row, "policy", k->policy);
    member_bool(&row, "enabled", k->enabled);
    buf_add_char(&row, '}');
    weir_code code = put_and_wait(k->n, "sink", k->id_text, &row, bytes_of(k->spec), err);
    buf_fini(&row);
    return code;
}

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    row_load *l = arg;
    json doc;
    node_sink *k = sink_new(l->n, strtoull(id, NULL, 10));
    if (!k || json_read(&doc, row, l->err)) {
        l->code = k ? WEIR_INVALID : error_set(l->err, WEIR_NOMEM, "out of memory");
        return;
    }
    k->name = json_text(doc, "name");
    k->pattern = json_text(doc, "pattern");
    k->policy = json_text(doc, "policy");
    k->spec = bytes_dup(secret);
    json_bool(json_member(doc, "enabled"), &k->enabled);
    k->of_one = json_u64(json_member(doc, "connection"), &k->connection);
    if (!k->name || !k->pattern || !k->policy || !k->spec)
        l->code = error_set(l->err, WEIR_NOMEM, "out of memory");
    if (sealed) {
        k->enabled = false;
        text_replace(&k->why, "its spec cannot be read: it was sealed with another key; set it anew");
    }
}

weir_code sinks_load(node *n, weir_error *err)
{
    row_load l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "sink", on_row, &l, err);
    return code ? code : l.code;
}

/* ---- Shown ---- */

const char *sink_state_text(const node_sink *k, const char **why)
{
    *why = k->why ? k->why : "";
    if (k->open_then)
        *why = "the one before has still to hear that its last records arrived";
    if (!k->live)
        return k->enabled ? "waiting" : "closed";
    *why = weir_sink_why(k->live);
    weir_sink_state s = weir_sink_get_state(k->live);
    return s == WEIR_SINK_OPEN ? "open" : s == WEIR_SINK_WAITING ? "waiting"
                                                                 : "failed";
}

weir_sink_account sink_account_of(const node_sink *k)
{
    weir_sink_account a = {0}, b = k->before;
    if (k->live || k->leaving)
        weir_sink_get_account(k->live ? k->live : k->leaving, &a);
    a.offered += b.offered;
    a.delivered += b.delivered;
    a.dropped += b.dropped;
    a.accepted += b.accepted;
    a.written += b.written;
    a.lost += b.lost;
    a.octets += b.octets;
    a.again += b.again;
    a.doubles += b.doubles;
    a.connects += b.connects;
    return a;
}

static void put_account(buf *out, const node_sink *k)
{
    weir_sink_account a = sink_account_of(k);
    json_put_key(out, "account");
    buf_add_char(out, '{');
    member_u64(out, "offered", a.offered);
    member_u64(out, "delivered", a.delivered);
    member_u64(out, "dropped", a.dropped);
    member_u64(out, "queued", a.queued);
    member_u64(out, "accepted", a.accepted);
    member_u64(out, "written", a.written);
    member_u64(out, "buffered", a.buffered);
    member_u64(out, "lost", a.lost);
    member_u64(out, "octets", a.octets);
    member_u64(out, "again", a.again);
    member_u64(out, "doubles", a.doubles);
    member_u64(out, "connects", a.connects);
    member_u64(out, "lag_ms", a.lag_ns / NS_PER_MS);
    buf_add_char(out, '}');
}

static void put_sink(buf *out, const node_sink *k)
{
    char shown[SPEC_SHOWN];
    const char *why, *state = sink_state_text(k, &why);
    weir_sink_mask(shown, sizeof shown, k->spec);
    buf_add_char(out, '{');
    member_u64(out, "id", k->id);
    member_text(out, "name", k->name);
    member_text(out, "spec", shown);
    member_text(out, "pattern", k->pattern);
    put_connection(out, k);
    member_text(out, "policy", k->policy);
    member_bool(out, "enabled", k->enabled);
    member_text(out, "state", state);
    member_text(out, "why", why);
    put_account(out, k);
    buf_add_char(out, '}');
}

/* ---- Operations ---- */

static node_sink *asked(ask *a)
{
    node_sink *k = a->id ? sink_of(a->n, a->id) : NULL;
    if (!k)
        ask_fail(a, WEIR_NOT_FOUND, "there is no sink '%s'; GET /v1/sinks lists them", a->id ? a->id : "");
    return k;
}

static void answer(ask *a, const node_sink *k, bool created)
{
    buf out;
    buf_init(&out, 1 << 20);
    put_sink(&out, k);
    ask_done(a, created, &out);
    buf_fini(&out);
}

static bool put_listed(buf *out, const list_node *at)
{
    put_sink(out, LIST_OWNER(at, node_sink, node));
    return true;
}

static void list_sinks(ask *a)
{
    ask_done_list(a, "sinks", &a->n->sinks, put_listed, 64u << 20);
}

static void read_sink(ask *a)
{
    const node_sink *k = asked(a);
    if (k)
        answer(a, k, false);
}

static const char *const members[] = {"name", "spec", "pattern", "connection", "policy", "enabled", NULL};

/* A number, or null: of any. */
static weir_code take_connection(node_sink *k, json v, weir_error *err)
{
    char id[24];
    uint64_t number;
    if (v.type == JSON_NONE)
        return WEIR_OK;
    if (v.type == JSON_NULL) {
        k->of_one = false;
        return WEIR_OK;
    }
    if (!json_u64(v, &number))
        return error_set(err, WEIR_INVALID, "\"connection\" is neither a connection's number nor null");
    snprintf(id, sizeof id, "%llu", (unsigned long long)number);
    if (!connection_find(k->n, id))
        return error_set(err, WEIR_INVALID, "\"connection\": there is no connection '%s'; GET /v1/connections lists them", id);
    k->of_one = true;
    k->connection = number;
    return WEIR_OK;
}

/* What the body says, over what it is. False: the ask has failed. */
static bool take_body(ask *a, node_sink *k, json body)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_slow_policy policy;
    json enabled = json_member(body, "enabled");
    if (!ask_text(a, body, "name", &k->name) || !ask_text(a, body, "spec", &k->spec) || !ask_text(a, body, "pattern", &k->pattern) || !ask_text(a, body, "policy", &k->policy))
        return false;
    if (!k->spec || !*k->spec)
        error_set(&err, WEIR_INVALID, "\"spec\" is needed, such as \"ndjson:/var/lib/weir/out.ndjson\"; docs/sinks.md lists them");
    else if (enabled.type != JSON_NONE && !json_bool(enabled, &k->enabled))
        error_set(&err, WEIR_INVALID, "\"enabled\" is neither true nor false");
    else if ((!k->pattern && !(k->pattern = strdup(">"))) || (!k->policy && !(k->policy = strdup("drop_oldest"))) || (!k->name && !(k->name = strdup(""))))
        error_set(&err, WEIR_NOMEM, "out of memory");
    else if (strlen(k->name) > 200)
        error_set(&err, WEIR_INVALID, "\"name\" is longer than 200 octets");
    else if (take_connection(k, json_member(body, "connection"), &err))
        ;
    else if (!weir_slow_policy_find(k->policy, &policy) || policy == WEIR_SLOW_BLOCK)
        error_set(&err, WEIR_INVALID, "\"policy\": drop_oldest, newest_per_key or disconnect");
    if (err.code)
        ask_fail_with(a, &err);
    return !err.code;
}

static void create(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    json body;
    if (!ask_body(a, &body, members))
        return;
    node_sink *k = sink_new(a->n, store_next_id(a->n->store, "sink"));
    if (!k) {
        ask_fail(a, WEIR_NOMEM, "out of memory");
        return;
    }
    if (!take_body(a, k, body)) {
        sink_drop(k);
        return;
    }
    /* What cannot even be opened now is refused; what fails later is tried again. */
    if (k->enabled && open_it(k, &err) == WEIR_SYSTEM)
        err.code = WEIR_INVALID; /* such as a folder in the place of a file: another spec would do */
    if (err.code || store_sink(k, &err)) {
        sink_drop(k);
        ask_fail_with(a, &err);
        return;
    }
    changed(a->n, "sinks", k->id_text);
    answer(a, k, true);
}

static weir_code exchange(node_sink *k, node_sink *next, weir_error *err)
{
    weir_code code = store_sink(next, err);
    if (code)
        return code;
#define TRADE(member)             \
    do {                          \
        char *was_ = k->member;   \
        k->member = next->member; \
        next->member = was_;      \
    } while (0)
    TRADE(name);
    TRADE(spec);
    TRADE(pattern);
    TRADE(policy);
#undef TRADE
    k->enabled = next->enabled;
    k->of_one = next->of_one;
    k->connection = next->connection;
    close_it(k);
    k->tries = 0;
    text_replace(&k->why, NULL);
    on_retry(k);
    changed(k->n, "sinks", k->id_text);
    return WEIR_OK;
}

static void update(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_sink *k = asked(a);
    if (!k || !ask_body(a, &body, members))
        return;
    node_sink *next = sink_new(a->n, k->id);
    if (!next || !(next->name = strdup(k->name)) || !(next->spec = strdup(k->spec)) || !(next->pattern = strdup(k->pattern)) || !(next->policy = strdup(k->policy))) {
        if (next)
            sink_drop(next);
        ask_fail(a, WEIR_NOMEM, "out of memory");
        return;
    }
    next->enabled = k->enabled;
    next->of_one = k->of_one;
    next->connection = k->connection;
    list_remove(&next->node); /* it only holds what is wanted */
    if (take_body(a, next, body)) {
        if (exchange(k, next, &err))
            ask_fail_with(a, &err);
        else
            answer(a, k, false);
    }
    sink_drop(next);
}

static void remove_sink(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_sink *k = asked(a);
    if (!k)
        return;
    if (remove_and_wait(a->n, "sink", k->id_text, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    sink_drop(k);
    changed(a->n, "sinks", a->id);
    ask_done(a, false, NULL);
}

const node_op sink_ops_of_node[] = {
    {"sinks.list", list_sinks, 0},
    {"sinks.read", read_sink, 0},
    {"sinks.create", create, OP_JOB},
    {"sinks.update", update, OP_JOB},
    {"sinks.remove", remove_sink, OP_JOB},
    {NULL, NULL, 0},
};
