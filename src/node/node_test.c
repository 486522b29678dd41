/* A node with real guests and the simulated venue: what is wanted is made, comes back after a restart, and goes on
 * counting; what cannot be is refused with a text. */
#include "node/testing.h"
#include "sink/testing.h"

static const sim_options exchange = {.seed = 7, .rate = 50};

TEST(node, answers_what_it_is)
{
    fixture t;
    fixture_open(&t, NULL);
    CHECK_INT(ask_it(&t, "node.read", NULL, NULL), WEIR_OK);
    CHECK_HAS(t.json, "\"version\":");
    CHECK_HAS(t.json, "\"state\":\"ok\"");
    CHECK_INT(ask_it(&t, "node.fly", NULL, NULL), WEIR_NOT_FOUND);
    CHECK_HAS(t.error, "no operation 'node.fly'");
    fixture_close(&t);
}

/* woox, approved, with a connection and a stream of trades. */
static void trades(fixture *t)
{
    CHECK_INT(fixture_upload(t, "woox"), WEIR_OK);
    CHECK_INT(ask_it(t, "plugins.approve", "woox-datasource", "{}"), WEIR_OK);
    CHECK_INT(ask_it(t, "streams.create", NULL, "{\"plugin\":\"woox-datasource\",\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    CHECK(t->created);
    CHECK_TEXT(fixture_member(t, "topic"), "trades.woox-datasource.SPOT_BTC_USDT");
    fixture_until(t, "streams.read", "1", "state", "live");
}

TEST(node, a_plugin_waits_for_approval_and_then_streams)
{
    fixture t;
    fixture_open(&t, &exchange);
    CHECK_INT(fixture_upload(&t, "woox"), WEIR_OK);
    CHECK(t.created);
    CHECK_TEXT(fixture_member(&t, "state"), "pending");
    CHECK_HAS(t.json, "\"adds\":[\"https://api.woox.io/*\",\"https://api-pub.woox.io/*\",\"wss://wss.woox.io/*\"]");
    CHECK_TEXT(fixture_member(&t, "grants"), "[]");
    CHECK_TEXT(fixture_member(&t, "stream_types"), "[\"ohlcv\",\"trades\",\"orderbook\",\"ticker\",\"bbo\"]");
    CHECK_HAS(fixture_member(&t, "timeframes"), "[\"1m\",\"3m\",");
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"woox-datasource\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "disabled");
    CHECK_HAS(fixture_member(&t, "why"), "waits for approval");
    CHECK_INT(ask_it(&t, "plugins.approve", "woox-datasource", "{}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "ready");
    CHECK_TEXT(fixture_member(&t, "pending"), "null");
    fixture_until(&t, "connections.read", "1", "state", "ready");
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    CHECK(t.created);
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_close(&t);
}

TEST(node, all_comes_back_after_a_stop_and_the_numbers_go_on)
{
    fixture t;
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_it(&t, "connections.update", "1", "{\"name\":\"mine\",\"config\":{\"api_secret\":\"hush\",\"region\":\"eu\"}}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "secrets_set"), "[\"api_secret\"]");
    CHECK_TEXT(fixture_member(&t, "config"), "{\"region\":\"eu\"}");
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"ohlcv\",\"identifier\":\"SPOT_ETH_USDT\",\"parameters\":{\"timeframe\":\"1m\"}}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.update", "2", "{\"wanted\":\"off\"}"), WEIR_OK);
    uint64_t last = fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 10);
    fixture_restart(&t, true);
    fixture_until(&t, "streams.read", "1", "state", "live");
    CHECK_INT(ask_it(&t, "connections.read", "1", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "name"), "mine");
    CHECK_TEXT(fixture_member(&t, "secrets_set"), "[\"api_secret\"]");
    CHECK_INT(ask_it(&t, "streams.read", "2", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "off");
    fixture_seam seam = fixture_read_seam(&t, "trades.woox-datasource.SPOT_BTC_USDT", last);
    CHECK(seam.gap);
    CHECK(seam.gap_from && seam.gap_from < seam.gap_to);
    CHECK(seam.first_seq > seam.last_before);
    CHECK_INT(seam.doubles, 0);
    fixture_close(&t);
}

TEST(node, after_a_crash_no_number_comes_twice_and_a_gap_says_what_was_missed)
{
    fixture t;
    char copy[128];
    fixture_open(&t, &exchange);
    trades(&t);
    uint64_t last = fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 20);
    fixture_crash(&t, copy); /* what the disk had in this moment */
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_seam seam = fixture_read_seam(&t, "trades.woox-datasource.SPOT_BTC_USDT", last);
    CHECK(seam.gap);
    CHECK(seam.gap_from && seam.gap_from < seam.gap_to);
    CHECK(seam.first_seq > seam.last_before);
    CHECK_INT(seam.doubles, 0);
    fixture_close(&t);
}

static void take_first(void *arg, json line)
{
    uint64_t *first = arg;
    if (!*first)
        *first = fixture_seq_of(line);
}

/* 120,000 numbers are more than the first mark allows, and the history that knows of them is gone. */
TEST(node, numbers_go_on_even_without_the_history_that_knows_them)
{
    fixture t;
    char copy[128], command[256];
    weir_error err = WEIR_ERROR_INIT;
    record_stream *stream;
    record_key key = {.type = BYTES("trades"), .source = BYTES("woox-datasource"), .identifier = BYTES("SPOT_BTC_USDT"), .parameters = BYTES("{}"), .has_connection = true, .connection = 1};
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_OK(hub_stream(&stream, node_hub(t.n), &key, &err));
    for (int i = 0; i < 120000; i++) {
        hub_publish(node_hub(t.n), record_new(stream, 0, 0, BYTES("{}")));
        if (i % 1000 == 0)
            fixture_turn(&t);
    }
    uint64_t given = record_stream_seq(stream);
    record_stream_unref(stream);
    CHECK_INT(ask_octets(&t, "ui.write", NULL, "x", "", BYTES("{}")), WEIR_OK); /* what was put before it is on the disk, too */
    fixture_copy(&t, copy);
    snprintf(command, sizeof command, "rm -f '%s'/history.db*", copy);
    CHECK_INT(system(command), 0);
    fixture_go_on_from(&t, copy);
    uint64_t first = 0;
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 1);
    fixture_lines(&t, "trades.woox-datasource.SPOT_BTC_USDT", take_first, &first);
    CHECK(given >= 120000);
    CHECK(first > given);
    fixture_close(&t);
}

/* Of a store of when a topic was one stream and its mark went by it. */
TEST(node, numbers_go_on_behind_a_mark_of_before_streams_had_names)
{
    fixture t;
    uint64_t first = 0;
    fixture_open(&t, &exchange);
    store_put(node_store(t.n), "mark", "trades.woox-datasource.SPOT_BTC_USDT", BYTES("{\"seq\":\"5000\",\"at\":\"1700000000000000000\"}"), BYTES(""), NULL, NULL);
    fixture_restart(&t, true);
    trades(&t);
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 5001);
    fixture_lines(&t, "trades.woox-datasource.SPOT_BTC_USDT", take_first, &first);
    CHECK_UINT(first, 5001);
    fixture_close(&t);
}

