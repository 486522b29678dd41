/* Traps in _initialize, before any export runs. */
#include "weir_pdk.h"

__attribute__((constructor)) static void begin(void)
{
    __builtin_trap();
}

WEIR_EXPORT(meta)
{
    return 0;
}
