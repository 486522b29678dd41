/* A cluster's life: begun, connected, loaded, joined, left. What is done with rows, leases and records is in their files. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/log.h"
#include "cluster/rows.h"

#define LEASE_MS 10000
#define LOOK_NS (10 * NS_PER_MS) /* between two goings through the leases: there may be very many */
#define LEASE_MS_MIN 300
#define RECORDS_OCTETS ((uint64_t)1 << 30)
#define RECORDS_MS (3600u * 1000)

void cluster_key(char out[KEY_TEXT], bytes of)
{
    char whole[DIGEST_HEX];
    digest_sha256(whole, of);
    memcpy(out, whole, KEY_TEXT - 1);
    out[KEY_TEXT - 1] = '\0';
}

static const char *state_name(cluster_state s)
{
    static const char *const names[] = {"away", "loading", "joining", "in", "refused", "left"};
    return names[s];
}

void cluster_enter(cluster *c, cluster_state state, const char *format, ...)
{
    char text[sizeof c->why];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->state == state && !strcmp(text, c->why))
        return;
    c->state = state;
    memcpy(c->why, text, sizeof text);
    log_at(state == CLUSTER_AWAY || state == CLUSTER_REFUSED ? LOG_WARN : LOG_INFO, "cluster", "%s: %s", state_name(state), text);
}

void cluster_look(cluster *c)
{
    if (c->state == CLUSTER_IN && !timer_running(&c->look))
        timer_at(&c->look, c->looked + LOOK_NS);
}

void cluster_left(cluster *c)
{
    void (*fn)(void *arg) = c->on_left;
    c->on_left = NULL;
    if (fn)
        fn(c->left_arg);
}

void cluster_blind(cluster *c)
{
    if (!c->blind)
        log_error("cluster", "out of memory for a row of the cluster: all of them are read anew");
    c->blind = true;
    talk_again(c->talk);
}

/* ---- What comes ---- */

static void on_row(cluster *c, const talk_message *m)
{
    if (!strncmp(m->subject, "want.", 5))
        rows_on_row(c, m->subject, m);
    else if (!strncmp(m->subject, "node.", 5))
        members_on_row(c, m->subject + 5, m);
    else if (!strncmp(m->subject, "lease.", 6))
        leases_on_row(c, m->subject + 6, m);
    else if (!strcmp(m->subject, "numbers"))
        numbers_on_row(c, m);
    else if (!strcmp(m->subject, "meta"))
        meta_on_row(c, m);
    if (!m->pending && *c->meta && !c->loaded) {
        c->loaded = true;
        if (c->state == CLUSTER_LOADING || strcmp(c->joined, c->meta) != 0)
            rows_settle(c);
    }
}

static void on_up(cluster *c, const talk_message *m)
{
    log_info("cluster", "NATS is there");
    c->blind = false;
    c->unrenewed[0] = '\0';
    feed_on_up(c, m->seq);
    c->loaded = c->meta_asked = false;
    if (c->state == CLUSTER_AWAY || c->state == CLUSTER_JOINING || c->state == CLUSTER_REFUSED)
        cluster_enter(c, CLUSTER_LOADING, "what is wanted is being read");
    meta_ask(c);
    carry_retry(c);
}

static void on_down(cluster *c, const talk_message *m)
{
    c->loaded = false;
    c->renewing = c->numbers_asked = c->bringing = false;
    snprintf(c->unrenewed, sizeof c->unrenewed, "%s", m->text);
    members_down(c);
    if (c->state == CLUSTER_IN)
        log_warn("cluster", "NATS is away (%s); this node goes on with what it holds until its session is over", m->text);
    else if (c->state != CLUSTER_LEFT && c->state != CLUSTER_REFUSED)
        cluster_enter(c, CLUSTER_AWAY, "%.450s", m->text);
}

