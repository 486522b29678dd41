/* The life of a call: run, parked, woken, stopped, freed in any state. */
#include "plugin/testing.h"

#define ENDLESS "(module (memory (export \"memory\") 1) (func (export \"spin\") (result i32) (loop $l (br $l)) (i32.const 0))" \
                "(func (export \"one\") (result i32) (i32.const 0)))"

TEST(task, nothing_runs_inside_task_call)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    CHECK(task_idle(f.task));
    task_call(f.task, "time_now", BYTES("{}"), 0, fake_done, &f);
    CHECK(!task_idle(f.task));
    CHECK_INT(f.dones, 0);
    fake_turn(&f);
    CHECK_INT(f.dones, 1);
    CHECK(task_idle(f.task));
    fake_end(&f);
}

TEST(task, a_parked_call_goes_on_when_its_time_has_come)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "sleep_ms", "50", 0);
    fake_later(&f, 49);
    CHECK(!f.over);
    task_wake(f.task); /* something else happened: it sleeps on */
    fake_turn(&f);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
}

TEST(task, a_call_past_its_time_is_stopped_where_it_waits)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "sleep_ms", "100000", 200);
    fake_later(&f, 199);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_TEXT(text_of(&f.why), "sleep_ms stopped after 200 ms; it was waiting in sleep_ms");
    CHECK(task_idle(f.task));
    fake_end(&f);
}

TEST(task, a_computing_call_past_its_time_is_stopped)
{
    fake f;
    fake_begin(&f, ENDLESS, NULL);
    fake_call(&f, "spin", "", 300);
    CHECK(!f.over);
    fake_later(&f, 300);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_HAS(text_of(&f.why), "spin stopped after 300 ms");
    fake_end(&f);
}

/* A machine that gives the thread no turn for long takes nothing of the call's own time, within reason. */
TEST(task, a_call_that_had_no_turn_is_not_stopped_for_that)
{
    fake f;
    int turns = 0;
    fake_begin(&f, ENDLESS, NULL);
    task_call(f.task, "spin", BYTES(""), 500, fake_done, &f);
    test_mono += 900 * NS_PER_MS;
    for (; !f.over && turns < 1000; turns++) {
        loop_step(f.loop, 0);
        test_mono += 5 * NS_PER_MS;
    }
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_HAS(text_of(&f.why), "spin stopped after 500 ms");
    CHECK(turns >= 95 && turns < 120); /* each a tick, which is 5 ms to it */

    f.over = false;
    task_call(f.task, "spin", BYTES(""), 500, fake_done, &f);
    loop_step(f.loop, 0);
    test_mono += 5000 * NS_PER_MS; /* ten times its time */
    loop_step(f.loop, 0);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_TIMEOUT);

    f.over = false;
    task_call(f.task, "spin", BYTES(""), 500, fake_done, &f);
    task_by_clock(f.task); /* somebody waits */
    loop_step(f.loop, 0);
    test_mono += 500 * NS_PER_MS;
    fake_turn(&f);
    CHECK(f.over);
    fake_end(&f);
}

TEST(task, a_wait_that_ended_in_time_is_no_reason_to_stop_though_it_is_seen_late)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "sleep_ms", "50", 200);
    fake_later(&f, 900); /* both its wait and its time have passed */
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
}

/* Between two host calls the CPU is limited by ticks, whatever the clock says. */
TEST(task, a_guest_that_only_computes_is_stopped)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.cpu_ms = 30;
    fake_begin(&f, ENDLESS, &limits);
    fake_call(&f, "spin", "", 0);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_HAS(text_of(&f.why), "spin stopped: it used the CPU for 30 ms");
    fake_end(&f);
}

