/* A socket's way through the host: dial, heartbeats answered here, messages to the reader, and a reader
 * without room stops the reading. What can go wrong: the peer closes, falls silent, or cannot be
 * reached; each is one closed() with the reason. */
#include "stream/session.h"

#include <stdlib.h>

#include "net/ws_client.h"

#define SESSION_QUEUE (1u << 20)

struct session {
    loop *loop;
    const session_reader *reader;
    void *arg;
    ws_client *ws;
    const heartbeat *heartbeat;
    uint64_t silence_ns; /* how long the venue may say nothing at all */
    timer beat;          /* client pings and the limit on silence */
    bool opened;
    uint64_t resumed; /* clock_mono: since then we read again */
    buf out;
};

static void session_free(session *s)
{
    timer_stop(&s->beat);
    ws_client_free(s->ws);
    buf_fini(&s->out);
    free(s);
}

static void arm(session *s)
{
    uint64_t wait = s->silence_ns / 4;
    uint32_t ms = s->heartbeat->client_ping_ms ? s->heartbeat->client_ping_ms : s->heartbeat->transport_ping_ms;
    timer_after(&s->beat, ms && ms * NS_PER_MS < wait ? ms * NS_PER_MS : wait);
}

/* Ends it from our side and says why. */
static void fail(session *s, const weir_error *why)
{
    s->reader->closed(s->arg, why, 0, 0);
    session_free(s);
}

static void on_beat(void *arg)
{
    session *s = arg;
    const heartbeat *h = s->heartbeat;
    uint64_t heard = ws_client_last_heard(s->ws);
    uint64_t quiet = loop_now(s->loop) - (heard > s->resumed ? heard : s->resumed);
    /* While we do not read, the peer's silence is ours; so is what passed until we read again. */
    if (quiet > s->silence_ns && !s->reader->holds(s->arg)) {
        weir_error why = WEIR_ERROR_INIT;
        error_set(&why, WEIR_TIMEOUT, "the venue sent nothing for %.1f s", (double)s->silence_ns * 1e-9);
        fail(s, &why);
        return;
    }
    if (h->client_ping_ms && s->opened) {
        heartbeat_write_ping(h, &s->out, clock_real());
        ws_client_send(s->ws, false, buf_bytes(&s->out), NULL);
    } else if (h->transport_ping_ms || quiet > s->silence_ns / 2) {
        /* Not beside the venue's own ping: a WebSocket pong may come of a front whose venue is dead. */
        ws_client_ping(s->ws, BYTES("weir"));
    }
    arm(s);
}

static void session_on_open(void *arg, bytes subprotocol)
{
    session *s = arg;
    (void)subprotocol;
    s->opened = true;
    arm(s);
    s->reader->opened(s->arg);
}

/* Hop 2, message to job: answers heartbeats, else the message goes to the reader's inbox. False: no room;
 * it comes again after session_room. */
static bool session_on_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    session *s = arg;
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
    return s->reader->message(s->arg, message, binary, recv_real_ns);
}

static void session_on_drain(void *arg)
{
    session *s = arg;
    s->reader->drained(s->arg);
}

static void session_on_close(void *arg, uint16_t code, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    session *s = arg;
    (void)code;
    s->reader->closed(s->arg, why, http_status, retry_after_s);
    session_free(s);
}

static const ws_client_events events = {
    .on_open = session_on_open,
    .on_message = session_on_message,
    .on_drain = session_on_drain,
    .on_close = session_on_close,
};

weir_code session_open(session **out, const session_options *o, const session_reader *reader, void *arg, weir_error *err)
{
    ws_client_options options = {
        .url = o->url,
        .headers = o->headers,
        .header_count = o->header_count,
        .subprotocol = o->subprotocol,
        .targets = o->targets,
        .max_message = o->max_message,
    };
    session *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "a socket: out of memory");
    s->loop = o->loop;
    s->reader = reader;
    s->arg = arg;
    s->heartbeat = o->heartbeat ? o->heartbeat : heartbeat_for(o->url);
    s->silence_ns = (o->silence_ms ? o->silence_ms : s->heartbeat->silence_ms) * NS_PER_MS;
    buf_init(&s->out, 4096);
    timer_init(&s->beat, o->loop, on_beat, s);
    if (ws_open(&s->ws, o->dialer, &options, &events, s, err)) {
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

void session_read_by(session *s, const session_reader *reader, void *arg)
{
    s->reader = reader;
    s->arg = arg;
}

void session_room(session *s)
{
    s->resumed = loop_now(s->loop);
    ws_client_resume(s->ws);
}

/* The venue's own ping where one is known, and a WebSocket ping: either answer will do. */
void session_probe(session *s)
{
    if (s->heartbeat->client_ping_ms && s->opened) {
        heartbeat_write_ping(s->heartbeat, &s->out, clock_real());
        ws_client_send(s->ws, false, buf_bytes(&s->out), NULL);
    }
    ws_client_ping(s->ws, BYTES("weir"));
}

bool session_behind(const session *s)
{
    return ws_client_behind(s->ws);
}

uint64_t session_heard(const session *s)
{
    return ws_client_last_heard(s->ws);
}

void session_move(session *s, const session_reader *new_reader, void *arg)
{
    s->reader = new_reader;
    s->arg = arg;
}

void session_close(session *s)
{
    if (s)
        session_free(s);
}
