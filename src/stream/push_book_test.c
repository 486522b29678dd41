/* Order books of push streams, from the marker to the snapshot: book.wasm passes its frames on as records. */
#include "stream/testing.h"

#define BY_URL "\"snapshot\":\"{\\\"url\\\":\\\"https://wss.woox.io/depth\\\"}\""
#define BY_MESSAGES "\"snapshot\":\"{\\\"messages\\\":[\\\"leave\\\",\\\"join\\\"]}\""
#define SEQUENCE "\"guard\":\"\\\"sequence\\\"\""
#define SNAPSHOT "{\"bids\":[[\"9\",\"1\"]],\"asks\":[],\"sequence\":100,\"flags\":[\"snapshot\",\"last\"]}"

static void begin_live(const char *parameters)
{
    begin("book.wasm");
    w.plugin.config = "{}";
    w.plugin.has_shutdown = true;
    w.plugin.silence_ms = 3600000;
    open_stream(parameters, 0);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 1);
}

/* The status records up to this one. */
static void expect_resynced(void)
{
    record *r = NULL;
    for (;; record_unref(r)) {
        UNTIL((r = sub_next(w.sub)) != NULL);
        CHECK(r->kind == RECORD_STATUS);
        if (r->state == RECORD_RESYNCED)
            break;
    }
    record_unref(r);
}

static record_counts counts(void)
{
    return *record_stream_counts(stream_records(w.stream));
}

/* ---- By a request ---- */

TEST(push_book, asks_for_the_snapshot_once_the_first_change_came)
{
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest = SNAPSHOT;
    settle();
    CHECK_INT(w.gets, 0);
    say("{\"first_sequence\":99,\"sequence\":101}");
    expect("\"sequence\":100,\"flags\":[\"snapshot\",\"last\"]");
    expect("\"sequence\":101,\"flags\":[\"last\"]");
    say("{\"sequence\":102}");
    expect("\"sequence\":102");
    CHECK_INT(w.gets, 1);
    CHECK_UINT(counts().received, 3); /* the snapshot is one */
    CHECK_UINT(counts().gaps, 0);
    CHECK_UINT(stream_lost(w.stream), 0);
    CHECK_TEXT(w.states, "cl");
    end();
}

TEST(push_book, asks_again_behind_a_hole_with_a_growing_pause)
{
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest = SNAPSHOT;
    say("{\"sequence\":101}");
    expect("\"sequence\":100");
    expect("\"sequence\":101");
    w.rest = "{\"bids\":[],\"asks\":[],\"sequence\":104,\"flags\":[\"snapshot\"]}";
    say("{\"sequence\":105}");
    expect("\"from_seq\":\"102\",\"to_seq\":\"104\"");
    expect("\"sequence\":105,\"flags\":[\"last\",\"maybe_bad\"]");
    settle();
    CHECK_INT(w.gets, 1); /* the book was whole for a moment only */
    later(2000);
    UNTIL(w.gets == 2);
    expect_resynced();
    expect("\"sequence\":104");
    expect("\"sequence\":105,\"flags\":[\"last\"]");
    later(61000);
    w.rest = "{\"bids\":[],\"asks\":[],\"sequence\":200,\"flags\":[\"snapshot\"]}";
    say("{\"sequence\":201}"); /* a minute later it is asked for at once */
    expect("\"cause\":\"sequence\"");
    expect("maybe_bad");
    expect("\"sequence\":200");
    CHECK_INT(w.gets, 3);
    end();
}

TEST(push_book, asks_again_when_the_answer_is_none)
{
    static const struct {
        int status;
        const char *rest;
    } bad[] = {{500, "oh"}, {404, ""}, {0, "ignore"}, {0, "fail"}, {0, "{\"bids\":[],\"sequence\":99}"}, {0, "{\"bids\":[],\"asks\":[],\"sequence\":90,\"flags\":[\"snapshot\"]}"}};
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest_status = 503;
    w.rest = "busy";
    say("{\"sequence\":101}");
    UNTIL(w.gets == 1);
    settle();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w.rest_status = bad[i].status;
        w.rest = bad[i].rest;
        int before = w.gets;
        later(61000);
        UNTIL(w.gets == before + 1);
        settle();
    }
    w.rest_status = 0;
    w.rest = SNAPSHOT;
    later(61000);
    for (record *r; (r = next_record()) && r->kind == RECORD_GAP;) /* of "fail" */
        CHECK_INT(r->cause, RECORD_GAP_DROPPED);
    CHECK(kept && kept->whole);
    expect("\"sequence\":101");
    end();
}

