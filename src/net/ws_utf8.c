/* UTF-8 in pieces: fails at the first octet that no continuation could mend.
 *
 * Market data is ASCII nearly always: whole vectors of it are skipped; other characters are decided
 * one by one, by the table of RFC 3629 section 4. */
#include "net/ws_inside.h"

#ifdef __SSE2__
#include <emmintrin.h>

static inline __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The first octet that is not ASCII, or `end`. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p;
    for (; end - p >= 64; p += 64) {
        __m128i all = _mm_or_si128(_mm_or_si128(load(p), load(p + 16)), _mm_or_si128(load(p + 32), load(p + 48)));
        if (_mm_movemask_epi8(all))
            break;
    }
    for (; end - p >= 16; p += 16) {
        int high = _mm_movemask_epi8(load(p));
        if (high)
            return p + __builtin_ctz((unsigned)high);
    }
    if (end - from >= 16 && !_mm_movemask_epi8(load(end - 16)))
        return end;
    while (p < end && *p < 0x80)
        p++;
    return p;
}
#else
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t eight;
        memcpy(&eight, p, 8);
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}
#endif

/* What may follow a first octet; false if it starts nothing. */
static bool lead(utf8 *u, uint8_t c)
{
    *u = (utf8){0, 0x80, 0xbf};
    if (c >= 0xc2 && c <= 0xdf) {
        u->due = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        u->due = 2;
        if (c == 0xe0)
            u->low = 0xa0; /* shorter forms exist */
        else if (c == 0xed)
            u->high = 0x9f; /* surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        u->due = 3;
        if (c == 0xf0)
            u->low = 0x90;
        else if (c == 0xf4)
            u->high = 0x8f; /* past U+10FFFF */
    } else {
        return false;
    }
    return true;
}

bool utf8_feed(utf8 *u, const char *at, size_t len)
{
    const uint8_t *p = (const uint8_t *)at, *end = p + len;
    utf8 now = *u;
    while (p < end) {
        if (now.due) {
            if (*p < now.low || *p > now.high)
                return false;
            now = (utf8){now.due - 1, 0x80, 0xbf};
            p++;
            continue;
        }
        p = skip_ascii(p, end);
        while (end - p >= 3 && *p >= 0xe1 && *p <= 0xec && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
            p += 3; /* most of the world's scripts */
        while (end - p >= 2 && *p >= 0xc2 && *p <= 0xdf && (p[1] & 0xc0) == 0x80)
            p += 2;
        if (p < end && *p >= 0x80 && !lead(&now, *p++))
            return false;
    }
    *u = now;
    return true;
}
