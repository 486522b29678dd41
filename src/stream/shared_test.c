/* Many streams of one push plugin in one instance: push.wasm counts the frames that its instance has seen. All
 * its markers name the same stream id. */
#include <sys/resource.h>

#include "stream/testing.h"

static stream *streams[1000];
static int count;

static bool all_are(stream_state state)
{
    for (int i = 0; i < count; i++)
        if (stream_get_state(streams[i]) != state)
            return false;
    return true;
}

/* Streams of one identifier, told apart by their parameter "k". */
static void begin_many(int n)
{
    begin("push.wasm");
    w.plugin.config = "{}";
    w.plugin.has_shutdown = true;
    CHECK_OK(hub_subscribe(&w.sub, w.hub, "raw.>", &(sub_options){.policy = SUB_BLOCK}, &err));
    count = n;
}

static void open_many(void)
{
    for (int i = 0; i < count; i++) {
        char parameters[40];
        snprintf(parameters, sizeof parameters, "{\"k\":\"%c\",\"i\":\"%d\"}", 'a' + i % 26, i);
        stream_options options = {.type = BYTES("raw"), .identifier = BYTES("x"), .parameters = bytes_of(parameters)};
        CHECK_OK(stream_open(&streams[i], &w.plugin, &options, &err));
        UNTIL(w.subscribed == 2 * (i + 1) && stream_get_state(streams[i]) == STREAM_LIVE);
    }
    CHECK(all_are(STREAM_LIVE));
}

static void say_to(int i, const char *text)
{
    server_ws_send(w.all[i], false, bytes_of(text));
}

static void end_many(void)
{
    for (int i = 0; i < count; i++)
        stream_free(streams[i]);
    CHECK(w.plugin.instance == NULL);
    end();
}

static uint64_t count_of(const char *line)
{
    const char *n = strstr(line, "\"n\":");
    return n ? strtoull(n + 4, NULL, 10) : 0;
}

static uint64_t next_count(void)
{
    record *r = NULL;
    UNTIL((r = next_record()) != NULL);
    return count_of(r->line.at);
}

TEST(shared, a_thousand_streams_are_one_instance)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    begin_many(files.rlim_max >= 2200 ? 1000 : 200);
    open_many();
    for (int i = 0; i < count; i++)
        say_to(i, "x");
    for (int i = 0; i < count; i++)
        CHECK_UINT(next_count(), (uint64_t)i + 1); /* one instance has seen them all */
    CHECK_INT(w.upgrades, count);
    end_many();
}

TEST(shared, an_instance_for_each_when_asked_for)
{
    begin_many(3);
    w.plugin.own_instances = true;
    open_many();
    CHECK(w.plugin.instance == NULL);
    for (int i = 0; i < count; i++) {
        say_to(i, "x");
        CHECK_UINT(next_count(), 1);
    }
    end_many();
}

TEST(shared, streams_with_one_marker_id_get_their_own_context_back)
{
    begin_many(2);
    open_many();
    say_to(1, "x");
    expect("\"context\":{\"symbol\":\"x\",\"k\":\"b\",\"i\":\"1\"");
    say_to(0, "x");
    expect("\"context\":{\"symbol\":\"x\",\"k\":\"a\",\"i\":\"0\"");
    end_many();
}

/* One stream's frame kills the instance, twice: that frame is lost. The sibling loses nothing, keeps its
 * socket and its state, and does not wait for the other's back-off: the clock stands still. */
TEST(shared, a_stream_that_kills_the_instance_costs_its_siblings_nothing)
{
    static const char *const killers[] = {"trap", "spin"};
    for (size_t i = 0; i < 2; i++) {
        policy_limits limits = policy_defaults;
        limits.cpu_ms = 20;
        begin_many(2);
        w.plugin.limits = &limits;
        open_many();
        say_to(0, killers[i]);
        say_to(1, "one");
        expect("\"frame\":\"one\"");
        say_to(0, "two");
        expect("\"cause\":\"dropped\"");
        for (uint64_t n = 0; n < 20; n++) {
            say_to(1, "more");
            expect("\"frame\":\"more\"");
            CHECK(stream_get_state(streams[1]) == STREAM_LIVE);
        }
        CHECK_UINT(stream_queued(streams[0]), 1);
        later(2000);
        expect("\"frame\":\"two\"");
        CHECK_UINT(stream_lost(streams[0]), 1);
        CHECK_UINT(stream_lost(streams[1]) + stream_queued(streams[1]), 0);
        CHECK_UINT(record_stream_counts(stream_records(streams[1]))->gaps, 0);
        CHECK_UINT(record_stream_counts(stream_records(streams[1]))->received, 21);
        CHECK_UINT(record_stream_counts(stream_records(streams[1]))->published, 21);
        CHECK_INT(w.upgrades, 2);
        CHECK(all_are(STREAM_LIVE));
        end_many();
    }
}

