/* Manifests of any octets: read or refused with a text, never more. */
#include <stdlib.h>

#include "extism/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    manifest *m = NULL;
    if (manifest_read(&m, bytes_make(data, size), &err)) {
        if (!err.text[0] || m)
            abort();
        return 0;
    }
    if (m->module_count == 0 || manifest_main(m) >= m->module_count)
        abort();
    manifest_allows_host(m, bytes_make(data, size < 300 ? size : 300));
    for (size_t i = 0; i < m->module_count; i++)
        if (!m->modules[i].path) /* the input must not choose files to read */
            manifest_load(m, i, &err);
    manifest_free(m);
    return 0;
}
