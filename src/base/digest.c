#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

static void hex(char *out, const unsigned char *at, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digit[at[i] >> 4];
        *out++ = digit[at[i] & 15];
    }
    *out = '\0';
}

void digest_sha256(char out[DIGEST_HEX], bytes data)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(data.at ? data.at : ""), data.len, sum);
    hex(out, sum, sizeof sum);
}

void digest_hmac_sha256(char out[DIGEST_HEX], bytes key, bytes data)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(EVP_sha256(), key.at ? key.at : "", (int)key.len, (const unsigned char *)(data.at ? data.at : ""), data.len, sum, &len);
    hex(out, sum, len);
}

void digest_sha1(unsigned char out[20], bytes data)
{
    SHA1((const unsigned char *)data.at, data.len, out);
}
