/* Rows: what stands in which column, that nothing is left out, and that a file is always one table. */
#include "sink/testing.h"

static char folder[64], path[100];
static buf got;

static void begin(void)
{
    t_begin();
    snprintf(folder, sizeof folder, "/tmp/weir-csv-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/out.csv", folder);
    buf_init(&got, 64u << 20);
}

static void end(void)
{
    char command[96];
    t_end(NULL);
    buf_fini(&got);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
    clock_replace(NULL, NULL);
}

static const char *text_of(const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    char whole[200];
    snprintf(whole, sizeof whole, "%s/%s", folder, name);
    buf_clear(&got);
    CHECK_OK(file_read(&got, whole, &err));
    buf_add_char(&got, '\0');
    return got.at;
}

/* Cell `column` of row `row` (0: the header), read as RFC 4180 says. */
static bytes cell(const char *text, const char *column, size_t row)
{
    static char out[8][4096];
    static unsigned turn;
    char *to = out[turn++ % 8], *at_ = to;
    size_t line = 0, field = 0, wanted = SIZE_MAX;
    bool quoted = false;
    for (const char *at = text;; at++) {
        if (quoted ? *at == '"' && at[1] != '"' : *at == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && *at == '"')
            at++;
        else if (!quoted && (*at == ',' || *at == '\n' || !*at)) {
            *at_ = '\0';
            if (line == 0 && strcmp(to, column) == 0)
                wanted = field;
            if (line == row && field == wanted && (row || wanted != SIZE_MAX))
                return bytes_of(to);
            at_ = to;
            field++;
            if (*at == '\n') {
                line++;
                field = 0;
            }
            if (!*at)
                test_fail(__FILE__, __LINE__, "no column '%s' in row %zu of\n%s", column, row, text);
            continue;
        }
        if (at_ - to < 4095)
            *at_++ = *at;
    }
}

#define CELL(text, column, row, want) CHECK_TEXT(cell(text, column, row).at, want)

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static record_stream *stream_of(const char *type)
{
    weir_error err = WEIR_ERROR_INIT;
    record_stream *s;
    record_key key = {bytes_of(type), BYTES("woox"), BYTES("BTC"), BYTES("{\"timeframe\":\"1m\"}"), true, 7};
    CHECK_OK(hub_stream(&s, t_hub, &key, &err));
    return s;
}

static void publish(const char *type, const char *data)
{
    record_stream *s = stream_of(type);
    hub_publish(t_hub, record_new(s, 1700000000000000000u, 5, bytes_of(data)));
    record_stream_unref(s);
}

static void bring(const char *format, ...)
{
    char spec[300];
    va_list args;
    va_start(args, format);
    vsnprintf(spec, sizeof spec, format, args);
    va_end(args);
    sink *k = t_open("%s", spec);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 0);
    CHECK_UINT(sink_read_account(k).written, sink_read_account(k).accepted);
    sink_close(k);
}

TEST(csv, decimals_stay_the_venues_digits)
{
    begin();
    publish("trades", "{\"symbol\":\"BTC\",\"price\":\"0.000000000001\",\"size\":1e-7,\"side\":\"buy\",\"id\":12345678901234567890,\"ts_event\":\"1700000000000000000\"}");
    publish("trades", "{\"price\":\"-3.50\",\"size\":null}");
    bring("csv:%s/{type}.csv", folder);
    const char *t = text_of("trades.csv");
    CHECK(bytes_starts(bytes_of(t), BYTES("seq,kind,type,source,identifier,parameters,connection,ts_event,ts_recv,ts_out,backfill,symbol,timestamp,sequence,"
                                          "price,size,side,id,gap_cause,gap_from,gap_to,gap_count,gap_from_seq,gap_to_seq,state,why,other\n")));
    CELL(t, "seq", 1, "1");
    CELL(t, "kind", 1, "data");
    CELL(t, "parameters", 1, "{\"timeframe\":\"1m\"}");
    CELL(t, "connection", 1, "7");
    CELL(t, "ts_event", 1, "1700000000000000000");
    CELL(t, "ts_recv", 1, "5");
    CELL(t, "price", 1, "0.000000000001");
    CELL(t, "size", 1, "1e-7");
    CELL(t, "id", 1, "12345678901234567890");
    CELL(t, "other", 1, ""); /* ts_event is the envelope's */
    CELL(t, "price", 2, "-3.50");
    CELL(t, "size", 2, "");
    CHECK_UINT(lines(t), 3);
    end();
}

