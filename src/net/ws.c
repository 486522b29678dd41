/* The WebSocket codec (ws.h): frames in, messages out, and the other way.
 *
 * The happy path: ws_read_done -> parse -> header -> in_place -> on_message, without a copy. Three
 * things leave it: a frame that is a part of a message, or compressed, is joined in `message`
 * (joined); a control frame waits until it is whole (control); a frame that is not all there is
 * checked as far as it goes, and its octets move to `in` until the next read.
 *
 * Input lies in the thread's buffer (ws_scratch.c) during a read, in `in` between reads. A frame
 * longer than that is read into `in` directly. `message` borrows the thread's second buffer while it
 * can, and moves to the heap when it outgrows it or must outlive the call.
 *
 * What can go wrong: a rule broken at any place is one call of fail(), which queues the close frame,
 * and from then on the state is closed and input is dropped. */
#include <assert.h>
#include <stdio.h>

#include "net/ws_inside.h"

#define PONG_BACKLOG (64u << 10) /* with more output waiting only the last ping is answered */
#define CONTROL_MAX 125
#define HEADER_MAX 14

typedef struct frame {
    bool open; /* its header is parsed and consumed */
    bool fin, in_place;
    uint8_t opcode;
    uint32_t mask; /* in memory order; 0 for none */
    size_t left;   /* octets of payload not yet consumed */
    size_t seen;   /* of these: unmasked and checked already, lying at the front of the input */
    size_t phase;  /* octets of payload consumed before, for the mask */
} frame;

typedef enum space_kind { SPACE_NONE,
                          SPACE_SCRATCH,
                          SPACE_OWN } space_kind;

struct ws {
    frame frame;
    store in, message, out;
    store kept; /* the own memory of `out`, while that has the thread's */
    utf8 text;  /* of the message under way */
    bool in_message, binary, compressed;
    bool held;     /* `message` is whole, the owner had no room for it */
    bool borrowed; /* `message` had the thread's buffer in this call */
    bool gathers;  /* `out` has, or had, the thread's buffer, and `kept` its own */
    bool paused, busy, doomed;
    uint8_t state; /* ws_state */
    uint8_t space; /* space_kind: where the last ws_read_space pointed */
    bool pong_due;
    uint8_t pong_len;
    uint32_t fragments;
    size_t compressed_len;
    zip *zip;
    ws_events events;
    void *arg;
    ws_options options;
    char pong[CONTROL_MAX];
};

weir_code ws_new(ws **out, const ws_options *options, const ws_events *events, void *arg, weir_error *err)
{
    const ws_deflate *d = &options->deflate;
    *out = NULL;
    if (!events->on_message || !events->on_close || !events->on_fail)
        return error_set(err, WEIR_INVALID, "websocket: on_message, on_close and on_fail are needed");
    if (d->on && ((d->server_bits && (d->server_bits < 8 || d->server_bits > 15)) ||
                  (d->client_bits && (d->client_bits < 8 || d->client_bits > 15))))
        return error_set(err, WEIR_INVALID, "websocket: a deflate window has 8 to 15 bits, not %u and %u", d->server_bits,
                         d->client_bits);
    if (options->deflate_level > 9)
        return error_set(err, WEIR_INVALID, "websocket: deflate level is %u; there are 1 to 9", options->deflate_level);
    ws *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, WEIR_NOMEM, "websocket: out of memory");
    w->options = *options;
    ws_options *o = &w->options;
    if (!o->max_message)
        o->max_message = 16u << 20;
    if (o->max_message > SIZE_MAX / 4)
        o->max_message = SIZE_MAX / 4;
    if (!o->max_frame || o->max_frame > SIZE_MAX / 4)
        o->max_frame = o->max_message + o->max_message / 1024 + 64; /* what does not compress grows a little */
    if (!o->max_fragments)
        o->max_fragments = 1u << 17;
    if (!o->deflate_min)
        o->deflate_min = 128;
    w->events = *events;
    w->arg = arg;
    if (d->on && !(w->zip = zip_new(o))) {
        free(w);
        return error_set(err, WEIR_NOMEM, "websocket: out of memory");
    }
    *out = w;
    return WEIR_OK;
}

