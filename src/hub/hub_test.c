/* Fan-out, and what readers may do from inside their callback. Every test ends by adding up the account. */
#include "hub/hub.h"
#include "tests/lib/test.h"

static hub *h;
static record_stream *btc;

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, false, 0};
    CHECK_OK(hub_new(&h, &err));
    CHECK_OK(hub_stream(&btc, h, &key, &err));
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
    hub_free(h);
}

static bool publish(const char *data)
{
    return hub_publish(h, record_new(btc, 0, 0, bytes_of(data)));
}

static sub *subscribe(const char *pattern, sub_on_ready on_ready, void *arg)
{
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.on_ready = on_ready, .arg = arg};
    sub *s = NULL;
    CHECK_OK(hub_subscribe(&s, h, pattern, &o, &err));
    return s;
}

static const char *next(sub *s)
{
    static char text[64];
    record *r = sub_next(s);
    snprintf(text, sizeof text, BYTES_FMT, BYTES_ARG(r ? r->data : BYTES("")));
    record_unref(r);
    return text;
}

TEST(hub, a_topic_may_be_two_streams_and_a_reader_takes_one)
{
    weir_error err = WEIR_ERROR_INIT;
    record_stream *two[2];
    uint64_t numbers[2] = {7, 70};
    begin();
    sub *all = subscribe("trades.>", NULL, NULL), *of_70 = NULL;
    for (int i = 0; i < 2; i++) {
        record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, true, numbers[i]};
        CHECK_OK(hub_stream(&two[i], h, &key, &err));
        CHECK_BYTES(record_stream_topic(two[i]), BYTES("trades.woox.BTC"));
    }
    CHECK_BYTES(record_stream_name(two[0]), BYTES("trades.woox.BTC@7"));
    CHECK_TEXT(record_stream_name(two[1]).at, "trades.woox.BTC@70");
    CHECK_TEXT(record_stream_name(btc).at, "trades.woox.BTC"); /* of no connection */
    sub_options o = {.policy = SUB_BLOCK, .max_records = 1, .connection = &numbers[1]};
    CHECK_OK(hub_subscribe(&of_70, h, "trades.>", &o, &err));
    CHECK(publish("0"));
    CHECK(hub_publish(h, record_new(two[0], 0, 0, BYTES("7"))));
    CHECK(!hub_publish(h, record_new(two[1], 0, 0, BYTES("70")))); /* its queue is full */
    CHECK(hub_blocked(h, two[1]) && !hub_blocked(h, two[0]) && !hub_blocked(h, btc));
    CHECK_TEXT(next(of_70), "70");
    CHECK_TEXT(next(of_70), "");
    CHECK_TEXT(next(all), "0");
    CHECK_TEXT(next(all), "7");
    CHECK_TEXT(next(all), "70");
    for (int i = 0; i < 2; i++)
        record_stream_unref(two[i]);
    end();
}

TEST(hub, records_reach_those_whose_pattern_matches)
{
    begin();
    sub *all = subscribe(">", NULL, NULL), *mine = subscribe("trades.*.BTC", NULL, NULL), *other = subscribe("ohlcv.>", NULL, NULL);
    CHECK(publish("1"));
    CHECK_TEXT(next(all), "1");
    CHECK_TEXT(next(mine), "1");
    CHECK_TEXT(next(other), "");
    CHECK_UINT(hub_read_account(h).subs.delivered, 2);
    end();
}

TEST(hub, record_that_nobody_reads_is_counted_as_unread)
{
    begin();
    CHECK(publish("1"));
    CHECK_UINT(hub_read_account(h).published, 1);
    CHECK_UINT(hub_read_account(h).unread, 1);
    CHECK_UINT(hub_read_stats(h).pool.live, 0);
    end();
}

