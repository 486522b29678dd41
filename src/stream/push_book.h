/* push_book.h: the order book of a push stream whose marker declares one, and what brings its snapshots: book_service.h
 * and book_resync.h, wired together. Everything here is fine for a stream without a book. */
#ifndef STREAM_PUSH_BOOK_H
#define STREAM_PUSH_BOOK_H

#include "stream/book_resync.h"
#include "stream/book_service.h"

typedef struct push_book {
    bool on, began; /* anew, with the present message */
    book_service service;
    book_resync resync;
} push_book;

/* `text` is the marker's "book", which outlives it; empty: there is none. An earlier book goes on if there is one: its
 * declaration was the same, then, and only its text has moved. `ops` with the stream as arg. WEIR_INVALID as it says. */
weir_code push_book_take_marker(push_book *b, stream *s, bytes text, const book_resync_ops *ops, weir_error *err);
void push_book_fini(push_book *b);

/* `old`: it came from a socket before this one, so the book is not concerned. True: it was a snapshot, with which the book
 * begins anew. */
bool push_book_take(push_book *b, const book_message *m, bool old);
bool push_book_next(push_book *b);
void push_book_closed(push_book *b);
void push_book_missed(push_book *b);

/* What the snapshot's address answered and the plugin has not read; the pointers may be NULL. */
/* Whether a snapshot is asked for by a request that is no repetition of one that failed. */
bool push_book_asks(const push_book *b);
bool push_book_answer(const push_book *b, bytes *body, uint64_t *recv_ns);
void push_book_read(push_book *b);

#endif