/* Enough is enough: all its streams rest, their sockets closed, gaps told, and come back by themselves. What
 * waited still counts, and is read then. */
TEST(shared, a_plugin_in_quarantine_rests_with_all_its_streams)
{
    begin_many(3);
    w.plugin.health.traps_max = 2;
    open_many();
    for (int i = 0; i < 3; i++)
        say_to(i, "x");
    for (int i = 0; i < 3; i++)
        expect("\"frame\":\"x\"");
    say_to(0, "trap");
    UNTIL(all_are(STREAM_WAITING));
    for (int i = 0; i < 3; i++) {
        CHECK_HAS(stream_why(streams[i]), "the plugin is in quarantine until 2023-");
        CHECK_UINT(stream_open_sockets(streams[i]), 0);
    }
    later(290000);
    CHECK_INT(w.upgrades, 3);
    later(12000);
    UNTIL(all_are(STREAM_LIVE));
    CHECK_INT(w.upgrades, 6);
    expect("\"cause\":\"dropped\"");
    for (int i = 3; i < 6; i++)
        say_to(i, "y");
    for (int i = 0; i < 6; i++)
        UNTIL(next_record());
    UNTIL(record_stream_counts(stream_records(streams[2]))->published == 2);
    for (int i = 0; i < 3; i++) {
        record_counts *c = record_stream_counts(stream_records(streams[i]));
        CHECK_UINT(c->received, c->published + stream_lost(streams[i]) + stream_queued(streams[i]));
        CHECK_UINT(c->published, 2);
        CHECK_UINT(c->gaps, i == 0 ? 2 : 1);
    }
    end_many();
}

/* A busy stream has one frame a turn: between another's frame and its record there are no more than two of it. */
TEST(shared, each_stream_has_its_turn)
{
    uint64_t busy_out[200], recv = 0, out = 0;
    int busy = 0, between = 0;
    record *r;
    begin_many(2);
    open_many();
    for (int i = 0; i < 200; i++) {
        say_to(0, "busy");
        if (i == 100)
            say_to(1, "quiet");
    }
    UNTIL(record_stream_counts(stream_records(streams[0]))->published == 200);
    UNTIL(record_stream_counts(stream_records(streams[1]))->published == 1);
    while ((r = next_record())) {
        if (r->stream == stream_records(streams[0]))
            busy_out[busy++] = r->ts_out;
        else
            recv = r->ts_recv, out = r->ts_out;
    }
    CHECK_INT(busy, 200);
    for (int i = 0; i < busy; i++)
        between += busy_out[i] > recv && busy_out[i] < out;
    CHECK(between <= 2);
    end_many();
}

/* What a full reader of one stream waits for, waits outside the instance. */
TEST(shared, a_full_reader_holds_its_own_stream_alone)
{
    sub *slow;
    record *r;
    int seen = 0;
    begin_many(2);
    hub_unsubscribe(w.hub, w.sub);
    CHECK_OK(hub_subscribe(&w.sub, w.hub, "raw.*.x.*.b", &(sub_options){.policy = SUB_BLOCK}, &err));
    open_many();
    CHECK_OK(hub_subscribe(&slow, w.hub, "raw.*.x.*.a", &(sub_options){.policy = SUB_BLOCK, .max_records = 1}, &err));
    say_to(0, "many");
    say_to(0, "many");
    for (int i = 0; i < 10; i++) {
        say_to(1, "x");
        expect("\"k\":\"b\"");
    }
    UNTIL(stream_queued(streams[0]) == 2);
    while (seen < 6) {
        settle();
        r = sub_next(slow);
        CHECK(r != NULL);
        char part[20];
        snprintf(part, sizeof part, "{\"k\":%d", seen++ % 3 + 1);
        CHECK(memmem(r->line.at, r->line.len, part, strlen(part)) != NULL);
        record_unref(r);
    }
    CHECK_UINT(stream_queued(streams[0]) + stream_lost(streams[0]), 0);
    end_many();
}

/* ---- Stopping ---- */

static int farewells;

