/* One WebSocket, from dial to close.
 *
 * The happy path: libcurl looks up the name and connects (each address checked, dial.c); the socket
 * becomes ours; TLS; the upgrade; then octets go straight from the socket into the codec's buffer and
 * messages to their reader, and what the codec wants sent goes back. What can go wrong is told by one
 * on_close, whenever it happens.
 *
 * The frequent operation is one readable socket with many small frames. A turn takes at most
 * READ_BUDGET octets from one socket, so that a fast venue cannot starve a slow one; what TLS has
 * decrypted but not delivered is invisible to poll, so then the rest is deferred to the next turn.
 *
 * Callbacks may free the client. Everything that calls out is therefore between enter and leave,
 * and leave frees what was freed meanwhile. */
#include "net/ws_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/dial_inside.h"
#include "net/ws.h"
#include "net/ws_transport.h"
#include "net/ws_upgrade.h"

#define READ_BUDGET (256 * 1024)
#define CLOSE_NS (2 * NS_PER_S)  /* for the closing handshake */
#define LINGER_NS (1 * NS_PER_S) /* for the server to hang up first */

typedef enum client_state { DIALLING,
                            SECURING,
                            UPGRADING,
                            OPEN,
                            LINGERING,
                            CLOSED } client_state;

static const char *const doing[] = {"connecting", "the TLS handshake", "the WebSocket upgrade", "open", "closing", "closed"};

/* What is needed until the socket is open, and not after. */
typedef struct opening {
    dial_transfer dial;
    upgrade upgrade;
    char *url; /* as asked for: whose ban it is */
} opening;

struct ws_client {
    dialer *dialer;
    loop *loop;
    ws_client_events events;
    void *arg;
    client_state state;
    opening *opening;
    transport transport;
    ws *codec;
    char *name; /* "wss.woox.io:443" */
    uint64_t max_message;
    uint64_t last_heard, recv_real;
    timer deadline;
    deferred turn;
    uint32_t connect_ms;
    int inside; /* callbacks under way */
    bool freed;
    bool paused;  /* the reader has no room */
    bool resume;  /* it has again */
    bool sending; /* on_drain is owed */
    bool ended_writing;
    uint16_t close_code; /* as told to on_close */
    uint16_t http_status;
    uint32_t retry_after_s;
    weir_error why;
};

static void enter(ws_client *c)
{
    c->inside++;
}

static void opening_free(ws_client *c)
{
    if (!c->opening)
        return;
    dial_stop(&c->opening->dial);
    upgrade_fini(&c->opening->upgrade);
    free(c->opening->url);
    free(c->opening);
    c->opening = NULL;
}

/* Gives up everything that reaches outside; the memory stays. */
static void let_go(ws_client *c)
{
    c->state = CLOSED;
    timer_stop(&c->deadline);
    defer_cancel(&c->turn);
    opening_free(c);
    transport_close(&c->transport);
    ws_free(c->codec);
    c->codec = NULL;
}

static void leave(ws_client *c)
{
    if (--c->inside || !c->freed)
        return;
    free(c->name);
    free(c);
}

/* A close frame for the server, as far as that needs no waiting: it need not take us for broken. */
static void say_goodbye(ws_client *c)
{
    bytes out;
    size_t taken;
    if (c->state != OPEN || c->ended_writing)
        return;
    ws_send_close(c->codec, WS_CODE_NORMAL, BYTES(""));
    while ((out = ws_output(c->codec)).len && transport_write(&c->transport, out, &taken) == TRANSPORT_OK)
        ws_output_consume(c->codec, taken);
    transport_end(&c->transport);
}

void ws_client_free(ws_client *c)
{
    if (!c || c->freed)
        return;
    enter(c);
    say_goodbye(c);
    let_go(c);
    c->freed = true;
    leave(c);
}

/* Ends it, and tells why: c->why if something is there already, else `why`. */
static void end(ws_client *c, uint16_t code, const weir_error *why)
{
    if (c->state == CLOSED)
        return;
    if (!c->why.code)
        c->why = *why;
    if (c->name)
        error_wrap(&c->why, "%s", c->name);
    let_go(c);
    c->events.on_close(c->arg, code, &c->why, c->http_status, c->retry_after_s);
}

static void end_with(ws_client *c, weir_code code, const char *text)
{
    weir_error why = WEIR_ERROR_INIT;
    error_set(&why, code, "%s", text);
    end(c, c->close_code, &why);
}

