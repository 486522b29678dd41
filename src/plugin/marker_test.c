/* Weir's own members of a marker; the rest of it is told by what streams do with it (stream/push_test.c). */
#include "plugin/marker.h"

#include "tests/lib/test.h"

static weir_error err;

static weir_code read(marker *m, const char *more)
{
    char text[300];
    json object;
    snprintf(text, sizeof text, "{\"streamID\":\"s\",\"websocketUrl\":\"wss://a.example/\"%s}", more);
    CHECK_OK(json_read(&object, bytes_of(text), &err));
    return marker_read(m, object, &err);
}

TEST(marker, says_how_long_a_connection_lives_and_whether_there_may_be_two)
{
    marker m;
    marker_init(&m);
    CHECK_OK(read(&m, ""));
    CHECK_UINT(m.lifetime_ms, 0);
    CHECK(!m.exclusive);
    CHECK_OK(read(&m, ",\"lifetimeMs\":86400000,\"exclusive\":true"));
    CHECK_UINT(m.lifetime_ms, 86400000);
    CHECK(m.exclusive);
    CHECK_OK(read(&m, ",\"lifetimeMs\":null,\"exclusive\":null"));
    CHECK_UINT(m.lifetime_ms, 0);
    CHECK(!m.exclusive);
    marker_fini(&m);
}

TEST(marker, whose_lifetime_makes_no_sense_is_refused_with_the_reason)
{
    static const char *const bad[][2] = {
        {",\"lifetimeMs\":-1", "\"lifetimeMs\" is -1; it is a number of milliseconds"},
        {",\"lifetimeMs\":999", "\"lifetimeMs\" is 999"},
        {",\"lifetimeMs\":99999999999999", "\"lifetimeMs\" is 99999999999999"},
        {",\"lifetimeMs\":\"24h\"", "\"lifetimeMs\" is \"24h\""},
        {",\"lifetimeMs\":1.5", "\"lifetimeMs\" is 1.5"},
        {",\"exclusive\":\"yes\"", "\"exclusive\" is \"yes\"; it is true or false"},
    };
    marker m;
    marker_init(&m);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(read(&m, bad[i][0]), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i][1]);
    }
    marker_fini(&m);
}
