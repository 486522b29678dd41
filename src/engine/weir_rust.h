/* What third_party/rust adds to Wasmtime's own C API. */
#ifndef ENGINE_WEIR_RUST_H
#define ENGINE_WEIR_RUST_H

#include <stddef.h>
#include <stdint.h>
#include <wasm.h>

/* Consumes `config`. NULL: the engine cannot be made, and *error holds the reason, to be given to
 * weir_rust_free. (wasm_engine_new_with_config would end the process instead.) */
wasm_engine_t *weir_engine_new(wasm_config_t *config, uint8_t **error, size_t *error_len);

/* TOML text as JSON text, NUL-terminated; NULL: *error holds the parser's words. Both blocks go back
 * through weir_rust_free. */
uint8_t *weir_toml_to_json(const uint8_t *text, size_t text_len, size_t *json_len, uint8_t **error, size_t *error_len);

void weir_rust_free(uint8_t *block, size_t len); /* NULL is fine */

#endif