/* ---- What the codec tells ---- */

/* Hop 1 of a market message: frames are joined, inflated and checked; the reader takes the message or
 * says that it has no room, and then gets it again. */
static bool ws_on_message(void *arg, bool binary, bytes message)
{
    ws_client *c = arg;
    bool taken = c->events.on_message(c->arg, binary, message, c->recv_real);
    if (!taken)
        c->paused = true;
    return taken;
}

static void ws_on_close(void *arg, uint16_t code, bytes reason)
{
    ws_client *c = arg;
    c->close_code = code;
    error_set(&c->why, WEIR_CLOSED, "closed by the server with code %u%s" BYTES_FMT "%s", code, reason.len ? ": '" : "", BYTES_ARG(reason), reason.len ? "'" : "");
}

static void ws_on_fail(void *arg, uint16_t code, const char *why)
{
    ws_client *c = arg;
    (void)code; /* ours, sent to the server; the owner is told 1006 */
    error_set(&c->why, WEIR_NETWORK, "the server broke the protocol: %s", why);
}

/* ---- Open: octets in, octets out ---- */

static void watch(ws_client *c)
{
    bool writing = c->codec && !c->ended_writing && ws_output(c->codec).len;
    transport_want(&c->transport, (c->state == OPEN && !c->paused) || c->state == LINGERING, writing);
}

/* Writes what the socket takes. A failed write is not the end: what the server said last may
 * still be there to read, and the read then tells of the end. */
static void flush(ws_client *c)
{
    while (c->codec && !c->ended_writing) {
        bytes out = ws_output(c->codec);
        size_t taken = 0;
        transport_result r = out.len ? transport_write(&c->transport, out, &taken) : TRANSPORT_AGAIN;
        if (r == TRANSPORT_OK) {
            ws_output_consume(c->codec, taken);
            continue;
        }
        if (r == TRANSPORT_FAILED)
            c->ended_writing = true;
        if (out.len == 0 && c->sending) {
            c->sending = false;
            if (c->events.on_drain)
                c->events.on_drain(c->arg);
        }
        break;
    }
}

/* Both sides have said all: once our last octets are out, waits a moment for the server to hang up,
 * so that a close of ours cannot overtake them. */
static void linger(ws_client *c)
{
    uint64_t latest = loop_now(c->loop) + LINGER_NS;
    c->state = LINGERING;
    c->paused = false;
    if (!timer_running(&c->deadline) || c->deadline.due > latest)
        timer_at(&c->deadline, latest);
}

static void after_codec(ws_client *c, weir_code code)
{
    if (c->freed || c->state != OPEN)
        return;
    c->paused = code == WEIR_BUSY;
    if (code == WEIR_CLOSED)
        linger(c);
}

static void connection_over(ws_client *c, transport_result how)
{
    const char *cause = how == TRANSPORT_FAILED ? errno == ECONNRESET ? "reset by the server" : "the connection failed" : "the server ended the connection";
    char text[120];
    if (c->state == LINGERING) {
        end_with(c, WEIR_CLOSED, "closed");
        return;
    }
    snprintf(text, sizeof text, "%s without a close frame%s", cause, c->codec && ws_mid_message(c->codec) ? ", in the middle of a message" : "");
    end_with(c, WEIR_CLOSED, text);
}

/* Reads until the socket is empty, the reader full, or the budget of this turn used up. */
static void read_some(ws_client *c)
{
    size_t left = READ_BUDGET;
    while (c->state == OPEN && !c->paused && left) {
        char *at;
        size_t room, got;
        if (!ws_read_space(c->codec, &at, &room)) {
            after_codec(c, WEIR_CLOSED);
            return;
        }
        errno = 0;
        transport_result r = transport_read(&c->transport, at, room, &got);
        if (r == TRANSPORT_AGAIN)
            return;
        if (r != TRANSPORT_OK) {
            connection_over(c, r);
            return;
        }
        c->last_heard = loop_now(c->loop);
        c->recv_real = clock_real();
        left -= got < left ? got : left;
        after_codec(c, ws_read_done(c->codec, got));
        if (!c->freed && !c->transport.tls && got < room)
            return; /* empty, most likely; if not, poll says so */
    }
    if (!c->freed && c->state == OPEN && !c->paused && transport_holds_data(&c->transport))
        defer(c->loop, &c->turn);
}

