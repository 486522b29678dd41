/* What each policy does when a reader falls behind. Every test ends by adding up the account. */
#include "base/json.h"
#include "hub/hub.h"
#include "tests/lib/test.h"

static hub *h;
static record_stream *btc, *eth;

/* The line as C text. */
static const char *line(const record *r)
{
    static char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)r->line.len, r->line.at);
    return text;
}

static record_stream *stream_of(const char *symbol)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox"), bytes_of(symbol), {NULL, 0}, false, 0};
    record_stream *s;
    CHECK_OK(hub_stream(&s, h, &key, &err));
    return s;
}

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(hub_new(&h, &err));
    btc = stream_of("BTC");
    eth = stream_of("ETH");
}

static void adds_up(void)
{
    weir_error err = WEIR_ERROR_INIT;
    if (!hub_account_check(h, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void end(void)
{
    adds_up();
    record_stream_unref(btc);
    record_stream_unref(eth);
    CHECK_UINT(hub_read_stats(h).lost, 0);
    hub_free(h);
}

static sub *reader(sub_policy policy, uint64_t records, uint64_t octets)
{
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.policy = policy, .max_records = records, .max_octets = octets};
    sub *s;
    CHECK_OK(hub_subscribe(&s, h, ">", &o, &err));
    return s;
}

static bool publish(record_stream *s, const char *data)
{
    bool go_on = hub_publish(h, record_new(s, 0, 100 + record_stream_seq(s), bytes_of(data)));
    adds_up();
    return go_on;
}

/* The next record in short: its data, or a gap as "gap BTC count from_seq-to_seq", or "" for none. */
static const char *next(sub *s)
{
    static char text[256];
    record *r = sub_next(s);
    json doc, count, from, to;

    text[0] = '\0';
    if (!r)
        return text;
    bytes id = record_stream_identifier(r->stream);
    if (r->kind == RECORD_DATA) {
        snprintf(text, sizeof text, BYTES_FMT, BYTES_ARG(r->data));
    } else if (r->kind == RECORD_STATUS) {
        snprintf(text, sizeof text, "status %s", record_state_name((record_state)r->state));
    } else {
        json_field fields[] = {{"count", &count}, {"from_seq", &from}, {"to_seq", &to}};
        CHECK(!json_read_fields(r->line, fields, 3, NULL));
        CHECK_BYTES(json_read(&doc, r->line, NULL) ? BYTES("") : bytes_make(doc.raw.at, 1), BYTES("{"));
        snprintf(text, sizeof text, "gap " BYTES_FMT " " BYTES_FMT " " BYTES_FMT "-" BYTES_FMT, BYTES_ARG(id), BYTES_ARG(count.raw),
                 BYTES_ARG(from.raw), BYTES_ARG(to.raw));
    }
    record_unref(r);
    adds_up();
    return text;
}

TEST(sub, reader_gets_all_in_order)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 8, 0);
    publish(btc, "1");
    publish(eth, "2");
    publish(btc, "3");
    CHECK_TEXT(next(s), "1");
    CHECK_TEXT(next(s), "2");
    CHECK_TEXT(next(s), "3");
    CHECK_TEXT(next(s), "");
    CHECK_UINT(sub_read_account(s).delivered, 3);
    CHECK_UINT(sub_dropped(s), 0);
    end();
}

TEST(sub, slow_reader_drops_its_oldest_and_is_told)
{
    begin();
    sub *slow = reader(SUB_DROP_OLDEST, 2, 0), *fast = reader(SUB_DROP_OLDEST, 8, 0);
    publish(btc, "3011.2");
    publish(btc, "3011.3");
    publish(btc, "3011.4");
    CHECK_TEXT(next(slow), "gap BTC 1 \"1\"-\"1\"");
    CHECK_TEXT(next(slow), "3011.3");
    CHECK_TEXT(next(slow), "3011.4");
    CHECK_TEXT(next(slow), "");
    CHECK_TEXT(next(fast), "3011.2");
    CHECK_UINT(sub_dropped(slow), 1);
    CHECK_UINT(sub_dropped(fast), 0);
    end();
}

