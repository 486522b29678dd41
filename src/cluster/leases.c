/* Leases: rows that say whose a stream is.
 *
 * On the way to a stream: the row is taken (by compare-and-set, where it is nobody's or a session's that is over), its last record in
 * JetStream is looked up, a mark is put behind that under the condition that it is still the last (from then on the server
 * refuses what the former holder still sends), there is room for numbers; then the node opens it. On the way out: it is
 * closed, its last records are carried, the row is written as nobody's with the exact number and the time.
 * Who takes: each stream has one node among those alive, by rendezvous hashing, so all nodes agree without a word; a stream that
 * is held moves only to a node that has been there for the grace time.
 * A connection with secrets is one account, for which a venue may allow one session: its streams need the account's own lease first,
 * and so are on one node. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cluster/inside.h"

#define AHEAD 100000 /* numbers that may be given out before the row is written again */

static void set_why(lease *l, const char *text)
{
    snprintf(l->why, sizeof l->why, "%s", text);
}

lease *lease_of_stream(const cluster *c, bytes name)
{
    return map_get(c->streams, name);
}

static lease *lease_of(cluster *c, const char *key)
{
    lease *l = map_get(c->leases, bytes_of(key));
    if (l || strlen(key) >= sizeof l->key)
        return l;
    if (!(l = calloc(1, sizeof *l)) || !map_set(c->leases, bytes_of(key), l, NULL)) {
        free(l);
        return NULL;
    }
    l->c = c;
    list_init(&l->chunks);
    snprintf(l->key, sizeof l->key, "%s", key);
    return l;
}

static bool is_free(const lease *l)
{
    return !session_alive(l->c, l->holder, l->session);
}

static bool is_ours(const lease *l)
{
    return !strcmp(l->holder, l->c->id) && !strcmp(l->session, l->c->session);
}

bool lease_may_open(void *arg, bytes name, const char **why)
{
    cluster *c = arg;
    static char room[600];
    lease *l = lease_of_stream(c, name);
    *why = room;
    if (l && l->state == LEASE_HELD && session_valid(c) && (!l->account || l->account->state == LEASE_HELD))
        return true;
    if (c->state != CLUSTER_IN)
        snprintf(room, sizeof room, "the cluster: %.500s", *c->why ? c->why : "it is not joined yet");
    else if (l && !is_free(l) && !is_ours(l)) {
        const member *m = member_of(c, l->holder);
        snprintf(room, sizeof room, "it runs on node %.200s", m && m->name ? m->name : l->holder);
    } else
        snprintf(room, sizeof room, "its lease in the cluster is being taken%s%.200s", l && *l->why ? ": " : "", l ? l->why : "");
    cluster_look(c);
    return false;
}

/* ---- The row ---- */

/* Without memory: a holder that is not read is taken for none. */
static void take_id(char out[ID_TEXT], json v)
{
    bytes text;
    if (json_string_slice(v, &text))
        snprintf(out, ID_TEXT, "%.*s", (int)(text.len < ID_TEXT ? text.len : ID_TEXT - 1), text.at);
}

void leases_on_row(cluster *c, const char *key, const talk_message *m)
{
    json doc;
    lease *l = lease_of(c, key);
    if (!l || m->seq <= l->revision)
        return;
    l->revision = m->seq;
    l->holder[0] = l->session[0] = '\0';
    if (!m->deleted && !json_read(&doc, m->data, NULL)) {
        take_id(l->holder, json_member(doc, "node"));
        take_id(l->session, json_member(doc, "session"));
        json_text_u64(json_member(doc, "mark"), &l->mark);
        json_text_u64(json_member(doc, "at"), &l->at);
    }
    if (l->state == LEASE_HELD && !is_ours(l)) { /* cannot be while our session lives */
        log_error("cluster", "'%s': its lease was taken by node %s while it was held", l->name ? l->name : l->key, l->holder);
        lease_lost(l, "its lease was taken by another node");
    }
    cluster_look(c);
}

