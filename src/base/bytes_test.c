/* Borrowed octets and the UTF-8 check. */
#include "base/bytes.h"
#include "tests/lib/test.h"

TEST(bytes, compares_whole_pieces)
{
    CHECK(bytes_is(BYTES("abc"), "abc") && !bytes_is(BYTES("abc"), "ab") &&
          !bytes_is(BYTES("ab"), "abc"));
    CHECK(bytes_equal((bytes){0}, BYTES("")) && bytes_of(NULL).len == 0);
    CHECK(bytes_starts(BYTES("abc"), BYTES("ab")) &&
          bytes_starts(BYTES("abc"), (bytes){0}) &&
          !bytes_starts(BYTES("a"), BYTES("ab")));
}

TEST(bytes, duplicates_with_a_nul_behind)
{
    char *copy = bytes_dup(BYTES("a\0b"));
    CHECK_MEM(copy, (size_t)4, "a\0b", (size_t)4);
    free(copy);
    copy = bytes_dup((bytes){0});
    CHECK_TEXT(copy, "");
    free(copy);
    FAULT_SWEEP(alloc) {
        copy = bytes_dup(BYTES("x"));
        free(copy);
    }
}

TEST(bytes, takes_every_character_of_unicode_and_no_surrogate)
{
    for (unsigned c = 0x80; c < 0x112000; c++) {
        unsigned char t[4];
        size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3
                                                 : 4;
        for (size_t i = len; i-- > 1;)
            t[i] = (unsigned char)(0x80 | (c >> 6 * (len - 1 - i) & 0x3f));
        t[0] = (unsigned char)((len == 2   ? 0xc0
                                : len == 3 ? 0xe0
                                           : 0xf0) |
                               c >> 6 * (len - 1));
        bool want = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        if (bytes_utf8(bytes_make(t, len)) != want)
            test_fail(__FILE__, __LINE__, "U+%04X is judged wrongly", c);
    }
}

/* A model without tables or ranges: decode, encode again, compare. */
static bool model(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80       ? 1
                   : p[i] >> 5 == 6  ? 2
                   : p[i] >> 4 == 14 ? 3
                   : p[i] >> 3 == 30 ? 4
                                     : 0;
        if (!n || len - i < n)
            return false;
        unsigned c = n == 1 ? p[i] : p[i] & (0x7fu >> n);
        for (size_t k = 1; k < n; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (n != (c < 0x80      ? 1u
                  : c < 0x800   ? 2u
                  : c < 0x10000 ? 3u
                                : 4u) ||
            c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        i += n;
    }
    return true;
}

TEST(bytes, judges_all_texts_of_three_octets_as_a_plain_model_does)
{
    static const unsigned char edge[] = {0, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                         0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                         0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
                                         0xf3, 0xf4, 0xf5, 0xff};
    const size_t n = sizeof edge;
    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char t[] = {edge[i % n], edge[i / n % n], edge[i / n / n % n],
                             edge[i / n / n / n]};
        for (size_t len = 1; len <= 4; len++)
            if (bytes_utf8(bytes_make(t, len)) != model(t, len))
                test_fail(__FILE__, __LINE__,
                          "%02x %02x %02x %02x, %zu octets, is judged wrongly", t[0],
                          t[1], t[2], t[3], len);
    }
}

TEST(bytes, finds_the_bad_octet_at_every_place)
{
    char text[80];
    for (size_t len = 0; len < sizeof text; len++) {
        memset(text, 'a', len);
        CHECK_UINT(bytes_utf8_prefix(bytes_make(text, len)), len);
        for (size_t at = 0; at < len; at++) {
            text[at] = (char)0x80;
            CHECK_UINT(bytes_utf8_prefix(bytes_make(text, len)), at);
            text[at] = 'a';
        }
    }
    CHECK_UINT(bytes_utf8_prefix(BYTES("\xe2\x82\xac"
                                       "a\xe2\x82")),
               4);
    CHECK_UINT(bytes_utf8_char(BYTES("\xf0\x9f\x98\x80x")), 4);
    CHECK_UINT(bytes_utf8_char((bytes){0}), 0);
}

TEST(bytes, hash_tells_texts_and_seeds_apart)
{
    static const char *const texts[] = {"", "a", "b", "12345678", "123456789", "12345679"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            CHECK((bytes_hash(bytes_of(texts[i]), 7) == bytes_hash(bytes_of(texts[k]), 7)) == (i == k));
    CHECK(bytes_hash(BYTES("a"), 1) != bytes_hash(BYTES("a"), 2));
}
