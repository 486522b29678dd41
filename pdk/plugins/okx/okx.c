/* OKX, public data of API v5: trades, order books, tickers, candles.
 *
 * One socket for each stream. A book is a snapshot and then changes, each with the CRC32 of the best 25 levels;
 * newer frames carry seqId and prevSeqId besides. Numbers are texts, times milliseconds as text. */
#include "weir_push.h"

static weir_str action; /* of the frame in hand: "snapshot", "update"; a book's only */

static void open_socket(const weir_wish *w, weir_socket *s)
{
    static const char form[] = "{\"op\":\"subscribe\",\"args\":[{\"channel\":\"%%\",\"instId\":\"%\"}]}";
    weir_str channel = weir_text(w->type->channel), time = weir_wish_time(w);
    weir_put_text(&s->url, w->timeframe ? "wss://ws.okx.com:8443/ws/v5/business" : "wss://ws.okx.com:8443/ws/v5/public");
    weir_socket_say(s, form, channel, time, w->symbol);
    s->ping_ms = 20000; /* it hangs up after 30 s of silence */
    if (weir_is(channel, "books"))
        weir_put_form(&s->book,
                      "{\"guard\":[\"previous_sequence\",\"crc32\"],\"depth\":400,"
                      "\"checksum\":{\"levels\":25,\"order\":\"interleaved\",\"separator\":\":\",\"strip\":false,\"signed\":true},"
                      "\"snapshot\":{\"messages\":[\"{\\\"op\\\":\\\"unsubscribe\\\",\\\"args\\\":[{\\\"channel\\\":\\\"books\\\",\\\"instId\\\":\\\"%\\\"}]}\","
                      "\"{\\\"op\\\":\\\"subscribe\\\",\\\"args\\\":[{\\\"channel\\\":\\\"books\\\",\\\"instId\\\":\\\"%\\\"}]}\"]}}",
                      w->symbol, w->symbol, weir_none);
}

/* The venue's usual order of members, which needs no walk over them: what is left are the data. A book has its action in
 * between. */
static bool is_usual(const weir_wish *w, weir_str frame, weir_str *data)
{
    *data = frame;
    return weir_skip(data, weir_text("{\"arg\":{\"channel\":\"")) && weir_skip(data, weir_text(w->type->channel)) && weir_skip(data, weir_wish_time(w)) &&
           weir_skip(data, weir_text("\",\"instId\":\"")) && weir_skip(data, w->symbol) && weir_skip(data, weir_text("\"},\"data\":"));
}

/* "candle1m" is a channel and a time frame. */
static bool is_channel(weir_str channel, const weir_wish *w)
{
    weir_str name = weir_text(w->type->channel), time = weir_wish_time(w);
    return weir_starts(channel, name) && weir_equal(weir_slice(channel.at + name.len, channel.len - name.len), time);
}

static bool on_frame(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine)
{
    static const char *const names[] = {"event", "arg", "action", "data", "msg"}, *const arg_names[] = {"channel", "instId"};
    weir_str v[5], arg[2];
    if (is_usual(w, frame, mine))
        return true;
    *mine = weir_none;
    if (weir_is(frame, "pong"))
        return true;
    weir_json_find(frame, names, v, 5);
    weir_str event = weir_json_raw(v[0]);
    if (weir_is(event, "error"))
        return weir_answer_refuse(a, "OKX refuses: ", weir_json_raw(v[4]));
    a->reconnect = weir_is(event, "notice"); /* it will hang up soon, for an upgrade of its own */
    if (event.len)
        return true;
    if (!v[1].len || !v[3].len)
        return weir_answer_fail(a, "neither an event nor data: ", frame);
    weir_json_find(v[1], arg_names, arg, 2);
    action = weir_json_raw(v[2]);
    if (is_channel(weir_json_raw(arg[0]), w) && weir_equal(weir_json_raw(arg[1]), w->symbol))
        *mine = v[3];
    return true;
}

static bool read_trades(weir_answer *a, const weir_wish *w, weir_str data)
{
    static const char *const names[] = {"tradeId", "px", "sz", "side", "ts"};
    weir_str v[5];
    weir_json_iter it = weir_json_each(data);
    while (weir_json_next_find(&it, names, v, 5)) {
        weir_record_begin(a, w);
        weir_record_text(a, "id", v[0]);
        weir_record_decimal(a, "price", v[1]);
        weir_record_decimal(a, "size", v[2]);
        weir_record_side(a, weir_is(v[3], "\"buy\""));
        weir_record_ms(a, "ts_event", v[4]);
        weir_record_end(a);
    }
    return !it.bad || weir_answer_fail(a, "broken data: ", data);
}

