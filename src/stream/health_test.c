#include "stream/health.h"

#include "tests/lib/test.h"

#define S NS_PER_S

TEST(health, traps_that_lie_apart_change_nothing)
{
    health h = {0};
    for (uint64_t i = 1; i < 100; i++)
        CHECK_INT(health_trap(&h, i * 16 * S), HEALTH_GO_ON);
    CHECK(!health_rests(&h, 100 * 16 * S));
}

TEST(health, the_fifth_within_a_minute_is_a_rest_and_the_next_one_twice_as_long)
{
    static const uint64_t rests[] = {300, 600, 1200, 2400, 3600, 3600};
    health h = {0};
    uint64_t now = 1000 * S;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        for (int k = 0; k < 4; k++)
            CHECK_INT(health_trap(&h, now += 2 * S), HEALTH_GO_ON);
        CHECK_INT(health_trap(&h, now), HEALTH_REST);
        CHECK_UINT(h.until, now + rests[i] * S);
        CHECK(health_rests(&h, h.until - 1));
        CHECK(!health_rests(&h, h.until));
        now = h.until;
    }
    now += 7201 * S; /* well for long: the first one again */
    for (int k = 0; k < 4; k++)
        CHECK_INT(health_trap(&h, now), HEALTH_GO_ON);
    CHECK_INT(health_trap(&h, now), HEALTH_REST);
    CHECK_UINT(h.until, now + 300 * S);
}

TEST(health, as_the_user_says)
{
    health once = {.traps_max = 1, .quarantine_ns = 7 * S}, never = {.on_trap = ON_TRAP_RESTART}, fails = {.on_trap = ON_TRAP_FAIL, .traps_max = 2, .within_ns = S};
    CHECK_INT(health_trap(&once, S), HEALTH_REST);
    CHECK_UINT(once.until, 8 * S);
    for (int i = 0; i < 100; i++)
        CHECK_INT(health_trap(&never, S), HEALTH_GO_ON);
    CHECK_INT(health_trap(&fails, S), HEALTH_GO_ON);
    CHECK_INT(health_trap(&fails, 3 * S), HEALTH_GO_ON);
    CHECK_INT(health_trap(&fails, 4 * S), HEALTH_GIVE_UP);
    health many = {.traps_max = 1000};
    for (int i = 1; i < HEALTH_TRAPS; i++)
        CHECK_INT(health_trap(&many, S), HEALTH_GO_ON);
    CHECK_INT(health_trap(&many, S), HEALTH_REST);
}
