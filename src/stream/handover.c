/* See handover.h. An old socket is an orphan: a session that nobody's plug reads, and the inbox that was the plug's.
 * Frequent are orphan_message and handover_publish; with nothing to hand over the latter is one look at a list. */
#include "stream/handover.h"

#include <stdlib.h>

#include "stream/session.h"
#include "stream/venue.h"

#define LOOK_NS (100 * NS_PER_MS)
#define SETTLE_NS NS_PER_S         /* a new socket that has brought no record for so long may still bring none for hours */
#define QUIET_NS (500 * NS_PER_MS) /* sockets of one venue are not further apart than this */
#define OVERLAP_NS (3 * NS_PER_S)
#define LASTING_NS (60 * NS_PER_S)
#define FORGET_NS (5 * NS_PER_S)
#define WINDOW_MAX (1u << 16) /* records */
#define HELD_MAX (1u << 20)   /* octets; then the rest passes */

#define FREE 0
#define GONE 1

/* Hashes, each as often as it was put; open addressing. */
typedef struct table {
    uint64_t *at;
    size_t room, used, live;
} table;

/* The last records of one socket: WINDOW_MAX of them at least, twice as many at most. */
typedef struct window {
    table now, before;
} window;

/* A record that is held back: this, then its data. */
typedef struct held {
    world_publication what;
    uint64_t hash;
    bool twin; /* the old socket brought it, too */
    struct held *next;
    char data[];
} held;

typedef struct orphan {
    list_node node;
    handover *of;
    session *session; /* NULL: closed */
    inbox in;
    uint64_t url;
    plug *heir;                                    /* NULL: none is open yet */
    uint64_t since, heir_since, drain_since, last; /* clock_mono; `last`: a message came */
    uint64_t caught;                               /* when it was first seen read to the end; 0: not yet */
    uint64_t cut_at;                               /* when it had done its part, or its heir still had something of then to read */
    uint64_t heir_real, heard_real;                /* clock_real: the heir is open, and brought its first message (0: not yet) */
    window brought;                                /* what it brought since the heir is open: that comes again over the heir */
    window again;                                  /* what comes again over itself */
    held *first, **end;
    size_t held_octets;
    uint64_t twin_real;   /* the message in which one that is held back came over it, too, arrived; 0: none did */
    uint64_t turned_real; /* what is in `brought.now` came later */
    uint64_t cut_real;
    bool busy;   /* it brought a message since the heir is open */
    bool joined; /* the heir has all that comes from here on; it is cut when its present message is done */
    bool forgot; /* something that was not remembered */
} orphan;

/* ---- What has been published ----
 * Tables, as each record of a busy stream is looked up while they live; overlap.c, which does without, says why it
 * is no user of them. */

static uint64_t hash_of(bytes text)
{
    uint64_t h = bytes_hash(text, 0);
    return h > GONE ? h : h + 2;
}

static void put(uint64_t *at, size_t room, uint64_t hash)
{
    size_t i = hash & (room - 1);
    while (at[i] > GONE)
        i = (i + 1) & (room - 1);
    at[i] = hash;
}

static bool widen(table *t)
{
    size_t room = t->room ? 2 * t->room : 1024;
    uint64_t *wider = calloc(room, sizeof *wider);
    if (!wider)
        return false;
    for (size_t i = 0; i < t->room; i++)
        if (t->at[i] > GONE)
            put(wider, room, t->at[i]);
    free(t->at);
    *t = (table){wider, room, t->live, t->live};
    return true;
}

/* False: no room. */
static bool remember(window *w, uint64_t hash)
{
    table *t = &w->now;
    if (t->live >= WINDOW_MAX || (2 * (t->used + 1) > t->room && !widen(t)))
        return false;
    put(t->at, t->room, hash);
    t->used++; /* at most one too many, where a gone one's place was taken */
    t->live++;
    return true;
}

