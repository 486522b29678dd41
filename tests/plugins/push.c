/* A plugin of generation 3 that does what each frame says:
 *
 *     trap         traps                        spin       uses the CPU for ever
 *     nonsense     answers what is no JSON      fail       answers {"success":false} and 1
 *     silent       answers 1 and nothing        odd        answers an action that there is not
 *     send         answers {"action":"send"}    reconnect  close   as named
 *     refuse       closes, and says why
 *     many         answers data with three items
 *     ignore       ignores                      doom       ignores, and shutdown will trap
 *     #N           data {"frame": text}, "sequence":N beside it
 *     (else)       data {"frame": text, "n": frames so far, "context": what it was given back}
 *
 * The stream's parameter "marker" says how the wish is answered: refuse, no_id, no_url, elsewhere (an address
 * that meta does not list), bare (the older library: text frames, no responseType), raw (frames as they are), exclusive (its connection
 * lives for 100 s and may have no other beside it), else a StreamMarker. Its
 * With "woox" it is one that the simulated exchange understands: the trades of its symbol, with "two" that of two channels, trade@A and trade@B. Its parameter "event" is the action with which error and disconnected are answered. */
#include "weir_pdk.h"

static uint64_t frames;
static char room[1 << 16];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"push\",\"name\":\"Push\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}"));
    return 0;
}

static bool ready, doomed;
static char event_action[16] = "ignore";

WEIR_EXPORT(init)
{
    ready = true;
    return 0;
}

WEIR_EXPORT(shutdown)
{
    weir_log_info(weir_text("shutting down"));
    if (doomed)
        __builtin_trap();
    return 0;
}

static int32_t answer(const char *text, int32_t rc)
{
    weir_output(weir_text(text));
    return rc;
}

