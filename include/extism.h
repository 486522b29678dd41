/* extism.h: the C interface of Extism, as Weir's libextism.so has it.
 *
 * Names, types, values and meanings are those of Extism's own library, so a program that was written for it builds
 * against this header and runs with either library. What differs is in docs/extism.md. Functions that only Weir has
 * begin with extism_weir_; they are there if EXTISM_WEIR is defined.
 *
 *     char *why = NULL;
 *     ExtismPlugin *p = extism_plugin_new(wasm, size, NULL, 0, true, &why);
 *     if (!p)
 *         errx(1, "%s", why);
 *     if (extism_plugin_call(p, "count", text, length) != 0)
 *         errx(1, "%s", extism_plugin_error(p));
 *     fwrite(extism_plugin_output_data(p), 1, extism_plugin_output_length(p), stdout);
 *     extism_plugin_free(p);
 *
 * Any thread may use a plugin. Calls of one plugin come one after the other; the next one waits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EXTISM_WEIR 1
#define EXTISM_SUCCESS 0

/* Declares a host function N. */
#define EXTISM_FUNCTION(N) \
    extern void N(ExtismCurrentPlugin *, const ExtismVal *, ExtismSize, ExtismVal *, ExtismSize, void *)
/* The same with the types that cgo wants. */
#define EXTISM_GO_FUNCTION(N) extern void N(void *, ExtismVal *, ExtismSize, ExtismVal *, ExtismSize, uintptr_t)

typedef uint64_t ExtismSize;
typedef uint64_t ExtismMemoryHandle; /* offset of a block in a plugin's exchange memory; 0 is none */

typedef struct ExtismPlugin ExtismPlugin;
typedef struct ExtismCompiledPlugin ExtismCompiledPlugin;
typedef struct ExtismCurrentPlugin ExtismCurrentPlugin; /* the plugin that calls a host function, while it does */
typedef struct ExtismFunction ExtismFunction;
typedef struct ExtismCancelHandle ExtismCancelHandle;

typedef enum {
    ExtismValType_I32,
    ExtismValType_I64,
    ExtismValType_F32,
    ExtismValType_F64,
    ExtismValType_V128,
    ExtismValType_FuncRef,
    ExtismValType_ExternRef,
} ExtismValType;

#define EXTISM_PTR ExtismValType_I64 /* how a handle is passed */

typedef union {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
} ExtismValUnion;

typedef struct {
    ExtismValType t;
    ExtismValUnion v;
} ExtismVal;

/* A host function. `inputs` is NULL if there are none, `outputs` likewise; the outputs' types are set before. */
typedef void (*ExtismFunctionType)(ExtismCurrentPlugin *plugin, const ExtismVal *inputs, ExtismSize n_inputs,
                                   ExtismVal *outputs, ExtismSize n_outputs, void *data);

/* One line of the log; `size` does not count the NUL at its end. */
typedef void (*ExtismLogDrainFunctionType)(const char *data, ExtismSize size);

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Host functions ---- */

/* `free_user_data` (may be NULL) gets `user_data` when nobody needs the function any more. NULL: the name is no UTF-8. */
ExtismFunction *extism_function_new(const char *name, const ExtismValType *inputs, ExtismSize n_inputs,
                                    const ExtismValType *outputs, ExtismSize n_outputs, ExtismFunctionType func,
                                    void *user_data, void (*free_user_data)(void *_));
void extism_function_set_namespace(ExtismFunction *ptr, const char *namespace_); /* "extism:host/user" unless set */
void extism_function_free(ExtismFunction *f);                                    /* fine before and after it was given to a plugin */

/* ---- Plugins ---- */

/* `wasm` is a module, its text, or a manifest in JSON or TOML. NULL: *errmsg says why (extism_plugin_new_error_free
 * takes it back); otherwise *errmsg is left alone. A function belongs to one plugin, or to one compiled one. */