/* Lets go of the older ones. */
static void turn(window *w)
{
    free(w->before.at);
    w->before = w->now;
    w->now = (table){0};
}

static bool take_one(table *t, uint64_t hash)
{
    if (!t->live)
        return false;
    for (size_t i = hash & (t->room - 1); t->at[i] != FREE; i = (i + 1) & (t->room - 1))
        if (t->at[i] == hash) {
            t->at[i] = GONE;
            t->live--;
            return true;
        }
    return false;
}

static bool was_there(window *w, uint64_t hash)
{
    return take_one(&w->now, hash) || take_one(&w->before, hash);
}

static void forget(window *w)
{
    turn(w);
    turn(w);
}

/* ---- Old sockets ---- */

static void drop_held(orphan *o)
{
    while (o->first) {
        held *one = o->first;
        o->first = one->next;
        free(one);
    }
    o->end = &o->first;
    o->held_octets = 0;
}

/* It goes its own way. */
static void release(orphan *o)
{
    if (o->heir && o->heir->before == &o->in) {
        o->heir->before = NULL;
        o->heir->draining = false;
    }
    o->heir = NULL;
    o->joined = false;
    o->twin_real = 0;
}

static void let_go(orphan *o)
{
    release(o);
    drop_held(o);
    forget(&o->brought);
    forget(&o->again);
    list_remove(&o->node);
    session_close(o->session);
    inbox_fini(&o->in);
    free(o);
}

static void orphan_opened(void *arg)
{
    (void)arg;
}

static bool orphan_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    orphan *o = arg;
    o->last = loop_now(o->of->loop);
    if (!inbox_put(&o->in, message, binary, recv_real_ns))
        return false;
    o->of->ops->message(o->of->arg, NULL, recv_real_ns);
    if (o->heir) {
        o->busy = true;
        task_wake(o->heir->task);
    }
    return true;
}

static void orphan_closed(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    orphan *o = arg;
    (void)http_status, (void)retry_after_s;
    o->session = NULL; /* frees itself */
    if (o->heir)
        return;
    o->of->ops->broken(o->of->arg, why->text, 0);
    if (o->in.count == 0)
        let_go(o);
}

static bool orphan_holds(void *arg)
{
    return ((orphan *)arg)->in.refused;
}

static const session_reader reader = {orphan_opened, orphan_message, orphan_opened, orphan_closed, orphan_holds};

static void on_room(void *arg)
{
    orphan *o = arg;
    if (o->session)
        session_room(o->session);
}

/* ---- Joining ---- */

static void let_out(orphan *o)
{
    handover *h = o->of;
    for (held *one = o->first; one; one = one->next)
        if (one->twin || was_there(&o->brought, one->hash))
            h->repeats++;
        else {
            remember(&o->again, one->hash); /* the old one may be in the middle of its message */
            h->ops->emit(h->arg, &one->what);
        }
    drop_held(o);
}

/* The old socket has done its part: what was held back goes out, but for what the old one brought. What still waits on
 * the old one the new one brings, too. What it brought is remembered until the new one has brought it. */
static void cut(orphan *o)
{
    handover *h = o->of;
    plug *heir = o->heir;
    if (o->forgot || (o->busy && !o->heard_real))
        h->ops->broken(h->arg, o->forgot ? "memory is out, so records may be there twice" : "the new one has brought nothing yet", 0);
    release(o);
    h->unread += o->in.count;
    let_out(o);
    session_close(o->session);
    o->session = NULL;
    inbox_fini(&o->in);
    list_remove(&o->node);
    list_push(&h->after, &o->node);
    o->heir = heir;
    o->cut_at = loop_now(h->loop);
    o->cut_real = clock_real();
    task_wake(heir->task);
}

/* From here on the heir has all that it has. It may be in the middle of a message, so the cut comes when the plugin asks for the
 * next one: `announced` makes its world hear of that. */
