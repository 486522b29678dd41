/* Decimal texts as keys: order, equality, and what is no decimal. */
#include "book/decimal.h"

#include "tests/lib/test.h"

/* Ascending; those within one entry, divided by blanks, are the same number. */
static const char *const ladder[] = {
    "-123456789012345678901234567890", "-1e20", "-100.5 -1.005e2", "-100.4999999999999999999", "-2", "-1 -1.0 -01", "-0.1", "-1e-7",
    "0 0.0 -0 +0 0e5 .0 00.000", "1e-200", "0.000000000123456", "1e-7 0.0000001 .0000001", "0.000022900 0.0000229 2.29e-5",
    "0.00002291", "0.1 .1 0.10 +0.1", "0.12345678901234567890", "0.12345678901234567891", "0.9999999999999999999", "1 1. 01 1.0 10e-1",
    "1.0000000000000000000001", "2", "9.99", "10 1e1 1E+1 010.0", "99.9", "100", "30243.5", "30243.6", "1234567890123456", "12345678901234567",
    "12345678901234567.5", "12345678901234568", "123456789012345678901234567890"};

#define STEPS (sizeof ladder / sizeof *ladder)

static bytes pick(const char *entry, int n)
{
    while (n-- > 0 && entry)
        entry = strchr(entry, ' ') ? strchr(entry, ' ') + 1 : NULL;
    return entry ? bytes_make(entry, strcspn(entry, " ")) : bytes_make(NULL, 0);
}

static int by_key(bytes a, bytes b)
{
    decimal x, y;
    CHECK(decimal_read(&x, a));
    CHECK(decimal_read(&y, b));
    if (x.key != y.key)
        return x.key < y.key ? -1 : 1;
    return x.more || y.more ? decimal_compare(a, b) : 0;
}

TEST(decimal, keys_and_texts_sort_like_the_numbers)
{
    for (size_t i = 0; i < STEPS; i++)
        for (size_t k = 0; k < STEPS; k++)
            for (int n = 0; pick(ladder[i], n).at; n++)
                for (int m = 0; pick(ladder[k], m).at; m++) {
                    bytes a = pick(ladder[i], n), b = pick(ladder[k], m);
                    int want = i < k ? -1 : i > k;
                    if (by_key(a, b) != want || decimal_compare(a, b) != want)
                        test_fail(__FILE__, __LINE__, "'%.*s' and '%.*s': %d by key, %d by text, want %d", (int)a.len, a.at, (int)b.len, b.at, by_key(a, b), decimal_compare(a, b), want);
                }
}

TEST(decimal, zero_is_known_in_any_spelling)
{
    static const char *const zeros[] = {"0", "0.0", "-0.000", "0e7", ".0", "0.", "00000000000000000000000"}, *const others[] = {"0.00000000000000000000000001", "1", "-0.1", "1e-200"};
    decimal d;
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        CHECK(decimal_read(&d, bytes_of(zeros[i])) && d.zero);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(decimal_read(&d, bytes_of(others[i])) && !d.zero);
}

TEST(decimal, what_is_none_is_refused)
{
    static const char *const bad[] = {"", ".", "-", "+.", "1.2.3", "1,5", "0x10", "1e", "1e+", "1e201", "1e-201", "NaN", "inf", " 1", "1 ", "1e5x", "e5"};
    decimal d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (decimal_read(&d, bytes_of(bad[i])))
            test_fail(__FILE__, __LINE__, "'%s' is read as a decimal", bad[i]);
}
