/* From one instance of a pull plugin to the next: what comes over the old socket and the new one is published once, in
 * order. The test speaks for the venue on both. */
#include "stream/testing.h"

static void to(int socket, const char *text)
{
    if (w.all[socket]) /* else it is closed already */
        server_ws_send(w.all[socket], false, bytes_of(text));
}

static void to_both(const char *text)
{
    to(0, text);
    to(1, text);
}

static void begin_live(void)
{
    begin("streams.wasm");
    w.plugin.silence_ms = 100000000;
    open_stream("", 0);
    UNTIL(w.subscribed == 1 && is(STREAM_LIVE));
}

/* The first instance is gone, its socket is open, the second one is subscribed on another. */
static void replaced(const char *how)
{
    begin_live();
    to(0, "1");
    expect("\"frame\":\"1\"");
    to(0, how);
    if (!strcmp(how, "quit now"))
        expect("\"frame\":\"quit now\"");
    else
        expect("\"cause\":\"dropped\"");
}

static void successor(void)
{
    later(2000);
    UNTIL(w.upgrades == 2 && w.subscribed == 2 && is(STREAM_LIVE));
}

/* The second instance is gone, too. */
static void third(void)
{
    UNTIL(is(STREAM_WAITING)); /* for the back-off */
    later(4000);
    UNTIL(w.upgrades == 3 && w.subscribed == 3);
}

static void expect_frames(const char *frames)
{
    char part[40];
    for (const char *c = frames; *c; c++) {
        snprintf(part, sizeof part, "\"data\":{\"frame\":\"%c\"}", *c);
        expect(part);
    }
}

/* The new socket began with a snapshot, and the old one goes on. */
static void two_by_the_old_one(void)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to(0, "2");
    to(0, "3");
    expect_frames("23");
}

/* A record that both brought was long enough ago. */
static void joined(void)
{
    settle();
    later(600);
    later(100);
}

static uint64_t last_seq(void)
{
    return record_stream_seq(stream_records(w.stream));
}

TEST(handover, of_an_instance_that_returns_unasked_loses_and_doubles_nothing)
{
    replaced("quit now");
    to(0, "2"); /* nobody reads it yet */
    to(0, "3");
    UNTIL(w.upgrades == 2 && w.subscribed == 2 && is(STREAM_LIVE)); /* at once: no time has passed */
    to(0, "4");
    to_both("5");
    to_both("6");
    expect_frames("23456");
    CHECK_UINT(last_seq(), 7); /* no gap among them */
    to_both("7");
    expect_frames("7");
    later(10000);
    expect_none();
    CHECK_UINT(stream_lost(w.stream) + stream_queued(w.stream), 0);
    CHECK(stream_repeats(w.stream) > 0);
    CHECK(w.all[0] == NULL); /* closed when it had done its part */
    end();
}

TEST(handover, of_an_instance_that_traps_costs_the_message_it_trapped_on)
{
    replaced("die now");
    CHECK_UINT(kept->seq, 2);
    to(0, "2");
    successor();
    to_both("3");
    to_both("4");
    expect_frames("234");
    CHECK_UINT(last_seq(), 5);
    later(10000);
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 1);
    end();
}

/* A new socket may begin with something of its own, a snapshot: it comes behind what the old one still brings. */
TEST(handover, waits_for_what_the_old_socket_brings_and_no_longer)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to(0, "2");
    expect_frames("2");
    expect_none(); /* the old one might bring more */
    later(400);
    to(0, "3");
    expect_frames("3");
    later(800);
    expect_none(); /* the new one is silent as well: the venue may have stalled */
    to(1, "4");
    settle();
    later(100);
    expect_frames("s4");
    end();
}

TEST(handover, ends_when_both_sockets_are_silent_for_long)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to(0, "2");
    expect_frames("2");
    later(2500);
    expect_none();
    later(700);
    expect_frames("s");
    end();
}

/* Messages that came before a second replacement, over the socket of the first: the oldest one brings them. */
TEST(handover, to_a_second_successor_calls_nothing_lost_that_the_oldest_socket_brings)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to_both("2");
    to(0, "quit now"); /* the plugin reads the oldest one, while "2" waits on the second */
    expect_frames("2");
    expect("quit now");
    third();
    to(0, "3");
    to(2, "3");
    to(2, "4");
    expect_frames("3");
    joined();
    expect_frames("4");
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

