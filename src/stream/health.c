#include "stream/health.h"

#define TRAPS_MAX 5
#define WITHIN_NS (60 * NS_PER_S)
#define QUARANTINE_NS (300 * NS_PER_S)

static uint32_t most(const health *h)
{
    uint32_t n = h->traps_max ? h->traps_max : TRAPS_MAX;
    return n < HEALTH_TRAPS ? n : HEALTH_TRAPS;
}

/* Doubling, unless the last one has been over for longer than it took. */
static void rest(health *h, uint64_t now)
{
    uint64_t wait = h->quarantine_ns ? h->quarantine_ns : QUARANTINE_NS, last = wait;
    for (uint32_t i = 1; i < h->rests && last < HEALTH_REST_MAX_NS; i++)
        last *= 2;
    if (h->until && now - h->until > last)
        h->rests = 0;
    for (uint32_t i = 0; i < h->rests && wait < HEALTH_REST_MAX_NS; i++)
        wait *= 2;
    h->rests++;
    h->until = now + (wait < HEALTH_REST_MAX_NS ? wait : HEALTH_REST_MAX_NS);
}

diagnosis health_trap(health *h, uint64_t now)
{
    uint32_t max = most(h);
    uint64_t within = h->within_ns ? h->within_ns : WITHIN_NS;
    if (h->on_trap == ON_TRAP_RESTART)
        return HEALTH_GO_ON;
    h->traps[h->at] = now;
    h->at = (h->at + 1) % max;
    if (h->count < max)
        h->count++;
    if (h->count < max || now - h->traps[h->at] > within) /* full, `at` is the oldest */
        return HEALTH_GO_ON;
    h->count = 0;
    if (h->on_trap == ON_TRAP_FAIL)
        return HEALTH_GIVE_UP;
    rest(h, now);
    return HEALTH_REST;
}

bool health_rests(const health *h, uint64_t now)
{
    return now < h->until;
}
