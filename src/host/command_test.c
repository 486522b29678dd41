/* weir_command and weir_command_wait over the public API, with guests from tests/plugins. */
#include <weir/weir.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/lib/test.h"

static weir_error err;
static char cache[] = "/tmp/weir-command-XXXXXX";

static weir_host *host_new(const char *cache_dir)
{
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h = NULL;
    o.cache_dir = cache_dir;
    o.max_instances = 8;
    err = (weir_error)WEIR_ERROR_INIT;
    CHECK_OK(weir_host_new(&h, &o, &err));
    return h;
}

static weir_plugin *load(weir_host *h, const char *name, const char *config)
{
    char path[4096];
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    const char *folder = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "build/guests", name);
    o.config_json = config;
    CHECK_OK(weir_plugin_load(&p, h, path, &o, &err));
    return p;
}

static const char *asked(weir_plugin *p, const char *name, const char *params, unsigned flags)
{
    const weir_result *r = NULL;
    err = (weir_error)WEIR_ERROR_INIT;
    return weir_command_wait(p, name, params, flags, &r, &err) ? err.text : r->output;
}

TEST(command, answers_in_one_form_whatever_the_generation)
{
    weir_host *h = host_new("");
    weir_plugin *one = load(h, "push_1.wasm", "{\"api_key\":\"k\"}"), *three = load(h, "push.wasm", NULL);
    CHECK_TEXT(asked(one, "getMarkets", NULL, 0), "[]"); /* it says null */
    CHECK_TEXT(asked(one, "getMarkets", NULL, WEIR_COMMAND_RAW), "null");
    CHECK_TEXT(asked(three, "getMarkets", "{}", 0), "[{\"symbol\":\"X\"}]");
    CHECK_TEXT(asked(one, "getOHLCV", "{\"symbol\":\"x\",\"timeframe\":\"1m\",\"startTime\":\"2023-11-14T22:13:20Z\"}", 0),
               "[{\"ts_event\":\"1700000000000000000\",\"open\":\"1\",\"high\":\"1\",\"low\":\"1\",\"close\":\"1\",\"volume\":\"1\"},"
               "{\"ts_event\":\"1700000060000000000\",\"open\":\"2\",\"high\":\"2\",\"low\":\"2\",\"close\":\"2\",\"volume\":\"0.000000123456\"},"
               "{\"ts_event\":\"1700000120000000000\",\"open\":\"3\",\"high\":\"3\",\"low\":\"3\",\"close\":\"3\",\"volume\":\"1700000000\"}]");
    weir_host_free(h);
}

TEST(command, that_fails_says_why_in_the_plugins_words)
{
    weir_host *h = host_new("");
    weir_plugin *one = load(h, "push_1.wasm", "{\"api_key\":\"k\"}"), *three = load(h, "push.wasm", NULL), *none = load(h, "echo.wasm", NULL);
    CHECK_HAS(asked(one, "getOHLCV", "{\"symbol\":\"no\"}", 0), "no such market");
    CHECK_UINT(err.code, WEIR_FAILED);
    CHECK_HAS(asked(one, "getAccount", NULL, 0), "knows getMarkets, getTimeframes and getOHLCV");
    CHECK_UINT(err.code, WEIR_UNSUPPORTED);
    CHECK_HAS(asked(three, "getAccount", NULL, 0), "unknown command");
    CHECK_HAS(asked(none, "getMarkets", NULL, 0), "answers no commands");
    CHECK_HAS(asked(three, "getMarkets", "[1]", 0), "a JSON object is needed");
    CHECK_HAS(asked(three, "getMarkets", "{", 0), "parameters");
    CHECK_TEXT(asked(three, "getMarkets", NULL, 0), "[{\"symbol\":\"X\"}]");
    weir_host_free(h);
}

