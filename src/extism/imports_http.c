/* Extism's own http_request: a JSON request and a body go out, a body comes back.
 *
 *     {"url": "https://api.example.com/x", "method": "GET", "headers": {"name": "value"}}
 *
 * What is checked here: that the request makes sense and that its host is among allowed_hosts. Who
 * performs it (guest_ops.http) checks again, by the address it dials and at each redirect. Whatever
 * goes wrong stops the guest: this import has no way to answer an error. */
#include <inttypes.h>

#include "base/json.h"
#include "extism/guest_internal.h"
#include "extism/kernel.h"

#define MAX_HEADERS 64
#define MAX_REQUEST_TEXT (1024 * 1024)

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"};

/* Pieces of http_text by offset, since the buffer moves while it grows. */
typedef struct text_span {
    size_t at, len;
} text_span;

typedef struct http_parts {
    text_span method, url;
    size_t header_count;
    text_span headers[MAX_HEADERS][2];
} http_parts;

static bool part_add(buf *text, json item, text_span *out)
{
    out->at = text->len;
    bool ok = json_string_add(item, text) && !text->failed;
    out->len = text->len - out->at;
    return ok;
}

static weir_code headers_read(http_parts *p, buf *text, json headers, weir_error *err)
{
    json name, item;
    json_iter it = json_each(headers);
    while (json_next(&it, &name, &item)) {
        if (p->header_count == MAX_HEADERS)
            return error_set(err, WEIR_LIMIT, "http_request: more than %d headers", MAX_HEADERS);
        text_span *h = p->headers[p->header_count++];
        if (!part_add(text, name, &h[0]) || !part_add(text, item, &h[1]))
            return error_set(err, WEIR_INVALID, "http_request: header " BYTES_FMT " is not a string", BYTES_ARG(name.raw));
        for (size_t i = h[0].at; i < text->len; i++)
            if (text->at[i] == '\r' || text->at[i] == '\n' || text->at[i] == '\0' || h[0].len == 0)
                return error_set(err, WEIR_INVALID, "http_request: header " BYTES_FMT " has a line break or no name", BYTES_ARG(name.raw));
    }
    return WEIR_OK;
}

/* The request's members into `p`, their text into `text`. Unknown members are errors, as upstream. */
static weir_code request_read(http_parts *p, buf *text, bytes request, weir_error *err)
{
    json doc, key, item;
    if (json_read(&doc, request, err))
        return error_wrap(err, "http_request");
    if (doc.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "http_request: the request is not a JSON object");

    bool has_url = false;
    json_iter it = json_each(doc);
    while (json_next(&it, &key, &item)) {
        if (json_is(key, "url")) {
            has_url = item.type == JSON_STRING && part_add(text, item, &p->url);
        } else if (json_is(key, "method")) {
            if (item.type != JSON_NULL && !part_add(text, item, &p->method))
                return error_set(err, WEIR_INVALID, "http_request: \"method\" is not a string");
        } else if (json_is(key, "headers")) {
            p->header_count = 0;
            if (item.type != JSON_OBJECT && item.type != JSON_NULL)
                return error_set(err, WEIR_INVALID, "http_request: \"headers\" is not an object");
            if (item.type == JSON_OBJECT && headers_read(p, text, item, err))
                return err->code;
        } else {
            return error_set(err, WEIR_INVALID, "http_request: unknown member " BYTES_FMT "; there are url, method, headers", BYTES_ARG(key.raw));
        }
    }
    if (!has_url)
        return error_set(err, WEIR_INVALID, "http_request: \"url\" is missing or no string");
    return WEIR_OK;
}

static weir_code method_check(http_parts *p, buf *text, bool body, weir_error *err)
{
    if (p->method.len == 0) {
        p->method = (text_span){text->len, 3};
        buf_add_text(text, "GET");
        return text->failed ? error_set(err, WEIR_NOMEM, "http_request: out of memory") : WEIR_OK;
    }
    char *at = text->at + p->method.at;
    for (size_t i = 0; i < p->method.len; i++)
        if (at[i] >= 'a' && at[i] <= 'z')
            at[i] = (char)(at[i] - 'a' + 'A');
    bytes method = bytes_make(at, p->method.len);
    if (body && bytes_is(method, "HEAD"))
        return error_set(err, WEIR_INVALID, "http_request: HEAD with a body");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bytes_is(method, methods[i]))
            return WEIR_OK;
    return error_set(err, WEIR_INVALID, "http_request: unknown method '" BYTES_FMT "'", BYTES_ARG(method));
}

static weir_code url_bad(bytes url, const char *why, weir_error *err)
{
    return error_set(err, WEIR_INVALID, "Invalid URL: '" BYTES_FMT "': %s", BYTES_ARG(url), why);
}

/* Appends the URL's host in lower case, an IPv6 one in brackets. Stricter than a browser: where two
 * readers could disagree about the host, it is an error. */
