/* One HTTP exchange: a request, perhaps some redirects, one response.
 *
 * The happy path: http_start checks the URL and starts a hop; libcurl delivers head and body into our
 * buffers; on_hop_done sees a final status and tells the requester. A redirect starts another hop
 * with its own check. What can go wrong: anything the network does, which ends the hop with a code;
 * a body beyond its ceiling (counted as decoded, so compression cannot hide it); the time running
 * out. Each ends in finish(), once. */
#include "net/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/dial_inside.h"
#include "net/http_headers.h"

#define REQUEST_HEAD_MAX (64 * 1024)
#define DEFAULT_BODY (UINT64_C(50) << 20)

struct http_call {
    dialer *dialer;
    dial_transfer hop;
    struct curl_slist *lines; /* libcurl's form of the headers of this hop */
    headers request;          /* what the requester gave */
    headers response;
    buf method, url, sent, body; /* url: the one asked for, before overrides; sent: the request's body */
    const targets *targets;
    http_hop_check check;
    void *check_arg;
    timer deadline;
    uint32_t timeout_ms, redirects_left;
    uint64_t max_body;
    bool body_too_long, head_too_long, finished;
    void (*on_done)(void *arg, const http_response *response);
    void *arg;
};

static void call_free(http_call *c)
{
    timer_stop(&c->deadline);
    dial_stop(&c->hop);
    curl_slist_free_all(c->lines);
    headers_fini(&c->request);
    headers_fini(&c->response);
    buf_fini(&c->method);
    buf_fini(&c->url);
    buf_fini(&c->sent);
    buf_fini(&c->body);
    free(c);
}

/* Headers as the requester sees them: without those that spoke of the compressed form. */
static weir_code fill_response(http_call *c, http_response *r, http_header **list)
{
    bool encoded = headers_find(&c->response, "Content-Encoding").len && !bytes_is(headers_find(&c->response, "Content-Encoding"), "identity");
    *list = calloc(c->response.count + 1, sizeof **list);
    if (!*list)
        return WEIR_NOMEM;
    for (size_t i = 0; i < c->response.count; i++) {
        http_header h = headers_get(&c->response, i);
        if (encoded && (bytes_is(h.name, "Content-Encoding") || bytes_is(h.name, "Content-Length")))
            continue;
        (*list)[r->header_count++] = h;
    }
    r->headers = *list;
    r->body = buf_bytes(&c->body);
    r->url = buf_bytes(&c->url);
    return WEIR_OK;
}

/* Tells the requester, and frees the call. `err` NULL: there is a response. */
static void finish(http_call *c, const weir_error *err)
{
    http_response r = {.error = WEIR_ERROR_INIT};
    http_header *list = NULL;
    long status = 0;
    if (err) {
        r.error = *err;
    } else {
        curl_easy_getinfo(c->hop.easy, CURLINFO_RESPONSE_CODE, &status);
        r.status = (uint16_t)status;
        if (fill_response(c, &r, &list))
            error_set(&r.error, WEIR_NOMEM, "HTTP response: out of memory");
    }
    c->finished = true;
    dial_stop(&c->hop);
    timer_stop(&c->deadline);
    c->on_done(c->arg, &r);
    free(list);
    call_free(c);
}

static void on_deadline(void *arg)
{
    http_call *c = arg;
    weir_error err = WEIR_ERROR_INIT;
    error_set(&err, WEIR_TIMEOUT, "%s:%u: no complete answer within %u ms", c->hop.where.to.host, c->hop.where.to.port, c->timeout_ms);
    finish(c, &err);
}

static size_t on_head(char *at, size_t size, size_t count, void *arg)
{
    http_call *c = arg;
    bytes line = bytes_make(at, size * count);
    if (bytes_starts(line, BYTES("HTTP/"))) /* another one: what came before was interim */
        headers_clear(&c->response);
    else if (!headers_add_line(&c->response, line)) {
        c->head_too_long = true;
        return 0;
    }
    return line.len;
}

static size_t on_body(char *at, size_t size, size_t count, void *arg)
{
    http_call *c = arg;
    size_t len = size * count;
    if (len > c->max_body - c->body.len) {
        c->body_too_long = true;
        return 0;
    }
    buf_add(&c->body, at, len);
    return c->body.failed ? 0 : len;
}

