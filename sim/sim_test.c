/* The simulated exchange, seen by a raw client, under a clock that the test moves. */
#include "sim/sim.h"

#include "sim/raw_client.h"

#include "base/digest.h"

#define START UINT64_C(1790000000000)

static loop *l;
static sim *s;

static void begin_with(sim_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    o.seed = 7;
    o.start_ms = o.start_ms ? o.start_ms : START;
    o.clock = SIM_CLOCK_STEPPED;
    o.history_days = 10;
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(sim_new(&s, l, &o, &err));
}

static void begin(void)
{
    begin_with((sim_options){0});
}

static void end(void)
{
    sim_free(s);
    loop_free(l);
}

static const char *get(const char *target)
{
    return raw_body(l, sim_port(s), target);
}

static void step(raw *r, uint64_t ms)
{
    sim_step(s, ms);
    raw_settle(r);
}

/* ---- REST ---- */

TEST(sim_rest, has_the_shapes_of_the_exchange)
{
    static const struct {
        const char *target, *parts[6];
    } cases[] = {
        {"/v3/public/systemInfo", {"{\"success\":true,\"data\":{\"status\":0,\"msg\":\"System is functioning properly.\"", "\"timestamp\":1790000000000}"}},
        {"/v3/public/instruments", {"\"symbol\":\"SPOT_PEPE_USDT\",\"status\":\"TRADING\",\"baseAsset\":\"PEPE\",\"baseAssetMultiplier\":1", "\"quoteTick\":\"0.000000000001\"", "\"bidFloorRatio\":null,\"askCapRatio\":null", "\"fundingIntervalHours\":8", "\"SPOT_1INCH_USDT\""}},
        {"/v3/public/klineHistory?symbol=SPOT_BTC_USDT&type=1m&limit=1", {"\"rows\":[{\"symbol\":\"SPOT_BTC_USDT\",\"type\":\"1m\",\"open\":\"", "\"amount\":\"", "\"startTimestamp\":1789999980000,\"endTimestamp\":1790000040000}]}"}},
        {"/v1/public/kline?symbol=SPOT_BTC_USDT&type=1m&limit=1", {"{\"success\":true,\"rows\":[{\"symbol\"", "\"start_timestamp\":1789999980000,\"end_timestamp\":1790000040000}]}"}},
        {"/v1/kline?symbol=SPOT_BTC_USDT&type=1m&limit=1", {"{\"success\":true,\"rows\":[{\"symbol\""}},
        {"/v1/hist/kline?symbol=SPOT_BTC_USDT&type=1m&start_time=1789999000000&end_time=1789999900000", {"{\"success\":true,\"data\":{\"rows\":[{", "\"meta\":{\"total\":15,\"records_per_page\":100,\"current_page\":1}"}},
        {"/v3/public/orderbook?symbol=PERP_BTC_USDT&maxLevel=3", {"\"data\":{\"asks\":[{\"price\":\"", "\",\"quantity\":\"", "\"bids\":[{\"price\":\""}},
        {"/v1/public/orderbook/SPOT_BTC_USDT?max_level=3", {"{\"success\":true,\"asks\":[{\"price\":", ",\"quantity\":"}},
        {"/v3/public/marketTrades?symbol=SPOT_BTC_USDT&limit=2", {"\"executedPrice\":\"", "\"executedTimestamp\":17"}},
        {"/v1/public/market_trades?symbol=SPOT_BTC_USDT", {"\"executed_price\":", "\"executed_timestamp\":\"17"}},
        {"/v3/public/fundingRate?symbol=PERP_BTC_USDT", {"\"estFundingRate\":\"", "\"nextFundingTime\":", "\"lastFundingIntervalHours\":8"}},
        {"/v3/public/fundingRateHistory?symbol=PERP_BTC_USDT", {"\"meta\":{\"total\":", "\"recordsPerPage\":25,\"currentPage\":1}"}},
        {"/v3/public/futures?symbol=PERP_BTC_USDT", {"\"indexPrice\":\"", "\"markPrice\":\""}},
        {"/v1/public/info/SPOT_BTC_USDT", {"{\"success\":true,\"info\":{\"symbol\":\"SPOT_BTC_USDT\"", "\"quote_tick\":0.01"}},
        {"/v1/public/info", {"{\"success\":true,\"rows\":[{\"symbol\":"}},
        {"/v1/public/system_info", {"\"data\":{\"status\":0"}},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *body = get(cases[i].target);
        weir_error err = WEIR_ERROR_INIT;
        json doc;
        CHECK_OK(json_read(&doc, bytes_of(body), &err));
        for (int k = 0; k < 6 && cases[i].parts[k]; k++)
            CHECK_HAS(body, cases[i].parts[k]);
    }
    end();
}

