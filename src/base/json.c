/* JSON, read in place.
 *
 * The frequent operation is one pass over a message of some hundred octets that
 * checks all of it and picks a few members (json_read_fields); getters on small
 * slices follow. One scanner (skip_value) checks a value of any depth without
 * recursion or allocation: a bit for each level says whether it is an object.
 * Strings are scanned 16 octets at a time; UTF-8 is checked only where there is
 * any.
 *
 * What was read once is well-formed, so walking it again (json_each,
 * json_fields) only looks for quotes and brackets. Octets in error texts count
 * from 1. */
#include "base/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef struct scan {
    const char *at, *end;
    const char *wrong; /* what is not as it should be, at `at` */
    bool escaped;      /* a string has had a backslash, since it was set to false */
} scan;

static inline const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* To the next octet of a string that needs a look: quote, backslash, control,
 * not ASCII. */
static inline const char *plain_run(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'),
                  space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed compare: octets from 0x80 are negative, so "< 0x20" finds them,
         * too */
        int mask = _mm_movemask_epi8(_mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, back)),
            _mm_cmplt_epi8(x, space)));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (signed char)*p >= 0x20)
        p++;
    return p;
}

static bool hex4(const char *p, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                     : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                         ? (unsigned)((c | 0x20) - 'a' + 10)
                         : 16;
        if (d == 16)
            return false;
        *out = *out << 4 | d;
    }
    return true;
}

static bool fail(scan *s, const char *at, const char *wrong)
{
    s->at = at;
    s->wrong = wrong;
    return false;
}

/* At the opening quote; leaves s->at behind the closing one. */
static inline bool skip_string(scan *s)
{
    const char *p = s->at + 1, *end = s->end;
    for (;;) {
        p = plain_run(p, end);
        if (p == end)
            return fail(s, p, "the text ends inside a string");
        unsigned code;
        size_t n;
        if (*p == '"') {
            s->at = p + 1;
            return true;
        }
        switch (*p) {
        case '\\':
            s->escaped = true;
            if (end - p < 2)
                return fail(s, end, "the text ends inside a string");
            if (p[1] == 'u') {
                if (end - p < 6 || !hex4(p + 2, &code))
                    return fail(s, p, "\\u needs four hexadecimal digits");
                p += 6;
            } else if (p[1] && strchr("\"\\/bfnrt", p[1])) {
                p += 2;
            } else {
                return fail(
                    s, p,
                    "no such escape; '\\\\' goes before \" \\\\ / b f n r t or u");
            }
            break;
        default:
            if ((unsigned char)*p < 0x20)
                return fail(s, p,
                            "a control character inside a string; it needs an escape");
            if ((n = bytes_utf8_char((bytes){p, (size_t)(end - p)})) == 0)
                return fail(s, p, "octets that are no UTF-8");
            p += n;
        }
    }
}

static inline bool digits(const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && (unsigned)(**p - '0') < 10)
        ++*p;
    return *p > from;
}

static bool skip_number(scan *s)
{
    const char *p = s->at, *end = s->end;
    if (*p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if (!digits(&p, end))
        return fail(s, p, "expected a digit");
    if (p < end && *p == '.') {
        p++;
        if (!digits(&p, end))
            return fail(s, p, "expected a digit after the point");
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!digits(&p, end))
            return fail(s, p, "expected a digit in the exponent");
    }
    s->at = p;
    return true;
}

static bool skip_word(scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len))
        return fail(s, s->at, "expected a value");
    s->at += len;
    return true;
}

/* A value that is no container. */
static inline bool skip_plain(scan *s)
{
    switch (*s->at) {
    case '"':
        return skip_string(s);
    case 't':
        return skip_word(s, "true", 4);
    case 'f':
        return skip_word(s, "false", 5);
    case 'n':
        return skip_word(s, "null", 4);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return skip_number(s);
    default:
        return fail(s, s->at, "expected a value");
    }
}

/* At a member's name: over it, the colon, and the blanks before the value.
 * *name has its quotes; s->escaped says whether there is a backslash in it. */
static inline bool skip_name(scan *s, bytes *name)
{
    const char *from = s->at;
    if (s->at == s->end || *s->at != '"')
        return fail(s, s->at,
                    s->at == s->end ? "the text ends inside an object"
                                    : "expected a member's name in quotes");
    s->escaped = false;
    if (!skip_string(s))
        return false;
    *name = (bytes){from, (size_t)(s->at - from)};
    s->at = skip_blanks(s->at, s->end);
    if (s->at == s->end || *s->at != ':')
        return fail(s, s->at, "expected ':' after a member's name");
    s->at = skip_blanks(s->at + 1, s->end);
    return true;
}