static weir_code url_host(bytes url, buf *host, weir_error *err)
{
    const char *at = url.at, *end = url.at + url.len;
    if (url.len >= 8 && strncasecmp(at, "https://", 8) == 0)
        at += 8;
    else if (url.len >= 7 && strncasecmp(at, "http://", 7) == 0)
        at += 7;
    else
        return url_bad(url, "it does not begin with http:// or https://", err);
    for (const char *c = url.at; c < end; c++)
        if ((unsigned char)*c <= ' ' || *c == '\x7f' || *c == '\\')
            return url_bad(url, "a blank, control character or backslash must be escaped", err);

    const char *stop = at;
    while (stop < end && *stop != '/' && *stop != '?' && *stop != '#')
        stop++;
    for (const char *c = at; c < stop; c++)
        if (*c == '@')
            at = c + 1;
    const char *host_end = at;
    if (at < stop && *at == '[') {
        host_end = memchr(at, ']', (size_t)(stop - at));
        if (!host_end)
            return url_bad(url, "the address in brackets does not end", err);
        host_end++;
    } else {
        while (host_end < stop && *host_end != ':')
            host_end++;
    }
    if (host_end == at)
        return url_bad(url, "it has no host", err);
    for (const char *c = at; c < host_end; c++) {
        if ((unsigned char)*c >= 0x80 || *c == '%')
            return url_bad(url, "the host must be given in ASCII (punycode)", err);
        buf_add_char(host, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
    }
    return host->failed ? error_set(err, WEIR_NOMEM, "http_request: out of memory") : WEIR_OK;
}

static weir_code request_check(guest *g, http_parts *p, buf *text, bytes body, weir_error *err)
{
    if (method_check(p, text, body.len > 0, err))
        return err->code;
    size_t host_at = text->len;
    if (!buf_reserve(text, p->url.len)) /* so that the slice below stays where it is */
        return error_set(err, WEIR_NOMEM, "http_request: out of memory");
    bytes url = bytes_make(text->at + p->url.at, p->url.len);
    if (url_host(url, text, err))
        return err->code;
    if (!manifest_allows_host(g->manifest, bytes_make(text->at + host_at, text->len - host_at)))
        return error_set(err, WEIR_REFUSED, "HTTP request to " BYTES_FMT " is not allowed", BYTES_ARG(url));
    if (!g->ops->http)
        return error_set(err, WEIR_UNSUPPORTED, "http_request is not enabled, request to " BYTES_FMT " is not allowed", BYTES_ARG(url));
    return WEIR_OK;
}

/* Performs the request: status, headers and body lie in the guest afterwards. `*cancelled`: the call
 * is being unwound and nothing else may happen. */
static weir_code request_perform(guest *g, const http_parts *p, bytes body, bool *cancelled, weir_error *err)
{
    guest_core *c = guest_core_of(g);
    http_header headers[MAX_HEADERS];
    const char *text = c->http_text.at;
    for (size_t i = 0; i < p->header_count; i++) {
        const text_span *name = &p->headers[i][0], *value = &p->headers[i][1];
        headers[i] = (http_header){{text + name->at, name->len}, {text + value->at, value->len}};
    }
    guest_http request = {
        .method = bytes_make(text + p->method.at, p->method.len),
        .url = bytes_make(text + p->url.at, p->url.len),
        .body = body,
        .headers = headers,
        .header_count = p->header_count,
        .manifest = g->manifest,
        .max_body = g->manifest->max_http_response_bytes,
        .out_headers = &g->http_headers,
        .out_body = &c->http_body,
        .error = WEIR_ERROR_INIT,
    };
    buf_clear(&c->http_body);
    c->http_body.max = request.max_body < SIZE_MAX ? (size_t)request.max_body : SIZE_MAX;
    if (!g->ops->http(g, &request)) {
        *cancelled = true;
        return WEIR_CANCELLED;
    }
    if (request.error.code == WEIR_LIMIT || c->http_body.failed || c->http_body.len > request.max_body)
        return error_set(err, WEIR_LIMIT, "HTTP response exceeds the configured maximum number of bytes: %" PRIu64, request.max_body);
    if (request.error.code) {
        *err = request.error;
        return err->code;
    }
    g->http_status = request.status;
    return WEIR_OK;
}

void guest_http_answer(guest_http *h, const http_header *headers, size_t count, bytes body)
{
    buf_add_bytes(h->out_body, body);
    buf_add_char(h->out_headers, '{');
    for (size_t i = 0; i < count; i++) {
        char name[256];
        size_t n = headers[i].name.len < sizeof name ? headers[i].name.len : sizeof name - 1;
        for (size_t k = 0; k < n; k++) {
            char c = headers[i].name.at[k];
            name[k] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        buf_add_text(h->out_headers, i ? "," : "");
        json_put_string(h->out_headers, bytes_make(name, n));
        buf_add_char(h->out_headers, ':');
        json_put_string(h->out_headers, headers[i].value);
    }
    buf_add_char(h->out_headers, '}');
}

trap *import_http_request(void *env, void *self, value *v)
{
    (void)env;
    guest *g = self;
    guest_core *c = guest_core_of(g);
    uint64_t request_at = v[0].u64, body_at = v[1].u64;
    weir_error err = WEIR_ERROR_INIT;
    http_parts parts = {.header_count = 0};
    bytes request, body;

    if (c->http_busy)
        return guest_trap(g, "http_request: another request of this plugin is pending");
    buf_clear(&g->http_headers);
    buf_clear(&c->http_text);
    g->http_status = 0;
    trap *t = import_fetch(g, request_at, "http request", &request);
    if (!t)
        t = import_fetch(g, body_at, "http request body", &body);
    if (t)
        return t;
    if (request_read(&parts, &c->http_text, request, &err) || request_check(g, &parts, &c->http_text, body, &err))
        return guest_trap(g, "%s", err.text);

    bool cancelled = false;
    c->http_busy = true;
    weir_code code = request_perform(g, &parts, body, &cancelled, &err);
    c->http_busy = false;
    if (cancelled)
        return g->cancelled;
    if (code)
        return guest_trap(g, "%s", err.text);
    t = guest_answer(g, buf_bytes(&c->http_body), v);
    kernel_release(g->kernel, request_at);
    kernel_release(g->kernel, body_at);
    return t;
}
