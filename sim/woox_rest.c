/* REST: what is public. v3 with decimals as strings, v1 and history with numbers, one table of paths.
 *
 * The exchange's habits are copied: HTTP 200 with a gateway error for what it does not know, `success`
 * sometimes missing, newest candle first. See woox_private.c for what needs a signature. */
#include "sim/inside.h"

#include "base/json.h"

#include <stdlib.h>

typedef struct request {
    sim *sim;
    server_request *r;
    buf *o;       /* the reply's body */
    bytes tail;   /* of the path, behind the table's */
    uint64_t now; /* simulated */
} request;

/* ---- Replies ---- */

void rest_reply(server_request *r, uint16_t status, bytes body)
{
    http_header headers[] = {
        {BYTES("Content-Type"), BYTES("application/json")},
        {BYTES("x-request-id"), BYTES("5e0f1c2a-sim")},
        {BYTES("x-trace-id"), BYTES("5e0f1c2a-sim")},
        {BYTES("Via"), BYTES("1.1 google")},
    };
    server_reply(r, status, headers, 4, body);
}

void rest_error(sim *s, server_request *r, uint16_t status, int code, const char *message)
{
    buf *o = &s->scratch;
    s->stats.refused++;
    buf_clear(o);
    buf_add_text(o, "{\"success\":false,");
    if (code)
        buf_add_fmt(o, "\"code\":%d,%s", code, code == -1005 ? "\"error_code\":90000," : "");
    buf_add_text(o, "\"message\":");
    json_put_text(o, message);
    buf_add_char(o, '}');
    rest_reply(r, status, buf_bytes(o));
}

/* The one reply that says neither success nor failure. */
static void no_upstream(server_request *r)
{
    rest_reply(r, 200, BYTES("{\"code\":503,\"message\":\"[GW] no upstream server\"}"));
}

static void invalid_request(request *q)
{
    rest_error(q->sim, q->r, 400, -1005, "invalid request, please check your request");
}

static void finish(request *q)
{
    if (q->o->failed)
        rest_error(q->sim, q->r, 500, -1000, "An unknown error occurred while processing the request.");
    else
        rest_reply(q->r, 200, buf_bytes(q->o));
}

static void begin_v3(request *q)
{
    buf_add_text(q->o, "{\"success\":true,\"data\":{");
}

static void end_v3(request *q, uint64_t timestamp)
{
    buf_add_text(q->o, "},\"timestamp\":");
    buf_add_u64(q->o, timestamp);
    buf_add_char(q->o, '}');
    finish(q);
}

/* ---- Parameters ---- */

static bool param(request *q, const char *name, char *out, size_t size)
{
    buf value;
    buf_init(&value, 4096);
    bool there = server_query_get(q->r, name, &value) && !value.failed && value.len < size;
    if (there && value.len)
        memcpy(out, value.at, value.len);
    out[there ? value.len : 0] = '\0';
    buf_fini(&value);
    return there;
}

/* Absent leaves *out alone; not a whole number is an answer of false. */
static bool param_u64(request *q, const char *name, uint64_t *out)
{
    char text[32], *end;
    if (!param(q, name, text, sizeof text))
        return true;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-')
        return false;
    *out = value;
    return true;
}

static market *param_market(request *q, char symbol[64])
{
    return param(q, "symbol", symbol, 64) ? venue_find(q->sim->venue, bytes_of(symbol)) : NULL;
}

static void invalid_symbol(request *q, uint16_t status, const char *what, const char *symbol)
{
    char text[160];
    snprintf(text, sizeof text, "%s%s", what, symbol);
    rest_error(q->sim, q->r, status, 0, text);
}

/* ---- Pieces ---- */

#define NOT_EMPTY(o) ((o)->len && (o)->at[(o)->len - 1] != '[')

static void put_pair(buf *o, const char *name, uint64_t value, unsigned digits, bool quoted)
{
    char text[80];
    *put_ticks(text, value, digits) = '\0';
    buf_add_fmt(o, quoted ? ",\"%s\":\"%s\"" : ",\"%s\":%s", name, text);
}

