/* The socket of a push stream: dialled as the marker says, greeted, read into the inbox, lost.
 * What can go wrong: it cannot be dialled, or it closes: a gap, and the next try, unless a successor stands by
 * (push_renew.c); what is dialled is not allowed, or makes no sense: the stream fails; the inbox is full: the session
 * stops reading until push_socket_room. */
#include <stdio.h>

#include "base/rand.h"
#include "stream/heartbeat_rules.h"
#include "stream/push_inside.h"

void push_socket_count(stream *s)
{
    s->venue.open_sockets = (uint32_t)s->push->open + s->push->heir.open;
}

void push_socket_drop(stream *s)
{
    push *p = s->push;
    timer_stop(&p->renew);
    push_renew_await_no_more(s);
    if (p->heir.phase != SUCCESSOR_FOLLOWS)
        s->lost_total += successor_drop(&p->heir);
    p->old = p->in.count + p->heir.in.count;
    (successor_waits(&p->heir) ? &p->heir.in : &p->in)->lost = true;
    p->late = p->on_answer;
    push_book_closed(&p->book);
    p->open = p->greeted = false;
    session_close(p->session);
    p->session = NULL;
    push_socket_count(s);
}

static void on_opened(void *arg)
{
    stream *s = arg;
    push *p = s->push;
    p->open = true;
    p->open_since = loop_now(s->plugin->loop);
    push_socket_count(s);
    push_renew_plan(s);
    p->events = EVENT_BIT(EVENT_CONNECTED);
    p->trapped = 0;
    p->event_acted = false;
    push_pump(s);
}

/* Hop 2, message to job. */
static bool on_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    stream *s = arg;
    push *p = s->push;
    inbox *in = successor_waits(&p->heir) ? &p->heir.in : &p->in;
    if (in->lost && recv_real_ns <= s->last_recv) /* the clock was set back, and still it comes behind the loss */
        recv_real_ns = s->last_recv + 1;
    if (!inbox_put(in, message, binary, recv_real_ns))
        return false;
    s->last_recv = recv_real_ns;
    record_stream_counts(s->records)->received++;
    push_pump(s);
    return true;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    stream *s = arg;
    push *p = s->push;
    bool was_open = p->open;
    p->session = NULL; /* frees itself */
    if (s->state != STREAM_STOPPING && successor_stands(&p->heir)) { /* it ended while its successor was being made */
        push_renew_hand_over(s, why->text);
        return;
    }
    push_socket_drop(s);
    if (s->state == STREAM_STOPPING) /* it goes without */
        return;
    stream_note_down(s, why, http_status, retry_after_s);
    if (was_open)
        p->events = (p->events & ~EVENT_BIT(EVENT_CONNECTED)) | (why->code == WEIR_CLOSED ? 0 : EVENT_BIT(EVENT_ERROR)) | EVENT_BIT(EVENT_DISCONNECTED);
    push_pump(s); /* it hears of it while the stream waits */
    stream_lose(s, RECORD_GAP_DISCONNECTED, why->text, false);
}

static bool holds(void *arg)
{
    const push *p = ((stream *)arg)->push;
    return p->in.refused || p->heir.in.refused;
}

const session_reader push_socket_reader = {on_opened, on_message, on_drained, on_closed, holds};

void push_socket_room(void *arg)
{
    push *p = ((stream *)arg)->push;
    if (p->session)
        session_room(p->session);
    if (p->heir.session)
        session_room(p->heir.session);
}

/* ---- Dialling ---- */

/* What the user says, else what the marker declares, else what is known of the origin. The session looks at it where it is, and it
 * points into the marker: again for each marker. */
void push_socket_beat(stream *s)
{
    push *p = s->push;
    const marker *m = &p->marker;
    uint32_t longest = m->beat_client_ms > m->beat_transport_ms ? m->beat_client_ms : m->beat_transport_ms;
    const heartbeat *rule = heartbeat_rules_find(s->plugin->heartbeats, m->url);
    heartbeat beat = rule ? *rule : *heartbeat_for(m->url);
    if (rule) {
        p->beat = beat;
        return;
    }
    if (m->beat_field.len) {
        beat.plain = false;
        beat.stamped = true;
        beat.field = m->beat_field.at;
        beat.ping = m->beat_ping.len ? m->beat_ping.at : "";
        beat.pong = m->beat_pong.len ? m->beat_pong.at : "";
        beat.client_ping_ms = m->beat_client_ms;
    }
    beat.transport_ping_ms = m->beat_transport_ms;
    beat.silence_ms = longest ? 3 * longest : beat.silence_ms;
    p->beat = beat;
}

session_options push_socket_wanted(const stream *s)
{
    const marker *m = &s->push->marker;
    return (session_options){
        .loop = s->plugin->loop,
        .dialer = s->plugin->dialer,
        .targets = s->plugin->targets,
        .url = m->url,
        .subprotocol = m->subprotocol,
        .headers = m->headers,
        .header_count = m->header_count,
        .max_message = push_limits(s)->message,
        .silence_ms = s->plugin->silence_ms,
        .heartbeat = &s->push->beat,
    };
}

void push_socket_dial(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    unsigned char random[16];
    if (!stream_enter(s, STREAM_CONNECTING, "dialling") || s->state != STREAM_CONNECTING)
        return;
    push_socket_beat(s);
    session_options o = push_socket_wanted(s);
    rand_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(p->connection + 2 * i, 3, "%02x", random[i]);
    error_keep(&s->down, NULL);
    switch (session_open(&p->session, &o, &push_socket_reader, s, &err)) {
    case WEIR_OK:
        return;
    case WEIR_REFUSED: /* no try will change what the user allows */
    case WEIR_INVALID:
        stream_fail(s, err.text);
        return;
    default:
        stream_lose(s, RECORD_GAP_DISCONNECTED, err.text, false);
    }
}

weir_code push_socket_subscribe(void *arg, session *to, weir_error *err)
{
    const marker *m = &((stream *)arg)->push->marker;
    for (size_t i = 0; i < m->message_count; i++)
        if (session_send(to, m->messages[i], err))
            return err->code;
    return WEIR_OK;
}

bool push_socket_greet(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    p->greeted = true;
    if (push_socket_subscribe(s, p->session, &err)) {
        push_socket_drop(s);
        stream_lose(s, RECORD_GAP_DISCONNECTED, err.text, false);
        return false;
    }
    return stream_enter(s, STREAM_LIVE, "the socket is open and subscribed") && s->state == STREAM_LIVE;
}