static void on_log(void *arg, log_level level, const char *part, const char *text)
{
    (void)arg, (void)level, (void)part;
    farewells += strstr(text, "shutting down") != NULL;
}

TEST(shared, the_last_to_stop_shuts_the_plugin_down_once)
{
    for (int doomed = 0; doomed <= 1; doomed++) { /* or it traps in there, which changes nothing */
        begin_many(3);
        open_many();
        if (doomed) {
            say_to(0, "doom");
            UNTIL(record_stream_counts(stream_records(streams[0]))->received == 1);
            UNTIL(stream_queued(streams[0]) == 0);
        }
        farewells = 0;
        log_set_sink(on_log, NULL);
        log_threshold = LOG_INFO;
        stream_stop(streams[0]);
        UNTIL(stream_get_state(streams[0]) == STREAM_CLOSED);
        CHECK_INT(farewells, 0);
        if (!doomed) {
            say_to(1, "x");
            expect("\"k\":\"b\"");
        }
        stream_stop(streams[1]);
        stream_stop(streams[2]);
        UNTIL(all_are(STREAM_CLOSED));
        CHECK_INT(farewells, 1);
        CHECK_TEXT(stream_why(streams[2]), "stopped");
        CHECK_INT(notes, doomed);
        if (doomed)
            CHECK_HAS(noted, "export=shutdown code=trapped then=stopped");
        log_set_sink(NULL, NULL);
        log_threshold = LOG_WARN;
        end_many();
    }
}

/* Freed while its question is under way, one stream takes nothing along. */
TEST(shared, a_stream_freed_in_the_middle_of_its_question_leaves_the_others_alone)
{
    for (int trap = 0; trap <= 1; trap++) {
        begin_many(2);
        open_many();
        say_to(0, trap ? "trap" : "x");
        UNTIL(stream_queued(streams[0]) == 1);
        stream_free(streams[0]);
        streams[0] = NULL;
        say_to(1, "y");
        expect("\"frame\":\"y\"");
        settle();
        CHECK(stream_get_state(streams[1]) == STREAM_LIVE);
        CHECK_UINT(stream_lost(streams[1]), 0);
        streams[0] = streams[--count];
        end_many();
    }
}

TEST(shared, one_that_comes_while_the_last_one_parts_gets_a_new_instance)
{
    begin_many(2);
    count = 1;
    open_many();
    say_to(0, "x");
    CHECK_UINT(next_count(), 1);
    stream_stop(streams[0]);
    stream_options options = {.type = BYTES("raw"), .identifier = BYTES("x")};
    CHECK_OK(stream_open(&streams[1], &w.plugin, &options, &err));
    count = 2;
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE && stream_get_state(streams[0]) == STREAM_CLOSED);
    say_to(1, "x");
    CHECK_UINT(next_count(), 1);
    end_many();
}

/* ---- Another code ---- */

static char logged[2000];

static void keep_log(void *arg, log_level level, const char *part, const char *text)
{
    size_t at = strlen(logged);
    (void)arg, (void)level, (void)part;
    snprintf(logged + at, sizeof logged - at, "%s;", text);
}

static void listen_to_log(void)
{
    logged[0] = '\0';
    log_set_sink(keep_log, NULL);
    log_threshold = LOG_INFO;
}

static void log_no_more(void)
{
    log_set_sink(NULL, NULL);
    log_threshold = LOG_WARN;
}

static void put_in_its_place(linked *code)
{
    linked_free(w.code); /* its instances live on */
    w.code = w.plugin.code = code;
    stream_plugin_renew(&w.plugin);
}

/* The same module, linked anew: an instance of it counts from 1 again. */
static linked *another_code(void)
{
    linked *code = NULL;
    CHECK_OK(module_link(&code, w.module, task_bind, NULL, &err));
    return code;
}

static void expect_alone(const char *part, uint64_t n)
{
    record *r = NULL;
    UNTIL((r = next_record()) != NULL);
    CHECK_HAS(r->line.at, part);
    CHECK_UINT(count_of(r->line.at), n);
}

