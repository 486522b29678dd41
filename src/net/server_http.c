/* Requests: http-parser takes them apart, the handler answers them in order.
 *
 * The parser is paused after each whole request. A request answered at once lets the rest of the
 * octets go on in the same turn; one that is answered later leaves them in `in` until it is. An
 * upgrade gives all that follows to the WebSocket.
 *
 * What can go wrong: a malformed request (400), a head over 32 KiB (431), a body over the ceiling
 * (413, or what on_head says), a transfer coding but chunked (501), an unknown expectation (417), a request that does not end in time (408): a head has one deadline for all
 * of it, a body has to get on. Each is answered (by on_refuse, or in plain text) and ends the connection, since nobody knows where the next request would begin. */
#include "net/server_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

typedef struct header_at {
    uint32_t name, name_len, value, value_len; /* in `head` */
} header_at;

struct server_request {
    conn *conn;
    buf head; /* the target, then names and values, one behind the other */
    size_t url_len;
    size_t query_at; /* behind '?', or url_len */
    size_t path_at, path_end;
    header_at *headers;
    size_t header_count, header_cap;
    bool in_value;
    bool complete;   /* the handler has it */
    bool in_body;    /* what looks like a header now is a trailer */
    uint16_t status; /* refuse with it */
    const char *why; /* and in these words; NULL: the status' own */
    server_body_rule rule;
    buf body;
    size_t body_seen; /* when the deadline was last set */
    void (*on_gone)(void *arg);
    void *gone_arg;
    void (*on_drain)(void *arg);
    void *drain_arg;
};

/* ---- What http-parser reports ---- */

static int refuse(server_request *r, uint16_t status)
{
    r->status = status;
    return -1;
}

static int refuse_because(server_request *r, uint16_t status, const char *why)
{
    r->why = *why ? why : NULL;
    return refuse(r, status);
}

static int on_begin(http_parser *p)
{
    conn *c = p->data;
    server_request *r = calloc(1, sizeof *r);
    if (!r) {
        c->failed = true;
        return -1;
    }
    r->conn = c;
    buf_init(&r->head, SERVER_HEAD_MAX);
    buf_init(&r->body, c->server->options.max_body);
    c->request = r;
    timer_after(&c->deadline, c->server->options.head_ms * NS_PER_MS); /* for all of it; octets do not extend it */
    return 0;
}

