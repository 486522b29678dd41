/* weir_push.h, natively: a plugin of one page, asked as a host asks. */
#include "fake_host.h"
#include "weir_push.h"

#include "tests/lib/test.h"

static void open_socket(const weir_wish *w, weir_socket *s)
{
    weir_put_text(&s->url, "wss://ws.venue.example/v1");
    weir_socket_say(s, "{\"subscribe\":\"%\",\"of\":\"%\",\"every\":\"%\"}", weir_text(w->type->channel), w->symbol, weir_wish_time(w));
    weir_socket_say(s, "second", weir_none, weir_none, weir_none);
    if (weir_is(weir_text(w->type->name), "orderbook")) {
        s->ping_ms = 5000;
        weir_put_text(&s->book, "{\"guard\":\"none\"}");
    }
}

static bool on_frame(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine)
{
    (void)w;
    if (weir_is(frame, "later"))
        a->reconnect = true;
    if (weir_is(frame, "no"))
        return weir_answer_refuse(a, "the venue refuses: ", weir_text("\"not\" here"));
    if (weir_is(frame, "hello"))
        weir_put_text(&a->send, "say \"hello\"");
    if (weir_json_kind_of(frame) != WEIR_JSON_OBJECT)
        *mine = weir_none;
    return !weir_is(frame, "what") || weir_answer_fail(a, "not understood: ", frame);
}

static bool read_trade(weir_answer *a, const weir_wish *w, weir_str frame)
{
    static const char *const names[] = {"of", "id", "px", "qty", "taker", "ms", "s", "iso", "n"};
    weir_str v[9];
    weir_json_find(frame, names, v, 9);
    if (!weir_equal(weir_json_raw(v[0]), w->symbol))
        return true;
    weir_record_begin(a, w);
    weir_record_text(a, "id", v[1]);
    weir_record_decimal(a, "price", v[2]);
    weir_record_decimal_if(a, "size", v[3]);
    weir_record_side(a, weir_is(weir_json_raw(v[4]), "buy"));
    if (v[5].len)
        weir_record_ms(a, "ts_event", v[5]);
    if (v[6].len)
        weir_record_seconds(a, "ts_event", v[6]);
    if (v[7].len)
        weir_record_rfc3339(a, "ts_event", v[7]);
    weir_record_end(a);
    a->sequence = v[8];
    return true;
}

static bool read_book(weir_answer *a, const weir_wish *w, weir_str frame)
{
    weir_record_begin(a, w);
    weir_record_levels(a, "bids", weir_json_member(frame, "b"));
    weir_record_levels(a, "asks", weir_json_member(frame, "a"));
    weir_record_flags(a, weir_json_true(weir_json_member(frame, "whole")));
    weir_record_whole(a, "checksum", weir_json_member(frame, "crc"));
    weir_record_end(a);
    return true;
}

static bool read_candle(weir_answer *a, const weir_wish *w, weir_str frame)
{
    weir_str v[5];
    weir_json_items(weir_json_member(frame, "k"), v, 5);
    weir_record_begin(a, w);
    weir_record_candle(a, w, 1700000000000, v);
    weir_record_end(a);
    a->time_ms = 1700000001234;
    return true;
}

static weir_history asked;

static bool markets(weir_buf *out, weir_fail *fail)
{
    weir_str body;
    if (!weir_get(weir_text("https://api.venue.example/markets"), &body, fail))
        return false;
    weir_put_text(out, "{");
    weir_put_member(out, "symbol", body);
    weir_put_member(out, "base", weir_none);
    weir_put_text(out, "}");
    return true;
}

static bool history(const weir_history *h, weir_buf *out, weir_fail *fail)
{
    weir_str good[5] = {weir_text("1"), weir_text("\"2.50\""), weir_text("0.000000123456"), weir_text("1"), weir_text("7")}, bad[5];
    (void)fail;
    asked = *h;
    memcpy(bad, good, sizeof bad);
    bad[3] = weir_text("null");
    CHECK(weir_put_candle(out, 60, good) && !weir_put_candle(out, 120, bad) && weir_put_candle(out, 180, good));
    return true;
}

static const weir_push_type types[] = {
    {"trades", "fills", read_trade, false}, {"orderbook", "depth", read_book, false}, {"ohlcv", "bars", read_candle, true}, {NULL, NULL, NULL, false}};