TEST(sim_rest, refuses_as_the_exchange_does)
{
    static const struct {
        const char *target, *status, *body;
    } cases[] = {
        {"/v3/public/orderbook?symbol=PERP_NOPE_USDT", "HTTP/1.1 400 ", "{\"success\":false,\"message\":\"invalid symbol PERP_NOPE_USDT\"}"},
        {"/v3/public/orderbook", "HTTP/1.1 400 ", "{\"success\":false,\"code\":-1005,\"error_code\":90000,\"message\":\"invalid request, please check your request\"}"},
        {"/v3/public/orderbook?symbol=PERP_BTC_USDT&maxLevel=abc", "HTTP/1.1 500 ", "\"code\":-1000"},
        {"/v3/public/futures?symbol=PERP_NOPE_USDT", "HTTP/1.1 500 ", "\"message\":\"invalid symbol "},
        {"/v3/public/fundingRate?symbol=SPOT_BTC_USDT", "HTTP/1.1 500 ", "\"message\":\"no funding rate data for "},
        {"/v9/whatever", "HTTP/1.1 200 ", "{\"code\":503,\"message\":\"[GW] no upstream server\"}"},
        {"/v3/private/client/info", "HTTP/1.1 200 ", "{\"code\":503,"},
        {"/v1/hist/kline?symbol=SPOT_BTC_USDT&type=1m&start_time=1", "HTTP/1.1 200 ", "\"rows\":[]"},
        {"/v3/account/info", "HTTP/1.1 401 ", "\"code\":-1002"},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *reply = raw_get(l, sim_port(s), cases[i].target);
        CHECK_HAS(reply, cases[i].status);
        CHECK_HAS(reply, cases[i].body);
    }
    end();
}

TEST(sim_rest, limits_each_endpoint_by_itself)
{
    begin();
    for (int i = 0; i < 10; i++)
        CHECK_HAS(get("/v3/public/systemInfo"), "\"success\":true");
    const char *reply = raw_get(l, sim_port(s), "/v3/public/systemInfo");
    CHECK_HAS(reply, "HTTP/1.1 429 ");
    CHECK_HAS(reply, "\"code\":-1003");
    CHECK_HAS(get("/v3/public/token"), "\"success\":true");
    sim_step(s, 1000);
    CHECK_HAS(get("/v3/public/systemInfo"), "\"success\":true");
    CHECK_HAS(get("/v1/hist/trades?symbol=SPOT_BTC_USDT"), "\"success\":true");
    CHECK_HAS(get("/v1/hist/trades?symbol=SPOT_BTC_USDT"), "\"code\":-1003");
    end();
}

