/* The WOO X plugin, natively: what it subscribes to, publishes, and does when things go wrong. */
#include "fake_host.h"
#include "tests/lib/test.h"

int32_t weir_export_start_stream(void);
int32_t weir_export_stop_stream(void);
int32_t weir_export_plugin_configure(void);
int32_t weir_export_list_markets(void);
int32_t weir_export_get_timeframes(void);
int32_t weir_export_get_ohlcv(void);
int32_t weir_export_get_account(void);
int32_t weir_export_meta(void);

#define KEY(type, parameters) "{\"type\":\"" type "\",\"source\":\"woox-datasource\",\"identifier\":\"SPOT_BTC_USDT\",\"parameters\":{" parameters "},\"connectionId\":7}"

static const char *key;       /* what on_idle stops */
static char stop_output[256]; /* what stop_stream answered */

static void stop(void)
{
    CHECK_INT(fake_call(weir_export_stop_stream, key), 0);
    snprintf(stop_output, sizeof stop_output, "%s", fake.output);
}

/* Runs a stream over frames until the script ends, then stops it; the result of start_stream. */
static int32_t run(const char *stream_key, const char *topic, const char *const *frames)
{
    char ack[256];
    key = stream_key;
    fake_reset();
    fake.on_idle = stop;
    snprintf(ack, sizeof ack, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"time\":1,\"data\":[\"%s\"]}", topic);
    fake_script(fake_frame(ack));
    for (; frames && *frames; frames++)
        fake_script(fake_frame(*frames));
    return fake_call(weir_export_start_stream, stream_key);
}

#define FRAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(woox, a_candle_keeps_the_venues_digits_as_numbers)
{
    CHECK_INT(run(KEY("ohlcv", "\"timeframe\":\"1m\""), "kline@SPOT_BTC_USDT@1m",
                  FRAMES("{\"topic\":\"kline@SPOT_BTC_USDT@1m\",\"ts\":1618822432146,\"data\":{\"s\":\"SPOT_BTC_USDT\",\"t\":\"1m\",\"o\":\"0.000000123456\",\"c\":\"56891.76\",\"h\":\"56948.970\",\"l\":\"1\",\"v\":\"0\",\"a\":\"2\",\"st\":1618822380000,\"et\":1618822440000,\"ts\":1618822432140,\"tts\":1}}")),
              0);
    CHECK_TEXT(fake.published, "{\"key\":" KEY("ohlcv", "\"timeframe\":\"1m\"") ",\"timestamp\":\"2021-04-19T08:53:52.140Z\",\"data\":{\"symbol\":\"SPOT_BTC_USDT\",\"timestamp\":\"2021-04-19T08:53:00.000Z\",\"interval\":\"1m\",\"open\":0.000000123456,\"high\":56948.970,\"low\":1,\"close\":56891.76,\"volume\":0}}\n");
    CHECK_HAS(fake.sent, "kline@SPOT_BTC_USDT@1m");
    CHECK_HAS(fake.output, "\"status\":\"started\",\"connectionId\":\"c-1\",\"channel\":\"kline@SPOT_BTC_USDT@1m\"");
    CHECK_TEXT(stop_output, "{\"success\":true,\"data\":{\"status\":\"stopped\"}}");
    CHECK_UINT(fake.live, 0);
}

