/* Every host function, imported from env. */
#define WEIR_HOST_MODULE "env"
#include "ask_functions.h"
