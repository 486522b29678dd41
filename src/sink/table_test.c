/* The screens, character by character. */
#include "base/clock.h"
#include "sink/table.h"
#include "tests/lib/records.h"
#include "tests/lib/test.h"

#define NOW UINT64_C(1700000060000000000) /* 2023-11-14T22:14:20Z */

static hub *h;
static table t;
static char shown[16384];

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(hub_new(&h, &err));
    CHECK_OK(table_init(&t, &err));
}

static void end(void)
{
    table_fini(&t);
    CHECK_UINT(hub_read_stats(h).pool.live, 0);
    hub_free(h);
}

static record_stream *stream_of(const char *type, const char *symbol, const char *parameters)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {bytes_of(type), BYTES("woox"), bytes_of(symbol), bytes_of(parameters), false, 0};
    record_stream *s;
    CHECK_OK(hub_stream(&s, h, &key, &err));
    return s;
}

static void take(record_stream *s, record *r)
{
    CHECK(table_take(&t, r));
    record_unref(r);
    record_stream_unref(s);
}

static void data(const char *type, const char *symbol, const char *parameters, uint64_t age_s, const char *text)
{
    record_stream *s = stream_of(type, symbol, parameters);
    take(s, record_new(s, 0, NOW - age_s * NS_PER_S, bytes_of(text)));
}

static void status(const char *type, const char *symbol, record_state state, const char *why)
{
    record_stream *s = stream_of(type, symbol, "");
    take(s, record_status_new(s, state, why));
}

static const char *screen(unsigned columns, unsigned lines)
{
    sink_figures f = {.received = 1234, .delivered = 1230, .dropped = 4, .gaps = 1, .started_mono_ns = 5 * NS_PER_S};
    buf b;

    buf_init(&b, sizeof shown - 1);
    table_render(&t, &b, &f, columns, lines, NOW, 5 * NS_PER_S + 3723 * NS_PER_S);
    CHECK(!b.failed);
    if (b.len)
        memcpy(shown, b.at, b.len);
    shown[b.len] = '\0';
    buf_fini(&b);
    return shown;
}

TEST(table, empty_one_says_that_it_is_starting)
{
    begin();
    CHECK_TEXT(screen(80, 23), "starting 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1  restarts 0\n");
    end();
}

TEST(table, candles_align_on_the_decimal_point)
{
    begin();
    data("ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", 2,
         "{\"symbol\":\"SPOT_BTC_USDT\",\"interval\":\"1m\",\"timestamp\":\"2023-11-14T22:14:00Z\",\"open\":64000.1,\"high\":64010,"
         "\"low\":63990.25,\"close\":64001.5,\"volume\":12.345}");
    data("ohlcv", "SPOT_PEPE_USDT", "{\"timeframe\":\"1m\"}", 61,
         "{\"timestamp\":1699999999,\"open\":\"0.000000123456\",\"high\":\"0.0000002\",\"low\":\"0.0000001\",\"close\":\"0.00000015\",\"volume\":\"1000000\"}");
    CHECK_TEXT(screen(120, 23),
               "live 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1  restarts 0\n"
               "\n"
               "candles         tf                open           high            low           close       volume      time  count  age\n"
               "SPOT_BTC_USDT   1m  64000.1             64010          63990.25       64001.5              12.345  22:14:00      1   2s\n"
               "SPOT_PEPE_USDT  1m      0.000000123456      0.0000002      0.0000001      0.00000015  1000000      22:13:19      1   1m\n");
    end();
}

TEST(table, narrow_screen_loses_the_least_telling_columns)
{
    begin();
    data("ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", 2,
         "{\"timestamp\":\"2023-11-14T22:14:00Z\",\"open\":64000.10,\"high\":64010.20,\"low\":63990.25,\"close\":64001.50,\"volume\":12.345}");
    CHECK_TEXT(screen(80, 23),
               "live 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1  restarts 0\n"
               "\n"
               "candles        tf      open      high       low     close  volume      time  age\n"
               "SPOT_BTC_USDT  1m  64000.10  64010.20  63990.25  64001.50  12.345  22:14:00   2s\n");
    CHECK_TEXT(screen(40, 23),
               "live 01:02:03  received 1234 …\n"
               "\n"
               "candles        tf      high     close\n"
               "SPOT_BTC_USDT  1m  64010.20  64001.50\n");
    CHECK_TEXT(screen(20, 23),
               "live 01:02:03 …\n"
               "\n"
               "candles        close\n"
               "SPOT_BTC_…  64001.50\n");
    CHECK_TEXT(screen(5, 2), "live…\nand …\n");
    end();
}

