/* Streams of push plugins: push.wasm does what each frame says. */
#define TICK_MS 1 /* not the 5 that it counts as, so that what computes for long is over soon */
#include "stream/testing.h"

static void begin_live(const char *parameters)
{
    begin("push.wasm");
    w.plugin.config = "{}";
    w.plugin.has_shutdown = true;
    open_stream(parameters, 0);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 2);
}

TEST(push, lives_from_the_marker_to_a_stop_in_good_order)
{
    begin_live("{\"extra\":\"kept\"}");
    CHECK_TEXT(w.states, "cl");
    CHECK_TEXT(w.heard, "first|second");
    say("one");
    expect("\"data\":{\"frame\":\"one\",\"n\":1,\"context\":{");
    say("{\"quoted\":\"\\u00e9\"}");
    expect("\"data\":{\"frame\":\"{\\\"quoted\\\":\\\"\\\\u00e9\\\"}\",\"n\":2,");
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->received, 2);
    CHECK_UINT(stream_queued(w.stream) + stream_lost(w.stream), 0);
    stream_stop(w.stream);
    UNTIL(is(STREAM_CLOSED));
    CHECK_TEXT(w.states, "clsc");
    CHECK_TEXT(stream_why(w.stream), "stopped");
    expect_none();
    end();
}

TEST(push, gives_the_plugin_its_context_and_all_names_of_the_parameters)
{
    begin_live("{\"timeframe\":\"1m\"}");
    say("x");
    expect("\"context\":{\"symbol\":\"x\",\"timeframe\":\"1m\",\"market\":{\"symbol\":\"x\"},\"interval\":\"1m\"}}");
    end();
}

TEST(push, gives_text_to_an_older_library_and_base64_to_a_newer)
{
    begin_live("{\"marker\":\"bare\"}");
    say("plain \"text\"");
    expect("\"data\":{\"frame\":\"plain \\\"text\\\"\"");
    end();
}

TEST(push, gives_a_frame_as_it_is_to_a_marker_that_says_raw)
{
    begin_live("{\"marker\":\"raw\"}");
    say("{\"quoted\":\"\\u00e9\"}\n \"");
    expect("\"data\":{\"frame\":\"{\\\"quoted\\\":\\\"\\\\u00e9\\\"}\\u000a \\\"\",\"n\":1,\"context\":null}");
    say("");
    expect("\"data\":{\"frame\":\"\",\"n\":2,");
    say("send");
    UNTIL(w.subscribed == 3);
    say("trap");
    say("two");
    settle();
    later(2000);
    expect("\"kind\":\"gap\"");
    expect("\"data\":{\"frame\":\"two\",\"n\":1,");
    end();
}

/* From the frame to the reader's queue. What tests and venues allocate is over before. */
TEST(push, allocates_nothing_from_message_to_record)
{
    static const char *const parameters[] = {"{\"marker\":\"raw\"}", "{\"marker\":\"bare\"}", ""};
    for (size_t i = 0; i < 3; i++) {
        uint64_t before = 0;
        begin_live(parameters[i]);
        for (int round = 0; round < 3; round++) { /* pools, buffers and rings grow in the first */
            for (int k = 0; k < 300; k++)
                say("{\"price\":\"1.5\",\"size\":\"0.25\"}");
            before = fault_allocations();
            UNTIL(record_stream_counts(stream_records(w.stream))->published == (uint64_t)(round + 1) * 300);
            if (round == 2)
                CHECK_UINT(fault_allocations() - before, 0);
            for (record *r; (r = sub_next(w.sub));)
                record_unref(r);
        }
        end();
    }
}

TEST(push, makes_a_record_of_each_item_and_takes_its_time)
{
    begin_live("");
    say("many");
    expect("\"ts_event\":\"1700000000000000001\"");
    expect("\"data\":{\"k\":2}");
    expect("\"data\":{\"k\":3}");
    say("one");
    expect("\"ts_event\":\"1700000000000000000\"");
    end();
}