TEST(task, others_have_their_turn_while_one_computes)
{
    ERR;
    fake f;
    task *busy;
    fake_begin(&f, ENDLESS, NULL);
    CHECK_OK(fake_task(&f, &busy, NULL, &err));
    task_call(busy, "spin", BYTES(""), 0, fake_done, &f);
    for (int i = 0; i < 3; i++)
        CHECK(loop_step(f.loop, 0));
    f.over = false;
    task_call(f.task, "one", BYTES(""), 0, fake_done, &f);
    loop_step(f.loop, 0);
    CHECK(f.over);
    CHECK(!task_idle(busy));
    task_free(busy); /* yielded */
    CHECK_INT(f.dones, 1);
    fake_end(&f);
}

TEST(task, cancel_ends_a_parked_call_in_the_next_turn)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "sleep_ms", "1000", 0);
    task_cancel(f.task, WEIR_CANCELLED, "not wanted any more");
    task_cancel(f.task, WEIR_TIMEOUT, "twice has no effect");
    CHECK(!f.over);
    fake_turn(&f);
    CHECK(f.over);
    CHECK_INT(f.dones, 1);
    CHECK_INT(f.code, WEIR_CANCELLED);
    CHECK_TEXT(text_of(&f.why), "not wanted any more");
    fake_end(&f);
}

TEST(task, cancel_ends_a_call_that_has_not_begun_and_ignores_an_idle_task)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    task_cancel(f.task, WEIR_CANCELLED, "there is nothing");
    task_call(f.task, "time_now", BYTES("{}"), 0, fake_done, &f);
    task_cancel(f.task, WEIR_CANCELLED, "too early");
    fake_turn(&f);
    CHECK_INT(f.dones, 1);
    CHECK_INT(f.code, WEIR_CANCELLED);
    CHECK_HAS(fake_ask(&f, "time_now", "{}"), "Z\"");
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
}

/* The program's own function cancels the call it is in; the task is good for other calls after it. */
static trap *cancel_own(void *env, void *self, value *v)
{
    guest *g = self;
    (void)env;
    (void)v;
    task_cancel(g->owner, WEIR_CANCELLED, "from inside");
    return NULL;
}

static bool offer_cancel(void *arg, const module_extern *import, binding *out)
{
    (void)arg;
    if (!bytes_is(import->name, "cancel"))
        return false;
    *out = (binding){.fn = cancel_own, .type = "()"};
    return true;
}

TEST(task, cancel_from_inside_the_guest_ends_the_call_and_no_later_one)
{
    ERR;
    fake f;
    task_imports imports = {.custom = offer_cancel};
    fake_load(&f, "(module (import \"app\" \"cancel\" (func $c)) (import \"env\" \"sleep_ms\" (func $s (param i64) (result i64)))"
                  "(func (export \"go\") (result i32) (call $c) (drop (call $s (i64.const 1000))) (i32.const 0))"
                  "(func (export \"nap\") (result i32) (drop (call $s (i64.const 10))) (i32.const 0)))");
    linked_free(f.linked);
    CHECK_OK(module_link(&f.linked, f.module, task_bind, &imports, &err));
    CHECK_OK(fake_task(&f, &f.task, NULL, &err));
    fake_call(&f, "go", "", 0);
    CHECK_INT(f.dones, 1);
    CHECK_INT(f.code, WEIR_CANCELLED);
    CHECK_TEXT(text_of(&f.why), "from inside");
    fake_call(&f, "nap", "", 0);
    fake_later(&f, 10);
    CHECK_INT(f.dones, 2);
    CHECK_INT(f.code, WEIR_OK);
    fake_end(&f);
}

static void free_task(fake *f)
{
    task_free(f->task);
    f->task = NULL;
}

TEST(task, on_done_may_free_the_task)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    f.on_over = free_task;
    fake_call(&f, "time_now", "{}", 0);
    CHECK_INT(f.dones, 1);
    fake_end(&f);

    fake_begin(&f, "ask.wasm", NULL);
    f.on_over = free_task;
    fake_call(&f, "sleep_ms", "1000", 100); /* by its deadline */
    fake_later(&f, 100);
    CHECK_INT(f.dones, 1);
    fake_end(&f);
}

