/* A number is brought to the form 0.DIGITS times a power of ten, without zeros in front: sign, power and digits
 * in this order make a key that sorts. */
#include "book/decimal.h"

#define KEY_DIGITS 16 /* 10^16 fits into 54 bits */
#define KEY_BITS 54
#define POWER_BIAS 256
#define POWER_MAX 250 /* of a number's size; the exponent alone stays within 200 */
#define POSITIVE (UINT64_C(1) << 63)

/* A text taken apart: the digits begin at the first that is not zero; a point may stand among them. */
typedef struct parts {
    bool negative, zero;
    int power;            /* the number is 0.d1d2d3... times ten to this power */
    const char *at, *end; /* digits and perhaps the point */
} parts;

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "e-7" up to the end. */
static bool read_exponent(const char *at, const char *end, int *out)
{
    bool negative = false;
    int value = 0;
    if (++at < end && (*at == '-' || *at == '+'))
        negative = *at++ == '-';
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (!digit(*at) || (value = value * 10 + (*at - '0')) > 200)
            return false;
    }
    *out = negative ? -value : value;
    return true;
}

static bool take_apart(parts *p, bytes text)
{
    const char *at = text.at, *end = text.at + text.len;
    bool point = false;
    int whole = 0, zeros = 0, exponent = 0; /* significant digits before the point; zeros behind it and before them */
    *p = (parts){.zero = true};
    if (at < end && (*at == '-' || *at == '+'))
        p->negative = *at++ == '-';
    const char *first = at;
    for (; at < end; at++) {
        if (digit(*at)) {
            if (p->zero && *at != '0') {
                p->zero = false;
                p->at = at;
            }
            whole += !point && !p->zero;
            zeros += point && p->zero;
        } else if (*at == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    if (at - first - point < 1)
        return false;
    p->end = at;
    if (at < end && ((*at != 'e' && *at != 'E') || !read_exponent(at, end, &exponent)))
        return false;
    if (p->zero) {
        p->at = p->end;
        p->negative = false;
        return true;
    }
    int64_t power = (whole ? whole : -zeros) + exponent;
    p->power = (int)power;
    return text.len < 1000 && power >= -POWER_MAX && power <= POWER_MAX;
}

static const uint64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000};

const char *decimal_scan(decimal *out, const char *at)
{
    const char *begin = at, *point = NULL;
    uint64_t value = 0;
    while (*at == '0')
        at++;
    const char *first = at; /* the first digit that is not zero */
    for (;; at++) {
        unsigned d = (unsigned)(unsigned char)*at - '0';
        if (d < 10) {
            value = value * 10 + d;
            if (!value)
                first = at + 1;
        } else if (*at == '.' && !point) {
            point = at;
            if (!value)
                first = at + 1;
        } else {
            break;
        }
        if (at - begin > 18) /* no sum overflows */
            return NULL;
    }
    int digits = (int)(at - first) - (point && point >= first);
    if (digits > KEY_DIGITS || at - begin - (point != NULL) < 1)
        return NULL;
    if (value == 0) {
        *out = (decimal){.key = POSITIVE, .zero = true};
        return at;
    }
    const char *whole = point ? point : at;
    int power = (int)(whole - first) + (first > whole);
    out->key = POSITIVE + value * tens[KEY_DIGITS - digits] + ((uint64_t)(power + POWER_BIAS) << KEY_BITS);
    out->more = out->zero = false;
    return at;
}

bool decimal_zero(bool *zero, bytes text)
{
    parts p;
    if (!take_apart(&p, text))
        return false;
    *zero = p.zero;
    return true;
}

bool decimal_read(decimal *out, bytes text)
{
    uint64_t value = 0;
    int digits = 0;
    parts p;
    if (!take_apart(&p, text))
        return false;
    *out = (decimal){.zero = p.zero};
    for (const char *at = p.at; at < p.end; at++) {
        if (*at == '.')
            continue;
        if (digits < KEY_DIGITS) {
            value = value * 10 + (uint64_t)(*at - '0');
            digits++;
        } else {
            out->more |= *at != '0';
        }
    }
    if (p.zero) {
        out->key = POSITIVE;
        return true;
    }
    value = value * tens[KEY_DIGITS - digits] + ((uint64_t)(p.power + POWER_BIAS) << KEY_BITS);
    out->key = p.negative ? POSITIVE - 1 - value : POSITIVE + value;
    return true;
}

/* The next digit; 0 behind the last. */
static char next_digit(const char **at, const char *end)
{
    if (*at < end && **at == '.')
        ++*at;
    return *at < end ? *(*at)++ : '0';
}

int decimal_compare(bytes a, bytes b)
{
    parts x, y;
    if (!take_apart(&x, a) || !take_apart(&y, b))
        return 0;
    int sign = x.negative ? -1 : 1;
    if (x.negative != y.negative)
        return sign;
    if (x.zero || y.zero)
        return x.zero && y.zero ? 0 : x.zero ? -sign
                                             : sign;
    if (x.power != y.power)
        return x.power < y.power ? -sign : sign;
    while (x.at < x.end || y.at < y.end) {
        char d = next_digit(&x.at, x.end), e = next_digit(&y.at, y.end);
        if (d != e)
            return d < e ? -sign : sign;
    }
    return 0;
}
