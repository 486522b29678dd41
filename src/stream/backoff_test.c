#include "stream/backoff.h"

#include "tests/lib/test.h"

TEST(backoff, doubles_with_jitter_to_its_ceiling)
{
    backoff b;
    backoff_init(&b, 1000, 60000, 7);
    for (uint64_t full = 1000, i = 0; i<12; i++, full = full * 2> 60000 ? 60000 : full * 2) {
        uint64_t wait = backoff_next(&b);
        CHECK(wait >= full / 2 && wait <= full);
    }
    backoff_reset(&b);
    CHECK(backoff_next(&b) <= 1000);
}

TEST(backoff, spreads_many_over_its_first_wait)
{
    backoff b;
    uint64_t least = UINT64_MAX, most = 0;
    backoff_init(&b, 1000, 600, 7);
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = backoff_spread(&b);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    CHECK(least < 60 && most > 540 && most < 600);
    CHECK_UINT(b.tries, 0);
}

TEST(backoff, differs_between_seeds)
{
    backoff a, b;
    backoff_init(&a, 1000000, 60000000, 1);
    backoff_init(&b, 1000000, 60000000, 2);
    CHECK(backoff_next(&a) != backoff_next(&b));
}
