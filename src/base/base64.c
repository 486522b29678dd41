/* Base64, one table each way. Decoding takes canonical text only, so that each
 * value has one spelling. */
#include "base/base64.h"

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(buf *out, bytes data)
{
    if (data.len == 0 || !buf_reserve(out, (data.len + 2) / 3 * 4))
        return;
    const unsigned char *p = (const unsigned char *)data.at;
    char *to = out->at + out->len;
    size_t left = data.len;
    for (; left >= 3; left -= 3, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = letters[v >> 18];
        *to++ = letters[v >> 12 & 63];
        *to++ = letters[v >> 6 & 63];
        *to++ = letters[v & 63];
    }
    if (left) {
        uint32_t v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = letters[v >> 18];
        *to++ = letters[v >> 12 & 63];
        *to++ = left == 2 ? letters[v >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->len = (size_t)(to - out->at);
}

/* What a letter stands for; -1 for none. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63
                                    : -1;
}

static size_t padding(bytes text)
{
    if (text.len == 0 || text.at[text.len - 1] != '=')
        return 0;
    return text.at[text.len - 2] == '=' ? 2 : 1;
}

weir_code base64_decode(buf *out, bytes text, weir_error *err)
{
    if (text.len % 4)
        return error_set(err, WEIR_INVALID,
                         "base64: %zu characters; a whole text has a multiple of "
                         "four, with '=' at its end",
                         text.len);
    if (text.len == 0)
        return WEIR_OK;
    size_t pad = padding(text), letters_in = text.len - pad, start = out->len;
    if (!buf_reserve(out, text.len / 4 * 3))
        return error_set(err, WEIR_NOMEM, "base64: no room for %zu octets",
                         text.len / 4 * 3);
    char *to = out->at + out->len;
    uint32_t bits = 0;
    for (size_t i = 0; i < letters_in; i++) {
        int v = value_of(text.at[i]);
        if (v < 0) {
            out->len = start;
            return error_set(
                err, WEIR_INVALID,
                "base64: character %zu is none of A-Z, a-z, 0-9, '+' and '/'", i + 1);
        }
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 1)
            *to++ = (char)(bits >> 4);
        else if (i % 4 == 2)
            *to++ = (char)(bits >> 2);
        else if (i % 4 == 3)
            *to++ = (char)bits;
    }
    if (pad && bits & (pad == 2 ? 15 : 3))
        return error_set(
            err, WEIR_INVALID,
            "base64: the last letter carries bits that belong to no octet");
    out->len = (size_t)(to - out->at);
    return WEIR_OK;
}
