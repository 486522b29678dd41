/* A hybrid: generation 2 with generation 1's stream exports. Its configuration says how its routes are: "loop" is
 * "refuse" (start_stream answers a refusal), "trap", or works; "callback" is "refuse" or works. Each record says which route it
 * came by. On the callback route it publishes besides what it returns, as the published one does. */
#include "weir_pdk.h"

static char loop[32], callback[32], room[1 << 14];
static bool stopping;
static weir_ws ws;
static weir_publisher publisher;

static int32_t answer(const char *text, int32_t rc)
{
    weir_output(weir_text(text));
    return rc;
}

WEIR_EXPORT(meta)
{
    return answer("{\"pluginId\":\"hybrid\",\"name\":\"Hybrid\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                  "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}",
                  0);
}

static void take(char *to, size_t size, weir_str value)
{
    weir_buf b = weir_buf_over(to, size);
    weir_put_str(&b, value);
    weir_put_char(&b, '\0');
}

WEIR_EXPORT(plugin_configure)
{
    weir_str in = weir_input();
    take(loop, sizeof loop, weir_json_raw(weir_json_member(in, "loop")));
    take(callback, sizeof callback, weir_json_raw(weir_json_member(in, "callback")));
    return answer("configured", 0);
}

WEIR_EXPORT(list_markets)
{
    return answer("[{\"name\":\"X\"}]", 0);
}

/* ---- The loop ---- */

WEIR_EXPORT(start_stream)
{
    weir_fail fail = {""};
    weir_str frame, key = weir_input();
    if (weir_is(weir_text(loop), "refuse"))
        return answer("{\"success\":false,\"error\":\"no loop today\"}", 1);
    if (weir_is(weir_text(loop), "trap"))
        __builtin_trap();
    if (!weir_publish_open(&publisher, key, &fail) || !weir_ws_connect(&ws, "wss://wss.woox.io/v3/public", weir_slice(NULL, 0), NULL, &fail) ||
        !weir_ws_send(&ws, weir_text("loop"), &fail))
        return weir_refuse(fail.text);
    while (!stopping) {
        weir_ws_event event = weir_ws_receive(&ws, 5000, &frame, &fail);
        if (event == WEIR_WS_CLOSED)
            return weir_refuse(fail.text);
        if (event != WEIR_WS_MESSAGE)
            continue;
        weir_buf *b = weir_publish_begin(&publisher, weir_time_ms());
        weir_put_text(b, "{\"route\":\"loop\",\"frame\":");
        weir_put_string(b, frame);
        weir_put_text(b, "}");
        weir_publish_end(&publisher, NULL);
    }
    return answer("{\"success\":true,\"data\":{\"status\":\"started\"}}", 0);
}

WEIR_EXPORT(stop_stream)
{
    stopping = true;
    weir_ws_close(&ws, NULL);
    return answer("{\"success\":true,\"data\":{\"status\":\"stopped\"}}", 0);
}

/* ---- The callbacks ---- */

WEIR_EXPORT(prepare_stream)
{
    if (weir_is(weir_text(callback), "refuse"))
        return answer("{\"success\":false,\"error\":\"no callbacks either\"}", 1);
    return answer("{\"success\":true,\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[\"callback\"]}", 0);
}

WEIR_EXPORT(handle_stream_message)
{
    static char text[4096];
    weir_buf frame = weir_buf_over(text, sizeof text), b = weir_buf_over(room, sizeof room);
    weir_str in = weir_input();
    weir_fail fail;
    weir_json_string(weir_json_member(in, "message"), &frame);
    if (weir_publish_open(&publisher, weir_text("{\"type\":\"raw\",\"source\":\"hybrid\",\"identifier\":\"s\",\"parameters\":{},\"connectionId\":null}"), &fail)) {
        weir_put_text(weir_publish_begin(&publisher, weir_time_ms()), "{\"route\":\"twice\"}");
        weir_publish_end(&publisher, NULL);
    }
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"dataType\":\"raw\",\"data\":{\"route\":\"callback\",\"frame\":");
    weir_put_string(&b, weir_buf_str(&frame));
    weir_put_text(&b, "}}");
    return weir_reply(&b);
}

WEIR_EXPORT(stream_connection_event)
{
    return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
}
