#include "plugin/limits.h"

#include "tests/lib/test.h"

static weir_error err;
static limits read_;

static weir_code take(const char *text)
{
    limits_fini(&read_);
    err = (weir_error)WEIR_ERROR_INIT;
    return limits_read(&read_, bytes_of(text), &err);
}

static const char *said(size_t i)
{
    static buf out;
    buf_fini(&out);
    buf_init(&out, SIZE_MAX);
    limit_text(&out, &read_.list[i], read_.list[i].command);
    buf_add_char(&out, '\0');
    return out.at;
}

TEST(limits, are_read_whether_scope_is_a_text_or_a_list)
{
    CHECK_OK(take("[{\"command\":\"getMarkets\",\"scope\":\"ip\",\"rps\":0.016666666666666666,\"burst\":1,\"cost\":0},"
                  "{\"command\":\"*\",\"scope\":[\"ip\",\"apikey\",\"ip\",\"sym\\u0062ol\"],\"rps\":10,\"burst\":20,\"cost\":2}]"));
    CHECK_UINT(read_.count, 2);
    CHECK_UINT(read_.refused, 0);
    CHECK_UINT(read_.list[0].scope_count, 1);
    CHECK_UINT(read_.list[1].scope_count, 3); /* once each */
    CHECK_BYTES(read_.list[1].scopes[2], BYTES("symbol"));
    CHECK(read_.list[0].cost == 1 && read_.list[1].cost == 2 && read_.list[1].burst == 20);
    CHECK_TEXT(said(0), "getMarkets: 1 a minute");
    CHECK_TEXT(said(1), "*: 5 a second");
    limits_fini(&read_);
}

TEST(limits, none_is_said_in_three_ways)
{
    CHECK_OK(take("null"));
    CHECK_UINT(read_.count, 0);
    CHECK_OK(take("[]"));
    CHECK_UINT(read_.count, 0);
    CHECK_OK(take("[{\"command\":\"x\",\"scope\":null,\"rps\":0,\"burst\":0,\"cost\":0}]"));
    CHECK_UINT(read_.count, 0);
    CHECK_UINT(read_.refused, 0);
    limits_fini(&read_);
}

TEST(limits, what_is_left_open_is_the_least)
{
    CHECK_OK(take("[{\"command\":\"x\",\"rps\":2.5},{\"command\":\"y\",\"rps\":1,\"burst\":2,\"cost\":5,\"scope\":[]}]"));
    CHECK(read_.list[0].burst == 1 && read_.list[0].cost == 1);
    CHECK(read_.list[1].burst == 5 && read_.list[1].cost == 5); /* a cost above the burst could never be paid */
    CHECK_BYTES(read_.list[0].scopes[0], BYTES("ip"));
    CHECK_BYTES(read_.list[1].scopes[0], BYTES("ip"));
    CHECK_TEXT(said(0), "x: 2.5 a second");
    CHECK_TEXT(said(1), "y: 12 a minute");
    limits_fini(&read_);
}

TEST(limits, that_make_no_sense_are_left_out_and_counted)
{
    static const char *const bad[][2] = {
        {"5", "limit 2: \"limit\" is 5"},
        {"{\"rps\":1}", "\"command\" is missing"},
        {"{\"command\":\"\",\"rps\":1}", "\"command\" is \"\""},
        {"{\"command\":7,\"rps\":1}", "\"command\" is 7"},
        {"{\"command\":\"x\"}", "\"rps\" is missing"},
        {"{\"command\":\"x\",\"rps\":\"1\"}", "\"rps\" is \"1\""},
        {"{\"command\":\"x\",\"rps\":-1}", "\"rps\" is -1"},
        {"{\"command\":\"x\",\"rps\":1e999}", "\"rps\" is 1e999"},
        {"{\"command\":\"x\",\"rps\":1,\"burst\":-2}", "\"burst\" is -2"},
        {"{\"command\":\"x\",\"rps\":1,\"cost\":true}", "\"cost\" is true"},
        {"{\"command\":\"x\",\"rps\":1,\"scope\":{}}", "\"scope\" is {}"},
        {"{\"command\":\"x\",\"rps\":1,\"scope\":[\"ip\",5]}", "\"scope\" is [\"ip\",5]"},
        {"{\"command\":\"x\",\"rps\":1,\"scope\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", "\"scope\" is [\"1\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text, "[{\"command\":\"good\",\"rps\":1},%s]", bad[i][0]);
        CHECK_OK(take(text));
        CHECK_UINT(read_.count, 1);
        CHECK_UINT(read_.refused, 1);
        CHECK_HAS(read_.why, bad[i][1]);
    }
    limits_fini(&read_);
}

TEST(limits, that_are_no_list_are_refused)
{
    CHECK_UINT(take("{}"), WEIR_INVALID);
    CHECK_HAS(err.text, "no list");
    CHECK_UINT(take("[{"), WEIR_INVALID);
    CHECK_HAS(err.text, "the plugin's rate limits");
    CHECK_UINT(take(""), WEIR_INVALID);
}

TEST(limits, of_a_commands_own_beat_those_of_all)
{
    size_t at = 0;
    CHECK_OK(take("[{\"command\":\"*\",\"rps\":1},{\"command\":\"a\",\"rps\":2},{\"command\":\"*\",\"rps\":3},{\"command\":\"a\",\"rps\":4}]"));
    CHECK(limits_next(&read_, BYTES("a"), &at)->rps == 2);
    CHECK(limits_next(&read_, BYTES("a"), &at)->rps == 4);
    CHECK(!limits_next(&read_, BYTES("a"), &at));
    at = 0;
    CHECK(limits_next(&read_, BYTES("b"), &at)->rps == 1);
    CHECK(limits_next(&read_, BYTES("b"), &at)->rps == 3);
    CHECK(!limits_next(&read_, BYTES("b"), &at));
    limits_fini(&read_);
}

TEST(limits, survive_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        if (take("[{\"command\":\"a\",\"rps\":2,\"scope\":[\"ip\"]}]"))
            CHECK_UINT(err.code, WEIR_NOMEM);
        limits_fini(&read_);
    }
}
