/* Upgraded connections: ws.c on one side, a connection of the server on the other.
 *
 * Frames queue in the codec's output and leave at the end of the turn, many in one write. What the
 * codec decides (a broken rule, the peer's close) ends the connection after its last octet is sent;
 * on_close then comes once, from wherever the end is noticed. */
#include "net/server_inside.h"
#include "net/ws.h"

#include <stdlib.h>
#include <sys/socket.h>

struct server_ws {
    conn *conn;
    ws *codec;
    server_ws_events events;
    void *arg;
    void (*on_ping)(void *arg);
    void (*on_pong)(void *arg);
    uint16_t code; /* for on_close; 1006 until somebody says goodbye */
    buf reason;
    bool gathering; /* between server_ws_gather and server_ws_flush */
};

/* ---- What the codec reports ---- */

static bool socket_on_message(void *arg, bool binary, bytes message)
{
    server_ws *w = arg;
    if (!w->conn->failed && w->events.on_message)
        w->events.on_message(w->arg, binary, message);
    return true;
}

static void socket_on_control(void *arg, ws_opcode opcode, bytes payload)
{
    server_ws *w = arg;
    (void)payload;
    if (opcode == WS_OP_PING && w->on_ping && !w->conn->failed)
        w->on_ping(w->arg);
    if (opcode == WS_OP_PONG && w->on_pong && !w->conn->failed)
        w->on_pong(w->arg);
}

static void socket_on_close(void *arg, uint16_t code, bytes reason)
{
    server_ws *w = arg;
    w->code = code;
    buf_add_bytes(&w->reason, reason);
}

static void socket_on_fail(void *arg, uint16_t code, const char *why)
{
    server_ws *w = arg;
    w->code = code;
    buf_add_text(&w->reason, why);
}

static const ws_events codec_events = {
    .on_message = socket_on_message,
    .on_control = socket_on_control,
    .on_close = socket_on_close,
    .on_fail = socket_on_fail,
};

/* ---- What the connection asks ---- */

static void socket_read_ended(conn *c, weir_code code)
{
    if (code != WEIR_CLOSED || c->closing)
        return;
    c->closing = true;
    timer_after(&c->deadline, SERVER_LINGER_NS); /* for our close frame to go */
}

void socket_feed(conn *c, const char *at, size_t len)
{
    if (len)
        socket_read_ended(c, ws_feed(c->ws->codec, bytes_make(at, len)));
}

long socket_read(conn *c)
{
    char *at;
    size_t room;
    if (!ws_read_space(c->ws->codec, &at, &room)) {
        socket_read_ended(c, WEIR_CLOSED);
        return TRANSPORT_AGAIN;
    }
    long n = server_tls_read(c, at, room);
    if (n > 0)
        socket_read_ended(c, ws_read_done(c->ws->codec, (size_t)n));
    return n;
}

bytes socket_output(const conn *c)
{
    return ws_output(c->ws->codec);
}

void socket_consume(conn *c, size_t len)
{
    ws_output_consume(c->ws->codec, len);
}

void socket_sent(conn *c)
{
    server_ws *w = c->ws;
    if (w->events.on_drain && ws_get_state(w->codec) == WS_IS_OPEN)
        w->events.on_drain(w->arg);
}

/* The closing handshake takes too long, or it is time to see whether the peer is still there. */
void socket_late(conn *c)
{
    uint64_t limit = c->server->options.socket_idle_ms * NS_PER_MS, silent = loop_now(c->server->loop) - c->heard;
    if (c->closing || ws_get_state(c->ws->codec) != WS_IS_OPEN || silent >= limit) {
        c->failed = true;
        return;
    }
    if (silent >= limit / 2)
        server_ws_ping(c->ws, bytes_make(NULL, 0));
    timer_after(&c->deadline, limit / 2);
}

void socket_gone(conn *c)
{
    server_ws *w = c->ws;
    if (w->events.on_close)
        w->events.on_close(w->arg, w->code, buf_bytes(&w->reason));
    c->ws = NULL;
    ws_free(w->codec);
    buf_fini(&w->reason);
    free(w);
}

/* ---- The handshake ---- */

static void refuse_handshake(server_request *r, uint16_t status, const char *why)
{
    http_header headers[] = {{BYTES("Content-Type"), BYTES("text/plain")}, {BYTES("Sec-WebSocket-Version"), BYTES("13")}};
    server_reply(r, status, headers, 2, bytes_of(why));
}

/* Appends all headers of that name, joined by ", ". */
static void join_headers(const server_request *r, const char *name, buf *out)
{
    bytes value;
    for (size_t i = 0; server_header_at(r, name, i, &value); i++) {
        if (i)
            buf_add_text(out, ", ");
        buf_add_bytes(out, value);
    }
}

