/* Digests by OpenSSL. SHA-256 by its plain functions, which need nothing set up: the others read the system's settings and
 * load OpenSSL's providers first, once a process, and a program that starts only to ask one plugin waits for that. */
#define OPENSSL_SUPPRESS_DEPRECATED /* since 3.0 the plain functions are not for new code, but there to stay */

#include "base/digest.h"

#include <openssl/sha.h>

void digest_hex(char out[DIGEST_HEX], const unsigned char raw[DIGEST_OCTETS])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_OCTETS; i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[2 * DIGEST_OCTETS] = '\0';
}

void digest_sha256(char out[DIGEST_HEX], bytes data)
{
    unsigned char raw[DIGEST_OCTETS];
    SHA256_CTX sum;
    SHA256_Init(&sum);
    SHA256_Update(&sum, data.at ? data.at : "", data.len);
    SHA256_Final(raw, &sum);
    digest_hex(out, raw);
}
