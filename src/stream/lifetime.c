#include "stream/lifetime.h"

#include <stdlib.h>
#include <string.h>

#include "net/target_url.h"

#define HOUR_NS (3600 * NS_PER_S)
#define YEAR_NS (366 * 24 * HOUR_NS)

/* Hosts that say in their documents how long a connection lives. */
static const struct {
    const char *host;
    uint64_t ns;
} known[] = {
    {"wss.woox.io", 24 * HOUR_NS},
    {"wss.staging.woox.io", 24 * HOUR_NS},
    {"stream.binance.com", 24 * HOUR_NS},
    {"data-stream.binance.vision", 24 * HOUR_NS},
    {"ws-api.binance.com", 24 * HOUR_NS},
    {"fstream.binance.com", 24 * HOUR_NS},
    {"dstream.binance.com", 24 * HOUR_NS},
};

/* The origin of a WebSocket's URL in its one spelling. */
static weir_code origin_of(lifetime_rule *r, bytes text, char host[256], weir_error *err)
{
    url u;
    buf b;
    weir_code code = url_read(&u, text, err);
    if (code)
        return code;
    buf_init(&b, sizeof r->origin);
    url_put_origin(&u, &b);
    if (!u.websocket)
        code = error_set(err, WEIR_INVALID, "%s://%s is no WebSocket's origin; it starts with ws:// or wss://", u.scheme, u.host);
    else if (b.failed || b.len >= sizeof r->origin)
        code = error_set(err, WEIR_NOMEM, "an origin: too long, or out of memory");
    if (!code) {
        memcpy(r->origin, b.at, b.len);
        r->origin[b.len] = '\0';
        strcpy(host, u.host);
    }
    buf_fini(&b);
    url_fini(&u);
    return code;
}

static bool read_span(bytes text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", HOUR_NS}};
    char copy[32], *end;
    if (bytes_is(text, "none")) {
        *ns = 0;
        return true;
    }
    if (!text.len || text.len >= sizeof copy || text.at[0] < '0' || text.at[0] > '9')
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double value = strtod(copy, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].unit)) {
            double all = value * (double)units[i].ns;
            *ns = all >= 0 && all <= (double)YEAR_NS ? (uint64_t)all : 0;
            return *ns >= NS_PER_S;
        }
    return false;
}

weir_code lifetimes_add(lifetimes *l, bytes rule, weir_error *err)
{
    lifetime_rule r = {{0}, 0};
    char host[256];
    const char *equals = rule.len ? memrchr(rule.at, '=', rule.len) : NULL;
    if (!equals || !read_span(bytes_make(equals + 1, (size_t)(rule.at + rule.len - equals - 1)), &r.ns))
        return error_set(err, WEIR_INVALID, "lifetime '" BYTES_FMT "': expected ORIGIN=TIME such as wss://ws.venue.example=24h, from 1s to a year, or =none", BYTES_ARG(rule));
    if (origin_of(&r, bytes_make(rule.at, (size_t)(equals - rule.at)), host, err))
        return error_wrap(err, "lifetime '" BYTES_FMT "'", BYTES_ARG(rule));
    lifetime_rule *rules = realloc(l->rules, (l->count + 1) * sizeof *rules);
    if (!rules)
        return error_set(err, WEIR_NOMEM, "lifetimes: out of memory");
    l->rules = rules;
    l->rules[l->count++] = r;
    return WEIR_OK;
}

void lifetimes_fini(lifetimes *l)
{
    free(l->rules);
    *l = (lifetimes){0};
}

uint64_t lifetime_of(const lifetimes *l, bytes url_text, uint64_t declared_ms)
{
    lifetime_rule r;
    char host[256];
    if (origin_of(&r, url_text, host, NULL))
        return declared_ms * NS_PER_MS;
    for (size_t i = l ? l->count : 0; i-- > 0;)
        if (!strcmp(l->rules[i].origin, r.origin))
            return l->rules[i].ns;
    if (declared_ms)
        return declared_ms * NS_PER_MS;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].host, host))
            return known[i].ns;
    return 0;
}

uint64_t lifetime_margin(uint64_t ns)
{
    uint64_t least = ns / 4 < 10 * NS_PER_S ? ns / 4 : 10 * NS_PER_S;
    return ns / 48 > least ? ns / 48 : least;
}

uint64_t lifetime_begin(uint64_t ns, double chance)
{
    uint64_t margin = lifetime_margin(ns);
    return ns - margin - (uint64_t)(chance * (double)margin / 2);
}
