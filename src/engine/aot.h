/* The folder of compiled files (ahead-of-time images), and the proof that one may be mapped.
 *
 * A compiled file is native code: whoever can put a file there runs code as us. So the folder must
 * be ours and writable by nobody else, and so must the file. What remains is accident: a torn
 * write, a bad disk, another engine, another CPU. For that each file ends in a seal that names its
 * key and a sum of its image; a file whose seal does not hold is compiled anew. The sum is one that
 * finds accidents (XXH3, 128 bits: 0.4 ms for the 7 MB of a Go plugin, where SHA-256 takes 5). Against
 * somebody who can write there no sum would help, since the seal lies beside what it seals. The key is
 * another matter: modules come from strangers, and none may pass for another, so it is SHA-256.
 *
 *     <folder>/<key>.cwasm = image, then the seal
 *     key                  = SHA-256 of engine version, settings, CPU and the module's digest (digest_leaves) */
#ifndef ENGINE_AOT_H
#define ENGINE_AOT_H

#include "base/checksum.h"
#include "base/digest.h"
#include "base/error.h"

#define AOT_SEAL_SIZE 160 /* "weir image 2\n", size, sum, key and facts as lower-case hex, zeroes */

/* What is asked of a module's own octets, so that they need not be there. */
typedef struct aot_facts {
    uint64_t wasm_size;
    bool has_start;
} aot_facts;

typedef struct aot_seal {
    uint64_t image_size;
    char sum[CHECKSUM_HEX];
    char key[DIGEST_HEX];
    aot_facts facts;
} aot_seal;

/* False unless these are the last octets of a whole file of `file_size` octets. */
bool aot_seal_read(aot_seal *out, bytes tail, uint64_t file_size);
void aot_seal_write(char out[AOT_SEAL_SIZE], const aot_seal *seal);

/* `module` is the digest of its octets. */
void aot_key(char out[DIGEST_HEX], const char module[DIGEST_HEX], const char *engine, const char *settings);

/* Opens the folder (making it if need be) for one look-up. -1: it cannot be used, and err says why. */
int aot_open_folder(const char *path, weir_error *err);

/* The file of `key`, checked as a whole and open for reading, or -1; err says why, with WEIR_NOT_FOUND
 * where there is none. */
int aot_open(int folder, const char *key, aot_facts *facts, weir_error *err);

/* Writes the file of `key` and gives it its name when it is all there. */
weir_code aot_store(int folder, const char *key, bytes image, aot_facts facts, weir_error *err);

/* Removes the files that were used longest ago until the others take `keep` octets at most, and
 * what broken-off writers left. */
void aot_trim(int folder, uint64_t keep);

#endif
