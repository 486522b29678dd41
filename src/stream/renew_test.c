/* A push stream's connection is replaced before its venue ends it: real sockets on loopback, a clock that only the
 * test moves, messages that are numbered. */
#include "stream/lifetime.h"
#include "stream/testing.h"

#define SNAPSHOT "\"snapshot\","
#define BOOK(sequence, flag) "{\"bids\":[[\"9\",\"" sequence "\"]],\"asks\":[],\"sequence\":" sequence ",\"flags\":[" flag "\"last\"]}"

static lifetimes lives;
static server_ws *old, *new;

/* Live, with a connection that the venue ends after 100 s; the successor is dialled after 85 to 90. */
static void begin_with(const char *parameters, const char *rule)
{
    begin("push.wasm");
    w.plugin.config = "{}";
    w.plugin.has_shutdown = true;
    if (rule)
        CHECK_OK(lifetimes_add(&lives, bytes_of(rule), &err));
    w.plugin.lifetimes = &lives;
    w.plugin.silence_ms = 100000000;
    open_stream(parameters, 0);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 2);
    old = w.ws;
}

static void finish(void)
{
    end();
    lifetimes_fini(&lives);
}

static void tell(server_ws *to, const char *text)
{
    server_ws_send(to, false, bytes_of(text));
    settle();
}

static void tell_both(const char *text)
{
    tell(old, text);
    tell(new, text);
}

/* Until both connections are open and the second is greeted. */
static void second(void)
{
    later(84000);
    CHECK_INT(w.upgrades, 1);
    for (int i = 0; i < 12 && w.upgrades == 1; i++)
        later(500);
    UNTIL(w.upgrades == 2);
    UNTIL(w.subscribed == 4);
    settle();
    new = w.ws;
    CHECK(new != old);
    CHECK_UINT(stream_open_sockets(w.stream), 2);
    CHECK_TEXT(w.heard, "first|second|first|second");
}

/* The records hold these frames, one digit each, in this order and no other; nothing was a gap, nothing is left. */
static void expect_frames(const char *frames)
{
    char part[40];
    for (; *frames; frames++) {
        snprintf(part, sizeof part, "\"frame\":\"%c\"", *frames);
        expect(part);
    }
    expect_none();
}

static const record_counts *counts(void)
{
    return record_stream_counts(stream_records(w.stream));
}

/* Every message is in a record, doubled, lost, or waits. */
static void check_account(uint64_t asked)
{
    CHECK_UINT(counts()->received, asked + counts()->doubles + stream_lost(w.stream) + stream_queued(w.stream));
    CHECK_UINT(counts()->restarts, 0);
    CHECK_UINT(counts()->gaps, 0);
    CHECK_TEXT(w.states, "cl");
}

TEST(renew, hands_over_without_a_message_missing_or_there_twice)
{
    static const char *const orders[] = {"o3 o4 n4 o5 n5 n6 o6", "o3 n4 n5 o4 n6 o5 o6", "o3 n4 o4 n5 n6", "o3 o4 o5 o6 n4"};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        begin_with("", "wss://wss.woox.io=100s");
        tell(old, "1");
        tell(old, "2");
        second();
        tell(new, "ignore"); /* an acknowledgement, which only opens it */
        for (const char *at = orders[i]; *at; at += 2 + (at[2] == ' '))
            tell(*at == 'o' ? old : new, (char[]){at[1], '\0'});
        CHECK_UINT(stream_open_sockets(w.stream), 2); /* another moment */
        later(1000);
        CHECK_UINT(stream_open_sockets(w.stream), 1);
        for (char c = strstr(orders[i], "n6") ? '7' : '5'; c <= '9'; c++)
            tell(new, (char[]){c, '\0'});
        expect_frames("123456789");
        CHECK(counts()->doubles >= 2);
        check_account(9);
        later(60000);
        tell(new, "9"); /* the same again is no double by then */
        expect_frames("9");
        finish();
    }
}

/* Two channels in one subscription, in another order on each connection: a moment later both have brought both. */
TEST(renew, gives_the_old_connection_a_moment_to_bring_what_the_new_one_has_already)
{
    begin_with("", "wss://wss.woox.io=100s");
    second();
    tell(new, "B");
    tell_both("4");
    later(500);
    CHECK_UINT(stream_open_sockets(w.stream), 2);
    tell(old, "B");
    later(500);
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    tell(new, "5");
    expect_frames("4B5");
    check_account(3);
    finish();
}

