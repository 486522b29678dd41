/* A plugin of generation 3 with a history that tests know: a candle for each bar of 2024-01-01 to 2024-01-21, its
 * open the number of the bar. It knows exchange spellings only (1m 1h 1d) and gives 100 rows a call, newest first;
 * what else it does, its symbol says:
 *
 *     oldest     gives the first 100 of what was asked, oldest first
 *     week       looks at the last seven days of what was asked only
 *     hole       has nothing from the 5th to the 9th
 *     stuck      whatever is asked, the same ten rows
 *     bad        rows out of order, twice, with NaN, with texts for numbers, with nothing
 *     nothing    null
 */
#include "weir_pdk.h"

#define FIRST 1704067200u /* 2024-01-01T00:00:00Z */
#define DAYS 20u
#define DAY 86400u

static char room[1 << 16];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"history\",\"name\":\"History\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\"}"));
    return 0;
}

WEIR_EXPORT(get_rate_limits)
{
    static char kept[4096];
    weir_buf value = weir_buf_over(kept, sizeof kept);
    return weir_config_get("limits", &value) ? weir_reply(&value) : 0;
}

WEIR_EXPORT(init)
{
    return 0;
}

static void put_bar(weir_buf *b, uint64_t time, uint64_t bar)
{
    uint64_t wave = bar % 40 < 20 ? bar % 20 : 20 - bar % 20;
    weir_put_text(b, b->at[b->len - 1] == '[' ? "{\"openTime\":" : ",{\"openTime\":");
    weir_put_u64(b, time);
    weir_put_text(b, ",\"open\":\"");
    weir_put_u64(b, bar);
    weir_put_text(b, "\",\"high\":\"");
    weir_put_u64(b, bar + wave + 3);
    weir_put_text(b, ".5\",\"low\":\"");
    weir_put_u64(b, bar > 2 ? bar - 2 : 0);
    weir_put_text(b, "\",\"close\":\"");
    weir_put_u64(b, bar % 4 ? bar + wave : bar > 2 ? bar - 2
                                                   : 0);
    weir_put_text(b, ".25\",\"volume\":\"");
    weir_put_u64(b, 10 + wave);
    weir_put_text(b, "\"}");
}

static bool missing(weir_str symbol, uint64_t time)
{
    return weir_is(symbol, "hole") && time >= FIRST + 4 * DAY && time < FIRST + 9 * DAY;
}

static int32_t history(weir_str params)
{
    weir_str symbol = weir_json_raw(weir_json_member(weir_json_member(params, "market"), "symbol"));
    weir_str span = weir_json_raw(weir_json_member(params, "timeframe"));
    uint64_t step = weir_is(span, "1m") ? 60 : weir_is(span, "1h") ? 3600
                                           : weir_is(span, "1d")   ? DAY
                                                                   : 0;
    uint64_t from = 0, to = 0, rows = 0;
    weir_buf b = weir_buf_over(room, sizeof room);
    if (!step) {
        weir_put_text(&b, "{\"result\":false,\"error\":\"unsupported timeframe '");
        weir_put_str(&b, span);
        weir_put_text(&b, "'\"}");
        weir_reply(&b);
        return 1;
    }
    weir_json_u64(weir_json_member(params, "startTime"), &from);
    weir_json_u64(weir_json_member(params, "endTime"), &to);
    from /= 1000;
    to = to ? to / 1000 : FIRST + DAYS * DAY;
    if (weir_is(symbol, "week") && to > 7 * DAY && from < to - 7 * DAY)
        from = to - 7 * DAY;
    from = from < FIRST ? FIRST : (from + step - 1) / step * step;
    to = to > FIRST + DAYS * DAY ? FIRST + DAYS * DAY : to;
    if (weir_is(symbol, "stuck")) {
        from = FIRST;
        to = FIRST + 10 * step;
    }
    weir_put_text(&b, "{\"result\":true,\"data\":[");
    if (weir_is(symbol, "oldest"))
        for (uint64_t at = from; at < to && rows < 100; at += step, rows++)
            put_bar(&b, at, (at - FIRST) / step);
    else
        for (uint64_t at = to < FIRST + step ? 0 : (to - 1) / step * step; at >= from && at && rows < 100; at -= step)
            if (!missing(symbol, at)) {
                put_bar(&b, at, (at - FIRST) / step);
                rows++;
            }
    weir_put_text(&b, "]}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_command)
{
    weir_str in = weir_input(), params = weir_json_member(in, "params"), name = weir_json_raw(weir_json_member(in, "name"));
    weir_str symbol = weir_json_raw(weir_json_member(params, "symbol"));
    if (weir_is(name, "getTimeframes")) {
        weir_output(weir_text("{\"result\":true,\"data\":[{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"m\",\"location\":null},"
                              "{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"D\",\"location\":null},{\"what\":\"?\"}]}"));
        return 0;
    }
    if (!weir_is(name, "getOHLCV")) {
        weir_output(weir_text("{\"result\":false,\"error\":\"unknown command\"}"));
        return 1;
    }
    if (weir_is(symbol, "nothing")) {
        weir_output(weir_text("{\"result\":true,\"data\":null}"));
        return 0;
    }
    if (weir_is(symbol, "bad")) {
        weir_output(weir_text("{\"result\":true,\"data\":["
                              "{\"openTime\":1704067320,\"open\":\"3\",\"high\":\"3\",\"low\":\"3\",\"close\":\"3\",\"volume\":\"3\"},"
                              "{\"openTime\":1704067200,\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                              "{\"openTime\":1704067260,\"open\":\"2\",\"high\":\"2\",\"low\":\"2\",\"close\":\"2\",\"volume\":\"2\"},"
                              "{\"openTime\":1704067260,\"open\":\"9\",\"high\":\"9\",\"low\":\"9\",\"close\":\"9\",\"volume\":\"9\"},"
                              "{\"openTime\":1704067380,\"open\":\"NaN\",\"high\":\"4\",\"low\":\"4\",\"close\":\"4\",\"volume\":\"4\"},"
                              "{\"openTime\":1704067440,\"open\":\"5\",\"high\":\"five\",\"low\":\"5\",\"close\":\"5\",\"volume\":\"5\"},"
                              "{\"openTime\":\"soon\",\"open\":\"6\",\"high\":\"6\",\"low\":\"6\",\"close\":\"6\",\"volume\":\"6\"},"
                              "{\"openTime\":1704067500},null,7]}"));
        return 0;
    }
    return history(params);
}
