/* Bringing snapshots: see book_resync.h. */
#include "stream/book_resync.h"

#include <stdio.h>

#include "base/log.h"

#define STABLE_NS (60 * NS_PER_S)
#define PAUSE_MAX_S 3600

static void act(book_resync *r);

static void again(book_resync *r, const char *why)
{
    bool at_once = r->backoff.tries == 0;
    uint64_t wait = backoff_next(&r->backoff);
    if (at_once)
        wait = 0;
    if (r->pause_s * NS_PER_S > wait)
        wait = r->pause_s * NS_PER_S;
    r->pause_s = 0;
    r->phase = RESYNC_DUE;
    if (why != r->why)
        snprintf(r->why, sizeof r->why, "%s", why);
    log_at(at_once ? LOG_INFO : LOG_WARN, "stream", "'%s': asks for a snapshot of the order book in %.1f s: %s", r->name, (double)wait * 1e-9, r->why);
    timer_after(&r->timer, wait);
}

/* ---- By a request ---- */

static uint32_t pause_of(const http_response *response)
{
    uint64_t s = 0;
    if (response->status != 429 && response->status != 418 && response->status != 503)
        return 0;
    for (size_t i = 0; i < response->header_count; i++)
        if (bytes_is(response->headers[i].name, "Retry-After"))
            json_u64((json){JSON_NUMBER, response->headers[i].value}, &s);
    return s < PAUSE_MAX_S ? (uint32_t)s : PAUSE_MAX_S;
}

static void on_response(void *arg, const http_response *response)
{
    book_resync *r = arg;
    char why[WEIR_ERROR_TEXT + 100];
    r->call = NULL;
    if (response->error.code == WEIR_CANCELLED)
        return;
    if (response->error.code == WEIR_REFUSED) { /* a redirect to where it may not go */
        r->ops.refused(r->ops.arg, response->error.text);
        return;
    }
    if (response->error.code || response->status != 200) {
        r->pause_s = response->error.code ? 0 : pause_of(response);
        if (response->error.code)
            snprintf(why, sizeof why, "%s", response->error.text);
        else
            snprintf(why, sizeof why, "'" BYTES_FMT "' answered %u", BYTES_ARG(response->url), response->status);
        again(r, why);
        return;
    }
    buf_clear(&r->body);
    buf_add_bytes(&r->body, response->body);
    if (r->body.failed) {
        again(r, "a snapshot: out of memory");
        return;
    }
    r->body_ns = clock_real();
    r->phase = RESYNC_ANSWERED;
    r->ops.answered(r->ops.arg);
}

static void cancel(book_resync *r)
{
    timer_stop(&r->timer);
    if (r->call)
        http_cancel(r->call);
    buf_fini(&r->body);
    buf_init(&r->body, r->max_body);
}

static void get(book_resync *r)
{
    char text[SNAPSHOT_URL];
    weir_error err = WEIR_ERROR_INIT;
    buf url;
    buf_init(&url, sizeof text);
    json_string_add(json_member(r->snapshot, "url"), &url);
    http_request q = {
        .method = BYTES("GET"),
        .url = buf_bytes(&url),
        .targets = r->targets,
        .max_body = r->max_body,
    };
    weir_code code = url.failed ? error_set(&err, WEIR_NOMEM, "a snapshot's address: out of memory")
                                : http_start(&r->call, r->dialer, &q, on_response, r, &err);
    buf_fini(&url);
    r->phase = RESYNC_ASKED;
    if (code == WEIR_REFUSED || code == WEIR_INVALID) /* no try will change what the user allows */
        r->ops.refused(r->ops.arg, err.text);
    else if (code)
        again(r, err.text);
}

/* ---- On the socket ---- */

static void send_all(book_resync *r, json messages)
{
    json key, message;
    weir_error err = WEIR_ERROR_INIT;
    buf text;
    buf_init(&text, 1 << 20);
    for (json_iter it = json_each(messages); !err.code && json_next(&it, &key, &message);) {
        buf_clear(&text);
        json_string_add(message, &text);
        if (text.failed)
            error_set(&err, WEIR_NOMEM, "a message: out of memory");
        else
            r->ops.send(r->ops.arg, buf_bytes(&text), &err);
    }
    buf_fini(&text);
    if (err.code) {
        again(r, err.text);
        return;
    }
    r->phase = RESYNC_ASKED;
    timer_after(&r->timer, SNAPSHOT_MS * NS_PER_MS);
}

static void act(book_resync *r)
{
    json messages = json_member(r->snapshot, "messages");
    if (r->by_request) {
        get(r);
    } else if (messages.type == JSON_ARRAY) {
        send_all(r, messages);
    } else {
        char why[WEIR_ERROR_TEXT];
        r->phase = RESYNC_FRESH;
        snprintf(why, sizeof why, "a snapshot of the order book is needed: %.900s", r->why);
        r->ops.dial(r->ops.arg, why);
    }
}

