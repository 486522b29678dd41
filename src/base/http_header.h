/* http_header.h: one header of a request or a reply. The octets are lent. */
#ifndef BASE_HTTP_HEADER_H
#define BASE_HTTP_HEADER_H

#include "base/bytes.h"

typedef struct http_header {
    bytes name, value;
} http_header;

#endif
