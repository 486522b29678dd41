#include "api/rate.h"

#include "base/clock.h"
#include "tests/lib/test.h"

TEST(rate, lets_a_burst_through_and_then_so_many_a_second)
{
    rate r;
    bool first;
    CHECK(rate_init(&r, 10, 20));
    for (int i = 0; i < 20; i++)
        CHECK_UINT(rate_take(&r, BYTES("a"), NS_PER_S, &first), 0);
    uint64_t wait = rate_take(&r, BYTES("a"), NS_PER_S, &first);
    CHECK(wait > 99 * NS_PER_MS && wait < 101 * NS_PER_MS);
    CHECK(first);
    CHECK(rate_take(&r, BYTES("a"), NS_PER_S, &first) > 0);
    CHECK(!first);
    CHECK_UINT(rate_take(&r, BYTES("b"), NS_PER_S, &first), 0);
    CHECK_UINT(rate_take(&r, BYTES("a"), NS_PER_S + wait, &first), 0);
    CHECK(rate_take(&r, BYTES("a"), NS_PER_S + wait, &first) > 0);
    CHECK(first);
    CHECK_UINT(rate_take(&r, BYTES("a"), 100 * NS_PER_S, &first), 0);
    rate_fini(&r);
}

/* Whoever is refused stays refused, however many others come by. */
TEST(rate, keeps_the_bucket_of_who_used_it_up_when_very_many_come)
{
    rate r;
    bool first;
    CHECK(rate_init(&r, 1, 5));
    for (int i = 0; i < 5; i++)
        CHECK_UINT(rate_take(&r, BYTES("flood"), NS_PER_S, &first), 0);
    for (uint32_t i = 0; i < 100000; i++)
        CHECK_UINT(rate_take(&r, bytes_make(&i, sizeof i), NS_PER_S, &first), 0);
    CHECK(rate_take(&r, BYTES("flood"), NS_PER_S, &first) > 0);
    rate_fini(&r);
}
