#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

/* Makes the text safe on a terminal and cuts it at a whole character. */
static void clean(char *text, bool cut)
{
    size_t n = strlen(text);
    if (cut)
        while (n && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
            n--;
    if (cut && n && (unsigned char)text[n - 1] >= 0xC0)
        n--;
    text[n] = '\0';
    bool utf8 = bytes_utf8(bytes_make(text, n));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F || (!utf8 && (unsigned char)*c >= 0x80))
            *c = '?';
}

weir_code error_set(weir_error *err, weir_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        clean(err->text, n >= (int)sizeof err->text);
        err->code = code;
    }
    return code;
}

weir_code error_wrap(weir_error *err, const char *format, ...)
{
    char text[WEIR_ERROR_TEXT * 2];
    va_list args;
    if (!err)
        return WEIR_INVALID;
    va_start(args, format);
    int n = vsnprintf(text, WEIR_ERROR_TEXT, format, args);
    va_end(args);
    if (n >= WEIR_ERROR_TEXT)
        n = WEIR_ERROR_TEXT - 1;
    snprintf(text + n, sizeof text - (size_t)n, ": %s", err->text);
    return error_set(err, err->code, "%s", text);
}