TEST(push, sends_what_the_plugin_says)
{
    begin_live("");
    say("send");
    UNTIL(w.subscribed == 3);
    CHECK_TEXT(w.last, "said \"so\"");
    end();
}

TEST(push, answers_heartbeats_that_the_marker_declares)
{
    begin_live("");
    say("{\"op\":\"beat\"}");
    UNTIL(w.subscribed == 3);
    CHECK_HAS(w.last, "{\"op\":\"alive\",\"ts\":");
    say("one");
    expect("\"frame\":\"one\",\"n\":1,"); /* the beat never reached the plugin */
    end();
}

TEST(push, dials_again_and_repeats_the_initial_messages)
{
    begin_live("");
    say("one");
    expect("\"frame\":\"one\"");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    later(2000);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 4);
    CHECK_TEXT(w.heard, "first|second|first|second");
    say("two");
    expect("\"kind\":\"gap\"");
    expect("\"frame\":\"two\",\"n\":2,"); /* the same instance */
    CHECK_TEXT(w.states, "clwcl");
    end();
}

static uint64_t number_in(const record *r, const char *name)
{
    const char *at = memmem(r->line.at, r->line.len, name, strlen(name));
    CHECK(at != NULL);
    return strtoull(at + strlen(name), NULL, 10);
}

/* By an hour, while there is no socket. What comes then lies behind the loss all the same. */
TEST(push, tells_a_loss_in_its_place_also_when_the_clock_is_set_back)
{
    begin_live("");
    say("one");
    expect("\"frame\":\"one\"");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    real -= 3600 * NS_PER_S;
    later(2000);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 4);
    say("two");
    expect("\"cause\":\"disconnected\"");
    CHECK(number_in(kept, "\"from\":\"") <= number_in(kept, "\"to\":\""));
    expect("\"frame\":\"two\"");
    real += 3600 * NS_PER_S;
    say("three");
    expect("\"frame\":\"three\"");
    expect_none();
    end();
}

TEST(push, follows_reconnect_and_close)
{
    begin_live("");
    later(5000);
    say("reconnect");
    UNTIL(w.upgrades == 2 && is(STREAM_LIVE));
    UNTIL(w.subscribed == 4);
    say("close");
    UNTIL(is(STREAM_CLOSED));
    CHECK_TEXT(stream_why(w.stream), "the plugin ended it");
    end();
}

/* With a reason the end is a failure, in the plugin's words. */
TEST(push, gives_up_a_stream_that_the_plugin_closes_with_a_reason)
{
    begin_live("");
    say("refuse");
    UNTIL(is(STREAM_FAILED));
    CHECK_TEXT(stream_why(w.stream), "the plugin ended it: the venue knows no \"X\"");
    end();
}

/* One that asks for a new connection at once each time gets the back-off. */
TEST(push, does_not_dial_again_and_again_at_once)
{
    begin_live("");
    say("reconnect");
    UNTIL(is(STREAM_WAITING));
    settle();
    CHECK_INT(w.upgrades, 1);
    later(2000);
    UNTIL(is(STREAM_LIVE));
    end();
}

/* The socket outlives the instance: what came meanwhile waits. The frame that trapped comes once more, then
 * a gap stands for it. */
TEST(push, replaces_an_instance_that_traps_and_keeps_the_socket)
{
    begin_live("");
    say("one");
    expect("\"frame\":\"one\",\"n\":1,");
    say("trap");
    say("two");
    settle();
    later(2000);
    expect("\"kind\":\"gap\"");
    expect("\"frame\":\"two\",\"n\":1,");
    CHECK_INT(w.upgrades, 1);
    CHECK_INT(w.subscribed, 2);
    CHECK_UINT(stream_lost(w.stream), 1);
    CHECK(is(STREAM_LIVE));
    say("{\"op\":\"beat\"}"); /* as the new instance declares it */
    UNTIL(w.subscribed == 3);
    CHECK_HAS(w.last, "{\"op\":\"alive\"");
    end();
}