static void put_instrument(buf *o, const market *m)
{
    const char *q = m->quote;
    if (NOT_EMPTY(o))
        buf_add_char(o, ',');
    buf_add_fmt(o, "{\"symbol\":\"%s\",\"status\":\"TRADING\",\"baseAsset\":\"%s\",\"baseAssetMultiplier\":1,\"quoteAsset\":\"%s\",\"quoteMin\":\"0\"",
                m->symbol, m->base, q);
    put_pair(o, "quoteMax", m->base_price * 100, m->price_digits, true);
    put_pair(o, "quoteTick", 1, m->price_digits, true);
    put_pair(o, "baseMin", 1, m->size_digits, true);
    put_pair(o, "baseMax", m->size_scale * 1000, m->size_digits, true);
    put_pair(o, "baseTick", 1, m->size_digits, true);
    buf_add_fmt(o, ",\"minNotional\":\"1\",\"bidCapRatio\":\"1.1\",\"bidFloorRatio\":null,\"askCapRatio\":null,\"askFloorRatio\":\"0.9\","
                   "\"orderMode\":\"NORMAL\",\"impactNotional\":%s,\"isAllowedRpi\":false,\"tickGranularity\":null",
                m->perp ? "\"2000\"" : "null");
    if (m->perp)
        buf_add_text(o, ",\"fundingIntervalHours\":8,\"fundingCap\":\"0.02\",\"fundingFloor\":\"-0.02\",\"baseIMR\":\"0.1\",\"baseMMR\":\"0.05\"");
    buf_add_char(o, '}');
}

static void put_info(buf *o, const market *m)
{
    buf_add_fmt(o, "{\"symbol\":\"%s\",\"quote_min\":0", m->symbol);
    put_pair(o, "quote_max", m->base_price * 100, m->price_digits, false);
    put_pair(o, "quote_tick", 1, m->price_digits, false);
    put_pair(o, "base_min", 1, m->size_digits, false);
    put_pair(o, "base_max", m->size_scale * 1000, m->size_digits, false);
    put_pair(o, "base_tick", 1, m->size_digits, false);
    buf_add_text(o, ",\"min_notional\":1,\"price_range\":0.5,\"price_scope\":0.1,\"created_time\":\"1575014248.99\",\"updated_time\":\"1575014248.99\"}");
}

static void put_kline(buf *o, const market *m, const char *type, const candle *k, bool v3)
{
    const char *quote = v3 ? "\"" : "";
    const struct {
        const char *name;
        uint64_t value;
    } prices[] = {{"open", k->open}, {"close", k->close}, {"high", k->high}, {"low", k->low}};
    buf_add_fmt(o, "%s{\"symbol\":\"%s\",\"type\":\"%s\"", NOT_EMPTY(o) ? "," : "", m->symbol, type);
    for (int i = 0; i < 4; i++)
        put_pair(o, prices[i].name, prices[i].value, m->price_digits, v3);
    buf_add_fmt(o, ",\"volume\":%s", quote);
    put_volume(o, m, k->volume);
    buf_add_fmt(o, "%s,\"amount\":%s", quote, quote);
    put_amount(o, m, k->amount);
    buf_add_fmt(o, v3 ? "%s,\"startTimestamp\":%llu,\"endTimestamp\":%llu}" : "%s,\"start_timestamp\":%llu,\"end_timestamp\":%llu}", quote,
                (unsigned long long)k->start, (unsigned long long)k->end);
}

/* Bars that start in [after, before], the newest `limit` of them, newest first. Answers how many. */
static size_t put_klines(request *q, market *m, const timeframe *tf, const char *type, uint64_t after, uint64_t before, uint64_t limit, bool v3)
{
    size_t n = 0;
    if (before > q->now)
        before = q->now;
    if (after < m->venue->listed_ms)
        after = timeframe_start(tf, m->venue->listed_ms);
    for (uint64_t start = timeframe_start(tf, before); n < limit && start >= after; start = timeframe_start(tf, start - 1)) {
        candle k;
        if (market_candle(m, tf, start, q->now, &k)) {
            put_kline(q->o, m, type, &k, v3);
            n++;
        }
        if (start == 0)
            break;
    }
    return n;
}

