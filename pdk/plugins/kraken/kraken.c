/* Kraken, WebSocket API v1: trades, order books, tickers, best bid and offer, candles.
 *
 * Data are lists, [channel number, payload, "book-1000", "XBT/USD"], a book's change of both sides with two payloads;
 * all else are objects with an "event". Times are seconds with a fraction as text. A book's change carries the CRC32
 * of the best ten levels, asks first, without points and leading zeros. */
#include "weir_push.h"

#define DEPTH "1000"

static weir_str payload[2]; /* of the frame in hand */

static void open_socket(const weir_wish *w, weir_socket *s)
{
    static const char form[] = "{\"event\":\"subscribe\",\"pair\":[\"%\"],\"subscription\":{\"name\":\"%\"%}}";
    char room[32];
    weir_buf more = weir_buf_over(room, sizeof room);
    weir_str channel = weir_text(w->type->channel);
    bool book = weir_is(channel, "book");
    if (w->timeframe)
        weir_put_form(&more, ",\"interval\":%", weir_wish_time(w), weir_none, weir_none);
    if (book)
        weir_put_text(&more, ",\"depth\":" DEPTH);
    weir_put_text(&s->url, "wss://ws.kraken.com/");
    weir_socket_say(s, form, w->symbol, channel, weir_buf_str(&more));
    if (book)
        weir_put_form(&s->book,
                      "{\"guard\":\"crc32\",\"depth\":" DEPTH ","
                      "\"checksum\":{\"levels\":10,\"order\":\"asks_then_bids\",\"separator\":\"\",\"strip\":true,\"signed\":false},"
                      "\"snapshot\":{\"messages\":[\"{\\\"event\\\":\\\"unsubscribe\\\",\\\"pair\\\":[\\\"%\\\"],\\\"subscription\\\":{\\\"name\\\":\\\"book\\\",\\\"depth\\\":" DEPTH "}}\","
                      "\"{\\\"event\\\":\\\"subscribe\\\",\\\"pair\\\":[\\\"%\\\"],\\\"subscription\\\":{\\\"name\\\":\\\"book\\\",\\\"depth\\\":" DEPTH "}}\"]}}",
                      w->symbol, w->symbol, weir_none);
}

static bool on_event(weir_answer *a, const weir_wish *w, weir_str frame)
{
    static const char *const names[] = {"event", "status", "errorMessage", "pair"};
    weir_str v[4];
    weir_json_find(frame, names, v, 4);
    if (!v[0].len)
        return weir_answer_fail(a, "neither an event nor data: ", frame);
    if (weir_is(v[0], "\"subscriptionStatus\"") && weir_is(v[1], "\"error\"") && (!v[3].len || weir_equal(weir_json_raw(v[3]), w->symbol)))
        return weir_answer_refuse(a, "Kraken refuses: ", weir_json_raw(v[2]));
    if (weir_is(v[0], "\"error\""))
        return weir_answer_refuse(a, "Kraken refuses: ", weir_json_raw(v[2]));
    return true; /* systemStatus, subscriptionStatus, heartbeat, pong */
}

/* The last of "book-1000" and "ohlc-5" is the depth, or the minutes. */
static bool is_channel(weir_str channel, const weir_wish *w)
{
    weir_str name = weir_text(w->type->channel), time = weir_wish_time(w), behind;
    if (!weir_starts(channel, name))
        return false;
    behind = weir_slice(channel.at + name.len, channel.len - name.len);
    if (behind.len && behind.at[0] == '-')
        behind = weir_slice(behind.at + 1, behind.len - 1);
    return time.len ? weir_equal(behind, time) : !behind.len || weir_is(name, "book");
}

static bool on_frame(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine)
{
    weir_str v[5];
    *mine = weir_none;
    if (weir_json_kind_of(frame) != WEIR_JSON_ARRAY)
        return on_event(a, w, frame);
    size_t n = weir_json_items(frame, v, 5);
    if (n < 4)
        return weir_answer_fail(a, "data without channel and pair: ", frame);
    payload[0] = v[1];
    payload[1] = n == 5 ? v[2] : weir_none;
    if (is_channel(weir_json_raw(v[n - 2]), w) && weir_equal(weir_json_raw(v[n - 1]), w->symbol))
        *mine = v[1];
    return true;
}

/* [price, volume, time, "b" or "s", order type, miscellaneous] */
static bool read_trades(weir_answer *a, const weir_wish *w, weir_str trades)
{
    weir_str v[4];
    for (weir_json_iter it = weir_json_each(trades); weir_json_next(&it);) {
        weir_json_items(it.value, v, 4);
        weir_record_begin(a, w);
        weir_record_decimal(a, "price", v[0]);
        weir_record_decimal(a, "size", v[1]);
        weir_record_side(a, weir_is(v[3], "\"b\""));
        weir_record_seconds(a, "ts_event", v[2]);
        weir_record_end(a);
    }
    return true;
}