/* Closing: reads and forgets, until the server has hung up. */
static void read_off(ws_client *c)
{
    char scrap[4096];
    size_t got, left = READ_BUDGET;
    if (!c->ended_writing && ws_output(c->codec).len == 0) {
        c->ended_writing = true;
        transport_end(&c->transport);
    }
    while (left) {
        transport_result r = transport_read(&c->transport, scrap, sizeof scrap, &got);
        if (r == TRANSPORT_AGAIN)
            return;
        if (r != TRANSPORT_OK) {
            connection_over(c, r);
            return;
        }
        left -= got < left ? got : left;
    }
    if (transport_holds_data(&c->transport))
        defer(c->loop, &c->turn);
}

static void run_open(ws_client *c)
{
    if (c->resume && c->state == OPEN) {
        c->resume = false;
        after_codec(c, ws_resume(c->codec));
    }
    if (c->state == OPEN)
        read_some(c);
    if (c->state == OPEN || c->state == LINGERING)
        flush(c);
    if (c->state == LINGERING)
        read_off(c);
    if (c->state == OPEN || c->state == LINGERING)
        watch(c);
}

/* ---- Opening, step by step ---- */

/* The upgrade is done: from here on it is frames. `rest` came behind the head. */
static void open_codec(ws_client *c, bytes rest)
{
    static const ws_events events = {ws_on_message, NULL, ws_on_close, ws_on_fail};
    upgrade *u = &c->opening->upgrade;
    ws_options o = {.role = WS_CLIENT, .max_message = c->max_message, .deflate = u->deflate};
    weir_error err = WEIR_ERROR_INIT;
    if (ws_new(&c->codec, &o, &events, c, &err)) {
        end(c, c->close_code, &err);
        return;
    }
    c->state = OPEN;
    timer_stop(&c->deadline);
    c->events.on_open(c->arg, u->chosen);
    if (c->freed || c->state != OPEN)
        return;
    opening_free(c);
    if (rest.len)
        after_codec(c, ws_feed(c->codec, rest));
}

/* A refusal that asks for a pause holds for the whole origin: `err` says until when. */
static void note_refusal(ws_client *c, weir_error *err)
{
    weir_error said = *err, until = WEIR_ERROR_INIT;
    bytes url = bytes_of(c->opening->url);
    bans_note(dial_bans(c->dialer), url, c->http_status, c->retry_after_s, loop_now(c->loop));
    uint64_t left = bans_left(dial_bans(c->dialer), url, loop_now(c->loop), &until);
    if (!left)
        return;
    c->retry_after_s = (uint32_t)((left + NS_PER_S - 1) / NS_PER_S);
    error_set(err, said.code, "%s; %s", said.text, until.text);
}

/* The origin asked for a pause, here or elsewhere: it is not dialled, and the end comes from the loop as if it
 * had been. */
static bool is_banned(ws_client *c)
{
    uint64_t left = bans_left(dial_bans(c->dialer), bytes_of(c->opening->url), loop_now(c->loop), &c->why);
    if (!left)
        return false;
    c->retry_after_s = (uint32_t)((left + NS_PER_S - 1) / NS_PER_S);
    free(c->name); /* the text names the origin */
    c->name = NULL;
    return true;
}

static void run_upgrade(ws_client *c)
{
    upgrade *u = &c->opening->upgrade;
    weir_error err = WEIR_ERROR_INIT;
    transport_result r = TRANSPORT_OK;
    while (r == TRANSPORT_OK && u->request.len) {
        size_t taken = 0;
        r = transport_write(&c->transport, buf_bytes(&u->request), &taken);
        buf_consume(&u->request, taken);
    }
    char piece[4096];
    for (size_t got = 0, used; r == TRANSPORT_OK; got = 0) {
        r = transport_read(&c->transport, piece, sizeof piece, &got);
        if (r != TRANSPORT_OK)
            break;
        c->last_heard = loop_now(c->loop);
        c->recv_real = clock_real();
        weir_code code = upgrade_read(u, bytes_make(piece, got), &used, &err);
        c->http_status = u->status;
        c->retry_after_s = u->retry_after_s;
        if (code) {
            note_refusal(c, &err);
            end(c, c->close_code, &err);
            return;
        }
        if (u->complete) {
            open_codec(c, bytes_make(piece + used, got - used));
            if (!c->freed && c->state != CLOSED)
                run_open(c);
            return;
        }
    }
    if (r == TRANSPORT_AGAIN)
        transport_want(&c->transport, u->request.len == 0, u->request.len > 0);
    else
        end_with(c, WEIR_NETWORK, "the server ended the connection during the WebSocket upgrade");
}