TEST(command, answers_that_may_be_kept_outlive_the_host)
{
    char first[200];
    CHECK(mkdtemp(cache) != NULL);
    weir_host *h = host_new(cache);
    weir_plugin *p = load(h, "push.wasm", NULL);
    snprintf(first, sizeof first, "%s", asked(p, "getTime", "{\"a\":1,\"b\":2}", 0));
    CHECK_HAS(first, "\"asked\":1");
    CHECK_TEXT(asked(p, "getTime", "{\"b\":2,\"a\":1}", 0), first);
    CHECK_HAS(asked(p, "getTime", "{\"a\":2}", 0), "\"asked\":2");
    CHECK_HAS(asked(p, "getTime", "{\"a\":1,\"b\":2}", WEIR_COMMAND_FRESH), "\"asked\":3");
    snprintf(first, sizeof first, "%s", asked(p, "getTime", "{\"a\":1,\"b\":2}", 0));
    CHECK_HAS(first, "\"asked\":3");
    weir_host_free(h);

    h = host_new(cache);
    CHECK_TEXT(asked(load(h, "push.wasm", NULL), "getTime", "{\"a\":1,\"b\":2}", 0), first);
    CHECK_HAS(asked(load(h, "push.wasm", "{\"key\":\"other\"}"), "getTime", "{\"a\":1,\"b\":2}", 0), "\"asked\":1");
    weir_host_free(h);

    h = host_new(""); /* no folder: nothing is kept */
    p = load(h, "push.wasm", NULL);
    CHECK_HAS(asked(p, "getTime", NULL, 0), "\"asked\":1");
    CHECK_HAS(asked(p, "getTime", NULL, 0), "\"asked\":2");
    weir_host_free(h);
}

/* ---- Rate limits, on a clock of the test's own: waiting moves it ---- */

static uint64_t fake_real = UINT64_C(1700000000) * NS_PER_S, fake_mono = NS_PER_S, waited_ms;
static char waited_for[200];
static weir_plugin *free_while_waiting;

static uint64_t real_now(void)
{
    return fake_real;
}

static uint64_t mono_now(void)
{
    return fake_mono;
}

static void on_wait(void *arg, weir_plugin *p, uint64_t wait_ms, const char *limit)
{
    (void)arg;
    waited_ms += wait_ms;
    snprintf(waited_for, sizeof waited_for, "%s", limit);
    fake_real += wait_ms * NS_PER_MS;
    fake_mono += wait_ms * NS_PER_MS;
    if (p == free_while_waiting)
        weir_plugin_free(p);
}

static weir_plugin *limited(weir_host *h, const char *limits, uint32_t rate_wait_ms)
{
    char path[4096], config[1000];
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    const char *folder = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/limited.wasm", folder ? folder : "build/guests");
    snprintf(config, sizeof config, "{\"limits\":\"%s\"}", limits);
    o.config_json = config;
    o.rate_wait_ms = rate_wait_ms;
    CHECK_OK(weir_plugin_load(&p, h, path, &o, &err));
    weir_plugin_on_wait(p, on_wait, NULL);
    waited_ms = 0;
    return p;
}

TEST(command, waits_for_the_plugins_rate_limit_and_says_so)
{
    weir_host *h = host_new("");
    weir_plugin *p = limited(h, "[{\\\"command\\\":\\\"getMarkets\\\",\\\"scope\\\":\\\"ip\\\",\\\"rps\\\":0.05,\\\"burst\\\":1,\\\"cost\\\":0}]", 0);
    clock_replace(real_now, mono_now);
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "\"asked\":1");
    CHECK_UINT(waited_ms, 0);
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "\"asked\":2");
    CHECK_UINT(waited_ms, 20000);
    CHECK_TEXT(waited_for, "getMarkets: 3 a minute");
    CHECK_HAS(asked(p, "getAccount", NULL, 0), "\"asked\":3");
    CHECK_UINT(waited_ms, 20000);
    clock_replace(NULL, NULL);
    weir_host_free(h);
}

TEST(command, fails_when_the_rate_limit_is_longer_than_it_may_wait)
{
    weir_host *h = host_new("");
    weir_plugin *p = limited(h, "[{\\\"command\\\":\\\"*\\\",\\\"scope\\\":[\\\"ip\\\",\\\"apikey\\\"],\\\"rps\\\":0.05,\\\"burst\\\":1}]", 5000);
    clock_replace(real_now, mono_now);
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "\"asked\":1");
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "(getMarkets: 3 a minute) allows it in 20.0 s, and 5.0 s is the longest to wait");
    CHECK_UINT(err.code, WEIR_LIMIT);
    fake_real += 16 * NS_PER_S;
    CHECK_HAS(asked(p, "getOther", NULL, 0), "\"asked\":2"); /* '*' is one for all */
    CHECK_UINT(waited_ms, 4000);
    clock_replace(NULL, NULL);
    weir_host_free(h);
}

