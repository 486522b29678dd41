/* Recurses until the stack ends: `deep` uses the engine's stack, `wide` that of linear memory too. */
#include "weir_pdk.h"

static volatile bool enough; /* never set; the compiler cannot know */

__attribute__((noinline)) static uint32_t down(volatile uint32_t *n)
{
    *n = *n + 1;
    if (enough)
        return 0;
    return down(n) + *n; /* the addition keeps this from becoming a loop */
}

WEIR_EXPORT(deep)
{
    volatile uint32_t n = 0;
    return (int32_t)down(&n);
}

__attribute__((noinline)) static uint32_t sprawl(volatile char *above)
{
    volatile char here[1024];
    here[0] = above[0];
    if (enough)
        return 0;
    return sprawl(here) + (uint32_t)here[0];
}

WEIR_EXPORT(wide)
{
    volatile char first[1] = {1};
    return (int32_t)sprawl(first);
}