TEST(push, says_of_a_trap_which_message_it_was_about_and_what_follows)
{
    begin_live("");
    say("{\"cmd\":\"x\"}");
    say("trap");
    UNTIL(notes == 1);
    CHECK_HAS(noted, "export=handle_stream_message code=trapped then=restarted again=0 topic=raw.streams.x message=trap last= input={");
    UNTIL(notes == 2); /* once more, then it is dropped: still its own message */
    CHECK_HAS(noted, "message=trap");
    settle();
    say("spin");
    settle();
    later(2000);
    UNTIL(notes == 3);
    CHECK_HAS(noted, "export=handle_stream_message code=timeout then=restarted again=0 topic=raw.streams.x message=spin");
    end();
}

TEST(push, gives_up_after_five_traps_if_told_to)
{
    begin_live("");
    w.plugin.health.on_trap = ON_TRAP_FAIL;
    for (int i = 0; i < 3; i++)
        say("trap");
    for (int i = 0; i < 20 && !is(STREAM_FAILED); i++)
        later(60000 / 20);
    CHECK(is(STREAM_FAILED));
    CHECK_HAS(stream_why(w.stream), "unreachable");
    end();
}

TEST(push, drops_what_the_plugin_fails_on_and_says_so)
{
    static const char *const bad[] = {"nonsense", "fail", "silent"};
    begin_live("");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        say(bad[i]);
        expect("\"cause\":\"dropped\"");
    }
    say("odd");
    say("ignore");
    say("after");
    expect("\"frame\":\"after\"");
    CHECK_UINT(stream_lost(w.stream), 3);
    CHECK_TEXT(w.states, "cl");
    end();
}

TEST(push, a_wish_that_is_refused_or_makes_no_sense_fails_with_the_reason)
{
    static const struct {
        const char *marker, *why;
    } wishes[] = {
        {"refuse", "no such market"},
        {"no_id", "\"streamID\" is missing"},
        {"no_url", "\"websocketUrl\" is missing"},
        {"elsewhere", "evil.example"},
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        char parameters[64];
        begin("push.wasm");
        w.plugin.config = "{}";
        snprintf(parameters, sizeof parameters, "{\"marker\":\"%s\"}", wishes[i].marker);
        open_stream(parameters, 0);
        UNTIL(is(STREAM_FAILED));
        CHECK_HAS(stream_why(w.stream), wishes[i].why);
        CHECK_INT(w.upgrades, 0);
        end();
    }
}

TEST(push, waits_while_a_reader_is_full_and_loses_nothing)
{
    begin("push.wasm");
    w.plugin.config = "{}";
    open_stream("", 1);
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 2);
    say("many");
    say("many");
    settle();
    for (int i = 0; i < 2; i++) {
        expect("\"k\":1");
        expect("\"k\":2");
        expect("\"k\":3");
    }
    CHECK_UINT(stream_lost(w.stream), 0);
    end();
}

/* Another reader is full, so messages of three sockets come to wait behind one another. */
TEST(push, tells_each_loss_in_its_place_also_when_messages_wait)
{
    sub *full;
    sub_options one = {.policy = SUB_BLOCK, .max_records = 1};
    begin_live("");
    CHECK_OK(hub_subscribe(&full, w.hub, "raw.>", &one, &err));
    for (int i = 0; i < 1000; i++)
        say("a");
    for (int i = 2; i <= 3; i++) {
        server_ws_drop(w.ws);
        UNTIL(is(STREAM_WAITING));
        later(10000);
        UNTIL(w.upgrades == i);
        say(i == 2 ? "c" : "d");
        settle();
    }
    CHECK(stream_queued(w.stream) > 2); /* else this shows nothing */
    hub_unsubscribe(w.hub, full);
    for (int i = 0; i < 1000; i++)
        expect("\"frame\":\"a\"");
    expect("\"cause\":\"disconnected\"");
    expect("\"frame\":\"c\"");
    expect("\"cause\":\"disconnected\"");
    expect("\"frame\":\"d\"");
    expect_none();
    end();
}

