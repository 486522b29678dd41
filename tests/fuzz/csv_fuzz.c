/* Data of a guest as a row: one line each, with as many cells as the header, no control character. */
#include "base/json.h"
#include "hub/hub.h"
#include "sink/sink.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cells of the line at *at, which moves behind it. */
static size_t cells(const char **at, const char *end)
{
    size_t count = 1;
    bool quoted = false;
    for (; *at < end && **at != '\n'; (*at)++) {
        assert((unsigned char)**at >= 0x20 && **at != 0x7F);
        quoted ^= **at == '"';
        count += !quoted && **at == ',';
    }
    assert(*at < end && !quoted);
    (*at)++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"trades", "orderbook", "own"};
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    hub *h;
    sub *reader;
    record_stream *s;
    sink *k;
    static char text[1 << 20];
    sink_options o = SINK_OPTIONS_INIT;

    if (size > 10000 || json_read(&doc, bytes_make(data, size), &err))
        return 0;
    o.fd = memfd_create("rows", 0);
    record_key key = {bytes_of(types[size % 3]), BYTES("x"), BYTES("y"), {NULL, 0}, false, 0};
    if (hub_new(&h, &err) || hub_stream(&s, h, &key, &err) || hub_subscribe(&reader, h, ">", NULL, &err) || sink_open(&k, "csv", &o, &err))
        assert(!"the fuzzer cannot begin");
    for (int i = 0; i < 2; i++)
        hub_publish(h, record_new(s, size & 1, 0, doc.raw));
    sink_progress p = sink_drain(k, reader, 10);
    assert(p == SINK_DONE && sink_read_account(k).written == 2);
    ssize_t n = pread(o.fd, text, sizeof text, 0);
    const char *at = text, *end = text + n;
    size_t header = cells(&at, end);
    for (int i = 0; i < 2; i++) {
        size_t row = cells(&at, end);
        assert(row == header);
    }
    assert(at == end);
    sink_close(k);
    record_stream_unref(s);
    hub_free(h);
    close(o.fd);
    return 0;
}
