/* ws_transport.h: a connected stream socket, plain or TLS, read and written without waiting. */
#ifndef NET_WS_TRANSPORT_H
#define NET_WS_TRANSPORT_H

#include <openssl/ssl.h>

#include "loop/loop.h"

typedef struct transport {
    int fd;
    SSL *tls; /* NULL: plain */
    loop_io *io;
    bool blocked; /* the last read waits for room to write (TLS may want that) */
    bool stuck;   /* the last write waits for something to read */
} transport;

typedef enum transport_result { TRANSPORT_OK,
                                TRANSPORT_AGAIN,
                                TRANSPORT_END,
                                TRANSPORT_FAILED } transport_result;

/* Takes over `fd`, also when it fails. `tls` NULL: plain. `host` for SNI and for the certificate. */
weir_code transport_open(transport *t, loop *l, int fd, SSL_CTX *tls, const char *host,
                         void (*on_ready)(void *arg, int events, int error), void *arg, weir_error *err);
void transport_close(transport *t);
/* The TLS handshake's next step: OK (also when plain), AGAIN, FAILED with the reason in `err`. */
transport_result transport_handshake(transport *t, weir_error *err);
transport_result transport_read(transport *t, char *at, size_t room, size_t *got);
transport_result transport_write(transport *t, bytes data, size_t *taken);
bool transport_holds_data(const transport *t); /* octets that poll does not know of */
bool transport_unread(const transport *t);     /* octets have come that were not read, poll knows of them or not */
void transport_end(transport *t);              /* no more will be written */
/* Watches for what reading and, if `writing`, writing need. */
void transport_want(transport *t, bool reading, bool writing);

#endif