/* The published examples of signatures, at the moment they were made for. */
TEST(sim_rest, checks_signatures_by_the_published_examples)
{
    begin_with((sim_options){.start_ms = 1578565539808});
    char request[1024];
    const char *form = "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nx-api-key: AbmyVJGUpN064ks5ELjLfA==\r\nx-api-timestamp: 1578565539808\r\nx-api-signature: %s\r\nContent-Length: %zu\r\n\r\n%s";
    const char *get_orders = "4653f808595a386e7307ccb54ad2d5c87fe802b12a52d2361b13becaa17dacf6";
    snprintf(request, sizeof request, form, "GET /v3/trade/orders?size=25&symbol=SPOT_BTC_USDT", get_orders, (size_t)0, "");
    CHECK_HAS(raw_ask(l, sim_port(s), request), "{\"success\":true,\"data\":{\"rows\":[]");
    snprintf(request, sizeof request, form, "GET /v3/trade/orders?size=26&symbol=SPOT_BTC_USDT", get_orders, (size_t)0, "");
    CHECK_HAS(raw_ask(l, sim_port(s), request), "\"code\":-1001");
    snprintf(request, sizeof request, form, "POST /v3/account/listenKey", "228a2c6bb9e2e77cd796e3c500cdbc29cabbccc379d3854c387930103f055649", (size_t)20, "{\"type\":\"WEBSOCKET\"}");
    const char *reply = raw_ask(l, sim_port(s), request);
    CHECK_HAS(reply, "\"authKey\":\"");
    char target[128];
    snprintf(target, sizeof target, "/v3/private?key=%.64s", strstr(reply, "authKey\":\"") + 10);
    raw *c = raw_open(l, sim_port(s), target);
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"balance\",\"nonsense\"]}");
    CHECK_HAS(raw_next(c), "\"data\":[\"balance\"]");
    raw_free(c);
    c = raw_open(l, sim_port(s), "/v3/private?key=wrong");
    CHECK_HAS(c->head, "HTTP/1.1 401 ");
    raw_free(c);
    sim_step(s, 301000); /* the timestamp is now too old */
    snprintf(request, sizeof request, form, "GET /v3/trade/orders?size=25&symbol=SPOT_BTC_USDT", get_orders, (size_t)0, "");
    CHECK_HAS(raw_ask(l, sim_port(s), request), "\"code\":-1001");
    end();
}

TEST(sim_rest, wraps_the_recent_candles_when_told_to)
{
    begin_with((sim_options){.wrapped_kline = true});
    const char *body = get("/v1/public/kline?symbol=SPOT_BTC_USDT&type=1m&size=2");
    CHECK_HAS(body, "{\"success\":true,\"data\":{\"rows\":[{");
    size_t rows = 0;
    for (const char *at = body; (at = strstr(at, "start_timestamp")); at++)
        rows++;
    CHECK_UINT(rows, 2);
    end();
}

/* ---- WebSocket v3 ---- */

TEST(sim_v3, acknowledges_refuses_and_leaves_out_as_the_exchange_does)
{
    static const char *const talk[][2] = {
        {"{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline@SPOT_BTC_USDT@1m\"]}", "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"success\":true,\"time\":1790000000000,\"data\":[\"kline@SPOT_BTC_USDT@1m\"]}"},
        {"{\"id\":\"2\",\"cmd\":\"subscribe\",\"params\":[\"trade@SPOT_BTC_USDT\",\"trade@SPOT_NOPE_USDT\",\"nope@SPOT_BTC_USDT\"]}", "\"success\":true,\"time\":1790000000000,\"data\":[\"trade@SPOT_BTC_USDT\"]}"},
        {"{\"id\":\"3\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline@SPOT_BTC_USDT@1m\"]}", "\"success\":true,\"time\":1790000000000,\"data\":[]}"}, /* double */
        {"{\"id\":\"4\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"indexprice@PERP_BTC_USDT\",\"orderbookupdate@SPOT_BTC_USDT@51\",\"kline@SPOT_BTC_USDT@1D\",\"kline_SPOT_BTC_USDT_1m\"]}", "\"data\":[]}"},
        {"{\"id\":5,\"cmd\":\"SUBSCRIBE\",\"params\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\"]}", "{\"id\":\"5\",\"cmd\":\"SUBSCRIBE\",\"success\":false,\"time\":1790000000000,\"data\":\"Command type invalid!\"}"},
        {"{\"id\":\"6\",\"event\":\"subscribe\",\"topic\":\"SPOT_BTC_USDT@trade\"}", "{\"id\":\"6\",\"cmd\":\"ERROR\",\"success\":false,\"time\":1790000000000,\"data\":\"Command type invalid!\"}"},
        {"not json", "{\"id\":\"\",\"cmd\":\"ERROR\",\"success\":false,\"time\":1790000000000,\"data\":\"Invalid request.\"}"},
        {"{\"cmd\":\"PING\",\"ts\":1}", "{\"cmd\":\"PONG\",\"success\":true,\"time\":1790000000000}"},
        {"{\"id\":\"7\",\"cmd\":\"UN_SUBSCRIBE\",\"params\":[\"trade@SPOT_BTC_USDT\",\"trade@SPOT_ETH_USDT\"]}", "{\"id\":\"7\",\"cmd\":\"UN_SUBSCRIBE\",\"success\":true,\"time\":1790000000000,\"data\":[\"trade@SPOT_BTC_USDT\"]}"},
    };
    begin();
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    for (size_t i = 0; i < sizeof talk / sizeof talk[0]; i++) {
        raw_send(c, talk[i][0]);
        CHECK_HAS(raw_next(c), talk[i][1]);
    }
    CHECK_UINT(sim_subscriptions(s), 1);
    CHECK(!c->ended);
    raw_free(c);
    CHECK_UINT(sim_clients(s), 0);
    CHECK_UINT(sim_subscriptions(s), 0);
    end();
}