static void write_row(lease *l, bool ours, uint64_t mark, uint64_t at, talk_done fn)
{
    char subject[96];
    buf body;
    snprintf(subject, sizeof subject, TALK_ROWS "lease.%s", l->key);
    buf_init(&body, 1 << 16);
    buf_add_fmt(&body, "{\"node\":\"%s\",\"session\":\"%s\",\"mark\":\"%llu\",\"at\":\"%llu\"", ours ? l->c->id : "", ours ? l->c->session : "", (unsigned long long)mark, (unsigned long long)at);
    if (l->name)
        json_put_member(&body, "stream", bytes_of(l->name));
    buf_add_char(&body, '}');
    talk_note note = {.subject = subject, .data = buf_bytes(&body), .expects = true, .expect = l->revision};
    talk_send(l->c->talk, &note, fn, l);
    buf_fini(&body);
    l->writing = true;
}

/* Our own write, which the watch has told or will tell. */
static void written(lease *l, uint64_t revision, bool ours, uint64_t mark, uint64_t at)
{
    if (revision < l->revision)
        return;
    l->revision = revision;
    snprintf(l->holder, sizeof l->holder, "%s", ours ? l->c->id : "");
    snprintf(l->session, sizeof l->session, "%s", ours ? l->c->session : "");
    l->mark = mark;
    l->at = at;
}

/* ---- In ---- */

static void back_off(lease *l, const talk_answer *a, const char *doing)
{
    char text[160];
    l->state = LEASE_NONE;
    snprintf(text, sizeof text, "%s: %.120s", doing, a->error);
    set_why(l, a->code == WEIR_BUSY ? "another node was faster" : text);
}

static void subject_of(const lease *l, char out[SUBJECT_TEXT])
{
    snprintf(out, SUBJECT_TEXT, TALK_RECORDS "%s", l->name);
}

static void hold(lease *l)
{
    cluster *c = l->c;
    l->state = LEASE_HELD;
    set_why(l, "");
    if (!l->name) {
        cluster_look(c);
        return;
    }
    c->figures.taken++;
    log_info("cluster", "'%s' runs here now (fence %llu, behind number %llu)", l->name, (unsigned long long)l->epoch, (unsigned long long)l->seq);
    l->seq_given = l->seq;
    node_stream_open(c->n, bytes_of(l->name), l->seq, l->missed, l->missed_event);
}

static void on_marked(void *arg, const talk_answer *a)
{
    lease *l = arg;
    l->marking = l->writing = false;
    if (l->state == LEASE_MARKING && a->code)
        back_off(l, a, "its row cannot be written");
    if (a->code)
        return;
    written(l, a->seq, true, l->mark_before, l->at);
    if (l->state == LEASE_MARKING)
        hold(l);
}

void lease_mark(lease *l)
{
    if (l->writing)
        return;
    l->marking = true;
    l->mark_before = l->seq_given + AHEAD; /* of this write, until it is answered */
    write_row(l, true, l->mark_before, l->at, on_marked);
}

static void on_fenced(void *arg, const talk_answer *a);

static void fence(lease *l)
{
    char subject[SUBJECT_TEXT];
    subject_of(l, subject);
    talk_note note = {.subject = subject, .expects = true, .expect = l->place, .run = l->c->run, .epoch = l->epoch, .last_seq = l->seq, .last_time = l->last_time, .last_event = l->last_event};
    l->state = LEASE_FENCING;
    talk_send(l->c->talk, &note, on_fenced, l);
}

static void on_looked(void *arg, const talk_answer *a)
{
    lease *l = arg;
    if (l->state != LEASE_LOOKING)
        return;
    if (a->code && a->code != WEIR_NOT_FOUND) {
        back_off(l, a, "its last record cannot be looked up");
        return;
    }
    l->place = a->seq;
    l->last_time = a->last_time;
    l->last_event = a->last_event;
    l->seq = a->last_seq > l->mark_before ? a->last_seq : l->mark_before;
    l->missed = !l->at_before ? 0 : a->last_time > l->at_before ? a->last_time
                                                                : l->at_before;
    l->missed_event = l->missed ? a->last_event : 0;
    fence(l);
}