/* The command that opens a stream is one, too: it takes from the same buckets, and waits for as long as it must. */
TEST(command, that_opens_a_stream_waits_for_the_rate_limit)
{
    weir_host *h = host_new("");
    weir_plugin *p = limited(h, "[{\\\"command\\\":\\\"*\\\",\\\"scope\\\":\\\"ip\\\",\\\"rps\\\":0.01,\\\"burst\\\":1}]", 120000);
    weir_stream *s;
    clock_replace(real_now, mono_now);
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "\"asked\":1");
    CHECK_OK(weir_stream_open(&s, p, "trades", "X", NULL, &err));
    for (int i = 0; i < 100 && weir_stream_get_state(s) != WEIR_STREAM_WAITING; i++)
        weir_host_step(h, 1);
    for (int i = 0; i < 10; i++)
        weir_host_step(h, 1);
    CHECK_TEXT(weir_stream_why(s), "waits 100.0 s for the plugin's rate limit (tradesStream: 36 a hour)");
    fake_real += 99 * NS_PER_S;
    fake_mono += 99 * NS_PER_S;
    for (int i = 0; i < 10; i++)
        weir_host_step(h, 1);
    CHECK_INT(weir_stream_get_state(s), WEIR_STREAM_WAITING);
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "\"asked\":"); /* in line behind the stream */
    CHECK_UINT(waited_ms, 101000);
    for (int i = 0; i < 1000 && weir_stream_get_state(s) != WEIR_STREAM_FAILED; i++)
        weir_host_step(h, 1);
    CHECK_HAS(weir_stream_why(s), "no StreamMarker"); /* asked it was */
    clock_replace(NULL, NULL);
    weir_host_free(h);
}

static unsigned lock_answers;

static void on_locked(void *arg, const weir_result *r)
{
    (void)arg;
    CHECK_OK(r->code);
    lock_answers++;
}

/* The loop goes on while another process holds the count: with a clock that stands still nothing but a timer can wait. */
TEST(command, does_not_hold_up_the_loop_for_another_process)
{
    char folder[] = "/tmp/weir-command-XXXXXX", path[200], name[DIGEST_HEX];
    CHECK(mkdtemp(folder) != NULL);
    weir_host *h = host_new(folder);
    weir_plugin *p = limited(h, "[{\\\"command\\\":\\\"*\\\",\\\"rps\\\":10,\\\"burst\\\":9}]", 0);
    clock_replace(real_now, mono_now);
    CHECK_HAS(asked(p, "getMarkets", "{\"a\":1}", 0), "\"asked\":1");
    digest_sha256(name, BYTES("limited"));
    snprintf(path, sizeof path, "%s/rates/%s", folder, name);
    int other = open(path, O_RDWR);
    CHECK(other >= 0 && flock(other, LOCK_EX) == 0);
    for (int round = 1; round <= 2; round++) {
        CHECK_OK(weir_command(p, "getMarkets", "{\"a\":1}", 0, on_locked, NULL, &err));
        for (int i = 0; i < 50; i++)
            weir_host_step(h, 1);
        CHECK_UINT(lock_answers, (unsigned)round - 1);
        if (round == 1)
            close(other); /* and in the second round it is never let go */
        for (int i = 0; i < 25 && lock_answers < (unsigned)round; i++) {
            fake_real += NS_PER_MS;
            fake_mono += NS_PER_MS;
            for (int k = 0; k < 10; k++)
                weir_host_step(h, 1);
        }
        CHECK_UINT(lock_answers, (unsigned)round);
        if (round == 1)
            CHECK((other = open(path, O_RDWR)) >= 0 && flock(other, LOCK_EX) == 0);
    }
    close(other);
    clock_replace(NULL, NULL);
    weir_host_free(h);
}

TEST(command, limits_that_cannot_be_read_limit_nothing)
{
    static const char *const bad[] = {"trap", "{}", "[5,{\\\"command\\\":\\\"x\\\"}]", "[", "null", ""};
    weir_host *h = host_new("");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_plugin *p = limited(h, bad[i], 1);
        CHECK_HAS(asked(p, "x", NULL, 0), "\"asked\":1");
        CHECK_HAS(asked(p, "x", NULL, 0), "\"asked\":2");
        weir_plugin_free(p);
    }
    weir_host_free(h);
}

