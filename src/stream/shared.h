/* shared.h: the instance that the push streams of one connection share: one question at a time, each
 * stream in its turn.
 *
 * A thousand streams of one plugin are one instance and a place each. A place that has a question gets in
 * line (shared_want), its `ask` writes the question when its turn comes, `answer` takes what the export
 * returned. One question a turn, so a busy stream costs the others one callback, and nothing here looks at
 * all places for a frame.
 * What can go wrong:
 *   a question traps or overruns    its `answer` says so; all places hear `lost`, a new instance is made and
 *                                   configured, all hear `ready` and ask again. At once if the old one had
 *                                   answered anything, else after a back-off
 *   no instance can be had          (its configuration is refused): all hear `refused`
 *   a place goes while it is asked  the answer is nobody's; the others do not notice
 *   the plugin's code is replaced   see shared_renew
 * All on the loop's thread. Any callback may close or free any stream. */
#ifndef STREAM_SHARED_H
#define STREAM_SHARED_H

#include "stream/stream.h"

typedef struct shared shared;

typedef struct place_ops {
    /* Its turn: the question goes into `in`, the export's name comes back, and how long it may take. NULL:
     * there is nothing to ask after all. */
    const char *(*ask)(void *arg, buf *in, uint64_t *ms);
    /* `r` is lent. `lost`: the instance is of no use any more; `lost` follows. */
    void (*answer)(void *arg, const call_result *r, bool lost);
    /* The quick way for most of them, on the guest's fiber, where nothing may be freed, dialled or waited for. publish:
     * takes the answer, if to publish and to get in line again is all that follows from it. ask_frame: as ask, if
     * it is a frame's turn. Else they do nothing and say false, NULL, and answer or ask comes. */
    bool (*publish)(void *arg, const call_result *r);
    const char *(*ask_frame)(void *arg, buf *in, uint64_t *ms);
    void (*lost)(void *arg, const char *why, uint64_t wait_ns); /* the next one comes after wait_ns */
    void (*ready)(void *arg);
    void (*refused)(void *arg, const char *why);
    void (*said_goodbye)(void *arg);
} place_ops;

/* One stream's place, embedded in it. */
typedef struct place {
    shared *of; /* NULL: it has left */
    list_node node, turn;
    bool stopping; /* does not count for who is the last */
    const place_ops *ops;
    void *arg;
} place;

/* Takes a place with the plugin's instance, or, if the plugin wants it so (own_instances), with one of its
 * own. Nothing is started before the first shared_want. */
weir_code shared_join(place *p, stream_plugin *plugin, const place_ops *ops, void *arg, weir_error *err);
/* Any time but from its own `ask`. The last one takes the instance along. Fine when it has left. */
void shared_leave(place *p);

/* It has a question: gets in line, if it is not there, and starts an instance if none is. */
void shared_want(place *p);
bool shared_up(const place *p); /* an instance is configured */
/* The plugin's code is another from now on. One instance of it is made and configured beside the present one, which
 * goes on; between two questions it takes over: all places hear `lost` and `ready`, the old one is shut down. If it
 * cannot be configured the old one stays. Once for all places. */
void shared_renew(place *p);
/* For `answer`: the instance that was asked, and what. */
const task *shared_task(const place *p);
bytes shared_question(const place *p);

/* The stream stops. True: it is the last, so the plugin is told (its `shutdown` is called once what is under
 * way has ended), and said_goodbye comes. False: nothing has to be waited for. */
bool shared_goodbye(place *p);

#endif
