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

/* A record that is held back: this, then its data. */
typedef struct held {
    world_publication what;
    uint64_t hash;
    bool twin; /* the old socket brought it, too: known without the window, which may be full */
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
    uint64_t heir_real;                            /* clock_real */
    held *first, **end;
    size_t held_octets;
    bool joined; /* what was published last is among what is held back */
} orphan;

/* ---- What has been published: hashes, each as often as it was ----
 * A table, as each record of a busy stream is looked up while the window lives; overlap.c, which does without, says why it
 * is no user of this one. */

static uint64_t hash_of(bytes text)
{
    uint64_t h = bytes_hash(text, 0);
    return h > GONE ? h : h + 2;
}

static void put(uint64_t *window, size_t room, uint64_t hash)
{
    size_t at = hash & (room - 1);
    while (window[at] > GONE)
        at = (at + 1) & (room - 1);
    window[at] = hash;
}

static void remember(handover *h, uint64_t hash)
{
    if (h->live >= WINDOW_MAX)
        return;
    if (2 * (h->used + 1) > h->room) {
        size_t room = h->room ? 2 * h->room : 1024;
        uint64_t *wider = calloc(room, sizeof *wider);
        if (!wider)
            return; /* this one may come twice */
        for (size_t i = 0; i < h->room; i++)
            if (h->window[i] > GONE)
                put(wider, room, h->window[i]);
        free(h->window);
        h->window = wider;
        h->room = room;
        h->used = h->live;
    }
    put(h->window, h->room, hash);
    h->used++; /* at most one too many, where a gone one's place was taken */
    h->live++;
}

static bool was_there(handover *h, uint64_t hash)
{
    if (!h->live)
        return false;
    for (size_t at = hash & (h->room - 1); h->window[at] != FREE; at = (at + 1) & (h->room - 1))
        if (h->window[at] == hash) {
            h->window[at] = GONE;
            h->live--;
            return true;
        }
    return false;
}

static void forget(handover *h)
{
    free(h->window);
    h->window = NULL;
    h->room = h->used = h->live = 0;
}

static void on_forget(void *arg)
{
    handover *h = arg;
    if (list_empty(&h->orphans)) /* else the next handover needs it; its cut sets the timer again */
        forget(h);
}

/* ---- Old sockets ---- */

