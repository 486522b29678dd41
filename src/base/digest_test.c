/* Digests against published vectors (FIPS 180-4, RFC 4231, RFC 6455). */
#include "base/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/test.h"

TEST(digest, sha256_matches_published_vectors)
{
    char out[DIGEST_HEX];
    digest_sha256(out, BYTES("abc"));
    CHECK_TEXT(
        out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256(out, (bytes){0});
    CHECK_TEXT(
        out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* By hand: one leaf, or the leaves of a size. */
static void leaves_by_hand(char out[DIGEST_HEX], bytes data, size_t leaf)
{
    unsigned char all[8 + 64 * DIGEST_OCTETS];
    char hex[DIGEST_HEX];
    size_t len = 8;
    for (int k = 0; k < 8; k++)
        all[k] = (unsigned char)((uint64_t)data.len >> (56 - 8 * k));
    for (size_t at = 0; at < data.len; at += leaf) {
        digest_sha256(hex, bytes_make(data.at + at, data.len - at < leaf ? data.len - at : leaf));
        for (int k = 0; k < DIGEST_OCTETS; k++)
            CHECK_INT(sscanf(hex + 2 * k, "%2hhx", &all[len++]), 1);
    }
    digest_sha256(out, bytes_make((char *)all, len));
}

TEST(digest, leaves_are_what_is_written_of_them)
{
    static char text[(80 << 19) + 5];
    static const size_t sizes[] = {0, 1, 64, (1 << 19) - 1, 1 << 19, (1 << 19) + 1, 7 << 18, 32 << 20, (32 << 20) + 1, sizeof text};
    char out[DIGEST_HEX], want[DIGEST_HEX], path[] = "/tmp/weir-digest-XXXXXX";
    for (size_t k = 0; k < sizeof text; k++)
        text[k] = (char)(k * 7 >> 3);
    int fd = mkstemp(path);
    CHECK_INT(write(fd, text, sizeof text), sizeof text);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        bytes data = bytes_make(text, sizes[k]);
        leaves_by_hand(want, data, sizes[k] / 64 < 1 << 19 ? 1 << 19 : sizes[k] / 64 + 1);
        digest_leaves(out, data);
        CHECK_TEXT(out, want);
        CHECK(digest_leaves_file(out, fd, sizes[k]));
        CHECK_TEXT(out, want);
    }
    CHECK(!digest_leaves_file(out, fd, sizeof text + 1)); /* it has become shorter */
    close(fd);
    remove(path);
    CHECK(!digest_leaves_file(out, -1, 10));
}

TEST(digest, hmac_sha256_matches_published_vectors)
{
    char out[DIGEST_HEX];
    digest_hmac_sha256(out, BYTES("Jefe"), BYTES("what do ya want for nothing?"));
    CHECK_TEXT(
        out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac_sha256(out, (bytes){0}, (bytes){0});
    CHECK_TEXT(
        out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(digest, sha1_gives_the_handshake_of_the_rfc)
{
    static const unsigned char want[] = {0xb3, 0x7a, 0x4f, 0x2c, 0xc0, 0x62, 0x4f,
                                         0x16, 0x90, 0xf6, 0x46, 0x06, 0xcf, 0x38,
                                         0x59, 0x45, 0xb2, 0xbe, 0xc4, 0xea};
    unsigned char out[20];
    digest_sha1(
        out,
        BYTES("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    CHECK_MEM(out, sizeof out, want, sizeof want);
    digest_sha1(out, (bytes){0});
    CHECK_UINT(out[0], 0xda);
}
