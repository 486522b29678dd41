/* target.h: which addresses a plugin may reach (contract 5.2).
 *
 * A target list is what a plugin's meta asks for, narrowed by the user. It is asked three times for
 * each dial: about the URL (before any name is looked up), about each resolved address (before a
 * socket exists), and again about every redirect and reconnect. URLs are taken apart by the same
 * parser that dials (libcurl's), so both understand a URL alike. */
#ifndef NET_TARGET_H
#define NET_TARGET_H

#include "base/buf.h"

struct sockaddr;

typedef struct targets targets;

targets *targets_new(void);
void targets_free(targets *t);

/* A scheme, a host and a path that may end in a star (a bare origin means its root path alone).
 * WEIR_INVALID: another form, a wildcard in the host or inside the path, a query. */
weir_code targets_add(targets *t, bytes pattern, weir_error *err);
size_t targets_count(const targets *t);
bytes targets_pattern(const targets *t, size_t i);
/* Is everything that `narrow` reaches also reached by `wide`? For --allow and upgrades. */
bool targets_within(const targets *narrow, const targets *wide, weir_error *err);

/* What `more` reaches and `than` does not, a pattern each ("+ https https://api.example/v3") behind this mark.
 * True: there is any. */
bool targets_beyond(const targets *more, const targets *than, const char *mark, buf *out);
/* `t` becomes what `from` is, and the other way round; who holds either goes on with it. */
void targets_exchange(targets *t, targets *from);

/* Development only: a literal address or names that may resolve to private or loopback addresses ("127.0.0.1", "sim.local"). */
weir_code targets_allow_private(targets *t, bytes host);

/* "https://api.woox.io=https://127.0.0.1:8443": where an origin really is, for simulators. Applied by
 * the dialler after the check; an overridden dial may reach loopback. */
weir_code targets_override(targets *t, bytes rule, weir_error *err);

/* May this URL be requested? WEIR_REFUSED: not in the list (the text lists what is), user-info in it,
 * a path that climbs, a scheme beside http, https, ws, wss. WEIR_INVALID: not a URL. */
weir_code targets_check(const targets *t, bytes url, weir_error *err);

/* The URL to dial instead, if its origin is overridden: appended to `out`; false if not. The address
 * of such a dial is the user's own choice and needs no check. */
bool targets_rewrite(const targets *t, bytes url, buf *out);

/* May `host` be reached at this address? WEIR_REFUSED: private, loopback, link-local, metadata, CGNAT,
 * multicast, NAT64 or IPv4-mapped forms of these, unless allowed by name. `t` may be NULL. */
weir_code targets_check_address(const targets *t, bytes host, const struct sockaddr *address, weir_error *err);

#endif
