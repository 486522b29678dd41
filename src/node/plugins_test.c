/* Plugins and connections of a node: versions, permissions, forms, secrets; and what is uploaded that is no plugin. */
#include <pthread.h>
#include <time.h>

#include "engine/engine.h"
#include "node/testing.h"
#include "store/disk.h"

static const sim_options exchange = {.seed = 7, .rate = 50};
static const char topic[] = "trades.push-woox.SPOT_BTC_USDT";

/* push_woox, approved, with a stream that is live and has records. */
static void push(fixture *t)
{
    fixture_open(t, &exchange);
    CHECK_INT(fixture_upload(t, "push_woox"), WEIR_OK);
    CHECK_INT(ask_it(t, "plugins.approve", "push-woox", "{}"), WEIR_OK);
    CHECK_INT(ask_it(t, "streams.create", NULL, "{\"plugin\":\"push-woox\",\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    fixture_last_seq(t, topic, 5);
}

static void version_is(fixture *t, const char *version)
{
    fixture_until(t, "plugins.read", "push-woox", "version", version);
    fixture_until(t, "streams.read", "1", "state", "live");
}

typedef struct whole {
    uint64_t last, gaps, doubles, holes;
} whole;

static void look(void *arg, json line)
{
    whole *w = arg;
    uint64_t seq = fixture_seq_of(line);
    w->gaps += json_is(json_member(line, "kind"), "gap");
    if (!seq)
        return;
    w->doubles += seq <= w->last;
    w->holes += w->last && seq > w->last + 1;
    w->last = seq;
}

static void nothing_missing(fixture *t)
{
    whole w = {0};
    fixture_last_seq(t, topic, fixture_last_seq(t, topic, 1) + 5);
    fixture_lines(t, topic, look, &w);
    CHECK_UINT(w.gaps, 0);
    CHECK_UINT(w.doubles, 0);
    CHECK_UINT(w.holes, 0);
}

TEST(plugins, a_version_that_asks_for_no_more_takes_over_at_once_without_a_gap)
{
    fixture t;
    push(&t);
    CHECK_INT(fixture_upload(&t, "push_woox_2"), WEIR_OK);
    CHECK(t.created);
    CHECK_TEXT(fixture_member(&t, "version"), "2.0.0");
    CHECK_TEXT(fixture_member(&t, "pending"), "null");
    version_is(&t, "2.0.0");
    nothing_missing(&t);
    CHECK_INT(ask_it(&t, "plugins.rollback", "push-woox", NULL), WEIR_OK);
    version_is(&t, "1.0.0");
    nothing_missing(&t);
    CHECK_INT(fixture_upload(&t, "push_woox_2"), WEIR_OK); /* once more the same octets */
    CHECK(!t.created);
    version_is(&t, "2.0.0");
    fixture_close(&t);
}

TEST(plugins, a_version_that_asks_for_more_waits_and_the_difference_is_shown)
{
    fixture t;
    push(&t);
    CHECK_INT(fixture_upload(&t, "push_woox_wide"), WEIR_OK);
    CHECK_HAS(t.json, "\"version\":\"3.0.0\",\"asks\":[");
    CHECK_HAS(t.json, "\"adds\":[\"https://api.woox.io/v3/*\",\"ws://collector.example/in\"],\"removes\":[]");
    version_is(&t, "1.0.0");
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", "{\"allow\":[\"wss://evil.example/*\"]}"), WEIR_REFUSED);
    version_is(&t, "1.0.0");
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", "{\"allow\":[\"wss://wss.woox.io/*\",\"https://api.woox.io/v3/*\"]}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "grants"), "[\"wss://wss.woox.io/*\",\"https://api.woox.io/v3/*\"]");
    version_is(&t, "3.0.0");
    nothing_missing(&t);
    fixture_restart(&t, true);
    version_is(&t, "3.0.0");
    CHECK_TEXT(fixture_member(&t, "state"), "live");
    fixture_close(&t);
}

TEST(plugins, going_back_to_a_version_that_asks_for_more_is_refused_with_the_difference_until_it_is_approved)
{
    char body[128], *wide;
    fixture t;
    push(&t);
    CHECK_INT(fixture_upload(&t, "push_woox_wide"), WEIR_OK);
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", "{}"), WEIR_OK);
    wide = strdup(fixture_member(&t, "sha256"));
    CHECK_HAS(t.json, "\"adds\":[],\"removes\":[\"https://api.woox.io/v3/*\",\"ws://collector.example/in\"],\"active\":false}"); /* 1.0.0 */
    CHECK_INT(fixture_upload(&t, "push_woox_2"), WEIR_OK);                                                                       /* asks for less: runs at once, and then gives up what it does not need */
    CHECK_INT(ask_it(&t, "plugins.rollback", "push-woox", NULL), WEIR_OK);
    version_is(&t, "3.0.0");
    CHECK_INT(fixture_upload(&t, "push_woox_2"), WEIR_OK);
    snprintf(body, sizeof body, "{\"sha256\":\"%s\"}", fixture_member(&t, "sha256"));
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", body), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "grants"), "[\"wss://wss.woox.io/*\"]");
    CHECK_HAS(t.json, "\"adds\":[\"https://api.woox.io/v3/*\",\"ws://collector.example/in\"],\"removes\":[],\"active\":false}");
    version_is(&t, "2.0.0");
    CHECK_INT(ask_it(&t, "plugins.rollback", "push-woox", NULL), WEIR_REFUSED);
    CHECK_HAS(t.error, "version 3.0.0 asks for more than is granted, so it needs approval, by its sha256 ");
    CHECK_HAS(t.error, "It adds [\"https://api.woox.io/v3/*\",\"ws://collector.example/in\"]");
    snprintf(body, sizeof body, "{\"sha256\":\"%s\"}", wide);
    CHECK_INT(ask_it(&t, "plugins.rollback", "push-woox", body), WEIR_REFUSED);
    version_is(&t, "2.0.0");
    CHECK_INT(ask_it(&t, "plugins.approve", "push-woox", body), WEIR_OK);
    CHECK_HAS(fixture_member(&t, "grants"), "ws://collector.example/in");
    version_is(&t, "3.0.0");
    nothing_missing(&t);
    free(wide);
    fixture_close(&t);
}

TEST(plugins, a_version_can_be_rejected)
{
    fixture t;
    push(&t);
    CHECK_INT(fixture_upload(&t, "push_woox_wide"), WEIR_OK);
    CHECK_INT(ask_it(&t, "plugins.reject", "push-woox", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "pending"), "null");
    CHECK(!strstr(t.json, "3.0.0"));
    CHECK_INT(ask_it(&t, "plugins.reject", "push-woox", NULL), WEIR_NOT_FOUND);
    CHECK_INT(fixture_upload(&t, "form"), WEIR_OK); /* asks for nothing: active at once */
    CHECK_TEXT(fixture_member(&t, "state"), "ready");
    CHECK_INT(fixture_upload(&t, "woox"), WEIR_OK);
    CHECK_INT(ask_it(&t, "plugins.reject", "woox-datasource", NULL), WEIR_OK); /* it was the only one */
    CHECK_TEXT(t.json, "");
    CHECK_INT(ask_it(&t, "plugins.read", "woox-datasource", NULL), WEIR_NOT_FOUND);
    fixture_close(&t);
}

TEST(plugins, one_that_is_switched_off_and_on_tells_what_was_missed)
{
    fixture t;
    push(&t);
    uint64_t last = fixture_last_seq(&t, topic, 5);
    CHECK_INT(ask_it(&t, "plugins.disable", "push-woox", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "disabled");
    fixture_until(&t, "streams.read", "1", "state", "waiting");
    fixture_until(&t, "connections.read", "1", "state", "disabled");
    CHECK_INT(ask_it(&t, "streams.read", "1", NULL), WEIR_OK);
    CHECK_HAS(fixture_member(&t, "why"), "its plugin is switched off");
    CHECK_INT(ask_it(&t, "plugins.enable", "push-woox", NULL), WEIR_OK);
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_seam seam = fixture_read_seam(&t, topic, last);
    CHECK(seam.gap && seam.doubles == 0);
    CHECK_UINT(seam.first_seq, seam.last_before + 1);
    CHECK_INT(ask_it(&t, "plugins.reload", "push-woox", NULL), WEIR_OK);
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_close(&t);
}

TEST(plugins, what_is_no_plugin_is_refused_with_a_text)
{
    static const char *const guests[] = {"component", "truncated", "empty", "text", "init_trap", "echo", "trap"};
    fixture t;
    fixture_open(&t, NULL);
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++) {
        weir_code code = fixture_upload(&t, guests[i]);
        if (!code || !*t.error)
            test_fail(__FILE__, __LINE__, "%s: %s '%s'", guests[i], weir_code_name(code), t.error);
    }
    CHECK_INT(ask_it(&t, "plugins.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"plugins\":[]}");
    fixture_close(&t);
}

/* ---- What is too much to compile, or takes long ---- */

static void add_leb(buf *out, size_t n)
{
    for (; n > 127; n >>= 7)
        buf_add_char(out, (char)(n | 128));
    buf_add_char(out, (char)n);
}

/* A module of `functions`, each with so many nops. */
static void make_module(buf *out, size_t functions, size_t nops)
{
    buf code;
    buf_init(&code, 64u << 20);
    buf_init(out, 64u << 20);
    add_leb(&code, functions);
    for (size_t i = 0; i < functions; i++) {
        add_leb(&code, nops + 2);
        buf_add_char(&code, 0);
        for (size_t k = 0; k < nops; k++)
            buf_add_char(&code, 1);
        buf_add_char(&code, 11);
    }
    buf_add_bytes(out, BYTES("\0asm\1\0\0\0\1\4\1\x60\0\0\3"));
    add_leb(out, functions + (functions > 127) + (functions > 16383) + 1);
    add_leb(out, functions);
    for (size_t i = 0; i < functions; i++)
        buf_add_char(out, 0);
    buf_add_char(out, 10);
    add_leb(out, code.len);
    buf_add_bytes(out, buf_bytes(&code));
    buf_fini(&code);
}

TEST(plugins, a_module_of_too_much_code_is_refused_before_it_is_compiled)
{
    static const struct {
        size_t functions, nops;
        const char *says;
    } wrong[] = {
        {131000, 0, "'m.wasm' has 393003 octets of code in 131000 functions, which is too much to compile here: with 512 more for each function it may be 67108864 (plugins.code)"},
        {1, 2 << 20, "'m.wasm' has a function of 2097154 octets, which is too long to compile here; it may be 2097152"},
    };
    fixture t;
    fixture_open(&t, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf module;
        make_module(&module, wrong[i].functions, wrong[i].nops);
        CHECK_INT(ask_octets(&t, "plugins.upload", NULL, NULL, "{\"file_name\":\"m.wasm\"}", buf_bytes(&module)), WEIR_UNSUPPORTED);
        CHECK_TEXT(t.error, wrong[i].says);
        buf_fini(&module);
    }
    fixture_close(&t);
}

/* A compiler that can be held: the linker puts this in module_load's place (CMakeLists.txt). What has so many octets stays in it
 * until it is let go. */
weir_code __real_module_load(module **out, engine *e, bytes wasm, const char *folder, cache_result *cached, weir_error *err);
weir_code __wrap_module_load(module **out, engine *e, bytes wasm, const char *folder, cache_result *cached, weir_error *err);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t let_go;
    size_t octets; /* 0: nothing is held */
    bool begun;
} held = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

weir_code __wrap_module_load(module **out, engine *e, bytes wasm, const char *folder, cache_result *cached, weir_error *err)
{
    pthread_mutex_lock(&held.lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 120; /* whoever waits for it in vain has failed by then */
    held.begun |= held.octets && wasm.len == held.octets;
    while (held.octets && wasm.len == held.octets && !pthread_cond_timedwait(&held.let_go, &held.lock, &until))
        continue;
    pthread_mutex_unlock(&held.lock);
    return __real_module_load(out, e, wasm, folder, cached, err);
}

static bool hold(size_t octets)
{
    pthread_mutex_lock(&held.lock);
    held.octets = octets;
    bool begun = held.begun;
    pthread_cond_broadcast(&held.let_go);
    pthread_mutex_unlock(&held.lock);
    return begun;
}

static void on_slow(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    (void)created, (void)json, (void)error;
    *(weir_code *)arg = code;
}

TEST(plugins, while_one_is_compiled_for_long_others_are_uploaded_approved_and_run)
{
    buf module;
    weir_code slow = WEIR_OK;
    fixture t;
    push(&t); /* streams */
    make_module(&module, 40, 0);
    size_t octets = module.len;
    hold(octets);
    node_question q = {.op = "plugins.upload", .query = BYTES("{\"file_name\":\"slow.wasm\"}"), .body = buf_bytes(&module), .who = "test"};
    node_ask(t.n, &q, on_slow, &slow);
    buf_fini(&module);
    while (!hold(octets)) /* the compiler has it */
        fixture_turn(&t);
    CHECK_INT(fixture_upload(&t, "woox"), WEIR_OK);
    CHECK_INT(ask_it(&t, "plugins.approve", "woox-datasource", "{}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"plugin\":\"woox-datasource\",\"type\":\"trades\",\"identifier\":\"SPOT_BTC_USDT\"}"), WEIR_OK);
    fixture_until(&t, "streams.read", "2", "state", "live");
    nothing_missing(&t);
    CHECK_INT(slow, WEIR_OK); /* still at it */
    hold(0);
    while (!slow)
        fixture_turn(&t);
    CHECK_INT(slow, WEIR_INVALID); /* it says nothing of itself */
    fixture_close(&t);
}

TEST(plugins, a_node_ends_while_modules_are_compiled_and_wait_to_be)
{
    fixture t;
    fixture_open(&t, NULL);
    for (size_t i = 0; i < 4; i++) {
        buf module;
        make_module(&module, 2000 + i, 0);
        node_question q = {.op = "plugins.upload", .query = BYTES("{\"file_name\":\"m.wasm\"}"), .body = buf_bytes(&module), .who = "test"};
        node_ask(t.n, &q, on_fixture_answer, &t);
        buf_fini(&module);
    }
    fixture_close(&t);
}

/* ---- Connections ---- */

static weir_code configure(fixture *t, const char *config)
{
    char body[512];
    snprintf(body, sizeof body, "{\"config\":%s}", config);
    return ask_it(t, "connections.update", "1", body);
}

TEST(plugins, a_form_says_what_is_missing_and_what_is_wrong_and_secrets_are_not_shown)
{
    fixture t;
    fixture_open(&t, NULL);
    CHECK_INT(fixture_upload(&t, "form"), WEIR_OK);
    CHECK_HAS(fixture_member(&t, "fields"), "\"name\":\"api_key\"");
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"form\",\"name\":\"mine\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "incomplete");
    CHECK_HAS(fixture_member(&t, "why"), "api_key");
    CHECK_INT(ask_octets(&t, "commands.run", "1", "getConfig", "", BYTES("")), WEIR_INVALID);
    CHECK_INT(configure(&t, "{\"api_key\":\"hush-hush\",\"depth\":500,\"pass\":\"secret-pass\",\"side\":\"buy\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "invalid");
    CHECK_HAS(fixture_member(&t, "why"), "depth");
    CHECK(!strstr(t.json, "hush") && !strstr(t.json, "secret-pass"));
    CHECK_INT(configure(&t, "{\"api_key\":\"***\",\"depth\":50}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "ready");
    CHECK_TEXT(fixture_member(&t, "secrets_set"), "[\"api_key\",\"pass\"]");
    CHECK_TEXT(fixture_member(&t, "config"), "{\"side\":\"buy\",\"depth\":50}");
    CHECK_INT(ask_octets(&t, "commands.run", "1", "getConfig", "", BYTES("")), WEIR_OK);
    CHECK_HAS(t.json, "\"api_key\":\"hush-hush\"");
    CHECK_INT(configure(&t, "{\"api_key\":null}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "incomplete");
    CHECK_TEXT(fixture_member(&t, "secrets_set"), "[\"pass\"]");
    fixture_close(&t);
}

TEST(plugins, secrets_are_sealed_on_the_disk_and_another_key_does_not_open_them)
{
    fixture t;
    char command[256], path[128];
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&t, NULL);
    CHECK_INT(fixture_upload(&t, "form"), WEIR_OK);
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"form\",\"config\":{\"api_key\":\"hush-hush\",\"depth\":5,\"pass\":\"secret-pass\",\"side\":\"buy\"}}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "ready");
    CHECK(fixture_drain(&t));
    node_free(t.n);
    snprintf(command, sizeof command, "grep -rlE 'hush-hush|secret-pass' '%s'", t.dir);
    CHECK(system(command) != 0); /* in no file */
    snprintf(path, sizeof path, "%s/secret.key", t.dir);
    CHECK_OK(file_replace(path, BYTES("0123456789abcdef0123456789abcdef"), &err));
    fixture_start(&t);
    fixture_until(&t, "connections.read", "1", "state", "failed");
    CHECK_HAS(fixture_member(&t, "why"), "sealed with another key");
    CHECK_INT(configure(&t, "{\"api_key\":\"new\",\"pass\":\"new\"}"), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "state"), "ready");
    fixture_close(&t);
}

/* ---- A disk that takes nothing ---- */

TEST(plugins, a_full_disk_refuses_changes_and_streams_go_on)
{
    fixture t;
    disk_begin();
    push(&t);
    disk_set(&disk.settings, DISK_FULL);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"SPOT_ETH_USDT\"}"), WEIR_SYSTEM);
    CHECK_HAS(t.error, "the disk is full");
    CHECK_INT(ask_it(&t, "streams.update", "1", "{\"wanted\":\"off\"}"), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "streams.remove", "1", NULL), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "connections.update", "1", "{\"name\":\"x\"}"), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"push-woox\"}"), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "plugins.disable", "push-woox", NULL), WEIR_SYSTEM);
    CHECK_INT(fixture_upload(&t, "push_woox_2"), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "tokens.create", NULL, "{\"name\":\"x\",\"scope\":\"read\"}"), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, "{\"spec\":\"ndjson:/dev/null\"}"), WEIR_SYSTEM);
    CHECK_INT(ask_octets(&t, "ui.write", NULL, "x", "", BYTES("{}")), WEIR_SYSTEM);
    CHECK_INT(ask_it(&t, "node.read", NULL, NULL), WEIR_OK);
    CHECK_HAS(t.json, "\"store\":{\"state\":\"full\"");
    CHECK_INT(ask_it(&t, "streams.list", NULL, NULL), WEIR_OK);
    CHECK(!strstr(t.json, "SPOT_ETH_USDT"));
    CHECK_INT(ask_it(&t, "connections.read", "1", NULL), WEIR_OK);
    CHECK_TEXT(fixture_member(&t, "name"), "Push");
    CHECK_INT(ask_it(&t, "tokens.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"tokens\":[]}");
    CHECK_INT(ask_it(&t, "sinks.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"sinks\":[]}");
    version_is(&t, "1.0.0"); /* live */
    nothing_missing(&t);
    disk_set(&disk.settings, DISK_FINE);
    for (weir_code code = WEIR_SYSTEM; code;) /* the store finds out by itself */
        code = ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"trades\",\"identifier\":\"SPOT_ETH_USDT\"}");
    CHECK_INT(ask_it(&t, "plugins.disable", "push-woox", NULL), WEIR_OK);
    fixture_close(&t);
    disk_end();
}

