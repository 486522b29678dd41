/* A push plugin whose answers make no sense, as the stream's identifier says: PLACE-WHAT.
 *
 *     frame-WHAT    the first frames that have an even number are answered with WHAT, the others well
 *     event-WHAT    each connection event is answered with WHAT
 *     marker-WHAT   the wish for the stream is answered with the socket WHAT
 *     wish-WHAT     the wish is answered with WHAT
 *     (else)        all is well; same-... all call themselves "same"
 *
 * Its configuration: "init" and "shutdown" name how those answer, "fields" how get_configuration_fields does.
 * A frame is {"s":identifier,"n":number}, and data is the frame. Of generation 3; nonsense_1.c is the same of 1. */
#include "weir_pdk.h"

#define BIG (10u << 20)  /* more than anybody sends, and allowed */
#define HUGE (17u << 20) /* more than is allowed */
#define ODD_FRAMES 8     /* from here on all frames are answered well */

WEIR_IMPORT("wasi_snapshot_preview1", proc_exit)
void nonsense_exit(int32_t code);

typedef struct phrase {
    const char *name, *text;
    int32_t rc;
} phrase;

static const phrase phrases[] = {
    {"empty", "", 0},
    {"text", "what?", 0},
    {"half", "{\"success\":true,\"action\":\"da", 0},
    {"number", "42", 0},
    {"list", "[]", 0},
    {"null", "null", 0},
    {"nothing", "{}", 0},
    {"success_text", "{\"success\":\"yes\",\"action\":\"ignore\"}", 0},
    {"success_missing", "{\"action\":\"data\",\"data\":\"unsaid\"}", 0},
    {"action_missing", "{\"success\":true}", 0},
    {"action_unknown", "{\"success\":true,\"action\":\"dance\"}", 0},
    {"action_number", "{\"success\":true,\"action\":7}", 0},
    {"data_missing", "{\"success\":true,\"action\":\"data\"}", 0},
    {"data_null", "{\"success\":true,\"action\":\"data\",\"data\":null}", 0},
    {"data_text", "{\"success\":true,\"action\":\"data\",\"data\":\"text\"}", 0},
    {"data_lines", "{\"success\":true,\"action\":\"data\",\"data\":{\r\n\"pretty\":\n1}}", 0},
    {"data_mixed", "{\"success\":true,\"action\":\"data\",\"data\":[1,\"two\",null,[]]}", 0},
    {"data_none", "{\"success\":true,\"action\":\"data\",\"data\":[]}", 0},
    {"data_octets", "{\"success\":true,\"action\":\"data\",\"data\":\"\xff\xfe\"}", 0},
    {"data_control", "{\"success\":true,\"action\":\"data\",\"data\":\"\x01\"}", 0},
    {"send_missing", "{\"success\":true,\"action\":\"send\"}", 0},
    {"send_number", "{\"success\":true,\"action\":\"send\",\"sendMessage\":5}", 0},
    {"time_odd", "{\"success\":true,\"action\":\"data\",\"timestamp\":\"yesterday\",\"data\":\"late\"}", 0},
    {"sequence_odd", "{\"success\":true,\"action\":\"data\",\"sequence\":\"many\",\"data\":\"count\"}", 0},
    {"fail", "{\"success\":false,\"error\":\"no idea\"}", 0},
    {"fail_silent", "{\"success\":false}", 0},
    {"fail_number", "{\"success\":false,\"error\":5}", 0},
    {"rc_silent", "", 1},
    {"rc_data", "{\"success\":true,\"action\":\"data\",\"data\":1}", 1},
    {"rc_strange", "", -77},
};

static char room[1 << 16], text[1 << 16];

/* `n` octets in 8 KiB steps, as text within the answer. */
static int32_t answer_long(const char *before, const char *after, uint64_t n)
{
    uint64_t head = __builtin_strlen(before), tail = __builtin_strlen(after);
    uint64_t block = weir_env_alloc(head + n + tail);
    weir_block_write(block, before, head);
    for (uint64_t i = 0; i < n; i += 8)
        weir_env_store_u64(block + head + i, 0x7878787878787878u);
    for (uint64_t i = 0; i < tail; i++)
        weir_env_store_u8(block + head + n + i, (uint8_t)after[i]);
    weir_env_output_set(block, head + n + tail);
    return 0;
}