static void put_trades(request *q, market *m, uint64_t from, uint64_t limit, bool v3)
{
    static _Thread_local trade found[1000];
    size_t n = market_trades(m, from, q->now, found, limit < 1000 ? (size_t)limit : 1000);
    buf *o = q->o;
    while (n--) { /* newest first */
        const trade *t = &found[n];
        buf_add_fmt(o, "%s{\"symbol\":\"%s\",\"side\":\"%s\",\"source\":%d", NOT_EMPTY(o) ? "," : "", m->symbol, t->sell ? "SELL" : "BUY", t->internal);
        put_pair(o, v3 ? "executedPrice" : "executed_price", t->price, m->price_digits, v3);
        put_pair(o, v3 ? "executedQuantity" : "executed_quantity", t->size, m->size_digits, v3);
        if (v3)
            buf_add_fmt(o, ",\"executedTimestamp\":%llu}", (unsigned long long)t->ms);
        else
            buf_add_fmt(o, ",\"executed_timestamp\":\"%llu.%03llu\"}", (unsigned long long)(t->ms / 1000), (unsigned long long)(t->ms % 1000));
    }
}

static void put_book_side(buf *o, const market *m, const level *levels, uint32_t count, bool v3)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_add_text(o, i ? (v3 ? ",{\"price\":\"" : ",{\"price\":") : (v3 ? "{\"price\":\"" : "{\"price\":"));
        put_price(o, m, levels[i].price);
        buf_add_text(o, v3 ? "\",\"quantity\":\"" : ",\"quantity\":");
        put_size(o, m, levels[i].size);
        buf_add_text(o, v3 ? "\"}" : "}");
    }
}

/* ---- v3 ---- */

static void v3_instruments(request *q)
{
    char symbol[64];
    sim *s = q->sim;
    buf *all = &s->instruments;
    if (all->len == 0) {
        buf_add_char(all, '[');
        for (size_t i = 0; i < s->venue->count; i++)
            put_instrument(all, &s->venue->markets[i]);
        buf_add_char(all, ']');
    }
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":");
    if (param(q, "symbol", symbol, sizeof symbol)) {
        market *m = venue_find(s->venue, bytes_of(symbol));
        buf_add_char(q->o, '[');
        if (m)
            put_instrument(q->o, m);
        buf_add_char(q->o, ']');
    } else {
        buf_add_bytes(q->o, buf_bytes(all));
    }
    end_v3(q, sim_stamp(s));
}

static void v3_system(request *q)
{
    begin_v3(q);
    buf_add_fmt(q->o, "\"status\":0,\"msg\":\"System is functioning properly.\",\"estimatedEndTime\":%llu", (unsigned long long)sim_stamp(q->sim));
    end_v3(q, sim_stamp(q->sim));
}

static void v3_orderbook(request *q)
{
    static _Thread_local book now;
    char symbol[64], rpi[8];
    uint64_t depth = 100;
    market *m = param_market(q, symbol);
    bool tight = param(q, "rpi", rpi, sizeof rpi) && !strcmp(rpi, "true");
    if (!symbol[0]) {
        invalid_request(q);
        return;
    }
    if (!param_u64(q, "maxLevel", &depth)) {
        rest_error(q->sim, q->r, 500, -1000, "An unknown error occurred while processing the request, request id: 5e0f1c2a-sim");
        return;
    }
    if (!m) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    depth = depth < 1 ? 1 : depth > VENUE_DEPTH_MAX ? VENUE_DEPTH_MAX
                                                    : depth;
    market_book(m, q->now, tight, (uint32_t)depth, &now);
    begin_v3(q);
    buf_add_text(q->o, "\"asks\":[");
    put_book_side(q->o, m, now.ask, now.asks, true);
    buf_add_text(q->o, "],\"bids\":[");
    put_book_side(q->o, m, now.bid, now.bids, true);
    buf_add_char(q->o, ']');
    end_v3(q, market_book_changed(m, q->now, tight, (uint32_t)depth));
}

