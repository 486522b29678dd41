/* Any frame to the plugin of pdk/plugins/kraken. */
#define FUZZ_SYMBOL "SC/EUR"
#include "pdk/plugins/kraken/kraken.c"

#include "tests/fuzz/venue_fuzz.h"