static void look_up(lease *l)
{
    char subject[SUBJECT_TEXT];
    subject_of(l, subject);
    l->state = LEASE_LOOKING;
    talk_last(l->c->talk, TALK_RECORDS_STREAM, subject, on_looked, l);
}

static void on_fenced(void *arg, const talk_answer *a)
{
    lease *l = arg;
    if (l->state != LEASE_FENCING)
        return;
    if (a->code == WEIR_BUSY) { /* the former holder's last one came in between */
        look_up(l);
        return;
    }
    if (a->code) {
        back_off(l, a, "its fence cannot be written");
        return;
    }
    l->place = a->seq;
    l->seq_given = l->seq;
    if (l->mark >= l->seq + AHEAD / 2) {
        hold(l);
        return;
    }
    l->state = LEASE_MARKING;
    lease_mark(l);
}

static void on_taken(void *arg, const talk_answer *a)
{
    lease *l = arg;
    l->writing = false;
    if (l->state != LEASE_TAKING)
        return;
    if (a->code) {
        back_off(l, a, "its row cannot be written");
        return;
    }
    l->epoch = a->seq;
    written(l, a->seq, true, l->mark_before + AHEAD, l->at_next);
    if (l->name)
        look_up(l);
    else
        hold(l);
}

static void take(lease *l)
{
    l->state = LEASE_TAKING;
    l->mark_before = l->mark; /* the numbers go on behind it */
    l->at_before = l->at;
    l->at_next = l->at ? l->at : clock_real(); /* the first one: what comes from now on it will have seen */
    l->moves = false;
    carry_drop(l);
    write_row(l, true, l->mark + AHEAD, l->at_next, on_taken);
}

/* ---- Out ---- */

void lease_lost(lease *l, const char *why)
{
    if (l->state == LEASE_HELD && l->name) {
        node_stream_close(l->c->n, bytes_of(l->name), why);
        l->c->figures.lost++;
    }
    l->state = LEASE_NONE;
    l->marking = false;
    set_why(l, why);
    carry_drop(l);
}

static void on_given_back(void *arg, const talk_answer *a)
{
    lease *l = arg;
    l->writing = false;
    if (l->state != LEASE_LEAVING)
        return;
    l->state = LEASE_NONE;
    if (!a->code) {
        written(l, a->seq, false, l->mark_before, l->at_next);
        l->c->figures.left++;
    } else if (a->code == WEIR_BUSY) {
        set_why(l, "another node was faster");
    } /* else: the row may still name our session; it is taken or given back again */
    cluster_look(l->c);
}

/* Its last record is with the server. */
void lease_emptied(lease *l)
{
    if (l->state != LEASE_LEAVING || l->writing || !list_empty(&l->chunks) || !talk_is_up(l->c->talk))
        return;
    l->mark_before = l->name ? l->seq_given : l->mark;
    write_row(l, false, l->mark_before, l->at_next, on_given_back);
}

static void give_back(lease *l, bool moves, const char *why)
{
    cluster *c = l->c;
    l->at_next = l->at;
    if (l->name) {
        const record_stream *records = node_stream_records(c->n, bytes_of(l->name));
        node_stream_close(c->n, bytes_of(l->name), why);
        l->at_next = moves ? l->at : 0; /* switched off: nothing is missing. Else: behind its last record */
        carry_drain(c);
        if (records && record_stream_seq(records) > l->seq_given)
            l->seq_given = record_stream_seq(records);
        log_info("cluster", "'%s' is given back: %s", l->name, why);
    }
    l->state = LEASE_LEAVING;
    l->moves = moves;
    if (list_empty(&l->chunks))
        lease_emptied(l);
    else
        carry_flush(l);
}