TEST(woox, a_trade_a_ticker_and_a_bbo_become_records)
{
    CHECK_INT(run(KEY("trades", ""), "trade@SPOT_BTC_USDT",
                  FRAMES("{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1618820361552,\"data\":{\"s\":\"SPOT_BTC_USDT\",\"px\":\"42598.27\",\"sx\":\"300\",\"sd\":\"BUY\",\"src\":0,\"rpi\":false,\"ts\":1618820361540}}",
                         /* the same in another order of members */
                         "{ \"data\" : {\"ts\":1618820361541,\"sd\":\"SELL\",\"sx\":\"0.1\",\"px\":\"1\"}, \"topic\":\"trade@SPOT_BTC_USDT\" }")),
              0);
    CHECK_HAS(fake.published, "\"data\":{\"symbol\":\"SPOT_BTC_USDT\",\"timestamp\":\"2021-04-19T08:19:21.540Z\",\"price\":\"42598.27\",\"size\":\"300\",\"side\":\"buy\"}}\n");
    CHECK_HAS(fake.published, "\"price\":\"1\",\"size\":\"0.1\",\"side\":\"sell\"}}\n");
    run(KEY("ticker", ""), "ticker@SPOT_BTC_USDT",
        FRAMES("{\"topic\":\"ticker@SPOT_BTC_USDT\",\"ts\":1,\"data\":{\"s\":\"SPOT_BTC_USDT\",\"o\":\"1\",\"c\":\"2\",\"h\":\"3\",\"l\":\"0.5\",\"v\":\"10\",\"a\":\"20\",\"cnt\":42,\"ts\":1618820361540,\"tts\":1}}"));
    CHECK_HAS(fake.published, ",\"open\":\"1\",\"high\":\"3\",\"low\":\"0.5\",\"close\":\"2\",\"volume\":\"10\",\"amount\":\"20\",\"count\":42}}\n");
    run(KEY("bbo", ""), "bbo@SPOT_BTC_USDT",
        FRAMES("{\"topic\":\"bbo@SPOT_BTC_USDT\",\"ts\":1790137719048,\"data\":{\"ts\":1790137719048,\"bp\":\"86821\",\"bq\":\"0.35032\",\"ap\":\"87243\",\"aq\":\"0.32790\",\"s\":\"SPOT_BTC_USDT\"}}"));
    CHECK_HAS(fake.published, ",\"bid\":\"86821\",\"bid_size\":\"0.35032\",\"ask\":\"87243\",\"ask_size\":\"0.32790\"}}\n");
}

TEST(woox, frames_that_make_no_sense_are_left_out)
{
    CHECK_INT(run(KEY("trades", ""), "trade@SPOT_BTC_USDT",
                  FRAMES("no json", "{}", "[1]", "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1,\"data\":{\"px\":\"1\"}}",
                         "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1,\"data\":{\"px\":\"1\\\",\\\"x\",\"sx\":\"1\",\"sd\":\"BUY\",\"ts\":5}}",
                         "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1,\"data\":[]}", "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1,\"data\":{\"px\":\"1\"",
                         "{\"topic\":\"trade@SPOT_ETH_USDT\",\"ts\":1,\"data\":{\"px\":\"1\",\"sx\":\"1\",\"sd\":\"BUY\",\"ts\":5}}")),
              0);
    CHECK_UINT(fake.publishes, 0);
    CHECK_HAS(fake.logged, "lacks px, sx, sd or ts");
}

TEST(woox, a_topic_missing_from_the_acknowledgement_was_refused)
{
    CHECK_INT(run(KEY("trades", ""), "trade@SPOT_OTHER_USDT", NULL), 1);
    CHECK_TEXT(fake.output, "{\"success\":false,\"error\":\"WOO X refused the subscription to 'trade@SPOT_BTC_USDT': no such symbol or topic\"}");
}

TEST(woox, a_closed_socket_ends_the_stream_with_its_reason)
{
    key = KEY("trades", "");
    fake_reset();
    fake_script("{\"success\":false,\"error\":\"connection reset\"}");
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_TEXT(fake.output, "{\"success\":false,\"error\":\"ws_receive: connection reset\"}");
    fake_reset();
    fake.refuse_connect = true;
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_TEXT(fake.output, "{\"success\":false,\"error\":\"ws_connect: the \\\"door\\\" is shut\"}");
    /* the instance is as good as new */
    CHECK_INT(run(KEY("trades", ""), "trade@SPOT_BTC_USDT", NULL), 0);
}

