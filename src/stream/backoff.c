#include "stream/backoff.h"

void backoff_init(backoff *b, uint64_t min_ns, uint64_t max_ns, uint64_t seed)
{
    *b = (backoff){.min_ns = min_ns, .max_ns = max_ns, .chance = {seed}};
}

uint64_t backoff_next(backoff *b)
{
    uint64_t full = b->min_ns;
    for (uint32_t i = 0; i < b->tries && full < b->max_ns; i++)
        full *= 2;
    if (full > b->max_ns)
        full = b->max_ns;
    b->tries++;
    return full / 2 + (uint64_t)(rand_unit(&b->chance) * (double)(full / 2));
}

uint64_t backoff_spread(backoff *b)
{
    uint64_t most = b->min_ns < b->max_ns ? b->min_ns : b->max_ns;
    return (uint64_t)(rand_unit(&b->chance) * (double)most);
}

void backoff_reset(backoff *b)
{
    b->tries = 0;
}