TEST(push_book, waits_as_long_as_the_venue_asks_for)
{
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest_status = 429;
    w.retry_after = "30";
    say("{\"sequence\":101}");
    UNTIL(w.gets == 1);
    settle();
    w.rest_status = 0;
    w.rest = SNAPSHOT;
    later(28000);
    CHECK_INT(w.gets, 1);
    later(3000);
    expect("\"sequence\":100");
    end();
}

TEST(push_book, an_address_that_the_plugin_may_not_reach_ends_the_stream)
{
    begin_live("{" SEQUENCE ",\"snapshot\":\"{\\\"url\\\":\\\"https://evil.example/\\\"}\"}");
    say("{\"sequence\":101}");
    UNTIL(is(STREAM_FAILED));
    CHECK_HAS(stream_why(w.stream), "evil.example");
    end();
}

/* The plugin traps on the snapshot: the new instance gets it once more, then it is dropped and asked for again. */
TEST(push_book, a_trap_on_the_snapshot_costs_the_snapshot)
{
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest = "trap";
    say("{\"sequence\":101}");
    UNTIL(w.gets == 1);
    for (int i = 0; i < 100 && !stream_lost(w.stream); i++)
        later(100);
    CHECK_UINT(stream_lost(w.stream), 1);
    w.rest = SNAPSHOT;
    later(61000);
    expect("\"cause\":\"dropped\"");
    expect("\"sequence\":100");
    expect("\"sequence\":101");
    end();
}

/* ---- On the socket, and by a new one ---- */

TEST(push_book, sends_what_brings_a_snapshot_again)
{
    begin_live("{" SEQUENCE "," BY_MESSAGES "}");
    say("{\"sequence\":99}"); /* before the snapshot: it has it */
    say(SNAPSHOT);
    say("{\"sequence\":103}");
    expect("\"sequence\":100");
    expect("\"cause\":\"sequence\"");
    expect("maybe_bad");
    later(2000);
    UNTIL(w.subscribed == 3);
    CHECK_TEXT(w.heard, "first|leave|join");
    later(11000); /* none comes */
    later(61000);
    UNTIL(strstr(w.heard, "first|leave|join|leave|join"));
    say("{\"sequence\":104}");
    say(SNAPSHOT);
    expect_resynced();
    expect("\"sequence\":100");
    expect_none();
    CHECK_UINT(counts().stale, 2);
    CHECK_INT(w.upgrades, 1);
    end();
}

TEST(push_book, dials_anew_where_only_a_subscription_brings_a_snapshot)
{
    begin_live("{" SEQUENCE "}");
    say(SNAPSHOT);
    say("{\"sequence\":103}");
    expect("\"sequence\":100");
    expect("\"from_seq\":\"101\",\"to_seq\":\"102\"");
    expect("maybe_bad");
    later(2000);
    UNTIL(w.upgrades == 2 && is(STREAM_LIVE));
    UNTIL(w.subscribed == 2);
    say(SNAPSHOT);
    expect_resynced();
    expect("\"sequence\":100"); /* one gap for all of it */
    expect_none();
    end();
}

/* Snapshots never came: the subscription has its time, then it is dialled anew. */
TEST(push_book, a_subscription_without_a_snapshot_is_tried_again)
{
    begin_live("{" SEQUENCE "}");
    say("{\"sequence\":103}");
    settle();
    later(9000);
    CHECK_INT(w.upgrades, 1);
    later(2000);
    UNTIL(w.upgrades == 2);
    end();
}

/* ---- With the stream's other troubles ---- */

TEST(push_book, begins_anew_with_each_socket)
{
    begin_live("{" SEQUENCE "," BY_URL "}");
    w.rest = SNAPSHOT;
    say("{\"sequence\":101}");
    expect("\"sequence\":100");
    expect("\"sequence\":101");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    later(2000);
    UNTIL(is(STREAM_LIVE));
    w.rest = "{\"bids\":[],\"asks\":[],\"sequence\":300,\"flags\":[\"snapshot\"]}";
    say("{\"sequence\":301}");
    settle();
    later(61000);
    expect("\"cause\":\"disconnected\"");
    expect_resynced();
    expect("\"sequence\":300");
    expect("\"sequence\":301");
    end();
}

