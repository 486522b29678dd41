#include "plugin/timeframe.h"

#include "tests/lib/test.h"

static buf out;

static const char *spelt(const char *text, timeframe_style style)
{
    timeframe t;
    buf_fini(&out);
    buf_init(&out, SIZE_MAX);
    if (!timeframe_read(&t, bytes_of(text)))
        return "none";
    timeframe_put(&out, &t, style);
    buf_add_char(&out, '\0');
    return out.at;
}

TEST(timeframe, is_spelt_as_each_side_wants_it)
{
    static const char *const table[][4] = {
        {"15m", "15m", "15m", "15m"},
        {"4h", "4h", "4h", "4h"},
        {"1H", "1h", "1h", "1h"},
        {"1d", "1D", "1d", "1d"},
        {"1D", "1D", "1d", "1d"},
        {"3day", "3D", "3d", "3d"},
        {"1w", "1W", "1w", "1w"},
        {"1M", "1M", "1M", "1mon"},
        {"1mon", "1M", "1M", "1mon"},
        {"1Y", "1Y", "1y", "1y"},
        {"1d:Europe/Berlin", "1D:Europe/Berlin", "1d:Europe/Berlin", "1d:Europe/Berlin"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int style = 0; style < 3; style++)
            CHECK_TEXT(spelt(table[i][0], (timeframe_style)style), table[i][style + 1]);
}

TEST(timeframe, that_is_none_is_refused)
{
    static const char *const bad[] = {"", "m", "0m", "1", "1x", "1mm", "-1m", "1 m", "1d:", "99999999999999999999m", "MON"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_TEXT(spelt(bad[i], TIMEFRAME_LETTERS), "none");
}

TEST(timeframe, is_found_in_the_rows_of_every_dialect)
{
    static const struct {
        const char *row;
        uint64_t seconds;
        const char *text;
    } rows[] = {
        {"{\"id\":0,\"value\":15,\"unit\":\"m\",\"location\":null}", 900, "15m"},
        {"{\"value\":1,\"unit\":\"M\"}", 2592000, "1M"},
        {"{\"label\":\"1M\",\"apiValue\":\"1mon\",\"interval\":2592000}", 2592000, "1M"},
        {"{\"label\":\"4 hours\",\"value\":\"4h\",\"interval\":14400}", 14400, "4h"},
        {"{\"label\":\"?\",\"apiValue\":\"D\",\"interval\":86400}", 86400, "1D"},
        {"{\"value\":0,\"unit\":\"m\"}", 0, "none"},
        {"{\"value\":1,\"unit\":\"x\"}", 0, "none"},
        {"{\"interval\":59}", 0, "none"},
        {"5", 0, "none"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weir_error err = WEIR_ERROR_INIT;
        json row;
        timeframe t;
        CHECK_OK(json_read(&row, bytes_of(rows[i].row), &err));
        bool is = timeframe_read_row(&t, row);
        CHECK_UINT(is ? timeframe_seconds(&t) : 0, rows[i].seconds);
        buf_fini(&out);
        buf_init(&out, SIZE_MAX);
        if (is)
            timeframe_put(&out, &t, TIMEFRAME_LETTERS);
        else
            buf_add_text(&out, "none");
        CHECK_BYTES(buf_bytes(&out), bytes_of(rows[i].text));
    }
}

TEST(timeframe, of_parameters_is_changed_and_nothing_else)
{
    weir_error err = WEIR_ERROR_INIT;
    json params;
    buf room;
    buf_init(&room, SIZE_MAX);
    CHECK_OK(json_read(&params, BYTES("{\"symbol\":\"1D\",\"timeframe\":\"1D\",\"interval\":\"1mon\",\"limit\":5}"), &err));
    CHECK_BYTES(timeframe_params(params, TIMEFRAME_VENUE, &room).raw, BYTES("{\"symbol\":\"1D\",\"timeframe\":\"1d\",\"interval\":\"1mon\",\"limit\":5}"));
    CHECK_OK(json_read(&params, BYTES("{\"timeframe\":\"=1D\",\"interval\":\"7 moons\"}"), &err));
    CHECK_BYTES(timeframe_params(params, TIMEFRAME_VENUE, &room).raw, BYTES("{\"timeframe\":\"1D\",\"interval\":\"7 moons\"}"));
    CHECK_OK(json_read(&params, BYTES("{}"), &err));
    CHECK_BYTES(timeframe_params(params, TIMEFRAME_VENUE, &room).raw, BYTES("{}"));
    CHECK(timeframe_params((json){0}, TIMEFRAME_VENUE, &room).type == JSON_NONE);
    buf_fini(&room);
    buf_fini(&out);
}
