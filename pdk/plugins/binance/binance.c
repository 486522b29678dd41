/* Binance, spot: trades (aggregated), order books, tickers, best bid and offer, candles.
 *
 * The address names the stream, so nothing is sent; each frame is {"stream":"btcusdt@aggTrade","data":{...}}. A
 * book's frames are changes only, numbered U to u without a hole: the whole book is a reply of the REST API, and
 * its number, lastUpdateId, tells where the changes begin to count. */
#include "weir_push.h"

#define REST "https://api.binance.com/api/v3"

/* The venue's name of the stream: "btcusdt@kline_1m". */
static void put_name(weir_buf *b, const weir_wish *w)
{
    for (size_t i = 0; i < w->symbol.len; i++) {
        char c = w->symbol.at[i];
        weir_put_char(b, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
    }
    weir_put_form(b, "@%%", weir_text(w->type->channel), weir_wish_time(w), weir_none);
}

static void open_socket(const weir_wish *w, weir_socket *s)
{
    weir_put_text(&s->url, "wss://stream.binance.com:9443/stream?streams=");
    put_name(&s->url, w);
    if (weir_is(weir_text(w->type->name), "orderbook"))
        weir_put_form(&s->book, "{\"guard\":\"sequence\",\"snapshot\":{\"url\":\"" REST "/depth?symbol=%&limit=1000\"}}", w->symbol, weir_none, weir_none);
}

/* The reply of the REST API that a book begins with. */
static void read_snapshot(weir_answer *a, const weir_wish *w, const weir_str v[3])
{
    weir_record_begin(a, w);
    weir_record_levels(a, "bids", v[1]);
    weir_record_levels(a, "asks", v[2]);
    weir_record_flags(a, true);
    weir_record_whole(a, "sequence", v[0]);
    weir_record_end(a);
}

static bool on_frame(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine)
{
    static const char *const names[] = {"lastUpdateId", "bids", "asks", "stream", "data", "error", "result", "msg"};
    char room[2 * WEIR_SYMBOL_MAX];
    weir_buf name = weir_buf_over(room, sizeof room);
    weir_str v[8];
    *mine = weir_none;
    weir_json_find(frame, names, v, 8);
    if (v[0].len && weir_is(weir_text(w->type->name), "orderbook")) {
        read_snapshot(a, w, v);
        return true;
    }
    if (v[5].len || v[7].len)
        return weir_answer_refuse(a, "Binance refuses: ", v[7].len ? weir_json_raw(v[7]) : weir_json_raw(weir_json_member(v[5], "msg")));
    if (v[6].len) /* the answer to a request */
        return true;
    if (!v[3].len || !v[4].len)
        return weir_answer_fail(a, "neither data nor an answer: ", frame);
    put_name(&name, w);
    if (weir_equal(weir_json_raw(v[3]), weir_buf_str(&name)))
        *mine = v[4];
    return true;
}

/* "m": the buyer's order was in the book, so the seller was the aggressor. */
static bool read_trade(weir_answer *a, const weir_wish *w, weir_str trade)
{
    static const char *const names[] = {"a", "p", "q", "m", "T"};
    weir_str v[5];
    weir_json_find(trade, names, v, 5);
    weir_record_begin(a, w);
    weir_record_text(a, "id", v[0]);
    weir_record_decimal(a, "price", v[1]);
    weir_record_decimal(a, "size", v[2]);
    weir_record_side(a, !weir_json_true(v[3]));
    weir_record_ms(a, "ts_event", v[4]);
    weir_record_end(a);
    a->sequence = v[0]; /* they count without holes */
    return true;
}

static bool read_book(weir_answer *a, const weir_wish *w, weir_str change)
{
    static const char *const names[] = {"U", "u", "b", "a", "E"};
    weir_str v[5];
    weir_json_find(change, names, v, 5);
    weir_record_begin(a, w);
    weir_record_levels(a, "bids", v[2]);
    weir_record_levels(a, "asks", v[3]);
    weir_record_flags(a, false);
    weir_record_whole(a, "first_sequence", v[0]);
    weir_record_whole(a, "sequence", v[1]);
    weir_record_ms(a, "ts_event", v[4]);
    weir_record_end(a);
    return true;
}

/* It says no time. */
static bool read_bbo(weir_answer *a, const weir_wish *w, weir_str best)
{
    static const char *const names[] = {"b", "B", "a", "A", "u"}, *const ours[] = {"bid", "bid_size", "ask", "ask_size"};
    weir_str v[5];
    weir_json_find(best, names, v, 5);
    weir_record_begin(a, w);
    for (int i = 0; i < 4; i++)
        weir_record_decimal(a, ours[i], v[i]);
    weir_record_whole(a, "sequence", v[4]);
    weir_record_end(a);
    return true;
}

static bool read_ticker(weir_answer *a, const weir_wish *w, weir_str ticker)
{
    static const char *const names[] = {"c", "Q", "b", "B", "a", "A", "o", "h", "l", "v", "q", "n", "E"};
    static const char *const ours[] = {"last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "amount"};
    weir_str v[13];
    weir_json_find(ticker, names, v, 13);
    weir_record_begin(a, w);
    for (int i = 0; i < 11; i++)
        weir_record_decimal(a, ours[i], v[i]);
    weir_record_whole(a, "count", v[11]);
    weir_record_ms(a, "ts_event", v[12]);
    weir_record_end(a);
    return true;
}

static bool read_candle(weir_answer *a, const weir_wish *w, weir_str event)
{
    static const char *const names[] = {"t", "o", "h", "l", "c", "v", "q", "n", "x"};
    weir_str v[9];
    uint64_t begin;
    weir_json_find(weir_json_member(event, "k"), names, v, 9);
    if (!weir_json_u64(v[0], &begin))
        return weir_answer_fail(a, "no candle: ", event);
    weir_record_begin(a, w);
    weir_record_candle(a, w, begin, v + 1);
    weir_record_decimal_if(a, "amount", v[6]);
    weir_record_whole(a, "count", v[7]);
    weir_record_bool(a, "closed", weir_json_true(v[8]));
    weir_record_end(a);
    weir_json_u64(weir_json_member(event, "E"), &a->time_ms);
    return true;
}

/* ---- Commands ---- */

static void put_market(weir_buf *out, weir_str market)
{
    static const char *const names[] = {"symbol", "baseAsset", "quoteAsset", "status", "filters"}, *const ours[] = {"symbol", "base", "quote", "status"};
    static const char *const rules[] = {"filterType", "tickSize", "stepSize", "minQty", "maxQty", "minNotional"};
    weir_str v[5], f[6];
    weir_json_find(market, names, v, 5);
    weir_put_text(out, out->len > 1 ? ",{" : "{");
    for (int i = 0; i < 4; i++)
        weir_put_member(out, ours[i], weir_json_raw(v[i]));
    weir_put_member(out, "label", weir_json_raw(v[0]));
    weir_put_member(out, "assetType", weir_text("spot"));
    for (weir_json_iter it = weir_json_each(v[4]); weir_json_next(&it);) {
        weir_json_find(it.value, rules, f, 6);
        if (weir_is(f[0], "\"PRICE_FILTER\""))
            weir_put_member(out, "priceTick", weir_json_raw(f[1]));
        if (weir_is(f[0], "\"LOT_SIZE\"")) {
            weir_put_member(out, "quantityTick", weir_json_raw(f[2]));
            weir_put_member(out, "minQuantity", weir_json_raw(f[3]));
            weir_put_member(out, "maxQuantity", weir_json_raw(f[4]));
        }
        if (weir_is(f[0], "\"NOTIONAL\"") || weir_is(f[0], "\"MIN_NOTIONAL\""))
            weir_put_member(out, "minNotional", weir_json_raw(f[5]));
    }
    weir_put_char(out, '}');
}

static bool markets(weir_buf *out, weir_fail *fail)
{
    weir_str body;
    if (!weir_get(weir_text(REST "/exchangeInfo"), &body, fail))
        return false;
    for (weir_json_iter it = weir_json_each(weir_json_member(body, "symbols")); weir_json_next(&it);)
        put_market(out, it.value);
    return true;
}

/* Up to a thousand at a time, from the oldest on. */
static bool history(const weir_history *h, weir_buf *out, weir_fail *fail)
{
    static weir_buf url;
    uint64_t from = h->from_ms, most = h->limit ? h->limit : from ? 10000
                                                                  : 500;
    for (uint64_t have = 0, page = 1000; page == 1000 && have < most; have += page) {
        weir_str body, v[6];
        uint64_t begin = 0;
        weir_buf_clear(&url);
        weir_put_form(&url, REST "/klines?symbol=%&interval=%&limit=", h->symbol, weir_text(h->timeframe->venue), weir_none);
        weir_put_u64(&url, most - have < 1000 ? most - have : 1000);
        if (from) {
            weir_put_text(&url, "&startTime=");
            weir_put_u64(&url, from);
        }
        if (h->to_ms) {
            weir_put_text(&url, "&endTime=");
            weir_put_u64(&url, h->to_ms);
        }
        if (!weir_get(weir_buf_str(&url), &body, fail))
            return false;
        page = 0;
        for (weir_json_iter it = weir_json_each(body); weir_json_next(&it);) {
            weir_json_items(it.value, v, 6);
            if (weir_json_u64(v[0], &begin))
                page += weir_put_candle(out, begin / 1000, v + 1);
        }
        from = begin + 1;
        if (!h->from_ms) /* without a beginning it was the newest ones */
            return true;
    }
    return true;
}

static const weir_push_type types[] = {
    {"trades", "aggTrade", read_trade, false},
    {"orderbook", "depth@100ms", read_book, false},
    {"ticker", "ticker", read_ticker, false},
    {"bbo", "bookTicker", read_bbo, false},
    {"ohlcv", "kline_", read_candle, true},
    {NULL, NULL, NULL, false},
};
static const weir_timeframe timeframes[] = {
    {"1m", "1m"}, {"3m", "3m"}, {"5m", "5m"}, {"15m", "15m"}, {"30m", "30m"}, {"1h", "1h"}, {"2h", "2h"}, {"4h", "4h"}, {"6h", "6h"}, {"8h", "8h"}, {"12h", "12h"}, {"1d", "1d"}, {"3d", "3d"}, {"1w", "1w"}, {"1M", "1M"}, {NULL, NULL}};

static const weir_push binance = {
    .meta = "{\"pluginId\":\"binance-datasource\",\"name\":\"Binance\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"CexDataSource\","
            "\"description\":\"Trades, order books, tickers and candles of the Binance spot market\",\"author\":\"Weir\",\"repository\":\"\","
            "\"tags\":[\"binance\",\"crypto\",\"spot\"],\"contacts\":[],\"resources\":{\"allowedNetworkTargets\":["
            "{\"pattern\":\"wss://stream.binance.com:9443/*\"},{\"pattern\":\"https://api.binance.com/api/v3/*\"}],\"fsWriteAccess\":{}},"
            "\"features\":[\"historic_ohlcv\",\"ohlcv_stream\",\"trades_stream\",\"orderbook_stream\",\"ticker_stream\",\"bbo_stream\"]}",
    .limits = "[{\"command\":\"*\",\"scope\":[\"ip\"],\"rps\":10,\"burst\":50,\"cost\":2},{\"command\":\"getMarkets\",\"scope\":[\"ip\"],\"rps\":10,\"burst\":50,\"cost\":20}]",
    .types = types,
    .timeframes = timeframes,
    .upper = true,
    .socket = open_socket,
    .frame = on_frame,
    .markets = markets,
    .history = history,
};
WEIR_PUSH_PLUGIN(binance)
