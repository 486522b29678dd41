/* URLs in one spelling (see target_url.h).
 *
 * libcurl's parser finds host and port, since libcurl dials: a host that it reads as 127.0.0.1
 * ("0x7f.1", "2130706433", full-width digits) is 127.0.0.1 here too. What it leaves open is settled
 * here: case, the dot at the end, dot segments, needless percent-encoding. A host must come out
 * the same when it is read again; one that does not hides something and is no host. */
#include "net/target_url.h"

#include <curl/curl.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/target_address.h"

static const struct scheme {
    const char *name;
    const char *dialled; /* the scheme libcurl knows */
    uint16_t port;
    bool tls, websocket;
} schemes[] = {
    {"https", "https", 443, true, false},
    {"wss", "https", 443, true, true},
    {"http", "http", 80, false, false},
    {"ws", "http", 80, false, true},
};

static const struct scheme *find_scheme(bytes name)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (name.len == strlen(schemes[i].name) && strncasecmp(name.at, schemes[i].name, name.len) == 0)
            return &schemes[i];
    return NULL;
}

static size_t find(bytes in, const char *any)
{
    size_t i = 0;
    while (i < in.len && !strchr(any, in.at[i]))
        i++;
    return i;
}

static bytes behind(bytes in, size_t n)
{
    return n < in.len ? bytes_make(in.at + n, in.len - n) : bytes_make(in.at + in.len, 0);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                               : -1;
}

static bool unreserved(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

/* One path segment in its one spelling. False: a '%' that begins no escape, which one server would
 * take as it is and another join with what follows. */
static bool put_segment(buf *out, bytes segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        int hi = i + 2 < segment.len ? hex(segment.at[i + 1]) : -1, lo = hi >= 0 ? hex(segment.at[i + 2]) : -1;
        if (segment.at[i] != '%') {
            buf_add_char(out, segment.at[i]);
            continue;
        }
        if (lo < 0)
            return false;
        if (unreserved(hi * 16 + lo))
            buf_add_char(out, (char)(hi * 16 + lo));
        else
            buf_add_fmt(out, "%%%02X", (unsigned)(hi * 16 + lo));
        i += 2;
    }
    return true;
}

/* A server that decodes %2F or %5C before it resolves ".." would climb where we saw no segment. */
static bool hides_climb(bytes path)
{
    char last[3] = {0};
    size_t n = 0;
    for (size_t i = 0; i <= path.len; i++) {
        bool encoded = i + 2 < path.len && (strncmp(path.at + i, "%2F", 3) == 0 || strncmp(path.at + i, "%5C", 3) == 0);
        if (i == path.len || path.at[i] == '/' || encoded) {
            if (n == 2 && last[0] == '.' && last[1] == '.')
                return true;
            n = 0;
            i += encoded ? 2 : 0;
        } else {
            if (n < 2)
                last[n] = path.at[i];
            n++;
        }
    }
    return false;
}

/* Path without dot segments. WEIR_REFUSED: it climbs above its root. */
static weir_code put_path(buf *out, bytes path, weir_error *err)
{
    buf_add_char(out, '/');
    path = behind(path, 1);
    for (bool last = false; !last;) {
        size_t n = find(path, "/");
        last = n == path.len;
        size_t start = out->len;
        if (!put_segment(out, bytes_make(path.at, n)))
            return error_set(err, WEIR_INVALID, "a '%%' in its path is not followed by two hexadecimal digits; write %%25 for the character itself");
        if (out->failed)
            return error_set(err, WEIR_NOMEM, "URL: out of memory");
        path = behind(path, n + 1);
        bytes segment = bytes_make(out->at + start, out->len - start);
        if (bytes_is(segment, ".")) {
            out->len = start;
        } else if (bytes_is(segment, "..")) {
            out->len = start - 1; /* its slash, then the segment before */
            if (out->len == 0)
                return error_set(err, WEIR_REFUSED, "its path climbs above the root with '..'");
            while (out->at[out->len - 1] != '/')
                out->len--;
        } else if (!last) {
            buf_add_char(out, '/');
        }
    }
    if (hides_climb(buf_bytes(out)))
        return error_set(err, WEIR_REFUSED, "its path hides a '..' behind an encoded slash");
    return out->failed ? error_set(err, WEIR_NOMEM, "URL: out of memory") : WEIR_OK;
}

static locale_t utf8; /* made once: to load it costs more than all the rest; never freed */

