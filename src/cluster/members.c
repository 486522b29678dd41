/* Sessions: this node's own, and who else is there.
 *
 * A session is a row "node.ID", written anew at a third of the lease time under the condition that nobody else wrote it. Ours
 * holds from before the last acknowledged write was sent, for three quarters of the lease time; the keeper comes at the whole. Another's is over
 * when we have not seen its row change for a lease time and a quarter, by our own clock: since it saw its own write
 * begin before we saw it, that is later than its own count in any case. Then it is struck out, under the condition that the row is as
 * we saw it: from that moment its next write fails. A session that nobody knows was struck out before. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cluster/inside.h"

static uint64_t hold_ns(const cluster *c)
{
    return c->lease_ns / 4 * 3;
}

member *member_of(const cluster *c, const char *id)
{
    return map_get(c->members, bytes_of(id));
}

bool session_alive(const cluster *c, const char *holder, const char *session)
{
    const member *m = member_of(c, holder);
    return *session && m && !strcmp(m->session, session);
}

bool session_valid(const cluster *c)
{
    return c->state == CLUSTER_IN && clock_mono() < c->renewed + hold_ns(c);
}

/* ---- Ours ---- */

static void put_session(const cluster *c, buf *out)
{
    uint64_t streams = 0;
    size_t at = 0;
    bytes key;
    void *value;
    while (map_each(c->leases, &at, &key, &value))
        streams += ((lease *)value)->name && ((lease *)value)->state == LEASE_HELD;
    buf_add_char(out, '{');
    json_put_member(out, "session", bytes_of(c->session));
    json_put_member(out, "name", bytes_of(node_name(c->n)));
    buf_add_fmt(out, ",\"lease_ms\":%llu,\"streams\":%llu}", (unsigned long long)(c->lease_ns / NS_PER_MS), (unsigned long long)streams);
}

static void write_session(cluster *c, uint64_t expect, bool deletes, talk_done fn)
{
    char subject[96];
    buf body;
    snprintf(subject, sizeof subject, TALK_ROWS "node.%s", c->id);
    buf_init(&body, 1 << 16);
    if (!deletes)
        put_session(c, &body);
    talk_note note = {.subject = subject, .data = buf_bytes(&body), .expects = true, .expect = expect, .deletes = deletes};
    talk_send(c->talk, &note, fn, c);
    buf_fini(&body);
}

/* It holds from `asked_at`. */
static void hold(cluster *c, const talk_answer *a)
{
    uint64_t mono = clock_mono(), boot = keeper_clock();
    c->renewed = a->asked_at;
    timer_at(&c->end, c->renewed + hold_ns(c));
    keeper_until(c->keeper, boot - (mono - c->renewed) + c->lease_ns);
}

static void on_renewed(void *arg, const talk_answer *a)
{
    cluster *c = arg;
    c->renewing = false;
    snprintf(c->unrenewed, sizeof c->unrenewed, "%s", a->code ? a->error : "");
    if (c->state != CLUSTER_IN || a->code)
        return; /* tried again; the row's watch says if it was struck out */
    if (a->seq > c->session_revision)
        c->session_revision = a->seq;
    if (clock_mono() < c->renewed + hold_ns(c))
        hold(c, a);
    else
        session_lapse(c); /* the answer came too late to count on */
}

static void renew(cluster *c)
{
    if (c->renewing || !talk_is_up(c->talk))
        return;
    c->renewing = true;
    write_session(c, c->session_revision, false, on_renewed);
}

static void on_joined(void *arg, const talk_answer *a)
{
    cluster *c = arg;
    c->renewing = false;
    if (c->state != CLUSTER_JOINING)
        return;
    snprintf(c->unrenewed, sizeof c->unrenewed, "%s", a->code ? a->error : "");
    if (a->code) {
        cluster_enter(c, CLUSTER_JOINING, "its session cannot be begun: %.300s", a->error);
        return; /* the next tick tries again */
    }
    c->session_revision = a->seq;
    c->renewed = a->asked_at;
    if (clock_mono() >= c->renewed + hold_ns(c))
        return;
    cluster_enter(c, CLUSTER_IN, "joined as node %s", c->id);
    hold(c, a);
    cluster_look(c);
}

void session_join(cluster *c)
{
    const member *own = member_of(c, c->id);
    if (c->renewing || !talk_is_up(c->talk) || c->leaving)
        return;
    if (own && *own->session && strcmp(own->session, c->session) != 0) { /* of a process before; it runs out, or is struck out */
        cluster_enter(c, CLUSTER_JOINING, "its last session has to run out first, or be struck out%s%s", *c->unrenewed ? ": " : "", c->unrenewed);
        return;
    }
    random_id(c->session);
    c->renewing = true;
    write_session(c, own ? own->revision : 0, false, on_joined);
}

void session_lapse(void *arg)
{
    cluster *c = arg;
    if (c->state != CLUSTER_IN)
        return;
    timer_stop(&c->end);
    leases_drop(c, "the session in the cluster is over; it is begun anew");
    keeper_until(c->keeper, 0);
    c->renewing = false;
    cluster_enter(c, talk_is_up(c->talk) && c->loaded ? CLUSTER_JOINING : CLUSTER_AWAY, "its session is over: it could not be renewed within %llu ms%s%s",
                  (unsigned long long)(hold_ns(c) / NS_PER_MS), *c->unrenewed ? ": " : "", c->unrenewed);
}

