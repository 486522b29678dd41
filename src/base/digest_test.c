/* Digests against published vectors (FIPS 180-4, RFC 4231, RFC 6455). */
#include "base/digest.h"
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
