/* cluster.h: several nodes as one, by a NATS JetStream that all of them reach.
 *
 *     cluster *c;    cluster_new(&c, n, &options, err);      between node_new and node_start
 *     cluster_leave(c, on_left, arg);                        ahead of node_drain: what it runs goes to the others at once
 *     cluster_free(c);                                       ahead of node_free
 *
 * Wanted things (plugins with their modules, connections with sealed secrets, streams) are rows of a key-value bucket: a
 * change on any node is first there, by compare-and-set, then here and with all others (rows.c, modules.c).
 *
 * Who runs what: each node has a session, a row that it writes anew at a third of the lease time. A stream's lease is a row that
 * names its holder's session; the revision of that write is its fence. A session that was not seen to change for its lease
 * time and a quarter is struck out by compare-and-set, whoever comes first; then its leases are free (members.c, leases.c).
 * A node counts its own time from before it sent what was acknowledged, and lets go after three quarters of it; if
 * it cannot even do that, the keeper ends it (keeper.c). No two clocks are ever compared, only durations: they may run apart by
 * an eighth before it matters.
 *
 * Records: the holder brings what it publishes to the stream WEIR_RECORDS, each message with the place of the one before on
 * its subject as a condition. Who takes over first writes a mark there: what the old one still has on its way is refused by the
 * server from then on (carry.c). All others read them from there into their own hub, so that API, history and sinks
 * are the same on each node (feed.c). Numbers: a lease carries a mark ahead of them; the next holder goes on behind it.
 *
 * What can go wrong: NATS is away: this node goes on with what it holds for the rest of its session, then lets go, says so,
 * and comes back by itself; changes are refused meanwhile. Another secret key, another cluster's data: it says what is wrong,
 * and runs nothing. All on the loop's thread, but the talk with NATS (talk.h). */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "node/node.h"

typedef struct cluster cluster;

typedef struct cluster_options {
    const char *servers;                 /* "nats://a:4222,nats://b:4222" */
    uint64_t lease_ms;                   /* 0: 10,000 */
    uint64_t grace_ms;                   /* a new node is there so long before others give streams to it; 0: three leases */
    uint64_t records_octets, records_ms; /* kept in JetStream; 0: 1 GiB, 1 h */
    uint32_t replicas;                   /* of bucket and stream, where they are made; 0: 1 */
    bool unkept;                         /* no keeper */
} cluster_options;

weir_code cluster_new(cluster **out, node *n, const cluster_options *o, weir_error *err);
void cluster_leave(cluster *c, void (*fn)(void *arg), void *arg); /* `fn` once; may be never if NATS is away */
void cluster_free(cluster *c);                                    /* NULL is fine */

#endif
