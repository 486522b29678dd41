#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(buf *out, bytes data)
{
    const unsigned char *p = (const unsigned char *)data.at;
    size_t left = data.len;
    if (!buf_reserve(out, (data.len + 2) / 3 * 4))
        return;
    char *to = out->at + out->len;
    for (; left >= 3; p += 3, left -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = digits[v >> 6 & 63];
        *to++ = digits[v & 63];
    }
    if (left) {
        uint32_t v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = left == 2 ? digits[v >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->len = (size_t)(to - out->at);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

weir_code base64_decode(buf *out, bytes text, weir_error *err)
{
    if (text.len % 4)
        return error_set(err, WEIR_INVALID, "base64: %zu characters; the length must be a multiple of 4", text.len);
    if (!buf_reserve(out, text.len / 4 * 3))
        return error_set(err, WEIR_NOMEM, "base64: out of memory");
    char *to = out->at + out->len;
    for (size_t i = 0; i < text.len; i += 4) {
        const char *p = text.at + i;
        bool last = i + 4 == text.len;
        int pad = last && p[3] == '=' ? (p[2] == '=' ? 2 : 1) : 0;
        int v[4] = {0};
        for (int k = 0; k < 4 - pad; k++)
            if ((v[k] = value_of(p[k])) < 0)
                return error_set(err, WEIR_INVALID, "base64: character %zu is none of the alphabet", i + (size_t)k + 1);
        uint32_t all = (uint32_t)v[0] << 18 | (uint32_t)v[1] << 12 | (uint32_t)v[2] << 6 | (uint32_t)v[3];
        if ((pad == 1 && (v[2] & 3)) || (pad == 2 && (v[1] & 15)))
            return error_set(err, WEIR_INVALID, "base64: stray bits in the last character");
        *to++ = (char)(all >> 16);
        if (pad < 2)
            *to++ = (char)(all >> 8);
        if (pad < 1)
            *to++ = (char)all;
    }
    out->len = (size_t)(to - out->at);
    return WEIR_OK;
}