/* More comes while both are open than may wait of the new one, and than is remembered of the old one. */
TEST(renew, a_fast_stream_loses_nothing_and_doubles_nothing)
{
    enum { BATCHES = 50,
           EACH = 400 };
    char text[40];
    begin_with("", "wss://wss.woox.io=100s");
    second();
    tell(new, "ignore");
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < EACH; i++) {
                snprintf(text, sizeof text, "fast-%d", batch * EACH + i);
                server_ws_send(side == batch % 2 ? old : new, false, bytes_of(text));
            }
        for (int i = 0; i < EACH; i++) {
            snprintf(text, sizeof text, "\"frame\":\"fast-%d\"", batch * EACH + i);
            expect(text);
        }
    }
    CHECK_UINT(stream_open_sockets(w.stream), 2);
    later(1000);
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    tell(new, "1");
    expect_frames("1");
    check_account(BATCHES * EACH + 1);
    finish();
}

/* And again and again: a week, two messages an hour. */
TEST(renew, goes_on_for_a_week)
{
    int n = 0, told = 0, handed = 1;
    begin_with("", NULL); /* wss.woox.io is known for its 24 hours */
    new = NULL;
    for (int minute = 0; minute < 7 * 24 * 60; minute += 30) {
        char text[20], part[60];
        later(30 * 60000);
        if (w.upgrades > handed) {
            handed++;
            UNTIL(w.subscribed == 2 * handed);
            new = w.ws;
            for (int i = 0; i < 3; i++) { /* some that both bring */
                snprintf(text, sizeof text, "m%d", n++);
                tell_both(text);
            }
            later(1000);
            UNTIL(stream_open_sockets(w.stream) == 1);
            old = new;
        }
        snprintf(text, sizeof text, "m%d", n++);
        server_ws_send(old, false, bytes_of(text));
        if (minute % 600 == 0)
            for (; told < n; told++) {
                snprintf(part, sizeof part, "\"seq\":\"%d\",\"kind\":\"data\"", told + 1);
                expect(part);
                snprintf(part, sizeof part, "\"frame\":\"m%d\"", told);
                CHECK(memmem(kept->line.at, kept->line.len, part, strlen(part)) != NULL);
            }
    }
    CHECK_INT(w.upgrades, 8);
    CHECK_UINT(counts()->doubles, 21);
    CHECK_TEXT(w.states, "cl");
    finish();
}

TEST(renew, the_old_connection_goes_on_when_no_successor_can_be_dialled)
{
    begin_with("", "wss://wss.woox.io=100s");
    w.status = 503;
    w.retry_after = "0";
    later(91000);
    settle();
    tell(old, "1");
    expect_frames("1");
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    CHECK_INT(w.upgrades, 1);
    w.status = 0;
    for (int i = 0; i < 4 && w.upgrades == 1; i++)
        later(1000);
    UNTIL(w.subscribed == 4);
    new = w.ws;
    tell_both("2");
    later(1000);
    tell(new, "3");
    expect_frames("23");
    check_account(3);
    finish();
}

/* It is subscribed to nothing, or the venue has sent it to a dead corner: the old one has what it has not. */
TEST(renew, a_successor_that_brings_nothing_does_not_take_over)
{
    for (int says = 0; says <= 1; says++) {
        begin_with("", "wss://wss.woox.io=2000s");
        later(1940000);
        for (int i = 0; i < 22 && w.upgrades == 1; i++)
            later(1000);
        UNTIL(w.subscribed == 4);
        new = w.ws;
        if (says)
            tell(new, "ignore"); /* "no such channel" */
        tell(old, "1");
        later(5000);
        later(30000);
        CHECK_UINT(stream_open_sockets(w.stream), 1);
        tell(old, "2");
        expect_frames("12");
        check_account(2 + (uint64_t)says);
        finish();
    }
}

/* Texts that differ by connection: the plugin says what is data. */
TEST(renew, where_texts_differ_the_plugins_verdict_decides)
{
    begin_with("", "wss://wss.woox.io=100s");
    second();
    tell(new, "ignore");
    tell(old, "a");
    tell(new, "A");
    tell(old, "b");
    tell(new, "B");
    CHECK_UINT(stream_open_sockets(w.stream), 2);
    later(5000);
    UNTIL(stream_open_sockets(w.stream) == 1);
    tell(new, "C");
    expect_frames("abABC");
    check_account(6);
    finish();
}

