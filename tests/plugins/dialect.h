/* dialect.h: the venue's side of the plugins dialect_*.c, so that what is left in each of them is its dialect.
 *
 * All speak to WOO X's v3 socket and REST. A frame says by itself what it is, so nothing is kept for a stream: the
 * instance that another one follows needs no memory. dialects-go/venue is the same in Go. */
#include "weir_pdk.h"

#define VENUE_SOCKET "wss://wss.woox.io/v3/public"
#define VENUE_REST "https://api.woox.io"
#define VENUE_TARGETS "\"allowedNetworkTargets\":[{\"pattern\":\"https://api.woox.io/*\"},{\"pattern\":\"wss://wss.woox.io/*\"}]"

static const weir_str none = {NULL, 0};

/* How a dialect writes a candle. */
typedef struct candle_style {
    const char *time; /* the member's name */
    bool quoted;      /* decimals as text, not as numbers */
} candle_style;

/* ---- Streams ---- */

/* The subscription to "ohlcv", "trades" or "orderbook" (changes only) of a symbol, as the JSON text of a JSON text. False: there
 * is no such type. */
static bool venue_put_subscribe(weir_buf *b, weir_str type, weir_str symbol, weir_str span)
{
    char room[200];
    weir_buf message = weir_buf_over(room, sizeof room);
    bool candles = weir_is(type, "ohlcv"), book = weir_is(type, "orderbook");
    if (!candles && !book && !weir_is(type, "trades"))
        return false;
    weir_put_text(&message, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"");
    weir_put_text(&message, candles ? "kline@" : book ? "orderbookupdate@"
                                                      : "trade@");
    weir_put_str(&message, symbol);
    if (candles) {
        weir_put_char(&message, '@');
        weir_put_str(&message, span.len ? span : weir_text("1m"));
    }
    if (book)
        weir_put_text(&message, "@50");
    weir_put_text(&message, "\"]}");
    weir_put_string(b, weir_buf_str(&message));
    return !message.failed;
}

static void put_decimal(weir_buf *b, const char *name, weir_str value, bool quoted)
{
    weir_put_text(b, ",\"");
    weir_put_text(b, name);
    weir_put_text(b, quoted ? "\":\"" : "\":");
    weir_put_str(b, value.len ? value : weir_text("0"));
    if (quoted)
        weir_put_char(b, '"');
}

static bool put_candle_of(weir_buf *b, const candle_style *style, uint64_t start_ms, const weir_str values[5])
{
    static const char *const names[5] = {"open", "high", "low", "close", "volume"};
    weir_put_text(b, "{\"");
    weir_put_text(b, style->time);
    weir_put_text(b, "\":");
    weir_put_u64(b, start_ms / 1000);
    for (int i = 0; i < 5; i++) {
        if (!values[i].len)
            return false;
        put_decimal(b, names[i], values[i], style->quoted);
    }
    weir_put_char(b, '}');
    return start_ms > 0;
}

typedef enum venue_says { VENUE_NOTHING,
                          VENUE_CANDLE,
                          VENUE_TRADE,
                          VENUE_BOOK,
                          VENUE_REFUSES,
                          VENUE_NONSENSE } venue_says;

/* What a frame means; the record of a candle or a trade goes into `b`. */
static venue_says venue_frame(weir_buf *b, const candle_style *style, weir_str frame)
{
    static const char *const letters[5] = {"o", "h", "l", "c", "v"};
    weir_str topic = weir_json_raw(weir_json_member(frame, "topic")), data = weir_json_member(frame, "data"), values[5];
    weir_json_iter whole = weir_json_each(frame);
    uint64_t ms = 0;
    while (weir_json_next(&whole))
        ;
    if (whole.bad)
        return VENUE_NONSENSE;
    if (weir_is(weir_json_raw(weir_json_member(frame, "cmd")), "SUBSCRIBE")) {
        weir_json_iter it = weir_json_each(data);
        return weir_json_true(weir_json_member(frame, "success")) && weir_json_next(&it) ? VENUE_NOTHING : VENUE_REFUSES;
    }
    if (weir_starts(topic, weir_text("kline@"))) {
        for (int i = 0; i < 5; i++)
            values[i] = weir_json_decimal(weir_json_member(data, letters[i]));
        weir_json_u64(weir_json_member(data, "st"), &ms);
        return put_candle_of(b, style, ms, values) ? VENUE_CANDLE : VENUE_NONSENSE;
    }
    if (weir_starts(topic, weir_text("orderbookupdate@"))) {
        weir_put_str(b, data);
        return VENUE_BOOK;
    }
    if (!weir_starts(topic, weir_text("trade@")))
        return VENUE_NOTHING;
    if (!weir_json_u64(weir_json_member(data, "ts"), &ms))
        return VENUE_NONSENSE;
    weir_put_text(b, "{\"ts_event\":\"");
    weir_put_u64(b, ms);
    weir_put_text(b, "000000\"");
    put_decimal(b, "price", weir_json_decimal(weir_json_member(data, "px")), true);
    put_decimal(b, "size", weir_json_decimal(weir_json_member(data, "sx")), true);
    weir_put_text(b, weir_is(weir_json_raw(weir_json_member(data, "sd")), "BUY") ? ",\"side\":\"buy\"}" : ",\"side\":\"sell\"}");
    return VENUE_TRADE;
}

