#include "plugin/normal.h"

#include "tests/lib/test.h"

static buf out;
static normal_notes notes;
static weir_error err;

static const char *normal(const char *command, const char *text)
{
    json data = {0};
    buf_fini(&out);
    buf_init(&out, SIZE_MAX);
    err = (weir_error)WEIR_ERROR_INIT;
    if (*text)
        CHECK_OK(json_read(&data, bytes_of(text), &err));
    if (normal_write(&out, bytes_of(command), data, &notes, &err))
        return err.text;
    buf_add_char(&out, '\0');
    return out.at;
}

TEST(normal, says_what_it_mended)
{
    normal_notes all = {.refused = 1, .doubles = 2, .strays = 1, .why = "row 5: \"close\" is \"NaN\""};
    buf out_;
    buf_init(&out_, SIZE_MAX);
    CHECK(normal_say(&out_, &all));
    CHECK_BYTES(buf_bytes(&out_), BYTES("2 rows came twice, the first of them stays; 1 out of order, now in place; 1 row makes no sense and is left out (row 5: \"close\" is \"NaN\")"));
    buf_clear(&out_);
    CHECK(!normal_say(&out_, &(normal_notes){0}));
    buf_fini(&out_);
}

TEST(normal, null_and_nothing_are_empty_lists_where_lists_are_due)
{
    CHECK_TEXT(normal("getMarkets", "null"), "[]");
    CHECK_TEXT(normal("getTimeframes", ""), "[]");
    CHECK_TEXT(normal("getOHLCV", "null"), "[]");
    CHECK_TEXT(normal("getAccount", ""), "null");
    CHECK_TEXT(normal("getAccount", "{\"a\": 1}"), "{\"a\": 1}");
    CHECK_HAS(normal("getMarkets", "{\"a\":1}"), "is no list");
}

TEST(normal, candles_are_sorted_and_each_once_with_their_own_digits)
{
    CHECK_TEXT(normal("getOHLCV", "[{\"timestamp\":120,\"open\":3.10,\"high\":\"3.20\",\"low\":3,\"close\":3e0,\"volume\":0.000000123456},"
                                  "{\"openTime\":1700000000000,\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":\"1970-01-01T00:01:00Z\",\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":60,\"open\":9,\"high\":9,\"low\":9,\"close\":9,\"volume\":9}]"),
               "[{\"ts_event\":\"60000000000\",\"open\":\"1\",\"high\":\"1\",\"low\":\"1\",\"close\":\"1\",\"volume\":\"1\"},"
               "{\"ts_event\":\"120000000000\",\"open\":\"3.10\",\"high\":\"3.20\",\"low\":\"3\",\"close\":\"3e0\",\"volume\":\"0.000000123456\"},"
               "{\"ts_event\":\"1700000000000000000\",\"open\":\"1\",\"high\":\"1\",\"low\":\"1\",\"close\":\"1\",\"volume\":\"1\"}]");
    CHECK_UINT(notes.doubles, 1);
    CHECK_UINT(notes.refused, 0);
}

TEST(normal, rows_that_make_no_sense_are_left_out_and_counted)
{
    CHECK_TEXT(normal("getOHLCV", "[5,{},{\"openTime\":60},{\"openTime\":60,\"open\":\"NaN\",\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":60,\"open\":\"\",\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":-60,\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":60,\"open\":true,\"high\":1,\"low\":1,\"close\":1,\"volume\":1},"
                                  "{\"openTime\":60,\"open\":\"1.\",\"high\":1,\"low\":1,\"close\":1,\"volume\":1}]"),
               "[]");
    CHECK_UINT(notes.refused, 8);
    CHECK_HAS(notes.why, "row 1: \"openTime\" is missing");
}

TEST(normal, a_markets_name_is_its_symbol_where_it_has_none)
{
    CHECK_TEXT(normal("getMarkets", "[{\"name\":\"A\",\"base\":\"B\"},{\"symbol\":\"C\",\"name\":\"D\"},null]"),
               "[{\"symbol\":\"A\",\"name\":\"A\",\"base\":\"B\"},{\"symbol\":\"C\",\"name\":\"D\"},null]");
}
