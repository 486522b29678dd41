/* Feeds the WebSocket codec anything: the first octets choose role, compression, limits and how the
 * owner behaves, the next how the rest is cut into reads; the rest is the socket. Whatever comes, text
 * must be UTF-8, messages within their limit, memory bounded, and our own output well-formed, which a
 * codec of the other role checks. Every second input is also a handshake header. */
#include <stdlib.h>

#include "net/ws.h"

#define MAX_MESSAGE 70000

typedef struct owner {
    ws *w;
    unsigned refuse; /* every n-th message once; 0: never */
    unsigned count;
    bool refused, peer, ended;
} owner;

static bool on_message(void *arg, bool binary, bytes message)
{
    owner *o = arg;
    if (message.len > MAX_MESSAGE || (!binary && !bytes_utf8(message)) || o->ended)
        abort();
    if (o->refuse && !o->refused && ++o->count % o->refuse == 0) {
        o->refused = true;
        return false;
    }
    o->refused = false;
    if (!o->peer)
        ws_send(o->w, binary, message); /* echo */
    return true;
}

static void on_control(void *arg, ws_opcode opcode, bytes payload)
{
    owner *o = arg;
    if (payload.len > 125 || (opcode != WS_OP_PING && opcode != WS_OP_PONG) || o->ended)
        abort();
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    owner *o = arg;
    if (code < 1000 || !bytes_utf8(reason) || o->ended)
        abort();
    o->ended = true;
}

static void on_fail(void *arg, uint16_t code, const char *why)
{
    owner *o = arg;
    if (!code || !why || o->ended || o->peer)
        abort(); /* what we send must please a peer */
    o->ended = true;
}

static const ws_events events = {on_message, on_control, on_close, on_fail};

static void handshake(const uint8_t *data, size_t size)
{
    ws_deflate got, wish = {true, (uint8_t)(8 + size % 8), 15, size & 1, size & 2};
    buf out;
    buf_init(&out, 4096);
    weir_error err = WEIR_ERROR_INIT;
    bytes header = bytes_make(data, size);
    char accept[WS_ACCEPT_SIZE];
    if (ws_deflate_choose(&got, &out, &wish, header)) {
        /* A client that offered as much accepts our answer. */
        ws_deflate agreed, any = {.on = true};
        if (got.server_bits < 8 || got.server_bits > 15 || got.client_bits < 8 || got.client_bits > 15 ||
            ws_deflate_accept(&agreed, &any, buf_bytes(&out), &err) || agreed.server_bits != got.server_bits)
            abort();
    }
    ws_deflate_accept(&got, &wish, header, &err);
    ws_key_valid(header);
    ws_accept_key(accept, header);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint8_t how = data[0], window = data[1], cut = data[2], refuse = data[3];
    data += 4;
    size -= 4;
    if (how & 0x80) {
        handshake(data, size);
        return 0;
    }
    owner o = {.refuse = refuse % 4}, peer = {.peer = true};
    ws_options options = {
        .role = how & 1 ? WS_SERVER : WS_CLIENT,
        .max_message = how & 8 ? 100 : MAX_MESSAGE,
        .max_fragments = how & 16 ? 4 : 0,
        .deflate_min = 1,
        .deflate = {how & 2, (uint8_t)(8 + (window & 7)), (uint8_t)(8 + (window >> 3 & 7)), window & 64, window & 128},
    };
    weir_error err;
    if (ws_new(&o.w, &options, &events, &o, &err))
        abort();
    options.role = options.role == WS_SERVER ? WS_CLIENT : WS_SERVER;
    if (ws_new(&peer.w, &options, &events, &peer, &err))
        abort();
    for (size_t at = 0, n; at < size; at += n) {
        n = cut ? cut % 61 + at % 7 + 1 : size;
        if (n > size - at)
            n = size - at;
        weir_code code = ws_feed(o.w, bytes_make(data + at, n));
        while (code == WEIR_BUSY)
            code = ws_resume(o.w);
        if (at % 3 == 0)
            ws_trim(o.w);
        bytes out = ws_output(o.w);
        ws_feed(peer.w, out);
        ws_output_consume(o.w, out.len);
        if (ws_memory(o.w) > (8u << 20))
            abort();
    }
    ws_free(o.w);
    ws_free(peer.w);
    return 0;
}