TEST(hub, bad_pattern_is_an_error)
{
    weir_error err = WEIR_ERROR_INIT;
    sub *s = NULL;
    begin();
    CHECK_INT(hub_subscribe(&s, h, "a..b", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "subscriber: pattern 'a..b' has an empty token");
    CHECK(s == NULL);
    end();
}

TEST(hub, same_key_is_the_same_stream)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("t"), BYTES("s"), BYTES("i"), BYTES("{\"a\":\"1\",\"b\":\"2\"}"), false, 0};
    record_key turned = {BYTES("t"), BYTES("s"), BYTES("i"), BYTES("{ \"b\":\"2\", \"a\":\"1\" }"), false, 0};
    record_key other = {BYTES("t"), BYTES("s"), BYTES("i"), BYTES("{\"a\":\"1\",\"b\":\"2\"}"), true, 0};
    record_stream *a, *b, *c;
    begin();
    CHECK_OK(hub_stream(&a, h, &key, &err));
    record_unref(record_new(a, 0, 0, BYTES("1")));
    record_stream_unref(a); /* the hub keeps it, and its number */
    CHECK_OK(hub_stream(&b, h, &turned, &err));
    CHECK_UINT(record_stream_seq(b), 1);
    CHECK_OK(hub_stream(&c, h, &other, &err));
    CHECK(b != c);
    CHECK_UINT(hub_read_stats(h).streams, 3);
    record_stream_unref(b);
    record_stream_unref(c);
    end();
}

TEST(hub, record_that_could_not_be_made_is_counted)
{
    begin();
    CHECK(hub_publish(h, NULL));
    CHECK_UINT(hub_read_stats(h).lost, 1);
    end();
}

TEST(hub, unsubscribing_drops_what_was_queued_and_says_so)
{
    begin();
    sub *s = subscribe(">", NULL, NULL);
    publish("1");
    publish("2");
    CHECK_TEXT(next(s), "1");
    hub_unsubscribe(h, s);
    hub_account a = hub_read_account(h);
    CHECK_UINT(a.subs.delivered, 1);
    CHECK_UINT(a.subs.dropped[SUB_DROPPED_UNSUBSCRIBED], 1);
    CHECK_UINT(a.subs.queued, 0);
    CHECK_UINT(hub_read_stats(h).subs, 0);
    CHECK_UINT(hub_read_stats(h).pool.live, 0);
    end();
}

TEST(hub, freeing_frees_readers_with_what_is_queued)
{
    begin();
    subscribe(">", NULL, NULL);
    sub *s = subscribe(">", NULL, NULL);
    publish("1");
    record *kept = sub_next(s);
    publish("2");
    adds_up();
    record_stream_unref(btc);
    hub_free(h);
    CHECK_BYTES(kept->data, BYTES("1"));
    record_unref(kept);
}

static void count_ready(sub *s, void *arg)
{
    (void)s;
    ++*(int *)arg;
}

TEST(hub, reader_hears_once_per_edge)
{
    int heard = 0;
    begin();
    sub *s = subscribe(">", count_ready, &heard);
    publish("1");
    publish("2");
    CHECK_INT(heard, 1);
    CHECK_TEXT(next(s), "1");
    publish("3"); /* was not empty */
    CHECK_INT(heard, 1);
    CHECK_TEXT(next(s), "2");
    CHECK_TEXT(next(s), "3");
    publish("4");
    CHECK_INT(heard, 2);
    end();
}

TEST(hub, reader_hears_when_it_is_cut_off)
{
    weir_error err = WEIR_ERROR_INIT;
    int heard = 0;
    sub *s;
    sub_options o = {.policy = SUB_DISCONNECT, .max_records = 1, .on_ready = count_ready, .arg = &heard};
    begin();
    CHECK_OK(hub_subscribe(&s, h, ">", &o, &err));
    publish("1");
    publish("2");
    publish("3");
    CHECK_INT(heard, 2);
    end();
}

static void read_all(sub *s, void *arg)
{
    char *seen = arg;
    for (record *r; (r = sub_next(s)); record_unref(r))
        strncat(seen, r->data.at, r->data.len);
}

TEST(hub, reader_may_read_inside_its_callback)
{
    char seen[16] = "";
    begin();
    subscribe(">", read_all, seen);
    publish("1");
    publish("2");
    CHECK_TEXT(seen, "12");
    end();
}

static sub *victim;

static void leave(sub *s, void *arg)
{
    (void)arg;
    if (victim)
        hub_unsubscribe(h, victim);
    victim = NULL;
    hub_unsubscribe(h, s);
}

