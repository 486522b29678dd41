/* The world's chance: the system's for secrets, a seeded one for what tests must repeat. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fills with octets from the kernel (getrandom). Never fails: aborts where the kernel has none. */
void rand_bytes(void *out, size_t len);
uint64_t rand_u64(void);

/* A small seeded generator (splitmix64), for back-off jitter, simulators and tests. */
typedef struct rand_seeded {
    uint64_t state;
} rand_seeded;
uint64_t rand_next(rand_seeded *r);
double rand_unit(rand_seeded *r); /* 0 <= x < 1 */

#endif
