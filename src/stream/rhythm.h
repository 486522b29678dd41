/* rhythm.h: how often one stream speaks, learned from its data, and when its silence is out of the ordinary.
 *
 * The model is that of phi-accrual failure detectors: the intervals seen so far say how likely a silence of this
 * length is. Market data comes in bursts, so of each second only the longest interval is kept (a longer interval
 * is a sample of its own), and their logarithms are taken as normal, with the t distribution's width while there
 * are few. The longest interval of the window guards both ends, as real intervals have a heavier tail than that.
 *
 * A false alarm makes it patient: limits double, and halve again once it has gone well for a whole window. Whoever
 * uses it tells it of data only: heartbeats say that a socket lives, not that a topic does.
 * Pure: no clock, no allocation. Times are clock_mono. */
#ifndef STREAM_RHYTHM_H
#define STREAM_RHYTHM_H

#include "base/clock.h"

#define RHYTHM_WINDOW 64
#define RHYTHM_ENOUGH 8 /* with fewer intervals it says nothing */
#define RHYTHM_UNKNOWN UINT64_MAX

typedef struct rhythm {
    uint64_t last;             /* when it spoke last; 0: not since it was made, or since a pause */
    uint64_t second, longest;  /* the present block: its beginning, its longest interval */
    float logs[RHYTHM_WINDOW]; /* of seconds, a ring */
    uint32_t count, at;
    uint32_t doublings; /* of its patience */
    uint32_t calm;      /* samples since the last alarm or halving */
} rhythm;

void rhythm_heard(rhythm *r, uint64_t now);
/* What passes until it speaks again is not its own silence, and is no sample. */
void rhythm_pause(rhythm *r);
void rhythm_false_alarm(rhythm *r);

/* So much silence is suspicious: one interval in a thousand is so long. */
uint64_t rhythm_suspicious(const rhythm *r);
/* So much cannot be chance: it should have spoken by far. Always longer than the other. */
uint64_t rhythm_far(const rhythm *r);
/* For texts: half of the intervals are shorter. */
uint64_t rhythm_usual(const rhythm *r);

#endif