/* The numbers of a change of the book, beside its data: the venue counts by the time of the change before. */
__attribute__((unused)) static void venue_put_numbers(weir_buf *b, weir_str frame)
{
    weir_str data = weir_json_member(frame, "data");
    weir_put_text(b, ",\"sequence\":");
    weir_put_str(b, weir_json_member(data, "ts"));
    weir_put_text(b, ",\"previousSequence\":");
    weir_put_str(b, weir_json_member(data, "prevTs"));
}

/* ---- REST ---- */

/* The rows of a reply, or an empty text and the reason. */
static weir_str venue_rows(weir_http *http, weir_str path, weir_fail *fail)
{
    char room[400];
    weir_buf url = weir_buf_over(room, sizeof room);
    weir_put_text(&url, VENUE_REST);
    weir_put_str(&url, path);
    if (!weir_http_request(http, "GET", weir_buf_str(&url), none, none, fail))
        return none;
    if (!weir_json_true(weir_json_member(http->body, "success"))) {
        weir_fail_set(fail, "the venue refuses: ", weir_json_raw(weir_json_member(http->body, "message")), "");
        return none;
    }
    return weir_json_member(weir_json_member(http->body, "data"), "rows");
}

/* All markets; the symbol is called `name`. */
static bool venue_put_markets(weir_buf *b, const char *name, const char *perpetual, weir_fail *fail)
{
    static weir_http http;
    weir_json_iter it = weir_json_each(venue_rows(&http, weir_text("/v3/public/instruments"), fail));
    bool first = true;
    if (it.bad)
        return false;
    weir_put_char(b, '[');
    for (; weir_json_next(&it); first = false) {
        weir_str symbol = weir_json_member(it.value, "symbol");
        weir_put_text(b, first ? "{\"" : ",{\"");
        weir_put_text(b, name);
        weir_put_text(b, "\":");
        weir_put_str(b, symbol);
        weir_put_text(b, ",\"base\":");
        weir_put_str(b, weir_json_member(it.value, "baseAsset"));
        weir_put_text(b, ",\"quote\":");
        weir_put_str(b, weir_json_member(it.value, "quoteAsset"));
        weir_put_text(b, ",\"assetType\":\"");
        weir_put_text(b, weir_starts(weir_json_raw(symbol), weir_text("PERP_")) ? perpetual : "spot");
        weir_put_text(b, "\"}");
    }
    weir_put_char(b, ']');
    return true;
}

/* The candles of a span, newest first, as the venue gives them; 0 is unset. */
static bool venue_put_history(weir_buf *b, const candle_style *style, weir_str symbol, weir_str span, uint64_t from_ms, uint64_t to_ms,
                              uint64_t limit, weir_fail *fail)
{
    static const char *const names[5] = {"open", "high", "low", "close", "volume"};
    static weir_http http;
    char room[300];
    weir_buf path = weir_buf_over(room, sizeof room);
    weir_put_text(&path, "/v3/public/klineHistory?symbol=");
    weir_put_str(&path, symbol);
    weir_put_text(&path, "&type=");
    weir_put_str(&path, span);
    weir_put_text(&path, "&limit=");
    weir_put_u64(&path, limit ? limit : 100);
    if (from_ms) {
        weir_put_text(&path, "&after=");
        weir_put_u64(&path, from_ms);
    }
    if (to_ms) {
        weir_put_text(&path, "&before=");
        weir_put_u64(&path, to_ms);
    }
    weir_json_iter it = weir_json_each(venue_rows(&http, weir_buf_str(&path), fail));
    if (it.bad)
        return false;
    weir_put_char(b, '[');
    for (bool first = true; weir_json_next(&it); first = false) {
        weir_str values[5];
        uint64_t ms = 0;
        weir_json_u64(weir_json_member(it.value, "startTimestamp"), &ms);
        for (int i = 0; i < 5; i++)
            values[i] = weir_json_decimal(weir_json_member(it.value, names[i]));
        if (!first)
            weir_put_char(b, ',');
        if (!put_candle_of(b, style, ms, values))
            return weir_fail_set(fail, "a candle of '", symbol, "' lacks something");
    }
    weir_put_char(b, ']');
    return true;
}
