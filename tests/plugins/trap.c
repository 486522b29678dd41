/* Three ways to trap, each two functions deep so that the backtrace has names. */
#include "weir_pdk.h"

__attribute__((noinline)) static void innermost(void)
{
    __builtin_trap();
}

WEIR_EXPORT(unreachable)
{
    innermost();
    return 0;
}

__attribute__((noinline)) static int32_t divide(volatile int32_t *by)
{
    return 7 / *by;
}

WEIR_EXPORT(divide_by_zero)
{
    volatile int32_t zero = 0;
    return divide(&zero);
}

WEIR_EXPORT(out_of_bounds)
{
    return *(volatile int32_t *)0xfffffff0u;
}

/* A neighbour that still works on a fresh instance. */
WEIR_EXPORT(fine)
{
    return 0;
}
