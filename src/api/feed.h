/* feed.h: records for one reader: from now, or first those of the history from some point on, and then live without a
 * seam: none lost, none double.
 *
 * The history is read in pages while there is room; the live subscription begins when all of it has been read once, and
 * what came meanwhile is read behind that, so a long history does not fill the reader's queue. What both have is
 * left out of the queue, by the numbers of each stream.
 *
 * The owner says when there is room (feed_pull) and is told when there is something to pull (on_ready, from anywhere: schedule
 * there). */
#ifndef API_FEED_H
#define API_FEED_H

#include "api/inside.h"
#include "base/json.h"

typedef struct feed feed;

typedef enum feed_from { FEED_NOW,
                         FEED_SEQ,   /* behind the numbers in `seqs`; streams that are not there from `since_ns` */
                         FEED_TIME,  /* from `since_ns` */
                         FEED_EVENT, /* behind the record `name`, `seq`, whatever the pattern selects besides */
} feed_from;

typedef struct feed_events {
    bool (*room)(void *arg);
    void (*ready)(void *arg);                                      /* feed_pull has something to do */
    void (*line)(void *arg, bytes line, bytes name, uint64_t seq); /* `name`: record_stream_name */
    void (*seam)(void *arg, uint64_t history, bool complete);      /* what follows is live. Not for FEED_NOW */
    void (*ended)(void *arg, const char *why);                     /* once, from feed_pull; feed_free it */
} feed_events;

typedef struct feed_options {
    const char *pattern;
    feed_from from;
    uint64_t since_ns;          /* 0: FEED_TIME all there is, FEED_SEQ from now */
    const uint64_t *connection; /* only streams of this one; NULL: any */
    json seqs;                  /* an object of numbers as texts, by the names of streams, or by their topics where these are of one connection; lent to feed_new */
    bytes name;                 /* of FEED_EVENT: a stream's name, or its topic */
    uint64_t seq;
    sub_policy policy;
    uint64_t max_records; /* 0: 8192 */
} feed_options;

/* WEIR_INVALID: the pattern, seqs; WEIR_UNSUPPORTED: there is no history. */
weir_code feed_new(feed **out, api *a, const feed_options *options, const feed_events *events, void *arg, weir_error *err);
void feed_free(feed *f); /* NULL is fine; also from `ended` */
void feed_pull(feed *f);
sub_account feed_account(const feed *f);
const char *feed_pattern(const feed *f);
const uint64_t *feed_connection(const feed *f); /* NULL: any */

/* Takes a record's line apart as far as a reader needs: topic (appended), number, connection ("null": none), ts_out. False: it is none. */
typedef struct feed_line {
    uint64_t seq, ts_out;
    bytes connection, kind, data;
} feed_line;
bool feed_read_line(bytes line, buf *topic, feed_line *out);

#endif
