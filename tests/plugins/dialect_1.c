/* Generation 1 in C, as its later plugins speak it: an export for each question, "success" in each answer,
 * errors by error_set and 1, but those of prepare_stream with code 0. Declares app_id, api_key and
 * api_secret, reads apiKey and apiSecret. */
#include "dialect.h"

static const candle_style style = {"timestamp", false};
static weir_buf out, key, secret;

static int32_t answer(const char *text)
{
    weir_output(weir_text(text));
    return 0;
}

static int32_t finish(bool ok, const weir_fail *fail)
{
    if (ok)
        return weir_reply(&out);
    weir_error(fail->text);
    return 1;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"dialect-1\",\"name\":\"Dialect 1\",\"appId\":\"datasrc\",\"version\":\"1.2.0\",\"category\":\"CexDataSource\","
                  "\"tags\":null,\"contacts\":null,\"resources\":{" VENUE_TARGETS ",\"fsWriteAccess\":null,\"stdoutAccess\":false,\"stderrAccess\":true},"
                  "\"features\":[\"historic_ohlcv\",\"ohlcv_stream\"]}");
}

WEIR_EXPORT(get_name)
{
    return answer("Dialect 1");
}

WEIR_EXPORT(get_credential_fields)
{
    return answer("[{\"name\":\"app_id\",\"label\":\"Application\",\"encrypt\":false,\"mask\":false,\"omitEmpty\":true},"
                  "{\"name\":\"api_key\",\"label\":\"Key\",\"encrypt\":true,\"mask\":false,\"omitEmpty\":true},"
                  "{\"name\":\"api_secret\",\"label\":\"Secret\",\"encrypt\":true,\"mask\":true,\"omitEmpty\":true}]");
}

WEIR_EXPORT(set_credentials)
{
    weir_str in = weir_input();
    weir_buf_clear(&key);
    weir_buf_clear(&secret);
    if (weir_json_string(weir_json_member(in, "apiKey"), &key) && weir_json_string(weir_json_member(in, "apiSecret"), &secret))
        return 0;
    weir_error("set_credentials: no apiKey or no apiSecret");
    return 1;
}

WEIR_EXPORT(list_markets)
{
    weir_fail fail;
    weir_buf_clear(&out);
    return finish(venue_put_markets(&out, "name", "futures", &fail), &fail);
}

WEIR_EXPORT(get_timeframes)
{
    return answer("[{\"label\":\"1m\",\"apiValue\":\"1m\",\"interval\":60},{\"label\":\"1D\",\"apiValue\":\"1d\",\"interval\":86400},"
                  "{\"label\":\"1M\",\"apiValue\":\"1mon\",\"interval\":2592000}]");
}

/* {symbol,timeframe,startTime,endTime,limit}: seconds, 0 unset. */
WEIR_EXPORT(get_ohlcv)
{
    weir_fail fail;
    weir_str in = weir_input();
    uint64_t from = 0, to = 0, limit = 0;
    weir_json_u64(weir_json_member(in, "startTime"), &from);
    weir_json_u64(weir_json_member(in, "endTime"), &to);
    weir_json_u64(weir_json_member(in, "limit"), &limit);
    weir_buf_clear(&out);
    return finish(venue_put_history(&out, &style, weir_json_raw(weir_json_member(in, "symbol")), weir_json_raw(weir_json_member(in, "timeframe")),
                                    from * 1000, to * 1000, limit, &fail),
                  &fail);
}

WEIR_EXPORT(prepare_stream)
{
    weir_str in = weir_input(), parameters = weir_json_member(in, "parameters");
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"success\":true,\"websocketUrl\":\"" VENUE_SOCKET "\",\"initialMessages\":[");
    if (!venue_put_subscribe(&out, weir_json_raw(weir_json_member(in, "streamType")), weir_json_raw(weir_json_member(parameters, "symbol")),
                             weir_json_raw(weir_json_member(parameters, "interval"))))
        return answer("{\"success\":false,\"websocketUrl\":\"\",\"initialMessages\":null,\"error\":\"unknown stream type\"}");
    weir_put_text(&out, "]}");
    return weir_reply(&out);
}

WEIR_EXPORT(handle_stream_message)
{
    static weir_buf frame;
    weir_buf_clear(&frame);
    weir_buf_clear(&out);
    if (!weir_json_string(weir_json_member(weir_input(), "message"), &frame)) {
        weir_error("handle_stream_message: no message");
        return 1;
    }
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
        return answer("{\"success\":true,\"action\":\"ignore\"}");
    case VENUE_REFUSES:
        return answer("{\"success\":true,\"action\":\"close\"}");
    default:
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"unreadable frame\"}");
    }
}

/* Reconnect to both of the pair, as the real one. */
WEIR_EXPORT(stream_connection_event)
{
    weir_str event = weir_json_raw(weir_json_member(weir_input(), "eventType"));
    return answer(weir_is(event, "error") || weir_is(event, "disconnected") ? "{\"success\":true,\"action\":\"reconnect\"}"
                                                                            : "{\"success\":true,\"action\":\"ignore\"}");
}

WEIR_EXPORT(stream_ohlcv)
{
    weir_error("not implemented");
    return 1;
}
