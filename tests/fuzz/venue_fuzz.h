/* Any frame to a venue's plugin, natively. The first octet says of which stream. Whatever it is, the answer is one JSON
 * document that says how it went, its records are whole and have a symbol, and a failure has a reason. Given raw it is answered
 * alike.
 * Included behind the plugin's own source, by a fuzzer for each. */
#include "fake_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The value has nothing broken in it. */
static void check(weir_str value, int depth)
{
    weir_json_iter it = weir_json_each(value);
    if (!it.close || depth > 20)
        return;
    while (weir_json_next(&it))
        check(it.value, depth + 1);
    assert(!it.bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fitting[] = {FUZZ_SYMBOL, "OTHER"};
    char *in = malloc(2 * size + 512);
    weir_buf b = weir_buf_over(in, 2 * size + 511);
    const weir_push_type *asked = types;
    if (!size || size > 100000) {
        free(in);
        return 0;
    }
    for (int n = *data & 7; n > 0 && asked[1].name; n--)
        asked++;
    weir_put_text(&b, "{\"message\":\"");
    weir_put_base64(&b, weir_slice((const char *)data + 1, size - 1));
    weir_put_form(&b, "\",\"streamContext\":{\"type\":\"%\",\"symbol\":\"%\",\"timeframe\":\"1m\"}}", weir_text(asked->name), weir_text(fitting[*data >> 7]), weir_none);
    in[b.len] = 0;
    fake_reset();
    int32_t rc = fake_call(weir_export_handle_stream_message, in);
    weir_str out = weir_text(fake.output), records = weir_json_member(out, "data");
    assert(out.len && (rc == 0) == weir_json_true(weir_json_member(out, "success")));
    assert(rc == 0 || weir_json_raw(weir_json_member(out, "error")).len);
    if (size < 2000) /* what fake_host keeps whole */
        check(out, 0);
    for (weir_json_iter it = weir_json_each(records); records.len && weir_json_next(&it);)
        assert(weir_json_raw(weir_json_member(it.value, "symbol")).len);
    if (size < 2000 && !memchr(data, 0, size)) { /* which fake_call would end at */
        char *first = strdup(fake.output);
        weir_buf_clear(&b);
        weir_put_form(&b, "=%_%_1m\n", weir_text(asked->name), weir_text(fitting[*data >> 7]), weir_none);
        weir_put(&b, (const char *)data + 1, size - 1);
        in[b.len] = 0;
        fake_reset();
        assert(fake_call(weir_export_handle_stream_message, in) == rc || size == 1); /* base64 of nothing is none */
        assert(strcmp(first, fake.output) == 0 || size == 1);
        free(first);
    }
    free(in);
    return 0;
}
