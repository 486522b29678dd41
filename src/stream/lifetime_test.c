#include "stream/lifetime.h"

#include "tests/lib/test.h"

static weir_error err;

#define HOUR (3600 * NS_PER_S)

TEST(lifetime, the_users_word_counts_before_the_plugins_and_that_before_the_table)
{
    lifetimes l = {0};
    CHECK_UINT(lifetime_of(NULL, BYTES("wss://wss.woox.io/v3/public"), 0), 24 * HOUR);
    CHECK_UINT(lifetime_of(&l, BYTES("wss://stream.binance.com:9443/ws/a@trade"), 0), 24 * HOUR);
    CHECK_UINT(lifetime_of(&l, BYTES("wss://wss.woox.io.evil.example/"), 0), 0);
    CHECK_UINT(lifetime_of(&l, BYTES("wss://ws.venue.example/"), 0), 0);
    CHECK_UINT(lifetime_of(&l, BYTES("nonsense"), 0), 0);
    CHECK_UINT(lifetime_of(&l, BYTES("wss://wss.woox.io/"), 5000), 5 * NS_PER_S);
    CHECK_OK(lifetimes_add(&l, BYTES("wss://WSS.woox.io:443=90m"), &err));
    CHECK_OK(lifetimes_add(&l, BYTES("wss://other.example=none"), &err));
    CHECK_UINT(lifetime_of(&l, BYTES("wss://wss.woox.io/"), 5000), 3 * HOUR / 2);
    CHECK_UINT(lifetime_of(&l, BYTES("ws://wss.woox.io/"), 5000), 5 * NS_PER_S);
    CHECK_UINT(lifetime_of(&l, BYTES("wss://other.example/x"), 5000), 0);
    CHECK_OK(lifetimes_add(&l, BYTES("wss://wss.woox.io=1.5s"), &err));
    CHECK_UINT(lifetime_of(&l, BYTES("wss://wss.woox.io/"), 0), 3 * NS_PER_S / 2);
    lifetimes_fini(&l);
}

TEST(lifetime, a_rule_that_makes_no_sense_is_refused_with_the_reason)
{
    static const char *const bad[][2] = {
        {"", "expected ORIGIN=TIME"},
        {"24h", "expected ORIGIN=TIME"},
        {"wss://a.example=", "expected ORIGIN=TIME"},
        {"wss://a.example=24", "expected ORIGIN=TIME"},
        {"wss://a.example=-1h", "expected ORIGIN=TIME"},
        {"wss://a.example=0s", "expected ORIGIN=TIME"},
        {"wss://a.example=10ms", "expected ORIGIN=TIME"},
        {"wss://a.example=99999999h", "expected ORIGIN=TIME"},
        {"wss://a.example=nan", "expected ORIGIN=TIME"},
        {"https://a.example=24h", "no WebSocket's origin"},
        {"a.example=24h", "lifetime 'a.example=24h'"},
    };
    lifetimes l = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(lifetimes_add(&l, bytes_of(bad[i][0]), &err), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i][1]);
    }
    CHECK_UINT(l.count, 0);
    lifetimes_fini(&l);
}

/* Many connections that were opened together do not end together. */
TEST(lifetime, the_successor_is_dialled_in_time_and_not_all_at_once)
{
    CHECK_UINT(lifetime_margin(24 * HOUR), HOUR / 2);
    CHECK_UINT(lifetime_margin(60 * NS_PER_S), 10 * NS_PER_S);
    CHECK_UINT(lifetime_margin(4 * NS_PER_S), NS_PER_S);
    CHECK_UINT(lifetime_begin(24 * HOUR, 0), 24 * HOUR - HOUR / 2);
    CHECK_UINT(lifetime_begin(24 * HOUR, 1), 24 * HOUR - 3 * HOUR / 4);
}
