/* A generation 2 plugin whose parameter "behaviour" says how start_stream goes wrong; without it the
 * stream is an honest one that publishes each frame's text. It connects to wss://wss.woox.io/v3/public
 * and subscribes to the topic "identifier".
 *
 * Whatever the behaviour, a frame "a+b" makes two records, "a" and "b", a frame "die now" traps, behind the record of a frame "nap" it does nothing for seven
 * seconds, and behind that of a frame "quit now" start_stream returns.
 *
 *     return        returns "started" at once, the socket open: a feed that is dead
 *     refuse        {"success":false} and 1, before connecting
 *     trap          traps at the third frame
 *     spin          uses the CPU for ever after the third frame
 *     deaf          never receives: frames queue
 *     ignore_stop   goes on after stop_stream
 *     fill          publishes the same record again and again without receiving
 *     wrong_key     publishes under a key that nobody asked for
 *     v2            connects to wss://wss.woox.io/ws/stream instead
 *     hold          keeps every block it gets: memory grows unless the host recycles  */
#include "weir_pdk.h"

static bool stopping;
static weir_ws ws;
static weir_publisher publisher;

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"streams\",\"name\":\"Streams\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}"));
    return 0;
}

WEIR_EXPORT(plugin_configure)
{
    weir_output(weir_text("configured"));
    return 0;
}

static bool publish(weir_str frame)
{
    weir_buf *b = weir_publish_begin(&publisher, weir_time_ms());
    weir_put_text(b, "{\"frame\":");
    weir_put_string(b, frame);
    weir_put_text(b, "}");
    return weir_publish_end(&publisher, NULL);
}

static void publish_parts(weir_str frame)
{
    uint32_t from = 0;
    for (uint32_t i = 0; i < frame.len; i++)
        if (frame.at[i] == '+') {
            publish(weir_slice(frame.at + from, i - from));
            from = i + 1;
        }
    publish(weir_slice(frame.at + from, frame.len - from));
}

static int32_t started(void)
{
    weir_output(weir_text("{\"success\":true,\"data\":{\"status\":\"started\"}}"));
    return 0;
}

static int32_t hold(void)
{
    uint64_t reply;
    while (!stopping) {
        reply = weir_user_ws_receive(weir_block_of(weir_slice(ws.request, ws.request_len)));
        if (!reply || !weir_env_length(reply))
            return 1;
        weir_user_publish_stream_data(weir_block_of(weir_buf_str(&publisher.json)));
    }
    return started();
}

static int32_t receive(weir_str how)
{
    weir_fail fail = {""};
    weir_str frame;
    for (int frames = 0; !stopping || weir_is(how, "ignore_stop");) {
        weir_ws_event event = weir_ws_receive(&ws, 5000, &frame, &fail);
        if (stopping && !weir_is(how, "ignore_stop"))
            break;
        if (event == WEIR_WS_CLOSED && !weir_is(how, "ignore_stop"))
            return weir_refuse(fail.text);
        if (event != WEIR_WS_MESSAGE)
            continue;
        if ((++frames == 3 && weir_is(how, "trap")) || weir_is(frame, "die now"))
            __builtin_trap();
        if (frames == 3 && weir_is(how, "spin"))
            for (volatile uint32_t n = 0;; n = n + 1)
                ;
        publish_parts(frame);
        if (weir_is(frame, "nap"))
            weir_sleep_ms(7000);
        if (weir_is(frame, "quit now"))
            return started();
        if (weir_is(how, "hold"))
            return hold();
    }
    return started();
}

WEIR_EXPORT(start_stream)
{
    static char behaviour[32];
    char room[256];
    weir_buf b = weir_buf_over(behaviour, sizeof behaviour);
    weir_str key = weir_input(), how;
    weir_fail fail = {""};
    weir_put_str(&b, weir_json_raw(weir_json_member(weir_json_member(key, "parameters"), "behaviour")));
    how = weir_buf_str(&b);
    stopping = false;
    if (weir_is(how, "refuse"))
        return weir_refuse("refused on purpose");
    if (!weir_publish_open(&publisher, weir_is(how, "wrong_key") ? weir_text("{\"type\":\"nobody\",\"source\":\"asked\",\"identifier\":\"for\",\"parameters\":{},\"connectionId\":null}") : key, &fail) ||
        !weir_ws_connect(&ws, weir_is(how, "v2") ? "wss://wss.woox.io/ws/stream" : "wss://wss.woox.io/v3/public", weir_slice(NULL, 0), NULL, &fail))
        return weir_refuse(fail.text);
    b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[");
    weir_put_str(&b, weir_json_member(key, "identifier"));
    weir_put_text(&b, "]}");
    if (!weir_ws_send(&ws, weir_buf_str(&b), &fail))
        return weir_refuse(fail.text);
    if (weir_is(how, "return"))
        return started();
    while (weir_is(how, "deaf") && !stopping)
        weir_sleep_ms(100);
    while (weir_is(how, "fill") && !stopping)
        publish(weir_text("again"));
    return receive(how);
}

WEIR_EXPORT(stop_stream)
{
    stopping = true;
    weir_ws_close(&ws, NULL);
    weir_output(weir_text("{\"success\":true,\"data\":{\"status\":\"stopped\"}}"));
    return 0;
}