TEST(renew, what_the_plugin_ends_over_a_successors_message_is_the_successor)
{
    static const char *const bad[] = {"close", "reconnect", "trap", "fail"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin_with("", "wss://wss.woox.io=100s");
        second();
        tell(new, bad[i]);
        tell(old, "1");
        later(5000);
        later(2000);
        CHECK(is(STREAM_LIVE));
        tell(old, "2");
        expect_frames("12");
        CHECK_UINT(counts()->gaps, 0);
        finish();
    }
}

/* The venue is early. */
TEST(renew, a_successor_that_was_subscribed_takes_over_at_once_and_nothing_is_missing)
{
    begin_with("", "wss://wss.woox.io=100s");
    tell(old, "1");
    second();
    tell(new, "ignore");
    tell(old, "2");
    tell(new, "3");
    server_ws_abort(old);
    UNTIL(stream_open_sockets(w.stream) == 1);
    tell(new, "4");
    expect_frames("1234");
    check_account(5);
    finish();
}

TEST(renew, one_that_nobody_heard_of_yet_leaves_a_gap)
{
    begin_with("", "wss://wss.woox.io=100s");
    tell(old, "1");
    second();
    tell(old, "2");
    server_ws_abort(old);
    UNTIL(stream_open_sockets(w.stream) == 1);
    CHECK(is(STREAM_LIVE)); /* no back-off: it is there already */
    tell(new, "4");
    expect("\"frame\":\"1\"");
    expect("\"frame\":\"2\"");
    expect("\"cause\":\"disconnected\"");
    expect_frames("4");
    CHECK_TEXT(w.states, "cl");
    finish();
}

TEST(renew, a_cut_before_the_successor_is_dialled_is_a_loss_like_any_other)
{
    begin_with("", "wss://wss.woox.io=100s");
    later(40000);
    server_ws_abort(old);
    UNTIL(is(STREAM_WAITING));
    later(2000);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 4);
    CHECK_INT(w.upgrades, 2);
    later(59000); /* the old one's end means nothing now */
    CHECK_INT(w.upgrades, 2);
    later(31000);
    UNTIL(w.upgrades == 3);
    finish();
}

/* Only one at once: a quiet moment is waited for, and the gap is said. */
TEST(renew, where_there_may_not_be_two_it_is_dialled_anew_at_a_quiet_moment)
{
    begin_with("{\"marker\":\"exclusive\"}", NULL); /* "lifetimeMs":100000 beside it */
    later(84000);
    for (int i = 0; i < 14; i++) { /* it is never quiet, until then */
        later(500);
        tell(old, "1");
    }
    CHECK_INT(w.upgrades, 1);
    expect_frames("11111111111111");
    later(1500);
    UNTIL(w.upgrades == 2 && is(STREAM_LIVE));
    UNTIL(w.subscribed == 4);
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    say("2");
    expect("\"cause\":\"disconnected\"");
    expect_frames("2");
    CHECK_HAS(w.states, "clwcl");
    finish();
}

TEST(renew, where_there_may_not_be_two_and_it_is_never_quiet_it_is_in_time_all_the_same)
{
    begin_with("{\"marker\":\"exclusive\"}", NULL);
    later(84000);
    for (int i = 0; i < 28 && w.upgrades == 1; i++) {
        later(500);
        if (w.upgrades == 1)
            tell(old, "1");
    }
    UNTIL(w.upgrades == 2);
    finish();
}

/* Readers are full: what the old one brought waits, its successor takes over behind it. */
TEST(renew, goes_well_while_readers_are_full)
{
    begin("push.wasm");
    w.plugin.config = "{}";
    CHECK_OK(lifetimes_add(&lives, BYTES("wss://wss.woox.io=100s"), &err));
    w.plugin.lifetimes = &lives;
    w.plugin.silence_ms = 100000000;
    open_stream("", 1);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 2);
    old = w.ws;
    tell(old, "1");
    second();
    for (char c = '2'; c <= '5'; c++)
        tell_both((char[]){c, '\0'});
    server_ws_abort(old);
    UNTIL(stream_open_sockets(w.stream) == 1);
    tell(new, "6");
    expect_frames("123456");
    CHECK_UINT(counts()->doubles, 4);
    check_account(6);
    finish();
}

