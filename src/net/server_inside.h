/* server_inside.h: what the server's files share: server.c (listener and connections), server_tls.c
 * (octets in and out), server_http.c (requests), server_ws.c (upgraded connections).
 *
 * One rule keeps callbacks simple: a connection is freed in two places only, at the end of its own
 * turn (conn_settle) and in server_free. Everything else marks it (`failed`, `closing`) and asks for
 * a turn, so a handler may answer, close or abort from wherever it is. */
#ifndef NET_SERVER_INSIDE_H
#define NET_SERVER_INSIDE_H

#include "net/server.h"

#include <http_parser.h>
#include <openssl/ssl.h>

#define SERVER_HEAD_MAX (32u * 1024u)    /* request line and headers */
#define SERVER_HEADERS_MAX 128u          /* of one request */
#define SERVER_SCRATCH (64u * 1024u)     /* one read */
#define SERVER_WAITING_MAX (64u * 1024u) /* octets kept behind an unanswered request */
#define SERVER_OUT_PAUSE (1024u * 1024u) /* HTTP replies queued before parsing pauses */
#define SERVER_OUT_MAX ((size_t)256u * 1024u * 1024u)
#define SERVER_FLUSH_AT (128u * 1024u)       /* WebSocket octets queued in one turn before a write */
#define SERVER_LINGER_NS (2 * NS_PER_S)      /* without anything from a peer that is refused */
#define SERVER_LINGER_MAX_NS (30 * NS_PER_S) /* for one that sends on */
#define SERVER_BODY_PROGRESS (64u * 1024u)   /* of a body in body_ms */

typedef struct conn {
    list_node node;
    server *server;
    int fd;
    loop_io *io;
    SSL *ssl;              /* NULL: plain */
    bool read_wants_write; /* TLS must write before it can read on */
    bool eof, failed, closing, lingering, busy;
    bool keep_alive; /* of the request that is being answered */
    bool head_only;  /* it was HEAD */
    bool streaming;  /* its answer has begun and goes on */
    bool chunked;    /* in chunks: the peer speaks HTTP/1.1 */
    bool stalled;    /* half-open on purpose */
    buf out;
    size_t out_at; /* of which so much has been sent */
    buf in;        /* octets whose turn has not come: pipelined, or behind an upgrade */
    timer deadline;
    uint64_t heard; /* of a WebSocket: when its last octets came */
    uint64_t linger_until;
    deferred turn;
    uint32_t pace_octets; /* slow on purpose: so many at once, 0: all */
    uint64_t pace_ns;     /* so far apart */
    bool pacing;          /* until `pace` fires */
    timer pace;
    http_parser parser;
    server_request *request; /* being read or answered */
    server_ws *ws;           /* upgraded */
    char peer[64];
} conn;

struct server {
    loop *loop;
    server_options options;
    int fd;
    loop_io *io;
    SSL_CTX *tls;
    uint16_t port;
    list conns;
    size_t conn_count;
    timer accept_again; /* after running out of descriptors */
    char *scratch;
    uint64_t date_s;
    char date[40];
};

/* server.c */
void conn_turn_later(conn *c);
void conn_settle(conn *c);         /* ends a turn: writes, closes; `c` may be gone after it */
bool conn_flush(conn *c);          /* writes what the peer takes; true when nothing is left */
size_t conn_queued(const conn *c); /* octets not yet taken by the kernel */

/* server_tls.c */
#define TRANSPORT_AGAIN (-1)
#define TRANSPORT_FAILED (-2)
weir_code server_tls_context(SSL_CTX **out, const char *cert_file, const char *key_file, weir_error *err);
uint64_t server_tls_ends(const SSL_CTX *tls);        /* of its certificate: seconds since 1970; 0: there is none */
bool server_tls_secure(conn *c);                     /* puts TLS on a fresh connection; false when out of memory */
long server_tls_read(conn *c, char *at, size_t len); /* octets, 0: the peer has closed, or TRANSPORT_* */
long server_tls_write(conn *c, const char *at, size_t len);
void server_tls_goodbye(conn *c); /* tells the peer that nothing follows */

/* server_http.c */
void http_begin(conn *c);                                    /* a fresh connection */
void http_feed(conn *c, const char *at, size_t len);         /* octets came; answers, upgrades or keeps them */
void http_resume(conn *c);                                   /* goes on with what was kept */
void http_refuse(conn *c, uint16_t status, const char *why); /* answers an error and closes */
void http_gone(conn *c);                                     /* the connection ends; frees the request */
void http_late(conn *c);                                     /* the deadline has passed */
void http_sent(conn *c);                                     /* all that was queued has gone */
conn *http_conn(server_request *r);
void http_upgraded(server_request *r);                                                      /* the WebSocket has it now; frees the request */
bool server_header_at(const server_request *r, const char *name, size_t nth, bytes *value); /* of doubles */

/* server_ws.c */
void socket_feed(conn *c, const char *at, size_t len); /* what came behind the upgrade's head */
long socket_read(conn *c);                             /* reads, parses, calls; as server_tls_read */
bytes socket_output(const conn *c);
void socket_consume(conn *c, size_t len);
void socket_sent(conn *c); /* all that was queued has gone */
void socket_late(conn *c); /* the closing handshake took too long */
void socket_gone(conn *c); /* the connection ends; on_close, frees the socket */

#endif