/* ---- Order ---- */

typedef struct order {
    char said[64];
    unsigned answers;
} order;

static void on_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    order *o = arg;
    (void)created, (void)error;
    bool on = memmem(json.at, json.len, "\"wanted\":\"on\"", 13) != NULL;
    size_t len = strlen(o->said);
    snprintf(o->said + len, sizeof o->said - len, "%s", code ? "?" : on ? "on "
                                                                        : "off ");
    o->answers++;
}

TEST(plugins, what_changes_one_thing_is_done_in_the_order_in_which_it_was_asked)
{
    fixture t;
    order o = {0};
    static const char *const bodies[] = {"{\"wanted\":\"off\"}", "{\"wanted\":\"on\"}", "{\"wanted\":\"off\"}", "{\"wanted\":\"on\"}"};
    push(&t);
    for (int i = 0; i < 4; i++) {
        node_question q = {.op = "streams.update", .id = "1", .body = bytes_of(bodies[i])};
        node_ask(t.n, &q, on_answer, &o);
    }
    while (o.answers < 4)
        fixture_turn(&t);
    CHECK_TEXT(o.said, "off on off on ");
    fixture_until(&t, "streams.read", "1", "state", "live");
    fixture_close(&t);
}

TEST(plugins, a_node_that_goes_away_answers_nobody_and_loses_nothing)
{
    fixture t;
    order o = {0};
    push(&t);
    node_question q = {.op = "streams.remove", .id = "1"};
    node_ask(t.n, &q, on_answer, &o);
    q = (node_question){.op = "plugins.reload", .id = "push-woox"};
    node_ask(t.n, &q, on_answer, &o);
    fixture_restart(&t, false); /* what the store was given is done */
    CHECK_UINT(o.answers, 0);
    CHECK_INT(ask_it(&t, "streams.list", NULL, NULL), WEIR_OK);
    CHECK_TEXT(t.json, "{\"streams\":[]}");
    fixture_close(&t);
}

TEST(plugins, a_node_survives_any_failed_allocation)
{
    fixture t;
    fixture_open(&t, NULL);
    CHECK_INT(fixture_upload(&t, "form"), WEIR_OK);
    CHECK_INT(ask_it(&t, "connections.create", NULL, "{\"plugin\":\"form\",\"config\":{\"api_key\":\"k\"}}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "streams.create", NULL, "{\"connection\":1,\"type\":\"a\",\"identifier\":\"b\"}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "sinks.create", NULL, "{\"spec\":\"ndjson:/dev/null\"}"), WEIR_OK);
    CHECK_INT(ask_it(&t, "tokens.create", NULL, "{\"name\":\"x\",\"scope\":\"read\"}"), WEIR_OK);
    CHECK_INT(ask_octets(&t, "ui.write", NULL, "x", "", BYTES("{}")), WEIR_OK);
    node_free(t.n);
    t.n = NULL;
    node_options o = fixture_options(&t);
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        node *n = NULL;
        if (node_new(&n, &o, &err) && err.code != WEIR_NOMEM)
            test_fail(__FILE__, __LINE__, "%s: %s", weir_code_name(err.code), err.text);
        node_free(n);
    }
    fixture_start(&t);
    fixture_close(&t);
}
