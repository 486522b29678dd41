/* An export that does nothing and returns 0: what a call costs. `one` fails without saying why, `none`
 * has no result at all, `pick` has a parameter and so cannot be called. */
#include "weir_pdk.h"

WEIR_EXPORT(zero)
{
    return 0;
}

WEIR_EXPORT(one)
{
    return 1;
}

void none(void);
WEIR_EXPORT_AS(none)
void none(void)
{
}

int32_t pick(int32_t n);
WEIR_EXPORT_AS(pick)
int32_t pick(int32_t n)
{
    return n;
}