typedef struct series {
    uint64_t connection, count, last, gaps;
    bool mixed, disordered;
} series;

static void take_series(void *arg, json line)
{
    series *s = arg;
    uint64_t connection = 0, seq = fixture_seq_of(line);
    json_u64(json_member(line, "connection"), &connection);
    s->mixed |= connection != s->connection;
    s->disordered |= seq && seq <= s->last;
    s->last = seq ? seq : s->last;
    s->count += seq != 0;
    s->gaps += json_is(json_member(line, "kind"), "gap");
}

static series read_series(fixture *t, uint64_t connection, uint64_t at_least)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S;;) {
        series s = {.connection = connection};
        fixture_lines_of(t, "trades.woox-datasource.SPOT_BTC_USDT", &connection, take_series, &s);
        CHECK(!s.mixed && !s.disordered);
        if (s.count >= at_least)
            return s;
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "connection %llu: only %llu records after 60 s", (unsigned long long)connection, (unsigned long long)s.count);
    }
}

TEST(node, two_connections_of_a_plugin_stream_one_topic_each_with_its_own_numbers)
{
    fixture t;
    char copy[128];
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"woox-datasource\",\"name\":\"second account\",\"config\":{\"region\":\"eu\"}}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "id"), "2");
    fixture_until(&t, "connections.read", "2", "state", "ready");
    read_series(&t, 1, 20); /* the first one is ahead */
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":2,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "id"), "2");
    CHECK_TEXT(fixture_member(&t, "connection"), "2");
    CHECK_TEXT(fixture_member(&t, "topic"), "trades.woox-datasource.SPOT_BTC_USDT");
    fixture_until(&t, "streams.read", "2", "state", "live");
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":2,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_BUSY);
    CHECK_HAS(t.error, "stream 2 has the topic 'trades.woox-datasource.SPOT_BTC_USDT' of connection 2 already");
    series one = read_series(&t, 1, 40), two = read_series(&t, 2, 20);
    fixture_crash(&t, copy);
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_until(&t, "streams.read", "2", "state", "live");
    series one_on = read_series(&t, 1, one.count + 20), two_on = read_series(&t, 2, two.count + 20);
    CHECK(one_on.last > one.last && two_on.last > two.last);
    CHECK_UINT(one_on.gaps, one.gaps + 1);
    CHECK_UINT(two_on.gaps, two.gaps + 1);
    buf figures;
    buf_init(&figures, 1 << 20);
    CHECK_INT(node_metrics(t.n, &figures), WEIR_OK);
    buf_add_char(&figures, '\0');
    CHECK_HAS(figures.at, "weir_connection_streams{connection=\"1\",name=\"WOO X\",plugin=\"woox-datasource\"} 1\n");
    CHECK_HAS(figures.at, "weir_connection_gaps_total{connection=\"2\",name=\"second account\",plugin=\"woox-datasource\"} 1\n");
    buf_fini(&figures);
    /* What the one does is nothing to the other. */
    CHECK_INT(ask_it(&t, "connections.remove", "1", NULL), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.read", "1", NULL), WEIR_NOT_FOUND);
    two = read_series(&t, 2, two_on.count + 20);
    CHECK_UINT(two.gaps, two_on.gaps);
    read_series(&t, 1, one_on.count); /* and what there was stays */
    fixture_close(&t);
}

TEST(node, one_topic_of_one_connection_is_one_stream)
{
    fixture t;
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_BUSY);
    CHECK_HAS(t.error, "stream 1 has the topic 'trades.woox-datasource.SPOT_BTC_USDT' of connection 1 already");
    CHECK_INT(ask_it(&t, "streams.remove", "1", NULL), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.read", "1", NULL), WEIR_NOT_FOUND);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    CHECK(strcmp(fixture_member(&t, "id"), "1") != 0); /* a number that is gone does not come back */
    CHECK_INT(ask_it(&t, "streams.read", "1", NULL), WEIR_NOT_FOUND);
    fixture_close(&t);
}

TEST(node, a_connection_takes_its_streams_along)
{
    fixture t;
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_it(&t, "plugins.remove", "woox-datasource", NULL), WEIR_BUSY);
    CHECK_INT(ask_it(&t, "connections.remove", "1", NULL), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"streams\":[]}");
    CHECK_INT(ask_it(&t, "plugins.remove", "woox-datasource", NULL), WEIR_OK);
    fixture_restart(&t, false);
    CHECK_INT(ask_it(&t, "plugins.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"plugins\":[]}");
    fixture_close(&t);
}

TEST(node, a_command_is_answered_and_a_connection_tested)
{
    fixture t;
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_octets(&t, "commands.run", "1", "getMarkets", "", BYTES("")), WEIR_OK);
    CHECK_HAS(t.json, "{\"result\":[");
    CHECK_INT(ask_octets(&t, "commands.run", "1", "getNothing", "", BYTES("")), WEIR_UNSUPPORTED);
    CHECK_INT(ask_it(&t, "connections.test", "1", NULL), WEIR_OK);
    CHECK_HAS(t.json, "{\"ok\":true");
    fixture_close(&t);
}