TEST(sim_v3, takes_no_more_than_a_hundred_topics)
{
    static const char *const frames[] = {"1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h"};
    begin();
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    for (size_t m = 0; m < 11; m++) {
        char text[1024];
        int len = snprintf(text, sizeof text, "{\"id\":\"x\",\"cmd\":\"SUBSCRIBE\",\"params\":[");
        for (int i = 0; i < 10; i++)
            len += snprintf(text + len, sizeof text - (size_t)len, "%s\"kline@%s@%s\"", i ? "," : "", sim_venue(s)->markets[m].symbol, frames[i]);
        snprintf(text + len, sizeof text - (size_t)len, "]}");
        raw_send(c, text);
        if (m == 10)
            CHECK_HAS(c->message[c->count - 1], "\"data\":[]");
    }
    CHECK_UINT(sim_subscriptions(s), 100);
    raw_free(c);
    end();
}

/* Every candle of an hour, as the stream last told it, equals what REST says afterwards and what the
 * trades of the stream add up to. */
TEST(sim_v3, streams_candles_that_are_its_history_and_the_sum_of_its_trades)
{
    begin_with((sim_options){.start_ms = 1789999980000, .no_limits = true, .silence_ms = UINT32_MAX});
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline@SPOT_PEPE_USDT@1m\",\"trade@SPOT_PEPE_USDT\"]}");
    raw_forget(c);
    step(c, 10 * MINUTE_MS);
    size_t trades = 0, closed = 0;
    char last[512] = "";
    uint64_t trades_in_bar = 0;
    double volume = 0;
    for (const char *m; *(m = raw_next(c));) {
        if (strstr(m, "\"topic\":\"trade@")) {
            double size;
            CHECK(sscanf(raw_text(m, "data", "sx"), "%lf", &size) == 1);
            if (!trades_in_bar++)
                volume = 0;
            volume += size;
            trades++;
            CHECK_UINT(raw_u64(m, "data", "ts") <= sim_now_ms(s), 1);
            continue;
        }
        if (raw_u64(m, "ts", NULL) < raw_u64(m, "data", "et")) {
            snprintf(last, sizeof last, "%s", m);
            continue;
        }
        CHECK_TEXT(raw_text(m, "data", "c"), raw_text(last, "data", "c")); /* the closing frame repeats the last state */
        char target[256];
        snprintf(target, sizeof target, "/v3/public/klineHistory?symbol=SPOT_PEPE_USDT&type=1m&after=%s&before=%s&limit=5", raw_text(m, "data", "st"), raw_text(m, "data", "st"));
        const char *body = get(target);
        static const char *const names[][2] = {{"o", "open"}, {"c", "close"}, {"h", "high"}, {"l", "low"}, {"v", "volume"}, {"a", "amount"}};
        for (size_t i = 0; i < 6; i++) {
            char part[128];
            snprintf(part, sizeof part, "\"%s\":\"%s\"", names[i][1], raw_text(m, "data", names[i][0]));
            CHECK_HAS(body, part);
        }
        double told;
        CHECK(sscanf(raw_text(m, "data", "v"), "%lf", &told) == 1);
        CHECK(told == volume); /* sizes of this market are whole numbers */
        CHECK_UINT(trades_in_bar, 120);
        trades_in_bar = 0;
        closed++;
    }
    CHECK_UINT(closed, 10);
    CHECK_UINT(trades, 1200);
    raw_free(c);
    end();
}