static void call_again(fake *f)
{
    f->on_over = NULL;
    task_call(f->task, "time_now", BYTES("{}"), 0, fake_done, f);
}

TEST(task, on_done_may_start_the_next_call)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    f.on_over = call_again;
    fake_call(&f, "time_now", "{}", 0);
    CHECK_INT(f.dones, 2);
    fake_end(&f);
}

/* Wherever it waits, its sockets and requests are let go, and on_done never comes. */
TEST(task, may_be_freed_in_every_state)
{
    static const char *const calls[][2] = {
        {"time_now", "{}"}, /* ready */
        {"sleep_ms", "1000"},
        {"ws_connect", "{\"url\":\"wss://venue.example/\"}"},
        {"http_request", "{\"url\":\"https://venue.example/\"}"},
        {"ws_receive", "{\"connectionId\":\"%s\",\"timeoutMs\":1000}"},
        {"ws_send", "{\"connectionId\":\"%s\",\"message\":\"m\"}"},
        {"publish_stream_data", "{\"key\":{\"type\":\"t\",\"source\":\"s\",\"identifier\":\"i\"},\"data\":1}"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        fake f;
        fake_begin(&f, "ask.wasm", NULL);
        fake_connect(&f);
        char request[300];
        plug *s = f.plug;
        snprintf(request, sizeof request, calls[i][1], s->id);
        f.send_code = f.publish_code = WEIR_BUSY;
        f.dones = 0;
        if (i == 0)
            task_call(f.task, calls[i][0], bytes_of(request), 0, fake_done, &f);
        else
            fake_call(&f, calls[i][0], request, 0);
        task_free(f.task);
        f.task = NULL;
        fake_later(&f, 100000);
        CHECK_INT(f.dones, 0);
        CHECK_INT(f.closes, f.opens);
        CHECK(f.http_done == NULL);
        fake_end(&f);
    }
}

TEST(task, a_thousand_may_be_parked_at_once)
{
    enum { MANY = 1000 };
    static task *tasks[MANY];
    ERR;
    fake f;
    fake_load(&f, "ask.wasm");
    for (int i = 0; i < MANY; i++) {
        char ms[20];
        snprintf(ms, sizeof ms, "%d", 1 + i);
        CHECK_OK(fake_task(&f, &tasks[i], NULL, &err));
        task_call(tasks[i], "sleep_ms", bytes_of(ms), 0, fake_done, &f);
    }
    while (loop_step(f.loop, 0))
        ;
    CHECK_INT(f.dones, 0);
    fake_later(&f, 500);
    CHECK_INT(f.dones, 500);
    fake_later(&f, 499);
    CHECK_INT(f.dones, 999);
    fake_later(&f, 1);
    CHECK_INT(f.dones, 1000);
    for (int i = 0; i < MANY; i++)
        task_free(tasks[i]);
    fake_end(&f);
}

/* The plugin's stop export runs once, nested in its ws_receive, which then answers a timeout and
 * nothing else. */
TEST(task, a_stop_is_nested_in_the_pending_receive)
{
    ERR;
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    char id[200];
    snprintf(id, sizeof id, "%s", about(f.plug, ""));
    fake_call(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":5000"), 0);
    CHECK(!f.over);
    CHECK_OK(task_ask_stop(f.task, "ws_close", bytes_of(id), &err));
    fake_turn(&f);
    CHECK(f.over);
    CHECK_TEXT(text_of(&f.output), "{\"success\":true,\"timeout\":true}");
    CHECK_INT(f.closes, 1);
    fake_end(&f);
}

/* Asked while it waits elsewhere, the plugin hears at its next ws_receive, also where that would have
 * been late with an error. */
