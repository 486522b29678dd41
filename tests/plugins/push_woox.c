/* A push plugin (generation 3) for the trades of WOO X: each frame's "data" as it came, so that records can be
 * compared. Made some times, to be put into each other's place: push_woox_2.c is version 2.0.0 of it, push_woox_wide.c
 * version 3.0.0, which asks for more, push_woox_dir.c, _dir_2.c and _dir_wide.c are versions 4.0.0 to 6.0.0 with folders:
 * each appends its version's digit to /notes/made for each trade. */
#include "weir_pdk.h"

#ifndef VERSION
#define VERSION "1.0.0"
#define MORE ""
#endif
#ifdef FOLDERS
#include <fcntl.h>
#include <unistd.h>
#else
#define FOLDERS ""
#endif

static char room[1 << 16];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"push-woox\",\"name\":\"Push\",\"appId\":\"datasrc\",\"version\":\"" VERSION "\",\"category\":\"test\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}" MORE "]" FOLDERS "}}"));
    return 0;
}

WEIR_EXPORT(init)
{
    if (VERSION[0] == '2' && weir_json_member(weir_input(), "only_1").len)
        return weir_refuse("version 2 knows no only_1");
    return 0;
}

WEIR_EXPORT(shutdown)
{
    weir_log_info(weir_text("version " VERSION " shuts down"));
    return 0;
}

WEIR_EXPORT(handle_command)
{
    weir_str in = weir_input(), params = weir_json_member(in, "params");
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"streamID\":\"s\","
                      "\"websocketUrl\":\"wss://wss.woox.io/v3/public\",\"initialMessages\":[\"{\\\"id\\\":\\\"1\\\",\\\"cmd\\\":\\\"SUBSCRIBE\\\",\\\"params\\\":[\\\"trade@");
    weir_put_str(&b, weir_json_raw(weir_json_member(params, "symbol")));
    weir_put_text(&b, "\\\"]}\"],\"streamContext\":{}}}");
    return weir_reply(&b);
}

static bool note(void)
{
#ifdef O_APPEND
    int fd = open("/notes/made", O_WRONLY | O_CREAT | O_APPEND, 0600);
    bool good = fd >= 0 && write(fd, VERSION, 1) == 1;
    return fd >= 0 && close(fd) == 0 && good;
#else
    return true;
#endif
}

WEIR_EXPORT(handle_stream_message)
{
    static char text[1 << 15];
    weir_str message = weir_json_raw(weir_json_member(weir_input(), "message"));
    weir_str data = weir_json_member(weir_slice(text, weir_base64_decode(message, text)), "data");
    weir_buf b = weir_buf_over(room, sizeof room);
    if (!data.len || data.at[0] != '{') { /* the answer to the subscription */
        weir_put_text(&b, "{\"success\":true,\"action\":\"ignore\"}");
        return weir_reply(&b);
    }
    if (!note())
        return weir_refuse("/notes/made cannot be written");
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"dataType\":\"trades\",\"data\":");
    weir_put_str(&b, data);
    weir_put_text(&b, "}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_connection_event)
{
    weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
    return 0;
}