/* At a value's first octet (blanks skipped); leaves s->at right behind the
 * value. `used` levels are taken already. */
static bool skip_value(scan *s, unsigned used)
{
    uint64_t object[JSON_DEPTH / 64] = {
        0}; /* a bit for each level: 1 is an object */
    unsigned depth = 0;
    bytes name;
    for (;;) {
        if (s->at == s->end)
            return fail(s, s->at, "the text ends where a value should be");
        char c = *s->at;
        if (c == '{' || c == '[') {
            if (depth + used == JSON_DEPTH)
                return fail(s, s->at, "nested deeper than 128 levels");
            uint64_t bit = UINT64_C(1) << (depth % 64);
            object[depth / 64] =
                c == '{' ? object[depth / 64] | bit : object[depth / 64] & ~bit;
            depth++;
            s->at = skip_blanks(s->at + 1, s->end);
            if (s->at < s->end && *s->at == (c == '{' ? '}' : ']')) {
                s->at++;
                depth--;
            } else {
                if (c == '{' && !skip_name(s, &name))
                    return false;
                continue;
            }
        } else if (!skip_plain(s)) {
            return false;
        }
        /* A value has ended: what follows in the container? */
        for (;;) {
            if (depth == 0)
                return true;
            bool in_object = object[(depth - 1) / 64] >> ((depth - 1) % 64) & 1;
            s->at = skip_blanks(s->at, s->end);
            if (s->at == s->end)
                return fail(s, s->at,
                            in_object ? "the text ends inside an object"
                                      : "the text ends inside an array");
            if (*s->at == ',') {
                s->at = skip_blanks(s->at + 1, s->end);
                if (in_object && !skip_name(s, &name))
                    return false;
                break;
            }
            if (*s->at != (in_object ? '}' : ']'))
                return fail(s, s->at,
                            in_object ? "expected ',' or '}' after a member"
                                      : "expected ',' or ']' after an item");
            s->at++;
            depth--;
        }
    }
}

