/* share.h: the door through which several nodes are one (cluster/): who shares is told of each change ahead of the store, says
 * which streams may run here, and brings what the others changed.
 *
 * Shared are plugins, connections and streams; sinks, tokens and layouts are a node's own. A node without a share asks
 * nobody. */
#ifndef NODE_SHARE_H
#define NODE_SHARE_H

#include "node/node.h"

typedef struct node_share {
    void *arg;
    /* May the stream of this name (record_stream_name) be open here, now? False: `why` (lent) says who has it, or what is missing. */
    bool (*may_open)(void *arg, bytes name, const char **why);
    /* A row is to be put (empty `json`: removed). `fn` once, when the others have it too or it is refused; then it goes into the
     * store. `unique`: two rows of one kind may not have the same. */
    void (*change)(void *arg, const char *kind, const char *id, const char *unique, bytes json, bytes secret, store_done fn, void *fn_arg);
    /* The octets of a module that a row is about to name. */
    void (*module)(void *arg, const char *sha256, bytes octets, store_done fn, void *fn_arg);
    /* The next number of a kind, no other node's; 0: none can be had now. */
    uint64_t (*next_id)(void *arg, const char *kind);
    /* For node.read: the value of its member "cluster". */
    void (*put_json)(void *arg, buf *out);
} node_share;

/* Before node_start. NULL: nobody shares any more. Lent until then. */
void node_share_by(node *n, const node_share *share);
const char *node_name(const node *n);

/* What another node changed, into this one's store and life, by a job; `fn` once. Empty `json`: it goes. WEIR_NOT_FOUND: what it
 * stands on (a stream's connection, a connection's plugin) is not here. Copied. */
void node_take_row(node *n, const char *kind, const char *id, bytes json, bytes secret, store_done fn, void *arg);

typedef struct node_stream_view {
    const char *id;
    bytes name;          /* record_stream_name */
    const char *account; /* its connection's id, if that has secrets: whose streams belong on one node; NULL */
    bool wanted, open;
    uint64_t seq; /* the last number given out, here or elsewhere */
} node_stream_view;
void node_streams_each(node *n, void (*fn)(void *arg, const node_stream_view *v), void *arg);

/* may_open says yes from now on: numbers go on behind `seq`, records are missing since `missed` (0: none). */
void node_stream_open(node *n, bytes name, uint64_t seq, uint64_t missed, uint64_t missed_event);
record_stream *node_stream_records(node *n, bytes name); /* lent; NULL: no stream of that name is here */
/* At once: its socket is closed when this returns. */
void node_stream_close(node *n, bytes name, const char *why);

#endif