static void join(orphan *o)
{
    o->joined = true;
    o->heir->announced = false;
}

void handover_receiving(handover *h)
{
    for (list_node *n = h->orphans.head.next, *next; n != &h->orphans.head; n = next) {
        next = n->next;
        if (LIST_OWNER(n, orphan, node)->joined)
            cut(LIST_OWNER(n, orphan, node));
    }
}

static void drain(orphan *o)
{
    if (o->heir->draining)
        return;
    o->heir->draining = true;
    o->drain_since = loop_now(o->of->loop);
    o->caught = 0;
    task_wake(o->heir->task);
}

/* All that its venue has brought is read: not only what waits in the inbox, also what the kernel holds while that is full. */
static bool empty(const inbox *in, const session *s)
{
    return in->count == 0 && !in->refused && (!s || !session_behind(s));
}

/* Nothing comes over it any more. A machine at its limit lets both sockets wait: so the new one must have brought something
 * since, or both be silent for long. */
static bool quiet(const orphan *o, uint64_t now)
{
    uint64_t since = o->last > o->drain_since ? o->last : o->drain_since;
    uint64_t heard = o->heir->session ? session_heard(o->heir->session) : 0;
    return (heard > since && heard - since > QUIET_NS) || now - since > OVERLAP_NS;
}

/* A record that is held back came over it, and what it brings now is so much later that it cannot be ahead of that: a record may
 * look like one of another moment, a price like the same price before, and at that one the two would be joined with a hole. */
static bool past_twin(const orphan *o, uint64_t real)
{
    return o->twin_real && real > o->twin_real + QUIET_NS;
}

static void look_at(orphan *o, uint64_t now)
{
    handover *h = o->of;
    if (!o->heir) {
        if (now - o->since <= LASTING_NS)
            return;
        uint64_t died = o->in.count;
        h->lost += died;
        let_go(o);
        h->ops->broken(h->arg, "no new connection came in a minute", died);
        return;
    }
    if (!o->heir->draining) {
        if (now - o->heir_since > SETTLE_NS)
            drain(o);
        return;
    }
    if (o->joined || o->heir->task->unanswered || !empty(&o->in, o->session)) /* it is at a message of the old one, or has some ahead of it */
        return;
    if (!o->caught)
        o->caught = now;
    bool both = o->heard_real && (quiet(o, now) || past_twin(o, clock_real()) || now - o->caught > OVERLAP_NS);
    if (!o->session || both || now - o->heir_since > LASTING_NS)
        cut(o);
}

/* One that has been cut. */
static void look_after(orphan *o, uint64_t now)
{
    if (!empty(&o->heir->in, o->heir->session))
        o->cut_at = now;
    else if (now - o->cut_at > FORGET_NS)
        let_go(o);
}

static void look_all(handover *h, list *all, void (*fn)(orphan *o, uint64_t now))
{
    list todo;
    list_node *node;
    list_init(&todo);
    while ((node = list_pop(all)))
        list_push(&todo, node);
    while ((node = list_pop(&todo))) {
        list_push(all, node);
        fn(LIST_OWNER(node, orphan, node), loop_now(h->loop));
    }
}

static void look(void *arg)
{
    handover *h = arg;
    look_all(h, &h->after, look_after);
    look_all(h, &h->orphans, look_at);
    if (!list_empty(&h->orphans) || !list_empty(&h->after))
        timer_after(&h->look, LOOK_NS);
}

/* ---- From outside ---- */

void handover_init(handover *h, loop *l, const handover_ops *ops, void *arg)
{
    *h = (handover){.loop = l, .ops = ops, .arg = arg};
    list_init(&h->orphans);
    list_init(&h->after);
    timer_init(&h->look, l, look, h);
}

static orphan *handed_to(const list *all, const plug *heir)
{
    for (list_node *n = all->head.next; heir && n != &all->head; n = n->next)
        if (LIST_OWNER(n, orphan, node)->heir == heir)
            return LIST_OWNER(n, orphan, node);
    return NULL;
}

