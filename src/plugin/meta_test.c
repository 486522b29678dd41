#include "plugin/meta.h"

#include "tests/lib/test.h"

static const char full[] =
    "{\"pluginId\":\"woox\",\"name\":\"WooX\",\"appId\":\"datasrc\",\"version\":\"v1.0.0\",\"category\":\"cex\",\"tags\":null,"
    "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://wss.woox.io/*\"},{\"pattern\":\"https://api.woox.io/*\"}],\"fsWriteAccess\":{\"templates\":\"/templates\"},\"stdoutAccess\":true},"
    "\"features\":[\"ohlcv_stream\",\"historic_ohlcv\"],\"later\":1}";

TEST(meta, reads_what_a_plugin_says)
{
    weir_error err = WEIR_ERROR_INIT;
    meta *m;
    CHECK_OK(meta_read(&m, bytes_of(full), &err));
    CHECK_TEXT(m->plugin_id, "woox");
    CHECK_TEXT(m->version, "v1.0.0");
    CHECK_UINT(m->target_count, 2);
    CHECK_TEXT(m->targets[1], "https://api.woox.io/*");
    CHECK_TEXT(m->features[0], "historic_ohlcv"); /* sorted */
    CHECK_UINT(m->folder_count, 1);
    CHECK_TEXT(m->folders[0].host, "templates");
    CHECK_TEXT(m->folders[0].guest, "/templates");
    CHECK_TEXT(m->json, full);
    meta_free(m);
}

TEST(meta, defaults_what_is_optional)
{
    weir_error err = WEIR_ERROR_INIT;
    meta *m;
    CHECK_OK(meta_read(&m, BYTES("{\"pluginId\":\"p\",\"version\":\"1.0.0\",\"resources\":{\"allowedNetworkTargets\":null},\"features\":null}"), &err));
    CHECK_TEXT(m->name, "");
    CHECK_UINT(m->target_count, 0);
    meta_free(m);
}

TEST(meta, says_what_is_wrong)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "meta"},
        {"{\"version\":\"1\"}", "\"pluginId\" is missing"},
        {"{\"pluginId\":7,\"version\":\"1\"}", "\"pluginId\" is 7"},
        {"{\"pluginId\":\"a\"}", "\"version\" is missing"},
        {"{\"pluginId\":\"a\",\"version\":\"1\",\"features\":{}}", "\"features\" is no list"},
        {"{\"pluginId\":\"a\",\"version\":\"1\",\"resources\":{\"allowedNetworkTargets\":[1]}}", "entry 1"},
        {"{\"pluginId\":\"a\",\"version\":\"1\",\"resources\":{\"fsWriteAccess\":[]}}", "\"fsWriteAccess\" is []; it is an object"},
        {"{\"pluginId\":\"a\",\"version\":\"1\",\"resources\":{\"fsWriteAccess\":{\"a\":\"/a\",\"b\":1}}}", "\"fsWriteAccess\" entry 2"},
        {"{\"pluginId\":\"a\",\"version\":\"1\",\"resources\":{\"fsWriteAccess\":{\"a\":\"\"}}}", "\"fsWriteAccess\" entry 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_error err = WEIR_ERROR_INIT;
        meta *m = NULL;
        CHECK_UINT(meta_read(&m, bytes_of(bad[i].text), &err), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i].says);
    }
}

TEST(meta, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        meta *m = NULL;
        meta_read(&m, bytes_of(full), &err);
        meta_free(m);
    }
}

TEST(meta, without_lists_is_fine)
{
    weir_error err = WEIR_ERROR_INIT;
    meta *m = NULL;
    CHECK_OK(meta_read(&m, BYTES("{\"pluginId\":\"x\",\"version\":\"1\",\"features\":null}"), &err));
    CHECK_UINT(m->feature_count, 0);
    CHECK_UINT(m->target_count, 0);
    meta_free(m);
}

TEST(meta, a_feature_may_stand_for_a_type_of_stream)
{
    static const char *const cases[][2] = {{"ohlcv_stream", "ohlcv"}, {"tradesStream", "trades"}, {"open_interest_stream", "open_interest"}, {"historic_ohlcv", ""}, {"getOHLCV", ""}, {"_stream", ""}, {"Stream", ""}, {"streams", ""}, {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_BYTES(meta_stream_type(cases[i][0]), bytes_of(cases[i][1]));
}
