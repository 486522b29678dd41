/* Version 2.0.0 of hybrid.c. */
#define VERSION "2.0.0"
#define CALLBACKS 1
#include "hybrid.c"
