/* ws_client.h: one WebSocket to a venue: dialled by libcurl (names, proxy, address check),
 * upgraded here, framed by ws.c.
 *
 * The happy path: ws_open; on_open; on_message for each message; ws_client_send; ws_client_close; on_close.
 * What can go wrong before on_open (refused, DNS, TLS, HTTP 4xx at the upgrade, wrong accept key,
 * time) comes as one on_close with the error, without on_open. After it, exactly one on_close. */
#ifndef NET_WS_CLIENT_H
#define NET_WS_CLIENT_H

#include "net/dial.h"
#include "net/http_client.h"

typedef struct ws_client ws_client;

typedef struct ws_client_events {
    void (*on_open)(void *arg, bytes subprotocol);
    /* Lent until it returns. A false answer means "no room": the message is kept, reading stops, and
     * the same message comes again after ws_client_resume. */
    bool (*on_message)(void *arg, bool binary, bytes message, uint64_t recv_real_ns);
    void (*on_drain)(void *arg); /* all that ws_client_send queued has gone to the kernel */
    /* `code` is the peer's close code or 1006; `why` says in words what happened, `retry_after_s` what
     * an HTTP refusal asked for (0: nothing). */
    void (*on_close)(void *arg, uint16_t code, const weir_error *why, uint16_t http_status, uint32_t retry_after_s);
} ws_client_events;

typedef struct ws_client_options {
    bytes url;
    const http_header *headers;
    size_t header_count;
    bytes subprotocol;
    const targets *targets; /* outlives the socket's opening; NULL: no URL check, but addresses are still checked */
    uint64_t max_message;   /* 0: 16 MiB */
    bool no_deflate;        /* do not offer permessage-deflate */
    uint32_t connect_ms;    /* name, TCP, TLS and upgrade together; 0: 10,000 */
} ws_client_options;

weir_code ws_open(ws_client **out, dialer *d, const ws_client_options *options,
                  const ws_client_events *events, void *arg, weir_error *err);
weir_code ws_client_send(ws_client *c, bool binary, bytes message, weir_error *err); /* WEIR_CLOSED; queues */
weir_code ws_client_ping(ws_client *c, bytes payload);
size_t ws_client_queued(const ws_client *c); /* octets not yet taken by the kernel */
void ws_client_resume(ws_client *c);         /* there is room again */
/* Starts the closing handshake; on_close follows within 2 s. */
void ws_client_close(ws_client *c, uint16_t code, bytes reason);
/* Drops it, with a close frame if that needs no waiting: no callback comes any more. Also how the memory is released after on_close. */
void ws_client_free(ws_client *c);
bool ws_client_behind(const ws_client *c);         /* messages have come that the reader does not have yet */
uint64_t ws_client_last_heard(const ws_client *c); /* clock_mono of the last octet received */

#endif
