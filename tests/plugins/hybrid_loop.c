/* Version 3.0.0 of hybrid.c, which has its loop alone: no hybrid any more. */
#define VERSION "3.0.0"
#define CALLBACKS 0
#include "hybrid.c"
