/* A data-source plugin in one file: live candles of WOO X. Copy it, change the venue, build it:
 *
 *     make                    (clang --target=wasm32-wasi -mexec-model=reactor -O2 -I… -o plugin.wasm plugin.c)
 *     weir run plugin.wasm --stream ohlcv:SPOT_BTC_USDT:1m
 *
 * A plugin has no socket, file or network of its own. It exports functions that the host calls, and
 * asks the host for what it needs by the functions in weir_pdk.h. plugins/woox is the same venue
 * whole, with all stream types, markets, history and signed requests.
 */
#include "weir_pdk.h"

/* Who we are, and which addresses we want to reach. The user is asked; an address that is not on this
 * list is refused later, however it is spelled. */
WEIR_EXPORT(meta)
{
    weir_output(weir_text(
        "{\"pluginId\":\"minimal-c\",\"name\":\"Minimal (C)\",\"appId\":\"datasrc\",\"version\":\"1.0.0\","
        "\"category\":\"CexDataSource\",\"description\":\"Candles of WOO X\",\"author\":\"you\",\"repository\":\"\","
        "\"tags\":[],\"contacts\":[],"
        "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}],\"fsWriteAccess\":{}},"
        "\"features\":[\"ohlcv_stream\"]}"));
    return 0;
}

/* The user's settings, an object of strings, before anything else happens. Read them with
 * weir_json_member and keep secrets with weir_var_set. Market data needs none. */
WEIR_EXPORT(plugin_configure)
{
    if (weir_json_kind_of(weir_input()) != WEIR_JSON_OBJECT) {
        weir_error("the settings are no JSON object");
        return 1; /* anything but 0 means failure */
    }
    weir_output(weir_text("configured"));
    return 0;
}

/* The one stream of this instance. Memory of the module lives as long as the instance does. */
static bool running, stopping;
static weir_ws ws;
static weir_publisher publisher;
static char symbol[48], timeframe[8], topic[80];

/* Copies a symbol or time frame; false if it is too long or could not stand in a topic. */
static bool keep(char *to, size_t size, weir_str from)
{
    if (!from.len || from.len >= size)
        return false;
    for (size_t i = 0; i < from.len; i++)
        if (from.at[i] == '"' || from.at[i] == '\\')
            return false;
    weir_copy(to, from.at, from.len);
    to[from.len] = 0;
    return true;
}

/* Turns one frame into one record:
 *
 *   {"topic":"kline@SPOT_BTC_USDT@1m","ts":…,"data":{"o":"56948.97","h":…,"l":…,"c":…,"v":…,"st":1618822380000,…}}
 *
 * The venue sends decimals as strings. weir_json_decimal gives the digits as they are and we write
 * them as numbers: no float in between, so 0.000000123456 stays that. */
static void on_frame(weir_str frame)
{
    weir_str open, high, low, close, volume, data = weir_json_member(frame, "data");
    weir_fail fail;
    uint64_t start_ms;
    weir_buf *b;
    if (!weir_is(weir_json_raw(weir_json_member(frame, "topic")), topic))
        return; /* an acknowledgement, a pong */
    open = weir_json_decimal(weir_json_member(data, "o"));
    high = weir_json_decimal(weir_json_member(data, "h"));
    low = weir_json_decimal(weir_json_member(data, "l"));
    close = weir_json_decimal(weir_json_member(data, "c"));
    volume = weir_json_decimal(weir_json_member(data, "v"));
    if (!open.len || !high.len || !low.len || !close.len || !volume.len ||
        !weir_json_u64(weir_json_member(data, "st"), &start_ms)) {
        weir_log_record("warn", weir_text("a candle lacks something"));
        return;
    }
    b = weir_publish_begin(&publisher, start_ms);
    weir_put_text(b, "{\"symbol\":\"");
    weir_put_text(b, symbol);
    weir_put_text(b, "\",\"interval\":\"");
    weir_put_text(b, timeframe);
    weir_put_text(b, "\",\"timestamp\":\"");
    weir_put_time(b, start_ms);
    weir_put_text(b, "\",\"open\":");
    weir_put_str(b, open);
    weir_put_text(b, ",\"high\":");
    weir_put_str(b, high);
    weir_put_text(b, ",\"low\":");
    weir_put_str(b, low);
    weir_put_text(b, ",\"close\":");
    weir_put_str(b, close);
    weir_put_text(b, ",\"volume\":");
    weir_put_str(b, volume);
    weir_put_text(b, "}");
    if (!weir_publish_end(&publisher, &fail))
        weir_log_record("warn", weir_text(fail.text));
}

