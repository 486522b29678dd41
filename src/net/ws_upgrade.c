/* The HTTP upgrade, written by hand on the way out and read by http-parser on the way in.
 *
 * The answer must prove that a WebSocket server read our request: 101, the two tokens, the hash of
 * our key, nothing negotiated that was not offered. Anything else ends the dial, with the status and
 * what Retry-After asks for handed on. */
#include "net/ws_upgrade.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/dial_inside.h"

#define REQUEST_MAX (64 * 1024)
#define LINE_MAX_OCTETS (16 * 1024)
#define ANSWER_MAX (64 * 1024)

static const ws_deflate wanted = {.on = true};

static weir_code put_headers(upgrade *u, const url *to, const http_header *list, size_t count, const char *user_agent, weir_error *err)
{
    bool agent = false;
    for (size_t i = 0; i < count; i++) {
        const http_header *h = &list[i];
        weir_code code = header_check(h, err);
        if (!code)
            code = headers_check_host(h, to, err);
        if (code)
            return code;
        if (name_is(h->name, "host") || header_is_connections(h->name))
            continue; /* the handshake's own */
        if (h->name.len >= 14 && strncasecmp(h->name.at, "sec-websocket-", 14) == 0)
            return error_set(err, WEIR_INVALID, "header '" BYTES_FMT "' belongs to the handshake and cannot be given%s", BYTES_ARG(h->name),
                             name_is(h->name, "sec-websocket-protocol") ? "; name the subprotocol instead" : "");
        agent |= name_is(h->name, "user-agent");
        buf_add_bytes(&u->request, h->name);
        buf_add_text(&u->request, ": ");
        buf_add_bytes(&u->request, h->value);
        buf_add_text(&u->request, "\r\n");
    }
    if (!agent)
        buf_add_fmt(&u->request, "User-Agent: %s\r\n", user_agent);
    return WEIR_OK;
}

weir_code upgrade_begin(upgrade *u, const url *to, const http_header *list, size_t count, bytes subprotocol, bool deflate, const char *user_agent, weir_error *err)
{
    memset(u, 0, sizeof *u);
    buf_init(&u->request, REQUEST_MAX);
    buf_init(&u->line, LINE_MAX_OCTETS);
    headers_init(&u->answer);
    http_parser_init(&u->parser, HTTP_RESPONSE);
    u->parser.data = u;
    u->offer_deflate = deflate;
    ws_make_key(u->key);
    http_header as_header = {BYTES("Sec-WebSocket-Protocol"), subprotocol};
    if (header_check(&as_header, NULL))
        return error_set(err, WEIR_INVALID, "the subprotocol '" BYTES_FMT "' holds control characters", BYTES_ARG(subprotocol));
    bool implied = to->port == (to->tls ? 443 : 80);
    buf_add_fmt(&u->request, "GET %.*s%s%.*s HTTP/1.1\r\nHost: %s", (int)to->path.len, to->path.at, to->has_query ? "?" : "",
                (int)to->query.len, to->query.at ? to->query.at : "", to->host);
    if (!implied)
        buf_add_fmt(&u->request, ":%u", to->port);
    buf_add_fmt(&u->request, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", u->key);
    if (subprotocol.len) {
        u->subprotocol = bytes_dup(subprotocol);
        buf_add_fmt(&u->request, "Sec-WebSocket-Protocol: %.*s\r\n", (int)subprotocol.len, subprotocol.at);
    }
    if (deflate) {
        buf_add_text(&u->request, "Sec-WebSocket-Extensions: ");
        ws_deflate_offer(&u->request, &wanted);
        buf_add_text(&u->request, "\r\n");
    }
    weir_code code = put_headers(u, to, list, count, user_agent, err);
    if (code)
        return code;
    buf_add_text(&u->request, "\r\n");
    if (u->request.failed || (subprotocol.len && !u->subprotocol))
        return error_set(err, WEIR_NOMEM, "WebSocket upgrade: the request is longer than %d octets, or memory is out", REQUEST_MAX);
    return WEIR_OK;
}

void upgrade_fini(upgrade *u)
{
    buf_fini(&u->request);
    buf_fini(&u->line);
    headers_fini(&u->answer);
    free(u->subprotocol);
    u->subprotocol = NULL;
}

/* ---- What http-parser reports ---- */

static int end_line(upgrade *u)
{
    if (u->line.len && !headers_add_line(&u->answer, buf_bytes(&u->line)))
        u->failed = true;
    if (u->line.failed || u->answer.text.len > ANSWER_MAX)
        u->failed = true;
    buf_clear(&u->line);
    u->in_value = false;
    return u->failed;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    upgrade *u = p->data;
    if (u->in_value && end_line(u))
        return 1;
    buf_add(&u->line, at, len);
    return u->line.failed;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    upgrade *u = p->data;
    if (!u->in_value)
        buf_add_char(&u->line, ':');
    u->in_value = true;
    buf_add(&u->line, at, len);
    return u->line.failed;
}

static int on_head(http_parser *p)
{
    upgrade *u = p->data;
    u->status = (uint16_t)p->status_code;
    u->complete = end_line(u) == 0;
    return u->complete ? 2 : -1; /* 2: what follows is no longer HTTP */
}

static const http_parser_settings settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

/* ---- Is it what we asked for? ---- */

/* Is `token` one of the values, separated by commas, of all headers of this name? */
static bool has_token(const headers *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->count; i++) {
        http_header one = headers_get(h, i);
        if (!bytes_is(one.name, name))
            continue;
        for (size_t at = 0; at < one.value.len;) {
            size_t start = at;
            while (at < one.value.len && one.value.at[at] != ',')
                at++;
            size_t end = at++;
            while (start < end && (one.value.at[start] == ' ' || one.value.at[start] == '\t'))
                start++;
            while (end > start && (one.value.at[end - 1] == ' ' || one.value.at[end - 1] == '\t'))
                end--;
            if (name_is(bytes_make(one.value.at + start, end - start), token))
                return true;
        }
    }
    return false;
}

