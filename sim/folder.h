/* folder.h: where a simulated venue keeps its throw-away certificate. */
#ifndef SIM_FOLDER_H
#define SIM_FOLDER_H

#include "base/error.h"

#include <stdbool.h>

typedef struct cert_folder {
    char path[512], ca[560], cert[560], key[560];
    bool own; /* temporary: removed by cert_folder_remove */
} cert_folder;

/* `path` NULL: a new folder in TMPDIR. The certificate is for loopback and the venues' names. */
weir_code cert_folder_make(cert_folder *out, const char *path, weir_error *err);
void cert_folder_remove(cert_folder *f); /* one that was never made is fine */

#endif
