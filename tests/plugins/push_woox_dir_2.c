/* Version 5.0.0 of push_woox.c, with the same folder. */
#define VERSION "5.0.0"
#define MORE ""
#define FOLDERS ",\"fsWriteAccess\":{\"notes\":\"/notes\"}"
#include "push_woox.c"
