/* What a plugin says of itself: any octets are a meta or an error with a text. */
#include <stdlib.h>

#include "plugin/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    meta *m = NULL;
    if (meta_read(&m, bytes_make(data, size), &err) ? !*err.text || m : !*m->plugin_id || !*m->version)
        abort();
    meta_free(m);
    return 0;
}