static const weir_timeframe timeframes[] = {{"1m", "60"}, {"1d", "1D"}, {"1M", "month"}, {NULL, NULL}};
static const weir_push plugin = {
    .meta = "{\"pluginId\":\"one-page\"}", .types = types, .timeframes = timeframes, .upper = true, .socket = open_socket, .frame = on_frame, .markets = markets, .history = history};
WEIR_PUSH_PLUGIN(plugin)

static int32_t command(const char *name, const char *params)
{
    char in[1024];
    snprintf(in, sizeof in, "{\"name\":\"%s\",\"params\":%s}", name, params);
    fake_reset();
    return fake_call(weir_export_handle_command, in);
}

static int32_t ask(const char *in)
{
    fake_reset();
    return fake_call(weir_export_handle_stream_message, in);
}

static const char *context;
static const char trades[] = "{\"type\":\"trades\",\"symbol\":\"BTC-USD\",\"timeframe\":\"\"}", book[] = "{\"type\":\"orderbook\",\"symbol\":\"BTC-USD\",\"timeframe\":\"\"}",
                  candles[] = "{\"type\":\"ohlcv\",\"symbol\":\"BTC-USD\",\"timeframe\":\"1d\"}";

/* As a host asks that knows "raw", and as one asks that does not: the answers are the same. */
static int32_t frame(const char *text)
{
    static char room[1 << 16], in[1 << 17], first[1 << 16];
    weir_buf b = weir_buf_over(room, sizeof room - 1);
    weir_put_base64(&b, weir_text(text));
    room[b.len] = 0;
    snprintf(in, sizeof in, "=%s\n%s", context == trades ? "trades_BTC-USD_" : context == book ? "orderbook_BTC-USD_"
                                                                                               : "ohlcv_BTC-USD_1d",
             text);
    int32_t rc = ask(in);
    snprintf(first, sizeof first, "%s", fake.output);
    snprintf(in, sizeof in, "{\"streamId\":\"s\",\"connectionId\":\"c\",\"message\":\"%s\",\"messageType\":\"data\",\"streamContext\":%s}", room, context);
    CHECK_INT(ask(in), rc);
    CHECK_TEXT(fake.output, first);
    return rc;
}

TEST(push, describes_itself)
{
    fake_reset();
    CHECK_INT(fake_call(weir_export_meta, ""), 0);
    CHECK_TEXT(fake.output, "{\"pluginId\":\"one-page\"}");
    fake_reset();
    CHECK_INT(fake_call(weir_export_get_configuration_fields, ""), 0);
    CHECK_TEXT(fake.output, "[]");
    CHECK_INT(fake_call(weir_export_get_rate_limits, ""), 0);
    CHECK_INT(fake_call(weir_export_init, "{}"), 0);
    CHECK_INT(fake_call(weir_export_shutdown, ""), 0);
    CHECK_INT(fake_call(weir_export_handle_connection_event, "{\"eventType\":\"disconnected\"}"), 0);
    CHECK_HAS(fake.output, "\"action\":\"ignore\"");
}

TEST(push, a_wish_becomes_a_marker)
{
    CHECK_INT(command("tradesStream", "{\"symbol\":\"btc-usd\"}"), 0);
    CHECK_TEXT(fake.output, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"raw\":true,\"streamID\":\"trades_BTC-USD_\",\"websocketUrl\":\"wss://ws.venue.example/v1\","
                            "\"initialMessages\":[\"{\\\"subscribe\\\":\\\"fills\\\",\\\"of\\\":\\\"BTC-USD\\\",\\\"every\\\":\\\"\\\"}\",\"second\"],"
                            "\"streamContext\":{\"type\":\"trades\",\"symbol\":\"BTC-USD\",\"timeframe\":\"\"}}}");
    CHECK_INT(command("ohlcvStream", "{\"market\":{\"symbol\":\"BTC-USD\"},\"interval\":\"1D\"}"), 0);
    CHECK_HAS(fake.output, "\\\"every\\\":\\\"1D\\\"");
    CHECK_HAS(fake.output, "\"timeframe\":\"1d\"");
    CHECK_INT(command("ohlcvStream", "{\"symbol\":\"BTC-USD\",\"timeframe\":\"1mon\"}"), 0);
    CHECK_HAS(fake.output, "\\\"every\\\":\\\"month\\\"");
    CHECK_INT(command("ohlcvStream", "{\"symbol\":\"BTC-USD\",\"timeframe\":\"2mon\"}"), 1);
    CHECK_INT(command("orderbookStream", "{\"symbol\":\"BTC-USD\",\"timeframe\":\"1m\"}"), 0);
    CHECK_HAS(fake.output, ",\"heartbeat\":{\"transport\":{\"pingIntervalMs\":5000}},\"book\":{\"guard\":\"none\"}}}");
}