void ws_free(ws *w)
{
    if (!w)
        return;
    if (w->busy) {
        w->doomed = true;
        return;
    }
    store_drop(&w->in);
    store_drop(&w->message);
    ws_keep(w);
    store_drop(&w->out);
    zip_free(w->zip);
    free(w);
}

/* ---- Sending ---- */

/* Writes a frame's header and answers its length. */
static size_t put_header(char *at, uint8_t first, size_t len, bool masked, uint32_t mask)
{
    uint8_t *p = (uint8_t *)at;
    size_t n = 2;
    p[0] = first;
    p[1] = masked ? 0x80 : 0;
    if (len < 126) {
        p[1] |= (uint8_t)len;
    } else if (len < 65536) {
        p[1] |= 126;
        p[2] = (uint8_t)(len >> 8);
        p[3] = (uint8_t)len;
        n = 4;
    } else {
        p[1] |= 127;
        for (int i = 0; i < 8; i++)
            p[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
        n = 10;
    }
    if (masked) {
        memcpy(p + n, &mask, 4);
        n += 4;
    }
    return n;
}

/* Appends one frame; false when out of memory. */
static bool put_frame(ws *w, uint8_t first, bytes payload)
{
    bool masked = w->options.role == WS_CLIENT;
    uint32_t mask = masked ? scratch_mask() : 0;
    if (payload.len > SIZE_MAX / 2)
        return false;
    char *at = store_room(&w->out, HEADER_MAX + payload.len);
    if (!at)
        return false;
    size_t n = put_header(at, first, payload.len, masked, mask);
    if (masked)
        mask_copy(at + n, payload.at, payload.len, mask, 0);
    else if (payload.len)
        memcpy(at + n, payload.at, payload.len);
    w->out.len += n + payload.len;
    return true;
}

/* The same, compressed: deflated behind the room for the longest header, then moved up to the real one. */
static bool put_compressed(ws *w, uint8_t opcode, bytes payload)
{
    store *o = &w->out;
    bool masked = w->options.role == WS_CLIENT;
    uint32_t mask = masked ? scratch_mask() : 0;
    size_t before = o->len;
    if (!store_room(o, HEADER_MAX + payload.len / 4 + 64))
        return false;
    o->len += HEADER_MAX;
    if (!zip_message(w->zip, payload, o)) {
        o->len = before;
        return false;
    }
    size_t len = o->len - before - HEADER_MAX;
    char *at = o->at + o->start + before;
    char header[HEADER_MAX];
    size_t n = put_header(header, (uint8_t)(0xc0 | opcode), len, masked, mask);
    memmove(at + n, at + HEADER_MAX, len);
    memcpy(at, header, n);
    if (masked)
        mask_copy(at + n, at + n, len, mask, 0);
    o->len = before + n + len;
    return true;
}

static bool is_utf8(bytes text)
{
    utf8 u = {0};
    return utf8_feed(&u, text.at, text.len) && !u.due;
}

weir_code ws_send(ws *w, bool binary, bytes message)
{
    if (w->state != WS_IS_OPEN || w->doomed)
        return WEIR_CLOSED;
    if (!binary && !is_utf8(message))
        return WEIR_INVALID;
    uint8_t opcode = binary ? WS_OP_BINARY : WS_OP_TEXT;
    bool sent = w->zip && message.len >= w->options.deflate_min ? put_compressed(w, opcode, message)
                                                                : put_frame(w, (uint8_t)(0x80 | opcode), message);
    return sent ? WEIR_OK : WEIR_NOMEM;
}

weir_code ws_send_text(ws *w, bytes text)
{
    return ws_send(w, false, text);
}

weir_code ws_send_plain(ws *w, bytes text)
{
    if (w->state != WS_IS_OPEN || w->doomed)
        return WEIR_CLOSED;
    return put_frame(w, 0x80 | WS_OP_TEXT, text) ? WEIR_OK : WEIR_NOMEM;
}

weir_code ws_send_binary(ws *w, bytes data)
{
    return ws_send(w, true, data);
}

static weir_code send_control(ws *w, uint8_t opcode, bytes payload)
{
    if (w->state != WS_IS_OPEN || w->doomed)
        return WEIR_CLOSED;
    if (payload.len > CONTROL_MAX)
        return WEIR_INVALID;
    return put_frame(w, (uint8_t)(0x80 | opcode), payload) ? WEIR_OK : WEIR_NOMEM;
}

weir_code ws_send_ping(ws *w, bytes payload)
{
    return send_control(w, WS_OP_PING, payload);
}

weir_code ws_send_pong(ws *w, bytes payload)
{
    return send_control(w, WS_OP_PONG, payload);
}

static bool code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static weir_code put_close(ws *w, uint16_t code, bytes reason)
{
    char payload[CONTROL_MAX];
    size_t len = 0;
    if (code) {
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        if (reason.len)
            memcpy(payload + 2, reason.at, reason.len);
        len = 2 + reason.len;
    }
    return put_frame(w, 0x80 | WS_OP_CLOSE, bytes_make(payload, len)) ? WEIR_OK : WEIR_NOMEM;
}

weir_code ws_send_close(ws *w, uint16_t code, bytes reason)
{
    if (w->state != WS_IS_OPEN || w->doomed)
        return WEIR_CLOSED;
    if ((code && !code_valid(code)) || (!code && reason.len) || reason.len > CONTROL_MAX - 2 || !is_utf8(reason))
        return WEIR_INVALID;
    weir_code result = put_close(w, code, reason);
    if (result == WEIR_OK)
        w->state = WS_IS_CLOSING;
    return result;
}

weir_code ws_send_raw(ws *w, bytes octets)
{
    if (w->doomed)
        return WEIR_CLOSED;
    return store_add(&w->out, octets.at, octets.len) ? WEIR_OK : WEIR_NOMEM;
}

bytes ws_output(const ws *w)
{
    return (bytes){w->out.len ? w->out.at + w->out.start : NULL, w->out.len};
}

void ws_output_consume(ws *w, size_t len)
{
    assert(len <= w->out.len);
    store_take(&w->out, len);
    if (w->pong_due && w->out.len <= PONG_BACKLOG) {
        w->pong_due = false;
        send_control(w, WS_OP_PONG, bytes_make(w->pong, w->pong_len));
    }
    if (!w->out.len)
        store_relax(&w->out);
}

void ws_gather(ws *w)
{
    scratch *s = w->out.len ? NULL : scratch_get();
    if (!s || s->send_lent)
        return;
    s->send_lent = true;
    w->gathers = true;
    w->kept = w->out;
    w->out = (store){.at = s->send, .cap = SCRATCH_SEND, .lent = true};
}

weir_code ws_keep(ws *w)
{
    if (!w->gathers)
        return WEIR_OK;
    store said = w->out, *own = &w->out;
    w->gathers = false;
    scratch_get()->send_lent = false;
    *own = w->kept;
    w->kept = (store){0};
    if (!said.lent) { /* it has outgrown the thread's */
        store_drop(own);
        *own = said;
        return WEIR_OK;
    }
    if (said.len)
        return store_add(own, said.at + said.start, said.len) ? WEIR_OK : WEIR_NOMEM;
    store_relax(own);
    return WEIR_OK;
}

/* ---- Receiving ---- */

/* The peer broke a rule. Memory for the close frame may be missing too: then there is none. */
static void fail(ws *w, uint16_t code, const char *why)
{
    if (w->state == WS_IS_CLOSED)
        return;
    if (w->state == WS_IS_OPEN)
        put_close(w, code, bytes_of(why));
    w->state = WS_IS_CLOSED;
    w->pong_due = false;
    w->events.on_fail(w->arg, code, why);
}

static void fail_memory(ws *w)
{
    fail(w, WS_CODE_INTERNAL, "out of memory");
}

static void fail_size(ws *w, const char *what, uint64_t got, size_t limit)
{
    char why[CONTROL_MAX - 1];
    snprintf(why, sizeof why, "%s of %llu octets; the limit is %zu", what, (unsigned long long)got, limit);
    fail(w, WS_CODE_TOO_BIG, why);
}

static bool stopped(const ws *w)
{
    return w->paused || w->doomed || w->state == WS_IS_CLOSED;
}

/* False, and the message stays, if the owner has no room. */
static inline bool deliver(ws *w, bytes message)
{
    if (w->events.on_message(w->arg, w->binary, message))
        return true;
    w->paused = true;
    return false;
}

/* Delivers `message` and makes ready for the next. */
static void deliver_joined(ws *w)
{
    store *m = &w->message;
    w->held = !deliver(w, bytes_make(m->at ? m->at + m->start : "", m->len));
    if (w->held || w->doomed)
        return;
    m->len = m->start = 0;
    w->in_message = false;
    if (!m->lent)
        store_relax(m);
}

/* Why the first two octets of a frame cannot be, or NULL. */
static const char *header_fault(const ws *w, uint8_t first, uint8_t second)
{
    uint8_t opcode = first & 0x0f;
    bool rsv1 = first & 0x40, masked = second & 0x80;
    if (first & 0x30)
        return "reserved bits are set in a frame";
    if (opcode & 0x08) {
        if (opcode > WS_OP_PONG)
            return "a frame with a reserved opcode";
        if (!(first & 0x80))
            return "a control frame is fragmented";
        if ((second & 0x7f) > CONTROL_MAX)
            return "a control frame with more than 125 octets";
        if (rsv1)
            return "a control frame is marked as compressed";
    } else {
        if (opcode > WS_OP_BINARY)
            return "a frame with a reserved opcode";
        if (rsv1 && !w->zip)
            return "a compressed frame, and no compression was agreed";
        if (rsv1 && opcode == WS_OP_CONTINUATION)
            return "a continuation frame is marked as compressed";
        if (opcode == WS_OP_CONTINUATION && !w->in_message)
            return "a continuation frame without a message";
        if (opcode != WS_OP_CONTINUATION && w->in_message)
            return "a new message inside a fragmented one";
    }
    if (masked != (w->options.role == WS_SERVER))
        return masked ? "a masked frame from the server" : "a frame from the client without a mask";
    return NULL;
}

/* Whether a data frame of `len` octets is within the limits; starts or goes on with its message. */
static bool admit(ws *w, uint8_t first, uint64_t len)
{
    const ws_options *o = &w->options;
    uint8_t opcode = first & 0x0f;
    if (opcode != WS_OP_CONTINUATION) {
        w->in_message = true;
        w->binary = opcode == WS_OP_BINARY;
        w->compressed = first & 0x40;
        w->text = (utf8){0};
        w->fragments = 0;
        w->compressed_len = 0;
    }
    if (len > o->max_frame) {
        fail_size(w, "a frame", len, o->max_frame);
        return false;
    }
    if (!w->compressed && len > o->max_message - w->message.len) {
        fail_size(w, "a message", w->message.len + len, o->max_message);
        return false;
    }
    if (w->compressed && (w->compressed_len += (size_t)len) > o->max_message + o->max_message / 1024 + 64) {
        fail_size(w, "a compressed message", w->compressed_len, o->max_message);
        return false;
    }
    if (++w->fragments > o->max_fragments) {
        fail(w, WS_CODE_POLICY, "a message of too many fragments");
        return false;
    }
    return true;
}

/* Parses a frame's header: its length, or 0 if it is not all there or the connection failed. */
static size_t header(ws *w, const char *at, size_t len)
{
    const uint8_t *p = (const uint8_t *)at;
    if (len < 2)
        return 0;
    const char *fault = header_fault(w, p[0], p[1]);
    if (fault) {
        fail(w, WS_CODE_PROTOCOL, fault);
        return 0;
    }
    bool masked = p[1] & 0x80;
    uint64_t payload = p[1] & 0x7f;
    size_t wide = payload < 126 ? 0 : payload == 126 ? 2
                                                     : 8,
           n = 2 + wide + (masked ? 4 : 0);
    if (len < 2 + wide)
        return 0;
    if (wide) {
        payload = 0;
        for (size_t i = 0; i < wide; i++)
            payload = payload << 8 | p[2 + i];
        if (payload >> 63 || payload < (wide == 2 ? 126 : 65536)) {
            fail(w, WS_CODE_PROTOCOL, payload >> 63 ? "a frame's length has its top bit set" : "a frame's length is not in its shortest form");
            return 0;
        }
    }
    if (len < n)
        return 0;
    frame *f = &w->frame;
    f->opcode = p[0] & 0x0f;
    if (f->opcode < WS_OP_CLOSE && !admit(w, p[0], payload))
        return 0;
    f->open = true;
    f->fin = p[0] & 0x80;
    f->in_place = f->fin && f->opcode != WS_OP_CONTINUATION && f->opcode < WS_OP_CLOSE && !w->compressed;
    f->mask = 0;
    if (masked)
        memcpy(&f->mask, p + n - 4, 4);
    f->left = (size_t)payload;
    f->seen = f->phase = 0;
    return n;
}

static const char not_utf8[] = "a text that is not UTF-8";

static bool check_text(ws *w, const char *at, size_t len, bool last)
{
    if (!w->binary && (!utf8_feed(&w->text, at, len) || (last && w->text.due))) {
        fail(w, WS_CODE_BAD_DATA, not_utf8);
        return false;
    }
    return true;
}

/* An unfragmented, uncompressed message: lent from where it lies, once it is whole. Answers the octets
 * consumed: all or none. */
static size_t in_place(ws *w, char *at, size_t len)
{
    frame *f = &w->frame;
    size_t have = len < f->left ? len : f->left, fresh = have - f->seen;
    if (f->mask && fresh)
        mask_copy(at + f->seen, at + f->seen, fresh, f->mask, f->seen);
    if (!check_text(w, at + f->seen, fresh, have == f->left))
        return 0;
    f->seen = have;
    if (have < f->left || !deliver(w, bytes_make(at, have)))
        return 0;
    f->open = w->in_message = false;
    return have;
}

/* Lends the thread's second buffer to `message`, if that has none and the buffer is free. */
static void borrow(ws *w)
{
    scratch *s = w->message.cap ? NULL : scratch_get();
    if (!s || s->out_lent)
        return;
    w->borrowed = s->out_lent = true;
    w->message = (store){.at = s->out, .cap = SCRATCH_OUT, .lent = true};
}

/* Gives it back at the end of a call; a message under way moves to the heap. */
static void give_back(ws *w)
{
    store *m = &w->message, own = {0};
    if (!w->borrowed)
        return;
    w->borrowed = false;
    scratch_get()->out_lent = false;
    if (!m->lent)
        return; /* outgrown */
    bool lost = m->len && !w->doomed && !store_add(&own, m->at + m->start, m->len);
    *m = own;
    if (lost)
        fail_memory(w);
}

/* Inflates a piece into `message`. */
static bool join_compressed(ws *w, const char *at, size_t len, bool last)
{
    store *m = &w->message;
    size_t before = m->len;
    switch (unzip(w->zip, at, len, last, m, w->options.max_message)) {
    case UNZIP_OK:
        break;
    case UNZIP_BAD:
        fail(w, WS_CODE_BAD_DATA, "a compressed message that does not inflate");
        return false;
    case UNZIP_TOO_BIG:
        fail_size(w, "an inflated message", m->len, w->options.max_message);
        return false;
    case UNZIP_NOMEM:
        fail_memory(w);
        return false;
    }
    return check_text(w, m->at ? m->at + m->start + before : "", m->len - before, last);
}

/* A frame that is a part of a message, or compressed: what there is of it goes to `message`. */
static size_t joined(ws *w, char *at, size_t len)
{
    frame *f = &w->frame;
    size_t have = len < f->left ? len : f->left;
    bool last = f->fin && have == f->left;
    borrow(w);
    if (f->mask)
        mask_copy(at, at, have, f->mask, f->phase);
    if (w->compressed) {
        if (!join_compressed(w, at, have, last))
            return 0;
    } else {
        if (!check_text(w, at, have, last))
            return 0;
        if (!store_add(&w->message, at, have)) {
            fail_memory(w);
            return 0;
        }
    }
    f->phase += have;
    f->left -= have;
    if (!f->left) {
        f->open = false;
        if (f->fin)
            deliver_joined(w);
    }
    return have;
}

static void got_close(ws *w, const char *at, size_t len)
{
    uint16_t code = 0;
    bytes reason = {"", 0};
    if (len == 1) {
        fail(w, WS_CODE_PROTOCOL, "a close frame with half a code");
        return;
    }
    if (len) {
        code = (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
        reason = bytes_make(at + 2, len - 2);
        if (!code_valid(code)) {
            fail(w, WS_CODE_PROTOCOL, "a close frame with a code that may not be sent");
            return;
        }
        if (!is_utf8(reason)) {
            fail(w, WS_CODE_BAD_DATA, "a close frame whose reason is not UTF-8");
            return;
        }
    }
    if (w->state == WS_IS_OPEN)
        put_close(w, code, (bytes){0});
    w->state = WS_IS_CLOSED;
    w->pong_due = false;
    w->events.on_close(w->arg, code ? code : WS_CODE_NONE, reason);
}

static void got_ping(ws *w, const char *at, size_t len)
{
    if (w->state != WS_IS_OPEN)
        return;
    if (w->out.len > PONG_BACKLOG) { /* the peer asks faster than it reads */
        memcpy(w->pong, at, len);
        w->pong_len = (uint8_t)len;
        w->pong_due = true;
    } else if (send_control(w, WS_OP_PONG, bytes_make(at, len)) == WEIR_NOMEM) {
        fail_memory(w);
    }
}

/* A control frame is taken whole. */
static size_t control(ws *w, char *at, size_t len)
{
    frame *f = &w->frame;
    size_t have = f->left;
    if (len < have)
        return 0;
    if (f->mask)
        mask_copy(at, at, have, f->mask, 0);
    f->open = false;
    if (f->opcode == WS_OP_CLOSE) {
        got_close(w, at, have);
        return have;
    }
    if (f->opcode == WS_OP_PING)
        got_ping(w, at, have);
    if (w->events.on_control && w->state != WS_IS_CLOSED)
        w->events.on_control(w->arg, (ws_opcode)f->opcode, bytes_make(at, have));
    return have;
}

/* The frequent case in one straight line: whole, unfragmented, uncompressed messages of less than 64 KiB,
 * one behind the other. Answers the octets consumed; what is of another kind, broken or not all there
 * is left for the careful way. A message refused for want of room is left as in_place() leaves it. */
static size_t parse_whole(ws *w, char *at, size_t len)
{
    const size_t most = w->options.max_frame < w->options.max_message ? w->options.max_frame : w->options.max_message;
    const bool masked = w->options.role == WS_SERVER;
    const size_t key = masked ? 4 : 0;
    size_t used = 0;
    while (len - used >= 8 && !stopped(w)) {
        const uint8_t *p = (const uint8_t *)at + used;
        size_t payload = p[1] & 0x7f, n = 2 + key;
        if ((p[0] != (0x80 | WS_OP_TEXT) && p[0] != (0x80 | WS_OP_BINARY)) || p[1] >> 7 != masked || payload == 127)
            break;
        if (payload == 126) {
            payload = (size_t)p[2] << 8 | p[3];
            n += 2;
        }
        if (len - used < n + payload || payload > most || (n == 4 + key && payload < 126))
            break;
        char *message = at + used + n;
        if (masked) {
            uint32_t mask;
            memcpy(&mask, message - 4, 4);
            mask_copy(message, message, payload, mask, 0);
        }
        used += n;
        w->binary = p[0] == (0x80 | WS_OP_BINARY);
        if (!w->binary && !is_utf8(bytes_make(message, payload))) {
            fail(w, WS_CODE_BAD_DATA, not_utf8);
            break;
        }
        if (!deliver(w, bytes_make(message, payload))) {
            w->in_message = true;
            w->frame = (frame){.open = true, .fin = true, .in_place = true, .opcode = p[0] & 0x0f, .left = payload, .seen = payload};
            w->text = (utf8){0};
            break;
        }
        used += payload;
    }
    return used;
}

/* Takes what it can of `len` octets, calling events; answers how many it is done with. */
static size_t parse(ws *w, char *at, size_t len)
{
    const frame *f = &w->frame;
    size_t used = 0;
    while (!stopped(w)) {
        if (!f->open) {
            if (!w->in_message)
                used += parse_whole(w, at + used, len - used);
            if (stopped(w))
                break;
            size_t n = header(w, at + used, len - used);
            if (!n)
                break;
            used += n;
        }
        size_t had = used;
        if (f->in_place)
            used += in_place(w, at + used, len - used);
        else if (f->opcode >= WS_OP_CLOSE)
            used += control(w, at + used, len - used);
        else
            used += joined(w, at + used, len - used);
        if (f->open && (had == used || used == len))
            break; /* the frame is not all there */
    }
    return used;
}

/* The end of every call that may have called events: puts the buffers in order and says what the
 * reader should do next. */
static weir_code finish(ws *w)
{
    give_back(w);
    w->busy = false;
    if (w->doomed) {
        ws_free(w);
        return WEIR_CLOSED;
    }
    if (w->state == WS_IS_CLOSED) {
        store_drop(&w->in);
        store_drop(&w->message);
        return WEIR_CLOSED;
    }
    store_relax(&w->in);
    return w->paused ? WEIR_BUSY : WEIR_OK;
}

bool ws_read_space(ws *w, char **at, size_t *room)
{
    store *in = &w->in;
    const frame *f = &w->frame;
    assert(!w->busy);
    scratch *s = in->len <= STORE_SMALL ? scratch_get() : NULL;
    if (s && !s->parsing) {
        if (in->len)
            memcpy(s->in, in->at + in->start, in->len);
        s->reader = w;
        w->space = SPACE_SCRATCH;
        *at = s->in + in->len;
        *room = SCRATCH_IN - in->len;
        return true;
    }
    /* The rest of the frame, but not much more than has come: a header may promise anything. */
    size_t want = f->open && f->left > in->len ? f->left - in->len : 0, most = in->len > SCRATCH_IN ? in->len : SCRATCH_IN;
    if (want > most)
        want = most;
    if (want < STORE_SMALL)
        want = STORE_SMALL;
    *at = store_room(in, want);
    if (!*at) {
        w->busy = true;
        fail_memory(w);
        finish(w);
        return false;
    }
    w->space = SPACE_OWN;
    *room = in->cap - in->start - in->len;
    return true;
}

/* Octets were read into the thread's buffer, behind a copy of what waited in `in`. */
static void done_scratch(ws *w, size_t got)
{
    scratch *s = scratch_get();
    assert(s->reader == w && "another codec of this thread was asked for space in between");
    size_t len = w->in.len + got;
    store_take(&w->in, w->in.len);
    s->parsing = true;
    size_t used = parse(w, s->in, len);
    s->parsing = false;
    if (used < len && !w->doomed && w->state != WS_IS_CLOSED && !store_add(&w->in, s->in + used, len - used))
        fail_memory(w);
}

weir_code ws_read_done(ws *w, size_t got)
{
    space_kind space = w->space;
    assert(!w->busy && (space != SPACE_NONE || !got));
    w->space = SPACE_NONE;
    w->busy = true;
    if (got && w->state != WS_IS_CLOSED) {
        if (space == SPACE_SCRATCH) {
            done_scratch(w, got);
        } else {
            w->in.len += got;
            store_take(&w->in, parse(w, w->in.at + w->in.start, w->in.len));
        }
    }
    return finish(w);
}

weir_code ws_feed(ws *w, bytes octets)
{
    weir_code code = w->paused ? WEIR_BUSY : WEIR_OK;
    while (octets.len && code != WEIR_CLOSED) {
        char *at;
        size_t room;
        if (!ws_read_space(w, &at, &room))
            return WEIR_CLOSED;
        if (room > octets.len)
            room = octets.len;
        memcpy(at, octets.at, room);
        octets = bytes_make(octets.at + room, octets.len - room);
        code = ws_read_done(w, room);
    }
    return code;
}

void ws_pause(ws *w)
{
    w->paused = true;
}

weir_code ws_resume(ws *w)
{
    w->paused = false;
    if (w->busy)
        return WEIR_OK;
    w->busy = true;
    if (w->held && w->state != WS_IS_CLOSED)
        deliver_joined(w);
    if (w->in.len)
        store_take(&w->in, parse(w, w->in.at + w->in.start, w->in.len));
    return finish(w);
}

bool ws_paused(const ws *w)
{
    return w->paused;
}

ws_state ws_get_state(const ws *w)
{
    return (ws_state)w->state;
}

bool ws_mid_message(const ws *w)
{
    const frame *f = &w->frame;
    bool whole = w->held || (f->open && f->in_place && f->seen == f->left); /* only not yet taken */
    return w->in_message && !whole;
}

size_t ws_memory(const ws *w)
{
    return sizeof *w + store_heap(&w->in) + store_heap(&w->message) + store_heap(&w->out) + store_heap(&w->kept) + (w->zip ? zip_memory(w->zip) : 0);
}

void ws_trim(ws *w)
{
    store *all[] = {&w->in, &w->message, &w->out, &w->kept};
    for (size_t i = 0; i < 4; i++)
        if (!all[i]->len && !all[i]->lent && !w->busy)
            store_drop(all[i]);
    if (w->zip && !w->busy)
        zip_trim(w->zip);
}
