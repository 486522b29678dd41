/* Push plugins whose answers make no sense (nonsense.wasm of generation 3, nonsense_1.wasm of 1): each answer has
 * a stated outcome, and the streams beside it, one of the same plugin and so on the same instance and one of another,
 * get every message once and in order. docs/errors.md says what these tests assert. */
#include <pthread.h>

#include "net/server.h"
#include "tests/e2e/faults.h"

#define ODD_FRAMES 8 /* as in nonsense.c: of these each second one is answered oddly */
#define LOGGED (1u << 20)

/* ---- The venue: each socket says what it wants first and gets numbered frames of that ---- */

typedef struct feed {
    server_ws *ws;
    char name[60];
    unsigned n;
} feed;

static struct venue_thread {
    pthread_t thread;
    pthread_barrier_t up;
    loop *loop;
    server *server;
    timer tick;
    feed feeds[64];
    uint16_t port;
    const char *hang_up; /* on the one of this name, next */
    bool over;
} exchange;

static void feed_named(void *arg, bool binary, bytes message)
{
    feed *f = arg;
    (void)binary;
    if (!f->name[0])
        snprintf(f->name, sizeof f->name, BYTES_FMT, BYTES_ARG(message));
}

static void feed_drained(void *arg)
{
    (void)arg;
}

static void feed_closed(void *arg, uint16_t code, bytes reason)
{
    (void)code, (void)reason;
    *(feed *)arg = (feed){0};
}

static void venue_request(void *arg, server_request *r)
{
    static const server_ws_events events = {feed_named, feed_drained, feed_closed};
    struct venue_thread *v = arg;
    for (size_t i = 0; i < sizeof v->feeds / sizeof *v->feeds; i++)
        if (!v->feeds[i].ws) {
            v->feeds[i].ws = server_upgrade(r, BYTES(""), &events, &v->feeds[i]);
            return;
        }
    server_reply(r, 503, NULL, 0, BYTES("full"));
}

static void venue_tick(void *arg)
{
    struct venue_thread *v = arg;
    char frame[100];
    for (size_t i = 0; i < sizeof v->feeds / sizeof *v->feeds; i++) {
        feed *f = &v->feeds[i];
        if (!f->ws || !f->name[0])
            continue;
        int len = snprintf(frame, sizeof frame, "{\"s\":\"%s\",\"n\":%u}", f->name, f->n++);
        server_ws_send(f->ws, false, bytes_make(frame, (size_t)len));
    }
    timer_after(&v->tick, 2 * NS_PER_MS);
}

static void venue_wake(void *arg)
{
    struct venue_thread *v = arg;
    const char *name = __atomic_exchange_n(&v->hang_up, NULL, __ATOMIC_ACQ_REL);
    if (__atomic_load_n(&v->over, __ATOMIC_ACQUIRE))
        loop_stop(v->loop);
    for (size_t i = 0; name && i < sizeof v->feeds / sizeof *v->feeds; i++)
        if (v->feeds[i].ws && strcmp(v->feeds[i].name, name) == 0)
            server_ws_abort(v->feeds[i].ws);
}

static void hang_up(const char *name)
{
    __atomic_store_n(&exchange.hang_up, name, __ATOMIC_RELEASE);
    loop_wake(exchange.loop);
}

static void *venue_run(void *arg)
{
    struct venue_thread *v = arg;
    weir_error err = WEIR_ERROR_INIT;
    server_options options = {.on_request = venue_request, .arg = v};
    if (loop_new(&v->loop, &err) == WEIR_OK && server_new(&v->server, v->loop, &options, &err) == WEIR_OK) {
        loop_on_wake(v->loop, venue_wake, v);
        timer_init(&v->tick, v->loop, venue_tick, v);
        timer_after(&v->tick, 0);
        v->port = server_port(v->server);
    }
    pthread_barrier_wait(&v->up);
    if (v->port)
        loop_run(v->loop);
    timer_stop(&v->tick);
    server_free(v->server);
    loop_free(v->loop);
    return NULL;
}

/* ---- Streams whose records are checked ---- */

