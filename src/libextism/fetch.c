/* HTTP, for plugins and for modules that a manifest names by URL: the host's own client (net/), on a loop of its own
 * that turns until the answer is there. The thread waits; a limit or a cancel ends the wait.
 *
 * What a plugin may reach is allowed_hosts alone, asked about each hop: who embeds decides, so addresses of the
 * machine's own network are no matter here, unlike for Weir's own plugins. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "libextism/inside.h"
#include "net/http_client.h"

#define TURN_MS 20 /* how soon a cancel is seen */
#define NO_LIMIT_MS UINT32_MAX

typedef struct fetch {
    loop *loop;
    dialer *dialer;
    targets *targets;
    const manifest *allowed; /* NULL: every host */
    const stop *stop;        /* NULL: nobody cancels */
    bool done;
    void (*take)(void *into, const http_response *r);
    void *into;
} fetch;

/* The host of a URL, without user and port; an address in its brackets. */
static bytes url_host(bytes url)
{
    const char *at = memmem(url.at, url.len, "://", 3), *end = url.at + url.len;
    at = at ? at + 3 : url.at;
    for (const char *c = at; c < end; c++)
        if (*c == '/' || *c == '?' || *c == '#')
            end = c;
    const char *user = end > at ? memrchr(at, '@', (size_t)(end - at)) : NULL;
    at = user ? user + 1 : at;
    const char *stop = at < end && *at == '[' ? memchr(at, ']', (size_t)(end - at)) : memchr(at, ':', (size_t)(end - at));
    if (stop)
        end = *stop == ']' ? stop + 1 : stop;
    return bytes_make(at, (size_t)(end - at));
}

static weir_code hop(void *arg, bytes url, weir_error *err)
{
    fetch *f = arg;
    bytes host = url_host(url);
    if (f->allowed && !manifest_allows_host(f->allowed, host))
        return error_set(err, WEIR_REFUSED, "HTTP request to " BYTES_FMT " is not allowed", BYTES_ARG(url));
    bytes bare = host.len > 2 && host.at[0] == '[' ? bytes_make(host.at + 1, host.len - 2) : host;
    return targets_allow_private(f->targets, bare);
}

static void on_done(void *arg, const http_response *r)
{
    fetch *f = arg;
    f->done = true;
    f->take(f->into, r);
}

/* False: it was cancelled. */
static bool run(fetch *f, const http_request *request, weir_error *err)
{
    http_call *call;
    static const dialer_options options = {.user_agent = "weir-extism/" WEIR_VERSION};
    bool asked = false;
    if (late_open && late_open(err))
        return true;
    if (!(f->targets = targets_new()))
        error_set(err, WEIR_NOMEM, "out of memory");
    else if (!loop_new(&f->loop, err) && !dialer_new(&f->dialer, f->loop, &options, err)) {
        http_request r = *request;
        r.targets = f->targets;
        r.check = hop;
        r.check_arg = f;
        asked = !http_start(&call, f->dialer, &r, on_done, f, err);
    }
    bool stopped = false;
    while (asked && !f->done && !stopped) {
        loop_step(f->loop, TURN_MS);
        stopped = f->stop && stop_asked(f->stop);
    }
    if (asked && !f->done)
        http_cancel(call);
    dialer_free(f->dialer);
    loop_free(f->loop);
    targets_free(f->targets);
    return !stopped;
}

/* ---- For a plugin ---- */

static void take_for_guest(void *into, const http_response *r)
{
    guest_http *h = into;
    h->error = r->error;
    h->status = r->status;
    if (!r->error.code)
        guest_http_answer(h, r->headers, r->header_count, r->body);
}

bool fetch_for_guest(guest *g, guest_http *h)
{
    ExtismPlugin *p = g->owner;
    fetch f = {.allowed = h->manifest, .stop = &p->stop, .take = take_for_guest, .into = h};
    http_request r = {
        .url = h->url,
        .method = h->method,
        .body = h->body,
        .headers = h->headers,
        .header_count = h->header_count,
        .max_body = h->max_body < UINT64_MAX ? h->max_body + 1 : h->max_body,
        .timeout_ms = NO_LIMIT_MS,
    };
    weir_error err = WEIR_ERROR_INIT;
    if (!run(&f, &r, &err)) {
        guest_cancel(g, WEIR_TIMEOUT, "timeout");
        g->cancelled = trap_new("timeout");
        return false;
    }
    if (!f.done)
        h->error = err;
    return true;
}

/* ---- For a module ---- */

typedef struct module_answer {
    buf *body;
    weir_error *err;
} module_answer;

static void take_for_module(void *into, const http_response *r)
{
    module_answer *a = into;
    if (r->error.code)
        *a->err = r->error;
    else if (r->status >= 400)
        error_set(a->err, WEIR_NETWORK, "http status: %u", r->status);
    else
        buf_add_bytes(a->body, r->body);
}

static weir_code headers_read(const char *text, http_header **out, size_t *count, buf *kept, weir_error *err)
{
    json doc, name, value;
    if (!text)
        return WEIR_OK;
    if (json_read(&doc, bytes_of(text), err))
        return err->code;
    size_t n = 0;
    json_iter it = json_each(doc);
    while (json_next(&it, &name, &value))
        n++;
    *out = calloc(n + 1, sizeof **out);
    if (!*out || !buf_reserve(kept, strlen(text))) /* decoded text is no longer than its JSON, so `kept` stays where it is */
        return error_set(err, WEIR_NOMEM, "out of memory");
    it = json_each(doc);
    while (json_next(&it, &name, &value)) {
        http_header *h = &(*out)[(*count)++];
        h->name.at = kept->at + kept->len;
        json_string_add(name, kept);
        h->name.len = (size_t)(kept->at + kept->len - h->name.at);
        h->value.at = kept->at + kept->len;
        json_string_add(value, kept);
        h->value.len = (size_t)(kept->at + kept->len - h->value.at);
    }
    return WEIR_OK;
}

weir_code fetch_module(manifest_module *m, weir_error *err)
{
    weir_error failed = WEIR_ERROR_INIT;
    module_answer answer = {.body = &m->data, .err = &failed};
    fetch f = {.take = take_for_module, .into = &answer};
    http_header *headers = NULL;
    buf kept;
    http_request r = {.url = bytes_of(m->url), .method = bytes_of(m->method ? m->method : "GET"), .max_body = UINT64_C(1) << 30, .timeout_ms = NO_LIMIT_MS};
    buf_init(&kept, 1 << 20);
    weir_code code = headers_read(m->headers, &headers, &r.header_count, &kept, err);
    r.headers = headers;
    if (!code) {
        run(&f, &r, &failed);
        code = failed.code ? error_set(err, failed.code, "%s", failed.text) : m->data.failed ? error_set(err, WEIR_NOMEM, "out of memory")
                                                                                             : WEIR_OK;
    }
    free(headers);
    buf_fini(&kept);
    return code;
}
