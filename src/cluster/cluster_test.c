/* A node's life in a cluster without memory: each allocation fails once, from cluster_new to records carried and fed. */
#include "cluster/rows.h"
#include "cluster/testing.h"
#include "node/testing.h"

#define LONG_MS 600000 /* no tick, no lapse */

static fixture t;
static uint64_t seq;
static timer player;

/* With a plugin and a stream, as a node has them that founds a cluster. Nobody is there to connect to. */
static void begin(void)
{
    fixture_open(&t, NULL);
    CHECK_INT(fixture_upload(&t, "push_woox"), WEIR_OK);
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", "{}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"plugin\":\"push-woox\",\"type\":\"trades\",\"identifier\":\"X\"}"), WEIR_OK);
}

/* As if it had been in none. */
static void forget(void)
{
    store_remove(node_store(t.n), "cluster", "node", NULL, NULL);
    store_remove(node_store(t.n), "cluster", "records", NULL, NULL);
}

static weir_code make(cluster **c)
{
    weir_error err = WEIR_ERROR_INIT;
    cluster_options o = {.servers = PLAYED_SERVERS, .lease_ms = LONG_MS};
    weir_code code = cluster_new(c, t.n, &o, &err);
    if (code && code != WEIR_NOMEM)
        test_fail(__FILE__, __LINE__, "%s: %s", weir_code_name(code), err.text);
    CHECK(!code || strstr(err.text, "cluster: "));
    return code;
}

TEST(cluster, is_made_or_not_whichever_allocation_fails)
{
    begin();
    FAULT_SWEEP(alloc) {
        cluster *c = NULL;
        make(&c);
        cluster_free(c);
    }
    fixture_close(&t);
}