TEST(push, may_be_stopped_and_freed_in_every_state)
{
    for (int frees = 0; frees <= 1; frees++)
        for (int state = STREAM_CONNECTING; state <= STREAM_CLOSED; state++) {
            begin("push.wasm");
            w.plugin.config = "{}";
            w.plugin.has_shutdown = true;
            w.act_in = state;
            w.frees = frees;
            open_stream("", 0);
            UNTIL(!w.stream || is(STREAM_LIVE) || is(STREAM_CLOSED) || is(STREAM_STOPPING));
            if (w.stream && state == STREAM_WAITING && w.ws)
                server_ws_abort(w.ws);
            settle();
            if (w.stream)
                stream_stop(w.stream);
            settle();
            later(100000);
            CHECK(!w.stream || is(STREAM_CLOSED));
            end();
        }
}

static char logged[2000];

static void on_log(void *arg, log_level level, const char *part, const char *text)
{
    size_t at = strlen(logged);
    (void)arg, (void)level, (void)part;
    snprintf(logged + at, sizeof logged - at, "%s;", text);
}

TEST(push, shuts_the_plugin_down_also_when_messages_wait_and_not_after_an_overrun)
{
    static const struct {
        const char *frame;
        bool told;
    } stops[] = {{NULL, true}, {"one", true}, {"spin", false}};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        begin_live("");
        log_set_sink(on_log, NULL);
        log_threshold = LOG_INFO;
        logged[0] = '\0';
        if (stops[i].frame) {
            say(stops[i].frame);
            UNTIL(stream_queued(w.stream) == 1);
        }
        for (int turn = 0; !stops[i].told && turn < 450; turn++)
            loop_step(w.loop, 0); /* it is being asked about, and has computed its two seconds: 400 ticks */
        stream_stop(w.stream);
        if (!stops[i].told)
            later(2000);
        UNTIL(is(STREAM_CLOSED));
        CHECK_TEXT(stream_why(w.stream), "stopped");
        CHECK((strstr(logged, "shutting down") != NULL) == stops[i].told);
        log_set_sink(NULL, NULL);
        log_threshold = LOG_WARN;
        end();
    }
}

/* ---- Generation 1 ---- */

static void begin_1(const char *parameters)
{
    begin("push_1.wasm");
    w.plugin.config = "{\"api_key\":\"k\",\"apiKey\":\"k\"}";
    open_stream(parameters, 0);
}

TEST(push_1, takes_text_and_gives_records)
{
    static const char *const dialects[] = {"{\"timeframe\":\"1m\"}", "{\"timeframe\":\"1m\",\"dialect\":\"oldest\"}"};
    for (size_t i = 0; i < 2; i++) {
        begin_1(dialects[i]);
        UNTIL(is(STREAM_LIVE));
        UNTIL(w.subscribed == 1);
        CHECK_TEXT(w.heard, "x@1m");
        say("one \"quoted\"");
        expect("\"data\":{\"frame\":\"one \\\"quoted\\\"\",\"key\":\"k\",\"known\":true}");
        say("odd");
        expect("\"cause\":\"dropped\"");
        say("error");
        expect("\"cause\":\"dropped\"");
        say("two");
        expect("\"frame\":\"two\"");
        CHECK_TEXT(w.states, "cl");
        end();
    }
}

/* Its answers to error and to disconnected are one wish. */
TEST(push_1, reconnects_once_when_the_plugin_says_so_twice)
{
    begin_1("{\"timeframe\":\"1m\"}");
    UNTIL(is(STREAM_LIVE));
    UNTIL(w.subscribed == 1);
    later(5000);
    server_ws_abort(w.ws);
    UNTIL(w.upgrades == 2 && is(STREAM_LIVE)); /* at once */
    settle();
    CHECK_INT(w.upgrades, 2);
    CHECK_TEXT(w.states, "clwcl");
    end();
}