TEST(handover, ends_when_both_sockets_have_brought_the_same_for_long_enough)
{
    replaced("quit now");
    successor();
    to(1, "s");
    for (char c[2] = "a"; *c <= 't'; ++*c) { /* busy all the time */
        to_both(c);
        settle();
        later(200);
    }
    to_both("z");
    char seen[40] = "";
    UNTIL(last_seq() == 2 + 22);
    for (record *r; (r = next_record());) {
        const char *frame = memmem(r->line.at, r->line.len, "{\"frame\":\"", 10);
        CHECK(frame != NULL);
        snprintf(seen + strlen(seen), 2, "%.1s", frame + 10);
    }
    /* 3 s of them by the old one, then the snapshot, then the rest by the new one: each once, in order */
    char *snapshot = strchr(seen, 's'), *twin = strrchr(seen, 's');
    CHECK(snapshot > seen + 10 && snapshot < seen + 20 && snapshot != twin);
    memmove(snapshot, snapshot + 1, strlen(snapshot));
    CHECK_TEXT(seen, "abcdefghijklmnopqrstz");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* Two equal trades are two trades. */
TEST(handover, leaves_out_each_double_as_often_as_it_came)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to_both("x");
    to_both("x");
    to(0, "y");
    expect_frames("xxy");
    later(600);
    to(1, "y");
    to(1, "x");
    settle();
    later(100);
    expect_frames("sx");
    expect_none();
    CHECK_UINT(stream_repeats(w.stream), 3);
    end();
}

/* So many different records by the old socket, each seen once. */
static void many(const char *name, int count)
{
    char text[40], part[60];
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s%d", name, i);
        to(0, text);
        if (i % 100 != 99 && i + 1 < count)
            continue;
        for (int k = i / 100 * 100; k <= i; k++) {
            snprintf(part, sizeof part, "{\"frame\":\"%s%d\"}", name, k);
            expect(part);
        }
    }
}

/* One message may make several records; where the two sockets join at the first of them, the others are there once, too. */
TEST(handover, joins_behind_the_whole_message_that_both_brought)
{
    static const char *const both[] = {"2+3+4", "2+2+4", "1+2+3"};
    static const char *const seen[] = {"2345", "2245", "1235"};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        replaced("quit now");
        successor();
        to(1, both[i]);
        settle();
        to(0, both[i]);
        to(0, "5");
        to(1, "5");
        expect_frames(seen[i]);
        later(600);
        to(1, "6");
        expect_frames("6");
        expect_none();
        CHECK_UINT(stream_lost(w.stream), 0);
        end();
    }
}

