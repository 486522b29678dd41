/* server.h: the one HTTP/1.1 and WebSocket server of the program: of the simulated venue and of the
 * API. http-parser over descriptors of our loop, OpenSSL for TLS, ws.c on the upgraded connection. (Not
 * libmicrohttpd: it brings GnuTLS as a second TLS stack and a loop of its own, and gives the socket
 * away on an upgrade.)
 *
 * A request comes whole (head and body up to the ceiling) and is answered by server_reply, at once or
 * later, or in pieces; pipelined requests are answered in order. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "loop/loop.h"
#include "net/http_client.h"

typedef struct server server;
typedef struct server_request server_request;
typedef struct server_ws server_ws;

/* How large a request's body may be, and what a larger one is refused with. */
typedef struct server_body_rule {
    size_t max;
    uint16_t status;
    char why[200];    /* empty: what the status says */
    const char *note; /* on_refuse gets it as it is; NULL */
} server_body_rule;

typedef struct server_options {
    const char *address;   /* NULL: "127.0.0.1" */
    uint16_t port;         /* 0: any free one; see server_port */
    const char *cert_file; /* PEM; NULL: plain */
    const char *key_file;
    uint32_t max_body;        /* 0: 1 MiB */
    uint32_t max_connections; /* 0: 10,000. One more takes the place of one that is idle, or is closed */
    uint32_t idle_ms;         /* a connection without a request or a socket, or that does not read its answer; 0: 60,000 */
    uint32_t head_ms;         /* for a whole head, however it trickles; 0: idle_ms */
    uint32_t body_ms;         /* in which 64 KiB more of a body must come, or its end; 0: idle_ms */
    uint32_t socket_idle_ms;  /* a WebSocket whose peer is silent: pinged after half of it, then dropped; 0: never */
    size_t max_message;       /* of a WebSocket's peer; 0: 16 MiB */
    uint32_t unsent_octets;   /* that the kernel takes of a connection ahead of the peer; 0: as it likes, which is megabytes */
    bool no_deflate;
    /* A head has come, of a request with a body: change `rule`, which is max_body and 413. NULL: that for all. Look, do not answer. */
    void (*on_head)(void *arg, server_request *r, server_body_rule *rule);
    /* A request that cannot be read is answered `status`: writes the body, of type application/json. `note`: of the rule that refuses
     * it, else NULL. NULL: plain text. */
    void (*on_refuse)(void *arg, bytes peer, uint16_t status, const char *why, const char *note, buf *body);
    /* A whole request has come: answer with server_reply or server_upgrade, now or later. */
    void (*on_request)(void *arg, server_request *r);
    void *arg;
} server_options;

/* WEIR_SYSTEM: "port 8443 on 127.0.0.1 is in use; choose another with --port or 0 for any" and the like. */
weir_code server_new(server **out, loop *l, const server_options *options, weir_error *err);
void server_free(server *s); /* closes every connection */
uint16_t server_port(const server *s);
/* Connections that come from now on get this certificate; those that are there go on with theirs. What went wrong leaves all as it
 * was. Of a server without TLS WEIR_UNSUPPORTED. */
weir_code server_renew_certificate(server *s, const char *cert_file, const char *key_file, weir_error *err);
uint64_t server_certificate_ends(const server *s); /* seconds since 1970; 0: there is none */

bytes server_method(const server_request *r);
bytes server_path(const server_request *r);  /* without the query, percent-decoding not applied */
bytes server_query(const server_request *r); /* behind '?', may be empty */
bool server_query_get(const server_request *r, const char *name, buf *decoded);
bytes server_header(const server_request *r, const char *name); /* len 0 if absent; any case */
bytes server_body(const server_request *r);
bytes server_peer(const server_request *r); /* "127.0.0.1:51234" */
bool server_wants_websocket(const server_request *r);
/* For requests answered later: told when the peer has gone; the request is dead after it. */
void server_on_gone(server_request *r, void (*fn)(void *arg), void *arg);

/* Ends the request. Content-Length, Date and Connection are added. */
void server_reply(server_request *r, uint16_t status, const http_header *headers, size_t count, bytes body);
void server_drop(server_request *r); /* closes the connection without an answer */
/* An answer in pieces, as long as wanted (chunked): begin, more ..., end. Look at server_reply_queued before more, and go
 * on when on_drain says that all has been sent. server_drop breaks it off so that the peer notices. */
void server_reply_begin(server_request *r, uint16_t status, const http_header *headers, size_t count);
void server_reply_more(server_request *r, const bytes *pieces, size_t count); /* one chunk of these, one behind the other */
void server_reply_end(server_request *r);
size_t server_reply_queued(const server_request *r);
void server_reply_on_drain(server_request *r, void (*fn)(void *arg), void *arg);
/* Octets of an answer as they are, head included, in as many pieces as wanted; the last one ends the
 * request and the connection. For simulated venues that answer slowly or wrongly. */
void server_reply_raw(server_request *r, bytes octets, bool last);

typedef struct server_ws_events {
    void (*on_message)(void *arg, bool binary, bytes message); /* lent */
    void (*on_drain)(void *arg);
    void (*on_close)(void *arg, uint16_t code, bytes reason); /* exactly once; server_ws is dead after it */
} server_ws_events;

/* Answers 101 (or an error reply for a bad handshake, and then NULL). */
server_ws *server_upgrade(server_request *r, bytes subprotocol, const server_ws_events *events, void *arg);
void server_ws_send(server_ws *w, bool binary, bytes message);
/* A text that is known to be UTF-8, such as a record's line: neither checked nor compressed, copied once. */
void server_ws_send_line(server_ws *w, bytes line);
/* For many of them at once: what is sent between the two goes out at the second, from a buffer that all sockets share; a
 * socket's own memory is for what its peer does not take. on_drain comes only for that. */
void server_ws_gather(server_ws *w);
void server_ws_flush(server_ws *w);
void server_ws_ping(server_ws *w, bytes payload);
size_t server_ws_queued(const server_ws *w);
void server_ws_on_pong(server_ws *w, void (*fn)(void *arg)); /* a pong came: the peer has read all that went before its ping */
void server_ws_close(server_ws *w, uint16_t code, bytes reason);

/* Faults on purpose, for simulated venues. */
void server_ws_abort(server_ws *w);                                    /* reset, no close frame */
void server_ws_drop(server_ws *w);                                     /* sends what is queued, then ends TCP in order, no close frame */
void server_ws_stall(server_ws *w, bool on);                           /* neither reads nor writes: half-open */
void server_ws_pace(server_ws *w, uint32_t octets, uint64_t apart_ns); /* sends in pieces, so far apart; 0 octets: at once again */
void server_ws_raw(server_ws *w, bytes octets);                        /* as they are, past the codec */
void server_ws_on_ping(server_ws *w, void (*fn)(void *arg));           /* a ping frame came (and was answered) */

#endif