/* The later of two times in seconds, as text with the same number of digits. */
static weir_str later(weir_str a, weir_str b)
{
    weir_str x = weir_json_raw(a), y = weir_json_raw(b);
    if (x.len != y.len)
        return x.len > y.len ? a : b;
    for (size_t i = 0; i < x.len; i++)
        if (x.at[i] != y.at[i])
            return x.at[i] > y.at[i] ? a : b;
    return a;
}

static weir_str latest(weir_str levels, weir_str time)
{
    weir_str v[3];
    for (weir_json_iter it = weir_json_each(levels); weir_json_next(&it);)
        if (weir_json_items(it.value, v, 3) == 3)
            time = later(v[2], time);
    return time;
}

/* {"as","bs"} is a snapshot; {"a"}, {"b"} are changes, the last of them with the checksum "c". The book's time is that of
 * its newest level. */
static bool read_book(weir_answer *a, const weir_wish *w, weir_str first)
{
    static const char *const names[] = {"as", "bs", "a", "b", "c"};
    weir_str v[5], more[5], time;
    weir_json_find(first, names, v, 5);
    weir_json_find(payload[1], names, more, 5);
    for (int i = 0; i < 5; i++)
        if (more[i].len)
            v[i] = more[i];
    bool snapshot = v[0].len || v[1].len;
    weir_str asks = v[snapshot ? 0 : 2], bids = v[snapshot ? 1 : 3];
    if (!asks.len && !bids.len)
        return weir_answer_fail(a, "a book without levels: ", first);
    time = latest(asks, latest(bids, weir_none));
    weir_record_begin(a, w);
    weir_record_levels(a, "bids", bids);
    weir_record_levels(a, "asks", asks);
    weir_record_flags(a, snapshot);
    weir_record_whole(a, "checksum", v[4]);
    if (time.len)
        weir_record_seconds(a, "ts_event", time);
    weir_record_end(a);
    return true;
}

/* Each member is a list: [price, whole lots, lots], [last, its size], [today, 24 hours]. It says no time. */
static bool read_ticker(weir_answer *a, const weir_wish *w, weir_str ticker)
{
    static const char *const names[] = {"c", "b", "a", "h", "l", "v", "o", "t"};
    weir_str v[8], ask[3], bid[3], last[2], high[2], low[2], volume[2], open[2], count[2];
    weir_json_find(ticker, names, v, 8);
    weir_json_items(v[0], last, 2);
    weir_json_items(v[1], bid, 3);
    weir_json_items(v[2], ask, 3);
    weir_json_items(v[3], high, 2);
    weir_json_items(v[4], low, 2);
    weir_json_items(v[5], volume, 2);
    weir_json_items(v[6], open, 2);
    weir_json_items(v[7], count, 2);
    weir_record_begin(a, w);
    weir_record_decimal(a, "last", last[0]);
    weir_record_decimal_if(a, "last_size", last[1]);
    weir_record_decimal_if(a, "bid", bid[0]);
    weir_record_decimal_if(a, "bid_size", bid[2]);
    weir_record_decimal_if(a, "ask", ask[0]);
    weir_record_decimal_if(a, "ask_size", ask[2]);
    weir_record_decimal_if(a, "open", open[1]);
    weir_record_decimal_if(a, "high", high[1]);
    weir_record_decimal_if(a, "low", low[1]);
    weir_record_decimal_if(a, "volume", volume[1]);
    weir_record_whole(a, "count", count[1]);
    weir_record_end(a);
    return true;
}

/* [bid, ask, time, bid size, ask size] */
static bool read_spread(weir_answer *a, const weir_wish *w, weir_str spread)
{
    weir_str v[5];
    weir_json_items(spread, v, 5);
    weir_record_begin(a, w);
    weir_record_decimal(a, "bid", v[0]);
    weir_record_decimal(a, "bid_size", v[3]);
    weir_record_decimal(a, "ask", v[1]);
    weir_record_decimal(a, "ask_size", v[4]);
    weir_record_seconds(a, "ts_event", v[2]);
    weir_record_end(a);
    return true;
}

/* [time, end, open, high, low, close, mean price, volume, count]: `end` is where the candle ends, in seconds. */
static bool read_candle(weir_answer *a, const weir_wish *w, weir_str candle)
{
    weir_str v[9], end, minutes = weir_wish_time(w);
    uint64_t end_s, span_min = 0;
    weir_json_items(candle, v, 9);
    end = weir_json_decimal(v[1]);
    for (size_t i = 0; i < end.len; i++)
        if (end.at[i] == '.')
            end.len = i;
    weir_json_u64(minutes, &span_min);
    if (!weir_json_u64(end, &end_s) || end_s < span_min * 60)
        return weir_answer_fail(a, "no candle: ", candle);
    weir_str ohlcv[5] = {v[2], v[3], v[4], v[5], v[7]};
    weir_record_begin(a, w);
    weir_record_candle(a, w, (end_s - span_min * 60) * 1000, ohlcv);
    weir_record_whole(a, "count", v[8]);
    weir_record_end(a);
    return true;
}

/* ---- Commands ---- */

#define REST "https://api.kraken.com/0/public"

