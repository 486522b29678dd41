/* Streams of pull plugins: streams.wasm goes wrong as its parameter "behaviour" says. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/testing.h"

TEST(stream, lives_from_dial_to_a_stop_in_good_order)
{
    begin("streams.wasm");
    open_stream("", 0);
    UNTIL(is(STREAM_LIVE));
    CHECK_TEXT(w.states, "cl");
    UNTIL(w.subscribed == 1);
    CHECK_HAS(w.last, "\"SUBSCRIBE\"");
    say("one");
    say("two");
    expect("\"data\":{\"frame\":\"one\"}");
    expect("\"data\":{\"frame\":\"two\"}");
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, 2);
    CHECK_UINT(stream_queued(w.stream) + stream_lost(w.stream), 0);
    stream_stop(w.stream);
    stream_stop(w.stream);
    UNTIL(is(STREAM_CLOSED));
    CHECK_TEXT(w.states, "clsc");
    CHECK_TEXT(stream_why(w.stream), "stopped");
    stream_stop(w.stream);
    expect_none();
    end();
}

/* Stopped in each state it is closed, and nothing is left running. */
TEST(stream, may_be_stopped_in_every_state)
{
    static const char *const states[] = {
        [STREAM_CONNECTING] = "csc",
        [STREAM_LIVE] = "clsc",
        [STREAM_WAITING] = "clwc",
        [STREAM_STOPPING] = "clsc",
    };
    for (int state = STREAM_CONNECTING; state <= STREAM_STOPPING; state++) {
        begin("streams.wasm");
        w.act_in = state;
        open_stream("", 0);
        UNTIL(state == STREAM_CONNECTING || is(STREAM_LIVE) || is(STREAM_STOPPING) || is(STREAM_CLOSED));
        settle();
        if (state == STREAM_WAITING)
            server_ws_abort(w.ws);
        if (state == STREAM_STOPPING)
            stream_stop(w.stream);
        UNTIL(is(STREAM_CLOSED));
        CHECK_TEXT(w.states, states[state]);
        CHECK(strstr(stream_why(w.stream), "force") == NULL);
        later(100000);
        CHECK_TEXT(w.states, states[state]);
        end();
    }
}

TEST(stream, may_be_freed_from_on_state_in_every_state)
{
    for (int state = STREAM_CONNECTING; state <= STREAM_FAILED; state++) {
        begin("streams.wasm");
        w.act_in = state;
        w.frees = true;
        open_stream(state == STREAM_FAILED ? "{\"behaviour\":\"refuse\"}" : "", 0);
        if (state == STREAM_WAITING) {
            UNTIL(is(STREAM_LIVE));
            UNTIL(w.subscribed);
            server_ws_abort(w.ws);
        } else if (state == STREAM_STOPPING || state == STREAM_CLOSED) {
            UNTIL(is(STREAM_LIVE));
            stream_stop(w.stream);
        }
        UNTIL(w.stream == NULL);
        later(100000);
        end();
    }
}

/* One that never asks for messages cannot be told nicely: two seconds, then by force. */
TEST(stream, that_ignores_its_stop_is_ended_by_force)
{
    begin("streams.wasm");
    open_stream("{\"behaviour\":\"ignore_stop\"}", 0);
    UNTIL(is(STREAM_LIVE));
    stream_stop(w.stream);
    later(1900);
    CHECK(is(STREAM_STOPPING));
    later(200);
    CHECK(is(STREAM_CLOSED));
    CHECK_HAS(stream_why(w.stream), "by force");
    end();
}

TEST(stream, refused_by_its_plugin_before_dialling_has_failed_for_good)
{
    begin("streams.wasm");
    open_stream("{\"behaviour\":\"refuse\"}", 0);
    UNTIL(is(STREAM_FAILED));
    CHECK_TEXT(stream_why(w.stream), "start_stream: refused on purpose");
    stream_stop(w.stream);
    CHECK(is(STREAM_FAILED));
    CHECK_INT(w.upgrades, 0);
    end();
}

/* Go's errors quote things: escapes are undone, and control characters do not reach a terminal. */
TEST(stream, shows_the_plugins_reason_in_its_own_words)
{
    begin("(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
          "(import \"extism:host/env\" \"store_u8\" (func $put (param i64 i32)))"
          "(import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"
          "(memory (export \"memory\") 1) (data (i32.const 0) \"{\\22error\\22:\\22no \\5c\\223m\\5c\\22\\5cu001b here\\22}\")"
          "(func (export \"start_stream\") (result i32) (local $o i64) (local $i i32) (local.set $o (call $alloc (i64.const 32)))"
          "(loop $l (call $put (i64.add (local.get $o) (i64.extend_i32_u (local.get $i))) (i32.load8_u (local.get $i)))"
          "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 32))))"
          "(call $out (local.get $o) (i64.const 32)) (i32.const 1)))");
    open_stream("", 0);
    UNTIL(is(STREAM_FAILED));
    CHECK_TEXT(stream_why(w.stream), "start_stream: no \"3m\"? here");
    end();
}