/* What waits in the inbox when its socket goes is not of the next one's book. */
TEST(push_book, leaves_out_what_a_lost_socket_left_behind)
{
    begin("book.wasm");
    w.plugin.config = "{}";
    w.plugin.silence_ms = 3600000;
    open_stream("{" SEQUENCE "}", 2);
    UNTIL(is(STREAM_LIVE));
    for (int i = 0; i < 4; i++)
        say(SNAPSHOT);
    UNTIL(hub_blocked(w.hub, NULL) && stream_queued(w.stream) >= 2);
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    while (!kept || kept->kind != RECORD_DATA)
        next_record();
    later(2000);
    while (next_record())
        CHECK(kept->kind == RECORD_DATA); /* that were passed on before */
    UNTIL(is(STREAM_LIVE));
    say("{\"bids\":[],\"asks\":[],\"sequence\":300,\"flags\":[\"snapshot\"]}");
    expect("\"cause\":\"disconnected\"");
    expect_resynced();
    expect("\"sequence\":300");
    CHECK(counts().stale >= 2);
    end();
}

/* The host keeps the book, so a new instance of the plugin goes on with it. */
TEST(push_book, outlives_the_plugins_instance)
{
    begin_live("{" SEQUENCE "}");
    say(SNAPSHOT);
    expect("\"sequence\":100");
    say("trap");
    settle();
    later(3000);
    later(3000);
    expect("\"cause\":\"dropped\"");
    say("{\"sequence\":101}");
    expect_resynced();
    expect("\"sequence\":101,\"flags\":[\"last\"]");
    CHECK_INT(w.upgrades, 1);
    end();
}

/* What a full reader keeps from being passed on waits: the held changes too. */
TEST(push_book, waits_while_a_reader_is_full)
{
    begin("book.wasm");
    w.plugin.config = "{}";
    w.plugin.silence_ms = 3600000;
    open_stream("{" SEQUENCE "," BY_URL "}", 1);
    UNTIL(is(STREAM_LIVE));
    say("[{\"sequence\":101},{\"sequence\":102}]");
    say("{\"sequence\":103}");
    settle();
    w.rest = SNAPSHOT;
    later(61000);
    settle();
    for (uint64_t i = 100; i <= 103; i++) {
        char part[40];
        snprintf(part, sizeof part, "\"sequence\":%llu", (unsigned long long)i);
        expect(part);
    }
    say("{\"sequence\":104}");
    expect("\"sequence\":104");
    CHECK_UINT(counts().gaps, 0);
    end();
}

TEST(push_book, a_marker_that_makes_no_sense_fails_with_the_reason)
{
    static const struct {
        const char *parameters, *why;
    } bad[] = {
        {"{\"guard\":\"\\\"crc\\\"\"}", "its StreamMarker: \"book\": \"guard\" is \"crc\""},
        {"{\"snapshot\":\"5\"}", "\"snapshot\" is 5; it is {\"url\""},
        {"{\"snapshot\":\"{}\"}", "\"snapshot\" is {}"},
        {"{\"snapshot\":\"{\\\"url\\\":7}\"}", "\"url\" of \"snapshot\" is 7"},
        {"{\"snapshot\":\"{\\\"messages\\\":[]}\"}", "a list of 1 to 16 texts"},
        {"{\"snapshot\":\"{\\\"messages\\\":[1]}\"}", "a list of 1 to 16 texts"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin("book.wasm");
        w.plugin.config = "{}";
        open_stream(bad[i].parameters, 0);
        UNTIL(is(STREAM_FAILED));
        CHECK_HAS(stream_why(w.stream), bad[i].why);
        CHECK_INT(w.upgrades, 0);
        end();
    }
}

TEST(push_book, may_be_freed_while_it_waits_for_a_snapshot)
{
    static const char *const ways[] = {"{" SEQUENCE "}", "{" SEQUENCE "," BY_URL "}", "{" SEQUENCE "," BY_MESSAGES "}"};
    for (size_t i = 0; i < 3; i++)
        for (int turns = 0; turns < 12; turns++) {
            begin_live(ways[i]);
            w.rest = SNAPSHOT;
            say(SNAPSHOT);
            say("{\"sequence\":105}");
            for (int k = 0; k < turns; k++)
                loop_step(w.loop, 1);
            end();
        }
}
