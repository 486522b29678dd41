/* health.h: what follows when a plugin traps or overruns again and again: the failure policy, one for each
 * plugin with its configuration, for all of its streams.
 *
 * A single trap costs an instance. The `traps_max`-th within `within_ns` means that new instances do not help:
 *
 *     quarantine    the plugin rests for `quarantine_ns`, then it is tried again; each time it comes to that
 *                   again soon after, twice as long, up to an hour
 *     fail          its streams are given up
 *     restart       nothing: new instances for ever, with the back-off between them
 *
 * It decides and remembers, and acts on nothing: stream.c does (stream_sick). Times are clock_mono. */
#ifndef STREAM_HEALTH_H
#define STREAM_HEALTH_H

#include "base/clock.h"

typedef enum on_trap { ON_TRAP_QUARANTINE,
                       ON_TRAP_RESTART,
                       ON_TRAP_FAIL } on_trap;

#define HEALTH_TRAPS 64 /* the most that traps_max may be */
#define HEALTH_REST_MAX_NS (3600 * NS_PER_S)

typedef struct health {
    on_trap on_trap;
    uint32_t traps_max;     /* 0: 5 */
    uint64_t within_ns;     /* 0: 60 s */
    uint64_t quarantine_ns; /* 0: 5 minutes; the first one */

    uint64_t traps[HEALTH_TRAPS]; /* when, a ring */
    uint32_t count;               /* of those that still count */
    uint32_t at;
    uint32_t rests; /* quarantines in a row */
    uint64_t until; /* of the present or last one; 0: there was none */
} health;

typedef enum diagnosis { HEALTH_GO_ON,
                         HEALTH_REST,
                         HEALTH_GIVE_UP } diagnosis;

diagnosis health_trap(health *h, uint64_t now);
bool health_rests(const health *h, uint64_t now); /* until h->until */

#endif
