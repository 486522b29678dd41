/* The folder of compiled files (ahead-of-time images), and the proof that one may be mapped.
 *
 * A compiled file is native code: whoever can put a file there runs code as us. So the folder must
 * be ours and writable by nobody else, and so must the file. What remains is accident: a torn
 * write, a bad disk, another engine, another CPU. For that each file ends in a seal that names its
 * key and the digest of its image; a file whose seal does not hold is compiled anew. SHA-256 of the
 * 7 MB image of a Go plugin costs 4 to 20 ms beside a compilation of seconds; a weaker sum would
 * save most of that, and is not worth thinking about.
 *
 *     <folder>/<key>.cwasm = image, then the seal
 *     key                  = SHA-256 of engine version, settings, CPU and the module's SHA-256 */
#ifndef ENGINE_AOT_H
#define ENGINE_AOT_H

#include "base/digest.h"
#include "base/error.h"

#define AOT_SEAL_SIZE 160 /* "weir image 1\n", size, digest and key as lower-case hex, zeroes */

typedef struct aot_seal {
    uint64_t image_size;
    char digest[DIGEST_HEX];
    char key[DIGEST_HEX];
} aot_seal;

/* False unless these are the last octets of a whole file of `file_size` octets. */
bool aot_seal_read(aot_seal *out, bytes tail, uint64_t file_size);
void aot_seal_write(char out[AOT_SEAL_SIZE], const aot_seal *seal);

void aot_key(char out[DIGEST_HEX], bytes wasm, const char *engine, const char *settings);

/* Opens the folder (making it if need be) for one look-up. -1: it cannot be used, and err says why. */
int aot_open_folder(const char *path, weir_error *err);

/* The file of `key`, checked as a whole and open for reading, or -1; err says why, with WEIR_NOT_FOUND
 * where there is none. */
int aot_open(int folder, const char *key, weir_error *err);

/* Writes the file of `key` and gives it its name when it is all there. */
weir_code aot_store(int folder, const char *key, bytes image, weir_error *err);

/* Removes the files that were used longest ago until the others take `keep` octets at most, and
 * what broken-off writers left. */
void aot_trim(int folder, uint64_t keep);

#endif
