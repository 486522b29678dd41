/* ws.h: the WebSocket protocol (RFC 6455, permessage-deflate of RFC 7692) for both roles, without I/O:
 * octets in, events out, octets to send out. The handshake's helpers are at the end.
 *
 *     ws_new(&w, &options, &events, owner, &err);             after the HTTP upgrade
 *     loop:
 *         ws_read_space(w, &at, &room);                       where to read to
 *         n = recv(fd, at, room, 0);
 *         code = ws_read_done(w, n);                          events are called from here
 *         out = ws_output(w); n = send(fd, out.at, out.len);  what is to be sent, now and after ws_send
 *         ws_output_consume(w, n);
 *         if (code == WEIR_CLOSED && !ws_output(w).len) close(fd);
 *     ws_free(w);
 *
 * The frequent operation is one read with many small unfragmented frames: they are parsed, unmasked
 * and checked in place and lent to on_message; nothing is copied or allocated. Read and inflate
 * buffers belong to the thread, not to the connection: an idle connection holds no more than the
 * octets of an unfinished frame. What can go wrong: the peer breaks a rule or a limit. Then on_fail
 * comes once, a close frame with the right code is queued, and what still arrives is ignored.
 *
 * A codec belongs to one thread at a time. Between ws_read_space and ws_read_done no other codec of
 * the same thread may be asked for space; inside an event it may. Events may call everything here but
 * the same codec's ws_read_space, ws_read_done and ws_feed; ws_free too: the memory then goes when the
 * outermost call returns, and no event comes any more. */
#ifndef NET_WS_H
#define NET_WS_H

#include "base/buf.h"

typedef struct ws ws;

typedef enum ws_role { WS_CLIENT,
                       WS_SERVER } ws_role;

typedef enum ws_opcode {
    WS_OP_CONTINUATION = 0,
    WS_OP_TEXT = 1,
    WS_OP_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10,
} ws_opcode;

typedef enum ws_state {
    WS_IS_OPEN,    /* both may send */
    WS_IS_CLOSING, /* our close frame is queued, the peer's has not come */
    WS_IS_CLOSED,  /* both are there, or the peer broke a rule: send what ws_output holds, then close
                      the socket (a client leaves the first close to the server for a second or two) */
} ws_state;

/* Close codes. 1005 and 1006 are never sent: they tell the owner "none given" and "no close frame". */
enum {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNACCEPTABLE = 1003,
    WS_CODE_NONE = 1005,
    WS_CODE_ABNORMAL = 1006,
    WS_CODE_BAD_DATA = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
};

/* permessage-deflate: what was negotiated, or, for the helpers below, what one side wishes. */
typedef struct ws_deflate {
    bool on;
    uint8_t server_bits; /* 8..15, the window of what the server sends; 0 stands for 15 */
    uint8_t client_bits;
    bool server_fresh; /* server_no_context_takeover: the server compresses each message by itself */
    bool client_fresh;
} ws_deflate;

typedef struct ws_options {
    ws_role role;
    size_t max_message;     /* octets of a message after inflating; 0: 16 MiB. More: 1009 */
    size_t max_frame;       /* octets of one frame's payload as sent; 0: max_message and a little. More: 1009 */
    uint32_t max_fragments; /* frames of one message; 0: 131,072. More: 1008 */
    ws_deflate deflate;     /* as negotiated */
    uint32_t deflate_min;   /* shorter messages go out uncompressed; 0: 128, 1: compress all */
    uint8_t deflate_level;  /* zlib's 1..9; 0: 3 */
} ws_options;

typedef struct ws_events {
    /* A whole message, lent until the return; text is well-formed UTF-8. False means "no room": the
     * codec keeps the message, pauses, and gives the same message again after ws_resume. */
    bool (*on_message)(void *arg, bool binary, bytes message);
    /* A ping (its answer is already queued) or a pong. May be NULL. */
    void (*on_control)(void *arg, ws_opcode opcode, bytes payload);
    /* The peer's close frame; ours is queued. 1005 if it gave no code. `reason` is UTF-8. */
    void (*on_close)(void *arg, uint16_t code, bytes reason);
    /* The peer broke a rule (or memory is out: 1011); the close frame with `code` is queued. Never
     * together with on_close. `why` is one line in our style, its text safe on a terminal. */
    void (*on_fail)(void *arg, uint16_t code, const char *why);
} ws_events;

/* `options` and `events` are copied. WEIR_INVALID for impossible options, WEIR_NOMEM. */
weir_code ws_new(ws **out, const ws_options *options, const ws_events *events, void *arg, weir_error *err);
void ws_free(ws *w); /* NULL is fine */

