/* successor.h: the next connection of a push stream, made before the venue ends the present one.
 *
 * Nothing shall be missing between the two and nothing be there twice, and the plugin shall not notice. So the
 * successor is dialled and greeted beside the old one, and its messages are put by:
 *
 *     DIALS      until its initial messages are sent
 *     GATHERS    its messages wait; those of the old one go on. overlap.h looks for one that both brought
 *     SETTLES    there was one: another moment, for a venue that serves one connection before the other, and until each channel
 *                that brought data by the old one meanwhile has come by this one, too, and this one has named whatever it was
 *                asked for (channels.h), half a minute at most; then `ready`. Meanwhile what both have brought is left out (left_out) where much waits
 *     TRIES      there was none for some seconds (texts that differ by connection): the plugin is asked about the
 *                successor's messages, too, in order, until it makes data of one; then the owner takes it
 *     FOLLOWS    it was taken (successor_take) and the old one closed; what the old one brought is left out until
 *                nothing more of that can come, or a snapshot of the successor's begins an order book anew
 *
 * What can go wrong is told by `failed`, and the old one goes on: it cannot be dialled or greeted, it ends, it
 * brings nothing or no data while the old one does. If the old one ends first, the owner takes the
 * successor as it is (successor_stands, successor_heard).
 * A channel that is still missing when the owner takes it is a gap until it comes (successor_whole). What is not seen: one that
 * brought nothing by the old one while both were open and is subscribed more than half a minute late, or where no answer names it.
 * All on the loop's thread. */
#ifndef STREAM_SUCCESSOR_H
#define STREAM_SUCCESSOR_H

#include "loop/loop.h"
#include "plugin/inbox.h"
#include "stream/channels.h"
#include "stream/overlap.h"
#include "stream/session.h"

typedef enum successor_phase { SUCCESSOR_NONE,
                               SUCCESSOR_DIALS,
                               SUCCESSOR_GATHERS,
                               SUCCESSOR_TRIES,
                               SUCCESSOR_SETTLES,
                               SUCCESSOR_FOLLOWS } successor_phase;

typedef struct successor_ops {
    weir_code (*greet)(void *arg, session *s, weir_error *err);         /* its handshake is done */
    void (*received)(void *arg);                                        /* a message, put by */
    void (*changed)(void *arg);                                         /* its socket opened, or there is one to try */
    void (*ready)(void *arg);                                           /* to be taken */
    void (*left_out)(void *arg, size_t messages);                       /* that many of those put by, for the old one brought them */
    void (*failed)(void *arg, const char *why, uint32_t retry_after_s); /* to be dropped */
} successor_ops;

/* Embedded in the owner. */
typedef struct successor {
    loop *loop;
    const successor_ops *ops;
    void *arg;
    successor_phase phase;
    session *session;
    bool open, heard, merged, anew;
    uint64_t opened_at; /* clock_mono */
    uint64_t margin_ns;
    uint64_t wait_until; /* clock_mono: for channels that are late */
    bool waits;
    channels *channels; /* NULL: taken by the owner, or in phase NONE */
    timer step;
    inbox in; /* what it brought */
    overlap overlap;
} successor;

void successor_init(successor *n, loop *l, size_t inbox_max, void (*on_room)(void *arg), const successor_ops *ops, void *arg);
/* In phase NONE. `initial`: what greet will send. `margin_ns`: how long the old one has at least; shortens what is waited for. */
weir_code successor_open(successor *n, const session_options *o, const bytes *initial, size_t count, uint64_t margin_ns, weir_error *err);
/* Ends it, in any phase; no report. Answers how many of its messages waited. */
size_t successor_drop(successor *n);

/* The plugin has had this message of the old connection. */
void successor_old(successor *n, bytes text);

static inline bool successor_tries(const successor *n)
{
    return n->phase == SUCCESSOR_TRIES && n->in.count;
}
void successor_tried(successor *n); /* one of them was read from n->in */

static inline bool successor_stands(const successor *n) /* it is greeted, and not taken yet */
{
    return n->phase >= SUCCESSOR_GATHERS && n->phase <= SUCCESSOR_SETTLES;
}
bool successor_heard(const successor *n); /* so it was subscribed; or the old one brought nothing either */
bool successor_whole(const successor *n); /* and to all that the old one brought */

/* Takes it over: the session is the caller's, read by `reader` from now on; its messages belong into n->in until
 * successor_merge. */
session *successor_take(successor *n, const session_reader *reader, void *arg);
/* Once all of the old one's messages are read: `in`, which is empty, becomes what the successor brought. */
void successor_merge(successor *n, inbox *in);
bool successor_waits(const successor *n); /* it was taken and is not merged */
/* The next one of the successor's: is it to be left out? */
bool successor_double(successor *n, bytes text);
/* What was read is a snapshot that the rest builds on; `trial`: from n->in, where successor_tries. If it is the successor's
 * nothing behind it is a double, whoever brought it before. */
void successor_anew(successor *n, bool trial);

#endif
