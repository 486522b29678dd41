/* The growing buffer. Adding is frequent and usually fits; growing doubles, up
 * to the ceiling. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALLEST 64

void buf_init(buf *b, size_t max)
{
    *b = (buf){.max = max};
}

void buf_fini(buf *b)
{
    free(b->at);
    *b = (buf){.max = b->max};
}

void buf_clear(buf *b)
{
    b->len = 0;
    b->failed = false;
}

static bool grow(buf *b, size_t extra)
{
    if (extra > b->max || b->len > b->max - extra) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + extra;
    size_t cap = b->cap > SIZE_MAX / 2 ? SIZE_MAX : b->cap * 2;
    if (cap < SMALLEST)
        cap = SMALLEST;
    if (cap < need)
        cap = need;
    if (cap > b->max)
        cap = b->max;
    char *at = realloc(b->at, cap);
    if (!at) {
        b->failed = true;
        return false;
    }
    b->at = at;
    b->cap = cap;
    return true;
}

bool buf_reserve(buf *b, size_t extra)
{
    if (b->failed)
        return false;
    return extra <= b->cap - b->len || grow(b, extra);
}

void buf_add(buf *b, const void *at, size_t len)
{
    if (len == 0 || !buf_reserve(b, len))
        return;
    memcpy(b->at + b->len, at, len);
    b->len += len;
}

void buf_add_bytes(buf *b, bytes piece)
{
    buf_add(b, piece.at, piece.len);
}

void buf_add_text(buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->at[b->len++] = c;
}

static const char pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "373839404142434445464748495051525354555657"
    "58596061626364656667686970717273747576777879808182838485868788899091929394"
    "9596979899";

void buf_add_u64(buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    while (value >= 100) {
        at -= 2;
        memcpy(digits + at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + value * 2, 2);
    } else {
        digits[--at] = (char)('0' + value);
    }
    buf_add(b, digits + at, sizeof digits - at);
}

void buf_add_i64(buf *b, int64_t value)
{
    if (value >= 0) {
        buf_add_u64(b, (uint64_t)value);
    } else if (buf_reserve(b, 20)) { /* a sign alone would be half a number */
        b->at[b->len++] = '-';
        buf_add_u64(b, 0 - (uint64_t)value);
    }
}

/* Formats into the room there is, and once more after growing when that was too
 * little. */
void buf_add_fmt(buf *b, const char *format, ...)
{
    if (b->failed)
        return;
    for (int round = 0; round < 2; round++) {
        size_t room = b->cap - b->len;
        va_list args;
        va_start(args, format);
        int len = vsnprintf(room ? b->at + b->len : NULL, room, format, args);
        va_end(args);
        if (len < 0) {
            b->failed = true;
            return;
        }
        if ((size_t)len < room) {
            b->len += (size_t)len;
            return;
        }
        if (!buf_reserve(b, (size_t)len + 1)) /* printf wants room for its NUL */
            return;
    }
}

void buf_consume(buf *b, size_t len)
{
    if (len >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->at, b->at + len, b->len - len);
    b->len -= len;
}
