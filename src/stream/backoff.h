/* backoff.h: how long to wait before the next try: doubling from `min` to `max`, with jitter, so that
 * a thousand streams do not come back in the same second. */
#ifndef STREAM_BACKOFF_H
#define STREAM_BACKOFF_H

#include "base/rand.h"

typedef struct backoff {
    uint64_t min_ns, max_ns;
    uint32_t tries; /* since the last reset */
    rand_seeded chance;
} backoff;

void backoff_init(backoff *b, uint64_t min_ns, uint64_t max_ns, uint64_t seed);
/* Between half and all of min * 2^tries, at most max. Counts a try. */
uint64_t backoff_next(backoff *b);
/* Up to `min`, evenly: what is added to a wait that somebody else fixed for many at once. */
uint64_t backoff_spread(backoff *b);
void backoff_reset(backoff *b);

#endif