static void on_gone(void *arg, const talk_answer *a)
{
    (void)a;
    cluster_left(arg);
}

void session_leave(cluster *c)
{
    timer_stop(&c->end);
    keeper_until(c->keeper, 0);
    cluster_enter(c, CLUSTER_LEFT, "left");
    write_session(c, c->session_revision, true, on_gone);
}

/* ---- The others ---- */

static member *member_new(cluster *c, const char *id)
{
    member *m = calloc(1, sizeof *m);
    if (!m || !map_set(c->members, bytes_of(id), m, NULL)) {
        free(m);
        return NULL;
    }
    m->c = c;
    snprintf(m->id, sizeof m->id, "%s", id);
    return m;
}

static void read_member(member *m, bytes data)
{
    json doc;
    uint64_t lease_ms = 0;
    char session[ID_TEXT] = "";
    bytes text;
    if (json_read(&doc, data, NULL))
        return;
    if (json_string_slice(json_member(doc, "session"), &text)) /* without memory: who is not read is taken for gone */
        snprintf(session, sizeof session, "%.*s", (int)(text.len < ID_TEXT ? text.len : ID_TEXT - 1), text.at);
    if (strcmp(session, m->session) != 0)
        m->since = m->seen;
    memcpy(m->session, session, sizeof session);
    free(m->name);
    m->name = json_string_dup(json_member(doc, "name"));
    json_u64(json_member(doc, "streams"), &m->streams);
    if (json_u64(json_member(doc, "lease_ms"), &lease_ms))
        m->lease_ns = lease_ms * NS_PER_MS;
}

void members_on_row(cluster *c, const char *id, const talk_message *message)
{
    member *m = member_of(c, id);
    if (strlen(id) >= ID_TEXT)
        return;
    if (!m && !(m = member_new(c, id)))
        cluster_blind(c);
    if (!m || message->seq <= m->revision)
        return;
    bool was = *m->session != '\0';
    m->revision = message->seq;
    m->seen = clock_mono();
    m->striking = false;
    if (message->deleted)
        m->session[0] = '\0';
    else
        read_member(m, message->data);
    if (was != (*m->session != '\0'))
        log_info("cluster", "node %s (%s) %s", m->name ? m->name : "", m->id, was ? "is gone" : "is there");
    if (!strcmp(id, c->id) && c->state == CLUSTER_IN) {
        if (strcmp(m->session, c->session) != 0) {
            log_warn("cluster", "this node's session was struck out by another node");
            session_lapse(c);
        } else if (m->revision > c->session_revision) {
            c->session_revision = m->revision; /* its answer was lost */
        }
    }
    cluster_look(c);
}

static void on_struck(void *arg, const talk_answer *a)
{
    member *m = arg;
    m->striking = false;
    if (a->code == WEIR_OK) {
        m->c->figures.struck++;
        log_warn("cluster", "node %s (%s) was not seen for its lease time; its session is struck out", m->name ? m->name : "", m->id);
    } else if (a->code != WEIR_BUSY && !strcmp(m->id, m->c->id)) {
        snprintf(m->c->unrenewed, sizeof m->c->unrenewed, "%s", a->error);
    }
}

static void strike(cluster *c, member *m)
{
    char subject[96];
    snprintf(subject, sizeof subject, TALK_ROWS "node.%s", m->id);
    talk_note note = {.subject = subject, .expects = true, .expect = m->revision, .deletes = true};
    m->striking = true;
    talk_send(c->talk, &note, on_struck, m);
}

/* A lost connection says nothing about the others: their time begins anew when rows come again. */
void members_down(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (map_each(c->members, &at, &key, &value)) {
        ((member *)value)->seen = clock_mono();
        ((member *)value)->striking = false;
    }
}

void members_tick(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    uint64_t now = clock_mono();
    keeper_check(c->keeper);
    if (c->state == CLUSTER_IN && now >= c->renewed + c->lease_ns / 3)
        renew(c);
    if (!c->loaded || !talk_is_up(c->talk))
        return;
    while (map_each(c->members, &at, &key, &value)) {
        member *m = value;
        bool ours = c->state == CLUSTER_IN && !strcmp(m->id, c->id);
        if (*m->session && !ours && !m->striking && now > m->seen + m->lease_ns + m->lease_ns / 4)
            strike(c, m);
    }
    if (c->state == CLUSTER_JOINING)
        session_join(c);
}

const member *member_for(const cluster *c, const char *key, bool settled)
{
    const member *best = NULL;
    uint64_t most = 0, now = clock_mono();
    size_t at = 0;
    bytes id;
    void *value;
    while (map_each(c->members, &at, &id, &value)) {
        const member *m = value;
        bool ours = !strcmp(m->id, c->id);
        if (!*m->session || (ours && c->leaving) || (settled && !ours && now < m->since + c->grace_ns))
            continue;
        uint64_t weight = bytes_hash(bytes_of(key), bytes_hash(id, 1));
        if (!best || weight > most || (weight == most && strcmp(m->id, best->id) > 0)) {
            best = m;
            most = weight;
        }
    }
    return best;
}

void members_free(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (c->members && map_each(c->members, &at, &key, &value)) {
        free(((member *)value)->name);
        free(value);
    }
    map_free(c->members);
}
