/* Widths, decimals, times: see text.h. No locale is asked: the terminal is taken to speak UTF-8. */
#include "sink/text.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>

/* The next character of valid UTF-8; other octets (there are none after log_escape) as they are. */
static uint32_t next_char(bytes *text)
{
    const unsigned char *at = (const unsigned char *)text->at;
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2
                                : at[0] < 0xF0   ? 3
                                                 : 4;
    uint32_t c = len == 1 ? at[0] : at[0] & (0xFFu >> (len + 1));

    if (len > text->len)
        len = 1;
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (at[i] & 0x3F);
    *text = bytes_make(text->at + len, text->len - len);
    return c;
}

typedef struct range {
    uint32_t first, last;
} range;

static bool among(uint32_t c, const range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* Drawn on two columns: Hangul, the ideographs and what goes with them, full-width forms, emoji. */
static bool wide(uint32_t c)
{
    static const range ranges[] = {
        {0x1100, 0x115F},
        {0x2E80, 0x303E},
        {0x3041, 0x33FF},
        {0x3400, 0x4DBF},
        {0x4E00, 0x9FFF},
        {0xA000, 0xA4CF},
        {0xAC00, 0xD7A3},
        {0xF900, 0xFAFF},
        {0xFE30, 0xFE6F},
        {0xFF00, 0xFF60},
        {0xFFE0, 0xFFE6},
        {0x1F300, 0x1F64F},
        {0x1F680, 0x1F6FF},
        {0x1F900, 0x1F9FF},
        {0x20000, 0x3FFFD},
    };
    return c >= 0x1100 && among(c, ranges, sizeof ranges / sizeof *ranges);
}

/* Takes no column of its own, or turns the direction of writing. */
static bool tricky(uint32_t c)
{
    static const range ranges[] = {
        {0x80, 0x9F},
        {0xAD, 0xAD},
        {0x300, 0x36F},
        {0x483, 0x489},
        {0x591, 0x5BD},
        {0x610, 0x61A},
        {0x64B, 0x65F},
        {0x1AB0, 0x1AFF},
        {0x1DC0, 0x1DFF},
        {0x200B, 0x200F},
        {0x2028, 0x202E},
        {0x2060, 0x206F},
        {0x20D0, 0x20F0},
        {0xFE00, 0xFE0F},
        {0xFE20, 0xFE2F},
        {0xFEFF, 0xFEFF},
        {0xE0000, 0xE0FFF},
    };
    return c >= 0x80 && among(c, ranges, sizeof ranges / sizeof *ranges);
}

size_t text_width(bytes text)
{
    size_t width = 0;

    while (text.len)
        width += wide(next_char(&text)) ? 2 : 1;
    return width;
}

size_t text_put(buf *out, bytes text, size_t width)
{
    bool cut = text_width(text) > width;
    size_t room = cut && width ? width - 1 : width, taken = 0;

    while (text.len) {
        bytes rest = text;
        uint32_t c = next_char(&rest);
        size_t columns = wide(c) ? 2 : 1;
        if (taken + columns > room)
            break;
        if (tricky(c))
            buf_add_char(out, '?');
        else
            buf_add(out, text.at, text.len - rest.len);
        taken += columns;
        text = rest;
    }
    if (cut && width) {
        buf_add_text(out, "…");
        taken++;
    }
    return taken;
}

void text_pad(buf *out, size_t columns)
{
    while (columns--)
        buf_add_char(out, ' ');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -?digits[.digits] */
static bool plain_decimal(bytes text)
{
    size_t i = text.len && text.at[0] == '-', first = i;

    while (i < text.len && digit(text.at[i]))
        i++;
    if (i == first)
        return false;
    if (i < text.len && text.at[i] == '.')
        for (i++; i < text.len && digit(text.at[i]);)
            i++;
    return i == text.len;
}

void text_decimal(bytes text, size_t *before, size_t *behind)
{
    const char *point = text.len && plain_decimal(text) ? memchr(text.at, '.', text.len) : NULL;

    *before = point ? (size_t)(point - text.at) : text_width(text);
    *behind = point ? text.len - *before : 0;
}

static bytes without(bytes text, size_t front)
{
    return bytes_make(text.at + front, text.len - front);
}

/* Of two plain decimals without sign. */
static int compare_sizes(bytes a, bytes b)
{
    while (a.len && a.at[0] == '0')
        a = without(a, 1);
    while (b.len && b.at[0] == '0')
        b = without(b, 1);
    size_t a_before, b_before;
    for (a_before = 0; a_before < a.len && a.at[a_before] != '.';)
        a_before++;
    for (b_before = 0; b_before < b.len && b.at[b_before] != '.';)
        b_before++;
    if (a_before != b_before)
        return a_before < b_before ? -1 : 1;
    for (size_t i = 0; i < a.len || i < b.len; i++) {
        char x = i < a.len ? a.at[i] : '0', y = i < b.len ? b.at[i] : '0';
        if (i == a_before)
            continue; /* the points, or one and none */
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

int text_compare_decimals(bytes a, bytes b)
{
    if (!plain_decimal(a) || !plain_decimal(b))
        return 0;
    bool a_minus = a.at[0] == '-', b_minus = b.at[0] == '-';
    int order = compare_sizes(without(a, a_minus), without(b, b_minus));
    if (a_minus == b_minus)
        return a_minus ? -order : order;
    if (compare_sizes(without(a, a_minus), BYTES("0")) == 0 && order == 0)
        return 0; /* -0 and 0 */
    return a_minus ? -1 : 1;
}

static bool number_time(double value, uint64_t *real_ns)
{
    static const double units[] = {1e9, 1e6, 1e3, 1}; /* the largest unit that stays before the year 2261 */

    if (!isfinite(value) || value < 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        double ns = value * units[i];
        if (ns < 9.2e18) {
            *real_ns = (uint64_t)(ns / 1000 + 0.5) * 1000; /* a double holds no more of today's time */
            return true;
        }
    }
    return false;
}

bool text_time(json value, uint64_t *real_ns)
{
    double number;
    bytes text;
    char copy[40], *end;

    if (json_f64(value, &number))
        return number_time(number, real_ns);
    if (!json_string_slice(value, &text) || !text.len)
        return false;
    if (clock_parse(text, real_ns))
        return true;
    if (!plain_decimal(text) || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    number = strtod(copy, &end);
    return number_time(number, real_ns);
}
