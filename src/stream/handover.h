/* handover.h: from the sockets of an instance that is gone to those of the next one, nothing lost, nothing doubled.
 *
 * A pull plugin's instance ends (it traps, returns unasked, gives way to other code) and its sockets are open. They stay
 * open, and what comes over them waits in their inboxes. The next instance dials afresh. Its first record is held
 * back: from then on its ws_receive brings what waits on the old socket, while its own messages wait, until
 *   the record that is held back came over the old socket, too,      the two are joined, behind a whole message; at once would be
 *   and what it brings now came QUIET later                          too early, as a record may look like one of another moment
 *   the old socket is closed and read                                nothing more will come over it
 *   it is read, and silent for QUIET while the new one is not        the same; or both are silent for OVERLAP
 *   it is read, and was OVERLAP before                               both have brought the same for so long
 *   it has brought more than is remembered (WINDOW_MAX)              the new one began before, so it brings the rest
 * No silence counts before the new socket has brought something: its subscription may be late. Then the old socket is closed,
 * and what it had brought already is left out when it comes again, over the new one or, when that is replaced in its turn, out of
 * its inbox: by a hash of each record, counted, so that two equal trades stay two. Counted is what came from a second before the new
 * one's first message on, and left out what the new one brings until a second behind the end: a price may come back.
 * What can go wrong, each a gap: the old socket closes before a new one is open, or before that one has brought anything (`broken`
 * says so); no new one comes in LASTING, or brings nothing in LASTING; memory is out.
 * A socket finds its successor by the address that was dialled. All on the loop's thread, some on a guest's fiber. */
#ifndef STREAM_HANDOVER_H
#define STREAM_HANDOVER_H

#include "hub/record.h"
#include "plugin/task.h"

typedef struct handover_ops {
    void (*emit)(void *arg, const world_publication *what); /* a record that was held back */
    /* Something may be missing from now on; so many messages that were kept have died. */
    void (*broken)(void *arg, const char *why, uint64_t lost);
    void (*message)(void *arg, plug *s, uint64_t recv_real_ns); /* one came over an old socket; `s` is NULL */
} handover_ops;

typedef struct handover {
    loop *loop;
    const handover_ops *ops;
    void *arg;
    list orphans;     /* the old sockets */
    list after;       /* those that have done their part: what comes again */
    timer look;       /* at how they are */
    uint64_t repeats; /* records that came twice and were left out once */
    uint64_t lost;    /* messages that were kept in vain */
    uint64_t unread;  /* messages that waited when the stream was stopped, or that the new socket brings, too */
} handover;

void handover_init(handover *h, loop *l, const handover_ops *ops, void *arg);

/* Takes the open sockets of `t`, which is freed next. True: all of them. False: there was none, or one could not be kept. */
bool handover_take(handover *h, task *t);
/* Lets go of what is kept. `stopped`: as asked, so what waits is unread, not lost. */
void handover_drop(handover *h, bool stopped);

void handover_socket_up(handover *h, plug *s);
void handover_heard(handover *h, const plug *s, uint64_t recv_real_ns); /* a message came over it */
void handover_socket_gone(handover *h, plug *s);                        /* `s` may be freed from now on; also for those it never met */

typedef enum handover_verdict {
    HANDOVER_PASS,   /* publish it */
    HANDOVER_HELD,   /* it is kept, and comes by `emit` */
    HANDOVER_DOUBLE, /* it was there before */
} handover_verdict;
/* What becomes of a publication of the new instance. Quick when there is nothing to hand over. */
handover_verdict handover_publish(handover *h, const task *t, const world_publication *what);

/* The plugin asks for a message, so it is done with the one before (world.receiving). May end the handover. */
void handover_receiving(handover *h);

bool handover_active(const handover *h); /* an old socket is kept */
uint64_t handover_queued(const handover *h);

#endif
