#include "base/clock.h"
#include "base/json.h"
#include "hub/record.h"
#include "tests/lib/test.h"

static uint64_t fixed_now(void)
{
    return UINT64_C(1700000000000000003);
}

/* The line and its newline as C text. */
static const char *line(const record *r)
{
    static char text[4096];
    CHECK(r->line.len + 1 < sizeof text);
    memcpy(text, r->line.at, r->line.len + 1);
    text[r->line.len + 1] = '\0';
    return text;
}

static record_pool *pool;
static record_stream *stream;

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("ohlcv"), BYTES("woox-test"), BYTES("SPOT_BTC_USDT"),
                      BYTES("{\"timeframe\":\"1m\"}"), true, 1};
    clock_replace(fixed_now, NULL);
    pool = record_pool_new();
    CHECK_OK(record_stream_new(&stream, pool, &key, &err));
}

static void end(void)
{
    CHECK_UINT(record_pool_read_stats(pool).live, 0);
    record_stream_unref(stream);
    record_pool_unref(pool);
    clock_replace(NULL, NULL);
}

static void check_key_refused(record_key key, const char *why)
{
    weir_error err = WEIR_ERROR_INIT;
    record_stream *s = NULL;
    CHECK_INT(record_stream_new(&s, pool, &key, &err), WEIR_INVALID);
    CHECK(s == NULL);
    CHECK_HAS(err.text, why);
}

TEST(record, data_is_one_line_with_the_plugins_own_octets)
{
    begin();
    record *r = record_new(stream, 1700000000000000001, 1700000000000000002, BYTES("{\"close\":0.000000123456}"));
    CHECK_BYTES(r->line, BYTES("{\"seq\":\"1\",\"kind\":\"data\",\"type\":\"ohlcv\",\"source\":\"woox-test\","
                               "\"identifier\":\"SPOT_BTC_USDT\",\"parameters\":{\"timeframe\":\"1m\"},\"connection\":1,"
                               "\"ts_event\":\"1700000000000000001\",\"ts_recv\":\"1700000000000000002\","
                               "\"ts_out\":\"1700000000000000003\",\"data\":{\"close\":0.000000123456}}"));
    CHECK_BYTES(r->data, BYTES("{\"close\":0.000000123456}"));
    CHECK_INT(r->line.at[r->line.len], '\n');
    CHECK_BYTES(record_stream_topic(stream), BYTES("ohlcv.woox-test.SPOT_BTC_USDT.1m"));
    record_unref(r);
    end();
}

TEST(record, gap_tells_what_is_known)
{
    begin();
    record_gap gap = {.cause = RECORD_GAP_DISCONNECTED, .from_ns = 5, .to_ns = 6};
    record *r = record_gap_new(stream, &gap);
    CHECK_HAS(line(r), "{\"seq\":\"1\",\"kind\":\"gap\",\"type\":\"ohlcv\",");
    CHECK_HAS(line(r), "\"connection\":1,\"cause\":\"disconnected\",\"from\":\"5\",\"to\":\"6\",\"ts_out\":\"1700000000000000003\"}\n");
    record_unref(r);
    gap = (record_gap){.cause = RECORD_GAP_SEQUENCE, .count = 3, .has_seq = true, .from_seq = 7, .to_seq = 9};
    r = record_gap_new(stream, &gap);
    CHECK_HAS(line(r), "\"cause\":\"sequence\",\"from\":null,\"to\":null,\"count\":3,\"from_seq\":\"7\",\"to_seq\":\"9\",\"ts_out\"");
    CHECK_UINT(r->seq, 2);
    CHECK_UINT(record_stream_counts(stream)->gaps, 2);
    record_unref(r);
    end();
}

TEST(record, slow_readers_gap_has_no_number_of_its_own)
{
    begin();
    record_gap gap = {.cause = RECORD_GAP_SLOW_READER, .count = 1};
    record *r = record_gap_new(stream, &gap);
    CHECK(bytes_starts(r->line, BYTES("{\"kind\":\"gap\",\"type\"")));
    CHECK_UINT(record_stream_seq(stream), 0);
    CHECK_UINT(record_stream_counts(stream)->gaps, 0);
    record_unref(r);
    end();
}

