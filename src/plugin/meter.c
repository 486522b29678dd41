/* A histogram with buckets that grow by the fourth part of a doubling. */
#include "plugin/meter.h"

/* The highest bit says the doubling, the two below it the quarter. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < 4)
        return (unsigned)ns;
    unsigned high = 63u - (unsigned)__builtin_clzll(ns);
    unsigned at = 4 * (high - 1) + ((unsigned)(ns >> (high - 2)) & 3);
    return at < METER_BUCKETS ? at : METER_BUCKETS - 1;
}

/* Where bucket `at` begins. */
static uint64_t begin_of(unsigned at)
{
    return at < 4 ? at : (uint64_t)(4 + at % 4) << (at / 4 - 1);
}

void meter_turn(meter *m, uint64_t ns)
{
    m->turns++;
    m->cpu_ns += ns;
    m->buckets[bucket_of(ns)]++;
}

void meter_add(meter *m, const meter *from)
{
    m->turns += from->turns;
    m->cpu_ns += from->cpu_ns;
    for (unsigned i = 0; i < METER_BUCKETS; i++)
        m->buckets[i] += from->buckets[i];
}

uint64_t meter_quantile(const meter *m, double part)
{
    uint64_t before = 0, wanted = (uint64_t)((double)m->turns * part);
    for (unsigned i = 0; i < METER_BUCKETS; i++) {
        before += m->buckets[i];
        if (before > wanted || (before == m->turns && before))
            return (begin_of(i) + begin_of(i + 1)) / 2;
    }
    return 0;
}
