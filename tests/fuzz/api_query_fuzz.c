/* Paths and queries of requests: whatever comes, what is taken is UTF-8 without control characters, and the object is JSON. */
#include "api/query.h"

#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes input = {(const char *)data, size}, pieces[2] = {{0}};
    weir_error err = WEIR_ERROR_INIT;
    buf out;
    json doc;
    buf_init(&out, QUERY_TEXT_MAX);
    if (query_path("/v1/connections/{id}/commands/{name}", input, pieces) && (!pieces[0].len || !pieces[1].len))
        abort();
    if (!query_decode(&out, input, size & 1, "id", &err) && !bytes_utf8(bytes_make(out.at, out.len)))
        abort();
    if (!query_json(&out, input, "a force pattern from", &err) && json_read(&doc, bytes_make(out.at, out.len), &err))
        abort();
    if (size && query_path((const char *)"/{a}/{b}", input, pieces) && memchr(pieces[0].at, '/', pieces[0].len))
        abort();
    buf_fini(&out);
    return 0;
}