TEST(record, status_escapes_its_reason)
{
    begin();
    record *r = record_status_new(stream, RECORD_WAITING, "say \"hi\"\n");
    CHECK_HAS(line(r), "\"connection\":1,\"state\":\"waiting\",\"why\":\"say \\\"hi\\\"\\n\",\"ts_out\":\"1700000000000000003\"}\n");
    CHECK(bytes_starts(r->line, BYTES("{\"kind\":\"status\",")));
    record_unref(r);
    r = record_status_new(stream, RECORD_LIVE, NULL);
    CHECK_HAS(line(r), "\"state\":\"live\",\"why\":\"\"");
    record_unref(r);
    end();
}

TEST(record, line_breaks_between_tokens_become_blanks)
{
    begin();
    record *r = record_new(stream, 0, 0, BYTES("{\r\n\t\"a\":\n1}"));
    CHECK_BYTES(r->data, BYTES("{  \t\"a\": 1}"));
    CHECK(!memchr(r->line.at, '\n', r->line.len));
    CHECK_HAS(line(r), "\"ts_event\":null,\"ts_recv\":null,");
    record_unref(r);
    end();
}

TEST(record, every_kind_is_valid_json)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    begin();
    record_gap gap = {.cause = RECORD_GAP_SILENCE, .from_ns = UINT64_MAX, .to_ns = UINT64_MAX, .count = UINT64_MAX, .has_seq = true, .from_seq = UINT64_MAX, .to_seq = UINT64_MAX};
    record_stream_resume(stream, UINT64_MAX - 5);
    record *all[] = {
        record_new(stream, UINT64_MAX, UINT64_MAX, BYTES("[1,2]")),
        record_gap_new(stream, &gap),
        record_status_new(stream, RECORD_FAILED, "\x01\xff"),
    };
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(json_read(&doc, all[i]->line, &err));
        CHECK_INT(doc.type, JSON_OBJECT);
        record_unref(all[i]);
    }
    end();
}

TEST(record, numbers_count_per_stream_and_never_repeat)
{
    begin();
    for (uint64_t i = 1; i <= 3; i++) {
        record *r = record_new(stream, 0, 0, BYTES("1"));
        CHECK_UINT(r->seq, i);
        record_unref(r);
    }
    record_stream_resume(stream, 41);
    record_stream_resume(stream, 7); /* never back */
    record *r = record_new(stream, 0, 0, BYTES("1"));
    CHECK_UINT(r->seq, 42);
    CHECK_HAS(line(r), "{\"seq\":\"42\",");
    CHECK_UINT(record_stream_counts(stream)->published, 4);
    record_unref(r);
    end();
}

TEST(record, digits_of_all_lengths_are_right)
{
    begin();
    for (uint64_t value = 1;; value *= 10) {
        char want[64];
        record *r = record_new(stream, value, value - 1, BYTES("1"));
        snprintf(want, sizeof want, "\"ts_event\":\"%llu\",", (unsigned long long)value);
        CHECK_HAS(line(r), want);
        if (value > 1) {
            snprintf(want, sizeof want, "\"ts_recv\":\"%llu\",", (unsigned long long)value - 1);
            CHECK_HAS(line(r), want);
        }
        record_unref(r);
        if (value > UINT64_MAX / 10)
            break;
    }
    end();
}

TEST(record, steady_state_allocates_nothing)
{
    enum { HELD = 64 };
    record *held[HELD] = {0};
    char data[3000];
    begin();
    memset(data, '1', sizeof data);
    uint64_t before = 0;
    for (size_t i = 0; i < 100000; i++) {
        if (i == 20 * HELD)
            before = fault_allocations();
        record_unref(held[i % HELD]);
        held[i % HELD] = record_new(stream, i, i, bytes_make(data, 1 + i % HELD * 40));
    }
    CHECK_UINT(fault_allocations(), before);
    for (size_t i = 0; i < HELD; i++)
        record_unref(held[i]);
    end();
}

TEST(record, blocks_of_all_sizes_come_back)
{
    static char data[200000];
    begin();
    memset(data, '1', sizeof data);
    for (size_t len = 1; len < sizeof data; len = len * 5 / 4 + 1) {
        record *r = record_new(stream, 0, 0, bytes_make(data, len));
        CHECK_UINT(r->data.len, len);
        CHECK_INT(r->line.at[r->line.len], '\n');
        record_unref(r);
    }
    CHECK(record_pool_read_stats(pool).idle_octets <= RECORD_POOL_IDLE);
    end();
}