static void run_handshake(ws_client *c)
{
    weir_error err = WEIR_ERROR_INIT;
    transport_result r = transport_handshake(&c->transport, &err);
    if (r == TRANSPORT_AGAIN) {
        transport_want(&c->transport, true, false);
    } else if (r == TRANSPORT_FAILED) {
        end(c, c->close_code, &err);
    } else {
        c->state = UPGRADING;
        run_upgrade(c);
    }
}

static void run(ws_client *c)
{
    enter(c);
    if (c->state == SECURING)
        run_handshake(c);
    else if (c->state == UPGRADING)
        run_upgrade(c);
    else if (c->state == OPEN || c->state == LINGERING)
        run_open(c);
    leave(c);
}

static void on_ready(void *arg, int events, int error)
{
    (void)events; /* whatever it is, trying tells; an error is told by the read */
    (void)error;
    run(arg);
}

static void on_turn(void *arg)
{
    run(arg);
}

/* libcurl has connected the socket, through a proxy's tunnel if need be. A second descriptor of it
 * stays when libcurl closes its own. */
static void on_dialled(void *arg, CURLcode result)
{
    ws_client *c = arg;
    dial_transfer *dial = &c->opening->dial;
    weir_error err = WEIR_ERROR_INIT;
    curl_socket_t socket = CURL_SOCKET_BAD;
    enter(c);
    if (result)
        dial_failed(dial, result, &err);
    else
        curl_easy_getinfo(dial->easy, CURLINFO_ACTIVESOCKET, &socket);
    int fd = socket == CURL_SOCKET_BAD ? -1 : fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (!err.code && fd < 0)
        error_set(&err, WEIR_SYSTEM, "no descriptor for the socket: %s", strerror(errno));
    const url *to = &dial->where.to;
    if (!err.code)
        transport_open(&c->transport, c->loop, fd, to->tls ? dial_tls(c->dialer) : NULL, to->host, on_ready, c, &err);
    if (err.code) {
        if (result) { /* its text names the host already */
            free(c->name);
            c->name = NULL;
        }
        end(c, c->close_code, &err);
    } else {
        dial_stop(dial);
        c->state = SECURING;
        run_handshake(c);
    }
    leave(c);
}

static void on_deadline(void *arg)
{
    ws_client *c = arg;
    enter(c);
    weir_error why = WEIR_ERROR_INIT;
    if (c->state == LINGERING)
        error_set(&why, WEIR_CLOSED, "closed");
    else if (c->state == OPEN)
        error_set(&why, WEIR_TIMEOUT, "the server did not answer our close frame within 2 s");
    else
        error_set(&why, WEIR_TIMEOUT, "not open within %u ms; the time went by in %s", c->connect_ms, doing[c->state]);
    end(c, c->close_code, &why);
    leave(c);
}