TEST(node, a_plugin_s_figures_are_its_own)
{
    fixture t;
    buf text;
    fixture_open(&t, &exchange);
    trades(&t);
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 10);
    CHECK_INT(ask_it(&t, "plugins.read", "woox-datasource", NULL), WEIR_OK);
    json doc, figures;
    uint64_t calls = 0, memory = 0, limit = 0, instances = 0, p50 = 0, p99 = 0;
    CHECK(!json_read(&doc, bytes_of(t.json), NULL));
    figures = json_member(doc, "figures");
    CHECK(json_u64(json_member(figures, "calls"), &calls) && calls > 0); /* one may take many messages */
    CHECK(json_u64(json_member(figures, "call_p50_us"), &p50) && json_u64(json_member(figures, "call_p99_us"), &p99) && p50 > 0 && p50 <= p99);
    CHECK(json_u64(json_member(figures, "instances"), &instances) && instances >= 1);
    CHECK(json_u64(json_member(figures, "memory_octets"), &memory) && memory >= 65536);
    CHECK(json_u64(json_member(figures, "memory_limit_octets"), &limit) && limit == instances * (256u << 20));
    buf_init(&text, 1 << 20);
    CHECK_INT(node_metrics(t.n, &text), WEIR_OK);
    buf_add_char(&text, '\0');
    CHECK_HAS(text.at, "weir_plugin_turn_seconds{plugin=\"woox-datasource\",quantile=\"0.99\"} 0.0");
    buf_fini(&text);
    fixture_close(&t);
}

