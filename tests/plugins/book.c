/* A plugin of generation 3 whose stream is an order book. Its marker declares what the stream's parameters say:
 *
 *     guard       JSON, such as "crc32" in quotes        checksum    JSON
 *     snapshot    JSON; none without it
 *
 * A frame is the data of its record or records, and passed on as it is. But "fail" is answered with a failure, "ignore"
 * with nothing, and "trap" traps. */
#include "weir_pdk.h"

static char room[1 << 20], text[1 << 19];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"book\",\"name\":\"Book\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"},{\"pattern\":\"https://wss.woox.io/*\"}]}}"));
    return 0;
}

WEIR_EXPORT(init)
{
    return 0;
}

/* ,"name":VALUE of a parameter that is JSON in a text. */
static void put_parameter(weir_buf *b, weir_str params, const char *name)
{
    weir_buf decoded = weir_buf_over(text, sizeof text);
    weir_str value = weir_json_member(params, name);
    if (!value.len || !weir_json_string(value, &decoded))
        return;
    weir_put_text(b, ",\"");
    weir_put_text(b, name);
    weir_put_text(b, "\":");
    weir_put_str(b, weir_buf_str(&decoded));
}

WEIR_EXPORT(handle_command)
{
    weir_str params = weir_json_member(weir_input(), "params");
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"streamID\":\"s\","
                      "\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[\"first\"],\"book\":{\"depth\":0");
    put_parameter(&b, params, "guard");
    put_parameter(&b, params, "checksum");
    put_parameter(&b, params, "snapshot");
    weir_put_text(&b, "}}}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_stream_message)
{
    weir_str message = weir_json_raw(weir_json_member(weir_input(), "message"));
    weir_str frame = weir_slice(text, weir_base64_decode(message, text));
    weir_buf b = weir_buf_over(room, sizeof room);
    if (weir_is(frame, "trap"))
        __builtin_trap();
    if (weir_is(frame, "fail")) {
        weir_output(weir_text("{\"success\":false,\"action\":\"ignore\",\"error\":\"not understood\"}"));
        return 1;
    }
    if (weir_is(frame, "ignore")) {
        weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
        return 0;
    }
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"data\":");
    weir_put_str(&b, frame);
    weir_put_text(&b, "}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_connection_event)
{
    weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
    return 0;
}