TEST(woox, pings_are_answered_and_sent)
{
    CHECK_INT(run(KEY("trades", ""), "trade@SPOT_BTC_USDT", FRAMES("{\"cmd\":\"PING\",\"ts\":1}", "{\"cmd\":\"PONG\",\"success\":true,\"time\":1}")), 0);
    CHECK_HAS(fake.sent, "{\\\"cmd\\\":\\\"PONG\\\",\\\"ts\\\":1790137719000}");
    CHECK(!strstr(fake.sent, "PING"));
}

static int idles;

static void stop_after_a_while(void)
{
    fake.now_ms += 5000; /* as long as a wait lasts */
    if (++idles == 4)
        stop();
}

TEST(woox, a_quiet_stream_is_kept_alive_by_a_ping_every_15_seconds)
{
    key = KEY("trades", "");
    idles = 0;
    fake_reset();
    fake.on_idle = stop_after_a_while;
    fake_script(fake_frame("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"data\":[\"trade@SPOT_BTC_USDT\"]}"));
    CHECK_INT(fake_call(weir_export_start_stream, key), 0);
    CHECK_HAS(fake.sent, "{\\\"cmd\\\":\\\"PING\\\",\\\"ts\\\":1790137734000}");
}

static void five_seconds(void)
{
    fake.now_ms += 5000;
}

TEST(woox, a_socket_silent_for_a_minute_is_dead)
{
    key = KEY("trades", "");
    fake_reset();
    fake.on_idle = five_seconds;
    fake_script(fake_frame("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"data\":[\"trade@SPOT_BTC_USDT\"]}"));
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_HAS(fake.output, "silent for 60 s");
    fake_reset();
    fake.on_idle = five_seconds;
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_HAS(fake.output, "did not answer the subscription");
}

TEST(woox, a_busy_stream_is_pinged_by_the_venues_time_and_by_count)
{
    const char *frames[120];
    char text[120][200];
    for (int i = 0; i < 119; i++) {
        snprintf(text[i], sizeof text[i], "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":7,\"data\":{\"px\":\"1\",\"sx\":\"2\",\"sd\":\"BUY\",\"ts\":%d}}", 1000 + i);
        frames[i] = text[i];
    }
    frames[119] = NULL;
    key = KEY("trades", "");
    fake_reset();
    fake.on_idle = stop;
    fake.step_ms = 2000; /* each look at the clock finds it two seconds on */
    fake_script(fake_frame("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"data\":[\"trade@SPOT_BTC_USDT\"]}"));
    for (int i = 0; i < 119; i++)
        fake_script(fake_frame(frames[i]));
    CHECK_INT(fake_call(weir_export_start_stream, key), 0);
    CHECK_HAS(fake.sent, "PING");
    CHECK_UINT(fake.publishes, 119);
    CHECK(fake.live_most <= 3); /* a loop that receives and publishes holds no blocks */
}

