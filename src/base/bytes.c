#include "base/bytes.h"

#include <stdlib.h>

char *bytes_dup(bytes b)
{
    char *copy = malloc(b.len + 1);
    if (!copy)
        return NULL;
    if (b.len)
        memcpy(copy, b.at, b.len);
    copy[b.len] = '\0';
    return copy;
}

bool bytes_utf8(bytes b)
{
    const unsigned char *p = (const unsigned char *)b.at, *end = p + b.len;
    while (p < end) {
        uint64_t word;
        if (end - p >= 8 && (memcpy(&word, p, 8), (word & UINT64_C(0x8080808080808080)) == 0)) {
            p += 8;
            continue;
        }
        if (*p < 0x80) {
            p++;
            continue;
        }
        size_t n = *p >= 0xC2 && *p <= 0xDF ? 2 : (*p & 0xF0) == 0xE0 ? 3 : *p >= 0xF0 && *p <= 0xF4 ? 4 : 0;
        if (n == 0 || (size_t)(end - p) < n)
            return false;
        for (size_t i = 1; i < n; i++)
            if ((p[i] & 0xC0) != 0x80)
                return false;
        if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) || (*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))
            return false;
        p += n;
    }
    return true;
}
