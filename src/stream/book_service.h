/* book_service.h: the order book that the host keeps for one stream, and what its readers get of it.
 *
 * A plugin that declares how its venue guards a book (the StreamMarker's "book", book/guard.h) answers each message
 * with records of levels. Each goes through here before anybody reads it:
 *
 *     a change that follows       into the book, checked, passed on
 *     one that does not           a gap record (cause sequence) in its place, then the change, flagged maybe_bad. From
 *                                 here on the book waits for a snapshot; whoever brings it (book_resync.h) hears `want`
 *     changes meanwhile           held, when the snapshot is asked for beside the stream (by_request): it may be older
 *                                 than they are. Else left out: a snapshot of the stream itself has them
 *     a snapshot                  "resynced", the snapshot, then what was held and is not in it (book_service_next)
 *     one that is too old         nothing of it; `want` again
 *     older than the snapshot, or the same octets as the change before     left out, counted (stale, repeated)
 *
 * A record keeps the plugin's octets; what is missing of its flags (snapshot, last, maybe_bad) is added. To a reader
 * that comes late or lost something the book gives a snapshot of its own (record_stream_keep).
 * What can go wrong: what is held grows beyond HELD_OCTETS, or the book beyond SERVICE_LEVELS: begun anew. No memory:
 * as if the change did not follow. Nothing is allocated for a change once its buffers have grown. */
#ifndef STREAM_BOOK_SERVICE_H
#define STREAM_BOOK_SERVICE_H

#include "book/text.h"
#include "stream/inside.h"

#define HELD_OCTETS (4u << 20)
#define SERVICE_LEVELS (1u << 18) /* of a side */

typedef struct book_owner {
    void (*want)(void *arg, const char *why, bool anew); /* a snapshot; `anew`: one that is under way is of no use */
    void (*whole)(void *arg);                            /* it came, and is good */
    void *arg;
} book_owner;

typedef struct book_service {
    stream *stream;
    book_owner owner;
    guard guard;
    book book;
    bool by_request;
    bool whole;          /* the book is the venue's; else it waits for a snapshot */
    bool first;          /* no change yet since a snapshot by request */
    bool replaying;      /* what is held follows the snapshot */
    buf held;            /* changes, each behind a header */
    buf newest;          /* the octets of the last change that followed */
    buf text;            /* a record in the making */
    levels levels[2];    /* of the change at hand */
    size_t held_at;      /* of the next one to replay */
    uint64_t record_seq; /* of the record that the book is at */
    uint64_t recv_ns;    /* of its message */
    char why[WEIR_ERROR_TEXT];
} book_service;

/* One record of the plugin's. */
typedef struct book_message {
    json data; /* as it was read: validated */
    bool last; /* of its message */
    uint64_t ts_event, recv_ns;
} book_message;

/* `declaration` is the marker's "book". WEIR_INVALID: what is wrong with it. On failure the service is none. */
weir_code book_service_init(book_service *b, stream *s, json declaration, const book_owner *owner, weir_error *err);
void book_service_fini(book_service *b); /* of a zeroed one, too */

void book_service_take(book_service *b, const book_message *m);
/* Passes on one change that was held and follows the snapshot. False: there is none (any more). Call it until then
 * before the next book_service_take, while readers have room. */
bool book_service_next(book_service *b);

void book_service_forget(book_service *b); /* the connection is gone: what comes next is another one's */
void book_service_missed(book_service *b); /* a message was dropped, and a gap has told so */

#endif