TEST(sub, gap_stands_before_the_next_record_and_names_times)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 1, 0);
    publish(btc, "1"); /* received at 100, 101, 102 */
    publish(btc, "2");
    publish(btc, "3");
    record *r = sub_peek(s);
    CHECK_INT(r->kind, RECORD_GAP);
    CHECK_INT(r->cause, RECORD_GAP_SLOW_READER);
    CHECK_HAS(line(r), "\"cause\":\"slow_reader\",\"from\":\"100\",\"to\":\"101\",\"count\":2,\"from_seq\":\"1\",\"to_seq\":\"2\"");
    sub_pop(s);
    CHECK_TEXT(next(s), "3");
    end();
}

TEST(sub, each_stream_that_lost_has_its_own_gap)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 1, 0);
    publish(btc, "1");
    publish(eth, "2");
    publish(btc, "3");
    publish(eth, "4");
    CHECK_TEXT(next(s), "gap BTC 2 \"1\"-\"2\"");
    CHECK_TEXT(next(s), "gap ETH 1 \"1\"-\"1\"");
    CHECK_TEXT(next(s), "4");
    CHECK_TEXT(next(s), "");
    CHECK_UINT(sub_read_account(s).told, 3);
    end();
}

TEST(sub, loss_while_a_gap_is_shown_makes_another_gap)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 1, 0);
    publish(btc, "1");
    publish(btc, "2");
    CHECK_INT(sub_peek(s)->kind, RECORD_GAP);
    publish(btc, "3");
    CHECK_TEXT(next(s), "gap BTC 1 \"1\"-\"1\"");
    CHECK_TEXT(next(s), "gap BTC 1 \"2\"-\"2\"");
    CHECK_TEXT(next(s), "3");
    end();
}

TEST(sub, lost_gap_record_widens_the_gap)
{
    begin();
    record_gap gap = {.cause = RECORD_GAP_DISCONNECTED, .from_ns = 50, .to_ns = 60};
    sub *s = reader(SUB_DROP_OLDEST, 1, 0);
    hub_publish_gap(h, btc, &gap);
    publish(btc, "2");
    CHECK_HAS(line(sub_peek(s)), "\"from\":\"50\",\"to\":\"60\",\"count\":1");
    end();
}

TEST(sub, queue_is_bounded_by_octets_but_takes_one_record_always)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 0, 1);
    publish(btc, "1");
    publish(btc, "22222222");
    CHECK_UINT(sub_read_account(s).queued, 1);
    CHECK_TEXT(next(s), "gap BTC 1 \"1\"-\"1\"");
    CHECK_TEXT(next(s), "22222222");
    CHECK_UINT(sub_read_account(s).queued_octets, 0);
    end();
}

TEST(sub, pop_after_its_record_was_dropped_takes_nothing)
{
    begin();
    sub *s = reader(SUB_DROP_OLDEST, 1, 0);
    publish(btc, "1");
    CHECK_BYTES(sub_peek(s)->data, BYTES("1"));
    publish(btc, "2");
    sub_pop(s);
    CHECK_UINT(sub_read_account(s).delivered, 0);
    CHECK_TEXT(next(s), "gap BTC 1 \"1\"-\"1\"");
    CHECK_TEXT(next(s), "2");
    sub_pop(s); /* nothing was peeked */
    end();
}

TEST(sub, newest_of_a_stream_takes_the_place_of_the_waiting_one)
{
    begin();
    sub *s = reader(SUB_NEWEST_PER_KEY, 8, 0);
    publish(btc, "1");
    publish(eth, "2");
    publish(btc, "3");
    publish(btc, "4");
    CHECK_TEXT(next(s), "4");
    publish(btc, "5");
    CHECK_TEXT(next(s), "2");
    CHECK_TEXT(next(s), "5");
    CHECK_TEXT(next(s), "");
    CHECK_UINT(sub_read_account(s).dropped[SUB_DROPPED_REPLACED], 2);
    CHECK_UINT(sub_read_account(s).gaps, 0);
    end();
}

TEST(sub, nothing_overtakes_a_gap_or_a_status)
{
    begin();
    record_gap gap = {.cause = RECORD_GAP_SEQUENCE, .count = 1, .has_seq = true, .from_seq = 8, .to_seq = 8};
    sub *s = reader(SUB_NEWEST_PER_KEY, 8, 0);
    publish(btc, "1");
    hub_publish_gap(h, btc, &gap);
    publish(btc, "2");
    hub_publish_status(h, btc, RECORD_LIVE, "");
    publish(btc, "3");
    publish(btc, "4");
    CHECK_TEXT(next(s), "1");
    CHECK_TEXT(next(s), "gap BTC 1 \"8\"-\"8\"");
    CHECK_TEXT(next(s), "2");
    CHECK_TEXT(next(s), "status live");
    CHECK_TEXT(next(s), "4");
    end();
}

