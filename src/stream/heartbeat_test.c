/* Heartbeats: what is known of venues, what the user says, and which messages are some. */
#include "stream/heartbeat.h"

#include "stream/heartbeat_rules.h"
#include "tests/lib/test.h"

#define OF(url) heartbeat_for(BYTES(url))

static weir_error err;

TEST(heartbeat, knows_both_dialects_of_woox)
{
    const heartbeat *v3 = OF("wss://wss.woox.io/v3/public");
    const heartbeat *v2 = OF("wss://wss.woox.io/ws/stream/abc");
    CHECK_TEXT(v3->field, "cmd");
    CHECK_TEXT(v2->field, "event");
    CHECK_UINT(v3->client_ping_ms, 15000);
    CHECK(OF("wss://wss.woox.io.evil.example/v3/")->ping == NULL);
    CHECK(OF("not a url")->ping == NULL && OF("not a url")->silence_ms == 60000);
}

TEST(heartbeat, knows_other_venues_by_their_hosts_whatever_the_port)
{
    CHECK(OF("wss://ws.okx.com:8443/ws/v5/public")->plain);
    CHECK(OF("wss://ws.okx.com/ws/v5/business")->client_ping_ms < 30000);
    CHECK(OF("wss://wspap.okx.com:8443/ws/v5/public")->plain);
    CHECK(!OF("wss://ws.okx.com.example/ws/v5/public")->plain);
    CHECK_TEXT(OF("wss://ws.kraken.com/v2")->field, "method");
    CHECK_TEXT(OF("wss://ws.kraken.com")->field, "event");
    CHECK_TEXT(OF("wss://WS.KRAKEN.COM/")->field, "event");
    CHECK(OF("wss://stream.binance.com:9443/ws/btcusdt@trade")->ping == NULL);
    CHECK(OF("wss://fstream.binance.com/ws")->transport_ping_ms > 0);
    CHECK(OF("wss://advanced-trade-ws.coinbase.com")->transport_ping_ms > 0);
}