TEST(sim_v3, chains_book_updates_to_the_snapshot_without_a_gap)
{
    begin_with((sim_options){.no_limits = true});
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"orderbookupdate@SPOT_WOO_USDT@50\",\"bbo@SPOT_WOO_USDT\"]}");
    raw_forget(c);
    step(c, 3000);
    uint64_t snapshot = raw_u64(get("/v3/public/orderbook?symbol=SPOT_WOO_USDT&maxLevel=50"), "timestamp", NULL);
    step(c, 20000);
    uint64_t last = 0;
    size_t updates = 0, matches = 0, bbos = 0;
    for (const char *m; *(m = raw_next(c));) {
        if (strstr(m, "\"topic\":\"bbo@")) {
            bbos++;
            continue;
        }
        uint64_t prev = raw_u64(m, "data", "prevTs");
        CHECK(!last || prev == last);
        matches += prev == snapshot;
        last = raw_u64(m, "data", "ts");
        CHECK(strchr(strstr(m, "\"bids\":["), '"') != NULL);
        updates++;
    }
    CHECK(updates > 20);
    CHECK(bbos > 0);
    CHECK_UINT(matches, 1);
    CHECK_UINT(raw_u64(get("/v3/public/orderbook?symbol=SPOT_WOO_USDT&maxLevel=50"), "timestamp", NULL), last);
    raw_free(c);
    end();
}

TEST(sim_v3, pushes_every_kind_of_topic_in_its_shape)
{
    static const struct {
        const char *topic, *part;
    } cases[] = {
        {"trade@PERP_BTC_USDT", "\"src\":"},
        {"ticker@SPOT_BTC_USDT", "\"cnt\":"},
        {"bbo@PERP_BTC_USDT", "\"bp\":\""},
        {"bborpi@PERP_BTC_USDT", "\"aq\":\""},
        {"orderbook10@PERP_BTC_USDT", "\"bids\":[[\""},
        {"orderbookupdaterpi@PERP_BTC_USDT@200", "\"prevTs\":"},
        {"markprice@PERP_BTC_USDT", "\"px\":\""},
        {"indexprice@SPOT_BTC_USDT", "\"px\":\""},
        {"openinterest@PERP_BTC_USDT", "\"oi\":\""},
        {"estfundingrate@PERP_BTC_USDT", "\"ft\":"},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        raw *c = raw_open(l, sim_port(s), "/v3/public");
        snprintf(text, sizeof text, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"%s\"]}", cases[i].topic);
        raw_send(c, text);
        CHECK_HAS(raw_next(c), cases[i].topic);
        for (int k = 0; k < 5 && c->count < 2; k++) {
            raw_send(c, "{\"cmd\":\"PONG\"}"); /* keeps it alive without an answer */
            step(c, 20000);
        }
        const char *m = raw_next(c);
        snprintf(text, sizeof text, "{\"topic\":\"%s\",\"ts\":", cases[i].topic);
        CHECK_HAS(m, text);
        CHECK_HAS(m, cases[i].part);
        raw_member(m, "data", NULL);
        raw_free(c);
    }
    end();
}

