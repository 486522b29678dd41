#include "bench/native.h"

#include "base/json.h"

static bool decimal(json value, bytes *text)
{
    if (!json_string_slice(value, text) || !text->len)
        return false;
    for (size_t i = 0, points = 0; i < text->len; i++)
        if (text->at[i] == '.' ? points++ > 0 || i == 0 : text->at[i] < '0' || text->at[i] > '9')
            return false;
    return true;
}

/* The plugin's own shape: {"symbol","timestamp","price","size","side"}. */
static void write_trade(native_side *n, uint64_t ms, bytes price, bytes size, bool buys)
{
    if (ms / 1000 != n->second) {
        n->second = ms / 1000;
        clock_rfc3339(n->stamp, ms * NS_PER_MS, 3);
    }
    n->stamp[20] = (char)('0' + ms / 100 % 10);
    n->stamp[21] = (char)('0' + ms / 10 % 10);
    n->stamp[22] = (char)('0' + ms % 10);
    buf_clear(&n->out);
    buf_add_text(&n->out, "{\"symbol\":\"" SYMBOL "\",\"timestamp\":\"");
    buf_add(&n->out, n->stamp, 24);
    buf_add_text(&n->out, "\",\"price\":\"");
    buf_add_bytes(&n->out, price);
    buf_add_text(&n->out, "\",\"size\":\"");
    buf_add_bytes(&n->out, size);
    buf_add_text(&n->out, buys ? "\",\"side\":\"buy\"}" : "\",\"side\":\"sell\"}");
}

static bool native_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    native_side *n = arg;
    json topic, data, px, sx, sd, ts;
    bytes price, size;
    uint64_t ms;
    (void)binary;
    if (hub_blocked(n->hub, n->records)) {
        hub_wait(n->hub, &n->waiter);
        return false;
    }
    if (json_read_fields(message, (const json_field[]){{"topic", &topic}, {"data", &data}}, 2, NULL) ||
        !json_is(topic, "trade@" SYMBOL))
        return true; /* the answer to the subscription */
    if (json_fields(data, (const json_field[]){{"px", &px}, {"sx", &sx}, {"sd", &sd}, {"ts", &ts}}, 4, NULL) ||
        !decimal(px, &price) || !decimal(sx, &size) || !json_u64(ts, &ms))
        give_up("a trade that is none: %.*s", (int)message.len, message.at);
    write_trade(n, ms, price, size, json_is(sd, "BUY"));
    hub_publish(n->hub, record_new(n->records, ms * NS_PER_MS, recv_real_ns, buf_bytes(&n->out)));
    n->data++;
    return true;
}

static void native_open_done(void *arg, bytes subprotocol)
{
    native_side *n = arg;
    (void)subprotocol;
    ws_client_send(n->ws, false, BYTES("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@" SYMBOL "\"]}"), NULL);
}

static void native_closed(void *arg, uint16_t code, const weir_error *why, uint16_t status, uint32_t retry_after_s)
{
    (void)arg, (void)code, (void)status, (void)retry_after_s;
    give_up("%s", why->text);
}

static void native_drain(void *arg)
{
    native_side *n = arg;
    switch (sink_drain(n->sink, n->sub, 1024)) {
    case SINK_MORE:
        defer(n->loop, &n->drain);
        break;
    case SINK_DONE:
        break;
    default:
        give_up("the native side's sink: %s", sink_why(n->sink)->text);
    }
}

static void native_ready(sub *s, void *arg)
{
    native_side *n = arg;
    (void)s;
    defer(n->loop, &n->drain);
}

static void native_resume(void *arg)
{
    native_side *n = arg;
    ws_client_resume(n->ws);
}

static void native_room(void *arg)
{
    native_side *n = arg;
    defer(n->loop, &n->resume);
}

void native_open(native_side *n, const char *ca, const char *override, const char *sink)
{
    static const ws_client_events events = {native_open_done, native_message, NULL, native_closed};
    weir_error err = WEIR_ERROR_INIT;
    dialer_options dial = {.ca_file = *ca ? ca : NULL};
    sub_options options = {.policy = SUB_BLOCK, .on_ready = native_ready, .arg = n};
    record_key key = {.type = BYTES("trades"), .source = BYTES("woox-datasource"), .identifier = BYTES(SYMBOL)};
    ws_client_options ask = {.url = BYTES("wss://wss.woox.io/v3/public")};
    *n = (native_side){.drain = {.fn = native_drain, .arg = n}, .resume = {.fn = native_resume, .arg = n}, .waiter = {.on_room = native_room, .arg = n}, .second = UINT64_MAX};
    buf_init(&n->out, 4096);
    ask.targets = n->targets = targets_new();
    if (loop_new(&n->loop, &err) || dialer_new(&n->dialer, n->loop, &dial, &err) ||
        targets_add(n->targets, BYTES("wss://wss.woox.io/*"), &err) || targets_override(n->targets, bytes_of(override), &err) ||
        hub_new(&n->hub, &err) || hub_stream(&n->records, n->hub, &key, &err) ||
        hub_subscribe(&n->sub, n->hub, ">", &options, &err) || sink_open(&n->sink, sink, NULL, &err) ||
        ws_open(&n->ws, n->dialer, &ask, &events, n, &err))
        give_up("%s", err.text);
}

void native_until(native_side *n, uint64_t delivered)
{
    do
        loop_step(n->loop, -1);
    while (hub_read_account(n->hub).subs.delivered < delivered);
}

void native_close(native_side *n)
{
    sink_flush(n->sink);
    sink_close(n->sink);
    ws_client_free(n->ws);
    hub_unsubscribe(n->hub, n->sub);
    defer_cancel(&n->drain);
    defer_cancel(&n->resume);
    hub_wait_cancel(&n->waiter);
    record_stream_unref(n->records);
    hub_free(n->hub);
    dialer_free(n->dialer);
    targets_free(n->targets);
    loop_free(n->loop);
    buf_fini(&n->out);
}
