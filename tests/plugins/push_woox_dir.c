/* Version 4.0.0 of push_woox.c, with a folder. */
#define VERSION "4.0.0"
#define MORE ""
#define FOLDERS ",\"fsWriteAccess\":{\"notes\":\"/notes\"}"
#include "push_woox.c"
