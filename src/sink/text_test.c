#include "sink/text.h"
#include "tests/lib/test.h"

static void check_put(const char *text, size_t width, const char *want, size_t taken)
{
    buf b;
    buf_init(&b, 1024);
    CHECK_UINT(text_put(&b, bytes_of(text), width), taken);
    CHECK_BYTES(buf_bytes(&b), bytes_of(want));
    buf_fini(&b);
}

static int compare(const char *a, const char *b)
{
    return text_compare_decimals(bytes_of(a), bytes_of(b));
}

static uint64_t time_of(const char *text)
{
    json value;
    uint64_t ns = 0;
    CHECK(!json_read(&value, bytes_of(text), NULL));
    return text_time(value, &ns) ? ns / 1000000 : 0; /* ms */
}

TEST(text, width_counts_columns)
{
    CHECK_UINT(text_width(BYTES("abc")), 3);
    CHECK_UINT(text_width(BYTES("\xC3\xA9")), 1);
    CHECK_UINT(text_width(BYTES("\xE5\xB8\x81x")), 3); /* an ideograph takes two */
    CHECK_UINT(text_width(BYTES("\xF0\x9F\x9A\x80")), 2);
    CHECK_UINT(text_width(BYTES("\xF0\x9F")), 1 + 1); /* broken: as octets */
}

TEST(text, long_text_is_cut_with_an_ellipsis)
{
    check_put("abc", 3, "abc", 3);
    check_put("abcd", 3, "ab…", 3);
    check_put("\xE5\xB8\x81\xE5\xB8\x81", 3, "\xE5\xB8\x81…", 3);
    check_put("\xE5\xB8\x81\xE5\xB8\x81", 2, "…", 1);
    check_put("abc", 0, "", 0);
    check_put("", 5, "", 0);
}

TEST(text, characters_without_a_column_are_shown)
{
    check_put("a\xE2\x80\xAE"
              "b",
              9, "a?b", 3); /* right-to-left override */
    check_put("a\xE2\x80\x8B"
              "b",
              9, "a?b", 3);             /* zero width space */
    check_put("a\xCC\x81", 9, "a?", 2); /* combining accent */
}

TEST(text, decimals_are_measured_from_the_point)
{
    static const struct {
        const char *text;
        size_t before, behind;
    } cases[] = {{"12.5", 2, 2}, {"-0.000000123456", 2, 13}, {"7", 1, 0}, {"7.", 1, 1}, {"1e-7", 4, 0}, {"n/a.", 4, 0}, {"", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t before, behind;
        text_decimal(bytes_of(cases[i].text), &before, &behind);
        CHECK_UINT(before, cases[i].before);
        CHECK_UINT(behind, cases[i].behind);
    }
}

TEST(text, decimals_compare_exactly)
{
    CHECK_INT(compare("1.1", "1.10"), 0);
    CHECK_INT(compare("9", "10"), -1);
    CHECK_INT(compare("10.1", "10"), 1);
    CHECK_INT(compare("10", "10.0"), 0);
    CHECK_INT(compare("10.", "10.01"), -1);
    CHECK_INT(compare("007", "7"), 0);
    CHECK_INT(compare("0.000000123456", "0.000000123457"), -1);
    CHECK_INT(compare("123456789012345678901.1", "123456789012345678901.2"), -1);
    CHECK_INT(compare("-2", "-1"), -1);
    CHECK_INT(compare("-1", "0.5"), -1);
    CHECK_INT(compare("0.5", "-1"), 1);
    CHECK_INT(compare("-0", "0.0"), 0);
    CHECK_INT(compare("-1", "1"), -1);
    CHECK_INT(compare("1e5", "2e5"), 0); /* not plain: no direction */
    CHECK_INT(compare("", "1"), 0);
}

TEST(text, time_stamps_of_all_customs_are_read)
{
    CHECK_UINT(time_of("\"2023-11-14T22:13:20Z\""), 1700000000000);
    CHECK_UINT(time_of("\"2023-11-14T23:13:20.5+01:00\""), 1700000000500);
    CHECK_UINT(time_of("1700000000"), 1700000000000);
    CHECK_UINT(time_of("1700000000123"), 1700000000123);
    CHECK_UINT(time_of("1700000000123456"), 1700000000123);
    CHECK_UINT(time_of("1700000000123456789"), 1700000000123);
    CHECK_UINT(time_of("\"1700000000.25\""), 1700000000250);
    CHECK_UINT(time_of("\"soon\""), 0);
    CHECK_UINT(time_of("null"), 0);
    CHECK_UINT(time_of("-5"), 0);
    CHECK_UINT(time_of("1e300"), 0);
}
