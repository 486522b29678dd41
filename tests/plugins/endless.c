/* Never returns: `spin` without any host call, `babble` with one in each round. */
#include "weir_pdk.h"

WEIR_EXPORT(spin)
{
    volatile uint32_t n = 0;
    for (;;)
        n = n + 1;
    return 0;
}

WEIR_EXPORT(babble)
{
    volatile uint64_t n = 0;
    for (;;)
        n = n + weir_env_input_length();
    return 0;
}
