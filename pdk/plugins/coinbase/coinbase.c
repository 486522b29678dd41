/* Coinbase Exchange: trades, order books, tickers.
 *
 * Each frame has a "type" and most a "product_id". The book is a snapshot and then lists of changes, without number or
 * checksum. "side" is that of the order that was in the book, so a trade's is the other one. */
#include "weir_push.h"

static void open_socket(const weir_wish *w, weir_socket *s)
{
    static const char form[] = "{\"type\":\"subscribe\",\"product_ids\":[\"%\"],\"channels\":[\"%\"]}";
    weir_put_text(&s->url, "wss://ws-feed.exchange.coinbase.com/");
    weir_socket_say(s, form, w->symbol, weir_text(w->type->channel), weir_none);
    if (weir_is(weir_text(w->type->name), "orderbook"))
        weir_put_form(&s->book,
                      "{\"guard\":\"none\",\"snapshot\":{\"messages\":["
                      "\"{\\\"type\\\":\\\"unsubscribe\\\",\\\"product_ids\\\":[\\\"%\\\"],\\\"channels\\\":[\\\"level2_batch\\\"]}\","
                      "\"{\\\"type\\\":\\\"subscribe\\\",\\\"product_ids\\\":[\\\"%\\\"],\\\"channels\\\":[\\\"level2_batch\\\"]}\"]}}",
                      w->symbol, w->symbol, weir_none);
}

static weir_str type; /* of the frame in hand */

static bool on_frame(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine)
{
    static const char *const names[] = {"type", "product_id", "message", "reason"};
    weir_str v[4];
    *mine = weir_none;
    weir_json_find(frame, names, v, 4);
    type = weir_json_raw(v[0]);
    if (!type.len)
        return weir_answer_fail(a, "a message without \"type\": ", frame);
    if (weir_is(type, "error"))
        return weir_answer_refuse(a, "Coinbase refuses: ", weir_json_raw(v[3].len ? v[3] : v[2]));
    if (weir_equal(weir_json_raw(v[1]), w->symbol))
        *mine = frame;
    return true;
}

/* last_match is the trade before the subscription. */
static bool read_trade(weir_answer *a, const weir_wish *w, weir_str trade)
{
    static const char *const names[] = {"trade_id", "price", "size", "side", "time", "sequence"};
    weir_str v[6];
    if (!weir_is(type, "match") && !weir_is(type, "last_match"))
        return true;
    weir_json_find(trade, names, v, 6);
    weir_record_begin(a, w);
    weir_record_text(a, "id", v[0]);
    weir_record_decimal(a, "price", v[1]);
    weir_record_decimal(a, "size", v[2]);
    weir_record_side(a, weir_is(v[3], "\"sell\""));
    weir_record_whole(a, "sequence", v[5]);
    weir_record_rfc3339(a, "ts_event", v[4]);
    weir_record_end(a);
    a->sequence = v[0]; /* trades count without holes; "sequence" counts all that happens to the product */
    return true;
}

/* [["buy",price,size],...] as one side. */
static void put_side(weir_answer *a, const char *name, weir_str changes, const char *side)
{
    weir_str v[3];
    bool first = true;
    weir_record_name(a, name);
    weir_put_char(&a->out, '[');
    for (weir_json_iter it = weir_json_each(changes); weir_json_next(&it);) {
        weir_json_items(it.value, v, 3);
        if (weir_is(v[0], side)) {
            weir_record_level(a, v[1], v[2], first);
            first = false;
        }
    }
    weir_put_char(&a->out, ']');
}

static bool read_book(weir_answer *a, const weir_wish *w, weir_str book)
{
    static const char *const names[] = {"bids", "asks", "changes", "time"};
    bool snapshot = weir_is(type, "snapshot");
    weir_str v[4];
    if (!snapshot && !weir_is(type, "l2update"))
        return true;
    weir_json_find(book, names, v, 4);
    weir_record_begin(a, w);
    if (snapshot) {
        weir_record_levels(a, "bids", v[0]);
        weir_record_levels(a, "asks", v[1]);
    } else {
        put_side(a, "bids", v[2], "\"buy\"");
        put_side(a, "asks", v[2], "\"sell\"");
    }
    weir_record_flags(a, snapshot);
    if (v[3].len) /* a snapshot says none */
        weir_record_rfc3339(a, "ts_event", v[3]);
    weir_record_end(a);
    return true;
}

static bool read_ticker(weir_answer *a, const weir_wish *w, weir_str ticker)
{
    static const char *const names[] = {"price", "last_size", "best_bid", "best_bid_size", "best_ask", "best_ask_size", "open_24h", "high_24h", "low_24h", "volume_24h", "sequence", "time"};
    static const char *const ours[] = {"last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume"};
    weir_str v[12];
    if (!weir_is(type, "ticker"))
        return true;
    weir_json_find(ticker, names, v, 12);
    weir_record_begin(a, w);
    weir_record_decimal(a, ours[0], v[0]);
    for (int i = 1; i < 10; i++)
        weir_record_decimal_if(a, ours[i], v[i]);
    weir_record_whole(a, "sequence", v[10]);
    weir_record_rfc3339(a, "ts_event", v[11]);
    weir_record_end(a);
    return true;
}

