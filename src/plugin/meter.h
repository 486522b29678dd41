/* meter.h: what the instances of one plugin with one configuration use: processor time, turns, memory.
 *
 * A turn is one run of its code, from when it is let on until it waits, returns, or has used its slice: a message, a call's
 * piece, or, under load, several messages that waited. The frequent operation is meter_turn: two additions. */
#ifndef PLUGIN_METER_H
#define PLUGIN_METER_H

#include "base/list.h"

#include <stdint.h>

#define METER_BUCKETS 160 /* four for each doubling of nanoseconds */

typedef struct meter {
    uint64_t turns, cpu_ns;
    uint64_t buckets[METER_BUCKETS];
    list tasks; /* alive; empty and not initialised until the first one (head.next NULL) */
} meter;

void meter_turn(meter *m, uint64_t ns);
/* What `from` counted is counted in `m`, too; not its tasks. */
void meter_add(meter *m, const meter *from);
/* How long the turn took that is longer than `part` (0.5, 0.99) of all, ns, within an eighth; 0: there was none. */
uint64_t meter_quantile(const meter *m, double part);

#endif