TEST(renew, may_be_stopped_and_freed_in_every_phase)
{
    for (int phase = 0; phase < 5; phase++)
        for (int frees = 0; frees <= 1; frees++) {
            begin_with("", "wss://wss.woox.io=100s");
            if (phase == 0) {
                later(90000); /* it dials */
            } else {
                second();
                if (phase > 1)
                    tell_both("1");
                if (phase > 2)
                    later(1000);
                if (phase > 3)
                    tell(new, "2");
            }
            if (frees) {
                stream_free(w.stream);
                w.stream = NULL;
            } else {
                stream_stop(w.stream);
                later(3000);
                CHECK(is(STREAM_CLOSED));
                CHECK_UINT(stream_open_sockets(w.stream), 0);
            }
            later(100000);
            finish();
        }
}

/* A trap meanwhile costs the instance and neither connection. */
TEST(renew, a_trap_in_the_middle_costs_no_connection)
{
    begin_with("", "wss://wss.woox.io=100s");
    second();
    tell_both("1");
    tell_both("trap");
    tell_both("2");
    later(2000);
    settle();
    later(1000);
    tell(new, "3");
    expect("\"frame\":\"1\"");
    expect("\"cause\":\"dropped\"");
    expect("\"frame\":\"2\"");
    expect_frames("3");
    CHECK_INT(w.upgrades, 2);
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    finish();
}

/* ---- Several channels on one connection ---- */

#define CHANNELS "{\"marker\":\"two\"}"

/* Two channels, and both connections. */
static void begin_two(void)
{
    begin("push.wasm");
    w.answers = true;
    w.plugin.config = "{}";
    w.plugin.has_shutdown = true;
    CHECK_OK(lifetimes_add(&lives, BYTES("wss://wss.woox.io=2000s"), &err));
    w.plugin.lifetimes = &lives;
    w.plugin.silence_ms = 100000000;
    open_stream(CHANNELS, 0);
    UNTIL(is(STREAM_LIVE) && w.subscribed == 1);
    CHECK_TEXT(w.last, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@A\",\"trade@B\"]}");
    old = w.ws;
    later(1940000);
    for (int i = 0; i < 22 && w.upgrades == 1; i++)
        later(1000);
    UNTIL(w.subscribed == 2);
    settle();
    new = w.ws;
}

/* Each channel is alive on the old connection; the new one brings the first alone so far. */
static void begin_late(void)
{
    begin_two();
    tell(new, w.last); /* the answer */
    tell_both("\"trade@A\" 1");
    tell(old, "\"trade@B\" 1");
}

static void expect_channel(const char *channel, int number)
{
    char part[60];
    snprintf(part, sizeof part, "\"frame\":\"\\\"trade@%s\\\" %d\"", channel, number);
    expect(part);
}

TEST(renew, the_old_connection_stays_until_a_channel_that_is_late_has_come)
{
    begin_late();
    later(1000);
    later(3000);
    CHECK_UINT(stream_open_sockets(w.stream), 2);
    tell_both("\"trade@A\" 2");
    tell(old, "\"trade@B\" 2");
    tell(new, "\"trade@B\" 3");
    later(500);
    CHECK_UINT(stream_open_sockets(w.stream), 2); /* the old one may be behind */
    tell(old, "\"trade@B\" 3");
    later(500);
    CHECK_UINT(stream_open_sockets(w.stream), 1);
    tell(new, "\"trade@B\" 4");
    expect_channel("A", 1);
    expect_channel("B", 1);
    expect_channel("A", 2);
    expect_channel("B", 2);
    expect_channel("B", 3);
    expect_channel("B", 4);
    expect_none();
    CHECK_UINT(counts()->gaps, 0);
    finish();
}

/* Silent on both, and not answered yet: what comes meanwhile comes by the old one. */
TEST(renew, the_old_connection_stays_until_the_new_one_has_named_a_silent_channel)
{
    for (int answered = 0; answered <= 1; answered++) {
        begin_two();
        tell(new, "{\"cmd\":\"SUBSCRIBE\",\"data\":[\"trade@A\"]}");
        tell_both("\"trade@A\" 1");
        later(1000);
        later(3000);
        CHECK_UINT(stream_open_sockets(w.stream), 2);
        tell(old, "\"trade@B\" 1"); /* the new one's subscription is late */
        tell(new, answered ? "{\"data\":[\"trade@B\"]}" : "\"trade@A\" 2");
        later(answered ? 1000 : 30000);
        CHECK_UINT(stream_open_sockets(w.stream), 1);
        finish();
    }
}

