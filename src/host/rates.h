/* rates.h: counts what the plugins' rate limits allow.
 *
 * A bucket holds `burst` tokens and gets `rps` new ones a second; a command takes its cost from every bucket
 * that the limit's scopes name: "ip" is one for all connections to a plugin, "apikey" one for each
 * configuration of it, any other word one for each value that the command's parameters or the configuration
 * have under that name. Kept in the cache folder, so that the next run of `weir command` and other processes
 * of the user count on from there.
 *
 * A bucket is one number: the moment when it will be full again. Full is the past. */
#ifndef HOST_RATES_H
#define HOST_RATES_H

#include "base/clock.h"
#include "plugin/limits.h"

typedef struct rates rates;

/* `cache_dir` NULL or "": only this process counts. NULL when out of memory. */
rates *rates_new(const char *cache_dir);
void rates_free(rates *r);

/* Who asks for what. `config`: JSON of the connection's values, NULL for none. */
typedef struct rates_asked {
    const char *plugin_id, *config;
    bytes command;
    json params;
    unsigned tries; /* how often it was told WEIR_BUSY before */
} rates_asked;

#define RATES_AGAIN_NS NS_PER_MS

/* Takes the tokens, also those that are not there yet: *wait_ns is how long to wait for them before asking, 0 for
 * not at all, and *by the limit that is waited for. WEIR_LIMIT: it would be longer than max_wait_ns; nothing is taken, the
 * text says how long it would be. WEIR_BUSY: another process has the file at this moment, and nothing is taken: ask again in
 * RATES_AGAIN_NS with one try more. The twentieth does without the lock, as that process may have been stopped. WEIR_NOMEM. */
weir_code rates_take(rates *r, const limits *l, const rates_asked *asked, uint64_t max_wait_ns, uint64_t *wait_ns, const limit **by,
                     weir_error *err);

#endif