ExtismPlugin *extism_plugin_new(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                ExtismSize n_functions, bool with_wasi, char **errmsg);
/* Each call may use `fuel_limit` units, about one an instruction. */
ExtismPlugin *extism_plugin_new_with_fuel_limit(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                                ExtismSize n_functions, bool with_wasi, uint64_t fuel_limit, char **errmsg);
void extism_plugin_new_error_free(char *err);

/* Code that many plugins share. */
ExtismCompiledPlugin *extism_compiled_plugin_new(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                                 ExtismSize n_functions, bool with_wasi, char **errmsg);
ExtismCompiledPlugin *extism_compiled_plugin_new_with_fuel_limit(const uint8_t *wasm, ExtismSize wasm_size,
                                                                 const ExtismFunction **functions, ExtismSize n_functions,
                                                                 bool with_wasi, uint64_t fuel_limit, char **errmsg);
ExtismPlugin *extism_plugin_new_from_compiled(const ExtismCompiledPlugin *compiled, char **errmsg);
void extism_compiled_plugin_free(ExtismCompiledPlugin *plugin); /* plugins made from it live on */

void extism_plugin_free(ExtismPlugin *plugin);
const uint8_t *extism_plugin_id(ExtismPlugin *plugin); /* 16 octets, a random UUID */

/* Calls an export; 0 is success. Output and error stay until the next call. */
int32_t extism_plugin_call(ExtismPlugin *plugin, const char *func_name, const uint8_t *data, ExtismSize data_len);
/* `host_context` is what extism_current_plugin_host_context answers meanwhile. */
int32_t extism_plugin_call_with_host_context(ExtismPlugin *plugin, const char *func_name, const uint8_t *data,
                                             ExtismSize data_len, void *host_context);
const char *extism_plugin_error(ExtismPlugin *plugin); /* NULL if the last call set none */
const char *extism_error(ExtismPlugin *plugin);        /* its old name */
ExtismSize extism_plugin_output_length(ExtismPlugin *plugin);
const uint8_t *extism_plugin_output_data(ExtismPlugin *plugin);

bool extism_plugin_function_exists(ExtismPlugin *plugin, const char *func_name);
bool extism_plugin_config(ExtismPlugin *plugin, const uint8_t *json, ExtismSize json_size); /* an object of strings; null deletes */
bool extism_plugin_reset(ExtismPlugin *plugin);                                             /* empties exchange memory */
void extism_plugin_allow_http_response_headers(ExtismPlugin *plugin);

const ExtismCancelHandle *extism_plugin_cancel_handle(const ExtismPlugin *plugin); /* dies with the plugin */
bool extism_plugin_cancel(const ExtismCancelHandle *handle);                       /* ends the call that runs now, if any */

/* ---- From inside a host function ---- */

uint8_t *extism_current_plugin_memory(ExtismCurrentPlugin *plugin); /* a block is at this address and its handle */
ExtismMemoryHandle extism_current_plugin_memory_alloc(ExtismCurrentPlugin *plugin, ExtismSize n);
ExtismSize extism_current_plugin_memory_length(ExtismCurrentPlugin *plugin, ExtismMemoryHandle n);
void extism_current_plugin_memory_free(ExtismCurrentPlugin *plugin, ExtismMemoryHandle ptr);
void *extism_current_plugin_host_context(ExtismCurrentPlugin *plugin);

/* Weir only: the host function has failed. When it returns, the plugin's call ends with -1 and this text as its error. */
void extism_weir_fail(ExtismCurrentPlugin *plugin, const char *text);

/* ---- The process ---- */

const char *extism_version(void);

/* One of these two, once: where log lines go. `level` is error, warn, info, debug or trace, or a list such as
 * "extism=trace"; NULL is error. */
bool extism_log_file(const char *filename, const char *log_level); /* NULL or "-": stderr; "stdout" */
bool extism_log_custom(const char *log_level);                     /* kept until they are drained */
void extism_log_drain(ExtismLogDrainFunctionType handler);         /* `handler` must not call Extism */

#ifdef __cplusplus
}
#endif
