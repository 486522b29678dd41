/* Returns its input: the shortest way through input, memory and output. */
#include "weir_pdk.h"

WEIR_EXPORT(echo)
{
    weir_output(weir_input());
    return 0;
}
