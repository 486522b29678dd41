/* The kit's tests once more, as a plugin has it that is for Weir only. */
#define WEIR_ONLY
#include "pdk_test.c"