/* The same of generation 3, whatever ends the socket: error and disconnected, or disconnected alone. */
TEST(push, acts_once_on_what_the_plugin_answers_to_a_lost_socket)
{
    for (int closes = 0; closes < 2; closes++) {
        begin_live("{\"event\":\"reconnect\"}");
        later(5000);
        if (closes)
            server_ws_close(w.ws, 1001, BYTES("bye"));
        else
            server_ws_abort(w.ws);
        UNTIL(w.upgrades == 2 && is(STREAM_LIVE)); /* at once, not after the back-off */
        UNTIL(w.subscribed == 4);
        settle();
        CHECK_INT(w.upgrades, 2);
        CHECK_TEXT(w.heard, "first|second|first|second");
        CHECK_TEXT(w.states, "clwcl");
        end();
    }
    begin_live("{\"event\":\"close\"}");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_CLOSED));
    CHECK_TEXT(stream_why(w.stream), "the plugin ended it");
    later(100000);
    CHECK_INT(w.upgrades, 1);
    end();
}

/* The venue asked for a pause; a trap meanwhile makes a new instance and does not shorten it. */
TEST(push, a_new_instance_does_not_shorten_the_venues_pause)
{
    begin_live("");
    say("trap");
    server_ws_abort(w.ws);
    w.status = 429;
    w.retry_after = "30";
    UNTIL(is(STREAM_WAITING));
    later(1000);
    later(1000); /* the dial that is answered 429 */
    w.status = 0;
    int dials = w.upgrades;
    later(10000);
    CHECK_INT(w.upgrades, dials);
    later(30000);
    UNTIL(is(STREAM_LIVE));
    end();
}

/* The next record of any kind. */
static void expect_any(const char *part)
{
    char line[2000];
    record *r = NULL;
    UNTIL((r = sub_next(w.sub)) != NULL);
    snprintf(line, sizeof line, "%.*s", (int)r->line.len, r->line.at);
    record_unref(r);
    CHECK_HAS(line, part);
}

/* Numbers that the plugin says of its messages: a hole is a gap in its place; a double is passed on and counted. */
TEST(push, a_hole_in_the_venues_numbers_is_a_gap_before_what_follows_it)
{
    begin_live("");
    say("#7");
    expect("\"frame\":\"#7\"");
    say("#8");
    say("#12");
    expect("\"frame\":\"#8\"");
    expect_any("\"cause\":\"sequence\"");
    expect_any("\"state\":\"resynced\"");
    expect_any("\"frame\":\"#12\"");
    say("#15");
    expect("\"count\":2,\"from_seq\":\"13\",\"to_seq\":\"14\"");
    expect("\"frame\":\"#15\"");
    say("#15");
    say("#16");
    expect("\"frame\":\"#15\"");
    expect("\"frame\":\"#16\"");
    CHECK_UINT(record_stream_counts(stream_records(w.stream))->repeated, 1);
    say("fail"); /* it was number 17: one gap tells of it, not two */
    say("#18");
    expect("\"cause\":\"dropped\"");
    expect("\"frame\":\"#18\"");
    expect_none();
    end();
}

TEST(push, the_gap_of_a_lost_connection_names_the_numbers_that_it_cost)
{
    begin_live("");
    say("#7");
    expect("\"frame\":\"#7\"");
    server_ws_abort(w.ws);
    UNTIL(is(STREAM_WAITING));
    later(1000);
    UNTIL(is(STREAM_LIVE));
    say("#10");
    expect("\"count\":2,\"from_seq\":\"8\",\"to_seq\":\"9\"");
    expect("\"frame\":\"#10\"");
    expect_none();
    end();
}

/* ---- The plugin's rate limits ---- */

static struct {
    uint64_t wait_ns;
    unsigned again, asked;
    char command[40], symbol[40];
} toll;

static stream_turn take_toll(void *owner, bytes command, json params, unsigned tries)
{
    stream_turn turn = {.wait_ns = toll.wait_ns, .limit = "rawStream: 5 a minute"};
    (void)owner;
    snprintf(toll.command, sizeof toll.command, BYTES_FMT, BYTES_ARG(command));
    snprintf(toll.symbol, sizeof toll.symbol, BYTES_FMT, BYTES_ARG(json_member(params, "symbol").raw));
    CHECK_UINT(tries, toll.again ? toll.asked : tries);
    toll.asked++;
    if (toll.again && toll.again--)
        return (stream_turn){.wait_ns = NS_PER_MS, .again = true};
    return turn;
}