TEST(node, wrong_bodies_are_refused_with_a_text)
{
    static const struct {
        const char *op, *id, *body, *says;
        weir_code code;
    } cases[] = {
        {"streams.create", NULL, "{", "the body", WEIR_INVALID},
        {"streams.create", NULL, "[]", "no JSON object", WEIR_INVALID},
        {"streams.create", NULL, "{\"conection\":1}", "nothing is called \"conection\" here; there is connection, plugin", WEIR_INVALID},
        {"streams.create", NULL, "{\"connection\":\"1\"}", "\"connection\" is needed", WEIR_INVALID},
        {"streams.create", NULL, "{\"connection\":99}", "there is no connection 99", WEIR_NOT_FOUND},
        {"streams.create", NULL, "{\"connection\":1}", "\"type\" is needed", WEIR_INVALID},
        {"streams.create", NULL, "{\"connection\":1,\"type\":\"trades\"}", "\"identifier\" is needed", WEIR_INVALID},
        {"streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"X\",\"parameters\":[]}", "\"parameters\" is no object", WEIR_INVALID},
        {"streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"X\",\"parameters\":{\"a\":{}}}", "is an object or an array", WEIR_INVALID},
        {"streams.update", "7", "{\"wanted\":\"on\"}", "there is no stream '7'", WEIR_NOT_FOUND},
        {"streams.update", "1", "{\"wanted\":true}", "neither \"on\" nor \"off\"", WEIR_INVALID},
        {"connections.create", NULL, "{}", "\"plugin\" is missing", WEIR_INVALID},
        {"connections.create", NULL, "{\"plugin\":\"x\"}", "there is no plugin 'x'", WEIR_NOT_FOUND},
        {"connections.create", NULL, "{\"plugin\":\"woox-datasource\",\"config\":{\"a\":[1]}}", "is an object or a list", WEIR_INVALID},
        {"connections.update", "1", "{\"enabled\":\"yes\"}", "neither true nor false", WEIR_INVALID},
        {"plugins.approve", "woox-datasource", "{}", "no version waits", WEIR_NOT_FOUND},
        {"plugins.approve", "woox-datasource", "{\"sha256\":\"00\"}", "has no version 00", WEIR_NOT_FOUND},
        {"plugins.rollback", "woox-datasource", NULL, "no version before the active one", WEIR_NOT_FOUND},
        {"plugins.upload", NULL, "not a module", "no WebAssembly module", WEIR_INVALID},
        {"plugins.upload", NULL, "{\"wasm\":[{\"path\":\"/etc/passwd\"}]}", "no WebAssembly module", WEIR_INVALID},
        {"sinks.create", NULL, "{}", "\"spec\" is needed", WEIR_INVALID},
        {"sinks.create", NULL, "{\"spec\":\"carrier-pigeon:\"}", "carrier-pigeon", WEIR_INVALID},
        {"sinks.create", NULL, "{\"spec\":\"ndjson:/tmp/x\",\"policy\":\"block\"}", "\"policy\"", WEIR_INVALID},
        {"tokens.create", NULL, "{\"name\":\"x\",\"scope\":\"god\"}", "\"scope\"", WEIR_INVALID},
        {"tokens.create", NULL, "{\"name\":\"x\",\"scope\":\"read\",\"expires_at\":\"1\"}", "\"expires_at\"", WEIR_INVALID},
        {"logs.list", NULL, NULL, "", WEIR_OK},
    };
    fixture t;
    fixture_open(&t, &exchange);
    trades(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_code code = ask_it(&t, cases[i].op, cases[i].id, cases[i].body);
        if (code != cases[i].code || !strstr(t.error, cases[i].says))
            test_fail(__FILE__, __LINE__, "%s %s: %s '%s', not %s '%s'", cases[i].op, cases[i].body, weir_code_name(code), t.error, weir_code_name(cases[i].code), cases[i].says);
    }
    fixture_close(&t);
}

