/* Trades of WOO X as a push plugin: the same records as pdk/plugins/woox makes, octet for octet, for the
 * benchmarks. A stream's id is the venue's topic, so a frame needs no table of streams. */
#include "weir_pdk.h"

#define SOCKET "wss://wss.woox.io/v3/public"
#define PAIR(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

typedef struct trade {
    weir_str price, size, side;
    uint64_t ms;
} trade;

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"woox-datasource\",\"name\":\"WOO X, push\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"cex\","
                          "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"}]},\"features\":[\"tradesStream\"]}"));
    return 0;
}

WEIR_EXPORT(init)
{
    return 0;
}

WEIR_EXPORT(handle_command)
{
    char room[1024];
    weir_str in = weir_input(), symbol = weir_json_raw(weir_json_member(weir_json_member(in, "params"), "symbol"));
    weir_buf b = weir_buf_over(room, sizeof room);
    if (!weir_is(weir_json_raw(weir_json_member(in, "name")), "tradesStream") || !symbol.len) {
        weir_output(weir_text("{\"result\":false,\"error\":\"there is tradesStream, with a symbol\"}"));
        return 1;
    }
    weir_put_text(&b, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"raw\":true,\"websocketUrl\":\"" SOCKET "\",\"streamID\":\"trade@");
    weir_put_str(&b, symbol);
    weir_put_text(&b, "\",\"initialMessages\":[\"{\\\"id\\\":\\\"1\\\",\\\"cmd\\\":\\\"SUBSCRIBE\\\",\\\"params\\\":[\\\"trade@");
    weir_put_str(&b, symbol);
    weir_put_text(&b, "\\\"]}\"]}}");
    return weir_reply(&b);
}

/* The data of a trade of this topic, or nothing: answers, heartbeats. Of the venue's usual order of members they are
 * found without a walk over the envelope. */
static weir_str data_of(const weir_frame *f)
{
    weir_str topic = {NULL, 0}, data = {NULL, 0}, rest = f->text;
    weir_json_iter it;
    if (weir_skip(&rest, weir_text("{\"topic\":\"")) && weir_skip(&rest, f->id) && weir_skip(&rest, weir_text("\",\"ts\":"))) {
        while (rest.len && rest.at[0] >= '0' && rest.at[0] <= '9')
            rest = weir_slice(rest.at + 1, rest.len - 1);
        if (weir_skip(&rest, weir_text(",\"data\":")))
            return rest;
    }
    it = weir_json_each(f->text);
    while (weir_json_step(&it)) {
        if (weir_is(it.key, "topic"))
            topic = weir_json_raw(it.value);
        else if (weir_is(it.key, "data"))
            data = it.value;
    }
    return !it.bad && weir_equal(topic, f->id) ? data : weir_slice(NULL, 0);
}

static bool read_trade(trade *t, weir_str data)
{
    weir_json_iter it = weir_json_each(data);
    *t = (trade){{NULL, 0}, {NULL, 0}, {NULL, 0}, 0};
    while (weir_json_step(&it)) {
        if (it.key.len != 2)
            continue;
        switch (PAIR(it.key.at[0], it.key.at[1])) {
        case PAIR('p', 'x'):
            t->price = weir_json_decimal(it.value);
            break;
        case PAIR('s', 'x'):
            t->size = weir_json_decimal(it.value);
            break;
        case PAIR('s', 'd'):
            t->side = weir_json_raw(it.value);
            break;
        case PAIR('t', 's'):
            weir_json_u64(it.value, &t->ms);
            break;
        }
    }
    return !it.bad && t->price.len && t->size.len && t->side.len && t->ms;
}

static int32_t reply_trade(const trade *t, weir_str symbol)
{
    static char room[1024];
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"success\":true,\"action\":\"data\",\"dataType\":\"trades\",\"timestamp\":\"");
    weir_put_time(&b, t->ms);
    weir_put_text(&b, "\",\"data\":{\"symbol\":\"");
    weir_put_str(&b, symbol);
    weir_put_text(&b, "\",\"timestamp\":\"");
    weir_put_time(&b, t->ms);
    weir_put_text(&b, "\",\"price\":\"");
    weir_put_str(&b, t->price);
    weir_put_text(&b, "\",\"size\":\"");
    weir_put_str(&b, t->size);
    weir_put_text(&b, t->side.at[0] == 'B' ? "\",\"side\":\"buy\"}}" : "\",\"side\":\"sell\"}}");
    return weir_reply(&b);
}

WEIR_EXPORT(handle_stream_message)
{
    weir_frame f;
    trade t;
    if (!weir_frame_read(&f))
        return weir_refuse("a message that is none of the host's");
    if (read_trade(&t, data_of(&f)))
        return reply_trade(&t, weir_slice(f.id.at + 6, f.id.len - 6));
    weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
    return 0;
}

WEIR_EXPORT(handle_connection_event)
{
    weir_output(weir_text("{\"success\":true,\"action\":\"ignore\"}"));
    return 0;
}

WEIR_EXPORT(shutdown)
{
    return 0;
}