TEST(csv, each_type_has_a_file_with_its_columns_or_one_file_has_all)
{
    begin();
    publish("trades", "{\"price\":\"1\"}");
    publish("ohlcv", "{\"open\":\"1\",\"close\":\"2\",\"closed\":true}");
    publish("orderbook", "{\"bids\":[[\"1\",\"2\"]],\"flags\":[\"snapshot\",\"last\"]}");
    publish("../x y", "{\"a\":1}");
    bring("csv:%s/a-{type}.csv", folder);
    CELL(text_of("a-ohlcv.csv"), "close", 1, "2");
    CELL(text_of("a-ohlcv.csv"), "closed", 1, "true");
    CHECK(!strstr(text_of("a-ohlcv.csv"), "price"));
    CELL(text_of("a-orderbook.csv"), "bids", 1, "[[\"1\",\"2\"]]");
    CELL(text_of("a-orderbook.csv"), "flags", 1, "[\"snapshot\",\"last\"]");
    CELL(text_of("a-%2E%2E%2Fx%20y.csv"), "other", 1, "{\"a\":1}");
    publish("trades", "{\"price\":\"1\"}");
    publish("ohlcv", "{\"open\":\"3\"}");
    bring("csv:%s", path);
    CHECK_UINT(lines(text_of("out.csv")), 3);
    CELL(text_of("out.csv"), "price", 1, "1");
    CELL(text_of("out.csv"), "open", 2, "3");
    CELL(text_of("out.csv"), "type", 2, "ohlcv");
    end();
}

TEST(csv, what_has_no_column_is_kept_and_texts_are_harmless)
{
    begin();
    publish("trades", "{\"price\":\"=1+1\",\"side\":\"a,\\\"b\\\"\\n\\u001b[31m\",\"more\":{\"x\":[1,2]},\"id\":\"@x\",\"size\":\"+5\",\"z\":\" \"}");
    publish("trades", "[1,\"two\"]");
    publish("trades", "{\"size\":\"-cmd\",\"symbol\":\" padded\"}");
    bring("csv:%s/{type}.csv", folder);
    const char *t = text_of("trades.csv");
    CELL(t, "price", 1, "'=1+1");
    CELL(t, "side", 1, "a,\"b\"\\n\\u001b[31m");
    CELL(t, "id", 1, "'@x");
    CELL(t, "size", 1, "'+5");
    CELL(t, "other", 1, "{\"more\":{\"x\":[1,2]},\"z\":\" \"}");
    CELL(t, "other", 2, "[1,\"two\"]");
    CELL(t, "size", 3, "'-cmd");
    CELL(t, "symbol", 3, " padded");
    CHECK_UINT(lines(t), 4);
    end();
}

TEST(csv, gaps_and_states_have_their_columns)
{
    record_gap gap = {.cause = RECORD_GAP_SEQUENCE, .from_ns = 5, .to_ns = 9, .count = 3, .has_seq = true, .from_seq = 7, .to_seq = 9};
    begin();
    hub_publish_gap(t_hub, t_stream[0], &gap);
    hub_publish_status(t_hub, t_stream[0], RECORD_LIVE, "open, and \"subscribed\"");
    bring("csv:%s", path);
    const char *t = text_of("out.csv");
    CELL(t, "kind", 1, "gap");
    CELL(t, "gap_cause", 1, "sequence");
    CELL(t, "gap_from", 1, "5");
    CELL(t, "gap_count", 1, "3");
    CELL(t, "gap_to_seq", 1, "9");
    CELL(t, "kind", 2, "status");
    CELL(t, "seq", 2, "");
    CELL(t, "state", 2, "live");
    CELL(t, "why", 2, "open, and \"subscribed\"");
    end();
}

TEST(csv, appending_goes_on_below_the_same_header_only)
{
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    char spec[200];
    begin();
    publish("trades", "{\"price\":\"1\"}");
    bring("csv:+%s", path);
    publish("trades", "{\"price\":\"2\"}");
    bring("csv:+%s", path);
    CHECK_UINT(lines(text_of("out.csv")), 3);
    CELL(text_of("out.csv"), "price", 2, "2");
    publish("trades", "{\"price\":\"3\"}");
    bring("csv:%s", path);
    CHECK_UINT(lines(text_of("out.csv")), 2);
    FILE *f = fopen(path, "w");
    fputs("a,b\n1,2\n", f);
    fclose(f);
    snprintf(spec, sizeof spec, "csv:+%s", path);
    CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "its first row is not that of our columns");
    CHECK_TEXT(text_of("out.csv"), "a,b\n1,2\n");
    end();
}

