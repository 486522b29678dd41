/* Copies of borrowed memory, and the UTF-8 check.
 *
 * Nearly all market data is ASCII: the check steps over 16 octets at a time
 * until one has its high bit set, and only then looks at characters, by the
 * ranges of RFC 3629 section 4. */
#include "base/bytes.h"

#include <stdlib.h>

char *bytes_dup(bytes b)
{
    if (b.len == SIZE_MAX)
        return NULL;
    char *copy = malloc(b.len + 1);
    if (!copy)
        return NULL;
    if (b.len)
        memcpy(copy, b.at, b.len);
    copy[b.len] = '\0';
    return copy;
}

static bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The second octet's range carries all the rules: no overlong forms, no
 * surrogates, nothing past U+10FFFF. */
size_t bytes_utf8_char(bytes b)
{
    const unsigned char *p = (const unsigned char *)b.at;
    if (b.len == 0)
        return 0;
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4 || b.len < 2 || !continues(p[1]))
        return 0;
    if (c < 0xe0)
        return 2;
    if (b.len < 3 || !continues(p[2]))
        return 0;
    if (c < 0xf0)
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (b.len < 4 || !continues(p[3]))
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* The first octet at or after `p` with its high bit set, or `end`. */
static const char *skip_ascii(const char *p, const char *end)
{
    uint64_t a, b;
    while (end - p >= 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        if ((a | b) & UINT64_C(0x8080808080808080))
            break;
        p += 16;
    }
    while (p < end && !((unsigned char)*p & 0x80))
        p++;
    return p;
}

size_t bytes_utf8_prefix(bytes b)
{
    if (b.len == 0)
        return 0;
    const char *p = b.at, *end = b.at + b.len;
    for (;;) {
        p = skip_ascii(p, end);
        if (p == end)
            return b.len;
        while (p < end &&
               (unsigned char)*p & 0x80) { /* such characters come in runs */
            size_t len = bytes_utf8_char((bytes){p, (size_t)(end - p)});
            if (!len)
                return (size_t)(p - b.at);
            p += len;
        }
    }
}

bool bytes_utf8(bytes b)
{
    return bytes_utf8_prefix(b) == b.len;
}

uint64_t bytes_hash(bytes b, uint64_t seed)
{
    uint64_t h = seed ^ (b.len * UINT64_C(0x9E3779B97F4A7C15)), word;
    size_t at = 0;
    for (; b.len - at >= 8; at += 8) {
        memcpy(&word, b.at + at, 8);
        h = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    word = 0;
    if (b.len > at)
        memcpy(&word, b.at + at, b.len - at);
    h = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
    return h ^ h >> 32;
}
