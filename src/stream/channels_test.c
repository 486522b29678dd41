/* Frames as venues send them, and the channels that they are told apart by. */
#include "stream/channels.h"

#include <stdio.h>

#include "tests/lib/test.h"

static channels *of(const char *initial)
{
    bytes message = bytes_of(initial);
    channels *c = channels_new(&message, 1);
    CHECK(c != NULL);
    return c;
}

TEST(channels, are_told_apart_by_what_the_initial_messages_name)
{
    static const struct {
        const char *initial, *answer, *first, *second, *first_again;
    } venues[] = {
        {"{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@SPOT_A\",\"trade@SPOT_B\"]}", "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"data\":[\"trade@SPOT_A\",\"trade@SPOT_B\"]}",
         "{\"topic\":\"trade@SPOT_A\",\"ts\":1,\"data\":{\"px\":\"1\"}}", "{\"topic\":\"trade@SPOT_B\",\"ts\":1,\"data\":{\"px\":\"1\"}}", "{\"topic\":\"trade@SPOT_A\",\"ts\":2,\"data\":{\"px\":\"2\"}}"},
        {"{\"op\":\"subscribe\",\"args\":[{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},{\"channel\":\"books\",\"instId\":\"BTC-USDT\"}]}", "{\"event\":\"subscribe\",\"arg\":{\"channel\":\"books\",\"instId\":\"BTC-USDT\"}}",
         "{\"arg\":{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},\"data\":[{\"px\":\"5\"}]}", "{\"arg\":{\"channel\":\"books\",\"instId\":\"BTC-USDT\"},\"action\":\"update\"}", "{\"arg\":{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},\"data\":[{\"px\":\"6\"}]}"},
        {"{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"BTC/USD\",\"ETH/USD\"]}}", "{\"method\":\"subscribe\",\"result\":{\"channel\":\"trade\",\"symbol\":\"ETH/USD\"},\"success\":true}",
         "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"BTC/USD\"}]}", "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"ETH/USD\"}]}", "{\"channel\":\"trade\",\"type\":\"snapshot\",\"data\":[{\"symbol\":\"BTC/USD\"}]}"},
    };
    for (size_t i = 0; i < sizeof venues / sizeof *venues; i++) {
        channels *c = of(venues[i].initial);
        CHECK(channels_joined(c));
        CHECK(!channels_answered(c));
        channels_heir(c, bytes_of(venues[i].answer)); /* it is no data yet */
        channels_old(c, bytes_of(venues[i].first));
        CHECK(!channels_joined(c));
        channels_heir(c, bytes_of(venues[i].first_again));
        CHECK(channels_joined(c));
        channels_old(c, bytes_of(venues[i].second));
        channels_old(c, bytes_of(venues[i].first));
        channels_heir(c, bytes_of(venues[i].first));
        CHECK(!channels_joined(c));
        channels_heir(c, bytes_of(venues[i].second));
        CHECK(channels_joined(c));
        CHECK(channels_answered(c));
        channels_free(c);
    }
}

/* Silent on both, "trade@B" may be late: it is, until something names it, wherever in a long answer. */
TEST(channels, are_answered_when_each_string_was_named)
{
    char far[3000];
    channels *c = of("{\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@A\",\"trade@B\"]}");
    channels_old(c, BYTES("{\"topic\":\"trade@A\",\"px\":\"1\"}"));
    channels_heir(c, BYTES("{\"topic\":\"trade@A\",\"px\":\"1\"}"));
    CHECK(channels_joined(c));
    channels_heir(c, BYTES("{\"cmd\":\"SUBSCRIBE\",\"data\":[\"trade@A\"]}"));
    channels_old(c, BYTES("{\"topic\":\"trade@B\",\"px\":\"1\"}")); /* not the new one */
    CHECK(!channels_answered(c));
    snprintf(far, sizeof far, "{\"data\":[\"%02000d\",\"trade@B\"]}", 7);
    channels_heir(c, bytes_of(far));
    CHECK(channels_answered(c));
    channels_free(c);
    c = of("hello");
    CHECK(channels_answered(c)); /* nothing is asked for by a name */
    channels_free(c);
}

TEST(channels, that_nothing_names_are_one)
{
    static const char *const initial[] = {"hello", "{\"id\":\"1\"}", "", "[[[[[[[[[[\"too deep\"]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof initial / sizeof *initial; i++) {
        channels *c = of(initial[i]);
        channels_old(c, BYTES("{\"e\":\"trade\",\"id\":\"1\"}"));
        CHECK(!channels_joined(c));
        channels_heir(c, BYTES("\"too deep\""));
        CHECK(channels_joined(c));
        channels_free(c);
    }
}

TEST(channels, beyond_what_is_kept_are_one_with_the_last)
{
    char initial[CHANNELS_MAX * 12 + 100] = "[", frame[40];
    size_t len = 1;
    for (int i = 0; i < CHANNELS_MAX + 10; i++)
        len += (size_t)snprintf(initial + len, sizeof initial - len, "%s\"c%d\"", i ? "," : "", i);
    snprintf(initial + len, sizeof initial - len, "]");
    channels *c = of(initial);
    for (int i = 0; i < CHANNELS_MAX + 10; i++) {
        snprintf(frame, sizeof frame, "{\"t\":\"c%d\"}", i);
        channels_old(c, bytes_of(frame));
    }
    for (int i = 0; i < CHANNELS_MAX; i++) {
        CHECK(!channels_joined(c));
        snprintf(frame, sizeof frame, "{\"t\":\"c%d\"}", i);
        channels_heir(c, bytes_of(frame));
    }
    CHECK(channels_joined(c));
    channels_free(c);
}

TEST(channels, making_survives_any_failed_allocation)
{
    bytes message = BYTES("{\"cmd\":\"SUBSCRIBE\",\"params\":[\"a1\",\"a2\",\"a3\",\"a4\",\"a5\",\"a6\",\"a7\",\"a8\",\"a9\"]}");
    FAULT_SWEEP(alloc)
        channels_free(channels_new(&message, 1));
}