static void begin_limited(uint64_t wait_ns, unsigned again)
{
    begin("push.wasm");
    memset(&toll, 0, sizeof toll);
    toll.wait_ns = wait_ns;
    toll.again = again;
    w.plugin.config = "{}";
    w.plugin.turn = take_toll;
    open_stream("{}", 0);
}

/* Only the command counts: a socket that is dialled again asks nothing. */
TEST(push, waits_for_the_plugins_rate_limit_before_it_asks_for_the_socket)
{
    begin_limited(12 * NS_PER_S, 0);
    UNTIL(is(STREAM_WAITING) && toll.asked);
    CHECK_TEXT(w.states, "cw");
    CHECK_TEXT(stream_why(w.stream), "waits 12.0 s for the plugin's rate limit (rawStream: 5 a minute)");
    CHECK_TEXT(toll.command, "rawStream");
    CHECK_TEXT(toll.symbol, "\"x\"");
    later(11900);
    CHECK_TEXT(w.states, "cw");
    CHECK_INT(w.upgrades, 0);
    later(200);
    UNTIL(is(STREAM_LIVE) && w.subscribed == 2);
    CHECK_TEXT(w.states, "cwcl");
    server_ws_close(w.ws, 1001, BYTES("bye"));
    UNTIL(is(STREAM_WAITING));
    later(2000);
    UNTIL(is(STREAM_LIVE) && w.subscribed == 4);
    CHECK_UINT(toll.asked, 1);
    end();
}

/* A new instance is asked for the marker again, which costs again; the socket stays, and what it brings waits. */
TEST(push, keeps_its_socket_while_a_new_instance_waits_for_the_rate_limit)
{
    begin_limited(0, 0);
    UNTIL(is(STREAM_LIVE) && w.subscribed == 2);
    toll.wait_ns = 12 * NS_PER_S;
    say("trap");
    UNTIL(toll.asked == 2);
    CHECK_INT(stream_get_state(w.stream), STREAM_CONNECTING);
    CHECK_TEXT(stream_why(w.stream), "waits 12.0 s for the plugin's rate limit (rawStream: 5 a minute)");
    say("two");
    later(11900);
    expect_none();
    CHECK_INT(stream_get_state(w.stream), STREAM_CONNECTING);
    later(200);
    for (int i = 0; i < 40 && (toll.asked < 3 || !is(STREAM_LIVE)); i++) /* the frame traps once more */
        later(1000);
    expect("\"cause\":\"dropped\"");
    expect("\"frame\":\"two\"");
    CHECK_INT(w.upgrades, 1);
    CHECK_UINT(toll.asked, 3);
    end();
}

TEST(push, asks_once_more_while_the_rate_limits_cannot_be_looked_at)
{
    begin_limited(0, 3);
    UNTIL(toll.asked == 1);
    settle();
    CHECK_UINT(toll.asked, 1);
    for (int i = 0; i < 3; i++)
        later(1);
    UNTIL(is(STREAM_LIVE));
    CHECK_UINT(toll.asked, 4);
    CHECK_TEXT(w.states, "cl");
    end();
}

TEST(push, stops_while_it_waits_for_the_rate_limit)
{
    begin_limited(12 * NS_PER_S, 0);
    UNTIL(is(STREAM_WAITING) && toll.asked);
    stream_stop(w.stream);
    UNTIL(is(STREAM_CLOSED));
    later(20000);
    CHECK_INT(w.upgrades, 0);
    CHECK_TEXT(w.states, "cwc");
    end();
    begin_limited(12 * NS_PER_S, 0);
    w.act_in = STREAM_WAITING;
    w.frees = true;
    UNTIL(!w.stream && toll.asked); /* freed by the status itself */
    later(20000);
    CHECK_INT(w.upgrades, 0);
    end();
}