TEST(command, whose_plugin_is_freed_while_it_waits_says_so)
{
    weir_host *h = host_new("");
    weir_plugin *p = limited(h, "[{\\\"command\\\":\\\"*\\\",\\\"rps\\\":0.05}]", 0);
    clock_replace(real_now, mono_now);
    CHECK_HAS(asked(p, "x", NULL, 0), "\"asked\":1");
    free_while_waiting = p;
    CHECK_HAS(asked(p, "x", NULL, 0), "the plugin was freed");
    CHECK_UINT(err.code, WEIR_CANCELLED);
    clock_replace(NULL, NULL);
    weir_host_free(h);
}

TEST(command, of_a_plugin_with_a_form_wants_it_filled_in)
{
    weir_host *h = host_new("");
    weir_plugin *p = load(h, "form.wasm", NULL), *one = load(h, "push_1.wasm", NULL), *none = load(h, "echo.wasm", NULL);
    const weir_result *r = NULL;
    CHECK_HAS(weir_plugin_fields(p), "\"Depth of the book\"");
    CHECK_HAS(weir_plugin_fields(one), "api_key");
    CHECK_TEXT(weir_plugin_fields(none), "[]");
    CHECK_HAS(asked(p, "getConfig", NULL, 0), "'api_key' (API key), 'depth' (Depth of the book), 'pass', 'side' are required");
    CHECK_UINT(err.code, WEIR_NOT_FOUND);
    CHECK_UINT(weir_plugin_configure(p, "{\"api_key\":\"k\",\"depth\":0}", &err), WEIR_INVALID);
    CHECK_HAS(asked(p, "getConfig", NULL, 0), "too small");
    CHECK_UINT(weir_plugin_configure(p, "{\"api_key\":\"k\",\"depth\":\"x\"", &err), WEIR_INVALID);
    CHECK_OK(weir_plugin_configure(p, "{\"api_key\":\"k\",\"depth\":\"5\",\"pass\":\"p\",\"side\":\"buy\"}", &err));
    CHECK_TEXT(asked(p, "getConfig", NULL, 0), "{\"api_key\":\"k\",\"apiKey\":\"k\",\"depth\":5,\"pass\":\"p\",\"side\":\"buy\",\"paper\":true}");
    CHECK_OK(weir_plugin_configure(p, "{\"apiKey\":\"l\",\"depth\":6,\"pass\":\"p\",\"side\":\"sell\",\"paper\":\"no\"}", &err));
    CHECK_TEXT(asked(p, "getConfig", NULL, 0), "{\"api_key\":\"l\",\"depth\":6,\"pass\":\"p\",\"side\":\"sell\",\"paper\":false,\"apiKey\":\"l\"}");
    CHECK_HAS(asked(one, "getMarkets", NULL, 0), "'api_key' is required; --config api_key=VALUE");
    CHECK_UINT(weir_plugin_call_wait(one, "list_markets", NULL, 0, &r, &err), WEIR_NOT_FOUND);
    CHECK_OK(weir_plugin_call_wait(one, "meta", NULL, 0, &r, &err));
    CHECK_OK(weir_plugin_configure(one, "{\"apiKey\":\"k\"}", &err));
    CHECK_TEXT(asked(one, "getMarkets", NULL, 0), "[]");
    CHECK_OK(weir_plugin_configure(none, NULL, &err));
    weir_host_free(h);
}

TEST(command, configuration_cannot_change_under_a_stream)
{
    weir_host *h = host_new("");
    weir_plugin *p = load(h, "push.wasm", NULL);
    weir_stream *s;
    CHECK_OK(weir_stream_open(&s, p, "raw", "x", NULL, &err));
    CHECK_UINT(weir_plugin_configure(p, "{\"a\":\"b\"}", &err), WEIR_BUSY);
    weir_stream_free(s);
    CHECK_OK(weir_plugin_configure(p, "{\"a\":\"b\"}", &err));
    weir_host_free(h);
}

/* ---- Without waiting ---- */

typedef struct asking {
    weir_plugin *plugin;
    int answers;
    char last[200];
    weir_code code;
    bool more, frees;
} asking;

