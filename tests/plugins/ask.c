/* Every host function, imported from extism:host/user. */
#include "ask_functions.h"