TEST(shared, another_code_takes_over_between_two_messages_on_the_same_sockets)
{
    begin_many(3);
    open_many();
    listen_to_log();
    for (int i = 0; i < 3; i++)
        say_to(i, "x");
    for (uint64_t n = 1; n <= 3; n++)
        CHECK_UINT(next_count(), n);
    put_in_its_place(another_code());
    for (int i = 0; i < 3; i++)
        say_to(i, "y");
    settle();
    say_to(0, "z");
    settle();
    for (int i = 0; i < 3; i++)
        UNTIL(stream_queued(streams[i]) == 0);
    uint64_t most = 0, all = 0;
    for (record *r; (r = next_record()); all++) { /* a gap would be one, too */
        CHECK_HAS(r->line.at, "\"kind\":\"data\"");
        most = count_of(r->line.at);
    }
    CHECK_UINT(all, 4);
    CHECK(most < 7); /* the new instance began to count anew */
    CHECK_INT(w.upgrades, 3);
    CHECK_INT(w.subscribed, 6);
    CHECK(all_are(STREAM_LIVE));
    CHECK_INT(notes, 0);
    UNTIL(strstr(logged, "shutting down"));
    CHECK(!strstr(strstr(logged, "shutting down") + 1, "shutting down"));
    log_no_more();
    end_many();
}

TEST(shared, another_code_waits_for_the_callback_that_runs)
{
    begin_many(1);
    open_many();
    say_to(0, "one");
    UNTIL(stream_queued(streams[0]) == 1); /* it is being asked about */
    put_in_its_place(another_code());
    expect_alone("\"frame\":\"one\"", 1);
    settle();
    say_to(0, "two");
    expect_alone("\"frame\":\"two\"", 1);
    expect_none();
    end_many();
}

TEST(shared, a_code_that_cannot_be_configured_leaves_the_old_instance_at_work)
{
    static const char wat[] = "(module (memory (export \"memory\") 1) (func (export \"init\") (result i32) unreachable)"
                              "(func (export \"handle_command\") (result i32) (i32.const 0)))";
    module *m = NULL;
    linked *code = NULL;
    begin_many(1);
    open_many();
    say_to(0, "x");
    CHECK_UINT(next_count(), 1);
    CHECK_OK(module_compile(&m, w.engine, bytes_of(wat), &err));
    CHECK_OK(module_link(&code, m, task_bind, NULL, &err));
    listen_to_log();
    put_in_its_place(code);
    UNTIL(strstr(logged, "its new code does not take over: init: init trapped: "));
    log_no_more();
    say_to(0, "x");
    CHECK_UINT(next_count(), 2);
    end_many();
    module_unref(m);
}

TEST(shared, another_code_stands_in_for_an_instance_that_dies_before_it_is_ready)
{
    begin_many(2);
    open_many();
    say_to(0, "x");
    CHECK_UINT(next_count(), 1);
    say_to(0, "trap");
    say_to(1, "y");
    UNTIL(stream_queued(streams[0]) == 1 || notes);
    put_in_its_place(another_code());
    settle();
    later(3000);
    expect("\"frame\":\"y\"");
    CHECK_UINT(stream_lost(streams[1]), 0);
    say_to(0, "z");
    while (!record_has(next_record(), "\"frame\":\"z\""))
        settle();
    CHECK_INT(w.upgrades, 2);
    end_many();
}

TEST(shared, another_code_ends_the_quarantine)
{
    begin_many(2);
    w.plugin.health.traps_max = 1;
    open_many();
    say_to(0, "trap");
    UNTIL(all_are(STREAM_WAITING));
    w.plugin.health.traps_max = 9;
    put_in_its_place(another_code());
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE); /* no time has passed */
    end_many();
}

TEST(shared, survives_any_failed_allocation_while_another_code_takes_over)
{
    begin_many(2);
    open_many();
    FAULT_SWEEP(alloc) {
        linked *code = NULL;
        if (module_link(&code, w.module, task_bind, NULL, &err) == WEIR_OK)
            put_in_its_place(code);
        settle();
    }
    later(60000);
    for (int i = 0; i < w.upgrades; i++) /* a failure may have cost a socket */
        if (w.all[i])
            say_to(i, "x");
    for (int i = 0; i < 200 && !record_has(next_record(), "\"frame\":\"x\""); i++)
        settle();
    CHECK(record_has(kept, "\"frame\":\"x\""));
    end_many();
}

TEST(shared, survives_any_failed_allocation)
{
    begin_many(1);
    open_many();
    FAULT_SWEEP(alloc) {
        stream_options options = {.type = BYTES("raw"), .identifier = BYTES("y")};
        stream *s = NULL;
        if (stream_open(&s, &w.plugin, &options, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        stream_free(s);
    }
    say_to(0, "x");
    expect("\"frame\":\"x\"");
    end_many();
}