static bool take(handover *h, plug *s)
{
    orphan *o = calloc(1, sizeof *o), *before = handed_to(&h->after, s);
    if (!o)
        return false;
    o->of = h;
    o->url = s->url;
    o->since = o->last = loop_now(h->loop);
    o->end = &o->first;
    if (before) { /* what `s` would bring again, its inbox may hold */
        o->again = before->brought;
        before->brought = (window){0};
    }
    o->in = s->in;
    o->in.on_room = on_room;
    o->in.arg = o;
    inbox_init(&s->in, s->in.max, NULL, NULL);
    o->session = venue_give_away(s); /* for its plugin it is closed */
    session_move(o->session, &reader, o);
    list_push(&h->orphans, &o->node);
    return true;
}

/* The heir of one that still is open: that one has all that it has, and it goes. Else it is lost with it. */
static void leave_out(handover *h, plug *s)
{
    *(handed_to(&h->orphans, s)->session ? &h->unread : &h->lost) += s->in.count;
    inbox_fini(&s->in);
}

bool handover_take(handover *h, task *t)
{
    bool any = false, all = true;
    for (list_node *n = t->sockets.head.next; n != &t->sockets.head; n = n->next) {
        plug *s = LIST_OWNER(n, plug, node);
        if (s->state != PLUG_OPEN)
            continue;
        any = true;
        if (handed_to(&h->orphans, s))
            leave_out(h, s);
        else
            all &= take(h, s);
        handover_socket_gone(h, s);
    }
    any |= !list_empty(&h->orphans);
    if (any && !timer_running(&h->look))
        timer_after(&h->look, LOOK_NS);
    return any && all;
}

void handover_drop(handover *h, bool stopped)
{
    list_node *node;
    while ((node = h->orphans.head.next) != &h->orphans.head) {
        orphan *o = LIST_OWNER(node, orphan, node);
        *(stopped ? &h->unread : &h->lost) += o->in.count;
        let_go(o);
    }
    while ((node = h->after.head.next) != &h->after.head)
        let_go(LIST_OWNER(node, orphan, node));
    timer_stop(&h->look);
}

void handover_socket_up(handover *h, plug *s)
{
    for (list_node *n = h->orphans.head.next; n != &h->orphans.head; n = n->next) {
        orphan *o = LIST_OWNER(n, orphan, node);
        if (o->url != s->url || o->heir)
            continue;
        o->heir = s;
        o->heir_since = loop_now(h->loop);
        o->heir_real = clock_real();
        o->heard_real = o->turned_real = 0;
        o->busy = o->forgot = false;
        forget(&o->brought); /* what an heir before it would have brought again, this one has not */
        s->before = &o->in;
        return;
    }
}

void handover_heard(handover *h, const plug *s, uint64_t recv_real_ns)
{
    orphan *o = handed_to(&h->orphans, s);
    if (!o || o->heard_real)
        return;
    o->heard_real = recv_real_ns;
    look_at(o, loop_now(h->loop)); /* the old one may have been silent for long */
}

void handover_socket_gone(handover *h, plug *s)
{
    orphan *o = handed_to(&h->after, s);
    if (o)
        let_go(o);
    if (!(o = handed_to(&h->orphans, s)))
        return;
    release(o); /* the next one's turn; what this one brought comes again */
    drop_held(o);
    if (!o->session)
        h->ops->broken(h->arg, "the connection is closed", 0);
}

static bool hold(orphan *o, const world_publication *what, uint64_t hash)
{
    held *one = o->held_octets < HELD_MAX ? malloc(sizeof *one + what->data.len) : NULL;
    if (!one)
        return false;
    one->what = *what;
    one->what.type = one->what.identifier = one->what.source = (bytes){0}; /* the stream's */
    memcpy(one->data, what->data.at, what->data.len);
    one->what.data = bytes_make(one->data, what->data.len);
    one->hash = hash;
    one->twin = false;
    one->next = NULL;
    *o->end = one;
    o->end = &one->next;
    o->held_octets += what->data.len;
    return true;
}

