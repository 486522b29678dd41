/* Generation 3 in C, an older library (v1.3): the market is a text, the marker comes bare and without a
 * context, frames travel as text, a candle's time is "timestamp", a rate limit's scope is one text, and the
 * first cut says "success" where later ones say "result". */
#include "dialect.h"

static const candle_style style = {"timestamp", true};
static weir_buf out;
static bool ready;

static int32_t answer(const char *text, int32_t rc)
{
    weir_output(weir_text(text));
    return rc;
}

static int32_t refuse(const char *text)
{
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"success\":false,\"error\":");
    weir_put_string(&out, weir_text(text));
    weir_put_char(&out, '}');
    weir_output(weir_buf_str(&out));
    return 1;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"dialect-3-text\",\"name\":\"Dialect 3, text\",\"appId\":\"datasrc\",\"version\":\"v1.0.0\",\"category\":\"cex\","
                  "\"resources\":{" VENUE_TARGETS ",\"stdoutAccess\":true,\"stderrAccess\":true},\"features\":[\"ohlcvStream\",\"getOHLCV\"]}",
                  0);
}

WEIR_EXPORT(get_configuration_fields)
{
    return answer("null", 0);
}

WEIR_EXPORT(get_rate_limits)
{
    return answer("[{\"command\":\"*\",\"scope\":\"ip\",\"rps\":100,\"burst\":100,\"cost\":0}]", 0);
}

WEIR_EXPORT(init)
{
    ready = weir_json_kind_of(weir_input()) == WEIR_JSON_OBJECT;
    return ready ? 0 : 1; /* and no text anywhere */
}

/* A time as RFC 3339 or milliseconds. */
static uint64_t ms_of(weir_str time)
{
    uint64_t ms = 0;
    int64_t parsed = 0;
    if (weir_time_parse(weir_json_raw(time), &parsed) && parsed > 0)
        return (uint64_t)parsed;
    weir_json_u64(time, &ms);
    return ms;
}

static int32_t history(weir_str params)
{
    weir_fail fail;
    uint64_t limit = 0;
    weir_json_u64(weir_json_member(params, "limit"), &limit);
    weir_put_text(&out, "{\"success\":true,\"data\":");
    if (!venue_put_history(&out, &style, weir_json_raw(weir_json_member(params, "symbol")), weir_json_raw(weir_json_member(params, "timeframe")),
                           ms_of(weir_json_member(params, "startTime")), ms_of(weir_json_member(params, "endTime")), limit, &fail))
        return refuse(fail.text);
    weir_put_char(&out, '}');
    return weir_reply(&out);
}

/* The marker, bare. Reads `interval`, as the first months did. */
static int32_t stream(const char *type, weir_str params)
{
    weir_str symbol = weir_json_raw(weir_json_member(params, "symbol"));
    if (!symbol.len)
        return refuse("no symbol");
    weir_put_text(&out, "{\"_stream\":true,\"streamID\":\"stream_");
    weir_put_str(&out, symbol);
    weir_put_text(&out, "\",\"websocketUrl\":\"" VENUE_SOCKET "\",\"initialMessages\":[");
    venue_put_subscribe(&out, weir_text(type), symbol, weir_json_raw(weir_json_member(params, "interval")));
    weir_put_text(&out, "]}");
    return weir_reply(&out);
}

WEIR_EXPORT(handle_command)
{
    weir_fail fail;
    weir_str in = weir_input(), params = weir_json_member(in, "params"), name = weir_json_raw(weir_json_member(in, "name"));
    if (!ready)
        __builtin_trap(); /* no client yet */
    weir_buf_clear(&out);
    if (weir_is(name, "ohlcvStream"))
        return stream("ohlcv", params);
    if (weir_is(name, "tradesStream"))
        return stream("trades", params);
    if (weir_is(name, "orderbookStream"))
        return stream("orderbook", params);
    if (weir_is(name, "getOHLCV"))
        return history(params);
    if (weir_is(name, "getTimeframes"))
        return answer("{\"success\":true,\"data\":[{\"label\":\"1 minute\",\"value\":\"1m\",\"interval\":60}]}", 0);
    if (!weir_is(name, "getMarkets"))
        return refuse("unknown command");
    weir_put_text(&out, "{\"success\":true,\"cacheForSeconds\":43200,\"data\":");
    if (!venue_put_markets(&out, "symbol", "futures", &fail))
        return refuse(fail.text);
    weir_put_char(&out, '}');
    return weir_reply(&out);
}

/* Base64 in place of text is what it does not know: it ignores that. */
WEIR_EXPORT(handle_stream_message)
{
    static weir_buf frame;
    weir_buf_clear(&frame);
    weir_buf_clear(&out);
    if (!weir_json_string(weir_json_member(weir_input(), "message"), &frame))
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"failed to parse stream message request\"}", 1);
    if (!frame.len || frame.at[0] != '{')
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

/* The library's own answer: it leaves reconnecting to the host. */
WEIR_EXPORT(handle_connection_event)
{
    return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
}

WEIR_EXPORT(shutdown)
{
    return 0;
}
