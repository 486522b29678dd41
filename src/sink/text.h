/* text.h: what the table needs to know of texts: how wide they are on a terminal, which of two decimals
 * is larger, what time a plugin's time stamp is. */
#ifndef SINK_TEXT_H
#define SINK_TEXT_H

#include "base/json.h"

/* How many terminal columns escaped text takes: wide characters two. */
size_t text_width(bytes text);

/* Appends at most `width` columns; what is longer ends in "…". Characters that take no column or turn
 * the direction of writing become '?', so that nobody can dress up one symbol as another. Returns the
 * columns taken. */
size_t text_put(buf *out, bytes text, size_t width);
void text_pad(buf *out, size_t columns);

/* Columns before the decimal point of a number, and from the point on. What is no plain decimal counts as
 * all before. */
void text_decimal(bytes text, size_t *before, size_t *behind);

/* -1, 0, 1. Exact for plain decimals of any length; other texts compare as equal. */
int text_compare_decimals(bytes a, bytes b);

/* RFC 3339, or a number (or a string of one) of seconds, milli-, micro- or nanoseconds since 1970, by
 * its size. */
bool text_time(json value, uint64_t *real_ns);

#endif