TEST(sub, newest_per_topic_drops_the_oldest_when_full_of_streams)
{
    begin();
    enum { STREAMS = 40 };
    record_stream *many[STREAMS];
    sub *s = reader(SUB_NEWEST_PER_KEY, 8, 0);
    for (int i = 0; i < STREAMS; i++) {
        char name[16];
        snprintf(name, sizeof name, "S%d", i);
        many[i] = stream_of(name);
    }
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < STREAMS; i++)
            publish(many[i], "1");
    CHECK_UINT(sub_read_account(s).queued, 8);
    CHECK_UINT(sub_read_account(s).dropped[SUB_DROPPED_OLDEST], 5 * STREAMS - 8);
    CHECK_UINT(sub_read_account(s).still_to_tell, 5 * STREAMS - 8);
    int gaps = 0;
    while (strncmp(next(s), "gap ", 4) == 0)
        gaps++;
    CHECK_INT(gaps, STREAMS);
    CHECK_UINT(sub_read_account(s).still_to_tell, 0);
    CHECK_UINT(sub_read_account(s).delivered, 1);
    for (int i = 0; i < STREAMS; i++)
        record_stream_unref(many[i]);
    end();
}

TEST(sub, random_pushes_and_pops_keep_every_account)
{
    static const sub_policy policies[] = {SUB_DROP_OLDEST, SUB_NEWEST_PER_KEY, SUB_BLOCK};
    for (size_t p = 0; p < 3; p++) {
        begin();
        record_stream *many[50];
        uint64_t told[50] = {0}, seen[50] = {0}, replaced = 0, x = 88172645463325252u;
        sub *s = reader(policies[p], 30, 3000);
        for (int i = 0; i < 50; i++) {
            char name[16];
            snprintf(name, sizeof name, "S%d", i);
            many[i] = stream_of(name);
        }
        for (int step = 0; step < 20000 || sub_peek(s); step++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            if (step < 20000 && x % 5 < 3) {
                hub_publish(h, record_new(many[x / 7 % 50], 0, (uint64_t)step + 1, BYTES("1")));
                continue;
            }
            record *r = sub_next(s);
            if (!r)
                continue;
            for (int i = 0; i < 50; i++) {
                if (r->stream != many[i])
                    continue;
                if (r->kind == RECORD_DATA) {
                    CHECK(r->seq > seen[i]);
                    if (policies[p] != SUB_NEWEST_PER_KEY)
                        CHECK_UINT(r->seq, seen[i] + told[i] + 1);
                    seen[i] = r->seq;
                    told[i] = 0;
                } else if (r->kind == RECORD_GAP) {
                    json count;
                    json_field field = {"count", &count};
                    uint64_t n = 0;
                    CHECK(!json_read_fields(r->line, &field, 1, NULL));
                    CHECK(json_u64(count, &n));
                    told[i] += n;
                }
            }
            record_unref(r);
        }
        sub_account a = sub_read_account(s);
        replaced = a.dropped[SUB_DROPPED_REPLACED];
        CHECK_UINT(a.still_to_tell, 0);
        CHECK_UINT(a.offered, a.delivered + a.told + replaced);
        for (int i = 0; i < 50; i++)
            record_stream_unref(many[i]);
        end();
    }
}

TEST(sub, disconnect_cuts_the_reader_off_and_leaves_it_what_is_queued)
{
    begin();
    sub *s = reader(SUB_DISCONNECT, 2, 0);
    publish(btc, "1");
    publish(btc, "2");
    CHECK(!sub_cut(s));
    publish(btc, "3");
    CHECK(sub_cut(s));
    publish(btc, "4"); /* not offered any more */
    CHECK_TEXT(next(s), "1");
    CHECK_TEXT(next(s), "2");
    CHECK_TEXT(next(s), "");
    CHECK_UINT(sub_read_account(s).offered, 3);
    CHECK_UINT(sub_read_account(s).dropped[SUB_DROPPED_CUT], 1);
    end();
}

static int rooms;