static void let_go(orphan *o)
{
    if (o->heir) {
        o->heir->before = NULL;
        o->heir->draining = false;
    }
    for (held *one = o->first, *next; one; one = next) {
        next = one->next;
        free(one);
    }
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
    o->of->ops->message(o->of->arg, recv_real_ns);
    if (o->heir)
        task_wake(o->heir->task);
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

/* The old socket has done its part: what was held back goes out, but for what the old one brought. What still waits on
 * the old one the new one brings, too. */
static void cut(orphan *o)
{
    handover *h = o->of;
    plug *heir = o->heir;
    o->heir = NULL;
    heir->before = NULL;
    heir->draining = false;
    h->unread += o->in.count;
    for (held *one = o->first; one; one = one->next)
        if (was_there(h, one->hash) || one->twin)
            h->repeats++;
        else
            h->ops->emit(h->arg, &one->what);
    let_go(o);
    timer_after(&h->forget, FORGET_NS);
    task_wake(heir->task);
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
static bool empty(const orphan *o)
{
    return o->in.count == 0 && !o->in.refused && (!o->session || !session_behind(o->session));
}

/* Nothing comes over it any more. A machine at its limit lets both sockets wait: so the new one must have brought something
 * since, or both be silent for long. */
static bool quiet(const orphan *o, uint64_t now)
{
    uint64_t since = o->last > o->drain_since ? o->last : o->drain_since;
    uint64_t heard = o->heir->session ? session_heard(o->heir->session) : 0;
    return (heard > since && heard - since > QUIET_NS) || now - since > OVERLAP_NS;
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
    if (o->heir->task->unanswered || !empty(o)) /* it is at a message of the old one, or has some ahead of it */
        return;
    if (!o->caught)
        o->caught = now;
    if (!o->session || quiet(o, now) || now - o->caught > OVERLAP_NS)
        cut(o);
}

static void look(void *arg)
{
    handover *h = arg;
    list todo;
    list_node *node;
    list_init(&todo);
    while ((node = list_pop(&h->orphans)))
        list_push(&todo, node);
    while ((node = list_pop(&todo))) {
        list_push(&h->orphans, node);
        look_at(LIST_OWNER(node, orphan, node), loop_now(h->loop));
    }
    if (!list_empty(&h->orphans))
        timer_after(&h->look, LOOK_NS);
}

/* ---- From outside ---- */

void handover_init(handover *h, loop *l, const handover_ops *ops, void *arg)
{
    *h = (handover){.loop = l, .ops = ops, .arg = arg};
    list_init(&h->orphans);
    timer_init(&h->look, l, look, h);
    timer_init(&h->forget, l, on_forget, h);
}

static orphan *kept_for(const handover *h, uint64_t url)
{
    for (list_node *n = h->orphans.head.next; n != &h->orphans.head; n = n->next)
        if (LIST_OWNER(n, orphan, node)->url == url)
            return LIST_OWNER(n, orphan, node);
    return NULL;
}

static bool take(handover *h, plug *s)
{
    orphan *o = calloc(1, sizeof *o);
    if (!o)
        return false;
    o->of = h;
    o->url = s->url;
    o->since = o->last = loop_now(h->loop);
    o->end = &o->first;
    o->in = s->in;
    o->in.on_room = on_room;
    o->in.arg = o;
    inbox_init(&s->in, s->in.max, NULL, NULL);
    o->session = venue_give_away(s); /* for its plugin it is closed */
    session_move(o->session, &reader, o);
    list_push(&h->orphans, &o->node);
    return true;
}

bool handover_take(handover *h, task *t)
{
    bool any = false, all = true;
    for (list_node *n = t->sockets.head.next; n != &t->sockets.head; n = n->next) {
        plug *s = LIST_OWNER(n, plug, node);
        if (s->state != PLUG_OPEN)
            continue;
        any = true;
        if (!kept_for(h, s->url))
            all &= take(h, s);
        else { /* the older one has all that this one has */
            h->unread += s->in.count;
            inbox_fini(&s->in);
        }
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
    timer_stop(&h->look);
    timer_stop(&h->forget);
    forget(h);
}

void handover_socket_up(handover *h, plug *s)
{
    orphan *o = kept_for(h, s->url);
    if (!o || o->heir)
        return;
    o->heir = s;
    o->heir_since = loop_now(h->loop);
    o->heir_real = clock_real();
    if (h->orphans.head.next == h->orphans.head.prev) /* what an heir before it would have brought again, this one has not */
        forget(h);
    s->before = &o->in;
}

void handover_socket_gone(handover *h, plug *s)
{
    for (list_node *n = h->orphans.head.next; n != &h->orphans.head; n = n->next) {
        orphan *o = LIST_OWNER(n, orphan, node);
        if (o->heir != s)
            continue;
        o->heir = NULL; /* the next one's turn; what this one brought comes again */
        s->before = NULL;
        s->draining = false;
        while (o->first) {
            held *one = o->first;
            o->first = one->next;
            free(one);
        }
        o->end = &o->first;
        o->held_octets = 0;
        if (!o->session)
            h->ops->broken(h->arg, "the connection is closed", 0);
    }
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
static bool joins(const orphan *o, uint64_t hash)
{
    for (held *one = o->first; one; one = one->next)
        if (one->hash == hash)
            return one->twin = true;
    return false;
}

static handover_verdict from_old(handover *h, orphan *o, const world_publication *what)
{
    uint64_t hash = hash_of(what->data);
    o->joined = joins(o, hash);
    if (o->joined || what->ts_recv >= o->heir_real) /* what came before, the new socket cannot have */
        remember(h, hash);
    return HANDOVER_PASS;
}

static orphan *handed_to(const handover *h, const plug *heir)
{
    for (list_node *n = h->orphans.head.next; heir && n != &h->orphans.head; n = n->next)
        if (LIST_OWNER(n, orphan, node)->heir == heir)
            return LIST_OWNER(n, orphan, node);
    return NULL;
}

void handover_published(handover *h, const task *t)
{
    orphan *o = list_empty(&h->orphans) ? NULL : handed_to(h, t->received_from);
    if (!o || !o->joined)
        return;
    cut(o);
    if (list_empty(&h->orphans)) /* all that the old one brought is behind us: what comes now is new */
        forget(h);
}

handover_verdict handover_publish(handover *h, const task *t, const world_publication *what)
{
    const plug *from = t->received_from;
    if (list_empty(&h->orphans) && !h->live)
        return HANDOVER_PASS;
    orphan *o = handed_to(h, from);
    if (o && t->received_before)
        return from_old(h, o, what);
    uint64_t hash = hash_of(what->data);
    if (o && hold(o, what, hash)) {
        drain(o);
        return HANDOVER_HELD;
    }
    if (from && was_there(h, hash)) {
        h->repeats++;
        return HANDOVER_DOUBLE;
    }
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