TEST(sim_v3, closes_a_client_that_was_silent_for_a_minute_without_a_close_frame)
{
    begin();
    raw *c = raw_open(l, sim_port(s), "/v3/public"), *alive = raw_open(l, sim_port(s), "/v3/public"), *pinging = raw_open(l, sim_port(s), "/v3/public");
    for (int i = 0; i < 7; i++) {
        raw_send(alive, "{\"cmd\":\"PING\"}");
        ws_send_ping(pinging->codec, BYTES(""));
        raw_settle(pinging);
        CHECK(!c->ended);
        step(c, i < 6 ? 9900 : 1000);
    }
    CHECK(c->ended);
    CHECK_INT(c->reset, 0);
    CHECK_UINT(c->close_code, 0);
    raw_settle(alive);
    raw_settle(pinging);
    CHECK(!alive->ended);
    CHECK(!pinging->ended);
    raw_free(c);
    raw_free(alive);
    raw_free(pinging);
    end();
}

TEST(sim_v3, ends_every_connection_after_a_day)
{
    begin_with((sim_options){.silence_ms = UINT32_MAX});
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    step(c, DAY_MS - 1000);
    CHECK(!c->ended);
    step(c, 1500);
    CHECK(c->ended);
    raw_free(c);
    end();
}

TEST(sim_v3, knows_the_legacy_topic_only_when_told_to)
{
    begin_with((sim_options){.legacy_kline = true});
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline_SPOT_BTC_USDT_1m\"]}");
    CHECK_HAS(raw_next(c), "\"data\":[\"kline_SPOT_BTC_USDT_1m\"]");
    step(c, 2000);
    const char *m = raw_next(c);
    CHECK_HAS(m, "{\"topic\":\"kline_SPOT_BTC_USDT_1m\",\"ts\":");
    CHECK_HAS(m, "\"data\":{\"symbol\":\"SPOT_BTC_USDT\",\"open\":\"");
    CHECK_HAS(m, "\"startTimestamp\":1789999980000");
    raw_free(c);
    end();
}

/* ---- WebSocket v1/v2 ---- */

TEST(sim_v2, acknowledges_and_refuses_as_the_exchange_does)
{
    static const char *const talk[][2] = {
        {"{\"id\":\"c1\",\"event\":\"subscribe\",\"topic\":\"SPOT_BTC_USDT@kline_1m\"}", "{\"id\":\"c1\",\"event\":\"subscribe\",\"success\":true,\"ts\":1790000000000}"},
        {"{\"id\":7,\"event\":\"subscribe\",\"topic\":\"SPOT_WOO_USDC@trade\"}", "{\"id\":\"7\",\"event\":\"subscribe\",\"success\":false,\"ts\":1790000000000,\"errorMsg\":\"invalid symbol SPOT_WOO_USDC\"}"},
        {"{\"event\":\"subscribe\",\"topic\":\"SPOT_BTC_USDT@kline_1D\"}", "{\"event\":\"subscribe\",\"success\":false,"},
        {"{\"id\":\"c2\",\"event\":\"request\",\"params\":{\"type\":\"orderbook\",\"symbol\":\"SPOT_BTC_USDT\"}}", "{\"id\":\"c2\",\"event\":\"request\",\"success\":true,\"ts\":1790000000000,\"data\":{\"symbol\":\"SPOT_BTC_USDT\",\"ts\":"},
        {"{\"id\":\"c3\",\"event\":\"subscribe\",\"topic\":\"executionreport\"}", "\"errorMsg\":\"Auth is needed.\""},
        {"{\"event\":\"ping\"}", "{\"event\":\"pong\",\"ts\":1790000000000}"},
        {"{\"id\":\"c1\",\"event\":\"unsubscribe\",\"topic\":\"SPOT_BTC_USDT@kline_1m\"}", "{\"id\":\"c1\",\"event\":\"unsubscribe\",\"success\":true,\"ts\":1790000000000,\"data\":\"SPOT_BTC_USDT@kline_1m\"}"},
        {"rubbish", "\"success\":false"},
    };
    static const char *const paths[] = {"/ws/stream/1ae5a9f8-0000-4000-8000-000000000000", "/ws/stream"};
    begin();
    for (int p = 0; p < 2; p++) {
        raw *c = raw_open(l, sim_port(s), paths[p]);
        for (size_t i = 0; i < sizeof talk / sizeof talk[0]; i++) {
            raw_send(c, talk[i][0]);
            CHECK_HAS(raw_next(c), talk[i][1]);
        }
        CHECK(!c->ended);
        raw_free(c);
    }
    end();
}