TEST(table, every_type_has_its_section)
{
    begin();
    data("orderbook", "BTC", "", 0, "{\"bids\":[[\"99.5\",\"1\"],[\"99\",\"2\"]],\"asks\":[{\"price\":100.25,\"size\":3}]}");
    data("bbo", "BTC", "", 0, "{\"bid\":99.5,\"bidSize\":1,\"ask\":100.25,\"askSize\":3}");
    data("ticker", "BTC", "", 0, "{\"close\":\"100\",\"open\":90,\"high\":101,\"low\":89,\"volume\":5000}");
    data("trades", "BTC", "", 0, "{\"trades\":[{\"price\":1,\"size\":1,\"side\":\"buy\"},{\"price\":100.5,\"size\":\"0.25\",\"side\":\"sell\",\"timestamp\":1700000000}]}");
    data("trades", "ETH", "", 0, "{\"price\":5,\"amount\":7,\"side\":\"buy\",\"time\":\"2023-11-13T22:13:20Z\"}");
    data("news", "world", "", 0, "{\"title\":\"calm\"}");
    CHECK_TEXT(screen(80, 40),
               "live 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1  restarts 0\n"
               "\n"
               "trades  price  size  side         time  count  age\n"
               "BTC     100.5  0.25  sell     22:13:20      1   0s\n"
               "ETH       5    7     buy   11-13 22:13      1   0s\n"
               "\n"
               "tickers  last  open  high  low  volume  count  age\n"
               "BTC       100    90   101   89    5000      1   0s\n"
               "\n"
               "best bid, ask   bid  size     ask  size  count  age\n"
               "BTC            99.5     1  100.25     3      1   0s\n"
               "\n"
               "order books   bid  size     ask  size  depth  count  age\n"
               "BTC          99.5     1  100.25     3    2/1      1   0s\n"
               "\n"
               "streams  data              count  age\n"
               "world    {\"title\":\"calm\"}      1   0s\n"
               "\n"
               "BTC\n"
               "1  99.5  100.25  3\n"
               "2  99\n");
    end();
}

/* Free lines show the levels: books side by side, as many as fit, never more than there is room for. */
TEST(table, free_lines_show_the_books_level_by_level)
{
    begin();
    data("orderbook", "BTC", "", 0, "{\"flags\":[\"snapshot\"],\"bids\":[[\"99.5\",\"0.25\"],[\"98\",\"10\"],[\"9\",\"1\"]],\"asks\":[[\"100.25\",\"3\"]]}");
    data("orderbook", "A-LONG-NAME", "", 0, "{\"flags\":[\"snapshot\"],\"bids\":[],\"asks\":[[\"1\",\"2\"],[\"3\",\"4\"]]}");
    data("trades", "BTC", "", 0, "{\"price\":\"99.5\",\"size\":\"1\",\"side\":\"buy\",\"ts_event\":\"1700000000000000000\"}");
    CHECK_HAS(screen(80, 23), "22:13:20");
    CHECK_HAS(shown, "\n\n"
                     "BTC                       A-LONG-NAME\n"
                     " 0.25  99.5  100.25  3        1  2\n"
                     "10     98                     3  4\n"
                     " 1      9\n");
    CHECK(!strstr(screen(30, 23), "   A-LONG-NAME\n"));
    CHECK_HAS(shown, "\nBTC\n 0.25  99.5  100.25  3\n");
    CHECK_HAS(screen(80, 11), "\nBTC                      A-LONG-NAME\n0.25  99.5  100.25  3        1  2\n");
    CHECK(!strstr(shown, "10     98"));
    CHECK(!strstr(screen(80, 10), "0.25  99.5  100.25  3   "));
    t.colour = true;
    CHECK_HAS(screen(80, 23), " 0.25  \x1b[32m99.5\x1b[0m  \x1b[31m100.25\x1b[0m  3");
    end();
}

TEST(table, state_and_reason_of_the_worst_stream_stand_on_top)
{
    begin();
    status("trades", "BTC", RECORD_LIVE, "");
    data("trades", "BTC", "", 0, "{\"price\":1,\"size\":2,\"side\":\"buy\"}");
    status("trades", "ETH", RECORD_WAITING, "wss.woox.io:443: certificate ended on 2026-03-01; next try in 4 s");
    CHECK_TEXT(screen(80, 23),
               "waiting 1/2 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1 …\n"
               "ETH: wss.woox.io:443: certificate ended on 2026-03-01; next try in 4 s\n"
               "\n"
               "trades  price  size  side  count  age\n"
               "BTC         1     2  buy       1   0s\n"
               "ETH                            0    -\n");
    status("trades", "ETH", RECORD_LIVE, "");
    CHECK_HAS(screen(80, 23), "live 01:02:03  received");
    end();
}

