/* Digests by OpenSSL. They can fail only where memory has run out for a few
 * octets; there is no sensible way on without a digest, so that aborts. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define SHA256_OCTETS 32

static const char *or_empty(bytes b)
{
    return b.at ? b.at : "";
}

static void put_hex(char out[DIGEST_HEX],
                    const unsigned char raw[SHA256_OCTETS])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_OCTETS; i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[2 * SHA256_OCTETS] = '\0';
}

void digest_sha256(char out[DIGEST_HEX], bytes data)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(or_empty(data), data.len, raw, &len, EVP_sha256(), NULL) ||
        len != SHA256_OCTETS)
        abort();
    put_hex(out, raw);
}

void digest_hmac_sha256(char out[DIGEST_HEX], bytes key, bytes data)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (key.len > INT32_MAX ||
        !HMAC(EVP_sha256(), or_empty(key), (int)key.len,
              (const unsigned char *)or_empty(data), data.len, raw, &len) ||
        len != SHA256_OCTETS)
        abort();
    put_hex(out, raw);
}

void digest_sha1(unsigned char out[20], bytes data)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(or_empty(data), data.len, raw, &len, EVP_sha1(), NULL) ||
        len != 20)
        abort();
    memcpy(out, raw, 20);
}
