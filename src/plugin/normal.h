/* normal.h: what commands return, in one form whatever the generation: lists are lists, candles are sorted
 * oldest first, each once, times are nanoseconds as text, prices the decimal text that the plugin gave. */
#ifndef PLUGIN_NORMAL_H
#define PLUGIN_NORMAL_H

#include "base/json.h"

typedef struct normal_notes {
    size_t refused; /* rows left out: no object, no time, a price that is no decimal number */
    size_t doubles; /* rows left out: another with this time came first */
    size_t strays;  /* rows neither oldest first nor newest first like the others; put in their place */
    char why[160];  /* of the first refusal */
} normal_notes;

/* What was mended, as one sentence: "2 rows came twice, ...". False: nothing was. */
bool normal_say(buf *out, const normal_notes *notes);

/* Writes the answer to `command` in its normal form. WEIR_INVALID: `data` is not what such a command
 * returns, a list for getMarkets, getTimeframes, getOHLCV and import_events; WEIR_NOMEM. Unknown commands' data stay as
 * they are; no data is null. */
weir_code normal_write(buf *out, bytes command, json data, normal_notes *notes, weir_error *err);

/* A decimal number as JSON number or text, its digits as given. False: neither (NaN, "", true). */
bool normal_decimal(json value, bytes *out);
/* Unix seconds or milliseconds (from 10^11 on), as number or text, or RFC 3339, in nanoseconds. */
bool normal_time(json value, uint64_t *ns);

#endif
