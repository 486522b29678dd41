/* A plugin of generation 3 with a form: fields of every type, masked ones, a choice. getConfig answers what its init
 * got, getNames only the names and how long each value is. */
#include "weir_pdk.h"

static char kept[1 << 14], room[1 << 14];
static size_t kept_len;

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"form\",\"name\":\"Form\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\"}"));
    return 0;
}

WEIR_EXPORT(get_configuration_fields)
{
    weir_output(weir_text("[{\"name\":\"api_key\",\"label\":\"API key\",\"type\":\"\",\"required\":true,\"encrypt\":true,\"mask\":true},"
                          "{\"name\":\"depth\",\"label\":\"Depth of the book\",\"type\":\"number\",\"required\":true,\"encrypt\":false,\"mask\":false,\"options\":{\"min\":1,\"max\":100}},"
                          "{\"name\":\"pass\",\"type\":\"password\",\"required\":true,\"encrypt\":true,\"mask\":false},"
                          "{\"name\":\"side\",\"type\":\"text\",\"required\":true,\"encrypt\":false,\"mask\":false,\"options\":[\"buy\",\"sell\"]},"
                          "{\"name\":\"paper\",\"type\":\"boolean\",\"required\":true,\"encrypt\":false,\"mask\":false,\"default\":true},"
                          "{\"name\":\"note\",\"type\":\"text\",\"required\":false,\"encrypt\":false,\"mask\":false}]"));
    return 0;
}

WEIR_EXPORT(init)
{
    weir_buf b = weir_buf_over(kept, sizeof kept);
    weir_put_str(&b, weir_input());
    kept_len = b.len;
    return 0;
}

WEIR_EXPORT(handle_command)
{
    weir_str config = weir_slice(kept, kept_len), name = weir_json_raw(weir_json_member(weir_input(), "name"));
    weir_buf b = weir_buf_over(room, sizeof room);
    if (!weir_is(name, "getConfig") && !weir_is(name, "getNames"))
        return weir_refuse("unknown command");
    weir_put_text(&b, "{\"result\":true,\"data\":");
    if (weir_is(name, "getConfig")) {
        weir_put_str(&b, config);
    } else {
        weir_json_iter it = weir_json_each(config);
        weir_put_char(&b, '{');
        for (bool first = true; weir_json_step(&it); first = false) {
            weir_put_text(&b, first ? "" : ",");
            weir_put_string(&b, it.key);
            weir_put_char(&b, ':');
            weir_put_u64(&b, it.value.at[0] == '"' ? it.value.len - 2 : it.value.len);
        }
        weir_put_char(&b, '}');
    }
    weir_put_char(&b, '}');
    return weir_reply(&b);
}
