/* Allocates exchange memory and never frees it: `many` blocks of 64 KiB, `one` block of the size that
 * the input names, `tiny` blocks without end. */
#include "weir_pdk.h"

WEIR_EXPORT(many)
{
    while (weir_env_alloc(65536))
        ;
    weir_error("no more blocks");
    return 1;
}

WEIR_EXPORT(one)
{
    uint64_t size = 0;
    weir_json_u64(weir_input(), &size);
    return weir_env_alloc(size) ? 0 : 1;
}

WEIR_EXPORT(tiny)
{
    while (weir_env_alloc(1))
        ;
    return 1;
}