/* Writes the 101. What compression both can keep comes back in `deflate`. */
static void put_handshake(server_request *r, conn *c, bytes subprotocol, ws_deflate *deflate)
{
    char accept[WS_ACCEPT_SIZE];
    ws_accept_key(accept, server_header(r, "sec-websocket-key"));
    buf_add_fmt(&c->out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
    if (subprotocol.len)
        buf_add_fmt(&c->out, "Sec-WebSocket-Protocol: " BYTES_FMT "\r\n", BYTES_ARG(subprotocol));
    if (!c->server->options.no_deflate) {
        buf offers, answer;
        ws_deflate policy = {.on = true};
        buf_init(&offers, SERVER_HEAD_MAX * 2);
        buf_init(&answer, 1024);
        join_headers(r, "sec-websocket-extensions", &offers);
        if (offers.len && ws_deflate_choose(deflate, &answer, &policy, buf_bytes(&offers)) && !answer.failed)
            buf_add_fmt(&c->out, "Sec-WebSocket-Extensions: " BYTES_FMT "\r\n", BYTES_ARG(buf_bytes(&answer)));
        buf_fini(&offers);
        buf_fini(&answer);
    }
    buf_add_text(&c->out, "\r\n");
}

server_ws *server_upgrade(server_request *r, bytes subprotocol, const server_ws_events *events, void *arg)
{
    if (!server_wants_websocket(r)) {
        refuse_handshake(r, 426, "this path speaks WebSocket: send GET with 'Upgrade: websocket' and 'Connection: Upgrade'\n");
        return NULL;
    }
    if (!bytes_is(server_header(r, "sec-websocket-version"), "13")) {
        refuse_handshake(r, 426, "this server speaks version 13 of the WebSocket protocol\n");
        return NULL;
    }
    if (!ws_key_valid(server_header(r, "sec-websocket-key"))) {
        refuse_handshake(r, 400, "Sec-WebSocket-Key is missing or not the base64 text of 16 octets\n");
        return NULL;
    }
    conn *c = http_conn(r);
    server_ws *w = calloc(1, sizeof *w);
    ws_options options = {.role = WS_SERVER, .max_message = c->server->options.max_message};
    size_t before = c->out.len;
    if (w)
        put_handshake(r, c, subprotocol, &options.deflate);
    if (!w || c->out.failed || ws_new(&w->codec, &options, &codec_events, w, NULL)) {
        free(w);
        c->out.len = before;
        refuse_handshake(r, 503, "out of memory\n");
        return NULL;
    }
    w->conn = c;
    w->events = *events;
    w->arg = arg;
    w->code = WS_CODE_ABNORMAL;
    buf_init(&w->reason, 1024);
    c->ws = w;
    http_upgraded(r);
    timer_stop(&c->deadline);
    c->heard = loop_now(c->server->loop);
    if (c->server->options.socket_idle_ms)
        timer_after(&c->deadline, c->server->options.socket_idle_ms * NS_PER_MS / 2);
    conn_turn_later(c);
    return w;
}

/* ---- What the handler asks ---- */

static void send_settled(server_ws *w, weir_code code)
{
    conn *c = w->conn;
    if (code == WEIR_NOMEM)
        c->failed = true;
    if (!c->stalled && ws_output(w->codec).len >= SERVER_FLUSH_AT && !conn_flush(c) && ws_keep(w->codec))
        c->failed = true;
    if (!w->gathering || c->failed)
        conn_turn_later(c);
}

void server_ws_gather(server_ws *w)
{
    w->gathering = true;
    ws_gather(w->codec);
}

void server_ws_flush(server_ws *w)
{
    conn *c = w->conn;
    bool gone = !c->stalled && !c->failed && conn_flush(c);
    w->gathering = false;
    if (ws_keep(w->codec))
        c->failed = true;
    if (!gone || c->failed)
        conn_turn_later(c); /* the rest when there is room */
}

void server_ws_send(server_ws *w, bool binary, bytes message)
{
    if (!w->conn->failed)
        send_settled(w, ws_send(w->codec, binary, message));
}

void server_ws_send_line(server_ws *w, bytes line)
{
    if (!w->conn->failed)
        send_settled(w, ws_send_plain(w->codec, line));
}

void server_ws_ping(server_ws *w, bytes payload)
{
    if (ws_send_ping(w->codec, payload) == WEIR_NOMEM)
        w->conn->failed = true;
    conn_turn_later(w->conn);
}

size_t server_ws_queued(const server_ws *w)
{
    return conn_queued(w->conn);
}

void server_ws_close(server_ws *w, uint16_t code, bytes reason)
{
    if (ws_send_close(w->codec, code, reason))
        return; /* it is closing already */
    timer_after(&w->conn->deadline, SERVER_LINGER_NS);
    conn_turn_later(w->conn);
}

void server_ws_abort(server_ws *w)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(w->conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    w->conn->failed = true;
    conn_turn_later(w->conn);
}

void server_ws_drop(server_ws *w)
{
    w->conn->closing = true;
    w->conn->stalled = false;
    conn_turn_later(w->conn);
}

void server_ws_stall(server_ws *w, bool on)
{
    w->conn->stalled = on;
    conn_turn_later(w->conn);
}

void server_ws_pace(server_ws *w, uint32_t octets, uint64_t apart_ns)
{
    w->conn->pace_octets = octets;
    w->conn->pace_ns = apart_ns;
}

void server_ws_raw(server_ws *w, bytes octets)
{
    if (ws_send_raw(w->codec, octets) == WEIR_NOMEM)
        w->conn->failed = true;
    conn_turn_later(w->conn);
}

void server_ws_on_pong(server_ws *w, void (*fn)(void *arg))
{
    w->on_pong = fn;
}

void server_ws_on_ping(server_ws *w, void (*fn)(void *arg))
{
    w->on_ping = fn;
}
