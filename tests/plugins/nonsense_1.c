/* nonsense.c as a plugin of generation 1. */
#define NONSENSE_1
#include "nonsense.c"
