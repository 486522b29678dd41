/* venue.h: the world of one plugin instance: its sockets, its REST, its log (plugin/world.h made real).
 *
 * A stream embeds one; so does a plain call (weir call, meta). Sockets are sessions (session.h). */
#ifndef STREAM_VENUE_H
#define STREAM_VENUE_H

#include "hub/hub.h"
#include "net/http_client.h"
#include "plugin/task.h"

typedef struct venue venue;
typedef struct session session;

/* What a stream adds to a plain venue. All may be called on a guest's fiber: note it, act on the loop. */
typedef struct venue_listener {
    weir_code (*publish)(void *arg, const world_publication *what, weir_error *err);
    void (*socket_up)(void *arg, plug *s);
    void (*socket_gone)(void *arg, plug *s); /* one that was up, whoever closed it; before socket_down */
    void (*socket_down)(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status);
    void (*message)(void *arg, plug *s, uint64_t recv_real_ns); /* one arrived from the venue */
    void (*receiving)(void *arg);
    void (*left)(void *arg); /* the instance stands still between two messages (task_ask_leave) */
} venue_listener;

struct venue {
    loop *loop;
    dialer *dialer;
    const targets *targets;
    const char *name;               /* the plugin's, for logs */
    const venue_listener *listener; /* NULL: a plain call; publications are refused */
    void *arg;
    uint32_t open_sockets;                    /* now; kept by session.c */
    void *owner;                              /* the weir_plugin it belongs to */
    const struct heartbeat_rules *heartbeats; /* the user's; NULL: none */
    uint32_t silence_ms;                      /* the user's limit; 0: the origin's */
};

/* The session of an open socket is the caller's from now on. */
session *venue_give_away(plug *s);

extern const world venue_world; /* its world_arg is a venue */

#endif
