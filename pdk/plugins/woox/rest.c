/* Markets, history, account: one GET each, turned into what the host expects.
 *
 * Candles are passed on as they come, newest first. What can go wrong is in the envelope: errors
 * carry "success":false with any HTTP status, and an unknown path answers 200 without "success".
 */
#include "woox.h"
#include "weir_hmac.h"

/* The three headers of a signed request: HMAC-SHA256 over time, method and path with query. */
static bool sign(weir_buf *headers, weir_str path, weir_str key, weir_str secret, weir_fail *fail)
{
    char hex[64];
    static weir_buf text;
    uint64_t now = weir_time_ms();
    if (!now)
        return weir_fail_set(fail, "signing '", path, "': the host does not tell the time");
    weir_buf_clear(&text);
    weir_put_u64(&text, now);
    weir_put_text(&text, "GET");
    weir_put_str(&text, path);
    weir_hmac_sha256(secret, weir_buf_str(&text), hex);
    weir_put_text(headers, "{\"content-type\":\"application/json\",\"x-api-key\":");
    weir_put_string(headers, key);
    weir_put_text(headers, ",\"x-api-timestamp\":\"");
    weir_put_u64(headers, now);
    weir_put_text(headers, "\",\"x-api-signature\":\"");
    weir_put(headers, hex, sizeof hex);
    weir_put_text(headers, "\"}");
    return !headers->failed || weir_fail_set(fail, "signing '", path, "': out of memory");
}

bool woox_get(weir_http *http, weir_str path, weir_str key, weir_str secret, woox_answer *out, weir_fail *fail)
{
    static weir_buf url, headers;
    char number[24];
    weir_buf status = weir_buf_over(number, sizeof number);
    weir_str message = weir_slice(NULL, 0);
    weir_json_iter it;
    bool success = false;

    weir_buf_clear(&url);
    weir_buf_clear(&headers);
    weir_put_text(&url, WOOX_REST);
    weir_put_str(&url, path);
    if ((secret.len && !sign(&headers, path, key, secret, fail)) ||
        !weir_http_request(http, "GET", weir_buf_str(&url), weir_buf_str(&headers), weir_slice(NULL, 0), fail))
        return false;
    out->data = weir_slice(NULL, 0);
    out->timestamp_ms = 0;
    for (it = weir_json_each(http->body); weir_json_next(&it);) {
        if (weir_is(it.key, "success"))
            success = weir_json_true(it.value);
        else if (weir_is(it.key, "data"))
            out->data = it.value;
        else if (weir_is(it.key, "timestamp"))
            weir_json_u64(it.value, &out->timestamp_ms);
        else if (weir_is(it.key, "message"))
            message = weir_json_raw(it.value);
    }
    if (success && !it.bad)
        return true;
    weir_put_i64(&status, http->status);
    weir_fail_set(fail, "WOO X refused '", path, "' with HTTP ");
    weir_fail_add(fail, weir_buf_str(&status));
    weir_fail_add(fail, weir_text(": "));
    return weir_fail_add(fail, message.len ? message : weir_text(it.bad ? "the body is no JSON" : "no reason given"));
}

/* Appends `,"name":value` with the value as it came, or nothing if there is none. */
static void put_member(weir_buf *out, const char *name, weir_str value)
{
    if (!value.len)
        return;
    weir_put_text(out, ",\"");
    weir_put_text(out, name);
    weir_put_text(out, "\":");
    weir_put_str(out, value);
}

/* One instrument as a market; rows of an unknown shape are left out. */
static void put_market(weir_buf *out, weir_str row)
{
    weir_str symbol = {NULL, 0}, base = {NULL, 0}, quote = {NULL, 0}, status = {NULL, 0};
    weir_str price_tick = {NULL, 0}, size_tick = {NULL, 0}, min_size = {NULL, 0}, min_notional = {NULL, 0};
    weir_json_iter it = weir_json_each(row);
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "symbol"))
            symbol = it.value;
        else if (weir_is(it.key, "baseAsset"))
            base = it.value;
        else if (weir_is(it.key, "quoteAsset"))
            quote = it.value;
        else if (weir_is(it.key, "status"))
            status = it.value;
        else if (weir_is(it.key, "quoteTick"))
            price_tick = it.value;
        else if (weir_is(it.key, "baseTick"))
            size_tick = it.value;
        else if (weir_is(it.key, "baseMin"))
            min_size = it.value;
        else if (weir_is(it.key, "minNotional"))
            min_notional = it.value;
    }
    if (it.bad || !weir_json_raw(symbol).len || !weir_json_raw(base).len || !weir_json_raw(quote).len)
        return;
    weir_put_text(out, out->len > 1 ? ",{\"name\":" : "{\"name\":");
    weir_put_str(out, symbol);
    put_member(out, "base", base);
    put_member(out, "quote", quote);
    weir_put_text(out, weir_starts(weir_json_raw(symbol), weir_text("PERP_")) ? ",\"assetType\":\"futures\"" : ",\"assetType\":\"spot\"");
    put_member(out, "priceTick", price_tick);
    put_member(out, "quantityTick", size_tick);
    put_member(out, "minQuantity", min_size);
    put_member(out, "minNotional", min_notional);
    put_member(out, "status", status);
    weir_put_text(out, "}");
}

