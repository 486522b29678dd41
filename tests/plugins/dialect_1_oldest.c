/* Generation 1 in C, the oldest dialect: no set_credentials (they travel inside get_ohlcv), a stream is asked
 * for by {symbol, interval} alone, no answer says "success", candles are an action of their own, and an empty
 * list is null. */
#include "dialect.h"

static const candle_style style = {"timestamp", false};
static weir_buf out;

static int32_t answer(const char *text)
{
    weir_output(weir_text(text));
    return 0;
}

static int32_t fail_with(const char *text)
{
    weir_error(text);
    return 1;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"dialect-1-oldest\",\"name\":\"Dialect 1, the oldest\",\"appId\":\"datasrc\",\"version\":\"0.1.0\","
                  "\"category\":\"DataSource\",\"resources\":{" VENUE_TARGETS "}}");
}

WEIR_EXPORT(get_credential_fields)
{
    return answer("[{\"name\":\"api_key\",\"encrypt\":true,\"mask\":true,\"omitEmpty\":true}]");
}

WEIR_EXPORT(list_markets)
{
    weir_fail fail;
    weir_buf_clear(&out);
    return venue_put_markets(&out, "name", "futures", &fail) ? weir_reply(&out) : fail_with(fail.text);
}

WEIR_EXPORT(get_timeframes)
{
    return answer("[{\"label\":\"1m\",\"apiValue\":\"1m\",\"interval\":60}]");
}

/* Needs credentials, and gives null for nothing. */
WEIR_EXPORT(get_ohlcv)
{
    weir_fail fail;
    weir_str in = weir_input(), credentials = weir_json_member(in, "credentials");
    uint64_t from = 0, to = 0, limit = 0;
    weir_json_u64(weir_json_member(in, "startTime"), &from);
    weir_json_u64(weir_json_member(in, "endTime"), &to);
    weir_json_u64(weir_json_member(in, "limit"), &limit);
    if (!weir_json_raw(weir_json_member(credentials, "apiKey")).len)
        return fail_with("get_ohlcv: no credentials");
    weir_buf_clear(&out);
    if (!venue_put_history(&out, &style, weir_json_raw(weir_json_member(in, "symbol")), weir_json_raw(weir_json_member(in, "timeframe")),
                           from * 1000, to * 1000, limit, &fail))
        return fail_with(fail.text);
    return out.len > 2 ? weir_reply(&out) : answer("null");
}

/* Candles only. */
WEIR_EXPORT(prepare_stream)
{
    weir_str in = weir_input();
    weir_str symbol = weir_json_raw(weir_json_member(in, "symbol"));
    if (!symbol.len)
        return fail_with("prepare_stream: no symbol");
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"websocketUrl\":\"" VENUE_SOCKET "\",\"headers\":null,\"initialMessages\":[");
    venue_put_subscribe(&out, weir_text("ohlcv"), symbol, weir_json_raw(weir_json_member(in, "interval")));
    weir_put_text(&out, "]}");
    return weir_reply(&out);
}

WEIR_EXPORT(handle_stream_message)
{
    static weir_buf frame;
    weir_buf_clear(&frame);
    weir_buf_clear(&out);
    if (!weir_json_string(weir_json_member(weir_input(), "message"), &frame))
        return fail_with("handle_stream_message: no message");
    weir_put_text(&out, "{\"action\":\"ohlcv\",\"ohlcvRecord\":");
    switch (venue_frame(&out, &style, weir_buf_str(&frame))) {
    case VENUE_CANDLE:
        weir_put_char(&out, '}');
        return weir_reply(&out);
    case VENUE_REFUSES:
        return answer("{\"action\":\"close\"}");
    case VENUE_NONSENSE:
        return fail_with("unreadable frame");
    default:
        return answer("{\"action\":\"ignore\"}");
    }
}

WEIR_EXPORT(stream_connection_event)
{
    weir_str event = weir_json_raw(weir_json_member(weir_input(), "eventType"));
    return answer(weir_is(event, "error") || weir_is(event, "disconnected") ? "{\"action\":\"reconnect\"}" : "{\"action\":\"ignore\"}");
}