static void on_answer(void *arg, const weir_result *r)
{
    asking *a = arg;
    a->answers++;
    a->code = r->code;
    snprintf(a->last, sizeof a->last, "%s", r->code ? r->error : r->output);
    if (a->frees)
        weir_plugin_free(a->plugin);
    if (a->more) { /* from a callback */
        a->more = false;
        CHECK_OK(weir_command(a->plugin, "getTime", NULL, 0, on_answer, a, &err));
    }
}

static void answered(weir_host *h, const asking *a, int count)
{
    for (int i = 0; a->answers < count && i < 2000; i++)
        weir_host_step(h, 10);
    CHECK_INT(a->answers, count);
}

TEST(command, several_go_on_at_once_and_more_begin_in_a_callback)
{
    weir_host *h = host_new("");
    asking one = {.plugin = load(h, "push_1.wasm", "{\"api_key\":\"k\"}")}, three = {.plugin = load(h, "push.wasm", NULL), .more = true};
    CHECK_OK(weir_command(one.plugin, "getMarkets", NULL, 0, on_answer, &one, &err));
    CHECK_OK(weir_command(three.plugin, "getMarkets", NULL, 0, on_answer, &three, &err));
    CHECK_INT(one.answers + three.answers, 0);
    answered(h, &one, 1);
    CHECK_TEXT(one.last, "[]");
    answered(h, &three, 2);
    CHECK_HAS(three.last, "\"asked\":1");
    CHECK_OK(weir_command(one.plugin, "getOHLCV", "{\"symbol\":\"no\"}", 0, on_answer, &one, &err));
    answered(h, &one, 2);
    CHECK_UINT(one.code, WEIR_FAILED);
    CHECK_HAS(one.last, "no such market");
    CHECK_UINT(weir_command(one.plugin, "getAccount", NULL, 0, on_answer, &one, &err), WEIR_UNSUPPORTED);
    CHECK_INT(one.answers, 2);
    weir_host_free(h);
}

TEST(command, plugin_may_be_freed_by_its_answer_or_before_it)
{
    weir_host *h = host_new("");
    asking a = {.plugin = load(h, "push.wasm", NULL), .frees = true}, b = {.plugin = load(h, "push.wasm", NULL)};
    CHECK_OK(weir_command(a.plugin, "getMarkets", NULL, 0, on_answer, &a, &err));
    CHECK_OK(weir_command(a.plugin, "getMarkets", NULL, 0, on_answer, &b, &err)); /* under way, too */
    CHECK_OK(weir_command(b.plugin, "getMarkets", NULL, 0, on_answer, &b, &err));
    weir_plugin_free(b.plugin);
    answered(h, &a, 1);
    for (int i = 0; i < 20; i++)
        weir_host_step(h, 5);
    CHECK_INT(a.answers, 1);
    CHECK_INT(b.answers <= 1, 1); /* the one that was under way may have been first */
    weir_host_free(h);
}

TEST(command, kept_answer_does_not_come_inside_the_call)
{
    char folder[] = "/tmp/weir-command-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    weir_host *h = host_new(folder);
    asking a = {.plugin = load(h, "push.wasm", NULL)};
    char first[200];
    snprintf(first, sizeof first, "%s", asked(a.plugin, "getTime", "{\"kept\":1}", 0));
    CHECK_OK(weir_command(a.plugin, "getTime", "{\"kept\":1}", 0, on_answer, &a, &err));
    CHECK_INT(a.answers, 0);
    answered(h, &a, 1);
    CHECK_TEXT(a.last, first);
    weir_host_free(h);
}

/* ---- Other kinds of plugins ---- */

static unsigned events_read;
static char last_topic[200], last_data[400];
static uint64_t last_time;

static void on_event(void *arg, const weir_record *r)
{
    (void)arg;
    if (r->kind != WEIR_RECORD_DATA)
        return;
    events_read++;
    last_time = r->ts_event;
    snprintf(last_topic, sizeof last_topic, "%s", r->topic);
    snprintf(last_data, sizeof last_data, "%.*s", (int)r->data_len, r->data);
}

