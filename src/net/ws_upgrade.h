/* ws_upgrade.h: the client's side of the HTTP upgrade: the request it sends, the answer it accepts. */
#ifndef NET_WS_UPGRADE_H
#define NET_WS_UPGRADE_H

#include <http_parser.h>

#include "net/http_headers.h"
#include "net/ws.h"

typedef struct upgrade {
    buf request; /* to be sent */
    char key[WS_KEY_SIZE];
    char *subprotocol; /* asked for; NULL: none */
    bool offer_deflate;
    http_parser parser;
    headers answer;
    buf line; /* the header under way */
    bool in_value, complete, failed;
    ws_deflate deflate; /* as agreed */
    uint16_t status;
    uint32_t retry_after_s;
    bytes chosen; /* subprotocol of the answer, inside `answer` */
} upgrade;

/* Writes the request for `to`. WEIR_INVALID: a header that is none, or that belongs to the handshake. */
weir_code upgrade_begin(upgrade *u, const url *to, const http_header *list, size_t count, bytes subprotocol, bool deflate, const char *user_agent, weir_error *err);
void upgrade_fini(upgrade *u);

/* Takes a piece of the answer. `used` says how much of it was the head; `u->complete` is set when it has
 * all come, and then WEIR_OK means that it is a WebSocket's. WEIR_NETWORK says why not. */
weir_code upgrade_read(upgrade *u, bytes piece, size_t *used, weir_error *err);

#endif
