/* Publications: lines of the input are requests of one task, so that remembered keys are met, too. What
 * is accepted points to JSON. Each line is read as a callback's reply besides, recognised by its octets or not: the same
 * comes out. */
#include <stdlib.h>

#include "base/json.h"
#include "plugin/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds)
        abort();
}

static void as_reply(const char *line, size_t len)
{
    verdict v, slow;
    json doc;
    buf other;
    buf_init(&other, SIZE_MAX);
    buf_add_char(&other, ' '); /* so it is read as any other */
    buf_add(&other, line, len);
    weir_code code = verdict_read_reply(&v, bytes_make(line, len), NULL);
    need(verdict_read_reply(&slow, buf_bytes(&other), NULL) == code && !slow.one.len);
    need(code || (v.action == slow.action && bytes_equal(v.type, slow.type) && bytes_equal(v.data, slow.data) && v.ts_event == slow.ts_event && v.send.type == slow.send.type));
    if (!code && v.one.len)
        need(json_read(&doc, v.one, NULL) == WEIR_OK && bytes_equal(json_member(doc, "ts_event").raw, v.one_event.raw));
    buf_fini(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    task t = {0};
    const char *at = (const char *)data, *end = at + size;
    buf_init(&t.key, 1 << 16);
    while (at < end) {
        weir_error err = WEIR_ERROR_INIT;
        world_publication what;
        json value;
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((line ? line : end) - at);
        if (verdict_read(&t, bytes_make(at, len), &what, &err) ? !*err.text : json_read(&value, what.data, NULL) != WEIR_OK || !bytes_utf8(what.identifier))
            abort();
        as_reply(at, len);
        at += len + 1;
    }
    buf_fini(&t.key);
    return 0;
}
