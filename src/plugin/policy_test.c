#include "plugin/policy.h"

#include "base/clock.h"
#include "tests/lib/test.h"

static uint64_t now = 5 * NS_PER_S;

TEST(policy, a_bucket_gives_its_burst_at_once_and_then_its_rate)
{
    bucket b = {0};
    for (int i = 0; i < 10; i++)
        CHECK(bucket_take(&b, 2, 10, now));
    CHECK(!bucket_take(&b, 2, 10, now));
    CHECK(!bucket_take(&b, 2, 10, now + NS_PER_S / 4));
    CHECK(bucket_take(&b, 2, 10, now + NS_PER_S / 2));
    CHECK(!bucket_take(&b, 2, 10, now + NS_PER_S / 2));
    for (int i = 0; i < 10; i++) /* a long rest fills it, and no further */
        CHECK(bucket_take(&b, 2, 10, now + 3600 * NS_PER_S));
    CHECK(!bucket_take(&b, 2, 10, now + 3600 * NS_PER_S));
}

TEST(policy, a_bucket_that_starts_at_time_zero_is_no_endless_one)
{
    bucket b = {0};
    CHECK(bucket_take(&b, 1, 1, 0));
    CHECK(!bucket_take(&b, 1, 1, 0));
}

TEST(policy, a_limit_of_nothing_refuses_all)
{
    weir_error err = WEIR_ERROR_INIT;
    policy_limits none = {0};
    policy p;
    uint64_t dropped;
    policy_init(&p, &none);
    CHECK_INT(policy_connect(&p, 0, now, &err), WEIR_LIMIT);
    CHECK_INT(policy_request(&p, now, &err), WEIR_LIMIT);
    CHECK_INT(policy_message(&p, "a message", 1, &err), WEIR_LIMIT);
    CHECK_TEXT(err.text, "a message of 1 octets; at most 0 are taken");
    CHECK(!policy_log(&p, now, &dropped));
}

TEST(policy, connects_are_bounded_at_once_and_in_a_minute)
{
    weir_error err = WEIR_ERROR_INIT;
    policy p;
    policy_init(&p, NULL);
    CHECK_INT(policy_connect(&p, 32, now, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "32 sockets are open already");
    for (int i = 0; i < 300; i++)
        CHECK_OK(policy_connect(&p, 31, now, &err));
    CHECK_INT(policy_connect(&p, 0, now, &err), WEIR_LIMIT);
    CHECK_OK(policy_connect(&p, 0, now + NS_PER_S / 5, &err));
}

TEST(policy, of_an_instance_that_serves_many_streams_is_wider)
{
    policy p;
    policy_init(&p, NULL);
    policy_share(&p, NULL, 1);
    CHECK_UINT(p.limits.log_per_s, policy_defaults.log_per_s);
    policy_share(&p, NULL, 1001);
    CHECK_UINT(p.limits.log_per_s, 101 * policy_defaults.log_per_s);
    CHECK_UINT(p.limits.requests_per_s, 101 * policy_defaults.requests_per_s);
    CHECK_UINT(p.limits.sockets, policy_defaults.sockets);
    policy_share(&p, NULL, 0);
    CHECK_UINT(p.limits.log_per_s, policy_defaults.log_per_s);
}

TEST(policy, dropped_log_lines_are_told_once_with_the_next_that_passes)
{
    policy p;
    uint64_t dropped;
    int passed = 0;
    policy_init(&p, NULL);
    for (int i = 0; i < 1100; i++)
        passed += policy_log(&p, now, &dropped);
    CHECK_INT(passed, 1000);
    CHECK(policy_log(&p, now + NS_PER_S, &dropped));
    CHECK_UINT(dropped, 100);
    CHECK(policy_log(&p, now + NS_PER_S, &dropped));
    CHECK_UINT(dropped, 0);
}