TEST(push, a_wish_that_makes_no_sense_is_refused_in_words)
{
    CHECK_INT(command("tradesStream", "{}"), 1);
    CHECK_TEXT(fake.output, "{\"result\":false,\"error\":\"which symbol? \\\"symbol\\\" is missing\"}");
    CHECK_INT(command("tradesStream", "{\"symbol\":\"a\\\"b\"}"), 1);
    CHECK_HAS(fake.output, "there is no symbol 'a\\\\\\\"b'");
    CHECK_INT(command("tradesStream", "{\"symbol\":7}"), 1);
    CHECK_INT(command("ohlcvStream", "{\"symbol\":\"X\"}"), 1);
    CHECK_HAS(fake.output, "which time frame? There are 1m 1d 1M");
    CHECK_INT(command("ohlcvStream", "{\"symbol\":\"X\",\"timeframe\":\"1\"}"), 1);
    CHECK_HAS(fake.output, "there is no time frame '1'; there are 1m 1d 1M");
    CHECK_INT(command("fundingStream", "{\"symbol\":\"X\"}"), 1);
    CHECK_HAS(fake.output, "unknown command: fundingStream");
    CHECK_INT(command("", "null"), 1);
    CHECK_INT(fake_call(weir_export_handle_command, "what"), 1);
}

TEST(push, a_frame_becomes_records_in_the_venues_own_digits)
{
    context = trades;
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"id\":12345678901234567890,\"px\":\"0.000000123456\",\"qty\":1.50,\"taker\":\"sell\",\"ms\":\"1700000000001\",\"n\":7}"), 0);
    CHECK_TEXT(fake.output, "{\"success\":true,\"action\":\"data\",\"dataType\":\"trades\",\"data\":[{\"symbol\":\"BTC-USD\",\"id\":\"12345678901234567890\",\"price\":\"0.000000123456\","
                            "\"size\":\"1.50\",\"side\":\"sell\",\"ts_event\":\"1700000000001000000\"}],\"sequence\":7}");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"s\":\"1618678133.365913\"}"), 0);
    CHECK_HAS(fake.output, "\"ts_event\":\"1618678133365913000\"");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"s\":1618678133}"), 0);
    CHECK_HAS(fake.output, "\"ts_event\":\"1618678133000000000\"");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"iso\":\"2021-04-17T16:43:30.244075Z\"}"), 0);
    CHECK_HAS(fake.output, "\"ts_event\":\"1618677810244075000\"");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"iso\":\"2021-04-17T16:43:30+00:00\"}"), 0);
    CHECK_HAS(fake.output, "\"ts_event\":\"1618677810000000000\"");
    context = book;
    CHECK_INT(frame("{\"whole\":true,\"b\":[[\"10.10\",\"2\",\"0\",\"1\"],[10,\"1\"]],\"crc\":-914047754}"), 0);
    CHECK_HAS(fake.output, "{\"symbol\":\"BTC-USD\",\"bids\":[[\"10.10\",\"2\"],[\"10\",\"1\"]],\"asks\":[],\"flags\":[\"snapshot\",\"last\"],\"checksum\":-914047754}");
    context = candles;
    CHECK_INT(frame("{\"k\":[\"1.0\",2,\"0.5\",\"1.5\",0]}"), 0);
    CHECK_HAS(fake.output, "\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"interval\":\"1d\",\"open\":\"1.0\",\"high\":\"2\",\"low\":\"0.5\",\"close\":\"1.5\",\"volume\":\"0\"}],"
                           "\"timestamp\":\"2023-11-14T22:13:21.234Z\"}");
}