typedef struct watch {
    const char *name;
    weir_stream *stream;
    weir_sub *sub;
    unsigned next; /* number of the frame that comes next */
    unsigned odd;  /* data records that are no frame */
    uint64_t gaps;
    bool selective; /* the odd frames come as something else, or not */
    char odd_data[200], gap[1000];
} watch;

static weir_host *host;
static weir_plugin *bad, *other;
static watch sibling, neighbour;
static char logged[LOGGED];

static void on_log(void *arg, weir_log_level level, const char *part, const char *text)
{
    size_t at = strlen(logged);
    (void)arg, (void)level;
    if (at + strlen(text) + strlen(part) + 4 < sizeof logged)
        sprintf(logged + at, "%s: %s\n", part, text);
}

static void on_record(void *arg, const weir_record *r)
{
    watch *w = arg;
    char want[120];
    if (r->kind == WEIR_RECORD_GAP) {
        w->gaps++;
        snprintf(w->gap, sizeof w->gap, "%.*s", (int)r->json_len, r->json);
        if (strstr(w->gap, "\"cause\":\"disconnected\""))
            w->next = 0; /* a new socket counts anew */
    }
    if (r->kind != WEIR_RECORD_DATA)
        return;
    if (w->selective && w->next < ODD_FRAMES && w->next % 2 == 0) {
        snprintf(want, sizeof want, "{\"s\":\"%s\",", w->name);
        if (r->data_len < strlen(want) || memcmp(r->data, want, strlen(want))) {
            w->odd++;
            snprintf(w->odd_data, sizeof w->odd_data, "%.*s", (int)(r->data_len < 150 ? r->data_len : 150), r->data);
            return;
        }
        w->next++;
    }
    int len = snprintf(want, sizeof want, "{\"s\":\"%s\",\"n\":%u}", w->name, w->next++);
    if (r->data_len != (size_t)len || memcmp(r->data, want, (size_t)len))
        test_fail(__FILE__, __LINE__, "stream '%s': expected %s, got %.*s", w->name, want, (int)(r->data_len < 200 ? r->data_len : 200), r->data);
}

static void watch_stream(watch *w, weir_plugin *p, const char *name, bool selective)
{
    weir_error err = WEIR_ERROR_INIT;
    char pattern[120];
    *w = (watch){.name = name, .selective = selective};
    snprintf(pattern, sizeof pattern, "raw.nonsense.%s", name);
    CHECK_OK(weir_subscribe(&w->sub, host, pattern, on_record, w, &err));
    CHECK_OK(weir_stream_open(&w->stream, p, "raw", name, NULL, &err));
}

static void watch_end(watch *w)
{
    weir_stream_free(w->stream);
    while (weir_host_step(host, 0))
        ;
    weir_sub_free(w->sub);
}

static void load(weir_plugin **out, const char *file, const char *config)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.config_json = config;
    o.on_trap = WEIR_ON_TRAP_RESTART; /* what many traps cost is told elsewhere */
    CHECK_OK(weir_plugin_load(out, host, guest_path(file), &o, &err));
}

static void begin(const char *file, const char *other_file)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    char rule[100];
    memset(&exchange, 0, sizeof exchange);
    pthread_barrier_init(&exchange.up, NULL, 2);
    pthread_create(&exchange.thread, NULL, venue_run, &exchange);
    pthread_barrier_wait(&exchange.up);
    CHECK(exchange.port != 0);
    snprintf(rule, sizeof rule, "wss://wss.woox.io=ws://127.0.0.1:%u", exchange.port);
    o.overrides = (const char *const[]){rule, NULL};
    o.backoff_min_ms = 20;
    o.backoff_max_ms = 50;
    o.max_instances = 64;
    CHECK_OK(weir_host_new(&host, &o, &err));
    logged[0] = '\0';
    weir_log(WEIR_LOG_INFO, on_log, NULL);
    load(&bad, file, "{\"x\":\"\"}");
    load(&other, other_file, "{\"x\":\"\"}");
    watch_stream(&sibling, bad, "sibling", false);
    watch_stream(&neighbour, other, "neighbour", false);
    UNTIL(host, sibling.next >= 3 && neighbour.next >= 3);
}

