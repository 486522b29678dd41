/* testing.h: what the tests of this folder share: plugins from module text, and the sentences they end in. */
#ifndef LIBEXTISM_TESTING_H
#define LIBEXTISM_TESTING_H

#include <stdlib.h>

#include "libextism/inside.h"
#include "tests/lib/test.h"

/* The imports that most guests here want; a guest's own follow. */
#define IMPORTS                                                                           \
    "(import \"extism:host/env\" \"input_offset\" (func $input (result i64)))"            \
    "(import \"extism:host/env\" \"input_length\" (func $length (result i64)))"           \
    "(import \"extism:host/env\" \"output_set\" (func $output (param i64 i64)))"          \
    "(import \"extism:host/env\" \"error_set\" (func $error (param i64)))"                \
    "(import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"       \
    "(import \"extism:host/env\" \"free\" (func $free (param i64)))"                      \
    "(import \"extism:host/env\" \"config_get\" (func $config (param i64) (result i64)))" \
    "(import \"extism:host/env\" \"var_get\" (func $var_get (param i64) (result i64)))"   \
    "(import \"extism:host/env\" \"var_set\" (func $var_set (param i64 i64)))"            \
    "(import \"extism:host/env\" \"length\" (func $block (param i64) (result i64)))"

#define ECHO "(func (export \"echo\") (result i32) (call $output (call $input) (call $length)) (i32.const 0))"

typedef struct wanted {
    const ExtismFunction **functions;
    uint64_t count;
    bool wasi;
} wanted;

static inline ExtismPlugin *plugin_of(const char *text)
{
    char *why = NULL;
    ExtismPlugin *p = extism_plugin_new((const uint8_t *)text, strlen(text), NULL, 0, true, &why);
    if (!p)
        test_fail(__FILE__, __LINE__, "%s", why);
    CHECK(why == NULL);
    return p;
}

/* The text why there is no plugin; freed at exit. */
static inline const char *refusal_of(const char *text, bool wasi)
{
    static char said[4096];
    char *why = NULL;
    ExtismPlugin *p = extism_plugin_new((const uint8_t *)text, strlen(text), NULL, 0, wasi, &why);
    CHECK(p == NULL);
    CHECK(why != NULL);
    snprintf(said, sizeof said, "%s", why ? why : "");
    extism_plugin_new_error_free(why);
    return said;
}

static inline int call_of(ExtismPlugin *p, const char *name, const char *input)
{
    return extism_plugin_call(p, name, (const uint8_t *)input, strlen(input));
}

static inline const char *output_of(ExtismPlugin *p)
{
    static char text[65536];
    snprintf(text, sizeof text, "%.*s", (int)extism_plugin_output_length(p), (const char *)extism_plugin_output_data(p));
    return text;
}

#endif
