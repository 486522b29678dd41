/* dial_inside.h: what the dialler gives to http_client.c and ws_client.c, and nobody else. */
#ifndef NET_DIAL_INSIDE_H
#define NET_DIAL_INSIDE_H

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "net/ban.h"
#include "net/http_client.h"
#include "net/target_url.h"

/* Where one dial goes: filled by dial_prepare, used by libcurl's callbacks, so it lives as long as
 * the easy handle does. */
typedef struct dial_where {
    buf text;               /* the URL dialled: after overrides, ws as http, NUL-terminated */
    url to;                 /* the same, taken apart */
    const targets *allowed; /* may be NULL; must outlive the dial */
    bool unchecked;         /* overridden by the user: its address may be anything */
    char *proxy;            /* NULL: none */
    weir_error refused;     /* why an address was not tried */
} dial_where;

/* One transfer on the dialler's multi handle. `done` comes once, from the loop. */
typedef struct dial_transfer {
    CURL *easy;
    dialer *owner;
    dial_where where;
    char words[CURL_ERROR_SIZE];
    void (*done)(void *arg, CURLcode result);
    void *arg;
} dial_transfer;

loop *dial_loop(dialer *d);
SSL_CTX *dial_tls(dialer *d); /* for clients: trust, TLS 1.2 and later, small idle buffers */
bans *dial_bans(dialer *d); /* what origins said of coming back */
uint32_t dial_connect_ms(const dialer *d);
const char *dial_user_agent(const dialer *d);

/* Makes an easy handle for `where` (URL already checked by the caller) with all that every dial has in
 * common. Options may be added before dial_start. dial_stop forgets it at any time. */
weir_code dial_prepare(dial_transfer *t, dialer *d, bytes url_text, const targets *allowed, weir_error *err);
weir_code dial_start(dial_transfer *t, void (*done)(void *arg, CURLcode result), void *arg, weir_error *err);
void dial_stop(dial_transfer *t); /* fine on a zeroed or stopped one */

/* What a failed transfer says to a person. */
weir_code dial_failed(const dial_transfer *t, CURLcode result, weir_error *err);

/* May these go into a request head? Names: RFC 9110 tokens; values: no control characters but tab. */
weir_code header_check(const http_header *h, weir_error *err);

#endif
