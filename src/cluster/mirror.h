/* mirror.h: an order book whose stream runs on another node, kept here from its records, so that a reader who begins late on this
 * node gets the whole in place of a change, as on the node that runs it (record_stream_keep).
 *
 *     snapshot            the book is as it says
 *     the next change     into the book
 *     anything else       (a hole in the numbers, a gap, a change that may be bad) the book waits for a snapshot, and the node
 *                         that runs the stream is asked to put one among its records: carry_whole. At most once a second
 *
 * What can go wrong: nobody answers (the holder's own book is not whole, or it is too large for a message). Then readers get the changes,
 * as of a stream that nobody keeps, until the next snapshot. */
#ifndef CLUSTER_MIRROR_H
#define CLUSTER_MIRROR_H

#include "cluster/inside.h"

mirror *mirror_new(cluster *c, record_stream *s, size_t depth); /* NULL when out of memory */
void mirror_free(mirror *m);                                    /* NULL is fine */
/* The stream's next record as it comes from the other node, those too that this node has already; ahead of hub_publish. */
void mirror_take(mirror *m, record *r);

#endif
