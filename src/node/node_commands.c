/* Commands: what a connection's plugin is asked at once, and the test of a connection, which is one, too.
 *
 * While the plugin answers, the question is in the node's list with its connection in `work`: if that is unloaded
 * first, the question fails (fail_asks in node_connections.c), and the plugin's own answer never comes. */
#include <stdlib.h>

#include "node/inside.h"

static node_connection *ready(ask *a, bool test)
{
    node_connection *c = a->id ? connection_find(a->n, a->id) : NULL;
    if (!c)
        ask_fail(a, WEIR_NOT_FOUND, "there is no connection '%s'; GET /v1/connections lists them", a->id ? a->id : "");
    else if (!test && c->state != CONNECTION_READY)
        ask_fail(a, c->state == CONNECTION_LOADING ? WEIR_BUSY : WEIR_INVALID, "connection %s is %s: %s", c->id_text, connection_state_name(c->state), c->why ? c->why : "");
    else
        return c;
    return NULL;
}

/* ---- commands.run ---- */

static uint64_t took_ms(const ask *a)
{
    return (clock_mono() - a->began) / NS_PER_MS;
}

static void on_wait(void *arg, weir_plugin *plugin, uint64_t wait_ms, const char *limit)
{
    node_connection *c = arg;
    (void)plugin, (void)limit;
    for (list_node *at = c->n->asks.head.next; at != &c->n->asks.head; at = at->next) {
        ask *a = LIST_OWNER(at, ask, node);
        if (a->work == c && !a->waited_ms)
            a->waited_ms = wait_ms;
    }
}

static void on_result(void *arg, const weir_result *r)
{
    ask *a = arg;
    buf out;
    if (r->code) {
        ask_fail(a, r->code, "%s", r->error);
        return;
    }
    buf_init(&out, 256u << 20);
    buf_add_char(&out, '{');
    json_put_key(&out, "result");
    if (r->output_len)
        buf_add(&out, r->output, r->output_len);
    else
        buf_add_text(&out, "null");
    member_u64(&out, "took_ms", took_ms(a));
    member_u64(&out, "waited_ms", a->waited_ms);
    buf_add_char(&out, '}');
    ask_done(a, false, &out);
    buf_fini(&out);
}

static void run(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_connection *c = ready(a, false);
    if (!c)
        return;
    unsigned flags = (ask_flag(a, "raw") ? WEIR_COMMAND_RAW : 0u) | (ask_flag(a, "fresh") ? WEIR_COMMAND_FRESH : 0u);
    buf_add_char(&a->body, '\0');
    if (a->body.failed || !a->name) {
        ask_fail(a, WEIR_NOMEM, "out of memory");
        return;
    }
    a->work = c;
    a->began = clock_mono();
    weir_plugin_on_wait(c->live, on_wait, c);
    if (weir_command(c->live, a->name, a->body.at, flags, on_result, a, &err))
        ask_fail_with(a, &err);
}

/* ---- connections.test ---- */

static void tell(ask *a, bool ok, const char *why)
{
    buf out;
    buf_init(&out, 1 << 16);
    buf_add_char(&out, '{');
    member_bool(&out, "ok", ok);
    member_text(&out, "why", why);
    member_u64(&out, "took_ms", took_ms(a));
    buf_add_char(&out, '}');
    ask_done(a, false, &out);
    buf_fini(&out);
}

static void on_tested(void *arg, const weir_result *r)
{
    tell(arg, r->code == WEIR_OK, r->error);
}

/* One that has nothing to ask: a stream of it that is live says as much. */
static void test_by_stream(ask *a, const node_connection *c)
{
    for (const list_node *at = a->n->streams.head.next; at != &a->n->streams.head; at = at->next) {
        const node_stream *s = LIST_OWNER(at, node_stream, node);
        if (s->connection == c && s->live && weir_stream_get_state(s->live) == WEIR_STREAM_LIVE) {
            tell(a, true, "");
            return;
        }
    }
    tell(a, false, "its plugin has no command that could be asked, and no stream of it is live; open a stream, whose state will say");
}

static void test(ask *a)
{
    static const char *const names[] = {"getMarkets", "getTimeframes", "import_events"};
    weir_error err = WEIR_ERROR_INIT;
    node_connection *c = ready(a, true);
    if (!c)
        return;
    a->began = clock_mono();
    if (c->state != CONNECTION_READY) {
        tell(a, false, c->why && *c->why ? c->why : connection_state_name(c->state));
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!weir_plugin_knows(c->live, names[i]))
            continue;
        a->work = c;
        if (weir_command(c->live, names[i], NULL, WEIR_COMMAND_FRESH, on_tested, a, &err))
            tell(a, false, err.text);
        return;
    }
    test_by_stream(a, c);
}

const node_op command_ops[] = {
    {"commands.run", run, 0},
    {"connections.test", test, 0},
    {NULL, NULL, 0},
};
