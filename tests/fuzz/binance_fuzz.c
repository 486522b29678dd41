/* Any frame to the plugin of pdk/plugins/binance. */
#define FUZZ_SYMBOL "NKNUSDT"
#include "pdk/plugins/binance/binance.c"

#include "tests/fuzz/venue_fuzz.h"
