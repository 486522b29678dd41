/* A socket's way through the host: dial, heartbeats answered here, messages into the inbox, and a
 * full inbox stops the reading. What can go wrong: the peer closes, falls silent, or cannot be
 * reached; each is one socket_closed with the reason. */
#include "stream/session.h"

#include <stdlib.h>

#include "net/ws_client.h"
#include "stream/heartbeat.h"

#define SESSION_QUEUE (1u << 20)

struct session {
    venue *venue;
    plug *plug;
    ws_client *ws;
    const heartbeat *heartbeat;
    timer beat; /* client pings and the limit on silence */
    bool opened;
    uint64_t resumed; /* clock_mono: since then we read again */
    buf out;
};

/* It is open no more; said before anybody hears of the close. */
static void forget_open(session *s)
{
    if (s->opened)
        s->venue->open_sockets--;
    s->opened = false;
}

static void session_free(session *s)
{
    forget_open(s);
    timer_stop(&s->beat);
    ws_client_free(s->ws);
    buf_fini(&s->out);
    free(s);
}

/* How long the venue may say nothing at all. */
static uint64_t silence_ns(const session *s)
{
    return (s->venue->silence_ms ? s->venue->silence_ms : s->heartbeat->silence_ms) * NS_PER_MS;
}

static void arm(session *s)
{
    uint64_t wait = silence_ns(s) / 4, ping = s->heartbeat->client_ping_ms * NS_PER_MS;
    timer_after(&s->beat, ping && ping < wait ? ping : wait);
}

/* Ends it from our side and says why. */
static void fail(session *s, const weir_error *why)
{
    venue *v = s->venue;
    forget_open(s);
    socket_closed(s->plug, why);
    if (v->listener)
        v->listener->socket_down(v->arg, why, 0, 0);
    session_free(s);
}

static void on_beat(void *arg)
{
    session *s = arg;
    const heartbeat *h = s->heartbeat;
    uint64_t heard = ws_client_last_heard(s->ws);
    uint64_t quiet = loop_now(s->venue->loop) - (heard > s->resumed ? heard : s->resumed);
    /* While we do not read, the peer's silence is ours; so is what passed until we read again. */
    if (quiet > silence_ns(s) && !s->plug->in.refused) {
        weir_error why = WEIR_ERROR_INIT;
        error_set(&why, WEIR_TIMEOUT, "the venue sent nothing for %.1f s", (double)silence_ns(s) * 1e-9);
        fail(s, &why);
        return;
    }
    if (h->client_ping_ms && s->plug->state == PLUG_OPEN) {
        heartbeat_write_ping(h, &s->out, clock_real());
        ws_client_send(s->ws, false, buf_bytes(&s->out), NULL);
    } else if (quiet > silence_ns(s) / 2) {
        ws_client_ping(s->ws, BYTES("weir"));
    }
    arm(s);
}

static void session_on_open(void *arg, bytes subprotocol)
{
    session *s = arg;
    (void)subprotocol;
    s->opened = true;
    s->venue->open_sockets++;
    arm(s);
    socket_opened(s->plug);
    if (s->venue->listener)
        s->venue->listener->socket_up(s->venue->arg);
}

/* Hop 2, message to job: answers heartbeats, else a copy goes into the plugin's inbox. False: no room;
 * the message comes again after session_room. */
static bool session_on_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    session *s = arg;
    venue *v = s->venue;
    switch (binary ? HEARTBEAT_NONE : heartbeat_read(s->heartbeat, message)) {
    case HEARTBEAT_PING:
        heartbeat_write_pong(s->heartbeat, &s->out, recv_real_ns);
        if (ws_client_queued(s->ws) <= SESSION_QUEUE) /* a peer that asks and never reads gets no more */
            ws_client_send(s->ws, false, buf_bytes(&s->out), NULL);
        return true;
    case HEARTBEAT_PONG:
        return true;
    case HEARTBEAT_NONE:
        break;
    }
    if (!socket_message(s->plug, message, binary, recv_real_ns))
        return false;
    if (v->listener)
        v->listener->message(v->arg, recv_real_ns);
    return true;
}

static void session_on_drain(void *arg)
{
    session *s = arg;
    socket_drained(s->plug);
}

static void session_on_close(void *arg, uint16_t code, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    session *s = arg;
    venue *v = s->venue;
    (void)code;
    forget_open(s);
    socket_closed(s->plug, why);
    if (v->listener)
        v->listener->socket_down(v->arg, why, retry_after_s, http_status);
    session_free(s);
}

static const ws_client_events events = {
    .on_open = session_on_open,
    .on_message = session_on_message,
    .on_drain = session_on_drain,
    .on_close = session_on_close,
};

weir_code session_open(session **out, venue *v, plug *p, const world_socket_request *request, weir_error *err)
{
    ws_client_options options = {
        .url = request->url,
        .headers = request->headers,
        .header_count = request->header_count,
        .subprotocol = request->subprotocol,
        .targets = v->targets,
        .max_message = p->task->policy.limits.message,
    };
    session *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "ws_connect: out of memory");
    s->venue = v;
    s->plug = p;
    s->heartbeat = heartbeat_for(request->url);
    buf_init(&s->out, 4096);
    timer_init(&s->beat, v->loop, on_beat, s);
    if (ws_open(&s->ws, v->dialer, &options, &events, s, err)) {
        free(s);
        return err ? err->code : WEIR_NETWORK;
    }
    *out = s;
    return WEIR_OK;
}

weir_code session_send(session *s, bytes text, weir_error *err)
{
    if (ws_client_queued(s->ws) > SESSION_QUEUE)
        return error_set(err, WEIR_BUSY, "ws_send: %zu octets wait for the peer already", ws_client_queued(s->ws));
    return ws_client_send(s->ws, false, text, err);
}

void session_room(session *s)
{
    s->resumed = loop_now(s->venue->loop);
    ws_client_resume(s->ws);
}

void session_close(session *s)
{
    session_free(s);
}
