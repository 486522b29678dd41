/* http_client.h: one HTTP request on the loop (libcurl multi: keep-alive, HTTP/2, gzip).
 *
 * Redirects are followed here, hop by hop, so that each is checked against the target list. Every
 * request ends in its callback exactly once, cancelled or not, and never inside http_start. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/http_header.h"
#include "net/dial.h"

typedef struct http_call http_call;

/* May this hop be made? Decides instead of the targets, for Extism's allowed_hosts; overrides of origins
 * and what the targets say of addresses still hold. NULL: the targets decide. */
typedef weir_code (*http_hop_check)(void *arg, bytes url, weir_error *err);

typedef struct http_request {
    bytes method; /* "GET"; any case, sent in upper */
    bytes url;
    const http_header *headers; /* copied; names in any case, a repeated name is sent once */
    size_t header_count;
    bytes body;
    const targets *targets; /* outlives the call; NULL: no URL check (a trusted caller) but addresses are still checked */
    http_hop_check check;
    void *check_arg;
    uint32_t timeout_ms;    /* whole exchange; 0: 30,000 */
    uint64_t max_body;      /* after decoding; 0: 50 MiB */
    uint32_t max_redirects; /* 0: 10 */
} http_request;

typedef struct http_response {
    weir_error error; /* code != 0: no reply was obtained; nothing below holds */
    uint16_t status;
    const http_header *headers; /* canonical case ("Content-Type"), in order, doubles kept */
    size_t header_count;
    bytes body;
    bytes url; /* after redirects */
} http_response;

/* All of `request` but its targets is copied; on_done comes later, the response is lent to it. What can
 * be refused without asking anybody (the URL, a header) is refused here, and on_done does not come.
 * Of the headers, those that belong to the connection (Host if it is the URL's own, Content-Length,
 * Connection, Transfer-Encoding ...) are left out: they are this side's business. A redirect keeps
 * method and body on 307 and 308; 303, and 301 and 302 of a POST, become GET; credentials go along
 * only within the origin. Content-Encoding is undone and not among the response's headers. */
weir_code http_start(http_call **out, dialer *d, const http_request *request,
                     void (*on_done)(void *arg, const http_response *response), void *arg, weir_error *err);
/* on_done comes with WEIR_CANCELLED, before this returns. Not for a call whose on_done has begun. */
void http_cancel(http_call *c);

#endif