static void load_utf8(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* libcurl's reading of `text`: host (in punycode) and port. libidn2 reads names in the locale's
 * character set, so this thread's is UTF-8 meanwhile. */
static weir_code curl_reads(url *u, const char *text, weir_error *err)
{
    CURLU *parser = curl_url();
    char *host = NULL, *port = NULL, *zone = NULL;
    weir_code code = parser ? WEIR_OK : error_set(err, WEIR_NOMEM, "URL: out of memory");
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_utf8);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    CURLUcode status = parser ? curl_url_set(parser, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) : CURLUE_OUT_OF_MEMORY;
    if (!status)
        status = curl_url_get(parser, CURLUPART_HOST, &host, CURLU_PUNYCODE);
    if (!status)
        status = curl_url_get(parser, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (!status && curl_url_get(parser, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
        status = CURLUE_BAD_IPV6;
    if (utf8)
        uselocale(before);
    if (!code && status)
        code = error_set(err, status == CURLUE_OUT_OF_MEMORY ? WEIR_NOMEM : WEIR_INVALID, "%s", curl_url_strerror(status));
    size_t n = host ? strlen(host) : 0;
    if (n && host[n - 1] == '.')
        host[--n] = 0;
    if (!code && (n == 0 || n >= sizeof u->host || host[0] == '.' || strstr(host, "..") || host[n - 1] == '.'))
        code = error_set(err, WEIR_INVALID, "its host is no name");
    for (size_t i = 0; !code && i < n; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c <= ' ' || c >= 0x7F || c == '%' || c == '*')
            code = error_set(err, WEIR_INVALID, "its host is no name");
        u->host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
    }
    struct sockaddr_storage literal;
    if (!code) {
        u->host[n] = 0;
        if (u->host[0] == '[' && address_read(&literal, u->host)) { /* the shortest of its spellings */
            char shortest[ADDRESS_TEXT];
            address_text(shortest, (struct sockaddr *)&literal);
            snprintf(u->host, sizeof u->host, "[%s]", shortest);
        }
        u->port = (uint16_t)strtoul(port, NULL, 10);
        if (!u->port)
            code = error_set(err, WEIR_INVALID, "it names port 0");
    }
    curl_free(host);
    curl_free(port);
    curl_free(zone);
    curl_url_cleanup(parser);
    return code;
}

/* Host and port of `authority`, read twice: the second reading must not change the host. */
static weir_code read_authority(url *u, const struct scheme *s, bytes authority, weir_error *err)
{
    url again = {0};
    char text[1100];
    if (authority.len > 1000)
        return error_set(err, WEIR_INVALID, "its host is longer than names are");
    snprintf(text, sizeof text, "%s://%.*s/", s->dialled, (int)authority.len, authority.at);
    weir_code code = curl_reads(u, text, err);
    if (code)
        return code;
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s://%s/", s->dialled, u->host);
        code = curl_reads(&again, text, err);
        if (code || strcmp(again.host, u->host) == 0)
            return code;
        memcpy(u->host, again.host, sizeof u->host);
    }
    return error_set(err, WEIR_INVALID, "its host means something else each time it is read");
}

/* The parts of `text`; the error names no URL yet. */
static weir_code read_parts(url *u, bytes text, weir_error *err)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7F || text.at[i] == '\\')
            return error_set(err, WEIR_INVALID, "it holds blanks, control characters or backslashes; percent-encode them");
    if (text.len > URL_MAX / 2)
        return error_set(err, WEIR_INVALID, "it is longer than %d octets", URL_MAX / 2);
    size_t colon = find(text, ":/?#");
    if (colon + 2 >= text.len || memcmp(text.at + colon, "://", 3) != 0)
        return error_set(err, WEIR_INVALID, "it does not start with scheme://host");
    const struct scheme *s = find_scheme(bytes_make(text.at, colon));
    if (!s)
        return error_set(err, WEIR_REFUSED, "its scheme is none of http, https, ws, wss");
    snprintf(u->scheme, sizeof u->scheme, "%s", s->name);
    u->tls = s->tls;
    u->websocket = s->websocket;
    text = behind(text, colon + 3);
    text.len = find(text, "#");
    bytes authority = bytes_make(text.at, find(text, "/?"));
    bytes path = behind(text, authority.len);
    path.len = find(path, "?");
    bytes query = behind(text, authority.len + path.len);
    if (find(authority, "@") < authority.len)
        return error_set(err, WEIR_REFUSED, "it carries user-info in front of '@'; send credentials in a header");
    weir_code code = read_authority(u, s, authority, err);
    if (!code)
        code = put_path(&u->path, path.len ? path : BYTES("/"), err);
    if (!code && query.len) {
        u->has_query = true;
        buf_add_bytes(&u->query, behind(query, 1));
        if (u->query.failed)
            code = error_set(err, WEIR_NOMEM, "URL: out of memory");
    }
    return code;
}

weir_code url_read(url *u, bytes text, weir_error *err)
{
    *u = (url){0};
    buf_init(&u->path, 3 * URL_MAX);
    buf_init(&u->query, URL_MAX);
    weir_code code = read_parts(u, text, err);
    if (!code)
        return WEIR_OK;
    url_fini(u);
    bytes shown = bytes_make(text.at, find(text, "?#")); /* what follows may be a secret */
    if (find(shown, "@") < shown.len)
        shown.len = find(shown, ":"); /* and so may what stands before a host */
    if (code != WEIR_NOMEM)
        error_wrap(err, "'" BYTES_FMT "%s'", BYTES_ARG(shown), shown.len < text.len ? "..." : "");
    return code;
}

void url_fini(url *u)
{
    buf_fini(&u->path);
    buf_fini(&u->query);
}

static uint16_t own_port(const url *u)
{
    return u->tls ? 443 : 80;
}

void url_put_origin(const url *u, buf *out)
{
    buf_add_text(out, u->scheme);
    buf_add_text(out, "://");
    buf_add_text(out, u->host);
    if (u->port != own_port(u)) {
        buf_add_char(out, ':');
        buf_add_u64(out, u->port);
    }
}

void url_put(const url *u, buf *out)
{
    url_put_origin(u, out);
    buf_add_bytes(out, buf_bytes(&u->path));
    if (u->has_query) {
        buf_add_char(out, '?');
        buf_add_bytes(out, buf_bytes(&u->query));
    }
}

bool url_same_origin(const url *a, const url *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}
