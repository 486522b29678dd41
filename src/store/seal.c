/* Secrets at rest: XChaCha20-Poly1305 under the node's key, with a nonce of chance for each.
 *
 * Bound to the kind and id of their thing, so that a row copied to another thing does not open there. The form in front lets
 * another way follow one day. */
#include "store/inside.h"

#include <sodium.h>

#define FORM 1
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(SEAL_EXTRA == 1 + NONCE + TAG, "what a sealed secret is longer by");
_Static_assert(STORE_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the key's length");

/* What it is bound to, hashed: names may be long. The kind's NUL keeps "ab","c" and "a","bc" apart. */
static void bound_to(unsigned char out[crypto_generichash_BYTES], const char *kind, const char *id)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)"weir secret 1", 14);
    crypto_generichash_update(&state, (const unsigned char *)kind, strlen(kind) + 1);
    crypto_generichash_update(&state, (const unsigned char *)id, strlen(id) + 1);
    crypto_generichash_final(&state, out, crypto_generichash_BYTES);
}

void seal(const unsigned char key[STORE_KEY], const char *kind, const char *id, bytes secret, char *out)
{
    unsigned char bound[crypto_generichash_BYTES], *at = (unsigned char *)out;

    bound_to(bound, kind, id);
    at[0] = FORM;
    randombytes_buf(at + 1, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(at + 1 + NONCE, NULL, (const unsigned char *)secret.at, secret.len, bound, sizeof bound, NULL, at + 1, key);
}

bool unseal(const unsigned char key[STORE_KEY], const char *kind, const char *id, bytes sealed, char *out, size_t *len)
{
    unsigned char bound[crypto_generichash_BYTES];
    const unsigned char *at = (const unsigned char *)sealed.at;
    unsigned long long opened = 0;

    if (sealed.len < SEAL_EXTRA || at[0] != FORM)
        return false;
    bound_to(bound, kind, id);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)out, &opened, NULL, at + 1 + NONCE, sealed.len - 1 - NONCE, bound, sizeof bound, at + 1, key))
        return false;
    *len = (size_t)opened;
    return true;
}