static void on_room(void *arg)
{
    (void)arg;
    rooms++;
}

TEST(sub, block_loses_nothing_and_tells_the_publisher_to_stop)
{
    hub_waiter w = {.on_room = on_room};
    begin();
    rooms = 0;
    sub *s = reader(SUB_BLOCK, 4, 0);
    CHECK(publish(btc, "1"));
    CHECK(publish(btc, "2"));
    CHECK(publish(btc, "3"));
    CHECK(!publish(btc, "4"));
    CHECK(!publish(btc, "5")); /* taken all the same */
    CHECK(hub_blocked(h, btc));
    hub_wait(h, &w);
    hub_wait(h, &w); /* once is enough */
    CHECK_TEXT(next(s), "1");
    CHECK_TEXT(next(s), "2");
    CHECK_INT(rooms, 0);
    CHECK_TEXT(next(s), "3");
    CHECK_INT(rooms, 1);
    CHECK(!hub_blocked(h, NULL));
    CHECK_TEXT(next(s), "4");
    CHECK_TEXT(next(s), "5");
    CHECK(publish(btc, "6"));
    CHECK_INT(rooms, 1);
    CHECK_UINT(sub_dropped(s), 0);
    end();
}

TEST(sub, block_stops_only_the_streams_that_the_reader_reads)
{
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.policy = SUB_BLOCK, .max_records = 1};
    sub *s;
    begin();
    CHECK_OK(hub_subscribe(&s, h, "*.*.BTC", &o, &err));
    CHECK(!publish(btc, "1"));
    CHECK(publish(eth, "1"));
    CHECK(hub_blocked(h, btc));
    CHECK(!hub_blocked(h, eth));
    CHECK(hub_blocked(h, NULL));
    end();
}

TEST(sub, publisher_that_will_not_stop_overruns_within_bounds)
{
    begin();
    sub *s = reader(SUB_BLOCK, 2, 0);
    for (int i = 0; i < 20; i++)
        publish(btc, "1");
    CHECK_UINT(sub_read_account(s).queued, 2 * SUB_OVERRUN);
    CHECK_UINT(sub_read_account(s).dropped[SUB_DROPPED_OVERRUN], 20 - 2 * SUB_OVERRUN);
    CHECK_TEXT(next(s), "gap BTC 12 \"1\"-\"12\"");
    end();
}

TEST(sub, steady_state_allocates_nothing_under_any_policy)
{
    for (int policy = SUB_DROP_OLDEST; policy <= SUB_BLOCK; policy++) {
        begin();
        sub *s = reader((sub_policy)policy, 100, 0);
        uint64_t before = 0;
        for (int i = 0; i < 20000; i++) {
            if (i == 2000)
                before = fault_allocations();
            hub_publish(h, record_new(i % 3 ? btc : eth, 1, 1, BYTES("{\"price\":1}")));
            if (i % 500 >= 250 || policy == SUB_DISCONNECT)
                for (int n = 0; n < 3; n++)
                    record_unref(sub_next(s));
        }
        CHECK_UINT(fault_allocations(), before);
        end();
    }
}

TEST(sub, every_failed_allocation_leaves_the_account_right)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        record_key key = {BYTES("t"), BYTES("s"), BYTES("i"), {NULL, 0}, false, 0};
        record_stream *st = NULL;
        for (int policy = SUB_DROP_OLDEST; policy <= SUB_BLOCK; policy++) {
            sub_options o = {.policy = (sub_policy)policy, .max_records = 20};
            sub *s = NULL;
            h = NULL;
            if (!hub_new(&h, &err) && !hub_stream(&st, h, &key, &err)) {
                if (!hub_subscribe(&s, h, "t.>", &o, &err)) {
                    for (int i = 0; i < 40; i++)
                        hub_publish(h, record_new(st, 0, 0, BYTES("1")));
                    for (int i = 0; i < 10; i++)
                        record_unref(sub_next(s));
                    hub_account a = hub_read_account(h);
                    CHECK_UINT(a.published + hub_read_stats(h).lost, 40);
                    adds_up();
                }
                record_stream_unref(st);
            }
            if (err.code)
                CHECK_UINT(err.code, WEIR_NOMEM);
            hub_free(h);
        }
    }
}

