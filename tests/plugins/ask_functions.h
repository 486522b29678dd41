/* One export for each host function, of the same name: passes the input as request and the reply as
 * output. What a test needs to try a host function with any document. */
#include "weir_pdk.h"

static int32_t pass(uint64_t (*function)(uint64_t))
{
    uint64_t reply = function(weir_block_of(weir_input()));
    if (!reply)
        return 1;
    weir_env_output_set(reply, weir_env_length(reply));
    return 0;
}

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"ask\",\"name\":\"Ask\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"https://api.woox.io/*\"},"
                          "{\"pattern\":\"wss://wss.woox.io/*\"}]}}"));
    return 0;
}
WEIR_EXPORT(ws_connect)
{
    return pass(weir_user_ws_connect);
}
WEIR_EXPORT(ws_send)
{
    return pass(weir_user_ws_send);
}
WEIR_EXPORT(ws_receive)
{
    return pass(weir_user_ws_receive);
}
WEIR_EXPORT(ws_close)
{
    return pass(weir_user_ws_close);
}
WEIR_EXPORT(publish_stream_data)
{
    return pass(weir_user_publish_stream_data);
}
WEIR_EXPORT(http_request)
{
    return pass(weir_user_http_request);
}
WEIR_EXPORT(log_record)
{
    return pass(weir_user_log_record);
}
WEIR_EXPORT(time_now)
{
    return pass(weir_user_time_now);
}
WEIR_EXPORT(sleep_ms)
{
    uint64_t ms = 0;
    weir_json_u64(weir_input(), &ms);
    weir_user_sleep_ms(ms);
    return 0;
}