/* What the first socket brought waits in the second one's inbox, unread, when that one is replaced, too. */
TEST(handover, to_a_second_successor_leaves_out_what_the_first_one_had_not_read_yet)
{
    two_by_the_old_one();
    to(1, "quit now"); /* before what comes again */
    settle();
    to(1, "2");
    to(1, "3");
    to(1, "4");
    later(600);
    later(100);
    expect_frames("s");
    expect("quit now");
    third();
    expect_none();
    to(2, "5");
    settle();
    to(1, "5");
    to(2, "6");
    expect_frames("45");
    joined();
    expect_frames("6");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* A venue may be late with the subscription of the new socket: the old one goes on. */
TEST(handover, does_not_end_before_the_new_socket_has_brought_anything)
{
    replaced("quit now");
    successor();
    later(1100);
    to(0, "2");
    expect_frames("2");
    for (int i = 0; i < 20; i++)
        later(500);
    to(0, "3");
    expect_frames("3");
    to_both("4");
    later(600);
    to_both("5");
    later(600);
    to(1, "6");
    settle();
    later(3000);
    expect_frames("456");
    expect_none();
    end();
}

TEST(handover, to_a_socket_that_brings_nothing_is_a_gap)
{
    for (int closed = 0; closed <= 1; closed++) {
        replaced("quit now");
        successor();
        later(1100);
        to(0, "2");
        expect_frames("2");
        if (closed)
            server_ws_abort(w.all[0]);
        for (int i = 0; i < (closed ? 2 : 130); i++)
            later(500);
        CHECK(w.all[0] == NULL);
        to(1, "3");
        expect("\"cause\":\"disconnected\"");
        expect_frames("3");
        expect_none();
        end();
    }
}

#define MORE_THAN_IS_REMEMBERED 66000 /* handover.c: WINDOW_MAX */

/* Then the new socket, which had begun before, brings the rest. */
TEST(handover, ends_when_the_old_socket_has_brought_more_than_is_remembered)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    mono += NS_PER_S;
    real += NS_PER_S;
    many("a", 1 << 16);
    to(0, "b");
    to(0, "c");
    settle();
    to(1, "a65535");
    to(1, "b");
    to(1, "c");
    expect_frames("sbc");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* A venue that is far behind brings more over the old socket, before the two join, than is remembered. */
TEST(handover, joins_at_one_record_however_much_the_old_socket_brought_before)
{
    replaced("quit now");
    successor();
    to(1, "x");
    settle();
    many("a", MORE_THAN_IS_REMEMBERED);
    to_both("x"); /* the second one on the new socket is another trade */
    to(1, "y");
    expect_frames("x");
    joined();
    expect_frames("xy");
    expect_none();
    end();
}

/* Of two records that look the same the old socket brings the earlier one, too: the two are not joined at that. */
TEST(handover, does_not_join_at_a_record_that_looks_like_one_of_another_moment)
{
    replaced("quit now");
    successor();
    to(1, "x");
    settle();
    to(0, "x");
    expect_frames("x");
    to(0, "2");
    expect_frames("2");
    to_both("3");
    expect_frames("3");
    later(400);
    to(0, "x"); /* this is the one */
    expect_frames("x");
    later(200);
    to_both("4");
    expect_frames("4");
    later(100);
    to_both("5");
    expect_frames("5");
    expect_none();
    CHECK(w.all[0] == NULL);
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* A price may come back: what the old socket alone brought, long before or after the new one is read, makes no double of it. */
TEST(handover, leaves_out_nothing_that_only_looks_like_what_came_long_before)
{
    replaced("quit now");
    successor();
    later(1100); /* the new socket is silent: the old one is read */
    for (const char *c = "pqr"; *c; c++) {
        to(0, (char[]){*c, '\0'});
        expect_frames((char[]){*c, '\0'});
        later(600);
    }
    to(0, "w");
    expect_frames("w");
    later(600);
    to(1, "p");
    settle();
    later(600);
    later(100);
    expect_frames("p");
    CHECK(w.all[0] == NULL);
    later(1100);
    to(1, "w");
    to(1, "w");
    expect_frames("ww");
    expect_none();
    end();
}

TEST(handover, remembers_until_the_new_socket_is_read_however_long_that_takes)
{
    two_by_the_old_one();
    to(1, "nap"); /* the plugin reads nothing for seven seconds */
    to(1, "2");
    to(1, "3");
    to(1, "4");
    later(600);
    later(100);
    expect_frames("s");
    expect("\"frame\":\"nap\"");
    CHECK(w.all[0] == NULL);
    for (int i = 0; i < 8; i++)
        later(1000);
    expect_frames("4");
    expect_none();
    end();
}

/* What the second instance would have brought again is nothing to the third one. */
TEST(handover, to_a_second_successor_has_all_of_the_memory_for_itself)
{
    replaced("quit now");
    successor();
    later(1100); /* the new socket is silent: the old one is read */
    many("a", MORE_THAN_IS_REMEMBERED);
    to(0, "quit now");
    expect("quit now");
    third();
    to(2, "s");
    settle();
    to(0, "1");
    to(0, "2");
    expect_frames("12");
    later(600);
    to(2, "1");
    to(2, "2");
    to(2, "3");
    settle();
    later(100);
    expect_frames("s3");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* A handover that begins within seconds of the end of another keeps what it remembers. */
TEST(handover, remembers_to_its_end_though_one_ended_shortly_before)
{
    replaced("quit now");
    successor();
    to(1, "x");
    settle();
    to(0, "x");
    expect_frames("x"); /* joined; what is remembered would be forgotten in 5 s */
    later(3000);
    to(1, "quit now");
    expect("quit now");
    UNTIL(is(STREAM_WAITING)); /* for the back-off */
    later(1000);
    UNTIL(w.upgrades == 3 && w.subscribed == 3);
    to(2, "s");
    settle();
    to(1, "1");
    expect_frames("1");
    later(400);
    to(1, "2");
    expect_frames("2");
    later(300);
    to(1, "3");
    expect_frames("3");
    later(400);
    to(1, "4");
    expect_frames("4");
    later(600);
    to(2, "1");
    to(2, "2");
    to(2, "3");
    to(2, "4");
    to(2, "5");
    settle();
    later(100);
    expect_frames("s5");
    expect_none();
    end();
}

TEST(handover, that_is_broken_leaves_a_gap_in_its_place)
{
    replaced("quit now");
    to(0, "2");
    w.status = 503;
    settle();
    CHECK_INT(w.upgrades, 1);
    server_ws_abort(w.all[0]);
    settle();
    w.status = 0;
    successor();
    to(1, "3");
    later(2000);
    expect_frames("2");
    later(200); /* it is looked at now and then */
    expect("\"cause\":\"disconnected\"");
    expect_frames("3");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

TEST(handover, without_a_successor_ends_after_a_minute)
{
    replaced("quit now");
    to(0, "2");
    w.status = 503;
    settle();
    for (int i = 0; i < 70; i++)
        later(1000);
    CHECK_UINT(stream_queued(w.stream), 0);
    CHECK_UINT(stream_lost(w.stream), 1);
    w.status = 0;
    for (int i = 0; i < 70 && w.upgrades < 2; i++)
        later(1000);
    UNTIL(is(STREAM_LIVE));
    to(1, "3");
    expect("\"kind\":\"gap\"");
    expect_frames("3");
    end();
}

TEST(handover, goes_on_when_the_successor_dies_in_the_middle_of_it)
{
    replaced("quit now");
    successor();
    to(1, "s");
    settle();
    to(0, "2");
    to(0, "die now");
    to(0, "3");
    expect_frames("2");
    expect("\"cause\":\"dropped\"");
    later(4000);
    UNTIL(w.upgrades == 3 && w.subscribed == 3);
    to(0, "4");
    to(2, "4");
    to(2, "5");
    expect_frames("34");
    joined();
    expect_frames("5");
    expect_none();
    CHECK_UINT(stream_lost(w.stream), 1);
    end();
}

TEST(handover, may_be_stopped_and_freed_in_the_middle_of_it)
{
    for (int frees = 0; frees <= 1; frees++)
        for (int up = 0; up <= 2; up++) {
            replaced("die now");
            to(0, "2");
            settle();
            if (up)
                successor();
            if (up == 2)
                to(1, "s");
            settle();
            if (frees) {
                stream_free(w.stream);
                w.stream = NULL;
            } else {
                stream_stop(w.stream);
                later(3000);
                CHECK(is(STREAM_CLOSED));
                CHECK_UINT(stream_queued(w.stream), 0);
            }
            end();
        }
}

/* ---- Another code ---- */

static void another_code(void)
{
    linked *code = NULL;
    CHECK_OK(module_link(&code, w.module, task_bind, NULL, &err));
    linked_free(w.code); /* its instances live on */
    w.code = w.plugin.code = code;
    stream_plugin_renew(&w.plugin);
}

TEST(handover, to_another_code_comes_between_two_messages)
{
    begin_live();
    to(0, "1");
    UNTIL(stream_queued(w.stream) == 1 || last_seq() == 1);
    another_code();
    to(0, "2");
    UNTIL(w.upgrades == 2 && w.subscribed == 2 && is(STREAM_LIVE));
    to_both("3");
    to_both("4");
    expect_frames("1234");
    CHECK_UINT(last_seq(), 4);
    later(10000);
    expect_none();
    CHECK_INT(notes, 0);
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

TEST(handover, to_another_code_does_not_wait_for_ever)
{
    begin("streams.wasm");
    open_stream("{\"behaviour\":\"spin\"}", 0);
    UNTIL(w.subscribed == 1 && is(STREAM_LIVE));
    for (int i = 0; i < 3; i++)
        to(0, "x");
    settle();
    another_code();
    settle();
    CHECK_INT(w.upgrades, 1);
    later(2000);
    UNTIL(w.upgrades == 2);
    end();
}

TEST(handover, survives_any_failed_allocation)
{
    begin_live();
    FAULT_SWEEP(alloc) { /* the venue's, too: then its socket may be gone */
        if (w.ws)
            server_ws_send(w.ws, false, BYTES("quit now"));
        settle();
        later(2000);
        while (next_record())
            ;
    }
    for (int i = 0; i < 10 && !is(STREAM_LIVE); i++)
        later(61000);
    CHECK(is(STREAM_LIVE));
    end();
}
