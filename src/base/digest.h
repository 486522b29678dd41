/* SHA-256 as lower-case hex, and HMAC-SHA256 (OpenSSL behind it). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/bytes.h"

#define DIGEST_OCTETS 32
#define DIGEST_HEX 65 /* 64 digits and a NUL */
void digest_hex(char out[DIGEST_HEX], const unsigned char raw[DIGEST_OCTETS]);
void digest_sha256(char out[DIGEST_HEX], bytes data);
void digest_hmac_sha256(char out[DIGEST_HEX], bytes key, bytes data);
void digest_sha1(unsigned char out[20], bytes data); /* for the WebSocket handshake only */

/* A digest of our own, as strong, which more than one processor makes where there is more than a MiB or so (digest_leaves.c): of
 * `data`, or of the first `size` octets of a file, which gives the same. False: they cannot be read. */
void digest_leaves(char out[DIGEST_HEX], bytes data);
bool digest_leaves_file(char out[DIGEST_HEX], int fd, uint64_t size);

#endif
