/* http_headers.h: header lists of one exchange. */
#ifndef NET_HTTP_HEADERS_H
#define NET_HTTP_HEADERS_H

#include "net/http_client.h"
#include "net/target_url.h"

typedef struct header_place {
    size_t start, name_len, value_len; /* in headers.text: the name, then the value */
} header_place;

typedef struct headers {
    buf text;
    header_place *at;
    size_t count;
} headers;

void headers_init(headers *h);
void headers_fini(headers *h);
void headers_clear(headers *h);
/* One line of a head, with or without its end; what is no header is passed over. False: the head is
 * too long or memory is out. */
bool headers_add_line(headers *h, bytes line);
http_header headers_get(const headers *h, size_t i);         /* its name in canonical case */
bytes headers_find(const headers *h, const char *canonical); /* the first; empty if there is none */

bool name_is(bytes name, const char *text); /* in any case */
bool header_is_connections(bytes name);     /* set by whoever speaks on the wire, not by the requester */
bool header_is_credential(bytes name);      /* stays within one origin */
/* WEIR_REFUSED for a Host header that names another host than the URL. */
weir_code headers_check_host(const http_header *h, const url *to, weir_error *err);

#endif
