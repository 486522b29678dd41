/* Generation 3 in C, the current library (v1.5): the market is an object, the marker says its type, frames travel
 * as base64 and mean nothing without the stream's context, a candle's time is "openTime", and the venue's heartbeat
 * is declared. */
#include "dialect.h"

static const candle_style style = {"openTime", true};
static weir_buf out;
static bool ready;
static unsigned constructed, inits;
static uint64_t depth = 50;

/* Run by _initialize, before anything else. */
__attribute__((constructor)) static void construct(void)
{
    constructed++;
}

static int32_t answer(const char *text, int32_t rc)
{
    weir_output(weir_text(text));
    return rc;
}

static int32_t refuse(const char *text)
{
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"result\":false,\"error\":");
    weir_put_string(&out, weir_text(text));
    weir_put_char(&out, '}');
    weir_output(weir_buf_str(&out));
    return 1;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"dialect-3-base64\",\"name\":\"Dialect 3, base64\",\"appId\":\"datasrc\",\"version\":\"2.0.0\",\"category\":\"cex\","
                  "\"resources\":{" VENUE_TARGETS ",\"fsWriteAccess\":{}},\"features\":[\"tradesStream\",\"getOHLCV\",\"ohlcvStream\"]}",
                  0);
}

WEIR_EXPORT(get_configuration_fields)
{
    return answer("[{\"name\":\"depth\",\"label\":\"Rows of history\",\"type\":\"number\",\"required\":false,\"default\":50,\"options\":{\"min\":1}},"
                  "{\"name\":\"apiKey\",\"label\":\"Key\",\"type\":\"\",\"required\":false,\"encrypt\":true,\"mask\":true}]",
                  0);
}

WEIR_EXPORT(get_rate_limits)
{
    return answer("[{\"command\":\"getOHLCV\",\"scope\":[\"ip\",\"apikey\"],\"rps\":100,\"burst\":100,\"cost\":1}]", 0);
}

/* Numbers must be numbers; without a text where it says no. */
WEIR_EXPORT(init)
{
    weir_str in = weir_input(), wanted = weir_json_member(in, "depth");
    inits++;
    ready = weir_json_kind_of(in) == WEIR_JSON_OBJECT && (!wanted.len || weir_json_kind_of(wanted) == WEIR_JSON_NUMBER);
    weir_json_u64(wanted, &depth);
    return ready && depth <= 1000 ? 0 : 1;
}

static uint64_t ms_of(weir_str time)
{
    uint64_t ms = 0;
    int64_t parsed = 0;
    if (weir_time_parse(weir_json_raw(time), &parsed) && parsed > 0)
        return (uint64_t)parsed;
    weir_json_u64(time, &ms);
    return ms;
}

static int32_t history(weir_str params, weir_str symbol)
{
    weir_fail fail;
    uint64_t limit = 0;
    weir_json_u64(weir_json_member(params, "limit"), &limit);
    weir_put_text(&out, "{\"result\":true,\"data\":");
    if (!venue_put_history(&out, &style, symbol, weir_json_raw(weir_json_member(params, "timeframe")), ms_of(weir_json_member(params, "startTime")),
                           ms_of(weir_json_member(params, "endTime")), limit, &fail))
        return refuse(fail.text);
    weir_put_char(&out, '}');
    return weir_reply(&out);
}

