/* socket.h: a venue socket as its plugin sees it: an id nobody can guess, a state, an inbox.
 *
 * The world (stream/session.c) owns the real connection and reports here; the host functions
 * (host_ws.c) read here. An id means something in its own instance only. A closed socket stays known
 * until it is forgotten, so that a plugin that asks again is told "closed", not "unknown". */
#ifndef PLUGIN_SOCKET_H
#define PLUGIN_SOCKET_H

#include "base/list.h"
#include "plugin/inbox.h"
#include "plugin/world.h"

struct task;

typedef enum plug_state { PLUG_CONNECTING,
                          PLUG_OPEN,
                          PLUG_CLOSED } plug_state;

#define PLUG_ID_SIZE 33 /* 128 bits in hex and a NUL */

struct plug {
    list_node node;
    struct task *task;
    char id[PLUG_ID_SIZE];
    plug_state state;
    kept_error why; /* of the close */
    inbox in;
    void *session;         /* the world's */
    uint32_t errors;       /* error replies given since it closed: each later one waits longer */
    uint32_t busy;         /* host calls that hold it now */
    uint64_t unread_since; /* clock_mono since when messages wait (if any do) and no ws_receive came */
    bool announced;        /* world->receiving was told */
    uint64_t url;          /* hash of the address it dialled */
    inbox *before;         /* messages of an earlier socket to it, which come first; NULL: none. The world's */
    bool draining;         /* `before` is read now; its own messages wait */
};

plug *plug_new(struct task *t);            /* NULL: out of memory */
void plug_free(plug *s);                   /* closes it first */
plug *plug_find(struct task *t, bytes id); /* NULL: not one of this instance's */

void plug_dials(plug *s, bytes url); /* so that a later socket to the same address is known for its successor */

/* The guest is done with it. */
void plug_close(plug *s);
/* Its session is somebody else's from now on; for the guest it is closed. */
void plug_give_away(plug *s);
/* Where the guest's next message comes from. */
inbox *plug_inbox(plug *s);

/* ---- Reports from the world ---- */

void socket_opened(plug *s);
/* False: the inbox is full; stop reading, keep the message, offer it again after world->socket_room. */
bool socket_message(plug *s, bytes text, bool binary, uint64_t recv_ns);
void socket_closed(plug *s, const weir_error *why);
void socket_drained(plug *s);

#endif