static void on_message(void *arg, const talk_message *m)
{
    cluster *c = arg;
    if (c->state == CLUSTER_IN && !session_valid(c)) /* we have slept: first of all let go */
        session_lapse(c);
    switch (m->kind) {
    case TALK_UP:
        on_up(c, m);
        break;
    case TALK_DOWN:
        on_down(c, m);
        break;
    case TALK_ROW:
        on_row(c, m);
        break;
    case TALK_RECORD:
        feed_on_record(c, m);
        break;
    case TALK_ASKED:
        carry_whole(c, m->data);
        break;
    }
}

static void on_tick(void *arg)
{
    cluster *c = arg;
    if (talk_is_up(c->talk) && !c->leaving) {
        meta_ask(c);
        if (c->state == CLUSTER_LOADING && c->loaded && rows_settle(c) && c->state == CLUSTER_LOADING)
            cluster_enter(c, CLUSTER_JOINING, "its session is being begun");
    }
    members_tick(c);
    if (c->state == CLUSTER_IN && talk_is_up(c->talk)) {
        numbers_need(c);
        rows_take(c);
        carry_retry(c);
    }
    if (clock_mono() - c->kept_at > NS_PER_S) {
        c->kept_at = clock_mono();
        feed_keep(c);
    }
    cluster_look(c);
    timer_after(&c->tick, c->lease_ns / 6);
}

/* ---- Shown ---- */

static void put_members(buf *out, const cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    bool first = true;
    json_put_key(out, "nodes");
    buf_add_char(out, '[');
    while (map_each(c->members, &at, &key, &value)) {
        const member *m = value;
        buf_add_text(out, first ? "{" : ",{");
        first = false;
        json_put_member(out, "id", bytes_of(m->id));
        json_put_member(out, "name", bytes_of(m->name ? m->name : ""));
        buf_add_fmt(out, ",\"alive\":%s,\"streams\":%llu}", *m->session ? "true" : "false", (unsigned long long)m->streams);
    }
    buf_add_char(out, ']');
}

static void put_leases(buf *out, const cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    bool first = true;
    json_put_key(out, "leases");
    buf_add_char(out, '[');
    while (map_each(c->streams, &at, &key, &value)) {
        const lease *l = value;
        if (l->state == LEASE_NONE)
            continue;
        buf_add_text(out, first ? "{" : ",{");
        first = false;
        const char *mark = strrchr(l->name, '@');
        json_put_member(out, "topic", bytes_make(l->name, mark ? (size_t)(mark - l->name) : strlen(l->name)));
        buf_add_fmt(out, ",\"connection\":%s", mark ? mark + 1 : "null");
        buf_add_fmt(out, ",\"fence\":%llu,\"held\":%s}", (unsigned long long)l->epoch, l->state == LEASE_HELD ? "true" : "false");
    }
    buf_add_char(out, ']');
}

static void put_json(void *arg, buf *out)
{
    cluster *c = arg;
    buf_add_char(out, '{');
    json_put_member(out, "state", bytes_of(state_name(c->state)));
    json_put_member(out, "why", bytes_of(c->state == CLUSTER_IN ? "" : c->why));
    json_put_member(out, "id", bytes_of(c->id));
    json_put_member(out, "cluster", bytes_of(c->meta));
    buf_add_fmt(out, ",\"connected\":%s", talk_is_up(c->talk) ? "true" : "false");
    put_members(out, c);
    put_leases(out, c);
#define FIGURE(name) buf_add_fmt(out, ",\"" #name "\":%llu", (unsigned long long)c->figures.name);
    FIGURE(carried)
    FIGURE(messages)
    FIGURE(refused)
    FIGURE(dropped)
    FIGURE(fed)
    FIGURE(old)
    FIGURE(bad)
    FIGURE(taken)
    FIGURE(lost)
    FIGURE(left)
    FIGURE(struck)
#undef FIGURE
    buf_add_char(out, '}');
}

/* ---- Made, left, freed ---- */