TEST(heartbeat, tells_pings_from_data)
{
    const heartbeat *h = OF("wss://wss.woox.io/ws/stream/abc");
    CHECK_INT(heartbeat_read(h, BYTES("{\"event\":\"ping\",\"ts\":1}")), HEARTBEAT_PING);
    CHECK_INT(heartbeat_read(h, BYTES("{\"ts\":1,\"event\":\"pong\"}")), HEARTBEAT_PONG);
    CHECK_INT(heartbeat_read(h, BYTES("{\"\\u0065vent\":\"ping\"}")), HEARTBEAT_PING); /* the same name */
    CHECK_INT(heartbeat_read(h, BYTES("{\"topic\":\"x@trade\"}")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("{\"topic\":\"event\"}")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("ping")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(OF("wss://other.example/"), BYTES("{\"event\":\"ping\"}")), HEARTBEAT_NONE);
}

/* Only a message that is the text, and nothing else. */
TEST(heartbeat, tells_plain_text_from_data)
{
    const heartbeat *h = OF("wss://ws.okx.com:8443/ws/v5/public");
    CHECK_INT(heartbeat_read(h, BYTES("pong")), HEARTBEAT_PONG);
    CHECK_INT(heartbeat_read(h, BYTES("ping")), HEARTBEAT_PING);
    CHECK_INT(heartbeat_read(h, BYTES("pong ")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("\"pong\"")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("{\"event\":\"ping\"}")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("")), HEARTBEAT_NONE);
}

static void writes(const heartbeat *h, const char *ping, const char *pong)
{
    buf out;
    buf_init(&out, 1000);
    heartbeat_write_ping(h, &out, 1500000000123000000);
    CHECK_BYTES(buf_bytes(&out), bytes_of(ping));
    heartbeat_write_pong(h, &out, 1500000000123000000);
    CHECK_BYTES(buf_bytes(&out), bytes_of(pong));
    buf_fini(&out);
}

TEST(heartbeat, writes_in_the_venues_own_way)
{
    heartbeat quoting = {.field = "a\"b", .ping = "\\", .pong = "\n"};
    writes(OF("wss://wss.woox.io/ws/stream/a"), "{\"event\":\"ping\",\"ts\":1500000000123}", "{\"event\":\"pong\",\"ts\":1500000000123}");
    writes(OF("wss://ws.okx.com/ws/v5/public"), "ping", "pong");
    writes(OF("wss://ws.kraken.com/v2"), "{\"method\":\"ping\"}", "{\"method\":\"pong\"}");
    writes(&quoting, "{\"a\\\"b\":\"\\\\\"}", "{\"a\\\"b\":\"\\n\"}");
}

/* ---- The user's rules ---- */

static heartbeat_rules *rules_of(const char *one, const char *two)
{
    heartbeat_rules *rules;
    CHECK_OK(heartbeat_rules_read(&rules, (const char *const[]){one, two, NULL}, &err));
    return rules;
}

TEST(heartbeat, rules_hold_for_their_origin_and_path)
{
    heartbeat_rules *rules = rules_of("wss://feed.example/v3=app:op:hi:ho", "wss://Feed.Example:9443=text:ping:pong:20s,transport:500ms");
    const heartbeat *h = heartbeat_rules_find(rules, BYTES("wss://feed.example:9443/v3/public"));
    CHECK(h && h->field);
    CHECK_TEXT(h->field, "op");
    CHECK_TEXT(h->ping, "hi");
    CHECK_TEXT(h->pong, "ho");
    CHECK_UINT(h->client_ping_ms, 0);
    CHECK_UINT(h->silence_ms, 60000);
    h = heartbeat_rules_find(rules, BYTES("wss://feed.example:9443/v2"));
    CHECK(h && h->plain);
    CHECK_TEXT(h->pong, "pong");
    CHECK_UINT(h->client_ping_ms, 20000);
    CHECK_UINT(h->transport_ping_ms, 500);
    CHECK_UINT(h->silence_ms, 60000);
    CHECK(!heartbeat_rules_find(rules, BYTES("wss://feed.example/v2")));
    CHECK(!heartbeat_rules_find(rules, BYTES("wss://feed.example.org/v3")));
    CHECK(!heartbeat_rules_find(rules, BYTES("nonsense")));
    CHECK(!heartbeat_rules_find(NULL, BYTES("wss://feed.example/v3")));
    heartbeat_rules_free(rules);
}

TEST(heartbeat, rules_may_turn_it_off_or_only_ping)
{
    heartbeat_rules *rules = rules_of("wss://a.example=none", "ws://[::1]:80=transport:2m");
    CHECK_INT(heartbeat_read(heartbeat_rules_find(rules, BYTES("wss://a.example/x")), BYTES("ping")), HEARTBEAT_NONE);
    CHECK_UINT(heartbeat_rules_find(rules, BYTES("ws://[::1]/x"))->transport_ping_ms, 120000);
    CHECK_UINT(heartbeat_rules_find(rules, BYTES("ws://[::1]/x"))->silence_ms, 360000);
    heartbeat_rules_free(rules);
    CHECK_OK(heartbeat_rules_read(&rules, NULL, &err));
    CHECK(rules == NULL);
}

TEST(heartbeat, rules_say_what_is_right)
{
    static const char *const bad[][2] = {
        {"", "heartbeat '': expected ORIGIN=HEARTBEAT, such as wss://ws.okx.com=text:ping:pong:20s"},
        {"wss://a.example", "expected ORIGIN=HEARTBEAT"},
        {"wss://a.example=", "expected ORIGIN=HEARTBEAT"},
        {"wss://a.example=,", "expected ORIGIN=HEARTBEAT"},
        {"=none", "expected ORIGIN=HEARTBEAT"},
        {"a.example=none", "heartbeat 'a.example=none': 'a.example': "},
        {"https://a.example=none", "'https://a.example': an origin of sockets begins with wss:// or ws://"},
        {"wss://a.example=beat", "'beat': expected app:FIELD:PING:PONG[:TIME], text:PING:PONG[:TIME], transport:TIME, or none"},
        {"wss://a.example=none:1s", "'none': expected app:"},
        {"wss://a.example=app:event:ping", "expected app:FIELD:PING:PONG[:TIME], such as app:event:ping:pong:15s"},
        {"wss://a.example=app::ping:pong", "expected app:FIELD"},
        {"wss://a.example=text:ping", "expected text:PING:PONG[:TIME], such as text:ping:pong:20s"},
        {"wss://a.example=text", "expected text:PING:PONG"},
        {"wss://a.example=text:ping::20s", "expected text:PING:PONG"},
        {"wss://a.example=text:a:b,app:c:d:e", "one kind of ping to an origin; there are two"},
        {"wss://a.example=transport", "how often? for example transport:20s"},
        {"wss://a.example=transport:20", "'20': expected a time from 100ms to 60m, such as 20s"},
        {"wss://a.example=transport:", "'': expected a time"},
        {"wss://a.example=transport:-5s", "'-5s': expected a time"},
        {"wss://a.example=transport:99ms", "expected a time"},
        {"wss://a.example=transport:61m", "expected a time"},
        {"wss://a.example=transport:99999999999999999999s", "expected a time"},
        {"wss://a.example=text:a:b:20s:more", "'20s:more': expected a time"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        heartbeat_rules *rules = (void *)&err;
        CHECK_INT(heartbeat_rules_read(&rules, (const char *const[]){"wss://fine.example=none", bad[i][0], NULL}, &err), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i][1]);
        CHECK(rules == NULL);
    }
}

TEST(heartbeat, rules_survive_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        heartbeat_rules *rules = NULL;
        if (heartbeat_rules_read(&rules, (const char *const[]){"wss://a.example/b=app:a:b:c", "wss://b.example=none", NULL}, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        heartbeat_rules_free(rules);
    }
}