TEST(push, another_streams_frame_is_ignored)
{
    context = trades;
    CHECK_INT(frame("{\"of\":\"ETH-USD\",\"px\":\"1\"}"), 0);
    CHECK_TEXT(fake.output, "{\"success\":true,\"action\":\"ignore\"}");
}

TEST(push, a_frame_without_what_it_needs_fails_and_says_what)
{
    context = trades;
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"NaN\",\"ms\":1}"), 1);
    CHECK_TEXT(fake.output, "{\"success\":false,\"action\":\"ignore\",\"error\":\"a message of this stream has no usable 'price'\"}");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"ms\":\"soon\"}"), 1);
    CHECK_HAS(fake.output, "'ts_event'");
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"iso\":\"yesterday\"}"), 1);
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\",\"s\":\"1e9\"}"), 1);
    CHECK_INT(frame("what"), 1);
    CHECK_HAS(fake.output, "not understood: what");
    context = book;
    CHECK_INT(frame("{\"b\":[[\"1\"]]}"), 1);
    CHECK_HAS(fake.output, "'level'");
    context = candles;
    CHECK_INT(frame("{\"k\":[1,2,3]}"), 1);
    CHECK_HAS(fake.output, "'close'");
    context = trades; /* the next one is whole again */
    CHECK_INT(frame("{\"of\":\"BTC-USD\",\"px\":\"1\"}"), 0);
    CHECK_HAS(fake.output, "\"price\":\"1\"");
}

TEST(push, the_venue_refuses_asks_and_says_goodbye)
{
    context = trades;
    CHECK_INT(frame("no"), 0);
    CHECK_TEXT(fake.output, "{\"success\":true,\"action\":\"close\",\"error\":\"the venue refuses: \\\"not\\\" here\"}");
    CHECK_INT(frame("later"), 0);
    CHECK_TEXT(fake.output, "{\"success\":true,\"action\":\"reconnect\"}");
    CHECK_INT(frame("hello"), 0);
    CHECK_TEXT(fake.output, "{\"success\":true,\"action\":\"send\",\"sendMessage\":\"say \\\"hello\\\"\"}");
}

TEST(push, a_wish_is_read_from_a_streams_id)
{
    CHECK_INT(ask("=trades_A_B_\n{\"of\":\"A_B\",\"px\":\"1\"}"), 0); /* such a line within the symbol */
    CHECK_HAS(fake.output, "{\"symbol\":\"A_B\",\"price\":\"1\"");
    CHECK_INT(ask("=ohlcv_A_B_1M\n{\"k\":[1,2,3,4,5]}"), 0);
    CHECK_HAS(fake.output, "\"interval\":\"1M\"");
    CHECK_INT(ask("=trades_BTC-USD_\n"), 0); /* a frame of nothing */
    CHECK_HAS(fake.output, "ignore");
    static const char *const bad[] = {"=", "=\n", "=_\n{}", "=trades\n{}", "=trades_\n{}", "=trades__\n{}", "=trades_BTC-USD_", "=nothing_X_\n{}", "=trade_X_\n{}",
                                      "=trades_a b_\n{}", "=ohlcv_X_\n{}", "=ohlcv_X_9m\n{}", "=ohlcv_1m\n{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(ask(bad[i]), 1);
        CHECK_HAS(fake.output, "\"success\":false");
    }
}

static size_t picked(const char *array, char *out, bool *bad)
{
    static const char *const names[] = {"a", "bc", "name-of-16-chars", "a-name-of-twenty-one-"};
    weir_str v[4];
    size_t n = 0;
    weir_json_iter it = weir_json_each(weir_text(array));
    out[0] = 0;
    for (; weir_json_next_find(&it, names, v, 4); n++)
        for (int i = 0; i < 4; i++)
            sprintf(out + strlen(out), "%.*s%c", (int)v[i].len, v[i].at ? v[i].at : "", i < 3 ? ',' : ';');
    *bad = it.bad;
    return n;
}