/* The "result" of a reply whose list of errors is empty. */
static bool get(weir_str url, weir_str *result, weir_fail *fail)
{
    static const char *const names[] = {"error", "result"};
    weir_str body, v[2], error;
    if (!weir_get(url, &body, fail))
        return false;
    weir_json_find(body, names, v, 2);
    *result = v[1];
    return !weir_json_items(v[0], &error, 1) || weir_fail_set(fail, "Kraken refuses: ", weir_json_raw(error), "");
}

static bool markets(weir_buf *out, weir_fail *fail)
{
    static const char *const names[] = {"wsname", "altname", "tick_size", "ordermin", "status", "costmin"};
    weir_str result, v[6];
    if (!get(weir_text(REST "/AssetPairs"), &result, fail))
        return false;
    for (weir_json_iter it = weir_json_each(result); weir_json_next(&it);) {
        weir_json_find(it.value, names, v, 6);
        weir_str symbol = weir_json_raw(v[0]);
        size_t slash = 0;
        while (slash < symbol.len && symbol.at[slash] != '/')
            slash++;
        if (slash == symbol.len)
            continue; /* no stream of it */
        weir_put_text(out, out->len > 1 ? ",{" : "{");
        weir_put_member(out, "symbol", symbol);
        weir_put_member(out, "label", weir_json_raw(v[1]));
        weir_put_member(out, "base", weir_slice(symbol.at, slash));
        weir_put_member(out, "quote", weir_slice(symbol.at + slash + 1, symbol.len - slash - 1));
        weir_put_member(out, "assetType", weir_text("spot"));
        weir_put_member(out, "priceTick", weir_json_raw(v[2]));
        weir_put_member(out, "minQuantity", weir_json_raw(v[3]));
        weir_put_member(out, "minNotional", weir_json_raw(v[5]));
        weir_put_member(out, "status", weir_json_raw(v[4]));
        weir_put_char(out, '}');
    }
    return true;
}

/* The venue gives the newest 720 candles behind "since", whatever one asks. */
static bool history(const weir_history *h, weir_buf *out, weir_fail *fail)
{
    static weir_buf url;
    weir_str result, v[8];
    weir_buf_clear(&url);
    weir_put_text(&url, REST "/OHLC?pair=");
    for (size_t i = 0; i < h->symbol.len; i++)
        if (h->symbol.at[i] != '/')
            weir_put_char(&url, h->symbol.at[i]);
    weir_put_form(&url, "&interval=%", weir_text(h->timeframe->venue), weir_none, weir_none);
    if (h->from_ms) {
        weir_put_text(&url, "&since=");
        weir_put_u64(&url, h->from_ms / 1000 - 1); /* those behind it */
    }
    if (!get(weir_buf_str(&url), &result, fail))
        return false;
    for (weir_json_iter pair = weir_json_each(result); weir_json_next(&pair);)
        for (weir_json_iter it = weir_json_each(pair.value); weir_json_next(&it);) {
            uint64_t begin;
            weir_json_items(it.value, v, 8);
            weir_str ohlcv[5] = {v[1], v[2], v[3], v[4], v[6]};
            if (weir_json_u64(v[0], &begin) && begin * 1000 >= h->from_ms && (!h->to_ms || begin * 1000 <= h->to_ms))
                weir_put_candle(out, begin, ohlcv);
        }
    return true;
}

static const weir_push_type types[] = {
    {"trades", "trade", read_trades, false},
    {"orderbook", "book", read_book, false},
    {"ticker", "ticker", read_ticker, false},
    {"bbo", "spread", read_spread, false},
    {"ohlcv", "ohlc", read_candle, true},
    {NULL, NULL, NULL, false},
};
static const weir_timeframe timeframes[] = {
    {"1m", "1"}, {"5m", "5"}, {"15m", "15"}, {"30m", "30"}, {"1h", "60"}, {"4h", "240"}, {"1d", "1440"}, {"1w", "10080"}, {NULL, NULL}};

static const weir_push kraken = {
    .meta = "{\"pluginId\":\"kraken-datasource\",\"name\":\"Kraken\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"CexDataSource\","
            "\"description\":\"Trades, order books, tickers and candles of the Kraken exchange\",\"author\":\"Weir\",\"repository\":\"\","
            "\"tags\":[\"kraken\",\"crypto\",\"spot\"],\"contacts\":[],\"resources\":{\"allowedNetworkTargets\":["
            "{\"pattern\":\"wss://ws.kraken.com/*\"},{\"pattern\":\"https://api.kraken.com/0/public/*\"}],\"fsWriteAccess\":{}},"
            "\"features\":[\"historic_ohlcv\",\"ohlcv_stream\",\"trades_stream\",\"orderbook_stream\",\"ticker_stream\",\"bbo_stream\"]}",
    .limits = "[{\"command\":\"*\",\"scope\":[\"ip\"],\"rps\":1,\"burst\":5,\"cost\":1}]",
    .types = types,
    .timeframes = timeframes,
    .upper = true,
    .socket = open_socket,
    .frame = on_frame,
    .markets = markets,
    .history = history,
};
WEIR_PUSH_PLUGIN(kraken)
