/* Topics and patterns. See topic.h for the spelling of tokens.
 *
 * A checked pattern has '*' and '>' as whole tokens only, and no token of a topic contains them or
 * is empty; so matching needs no look at token borders: '*' swallows up to the next dot, '>' all. */
#include "hub/topic.h"

static bool plain(unsigned char c)
{
    return c > 0x20 && c != 0x7f && c != '.' && c != '*' && c != '>' && c != '%';
}

void topic_add_token(buf *out, bytes text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;

    if (out->len)
        buf_add_char(out, '.');
    if (!text.len)
        buf_add_char(out, '%');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (plain(c))
            continue;
        buf_add(out, text.at + from, i - from);
        buf_add_char(out, '%');
        buf_add_char(out, digits[c >> 4]);
        buf_add_char(out, digits[c & 15]);
        from = i + 1;
    }
    if (text.len > from)
        buf_add(out, text.at + from, text.len - from);
}

static int digit_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                 : -1;
}

/* A token of letters: each '%' must be an escape that topic_add_token would have written. */
static weir_code check_letters(bytes pattern, bytes token, weir_error *err)
{
    if (token.len == 1 && token.at[0] == '%')
        return WEIR_OK; /* the empty token */
    for (size_t i = 0; i < token.len; i++) {
        unsigned char c = (unsigned char)token.at[i];
        if (c == '*' || c == '>')
            return error_set(err, WEIR_INVALID,
                             "pattern '" BYTES_FMT "': '%c' stands for whole tokens, not for a part of '" BYTES_FMT "'; write %%%02X for the character",
                             BYTES_ARG(pattern), c, BYTES_ARG(token), c);
        if (plain(c))
            continue;
        if (c != '%')
            return error_set(err, WEIR_INVALID,
                             "pattern '" BYTES_FMT "': has a blank or a control character; write it as %%%02X",
                             BYTES_ARG(pattern), c);
        int high = i + 2 < token.len ? digit_value(token.at[i + 1]) : -1;
        int low = i + 2 < token.len ? digit_value(token.at[i + 2]) : -1;
        if (high < 0 || low < 0 || plain((unsigned char)(high << 4 | low)))
            return error_set(err, WEIR_INVALID,
                             "pattern '" BYTES_FMT "': '%%' in '" BYTES_FMT "' begins no escape such as %%2E for a dot; write %%25 for the character",
                             BYTES_ARG(pattern), BYTES_ARG(token));
        i += 2;
    }
    return WEIR_OK;
}

weir_code topic_pattern_check(bytes pattern, weir_error *err)
{
    const char *at = pattern.at, *end = pattern.at + pattern.len;

    if (!pattern.len)
        return error_set(err, WEIR_INVALID, "pattern '' is empty; '>' selects everything");
    if (pattern.len > TOPIC_MAX)
        return error_set(err, WEIR_INVALID, "pattern '" BYTES_FMT "...' has %zu octets, at most %d are allowed",
                         BYTES_ARG(pattern), pattern.len, TOPIC_MAX);
    for (;;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        bytes token = bytes_make(at, (size_t)((dot ? dot : end) - at));
        if (!token.len)
            return error_set(err, WEIR_INVALID, "pattern '" BYTES_FMT "' has an empty token; '*' selects any one token",
                             BYTES_ARG(pattern));
        if (bytes_is(token, ">") && dot)
            return error_set(err, WEIR_INVALID, "pattern '" BYTES_FMT "': '>' selects the rest and so must be the last token; '*' selects one",
                             BYTES_ARG(pattern));
        if (!bytes_is(token, ">") && !bytes_is(token, "*") && check_letters(pattern, token, err))
            return WEIR_INVALID;
        if (!dot)
            return WEIR_OK;
        at = dot + 1;
    }
}

bool topic_match(bytes pattern, bytes topic)
{
    const char *p = pattern.at, *p_end = p + pattern.len;
    const char *t = topic.at, *t_end = t + topic.len;

    for (; p < p_end; p++) {
        if (t == t_end)
            return false;
        if (*p == '>')
            return true;
        if (*p == '*') {
            while (t < t_end && *t != '.')
                t++;
        } else if (*p != *t++) {
            return false;
        }
    }
    return t == t_end;
}