static void on_timer(void *arg)
{
    book_resync *r = arg;
    if (r->phase == RESYNC_DUE)
        act(r);
    else if (r->phase == RESYNC_ASKED)
        again(r, "none came in 10 s");
}

/* ---- What the book says ---- */

void book_resync_want(book_resync *r, const char *why, bool anew)
{
    uint64_t now = loop_now(r->loop);
    if (r->phase == RESYNC_FRESH && !r->by_request && !anew) { /* the subscription asked for it already */
        r->phase = RESYNC_ASKED;
        timer_after(&r->timer, SNAPSHOT_MS * NS_PER_MS);
        return;
    }
    if (!anew && r->phase != RESYNC_FRESH && r->phase != RESYNC_IDLE)
        return;
    if (r->whole_since && now - r->whole_since > STABLE_NS)
        backoff_reset(&r->backoff);
    r->whole_since = 0;
    cancel(r);
    again(r, why);
}

void book_resync_whole(book_resync *r)
{
    if (!r->whole_since)
        r->whole_since = loop_now(r->loop);
    timer_stop(&r->timer);
    if (r->call) /* the snapshot came by itself */
        http_cancel(r->call);
    r->phase = RESYNC_IDLE;
}

void book_resync_closed(book_resync *r)
{
    cancel(r);
    r->phase = RESYNC_FRESH;
}

bool book_resync_asks(const book_resync *r)
{
    return r->by_request && (r->phase == RESYNC_ASKED || r->phase == RESYNC_ANSWERED || (r->phase == RESYNC_DUE && r->backoff.tries <= 1));
}

bool book_resync_body(const book_resync *r, bytes *body, uint64_t *recv_ns)
{
    *body = buf_bytes(&r->body);
    *recv_ns = r->body_ns;
    return r->phase == RESYNC_ANSWERED;
}

void book_resync_read(book_resync *r)
{
    if (r->phase == RESYNC_ANSWERED)
        again(r, "the plugin made no snapshot of the answer");
    buf_fini(&r->body);
    buf_init(&r->body, r->max_body);
}

/* ---- Begin and end ---- */

static weir_code check(const book_resync *r, weir_error *err)
{
    json key, message, url = json_member(r->snapshot, "url"), messages = json_member(r->snapshot, "messages");
    size_t count = 0;
    if (r->snapshot.type == JSON_NONE || r->snapshot.type == JSON_NULL)
        return WEIR_OK;
    if (r->snapshot.type != JSON_OBJECT || (url.type == JSON_NONE) == (messages.type == JSON_NONE))
        return error_set(err, WEIR_INVALID, "\"snapshot\" is " BYTES_FMT "; it is {\"url\":\"https://...\"} or {\"messages\":[...]}", BYTES_ARG(r->snapshot.raw));
    if (url.type != JSON_NONE && (url.type != JSON_STRING || url.raw.len > SNAPSHOT_URL))
        return error_set(err, WEIR_INVALID, "\"url\" of \"snapshot\" is " BYTES_FMT "; it is text of at most %d octets", (int)(url.raw.len < 100 ? url.raw.len : 100), url.raw.at, SNAPSHOT_URL);
    if (url.type != JSON_NONE)
        return WEIR_OK;
    for (json_iter it = json_each(messages); json_next(&it, &key, &message);)
        count += message.type == JSON_STRING ? 1 : SNAPSHOT_MESSAGES + 1;
    if (messages.type != JSON_ARRAY || count == 0 || count > SNAPSHOT_MESSAGES)
        return error_set(err, WEIR_INVALID, "\"messages\" of \"snapshot\" is " BYTES_FMT "; it is a list of 1 to %d texts", (int)(messages.raw.len < 100 ? messages.raw.len : 100), messages.raw.at, SNAPSHOT_MESSAGES);
    return WEIR_OK;
}

weir_code book_resync_init(book_resync *r, const book_resync_ops *ops, json declaration, uint64_t min_ns, uint64_t max_ns, weir_error *err)
{
    r->ops = *ops;
    r->snapshot = json_member(declaration, "snapshot");
    r->by_request = json_member(r->snapshot, "url").type != JSON_NONE;
    r->phase = RESYNC_FRESH;
    backoff_init(&r->backoff, min_ns, max_ns, rand_u64());
    timer_init(&r->timer, r->loop, on_timer, r);
    buf_init(&r->body, r->max_body);
    if (check(r, err))
        return error_wrap(err, "\"book\"");
    return WEIR_OK;
}

void book_resync_fini(book_resync *r)
{
    if (r->loop)
        cancel(r);
    buf_fini(&r->body);
    *r = (book_resync){0};
}