/* Sets up the dial: a plain connection to host and port, since TLS is ours. */
static weir_code begin(ws_client *c, const ws_client_options *o, weir_error *err)
{
    weir_code code = o->targets ? targets_check(o->targets, o->url, err) : WEIR_OK;
    url asked;
    if (!code)
        code = url_read(&asked, o->url, err);
    if (code)
        return code;
    if (!asked.websocket)
        code = error_set(err, WEIR_INVALID, "'%s://%s' is no WebSocket's address; it starts with ws:// or wss://", asked.scheme, asked.host);
    url_fini(&asked);
    dial_transfer *dial = &c->opening->dial;
    if (!code)
        code = dial_prepare(dial, c->dialer, o->url, o->targets, err);
    const url *to = &dial->where.to;
    if (!code)
        code = upgrade_begin(&c->opening->upgrade, to, o->headers, o->header_count, o->subprotocol, !o->no_deflate, dial_user_agent(c->dialer), err);
    if (code)
        return code;
    char plain[320];
    snprintf(plain, sizeof plain, "http://%s:%u/", to->host, to->port);
    c->name = strdup(plain + 7);
    c->opening->url = bytes_dup(o->url);
    if (!c->name || !c->opening->url)
        return error_set(err, WEIR_NOMEM, "WebSocket: out of memory");
    c->name[strlen(c->name) - 1] = 0;
    if (is_banned(c))
        return WEIR_OK;
    int failed = curl_easy_setopt(dial->easy, CURLOPT_URL, plain);
    failed |= curl_easy_setopt(dial->easy, CURLOPT_CONNECT_ONLY, 1L);
    failed |= curl_easy_setopt(dial->easy, CURLOPT_FRESH_CONNECT, 1L);
    failed |= curl_easy_setopt(dial->easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    failed |= curl_easy_setopt(dial->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms);
    if (failed)
        return error_set(err, WEIR_NOMEM, "WebSocket: libcurl refuses its options, out of memory");
    if (dial->where.proxy && strncmp(dial->where.proxy, "https://", 8) == 0)
        return error_set(err, WEIR_UNSUPPORTED, "a WebSocket cannot go through the proxy '%.100s', which itself wants TLS; name one with http:// or socks5://", dial->where.proxy);
    return dial_start(dial, on_dialled, c, err);
}

weir_code ws_open(ws_client **out, dialer *d, const ws_client_options *options,
                  const ws_client_events *events, void *arg, weir_error *err)
{
    ws_client *c = calloc(1, sizeof *c);
    opening *o = calloc(1, sizeof *o);
    if (!c || !o) {
        free(c);
        free(o);
        return error_set(err, WEIR_NOMEM, "WebSocket: out of memory");
    }
    c->opening = o;
    c->dialer = d;
    c->loop = dial_loop(d);
    c->events = *events;
    c->arg = arg;
    c->transport.fd = -1;
    c->max_message = options->max_message;
    c->connect_ms = options->connect_ms ? options->connect_ms : dial_connect_ms(d);
    c->close_code = WS_CODE_ABNORMAL;
    c->last_heard = loop_now(c->loop);
    timer_init(&c->deadline, c->loop, on_deadline, c);
    c->turn = (deferred){.fn = on_turn, .arg = c};
    weir_code code = begin(c, options, err);
    if (code) {
        ws_client_free(c);
        return code;
    }
    timer_after(&c->deadline, c->why.code ? 0 : c->connect_ms * NS_PER_MS);
    *out = c;
    return WEIR_OK;
}

/* ---- What the owner may do ---- */

static weir_code not_open(const ws_client *c, weir_error *err)
{
    return error_set(err, WEIR_CLOSED, "%s: the WebSocket is %s", c->name ? c->name : "WebSocket", c->state < OPEN ? "not open yet" : "closed");
}

weir_code ws_client_send(ws_client *c, bool binary, bytes message, weir_error *err)
{
    if (c->state != OPEN)
        return not_open(c, err);
    weir_code code = ws_send(c->codec, binary, message);
    if (code == WEIR_CLOSED)
        return not_open(c, err);
    if (code)
        return error_set(err, code, "%s: %s", c->name, code == WEIR_INVALID ? "a text message that is no UTF-8 cannot be sent; send it as binary" : "out of memory");
    c->sending = true;
    defer(c->loop, &c->turn);
    return WEIR_OK;
}

weir_code ws_client_ping(ws_client *c, bytes payload)
{
    if (c->state != OPEN)
        return WEIR_CLOSED;
    weir_code code = ws_send_ping(c->codec, payload);
    defer(c->loop, &c->turn);
    return code;
}

size_t ws_client_queued(const ws_client *c)
{
    return c->codec ? ws_output(c->codec).len : 0;
}

void ws_client_resume(ws_client *c)
{
    if (c->state != OPEN || !c->paused)
        return;
    c->resume = true;
    defer(c->loop, &c->turn);
}

void ws_client_close(ws_client *c, uint16_t code, bytes reason)
{
    if (c->state == CLOSED || c->state == LINGERING)
        return;
    if (c->state == OPEN) {
        if (ws_send_close(c->codec, code, reason) == WEIR_INVALID)
            ws_send_close(c->codec, WS_CODE_NORMAL, BYTES(""));
        timer_after(&c->deadline, CLOSE_NS);
        defer(c->loop, &c->turn);
        return;
    }
    error_set(&c->why, WEIR_CANCELLED, "given up during %s", doing[c->state]); /* nothing to shake hands on */
    timer_after(&c->deadline, 0);
}

bool ws_client_behind(const ws_client *c)
{
    return c->state == OPEN && (c->paused || transport_unread(&c->transport));
}

uint64_t ws_client_last_heard(const ws_client *c)
{
    return c->last_heard;
}
