/* The world's time, in nanoseconds, replaceable in tests. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/buf.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_real(void); /* since 1970 UTC */
uint64_t clock_mono(void); /* since some fixed moment; never goes back */

/* Tests: from now on both clocks answer these functions; NULL restores the system's. */
void clock_replace(uint64_t (*real)(void), uint64_t (*mono)(void));

#define CLOCK_RFC3339_SIZE 36
/* "2026-11-23T07:44:42.187000000Z": always UTC; `digits` of fraction, 0 to 9. */
void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], uint64_t real_ns, int digits);
/* RFC 3339 with any zone and 0 to 9+ digits of fraction. False if it is none or outside 1970..2261. */
bool clock_parse(bytes text, uint64_t *real_ns);

#endif