TEST(sim_v2, pushes_numbers_and_pings_and_hangs_up_after_ten_unanswered)
{
    begin();
    raw *c = raw_open(l, sim_port(s), "/ws/stream/x"), *polite = raw_open(l, sim_port(s), "/ws/stream/y");
    raw_send(c, "{\"event\":\"subscribe\",\"topic\":\"SPOT_BTC_USDT@kline_1m\"}");
    raw_send(c, "{\"event\":\"subscribe\",\"topic\":\"SPOT_BTC_USDT@trade\"}");
    raw_forget(c);
    step(c, 10500);
    bool kline = false, trade_seen = false, ping = false;
    for (const char *m; *(m = raw_next(c));) {
        if (strstr(m, "@kline_1m")) {
            kline = true;
            CHECK_INT(raw_member(m, "data", "open").type, JSON_NUMBER);
            CHECK_UINT(raw_u64(m, "data", "startTime"), 1789999980000);
        } else if (strstr(m, "@trade")) {
            trade_seen = true;
            CHECK_INT(raw_member(m, "data", "price").type, JSON_NUMBER);
        } else {
            ping = true;
            CHECK_HAS(m, "{\"event\":\"ping\"");
        }
    }
    CHECK(kline && trade_seen && ping);
    for (int i = 0; i < 10; i++) {
        CHECK(!c->ended);
        raw_send(polite, "{\"event\":\"pong\"}");
        step(c, 10000);
    }
    CHECK(c->ended);
    raw_settle(polite);
    CHECK(!polite->ended);
    raw_free(c);
    raw_free(polite);
    end();
}

TEST(sim_v2, pushes_every_kind_of_topic)
{
    static const char *const topics[] = {"SPOT_BTC_USDT@orderbook", "SPOT_BTC_USDT@orderbook100", "SPOT_BTC_USDT@orderbookupdate", "SPOT_BTC_USDT@ticker", "tickers",
                                         "SPOT_BTC_USDT@bbo", "bbos", "SPOT_BTC_USDT@indexprice", "PERP_BTC_USDT@markprice", "markprices", "indexprices",
                                         "PERP_BTC_USDT@openinterest", "PERP_BTC_USDT@estfundingrate", "SPOT_BTC_USDT@kline_1mon", "SPOT_BTC_USDT@kline_1y"};
    begin();
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        char text[256];
        raw *c = raw_open(l, sim_port(s), "/ws/stream/x");
        snprintf(text, sizeof text, "{\"event\":\"subscribe\",\"topic\":\"%s\"}", topics[i]);
        raw_send(c, text);
        CHECK_HAS(raw_next(c), "\"success\":true");
        step(c, 61000);
        snprintf(text, sizeof text, "{\"topic\":\"%s\",", topics[i]);
        const char *m;
        while (*(m = raw_next(c)) && !strstr(m, text))
            ;
        CHECK_HAS(m, text);
        raw_member(m, "data", NULL);
        raw_free(c);
    }
    end();
}

TEST(sim_v2, opens_the_private_socket_to_who_signs)
{
    begin_with((sim_options){.start_ms = 1578565539808});
    raw *c = raw_open(l, sim_port(s), "/v2/ws/private/stream/x");
    raw_send(c, "{\"id\":\"1\",\"event\":\"subscribe\",\"topic\":\"balance\"}");
    CHECK_HAS(raw_next(c), "Auth is needed.");
    raw_send(c, "{\"id\":\"2\",\"event\":\"auth\",\"params\":{\"apikey\":\"AbmyVJGUpN064ks5ELjLfA==\",\"sign\":\"00\",\"timestamp\":\"1578565539808\"}}");
    CHECK_HAS(raw_next(c), "\"success\":false");
    raw_send(c, "{\"id\":\"3\",\"event\":\"auth\",\"params\":{\"apikey\":\"AbmyVJGUpN064ks5ELjLfA==\",\"sign\":\"68f50830e2ff5cee44cfd44844322870c0bc9693c0c9c87b8b72e76e0154d73e\",\"timestamp\":\"1578565539808\"}}");
    CHECK_HAS(raw_next(c), "{\"id\":\"3\",\"event\":\"auth\",\"success\":true,\"ts\":1578565539808}");
    raw_send(c, "{\"id\":\"4\",\"event\":\"subscribe\",\"topic\":\"balance\"}");
    CHECK_HAS(raw_next(c), "\"success\":true");
    raw_free(c);
    end();
}