/* Warned before it bites, at the head of the queue, once until half is free again; nobody else hears of it. */
TEST(sub, a_lagging_reader_is_warned_before_it_loses_anything)
{
    begin();
    sub *slow = reader(SUB_DROP_OLDEST, 16, 0), *other = reader(SUB_DROP_OLDEST, 100, 0);
    for (int i = 0; i < 11; i++)
        publish(btc, "1");
    CHECK(sub_peek(slow)->kind == RECORD_DATA);
    publish(btc, "1");
    record *r = sub_peek(slow);
    CHECK(r->kind == RECORD_STATUS && r->state == RECORD_LAGGING && r->stream == btc);
    CHECK_HAS(line(r), "drop_oldest: 12 of 16 records");
    CHECK_HAS(line(r), "the oldest go");
    CHECK_TEXT(next(slow), "status lagging");
    publish(btc, "1");
    for (int i = 0; i < 6; i++)
        CHECK_TEXT(next(slow), "1");
    CHECK_UINT(sub_read_account(slow).queued, 7); /* below half */
    for (int i = 0; i < 5; i++)
        publish(btc, "2");
    CHECK_TEXT(next(slow), "status lagging");
    for (int i = 0; i < 12; i++)
        CHECK(strcmp(next(slow), "status lagging") != 0);
    CHECK_TEXT(next(slow), "");
    CHECK_UINT(sub_read_account(slow).warnings, 2);
    CHECK_UINT(sub_read_account(slow).delivered, 18);
    CHECK_UINT(sub_dropped(slow), 0);
    CHECK_TEXT(next(other), "1");
    CHECK_UINT(sub_read_account(other).warnings, 0);
    end();
}

TEST(sub, octets_warn_as_well_as_records)
{
    begin();
    sub *s = reader(SUB_BLOCK, 1000, 4000); /* lines of some 180 octets */
    for (int i = 0; i < 30 && (!sub_peek(s) || sub_peek(s)->kind == RECORD_DATA); i++)
        publish(btc, "1");
    CHECK(sub_read_account(s).queued_octets >= 3000);
    CHECK(sub_read_account(s).queued_octets < 4000);
    CHECK_HAS(line(sub_peek(s)), "block: ");
    CHECK_HAS(line(sub_peek(s)), "the plugins wait");
    end();
}

/* Four that do not read, each after its own policy, and one that does and notices nothing. */
TEST(sub, readers_that_are_stuck_pay_by_their_own_policy_and_nobody_else_does)
{
    begin();
    sub *oldest = reader(SUB_DROP_OLDEST, 16, 0), *newest = reader(SUB_NEWEST_PER_KEY, 16, 0);
    sub *cut = reader(SUB_DISCONNECT, 16, 0), *block = reader(SUB_BLOCK, 16, 0), *fast = reader(SUB_DROP_OLDEST, 16, 0);
    for (int i = 1; i <= 20; i++) {
        char data[8];
        snprintf(data, sizeof data, "%d", i);
        CHECK(publish(btc, data) == (i < 16)); /* the one that blocks says so, and keeps what comes all the same */
        CHECK_TEXT(next(fast), data);
    }
    CHECK_TEXT(next(fast), "");
    CHECK_TEXT(next(oldest), "status lagging");
    CHECK_TEXT(next(oldest), "gap BTC 4 \"1\"-\"4\"");
    CHECK_TEXT(next(oldest), "5");
    CHECK_TEXT(next(newest), "20");
    CHECK_TEXT(next(newest), "");
    CHECK_TEXT(next(cut), "status lagging");
    CHECK(sub_cut(cut));
    for (int i = 0; i < 16; i++)
        CHECK(*next(cut));
    CHECK_TEXT(next(cut), "");
    CHECK_TEXT(next(block), "status lagging");
    CHECK_TEXT(next(block), "1");
    CHECK_UINT(sub_dropped(oldest), 4);
    CHECK_UINT(sub_read_account(newest).dropped[SUB_DROPPED_REPLACED], 19);
    CHECK_UINT(sub_read_account(cut).dropped[SUB_DROPPED_CUT], 1);
    CHECK_UINT(sub_dropped(block) + sub_dropped(fast), 0);
    CHECK_UINT(sub_read_account(fast).delivered, 20);
    CHECK_UINT(sub_read_account(fast).warnings, 0);
    end();
}