TEST(node, a_token_is_found_by_its_text_alone)
{
    fixture t;
    node_token who;
    char text[128];
    fixture_open(&t, NULL);
    CHECK_INT(ask_it(&t, "tokens.create", NULL, "{\"name\":\"ci\",\"scope\":\"operate\"}"), WEIR_OK);
    snprintf(text, sizeof text, "%s", fixture_member(&t, "token"));
    CHECK(!strncmp(text, "weir_", 5) && strlen(text) == 69);
    fixture_restart(&t, true);
    CHECK(node_token_find(t.n, bytes_of(text), &who));
    CHECK_TEXT(who.name, "ci");
    CHECK_INT(who.scope, NODE_SCOPE_OPERATE);
    text[20] ^= 1;
    CHECK(!node_token_find(t.n, bytes_of(text), &who));
    CHECK_INT(ask_it(&t, "tokens.list", NULL, NULL), WEIR_OK);
    CHECK(!strstr(t.json, "\"token\""));
    CHECK_INT(ask_it(&t, "tokens.remove", "1", NULL), WEIR_OK);
    text[20] ^= 1;
    CHECK(!node_token_find(t.n, bytes_of(text), &who));
    fixture_close(&t);
}

TEST(node, a_sink_gets_the_records_and_is_opened_again)
{
    fixture t;
    char body[256], path[128];
    fixture_open(&t, &exchange);
    snprintf(path, sizeof path, "%s/out.ndjson", t.dir);
    snprintf(body, sizeof body, "{\"name\":\"file\",\"spec\":\"ndjson:+%s\",\"pattern\":\"trades.>\"}", path);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "open");
    trades(&t);
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 10);
    fixture_restart(&t, true);
    weir_error err = WEIR_ERROR_INIT;
    buf lines;
    buf_init(&lines, 64u << 20);
    CHECK_OK(file_read(&lines, path, &err));
    CHECK(memmem(lines.at, lines.len, "\"kind\":\"data\"", 13) != NULL);
    buf_fini(&lines);
    CHECK_INT(ask_it(&t, "sinks.read", "1", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "open");
    CHECK_INT(ask_it(&t, "sinks.update", "1", "{\"enabled\":false}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "closed");
    CHECK_INT(ask_it(&t, "sinks.remove", "1", NULL), WEIR_OK);
    fixture_close(&t);
}

static size_t lines_with(const char *path, const char *what)
{
    weir_error err = WEIR_ERROR_INIT;
    size_t count = 0;
    buf lines;
    buf_init(&lines, 64u << 20);
    CHECK_OK(file_read(&lines, path, &err));
    for (const char *at = lines.at, *end = at + lines.len; at && (at = memmem(at, (size_t)(end - at), what, strlen(what))); at++)
        count++;
    buf_fini(&lines);
    return count;
}

TEST(node, a_sink_of_one_connection_gets_none_of_another_that_streams_the_same_topic)
{
    fixture t;
    char body[256], path[128], id[24];
    const uint64_t second = 2;
    fixture_page page;
    fixture_open(&t, &exchange);
    trades(&t);
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"woox-datasource\",\"name\":\"second\"}"), WEIR_OK);
    snprintf(path, sizeof path, "%s/out.ndjson", t.dir);
    snprintf(body, sizeof body, "{\"spec\":\"ndjson:+%s\",\"pattern\":\"trades.>\",\"connection\":3}", path);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_INVALID);
    CHECK_HAS(t.error, "there is no connection '3'; GET /v1/connections lists them");
    snprintf(body, sizeof body, "{\"spec\":\"ndjson:+%s\",\"pattern\":\"trades.>\",\"connection\":\"2\"}", path);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_INVALID);
    snprintf(body, sizeof body, "{\"spec\":\"ndjson:+%s\",\"pattern\":\"trades.>\",\"connection\":2}", path);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "connection"), "2");
    snprintf(id, sizeof id, "%.20s", fixture_member(&t, "id"));
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":2,\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    for (bool enough = false; !enough; buf_fini(&page.lines)) {
        fixture_history_of(&t, "trades.woox-datasource.SPOT_BTC_USDT", &second, &page);
        enough = page.lines.len > 4000;
    }
    fixture_restart(&t, true);
    CHECK(lines_with(path, "\"connection\":2,") > 3);
    CHECK_UINT(lines_with(path, "\"connection\":1,"), 0);
    CHECK_INT(ask_it(&t, "sinks.read", id, NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "connection"), "2"); /* as it was stored */
    CHECK_INT(ask_it(&t, "sinks.update", id, "{\"name\":\"second\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "connection"), "2");
    CHECK_INT(ask_it(&t, "sinks.update", id, "{\"connection\":null}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "connection"), "null");
    fixture_until(&t, "streams.read", "1", "state", "live");
    uint64_t last = fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 1);
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", last + 20);
    CHECK(fixture_drain(&t));
    CHECK(lines_with(path, "\"connection\":1,") > 0);
    fixture_close(&t);
}

/* Sink 1 has reached its server so many times. */
static void until_connected(fixture *t, int times)
{
    char says[40];
    snprintf(says, sizeof says, "\"connects\":%d,", times);
    while (ask_it(t, "sinks.read", "1", NULL) || !strstr(t->json, says))
        fixture_turn(t);
}

/* A Redis that hangs for a while is not left with half of it. */
TEST(node, a_drain_waits_for_sinks_whose_other_end_is_there)
{
    fixture t;
    char body[256], port[8];
    server redis = server_new("redis-server", 1);
    snprintf(port, sizeof port, "%d", redis.port);
    server_start(&redis, (const char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", redis.folder, "--save", "", NULL});
    fixture_open(&t, &exchange);
    snprintf(body, sizeof body, "{\"name\":\"redis\",\"spec\":\"redis://127.0.0.1:%d?silence_ms=60000\",\"pattern\":\"trades.>\"}", redis.port);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_OK);
    until_connected(&t, 1);
    trades(&t);
    kill(redis.pid, SIGSTOP);
    uint64_t last = fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 20);
    t.answered = false;
    node_drain(t.n, 60000, fixture_drained, &t);
    for (int i = 0; i < 200; i++)
        fixture_turn(&t);
    CHECK(!t.answered); /* it has not acknowledged them */
    buf text;
    buf_init(&text, 1 << 20);
    CHECK_INT(node_metrics(t.n, &text), WEIR_OK);
    buf_add_char(&text, '\0');
    CHECK_HAS(text.at, "weir_sink_up{sink=\"1\",name=\"redis\"} 1\n");
    CHECK_HAS(text.at, "weir_sink_connects_total{sink=\"1\",name=\"redis\"} 1\n");
    CHECK(!strstr(text.at, "weir_sink_buffered{sink=\"1\",name=\"redis\"} 0\n"));
    CHECK(!strstr(text.at, "weir_sink_lag_seconds{sink=\"1\",name=\"redis\"} 0.000\n"));
    buf_fini(&text);
    kill(redis.pid, SIGCONT);
    while (!t.answered)
        fixture_turn(&t);
    CHECK(t.created);
    snprintf(body, sizeof body, "redis-cli -p %d --raw XRANGE weir - + | grep -q '\"seq\":\"%llu\"'", redis.port, (unsigned long long)last);
    CHECK(system(body) == 0);
    fixture_close(&t);
    server_free(&redis);
}

/* The server has the record with that number. */
static void until_written(fixture *t, int port, uint64_t seq)
{
    char question[200];
    snprintf(question, sizeof question, "redis-cli -p %d --raw XRANGE weir - + | grep -q '\"seq\":\"%llu\"'", port, (unsigned long long)seq);
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; system(question);) {
        CHECK(clock_mono() < until);
        for (int i = 0; i < 100; i++) /* a question takes longer than many turns */
            fixture_turn(t);
    }
}

/* A sink's server that hangs holds up nothing: what it was sent is acknowledged when it goes on, and the sink that takes the place of
 * the one before waits for that, so all is there once and in order. */
TEST(node, a_sink_changed_while_its_server_hangs_loses_nothing_and_holds_up_nobody)
{
    fixture t;
    char body[256], port[8];
    server redis = server_new("redis-server", 1);
    snprintf(port, sizeof port, "%d", redis.port);
    server_start(&redis, (const char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", redis.folder, "--save", "", NULL});
    fixture_open(&t, &exchange);
    snprintf(body, sizeof body, "{\"name\":\"redis\",\"spec\":\"redis://127.0.0.1:%d?silence_ms=60000\",\"pattern\":\"trades.>\"}", redis.port);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, body), WEIR_OK);
    until_connected(&t, 1);
    trades(&t);
    kill(redis.pid, SIGSTOP);
    fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 20);
    CHECK_INT(ask_it(&t, "sinks.update", "1", "{\"name\":\"other\"}"), WEIR_OK);
    CHECK_HAS(t.json, "\"state\":\"waiting\"");
    CHECK(!strstr(t.json, "\"buffered\":0,")); /* so it did not wait for them */
    kill(redis.pid, SIGCONT);
    until_connected(&t, 2); /* what is not connected is not waited for, nor what has yet to greet its server */
    CHECK_HAS(t.json, "\"lost\":0,");
    until_written(&t, redis.port, fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 20));
    kill(redis.pid, SIGSTOP);
    uint64_t last = fixture_last_seq(&t, "trades.woox-datasource.SPOT_BTC_USDT", 20);
    CHECK_INT(ask_it(&t, "sinks.remove", "1", NULL), WEIR_OK);
    kill(redis.pid, SIGCONT);
    until_written(&t, redis.port, last);
    snprintf(body, sizeof body, "redis-cli -p %d --raw XRANGE weir - + | sed -n 's/^{\"seq\":\"\\([0-9]*\\)\",\"kind\":\"data\".*/\\1/p' | sort -n -u -c", redis.port);
    CHECK(system(body) == 0);
    fixture_close(&t);
    server_free(&redis);
}

