/* Any data of any type of stream, any names: the table stays within its screen, and nothing of it steers the
 * terminal. The first octet chooses the type, the second the screen; the rest up to a newline is the
 * symbol, each further line one record's data. */
#include "sink/table.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void show(table *t, unsigned columns, unsigned rows)
{
    const sink_figures figures = {.received = 1};
    unsigned lines = 0;
    buf screen;

    buf_init(&screen, 1 << 20);
    table_render(t, &screen, &figures, columns, rows, UINT64_C(1700000000000000000), 1);
    for (size_t i = 0; i < screen.len; i++) {
        lines += screen.at[i] == '\n';
        if ((unsigned char)screen.at[i] < 0x20 && screen.at[i] != '\n')
            abort();
    }
    if (lines > rows)
        abort();
    buf_fini(&screen);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static const char *const types[] = {"ohlcv", "trades", "ticker", "bbo", "orderbook", "news"};
    const char *next, *end;
    weir_error err = WEIR_ERROR_INIT;
    record_stream *stream;
    hub *h;
    table t;

    if (len < 2 || hub_new(&h, &err) || table_init(&t, &err))
        return 0;
    next = (const char *)at + 2;
    end = (const char *)at + len;
    const char *newline = memchr(next, '\n', (size_t)(end - next));
    bytes symbol = bytes_make(next, (size_t)((newline ? newline : end) - next));
    record_key key = {bytes_of(types[at[0] % 6]), BYTES("fuzz"), symbol, BYTES("{\"timeframe\":\"1m\"}"), false, 0};
    if (!hub_stream(&stream, h, &key, &err)) {
        while (newline) {
            next = newline + 1;
            newline = memchr(next, '\n', (size_t)(end - next));
            record *r = record_new(stream, 0, 0, bytes_make(next, (size_t)((newline ? newline : end) - next)));
            table_take(&t, r);
            record_unref(r);
            show(&t, at[1], at[1] / 8u);
        }
        record_stream_unref(stream);
    }
    table_fini(&t);
    hub_free(h);
    return 0;
}
