/* The harness's own promise: a sweep fails each allocation of ours once, whatever call made it. */
#include "tests/lib/test.h"

/* Volatile, so that the compiler cannot drop an allocation that nobody reads. */
static void *volatile kept;

static bool keep(void *p)
{
    kept = p;
    free(p);
    return p != NULL;
}

TEST(fault, sweep_fails_each_allocation_once_and_then_none)
{
    unsigned rounds = 0, missing[5] = {0};
    FAULT_SWEEP(alloc) {
        unsigned in_round = 0;
        bool got[5] = {keep(malloc(10)), keep(calloc(2, 10)), keep(realloc(NULL, 10)), keep(strdup("abc")), keep(strndup("abc", 2))};
        for (size_t i = 0; i < 5; i++) {
            missing[i] += !got[i];
            in_round += !got[i];
        }
        CHECK_UINT(in_round, rounds < 5);
        rounds++;
    }
    CHECK_UINT(rounds, 6);
    for (size_t i = 0; i < 5; i++)
        CHECK_UINT(missing[i], 1);
}

TEST(fault, every_allocation_is_counted)
{
    uint64_t before = fault_allocations();
    keep(malloc(1));
    keep(strdup("x"));
    CHECK_UINT(fault_allocations(), before + 2);
}

TEST(fault, libraries_are_left_alone)
{
    unsigned rounds = 0;
    FAULT_SWEEP(alloc) {
        FILE *f = fopen("/dev/null", "r"); /* allocates inside the C library */
        CHECK(f != NULL);
        fclose(f);
        rounds++;
    }
    CHECK_UINT(rounds, 1);
}