typedef struct watcher {
    node_watch watch;
    node_log_watch log;
    struct watcher *other;
    unsigned heard, lines;
} watcher;

static void on_change(void *arg, const char *what, const char *id)
{
    watcher *w = arg;
    w->heard++;
    CHECK_TEXT(what, "sinks");
    CHECK_TEXT(id, "1");
    if (w->other) {
        node_watch_remove(&w->watch);
        node_watch_remove(&w->other->watch);
    }
}

static void on_line(void *arg, const node_log_line *line)
{
    watcher *w = arg;
    w->lines++;
    CHECK_TEXT(line->text, w->lines == 1 ? "one" : "two");
    if (w->other) {
        node_log_watch_remove(&w->log);
        node_log_watch_remove(&w->other->log);
    }
}

TEST(node, who_watches_may_stop_himself_and_others_while_he_hears)
{
    fixture t;
    watcher a = {.watch = {.fn = on_change, .arg = &a}, .log = {.fn = on_line, .arg = &a}}, b = {.watch = {.fn = on_change, .arg = &b}, .log = {.fn = on_line, .arg = &b}},
            c = {.watch = {.fn = on_change, .arg = &c}, .log = {.fn = on_line, .arg = &c}};
    b.other = &c;
    fixture_open(&t, NULL);
    node_watch_add(t.n, &a.watch);
    node_watch_add(t.n, &b.watch);
    node_watch_add(t.n, &c.watch);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, "{\"spec\":\"ndjson:/dev/null\"}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "sinks.remove", "1", NULL), WEIR_OK);
    CHECK(a.heard >= 2);
    CHECK_UINT(b.heard, 1);
    CHECK_UINT(c.heard, 0);
    node_log_watch_add(t.n, &a.log);
    node_log_watch_add(t.n, &b.log);
    node_log_watch_add(t.n, &c.log);
    node_log_keep(WEIR_LOG_INFO, "test", "one");
    node_log_keep(WEIR_LOG_INFO, "test", "two");
    while (a.lines < 2)
        fixture_turn(&t);
    CHECK_UINT(b.lines, 1);
    CHECK_UINT(c.lines, 0);
    CHECK_INT(ask_octets(&t, "logs.list", NULL, NULL, "{\"limit\":\"1\",\"part\":\"test\"}", BYTES("")), WEIR_OK);
    CHECK_HAS(t.json, "\"text\":\"two\"}]}");
    node_watch_remove(&a.watch);
    node_log_watch_remove(&a.log);
    fixture_close(&t);
}

TEST(node, a_second_one_on_the_same_folder_is_refused)
{
    fixture t;
    weir_error err = WEIR_ERROR_INIT;
    node *second = NULL;
    fixture_open(&t, NULL);
    node_options o = fixture_options(&t);
    CHECK_INT(node_new(&second, &o, &err), WEIR_BUSY);
    CHECK(second == NULL);
    fixture_close(&t);
}