/* The streams beside it are whole, and everything adds up. */
static void end(void)
{
    weir_error err = WEIR_ERROR_INIT;
    unsigned a = sibling.next, b = neighbour.next;
    UNTIL(host, sibling.next > a + 5 && neighbour.next > b + 5);
    CHECK_INT(weir_stream_get_state(sibling.stream), WEIR_STREAM_LIVE);
    CHECK_INT(weir_stream_get_state(neighbour.stream), WEIR_STREAM_LIVE);
    CHECK_UINT(sibling.gaps + neighbour.gaps, 0);
    if (!weir_host_account_check(host, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    watch_end(&sibling);
    watch_end(&neighbour);
    weir_host_free(host);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    __atomic_store_n(&exchange.over, true, __ATOMIC_RELEASE);
    loop_wake(exchange.loop);
    pthread_join(exchange.thread, NULL);
    pthread_barrier_destroy(&exchange.up);
}

static const struct side {
    const char *file, *other;
} sides[] = {{"nonsense.wasm", "nonsense_1.wasm"}, {"nonsense_1.wasm", "nonsense.wasm"}};

#define BOTH_GENERATIONS for (const struct side *side = sides; side < sides + 2; side++)

/* ---- What a frame is answered with ---- */

typedef enum outcome_kind {
    DROPPED, /* a gap for each, and `words` in the log */
    IGNORED, /* nothing comes of it; `words` in the log, if any */
    PASSED,  /* a record whose data begin with `words` */
} outcome_kind;

typedef struct frame_case {
    const char *what;
    outcome_kind outcome;
    const char *words;
    unsigned odd; /* frames of this kind, if not all four; records of each for PASSED: `odd` in all */
} frame_case;

static const frame_case frame_cases[] = {
    {"empty", DROPPED, "its answer", 0},
    {"text", DROPPED, "its answer", 0},
    {"half", DROPPED, "its answer", 0},
    {"number", DROPPED, "object", 0},
    {"list", DROPPED, "object", 0},
    {"null", DROPPED, "object", 0},
    {"nothing", IGNORED, "action '(none)', which means nothing here", 0},
    {"success_text", DROPPED, "\"success\" is \"yes\"; it is true or false", 0},
    {"success_missing", PASSED, "\"unsaid\"", 4},
    {"action_missing", IGNORED, "action '(none)', which means nothing here", 0},
    {"action_unknown", IGNORED, "action 'dance', which means nothing here", 0},
    {"action_number", DROPPED, "\"action\" is 7; it is ignore, data, send, reconnect or close", 0},
    {"data_missing", DROPPED, "action data, and no \"data\"", 0},
    {"data_null", DROPPED, "action data, and no \"data\"", 0},
    {"data_text", PASSED, "\"text\"", 4},
    {"data_lines", PASSED, "{  \"pretty\": 1}", 4},
    {"data_mixed", PASSED, "[]", 16},
    {"data_none", IGNORED, NULL, 0},
    {"data_octets", DROPPED, "UTF-8", 0},
    {"data_control", DROPPED, "its answer", 0},
    {"deep", DROPPED, "its answer", 0},
    {"send_missing", DROPPED, "action send, and no \"sendMessage\" that is text", 0},
    {"send_number", DROPPED, "action send, and no \"sendMessage\" that is text", 0},
    {"send_huge", DROPPED, "at most 16777216", 0},
    {"time_odd", PASSED, "\"late\"", 4},
    {"sequence_odd", PASSED, "\"count\"", 4},
    {"fail", DROPPED, "no idea", 0},
    {"fail_silent", DROPPED, "it failed and gave no reason", 0},
    {"fail_number", DROPPED, "it failed and gave no reason", 0},
    {"rc_silent", DROPPED, "failed (code 1)", 0},
    {"rc_data", DROPPED, "code 1", 0},
    {"rc_strange", DROPPED, "code -77", 0},
    {"error_set", DROPPED, "it broke", 0},
    {"error_rc", DROPPED, "it broke", 0},
    {"range", DROPPED, "its answer", 0},
    {"big", PASSED, "\"xxxx", 4},
    {"huge", DROPPED, "at most 16777216", 0},
    {"long", DROPPED, "its answer", 0},
    {"trap", DROPPED, "unreachable", 0},
    {"exit", DROPPED, "exit", 0},
    {"exit_0", DROPPED, "its answer", 0},
};

static void frame_says(const frame_case *c)
{
    char name[60];
    watch w;
    weir_account before, after;
    snprintf(name, sizeof name, "frame-%s", c->what);
    weir_host_account(host, &before);
    logged[0] = '\0';
    watch_stream(&w, bad, name, true);
    UNTIL(host, w.next > ODD_FRAMES + 3);
    CHECK_INT(weir_stream_get_state(w.stream), WEIR_STREAM_LIVE);
    if (w.gaps != (c->outcome == DROPPED ? ODD_FRAMES / 2 : 0) || w.odd != (c->outcome == PASSED ? c->odd : 0))
        test_fail(__FILE__, __LINE__, "%s: %llu gaps and %u odd records, the last %s; log:\n%.3000s", name, (unsigned long long)w.gaps, w.odd, w.odd_data, logged);
    if (c->outcome == DROPPED)
        CHECK_HAS(w.gap, "\"cause\":\"dropped\"");
    if (c->outcome == PASSED)
        CHECK_HAS(w.odd_data, c->words);
    if (c->outcome != PASSED && c->words && !strstr(logged, c->words))
        test_fail(__FILE__, __LINE__, "%s: no '%s' in the log:\n%.3000s", name, c->words, logged);
    weir_stream_stop(w.stream);
    UNTIL(host, weir_stream_get_state(w.stream) == WEIR_STREAM_CLOSED);
    watch_end(&w);
    weir_host_account(host, &after);
    CHECK_UINT(after.lost - before.lost, c->outcome == DROPPED ? ODD_FRAMES / 2 : 0);
}

TEST(push_faults, a_frame_answered_with_nonsense_is_dropped_and_said_or_means_nothing)
{
    BOTH_GENERATIONS
    {
        begin(side->file, side->other);
        for (size_t i = 0; i < sizeof frame_cases / sizeof *frame_cases; i++)
            frame_says(&frame_cases[i]);
        end();
    }
}

/* One that never ends costs its deadline, twice; the others of the plugin wait meanwhile and lose nothing. */
TEST(push_faults, a_frame_that_is_never_answered_is_dropped_after_its_deadline)
{
    begin("nonsense.wasm", "nonsense_1.wasm");
    watch w;
    watch_stream(&w, bad, "frame-spin", true);
    unsigned before = neighbour.next;
    UNTIL(host, w.gaps >= 1);
    CHECK_HAS(logged, "handle_stream_message stopped after 2000 ms");
    CHECK(neighbour.next > before); /* it went on meanwhile */
    weir_stream_stop(w.stream);
    UNTIL(host, weir_stream_get_state(w.stream) == WEIR_STREAM_CLOSED);
    watch_end(&w);
    end();
}

/* ---- Connection events ---- */

static const struct event_case {
    const char *what, *words;
} event_cases[] = {
    {"empty", "its answer"},
    {"text", "its answer"},
    {"list", "object"},
    {"success_text", "\"success\" is \"yes\""},
    {"action_unknown", "action 'dance', which means nothing here"},
    {"action_number", "\"action\" is 7"},
    {"data_text", NULL},
    {"send_number", "no \"sendMessage\" that is text"},
    {"fail", "no idea"},
    {"rc_silent", "failed (code 1)"},
    {"error_rc", "it broke"},
    {"long", "its answer"},
    {"trap", "unreachable"},
    {"exit", "exit"},
};

TEST(push_faults, a_connection_event_answered_with_nonsense_keeps_nothing_from_going_on)
{
    BOTH_GENERATIONS
    {
        begin(side->file, side->other);
        for (size_t i = 0; i < sizeof event_cases / sizeof *event_cases; i++) {
            const struct event_case *c = &event_cases[i];
            char name[60];
            watch w;
            snprintf(name, sizeof name, "event-%s", c->what);
            logged[0] = '\0';
            watch_stream(&w, bad, name, false);
            UNTIL(host, w.next > 3);
            CHECK_UINT(w.gaps, 0);
            if (c->words && !strstr(logged, c->words))
                test_fail(__FILE__, __LINE__, "%s: no '%s' in the log:\n%.3000s", name, c->words, logged);
            hang_up(name);
            UNTIL(host, w.gaps == 1 && w.next > 3);
            weir_stream_stop(w.stream);
            UNTIL(host, weir_stream_get_state(w.stream) == WEIR_STREAM_CLOSED);
            watch_end(&w);
        }
        end();
    }
}

/* ---- The wish for a stream ---- */

static const struct wish_case {
    const char *name, *words, *words_1; /* why it fails, by generation; NULL: it does not */
} wish_cases[] = {
    {"wish-empty", "its answer", "its answer"},
    {"wish-text", "its answer", "its answer"},
    {"wish-half", "its answer", "its answer"},
    {"wish-number", "object", "object"},
    {"wish-list", "object", "object"},
    {"wish-nothing", "no \"result\"", "\"websocketUrl\" is missing"},
    {"wish-success_text", "no \"result\"", "\"websocketUrl\" is missing"},
    {"wish-success_missing", "no \"result\"", "\"websocketUrl\" is missing"},
    {"wish-data_missing", "\"_stream\": true", "\"websocketUrl\" is missing"},
    {"wish-data_text", "\"_stream\": true", "\"websocketUrl\" is missing"},
    {"wish-fail", "no idea", "no idea"},
    {"wish-fail_silent", "it failed and gave no reason", "gave no reason"},
    {"wish-rc_silent", "failed (code 1)", "failed (code 1)"},
    {"wish-error_set", "it broke", "it broke"},
    {"wish-error_rc", "it broke", "it broke"},
    {"wish-range", "its answer", "its answer"},
    {"wish-long", "its answer", "its answer"},
    {"wish-big", "\"_stream\": true", "octets; at most 4194304 are taken"},
    {"wish-deep", "its answer", "its answer"},
    {"marker-no_url", "\"websocketUrl\" is missing", "\"websocketUrl\" is missing"},
    {"marker-url_number", "\"websocketUrl\" is 5; it is text", "\"websocketUrl\" is 5; it is text"},
    {"marker-url_text", "the usual place", "the usual place"},
    {"marker-elsewhere", "may not open 'wss://evil.example/'", "may not open 'wss://evil.example/'"},
    {"marker-inside", "may not open 'wss://127.0.0.1:22/'", "may not open 'wss://127.0.0.1:22/'"},
    {"marker-no_id", "\"streamID\" is missing or empty", NULL},
    {"marker-id_number", "\"streamID\" is 7; it is text", "\"streamID\" is 7; it is text"},
    {"marker-messages_text", "\"initialMessages\" is neither a list nor null", "\"initialMessages\" is neither a list nor null"},
    {"marker-messages_numbers", "\"initialMessages\" entry 1 is 1; it is text", "\"initialMessages\" entry 1 is 1; it is text"},
    {"marker-messages_many", "more than 256 initial messages", "more than 256 initial messages"},
    {"marker-messages_long", NULL, NULL},
    {"marker-headers_list", "\"headers\" is neither an object nor null", "\"headers\" is neither an object nor null"},
    {"marker-headers_number", "\"headers\" is 1; it is text", "\"headers\" is 1; it is text"},
    {"marker-headers_lines", "header 'X'", "header 'X'"},
    {"marker-raw_text", "\"raw\" is \"yes\"; it is true or false", "\"raw\" is \"yes\"; it is true or false"},
    {"marker-raw_lines", "\"streamID\" has a line break, which \"raw\" cannot carry", "\"streamID\" has a line break, which \"raw\" cannot carry"},
    {"marker-beat_text", "\"pingIntervalMs\" is \"often\"", "\"pingIntervalMs\" is \"often\""},
    {"marker-beat_negative", "\"clientPingIntervalMs\" is -5", "\"clientPingIntervalMs\" is -5"},
    {"marker-long", "at most 4194304", "at most 4194304"},
};

TEST(push_faults, a_wish_answered_with_nonsense_fails_that_stream_with_the_reason)
{
    BOTH_GENERATIONS
    {
        begin(side->file, side->other);
        for (size_t i = 0; i < sizeof wish_cases / sizeof *wish_cases; i++) {
            const struct wish_case *c = &wish_cases[i];
            const char *words = side == sides ? c->words : c->words_1;
            watch w;
            watch_stream(&w, bad, c->name, false);
            UNTIL(host, weir_stream_get_state(w.stream) == (words ? WEIR_STREAM_FAILED : WEIR_STREAM_LIVE));
            if (words && !strstr(weir_stream_why(w.stream), words))
                test_fail(__FILE__, __LINE__, "%s of %s: expected '%s', got: %s", c->name, side->file, words, weir_stream_why(w.stream));
            watch_end(&w);
        }
        end();
    }
}

/* A trap may be over with the next instance, so it is tried again; with on_trap fail it is given up. */
TEST(push_faults, a_wish_that_traps_is_asked_again)
{
    BOTH_GENERATIONS
    {
        static const char *const names[] = {"wish-trap", "wish-exit"};
        begin(side->file, side->other);
        for (size_t i = 0; i < 2; i++) {
            watch w;
            weir_account before, now;
            weir_host_account(host, &before);
            watch_stream(&w, bad, names[i], false);
            do
                weir_host_step(host, 20), weir_host_account(host, &now);
            while (now.restarts < before.restarts + 3);
            CHECK(weir_stream_get_state(w.stream) != WEIR_STREAM_FAILED);
            watch_end(&w);
        }
        end();
    }
}

/* Their sockets are their own, and so are the context and the connection that each callback names. */
TEST(push_faults, two_streams_with_one_id_each_get_their_own_frames)
{
    BOTH_GENERATIONS
    {
        watch one, two;
        begin(side->file, side->other);
        watch_stream(&one, bad, "same-1", false);
        watch_stream(&two, bad, "same-2", false);
        UNTIL(host, one.next > 20 && two.next > 20);
        CHECK_UINT(one.gaps + two.gaps, 0);
        watch_end(&one);
        UNTIL(host, two.next > 40);
        watch_end(&two);
        end();
    }
}

/* ---- Configuration ---- */

static weir_plugin *load_odd(const char *file, const char *config)
{
    weir_plugin *p;
    load(&p, file, config);
    return p;
}

TEST(push_faults, a_configuration_is_refused_in_the_plugins_own_words_or_ours)
{
    static const struct {
        const char *file, *config, *words; /* NULL: the stream lives */
    } all[] = {
        {"nonsense.wasm", "{\"init\":\"text\"}", NULL},
        {"nonsense.wasm", "{\"init\":\"long\"}", NULL},
        {"nonsense.wasm", "{\"init\":\"rc_silent\"}", "init: "},
        {"nonsense.wasm", "{\"init\":\"rc_data\"}", "init: "},
        {"nonsense.wasm", "{\"init\":\"error_rc\"}", "init: it broke"},
        {"nonsense.wasm", "{\"init\":\"error_set\"}", "init: it broke"},
        {"nonsense.wasm", "{\"init\":\"trap\"}", "unreachable"},
        {"nonsense.wasm", "{\"init\":\"exit\"}", "exit"},
        {"nonsense_1.wasm", "{\"init\":\"text\"}", NULL},
        {"nonsense_1.wasm", "{\"init\":\"rc_silent\"}", "set_credentials: "},
        {"nonsense_1.wasm", "{\"init\":\"error_rc\"}", "set_credentials: it broke"},
        {"nonsense_1.wasm", "{\"init\":\"trap\"}", "unreachable"},
    };
    begin("nonsense.wasm", "nonsense_1.wasm");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_plugin *p = load_odd(all[i].file, all[i].config);
        watch w;
        watch_stream(&w, p, "configured", false);
        if (all[i].words)
            UNTIL(host, weir_stream_get_state(w.stream) == WEIR_STREAM_FAILED);
        else
            UNTIL(host, w.next > 3);
        if (all[i].words)
            CHECK_HAS(weir_stream_why(w.stream), all[i].words);
        watch_end(&w);
        weir_plugin_free(p);
    }
    end();
}

TEST(push_faults, fields_that_are_lacking_or_mistyped_are_said_before_anything_runs)
{
    static const struct {
        const char *config, *words; /* NULL: the stream lives */
    } all[] = {
        {"{\"fields\":\"null\"}", NULL},
        {"{\"fields\":\"empty\"}", NULL},
        {"{\"fields\":\"list\"}", NULL},
        {"{\"fields\":\"text\"}", "the plugin's configuration fields"},
        {"{\"fields\":\"half\"}", "the plugin's configuration fields"},
        {"{\"fields\":\"long\"}", "the plugin's configuration fields"},
        {"{\"fields\":\"number\"}", "the plugin's configuration fields are no list"},
        {"{\"fields\":\"nothing\"}", "the plugin's configuration fields are no list"},
        {"{\"fields\":\"well\"}", "'depth' (Depth) is required; --config depth=VALUE"},
        {"{\"fields\":\"well\",\"depth\":null}", "'depth' (Depth) is required; --config depth=VALUE"},
        {"{\"fields\":\"well\",\"depth\":\"deep\"}", "is a number, and the value given is none"},
        {"{\"fields\":\"well\",\"depth\":99}", "too large"},
        {"{\"fields\":\"well\",\"depth\":\"0\"}", "too small"},
        {"{\"fields\":\"well\",\"depth\":5,\"live\":\"perhaps\"}", "is true or false"},
        {"{\"fields\":\"well\",\"depth\":\"5\",\"live\":\"yes\",\"more\":1}", NULL},
    };
    begin("nonsense.wasm", "nonsense_1.wasm");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_error err = WEIR_ERROR_INIT;
        weir_plugin *p = load_odd("nonsense.wasm", all[i].config);
        weir_stream *s;
        if (all[i].words) {
            CHECK(weir_stream_open(&s, p, "raw", "configured", NULL, &err) != WEIR_OK);
            CHECK_HAS(err.text, all[i].words);
        } else {
            watch w;
            watch_stream(&w, p, "configured", false);
            UNTIL(host, w.next > 3);
            watch_end(&w);
        }
        weir_plugin_free(p);
    }
    end();
}