static bool read_book(weir_answer *a, const weir_wish *w, weir_str data)
{
    static const char *const names[] = {"bids", "asks", "ts", "checksum", "seqId", "prevSeqId"};
    weir_str v[6];
    weir_json_iter it = weir_json_each(data);
    while (weir_json_next_find(&it, names, v, 6)) {
        weir_record_begin(a, w);
        weir_record_levels(a, "bids", v[0]);
        weir_record_levels(a, "asks", v[1]);
        weir_record_flags(a, weir_is(action, "snapshot"));
        weir_record_whole(a, "checksum", v[3]);
        weir_record_whole(a, "sequence", v[4]);
        if (v[5].len && v[5].at[0] != '-') /* -1: a snapshot has none before it */
            weir_record_whole(a, "previous_sequence", v[5]);
        weir_record_ms(a, "ts_event", v[2]);
        weir_record_end(a);
    }
    return !it.bad || weir_answer_fail(a, "broken data: ", data);
}

/* Of a spot market vol24h is in the base and volCcy24h in the quote currency; of a contract vol24h counts
 * contracts and volCcy24h is in the base currency. */
static bool read_tickers(weir_answer *a, const weir_wish *w, weir_str data)
{
    static const char *const names[] = {"instType", "last", "lastSz", "bidPx", "bidSz", "askPx", "askSz", "open24h", "high24h", "low24h", "vol24h", "volCcy24h", "ts"};
    static const char *const ours[] = {NULL, "last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low"};
    weir_str v[13];
    weir_json_iter it = weir_json_each(data);
    while (weir_json_next_find(&it, names, v, 13)) {
        bool spot = weir_is(v[0], "\"SPOT\"");
        weir_record_begin(a, w);
        weir_record_decimal(a, ours[1], v[1]);
        for (int i = 2; i < 10; i++)
            weir_record_decimal_if(a, ours[i], v[i]);
        weir_record_decimal_if(a, "volume", v[spot ? 10 : 11]);
        weir_record_decimal_if(a, spot ? "amount" : "contracts", v[spot ? 11 : 10]);
        weir_record_ms(a, "ts_event", v[12]);
        weir_record_end(a);
    }
    return !it.bad || weir_answer_fail(a, "broken data: ", data);
}

/* [begin, open, high, low, close, volume, of the currency, of the quote currency, confirmed] */
static bool read_candles(weir_answer *a, const weir_wish *w, weir_str data)
{
    weir_str v[9];
    weir_json_iter it = weir_json_each(data);
    while (weir_json_next(&it)) {
        uint64_t begin;
        if (weir_json_items(it.value, v, 9) < 6 || !weir_json_u64(v[0], &begin))
            return weir_answer_fail(a, "no candle: ", it.value);
        weir_record_begin(a, w);
        weir_record_candle(a, w, begin, v + 1);
        weir_record_decimal_if(a, "amount", v[7]);
        weir_record_bool(a, "closed", weir_is(v[8], "\"1\""));
        weir_record_end(a);
    }
    return !it.bad || weir_answer_fail(a, "broken data: ", data);
}

/* ---- Commands ---- */

#define REST "https://www.okx.com/api/v5"

/* The "data" of a reply whose code is 0. */
static bool get(const weir_buf *url, weir_str *data, weir_fail *fail)
{
    static const char *const names[] = {"code", "msg", "data"};
    weir_str body, v[3];
    if (!weir_get(weir_buf_str(url), &body, fail))
        return false;
    weir_json_find(body, names, v, 3);
    *data = v[2];
    return weir_is(v[0], "\"0\"") || weir_fail_set(fail, "OKX refuses: ", weir_json_raw(v[1]), "");
}

static void put_market(weir_buf *out, const char *kind, weir_str market)
{
    static const char *const names[] = {"instId", "tickSz", "lotSz", "minSz", "ctVal", "state"};
    static const char *const ours[] = {"symbol", "priceTick", "quantityTick", "minQuantity", "contractSize", "status"};
    weir_str v[6], symbol, part[2] = {weir_none, weir_none};
    weir_json_find(market, names, v, 6);
    symbol = weir_json_raw(v[0]);
    for (size_t i = 0, from = 0, n = 0; i <= symbol.len && n < 2; i++)
        if (i == symbol.len || symbol.at[i] == '-') {
            part[n++] = weir_slice(symbol.at + from, i - from);
            from = i + 1;
        }
    weir_put_text(out, out->len > 1 ? ",{" : "{");
    for (int i = 0; i < 6; i++)
        weir_put_member(out, ours[i], weir_json_raw(v[i]));
    weir_put_member(out, "label", symbol);
    weir_put_member(out, "base", part[0]);
    weir_put_member(out, "quote", part[1]);
    weir_put_member(out, "assetType", weir_text(kind));
    weir_put_char(out, '}');
}

