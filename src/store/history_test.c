/* History: what was added comes back, in order, whether it is on the disk or waits for it; and goes when it is old. */
#include "store/testing.h"

#include "base/rand.h"

TEST(history, gives_back_the_very_lines_from_memory_and_from_the_disk)
{
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 1);
    record *r = record_new(btc, 5, 6, BYTES("{\"price\":\"0.000000123456\",\"s\":\"\\u00e4\"}"));
    char want[512];
    snprintf(want, sizeof want, "%.*s\n", (int)r->line.len, r->line.at);
    store_history_add(s, r);
    record_unref(r);
    for (int round = 0; round < 3; round++) {
        got g = ask(&(store_history_query){.pattern = ">"});
        CHECK_UINT(g.count, 1);
        CHECK_UINT(g.cursor, 0);
        CHECK_BYTES(buf_bytes(&g.lines), bytes_of(want));
        buf_fini(&g.lines);
        if (round == 0)
            CHECK_INT(flush_store().code, WEIR_OK);
        if (round == 1) {
            close_store();
            open_store();
        }
    }
    record_stream_unref(btc);
    tear_down();
}

/* Three streams in turns: half on the disk, half waiting. */
static record_stream *a, *b, *c;

static void mixed(void)
{
    a = stream_of("trades", "A", 0);
    b = stream_of("trades", "B", 0);
    c = stream_of("ohlcv", "C", 0);
    for (uint64_t i = 1; i <= 12; i++) {
        add_numbers(i % 3 == 1 ? a : i % 3 == 2 ? b
                                                : c,
                    i, 1);
        if (i == 6)
            CHECK_INT(flush_store().code, WEIR_OK);
    }
}

static void mixed_end(void)
{
    record_stream_unref(a);
    record_stream_unref(b);
    record_stream_unref(c);
}

