/* book_resync.h: brings the snapshot that an order book waits for (book_service.h), as the plugin's marker declares:
 *
 *     "snapshot": {"url": "https://..."}       a GET, checked like the plugin's own requests. The body goes to the plugin
 *                                              as one more message of the stream
 *     "snapshot": {"messages": ["...", ...]}   sent on the stream's socket; the venue answers with a snapshot
 *     absent                                   the venue sends one at each subscription: dialled anew
 *
 * The first try comes at once, each further one after a back-off that a book which was whole for a minute forgets.
 * What can go wrong: no answer, a status that is no 200, no snapshot within SNAPSHOT_MS, an answer that the plugin
 * makes no snapshot of: tried again. An address that the plugin may not reach: given up, it would never be allowed. */
#ifndef STREAM_BOOK_RESYNC_H
#define STREAM_BOOK_RESYNC_H

#include "base/json.h"
#include "net/http_client.h"
#include "stream/backoff.h"

#define SNAPSHOT_MS 10000
#define SNAPSHOT_URL 2048
#define SNAPSHOT_MESSAGES 16

typedef struct book_resync_ops {
    weir_code (*send)(void *arg, bytes message, weir_error *err);
    void (*dial)(void *arg, const char *why); /* anew; may free all */
    void (*answered)(void *arg);              /* the body is there */
    void (*refused)(void *arg, const char *why);
    void *arg;
} book_resync_ops;

typedef enum resync_phase {
    RESYNC_FRESH,    /* a new socket: what was subscribed to brings a snapshot, or nobody has asked for one yet */
    RESYNC_IDLE,     /* the book is whole */
    RESYNC_DUE,      /* the next try waits for its time */
    RESYNC_ASKED,    /* the snapshot is under way */
    RESYNC_ANSWERED, /* its body is here, for the plugin */
} resync_phase;

typedef struct book_resync {
    const char *name; /* the stream's, for the log */
    loop *loop;
    dialer *dialer;
    const targets *targets;
    uint64_t max_body;
    book_resync_ops ops;
    json snapshot; /* the declaration's, lent */
    bool by_request;
    resync_phase phase;
    backoff backoff;
    uint64_t whole_since; /* clock_mono */
    timer timer;          /* the next try, or SNAPSHOT_MS */
    http_call *call;
    buf body;
    uint64_t body_ns; /* clock_real of its arrival */
    uint32_t pause_s; /* that the venue asked for */
    char why[WEIR_ERROR_TEXT];
} book_resync;

/* All but `ops`, `name` and the back-off's bounds is in *r: loop, dialer, targets, max_body. `declaration` is the marker's "book" and outlives it.
 * WEIR_INVALID: what of "snapshot" is wrong. */
weir_code book_resync_init(book_resync *r, const book_resync_ops *ops, json declaration, uint64_t min_ns, uint64_t max_ns, weir_error *err);
void book_resync_fini(book_resync *r); /* of a zeroed one, too */

void book_resync_want(book_resync *r, const char *why, bool anew); /* begins, if it has not; `anew`: in any case */
void book_resync_whole(book_resync *r);                            /* the snapshot is there */
void book_resync_closed(book_resync *r);                           /* the socket is gone, and all that was under way for it */

bool book_resync_asks(const book_resync *r);                                 /* a request is under way, or due at once */
bool book_resync_body(const book_resync *r, bytes *body, uint64_t *recv_ns); /* that waits for the plugin */
void book_resync_read(book_resync *r);                                       /* the plugin has answered it */

#endif