TEST(record, pool_keeps_a_bounded_number_of_idle_octets)
{
    enum { COUNT = 300 };
    static char data[50000];
    static record *held[COUNT];
    begin();
    memset(data, '1', sizeof data);
    for (size_t i = 0; i < COUNT; i++)
        held[i] = record_new(stream, 0, 0, bytes_make(data, sizeof data));
    for (size_t i = 0; i < COUNT; i++)
        record_unref(held[i]);
    CHECK(record_pool_read_stats(pool).idle_octets <= RECORD_POOL_IDLE);
    CHECK(record_pool_read_stats(pool).idle_octets > RECORD_POOL_IDLE / 2);
    end();
}

TEST(record, outlives_stream_and_pool)
{
    begin();
    record *r = record_new(stream, 0, 0, BYTES("1"));
    record_stream_unref(stream);
    record_pool_unref(pool);
    CHECK_BYTES(record_stream_identifier(r->stream), BYTES("SPOT_BTC_USDT"));
    record_unref(r); /* the last one takes both with it */
    clock_replace(NULL, NULL);
}

TEST(record, without_memory_there_is_none_and_no_number_is_used)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        record_key key = {BYTES("t"), BYTES("s"), BYTES("i"), BYTES("{\"b\":\"\\u0031\",\"a\":2}"), false, 0};
        record_stream *s = NULL;
        record_pool *p = record_pool_new();
        if (!p)
            continue;
        if (record_stream_new(&s, p, &key, &err)) {
            CHECK_UINT(err.code, WEIR_NOMEM);
            CHECK_HAS(err.text, "out of memory");
        } else {
            record *r = record_new(s, 0, 0, BYTES("1"));
            CHECK_UINT(record_stream_seq(s), r ? 1 : 0);
            record *t = record_status_new(s, RECORD_LIVE, "why");
            record_unref(r);
            record_unref(t);
        }
        record_stream_unref(s);
        record_pool_unref(p);
    }
}

TEST(record, parameters_stand_in_the_order_of_their_keys)
{
    weir_error err = WEIR_ERROR_INIT;
    record_stream *s;
    begin();
    record_key key = {BYTES("orderbook"), BYTES("woox"), BYTES("BTC.PERP"),
                      BYTES(" {\"z\":\"l\\u002e2\", \"depth\" : 50,\"a\":null,\"b\":true,\"z2\":\"\",\"depth\":20}"), false, 0};
    CHECK_OK(record_stream_new(&s, pool, &key, &err));
    CHECK_BYTES(record_stream_topic(s), BYTES("orderbook.woox.BTC%2EPERP.true.20.l%2E2.%"));
    CHECK_BYTES(record_stream_parameters(s), BYTES("{\"a\":null,\"b\":true,\"depth\":20,\"z\":\"l\\u002e2\",\"z2\":\"\"}"));
    CHECK_BYTES(record_stream_identifier(s), BYTES("BTC.PERP"));
    record *r = record_new(s, 0, 0, BYTES("1"));
    CHECK_HAS(line(r), "\"connection\":null,\"ts_event\"");
    record_unref(r);
    record_stream_unref(s);
    end();
}

TEST(record, key_that_makes_no_sense_is_refused)
{
    char text[TOPIC_MAX + 1], parameters[512];
    begin();
    memset(text, 'a', sizeof text);
    check_key_refused((record_key){.source = BYTES("s"), .identifier = BYTES("i")}, "type is empty");
    check_key_refused((record_key){.type = BYTES("t"), .identifier = BYTES("i")}, "source is empty");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .identifier = BYTES("\xff")}, "no valid UTF-8");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .identifier = bytes_make(text, sizeof text)}, "at most 1024");
    memset(text, '.', sizeof text);
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .identifier = bytes_make(text, 500)}, "its topic has");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .parameters = BYTES("[1]")}, "is no object");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .parameters = BYTES("{\"a\":")}, "parameters: ");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .parameters = BYTES("{\"a\":{}}")}, "\"a\" is an object or an array");
    size_t len = (size_t)snprintf(parameters, sizeof parameters, "{");
    for (int i = 0; i < 33; i++)
        len += (size_t)snprintf(parameters + len, sizeof parameters - len, "%s\"k%d\":1", i ? "," : "", i);
    snprintf(parameters + len, sizeof parameters - len, "}");
    check_key_refused((record_key){.type = BYTES("t"), .source = BYTES("s"), .parameters = bytes_of(parameters)}, "more than 32");
    end();
}
