/* Standard base64 with padding (RFC 4648 section 4). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

void base64_encode(buf *out, bytes data);

/* WEIR_INVALID for anything but canonical text: other characters, wrong length, stray bits. */
weir_code base64_decode(buf *out, bytes text, weir_error *err);

#endif