TEST(table, rows_that_do_not_fit_are_counted)
{
    begin();
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "S%02d", i);
        data("trades", name, "", 0, "{\"price\":1}");
    }
    data("news", "world", "", 0, "1");
    CHECK_TEXT(screen(80, 7),
               "live 01:02:03  received 1234  delivered 1230  dropped 4  gaps 1  restarts 0\n"
               "\n"
               "trades  price  count  age\n"
               "S00         1      1   0s\n"
               "S01         1      1   0s\n"
               "S02         1      1   0s\n"
               "and 28 more streams\n");
    for (unsigned lines = 0; lines < 40; lines++) {
        const char *at = screen(80, lines);
        unsigned count = 0;
        for (; (at = strchr(at, '\n')); at++)
            count++;
        CHECK(count <= lines);
    }
    end();
}

TEST(table, no_line_is_wider_than_the_screen)
{
    begin();
    data("ohlcv", "\xE5\xB8\x81\xE5\xB8\x81\xE5\xB8\x81_A_VERY_LONG_SYMBOL_INDEED_THAT_GOES_ON", "{\"timeframe\":\"1m\"}", 2,
         "{\"timestamp\":\"2023-11-14T22:14:00Z\",\"open\":64000.1012345678901234567890,\"close\":1.00000000000000000000000000000000000000000000000000000000001}");
    status("ohlcv", "x", RECORD_FAILED, "a reason of which there is far too much to be shown on any screen of reasonable width, is there not");
    for (unsigned columns = 1; columns < 130; columns++) {
        const char *at = screen(columns, 23);
        for (const char *newline; (newline = strchr(at, '\n')); at = newline + 1) {
            bytes line = bytes_make(at, (size_t)(newline - at));
            size_t width = 0;
            for (size_t i = 0; i < line.len; i++) /* ASCII one, UTF-8 of three octets two, the ellipsis one */
                width += (unsigned char)line.at[i] < 0x80 ? 1 : (unsigned char)line.at[i] == 0xE5 ? 2
                                                            : (unsigned char)line.at[i] == 0xE2   ? 1
                                                                                                  : 0;
            CHECK(width <= columns);
        }
    }
    end();
}

TEST(table, order_book_follows_its_deltas)
{
    begin();
    data("orderbook", "BTC", "", 0, "{\"type\":\"snapshot\",\"bids\":[[\"99\",\"1\"],[\"98\",\"1\"]],\"asks\":[[\"101\",\"1\"],[\"102.5\",\"2\"]]}");
    data("orderbook", "BTC", "", 0, "{\"type\":\"delta\",\"bids\":[[\"98\",\"5\"],[\"97\",\"1\"]],\"asks\":[]}");
    CHECK_HAS(screen(80, 23), "BTC           99     1  101     1    3/2");
    data("orderbook", "BTC", "", 0, "{\"type\":\"delta\",\"bids\":[[\"99\",\"0.00\"],[\"12\",\"0\"]],\"asks\":[[\"100.5\",\"7\"]]}");
    CHECK_HAS(screen(80, 23), "BTC           98     5  100.5     7    2/3");
    data("orderbook", "BTC", "", 0, "{\"type\":\"snapshot\",\"bids\":[],\"asks\":[[\"100.5\",\"7\"]]}");
    CHECK_HAS(screen(80, 23), "100.5     7    0/1");
    end();
}

TEST(table, order_book_goes_by_flags_where_there_are_any)
{
    begin();
    data("orderbook", "BTC", "", 0, "{\"flags\":[\"snapshot\",\"last\"],\"bids\":[[\"99\",\"1\"],[\"98\",\"1\"]],\"asks\":[]}");
    data("orderbook", "BTC", "", 0, "{\"flags\":[\"last\"],\"bids\":[[\"97\",\"1\"]],\"asks\":[[\"101\",\"4\"]]}");
    CHECK_HAS(screen(80, 23), "BTC           99     1  101     4    3/1");
    data("orderbook", "BTC", "", 0, "{\"flags\":[\"snapshot\"],\"bids\":[],\"asks\":[[\"101\",\"4\"]]}");
    CHECK_HAS(screen(80, 23), "0/1");
    end();
}