TEST(stream, whose_start_returns_with_its_socket_open_goes_on_at_once)
{
    begin("streams.wasm");
    open_stream("{\"behaviour\":\"return\"}", 0);
    UNTIL(w.upgrades == 2); /* the second return waits for the back-off */
    UNTIL(is(STREAM_WAITING));
    settle();
    CHECK_INT(w.upgrades, 2);
    later(1000);
    UNTIL(w.upgrades == 3);
    end();
}

TEST(stream, that_loses_its_socket_comes_back_with_a_gap_in_the_right_place)
{
    begin("streams.wasm");
    open_stream("", 0);
    UNTIL(w.subscribed == 1);
    say("one");
    expect("\"seq\":\"1\"");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    CHECK_HAS(stream_why(w.stream), "next try in ");
    expect_none();
    later(1000);
    UNTIL(w.subscribed == 2);
    say("two");
    expect("\"kind\":\"gap\"");
    expect("\"seq\":\"3\"");
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->restarts, 1);
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* A reader is full, messages wait, the socket is lost: what had arrived is still delivered, in front of
 * the gap, and is not counted as lost. */
TEST(stream, delivers_what_came_before_a_disconnect)
{
    begin("streams.wasm");
    open_stream("", 4);
    UNTIL(w.subscribed == 1);
    for (int i = 0; i < 10; i++) {
        char text[20];
        snprintf(text, sizeof text, "m%d", i);
        say(text);
    }
    UNTIL(stream_queued(w.stream) >= 5 && hub_blocked(w.hub, NULL));
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, 10);
    server_ws_drop(w.ws);
    UNTIL(stream_open_sockets(w.stream) == 0);
    later(5000);
    CHECK(is(STREAM_LIVE)); /* it still has something to read */
    for (int i = 0; i < 10; i++) {
        char part[40];
        snprintf(part, sizeof part, "{\"frame\":\"m%d\"}", i);
        expect(part);
    }
    later(1000);
    later(1000);
    UNTIL(w.subscribed == 2);
    say("after");
    expect("\"kind\":\"gap\"");
    expect("{\"frame\":\"after\"}");
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* Messages that die with an instance are counted once, whatever ends it. */
TEST(stream, counts_what_dies_in_its_inbox)
{
    begin("streams.wasm");
    w.plugin.backoff_min_ns = w.plugin.backoff_max_ns = 3600 * NS_PER_S;
    open_stream("{\"behaviour\":\"deaf\"}", 0);
    UNTIL(w.subscribed == 1);
    say("one");
    say("two");
    UNTIL(stream_queued(w.stream) == 2);
    later(10000);
    CHECK(is(STREAM_CONNECTING));
    later(5000);
    later(5000);
    UNTIL(is(STREAM_WAITING));
    CHECK_HAS(stream_why(w.stream), "has asked for none in 15 s");
    CHECK_UINT(stream_queued(w.stream), 2); /* they wait for the next instance, but not for ever */
    later(61000);
    CHECK_UINT(stream_lost(w.stream), 2);
    CHECK_UINT(stream_queued(w.stream), 0);
    later(3600000);
    UNTIL(w.upgrades == 2);
    say("three");
    UNTIL(stream_queued(w.stream) == 1);
    stream_stop(w.stream);
    UNTIL(is(STREAM_CLOSED));
    CHECK_UINT(stream_lost(w.stream), 2); /* what comes after the user's stop is not wanted: unread, not lost */
    CHECK_UINT(stream_unread(w.stream), 1);
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, 3);
    expect("\"count\":2");
    end();
}

/* The plugin never came to ws_receive and does not notice the close: another instance does. */
TEST(stream, that_loses_its_socket_before_it_was_live_tries_again)
{
    begin("streams.wasm");
    open_stream("{\"behaviour\":\"deaf\"}", 0);
    UNTIL(w.subscribed == 1);
    server_ws_abort(w.ws);
    UNTIL(stream_open_sockets(w.stream) == 0);
    settle();
    later(1000);
    UNTIL(is(STREAM_WAITING));
    later(1000);
    UNTIL(w.subscribed == 2);
    end();
}

