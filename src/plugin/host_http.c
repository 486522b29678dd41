/* http_request and Extism's own http_request, both over the world's HTTP. The
 * guest is parked meanwhile; the answer is written by the callback, on the loop's stack. */
#include <inttypes.h>

#include "base/base64.h"
#include "plugin/host.h"

#define REQUEST_MS 30000

typedef struct waiting {
    task *task;
    void *handle;
    bool done;
    void (*write)(struct waiting *w, const world_http_reply *reply);
    void *out;
} waiting;

static void on_done(void *arg, const world_http_reply *reply)
{
    waiting *w = arg;
    w->done = true;
    w->write(w, reply);
    task_wake(w->task);
}

/* Starts the request and parks until its answer was written. False: cancelled. */
static bool perform(waiting *w, const char *where, const world_http_request *request)
{
    task *t = w->task;
    world_http_reply failed = {.error = WEIR_ERROR_INIT};
    if (policy_request(&t->policy, loop_now(t->loop), &failed.error) ||
        t->world->http_start(t->world_arg, &w->handle, request, on_done, w, &failed.error)) {
        w->write(w, &failed);
        return true;
    }
    while (!w->done)
        if (task_wait(t, where, UINT64_MAX) == WAIT_CANCELLED) {
            if (!w->done)
                t->world->http_cancel(t->world_arg, w->handle);
            return false;
        }
    return true;
}

/* {"status":200,"statusCode":200,"headers":{"Name":["v","v"]},"body":"base64","error":"..."?}: both
 * spellings of the status, since libraries differ; every header's values in a list. */
static void write_plugin_reply(waiting *w, const world_http_reply *r)
{
    buf *out = &w->task->reply;
    w->task->said = r->error.code;
    buf_clear(out);
    if (r->error.code) {
        buf_add_text(out, "{\"status\":0,\"statusCode\":0,\"headers\":null,\"body\":null,\"error\":");
        json_put_text(out, r->error.text);
        buf_add_char(out, '}');
        return;
    }
    buf_add_fmt(out, "{\"status\":%u,\"statusCode\":%u,\"headers\":{", r->status, r->status);
    bool first = true;
    for (size_t i = 0; i < r->header_count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = bytes_equal(r->headers[j].name, r->headers[i].name);
        if (seen)
            continue;
        buf_add_text(out, first ? "" : ",");
        first = false;
        json_put_string(out, r->headers[i].name);
        buf_add_text(out, ":[");
        for (size_t j = i, n = 0; j < r->header_count; j++)
            if (bytes_equal(r->headers[j].name, r->headers[i].name)) {
                buf_add_text(out, n++ ? "," : "");
                json_put_string(out, r->headers[j].value);
            }
        buf_add_char(out, ']');
    }
    buf_add_text(out, "},\"body\":\"");
    base64_encode(out, r->body);
    buf_add_text(out, "\"}");
}

/* Where one decoded text lies in the scratch buffer, which may still move. */
typedef struct span {
    size_t at, len;
} span;

static bool add_span(buf *b, json value, span *out)
{
    out->at = b->len;
    bool ok = json_string_add(value, b);
    out->len = b->len - out->at;
    return ok;
}

/* {"url":string,"method":string,"headers":{string:string}|null,"body":base64|null} */
bool host_http_request(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json url, method, headers, body;
    const json_field want[] = {{"url", &url}, {"method", &method}, {"headers", &headers}, {"body", &body}};
    world_http_request r = {.timeout_ms = REQUEST_MS, .max_body = t->policy.limits.http_body};
    waiting w = {.task = t, .write = write_plugin_reply};
    span at_url = {0}, at_method = {0}, at_body = {0};
    bytes base64;

    buf_clear(&t->scratch);
    world_http_reply refused = {.error = WEIR_ERROR_INIT};
    if (json_read_fields(request, want, 4, &err) == WEIR_OK && !add_span(&t->scratch, url, &at_url))
        error_set(&err, WEIR_INVALID, "http_request: \"url\" is missing or no string");
    if (err.code == WEIR_OK) {
        if (!add_span(&t->scratch, method, &at_method) || at_method.len == 0) {
            at_method.at = t->scratch.len;
            at_method.len = 3;
            buf_add_text(&t->scratch, "GET");
        }
        at_body = (span){t->scratch.len, 0};
        if (body.type == JSON_STRING) {
            if (!json_string_slice(body, &base64)) { /* escapes in it, as in "\/": decoded first */
                json_string_add(body, &t->reply);
                base64 = buf_bytes(&t->reply);
            }
            if (base64_decode(&t->scratch, base64, &err))
                error_wrap(&err, "http_request: \"body\"");
            buf_clear(&t->reply);
        } else if (body.type != JSON_NULL && body.type != JSON_NONE) {
            error_set(&err, WEIR_INVALID, "http_request: \"body\" is neither base64 text nor null");
        }
        at_body.len = t->scratch.len - at_body.at;
    }
    if (err.code == WEIR_OK)
        host_headers(t, headers, &r.headers, &r.header_count, &err);
    if (err.code) {
        refused.error = err;
        write_plugin_reply(&w, &refused);
        return true;
    }
    r.url = bytes_make(t->scratch.at + at_url.at, at_url.len);
    r.method = bytes_make(t->scratch.at + at_method.at, at_method.len);
    r.body = bytes_make(t->scratch.at + at_body.at, at_body.len);
    return perform(&w, "http_request", &r);
}

static void write_extism_reply(waiting *w, const world_http_reply *r)
{
    guest_http *h = w->out;
    h->error = r->error;
    h->status = r->status;
    if (!r->error.code)
        guest_http_answer(h, r->headers, r->header_count, r->body);
}

/* Every hop against allowed_hosts; the first was checked by the Extism layer already. */
static weir_code allows(void *arg, bytes url, weir_error *err)
{
    const manifest *m = arg;
    bytes host = url;
    const char *scheme_end = memmem(url.at, url.len, "://", 3);
    if (!scheme_end)
        return error_set(err, WEIR_INVALID, "'" BYTES_FMT "' is no absolute URL", BYTES_ARG(url));
    host.at = scheme_end + 3;
    host.len = url.len - (size_t)(host.at - url.at);
    for (size_t i = 0; i < host.len; i++)
        if (host.at[i] == '/' || host.at[i] == '?' || host.at[i] == '#')
            host.len = i;
    const char *user = memrchr(host.at, '@', host.len);
    if (user) {
        host.len -= (size_t)(user + 1 - host.at);
        host.at = user + 1;
    }
    if (host.len && host.at[0] != '[') {
        const char *port = memchr(host.at, ':', host.len);
        host.len = port ? (size_t)(port - host.at) : host.len;
    } else if (host.len) {
        const char *close = memchr(host.at, ']', host.len);
        host.len = close ? (size_t)(close + 1 - host.at) : host.len;
    }
    if (!manifest_allows_host(m, host))
        return error_set(err, WEIR_REFUSED, "HTTP request to " BYTES_FMT " is not allowed", BYTES_ARG(url));
    return WEIR_OK;
}

bool host_extism_http(guest *g, guest_http *h)
{
    task *t = g->owner;
    waiting w = {.task = t, .write = write_extism_reply, .out = h};
    world_http_request r = {
        .url = h->url,
        .method = h->method,
        .body = h->body,
        .headers = h->headers,
        .header_count = h->header_count,
        .max_body = h->max_body,
        .timeout_ms = REQUEST_MS,
        .allows = allows,
        .allows_arg = (void *)(uintptr_t)h->manifest,
    };
    t->ticks = 0;
    return perform(&w, "http_request", &r);
}
