/* What a plugin declares as its rate limits. Whatever is accepted can be counted with. */
#include <stdlib.h>

#include "plugin/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    limits l;
    buf text;
    if (limits_read(&l, bytes_make(data, size), &err)) {
        need(*err.text && !l.list);
        return 0;
    }
    need(!l.refused == !*l.why);
    buf_init(&text, SIZE_MAX);
    for (size_t i = 0; i < l.count; i++) {
        const limit *one = &l.list[i];
        size_t at = 0;
        need(one->rps > 0 && one->cost > 0 && one->burst >= one->cost && one->command.len);
        need(one->scope_count >= 1 && one->scope_count <= LIMIT_SCOPES);
        need(limits_next(&l, one->command, &at) != NULL);
        limit_text(&text, one, one->command);
    }
    need(!text.failed);
    buf_fini(&text);
    limits_fini(&l);
    return 0;
}