TEST(sub, a_warning_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        hub *small = NULL;
        sub *s = NULL;
        record_stream *stream = NULL;
        sub_options o = {.max_records = 16};
        record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, false, 0};
        if (!hub_new(&small, &err) && !hub_stream(&stream, small, &key, &err) && !hub_subscribe(&s, small, ">", &o, &err)) {
            for (int i = 0; i < 20; i++)
                hub_publish(small, record_new(stream, 0, 1, BYTES("1")));
            for (record *r; (r = sub_next(s));)
                record_unref(r);
            CHECK(hub_account_check(small, &err));
        }
        if (stream)
            record_stream_unref(stream);
        hub_free(small);
    }
}

/* ---- Streams that somebody keeps whole: a change is its number N, the whole behind it [N] ---- */

static bool keeps; /* it can say the whole now */
static int made;

static record *make_whole(void *arg, const record *change)
{
    char data[40];
    CHECK(arg == &keeps && !change->whole);
    if (!keeps)
        return NULL;
    made++;
    snprintf(data, sizeof data, "[" BYTES_FMT "]", BYTES_ARG(change->data));
    return record_whole_new(change->stream, change->seq, change->ts_event, change->ts_recv, bytes_of(data));
}

static void begin_kept(void)
{
    begin();
    made = 0;
    keeps = true;
    record_stream_keep(btc, make_whole, &keeps, 0);
    hub_publish(h, record_whole_new(btc, 0, 0, 0, BYTES("[0]")));
    publish(btc, "1");
}

static void publish_many(record_stream *s, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char data[20];
        snprintf(data, sizeof data, "%d", i);
        publish(s, data);
    }
}

TEST(sub, a_late_reader_begins_with_the_whole_in_place_of_a_change)
{
    begin_kept();
    sub *late = reader(SUB_BLOCK, 8, 0), *too = reader(SUB_BLOCK, 8, 0);
    publish_many(btc, 2, 3);
    publish(eth, "9");
    record *r = sub_next(late);
    CHECK_BYTES(r->data, BYTES("[2]"));
    CHECK_UINT(r->seq, 3); /* that of the change, so the numbers go on */
    record_unref(r);
    r = sub_next(late);
    CHECK_BYTES(r->data, BYTES("3"));
    CHECK_UINT(r->seq, 4);
    record_unref(r);
    CHECK_TEXT(next(late), "9");
    CHECK_TEXT(next(late), "");
    CHECK_TEXT(next(too), "[2]");
    CHECK_INT(made, 1); /* once for both */
    CHECK_UINT(sub_read_account(late).offered, 3);
    CHECK_UINT(sub_read_account(late).snapshots, 1);
    CHECK_UINT(hub_read_account(h).subs.snapshots, 2);
    end();
}

TEST(sub, a_whole_of_the_stream_itself_needs_no_other)
{
    begin_kept();
    sub *late = reader(SUB_BLOCK, 8, 0);
    hub_publish(h, record_whole_new(btc, 0, 0, 0, BYTES("[2]")));
    publish(btc, "3");
    CHECK_TEXT(next(late), "[2]");
    CHECK_TEXT(next(late), "3");
    CHECK_UINT(sub_read_account(late).snapshots, 0);
    end();
}

TEST(sub, nothing_replaces_a_change_while_nobody_can_say_the_whole)
{
    begin_kept();
    sub *late = reader(SUB_BLOCK, 8, 0);
    keeps = false;
    publish(btc, "2");
    keeps = true;
    publish_many(btc, 3, 4);
    CHECK_TEXT(next(late), "2");
    CHECK_TEXT(next(late), "[3]");
    CHECK_TEXT(next(late), "4");
    record_stream_keep(btc, NULL, NULL, 0);
    publish(btc, "5");
    CHECK_TEXT(next(late), "5");
    CHECK_TEXT(next(reader(SUB_BLOCK, 8, 0)), "");
    end();
}

