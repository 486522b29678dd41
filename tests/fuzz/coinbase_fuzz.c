/* Any frame to the plugin of pdk/plugins/coinbase. */
#define FUZZ_SYMBOL "SKL-BTC"
#include "pdk/plugins/coinbase/coinbase.c"

#include "tests/fuzz/venue_fuzz.h"
