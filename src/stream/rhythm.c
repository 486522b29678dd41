#include "stream/rhythm.h"

#include <math.h>

#define BLOCK_NS NS_PER_S
#define DOUBLINGS_MAX 6

/* A limit: so many standard deviations; of the longest interval at least so many times, at most so many (more
 * while samples are few: `young` is how many samples double that); never less than the floor. */
typedef struct limit {
    double deviations, least, most, young;
    uint64_t floor_ns;
} limit;

static const limit suspicious = {3.1, 1.5, 3, 16, 5 * NS_PER_S};
static const limit far = {6, 3, 5, 32, 15 * NS_PER_S};

static void add(rhythm *r, uint64_t interval)
{
    double seconds = (double)interval * 1e-9;
    r->logs[r->at] = (float)log(seconds > 0.001 ? seconds : 0.001);
    r->at = (r->at + 1) % RHYTHM_WINDOW;
    if (r->count < RHYTHM_WINDOW)
        r->count++;
    if (r->doublings && ++r->calm >= RHYTHM_WINDOW) {
        r->doublings--;
        r->calm = 0;
    }
}

void rhythm_heard(rhythm *r, uint64_t now)
{
    uint64_t interval = now - r->last;
    if (!r->last) {
        r->last = r->second = now;
        r->longest = 0;
        return;
    }
    r->last = now;
    if (interval > r->longest)
        r->longest = interval;
    if (now - r->second < BLOCK_NS)
        return;
    add(r, r->longest);
    r->second = now;
    r->longest = 0;
}

void rhythm_pause(rhythm *r)
{
    r->last = 0;
}

void rhythm_false_alarm(rhythm *r)
{
    if (r->doublings < DOUBLINGS_MAX)
        r->doublings++;
    r->calm = 0;
}

static void moments(const rhythm *r, double *mean, double *deviation, double *most)
{
    double sum = 0, squares = 0;
    *most = r->logs[0];
    for (uint32_t i = 0; i < r->count; i++) {
        sum += r->logs[i];
        *most = r->logs[i] > *most ? r->logs[i] : *most;
    }
    *mean = sum / r->count;
    for (uint32_t i = 0; i < r->count; i++)
        squares += (r->logs[i] - *mean) * (r->logs[i] - *mean);
    *deviation = sqrt(squares / (r->count - 1));
}

/* The normal quantile z as one of the t distribution (Fisher's expansion), widened for a mean that is itself
 * estimated. */
static double widened(double z, double n)
{
    double v = n - 1, z3 = z * z * z, z5 = z3 * z * z;
    return (z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v)) * sqrt(1 + 1 / n);
}

static uint64_t reach(const rhythm *r, const limit *l)
{
    double mean, deviation, most;
    if (r->count < RHYTHM_ENOUGH)
        return RHYTHM_UNKNOWN;
    moments(r, &mean, &deviation, &most);
    double longest = exp(most), seconds = exp(fmin(mean + widened(l->deviations, r->count) * deviation, 40));
    seconds = fmin(fmax(seconds, l->least * longest), l->most * longest * (1 + l->young / r->count));
    seconds = fmax(seconds, (double)l->floor_ns * 1e-9) * (double)(1u << r->doublings);
    return (uint64_t)(fmin(seconds, 1e8) * 1e9);
}

uint64_t rhythm_suspicious(const rhythm *r)
{
    return reach(r, &suspicious);
}

uint64_t rhythm_far(const rhythm *r)
{
    return reach(r, &far);
}

uint64_t rhythm_usual(const rhythm *r)
{
    double mean, deviation, most;
    if (r->count < RHYTHM_ENOUGH)
        return RHYTHM_UNKNOWN;
    moments(r, &mean, &deviation, &most);
    return (uint64_t)(exp(mean) * 1e9);
}