/* Was it among those asked for ("a, b")? */
static bool asked_for(const upgrade *u, bytes chosen)
{
    const char *at = u->subprotocol;
    while (at && *at) {
        size_t n = strcspn(at, ", ");
        if (n == chosen.len && memcmp(at, chosen.at, n) == 0)
            return true;
        at += n + strspn(at + n, ", ");
    }
    return false;
}

static weir_code check_extensions(upgrade *u, weir_error *err)
{
    buf all;
    buf_init(&all, ANSWER_MAX);
    for (size_t i = 0; i < u->answer.count; i++) {
        http_header h = headers_get(&u->answer, i);
        if (!name_is(h.name, "sec-websocket-extensions"))
            continue;
        buf_add_text(&all, all.len ? ", " : "");
        buf_add_bytes(&all, h.value);
    }
    ws_deflate want = wanted;
    want.on = u->offer_deflate;
    weir_code code = all.failed ? error_set(err, WEIR_NOMEM, "WebSocket upgrade: out of memory") : ws_deflate_accept(&u->deflate, &want, all.len ? buf_bytes(&all) : BYTES(""), err);
    buf_fini(&all);
    return code;
}

static weir_code check(upgrade *u, weir_error *err)
{
    char accept[WS_ACCEPT_SIZE];
    if (u->status != 101) {
        u->retry_after_s = retry_after_read(headers_find(&u->answer, "Retry-After"));
        return error_set(err, WEIR_NETWORK, "the server answers the WebSocket upgrade with HTTP status %u%s", u->status,
                         u->status == 429 ? " (too many requests)" : "");
    }
    if (!has_token(&u->answer, "Upgrade", "websocket") || !has_token(&u->answer, "Connection", "upgrade"))
        return error_set(err, WEIR_NETWORK, "the server's answer to the upgrade does not switch to a WebSocket");
    ws_accept_key(accept, bytes_of(u->key));
    if (!bytes_is(headers_find(&u->answer, "Sec-Websocket-Accept"), accept))
        return error_set(err, WEIR_NETWORK, "the server's Sec-WebSocket-Accept is not the hash of our key; it is no WebSocket server, or a cache answered");
    u->chosen = headers_find(&u->answer, "Sec-Websocket-Protocol");
    if (u->chosen.len && !asked_for(u, u->chosen))
        return error_set(err, WEIR_NETWORK, "the server chose the subprotocol '" BYTES_FMT "', which was not asked for", BYTES_ARG(u->chosen));
    return check_extensions(u, err);
}

weir_code upgrade_read(upgrade *u, bytes piece, size_t *used, weir_error *err)
{
    *used = http_parser_execute(&u->parser, &settings, piece.at, piece.len);
    if (u->complete)
        return check(u, err);
    enum http_errno problem = HTTP_PARSER_ERRNO(&u->parser);
    if (u->failed || problem == HPE_HEADER_OVERFLOW)
        return error_set(err, WEIR_NETWORK, "the server's answer to the upgrade is too long");
    if (problem != HPE_OK)
        return error_set(err, WEIR_NETWORK, "the server's answer to the upgrade is no HTTP: %s", http_errno_description(problem));
    return WEIR_OK;
}
