/* session.h: one socket to the venue, between net/ws_client and whoever reads it: heartbeats, the limit
 * on silence, back-pressure. Hop 2's place (session_on_message).
 *
 * For a pull plugin its inbox reads (venue.c), for a push plugin the stream does (push.c). */
#ifndef STREAM_SESSION_H
#define STREAM_SESSION_H

#include "base/http_header.h"
#include "net/dial.h"
#include "stream/heartbeat.h"

typedef struct session session;

/* Who reads. `arg` is the one given to session_open; all on the loop's stack. */
typedef struct session_reader {
    void (*opened)(void *arg);
    /* False: no room; the message comes again after session_room. */
    bool (*message)(void *arg, bytes message, bool binary, uint64_t recv_real_ns);
    void (*drained)(void *arg); /* session_send may be tried again */
    /* The end, once; the session is freed after this returns. */
    void (*closed)(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s);
    bool (*holds)(void *arg); /* it refused a message and has not said session_room */
} session_reader;

/* All is copied but what `targets` and `heartbeat` point to, which outlive the session. */
typedef struct session_options {
    loop *loop;
    dialer *dialer;
    const targets *targets;
    bytes url, subprotocol;
    const http_header *headers;
    size_t header_count;
    size_t max_message;         /* octets */
    const heartbeat *heartbeat; /* NULL: what is known of the origin */
    uint32_t silence_ms;        /* the user's limit; 0: the heartbeat's */
} session_options;

weir_code session_open(session **out, const session_options *options, const session_reader *reader, void *arg, weir_error *err);
weir_code session_send(session *s, bytes text, weir_error *err); /* WEIR_BUSY above SESSION_QUEUE octets */
/* From now on somebody else reads; not between a refused message and session_room of the one before. */
void session_read_by(session *s, const session_reader *reader, void *arg);
void session_room(session *s);
void session_probe(session *s);           /* makes a venue that is there answer */
bool session_behind(const session *s);    /* messages have come that its reader does not have yet */
uint64_t session_heard(const session *s); /* clock_mono of the last octet of the venue */
/* Another reads it from now on. */
void session_move(session *s, const session_reader *reader, void *arg);
void session_close(session *s); /* no report after this; frees it. NULL is fine */

#endif
