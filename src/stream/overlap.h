/* overlap.h: two connections bring the same messages for a while; which of the new one's has the old one
 * brought already?
 *
 * Texts are known by a 64-bit hash. Of the old connection those are kept that the plugin made data of (overlap_old),
 * of the new one all, in order (overlap_new); the last OVERLAP_MAX of the first, the first OVERLAP_MAX of the
 * second, so no message costs memory. The two are *joined* once one text was seen on both, which nothing else
 * there looks like: from then on the new one brings whatever the old one does.
 * Then the new one's messages are read again, in order (overlap_double): what came before the first that both
 * brought only opens the subscription (acknowledgements, a snapshot that the old one is ahead of) and is left
 * out like those that the old one brought.
 *
 *     old    a b c d
 *     new    ack snapshot c d e        -> ack, snapshot, c and d are left out, e is the first */
#ifndef STREAM_OVERLAP_H
#define STREAM_OVERLAP_H

#include "base/bytes.h"

#define OVERLAP_MAX 8192

typedef struct overlap {
    uint64_t *old, *new;     /* hashes; old is a ring; 0: used up */
    size_t old_count;        /* ever */
    size_t new_count;        /* kept */
    size_t first, old_first; /* where the earliest text that both brought lies; SIZE_MAX: none yet */
    size_t left;             /* of the old ones behind it, still not met by the new connection */
    size_t taken;            /* of the new one's, read again */
    bool joined, sealed;
    uint64_t seed;
} overlap;

bool overlap_init(overlap *o); /* false: out of memory */
void overlap_fini(overlap *o);

void overlap_old(overlap *o, bytes text);
void overlap_new(overlap *o, bytes text);

/* The next of the new connection's messages while both are gathered, once they are joined: can it be left out already? So
 * it need not wait, however many come. */
bool overlap_had(overlap *o, bytes text);
/* The next of them as they are read: is it to be left out? The first call ends the gathering. */
bool overlap_double(overlap *o, bytes text);
/* Nothing of the old connection is left that the new one might still bring. */
bool overlap_done(const overlap *o);

#endif
