/* Opens sockets to the URL of its input without ever closing one, 10,000 times; answers
 * {"opened":n,"last":…} with the last error. */
#include "weir_pdk.h"

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"connects\",\"name\":\"Connects\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]}}"));
    return 0;
}

WEIR_EXPORT(connect)
{
    static char url[512];
    char room[2048];
    weir_buf b = weir_buf_over(url, sizeof url - 1), out = weir_buf_over(room, sizeof room);
    weir_fail fail = {""};
    uint64_t opened = 0;
    weir_put_str(&b, weir_input());
    url[b.len] = 0;
    for (int i = 0; i < 10000; i++) {
        static weir_ws ws;
        opened += weir_ws_connect(&ws, url, weir_slice(NULL, 0), NULL, &fail);
    }
    weir_put_text(&out, "{\"opened\":");
    weir_put_u64(&out, opened);
    weir_put_text(&out, ",\"last\":");
    weir_put_string(&out, weir_text(fail.text));
    weir_put_text(&out, "}");
    return weir_reply(&out);
}
