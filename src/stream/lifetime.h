/* lifetime.h: how long a venue lets a connection live, and when to dial its successor.
 *
 * Some venues cut every connection after a day. Known beforehand, that is no loss: the successor is dialled in
 * time. What counts, in this order: the user's word for the origin, the plugin's (a marker's "lifetimeMs"),
 * the table of known origins. */
#ifndef STREAM_LIFETIME_H
#define STREAM_LIFETIME_H

#include "base/clock.h"
#include "base/error.h"

typedef struct lifetime_rule {
    char origin[280]; /* scheme://host[:port] */
    uint64_t ns;      /* 0: it does not end */
} lifetime_rule;

/* The user's, of one host. */
typedef struct lifetimes {
    lifetime_rule *rules;
    size_t count;
} lifetimes;

/* "wss://ws.venue.example=24h"; ms, s, m, h; "none": no end. A later rule for an origin counts. WEIR_INVALID: no
 * such rule, no WebSocket's origin, less than a second or more than a year. */
weir_code lifetimes_add(lifetimes *l, bytes rule, weir_error *err);
void lifetimes_fini(lifetimes *l);

/* Of a connection to `url`; 0: none is known. `l` may be NULL; `declared_ms` is the plugin's word, 0: none. */
uint64_t lifetime_of(const lifetimes *l, bytes url, uint64_t declared_ms);

/* How long before the end the successor is dialled at the latest: half an hour of a day, at least ten
 * seconds or, of a short life, a quarter of it. */
uint64_t lifetime_margin(uint64_t lifetime_ns);
/* How long after the opening to begin; `chance` (0 to 1) spreads many over half a margin. */
uint64_t lifetime_begin(uint64_t lifetime_ns, double chance);

#endif
