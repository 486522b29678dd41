/* Any octets to the kit's reader: as document walked to the bottom, as string, as decimal, as base64, as
 * time, as frame. What it accepts as string or decimal must be what a writer may put into JSON again, and where a
 * string is decoded to makes no difference. */
#include "fake_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(weir_str value, int depth)
{
    weir_json_iter it = weir_json_each(value);
    uint64_t n;
    while (depth < 64 && weir_json_next(&it)) {
        weir_buf text = {0};
        assert(it.value.len > 0 && it.value.at >= value.at && it.value.at + it.value.len <= value.at + value.len);
        weir_json_u64(it.value, &n);
        if (weir_json_string(it.value, &text))
            assert(text.len + 2 <= it.value.len);
        free(text.at);
        weir_json_decimal(it.value);
        weir_json_raw(it.value);
        walk(it.value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* exactly as long, so that a read past the end shows */
    weir_str text = weir_slice(copy, size);
    weir_ws ws = {0};
    weir_str frame;
    weir_fail fail;
    const char *stop, *there;
    char *end, *apart = malloc(size ? size : 1);
    int64_t ms;
    memcpy(copy, data, size);
    walk(text, 0);
    weir_json_decimal(text);
    weir_time_parse(text, &ms);
    weir_buf_room(&ws.in, size + 1);
    memcpy(ws.in.at, copy, size);
    ws.in.len = size;
    weir_ws_reply(&ws, &frame, &fail);
    free(ws.in.at);
    weir_base64_decode(text, copy);
    memcpy(copy, data, size);
    weir_frame f = {{NULL, 0}, {NULL, 0}};
    if (weir_frame_json(&f, text)) /* decoded over what it was */
        assert(f.text.at >= copy && f.text.at + f.text.len <= copy + size);
    memcpy(copy, data, size);
    end = weir_json_unquote(copy, copy + size, apart, &there);
    if (end) { /* what is decoded in place is the same */
        size_t len = (size_t)(end - apart);
        assert(weir_json_unquote(copy, copy + size, copy, &stop) == copy + len && stop == there);
        assert(memcmp(copy, apart, len) == 0);
    } else {
        assert(!weir_json_unquote(copy, copy + size, copy, &stop));
    }
    free(apart);
    free(copy);
    return 0;
}
