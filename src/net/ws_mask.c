/* The mask of RFC 6455 5.3, 32 octets a step. */
#include "net/ws_inside.h"

void mask_copy(char *to, const char *from, size_t len, uint32_t mask, size_t phase)
{
    unsigned char key[8];
    uint64_t wide;
    memcpy(key, &mask, 4);
    memcpy(key + 4, &mask, 4);
    memcpy(&mask, key + (phase & 3), 4);
    wide = mask | (uint64_t)mask << 32;
    size_t i = 0;
    for (; i + 32 <= len; i += 32) {
        uint64_t four[4];
        memcpy(four, from + i, 32);
        four[0] ^= wide;
        four[1] ^= wide;
        four[2] ^= wide;
        four[3] ^= wide;
        memcpy(to + i, four, 32);
    }
    for (; i + 8 <= len; i += 8) {
        uint64_t one;
        memcpy(&one, from + i, 8);
        one ^= wide;
        memcpy(to + i, &one, 8);
    }
    memcpy(key, &mask, 4);
    for (; i < len; i++)
        to[i] = (char)(from[i] ^ (char)key[i & 3]);
}
