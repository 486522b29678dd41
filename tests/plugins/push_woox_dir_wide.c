/* Version 6.0.0 of push_woox.c, which asks for another folder. */
#define VERSION "6.0.0"
#define MORE ""
#define FOLDERS ",\"fsWriteAccess\":{\"notes\":\"/notes\",\"secrets\":\"/secrets\"}"
#include "push_woox.c"
