/* Any frame to the plugin of pdk/plugins/okx. */
#define FUZZ_SYMBOL "BTC-USDT"
#include "pdk/plugins/okx/okx.c"

#include "tests/fuzz/venue_fuzz.h"