static void v3_trades(request *q)
{
    char symbol[64];
    uint64_t limit = 10;
    market *m = param_market(q, symbol);
    if (!symbol[0] || !param_u64(q, "limit", &limit)) {
        invalid_request(q);
        return;
    }
    if (!m) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[");
    put_trades(q, m, 0, limit > 1000 ? 1000 : limit, true);
    buf_add_char(q->o, ']');
    end_v3(q, sim_stamp(q->sim));
}

static void v3_kline(request *q)
{
    char symbol[64], type[16];
    uint64_t limit = 100, after = 0, before = UINT64_MAX;
    market *m = param_market(q, symbol);
    param(q, "type", type, sizeof type);
    const timeframe *tf = timeframe_named(bytes_of(type));
    if (!symbol[0] || !tf || !param_u64(q, "limit", &limit) || !param_u64(q, "after", &after) || !param_u64(q, "before", &before)) {
        invalid_request(q);
        return;
    }
    if (!m) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[");
    put_klines(q, m, tf, type, after, before, limit > 1000 ? 1000 : limit, true);
    buf_add_char(q->o, ']');
    end_v3(q, sim_stamp(q->sim));
}

static void put_future(request *q, market *m)
{
    candle day;
    buf *o = q->o;
    market_day(m, q->now, &day);
    buf_add_fmt(o, "%s{\"symbol\":\"%s\"", NOT_EMPTY(o) ? "," : "", m->symbol);
    put_pair(o, "indexPrice", market_mid(m, q->now), m->price_digits, true);
    put_pair(o, "markPrice", market_mid(m, q->now), m->price_digits, true);
    buf_add_text(o, ",\"estFundingRate\":\"");
    put_rate(o, market_funding(m, q->now));
    buf_add_text(o, "\",\"lastFundingRate\":\"");
    put_rate(o, market_funding(m, q->now - 8 * 60 * MINUTE_MS));
    buf_add_fmt(o, "\",\"nextFundingTime\":%llu", (unsigned long long)market_funding_time(q->now));
    put_pair(o, "openInterest", market_interest(m, q->now), m->size_digits, true);
    put_pair(o, "24hOpen", day.open, m->price_digits, true);
    put_pair(o, "24hHigh", day.high, m->price_digits, true);
    put_pair(o, "24hLow", day.low, m->price_digits, true);
    put_pair(o, "24hClose", day.close, m->price_digits, true);
    buf_add_text(o, ",\"24hVolume\":\"");
    put_volume(o, m, day.volume);
    buf_add_text(o, "\",\"24hAmount\":\"");
    put_amount(o, m, day.amount);
    buf_add_text(o, "\"}");
}

static void put_funding(request *q, market *m)
{
    uint64_t next = market_funding_time(q->now), span = 8 * 60 * MINUTE_MS;
    buf *o = q->o;
    buf_add_fmt(o, "%s{\"symbol\":\"%s\",\"estFundingRate\":\"", NOT_EMPTY(o) ? "," : "", m->symbol);
    put_rate(o, market_funding(m, q->now));
    buf_add_fmt(o, "\",\"estFundingRateTimestamp\":%llu,\"lastFundingRate\":\"", (unsigned long long)(q->now / MINUTE_MS * MINUTE_MS));
    put_rate(o, market_funding(m, q->now - span));
    buf_add_fmt(o, "\",\"lastFundingRateTimestamp\":%llu,\"nextFundingTime\":%llu,\"lastFundingIntervalHours\":8,\"estFundingIntervalHours\":8}",
                (unsigned long long)(next - span), (unsigned long long)next);
}

/* All perpetuals, or the one asked for; what it says of others differs by path. */
static void v3_perps(request *q, void (*put)(request *, market *), const char *refusal)
{
    char symbol[64];
    market *one = param_market(q, symbol);
    if (symbol[0] && (!one || !one->perp)) {
        invalid_symbol(q, 500, refusal, symbol);
        return;
    }
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[");
    for (size_t i = 0; i < q->sim->venue->count; i++) {
        market *m = &q->sim->venue->markets[i];
        if (m->perp && (!one || m == one))
            put(q, m);
    }
    buf_add_char(q->o, ']');
    end_v3(q, sim_stamp(q->sim));
}

static void v3_futures(request *q)
{
    v3_perps(q, put_future, "invalid symbol ");
}

static void v3_funding(request *q)
{
    v3_perps(q, put_funding, "no funding rate data for ");
}

static void v3_funding_history(request *q)
{
    char symbol[64];
    uint64_t page = 1, size = 25, span = 8 * 60 * MINUTE_MS;
    market *m = param_market(q, symbol);
    if (!m || !m->perp || !param_u64(q, "page", &page) || !param_u64(q, "size", &size) || page == 0 || size == 0 || size > 1000) {
        invalid_request(q);
        return;
    }
    uint64_t from = m->venue->listed_ms, to = q->now;
    if (!param_u64(q, "startTime", &from) || !param_u64(q, "endTime", &to)) {
        invalid_request(q);
        return;
    }
    from = from < m->venue->listed_ms ? m->venue->listed_ms : from;
    to = to > q->now ? q->now : to;
    uint64_t newest = to / span * span, total = newest >= from ? (newest - from) / span + 1 : 0;
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[");
    for (uint64_t i = (page - 1) * size; i < page * size && i < total; i++) {
        uint64_t at = newest - i * span;
        buf_add_fmt(q->o, "%s{\"symbol\":\"%s\",\"fundingRate\":\"", NOT_EMPTY(q->o) ? "," : "", m->symbol);
        put_rate(q->o, market_funding(m, at - 1));
        buf_add_fmt(q->o, "\",\"fundingRateTimestamp\":%llu,\"nextFundingTime\":%llu", (unsigned long long)at, (unsigned long long)(at + span));
        put_pair(q->o, "markPrice", market_mid(m, at), m->price_digits, true);
        buf_add_char(q->o, '}');
    }
    buf_add_fmt(q->o, "],\"meta\":{\"total\":%llu,\"recordsPerPage\":%llu,\"currentPage\":%llu}", (unsigned long long)total,
                (unsigned long long)size, (unsigned long long)page);
    end_v3(q, sim_stamp(q->sim));
}

static void v3_token(request *q)
{
    const venue *v = q->sim->venue;
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[");
    for (size_t i = 0; i < v->count; i++)
        if (!v->markets[i].perp && !strcmp(v->markets[i].quote, "USDT"))
            buf_add_fmt(q->o, "%s{\"token\":\"%s\",\"fullname\":\"%s\",\"decimals\":18}", NOT_EMPTY(q->o) ? "," : "", v->markets[i].base, v->markets[i].base);
    buf_add_char(q->o, ']');
    end_v3(q, sim_stamp(q->sim));
}

static void v3_empty(request *q)
{
    begin_v3(q);
    buf_add_text(q->o, "\"rows\":[]");
    end_v3(q, sim_stamp(q->sim));
}

/* ---- v1 and history ---- */

/* The symbol in the path or in the query. */
static market *v1_market(request *q, char symbol[64])
{
    if (!q->tail.len)
        return param_market(q, symbol);
    snprintf(symbol, 64, "%.*s", (int)(q->tail.len > 63 ? 63 : q->tail.len), q->tail.at);
    return venue_find(q->sim->venue, bytes_of(symbol));
}

static void v1_info(request *q)
{
    char symbol[64] = "";
    market *m = q->tail.len ? v1_market(q, symbol) : NULL;
    if (symbol[0] && !m) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    if (m) {
        buf_add_text(q->o, "{\"success\":true,\"info\":");
        put_info(q->o, m);
    } else {
        buf_add_text(q->o, "{\"success\":true,\"rows\":[");
        for (size_t i = 0; i < q->sim->venue->count; i++) {
            if (i)
                buf_add_char(q->o, ',');
            put_info(q->o, &q->sim->venue->markets[i]);
        }
        buf_add_char(q->o, ']');
    }
    buf_add_char(q->o, '}');
    finish(q);
}

static void v1_system(request *q)
{
    buf_add_fmt(q->o, "{\"success\":true,\"data\":{\"status\":0,\"msg\":\"System is functioning properly.\"},\"timestamp\":%llu}",
                (unsigned long long)sim_stamp(q->sim));
    finish(q);
}

static void v1_orderbook(request *q)
{
    static _Thread_local book now;
    char symbol[64] = "";
    uint64_t depth = 100;
    market *m = v1_market(q, symbol);
    if (!m || !param_u64(q, "max_level", &depth)) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    depth = depth < 1 ? 1 : depth > VENUE_DEPTH_MAX ? VENUE_DEPTH_MAX
                                                    : depth;
    market_book(m, q->now, false, (uint32_t)depth, &now);
    buf_add_text(q->o, "{\"success\":true,\"asks\":[");
    put_book_side(q->o, m, now.ask, now.asks, false);
    buf_add_text(q->o, "],\"bids\":[");
    put_book_side(q->o, m, now.bid, now.bids, false);
    buf_add_fmt(q->o, "],\"timestamp\":%llu}", (unsigned long long)market_book_changed(m, q->now, false, (uint32_t)depth));
    finish(q);
}

static void v1_kline(request *q)
{
    char symbol[64] = "", type[16];
    uint64_t limit = 100;
    bool wrapped = q->sim->options.wrapped_kline;
    market *m = v1_market(q, symbol);
    param(q, "type", type, sizeof type);
    const timeframe *tf = timeframe_named(bytes_of(type));
    if (!m || !tf || !param_u64(q, "limit", &limit) || (wrapped && !param_u64(q, "size", &limit))) {
        if (!m && symbol[0])
            invalid_symbol(q, 400, "invalid symbol ", symbol);
        else
            rest_error(q->sim, q->r, 400, -1005, "invalid request, please check your request");
        return;
    }
    buf_add_text(q->o, wrapped ? "{\"success\":true,\"data\":{\"rows\":[" : "{\"success\":true,\"rows\":[");
    put_klines(q, m, tf, type, 0, UINT64_MAX, limit > 1000 ? 1000 : limit, false);
    buf_add_text(q->o, wrapped ? "]}}" : "]}");
    finish(q);
}

static void v1_trades(request *q)
{
    char symbol[64] = "";
    uint64_t limit = 10;
    market *m = v1_market(q, symbol);
    if (!m || !param_u64(q, "limit", &limit)) {
        invalid_symbol(q, 400, "invalid symbol ", symbol);
        return;
    }
    buf_add_text(q->o, "{\"success\":true,\"rows\":[");
    put_trades(q, m, 0, limit > 1000 ? 1000 : limit, false);
    buf_add_text(q->o, "]}");
    finish(q);
}

/* The spans that one history query may cover, by time frame. */
static uint64_t history_span(const timeframe *tf)
{
    return (!tf->minutes || tf->minutes >= 240 ? 365 : tf->minutes >= 15 ? 90
                                                   : tf->minutes >= 5    ? 30
                                                                         : 7) *
           DAY_MS;
}

static void hist_kline(request *q)
{
    char symbol[64] = "", type[16];
    uint64_t start = 0, end = UINT64_MAX, size = 100, page = 1;
    market *m = v1_market(q, symbol);
    param(q, "type", type, sizeof type);
    const timeframe *tf = timeframe_named(bytes_of(type));
    if (!m || !tf || !strcmp(type, "1y") || !param_u64(q, "start_time", &start) || !start || !param_u64(q, "end_time", &end) ||
        !param_u64(q, "size", &size) || !param_u64(q, "page", &page) || size == 0 || size > 1000 || page == 0) {
        invalid_request(q);
        return;
    }
    if (end == UINT64_MAX)
        end = start + history_span(tf) < q->now ? start + history_span(tf) : q->now;
    if (end < start || end - start > history_span(tf)) {
        rest_error(q->sim, q->r, 400, -1005, "time range is too large");
        return;
    }
    end = end > q->now ? q->now : end;
    uint64_t floor = start > m->venue->listed_ms ? start : m->venue->listed_ms;
    uint64_t first = timeframe_start(tf, floor + (floor % MINUTE_MS ? MINUTE_MS : 0)), total = 0, skip = (page - 1) * size;
    buf_add_text(q->o, "{\"success\":true,\"data\":{\"rows\":[");
    for (uint64_t at = timeframe_start(tf, end); at >= first && at >= start && at; at = timeframe_start(tf, at - 1), total++) {
        candle k;
        if (total >= skip && total < skip + size && market_candle(m, tf, at, q->now, &k))
            put_kline(q->o, m, type, &k, false);
    }
    buf_add_fmt(q->o, "],\"meta\":{\"total\":%llu,\"records_per_page\":%llu,\"current_page\":%llu}}}", (unsigned long long)total,
                (unsigned long long)size, (unsigned long long)page);
    finish(q);
}

static void hist_trades(request *q)
{
    char symbol[64] = "";
    uint64_t start = 0;
    market *m = v1_market(q, symbol);
    if (!m || !param_u64(q, "start_time", &start)) {
        invalid_request(q);
        return;
    }
    buf_add_text(q->o, "{\"success\":true,\"data\":{\"rows\":[");
    put_trades(q, m, start ? start - 1 : 0, 1000, false);
    buf_add_text(q->o, "]}}");
    finish(q);
}

static void v1_rows(request *q)
{
    buf_add_text(q->o, "{\"success\":true,\"rows\":[]}");
    finish(q);
}

/* ---- The table ---- */

static const struct {
    const char *path; /* a trailing '/' takes a tail */
    void (*answer)(request *q);
    unsigned per_second;
} paths[] = {
    {"/v3/public/instruments", v3_instruments, 10},
    {"/v3/public/systemInfo", v3_system, 10},
    {"/v3/public/orderbook", v3_orderbook, 10},
    {"/v3/public/marketTrades", v3_trades, 10},
    {"/v3/public/kline", v3_kline, 10},
    {"/v3/public/klineHistory", v3_kline, 10},
    {"/v3/public/futures", v3_futures, 10},
    {"/v3/public/fundingRate", v3_funding, 10},
    {"/v3/public/fundingRateHistory", v3_funding_history, 10},
    {"/v3/public/token", v3_token, 10},
    {"/v3/public/tokenInfo", v3_token, 10},
    {"/v3/public/tokenNetwork", v3_empty, 10},
    {"/v3/public/insuranceFund", v3_empty, 10},
    {"/v3/public/marketTradesHistory", v3_trades, 10},
    {"/v1/hist/kline", hist_kline, 1},
    {"/v1/hist/trades", hist_trades, 1},
    {"/v1/public/info", v1_info, 10},
    {"/v1/public/info/", v1_info, 10},
    {"/v1/public/system_info", v1_system, 10},
    {"/v1/public/orderbook/", v1_orderbook, 10},
    {"/v1/public/kline", v1_kline, 10},
    {"/v1/public/market_trades", v1_trades, 10},
    {"/v1/public/funding_rates", v1_rows, 10},
    {"/v1/public/funding_rate_history", v1_rows, 10},
    {"/v1/public/futures", v1_rows, 10},
    {"/v1/public/token", v1_rows, 10},
    {"/v1/public/token_network", v1_rows, 10},
};

static bool public_request(sim *s, server_request *r, bytes path)
{
    char name[128];
    bytes peer = server_peer(r);
    const char *colon = memrchr(peer.at, ':', peer.len);
    peer.len = colon ? (size_t)(colon - peer.at) : peer.len;
    snprintf(name, sizeof name, "%.*s", (int)(path.len > 120 ? 120 : path.len), path.at);
    if (!strncmp(name, "/v1/", 4) && strncmp(name, "/v1/public/", 11) && strncmp(name, "/v1/hist/", 9))
        snprintf(name, sizeof name, "/v1/public/%.*s", (int)(path.len > 100 ? 100 : path.len - 4), path.at + 4); /* the old alias */
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        size_t len = strlen(paths[i].path);
        bool tailed = paths[i].path[len - 1] == '/';
        if (strncmp(name, paths[i].path, len) || (!tailed && name[len]))
            continue;
        if (!limit_take(s, peer, paths[i].path, paths[i].per_second, 1000)) {
            rest_error(s, r, 429, -1003, "Too many requests.");
            return true;
        }
        request q = {.sim = s, .r = r, .o = &s->scratch, .tail = bytes_of(tailed ? name + len : ""), .now = s->now_ms};
        buf_clear(q.o);
        paths[i].answer(&q);
        return true;
    }
    return false;
}

/* ---- WebSocket paths ---- */

static unsigned connections_of(const sim *s, bytes ip, bool v3)
{
    unsigned n = 0;
    for (list_node *at = s->clients.head.next; at != &s->clients.head; at = at->next) {
        const client *c = LIST_OWNER(at, client, node);
        n += bytes_is(ip, c->ip) && (c->speaks == DIALECT_V3 || c->speaks == DIALECT_V3_PRIVATE) == v3;
    }
    return n;
}

static void on_socket(sim *s, server_request *r, bytes path)
{
    char key[80];
    request q = {.sim = s, .r = r};
    dialect speaks;
    if (bytes_is(path, "/v3/public"))
        speaks = DIALECT_V3;
    else if (bytes_is(path, "/v3/private"))
        speaks = DIALECT_V3_PRIVATE;
    else if (bytes_is(path, "/ws/stream") || bytes_starts(path, BYTES("/ws/stream/")))
        speaks = DIALECT_V2;
    else if (bytes_starts(path, BYTES("/v2/ws/private/stream")))
        speaks = DIALECT_V2_PRIVATE;
    else {
        rest_error(s, r, 404, 0, "no such stream");
        return;
    }
    bytes ip = server_peer(r);
    const char *colon = memrchr(ip.at, ':', ip.len);
    ip.len = colon ? (size_t)(colon - ip.at) : ip.len;
    bool v3 = speaks == DIALECT_V3 || speaks == DIALECT_V3_PRIVATE;
    if (speaks == DIALECT_V3_PRIVATE &&
        (!param(&q, "key", key, sizeof key) || strcmp(key, s->listen_key) || !key[0] || s->now_ms > s->listen_key_until)) {
        rest_error(s, r, 401, -1002, "The listen key is missing, unknown or expired.");
        return;
    }
    if (!s->options.no_limits && connections_of(s, ip, v3) >= (v3 ? 100 : 1000)) {
        rest_error(s, r, 429, -1003, "Too many connections.");
        return;
    }
    sim_client_new(s, r, speaks);
}

void rest_on_request(void *arg, server_request *r)
{
    sim *s = arg;
    bytes path = server_path(r);
    sim_touch(s);
    s->stats.requests++;
    if (faults_request(s, r, server_wants_websocket(r)))
        return;
    if (server_wants_websocket(r)) {
        s->stats.requests--;
        on_socket(s, r, path);
        return;
    }
    bool get = bytes_is(server_method(r), "GET") || bytes_is(server_method(r), "HEAD");
    if (!(get && public_request(s, r, path)) && !private_request(s, r, path))
        no_upstream(r);
}