static weir_code begin(cluster *c, const cluster_options *o, weir_error *err)
{
    talk_options t = {
        .servers = o->servers,
        .name = node_name(c->n),
        .replicas = o->replicas,
        .records_octets = o->records_octets ? o->records_octets : RECORDS_OCTETS,
        .records_ms = o->records_ms ? o->records_ms : RECORDS_MS,
        .answer_ns = c->lease_ns / 3,
        .on_message = on_message,
        .arg = c,
    };
    weir_code code = rows_begin(c, err);
    if (!code)
        code = feed_begin(c, err);
    if (!code && !o->unkept)
        code = keeper_new(&c->keeper, err);
    t.records_from = c->record_place + 1;
    if (!code)
        code = carry_begin(c, err);
    return code ? code : talk_new(&c->talk, c->loop, &t, err);
}

static void lists_of(cluster *c)
{
    for (int i = 0; i < 6; i++)
        list_init(&c->todo[i]);
    list_init(&c->orphans);
    list_init(&c->own);
    list_init(&c->spare);
    c->members = map_new();
    c->leases = map_new();
    c->streams = map_new();
    c->fed = map_new();
    c->rows = map_new();
    c->row_ids = map_new();
}

weir_code cluster_new(cluster **out, node *n, const cluster_options *o, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    err = err ? err : &own;
    uint64_t lease_ms = o->lease_ms ? o->lease_ms : LEASE_MS;
    if (lease_ms < LEASE_MS_MIN || !o->servers || strncmp(o->servers, "nats://", 7) != 0)
        return error_set(err, WEIR_INVALID, lease_ms < LEASE_MS_MIN ? "cluster: a lease of less than 300 ms is lost to the slightest delay; 10 s is usual" : "cluster: '%.200s' is no server such as nats://127.0.0.1:4222", o->servers ? o->servers : "");
    cluster *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, WEIR_NOMEM, "cluster: out of memory");
    c->n = n;
    c->loop = node_loop(n);
    c->lease_ns = lease_ms * NS_PER_MS;
    c->grace_ns = o->grace_ms ? o->grace_ms * NS_PER_MS : 3 * c->lease_ns;
    c->share = (node_share){c, lease_may_open, rows_change, module_put, numbers_take, put_json};
    snprintf(c->why, sizeof c->why, "NATS is being connected to");
    random_id(c->run);
    store_key_print(node_store(n), c->print);
    lists_of(c);
    timer_init(&c->tick, c->loop, on_tick, c);
    timer_init(&c->look, c->loop, leases_look, c);
    timer_init(&c->end, c->loop, session_lapse, c);
    weir_code code = c->members && c->leases && c->streams && c->fed && c->rows && c->row_ids ? begin(c, o, err) : error_set(err, WEIR_NOMEM, "out of memory");
    if (code) {
        cluster_free(c);
        return error_wrap(err, "cluster");
    }
    node_share_by(n, &c->share);
    timer_after(&c->tick, 1);
    *out = c;
    return WEIR_OK;
}

void cluster_leave(cluster *c, void (*fn)(void *arg), void *arg)
{
    c->leaving = true;
    c->on_left = fn;
    c->left_arg = arg;
    if (c->state != CLUSTER_IN || !talk_is_up(c->talk)) {
        leases_drop(c, "the node is stopping");
        keeper_until(c->keeper, 0);
        cluster_left(c);
    } else {
        cluster_look(c);
    }
}

void cluster_free(cluster *c)
{
    if (!c)
        return;
    c->on_left = NULL;
    timer_stop(&c->tick);
    timer_stop(&c->end);
    timer_stop(&c->look);
    leases_drop(c, "the node is stopping");
    keeper_until(c->keeper, 0);
    talk_free(c->talk); /* whoever waits hears that it is over */
    node_share_by(c->n, NULL);
    feed_keep(c);
    carry_end(c);
    rows_end(c);
    leases_free(c);
    members_free(c);
    feed_end(c);
    keeper_free(c->keeper);
    free(c);
}