TEST(stream, waits_as_long_as_the_venue_asks_within_reason)
{
    static const char *const cases[][2] = {{"7", "next try in 7."}, {"4000000000", "next try in 3600."}, {"0", "next try in "}, {"Tue, 14 Nov 2023 22:14:20 GMT", "next try in 60."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        real = 1700000000 * NS_PER_S;
        begin("streams.wasm");
        w.status = 429;
        w.plugin.backoff_min_ns = 100 * NS_PER_MS;
        w.retry_after = cases[i][0];
        open_stream("", 0);
        UNTIL(strchr(w.states, 'w'));
        CHECK_HAS(stream_why(w.stream), cases[i][1]);
        CHECK_HAS(stream_why(w.stream), "told to wait by wss://wss.woox.io until 2023-11-14T");
        end();
    }
}

/* A ban that one stream is told holds for the others of that origin: they say so, and dial when it is over. */
static void waits_out_a_ban(const char *guest)
{
    stream *other;
    stream_options options = {.type = BYTES("raw"), .identifier = BYTES("y")};
    real = 1700000000 * NS_PER_S;
    begin(guest);
    w.plugin.config = "{}";
    w.status = 418;
    w.retry_after = "300";
    open_stream("", 0);
    UNTIL(strchr(w.states, 'w'));
    CHECK_HAS(stream_why(w.stream), "banned by wss://wss.woox.io until 2023-11-14T22:18:20Z (HTTP status 418); next try in 30");
    w.status = 0;
    CHECK_OK(stream_open(&other, &w.plugin, &options, &err));
    UNTIL(strstr(stream_why(other), "next try in"));
    CHECK_INT(stream_get_state(other), STREAM_WAITING);
    CHECK(strncmp(stream_why(other), "banned by wss://wss.woox.io until 2023-11-14T22:18:20Z", 54) == 0);
    later(290000);
    CHECK_INT(w.upgrades, 0);
    later(11000);
    UNTIL(is(STREAM_LIVE) && stream_get_state(other) == STREAM_LIVE);
    CHECK_INT(w.upgrades, 2);
    stream_free(other);
    end();
}

TEST(stream, waits_out_a_ban_that_another_was_told)
{
    waits_out_a_ban("streams.wasm");
}

TEST(stream, of_a_push_plugin_waits_out_a_ban_that_another_was_told)
{
    waits_out_a_ban("push.wasm");
}

/* Somebody accepts the connection and never answers. */
TEST(stream, is_not_held_up_by_a_venue_that_accepts_and_never_answers)
{
    static const char *const guests[] = {"streams.wasm", "push.wasm"};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char rule[100];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 10) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    for (size_t i = 0; i < 4; i++) {
        bool tls = i % 2;
        begin(guests[i / 2]);
        w.plugin.config = "{}";
        snprintf(rule, sizeof rule, "wss://wss.woox.io=%s://127.0.0.1:%u", tls ? "wss" : "ws", ntohs(at.sin_port));
        targets_free(w.targets);
        w.plugin.targets = w.targets = targets_new();
        CHECK_OK(targets_add(w.targets, BYTES("wss://wss.woox.io/*"), &err));
        CHECK_OK(targets_override(w.targets, bytes_of(rule), &err));
        open_stream("", 0);
        int peer;
        UNTIL((peer = accept(fd, NULL, NULL)) >= 0);
        settle();
        later(9000);
        CHECK(is(STREAM_CONNECTING));
        later(1001);
        UNTIL(is(STREAM_WAITING));
        CHECK_HAS(stream_why(w.stream), tls ? "not open within 10000 ms; the time went by in the TLS handshake" : "not open within 10000 ms; the time went by in the WebSocket upgrade");
        close(peer);
        end();
    }
    close(fd);
}

TEST(stream, that_traps_again_and_again_is_given_up)
{
    begin("streams.wasm");
    w.plugin.health.on_trap = ON_TRAP_FAIL;
    w.plugin.health.within_ns = 3600 * NS_PER_S;
    open_stream("{\"behaviour\":\"trap\"}", 0);
    for (int i = 1; i <= 5; i++) {
        UNTIL(w.upgrades == i && is(STREAM_LIVE));
        for (int k = 0; k < 3; k++)
            later(2000); /* the socket before has nothing more to say */
        for (int k = 0; k < 3; k++)
            say("x");
        UNTIL(is(STREAM_WAITING) || is(STREAM_FAILED));
        later(50000);
    }
    CHECK(is(STREAM_FAILED));
    CHECK_HAS(stream_why(w.stream), "start_stream: start_stream trapped: ");
    CHECK_INT(notes, 5);
    CHECK_HAS(noted, "then=gave up");
    end();
}