/* How many files, all rows of them together, and that each is a table. */
static size_t count_files(size_t *rows)
{
    char command[200], name[300];
    size_t files = 0;
    *rows = 0;
    snprintf(command, sizeof command, "ls '%s'", folder);
    FILE *p = popen(command, "r");
    while (fgets(name, sizeof name, p)) {
        name[strcspn(name, "\n")] = '\0';
        const char *t = text_of(name);
        CHECK(strncmp(t, "seq,kind,", 9) == 0);
        *rows += lines(t) - 1;
        files++;
    }
    pclose(p);
    return files;
}

TEST(csv, rotated_by_size_into_whole_tables)
{
    size_t rows;
    begin();
    t_publish(2000);
    bring("csv:%s?rotate=32k", path);
    CHECK(count_files(&rows) > 5);
    CHECK_UINT(rows, 2000);
    struct stat info;
    CHECK(stat(path, &info) == 0 && info.st_size <= 33 << 10);
    end();
}

static uint64_t now_real;
static uint64_t real(void)
{
    return now_real;
}

TEST(csv, rotated_by_time_under_the_hours_name)
{
    size_t rows;
    begin();
    now_real = 1700000000 * NS_PER_S; /* 22:13:20 */
    clock_replace(real, NULL);
    sink *k = t_open("csv:%s/x.{type}.csv?rotate=1h", folder);
    for (int hour = 0; hour < 3; hour++) {
        publish("trades", "{\"price\":\"1\"}");
        publish("trades", "{\"price\":\"2\"}");
        t_until(k, t_settled);
        now_real += 3600 * NS_PER_S;
    }
    sink_close(k);
    CHECK_UINT(lines(text_of("x.trades-20231114T220000Z.csv")), 3);
    CHECK_UINT(lines(text_of("x.trades-20231114T230000Z.csv")), 3);
    CHECK_UINT(lines(text_of("x.trades.csv")), 3);
    CHECK_UINT(count_files(&rows), 3);
    CHECK_UINT(rows, 6);
    end();
}

TEST(csv, slow_pipe_is_back_pressure_and_nothing_is_lost)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_options o = SINK_OPTIONS_INIT;
    sink *k = NULL;
    int p[2];
    char piece[1000];
    bool blocked = false;
    begin();
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    o.fd = p[1];
    CHECK_OK(sink_open(&k, "csv", &o, &err));
    t_publish(5000);
    while (!t_settled(k)) {
        blocked |= t_turn(k) == SINK_BLOCKED;
        for (ssize_t n; (n = read(p[0], piece, sizeof piece)) > 0;)
            buf_add(&got, piece, (size_t)n);
    }
    for (ssize_t n; (n = read(p[0], piece, sizeof piece)) > 0;)
        buf_add(&got, piece, (size_t)n);
    buf_add_char(&got, '\0');
    CHECK(blocked);
    CHECK_UINT(lines(got.at), 5001);
    CHECK_UINT(sink_read_account(k).written, 5000);
    CELL(got.at, "price", 5000, "4999.000000000001");
    sink_close(k);
    close(p[0]);
    close(p[1]);
    end();
}

TEST(csv, nonsense_in_a_spec_is_refused)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"csv:/tmp/x.csv?rotate=5", "rotate is '5'; expected a size (100M) or a time (1h, 1d)"},
        {"csv:/tmp/x.csv?rotate=1w", "expected a size"},
        {"csv:/tmp/x.csv?rotate=0h", "expected a size"},
        {"csv:/tmp/x.csv?rotate=", "expected a size"},
        {"csv:-?rotate=1h", "rotate needs a file"},
        {"csv:/dev/null?rotate=1h", "rotate needs a file"},
        {"csv:/tmp/x.csv?columns=1", "there is no option 'columns'; there are rotate"},
        {"csv:/nowhere/at/all/{type}.csv", "no file can be made in '/nowhere/at/all': No such file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        sink *k = NULL;
        CHECK(sink_open(&k, cases[i].spec, NULL, &err) != WEIR_OK);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(k == NULL);
    }
}

TEST(csv, steady_state_allocates_nothing)
{
    uint64_t before = 0;
    begin();
    sink *k = t_open("csv:/dev/null");
    for (int i = 0; i < 200; i++) {
        if (i == 20)
            before = fault_allocations();
        t_publish(100);
        CHECK_INT(sink_drain(k, t_reader, 1000), SINK_DONE);
    }
    CHECK_UINT(fault_allocations(), before);
    sink_close(k);
    end();
}
