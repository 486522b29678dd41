/* Pieces of work: each done once, whoever does it. */
#include "base/spread.h"

#include <sched.h>
#include <stdatomic.h>

#include "tests/lib/test.h"

static atomic_int times[1000];

static void count(void *arg, size_t k)
{
    CHECK(arg == times);
    atomic_fetch_add(&times[k], 1);
}

static void check_each_once(size_t n)
{
    memset(times, 0, sizeof times);
    spread(n, count, times);
    for (size_t k = 0; k < sizeof times / sizeof *times; k++)
        CHECK_INT(times[k], k < n);
}

TEST(spread, each_piece_is_done_once)
{
    for (int round = 0; round < 20; round++)
        check_each_once(1000);
    check_each_once(2);
    check_each_once(1);
    check_each_once(0);
}

TEST(spread, one_processor_does_it_alone)
{
    cpu_set_t before, one;
    CHECK_INT(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int k = 0; k < CPU_SETSIZE && !CPU_COUNT(&one); k++)
        if (CPU_ISSET(k, &before))
            CPU_SET(k, &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
    check_each_once(1000);
    CHECK_INT(sched_setaffinity(0, sizeof before, &before), 0);
}