TEST(cluster, wrong_options_are_refused_with_what_would_do)
{
    static const struct {
        cluster_options o;
        const char *text;
    } cases[] = {
        {{.servers = "127.0.0.1:4222"}, "'127.0.0.1:4222' is no server such as nats://"},
        {{.servers = NULL}, "is no server such as nats://"},
        {{.servers = PLAYED_SERVERS, .lease_ms = 100}, "a lease of less than 300 ms"},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        cluster *c = NULL;
        CHECK_INT(cluster_new(&c, t.n, &cases[i].o, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(!c);
    }
    fixture_close(&t);
}

/* Answers whatever is asked, also while a question to the node waits inside. */
static void play(void *arg)
{
    cluster *c = arg;
    played_answer(c->talk, NULL, &seq);
    timer_after(&player, list_empty(&c->talk->in_order) ? NS_PER_MS : 1);
}

static void step(int times)
{
    for (int i = 0; i < times; i++)
        node_step(t.n, 2);
}

/* What this node has, the cluster has, too. */
static void own_rows(cluster *c)
{
    static const char *const kinds[] = {"plugin", "connection", "stream"};
    for (list_node *at = c->own.head.next; at != &c->own.head; at = at->next) {
        own_row *o = LIST_OWNER(at, own_row, node);
        char key[64], text[8192];
        snprintf(key, sizeof key, "want.%s.own%s", kinds[o->kind], o->id);
        snprintf(text, sizeof text, "{\"kind\":\"%s\",\"id\":\"%s\",\"row\":%.*s}", kinds[o->kind], o->id, (int)o->json.len, o->json.at);
        while (!played_row(c->talk, key, text, &seq))
            ; /* a server has memory of its own */
    }
}

/* Rows of the cluster: what it is, who is there, who has what, what is wanted. */
static void rows(cluster *c)
{
    char text[400], key[64];
    own_rows(c);
    snprintf(text, sizeof text, "{\"id\":\"0011223344556677\",\"key\":\"%s\",\"founder\":\"%s\"}", c->print, c->id);
    played_row(c->talk, "meta", text, &seq);
    played_row(c->talk, "numbers", "{\"next\":4000}", &seq);
    played_row(c->talk, "node.8899aabbccddeeff", "{\"session\":\"1122334455667788\",\"name\":\"other\",\"lease_ms\":1000,\"streams\":3}", &seq);
    played_row(c->talk, "lease.t.00112233445566778899aabbccddeeff", "{\"node\":\"8899aabbccddeeff\",\"session\":\"1122334455667788\",\"mark\":\"100000\",\"at\":\"1\",\"topic\":\"x\"}", &seq);
    step(10);
    snprintf(key, sizeof key, "node.%s", c->id);
    snprintf(text, sizeof text, "{\"session\":\"%s\",\"name\":\"test\",\"lease_ms\":600000,\"streams\":0}", c->session);
    played_row(c->talk, key, text, &seq);
    played_row(c->talk, "node.8899aabbccddeeff", "{\"session\":\"\",\"name\":\"other\"}", &seq);
    played_row(c->talk, "want.stream.00112233445566778899aabbccddeeff", "{\"kind\":\"stream\",\"id\":\"900\",\"row\":{\"connection\":1,\"type\":\"a\",\"identifier\":\"other\",\"wanted\":false}}", &seq);
    step(5);
}

#define LINE(seq, data) "{\"seq\":\"" seq "\",\"kind\":\"data\",\"type\":\"orderbook\",\"source\":\"form\",\"identifier\":\"z\",\"parameters\":{},\"connection\":1,\"ts_event\":null,\"ts_recv\":\"1\",\"ts_out\":\"2\",\"data\":" data "}\n"

/* An order book of another node's, and a late reader of it here. */
static void feed(cluster *c)
{
    static const char first[] = LINE("7", "{\"bids\":[[\"9\",\"1\"]],\"asks\":[],\"flags\":[\"snapshot\"]}") LINE("8", "{\"bids\":[[\"8\",\"1\"]],\"asks\":[],\"flags\":[\"last\"]}");
    static const char next[] = LINE("9", "{\"bids\":[[\"9\",\"0\"]],\"asks\":[],\"flags\":[\"last\"]}");
    weir_error err = WEIR_ERROR_INIT;
    sub *late = NULL;
    came m = {.message = {.kind = TALK_RECORD, .epoch = 5, .book = 1, .seq = ++seq}};
    played_put(c->talk, &m, "orderbook.form.z@1", bytes_of(first));
    step(2);
    if (hub_subscribe(&late, node_hub(t.n), "orderbook.>", NULL, &err))
        return;
    m.message.seq = ++seq;
    played_put(c->talk, &m, "orderbook.form.z@1", bytes_of(next));
    step(2);
    record *r = sub_next(late);
    if (r && r->whole)
        CHECK_HAS(r->data.at, "\"bids\":[[\"8\",\"1\"]]"); /* 9 is gone */
    record_unref(r);
    hub_unsubscribe(node_hub(t.n), late);
}

static lease *held(const cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (map_each(c->leases, &at, &key, &value))
        if (((lease *)value)->state == LEASE_HELD && ((lease *)value)->name)
            return value;
    return NULL;
}

/* A record of the stream that runs here, and its answer. */
static void carry(cluster *c)
{
    lease *l = held(c);
    record_stream *s = l ? node_stream_records(t.n, bytes_of(l->name)) : NULL;
    if (!s)
        return;
    hub_publish(node_hub(t.n), record_new(s, 1, 2, BYTES("{\"x\":1}")));
    carry_drain(c);
    for (int i = 0; i < 20 && !c->figures.carried; i++)
        step(1);
    carry_whole(c, bytes_of(l->name));
}

static void change(void)
{
    node_question q = {.op = "connections.update", .id = "1", .body = BYTES("{\"name\":\"another\"}"), .who = "test"};
    t.answered = false;
    node_ask(t.n, &q, on_fixture_answer, &t);
    for (int i = 0; i < 100 && !t.answered; i++)
        step(1);
    CHECK(t.answered); /* each question, whatever fails */
}

static void on_left(void *arg)
{
    *(bool *)arg = true;
}

typedef struct seen {
    bool in, held, carried, fed, left;
} seen;

static seen live(void)
{
    seen s = {0};
    bool left = false;
    cluster *c = NULL;
    if (make(&c))
        return s;
    played_up(c);
    timer_init(&player, c->loop, play, c);
    timer_after(&player, 1);
    step(5);
    rows(c);
    s.in = c->state == CLUSTER_IN;
    for (int i = 0; i < 50 && s.in && !held(c); i++) {
        leases_look(c);
        step(1);
    }
    s.held = held(c) != NULL;
    carry(c);
    s.carried = c->figures.carried > 0;
    feed(c);
    s.fed = c->figures.fed == 3;
    change();
    cluster_leave(c, on_left, &left);
    for (int i = 0; i < 30 && !left; i++) {
        leases_look(c);
        step(1);
    }
    s.left = left;
    timer_stop(&player);
    cluster_free(c);
    return s;
}

static void check_whole(void)
{
    seen s = live();
    CHECK(s.in);
    CHECK(s.held);
    CHECK(s.carried);
    CHECK(s.fed);
    CHECK(s.left);
}

TEST(cluster, its_founder_survives_any_failed_allocation)
{
    begin();
    FAULT_SWEEP(alloc) {
        forget();
        live();
    }
    forget();
    CHECK_INT(ask_octets(&t, "ui.write", NULL, "x", "", BYTES("{}")), WEIR_OK); /* behind it in the store */
    check_whole();
    fixture_close(&t);
}

TEST(cluster, one_that_was_in_it_survives_any_failed_allocation)
{
    begin();
    check_whole();
    FAULT_SWEEP(alloc) {
        live();
    }
    check_whole();
    fixture_close(&t);
}