/* ---- The whole ---- */

/* Two worlds with the same seed and moment say the same, octet for octet, however the clock is moved. */
TEST(sim, says_the_same_for_the_same_seed_and_moments)
{
    char *first[4000];
    size_t n = 0;
    for (int round = 0; round < 2; round++) {
        begin();
        raw *c = raw_open(l, sim_port(s), "/v3/public");
        raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline@SPOT_BTC_USDT@5m\",\"trade@SPOT_ETH_USDT\",\"orderbookupdate@PERP_SOL_USDT@50\",\"ticker@SPOT_BTC_USDT\",\"bbo@SPOT_BTC_USDT\"]}");
        for (int i = 0; i < (round ? 300 : 3); i++) {
            raw_send(c, "{\"cmd\":\"PONG\"}");
            step(c, round ? 100 : 10000);
        }
        if (round == 0)
            for (n = 0; n < c->count && n < 4000; n++)
                first[n] = bytes_dup(bytes_of(c->message[n]));
        else
            for (size_t i = 0; i < n; i++) {
                CHECK_TEXT(c->message[i], first[i]);
                free(first[i]);
            }
        CHECK(n > 100);
        raw_free(c);
        end();
    }
}

TEST(sim, writes_every_candle_that_closes_as_truth)
{
    char path[] = "/tmp/weir-sim-truth-XXXXXX", line[1024];
    close(mkstemp(path));
    begin_with((sim_options){.truth_file = path, .start_ms = 1789999980000, .silence_ms = UINT32_MAX});
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"kline@SPOT_BTC_USDT@5m\",\"trade@SPOT_ETH_USDT\"]}");
    step(c, 10 * MINUTE_MS);
    raw_free(c);
    end();
    size_t minutes = 0, fives = 0;
    FILE *in = fopen(path, "r");
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        minutes += !strcmp(raw_text(line, "type", NULL), "1m");
        fives += !strcmp(raw_text(line, "type", NULL), "5m");
        CHECK_INT(raw_member(line, "open", NULL).type, JSON_STRING);
    }
    fclose(in);
    unlink(path);
    CHECK_UINT(minutes, 20);
    CHECK_UINT(fives, 2);
}

TEST(sim, stops_after_the_frames_it_was_asked_for)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(loop_new(&l, &err));
    sim_options o = {.seed = 1, .start_ms = START, .clock = SIM_CLOCK_MAX, .frames = 50000};
    CHECK_OK(sim_new(&s, l, &o, &err));
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@SPOT_BTC_USDT\"]}");
    for (int i = 0; i < 20000 && c->count < 50001; i++) {
        loop_step(l, 1);
        raw_pump(c);
    }
    raw_settle(c);
    CHECK_UINT(c->count, 50001); /* and the acknowledgement */
    CHECK(sim_finished(s));
    CHECK_UINT(sim_get_stats(s).frames, 50000);
    raw_free(c);
    end();
}

TEST(sim, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        loop *own = NULL;
        sim *world = NULL;
        sim_options o = {.seed = 1, .start_ms = START, .clock = SIM_CLOCK_STEPPED, .faults = "dup:p=0.5"}; /* without TLS: its files are synced to disk each round */
        if (!loop_new(&own, &err) && sim_new(&world, own, &o, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        sim_free(world);
        loop_free(own);
    }
}