static int32_t answer_deep(void)
{
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"data\":");
    for (int i = 0; i < 10000; i++)
        weir_put_char(&b, '[');
    for (int i = 0; i < 10000; i++)
        weir_put_char(&b, ']');
    weir_put_char(&b, '}');
    return weir_reply(&b);
}

static int32_t answer(weir_str what)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (weir_is(what, phrases[i].name)) {
            weir_output(weir_text(phrases[i].text));
            return phrases[i].rc;
        }
    if (weir_is(what, "big"))
        return answer_long("{\"success\":true,\"action\":\"data\",\"data\":\"", "\"}", BIG);
    if (weir_is(what, "huge"))
        return answer_long("{\"success\":true,\"action\":\"data\",\"data\":\"", "\"}", HUGE);
    if (weir_is(what, "send_huge"))
        return answer_long("{\"success\":true,\"action\":\"send\",\"sendMessage\":\"", "\"}", HUGE);
    if (weir_is(what, "long"))
        return answer_long("", "", BIG);
    if (weir_is(what, "deep"))
        return answer_deep();
    if (weir_is(what, "error_set") || weir_is(what, "error_rc")) {
        weir_error("it broke");
        return weir_is(what, "error_rc");
    }
    if (weir_is(what, "range")) {
        weir_env_output_set(1, 1ull << 40);
        return 0;
    }
    if (weir_is(what, "exit"))
        nonsense_exit(3);
    if (weir_is(what, "exit_0"))
        nonsense_exit(0);
    if (weir_is(what, "spin"))
        for (volatile uint32_t n = 0;; n = n + 1)
            ;
    __builtin_trap();
}

/* The socket, as a whole of generation 1 or as the marker of 3. */
static const char *socket_of(weir_str what)
{
    static const phrase sockets[] = {
        {"no_url", "\"streamID\":\"x\"", 0},
        {"url_number", "\"streamID\":\"x\",\"websocketUrl\":5", 0},
        {"url_text", "\"streamID\":\"x\",\"websocketUrl\":\"the usual place\"", 0},
        {"elsewhere", "\"streamID\":\"x\",\"websocketUrl\":\"wss://evil.example/\"", 0},
        {"inside", "\"streamID\":\"x\",\"websocketUrl\":\"wss://127.0.0.1:22/\"", 0},
        {"no_id", "\"websocketUrl\":\"wss://wss.woox.io/v3/public\"", 0},
        {"id_number", "\"streamID\":7,\"websocketUrl\":\"wss://wss.woox.io/v3/public\"", 0},
        {"messages_text", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":\"SUB\"", 0},
        {"messages_numbers", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[1,2]", 0},
        {"headers_list", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"headers\":[]", 0},
        {"headers_number", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"headers\":{\"X\":1}", 0},
        {"headers_lines", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"headers\":{\"X\":\"a\\r\\nHost: evil\"}", 0},
        {"raw_text", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"raw\":\"yes\"", 0},
        {"raw_lines", "\"streamID\":\"x\\ny\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"raw\":true", 0},
        {"beat_text", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"heartbeat\":{\"transport\":{\"pingIntervalMs\":\"often\"}}", 0},
        {"beat_negative", "\"streamID\":\"x\",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"heartbeat\":{\"app\":{\"clientPingIntervalMs\":-5}}", 0},
    };
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (weir_is(what, sockets[i].name))
            return sockets[i].text;
    return NULL;
}

static weir_str place_of(weir_str s)
{
    size_t n = 0;
    while (n < s.len && s.at[n] != '-')
        n++;
    return weir_slice(s.at, n);
}

static weir_str what_of(weir_str s)
{
    size_t n = place_of(s).len + 1;
    return n < s.len ? weir_slice(s.at + n, s.len - n) : weir_slice("", 0);
}

#ifdef NONSENSE_1
#define MARKER_BEGIN "{\"success\":true,"
#define MARKER_END "}"
#else
#define MARKER_BEGIN "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,"
#define MARKER_END "}}"
#endif

static int32_t answer_wish(weir_str symbol)
{
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_str what = what_of(symbol);
    const char *odd = weir_is(place_of(symbol), "marker") ? socket_of(what) : NULL;
    if (weir_is(place_of(symbol), "wish"))
        return answer(what);
    if (weir_is(symbol, "marker-long"))
        return answer_long(MARKER_BEGIN "\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"streamID\":\"", "\"" MARKER_END, BIG);
    if (weir_is(symbol, "marker-messages_long"))
        return answer_long(MARKER_BEGIN "\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"streamID\":\"x\",\"initialMessages\":[\"", "\"]" MARKER_END, 3u << 20);
    weir_put_text(&b, MARKER_BEGIN);
    if (odd) {
        weir_put_text(&b, odd);
    } else {
        weir_put_text(&b, "\"streamID\":");
        weir_put_string(&b, weir_is(place_of(symbol), "same") ? weir_text("same") : symbol);
        weir_put_text(&b, ",\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[");
        if (weir_is(symbol, "marker-messages_many"))
            for (int i = 0; i < 300; i++)
                weir_put_text(&b, "\"SUB\",");
        weir_put_string(&b, symbol);
        weir_put_char(&b, ']');
    }
    weir_put_text(&b, MARKER_END);
    return weir_reply(&b);
}

static uint64_t number_of(weir_str frame)
{
    uint64_t n = 1;
    weir_json_u64(weir_json_member(frame, "n"), &n);
    return n;
}

static int32_t answer_frame(weir_str frame)
{
    weir_str symbol = weir_json_raw(weir_json_member(frame, "s"));
    weir_buf b = weir_buf_over(room, sizeof room);
    uint64_t n = number_of(frame);
    if (weir_is(place_of(symbol), "frame") && n % 2 == 0 && n < ODD_FRAMES)
        return answer(what_of(symbol));
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"data\":");
    weir_put_str(&b, frame);
    weir_put_char(&b, '}');
    return weir_reply(&b);
}