/* What waits behind a lost change is of no use: it is lost, too, and the whole stands where the changes go on. */
TEST(sub, a_reader_that_lost_changes_goes_on_with_the_whole)
{
    begin_kept();
    sub *s = reader(SUB_DROP_OLDEST, 4, 0);
    publish_many(btc, 2, 3);
    publish(eth, "90");
    publish(btc, "4");
    publish_many(btc, 5, 6); /* 5 finds no room: 2 goes, and 3 and 4 with it */
    CHECK_TEXT(next(s), "gap BTC 3 \"3\"-\"5\"");
    CHECK_TEXT(next(s), "90");
    CHECK_TEXT(next(s), "[5]");
    CHECK_TEXT(next(s), "6");
    CHECK_TEXT(next(s), "");
    sub_account a = sub_read_account(s);
    CHECK_UINT(a.offered, 6);
    CHECK_UINT(a.dropped[SUB_DROPPED_OLDEST], 3);
    CHECK_UINT(a.told, 3);
    CHECK_UINT(a.snapshots, 2);
    end();
}

TEST(sub, what_waits_behind_a_whole_stays_when_a_change_before_it_is_lost)
{
    begin_kept();
    sub *s = reader(SUB_DROP_OLDEST, 4, 0);
    publish_many(btc, 2, 3);
    hub_publish(h, record_whole_new(btc, 0, 0, 0, BYTES("[4]")));
    publish_many(btc, 5, 6);
    CHECK_TEXT(next(s), "gap BTC 2 \"3\"-\"4\"");
    CHECK_TEXT(next(s), "[4]");
    CHECK_TEXT(next(s), "5");
    CHECK_TEXT(next(s), "6");
    CHECK_UINT(sub_read_account(s).snapshots, 1); /* the [2] at the beginning */
    end();
}

/* Others' records keep their places and their order. */
TEST(sub, a_loss_of_one_kept_stream_leaves_the_other_alone)
{
    begin_kept();
    record_stream_keep(eth, make_whole, &keeps, 0);
    sub *s = reader(SUB_DROP_OLDEST, 6, 0);
    publish_many(btc, 2, 3);
    publish_many(eth, 20, 21);
    publish_many(btc, 4, 5);
    publish_many(eth, 22, 23);
    CHECK_TEXT(next(s), "gap BTC 4 \"3\"-\"6\"");
    CHECK_TEXT(next(s), "[20]");
    CHECK_TEXT(next(s), "21");
    CHECK_TEXT(next(s), "22");
    CHECK_TEXT(next(s), "23");
    publish(btc, "6");
    CHECK_TEXT(next(s), "[6]");
    record_stream_keep(eth, NULL, NULL, 0);
    end();
}

TEST(sub, newest_per_key_of_a_kept_stream_is_always_the_whole)
{
    begin_kept();
    sub *s = reader(SUB_NEWEST_PER_KEY, 4, 0);
    publish_many(btc, 2, 5);
    CHECK_TEXT(next(s), "[5]");
    publish(btc, "6");
    CHECK_TEXT(next(s), "6"); /* it keeps up: a change is enough */
    publish_many(btc, 7, 9);
    publish(eth, "90");
    CHECK_TEXT(next(s), "[9]");
    CHECK_TEXT(next(s), "90");
    CHECK_UINT(sub_read_account(s).dropped[SUB_DROPPED_REPLACED], 5);
    end();
}

TEST(sub, newest_per_key_finds_its_places_again_when_others_moved_up)
{
    begin_kept();
    record_stream *sol = stream_of("SOL");
    sub *s = reader(SUB_NEWEST_PER_KEY, 4, 0);
    publish(btc, "2");
    hub_publish_status(h, btc, RECORD_LIVE, "");
    publish(btc, "3"); /* may not overtake the status, so it has a place of its own */
    publish(eth, "20");
    publish(sol, "30"); /* no room: 2 goes, and 3 with it */
    publish(eth, "21");
    publish(sol, "31");
    CHECK_TEXT(next(s), "gap BTC 2 \"3\"-\"4\"");
    CHECK_TEXT(next(s), "status live");
    CHECK_TEXT(next(s), "21");
    CHECK_TEXT(next(s), "31");
    CHECK_TEXT(next(s), "");
    record_stream_unref(sol);
    end();
}

/* The references that a reader keeps of such streams go with it, whatever fails. */
TEST(sub, kept_streams_survive_failing_memory)
{
    begin_kept();
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        sub_options o = {.policy = SUB_DROP_OLDEST, .max_records = 3};
        sub *s;
        if (hub_subscribe(&s, h, ">", &o, &err))
            continue;
        publish_many(btc, 2, 8);
        adds_up();
        hub_unsubscribe(h, s);
    }
    record_stream_unref(btc);
    record_stream_unref(eth);
    hub_free(h);
}