TEST(hub, reader_may_leave_inside_its_callback_and_take_others_along)
{
    char seen[16] = "";
    begin();
    sub *first = subscribe(">", NULL, NULL);
    subscribe(">", leave, NULL);
    victim = subscribe(">", read_all, seen);
    publish("1");
    CHECK_TEXT(seen, ""); /* it left before its turn */
    publish("2");
    CHECK_UINT(hub_read_stats(h).subs, 1);
    CHECK_TEXT(next(first), "1");
    CHECK_TEXT(next(first), "2");
    CHECK_UINT(hub_read_account(h).subs.dropped[SUB_DROPPED_UNSUBSCRIBED], 1);
    end();
}

TEST(hub, first_reader_may_be_taken_along_after_it_was_served)
{
    begin();
    victim = subscribe(">", NULL, NULL);
    subscribe(">", leave, NULL);
    publish("1");
    CHECK_UINT(hub_read_stats(h).subs, 0);
    CHECK_UINT(hub_read_account(h).subs.dropped[SUB_DROPPED_UNSUBSCRIBED], 2);
    end();
}

static void publish_more(sub *s, void *arg)
{
    int *left = arg;
    record_unref(sub_next(s));
    if ((*left)-- > 0)
        publish("9");
}

TEST(hub, all_readers_see_one_order_also_of_what_a_callback_publishes)
{
    int left = 2;
    begin();
    subscribe(">", publish_more, &left);
    sub *after = subscribe(">", NULL, NULL);
    publish("1");
    publish("2");
    CHECK_TEXT(next(after), "1");
    CHECK_TEXT(next(after), "9");
    CHECK_TEXT(next(after), "9");
    CHECK_TEXT(next(after), "2");
    CHECK_TEXT(next(after), "");
    end();
}

static sub *late;

static void bring_another(sub *s, void *arg)
{
    (void)s;
    (void)arg;
    if (!late)
        late = subscribe(">", NULL, NULL);
}

TEST(hub, reader_that_comes_inside_a_callback_begins_with_the_next_record)
{
    begin();
    late = NULL;
    subscribe(">", bring_another, NULL);
    publish("1");
    publish("2");
    CHECK_TEXT(next(late), "2");
    CHECK_TEXT(next(late), "");
    end();
}

static int rooms;
static hub_waiter again;

static void on_room(void *arg)
{
    rooms++;
    if (arg)
        hub_wait(h, arg); /* hears the next time, not in a loop now */
}

TEST(hub, full_reader_that_leaves_lets_publishers_go_on)
{
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.policy = SUB_BLOCK, .max_records = 1};
    hub_waiter w = {.on_room = on_room}, cancelled = {.on_room = on_room};
    sub *s;
    begin();
    rooms = 0;
    again = (hub_waiter){.on_room = on_room, .arg = &again};
    CHECK_OK(hub_subscribe(&s, h, ">", &o, &err));
    CHECK(!publish("1"));
    hub_wait(h, &w);
    hub_wait(h, &again);
    hub_wait(h, &cancelled);
    hub_wait_cancel(&cancelled);
    hub_unsubscribe(h, s);
    CHECK_INT(rooms, 2);
    CHECK(!hub_blocked(h, NULL));
    CHECK(publish("2"));
    hub_wait_cancel(&again);
    end();
}

TEST(hub, new_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        hub *made = NULL;
        if (hub_new(&made, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        hub_free(made);
    }
}

TEST(hub, fan_out_to_several_readers_allocates_nothing_once_warm)
{
    begin();
    sub *readers[5];
    uint64_t before = 0;
    for (int i = 0; i < 5; i++)
        readers[i] = subscribe("trades.>", NULL, NULL);
    for (int i = 0; i < 50000; i++) {
        if (i == 1000)
            before = fault_allocations();
        publish("{\"price\":\"64000.12\",\"size\":\"0.5\",\"side\":\"buy\"}");
        if (i % 100 == 99)
            for (int n = 0; n < 5; n++)
                for (record *r; (r = sub_next(readers[n]));)
                    record_unref(r);
    }
    CHECK_UINT(fault_allocations(), before);
    CHECK_UINT(hub_read_account(h).subs.delivered, 5 * 50000);
    end();
}