/* Where the next octets of the socket go; `room` is never 0 (4 KiB at least, usually 64 KiB). The
 * space is good until ws_read_done or the next call; a read that brought nothing needs no
 * ws_read_done. False: out of memory, and the codec has failed with 1011. */
bool ws_read_space(ws *w, char **at, size_t *room);

/* `got` octets were read into the space: parses every whole frame and calls the events.
 *   WEIR_OK      read on
 *   WEIR_BUSY    paused (ws_pause, or on_message had no room): read no more until ws_resume
 *   WEIR_CLOSED  ws_state is WS_IS_CLOSED: send the output, close the socket; also after ws_free in an event */
weir_code ws_read_done(ws *w, size_t got);

/* The same for octets that lie elsewhere: copied in, parsed. E.g. what came behind the HTTP upgrade. */
weir_code ws_feed(ws *w, bytes octets);

/* Back-pressure. After ws_pause no further event comes; ws_resume goes on with what has been read
 * already (calling events) and answers like ws_read_done. Inside an event both only set the mark. */
void ws_pause(ws *w);
weir_code ws_resume(ws *w);
bool ws_paused(const ws *w);

/* Appends one frame to the output.
 *   WEIR_CLOSED   a close frame is queued or came: nothing can be sent any more
 *   WEIR_INVALID  a text, or a close reason, that is no UTF-8; a close code that may not be sent;
 *                 more than 125 octets in a control frame (123 for a reason)
 *   WEIR_NOMEM    nothing was appended */
weir_code ws_send(ws *w, bool binary, bytes message);
weir_code ws_send_text(ws *w, bytes text);
weir_code ws_send_plain(ws *w, bytes text); /* known to be UTF-8: not checked, not compressed */
weir_code ws_send_binary(ws *w, bytes data);
weir_code ws_send_ping(ws *w, bytes payload);
weir_code ws_send_pong(ws *w, bytes payload); /* unsolicited; answers to pings go by themselves */
/* Starts the closing handshake; code 0 sends an empty close frame. Messages under way still come. */
weir_code ws_send_close(ws *w, uint16_t code, bytes reason);
/* Octets as they are, in line with the frames: for faults on purpose. */
weir_code ws_send_raw(ws *w, bytes octets);

/* What waits for the socket, in one piece, and how much of it the kernel took. */
bytes ws_output(const ws *w);
void ws_output_consume(ws *w, size_t len);

/* Between the two, what is sent goes into a buffer of the thread, not of the codec: for many lines to a peer that takes
 * them at once. ws_keep, after the writing, moves what is left into the codec's own memory; WEIR_NOMEM: it has none, and
 * what is left is lost. Nothing happens where octets wait already, or another codec gathers. */
void ws_gather(ws *w);
weir_code ws_keep(ws *w);

ws_state ws_get_state(const ws *w);
bool ws_mid_message(const ws *w); /* a part of a message has come: an end now loses it */
size_t ws_memory(const ws *w);    /* octets of heap held now, zlib's included */
void ws_trim(ws *w);              /* gives back buffers that hold nothing; for owners that see a connection idle */

/* ---- The handshake ---- */

#define WS_KEY_SIZE 25    /* 24 characters and a NUL */
#define WS_ACCEPT_SIZE 29 /* 28 characters and a NUL */

void ws_make_key(char out[WS_KEY_SIZE]);                 /* Sec-WebSocket-Key of a client */
bool ws_key_valid(bytes key);                            /* base64 of 16 octets */
void ws_accept_key(char out[WS_ACCEPT_SIZE], bytes key); /* Sec-WebSocket-Accept for a key */

/* Client: appends the value of Sec-WebSocket-Extensions that offers what `want` says (nothing if it is
 * off). ws_deflate_accept reads the server's answer: all its Sec-WebSocket-Extensions headers, joined
 * by ", "; empty if there was none, and then out->on is false. WEIR_NETWORK: it answers what was not
 * offered or breaks the offer; the connection must be dropped. */
void ws_deflate_offer(buf *out, const ws_deflate *want);
weir_code ws_deflate_accept(ws_deflate *out, const ws_deflate *want, bytes answer, weir_error *err);

/* Server: takes the first of the client's offers (joined as above) that it can keep, within `policy`,
 * and appends the value of the answer's Sec-WebSocket-Extensions. False, with out->on false and
 * nothing appended: no such offer; answer without the header. Invalid offers are passed over. */
bool ws_deflate_choose(ws_deflate *out, buf *answer, const ws_deflate *policy, bytes offers);

#endif