TEST(table, order_book_keeps_the_best_levels_of_too_many)
{
    begin();
    for (int i = 0; i < 1500; i++) {
        char text[128];
        int price = i * 7919 % 1500;
        snprintf(text, sizeof text, "{\"type\":\"delta\",\"bids\":[[%d.5,1]],\"asks\":[{\"price\":\"%d.5\",\"size\":2}]}", price, 2000 + price);
        data("orderbook", "BTC", "", 0, text);
    }
    CHECK_HAS(screen(80, 23), "1499.5     1  2000.5     2  1000/1000");
    end();
}

TEST(table, partial_records_are_all_read)
{
    begin();
    data("bbo", "BTC", "", 0, "{\"bid\":99.5,\"bidSize\":1,\"ask\":100.25,\"askSize\":3}");
    data("bbo", "BTC", "", 0, "{\"ask\":101,\"askSize\":4}");
    data("bbo", "BTC", "", 0, "{\"bid\":98}");
    CHECK_HAS(screen(80, 23), "BTC             98     1  101     4      3   0s");
    end();
}

TEST(table, price_is_green_after_a_rise_and_red_after_a_fall)
{
    begin();
    t.colour = true;
    data("trades", "BTC", "", 0, "{\"price\":9,\"side\":\"buy\"}");
    CHECK_HAS(screen(80, 23), "\nBTC     "
                              "    9  \x1b[32mbuy\x1b[0m");
    data("trades", "BTC", "", 0, "{\"price\":10,\"side\":\"sell\"}");
    CHECK_HAS(screen(80, 23), "\nBTC        \x1b[32m10\x1b[0m  \x1b[31msell\x1b[0m");
    data("trades", "BTC", "", 0, "{\"price\":10.0,\"side\":\"sell\"}"); /* the same price keeps its colour */
    CHECK_HAS(screen(80, 23), "\x1b[32m10.0\x1b[0m");
    data("trades", "BTC", "", 0, "{\"price\":9.5,\"side\":\"sell\"}");
    CHECK_HAS(screen(80, 23), "\x1b[31m9.5\x1b[0m");
    CHECK_HAS(screen(80, 23), "dropped\x1b[0m \x1b[31m4\x1b[0m");
    end();
}

TEST(table, guests_text_cannot_reach_the_terminal_raw)
{
    begin();
    data("trades", "\x1b[2JX", "{\"timeframe\":\"\\u0007\"}", 0, "{\"price\":\"\\u001b[31m1\",\"side\":\"a\\nb\"}");
    data("news", "n", "", 0, "\"\xC2\x9B"
                             "31m\"");
    status("trades", "\x1b[2JX", RECORD_FAILED, "\x1b]0;title\x07 \n");
    for (const char *at = screen(200, 23); *at; at++)
        CHECK(*at == '\n' || (unsigned char)*at >= 0x20);
    CHECK_HAS(shown, "\\x1B[2JX");
    CHECK(!strstr(shown, "\xC2\x9B"));
    end();
}

TEST(table, data_that_makes_no_sense_leaves_the_row_as_it_was)
{
    static const char *const texts[] = {"null", "5", "\"x\"", "[]", "[[]]", "{}", "{\"price\":null}", "{\"price\":{}}",
                                        "{\"trades\":[]}", "{\"trades\":[5]}", "{\"bids\":[[]],\"asks\":[5,{}]}", "not json", ""};
    static const char *const types[] = {"trades", "ohlcv", "ticker", "bbo", "orderbook", "other"};
    test_keep_no_more_records();
    begin();
    data("trades", "BTC", "", 0, "{\"price\":7}");
    screen(80, 40);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            data(types[k], "BTC", "", 0, texts[i]);
            screen(80, 40);
        }
    CHECK_HAS(screen(80, 40), "BTC         7");
    end();
}

TEST(table, without_memory_records_are_not_shown_and_nothing_breaks)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, false, 0};
        record_stream *s = NULL;
        sink_figures f = {0};
        buf b;
        h = NULL;
        buf_init(&b, 4096);
        if (table_init(&t, &err) == WEIR_OK && hub_new(&h, &err) == WEIR_OK && hub_stream(&s, h, &key, &err) == WEIR_OK) {
            record *r = record_new(s, 0, 0, BYTES("{\"price\":7}"));
            if (r)
                table_take(&t, r);
            record_unref(r);
            record_stream_unref(s);
            table_render(&t, &b, &f, 80, 24, NOW, 0);
        }
        buf_fini(&b);
        table_fini(&t);
        hub_free(h);
    }
}
