/* SHA-256 as lower-case hex, and HMAC-SHA256 (OpenSSL behind it). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/bytes.h"

#define DIGEST_HEX 65 /* 64 digits and a NUL */
void digest_sha256(char out[DIGEST_HEX], bytes data);
void digest_hmac_sha256(char out[DIGEST_HEX], bytes key, bytes data);
void digest_sha1(unsigned char out[20], bytes data); /* for the WebSocket handshake only */

#endif
