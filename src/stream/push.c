/* Feeding a push plugin: the host owns the socket, the plugin is asked about each frame.
 *
 * Instance and socket live apart. The instance, which the streams of one connection share (shared.h),
 * describes the socket that this stream wants (a marker), the host dials it, sends the initial messages,
 * and from then on the stream has one question at a time for the instance: what happened to the socket
 * first, then the oldest frame of the inbox.
 * What can go wrong, and what follows:
 *   the wish for the stream is refused            failed; once there was data: the next try
 *   the plugin's rate limits forbid the wish      it waits until they do not
 *   the socket is lost                            gap, back-off, dial again; the instance stays
 *   its venue ends it after a known time          a successor is made in time (push_renew.c), or, where there may not
 *                                                 be two, it is dialled anew at a quiet moment, with a gap
 *   a callback traps or takes more than 2 s       a new instance, the socket stays; frames wait in the inbox.
 *                                                 The frame comes once more, then it is dropped, and a gap says so
 *   a sibling's callback does                     the new instance is asked for the marker again, and goes on
 *   a callback answers nonsense or a failure      that frame is dropped, and a gap says so; an event goes on
 *                                                 as if it had answered ignore
 *   the marker declares an order book             each record goes through it (push_book.h); what it waits for, too, is
 *                                                 a message for the plugin
 *   the plugin says reconnect or close            so it is
 *   traps again and again                         as health.h says: the plugin rests, or is given up
 * A file for each side of it, with the stream from within in push_inside.h. This one is its life, as stream.c sees it.
 *   push_marker.c     which socket it wants, and which order book
 *   push_socket.c     that socket, and hop 2, message to job
 *   push_renew.c      the next socket, when this one's end is near
 *   push_turn.c       the shared instance: which question comes next, and what becomes of it
 *   push_event.c      the question what happened to the socket
 *   push_message.c    the question about a message, hop 3; which is next, and how each is counted
 *   push_verdict.c    what its answer leads to, hops 4 to 6 */
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "stream/push_inside.h"

static weir_code init(stream *s, weir_error *err)
{
    push *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    s->push = p;
    inbox_init(&p->in, push_limits(s)->inbox, push_socket_room, s);
    push_renew_init(s);
    p->from = &p->in;
    buf_init(&p->kept, SIZE_MAX);
    marker_init(&p->marker);
    snprintf(p->id, sizeof p->id, "weir-%016llx", (unsigned long long)rand_u64());
    return shared_join(&p->place, s->plugin, &push_turn_ops, s, err);
}

static void retry(stream *s)
{
    push *p = s->push;
    p->redial = p->marked && p->asking;
    if (p->redial) /* when the callback has ended; with many messages waiting there is always one under way */
        return;
    if (p->marked) {
        if (!p->session)
            push_socket_dial(s);
        return;
    }
    if (!p->session && (!stream_enter(s, STREAM_CONNECTING, shared_up(&p->place) ? "asking the plugin for the socket" : "starting an instance") || s->state != STREAM_CONNECTING))
        return;
    p->wishes = true;
    push_marker_want(s);
}

static void lost(stream *s)
{
    s->push->redial = false; /* what was lost is gone already; the rest goes on */
}

static void renew(stream *s)
{
    s->push->again = false; /* new code, new luck */
    shared_renew(&s->push->place);
}

/* Frames that wait stay. */
static void rest(stream *s)
{
    push *p = s->push;
    push_socket_drop(s);
    p->events = 0;
    p->marked = p->wishes = false;
}

static bool stop(stream *s)
{
    return shared_goodbye(&s->push->place);
}

static void drop(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    *(s->state == STREAM_STOPPING ? &s->unread_total : &s->lost_total) += p->in.count + successor_drop(&p->heir);
    push_socket_drop(s);
    shared_leave(&p->place);
    inbox_fini(&p->in);
    p->old = 0;
    p->on_answer = false;
    p->holding = p->marked = p->wishes = false;
    p->toll = TOLL_DUE;
    p->asking = ASKS_NOTHING;
}

static uint64_t queued(const stream *s)
{
    return s->push ? s->push->in.count + s->push->heir.in.count : 0;
}

static void probe(stream *s)
{
    if (s->push->session)
        session_probe(s->push->session);
}

static uint64_t heard(const stream *s)
{
    return s->push->session ? session_heard(s->push->session) : 0;
}

/* The plugin hears of it as of any lost socket. */
static void cut(stream *s, const weir_error *why)
{
    push *p = s->push;
    error_keep(&s->down, why);
    push_socket_drop(s);
    p->events = EVENT_BIT(EVENT_ERROR) | EVENT_BIT(EVENT_DISCONNECTED);
    push_pump(s);
}

static bool idle(const stream *s)
{
    const push *p = s->push;
    return !p || (!p->asking && !p->holding && !p->events && !p->in.count && !push_book_asks(&p->book));
}

static void fini(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    push_book_fini(&p->book);
    inbox_fini(&p->in);
    buf_fini(&p->kept);
    marker_fini(&p->marker);
    marker_fini(&p->next);
    free(p);
    s->push = NULL;
}

const route push_route = {
    .init = init,
    .retry = retry,
    .lost = lost,
    .rest = rest,
    .renew = renew,
    .stop = stop,
    .drop = drop,
    .on_room = push_verdict_room,
    .queued = queued,
    .probe = probe,
    .heard = heard,
    .cut = cut,
    .idle = idle,
    .fini = fini,
};