TEST(task, a_stop_waits_for_the_next_receive)
{
    ERR;
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    plug *s = f.plug;
    char request[200];
    snprintf(request, sizeof request, "%s", about(s, ",\"timeoutMs\":5000"));
    socket_closed(s, &(weir_error){WEIR_CLOSED, "hung up"});
    CHECK_HAS(fake_ask(&f, "ws_receive", request), "hung up");
    CHECK_OK(task_ask_stop(f.task, "ws_close", bytes_of(about(s, "")), &err));
    fake_call(&f, "sleep_ms", "10", 0);
    fake_later(&f, 10);
    CHECK(f.over);
    CHECK_TEXT(fake_ask(&f, "ws_receive", request), "{\"success\":true,\"timeout\":true}");
    fake_end(&f);
}

/* One that loops on after its stop gets its answers later and later, and costs nothing between. */
TEST(task, a_plugin_that_goes_on_after_its_stop_is_answered)
{
    ERR;
    fake f;
    fake_begin(&f, "streams.wasm", NULL);
    const char *key = "{\"type\":\"raw\",\"source\":\"streams\",\"identifier\":\"x\",\"parameters\":{\"behaviour\":\"ignore_stop\"},\"connectionId\":null}";
    fake_call(&f, "start_stream", key, 0);
    socket_opened(f.plug);
    fake_turn(&f);
    CHECK_INT(f.receivings, 1);
    CHECK_OK(task_ask_stop(f.task, "stop_stream", bytes_of(key), &err));
    fake_turn(&f);
    CHECK(!f.over);
    CHECK_INT(loop_timeout_ms(f.loop), 100);
    fake_later(&f, 100);
    CHECK_INT(loop_timeout_ms(f.loop), 200);
    fake_end(&f);
}

/* A start section runs while the guest is made, and nobody could resume it. */
TEST(task, a_start_section_that_waits_is_an_error)
{
    static const char *const waits[] = {"sleep_ms", "ws_connect", "http_request"};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        ERR;
        fake f;
        task *t = NULL;
        char text[700];
        snprintf(text, sizeof text,
                 "(module (import \"env\" \"%s\" (func $w (param i64) (result i64)))"
                 "(import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
                 "(import \"extism:host/env\" \"store_u8\" (func $put (param i64 i32)))"
                 "(memory (export \"memory\") 1) (data (i32.const 0) \"{\\22url\\22:\\22wss://venue.example/\\22}\")"
                 "(func $go (local $o i64) (local $i i32) (local.set $o (call $alloc (i64.const 30)))"
                 "(loop $l (call $put (i64.add (local.get $o) (i64.extend_i32_u (local.get $i))) (i32.load8_u (local.get $i)))"
                 "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 30))))"
                 "(drop (call $w (local.get $o)))) (start $go))",
                 waits[i]);
        fake_load(&f, text);
        CHECK_INT(fake_task(&f, &t, NULL, &err), WEIR_TRAPPED);
        CHECK_HAS(err.text, "its start section");
        CHECK(t == NULL);
        CHECK_INT(f.closes, f.opens);
        fake_end(&f);
    }
}

