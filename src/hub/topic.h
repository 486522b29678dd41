/* topic.h: the name a record goes by, and the patterns that select names.
 *
 * A topic is tokens joined by dots: type, source, identifier, then the values of the parameters in
 * the order of their keys, as in ohlcv.woox-datasource.SPOT_BTC_USDT.1m. What would break a topic
 * apart is written as '%' and two upper-case hexadecimal digits inside a token: '.', '*', '>', '%',
 * blanks and control characters (every octet up to 0x20, and 0x7F). A token without characters is a
 * lone '%'. So a token has one spelling, topics can be compared octet by octet, and BTC.PERP is the
 * token BTC%2EPERP.
 *
 * A pattern is a topic in which '*' stands for exactly one token and '>', as the last token, for
 * one or more. The frequent operation is topic_match: no allocation, one pass. */
#ifndef HUB_TOPIC_H
#define HUB_TOPIC_H

#include "base/buf.h"

#define TOPIC_MAX 1024 /* octets of a topic or a pattern */

/* Appends `text` as one token; puts a dot first unless `out` is empty. */
void topic_add_token(buf *out, bytes text);

/* WEIR_INVALID: the pattern selects nothing sensible; the text says which token, why, and what would do. */
weir_code topic_pattern_check(bytes pattern, weir_error *err);

/* Does a checked pattern select this topic? */
bool topic_match(bytes pattern, bytes topic);

#endif
