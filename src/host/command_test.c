/* weir_command_wait over the public API, with guests from tests/plugins. */
#include <weir/weir.h>

#include <stdlib.h>

#include "base/bytes.h"
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
    weir_plugin *one = load(h, "push_1.wasm", NULL), *three = load(h, "push.wasm", NULL);
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
    weir_plugin *one = load(h, "push_1.wasm", NULL), *three = load(h, "push.wasm", NULL), *none = load(h, "echo.wasm", NULL);
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
