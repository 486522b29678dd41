/* Sums against what xxhsum -H2 prints. */
#include "base/checksum.h"
#include "tests/lib/test.h"

TEST(checksum, is_what_xxhsum_prints)
{
    char out[CHECKSUM_HEX], long_text[1000];
    checksum(out, (bytes){0});
    CHECK_TEXT(out, "99aa06d3014798d86001c324468d497f");
    checksum(out, BYTES("abc"));
    CHECK_TEXT(out, "06b05ab6733a618578af5f94892f3950");
    memset(long_text, 'a', sizeof long_text);
    checksum(out, bytes_make(long_text, sizeof long_text));
    CHECK_TEXT(out, "b01da365eddaa29cb3e7af627147db7c");
}

TEST(checksum, a_changed_bit_shows)
{
    char before[CHECKSUM_HEX], after[CHECKSUM_HEX], text[4097] = {0};
    checksum(before, bytes_make(text, sizeof text));
    for (size_t k = 0; k < sizeof text; k += 97) {
        text[k] ^= 16;
        checksum(after, bytes_make(text, sizeof text));
        CHECK(strcmp(before, after) != 0);
        text[k] ^= 16;
    }
}