TEST(push_faults, a_plugin_whose_list_of_fields_fails_or_traps_is_not_loaded)
{
    static const char *const configs[] = {"{\"fields\":\"rc_silent\"}", "{\"fields\":\"trap\"}", "{\"fields\":\"exit\"}"};
    begin("nonsense.wasm", "nonsense_1.wasm");
    for (size_t i = 0; i < 3; i++) {
        weir_error err = WEIR_ERROR_INIT;
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        weir_plugin *p;
        o.config_json = configs[i];
        CHECK(weir_plugin_load(&p, host, guest_path("nonsense.wasm"), &o, &err) != WEIR_OK);
        CHECK_HAS(err.text, "get_configuration_fields: ");
    }
    end();
}

/* ---- The end ---- */

TEST(push_faults, a_shutdown_that_fails_traps_or_hangs_is_said_and_the_stream_is_closed)
{
    static const struct {
        const char *what, *words;
    } all[] = {{"text", NULL}, {"rc_silent", "shutdown: "}, {"error_rc", "shutdown: it broke"}, {"trap", "unreachable"}, {"exit", "shutdown: "}, {"spin", "shutdown stopped after 1500 ms"}};
    begin("nonsense.wasm", "nonsense_1.wasm");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char config[60];
        snprintf(config, sizeof config, "{\"shutdown\":\"%s\"}", all[i].what);
        weir_plugin *p = load_odd("nonsense.wasm", config);
        for (int again = 0; again < 2; again++) { /* the plugin is as good as before */
            watch w;
            logged[0] = '\0';
            watch_stream(&w, p, "parting", false);
            UNTIL(host, w.next > 3);
            weir_stream_stop(w.stream);
            UNTIL(host, weir_stream_get_state(w.stream) == WEIR_STREAM_CLOSED);
            CHECK_TEXT(weir_stream_why(w.stream), "stopped");
            if (all[i].words && !strstr(logged, all[i].words))
                test_fail(__FILE__, __LINE__, "shutdown %s: no '%s' in the log:\n%.3000s", all[i].what, all[i].words, logged);
            watch_end(&w);
        }
        weir_plugin_free(p);
    }
    end();
}