static bool markets(weir_buf *out, weir_fail *fail)
{
    static const char *const kinds[][2] = {{"SPOT", "spot"}, {"SWAP", "perpetual"}, {"FUTURES", "futures"}};
    static weir_buf url;
    weir_str data;
    for (int i = 0; i < 3; i++) {
        weir_buf_clear(&url);
        weir_put_form(&url, REST "/public/instruments?instType=%", weir_text(kinds[i][0]), weir_none, weir_none);
        if (!get(&url, &data, fail))
            return false;
        for (weir_json_iter it = weir_json_each(data); weir_json_next(&it);)
            put_market(out, kinds[i][1], it.value);
    }
    return true;
}

/* A hundred at a time, from the newest back. */
static bool history(const weir_history *h, weir_buf *out, weir_fail *fail)
{
    static weir_buf url;
    uint64_t after = h->to_ms ? h->to_ms + 1 : 0, most = h->limit ? h->limit : h->from_ms ? 10000
                                                                                          : 100;
    for (uint64_t have = 0, page = 1; page && have < most; have += page) {
        weir_str data, v[6];
        weir_buf_clear(&url);
        weir_put_form(&url, REST "/market/history-candles?instId=%&bar=%", h->symbol, weir_text(h->timeframe->venue), weir_none);
        if (after) {
            weir_put_text(&url, "&after=");
            weir_put_u64(&url, after);
        }
        if (!get(&url, &data, fail))
            return false;
        page = 0;
        for (weir_json_iter it = weir_json_each(data); weir_json_next(&it) && have + page < most;) {
            uint64_t begin;
            weir_json_items(it.value, v, 6);
            if (!weir_json_u64(v[0], &begin))
                return weir_fail_set(fail, "OKX answers no candle: ", it.value, "");
            if (begin < h->from_ms)
                return true;
            after = begin;
            page += weir_put_candle(out, begin / 1000, v + 1);
        }
    }
    return true;
}

static const weir_push_type types[] = {
    {"trades", "trades", read_trades, false},
    {"orderbook", "books", read_book, false},
    {"ticker", "tickers", read_tickers, false},
    {"ohlcv", "candle", read_candles, true},
    {NULL, NULL, NULL, false},
};
static const weir_timeframe timeframes[] = {
    {"1m", "1m"}, {"3m", "3m"}, {"5m", "5m"}, {"15m", "15m"}, {"30m", "30m"}, {"1h", "1H"}, {"2h", "2H"}, {"4h", "4H"}, {"6h", "6Hutc"}, {"12h", "12Hutc"}, {"1d", "1Dutc"}, {"1w", "1Wutc"}, {"1M", "1Mutc"}, {NULL, NULL}};

static const weir_push okx = {
    .meta = "{\"pluginId\":\"okx-datasource\",\"name\":\"OKX\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"CexDataSource\","
            "\"description\":\"Trades, order books, tickers and candles of the OKX exchange\",\"author\":\"Weir\",\"repository\":\"\","
            "\"tags\":[\"okx\",\"crypto\",\"spot\",\"perpetual\",\"futures\"],\"contacts\":[],\"resources\":{\"allowedNetworkTargets\":["
            "{\"pattern\":\"wss://ws.okx.com:8443/*\"},{\"pattern\":\"https://www.okx.com/api/v5/*\"}],\"fsWriteAccess\":{}},"
            "\"features\":[\"historic_ohlcv\",\"ohlcv_stream\",\"trades_stream\",\"orderbook_stream\",\"ticker_stream\"]}",
    .limits = "[{\"command\":\"*\",\"scope\":[\"ip\"],\"rps\":10,\"burst\":20,\"cost\":1}]",
    .types = types,
    .timeframes = timeframes,
    .upper = true,
    .socket = open_socket,
    .frame = on_frame,
    .markets = markets,
    .history = history,
};
WEIR_PUSH_PLUGIN(okx)
