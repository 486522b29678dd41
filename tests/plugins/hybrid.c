/* A hybrid: generation 2 with generation 1's stream exports. Its configuration says how its routes are: "loop" is
 * "refuse" (start_stream answers a refusal), "trap", or works; "callback" is "refuse" or works. Each record says which route it
 * came by. On the callback route it publishes besides what it returns, as the published one does.
 * With "topic" it subscribes to that at the simulated WOO X, by either route, and its records hold the frames' "data" as it came.
 * Made thrice, to be put into each other's place: hybrid_2.c is version 2.0.0 of it, hybrid_loop.c 3.0.0, which has
 * lost its callbacks. */
#include "weir_pdk.h"

#ifndef VERSION
#define VERSION "1.0.0"
#define CALLBACKS 1
#endif

static char loop[32], callback[32], topic[64], room[1 << 14];
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
    return answer("{\"pluginId\":\"hybrid\",\"name\":\"Hybrid\",\"appId\":\"datasrc\",\"version\":\"" VERSION "\",\"category\":\"test\","
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
    take(topic, sizeof topic, weir_json_raw(weir_json_member(in, "topic")));
    return answer("configured", 0);
}

WEIR_EXPORT(list_markets)
{
    return answer("[{\"name\":\"X\"}]", 0);
}

/* What it sends first. */
static weir_str greeting(const char *route)
{
    static char text[200];
    weir_buf b = weir_buf_over(text, sizeof text);
    if (!*topic)
        return weir_text(route);
    weir_put_text(&b, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"");
    weir_put_text(&b, topic);
    weir_put_text(&b, "\"]}");
    return weir_buf_str(&b);
}

/* A record of this frame; false: it is none, but the answer to the subscription. */
static bool put_record(weir_buf *b, const char *route, weir_str frame)
{
    weir_str data = weir_json_member(frame, "data");
    if (*topic && (!data.len || data.at[0] != '{'))
        return false;
    weir_put_text(b, "{\"route\":\"");
    weir_put_text(b, route);
    if (*topic) {
        weir_put_text(b, "\",\"version\":\"" VERSION "\",\"data\":");
        weir_put_str(b, data);
    } else {
        weir_put_text(b, "\",\"frame\":");
        weir_put_string(b, frame);
    }
    weir_put_text(b, "}");
    return true;
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
        !weir_ws_send(&ws, greeting("loop"), &fail))
        return weir_refuse(fail.text);
    while (!stopping) {
        weir_ws_event event = weir_ws_receive(&ws, 5000, &frame, &fail);
        if (event == WEIR_WS_CLOSED)
            return weir_refuse(fail.text);
        if (event != WEIR_WS_MESSAGE)
            continue;
        if (put_record(weir_publish_begin(&publisher, weir_time_ms()), "loop", frame))
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

#if CALLBACKS

/* ---- The callbacks ---- */

WEIR_EXPORT(prepare_stream)
{
    if (weir_is(weir_text(callback), "refuse"))
        return answer("{\"success\":false,\"error\":\"no callbacks either\"}", 1);
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"success\":true,\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[");
    weir_put_string(&b, greeting("callback"));
    weir_put_text(&b, "]}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_stream_message)
{
    static char text[4096], data[8192];
    weir_buf frame = weir_buf_over(text, sizeof text), d = weir_buf_over(data, sizeof data), b = weir_buf_over(room, sizeof room);
    weir_str in = weir_input();
    weir_fail fail;
    weir_json_string(weir_json_member(in, "message"), &frame);
    if (weir_publish_open(&publisher, weir_text("{\"type\":\"raw\",\"source\":\"hybrid\",\"identifier\":\"s\",\"parameters\":{},\"connectionId\":null}"), &fail)) {
        weir_put_text(weir_publish_begin(&publisher, weir_time_ms()), "{\"route\":\"twice\"}");
        weir_publish_end(&publisher, NULL);
    }
    if (!put_record(&d, "callback", weir_buf_str(&frame)))
        return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"dataType\":\"raw\",\"data\":");
    weir_put_str(&b, weir_buf_str(&d));
    weir_put_text(&b, "}");
    return weir_reply(&b);
}

WEIR_EXPORT(stream_connection_event)
{
    return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
}

#endif