static int32_t answer_event(weir_str id)
{
    if (weir_is(place_of(id), "event"))
        return answer(what_of(id));
    weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
    return 0;
}

/* What the configuration says of this export; without, all is well. */
static int32_t answer_as_configured(const char *export_name)
{
    weir_buf b = weir_buf_over(text, sizeof text);
    return weir_config_get(export_name, &b) && b.len ? answer(weir_buf_str(&b)) : 0;
}

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"nonsense\",\"name\":\"Nonsense\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}"));
    return 0;
}

#ifdef NONSENSE_1
WEIR_EXPORT(set_credentials)
{
    return answer_as_configured("init");
}

WEIR_EXPORT(prepare_stream)
{
    return answer_wish(weir_json_raw(weir_json_member(weir_json_member(weir_input(), "parameters"), "symbol")));
}

WEIR_EXPORT(handle_stream_message)
{
    weir_buf b = weir_buf_over(text, sizeof text);
    weir_json_string(weir_json_member(weir_input(), "message"), &b);
    return answer_frame(weir_buf_str(&b));
}

WEIR_EXPORT(stream_connection_event)
{
    return answer_event(weir_json_raw(weir_json_member(weir_input(), "streamId")));
}
#else
WEIR_EXPORT(get_configuration_fields)
{
    weir_buf b = weir_buf_over(text, sizeof text);
    if (weir_config_get("fields", &b) && b.len && !weir_is(weir_buf_str(&b), "well"))
        return answer(weir_buf_str(&b));
    weir_output(weir_text(b.len ? "[{\"name\":\"depth\",\"label\":\"Depth\",\"type\":\"number\",\"required\":true,\"options\":{\"min\":1,\"max\":50}},"
                                  "{\"name\":\"live\",\"type\":\"boolean\"},{\"label\":\"nameless\"},7]"
                                : "null"));
    return 0;
}

WEIR_EXPORT(init)
{
    return answer_as_configured("init");
}

WEIR_EXPORT(handle_command)
{
    return answer_wish(weir_json_raw(weir_json_member(weir_json_member(weir_input(), "params"), "symbol")));
}

WEIR_EXPORT(handle_stream_message)
{
    weir_str message = weir_json_raw(weir_json_member(weir_input(), "message"));
    return answer_frame(weir_slice(text, weir_base64_decode(message, text)));
}

WEIR_EXPORT(handle_connection_event)
{
    return answer_event(weir_json_raw(weir_json_member(weir_input(), "streamId")));
}

WEIR_EXPORT(shutdown)
{
    return answer_as_configured("shutdown");
}
#endif