/* The next record is a status of that kind. */
static void expect_status(const char *state)
{
    record *r = sub_next(w.sub);
    CHECK(r && r->kind == RECORD_STATUS && record_has(r, state));
    record_unref(r);
}

TEST(renew, a_channel_that_does_not_come_is_a_gap_until_it_does)
{
    for (int early = 0; early <= 1; early++) {
        begin_late();
        later(1000);
        if (early)
            server_ws_abort(old); /* before its time is over */
        else
            later(31000);
        UNTIL(stream_open_sockets(w.stream) == 1);
        expect_channel("A", 1);
        expect_channel("B", 1);
        tell(new, "\"trade@A\" 2");
        expect("\"cause\":\"disconnected\"");
        expect_channel("A", 2);
        tell(new, "\"trade@A\" 3");
        expect_channel("A", 3);
        CHECK(sub_next(w.sub) == NULL); /* not whole yet */
        tell(new, "\"trade@B\" 9");
        expect_channel("B", 9);
        expect_status("\"state\":\"resynced\"");
        tell(new, "\"trade@B\" 10");
        expect_channel("B", 10);
        CHECK_UINT(counts()->gaps, 1);
        finish();
    }
}

TEST(renew, a_connection_lost_while_a_channel_is_missing_is_a_gap_of_its_own)
{
    begin_late();
    server_ws_abort(old);
    UNTIL(stream_open_sockets(w.stream) == 1);
    tell(new, "\"trade@A\" 2");
    expect_channel("A", 1);
    expect_channel("B", 1);
    expect("\"cause\":\"disconnected\"");
    expect_channel("A", 2);
    server_ws_abort(new);
    UNTIL(is(STREAM_WAITING));
    later(2000);
    UNTIL(w.subscribed == 3 && is(STREAM_LIVE));
    say("\"trade@A\" 5");
    expect("\"cause\":\"disconnected\"");
    expect_status("\"state\":\"resynced\"");
    expect_channel("A", 5);
    finish();
}

/* ---- Order books ---- */

/* A venue that sends the new subscription's snapshot late, behind changes that both connections brought: the book begins anew
 * with it, so the changes behind it belong there, though the old connection had brought them. */
TEST(renew, changes_behind_a_late_snapshot_of_the_successor_are_none_that_came_twice)
{
    static const char *const seen[] = {"100,\"flags\":[\"snapshot\"", "101,", "102,", "103,", "104,", "103,\"flags\":[\"snapshot\"", "104,", "105,"};
    for (int later_still = 0; later_still <= 1; later_still++) {
        begin("book.wasm");
        w.answers = true;
        w.plugin.config = "{}";
        w.plugin.has_shutdown = true;
        CHECK_OK(lifetimes_add(&lives, BYTES("wss://wss.woox.io=100s"), &err));
        w.plugin.lifetimes = &lives;
        w.plugin.silence_ms = 100000000;
        open_stream("{\"guard\":\"\\\"sequence\\\"\"}", 0);
        UNTIL(is(STREAM_LIVE) && w.subscribed == 1);
        old = w.ws;
        tell(old, BOOK("100", SNAPSHOT));
        tell(old, BOOK("101", ""));
        later(84000);
        for (int i = 0; i < 12 && w.upgrades == 1; i++)
            later(500);
        UNTIL(w.subscribed == 2);
        new = w.ws;
        tell(new, "ignore");
        tell_both(BOOK("102", ""));
        tell(old, BOOK("103", ""));
        tell(old, BOOK("104", ""));
        if (later_still)
            later(1000);
        tell(new, BOOK("103", SNAPSHOT));
        tell(new, BOOK("104", ""));
        later(1000);
        CHECK_UINT(stream_open_sockets(w.stream), 1);
        tell(new, BOOK("105", ""));
        for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
            char part[80];
            snprintf(part, sizeof part, "\"sequence\":%s", seen[i]);
            expect(part);
        }
        expect_none();
        CHECK_UINT(counts()->gaps, 0);
        CHECK_UINT(counts()->doubles, 2); /* the acknowledgement and 102 */
        finish();
    }
}
