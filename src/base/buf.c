#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

bool buf_reserve(buf *b, size_t extra)
{
    if (b->failed)
        return false;
    if (b->cap - b->len >= extra)
        return true;
    if (extra > b->max || b->len > b->max - extra) {
        b->failed = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->len < extra)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    char *at = realloc(b->at, cap);
    if (!at) {
        b->failed = true;
        return false;
    }
    b->at = at;
    b->cap = cap;
    return true;
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
    buf_add(b, &c, 1);
}

void buf_add_u64(buf *b, uint64_t value)
{
    char text[20], *p = text + sizeof text;
    do
        *--p = (char)('0' + value % 10);
    while (value /= 10);
    buf_add(b, p, (size_t)(text + sizeof text - p));
}

void buf_add_i64(buf *b, int64_t value)
{
    if (value < 0)
        buf_add_char(b, '-');
    buf_add_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_add_fmt(buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
        b->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(b->at + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_consume(buf *b, size_t len)
{
    memmove(b->at, b->at + len, b->len - len);
    b->len -= len;
}