/* Of the records that are held back: the one that the old socket brings as well. It is marked. */
static bool is_twin(orphan *o, uint64_t hash)
{
    for (held *one = o->first; one; one = one->next)
        if (one->hash == hash && !one->twin)
            return one->twin = true;
    return false;
}

/* There is no room for it. True: the new one has it, for it had begun before, so it comes by that one alone. */
static bool overflows(orphan *o, uint64_t hash, uint64_t recv_ns)
{
    if (o->heard_real && recv_ns > o->heard_real + QUIET_NS) {
        join(o);
        return true;
    }
    if (o->brought.now.live >= WINDOW_MAX) /* the oldest are from long before the new one's first */
        turn(&o->brought);
    o->forgot |= !remember(&o->brought, hash);
    return false;
}

/* What came long before the new socket's first message, that one does not bring. */
static void forget_older(orphan *o, uint64_t recv_ns)
{
    if (o->heard_real || recv_ns < o->turned_real + QUIET_NS)
        return;
    turn(&o->brought);
    o->turned_real = recv_ns;
}

static handover_verdict from_old(handover *h, orphan *o, const world_publication *what, uint64_t hash)
{
    bool left_out = was_there(&o->again, hash);
    if (what->ts_recv >= o->heir_real) { /* what came before, the new socket cannot have */
        forget_older(o, what->ts_recv);
        bool twin = is_twin(o, hash);
        if (twin && !o->twin_real)
            o->twin_real = what->ts_recv;
        if (!twin && !remember(&o->brought, hash))
            left_out |= overflows(o, hash, what->ts_recv);
        if (past_twin(o, what->ts_recv))
            join(o);
    }
    h->repeats += left_out;
    return left_out ? HANDOVER_DOUBLE : HANDOVER_PASS;
}

/* One of the new socket's, or the rest of the old one's last message, behind the cut. */
static handover_verdict behind_cut(handover *h, const task *t, uint64_t hash, uint64_t recv_ns)
{
    orphan *o = handed_to(&h->after, t->received_from);
    if (!o)
        return HANDOVER_PASS;
    if (!t->received_before && recv_ns > o->cut_real + 2 * QUIET_NS) { /* the old one cannot have brought it */
        let_go(o);
        return HANDOVER_PASS;
    }
    if (was_there(t->received_before ? &o->again : &o->brought, hash)) {
        h->repeats++;
        return HANDOVER_DOUBLE;
    }
    if (t->received_before)
        remember(&o->brought, hash);
    return HANDOVER_PASS;
}

handover_verdict handover_publish(handover *h, const task *t, const world_publication *what)
{
    if (list_empty(&h->orphans) && list_empty(&h->after))
        return HANDOVER_PASS;
    uint64_t hash = hash_of(what->data);
    orphan *o = handed_to(&h->orphans, t->received_from);
    if (!o)
        return behind_cut(h, t, hash, what->ts_recv);
    if (t->received_before)
        return from_old(h, o, what, hash);
    if (hold(o, what, hash)) {
        drain(o);
        return HANDOVER_HELD;
    }
    if (was_there(&o->brought, hash)) {
        h->repeats++;
        return HANDOVER_DOUBLE;
    }
    o->forgot |= !remember(&o->again, hash); /* it passes, so the old one need not bring it */
    return HANDOVER_PASS;
}

bool handover_active(const handover *h)
{
    return !list_empty(&h->orphans);
}

uint64_t handover_queued(const handover *h)
{
    uint64_t all = 0;
    for (list_node *n = h->orphans.head.next; n != &h->orphans.head; n = n->next)
        all += LIST_OWNER(n, orphan, node)->in.count;
    return all;
}