static json_type type_of(char c)
{
    switch (c) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static weir_code say(const scan *s, bytes text, weir_error *err)
{
    return error_set(err, WEIR_INVALID, "JSON: octet %zu: %s",
                     (size_t)(s->at - text.at) + 1, s->wrong);
}

static bool at_end(scan *s)
{
    s->at = skip_blanks(s->at, s->end);
    return s->at == s->end ||
           fail(s, s->at, "expected nothing more after the value");
}

weir_code json_read(json *out, bytes text, weir_error *err)
{
    *out = (json){0};
    if (!text.len)
        return error_set(err, WEIR_INVALID, "JSON: the text is empty");
    scan s = {.at = text.at, .end = text.at + text.len};
    s.at = skip_blanks(s.at, s.end);
    const char *from = s.at;
    if (!skip_value(&s, 0))
        return say(&s, text, err);
    json value = {type_of(*from), {from, (size_t)(s.at - from)}};
    if (!at_end(&s))
        return say(&s, text, err);
    *out = value;
    return WEIR_OK;
}

/* A quoted string against a name; only one with a backslash needs decoding. It
 * holds no NUL, so strncmp stops within both. */
static inline bool name_is(bytes quoted, bool escape, const char *name)
{
    size_t len = quoted.len - 2;
    if (quoted.at[1] == name[0] && strncmp(quoted.at + 1, name, len) == 0 &&
        name[len] == '\0')
        return true;
    return escape && json_is((json){JSON_STRING, quoted}, name);
}

/* Two fields of one name both get the value. */
static inline void offer(const json_field *fields, size_t count, bytes name,
                         bool escape, json value)
{
    for (size_t i = 0; i < count; i++)
        if (name_is(name, escape, fields[i].name))
            *fields[i].value = value;
}

typedef struct knower {
    json_known known; /* NULL: nothing is */
    void *arg;
} knower;

/* An array of a form that somebody knows. */
static bool skip_known(scan *s, const json_field *fields, size_t count,
                       bytes name, const knower *k)
{
    const char *behind = NULL;
    if (!k || s->at == s->end || *s->at != '[')
        return false;
    for (size_t i = 0; !behind && i < count; i++)
        if (name_is(name, s->escaped, fields[i].name))
            behind = k->known(k->arg, i, s->at, s->end);
    if (behind)
        s->at = behind;
    return behind;
}

/* From behind the '{' of an object that is not empty to behind its '}'. `used`
 * levels are taken, with its own. */
static bool read_members(scan *s, unsigned used, const json_field *fields,
                         size_t count, const knower *k)
{
    for (;;) {
        bytes name;
        if (!skip_name(s, &name))
            return false;
        const char *value = s->at;
        bool escape = s->escaped;
        if (s->at < s->end && *s->at == '"') { /* mostly */
            if (!skip_string(s))
                return false;
        } else if (!skip_known(s, fields, count, name, k) && !skip_value(s, used)) {
            return false;
        }
        offer(fields, count, name, escape,
              (json){type_of(*value), {value, (size_t)(s->at - value)}});
        s->at = skip_blanks(s->at, s->end);
        if (s->at == s->end)
            return fail(s, s->at, "the text ends inside an object");
        if (*s->at == '}') {
            s->at++;
            return true;
        }
        if (*s->at != ',')
            return fail(s, s->at, "expected ',' or '}' after a member");
        s->at = skip_blanks(s->at + 1, s->end);
    }
}

/* The same from its '{' on. `used` levels are open around it. */
static bool read_object(scan *s, unsigned used, const json_field *fields,
                        size_t count, const knower *k)
{
    if (s->at == s->end || *s->at != '{')
        return fail(s, s->at, "expected an object, '{'");
    s->at = skip_blanks(s->at + 1, s->end);
    if (s->at < s->end && *s->at == '}') {
        s->at++;
        return true;
    }
    return read_members(s, used + 1, fields, count, k);
}

static void forget(const json_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *fields[i].value = (json){0};
}

static weir_code read_fields(bytes text, const json_field *fields,
                             size_t count, const knower *k, weir_error *err)
{
    forget(fields, count);
    if (!text.len)
        return error_set(err, WEIR_INVALID,
                         "JSON: the text is empty; an object is needed");
    scan s = {.at = text.at, .end = text.at + text.len};
    s.at = skip_blanks(s.at, s.end);
    if (read_object(&s, 0, fields, count, k) && at_end(&s))
        return WEIR_OK;
    forget(fields,
           count); /* slices of a text that is no JSON must not be walked */
    return say(&s, text, err);
}

weir_code json_read_fields(bytes text, const json_field *fields, size_t count,
                           weir_error *err)
{
    return read_fields(text, fields, count, NULL, err);
}

weir_code json_read_fields_with(bytes text, const json_field *fields,
                                size_t count, json_known known, void *arg,
                                weir_error *err)
{
    knower k = {known, arg};
    return read_fields(text, fields, count, &k, err);
}

weir_code json_read_rest(bytes text, const json_field *fields, size_t count,
                         weir_error *err)
{
    forget(fields, count);
    scan s = {.at = text.at, .end = text.at + text.len};
    if (text.len)
        s.at = skip_blanks(s.at, s.end);
    if (read_members(&s, 1, fields, count, NULL) && at_end(&s))
        return WEIR_OK;
    forget(fields, count);
    return say(&s, text, err);
}

const char *json_read_part(bytes text, unsigned around, const json_field *fields,
                           size_t count)
{
    forget(fields, count);
    scan s = {.at = text.at, .end = text.at + text.len};
    if (around < JSON_DEPTH && read_object(&s, around, fields, count, NULL))
        return s.at;
    forget(fields, count);
    return NULL;
}

weir_code json_fields(json object, const json_field *fields, size_t count,
                      weir_error *err)
{
    json key, value;
    forget(fields, count);
    if (object.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "an object is needed");
    for (json_iter it = json_each(object); json_next(&it, &key, &value);)
        offer(fields, count, key.raw, memchr(key.raw.at, '\\', key.raw.len), value);
    return WEIR_OK;
}

json json_member(json object, const char *name)
{
    json out = {0};
    json_field want = {name, &out};
    json_fields(object, &want, 1, NULL);
    return out;
}

json_iter json_each(json container)
{
    json_iter it = {0};
    if (container.type == JSON_OBJECT || container.type == JSON_ARRAY) {
        it.object = container.type == JSON_OBJECT;
        it.at = container.raw.at + 1;
        it.end = container.raw.at + container.raw.len - 1;
    }
    return it;
}

/* Over a string that was checked: from its opening quote to behind its closing
 * one, or to `end`. */
static const char *pass_string(const char *p, const char *end)
{
    for (p++; (p = plain_run(p, end)) < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && ++p == end)
            break;
    }
    return end;
}

