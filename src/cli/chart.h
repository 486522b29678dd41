/* chart.h: candles drawn in characters. */
#ifndef CLI_CHART_H
#define CLI_CHART_H

#include <stdio.h>

#include "base/json.h"

typedef struct chart_size {
    int columns, lines;
    bool colour;
} chart_size;

/* Of the terminal; COLUMNS and LINES, or 80 by 24, where stdout is none. */
chart_size chart_size_now(void);

/* Draws the newest candles of a list in normal form, as many as fit: the price up the right side, volume and time below.
 * A body is heavy where it rose and a block where it fell, so that it reads without colours, too. `title` stands above, with the
 * last price and how it changed. False: there is nothing to draw, or no room for it. */
bool chart_draw(FILE *out, json candles, const char *title, const chart_size *size);

#endif