TEST(push, items_are_walked_and_picked_at_once)
{
    static const struct {
        const char *array, *found;
        size_t items;
        bool bad;
    } of[] = {
        {"[]", "", 0, false},
        {"[ {\"a\":1,\"bc\":[2,{\"a\":9}]} , {\"x\":{\"a\":3},\"name-of-16-chars\":\"}]\",\"a-name-of-twenty-one-\":4} ]", "1,[2,{\"a\":9}],,;,,\"}]\",4;", 2, false},
        {"[{},7,[{\"a\":1}],\"a\",null]", ",,,;,,,;,,,;,,,;,,,;", 5, false},
        {"[{\"A\":1,\"b\":2,\"bcd\":3,\"name-of-16-charS\":4,\"a-name-of-twenty-one_\":5,\"\":6}]", ",,,;", 1, false},
        {"[{\"a\":1 \"bc\":2},{\"a\":3}]", "1,,,;", 1, true}, /* behind a break nothing is read */
        {"[{\"a\":1", "1,,,;", 1, true},
        {"[{\"a\":1}", "1,,,;", 1, true},
        {"[{\"a\":1}{\"a\":2}]", "1,,,;", 1, true},
        {"[?]", "", 0, true},
        {"[", "", 0, true},
        {"", "", 0, true},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char out[200];
        bool bad;
        CHECK_UINT(picked(of[i].array, out, &bad), of[i].items);
        CHECK_TEXT(out, of[i].found);
        CHECK_INT(bad, of[i].bad);
    }
}

TEST(push, a_host_that_sends_text_or_nonsense_is_answered)
{
    char in[1024];
    snprintf(in, sizeof in, "{\"message\":\"{\\\"of\\\":\\\"BTC-USD\\\",\\\"px\\\":\\\"1\\\"}\",\"streamContext\":%s}", trades);
    CHECK_INT(ask(in), 0);
    CHECK_HAS(fake.output, "\"price\":\"1\"");
    static const char *const bad[] = {"", "null", "{}", "{\"message\":7}", "{\"message\":\"\"}", "{\"message\":\"!!!!\"}", "{\"message\":\"e30=\"}",
                                      "{\"message\":\"e30=\",\"streamContext\":{\"type\":\"nothing\",\"symbol\":\"X\"}}",
                                      "{\"message\":\"e30=\",\"streamContext\":{\"type\":\"ohlcv\",\"symbol\":\"X\",\"timeframe\":\"9m\"}}",
                                      "{\"message\":\"e30=\",\"streamContext\":{\"type\":\"trades\",\"symbol\":\"a b\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(ask(bad[i]), 1);
        CHECK_HAS(fake.output, "\"success\":false");
    }
}

static const char *say_markets(const char *request)
{
    CHECK_HAS(request, "\"url\":\"https://api.venue.example/markets\"");
    return "THE-ONE";
}

TEST(push, commands_are_answered)
{
    CHECK_INT(command("getTimeframes", "null"), 0);
    CHECK_HAS(fake.output, "\"data\":[{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"m\",\"location\":null},{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"D\",\"location\":null},"
                           "{\"id\":0,\"userId\":0,\"value\":1,\"unit\":\"M\",\"location\":null}]}");
    CHECK_INT(command("getMarkets", "null"), 1);
    CHECK_HAS(fake.output, "http_request 'https://api.venue.example/markets': refused");
    fake_reset();
    fake.on_http = say_markets;
    CHECK_INT(fake_call(weir_export_handle_command, "{\"name\":\"getMarkets\",\"params\":null}"), 0);
    CHECK_TEXT(fake.output, "{\"result\":true,\"cacheForSeconds\":43200,\"data\":[{\"symbol\":\"THE-ONE\"}]}");
    CHECK_INT(command("getOHLCV", "{\"market\":{\"symbol\":\"x\"},\"timeframe\":\"1m\",\"startTime\":\"2023-11-14T22:13:20Z\",\"endTime\":1700000100000,\"limit\":5}"), 0);
    CHECK_TEXT(fake.output, "{\"result\":true,\"data\":[{\"openTime\":60,\"open\":\"1\",\"high\":\"2.50\",\"low\":\"0.000000123456\",\"close\":\"1\",\"volume\":\"7\"},"
                            "{\"openTime\":180,\"open\":\"1\",\"high\":\"2.50\",\"low\":\"0.000000123456\",\"close\":\"1\",\"volume\":\"7\"}]}");
    CHECK_UINT(asked.from_ms, 1700000000000);
    CHECK_UINT(asked.to_ms, 1700000100000);
    CHECK_UINT(asked.limit, 5);
}
