/* target_url.h: a URL taken apart and put into one spelling, so that two that mean the same compare
 * equal and what was checked is, octet for octet, what is dialled. */
#ifndef NET_TARGET_URL_H
#define NET_TARGET_URL_H

#include "base/buf.h"

#define URL_MAX 16384

typedef struct url {
    char scheme[6]; /* "http", "https", "ws", "wss" */
    char host[256]; /* lower case, punycode, no dot at the end; IPv4 as four decimals, IPv6 in brackets */
    uint16_t port;  /* the scheme's own if none was given */
    bool tls;
    bool websocket;
    bool has_query;
    buf path;  /* starts with '/', no dot segments, unreserved characters decoded */
    buf query; /* behind '?', as it was */
} url;

/* Reads an absolute URL; the fragment is dropped. WEIR_INVALID: no URL; WEIR_REFUSED: user-info,
 * another scheme, a path that climbs. On failure there is nothing to free. */
weir_code url_read(url *u, bytes text, weir_error *err);
void url_fini(url *u);

void url_put_origin(const url *u, buf *out); /* scheme://host[:port], the port unless implied */
void url_put(const url *u, buf *out);        /* all of it */
bool url_same_origin(const url *a, const url *b);

#endif
