/* REST that needs a signature: accounts without trading. The account holds a little of everything,
 * never has orders, and refuses new ones. */
#include "sim/inside.h"

#include "base/digest.h"
#include "base/json.h"

#include <stdlib.h>

/* v3: timestamp METHOD path?query body. v1: sorted parameters are not rebuilt here, since no path of
 * v1 behind a signature is simulated. NULL if right, else the code of the refusal. */
static int check_signature(sim *s, server_request *r)
{
    char sign[DIGEST_HEX], *end, stamp_text[32];
    bytes key = server_header(r, "x-api-key"), stamp = server_header(r, "x-api-timestamp"), given = server_header(r, "x-api-signature");
    if (!key.len || !given.len || !stamp.len || stamp.len >= sizeof stamp_text || !bytes_is(key, s->api_key))
        return -1002;
    memcpy(stamp_text, stamp.at, stamp.len);
    stamp_text[stamp.len] = '\0';
    int64_t off = (int64_t)(strtoull(stamp_text, &end, 10) - sim_stamp(s));
    if (*end || off > 300000 || off < -300000)
        return -1001;
    buf *text = &s->scratch;
    buf_clear(text);
    buf_add_bytes(text, stamp);
    buf_add_bytes(text, server_method(r));
    buf_add_bytes(text, server_path(r));
    if (server_query(r).len) {
        buf_add_char(text, '?');
        buf_add_bytes(text, server_query(r));
    }
    buf_add_bytes(text, server_body(r));
    digest_hmac_sha256(sign, bytes_of(s->api_secret), buf_bytes(text));
    return bytes_is(given, sign) ? 0 : -1001;
}

static void put_listen_key(sim *s, buf *o)
{
    char seed[96];
    int len = snprintf(seed, sizeof seed, "%llu %llu", (unsigned long long)s->options.seed, (unsigned long long)(s->now_ms + s->stats.requests));
    digest_sha256(s->listen_key, bytes_make(seed, (size_t)len)); /* a new key ends the old one */
    s->listen_key_until = s->now_ms + DAY_MS;
    buf_add_fmt(o, "\"authKey\":\"%s\",\"expiredTime\":%llu", s->listen_key, (unsigned long long)s->listen_key_until);
}

static void put_account(sim *s, buf *o)
{
    (void)s;
    buf_add_text(o, "\"applicationId\":\"11111111-2222-3333-4444-555555555555\",\"account\":\"sim@weir.invalid\",\"alias\":\"sim\",\"otpauth\":true,"
                    "\"accountMode\":\"FUTURES\",\"positionMode\":\"ONE_WAY\",\"leverage\":10,\"marginRatio\":\"10\",\"openMarginRatio\":\"10\","
                    "\"initialMarginRatio\":\"10\",\"maintenanceMarginRatio\":\"0.05\",\"totalCollateral\":\"100000\",\"freeCollateral\":\"100000\","
                    "\"totalAccountValue\":\"100000\",\"totalTradingValue\":\"100000\",\"totalVaultValue\":\"0\",\"totalStakingValue\":\"0\","
                    "\"totalLaunchpadValue\":\"0\",\"totalEarnValue\":\"0\",\"referrerID\":null,\"accountType\":\"Main\"");
}

static void put_balances(sim *s, buf *o)
{
    static const char *const tokens[] = {"USDT", "BTC", "ETH", "WOO"};
    static const char *const holdings[] = {"100000", "1.5", "20.25", "12000.000001"};
    buf_add_text(o, "\"holding\":[");
    for (int i = 0; i < 4; i++)
        buf_add_fmt(o, "%s{\"token\":\"%s\",\"holding\":\"%s\",\"frozen\":\"0\",\"staked\":\"0\",\"unbonding\":\"0\",\"vault\":\"0\",\"interest\":\"0\","
                       "\"pendingShortQty\":\"0\",\"pendingLongQty\":\"0\",\"availableBalance\":\"%s\",\"updatedTime\":%llu}",
                    i ? "," : "", tokens[i], holdings[i], holdings[i], (unsigned long long)s->options.start_ms);
    buf_add_char(o, ']');
}

static void put_no_rows(sim *s, buf *o)
{
    (void)s;
    buf_add_text(o, "\"rows\":[],\"meta\":{\"total\":0,\"recordsPerPage\":25,\"currentPage\":1}");
}

static void put_no_positions(sim *s, buf *o)
{
    (void)s;
    buf_add_text(o, "\"positions\":[]");
}

static const struct {
    const char *method, *path;
    void (*put)(sim *s, buf *o); /* NULL: the order is refused */
    unsigned most;
    uint64_t span_ms;
} paths[] = {
    {"POST", "/v3/account/listenKey", put_listen_key, 5, 10000},
    {"GET", "/v3/account/info", put_account, 10, 60000},
    {"GET", "/v3/asset/balances", put_balances, 10, 1000},
    {"GET", "/v3/trade/orders", put_no_rows, 10, 1000},
    {"GET", "/v3/trade/transactionHistory", put_no_rows, 2, 1000},
    {"GET", "/v3/futures/positions", put_no_positions, 3, 1000},
    {"POST", "/v3/trade/order", NULL, 5, 1000},
    {"PUT", "/v3/trade/order", NULL, 5, 1000},
    {"DELETE", "/v3/trade/order", NULL, 5, 1000},
};

bool private_request(sim *s, server_request *r, bytes path)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!bytes_is(path, paths[i].path) || !bytes_is(server_method(r), paths[i].method))
            continue;
        int wrong = check_signature(s, r);
        if (wrong)
            rest_error(s, r, 401, wrong, wrong == -1001 ? "The signature is invalid, or the timestamp is more than 300 s off." : "The key is missing or unknown.");
        else if (!limit_take(s, bytes_of(s->api_key), paths[i].path, paths[i].most, paths[i].span_ms))
            rest_error(s, r, 429, -1003, "Too many requests.");
        else if (!paths[i].put)
            rest_error(s, r, 400, -1012, "The order was rejected: the simulated account does not trade.");
        else {
            buf *o = &s->scratch2;
            buf_clear(o);
            buf_add_text(o, "{\"success\":true,\"data\":{");
            paths[i].put(s, o);
            buf_add_fmt(o, "},\"timestamp\":%llu}", (unsigned long long)sim_stamp(s));
            rest_reply(r, 200, buf_bytes(o));
        }
        return true;
    }
    return false;
}
