/* TOML, read by way of JSON: manifests and settings may be written in either. */
#ifndef ENGINE_TOML_H
#define ENGINE_TOML_H

#include "base/buf.h"

/* Appends the document as JSON to `out`. WEIR_INVALID: the text says line, column and what is wrong
 * there. WEIR_NOMEM, WEIR_LIMIT: `out` could not take it. */
weir_code toml_to_json(buf *out, bytes toml, weir_error *err);

#endif