TEST(history, selects_by_pattern_in_the_order_of_arrival)
{
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    mixed();
    for (int round = 0; round < 2; round++) {
        CHECK_VALUES("1 2 3 4 5 6 7 8 9 10 11 12", false, .pattern = ">");
        CHECK_VALUES("1 2 4 5 7 8 10 11", false, .pattern = "trades.>");
        CHECK_VALUES("12 9 6 3", false, .pattern = "ohlcv.*.C", .newest_first = true);
        CHECK_VALUES("11 10 8 7 5 4 2 1", false, .pattern = "trades.>", .newest_first = true);
        CHECK_VALUES("3 6 9 12", false, .topic = "ohlcv.woox.C");
        CHECK_VALUES("", false, .pattern = "ticker.>");
        CHECK_VALUES("", false, .topic = "nothing");
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    got g = ask(&(store_history_query){.pattern = "tra*.x"});
    CHECK_INT(g.code, WEIR_INVALID);
    CHECK_HAS(g.error, "stands for whole tokens");
    g = ask(&(store_history_query){.pattern = NULL});
    CHECK_INT(g.code, WEIR_INVALID);
    g = ask(&(store_history_query){.pattern = ">", .behind_seq = true});
    CHECK_INT(g.code, WEIR_INVALID);
    mixed_end();
    tear_down();
}

TEST(history, goes_on_behind_a_cursor_over_the_seam_of_disk_and_memory)
{
    char all[256];

    set_up();
    options.history_flush_ms = 600000;
    open_store();
    mixed();
    for (int newest = 0; newest < 2; newest++)
        for (uint32_t limit = 1; limit <= 12; limit++) {
            store_history_query q = {.pattern = "trades.>", .limit = limit, .newest_first = newest};
            uint32_t count = 0;
            all[0] = '\0';
            do {
                got g = ask(&q);
                CHECK_INT(g.code, WEIR_OK);
                CHECK(g.count <= limit);
                snprintf(all + strlen(all), sizeof all - strlen(all), "%s ", values(&g));
                count += g.count;
                q.cursor = g.cursor;
                buf_fini(&g.lines);
            } while (q.cursor);
            CHECK_UINT(count, 8);
            CHECK_HAS(all, newest ? "11" : "1");
            if (limit == 3)
                CHECK_TEXT(all, newest ? "11 10 8 7 5 4 2 1 " : "1 2 4 5 7 8 10 11 ");
        }
    mixed_end();
    tear_down();
}

TEST(history, resumes_behind_a_number_unnumbered_records_included)
{
    record *r;

    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (int round = 0; round < 2; round++) {
        add_numbers(btc, 1 + 3 * (uint64_t)round, 3);
        r = record_status_new(btc, RECORD_LIVE, "");
        store_history_add(s, r);
        record_unref(r);
        if (!round)
            CHECK_INT(flush_store().code, WEIR_OK);
    }
    for (int round = 0; round < 2; round++) {
        const char *topic = "trades.woox.BTC";
        CHECK_VALUES("1 2 3 \"live\" 4 5 6 \"live\"", false, .topic = topic, .behind_seq = true);
        CHECK_VALUES("3 \"live\" 4 5 6 \"live\"", false, .topic = topic, .behind_seq = true, .after_seq = 2);
        CHECK_VALUES("\"live\" 4 5 6 \"live\"", false, .topic = topic, .behind_seq = true, .after_seq = 3);
        CHECK_VALUES("6 \"live\"", false, .topic = topic, .behind_seq = true, .after_seq = 5);
        CHECK_VALUES("\"live\"", false, .topic = topic, .behind_seq = true, .after_seq = 6);
        CHECK_VALUES("", false, .topic = topic, .behind_seq = true, .after_seq = 7);
        CHECK_VALUES("", false, .topic = topic, .behind_seq = true, .after_seq = UINT64_MAX);
        CHECK_VALUES("4 5 6", false, .topic = topic, .behind_seq = true, .after_seq = 3, .kinds = 1 << RECORD_DATA);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    record_stream_unref(btc);
    tear_down();
}

TEST(history, keeps_streams_of_one_topic_apart_by_their_connection)
{
    uint64_t one = 1, two = 2;

    set_up();
    open_store();
    record_stream *first = stream_of("trades", "BTC", 1), *second = stream_of("trades", "BTC", 2);
    add_numbers(first, 10, 2);
    add_numbers(second, 20, 2);
    add_numbers(first, 12, 1);
    CHECK_VALUES("10 11 20 21 12", false, .topic = "trades.woox.BTC");
    CHECK_VALUES("10 11 12", false, .topic = "trades.woox.BTC", .connection = &one);
    CHECK_VALUES("21", false, .topic = "trades.woox.BTC", .connection = &two, .behind_seq = true, .after_seq = 1);
    record_stream_unref(first);
    record_stream_unref(second);
    tear_down();
}

/* ---- While records come and go to the disk ---- */

static void check_numbers(const got *g, uint64_t first, uint64_t last)
{
    bytes rest = buf_bytes(&g->lines);
    uint64_t value, next = first;

    CHECK_INT(g->code, WEIR_OK);
    while (rest.len) {
        const char *end = memchr(rest.at, '\n', rest.len);
        json doc;
        CHECK_OK(json_read(&doc, bytes_make(rest.at, (size_t)(end - rest.at)), &err));
        CHECK(json_u64(json_member(doc, "data"), &value));
        CHECK_UINT(value, next);
        next = first <= last ? next + 1 : next - 1;
        rest.len -= (size_t)(end + 1 - rest.at);
        rest.at = end + 1;
    }
    CHECK_UINT(next, first <= last ? last + 1 : last - 1);
}

TEST(history, answers_with_all_that_there_was_when_it_was_asked_and_no_more)
{
    rand_seeded chance = {.state = 17};
    record_stream *streams[4];
    uint64_t added = 0;

    set_up();
    options.history_flush_ms = 1;
    open_store();
    for (int i = 0; i < 4; i++)
        streams[i] = stream_of("trades", (const char *[]){"A", "B", "C", "D"}[i], 0);
    for (int round = 0; round < 400; round++) {
        got g = {.came = false};
        buf_init(&g.lines, SIZE_MAX / 2);
        for (uint64_t n = rand_next(&chance) % 40; n || !added; n -= n != 0)
            add_numbers(streams[rand_next(&chance) % 4], ++added, 1);
        if (rand_next(&chance) % 4 == 0)
            loop_step(l, (int)(rand_next(&chance) % 3));
        uint64_t asked_at = added;
        bool newest = round % 2;
        store_history_read(s, &(store_history_query){.pattern = ">", .limit = 100000, .newest_first = newest}, on_page, &g);
        for (uint64_t n = rand_next(&chance) % 40; n; n--)
            add_numbers(streams[rand_next(&chance) % 4], ++added, 1);
        WAIT_FOR(g.came);
        check_numbers(&g, newest ? asked_at : 1, newest ? 1 : asked_at);
        buf_fini(&g.lines);
    }
    CHECK_UINT(store_read_figures(s).lost, 0);
    for (int i = 0; i < 4; i++)
        record_stream_unref(streams[i]);
    tear_down();
}

TEST(history, answers_what_was_asked_when_it_closes)
{
    got g = {.came = false};
    answer flushed = {false, 0, ""};

    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3);
    store_flush(s, on_answer, &flushed);
    store_history_read(s, &(store_history_query){.pattern = ">"}, on_page, &g);
    close_store();
    CHECK(g.came && flushed.came);
    CHECK_INT(flushed.code, WEIR_OK);
    CHECK(g.code == WEIR_OK || g.code == WEIR_CANCELLED);
    record_stream_unref(btc);
    tear_down();
}

static uint64_t hurried_mono(void) /* time flies: every turn of the reader is over at once */
{
    static uint64_t now = NS_PER_S;
    return __atomic_add_fetch(&now, NS_PER_S, __ATOMIC_RELAXED);
}

static uint64_t any_real(void)
{
    return UINT64_C(1700000000) * NS_PER_S;
}

/* Pages of one stream and of several, over more numbers than a window has, sparse and dense, with time and without. */
TEST(history, reads_streams_of_many_records_page_by_page)
{
    set_up();
    options.history_flush_ms = 50;
    open_store();
    record_stream *dense = stream_of("trades", "DENSE", 0), *sparse = stream_of("trades", "SPARSE", 0);
    for (uint64_t i = 1; i <= 150000; i++) {
        add_numbers(i % 5000 == 7 ? sparse : dense, i, 1);
        if (i % 20000 == 0)
            CHECK_INT(flush_store().code, WEIR_OK);
    }
    for (int which = 0; which < 3; which++)
        for (int newest = 0; newest < 4; newest++) {
            if (newest >= 2)
                clock_replace(any_real, hurried_mono);
            store_history_query q = {.pattern = which == 0 ? "*.*.DENSE" : which == 1 ? "*.*.SPARSE"
                                                                                      : ">",
                                     .limit = 9000,
                                     .newest_first = newest % 2};
            uint32_t count = 0, pages = 0;
            do {
                got g = ask(&q);
                CHECK_INT(g.code, WEIR_OK);
                CHECK(g.count <= 9000);
                count += g.count;
                pages++;
                q.cursor = g.cursor;
                buf_fini(&g.lines);
            } while (q.cursor);
            CHECK_UINT(count, which == 0 ? 149970 : which == 1 ? 30
                                                               : 150000);
            if (which == 1)
                CHECK_UINT(pages, newest < 2 ? 1 : 2); /* 150,000 numbers are two looks at the clock */
            clock_replace(NULL, NULL);
        }
    record_stream_unref(dense);
    record_stream_unref(sparse);
    tear_down();
}

/* ---- Time ---- */

static uint64_t now_real, now_mono;

static uint64_t real(void)
{
    return now_real;
}

static uint64_t mono(void)
{
    return now_mono;
}

static void freeze(uint64_t at)
{
    now_real = at;
    now_mono = NS_PER_S;
    clock_replace(real, mono);
}

TEST(history, selects_by_time_also_when_the_clock_has_stepped)
{
    set_up();
    freeze(1000 * NS_PER_S);
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    static const uint64_t at[] = {1000, 1010, 1100, 900, 910, 1200};
    for (uint64_t i = 0; i < 6; i++) {
        now_real = at[i] * NS_PER_S;
        add(btc, i + 100, (const char *[]){"1", "2", "3", "4", "5", "6"}[i]);
        if (i != 5)
            CHECK_INT(flush_store().code, WEIR_OK); /* a mark each */
    }
    for (int round = 0; round < 2; round++) {
        CHECK_VALUES("1 2 3 6", false, .pattern = ">", .from_ns = 1000 * NS_PER_S);
        CHECK_VALUES("4 5", false, .pattern = ">", .to_ns = 1000 * NS_PER_S);
        CHECK_VALUES("5 2 1", false, .topic = "trades.woox.BTC", .from_ns = 905 * NS_PER_S, .to_ns = 1100 * NS_PER_S, .newest_first = true); /* by arrival */
        CHECK_VALUES("", false, .pattern = ">", .from_ns = 1300 * NS_PER_S);
        CHECK_VALUES("", false, .pattern = ">", .to_ns = 1);
        CHECK_VALUES("3 4 5", false, .pattern = ">", .from_ns = 102, .to_ns = 105, .by_event_time = true);
        close_store();
        open_store();
    }
    record_stream_unref(btc);
    tear_down();
}

/* ---- What is known of streams ---- */

static char told[1024];

static void on_topic(void *arg, const store_topic *t)
{
    size_t len = strlen(told);
    (void)arg;
    snprintf(told + len, sizeof told - len, "%s " BYTES_FMT " records=%llu seq=%llu resume=%llu\n", t->topic, BYTES_ARG(t->envelope), (unsigned long long)t->records, (unsigned long long)t->last_seq, (unsigned long long)t->resume_seq);
}

static const char *topics(void)
{
    told[0] = '\0';
    store_history_topics(s, on_topic, NULL);
    return told;
}

TEST(history, knows_each_stream_and_the_number_to_go_on_behind)
{
    const char *want = "trades.woox.A {\"type\":\"trades\",\"source\":\"woox\",\"identifier\":\"A\",\"parameters\":{},\"connection\":null} records=4 seq=4 resume=4\n"
                       "trades.woox.B {\"type\":\"trades\",\"source\":\"woox\",\"identifier\":\"B\",\"parameters\":{},\"connection\":null} records=4 seq=4 resume=4\n"
                       "ohlcv.woox.C {\"type\":\"ohlcv\",\"source\":\"woox\",\"identifier\":\"C\",\"parameters\":{},\"connection\":null} records=4 seq=4 resume=4\n";
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    mixed();
    CHECK_TEXT(topics(), want);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_TEXT(topics(), want);
    close_store();
    open_store();
    CHECK_TEXT(topics(), want);
    store_figures f = store_read_figures(s);
    CHECK_UINT(f.history_records, 12);
    mixed_end();
    tear_down();
}

/* ---- Retention ---- */

TEST(history, lets_go_what_is_too_old_and_says_what_is_left)
{
    set_up();
    options.history_ms = 60000;
    freeze(1000 * NS_PER_S);
    open_store();
    record_stream *old = stream_of("trades", "OLD", 0), *young = stream_of("trades", "YOUNG", 0);
    for (uint64_t i = 0; i < 10; i++) {
        now_real += 11 * NS_PER_S;
        now_mono += 11 * NS_PER_S;
        if (i < 3)
            add_numbers(old, i, 1);
        add_numbers(young, 100 + i, 1);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    CHECK_VALUES("104 105 106 107 108 109", false, .pattern = ">");
    CHECK_HAS(topics(), "\"OLD\",\"parameters\":{},\"connection\":null} records=0 seq=3 resume=3");
    CHECK_UINT(store_read_figures(s).history_records, 6);
    close_store();
    open_store();
    CHECK_VALUES("104 105 106 107 108 109", false, .pattern = ">");
    CHECK_HAS(topics(), "\"OLD\",\"parameters\":{},\"connection\":null} records=0 seq=3 resume=3");
    CHECK_HAS(topics(), "records=6 seq=10 resume=10");
    record_stream_unref(old);
    record_stream_unref(young);
    tear_down();
}

TEST(history, keeps_for_another_time_when_it_is_told)
{
    set_up();
    options.history_ms = 60000;
    freeze(1000 * NS_PER_S);
    open_store();
    record_stream *stream = stream_of("trades", "ONE", 0);
    for (uint64_t i = 0; i < 10; i++) {
        now_real += 11 * NS_PER_S;
        now_mono += 11 * NS_PER_S;
        if (i == 5)
            store_retain(s, 0, 25000);
        add_numbers(stream, 100 + i, 1);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    CHECK_VALUES("107 108 109", false, .pattern = ">");
    record_stream_unref(stream);
    tear_down();
}

TEST(history, keeps_for_ever_where_the_time_is_larger_than_any)
{
    set_up();
    options.history_ms = UINT64_MAX / NS_PER_MS + 1; /* less than a millisecond, were it to wrap */
    freeze(1000 * NS_PER_S);
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (uint64_t i = 1; i <= 3; i++) {
        add_numbers(btc, i, 1);
        CHECK_INT(flush_store().code, WEIR_OK);
        now_real += 100 * NS_PER_S;
        now_mono += 100 * NS_PER_S;
    }
    CHECK_VALUES("1 2 3", false, .pattern = ">");
    record_stream_unref(btc);
    tear_down();
}

TEST(history, judges_no_age_while_the_clock_has_just_stepped)
{
    set_up();
    options.history_ms = 60000;
    freeze(1000 * NS_PER_S);
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3);
    CHECK_INT(flush_store().code, WEIR_OK);
    now_real += UINT64_C(86400) * 365 * NS_PER_S;
    now_mono += NS_PER_S;
    add_numbers(btc, 4, 1);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_VALUES("1 2 3 4", false, .pattern = ">");
    CHECK_HAS(log_text(), "the clock has stepped by 3153");
    now_real += 601 * NS_PER_S; /* it was right: now they are too old */
    now_mono += 601 * NS_PER_S;
    add_numbers(btc, 5, 1);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_VALUES("5", false, .pattern = ">");
    record_stream_unref(btc);
    tear_down();
}

TEST(history, stays_below_its_size_by_letting_the_oldest_go)
{
    char data[1024];

    set_up();
    options.history_octets = 1 << 20;
    open_store();
    record_stream *streams[5];
    for (int i = 0; i < 5; i++)
        streams[i] = stream_of("trades", (const char *[]){"A", "B", "C", "D", "E"}[i], 0);
    memset(data, 'x', sizeof data);
    data[0] = data[1000] = '"';
    data[1001] = '\0';
    for (int i = 0; i < 4000; i++) {
        add(streams[i % 5], 0, data);
        if (i % 50 == 49)
            CHECK_INT(flush_store().code, WEIR_OK);
    }
    store_figures f = store_read_figures(s);
    CHECK_UINT(f.added, 4000);
    CHECK_UINT(f.written, 4000);
    CHECK(f.history_records > 400 && f.history_records < 1000);
    got g = ask(&(store_history_query){.pattern = ">", .kinds = 1 << RECORD_DATA});
    CHECK_UINT(g.count, f.history_records);
    buf_fini(&g.lines);
    uint64_t used = 0;
    CHECK_OK(db_number(&s->writer.db, "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)", 0, &used, &err));
    CHECK(used < 2 << 20);
    for (int i = 0; i < 5; i++)
        record_stream_unref(streams[i]);
    tear_down();
}

/* ---- The hot path ---- */

TEST(history, allocates_nothing_for_a_record_once_it_is_warm)
{
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (int round = 0; round < 3; round++) {
        uint64_t before = fault_allocations();
        for (uint64_t i = 0; i < 5000; i++)
            add(btc, i, "{\"price\":\"1\"}");
        if (round == 2)
            CHECK_UINT(fault_allocations() - before, 0);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    CHECK_UINT(store_read_figures(s).history_records, 15000);
    record_stream_unref(btc);
    tear_down();
}
