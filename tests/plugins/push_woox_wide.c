/* Version 3.0.0 of push_woox.c, which asks for more. */
#define VERSION "3.0.0"
#define MORE ",{\"pattern\":\"https://api.woox.io/v3/*\"},{\"pattern\":\"ws://collector.example/in\"}"
#include "push_woox.c"
