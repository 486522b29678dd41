/* HMAC and SHA-1 by OpenSSL's providers. They can fail only where memory has run out for a few
 * octets; there is no sensible way on without a digest, so that aborts. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/digest.h"

static const char *or_empty(bytes b)
{
    return b.at ? b.at : "";
}

void digest_hmac_sha256(char out[DIGEST_HEX], bytes key, bytes data)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (key.len > INT32_MAX ||
        !HMAC(EVP_sha256(), or_empty(key), (int)key.len,
              (const unsigned char *)or_empty(data), data.len, raw, &len) ||
        len != DIGEST_OCTETS)
        abort();
    digest_hex(out, raw);
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