/* Connects and subscribes. */
static bool subscribe(weir_fail *fail)
{
    char room[200];
    weir_buf b = weir_buf_over(topic, sizeof topic - 1);
    weir_put_text(&b, "kline@");
    weir_put_text(&b, symbol);
    weir_put_text(&b, "@");
    weir_put_text(&b, timeframe);
    topic[b.len] = 0;
    b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"");
    weir_put_text(&b, topic);
    weir_put_text(&b, "\"]}");
    return weir_ws_connect(&ws, "wss://wss.woox.io/v3/public", weir_slice(NULL, 0), NULL, fail) &&
           weir_ws_send(&ws, weir_buf_str(&b), fail);
}

/* Receives until stopped; false when the connection is gone. The host runs other plugins while we
 * wait in weir_ws_receive, for days if need be: a stream needs no thread. */
static bool receive(weir_fail *fail)
{
    uint64_t pinged_ms = weir_time_ms(), now;
    weir_str frame;
    while (!stopping) {
        weir_ws_event event = weir_ws_receive(&ws, 5000, &frame, fail);
        if (stopping)
            break;
        if (event == WEIR_WS_CLOSED)
            return false;
        if (event == WEIR_WS_MESSAGE)
            on_frame(frame);
        now = weir_time_ms();
        if (now - pinged_ms > 15000) { /* this venue hangs up on a client that is silent for 60 s */
            pinged_ms = now;
            if (!weir_ws_send(&ws, weir_text("{\"cmd\":\"PING\",\"ts\":0}"), fail))
                return false;
        }
    }
    return true;
}

/* Runs one stream; the input says which, {"type":"ohlcv","identifier":"SPOT_BTC_USDT","parameters":
 * {"timeframe":"1m"},…}, and goes back with every record. Returns when stop_stream was called, or when
 * the connection is gone: then we say so, and the host starts the stream again after a pause. */
WEIR_EXPORT(start_stream)
{
    weir_str key = weir_input(), parameters = weir_json_member(key, "parameters");
    weir_fail fail = {""};
    bool ok;
    if (running)
        return weir_refuse("a stream is running in this instance");
    if (!weir_is(weir_json_raw(weir_json_member(key, "type")), "ohlcv"))
        return weir_refuse("unknown stream type; there is ohlcv");
    if (!keep(symbol, sizeof symbol, weir_json_raw(weir_json_member(key, "identifier"))) ||
        !keep(timeframe, sizeof timeframe, weir_json_raw(weir_json_member(parameters, "timeframe"))))
        return weir_refuse("wants an 'identifier' like SPOT_BTC_USDT and a 'timeframe' like 1m");
    if (!weir_publish_open(&publisher, key, &fail))
        return weir_refuse(fail.text);
    running = true;
    stopping = false;
    ok = subscribe(&fail) && receive(&fail);
    weir_ws_close(&ws, NULL);
    running = false;
    if (!ok && !stopping)
        return weir_refuse(fail.text);
    weir_output(weir_text("{\"success\":true,\"data\":{\"status\":\"started\"}}"));
    return 0;
}

/* Called while start_stream waits, on the same instance: sets a flag, closes the socket, and never
 * waits. The input is the key again; here there is one stream only. */
WEIR_EXPORT(stop_stream)
{
    if (!running)
        return weir_refuse("stream not found");
    stopping = true;
    weir_ws_close(&ws, NULL);
    weir_output(weir_text("{\"success\":true,\"data\":{\"status\":\"stopped\"}}"));
    return 0;
}
