/* Reading levels: see levels.h. Where the quotes, digits and points of the next 64 octets are is found for all of them
 * at once, a bit each; a level is then a few questions to these bits, without a loop over its characters. */
#include "book/levels.h"

#include <stdlib.h>

#include "book/decimal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define WINDOW 64

typedef struct marks {
    uint64_t quotes, points, digits, zeros;
} marks;

#ifdef __SSE2__
static uint64_t bits_of(__m128i found, int place)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(found) << place;
}

static inline __attribute__((always_inline)) bool look_at(marks *m, const char *at, int from, int to)
{
    uint64_t ends = 0;
    for (int i = from; i < to; i += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i digit = _mm_cmplt_epi8(_mm_add_epi8(c, _mm_set1_epi8((char)(-128 - '0'))), _mm_set1_epi8(-128 + 10));
        m->quotes |= bits_of(_mm_cmpeq_epi8(c, _mm_set1_epi8('"')), i);
        m->points |= bits_of(_mm_cmpeq_epi8(c, _mm_set1_epi8('.')), i);
        m->zeros |= bits_of(_mm_cmpeq_epi8(c, _mm_set1_epi8('0')), i);
        m->digits |= bits_of(digit, i);
        ends |= bits_of(_mm_cmpeq_epi8(c, _mm_set1_epi8(']')), i);
    }
    return ends;
}
#else
static inline __attribute__((always_inline)) bool look_at(marks *m, const char *at, int from, int to)
{
    bool ends = false;
    for (int i = from; i < to; i++) {
        uint64_t bit = UINT64_C(1) << i;
        m->quotes |= at[i] == '"' ? bit : 0;
        m->points |= at[i] == '.' ? bit : 0;
        m->zeros |= at[i] == '0' ? bit : 0;
        m->digits |= at[i] >= '0' && at[i] <= '9' ? bit : 0;
        ends |= at[i] == ']';
    }
    return ends;
}
#endif

/* Most levels end in the first half. */
static inline __attribute__((always_inline)) marks look(const char *at)
{
    marks m = {0};
    if (!look_at(&m, at, 0, WINDOW / 2))
        look_at(&m, at, WINDOW / 2, WINDOW);
    return m;
}

/* The text from `from` to the next quote: how long it is, or -1, it is no plain decimal or reaches too far. */
static inline __attribute__((always_inline)) int text_at(const marks *m, int from)
{
    uint64_t quotes = from < WINDOW ? m->quotes >> from : 0;
    if (!quotes)
        return -1;
    int len = __builtin_ctzll(quotes);
    uint64_t all = (UINT64_C(1) << len) - 1, digits = m->digits >> from & all, points = m->points >> from & all;
    return digits && (digits | points) == all && !(points & (points - 1)) ? len : -1;
}

/* With WINDOW octets and a few more to look at. Offsets, since `at` may be a copy. */
static inline __attribute__((always_inline)) int read_plain(level *out, const char *at)
{
    decimal price;
    if (at[0] != '[' || at[1] != '"')
        return 0;
    const char *t = at + 2;
    marks m = look(t);
    int price_len = text_at(&m, 0), size = price_len + 3;
    if (price_len < 0 || t[price_len + 1] != ',' || t[price_len + 2] != '"')
        return 0;
    int size_len = text_at(&m, size), end = size + size_len;
    if (size_len < 0 || decimal_scan(&price, t) != t + price_len)
        return 0;
    while (t[end + 1] == ',' && t[end + 2] == '"') { /* more texts of digits */
        int len = text_at(&m, end + 3);
        if (len < 0)
            return 0;
        end += 3 + len;
    }
    if (t[end + 1] != ']')
        return 0;
    *out = (level){
        .key = price.key,
        .price_len = (uint8_t)price_len,
        .size_len = (uint8_t)size_len,
        .zero = !((m.digits & ~m.zeros) >> size & ((UINT64_C(1) << size_len) - 1)),
    };
    return end + 4;
}

const char *level_read(level *out, const char *at, const char *end)
{
    char copy[WINDOW + 8] = {0};
    size_t left = (size_t)(end - at);
    int len;
    if (left >= sizeof copy) {
        len = read_plain(out, at);
        out->roomy = left >= sizeof copy + WINDOW;
    } else {
        memcpy(copy, at, left);
        len = read_plain(out, copy);
        out->roomy = false;
    }
    out->price = at + 2;
    return len ? at + len : NULL;
}

static bool grow(levels *l)
{
    size_t cap = l->cap ? l->cap * 2 : 64;
    level *more = realloc(l->at, cap * sizeof *more);
    if (!more)
        return false;
    l->at = more;
    l->cap = cap;
    return true;
}

const char *levels_read(levels *l, const char *at, const char *end)
{
    const char *from = at++;
    l->of = NULL;
    l->count = 0;
    if (at < end && *at == ']') {
        l->of = from;
        return at + 1;
    }
    while (at < end && (l->count < l->cap || grow(l)) && (at = level_read(&l->at[l->count], at, end)) && at < end) {
        l->count++;
        if (*at == ']') {
            l->of = from;
            return at + 1;
        }
        if (*at++ != ',')
            return NULL;
    }
    return NULL;
}

void levels_fini(levels *l)
{
    free(l->at);
    *l = (levels){0};
}
