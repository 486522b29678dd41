/* JSON, read in place. One scanner (skip_value) validates a value of any depth without recursion: a
 * bit for each level says whether it is an object. Everything else walks over text that was
 * validated. Strings are scanned 16 octets at a time; UTF-8 is checked only where there is any. */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef struct scan {
    const char *at, *end;
    const char *wrong; /* what is not as it should be, at `at` */
} scan;

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* The length of the UTF-8 character at p, 0 if it is none. */
static size_t utf8_at(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (u[0] < 0x80)
        return 1;
    if (u[0] >= 0xC2 && u[0] <= 0xDF)
        return left >= 2 && (u[1] & 0xC0) == 0x80 ? 2 : 0;
    if ((u[0] & 0xF0) == 0xE0) {
        if (left < 3 || (u[1] & 0xC0) != 0x80 || (u[2] & 0xC0) != 0x80 || (u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F))
            return 0;
        return 3;
    }
    if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        if (left < 4 || (u[1] & 0xC0) != 0x80 || (u[2] & 0xC0) != 0x80 || (u[3] & 0xC0) != 0x80 || (u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

/* To the next octet of a string that needs a look: quote, backslash, control, not ASCII. */
static inline const char *plain_run(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed compare: octets from 0x80 are negative, so "< 0x20" finds them, too */
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, back)), _mm_cmplt_epi8(x, space)));
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
        unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10) : 16;
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
        switch (*p) {
        case '"':
            s->at = p + 1;
            return true;
        case '\\':
            if (end - p < 2)
                return fail(s, end, "the text ends inside a string");
            if (p[1] == 'u') {
                if (end - p < 6 || !hex4(p + 2, &code))
                    return fail(s, p, "\\u needs four hexadecimal digits");
                p += 6;
            } else if (p[1] && strchr("\"\\/bfnrt", p[1])) {
                p += 2;
            } else {
                return fail(s, p, "no such escape");
            }
            break;
        default:
            if ((unsigned char)*p < 0x20)
                return fail(s, p, "a control character inside a string; it needs an escape");
            if ((n = utf8_at(p, end)) == 0)
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
            return fail(s, p, "expected a digit behind the point");
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

/* At a member's name: over it, the colon, and the blanks before the value. */
static inline bool skip_name(scan *s)
{
    if (s->at == s->end || *s->at != '"')
        return fail(s, s->at, s->at == s->end ? "the text ends inside an object" : "expected a member's name in quotes");
    if (!skip_string(s))
        return false;
    s->at = skip_blanks(s->at, s->end);
    if (s->at == s->end || *s->at != ':')
        return fail(s, s->at, "expected ':' behind a member's name");
    s->at = skip_blanks(s->at + 1, s->end);
    return true;
}

/* At a value's first octet (blanks skipped); leaves s->at right behind the value. `used` levels are
 * taken already. */
static bool skip_value(scan *s, unsigned used)
{
    uint64_t object[JSON_DEPTH / 64] = {0}; /* a bit for each level: 1 is an object */
    unsigned depth = 0;
    for (;;) {
        if (s->at == s->end)
            return fail(s, s->at, "the text ends where a value should be");
        char c = *s->at;
        if (c == '{' || c == '[') {
            if (depth + used == JSON_DEPTH)
                return fail(s, s->at, "nested too deeply");
            uint64_t bit = UINT64_C(1) << (depth % 64);
            object[depth / 64] = c == '{' ? object[depth / 64] | bit : object[depth / 64] & ~bit;
            depth++;
            s->at = skip_blanks(s->at + 1, s->end);
            if (s->at < s->end && *s->at == (c == '{' ? '}' : ']')) {
                s->at++;
                depth--;
            } else {
                if (c == '{' && !skip_name(s))
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
                return fail(s, s->at, in_object ? "the text ends inside an object" : "the text ends inside a list");
            if (*s->at == ',') {
                s->at = skip_blanks(s->at + 1, s->end);
                if (in_object && !skip_name(s))
                    return false;
                break;
            }
            if (*s->at != (in_object ? '}' : ']'))
                return fail(s, s->at, in_object ? "expected ',' or '}'" : "expected ',' or ']'");
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
    return error_set(err, WEIR_INVALID, "JSON: octet %zu: %s", (size_t)(s->at - text.at) + 1, s->wrong);
}

static bool at_end(scan *s)
{
    s->at = skip_blanks(s->at, s->end);
    return s->at == s->end || fail(s, s->at, "expected nothing more behind the value");
}

weir_code json_read(json *out, bytes text, weir_error *err)
{
    scan s = {text.at, text.at + text.len, NULL};
    if (!text.len)
        return error_set(err, WEIR_INVALID, "JSON: the text is empty");
    s.at = skip_blanks(s.at, s.end);
    const char *from = s.at;
    if (!skip_value(&s, 0))
        return say(&s, text, err);
    *out = (json){type_of(*from), {from, (size_t)(s.at - from)}};
    return at_end(&s) ? WEIR_OK : say(&s, text, err);
}

/* The octets of a string value against a name; escapes are decoded on the rare path. */
static bool name_is(const char *quoted, size_t len, const char *name)
{
    size_t n = strlen(name);
    if (len == n + 2 && memcmp(quoted + 1, name, n) == 0)
        return true;
    if (!memchr(quoted, '\\', len))
        return false;
    return json_is((json){JSON_STRING, {quoted, len}}, name);
}

static void offer(const json_field *fields, size_t count, const char *name, size_t len, json value)
{
    for (size_t i = 0; i < count; i++)
        if (name_is(name, len, fields[i].name)) {
            *fields[i].value = value;
            return;
        }
}

weir_code json_read_fields(bytes text, const json_field *fields, size_t count, weir_error *err)
{
    scan s = {text.at, text.at + text.len, NULL};
    for (size_t i = 0; i < count; i++)
        *fields[i].value = (json){0};
    if (!text.len)
        return error_set(err, WEIR_INVALID, "JSON: the text is empty; an object is needed");
    s.at = skip_blanks(s.at, s.end);
    if (s.at == s.end || *s.at != '{') {
        fail(&s, s.at, "expected an object, '{'");
        return say(&s, text, err);
    }
    s.at = skip_blanks(s.at + 1, s.end);
    if (s.at < s.end && *s.at == '}') {
        s.at++;
        return at_end(&s) ? WEIR_OK : say(&s, text, err);
    }
    for (;;) {
        const char *name = s.at, *value;
        if (s.at < s.end && *s.at == '"' && !skip_string(&s))
            return say(&s, text, err);
        size_t name_len = (size_t)(s.at - name);
        s.at = name;
        if (!skip_name(&s))
            return say(&s, text, err);
        value = s.at;
        if (!skip_value(&s, 1))
            return say(&s, text, err);
        offer(fields, count, name, name_len, (json){type_of(*value), {value, (size_t)(s.at - value)}});
        s.at = skip_blanks(s.at, s.end);
        if (s.at < s.end && *s.at == ',') {
            s.at = skip_blanks(s.at + 1, s.end);
            continue;
        }
        if (s.at == s.end || *s.at != '}') {
            fail(&s, s.at, s.at == s.end ? "the text ends inside an object" : "expected ',' or '}'");
            return say(&s, text, err);
        }
        s.at++;
        return at_end(&s) ? WEIR_OK : say(&s, text, err);
    }
}

weir_code json_fields(json object, const json_field *fields, size_t count, weir_error *err)
{
    json key, value;
    for (size_t i = 0; i < count; i++)
        *fields[i].value = (json){0};
    if (object.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "an object is needed");
    for (json_iter it = json_each(object); json_next(&it, &key, &value);)
        offer(fields, count, key.raw.at, key.raw.len, value);
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

bool json_next(json_iter *it, json *key, json *value)
{
    scan s = {it->at, it->end, NULL};
    if (!it->at)
        return false;
    s.at = skip_blanks(s.at, s.end);
    if (s.at < s.end && *s.at == ',')
        s.at = skip_blanks(s.at + 1, s.end);
    if (s.at == s.end)
        return false;
    *key = (json){0};
    if (it->object) {
        const char *name = s.at;
        skip_string(&s);
        *key = (json){JSON_STRING, {name, (size_t)(s.at - name)}};
        s.at = skip_blanks(s.at, s.end) + 1;
        s.at = skip_blanks(s.at, s.end);
    }
    const char *from = s.at;
    if (!skip_value(&s, 0))
        return false;
    *value = (json){type_of(*from), {from, (size_t)(s.at - from)}};
    it->at = s.at;
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

bool json_f64(json value, double *out)
{
    char text[400];
    if (value.type != JSON_NUMBER || value.raw.len >= sizeof text)
        return false;
    memcpy(text, value.raw.at, value.raw.len);
    text[value.raw.len] = '\0';
    double d = strtod(text, NULL);
    if (!isfinite(d))
        return false;
    *out = d;
    return true;
}

/* A whole number's magnitude and sign. */
static bool whole(json value, uint64_t *magnitude, bool *negative)
{
    double d;
    if (value.type != JSON_NUMBER)
        return false;
    const char *p = value.raw.at, *end = p + value.raw.len;
    *negative = *p == '-';
    *magnitude = 0;
    for (p += *negative; p < end && (unsigned)(*p - '0') < 10; p++)
        if (__builtin_mul_overflow(*magnitude, 10, magnitude) || __builtin_add_overflow(*magnitude, (uint64_t)(*p - '0'), magnitude))
            return false;
    if (p == end)
        return true;
    if (!json_f64(value, &d) || d != floor(d) || fabs(d) > 9007199254740992.0)
        return false;
    *magnitude = (uint64_t)fabs(d);
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
    if (code >= 0xD800 && code < 0xDC00 && end - q >= 6 && q[0] == '\\' && q[1] == 'u' && hex4(q + 2, &low) && low >= 0xDC00 && low < 0xE000) {
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
    if (json_string_add(value, &b) && !b.failed && !(b.len && memchr(b.at, 0, b.len)))
        text = bytes_dup(buf_bytes(&b));
    buf_fini(&b);
    return text;
}

/* ---- Writing ---- */

void json_put_string(buf *out, bytes text)
{
    static const char digit[] = "0123456789abcdef";
    const char *p = text.at, *end = text.at + text.len;
    buf_add_char(out, '"');
    while (p < end) {
        const char *run = plain_run(p, end);
        buf_add(out, p, (size_t)(run - p));
        if ((p = run) == end)
            break;
        unsigned char c = (unsigned char)*p;
        if (c >= 0x80) {
            size_t n = utf8_at(p, end);
            buf_add(out, n ? p : "\xEF\xBF\xBD", n ? n : 3);
            p += n ? n : 1;
            continue;
        }
        char escape[6] = {'\\', (char)c, '0', '0', digit[c >> 4], digit[c & 15]};
        size_t n = 2;
        switch (c) {
        case '"':
        case '\\':
            break;
        case '\n':
            escape[1] = 'n';
            break;
        case '\r':
            escape[1] = 'r';
            break;
        case '\t':
            escape[1] = 't';
            break;
        default:
            escape[1] = 'u';
            n = 6;
        }
        buf_add(out, escape, n);
        p++;
    }
    buf_add_char(out, '"');
}

void json_put_text(buf *out, const char *text)
{
    json_put_string(out, bytes_of(text));
}

void json_put_f64(buf *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        buf_add_text(out, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (precision == 17 || strtod(text, NULL) == value)
            break;
    }
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
    const char *p = value.raw.at, *end = p + value.raw.len;
    while (p < end) {
        const char *from = p;
        if (*p == '"') {
            scan s = {p, end, NULL};
            skip_string(&s);
            p = s.at;
        } else {
            while (p < end && *p != '"' && *p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')
                p++;
        }
        buf_add(out, from, (size_t)(p - from));
        p = skip_blanks(p, end);
    }
}