/* Spot and perpetual instruments in one list. */
WEIR_EXPORT(list_markets)
{
    static weir_http http;
    static weir_buf out;
    weir_str none = {NULL, 0};
    woox_answer answer;
    weir_fail fail;
    weir_json_iter it;
    if (!woox_get(&http, weir_text("/v3/public/instruments"), none, none, &answer, &fail))
        return weir_refuse(fail.text);
    weir_buf_clear(&out);
    weir_put_text(&out, "[");
    for (it = weir_json_each(weir_json_member(answer.data, "rows")); weir_json_next(&it);)
        put_market(&out, it.value);
    weir_put_text(&out, "]");
    if (it.bad)
        return weir_refuse("WOO X: the list of instruments has no rows");
    return weir_reply(&out);
}

/* Seconds or milliseconds to milliseconds: the contract's unit is the second, some hosts send the
 * other. The border lies at the year 5138 read as seconds, at 1973 read as milliseconds. */
static uint64_t to_ms(uint64_t time)
{
    return time < 100000000000 ? time * 1000 : time;
}

/* One row of klineHistory as a candle: seconds, and numbers with the venue's own digits. */
static bool put_candle(weir_buf *out, weir_str row)
{
    static const char *const names[5] = {"open", "high", "low", "close", "volume"};
    weir_str number[5] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    uint64_t start_ms = 0;
    weir_json_iter it = weir_json_each(row);
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "startTimestamp"))
            weir_json_u64(it.value, &start_ms);
        for (int i = 0; i < 5; i++)
            if (weir_is(it.key, names[i]))
                number[i] = weir_json_decimal(it.value);
    }
    if (it.bad || !start_ms || !number[0].len || !number[1].len || !number[2].len || !number[3].len || !number[4].len)
        return false;
    weir_put_text(out, out->len > 1 ? ",{\"timestamp\":" : "{\"timestamp\":");
    weir_put_u64(out, start_ms / 1000);
    for (int i = 0; i < 5; i++)
        put_member(out, names[i], number[i]);
    weir_put_text(out, "}");
    return true;
}

/* Candles of the past: {symbol, timeframe, startTime, endTime, limit}, 0 or absent for "whatever". */
WEIR_EXPORT(get_ohlcv)
{
    static weir_http http;
    static weir_buf path, out;
    weir_str none = {NULL, 0}, symbol = {NULL, 0}, name = weir_text("1h");
    uint64_t start = 0, end = 0, limit = 0;
    const woox_timeframe *timeframe;
    woox_answer answer;
    weir_fail fail;
    weir_json_iter it;

    for (it = weir_json_each(weir_input()); weir_json_next(&it);) {
        if (weir_is(it.key, "symbol"))
            symbol = weir_json_raw(it.value);
        else if (weir_is(it.key, "timeframe"))
            name = weir_json_raw(it.value);
        else if (weir_is(it.key, "startTime"))
            weir_json_u64(it.value, &start);
        else if (weir_is(it.key, "endTime"))
            weir_json_u64(it.value, &end);
        else if (weir_is(it.key, "limit"))
            weir_json_u64(it.value, &limit);
    }
    if (it.bad || !woox_symbol_ok(symbol))
        return weir_refuse("get_ohlcv: wants {\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1m\", ...}");
    timeframe = woox_timeframe_find(name);
    if (!timeframe || !timeframe->name)
        return weir_refuse("get_ohlcv: no history in this time frame; get_timeframes lists those there are");

    weir_buf_clear(&path);
    weir_put_text(&path, "/v3/public/klineHistory?symbol=");
    weir_put_str(&path, symbol);
    weir_put_text(&path, "&type=");
    weir_put_text(&path, timeframe->name);
    if (start) {
        weir_put_text(&path, "&after=");
        weir_put_u64(&path, to_ms(start));
    }
    if (end) {
        weir_put_text(&path, "&before=");
        weir_put_u64(&path, to_ms(end));
    }
    weir_put_text(&path, "&limit=");
    weir_put_u64(&path, !limit ? 100 : limit > 1000 ? 1000
                                                    : limit);
    if (!woox_get(&http, weir_buf_str(&path), none, none, &answer, &fail))
        return weir_refuse(fail.text);
    weir_buf_clear(&out);
    weir_put_text(&out, "[");
    for (it = weir_json_each(weir_json_member(answer.data, "rows")); weir_json_next(&it);)
        if (!put_candle(&out, it.value))
            return weir_refuse("WOO X: a candle of the history lacks a time or a price");
    weir_put_text(&out, "]");
    if (it.bad)
        return weir_refuse("WOO X: the history has no rows");
    return weir_reply(&out);
}

/* The account as the venue describes it, by a signed request with the keys of plugin_configure. */
WEIR_EXPORT(get_account)
{
    static weir_http http;
    static weir_buf key, secret;
    woox_answer answer;
    weir_fail fail;
    if (!weir_var_get("apiKey", &key) || !weir_var_get("apiSecret", &secret))
        return weir_refuse("get_account: needs 'api_key' and 'api_secret' in the connection's settings");
    if (!woox_get(&http, weir_text("/v3/account/info"), weir_buf_str(&key), weir_buf_str(&secret), &answer, &fail))
        return weir_refuse(fail.text);
    if (weir_json_kind_of(answer.data) != WEIR_JSON_OBJECT)
        return weir_refuse("WOO X: the reply to /v3/account/info has no data");
    weir_output(answer.data);
    return 0;
}
