/* Paths of any octets: what comes out of the checks is a path below its folder, or an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "extism/wasi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[WASI_PATH_SIZE];
    wasi_split s;
    if (wasi_path_text(bytes_make(data, size), path))
        return 0;
    if (strlen(path) != size || path[0] == '/' || size == 0)
        abort();
    if (wasi_path_split(path, &s))
        return 0;
    if (!s.name[0] || strchr(s.name, '/') || strcmp(s.name, ".") == 0 || strcmp(s.name, "..") == 0)
        abort();
    if (s.parent[0] == '/' || !s.parent[0])
        abort();
    return 0;
}