TEST(task, survives_any_failed_allocation)
{
    fake f;
    fake_load(&f, "ask.wasm");
    FAULT_SWEEP(alloc) {
        ERR;
        task *t = NULL;
        if (fake_task(&f, &t, NULL, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        task_free(t);
    }
    fake_end(&f);
}

/* Asks for the time `left` more times, then, as `ends` says, for something that fails or waits. */
static struct {
    fake *f;
    int left, taken;
    const char *ends, *input;
} follow;

static bool call_on(void *arg, const call_result *r)
{
    CHECK(arg == follow.f);
    CHECK_INT(r->code, WEIR_OK);
    follow.taken++;
    if (follow.left-- > 0)
        task_call_next(follow.f->task, "time_now", BYTES("{}"), 100);
    else if (follow.ends)
        task_call_next(follow.f->task, follow.ends, bytes_of(follow.input), 100);
    else
        return false;
    if (follow.left < 0)
        follow.ends = NULL;
    return true;
}

TEST(task, a_chain_of_calls_ends_in_one_on_done)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_ask(&f, "time_now", "{}"); /* the runtime is up */
    task_on_returned(f.task, call_on);
    follow.f = &f;
    follow.left = 50;
    follow.taken = 0;
    f.dones = 0;
    task_call(f.task, "time_now", BYTES("{}"), 0, fake_done, &f);
    task_run(f.task);
    while (!f.dones) /* a busy machine takes its slice away in between */
        loop_step(f.loop, 10);
    CHECK_INT(follow.taken, 51);
    CHECK_INT(f.dones, 1);
    CHECK(task_idle(f.task));
    fake_end(&f);
}

TEST(task, each_call_of_a_chain_has_its_own_deadline_and_its_own_end)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_ask(&f, "time_now", "{}");
    task_on_returned(f.task, call_on);
    follow.f = &f;
    follow.left = 3;
    follow.ends = "sleep_ms";
    follow.input = "100000";
    fake_call(&f, "sleep_ms", "50", 0);
    fake_later(&f, 50); /* it has slept, and the others came and slept again */
    CHECK(!f.over);
    fake_later(&f, 99);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_TEXT(text_of(&f.why), "sleep_ms stopped after 100 ms; it was waiting in sleep_ms");

    fake_end(&f);
    fake_begin(&f, "ask.wasm", NULL);
    task_on_returned(f.task, call_on);
    follow.left = 3;
    follow.ends = "no_such_export";
    fake_call(&f, "time_now", "{}", 0); /* the first one, whose runtime is initialised within */
    CHECK(f.over);
    CHECK_INT(f.code, WEIR_NOT_FOUND);
    fake_end(&f);
}

/* ---- What it asked for last ---- */

TEST(task, remembers_its_last_sixteen_host_calls_and_how_they_ended)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    CHECK(task_last_call(f.task, 0) == NULL);
    for (int i = 0; i < 20; i++)
        fake_ask(&f, "time_now", "{}");
    fake_connect(&f);
    fake_call(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":500"), 0);
    CHECK_TEXT(task_last_call(f.task, 0)->name, "ws_receive");
    CHECK_UINT(task_last_call(f.task, 0)->ended, 0); /* it waits */
    CHECK_UINT(task_message(f.task).len, 0);
    fake_later(&f, 500);
    CHECK_INT(task_last_call(f.task, 0)->code, WEIR_TIMEOUT);
    CHECK_UINT(task_last_call(f.task, 0)->ended - task_last_call(f.task, 0)->began, 500 * NS_PER_MS);
    CHECK_UINT(task_message(f.task).len, 0);
    fake_ask(&f, "ws_send", "{\"connectionId\":\"none\"}");
    CHECK_INT(task_last_call(f.task, 0)->code, WEIR_NOT_FOUND);
    CHECK(socket_message(f.plug, BYTES("a message"), false, 1));
    fake_ask(&f, "ws_receive", about(f.plug, ",\"raw\":true"));
    CHECK_BYTES(task_message(f.task), BYTES("a message"));
    CHECK_TEXT(task_last_call(f.task, 3)->name, "ws_connect");
    CHECK_TEXT(task_last_call(f.task, 4)->name, "time_now");
    CHECK_TEXT(task_last_call(f.task, 15)->name, "time_now");
    CHECK(task_last_call(f.task, 16) == NULL);
    fake_end(&f);
}

TEST(task, notes_a_host_call_that_was_cut_off)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "sleep_ms", "100000", 200);
    fake_later(&f, 200);
    CHECK_TEXT(task_last_call(f.task, 0)->name, "sleep_ms");
    CHECK_INT(task_last_call(f.task, 0)->code, WEIR_CANCELLED);
    CHECK_UINT(task_last_call(f.task, 0)->ended - task_last_call(f.task, 0)->began, 200 * NS_PER_MS);
    fake_end(&f);
}