static void on_hop_done(void *arg, CURLcode result);

static bool add_line(http_call *c, const char *text)
{
    struct curl_slist *lines = curl_slist_append(c->lines, text);
    if (lines)
        c->lines = lines;
    return lines != NULL;
}

/* The requester's headers in libcurl's form; a ';' marks an empty value. libcurl's own habits
 * (a form's content type for every body, waiting for 100) are switched off. */
static weir_code put_headers(http_call *c, weir_error *err)
{
    bool typed = false;
    bool ok = add_line(c, "Expect:");
    for (size_t i = 0; i < c->request.count && ok; i++) {
        http_header h = headers_get(&c->request, i);
        char *line = malloc(h.name.len + h.value.len + 3);
        ok = line != NULL;
        if (!ok)
            break;
        sprintf(line, h.value.len ? "%.*s: %.*s" : "%.*s;", (int)h.name.len, h.name.at, (int)h.value.len, h.value.at);
        typed |= bytes_is(h.name, "Content-Type");
        ok = add_line(c, line);
        free(line);
    }
    if (ok && !typed)
        ok = add_line(c, "Content-Type:");
    return ok ? WEIR_OK : error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
}

/* Starts one hop to c->url, which is checked here and nowhere else. */
static weir_code start_hop(http_call *c, weir_error *err)
{
    bytes where = bytes_make(c->url.at, c->url.len);
    weir_code code = c->check     ? c->check(c->check_arg, where, err)
                     : c->targets ? targets_check(c->targets, where, err)
                                  : WEIR_OK;
    if (code)
        return code;
    if (bans_left(dial_bans(c->dialer), where, loop_now(dial_loop(c->dialer)), err))
        return err ? err->code : WEIR_LIMIT;
    dial_stop(&c->hop);
    curl_slist_free_all(c->lines);
    c->lines = NULL;
    headers_clear(&c->response);
    buf_clear(&c->body);
    code = dial_prepare(&c->hop, c->dialer, where, c->targets, err);
    if (!code)
        code = put_headers(c, err);
    if (code)
        return code;
    CURL *easy = c->hop.easy;
    const char *method = c->method.at;
    bool wants_length = !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
    int failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(easy, option, value)
    if (!strcmp(method, "HEAD"))
        SET(CURLOPT_NOBODY, 1L);
    else if (c->sent.len || wants_length) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->sent.len);
        SET(CURLOPT_POSTFIELDS, c->sent.at ? c->sent.at : "");
    }
    if (strcmp(method, "HEAD") != 0)
        SET(CURLOPT_CUSTOMREQUEST, method);
    SET(CURLOPT_HTTPHEADER, c->lines);
    SET(CURLOPT_USERAGENT, dial_user_agent(c->dialer));
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
#undef SET
    if (failed)
        return error_set(err, WEIR_NOMEM, "HTTP request: libcurl refuses its options, out of memory");
    return dial_start(&c->hop, on_hop_done, c, err);
}

/* Drops the headers that the next hop must not have. */
static weir_code drop_headers(http_call *c, bool credentials, bool content, weir_error *err)
{
    headers kept;
    headers_init(&kept);
    bool ok = true;
    for (size_t i = 0; i < c->request.count && ok; i++) {
        http_header h = headers_get(&c->request, i);
        bool about_content = h.name.len > 8 && strncasecmp(h.name.at, "content-", 8) == 0;
        if ((credentials && header_is_credential(h.name)) || (content && about_content))
            continue;
        buf line;
        buf_init(&line, SIZE_MAX / 2);
        buf_add_bytes(&line, h.name);
        buf_add_char(&line, ':');
        buf_add_bytes(&line, h.value);
        ok = !line.failed && headers_add_line(&kept, buf_bytes(&line));
        buf_fini(&line);
    }
    if (!ok) {
        headers_fini(&kept);
        return error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
    }
    headers_fini(&c->request);
    c->request = kept;
    return WEIR_OK;
}

