/* Octets as the end of a compiled file, and as a module: a seal that is read writes itself back, and
 * the walk over sections stays inside. */
#include "engine/aot.h"
#include "engine/inside.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aot_seal seal;
    char again[AOT_SEAL_SIZE];
    weir_error err = WEIR_ERROR_INIT;
    bool has_start;
    size_t tail = size < AOT_SEAL_SIZE ? size : AOT_SEAL_SIZE;
    bytes end = bytes_make(data + size - tail, tail);
    if (aot_seal_read(&seal, end, size)) {
        aot_seal_write(again, &seal);
        if (seal.image_size != size - AOT_SEAL_SIZE || memcmp(again, end.at, AOT_SEAL_SIZE) != 0)
            abort();
    }
    if (wasm_check(bytes_make(data, size), &has_start, &err) && !*err.text)
        abort();
    module_size m = module_measure(bytes_make(data, size));
    if (m.longest > m.code || m.code > size)
        abort();
    wasm_is_text(bytes_make(data, size));
    return 0;
}
