/* Response headers as libcurl hands them over, line by line, and request headers as it wants them. */
#include "net/http_headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/dial_inside.h"

/* All that a response's head may take; a venue's is below 4 KiB. */
#define HEAD_MAX (256 * 1024)

void headers_init(headers *h)
{
    *h = (headers){0};
    buf_init(&h->text, HEAD_MAX);
}

void headers_fini(headers *h)
{
    buf_fini(&h->text);
    free(h->at);
    *h = (headers){0};
}

void headers_clear(headers *h)
{
    buf_clear(&h->text);
    h->count = 0;
}

static bytes trim(bytes b)
{
    while (b.len && strchr(" \t\r\n", b.at[0]))
        b.at++, b.len--;
    while (b.len && strchr(" \t\r\n", b.at[b.len - 1]))
        b.len--;
    return b;
}

/* "content-type" as "Content-Type". */
static void put_canonical(buf *out, bytes name)
{
    bool upper = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        buf_add_char(out, !letter ? c : upper ? (char)(c & ~32)
                                              : (char)(c | 32));
        upper = c == '-';
    }
}

bool headers_add_line(headers *h, bytes line)
{
    const char *colon = line.len ? memchr(line.at, ':', line.len) : NULL;
    if (line.len && (line.at[0] == ' ' || line.at[0] == '\t')) { /* the obsolete folding */
        bytes more = trim(line);
        if (h->count && more.len) {
            buf_add_char(&h->text, ' ');
            buf_add_bytes(&h->text, more);
            h->at[h->count - 1].value_len += more.len + 1;
        }
        return !h->text.failed;
    }
    if (!colon || colon == line.at)
        return true;
    if ((h->count & (h->count - 1)) == 0) {
        header_place *all = realloc(h->at, (h->count ? h->count * 2 : 1) * sizeof *all);
        if (!all)
            return false;
        h->at = all;
    }
    bytes name = trim(bytes_make(line.at, (size_t)(colon - line.at)));
    bytes value = trim(bytes_make(colon + 1, line.len - (size_t)(colon + 1 - line.at)));
    header_place *p = &h->at[h->count++];
    *p = (header_place){h->text.len, name.len, value.len};
    put_canonical(&h->text, name);
    buf_add_bytes(&h->text, value);
    return !h->text.failed;
}

http_header headers_get(const headers *h, size_t i)
{
    const header_place *p = &h->at[i];
    const char *at = h->text.at + p->start;
    return (http_header){{at, p->name_len}, {at + p->name_len, p->value_len}};
}

bytes headers_find(const headers *h, const char *canonical)
{
    for (size_t i = 0; i < h->count; i++) {
        http_header one = headers_get(h, i);
        if (bytes_is(one.name, canonical))
            return one.value;
    }
    return BYTES("");
}

bool name_is(bytes name, const char *text)
{
    return name.len == strlen(text) && strncasecmp(name.at, text, name.len) == 0;
}

static bool in_list(bytes name, const char *const *names)
{
    for (; *names; names++)
        if (name_is(name, *names))
            return true;
    return false;
}

bool header_is_connections(bytes name)
{
    static const char *const names[] = {"connection", "content-length", "transfer-encoding", "keep-alive", "te", "trailer",
                                        "upgrade", "expect", "proxy-connection", "proxy-authorization", NULL};
    return in_list(name, names);
}

bool header_is_credential(bytes name)
{
    static const char *const names[] = {"authorization", "cookie", "cookie2", "www-authenticate", NULL};
    return in_list(name, names);
}

/* `value` names the host that `to` names: with or without the port. */
static bool same_host(bytes value, const url *to)
{
    char full[300];
    snprintf(full, sizeof full, "%s:%u", to->host, to->port);
    return name_is(value, to->host) || name_is(value, full);
}

weir_code headers_check_host(const http_header *h, const url *to, weir_error *err)
{
    if (!name_is(h->name, "host") || same_host(h->value, to))
        return WEIR_OK;
    return error_set(err, WEIR_REFUSED, "header 'Host' is '" BYTES_FMT "', but the URL's host is '%s'; leave the header out", BYTES_ARG(h->value), to->host);
}
