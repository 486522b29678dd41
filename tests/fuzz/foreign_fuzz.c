/* A line from another node: a record of this stream that reads like the line, or refused. */
#include "base/json.h"
#include "hub/hub.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox"), BYTES("SPOT_BTC_USDT"), BYTES("{}"), true, 1}, named;
    bytes line = bytes_make(data, size);
    hub *h = NULL;
    record_stream *s = NULL;
    record *r = NULL;
    json doc;

    assert(!hub_new(&h, &err) && !hub_stream(&s, h, &key, &err));
    if (!record_foreign_new(&r, s, line, &err)) {
        assert(!json_read(&doc, r->line, NULL) && doc.type == JSON_OBJECT);
        assert(bytes_equal(r->line, line) && r->line.at[r->line.len] == '\n' && !memchr(r->line.at, '\n', r->line.len));
        assert(r->kind != RECORD_DATA || (r->data.len && r->seq && r->data.at > r->line.at && r->data.at + r->data.len <= r->line.at + r->line.len));
        record_unref(r);
    } else {
        assert(err.code && *err.text);
    }
    if (!record_foreign_key(&named, line, NULL)) {
        record_stream *other = NULL;
        if (!hub_stream(&other, h, &named, NULL))
            record_stream_unref(other);
    }
    record_stream_unref(s);
    hub_free(h);
    return 0;
}
