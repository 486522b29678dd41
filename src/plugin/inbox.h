/* inbox.h: the messages that wait for one plugin on one socket (style: hop 2 to hop 3).
 *
 * A ring of octets: an arriving message is copied in once, the guest's ws_receive takes it out in
 * order. It starts small, grows to its ceiling by doubling, and allocates nothing after that. Full
 * is not an error: inbox_put answers false, the stream stops reading the socket, and on_room tells
 * when to go on. A message larger than the ceiling is accepted when the inbox is empty, so that no
 * message the socket let through is ever stuck. */
#ifndef PLUGIN_INBOX_H
#define PLUGIN_INBOX_H

#include "base/bytes.h"

#define INBOX_OCTETS (1u << 20) /* default ceiling */

typedef struct inbox {
    char *ring;
    size_t cap, head, used; /* `used` counts the gap at the ring's end, too */
    size_t count;           /* messages */
    size_t max;
    bool refused; /* somebody waits for room */
    bool lost;    /* set by the owner: something was lost; the next message that comes is behind it */
    void (*on_room)(void *arg);
    void *arg;
} inbox;

typedef struct inbox_message {
    bytes text;
    bool binary;
    bool behind_loss; /* the first one behind a loss */
    uint64_t recv_ns; /* clock_real at arrival */
} inbox_message;

void inbox_init(inbox *in, size_t max, void (*on_room)(void *arg), void *arg); /* max 0: INBOX_OCTETS */
void inbox_fini(inbox *in);

/* Copies the message in. False: full or out of memory; on_room will be called once there is room. */
bool inbox_put(inbox *in, bytes text, bool binary, uint64_t recv_ns);

/* The oldest message, lent until inbox_drop. False: empty, and if a message was refused for want of
 * memory, on_room was called for it to be offered again. (Hop 3.) */
bool inbox_take(inbox *in, inbox_message *out);
void inbox_drop(inbox *in); /* the one that inbox_take showed */

#endif
