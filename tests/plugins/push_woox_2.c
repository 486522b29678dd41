/* Version 2.0.0 of push_woox.c. */
#define VERSION "2.0.0"
#define MORE ""
#include "push_woox.c"
