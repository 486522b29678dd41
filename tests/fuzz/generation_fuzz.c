/* What push plugins answer: lines of the input are answers, read as a marker, a verdict and a command's
 * answer of generations 1 and 3, then brought into normal form. Whatever is accepted is whole. */
#include <stdlib.h>

#include "plugin/generation.h"
#include "plugin/normal.h"

extern const generation generation_1, generation_3; /* each by itself, whatever its exports */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds)
        abort();
}

static void as_marker(const generation *g, const call_result *r)
{
    weir_error err = WEIR_ERROR_INIT;
    marker m;
    buf in;
    json doc;
    marker_init(&m);
    buf_init(&in, SIZE_MAX);
    if (g->read_marker(&m, r, &err)) {
        need(*err.text);
    } else {
        need(m.url.len && m.url.at[m.url.len] == '\0');
        need(m.lifetime_ms == 0 || (m.lifetime_ms >= 1000 && m.lifetime_ms <= 366 * UINT64_C(86400000)));
        stream_frame f = {BYTES("c"), r->output, !bytes_utf8(r->output)};
        g->ask_frame(&in, &m, &f);
        need(json_read(&doc, buf_bytes(&in), NULL) == WEIR_OK);
    }
    buf_fini(&in);
    marker_fini(&m);
}

static void as_verdict(const generation *g, const call_result *r)
{
    weir_error err = WEIR_ERROR_INIT;
    marker m = {.base64 = true};
    verdict v;
    json doc;
    if (g->read_verdict(&v, &m, r, &err))
        need(*err.text);
    else
        need(v.action != VERDICT_DATA || json_read(&doc, v.data, NULL) == WEIR_OK);
}

static void as_answer(const generation *g, const call_result *r)
{
    static const char *const commands[] = {"getOHLCV", "getMarkets", "getTimeframes", "import_events", "getAccount"};
    weir_error err = WEIR_ERROR_INIT;
    answer a;
    json doc;
    if (g->read_command(&a, r, &err)) {
        need(*err.text);
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        buf out;
        normal_notes notes;
        buf_init(&out, SIZE_MAX);
        if (normal_write(&out, bytes_of(commands[i]), a.data, &notes, &err))
            need(*err.text);
        else
            need(json_read(&doc, buf_bytes(&out), NULL) == WEIR_OK);
        buf_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const generation *const readers[] = {&generation_1, &generation_3};
    const char *at = (const char *)data, *end = at + size;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((line ? line : end) - at);
        for (size_t i = 0; i < 2; i++)
            for (int rc = 0; rc <= 1; rc++) {
                call_result r = {.code = rc ? WEIR_FAILED : WEIR_OK, .rc = rc, .output = bytes_make(at, len)};
                as_marker(readers[i], &r);
                as_verdict(readers[i], &r);
                as_answer(readers[i], &r);
            }
        at += len + 1;
    }
    return 0;
}