static int head_add(server_request *r, const char *at, size_t len)
{
    if (r->head.len + len > SERVER_HEAD_MAX)
        return refuse(r, 431);
    buf_add(&r->head, at, len);
    return r->head.failed ? refuse(r, 503) : 0;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    server_request *r = ((conn *)p->data)->request;
    r->url_len += len;
    return head_add(r, at, len);
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    server_request *r = ((conn *)p->data)->request;
    if (r->in_body)
        return 0;
    if (r->header_count == 0 || r->in_value) {
        if (r->header_count == SERVER_HEADERS_MAX)
            return refuse(r, 431);
        if (r->header_count == r->header_cap) {
            size_t cap = r->header_cap ? 2 * r->header_cap : 16;
            header_at *grown = realloc(r->headers, cap * sizeof *grown);
            if (!grown)
                return refuse(r, 503);
            r->headers = grown;
            r->header_cap = cap;
        }
        r->headers[r->header_count++] = (header_at){(uint32_t)r->head.len, 0, (uint32_t)r->head.len, 0};
        r->in_value = false;
    }
    r->headers[r->header_count - 1].name_len += (uint32_t)len;
    return head_add(r, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    server_request *r = ((conn *)p->data)->request;
    if (r->in_body)
        return 0;
    header_at *h = &r->headers[r->header_count - 1];
    if (!r->in_value)
        h->value = (uint32_t)r->head.len;
    r->in_value = true;
    h->value_len += (uint32_t)len;
    return head_add(r, at, len);
}

/* Absolute targets ("GET http://host/path") are legal to a server too: the path begins behind the host. */
static bool split_target(server_request *r)
{
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (bytes_is(server_method(r), "CONNECT"))
        return true; /* answered 405 by whoever looks at it */
    if (http_parser_parse_url(r->head.at, r->url_len, 0, &parts))
        return false;
    if (parts.field_set & (1 << UF_PATH)) {
        r->path_at = parts.field_data[UF_PATH].off;
        r->path_end = r->path_at + parts.field_data[UF_PATH].len;
    }
    r->query_at = r->url_len;
    if (parts.field_set & (1 << UF_QUERY)) {
        r->query_at = parts.field_data[UF_QUERY].off;
        r->url_len = r->query_at + parts.field_data[UF_QUERY].len;
    }
    return true;
}

/* Asks the owner how large the body may be. */
static void rule_body(conn *c, server_request *r)
{
    const server_options *o = &c->server->options;
    bytes length, coding;
    r->rule = (server_body_rule){.max = o->max_body, .status = 413};
    snprintf(r->rule.why, sizeof r->rule.why, "a body has at most %zu octets here", r->rule.max);
    if (o->on_head && (server_header_at(r, "content-length", 0, &length) || server_header_at(r, "transfer-encoding", 0, &coding)))
        o->on_head(o->arg, r, &r->rule);
    r->body.max = r->rule.max;
}

static int on_head_complete(http_parser *p)
{
    conn *c = p->data;
    server_request *r = c->request;
    r->in_body = true;
    if (!split_target(r))
        return refuse(r, 400);
    if (p->http_major != 1)
        return refuse(r, 505);
    if (p->http_minor >= 1 && server_header(r, "host").len == 0)
        return refuse(r, 400);
    if (p->method == HTTP_CONNECT)
        return refuse(r, 405);
    bytes coding = server_header(r, "transfer-encoding");
    if (coding.len && (coding.len != 7 || strncasecmp(coding.at, "chunked", 7)))
        return refuse_because(r, 501, "of transfer codings there is 'chunked' alone");
    rule_body(c, r);
    if (p->flags & F_CONTENTLENGTH && p->content_length > r->body.max)
        return refuse_because(r, r->rule.status, r->rule.why);
    timer_after(&c->deadline, c->server->options.body_ms * NS_PER_MS);
    p->upgrade = server_wants_websocket(r); /* other upgrades (h2c) are declined by ignoring them */
    bytes expect = server_header(r, "expect");
    if (expect.len) {
        if (expect.len != 12 || strncasecmp(expect.at, "100-continue", 12))
            return refuse(r, 417);
        buf_add_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    conn *c = p->data;
    server_request *r = c->request;
    if (r->body.len + len > r->body.max)
        return refuse_because(r, r->rule.status, r->rule.why);
    buf_add(&r->body, at, len);
    return r->body.failed ? refuse(r, 503) : 0;
}

static int on_complete(http_parser *p)
{
    conn *c = p->data;
    c->request->complete = true;
    c->keep_alive = http_should_keep_alive(p);
    c->head_only = p->method == HTTP_HEAD;
    http_parser_pause(p, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* ---- The life of a request ---- */

static void request_free(server_request *r)
{
    r->conn->request = NULL;
    r->conn->streaming = false;
    buf_fini(&r->head);
    buf_fini(&r->body);
    free(r->headers);
    free(r);
}

conn *http_conn(server_request *r)
{
    return r->conn;
}

void http_upgraded(server_request *r)
{
    request_free(r);
}

void http_begin(conn *c)
{
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
}

void http_gone(conn *c)
{
    server_request *r = c->request;
    if (!r)
        return;
    if (r->on_gone)
        r->on_gone(r->gone_arg);
    request_free(r);
}

static void http_parse_failed(conn *c)
{
    uint16_t status = c->request ? c->request->status : 0;
    enum http_errno why = HTTP_PARSER_ERRNO(&c->parser);
    if (c->failed)
        return;
    if (why == HPE_HEADER_OVERFLOW)
        status = 431;
    if (status && status != 400)
        http_refuse(c, status, c->request->why);
    else
        http_refuse(c, 400, status ? "the target or the Host header is missing or malformed" : http_errno_description(why));
}

/* Feeds octets to the parser, and each whole request to the handler, until they are used up or an
 * answer is awaited. Answers how many were used. */
static size_t http_parse(conn *c, const char *at, size_t len)
{
    size_t used = 0;
    if (!c->request && conn_queued(c) >= SERVER_OUT_PAUSE)
        return 0;
    while (used < len && !c->failed && !c->closing && !c->ws && !(c->request && c->request->complete)) {
        http_parser_pause(&c->parser, 0);
        used += http_parser_execute(&c->parser, &settings, at + used, len - used);
        enum http_errno why = HTTP_PARSER_ERRNO(&c->parser);
        if (why != HPE_OK && why != HPE_PAUSED) {
            http_parse_failed(c);
            return len;
        }
        if (c->request && c->request->complete) {
            timer_stop(&c->deadline); /* from here the handler's time, not the peer's */
            c->server->options.on_request(c->server->options.arg, c->request);
            if (conn_queued(c) >= SERVER_OUT_PAUSE)
                break;
        }
    }
    return c->closing ? len : used;
}

void http_feed(conn *c, const char *at, size_t len)
{
    size_t used = c->in.len || c->closing ? 0 : http_parse(c, at, len);
    if (c->closing)
        return;
    if (c->ws)
        socket_feed(c, at + used, len - used);
    else
        buf_add(&c->in, at + used, len - used);
    if (c->in.failed)
        c->failed = true;
}

void http_resume(conn *c)
{
    buf kept = c->in; /* an upgrade inside feeds the rest on; nothing is added meanwhile */
    buf_init(&c->in, kept.max);
    size_t used = http_parse(c, kept.at, kept.len);
    if (c->ws) {
        socket_feed(c, kept.at + used, kept.len - used);
        buf_fini(&kept);
        return;
    }
    buf_fini(&c->in);
    c->in = kept;
    buf_consume(&c->in, used);
}

void http_late(conn *c)
{
    server_request *r = c->request;
    if (r && !r->complete && r->in_body && r->body.len - r->body_seen >= SERVER_BODY_PROGRESS) {
        r->body_seen = r->body.len;
        timer_after(&c->deadline, c->server->options.body_ms * NS_PER_MS);
    } else if (r && !r->complete && conn_queued(c) == 0)
        http_refuse(c, 408, "the request did not end in time");
    else
        c->failed = true; /* idle, or does not read its reply */
}

void http_sent(conn *c)
{
    if (c->request && c->request->on_drain)
        c->request->on_drain(c->request->drain_arg);
}

/* ---- What the handler asks ---- */

bytes server_method(const server_request *r)
{
    return bytes_of(http_method_str((enum http_method)r->conn->parser.method));
}

bytes server_path(const server_request *r)
{
    return r->path_end ? bytes_make(r->head.at + r->path_at, r->path_end - r->path_at) : BYTES("/");
}

bytes server_query(const server_request *r)
{
    return bytes_make(r->head.at + r->query_at, r->url_len - r->query_at);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                               : -1;
}

static void add_decoded(buf *out, bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%' && i + 2 < text.len && hex_digit(text.at[i + 1]) >= 0 && hex_digit(text.at[i + 2]) >= 0) {
            c = (char)(hex_digit(text.at[i + 1]) * 16 + hex_digit(text.at[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buf_add_char(out, c);
    }
}

/* The first parameter of that name wins; "a" alone is "a=" . */
bool server_query_get(const server_request *r, const char *name, buf *decoded)
{
    bytes rest = server_query(r);
    size_t name_len = strlen(name);
    while (rest.len) {
        const char *amp = memchr(rest.at, '&', rest.len);
        bytes pair = {rest.at, amp ? (size_t)(amp - rest.at) : rest.len};
        rest = amp ? bytes_make(amp + 1, rest.len - pair.len - 1) : bytes_make(NULL, 0);
        const char *eq = memchr(pair.at, '=', pair.len);
        bytes key = {pair.at, eq ? (size_t)(eq - pair.at) : pair.len};
        if (key.len != name_len || memcmp(key.at, name, name_len))
            continue;
        if (eq)
            add_decoded(decoded, bytes_make(eq + 1, pair.len - key.len - 1));
        return true;
    }
    return false;
}

bool server_header_at(const server_request *r, const char *name, size_t nth, bytes *value)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < r->header_count; i++) {
        const header_at *h = &r->headers[i];
        if (h->name_len == len && !strncasecmp(r->head.at + h->name, name, len) && nth-- == 0) {
            *value = bytes_make(r->head.at + h->value, h->value_len);
            return true;
        }
    }
    return false;
}

bytes server_header(const server_request *r, const char *name)
{
    bytes value = BYTES("");
    server_header_at(r, name, 0, &value);
    return value;
}

bytes server_body(const server_request *r)
{
    return buf_bytes(&r->body);
}

bytes server_peer(const server_request *r)
{
    return bytes_of(r->conn->peer);
}

/* Is `token` one of the comma-separated `words`? */
static bool has_token(bytes words, const char *token)
{
    size_t len = strlen(token);
    while (words.len) {
        const char *comma = memchr(words.at, ',', words.len);
        bytes word = {words.at, comma ? (size_t)(comma - words.at) : words.len};
        words = comma ? bytes_make(comma + 1, words.len - word.len - 1) : bytes_make(NULL, 0);
        while (word.len && (*word.at == ' ' || *word.at == '\t'))
            word.at++, word.len--;
        while (word.len && (word.at[word.len - 1] == ' ' || word.at[word.len - 1] == '\t'))
            word.len--;
        if (word.len == len && !strncasecmp(word.at, token, len))
            return true;
    }
    return false;
}

bool server_wants_websocket(const server_request *r)
{
    return r->conn->parser.method == HTTP_GET && has_token(server_header(r, "upgrade"), "websocket") &&
           has_token(server_header(r, "connection"), "upgrade");
}

void server_on_gone(server_request *r, void (*fn)(void *arg), void *arg)
{
    r->on_gone = fn;
    r->gone_arg = arg;
}

/* ---- Answers ---- */

static const char *reason(unsigned status)
{
    switch (status) {
#define XX(number, name, text) \
    case number:               \
        return #text;
        HTTP_STATUS_MAP(XX)
#undef XX
    default:
        return "Unknown";
    }
}

/* "Mon, 23 Nov 2026 12:00:00 GMT", made once a second. */
static const char *http_date(server *s)
{
    uint64_t now = clock_real() / NS_PER_S;
    if (now != s->date_s || !s->date[0]) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)now;
        struct tm tm;
        gmtime_r(&t, &tm);
        snprintf(s->date, sizeof s->date, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
                 months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        s->date_s = now;
    }
    return s->date;
}

static bool header_is_safe(const http_header *h)
{
    return !memchr(h->name.at, '\n', h->name.len) && !memchr(h->name.at, '\r', h->name.len) &&
           (h->value.len == 0 || (!memchr(h->value.at, '\n', h->value.len) && !memchr(h->value.at, '\r', h->value.len)));
}

static void put_head(conn *c, uint16_t status, const http_header *headers, size_t count)
{
    buf *o = &c->out;
    buf_add_fmt(o, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, reason(status), http_date(c->server));
    for (size_t i = 0; i < count; i++) {
        if (!header_is_safe(&headers[i]))
            continue; /* a line break in a value would start a header of somebody else's */
        buf_add_bytes(o, headers[i].name);
        buf_add_text(o, ": ");
        buf_add_bytes(o, headers[i].value);
        buf_add_text(o, "\r\n");
    }
}

static void put_reply(conn *c, uint16_t status, const http_header *headers, size_t count, bytes body, bool close_after)
{
    buf *o = &c->out;
    put_head(c, status, headers, count);
    bool bodiless = status < 200 || status == 204 || status == 304;
    if (!bodiless) {
        buf_add_text(o, "Content-Length: ");
        buf_add_u64(o, body.len);
        buf_add_text(o, "\r\n");
    }
    buf_add_text(o, close_after ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
    if (!bodiless && !c->head_only)
        buf_add_bytes(o, body);
    if (close_after)
        c->closing = true;
}

void http_refuse(conn *c, uint16_t status, const char *why)
{
    const server_options *o = &c->server->options;
    http_header headers[] = {{BYTES("Content-Type"), BYTES("text/plain")}, {BYTES("X-Content-Type-Options"), BYTES("nosniff")}, {BYTES("WWW-Authenticate"), BYTES("Bearer")}};
    buf body;
    const server_request *r = c->request;
    const char *note = r && why == r->rule.why ? r->rule.note : NULL;
    buf_init(&body, 4096);
    c->head_only = false;
    if (o->on_refuse) {
        headers[0].value = BYTES("application/json; charset=utf-8");
        o->on_refuse(o->arg, bytes_of(c->peer), status, why ? why : reason(status), note, &body);
    } else {
        buf_add_fmt(&body, "%u %s%s%s\n", status, reason(status), why ? ": " : "", why ? why : "");
    }
    put_reply(c, status, headers, status == 401 ? 3 : 2, buf_bytes(&body), true);
    buf_fini(&body);
    if (c->request)
        request_free(c->request);
}

/* The request is answered: gone for the handler, and the connection goes on or ends. */
static void request_done(server_request *r)
{
    conn *c = r->conn;
    request_free(r);
    timer_after(&c->deadline, c->server->options.idle_ms * NS_PER_MS);
    conn_turn_later(c);
}

void server_reply(server_request *r, uint16_t status, const http_header *headers, size_t count, bytes body)
{
    put_reply(r->conn, status, headers, count, body, !r->conn->keep_alive);
    request_done(r);
}

void server_reply_begin(server_request *r, uint16_t status, const http_header *headers, size_t count)
{
    conn *c = r->conn;
    c->streaming = true;
    c->chunked = c->parser.http_major == 1 && c->parser.http_minor >= 1;
    c->keep_alive &= c->chunked; /* else the end of the connection is that of the answer */
    put_head(c, status, headers, count);
    if (c->chunked)
        buf_add_text(&c->out, "Transfer-Encoding: chunked\r\n");
    buf_add_text(&c->out, c->keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    timer_after(&c->deadline, c->server->options.idle_ms * NS_PER_MS);
    conn_turn_later(c);
}

void server_reply_more(server_request *r, const bytes *pieces, size_t count)
{
    conn *c = r->conn;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    if (!len || c->head_only)
        return; /* an empty chunk would be the last one */
    if (c->chunked)
        buf_add_fmt(&c->out, "%zx\r\n", len);
    for (size_t i = 0; i < count; i++)
        buf_add_bytes(&c->out, pieces[i]);
    if (c->chunked)
        buf_add_text(&c->out, "\r\n");
    if (!timer_running(&c->deadline))
        timer_after(&c->deadline, c->server->options.idle_ms * NS_PER_MS);
    conn_turn_later(c);
}

void server_reply_end(server_request *r)
{
    conn *c = r->conn;
    if (c->chunked && !c->head_only)
        buf_add_text(&c->out, "0\r\n\r\n");
    if (!c->keep_alive)
        c->closing = true;
    request_done(r);
}

size_t server_reply_queued(const server_request *r)
{
    return conn_queued(r->conn);
}

void server_reply_on_drain(server_request *r, void (*fn)(void *arg), void *arg)
{
    r->on_drain = fn;
    r->drain_arg = arg;
}

void server_drop(server_request *r)
{
    r->conn->failed = true;
    r->on_gone = NULL;
    conn_turn_later(r->conn);
}

void server_reply_raw(server_request *r, bytes octets, bool last)
{
    buf_add_bytes(&r->conn->out, octets);
    if (!last) {
        conn_turn_later(r->conn);
        return;
    }
    r->conn->closing = true;
    request_done(r);
}