TEST(command, of_a_planner_answers_its_events_and_each_is_a_record)
{
    weir_host *h = host_new("");
    weir_plugin *p = load(h, "planner_1.wasm", NULL);
    weir_sub *s;
    CHECK_OK(weir_subscribe(&s, h, "event.>", on_event, NULL, &err));
    CHECK_TEXT(asked(p, "import_events", "{\"from\":\"twice\",\"to\":\"x\"}", 0),
               "[{\"ts_event\":\"1704088800000000000\",\"title\":\"First\",\"startDate\":\"2024-01-01T08:00:00+02:00\",\"endDate\":\"0001-01-01T00:00:00Z\",\"notes\":\"\",\"timezone\":\"UTC\",\"tags\":[]},"
               "{\"ts_event\":\"1704844800000000000\",\"title\":\"Day\",\"startDate\":\"2024-01-10T00:00:00Z\",\"endDate\":\"0001-01-01T00:00:00Z\",\"notes\":\"\",\"timezone\":\"\",\"tags\":[]},"
               "{\"ts_event\":\"1704979800000000000\",\"ts_end\":\"1704981600000000000\",\"title\":\"CPI\",\"startDate\":\"2024-01-11T13:30:00Z\",\"endDate\":\"2024-01-11T14:00:00Z\",\"notes\":\"n\",\"timezone\":\"America/New_York\",\"tags\":[\"us\"]}]");
    while (events_read < 3)
        weir_host_step(h, 1000);
    CHECK_TEXT(last_topic, "event.planner-1.calendar");
    CHECK_HAS(last_data, "\"title\":\"Day\"");
    CHECK_UINT(last_time, UINT64_C(1704844800000000000));
    CHECK_TEXT(asked(p, "import_events", "{\"from\":\"none\"}", 0), "[]");
    CHECK_HAS(asked(p, "import_events", "{\"from\":\"x\"}", 0), "\"Day\""); /* and not those of before */
    CHECK(strstr(asked(p, "import_events", "{\"from\":\"x\"}", 0), "First") == NULL);
    while (events_read < 7)
        weir_host_step(h, 1000);
    CHECK_HAS(asked(p, "import_events", "{\"from\":\"bad\"}", 0), "calendar_import: event 2: \\\"startDate\\\" is \\\"tomorrow\\\"; RFC 3339 is needed");
    CHECK_HAS(asked(p, "import_events", "{\"from\":\"silent\"}", 0), "import_events failed (code 1)");
    CHECK_HAS(asked(p, "getMarkets", NULL, 0), "a planner plugin knows import_events");
    for (int i = 0; i < 10; i++)
        weir_host_step(h, 0);
    CHECK_UINT(events_read, 7); /* of a list that makes no sense, none */
    weir_host_free(h);
}

TEST(command, of_other_kinds_of_plugins_passes_their_data_on)
{
    weir_host *h = host_new("");
    weir_plugin *p = load(h, "kinds.wasm", NULL);
    CHECK_TEXT(asked(p, "import_events", "{\"from\":\"here\"}", 0),
               "[{\"ts_event\":\"1704844800000000000\",\"title\":\"From here\",\"startDate\":\"2024-01-10T00:00:00Z\",\"endDate\":\"0001-01-01T00:00:00Z\",\"tags\":[]},"
               "{\"ts_event\":\"1704979800000000000\",\"ts_end\":\"1704981600000000000\",\"title\":\"Later\",\"startDate\":\"2024-01-11T13:30:00Z\",\"endDate\":\"2024-01-11T14:00:00Z\",\"tags\":[\"us\"]}]");
    CHECK_TEXT(asked(p, "process", "{\"inputs\":{\"in\":[1,null]}}", 0), "{\"out\":[1,null]}");
    CHECK_HAS(asked(p, "get_node_meta", NULL, 0), "\"OHLCVRecord\"");
    CHECK_TEXT(asked(p, "getKept", NULL, 0), "{\"success\":false,\"result\":false,\"error\":\"host function kv_get is not available\"}");
    weir_host_free(h);
}

/* ---- Exports that are commands, and folders ---- */

static weir_code load_tax(weir_plugin **p, weir_host *h, const char *folder, const char *guest)
{
    char path[4096], granted[4200];
    const char *folders[] = {granted, NULL}, *guests = getenv("WEIR_GUESTS");
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    snprintf(path, sizeof path, "%s/%s", guests ? guests : "build/guests", guest);
    snprintf(granted, sizeof granted, "%s", folder);
    o.folders = folders;
    err = (weir_error)WEIR_ERROR_INIT;
    return weir_plugin_load(p, h, path, &o, &err);
}

