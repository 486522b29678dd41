/* TOML to JSON. The reader is Rust's; its report is several lines (position, the line itself, a
 * marker, the cause), of which ours keeps the first and the last. */
#include "engine/toml.h"

#include "engine/weir_rust.h"

/* "TOML parse error at line 3, column 5\n  |\n3 | a = \n  |     ^\ninvalid string" */
static weir_code set_error(weir_error *err, bytes report)
{
    size_t first = 0, last = report.len;
    while (first < report.len && report.at[first] != '\n')
        first++;
    while (last > 0 && report.at[last - 1] != '\n')
        last--;
    bytes where = bytes_make(report.at, first);
    if (bytes_starts(where, BYTES("TOML parse error at ")))
        where = bytes_make(where.at + 20, where.len - 20);
    if (first == report.len)
        return error_set(err, WEIR_INVALID, "not valid TOML: " BYTES_FMT, BYTES_ARG(report));
    return error_set(err, WEIR_INVALID, "not valid TOML: " BYTES_FMT ": " BYTES_FMT, BYTES_ARG(where),
                     BYTES_ARG(bytes_make(report.at + last, report.len - last)));
}

weir_code toml_to_json(buf *out, bytes toml, weir_error *err)
{
    size_t json_len = 0, error_len = 0;
    uint8_t *error = NULL;
    uint8_t *json = weir_toml_to_json((const uint8_t *)toml.at, toml.len, &json_len, &error, &error_len);
    if (!json) {
        set_error(err, bytes_make(error, error_len));
        weir_rust_free(error, error_len);
        return WEIR_INVALID;
    }
    bool fits = json_len <= out->max - out->len;
    buf_add(out, json, json_len);
    weir_rust_free(json, json_len);
    if (!out->failed)
        return WEIR_OK;
    return fits ? error_set(err, WEIR_NOMEM, "TOML document: out of memory")
                : error_set(err, WEIR_LIMIT, "TOML document: %zu octets as JSON, the limit is %zu", json_len, out->max);
}