static int32_t stream(const char *type, weir_str params, weir_str symbol)
{
    weir_str span = weir_json_raw(weir_json_member(params, "timeframe"));
    if (weir_is(span, "1d"))
        return refuse("unsupported timeframe");                                  /* knows 1D */
    bool bare = weir_is(weir_json_raw(weir_json_member(params, "bare")), "yes"); /* as older libraries' */
    weir_put_text(&out, bare ? "{\"result\":true,\"data\":" : "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":");
    weir_put_text(&out, "{\"_stream\":true,\"streamID\":\"stream_");
    weir_put_str(&out, symbol);
    weir_put_text(&out, "\",\"websocketUrl\":\"" VENUE_SOCKET "\",\"headers\":{},\"initialMessages\":[");
    venue_put_subscribe(&out, weir_text(type), symbol, span);
    weir_put_text(&out, "],\"streamContext\":{\"what\":\"");
    weir_put_text(&out, type);
    weir_put_text(&out, "\"},\"heartbeat\":{\"app\":{\"matchJsonField\":\"cmd\",\"pingValue\":\"PING\",\"pongValue\":\"PONG\",\"clientPingIntervalMs\":15000}}}}");
    return weir_reply(&out);
}

/* For who asks how this instance came to be. */
static int32_t how_it_began(void)
{
    weir_put_text(&out, "{\"result\":true,\"data\":{\"constructed\":");
    weir_put_u64(&out, constructed);
    weir_put_text(&out, ",\"inits\":");
    weir_put_u64(&out, inits);
    weir_put_text(&out, ",\"depth\":");
    weir_put_u64(&out, depth);
    weir_put_text(&out, "}}");
    return weir_reply(&out);
}

WEIR_EXPORT(handle_command)
{
    weir_fail fail;
    weir_str in = weir_input(), params = weir_json_member(in, "params"), name = weir_json_raw(weir_json_member(in, "name"));
    weir_str symbol = weir_json_raw(weir_json_member(weir_json_member(params, "market"), "symbol"));
    if (!ready)
        __builtin_trap(); /* no client yet */
    weir_buf_clear(&out);
    if (weir_is(name, "howItBegan"))
        return how_it_began();
    if (weir_is(name, "getTimeframes"))
        return answer("{\"result\":true,\"data\":[{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"m\",\"location\":null},"
                      "{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"D\",\"location\":null}]}",
                      0);
    if (weir_is(name, "getMarkets")) {
        weir_put_text(&out, "{\"result\":true,\"cacheForSeconds\":43200,\"data\":");
        if (!venue_put_markets(&out, "symbol", "perpetual", &fail))
            return refuse(fail.text);
        weir_put_char(&out, '}');
        return weir_reply(&out);
    }
    if (!weir_is(name, "ohlcvStream") && !weir_is(name, "tradesStream") && !weir_is(name, "orderbookStream") && !weir_is(name, "getOHLCV"))
        return refuse("unknown command");
    if (!symbol.len)
        return refuse("market is no object with a symbol");
    return weir_is(name, "getOHLCV") ? history(params, symbol) : stream(weir_is(name, "ohlcvStream") ? "ohlcv" : weir_is(name, "tradesStream") ? "trades"
                                                                                                                                               : "orderbook",
                                                                        params, symbol);
}

WEIR_EXPORT(handle_stream_message)
{
    static weir_buf frame;
    weir_str in = weir_input(), message = weir_json_raw(weir_json_member(in, "message"));
    weir_buf_clear(&frame);
    weir_buf_clear(&out);
    size_t len = weir_buf_room(&frame, message.len + 1) ? weir_base64_decode(message, frame.at) : (size_t)-1;
    if (len == (size_t)-1)
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"failed to parse stream message request\"}", 1);
    frame.len = len;
    if (!weir_starts(weir_json_raw(weir_json_member(in, "streamId")), weir_text("stream_")) ||
        !weir_json_raw(weir_json_member(weir_json_member(in, "streamContext"), "what")).len)
        return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
    weir_put_text(&out, "{\"success\":true,\"action\":\"data\",\"data\":");
    switch (venue_frame(&out, &style, weir_buf_str(&frame))) {
    case VENUE_CANDLE:
        weir_put_text(&out, ",\"dataType\":\"ohlcv\"}");
        return weir_reply(&out);
    case VENUE_TRADE:
        weir_put_text(&out, ",\"dataType\":\"trades\"}");
        return weir_reply(&out);
    case VENUE_BOOK:
        venue_put_numbers(&out, weir_buf_str(&frame));
        weir_put_text(&out, ",\"dataType\":\"orderbook\"}");
        return weir_reply(&out);
    case VENUE_NOTHING:
        return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
    case VENUE_REFUSES:
        return answer("{\"success\":true,\"action\":\"close\"}", 0);
    default:
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"unreadable frame\"}", 1);
    }
}

WEIR_EXPORT(handle_connection_event)
{
    return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
}

WEIR_EXPORT(shutdown)
{
    return 0;
}
