/* ban.h: origins that asked to be left alone, and until when.
 *
 * A venue counts requests by address, not by stream: what one of them is told holds for all. So a dialler
 * keeps what HTTP said, at a WebSocket's upgrade or in REST, for each origin (scheme, host and port as they were
 * asked for, before overrides), and until then nothing goes there: a WebSocket's dial ends with the
 * reason, an HTTP request is refused at once.
 *   429                       too many requests: as long as Retry-After says, an hour at most; without it a
 *                             second, twice as long each time, a minute at most, until some other answer comes
 *   418                       a ban: as long as Retry-After says, and at least two minutes, twice as long for
 *                             each one within a day of the last, a day at most
 *   403 with Retry-After      a ban, as long as that says
 * What answers that were under way bring when the ban is known already does not lengthen it twice. */
#ifndef NET_BAN_H
#define NET_BAN_H

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

#define BANS_MAX 256 /* origins; of more the one that is free first is forgotten */

typedef struct bans {
    list entries;
    size_t count;
} bans;

void bans_init(bans *b);
void bans_fini(bans *b);

/* What the origin of `url` answered, at `now` (clock_mono). */
void bans_note(bans *b, bytes url, uint16_t status, uint32_t retry_after_s, uint64_t now);
/* For how many nanoseconds nothing may go there; 0: it may. `err` (may be NULL) gets WEIR_LIMIT and the
 * reason: "banned by wss://... until ... (HTTP status 418)". */
uint64_t bans_left(const bans *b, bytes url, uint64_t now, weir_error *err);

/* The seconds that a Retry-After header's value asks for, a number or a date, a day at most; 0: none. */
uint32_t retry_after_read(bytes value);

#endif