WEIR_EXPORT(handle_command)
{
    weir_str in = weir_input(), params = weir_json_member(in, "params");
    weir_str name = weir_json_raw(weir_json_member(in, "name")), how = weir_json_raw(weir_json_member(params, "marker"));
    if (!ready)
        __builtin_trap();
    weir_str action = weir_json_raw(weir_json_member(params, "event"));
    for (uint32_t i = 0; action.len && action.len < sizeof event_action && i <= action.len; i++)
        event_action[i] = i < action.len ? action.at[i] : '\0';
    if (weir_is(name, "getMarkets"))
        return answer("{\"result\":true,\"data\":[{\"symbol\":\"X\"}],\"cacheForSeconds\":60}", 0);
    if (weir_is(name, "getTime")) { /* another answer each time, that may be kept */
        weir_buf t = weir_buf_over(room, sizeof room);
        static uint64_t asked;
        weir_put_text(&t, "{\"result\":true,\"cacheForSeconds\":600,\"data\":{\"ms\":");
        weir_put_u64(&t, weir_time_ms());
        weir_put_text(&t, ",\"asked\":");
        weir_put_u64(&t, ++asked);
        weir_put_text(&t, "}}");
        return weir_reply(&t);
    }
    if (!weir_is(name, "rawStream"))
        return answer("{\"result\":false,\"error\":\"unknown command\"}", 1);
    if (weir_is(how, "refuse"))
        return answer("{\"result\":false,\"error\":\"no such market\"}", 1);
    if (weir_is(how, "no_id"))
        return answer("{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"websocketUrl\":\"wss://wss.woox.io/v3/public\"}}", 0);
    if (weir_is(how, "no_url"))
        return answer("{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"streamID\":\"s\"}}", 0);
    if (weir_is(how, "elsewhere"))
        return answer("{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"streamID\":\"s\",\"websocketUrl\":\"wss://evil.example/\"}}", 0);
    weir_buf b = weir_buf_over(room, sizeof room);
    if (weir_is(how, "woox") || weir_is(how, "two")) {
        weir_put_text(&b, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"streamID\":\"s\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\","
                          "\"initialMessages\":[\"{\\\"id\\\":\\\"1\\\",\\\"cmd\\\":\\\"SUBSCRIBE\\\",\\\"params\\\":[\\\"trade@");
        weir_put_str(&b, weir_is(how, "two") ? weir_text("A\\\",\\\"trade@B") : weir_json_raw(weir_json_member(params, "symbol")));
        weir_put_text(&b, "\\\"]}\"],\"streamContext\":{}}}");
        return weir_reply(&b);
    }
    weir_put_text(&b, weir_is(how, "bare") ? "{\"result\":true,\"data\":" : "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":");
    weir_put_text(&b, weir_is(how, "raw") ? "{\"raw\":true," : "{");
    weir_put_text(&b, "\"_stream\":true,\"streamID\":\"s\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[\"first\",\"second\"],"
                      "\"streamContext\":");
    weir_put_str(&b, params);
    weir_put_text(&b, ",\"heartbeat\":{\"app\":{\"matchJsonField\":\"op\",\"pingValue\":\"beat\",\"pongValue\":\"alive\"}}");
    weir_put_text(&b, weir_is(how, "exclusive") ? ",\"lifetimeMs\":100000,\"exclusive\":true}}" : "}}");
    return weir_reply(&b);
}

/* The frame: raw, from base64 or from text. */
static weir_str frame_of(weir_str in)
{
    static char text[4096];
    if (weir_starts(in, weir_text("=s\n")))
        return weir_slice(in.at + 3, in.len - 3);
    weir_str context = weir_json_member(in, "streamContext"), message = weir_json_raw(weir_json_member(in, "message"));
    if (weir_is(weir_json_raw(weir_json_member(context, "marker")), "bare")) {
        weir_buf b = weir_buf_over(text, sizeof text);
        weir_json_string(weir_json_member(in, "message"), &b);
        return weir_buf_str(&b);
    }
    return weir_slice(text, weir_base64_decode(message, text));
}

WEIR_EXPORT(handle_stream_message)
{
    weir_str in = weir_input(), frame = frame_of(in);
    weir_buf b = weir_buf_over(room, sizeof room);
    frames++;
    if (weir_is(frame, "trap"))
        __builtin_trap();
    if (weir_is(frame, "spin"))
        for (volatile uint32_t n = 0;; n = n + 1)
            ;
    if (weir_is(frame, "nonsense"))
        return answer("what?", 0);
    if (weir_is(frame, "fail"))
        return answer("{\"success\":false,\"action\":\"ignore\",\"error\":\"not understood\"}", 1);
    if (weir_is(frame, "silent"))
        return 1;
    if (weir_is(frame, "odd"))
        return answer("{\"success\":true,\"action\":\"dance\"}", 0);
    if (weir_is(frame, "send"))
        return answer("{\"success\":true,\"action\":\"send\",\"sendMessage\":\"said \\\"so\\\"\"}", 0);
    if (weir_is(frame, "reconnect"))
        return answer("{\"success\":true,\"action\":\"reconnect\"}", 0);
    if (weir_is(frame, "close"))
        return answer("{\"success\":true,\"action\":\"close\"}", 0);
    if (weir_is(frame, "refuse"))
        return answer("{\"success\":true,\"action\":\"close\",\"error\":\"the venue knows no \\\"X\\\"\"}", 0);
    doomed |= weir_is(frame, "doom");
    if (weir_is(frame, "ignore") || doomed)
        return answer("{\"success\":true,\"action\":\"ignore\"}", 0);
    if (weir_is(frame, "many"))
        return answer("{\"success\":true,\"action\":\"data\",\"dataType\":\"raw\",\"data\":[{\"k\":1,\"ts_event\":\"1700000000000000001\"},{\"k\":2},{\"k\":3}]}", 0);
    if (frame.len > 1 && frame.at[0] == '#') {
        weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"sequence\":");
        weir_put_str(&b, weir_slice(frame.at + 1, frame.len - 1));
        weir_put_text(&b, ",\"data\":{\"frame\":");
        weir_put_string(&b, frame);
        weir_put_text(&b, "}}");
        return weir_reply(&b);
    }
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"dataType\":\"raw\",\"timestamp\":\"2023-11-14T22:13:20Z\",\"data\":{\"frame\":");
    weir_put_string(&b, frame);
    weir_put_text(&b, ",\"n\":");
    weir_put_u64(&b, frames);
    weir_put_text(&b, ",\"context\":");
    weir_put_str(&b, in.at[0] == '=' ? weir_text("null") : weir_json_member(in, "streamContext"));
    weir_put_text(&b, "}}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_connection_event)
{
    weir_str in = weir_input(), event = weir_json_raw(weir_json_member(in, "eventType"));
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_log_info(event);
    weir_put_text(&b, "{\"success\":true,\"action\":\"");
    weir_put_text(&b, weir_is(event, "connected") ? "ignore" : event_action);
    weir_put_text(&b, "\"}");
    return weir_reply(&b);
}
