/* Clocks and RFC 3339. */
#include "base/clock.h"
#include "base/rand.h"
#include "tests/lib/test.h"

#include <time.h>

static uint64_t now_ns;

static uint64_t fixed(void)
{
    return now_ns;
}

TEST(clock, can_be_replaced_and_restored_one_by_one)
{
    now_ns = 42;
    clock_replace(fixed, NULL);
    CHECK_UINT(clock_real(), 42);
    CHECK(clock_mono() != 42);
    clock_replace(NULL, fixed);
    CHECK_UINT(clock_mono(), 42);
    clock_replace(NULL, NULL);
    uint64_t first = clock_mono();
    CHECK(clock_mono() >= first && clock_real() > 1000000000 * NS_PER_S);
}

TEST(clock, writes_as_many_digits_as_asked_for)
{
    char out[CLOCK_RFC3339_SIZE];
    uint64_t t = UINT64_C(1795419882187654321);
    clock_rfc3339(out, t, 9);
    CHECK_TEXT(out, "2026-11-23T07:44:42.187654321Z");
    clock_rfc3339(out, t, 3);
    CHECK_TEXT(out, "2026-11-23T07:44:42.187Z");
    clock_rfc3339(out, t, 0);
    CHECK_TEXT(out, "2026-11-23T07:44:42Z");
    clock_rfc3339(out, 0, 1);
    CHECK_TEXT(out, "1970-01-01T00:00:00.0Z");
    clock_rfc3339(out, UINT64_MAX, 9);
    CHECK_TEXT(out, "2554-07-21T23:34:33.709551615Z");
}

TEST(clock, writes_what_the_c_library_writes_and_reads_it_back)
{
    rand_seeded r = {3};
    char ours[CLOCK_RFC3339_SIZE], theirs[64];
    for (int i = 0; i < 20000; i++) {
        uint64_t back = 0,
                 t = rand_next(&r) / 2 % (UINT64_C(9214646400) * NS_PER_S);
        time_t seconds = (time_t)(t / NS_PER_S);
        struct tm tm;
        strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S",
                 gmtime_r(&seconds, &tm));
        clock_rfc3339(ours, t, 0);
        ours[19] = '\0';
        CHECK_TEXT(ours, theirs);
        clock_rfc3339(ours, t, 9);
        CHECK(clock_parse(bytes_of(ours), &back));
        CHECK_UINT(back, t);
    }
}

TEST(clock, reads_zones_fractions_and_leap_seconds)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:01z", NS_PER_S},
        {"1970-01-01 00:00:01Z", NS_PER_S},
        {"1970-01-01T02:00:00+02:00", 0},
        {"1969-12-31T22:30:00-01:30", 0},
        {"1970-01-01T00:00:00.5Z", NS_PER_S / 2},
        {"1970-01-01T00:00:00.1234567899999Z", 123456789},
        {"1972-06-30T23:59:60Z", UINT64_C(78796800) * NS_PER_S},
        {"2024-02-29T00:00:00Z", UINT64_C(1709164800) * NS_PER_S},
        {"2000-02-29T00:00:00Z", UINT64_C(951782400) * NS_PER_S},
        {"2261-12-31T23:59:59Z", UINT64_C(9214646399) * NS_PER_S},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ns = 1;
        if (!clock_parse(bytes_of(good[i].text), &ns))
            test_fail(__FILE__, __LINE__, "'%s' is refused", good[i].text);
        CHECK_UINT(ns, good[i].ns);
    }
}

TEST(clock, refuses_what_is_no_time)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-23",
                                      "2026-11-23T07:44:42",
                                      "2026-11-23T07:44Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:61Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+0200",
                                      "2026-01-01T00:00:00+24:00",
                                      "2026-01-01T00:00:00Zx",
                                      "2026\r01\r01T00:00:00Z",
                                      "+026-01-01T00:00:00Z",
                                      "1969-12-31T23:59:59Z",
                                      "2262-01-01T00:00:00Z",
                                      "1970-01-01T00:00:00+00:01",
                                      "9999-12-31T00:00:00Z",
                                      "0000-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ns = 1;
        if (clock_parse(bytes_of(bad[i]), &ns))
            test_fail(__FILE__, __LINE__, "'%s' is taken", bad[i]);
        CHECK_UINT(ns, 1);
    }
    CHECK(!clock_parse(BYTES("2026-01-01T00:00:00\0"), &now_ns));
}

/* The usual form is read by itself; with a small z it is read as any other. Valid or not, both say the same. */
TEST(clock, the_usual_form_is_read_as_any_other)
{
    static const char octets[] = "0123456789-T:.Zz 7";
    unsigned state = 1, good = 0;
    for (int i = 0; i < 200000; i++) {
        char text[CLOCK_RFC3339_SIZE];
        uint64_t a = 1, b = 1;
        state = state * 1103515245 + 12345;
        clock_rfc3339(text, (uint64_t)(state >> 1) * 4300 * NS_PER_MS + state % 1000 * NS_PER_MS, 3);
        if (i % 2)
            text[state % 24] = octets[state / 32 % (sizeof octets - 1)];
        if (i % 4 == 1)
            text[state / 7 % 24] = octets[state / 1024 % (sizeof octets - 1)];
        bool usual = clock_parse(bytes_of(text), &a);
        if (text[23] == 'Z')
            text[23] = 'z';
        CHECK(usual == clock_parse(bytes_of(text), &b));
        CHECK_UINT(a, b);
        good += usual;
    }
    CHECK(good > 100000 && good < 190000);
}