/* `location` seen from c->url, as an absolute URL in `out`. */
static weir_code resolve(http_call *c, bytes location, buf *out, weir_error *err)
{
    CURLU *parser = curl_url();
    char *text = bytes_dup(location), *full = NULL;
    char *base = bytes_dup(buf_bytes(&c->url));
    CURLUcode status = !parser || !text || !base ? CURLUE_OUT_OF_MEMORY : curl_url_set(parser, CURLUPART_URL, base, CURLU_PATH_AS_IS);
    if (!status)
        status = curl_url_set(parser, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
    if (!status)
        status = curl_url_get(parser, CURLUPART_URL, &full, 0);
    if (!status)
        buf_add_text(out, full);
    curl_free(full);
    curl_url_cleanup(parser);
    free(text);
    free(base);
    if (status == CURLUE_OUT_OF_MEMORY || out->failed)
        return error_set(err, WEIR_NOMEM, "redirect: out of memory");
    return status ? error_set(err, WEIR_NETWORK, "redirect to '" BYTES_FMT "': %s", BYTES_ARG(location), curl_url_strerror(status)) : WEIR_OK;
}

/* Changes method, body and headers for a redirect from one origin to another, or the same. */
static weir_code turn_request(http_call *c, long status, bytes next, weir_error *err)
{
    url from, to;
    weir_code code = url_read(&from, buf_bytes(&c->url), err);
    if (code)
        return code;
    code = url_read(&to, next, err);
    if (code) {
        url_fini(&from);
        return code;
    }
    bool elsewhere = !url_same_origin(&from, &to), weaker = from.tls && !to.tls, other = to.websocket;
    url_fini(&from);
    url_fini(&to);
    if (weaker || other)
        return error_set(err, WEIR_REFUSED, "redirect to '" BYTES_FMT "' leaves https", BYTES_ARG(next));
    bool post = !strcmp(c->method.at, "POST");
    bool to_get = (status == 303 && strcmp(c->method.at, "HEAD") != 0) || ((status == 301 || status == 302) && post);
    if (to_get) {
        buf_clear(&c->method);
        buf_add(&c->method, "GET", 4);
        buf_clear(&c->sent);
    }
    return elsewhere || to_get ? drop_headers(c, elsewhere, to_get, err) : WEIR_OK;
}

static weir_code follow(http_call *c, long status, bytes location, weir_error *err)
{
    if (c->redirects_left == 0)
        return error_set(err, WEIR_LIMIT, "'" BYTES_FMT "' redirects once more than is allowed", BYTES_ARG(buf_bytes(&c->url)));
    c->redirects_left--;
    buf next;
    buf_init(&next, URL_MAX);
    weir_code code = resolve(c, location, &next, err);
    if (!code)
        code = turn_request(c, status, buf_bytes(&next), err);
    if (code) {
        buf_fini(&next);
        return code;
    }
    buf_fini(&c->url);
    c->url = next;
    code = start_hop(c, err);
    if (code == WEIR_REFUSED)
        error_wrap(err, "redirect");
    return code;
}

static void on_hop_done(void *arg, CURLcode result)
{
    http_call *c = arg;
    weir_error err = WEIR_ERROR_INIT;
    long status = 0;
    if (c->body_too_long)
        error_set(&err, WEIR_LIMIT, "%s: the response is longer than %llu octets", c->hop.where.to.host, (unsigned long long)c->max_body);
    else if (c->head_too_long)
        error_set(&err, WEIR_LIMIT, "%s: the response's head is too long", c->hop.where.to.host);
    else if (c->body.failed)
        error_set(&err, WEIR_NOMEM, "HTTP response: out of memory");
    else if (result)
        dial_failed(&c->hop, result, &err);
    if (err.code) {
        finish(c, &err);
        return;
    }
    curl_easy_getinfo(c->hop.easy, CURLINFO_RESPONSE_CODE, &status);
    bans_note(dial_bans(c->dialer), buf_bytes(&c->url), (uint16_t)status, retry_after_read(headers_find(&c->response, "Retry-After")), loop_now(dial_loop(c->dialer)));
    bytes location = headers_find(&c->response, "Location");
    bool redirect = (status >= 301 && status <= 303) || status == 307 || status == 308;
    if (!redirect || !location.len)
        finish(c, NULL);
    else if (follow(c, status, location, &err))
        finish(c, &err);
}

static weir_code copy_method(http_call *c, bytes method, weir_error *err)
{
    http_header as_token = {method, BYTES("")};
    if (method.len > 24 || header_check(&as_token, NULL))
        return error_set(err, WEIR_INVALID, "'" BYTES_FMT "' is no HTTP method", BYTES_ARG(method));
    for (size_t i = 0; i < method.len; i++)
        buf_add_char(&c->method, (char)(method.at[i] >= 'a' && method.at[i] <= 'z' ? method.at[i] & ~32 : method.at[i]));
    buf_add_char(&c->method, 0);
    if (c->method.failed)
        return error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
    if (!strcmp(c->method.at, "CONNECT") || !strcmp(c->method.at, "TRACE"))
        return error_set(err, WEIR_REFUSED, "the HTTP method %s is not for plugins", c->method.at);
    return WEIR_OK;
}

/* Checks and copies the headers; of a repeated name the last one counts. */
static weir_code copy_headers(http_call *c, const http_request *q, weir_error *err)
{
    url to;
    weir_code code = url_read(&to, q->url, err);
    if (code)
        return code;
    if (to.websocket)
        code = error_set(err, WEIR_INVALID, "%s://%s is a WebSocket's address; an HTTP request goes to http or https", to.scheme, to.host);
    size_t total = 0;
    for (size_t i = 0; i < q->header_count && !code; i++) {
        const http_header *h = &q->headers[i];
        total += h->name.len + h->value.len;
        if (total > REQUEST_HEAD_MAX)
            code = error_set(err, WEIR_LIMIT, "the request's headers are longer than %d octets", REQUEST_HEAD_MAX);
        if (!code)
            code = header_check(h, err);
        if (!code)
            code = headers_check_host(h, &to, err);
        bool again = header_is_connections(h->name) || name_is(h->name, "host");
        for (size_t k = i + 1; k < q->header_count && !again; k++)
            again = q->headers[k].name.len == h->name.len && strncasecmp(q->headers[k].name.at, h->name.at, h->name.len) == 0;
        if (code || again)
            continue;
        buf line;
        buf_init(&line, SIZE_MAX / 2);
        buf_add_bytes(&line, h->name);
        buf_add_char(&line, ':');
        buf_add_bytes(&line, h->value);
        if (line.failed || !headers_add_line(&c->request, buf_bytes(&line)))
            code = error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
        buf_fini(&line);
    }
    url_fini(&to);
    return code;
}

weir_code http_start(http_call **out, dialer *d, const http_request *q,
                     void (*on_done)(void *arg, const http_response *response), void *arg, weir_error *err)
{
    http_call *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
    c->dialer = d;
    c->targets = q->targets;
    c->check = q->check;
    c->check_arg = q->check_arg;
    c->timeout_ms = q->timeout_ms ? q->timeout_ms : 30000;
    c->max_body = q->max_body ? q->max_body : DEFAULT_BODY;
    c->redirects_left = q->max_redirects ? q->max_redirects : 10;
    c->on_done = on_done;
    c->arg = arg;
    headers_init(&c->request);
    headers_init(&c->response);
    buf_init(&c->method, 32);
    buf_init(&c->url, URL_MAX);
    buf_init(&c->sent, SIZE_MAX / 2);
    buf_init(&c->body, SIZE_MAX / 2);
    timer_init(&c->deadline, dial_loop(d), on_deadline, c);
    buf_add_bytes(&c->url, q->url);
    buf_add_bytes(&c->sent, q->body);
    weir_code code = copy_method(c, q->method.len ? q->method : BYTES("GET"), err);
    if (!code)
        code = copy_headers(c, q, err);
    if (!code && (c->url.failed || c->sent.failed))
        code = error_set(err, WEIR_NOMEM, "HTTP request: out of memory");
    if (!code)
        code = start_hop(c, err);
    if (code) {
        call_free(c);
        return code;
    }
    timer_after(&c->deadline, c->timeout_ms * NS_PER_MS);
    if (out)
        *out = c;
    return WEIR_OK;
}

void http_cancel(http_call *c)
{
    weir_error err = WEIR_ERROR_INIT;
    if (c->finished)
        return;
    error_set(&err, WEIR_CANCELLED, "the HTTP request was cancelled");
    finish(c, &err);
}