/* To the next quote or bracket. */
static inline const char *next_bracket(const char *p, const char *end)
{
    while (p < end && *p != '"' && (*p | 0x20) != '{' && (*p | 0x20) != '}')
        p++;
    return p;
}

/* Over a value that was checked. */
static const char *pass_value(const char *p, const char *end)
{
    size_t depth = 0;
    if (*p == '"')
        return pass_string(p, end);
    if (*p != '{' && *p != '[') {
        while (p < end && *p != ',' && *p != '}' && *p != ']' &&
               (unsigned char)*p > 0x20)
            p++;
        return p;
    }
    while (p < end) {
        if (*p == '"')
            p = pass_string(p, end);
        else if ((*p++ | 0x20) == '{')
            depth++;
        else if (--depth == 0)
            return p;
        p = next_bracket(p, end);
    }
    return p;
}

bool json_next(json_iter *it, json *key, json *value)
{
    const char *p = it->at, *end = it->end;
    if (!p)
        return false;
    p = skip_blanks(p, end);
    if (p < end && *p == ',')
        p = skip_blanks(p + 1, end);
    if (p == end)
        return false;
    *key = (json){0};
    if (it->object) {
        const char *name = p;
        p = pass_string(p, end);
        *key = (json){JSON_STRING, {name, (size_t)(p - name)}};
        p = skip_blanks(skip_blanks(p, end) + 1, end); /* the colon */
    }
    const char *from = p;
    p = pass_value(p, end);
    *value = (json){type_of(*from), {from, (size_t)(p - from)}};
    it->at = p;
    return true;
}

/* ---- Values ---- */

bool json_bool(json value, bool *out)
{
    if (value.type != JSON_TRUE && value.type != JSON_FALSE)
        return false;
    *out = value.type == JSON_TRUE;
    return true;
}

/* A number taken apart: its digits without leading zeros (a slice that may hold
 * the point), how many there are, and the power of ten of the last one. */
typedef struct decimal {
    bool negative;
    const char *at, *end;
    size_t count;
    int64_t exponent;
} decimal;

#define FAR 1000000 /* exponents past this are as good as infinite */

static decimal take_apart(bytes raw)
{
    decimal d = {.negative = raw.at[0] == '-', .at = raw.at + (raw.at[0] == '-')};
    const char *p = d.at, *end = raw.at + raw.len, *point = NULL;
    for (; p < end && (isdigit((unsigned char)*p) || *p == '.'); p++)
        if (*p == '.')
            point = p;
    d.end = p;
    if (p < end) { /* at the 'e' */
        bool down = p[1] == '-';
        for (p += p[1] == '-' || p[1] == '+' ? 2 : 1; p < end; p++)
            d.exponent = d.exponent > FAR ? d.exponent : d.exponent * 10 + (*p - '0');
        if (down)
            d.exponent = -d.exponent;
    }
    if (point)
        d.exponent -= d.end - point - 1;
    while (d.at < d.end && (*d.at == '0' || *d.at == '.'))
        d.at++;
    d.count = (size_t)(d.end - d.at) - (point && point >= d.at);
    return d;
}

#define DIGITS                                                                  \
    800 /* more than 767 never change a double by themselves; what follows only \
           breaks ties */

/* strtod on digits and an exponent: what it reads then has no point, so no
 * locale matters. Digits past the last that can count become one '1' if they
 * are more than zeros. */
static double by_strtod(const decimal *d)
{
    char text[DIGITS + 32];
    size_t len = 0;
    const char *p = d->at;
    for (; p < d->end && len < DIGITS; p++)
        if (*p != '.')
            text[len++] = *p;
    int64_t exponent = d->exponent + (int64_t)(d->count - len);
    while (p < d->end && (*p == '0' || *p == '.'))
        p++;
    if (p < d->end) {
        text[len++] = '1';
        exponent--;
    }
    exponent = exponent > 2 * FAR    ? 2 * FAR
               : exponent < -2 * FAR ? -2 * FAR
                                     : exponent;
    snprintf(text + len, sizeof text - len, "e%lld", (long long)exponent);
    return strtod(text, NULL);
}