TEST(woox, bad_keys_are_refused_before_anything_is_dialled)
{
    static const char *const keys[][2] = {
        {"", "no JSON object"},
        {"[]", "unknown stream type"},
        {"{\"type\":\"ohlcv\"", "no JSON object"},
        {"{\"type\":\"news\",\"identifier\":\"SPOT_BTC_USDT\"}", "unknown stream type 'news'"},
        {"{\"type\":\"ohlcv\",\"identifier\":\"\\\"}\"}", "wants a symbol"},
        {"{\"type\":\"ohlcv\",\"identifier\":\"SPOT BTC\"}", "wants a symbol"},
        {KEY("ohlcv", "\"timeframe\":\"7m\""), "unsupported timeframe '7m'"},
        {KEY("orderbook", "\"depth\":\"51\""), "unsupported depth '51'"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        fake_reset();
        CHECK_INT(fake_call(weir_export_start_stream, keys[i][0]), 1);
        CHECK_HAS(fake.output, keys[i][1]);
        CHECK_TEXT(fake.sent, "");
    }
    CHECK_INT(fake_call(weir_export_stop_stream, KEY("trades", "")), 1);
    CHECK_TEXT(fake.output, "{\"success\":false,\"error\":\"stream not found\"}");
}

TEST(woox, spellings_of_a_time_frame_become_the_topics)
{
    static const char *const pairs[][2] = {{"1D", "kline@SPOT_BTC_USDT@1d"}, {"1mon", "kline@SPOT_BTC_USDT@1M"}, {"1M", "kline@SPOT_BTC_USDT@1M"}, {"1W", "kline@SPOT_BTC_USDT@1w"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char k[256];
        snprintf(k, sizeof k, KEY("ohlcv", "\"timeframe\":\"%s\""), pairs[i][0]);
        CHECK_INT(run(k, pairs[i][1], NULL), 0);
    }
}

/* ---- The order book ---- */

static uint64_t snapshot_ms; /* what the next snapshots are stamped with */
static int snapshots;

static const char *give_snapshot(const char *request)
{
    static char body[512];
    CHECK_HAS(request, "/v3/public/orderbook?symbol=SPOT_BTC_USDT&maxLevel=50");
    snapshots++;
    snprintf(body, sizeof body, "{\"success\":true,\"data\":{\"asks\":[{\"price\":\"2\",\"quantity\":\"0.5\"}],\"bids\":[{\"price\":\"1\",\"quantity\":\"3\"}]},\"timestamp\":%llu}", (unsigned long long)snapshot_ms);
    return body;
}

/* A change of the book from `prev` to `ms`. */
static const char *change(uint64_t prev, uint64_t ms)
{
    static char text[300];
    snprintf(text, sizeof text, "{\"topic\":\"orderbookupdate@SPOT_BTC_USDT@50\",\"ts\":%llu,\"data\":{\"ts\":%llu,\"bids\":[],\"asks\":[[\"2\",\"0\"]],\"prevTs\":%llu,\"s\":\"SPOT_BTC_USDT\"}}", (unsigned long long)ms, (unsigned long long)ms, (unsigned long long)prev);
    return fake_frame(text);
}

static void book_begin(void)
{
    key = KEY("orderbook", "");
    fake_reset();
    snapshots = 0;
    fake.on_http = give_snapshot;
    fake_script(fake_frame("{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"data\":[\"orderbookupdate@SPOT_BTC_USDT@50\"]}"));
}

static int quiet_left; /* waits that end without a frame before the stream is stopped */

static void stop_when_quiet(void)
{
    if (quiet_left-- == 0)
        stop();
}

TEST(woox, a_book_is_its_snapshot_and_the_changes_behind_it)
{
    book_begin();
    snapshot_ms = 1000;
    quiet_left = 1;
    fake.on_idle = stop_when_quiet;
    fake_script(change(800, 900));   /* in the snapshot already */
    fake_script(change(900, 1000));  /* this too */
    fake_script(change(1000, 1100)); /* the one that follows */
    fake_script(change(1100, 1200));
    CHECK_INT(fake_call(weir_export_start_stream, key), 0);
    CHECK_UINT(fake.publishes, 3);
    CHECK_HAS(fake.published, "\"timestamp\":\"1970-01-01T00:00:01.000Z\",\"type\":\"snapshot\",\"ts\":1000,\"bids\":[[\"1\",\"3\"]],\"asks\":[[\"2\",\"0.5\"]]}}\n");
    CHECK_HAS(fake.published, "\"type\":\"delta\",\"prev_ts\":1000,\"ts\":1100,\"bids\":[],\"asks\":[[\"2\",\"0\"]]}}\n");
    CHECK_HAS(fake.published, "\"prev_ts\":1100,\"ts\":1200,");
    CHECK_UINT(fake.live, 0);
}

/* Catches up at the third try. */
static const char *give_newer_snapshot(const char *request)
{
    if (snapshots == 2)
        snapshot_ms = 1300;
    return give_snapshot(request);
}

TEST(woox, a_snapshot_older_than_the_changes_is_fetched_again)
{
    book_begin();
    snapshot_ms = 500;
    quiet_left = 5;
    fake.on_http = give_newer_snapshot;
    fake.on_idle = stop_when_quiet;
    fake_script(change(1100, 1200));
    fake_script(change(1200, 1300));
    fake_script(change(1300, 1400));
    CHECK_INT(fake_call(weir_export_start_stream, key), 0);
    CHECK_INT(snapshots, 3);
    CHECK_UINT(fake.publishes, 2);
    CHECK_HAS(fake.published, "\"type\":\"snapshot\",\"ts\":1300");
    CHECK_HAS(fake.published, "\"prev_ts\":1300,\"ts\":1400");
}

TEST(woox, a_gap_in_the_chain_begins_a_new_snapshot)
{
    book_begin();
    snapshot_ms = 1000;
    quiet_left = 3;
    fake.on_idle = stop_when_quiet;
    fake_script("{\"success\":true,\"timeout\":true}"); /* nothing waits: live at once */
    fake_script(change(1000, 1100));
    fake_script(change(1000, 1100)); /* a duplicate is no gap */
    fake_script(change(1200, 1300)); /* 1100 to 1200 is missing */
    fake.on_http = give_snapshot;
    CHECK_INT(fake_call(weir_export_start_stream, key), 0);
    CHECK_HAS(fake.logged, "gap");
    CHECK(snapshots >= 2);
    CHECK_UINT(fake.publishes, 2); /* the old snapshots do not fit and are not shown */
}

static const char *refuse_snapshot(const char *request)
{
    (void)request;
    snapshots++;
    return "{\"success\":false,\"message\":\"maintenance\"}";
}

static void nothing(void)
{
}

TEST(woox, a_book_without_snapshot_gives_up_after_twenty_tries)
{
    book_begin();
    fake.on_http = refuse_snapshot;
    fake.on_idle = nothing;
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_INT(snapshots, 20);
    CHECK_HAS(fake.output, "no usable snapshot in 20 tries: WOO X refused '/v3/public/orderbook?symbol=SPOT_BTC_USDT&maxLevel=50' with HTTP 200: maintenance");
}

TEST(woox, a_book_that_cannot_be_published_gives_up_too)
{
    book_begin();
    snapshot_ms = 1000;
    fake.refuse_publish = true;
    fake.on_idle = nothing;
    CHECK_INT(fake_call(weir_export_start_stream, key), 1);
    CHECK_HAS(fake.output, "nobody asked");
}

/* ---- Commands ---- */

static const char *body;
static char asked[1024];

static const char *give_body(const char *request)
{
    snprintf(asked, sizeof asked, "%s", request);
    return body;
}

TEST(woox, instruments_become_markets)
{
    fake_reset();
    fake.on_http = give_body;
    body = "{\"success\":true,\"data\":{\"rows\":[{\"symbol\":\"SPOT_AAVE_USDT\",\"status\":\"TRADING\",\"baseAsset\":\"AAVE\",\"quoteAsset\":\"USDT\",\"quoteTick\":\"0.01\",\"baseTick\":\"0.0001\",\"bidCapRatio\":null},{\"odd\":1},{\"symbol\":\"PERP_BTC_USDT\",\"baseAsset\":\"BTC\",\"quoteAsset\":\"USDT\"}]},\"timestamp\":1}";
    CHECK_INT(fake_call(weir_export_list_markets, ""), 0);
    CHECK_TEXT(fake.output, "[{\"name\":\"SPOT_AAVE_USDT\",\"base\":\"AAVE\",\"quote\":\"USDT\",\"assetType\":\"spot\",\"priceTick\":\"0.01\",\"quantityTick\":\"0.0001\",\"status\":\"TRADING\"},{\"name\":\"PERP_BTC_USDT\",\"base\":\"BTC\",\"quote\":\"USDT\",\"assetType\":\"futures\"}]");
    body = "{\"code\":503,\"message\":\"[GW] no upstream server\"}";
    CHECK_INT(fake_call(weir_export_list_markets, ""), 1);
    CHECK_HAS(fake.output, "no upstream server");
    body = "<html>";
    CHECK_INT(fake_call(weir_export_list_markets, ""), 1);
    CHECK_HAS(fake.output, "the body is no JSON");
    body = "{\"success\":true,\"data\":{}}";
    CHECK_INT(fake_call(weir_export_list_markets, ""), 1);
    CHECK_UINT(fake.live, 0);
}

TEST(woox, history_is_asked_in_milliseconds_and_answered_in_seconds)
{
    fake_reset();
    fake.on_http = give_body;
    body = "{\"success\":true,\"data\":{\"rows\":[{\"symbol\":\"SPOT_BTC_USDT\",\"open\":\"2\",\"close\":\"2.5\",\"high\":\"3\",\"low\":\"1\",\"volume\":\"0\",\"type\":\"1mon\",\"startTimestamp\":1751622120000},{\"open\":\"0.000000123456\",\"close\":\"1\",\"high\":\"1\",\"low\":\"1\",\"volume\":\"1\",\"startTimestamp\":1751622060000}]}}";
    CHECK_INT(fake_call(weir_export_get_ohlcv, "{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1M\",\"startTime\":1751622000,\"endTime\":1751622180000,\"limit\":5000}"), 0);
    CHECK_HAS(asked, "/v3/public/klineHistory?symbol=SPOT_BTC_USDT&type=1mon&after=1751622000000&before=1751622180000&limit=1000\"");
    CHECK_TEXT(fake.output, "[{\"timestamp\":1751622120,\"open\":2,\"high\":3,\"low\":1,\"close\":2.5,\"volume\":0},{\"timestamp\":1751622060,\"open\":0.000000123456,\"high\":1,\"low\":1,\"close\":1,\"volume\":1}]");
    CHECK_INT(fake_call(weir_export_get_ohlcv, "{\"symbol\":\"A B\"}"), 1);
    CHECK_INT(fake_call(weir_export_get_ohlcv, "nonsense"), 1);
    CHECK_INT(fake_call(weir_export_get_ohlcv, "{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"3d\"}"), 1);
}

TEST(woox, account_requests_are_signed_with_either_spelling_of_the_keys)
{
    static const char *const settings[] = {"{\"apiKey\":\"AbmyVJGUpN064ks5ELjLfA==\",\"apiSecret\":\"QHKRXHPAW1MC9YGZMAT8YDJG2HPR\"}",
                                           "{\"other\":1,\"api_secret\":\"QHKRXHPAW1MC9YGZMAT8YDJG2HPR\",\"api_key\":\"AbmyVJGUpN064ks5ELjLfA==\"}"};
    for (int i = 0; i < 2; i++) {
        fake_reset();
        fake.on_http = give_body;
        fake.now_ms = 1578565539808;
        body = "{\"success\":true,\"data\":{\"account\":\"me\"}}";
        CHECK_INT(fake_call(weir_export_get_account, ""), 1);
        CHECK_HAS(fake.output, "needs 'api_key'");
        CHECK_INT(fake_call(weir_export_plugin_configure, settings[i]), 0);
        CHECK_TEXT(fake.output, "configured");
        CHECK_INT(fake_call(weir_export_get_account, ""), 0);
        CHECK_TEXT(fake.output, "{\"account\":\"me\"}");
        CHECK_HAS(asked, "\"x-api-key\":\"AbmyVJGUpN064ks5ELjLfA==\",\"x-api-timestamp\":\"1578565539808\",\"x-api-signature\":\"4d1a0b826f2c6099f919eac99968b5de7700abf410e663ab4afc4b18bb917037\"");
        CHECK_UINT(fake.live, 0);
    }
    CHECK_INT(fake_call(weir_export_plugin_configure, "{\"apiKey\":7}"), 1);
    CHECK_HAS(fake.error, "'api_key' is no string");
    CHECK_INT(fake_call(weir_export_plugin_configure, "{\"a\""), 1);
    CHECK_HAS(fake.error, "no JSON object");
    fake_reset();
}