/* ---- Commands ---- */

#define REST "https://api.exchange.coinbase.com/products"

static bool markets(weir_buf *out, weir_fail *fail)
{
    static const char *const names[] = {"id", "base_currency", "quote_currency", "quote_increment", "base_increment", "min_market_funds", "status"};
    static const char *const ours[] = {"symbol", "base", "quote", "priceTick", "quantityTick", "minNotional", "status"};
    weir_str body, v[7];
    if (!weir_get(weir_text(REST), &body, fail))
        return false;
    for (weir_json_iter it = weir_json_each(body); weir_json_next(&it);) {
        weir_json_find(it.value, names, v, 7);
        weir_put_text(out, out->len > 1 ? ",{" : "{");
        for (int i = 0; i < 7; i++)
            weir_put_member(out, ours[i], weir_json_raw(v[i]));
        weir_put_member(out, "label", weir_json_raw(v[0]));
        weir_put_member(out, "assetType", weir_text("spot"));
        weir_put_char(out, '}');
    }
    return true;
}

#define PAGE 300 /* candles that one reply may hold */

/* One page: [begin, low, high, open, close, volume], the newest first. */
static bool history_page(const weir_history *h, uint64_t from_s, uint64_t to_s, weir_buf *out, weir_fail *fail)
{
    static weir_buf url;
    weir_str body, v[6];
    weir_buf_clear(&url);
    weir_put_form(&url, REST "/%/candles?granularity=%", h->symbol, weir_text(h->timeframe->venue), weir_none);
    if (from_s) {
        weir_put_text(&url, "&start=");
        weir_put_u64(&url, from_s);
        weir_put_text(&url, "&end=");
        weir_put_u64(&url, to_s);
    }
    if (!weir_get(weir_buf_str(&url), &body, fail))
        return false;
    for (weir_json_iter it = weir_json_each(body); weir_json_next(&it);) {
        uint64_t begin;
        weir_json_items(it.value, v, 6);
        weir_str ohlcv[5] = {v[3], v[2], v[1], v[4], v[5]};
        if (weir_json_u64(v[0], &begin) && begin >= from_s && begin <= to_s)
            weir_put_candle(out, begin, ohlcv);
    }
    return true;
}

static bool history(const weir_history *h, weir_buf *out, weir_fail *fail)
{
    uint64_t span = 0, from = h->from_ms / 1000, to = (h->to_ms ? h->to_ms : weir_time_ms()) / 1000;
    weir_json_u64(weir_text(h->timeframe->venue), &span);
    if (!from && h->limit && to > h->limit * span)
        from = to - h->limit * span;
    if (!from)
        return history_page(h, 0, UINT64_MAX, out, fail);
    for (int pages = 0; from <= to && pages < 40; pages++, from += PAGE * span)
        if (!history_page(h, from, from + (PAGE - 1) * span < to ? from + (PAGE - 1) * span : to, out, fail))
            return false;
    return true;
}

static const weir_push_type types[] = {
    {"trades", "matches", read_trade, false},
    {"orderbook", "level2_batch", read_book, false},
    {"ticker", "ticker", read_ticker, false},
    {NULL, NULL, NULL, false},
};
static const weir_timeframe timeframes[] = {{"1m", "60"}, {"5m", "300"}, {"15m", "900"}, {"1h", "3600"}, {"6h", "21600"}, {"1d", "86400"}, {NULL, NULL}};

static const weir_push coinbase = {
    .meta = "{\"pluginId\":\"coinbase-datasource\",\"name\":\"Coinbase Exchange\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"CexDataSource\","
            "\"description\":\"Trades, order books and tickers of the Coinbase exchange\",\"author\":\"Weir\",\"repository\":\"\","
            "\"tags\":[\"coinbase\",\"crypto\",\"spot\"],\"contacts\":[],\"resources\":{\"allowedNetworkTargets\":["
            "{\"pattern\":\"wss://ws-feed.exchange.coinbase.com/*\"},{\"pattern\":\"https://api.exchange.coinbase.com/products*\"}],\"fsWriteAccess\":{}},"
            "\"features\":[\"historic_ohlcv\",\"trades_stream\",\"orderbook_stream\",\"ticker_stream\"]}",
    .limits = "[{\"command\":\"*\",\"scope\":[\"ip\"],\"rps\":5,\"burst\":10,\"cost\":1}]",
    .types = types,
    .timeframes = timeframes,
    .upper = true,
    .socket = open_socket,
    .frame = on_frame,
    .markets = markets,
    .history = history,
};
WEIR_PUSH_PLUGIN(coinbase)
