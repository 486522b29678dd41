#include "hub/topic.h"
#include "tests/lib/test.h"

static void check_token(const char *text, size_t len, const char *want)
{
    buf b;
    buf_init(&b, TOPIC_MAX);
    topic_add_token(&b, bytes_make(text, len));
    CHECK_BYTES(buf_bytes(&b), bytes_of(want));
    buf_fini(&b);
}

static bool matches(const char *pattern, const char *topic)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(topic_pattern_check(bytes_of(pattern), &err));
    return topic_match(bytes_of(pattern), bytes_of(topic));
}

static void check_refused(const char *pattern, const char *why)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_INT(topic_pattern_check(bytes_of(pattern), &err), WEIR_INVALID);
    CHECK_HAS(err.text, why);
}

TEST(topic, token_keeps_what_cannot_break_it)
{
    check_token("SPOT_BTC-USDT/x:1", 17, "SPOT_BTC-USDT/x:1");
    check_token("\xC3\xA9", 2, "\xC3\xA9");
}

TEST(topic, token_escapes_what_would_break_it)
{
    check_token("BTC.PERP", 8, "BTC%2EPERP");
    check_token("a*b>c%d e\n\x7f", 11, "a%2Ab%3Ec%25d%20e%0A%7F");
    check_token("\0", 1, "%00");
    check_token("", 0, "%");
}

TEST(topic, tokens_are_joined_by_dots)
{
    buf b;
    buf_init(&b, TOPIC_MAX);
    topic_add_token(&b, BYTES("ohlcv"));
    topic_add_token(&b, BYTES(""));
    topic_add_token(&b, BYTES("1m"));
    CHECK_BYTES(buf_bytes(&b), BYTES("ohlcv.%.1m"));
    buf_fini(&b);
}

TEST(topic, literal_pattern_selects_only_itself)
{
    CHECK(matches("ohlcv.woox.BTC.1m", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("ohlcv.woox.BTC", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("ohlcv.woox.BTC.1m", "ohlcv.woox.BTC"));
    CHECK(!matches("ohlcv.woox.BTC.1m", "ohlcv.woox.BTC.1"));
    CHECK(!matches("ohlcv.woox.BTC.1", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("ohlcv", ""));
}

TEST(topic, star_selects_exactly_one_token)
{
    CHECK(matches("ohlcv.*.BTC.1m", "ohlcv.woox.BTC.1m"));
    CHECK(matches("*.*.*.*", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("*.*.*", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("*.*.*.*.*", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("ohlcv.*", "ohlcv"));
    CHECK(matches("*.%.x", "ohlcv.%.x"));
}

TEST(topic, arrow_selects_one_or_more_tokens_at_the_end)
{
    CHECK(matches(">", "ohlcv"));
    CHECK(matches("ohlcv.>", "ohlcv.woox.BTC.1m"));
    CHECK(matches("ohlcv.*.BTC.>", "ohlcv.woox.BTC.1m"));
    CHECK(!matches("ohlcv.>", "ohlcv"));
    CHECK(!matches("ohlcv.>", "trades.woox.BTC"));
}

TEST(topic, pattern_is_refused_with_its_cure)
{
    check_refused("", "'>' selects everything");
    check_refused("a..b", "empty token");
    check_refused(".a", "empty token");
    check_refused("a.", "empty token");
    check_refused("a.>.b", "must be the last token");
    check_refused("a.b*", "write %2A for the character");
    check_refused("a.b>", "write %3E for the character");
    check_refused("a.b c", "write it as %20");
    check_refused("a.b%2", "begins no escape");
    check_refused("a.b%2e", "begins no escape");
    check_refused("a.b%41", "begins no escape");
    check_refused("a.%%", "begins no escape");
}

TEST(topic, overlong_pattern_is_refused)
{
    char text[TOPIC_MAX + 2];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    check_refused(text, "at most 1024 are allowed");
}

TEST(topic, every_token_is_a_pattern_that_selects_it)
{
    for (int c = 0; c < 256; c++) {
        char text[2] = {(char)c, 'x'};
        weir_error err = WEIR_ERROR_INIT;
        buf b;
        buf_init(&b, TOPIC_MAX);
        topic_add_token(&b, bytes_make(text, 2));
        CHECK_OK(topic_pattern_check(buf_bytes(&b), &err));
        CHECK(topic_match(buf_bytes(&b), buf_bytes(&b)));
        buf_fini(&b);
    }
}
