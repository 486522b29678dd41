/* rate.h: how often somebody may: a bucket for each, in a table of fixed size, so that very many somebodies cost no memory.
 * When the table is full the bucket that is fullest gives way: its owner had used least. */
#ifndef API_RATE_H
#define API_RATE_H

#include "base/bytes.h"

#define RATE_SLOTS 4096u

typedef struct rate_bucket {
    uint64_t key, at_ns; /* key 0: free; when `left` was counted */
    double left;
    bool told; /* it has been refused since it last was let through */
} rate_bucket;

typedef struct rate {
    double per_s, burst;
    uint64_t seed;
    rate_bucket *buckets; /* RATE_SLOTS of them */
} rate;

bool rate_init(rate *r, double per_s, double burst); /* false: out of memory */
void rate_fini(rate *r);
/* Takes one from the bucket of `who`. 0: it may; else how long until it may. `first`: it was not refused just before. */
uint64_t rate_take(rate *r, bytes who, uint64_t now_ns, bool *first);

#endif
