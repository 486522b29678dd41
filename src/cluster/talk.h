/* talk.h: the talk with NATS JetStream, on a thread of its own: the loop never waits for it.
 *
 * A queue each way. What is sent are notes: messages to a subject, each with a number; the server's answers come back under
 * the numbers, on the loop, each exactly once, as a lost connection or a time that is over if the server says nothing. Then it is
 * not known whether the server took the note: who cares sends with what it expects (`expect`), and looks.
 * What comes unasked: the rows of the cluster's bucket (the last of each, then each change), the records of the
 * others in the order in which the server has them, and that the connection is there or gone. It is tried again by itself.
 *
 * What can go wrong: memory is out on the library's threads; then the connection is dropped and begun anew, which brings
 * again what was not handed over. */
#ifndef CLUSTER_TALK_H
#define CLUSTER_TALK_H

#include "base/buf.h"
#include "loop/loop.h"

/* Behind a '$', as NATS' own: no sink may have such subjects (sink_nats.c), so both find room on one server. */
#define TALK_RECORDS "$WEIR.records." /* a stream's name follows */
#define TALK_RECORDS_STREAM "WEIR_RECORDS"
#define TALK_WHOLES "$WEIR.wholes" /* the name of a stream whose whole is wanted among the records; no stream keeps it */
#define TALK_ROWS "$KV.WEIR."      /* a key of the bucket follows */
#define TALK_ROWS_STREAM "KV_WEIR"
#define TALK_MODULES "$KV.WEIR_MODULES."
#define TALK_MODULES_STREAM "KV_WEIR_MODULES"

typedef struct talk talk;

typedef enum talk_kind { TALK_UP,   /* connected; `seq` is the first record's place that the server still has */
                         TALK_DOWN, /* not any more, `text` says why */
                         TALK_ROW,
                         TALK_RECORD,
                         TALK_ASKED } talk_kind; /* to TALK_WHOLES */

typedef struct talk_message {
    talk_kind kind;
    const char *subject; /* behind TALK_ROWS or TALK_RECORDS */
    bytes data;
    uint64_t seq;     /* the server's place of it: a row's revision */
    uint64_t pending; /* behind this one */
    bool deleted;     /* a row's mark of removal */
    const char *run, *text;
    uint64_t epoch; /* of records */
    uint64_t book;  /* these are of an order book: its depth and 1; 0: they are not */
} talk_message;

typedef struct talk_note {
    const char *subject;
    bytes data;
    bool expects; /* refused (WEIR_BUSY) unless the subject's last message is at the place `expect`; 0: there is none */
    uint64_t expect;
    bool deletes;    /* a row */
    const char *id;  /* a second one of the same is dropped by the server; NULL: none */
    const char *run; /* these are of records; NULL: none */
    uint64_t epoch, last_seq, last_time, last_event, book;
} talk_note;

typedef struct talk_answer {
    weir_code code; /* WEIR_BUSY: another was faster; WEIR_NOT_FOUND; WEIR_NETWORK, WEIR_TIMEOUT: it may or may not have been taken */
    const char *error;
    uint64_t seq; /* where the server put it; of talk_last: where it is */
    bytes data;   /* of talk_last */
    uint64_t epoch, last_seq, last_time, last_event;
    uint64_t asked_at; /* mono, before it was sent */
} talk_answer;
typedef void (*talk_done)(void *arg, const talk_answer *answer);

typedef struct talk_options {
    const char *servers;                 /* "nats://a:4222,nats://b:4222" */
    const char *name;                    /* of this node, for the server's list of connections */
    uint32_t replicas;                   /* of what is made; 0: 1 */
    uint64_t records_octets, records_ms; /* kept in the stream of records at most */
    uint64_t records_from;               /* the first place that is wanted */
    uint64_t answer_ns;                  /* until an answer is given up */
    void (*on_message)(void *arg, const talk_message *m);
    void *arg;
} talk_options;

weir_code talk_new(talk **out, loop *l, const talk_options *o, weir_error *err);
/* What waits for an answer hears nothing any more. Waits for the thread; NULL is fine. */
void talk_free(talk *t);
bool talk_is_up(const talk *t);
void talk_again(talk *t); /* the connection is dropped and made anew, so that all rows come again */

void talk_send(talk *t, const talk_note *note, talk_done fn, void *arg); /* `fn` never inside this call */
/* To whoever listens now. Nobody answers; it may be lost. */
void talk_tell(talk *t, const char *subject, bytes data);
/* The last message of a subject in a stream. */
void talk_last(talk *t, const char *stream, const char *subject, talk_done fn, void *arg);

#endif
