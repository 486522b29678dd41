/* The handshake's helpers (end of ws.h): keys, and the negotiation of permessage-deflate.
 *
 * A Sec-WebSocket-Extensions value is a list: name *( ";" parameter [ "=" token-or-quoted ] ) with
 * commas between. One walker reads it for both sides; an element with anything wrong in it is a
 * refused answer for a client and an offer passed over for a server. */
#include "base/base64.h"
#include "base/digest.h"
#include "base/rand.h"
#include "net/ws_inside.h"

void ws_make_key(char out[WS_KEY_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char r[22];
    rand_bytes(r, sizeof r);
    for (size_t i = 0; i < 22; i++)
        out[i] = digits[r[i] & (i == 21 ? 48 : 63)]; /* 16 octets: the last digit has two bits of them */
    memcpy(out + 22, "==", 3);
}

bool ws_key_valid(bytes key)
{
    buf raw;
    buf_init(&raw, 64);
    bool valid = key.len == WS_KEY_SIZE - 1 && base64_decode(&raw, key, NULL) == WEIR_OK && raw.len == 16;
    buf_fini(&raw);
    return valid;
}

void ws_accept_key(char out[WS_ACCEPT_SIZE], bytes key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    char text[128 + sizeof guid];
    unsigned char sum[21];
    size_t len = key.len < 128 ? key.len : 128;
    if (len)
        memcpy(text, key.at, len);
    memcpy(text + len, guid, sizeof guid - 1);
    digest_sha1(sum, bytes_make(text, len + sizeof guid - 1));
    sum[20] = 0;
    for (size_t i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)sum[3 * i] << 16 | (uint32_t)sum[3 * i + 1] << 8 | sum[3 * i + 2];
        for (size_t k = 0; k < 4; k++)
            out[4 * i + k] = digits[three >> (18 - 6 * k) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

/* ---- Reading the header ---- */

typedef struct walker {
    const char *at, *end;
} walker;

static void skip_blanks(walker *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\t'))
        w->at++;
}

static bool skip_char(walker *w, char c)
{
    skip_blanks(w);
    if (w->at == w->end || *w->at != c)
        return false;
    w->at++;
    return true;
}

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool token(walker *w, bytes *out)
{
    skip_blanks(w);
    const char *from = w->at;
    while (w->at < w->end && is_token(*w->at))
        w->at++;
    *out = bytes_make(from, (size_t)(w->at - from));
    return out->len > 0;
}

/* A parameter's value; quoted ones must be tokens inside the quotes (RFC 6455 9.1). */
static bool value(walker *w, bytes *out)
{
    if (!skip_char(w, '"'))
        return token(w, out);
    return token(w, out) && w->at < w->end && *w->at++ == '"';
}

/* One element of the list as permessage-deflate sees it. */
typedef struct element {
    bytes name;
    bool sound; /* its parameters are known, have fit values and come once */
    bool server_fresh, client_fresh;
    bool has_server_bits, has_client_bits;
    uint8_t server_bits, client_bits; /* client_bits 0: named without a value */
} element;

static bool bits(bytes text, uint8_t *out)
{
    if (text.len == 1 && text.at[0] >= '8' && text.at[0] <= '9')
        *out = (uint8_t)(text.at[0] - '0');
    else if (text.len == 2 && text.at[0] == '1' && text.at[1] >= '0' && text.at[1] <= '5')
        *out = (uint8_t)(10 + text.at[1] - '0');
    else
        return false;
    return true;
}

/* Sets what the parameter says; false if it is unknown, doubled or has an unfit value. */
static bool take_parameter(element *e, bytes name, bool valued, bytes text)
{
    bool *flag = bytes_is(name, "server_no_context_takeover")   ? &e->server_fresh
                 : bytes_is(name, "client_no_context_takeover") ? &e->client_fresh
                 : bytes_is(name, "server_max_window_bits")     ? &e->has_server_bits
                 : bytes_is(name, "client_max_window_bits")     ? &e->has_client_bits
                                                                : NULL;
    if (!flag || *flag)
        return false;
    *flag = true;
    if (flag == &e->has_server_bits)
        return valued && bits(text, &e->server_bits);
    if (flag == &e->has_client_bits)
        return !valued || bits(text, &e->client_bits);
    return !valued;
}

/* Reads the next element; false at the end or where the list cannot be read on (then at < end). */
static bool next_element(walker *w, element *e)
{
    *e = (element){.sound = true};
    while (skip_char(w, ','))
        ;
    if (!token(w, &e->name))
        return false;
    while (skip_char(w, ';')) {
        bytes name, text = {0};
        bool valued = false;
        if (!token(w, &name) || ((valued = skip_char(w, '=')) && !value(w, &text)))
            return false;
        if (!take_parameter(e, name, valued, text))
            e->sound = false;
    }
    skip_blanks(w);
    return w->at == w->end || *w->at == ',';
}

/* ---- Negotiating ---- */

static uint8_t wide(uint8_t b)
{
    return b < 8 || b > 15 ? 15 : b;
}

static void put_bits(buf *out, const char *name, uint8_t b)
{
    buf_add_fmt(out, "; %s=%u", name, b);
}

void ws_deflate_offer(buf *out, const ws_deflate *want)
{
    if (!want->on)
        return;
    buf_add_text(out, "permessage-deflate");
    if (want->server_fresh)
        buf_add_text(out, "; server_no_context_takeover");
    if (want->client_fresh)
        buf_add_text(out, "; client_no_context_takeover");
    if (wide(want->server_bits) < 15)
        put_bits(out, "server_max_window_bits", want->server_bits);
    if (wide(want->client_bits) < 15)
        put_bits(out, "client_max_window_bits", want->client_bits);
    else
        buf_add_text(out, "; client_max_window_bits");
}

weir_code ws_deflate_accept(ws_deflate *out, const ws_deflate *want, bytes answer, weir_error *err)
{
    walker w = {answer.at, answer.at + answer.len};
    element e, more;
    *out = (ws_deflate){0};
    if (!next_element(&w, &e)) {
        if (w.at == w.end && !e.name.len)
            return WEIR_OK;
        return error_set(err, WEIR_NETWORK, "Sec-WebSocket-Extensions '" BYTES_FMT "': cannot be read", BYTES_ARG(answer));
    }
    if (!want->on || !bytes_is(e.name, "permessage-deflate"))
        return error_set(err, WEIR_NETWORK, "Sec-WebSocket-Extensions: the server answers '" BYTES_FMT "', which was not offered",
                         BYTES_ARG(e.name));
    if (next_element(&w, &more) || w.at != w.end)
        return error_set(err, WEIR_NETWORK, "Sec-WebSocket-Extensions '" BYTES_FMT "': more than one answer to one offer",
                         BYTES_ARG(answer));
    const char *fault = !e.sound                                                       ? "a parameter is unknown, doubled or has an unfit value"
                        : want->server_fresh && !e.server_fresh                        ? "server_no_context_takeover was asked for"
                        : wide(want->server_bits) < 15 && !e.has_server_bits           ? "server_max_window_bits was asked for"
                        : e.has_server_bits && e.server_bits > wide(want->server_bits) ? "server_max_window_bits is larger than asked for"
                        : e.has_client_bits && !e.client_bits                          ? "client_max_window_bits has no value"
                        : e.has_client_bits && e.client_bits > wide(want->client_bits) ? "client_max_window_bits is larger than offered"
                                                                                       : NULL;
    if (fault)
        return error_set(err, WEIR_NETWORK, "Sec-WebSocket-Extensions '" BYTES_FMT "': %s", BYTES_ARG(answer), fault);
    out->on = true;
    out->server_bits = e.has_server_bits ? e.server_bits : 15;
    out->client_bits = e.has_client_bits ? e.client_bits : wide(want->client_bits);
    out->server_fresh = e.server_fresh;
    out->client_fresh = e.client_fresh || want->client_fresh;
    return WEIR_OK;
}

bool ws_deflate_choose(ws_deflate *out, buf *answer, const ws_deflate *policy, bytes offers)
{
    walker w = {offers.at, offers.at + offers.len};
    element e;
    *out = (ws_deflate){0};
    if (!policy->on)
        return false;
    do {
        if (!next_element(&w, &e))
            return false;
    } while (!e.sound || !bytes_is(e.name, "permessage-deflate"));

    uint8_t asked = e.has_server_bits ? e.server_bits : 15, own = wide(policy->server_bits);
    uint8_t theirs = wide(e.client_bits), allowed = wide(policy->client_bits);
    out->on = true;
    out->server_bits = asked < own ? asked : own;
    out->client_bits = !e.has_client_bits ? 15 : theirs < allowed ? theirs
                                                                  : allowed;
    out->server_fresh = e.server_fresh || policy->server_fresh;
    out->client_fresh = e.client_fresh || policy->client_fresh;
    buf_add_text(answer, "permessage-deflate");
    if (out->server_fresh)
        buf_add_text(answer, "; server_no_context_takeover");
    if (out->client_fresh)
        buf_add_text(answer, "; client_no_context_takeover");
    if (e.has_server_bits || out->server_bits < 15)
        put_bits(answer, "server_max_window_bits", out->server_bits);
    if (e.has_client_bits && (e.client_bits || out->client_bits < 15))
        put_bits(answer, "client_max_window_bits", out->client_bits);
    return true;
}
