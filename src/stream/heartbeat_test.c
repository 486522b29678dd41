#include "stream/heartbeat.h"

#include "tests/lib/test.h"

TEST(heartbeat, knows_both_dialects_of_woox)
{
    const heartbeat *v3 = heartbeat_for(BYTES("wss://wss.woox.io/v3/public"));
    const heartbeat *v2 = heartbeat_for(BYTES("wss://wss.woox.io/ws/stream/abc"));
    CHECK_TEXT(v3->field, "cmd");
    CHECK_TEXT(v2->field, "event");
    CHECK_UINT(v3->client_ping_ms, 15000);
    CHECK(heartbeat_for(BYTES("wss://wss.woox.io.evil.example/v3/"))->field == NULL);
}

TEST(heartbeat, tells_pings_from_data)
{
    const heartbeat *h = heartbeat_for(BYTES("wss://wss.woox.io/ws/stream/abc"));
    CHECK_INT(heartbeat_read(h, BYTES("{\"event\":\"ping\",\"ts\":1}")), HEARTBEAT_PING);
    CHECK_INT(heartbeat_read(h, BYTES("{\"ts\":1,\"event\":\"pong\"}")), HEARTBEAT_PONG);
    CHECK_INT(heartbeat_read(h, BYTES("{\"topic\":\"x@trade\"}")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(h, BYTES("ping")), HEARTBEAT_NONE);
    CHECK_INT(heartbeat_read(heartbeat_for(BYTES("wss://other.example/")), BYTES("{\"event\":\"ping\"}")), HEARTBEAT_NONE);
}

TEST(heartbeat, writes_the_answer)
{
    buf out;
    buf_init(&out, 1000);
    heartbeat_write_pong(heartbeat_for(BYTES("wss://wss.woox.io/ws/stream/a")), &out, 1500000000123000000);
    CHECK_BYTES(buf_bytes(&out), BYTES("{\"event\":\"pong\",\"ts\":1500000000123}"));
    buf_fini(&out);
}