/* Up to 15 digits times or over a power of ten that a double holds exactly is
 * one rounding, hence right; the rest is strtod's. */
bool json_f64(json value, double *out)
{
    static const double powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (value.type != JSON_NUMBER)
        return false;
    decimal d = take_apart(value.raw);
    double result;
    if (d.count == 0) {
        result = 0;
    } else if (d.count <= 15 && d.exponent >= -22 && d.exponent <= 22) {
        uint64_t whole = 0;
        for (const char *p = d.at; p < d.end; p++)
            if (*p != '.')
                whole = whole * 10 + (uint64_t)(*p - '0');
        result = d.exponent < 0 ? (double)whole / powers[-d.exponent]
                                : (double)whole * powers[d.exponent];
    } else {
        result = by_strtod(&d);
    }
    if (!isfinite(result))
        return false;
    *out = d.negative ? -result : result;
    return true;
}

/* The usual: up to 19 digits and nothing else, no zero before them. */
static bool few_digits(bytes raw, uint64_t *out)
{
    uint64_t n = 0;
    if (!raw.len || raw.len > 19 || (raw.at[0] == '0' && raw.len > 1))
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned digit = (unsigned char)raw.at[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

/* A whole number's magnitude and sign, exactly: digits after the point must be
 * zeros. Callers also say of a string's text that it is a number, so it is looked
 * at again. */
static bool whole(json value, uint64_t *magnitude, bool *negative)
{
    if (value.type == JSON_NUMBER && few_digits(value.raw, magnitude)) {
        *negative = false;
        return true;
    }
    scan s = {.at = value.raw.at, .end = value.raw.at + value.raw.len};
    if (value.type != JSON_NUMBER || !value.raw.len || !skip_number(&s) || s.at != s.end)
        return false;
    decimal d = take_apart(value.raw);
    *negative = d.negative;
    *magnitude = 0;
    int64_t power =
        d.exponent + (int64_t)d.count; /* of the digit at hand, plus one */
    for (const char *p = d.at; p < d.end; p++) {
        if (*p == '.')
            continue;
        if (--power < 0 ? *p != '0'
                        : __builtin_mul_overflow(*magnitude, 10, magnitude) ||
                              __builtin_add_overflow(
                                  *magnitude, (uint64_t)(*p - '0'), magnitude))
            return false;
    }
    for (; *magnitude && power > 0; power--)
        if (__builtin_mul_overflow(*magnitude, 10, magnitude))
            return false;
    return true;
}

bool json_i64(json value, int64_t *out)
{
    uint64_t m;
    bool negative;
    if (!whole(value, &m, &negative) || m > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - m) : (int64_t)m;
    return true;
}

bool json_u64(json value, uint64_t *out)
{
    uint64_t m;
    bool negative;
    if (!whole(value, &m, &negative) || (negative && m))
        return false;
    *out = m;
    return true;
}

bool json_text_u64(json value, uint64_t *out)
{
    bytes text;
    return json_string_slice(value, &text) && text.len && json_u64((json){JSON_NUMBER, text}, out);
}

bool json_string_slice(json value, bytes *out)
{
    if (value.type != JSON_STRING || memchr(value.raw.at, '\\', value.raw.len))
        return false;
    *out = (bytes){value.raw.at + 1, value.raw.len - 2};
    return true;
}

static size_t put_utf8(char out[4], unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* One escape at p (a backslash): its character in UTF-8; moves p behind it. */
static size_t unescape(const char **p, const char *end, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *q = *p;
    unsigned code, low;
    if (q[1] != 'u') {
        out[0] = to[strchr(from, q[1]) - from];
        *p = q + 2;
        return 1;
    }
    hex4(q + 2, &code);
    q += 6;
    if (code >= 0xD800 && code < 0xDC00 && end - q >= 6 && q[0] == '\\' &&
        q[1] == 'u' && hex4(q + 2, &low) && low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        q += 6;
    } else if (code >= 0xD800 && code < 0xE000) {
        code = 0xFFFD;
    }
    *p = q;
    return put_utf8(out, code);
}

bool json_string_add(json value, buf *out)
{
    char piece[4];
    if (value.type != JSON_STRING)
        return false;
    const char *p = value.raw.at + 1, *end = value.raw.at + value.raw.len - 1;
    while (p < end) {
        const char *back = memchr(p, '\\', (size_t)(end - p));
        buf_add(out, p, (size_t)((back ? back : end) - p));
        if (!back)
            break;
        p = back;
        size_t n = unescape(&p, end, piece);
        buf_add(out, piece, n);
    }
    return true;
}

bool json_is(json value, const char *text)
{
    char piece[4];
    if (value.type != JSON_STRING)
        return false;
    const char *p = value.raw.at + 1, *end = value.raw.at + value.raw.len - 1;
    size_t left = strlen(text);
    while (p < end) {
        size_t n = 1;
        if (*p == '\\')
            n = unescape(&p, end, piece);
        else
            piece[0] = *p++;
        if (left < n || memcmp(text, piece, n))
            return false;
        text += n;
        left -= n;
    }
    return left == 0;
}

char *json_string_dup(json value)
{
    buf b;
    char *text = NULL;
    buf_init(&b, SIZE_MAX);
    if (json_string_add(value, &b) && !b.failed &&
        !(b.len && memchr(b.at, 0, b.len)))
        text = bytes_dup(buf_bytes(&b));
    buf_fini(&b);
    return text;
}

/* ---- Writing ---- */

static void put_escape(buf *out, unsigned char c)
{
    static const char digit[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t",
                      to[] = "\"\\bfnrt";
    const char *known = c ? strchr(from, c) : NULL;
    if (known)
        buf_add(out, (char[]){'\\', to[known - from]}, 2);
    else
        buf_add(out, (char[]){'\\', 'u', '0', '0', digit[c >> 4], digit[c & 15]},
                6);
}

void json_put_string(buf *out, bytes text)
{
    const char *p = text.at, *end = text.len ? text.at + text.len : p;
    buf_add_char(out, '"');
    while (p < end) {
        const char *run = plain_run(p, end);
        size_t n = (size_t)(run - p);
        if (run < end && (*run == '"' || *run == '\\')) { /* nearly always */
            if (!buf_reserve(out, n + 2))
                return;
            memcpy(out->at + out->len, p, n);
            out->len += n + 2;
            out->at[out->len - 2] = '\\';
            out->at[out->len - 1] = *run;
            p = run + 1;
            continue;
        }
        buf_add(out, p, n);
        if ((p = run) == end)
            break;
        n = 1;
        if ((unsigned char)*p < 0x80) {
            put_escape(out, (unsigned char)*p);
        } else if ((n = bytes_utf8_char((bytes){p, (size_t)(end - p)})) != 0) {
            buf_add(out, p, n);
        } else {
            buf_add(out, "\xEF\xBF\xBD", 3);
            n = 1;
        }
        p += n;
    }
    buf_add_char(out, '"');
}

void json_put_text(buf *out, const char *text)
{
    json_put_string(out, bytes_of(text));
}

/* Whole numbers that a double holds exactly are written as such. Otherwise 15
 * digits are tried, which print without what rounding added, then 16 and 17; a
 * denormal has fewer good digits, so from one. A foreign locale's decimal
 * point, the only thing printf may put that is no digit, sign or 'e', is made
 * ours. */
void json_put_f64(buf *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        buf_add_text(out, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e17 &&
        !(value == 0 && signbit(value))) {
        buf_add_i64(out, (int64_t)value);
        return;
    }
    for (int precision = fabs(value) < 2.3e-308 ? 1 : 15; precision <= 17;
         precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (precision == 17 || strtod(text, NULL) == value)
            break;
    }
    for (char *c = text; *c; c++)
        if (!isdigit((unsigned char)*c) && !strchr("+-e", *c))
            *c = '.';
    buf_add_text(out, text);
}

void json_put_key(buf *out, const char *name)
{
    if (out->len && out->at[out->len - 1] != '{')
        buf_add_char(out, ',');
    json_put_text(out, name);
    buf_add_char(out, ':');
}

void json_put_member(buf *out, const char *name, bytes value)
{
    json_put_key(out, name);
    json_put_string(out, value);
}

void json_put_compact(buf *out, json value)
{
    if (value.raw.len == 0 ||
        !buf_reserve(out, value.raw.len)) /* once; less may be used */
        return;
    const char *p = value.raw.at, *end = p + value.raw.len, *from = p;
    while (p < end) {
        if (*p == '"') {
            p = pass_string(p, end);
        } else if ((unsigned char)*p > 0x20) {
            p++;
        } else {
            buf_add(out, from, (size_t)(p - from));
            from = p = skip_blanks(p, end);
        }
    }
    buf_add(out, from, (size_t)(end - from));
}
