/* timeframe.h: how long a candle is, and how the sides of the conversation spell it: a user any way, each contract
 * its own, and another one for history than for streams. */
#ifndef PLUGIN_TIMEFRAME_H
#define PLUGIN_TIMEFRAME_H

#include "base/json.h"

typedef struct timeframe {
    uint32_t value;
    char unit;  /* m h D W M Y: minutes, hours, days, weeks, months, years */
    bytes zone; /* "Europe/Berlin", where its days begin; empty: UTC */
} timeframe;

typedef enum timeframe_style {
    TIMEFRAME_LETTERS, /* 15m 4h 1D 1W 1M 1Y: the current library's own text */
    TIMEFRAME_SMALL,   /* 15m 4h 1d 1w 1M 1y: start_stream */
    TIMEFRAME_VENUE,   /* 15m 4h 1d 1w 1mon 1y: what exchanges take, and what history is asked for */
} timeframe_style;

/* "15m", "1H", "1d", "1D", "1w", "1mon", "1M" (a month, where "1m" is a minute), "1day", with ":Area/City" or not.
 * False: it is none of them. */
bool timeframe_read(timeframe *out, bytes text);
/* From a row of getTimeframes in any dialect: {"value":15,"unit":"m"}, {"apiValue":"15m"}, {"value":"15m"}, {"interval":900}. */
bool timeframe_read_row(timeframe *out, json row);
uint64_t timeframe_seconds(const timeframe *t); /* months are 30 days, years 365 */
void timeframe_put(buf *out, const timeframe *t, timeframe_style style);

/* `params` with "timeframe" and "interval" in this style; made in `room`, or `params` itself when there is nothing to
 * change. What is no time frame stays, and what follows a '=' is passed on without it: "=1D". */
json timeframe_params(json params, timeframe_style style, buf *room);

#endif
