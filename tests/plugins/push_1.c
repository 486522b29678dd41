/* A plugin of generation 1. Each frame is published as {"frame": text}; the frame "odd" is answered with
 * success false and code 0, "error" with error_set and 1. With the parameter "dialect" = "oldest" it speaks the
 * first dialect: no "success", action "ohlcv" with "ohlcvRecord". "no" as the symbol is refused with code 0. */
#include "weir_pdk.h"

static bool oldest;
static char room[1 << 16], key[64], id[64];

static int32_t answer(const char *text)
{
    weir_output(weir_text(text));
    return 0;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"push_1\",\"name\":\"Push 1\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"CexDataSource\","
                  "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}");
}

WEIR_EXPORT(get_credential_fields)
{
    return answer("[{\"name\":\"api_key\",\"required\":true,\"encrypt\":true,\"mask\":true,\"omitEmpty\":false}]");
}

/* Declares api_key, reads apiKey: as published plugins do. */
WEIR_EXPORT(set_credentials)
{
    weir_buf b = weir_buf_over(key, sizeof key);
    weir_put_str(&b, weir_json_raw(weir_json_member(weir_input(), "apiKey")));
    weir_put_char(&b, '\0');
    return 0;
}

WEIR_EXPORT(list_markets)
{
    return answer("null");
}

WEIR_EXPORT(get_timeframes)
{
    return answer("[{\"label\":\"1 minute\",\"apiValue\":\"1m\",\"interval\":60}]");
}

/* Newest first, one twice, and what it was asked in the first row's volume. */
WEIR_EXPORT(get_ohlcv)
{
    weir_str in = weir_input();
    weir_buf b = weir_buf_over(room, sizeof room);
    if (weir_is(weir_json_raw(weir_json_member(in, "symbol")), "no")) {
        weir_error("no such market");
        return 1;
    }
    weir_put_text(&b, "[{\"timestamp\":1700000120,\"open\":3,\"high\":3,\"low\":3,\"close\":3,\"volume\":");
    weir_put_str(&b, weir_json_member(in, "startTime"));
    weir_put_text(&b, "},{\"timestamp\":1700000060,\"open\":2,\"high\":2,\"low\":2,\"close\":2,\"volume\":0.000000123456},"
                      "{\"timestamp\":1700000060,\"open\":2,\"high\":2,\"low\":2,\"close\":2,\"volume\":0.000000123456},"
                      "{\"timestamp\":1700000000,\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"volume\":1}]");
    return weir_reply(&b);
}

WEIR_EXPORT(prepare_stream)
{
    weir_str in = weir_input(), parameters = weir_json_member(in, "parameters");
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_buf named = weir_buf_over(id, sizeof id);
    weir_put_str(&named, weir_json_raw(weir_json_member(in, "streamId")));
    weir_put_char(&named, '\0');
    oldest = weir_is(weir_json_raw(weir_json_member(parameters, "dialect")), "oldest");
    weir_str symbol = weir_json_raw(weir_json_member(oldest ? in : parameters, "symbol"));
    weir_str interval = weir_json_raw(weir_json_member(oldest ? in : parameters, "interval"));
    if (weir_is(symbol, "no"))
        return answer("{\"success\":false,\"websocketUrl\":\"\",\"initialMessages\":null,\"error\":\"no such market\"}");
    weir_put_text(&b, oldest ? "{" : "{\"success\":true,");
    weir_put_text(&b, "\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"headers\":null,\"initialMessages\":[\"");
    weir_put_str(&b, symbol);
    weir_put_char(&b, '@');
    weir_put_str(&b, interval);
    weir_put_text(&b, "\"]}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_stream_message)
{
    static char text[4096];
    weir_str in = weir_input();
    weir_buf frame = weir_buf_over(text, sizeof text), b = weir_buf_over(room, sizeof room);
    weir_json_string(weir_json_member(in, "message"), &frame);
    if (weir_is(weir_buf_str(&frame), "odd"))
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"odd\"}");
    if (weir_is(weir_buf_str(&frame), "error")) {
        weir_error("broken");
        return 1;
    }
    weir_put_text(&b, oldest ? "{\"action\":\"ohlcv\",\"ohlcvRecord\":" : "{\"success\":true,\"action\":\"data\",\"dataType\":\"raw\",\"data\":");
    weir_put_text(&b, "{\"frame\":");
    weir_put_string(&b, weir_buf_str(&frame));
    weir_put_text(&b, ",\"key\":");
    weir_put_string(&b, weir_text(key));
    weir_put_text(&b, ",\"known\":");
    weir_put_text(&b, id[0] && weir_is(weir_json_raw(weir_json_member(in, "streamId")), id) ? "true" : "false");
    weir_put_text(&b, "}}");
    return weir_reply(&b);
}

/* The real one answers reconnect to both error and disconnected. */
WEIR_EXPORT(stream_connection_event)
{
    weir_str event = weir_json_raw(weir_json_member(weir_input(), "eventType"));
    bool lost = weir_is(event, "error") || weir_is(event, "disconnected");
    if (oldest)
        return answer(lost ? "{\"action\":\"reconnect\"}" : "{\"action\":\"ignore\"}");
    return answer(lost ? "{\"success\":true,\"action\":\"reconnect\"}" : "{\"success\":true,\"action\":\"ignore\"}");
}
