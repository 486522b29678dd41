#include "api/query.h"

#include "base/json.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                               : -1;
}

weir_code query_decode(buf *out, bytes text, bool plus, const char *what, weir_error *err)
{
    size_t from = out->len;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;
            if (low < 0)
                return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' has a '%%' that is not followed by two hexadecimal digits", what, BYTES_ARG(text));
            c = (unsigned char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return error_set(err, WEIR_INVALID, "%s has a control character (octet %u)", what, c);
        buf_add_char(out, (char)c);
    }
    if (out->len > from && !bytes_utf8(bytes_make(out->at + from, out->len - from)))
        return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' is no valid UTF-8", what, BYTES_ARG(text));
    buf_add_char(out, '\0');
    if (out->failed)
        return error_set(err, WEIR_INVALID, "%s is longer than %u octets", what, QUERY_TEXT_MAX);
    return WEIR_OK;
}

/* The next segment of a path, and the rest with its slash. */
static bytes segment(bytes *rest)
{
    rest->at++, rest->len--; /* the slash */
    const char *slash = rest->len ? memchr(rest->at, '/', rest->len) : NULL;
    bytes piece = {rest->at, slash ? (size_t)(slash - rest->at) : rest->len};
    rest->at += piece.len;
    rest->len -= piece.len;
    return piece;
}

bool query_path(const char *template, bytes path, bytes pieces[2])
{
    bytes want = bytes_of(template);
    size_t count = 0;
    while (want.len && path.len && *path.at == '/') {
        bytes a = segment(&want), b = segment(&path);
        if (a.len && *a.at == '{' && b.len && count < 2)
            pieces[count++] = b;
        else if (!bytes_equal(a, b))
            return false;
    }
    return !want.len && !path.len;
}

/* Is `name` one of the blank-separated words? */
static bool is_known(const char *known, bytes name)
{
    bytes rest = bytes_of(known);
    while (rest.len) {
        const char *blank = memchr(rest.at, ' ', rest.len);
        bytes word = {rest.at, blank ? (size_t)(blank - rest.at) : rest.len};
        if (name.len && bytes_equal(word, name))
            return true;
        rest = blank ? bytes_make(blank + 1, rest.len - word.len - 1) : bytes_make(NULL, 0);
    }
    return false;
}

static weir_code add_pair(buf *out, bytes pair, const char *known, weir_error *err)
{
    char text[QUERY_TEXT_MAX];
    buf decoded = {.at = text, .cap = sizeof text, .max = sizeof text};
    const char *eq = memchr(pair.at, '=', pair.len);
    bytes name = {pair.at, eq ? (size_t)(eq - pair.at) : pair.len};
    if (query_decode(&decoded, name, true, "the name of a query parameter", err))
        return err->code;
    bytes plain = {text, decoded.len - 1};
    if (!is_known(known, plain)) {
        if (!*known)
            return error_set(err, WEIR_INVALID, "there is no query parameter '" BYTES_FMT "' here, nor any other", BYTES_ARG(plain));
        return error_set(err, WEIR_INVALID, "there is no query parameter '" BYTES_FMT "' here; there are: %s", BYTES_ARG(plain), known);
    }
    if (json_member((json){JSON_OBJECT, bytes_make(out->at, out->len)}, text).type != JSON_NONE)
        return error_set(err, WEIR_INVALID, "query parameter '%s' comes twice", text);
    out->len--; /* the brace */
    json_put_key(out, text);
    size_t at = decoded.len;
    if (query_decode(&decoded, eq ? bytes_make(eq + 1, pair.len - name.len - 1) : bytes_make(NULL, 0), true, text, err))
        return err->code;
    json_put_string(out, bytes_make(text + at, decoded.len - at - 1));
    buf_add_char(out, '}');
    return WEIR_OK;
}

weir_code query_json(buf *out, bytes query, const char *known, weir_error *err)
{
    buf_clear(out);
    buf_add_text(out, "{}");
    while (query.len) {
        const char *amp = memchr(query.at, '&', query.len);
        bytes pair = {query.at, amp ? (size_t)(amp - query.at) : query.len};
        query = amp ? bytes_make(amp + 1, query.len - pair.len - 1) : bytes_make(NULL, 0);
        if (out->failed)
            break;
        if (pair.len && add_pair(out, pair, known, err))
            return err->code;
    }
    if (out->failed)
        return error_set(err, WEIR_INVALID, "the query is longer than %u octets", QUERY_TEXT_MAX);
    return WEIR_OK;
}
