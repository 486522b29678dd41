/* Error texts.
 *
 * A text is formatted into a scratch field larger than the error's own, then
 * copied character by character: what a terminal would act on and what is no
 * UTF-8 becomes '?', and the copy stops at the last character that fits whole.
 * The arguments may point into the error itself. */
#include "base/error.h"
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Control characters are those below space, DEL, and U+0080 to U+009F (two
 * octets, the first 0xC2). */
static bool is_control(const char *at, size_t len)
{
    unsigned char c = (unsigned char)at[0];
    return len == 1 ? c < 0x20 || c == 0x7f
                    : len == 2 && c == 0xc2 && (unsigned char)at[1] < 0xa0;
}

static void put_clean(char out[WEIR_ERROR_TEXT], const char *text)
{
    size_t at = 0, left = strlen(text);
    while (left) {
        size_t len = bytes_utf8_char((bytes){text, left});
        size_t taken = len ? len : 1;
        bool bad = !len || is_control(text, len);
        if (at + (bad ? 1 : taken) >= WEIR_ERROR_TEXT)
            break;
        if (bad)
            out[at++] = '?';
        else
            for (size_t i = 0; i < taken; i++)
                out[at++] = text[i];
        text += taken;
        left -= taken;
    }
    out[at] = '\0';
}

weir_code error_set(weir_error *err, weir_code code, const char *format, ...)
{
    if (!err)
        return code;
    char text[2 * WEIR_ERROR_TEXT] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err->code = code;
    put_clean(err->text, text);
    return code;
}

weir_code error_wrap(weir_error *err, const char *format, ...)
{
    if (!err)
        return WEIR_INVALID;
    char prefix[WEIR_ERROR_TEXT] = "", text[2 * WEIR_ERROR_TEXT + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, err->text);
    put_clean(err->text, text);
    return err->code;
}

void error_keep(kept_error *k, const weir_error *err)
{
    char *text = err && err->code ? strdup(err->text) : NULL;
    free(k->text);
    *k = (kept_error){err ? err->code : WEIR_OK, text};
}

const char *kept_text(const kept_error *k)
{
    return !k->code ? "" : k->text ? k->text
                                   : "out of memory while the reason was written down";
}

void error_recall(const kept_error *k, weir_error *err)
{
    error_set(err, k->code, "%s", kept_text(k));
}