void leases_drop(cluster *c, const char *why)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (c->leases && map_each(c->leases, &at, &key, &value)) /* a half-made cluster has none */
        if (((lease *)value)->state != LEASE_NONE)
            lease_lost(value, why);
}

bool leases_any(const cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (map_each(c->leases, &at, &key, &value))
        if (((lease *)value)->state != LEASE_NONE)
            return true;
    return false;
}

/* ---- Going through them ---- */

static bool account_empty(const lease *account)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (map_each(account->c->leases, &at, &key, &value))
        if (((lease *)value)->account == account && ((lease *)value)->state != LEASE_NONE)
            return false;
    return true;
}

static const char *home_key(const lease *l)
{
    return l->account ? l->account->key : l->key;
}

static void step(lease *l)
{
    cluster *c = l->c;
    const member *home = member_for(c, home_key(l), false), *settled = member_for(c, home_key(l), true);
    bool stays = !l->account || (l->account->state == LEASE_HELD && !l->account->moves);
    if (l->state == LEASE_NONE) {
        bool may = l->wanted && !c->leaving && stays && is_free(l) && home && !strcmp(home->id, c->id);
        if (l->writing)
            return;
        if (may || (l->wanted && !c->leaving && stays && is_ours(l)))
            take(l);
        else if (!l->wanted && is_ours(l)) { /* giving it back failed */
            l->state = LEASE_LEAVING;
            l->at_next = l->at;
            lease_emptied(l);
        }
    } else if (l->state == LEASE_LEAVING) {
        lease_emptied(l);
    } else if (l->state == LEASE_HELD) {
        bool moves = c->leaving || (settled && strcmp(settled->id, c->id) != 0);
        if (!l->name) {
            l->moves = moves && l->wanted;
            if ((l->moves || !l->wanted) && account_empty(l))
                give_back(l, moves, "to another node");
        } else if (!l->wanted && !c->leaving)
            give_back(l, false, "it is not wanted any more");
        else if (moves || !stays)
            give_back(l, true, "it goes to another node");
        else if (l->seq_given + AHEAD / 2 > l->mark)
            lease_mark(l);
    }
}

static void want(void *arg, const node_stream_view *v)
{
    cluster *c = arg;
    char key[KEY_TEXT + 2] = "t.", account[KEY_TEXT + 2];
    lease *l = lease_of_stream(c, v->name);
    if (!l) {
        cluster_key(key + 2, v->name);
        l = lease_of(c, key);
    }
    if (!l)
        return;
    if (!l->name && (!(l->name = bytes_dup(v->name)) || !map_set(c->streams, v->name, l, NULL)))
        return;
    l->wanted_next = v->wanted;
    if (v->seq > l->seq_given && l->state == LEASE_HELD)
        l->seq_given = v->seq;
    l->account = NULL;
    if (v->account) {
        snprintf(account, sizeof account, "a.%.24s", v->account);
        if ((l->account = lease_of(c, account)) && v->wanted)
            l->account->wanted_next = true;
    }
}

void leases_look(void *arg)
{
    cluster *c = arg;
    size_t at = 0;
    bytes key;
    void *value;
    c->looked = clock_mono();
    if (c->state != CLUSTER_IN || !session_valid(c) || c->blind)
        return;
    while (map_each(c->leases, &at, &key, &value))
        ((lease *)value)->wanted_next = false;
    node_streams_each(c->n, want, c);
    for (at = 0; map_each(c->leases, &at, &key, &value);)
        ((lease *)value)->wanted = ((lease *)value)->wanted_next;
    for (at = 0; map_each(c->leases, &at, &key, &value);)
        step(value);
    if (c->leaving && !leases_any(c))
        session_leave(c);
}

void leases_free(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (c->leases && map_each(c->leases, &at, &key, &value)) {
        carry_drop(value);
        free(((lease *)value)->name);
        free(value);
    }
    map_free(c->leases);
    map_free(c->streams);
}
