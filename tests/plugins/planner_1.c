/* A planner of the first interface: import_events reports through calendar_import and returns nothing. "from" says
 * what: "bad" a list with an event that makes no sense, "none" nothing, "silent" 1 and no reason, "twice" two calls. */
#include "weir_pdk.h"

WEIR_IMPORT("extism:host/user", calendar_import)
uint64_t calendar_import(uint64_t request);

static char reply_room[4096];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"planner-1\",\"name\":\"Planner 1\",\"appId\":\"plusev_planner\",\"version\":\"v1.0.0\",\"category\":\"Import\"}"));
    return 0;
}

/* Also says what came back, as its error. */
static bool import(const char *events)
{
    weir_buf reply = weir_buf_over(reply_room, sizeof reply_room);
    weir_block_take(calendar_import(weir_block_of(weir_text(events))), &reply);
    weir_put_char(&reply, '\0');
    return weir_starts(weir_buf_str(&reply), weir_text("{\"success\":true"));
}

WEIR_EXPORT(import_events)
{
    weir_str from = weir_json_raw(weir_json_member(weir_input(), "from"));
    if (weir_is(from, "silent"))
        return 1;
    if (weir_is(from, "none"))
        return import("{\"events\":null}") ? 0 : 1;
    if (weir_is(from, "bad")) {
        if (import("{\"events\":[{\"title\":\"Good\",\"startDate\":\"2024-01-02T00:00:00Z\"},{\"title\":\"Bad\",\"startDate\":\"tomorrow\"}]}"))
            return 0;
        weir_error(reply_room);
        return 1;
    }
    if (weir_is(from, "twice") && !import("{\"events\":[{\"title\":\"First\",\"startDate\":\"2024-01-01T08:00:00+02:00\",\"endDate\":\"0001-01-01T00:00:00Z\",\"notes\":\"\",\"timezone\":\"UTC\",\"tags\":null}]}"))
        return 1;
    return import("{\"events\":[{\"title\":\"CPI\",\"startDate\":\"2024-01-11T13:30:00Z\",\"endDate\":\"2024-01-11T14:00:00Z\",\"notes\":\"n\",\"timezone\":\"America/New_York\",\"tags\":[\"us\"]},"
                  "{\"title\":\"Day\",\"startDate\":\"2024-01-10T00:00:00Z\",\"endDate\":\"0001-01-01T00:00:00Z\",\"notes\":\"\",\"timezone\":\"\",\"tags\":null}]}")
               ? 0
               : 1;
}
