/* Publications: lines of the input are requests of one task, so that remembered keys are met, too. What
 * is accepted points to JSON. */
#include <stdlib.h>

#include "base/json.h"
#include "plugin/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        at += len + 1;
    }
    buf_fini(&t.key);
    return 0;
}
