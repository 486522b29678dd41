#include "api/rate.h"

#include "base/clock.h"
#include "base/rand.h"

#include <stdlib.h>

#define WAYS 8u

bool rate_init(rate *r, double per_s, double burst)
{
    *r = (rate){.per_s = per_s, .burst = burst, .seed = rand_u64()};
    r->buckets = calloc(RATE_SLOTS, sizeof *r->buckets);
    return r->buckets != NULL;
}

void rate_fini(rate *r)
{
    free(r->buckets);
    r->buckets = NULL;
}

static double level(const rate *r, const rate_bucket *b, uint64_t now_ns)
{
    double more = now_ns > b->at_ns ? (double)(now_ns - b->at_ns) / (double)NS_PER_S * r->per_s : 0;
    return b->left + more > r->burst ? r->burst : b->left + more;
}

static rate_bucket *bucket_of(rate *r, uint64_t key, uint64_t now_ns)
{
    rate_bucket *set = r->buckets + (key & (RATE_SLOTS / WAYS - 1)) * WAYS, *best = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (best->key && (!set[i].key || level(r, &set[i], now_ns) > level(r, best, now_ns)))
            best = &set[i];
    }
    *best = (rate_bucket){.key = key, .at_ns = now_ns, .left = r->burst};
    return best;
}

uint64_t rate_take(rate *r, bytes who, uint64_t now_ns, bool *first)
{
    uint64_t key = bytes_hash(who, r->seed);
    rate_bucket *b = bucket_of(r, key ? key : 1, now_ns);
    b->left = level(r, b, now_ns);
    b->at_ns = now_ns;
    *first = !b->told;
    b->told = b->left < 1;
    if (b->told)
        return (uint64_t)((1 - b->left) / r->per_s * (double)NS_PER_S) + 1;
    b->left -= 1;
    return 0;
}
