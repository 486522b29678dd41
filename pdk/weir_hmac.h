/* weir_hmac.h: HMAC-SHA256 for plugins of venues whose private requests are signed.
 *
 * FIPS 180-4 and RFC 2104, straight. Signing happens a few times a minute, so it is written to be
 * small rather than fast. Needs nothing but weir_pdk.h.
 */
#ifndef WEIR_HMAC_H
#define WEIR_HMAC_H

#include "weir_pdk.h"

typedef struct weir_sha256 {
    uint32_t state[8];
    uint64_t len; /* octets so far */
    unsigned char part[64];
} weir_sha256;

WEIR_HOT uint32_t weir_rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* Mixes one block of 64 octets into the state. */
WEIR_COLD void weir_sha256_block(weir_sha256 *h, const unsigned char *block)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (weir_rotate(w[i - 15], 7) ^ weir_rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (weir_rotate(w[i - 2], 17) ^ weir_rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (int i = 0; i < 8; i++)
        v[i] = h->state[i];
    for (int i = 0; i < 64; i++) {
        uint32_t one = v[7] + (weir_rotate(v[4], 6) ^ weir_rotate(v[4], 11) ^ weir_rotate(v[4], 25)) +
                       ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t two = (weir_rotate(v[0], 2) ^ weir_rotate(v[0], 13) ^ weir_rotate(v[0], 22)) +
                       ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (int j = 7; j > 0; j--)
            v[j] = v[j - 1];
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        h->state[i] += v[i];
}

WEIR_COLD void weir_sha256_init(weir_sha256 *h)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (int i = 0; i < 8; i++)
        h->state[i] = start[i];
    h->len = 0;
}

WEIR_COLD void weir_sha256_add(weir_sha256 *h, const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        h->part[h->len++ & 63] = ((const unsigned char *)at)[i];
        if ((h->len & 63) == 0)
            weir_sha256_block(h, h->part);
    }
}

WEIR_COLD void weir_sha256_end(weir_sha256 *h, unsigned char digest[32])
{
    static const unsigned char mark = 0x80, zero = 0;
    unsigned char bits[8];
    for (int i = 0; i < 8; i++)
        bits[i] = (unsigned char)(h->len * 8 >> (56 - 8 * i));
    weir_sha256_add(h, &mark, 1);
    while ((h->len & 63) != 56)
        weir_sha256_add(h, &zero, 1);
    weir_sha256_add(h, bits, 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* The HMAC-SHA256 of `text` under `key`, as 64 lower-case hexadecimal digits. */
WEIR_COLD void weir_hmac_sha256(weir_str key, weir_str text, char hex[64])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char pad[64], digest[32];
    weir_sha256 h;
    for (int i = 0; i < 64; i++)
        pad[i] = 0;
    if (key.len > 64) {
        weir_sha256_init(&h);
        weir_sha256_add(&h, key.at, key.len);
        weir_sha256_end(&h, pad);
    } else {
        weir_copy((char *)pad, key.at, key.len);
    }
    for (int i = 0; i < 64; i++)
        pad[i] ^= 0x36;
    weir_sha256_init(&h);
    weir_sha256_add(&h, pad, 64);
    weir_sha256_add(&h, text.at, text.len);
    weir_sha256_end(&h, digest);
    for (int i = 0; i < 64; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    weir_sha256_init(&h);
    weir_sha256_add(&h, pad, 64);
    weir_sha256_add(&h, digest, 32);
    weir_sha256_end(&h, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
}

#endif