TEST(stream, says_of_a_trap_which_message_it_was_about_and_what_follows)
{
    begin("streams.wasm");
    w.plugin.health.traps_max = 2;
    open_stream("{\"behaviour\":\"trap\"}", 0);
    UNTIL(w.subscribed == 1);
    for (int k = 1; k <= 3; k++)
        say(k == 3 ? "the third" : "x");
    UNTIL(is(STREAM_WAITING));
    CHECK_INT(notes, 1);
    CHECK_HAS(noted, "export=start_stream code=trapped then=restarted again=0 topic=raw.streams.x.trap message=the third last=ws_receive input={\"type\":\"raw\",");
    later(2000);
    UNTIL(w.subscribed == 2);
    for (int k = 0; k < 3; k++)
        later(2000); /* the socket before has nothing more to say */
    for (int k = 1; k <= 3; k++)
        say("x");
    UNTIL(is(STREAM_WAITING));
    CHECK_HAS(noted, "then=quarantined again=300 ");
    end();
}

TEST(stream, of_a_plugin_that_traps_again_and_again_rests_with_it)
{
    begin("streams.wasm");
    w.plugin.health.traps_max = 1;
    open_stream("{\"behaviour\":\"trap\"}", 0);
    UNTIL(w.subscribed == 1);
    for (int k = 0; k < 3; k++)
        say("x");
    UNTIL(is(STREAM_WAITING));
    CHECK_HAS(stream_why(w.stream), "the plugin is in quarantine until 2023-");
    CHECK_HAS(stream_why(w.stream), "start_stream trapped: ");
    later(290000);
    CHECK_INT(w.upgrades, 1);
    stream_options late = {.type = BYTES("raw"), .identifier = BYTES("y")}; /* one that comes meanwhile rests, too */
    stream *other;
    CHECK_OK(stream_open(&other, &w.plugin, &late, &err));
    settle();
    CHECK_INT(stream_get_state(other), STREAM_WAITING);
    CHECK_HAS(stream_why(other), "the plugin is in quarantine until 2023-");
    later(11000);
    UNTIL(is(STREAM_LIVE) && stream_get_state(other) == STREAM_LIVE);
    CHECK_INT(w.upgrades, 3);
    stream_free(other);
    end();
}

/* ---- The session's part ---- */

TEST(session, answers_the_venues_pings_and_sends_its_own)
{
    begin("streams.wasm");
    open_stream("", 0);
    UNTIL(w.subscribed == 1);
    say("{\"cmd\":\"PING\",\"ts\":1}");
    UNTIL(w.subscribed == 2);
    CHECK_HAS(w.last, "{\"cmd\":\"PONG\",\"ts\":");
    later(15000);
    UNTIL(w.subscribed == 3);
    CHECK_HAS(w.last, "{\"cmd\":\"PING\",\"ts\":");
    say("{\"cmd\":\"PONG\"}");
    expect_none();
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, 0);
    end();
}

TEST(session, of_a_silent_venue_is_given_up)
{
    begin("streams.wasm");
    w.plugin.silence_ms = 2000;
    w.plugin.backoff_min_ns = w.plugin.backoff_max_ns = 3600 * NS_PER_S;
    open_stream("", 0);
    UNTIL(w.subscribed == 1);
    server_ws_stall(w.ws, true);
    for (int i = 0; i < 4; i++)
        later(500);
    CHECK(is(STREAM_LIVE));
    later(600);
    later(1100);
    UNTIL(is(STREAM_WAITING));
    CHECK_HAS(stream_why(w.stream), "the venue sent nothing for 2.0 s");
    end();
}

/* A full inbox stops the reading; nothing is lost, and our not reading is not the venue's silence. */
TEST(session, stops_reading_while_the_inbox_is_full)
{
    enum { MESSAGES = 300 };
    char text[1200];
    policy_limits limits = policy_defaults;
    limits.inbox = 16384;
    begin("streams.wasm");
    w.plugin.limits = &limits;
    w.plugin.silence_ms = 2000;
    open_stream("", 4);
    UNTIL(w.subscribed == 1);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, 6, "%05d", i);
        text[5] = 'x';
        say(text);
    }
    settle();
    CHECK(stream_queued(w.stream) < 20);
    for (int i = 0; i < 8; i++)
        later(1000);
    CHECK(is(STREAM_LIVE));
    for (int i = 0; i < MESSAGES; i++) {
        char part[40];
        snprintf(part, sizeof part, "{\"frame\":\"%05dx", i);
        expect(part);
    }
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, MESSAGES);
    end();
}

TEST(stream, survives_any_failed_allocation)
{
    begin("streams.wasm");
    FAULT_SWEEP(alloc) {
        stream_options options = {.type = BYTES("raw"), .identifier = BYTES("x"), .parameters = BYTES("{\"a\":\"b\"}")};
        stream *s = NULL;
        if (stream_open(&s, &w.plugin, &options, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        stream_free(s);
    }
    end();
}