/* What contract 11.4 says of tax plugins: commands of their own, of which one answers a file, and a folder. */
TEST(command, of_a_tax_plugin_answers_a_file_made_in_its_folder)
{
    char folder[] = "/tmp/weir-tax-XXXXXX", given[100], name[100];
    static const char sheet[] = "PK\3\4\0\xFFsheet";
    const weir_result *r;
    weir_host *h = host_new("");
    weir_plugin *p;
    buf copy;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(name, sizeof name, "%s/t.xlsx", folder);
    CHECK_OK(file_replace(name, BYTES("sheet"), &err));
    snprintf(given, sizeof given, "%s:/templates", folder);
    CHECK_OK(load_tax(&p, h, given, "tax.wasm"));
    CHECK_TEXT(asked(p, "get_report_metadata", NULL, 0), "{\"reports\":[\"german\"]}");
    CHECK_TEXT(asked(p, "generate_report", "{\"taxYear\":2025,\"run_id\":\"r\"}", 0), "{\"year\":2025}");
    CHECK_TEXT(asked(p, "startImport", NULL, 0), "{\"imported\":0}");
    CHECK_OK(weir_command_wait(p, "export_entries_excel", "{\"template\":\"t.xlsx\",\"save\":\"copy\"}", 0, &r, &err));
    CHECK_UINT(r->output_len, sizeof sheet - 1);
    CHECK(!memcmp(r->output, sheet, sizeof sheet - 1));
    buf_init(&copy, 1 << 10);
    snprintf(name, sizeof name, "%s/copy", folder);
    CHECK_OK(file_read(&copy, name, &err));
    CHECK(bytes_equal(buf_bytes(&copy), bytes_make(sheet, sizeof sheet - 1)));
    buf_fini(&copy);
    CHECK_HAS(asked(p, "export_entries_excel", "{\"template\":\"none\"}", 0), "the template cannot be opened");
    CHECK_UINT(err.code, WEIR_FAILED);
    CHECK_HAS(asked(p, "export_entries_excel", "{\"template\":\"../etc/passwd\"}", 0), "the template cannot be opened");
    snprintf(given, sizeof given, "ro:%s:/templates", folder);
    CHECK_OK(load_tax(&p, h, given, "tax.wasm"));
    CHECK_HAS(asked(p, "export_entries_excel", "{\"template\":\"t.xlsx\",\"save\":\"more\"}", 0), "the copy cannot be written");
    p = load(h, "tax.wasm", NULL); /* without a folder it runs as far as it can */
    CHECK_HAS(asked(p, "export_entries_excel", "{\"template\":\"t.xlsx\"}", 0), "the template cannot be opened");
    CHECK_HAS(asked(p, "generate_report", "{\"taxYear\":1}", 0), "{\"year\":1}");
    weir_host_free(h);
}

TEST(command, folders_go_no_further_than_a_plugin_asks)
{
    weir_host *h = host_new("");
    weir_plugin *p;
    CHECK_UINT(load_tax(&p, h, "/tmp:/elsewhere", "tax.wasm"), WEIR_REFUSED);
    CHECK_HAS(err.text, "plugin 'tax.wasm': it asks for no folder '/elsewhere'; it asks for '/templates'");
    CHECK_UINT(load_tax(&p, h, "/tmp:/x", "kinds.wasm"), WEIR_REFUSED);
    CHECK_HAS(err.text, "it asks for none");
    CHECK_UINT(load_tax(&p, h, "/no/such:/templates", "tax.wasm"), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "folder '/no/such': No such file");
    CHECK_UINT(load_tax(&p, h, "/etc/passwd:/templates", "tax.wasm"), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "it is no folder");
    static const char *const wrong[] = {"/tmp", "/tmp:", ":/templates", "/tmp:templates", "ro:/templates"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_UINT(load_tax(&p, h, wrong[i], "tax.wasm"), WEIR_INVALID);
        CHECK_HAS(err.text, "expected HOST:GUEST");
    }
    CHECK_OK(load_tax(&p, h, "/tmp:/x", "wasi.wasm")); /* it has no meta: what the user names */
    FAULT_SWEEP(alloc) {
        p = NULL;
        if (load_tax(&p, h, "ro:/tmp:/templates", "tax.wasm"))
            CHECK(err.code != WEIR_OK && *err.text);
        weir_plugin_free(p);
    }
    weir_host_free(h);
}
