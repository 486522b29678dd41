/* A plugin of generation 3 whose commands may be asked so often as its configuration's "limits" says, a document
 * for get_rate_limits ("trap": it traps there). Each command answers its name and how many came so far. */
#include "weir_pdk.h"

static char room[1 << 14], kept[1 << 14];
static uint64_t asked;

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"limited\",\"name\":\"Limited\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\"}"));
    return 0;
}

WEIR_EXPORT(get_rate_limits)
{
    weir_buf value = weir_buf_over(kept, sizeof kept);
    if (!weir_config_get("limits", &value))
        return 0;
    if (weir_is(weir_buf_str(&value), "trap"))
        __builtin_trap();
    return weir_reply(&value);
}

WEIR_EXPORT(init)
{
    return 0;
}

WEIR_EXPORT(handle_command)
{
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"result\":true,\"data\":[{\"name\":");
    weir_put_str(&b, weir_json_member(weir_input(), "name"));
    weir_put_text(&b, ",\"asked\":");
    weir_put_u64(&b, ++asked);
    weir_put_text(&b, "}]}");
    return weir_reply(&b);
}
