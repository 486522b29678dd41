/* limits.h: how often a plugin's commands may be asked, as the plugin declares it (get_rate_limits). Read only;
 * who counts is host/rates.c. */
#ifndef PLUGIN_LIMITS_H
#define PLUGIN_LIMITS_H

#include "base/json.h"

#define LIMIT_SCOPES 8

typedef struct limit {
    bytes command; /* "*": every command that has no limit of its own */
    bytes scopes[LIMIT_SCOPES];
    size_t scope_count; /* at least one: "ip" where the plugin names none */
    double rps;         /* more than 0 */
    double burst;       /* as many at once; no less than cost */
    double cost;        /* of one call; at least 1 unless the plugin says a fraction */
} limit;

typedef struct limits {
    limit *list;
    size_t count;
    size_t refused; /* left out: they make no sense */
    char why[160];  /* of the first of them */
    buf text;       /* what the list points into */
} limits;

/* Reads a list of {"command","scope": text or list of texts,"rps","burst","cost"}; null is an empty one, an rps of 0
 * no limit. A limit that makes no sense is left out and counted. WEIR_INVALID: no list; WEIR_NOMEM. On failure
 * *out is empty. */
weir_code limits_read(limits *out, bytes text, weir_error *err);
void limits_fini(limits *l); /* fine when zeroed */

/* Walks those that hold for a command: its own, else those of "*".
 *     size_t at = 0; const limit *one; while ((one = limits_next(l, command, &at))) ... */
const limit *limits_next(const limits *l, bytes command, size_t *at);

/* "getMarkets: 1 a minute". */
void limit_text(buf *out, const limit *l, bytes command);

#endif
