/* Other kinds of plugins, in the contract of generation 3: a planner (import_events), a datapipe (process, get_node_meta), and
 * what a tax plugin asks of its host and Weir has not (getKept: what kv_get answered). */
#include "weir_pdk.h"

WEIR_IMPORT("extism:host/user", kv_get)
uint64_t kv_get(uint64_t request);

static char room[1 << 14], reply_room[4096];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"kinds\",\"name\":\"Kinds\",\"appId\":\"datapipes\",\"version\":\"v1.0.0\",\"category\":\"Strategies\"}"));
    return 0;
}

WEIR_EXPORT(init)
{
    return 0;
}

WEIR_EXPORT(handle_command)
{
    weir_str in = weir_input(), name = weir_json_raw(weir_json_member(in, "name")), params = weir_json_member(in, "params");
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"result\":true,\"data\":");
    if (weir_is(name, "import_events")) {
        weir_put_text(&b, "[{\"title\":\"Later\",\"startDate\":\"2024-01-11T13:30:00Z\",\"endDate\":\"2024-01-11T14:00:00Z\",\"tags\":[\"us\"]},{\"title\":\"From ");
        weir_put_str(&b, weir_json_raw(weir_json_member(params, "from")));
        weir_put_text(&b, "\",\"startDate\":\"2024-01-10T00:00:00Z\",\"endDate\":\"0001-01-01T00:00:00Z\",\"tags\":null},{\"title\":\"\"},5]");
    } else if (weir_is(name, "process")) {
        weir_put_text(&b, "{\"out\":");
        weir_put_str(&b, weir_json_member(weir_json_member(params, "inputs"), "in"));
        weir_put_char(&b, '}');
    } else if (weir_is(name, "get_node_meta")) {
        weir_put_text(&b, "{\"name\":\"Node\",\"connections\":{\"inputs\":[{\"name\":\"in\",\"dataTypes\":[\"OHLCVRecord\"]}]}}");
    } else if (weir_is(name, "getKept")) {
        weir_buf reply = weir_buf_over(reply_room, sizeof reply_room);
        weir_block_take(kv_get(weir_block_of(weir_text("{\"namespace\":\"n\",\"key\":\"k\"}"))), &reply);
        weir_put_str(&b, weir_buf_str(&reply));
    } else {
        weir_output(weir_text("{\"result\":false,\"error\":\"unknown command\"}"));
        return 1;
    }
    weir_put_char(&b, '}');
    return weir_reply(&b);
}
