/* The 32 functions of extism:host/env, and the three of weir:host.
 *
 * Each is the same three steps: fetch from the guest, ask what may refuse, do it. A handle given to
 * config_get, var_get, var_set, http_request or log_* becomes the host's, which frees it; kits in
 * the field free it once more, which is harmless. The answer's block is made before the arguments
 * are freed, so it never has the address of one.
 *
 * Frequent: load and store, input_load and length; they must not do more than they say. */
#include <inttypes.h>

#include "extism/guest_internal.h"
#include "extism/kernel_internal.h"

#define LOG_LEVEL_OFF 2147483647

#define IMPORT(name) static trap *import_##name(void *env, void *self, value *v)
#define KERNEL                           \
    kernel *k = ((guest *)self)->kernel; \
    (void)env;                           \
    (void)k
/* A function of exchange memory, and twice the way to it: as all imports go, and directly (engine.h), since kits move
 * every eight octets by a call. */
#define EXCHANGE(name)                                                        \
    static trap *exchange_##name(kernel *k, value *v);                        \
    IMPORT(name)                                                              \
    {                                                                         \
        (void)env;                                                            \
        return exchange_##name(((guest *)self)->kernel, v);                   \
    }                                                                         \
    static void *direct_##name(void *bound, void *caller, value *v, size_t n) \
    {                                                                         \
        (void)bound, (void)caller, (void)n;                                   \
        trap *t = exchange_##name(instance_near, v);                          \
        return __builtin_expect(!t, true) ? NULL : instance_raise(t);         \
    }                                                                         \
    static inline __attribute__((always_inline)) trap *exchange_##name(kernel *k, value *v)
#define GUEST        \
    guest *g = self; \
    (void)env;       \
    (void)v

/* ---- Exchange memory ---- */

static __attribute__((cold, noinline)) trap *outside(const char *name, uint64_t at)
{
    return trap_outside("%s: out of bounds memory access at %" PRIu64, name, at);
}

EXCHANGE(load_u64)
{
    uint64_t at = v[0].u64;
    if (__builtin_expect(!kernel_reaches_u64(k, at), false)) {
        v[0].u64 = 0;
        return kernel_traps_u64(k, at) ? outside("load_u64", at) : NULL;
    }
    v[0].u64 = kernel_peek_u64(k, at);
    return NULL;
}

EXCHANGE(load_u8)
{
    uint64_t at = v[0].u64;
    if (__builtin_expect(!kernel_reaches_u8(k, at), false)) {
        v[0].u32 = 0;
        return kernel_traps_u8(k, at) ? outside("load_u8", at) : NULL;
    }
    v[0].u32 = k->base[at];
    return NULL;
}

EXCHANGE(store_u64)
{
    uint64_t at = v[0].u64;
    if (__builtin_expect(!kernel_reaches_u64(k, at), false))
        return kernel_traps_u64(k, at) ? outside("store_u64", at) : NULL;
    kernel_poke_u64(k, at, v[1].u64);
    return NULL;
}

EXCHANGE(store_u8)
{
    uint64_t at = v[0].u64;
    if (__builtin_expect(!kernel_reaches_u8(k, at), false))
        return kernel_traps_u8(k, at) ? outside("store_u8", at) : NULL;
    k->base[at] = (uint8_t)v[1].u32;
    return NULL;
}

EXCHANGE(input_load_u64)
{
    uint64_t i = v[0].u64, len = k->slots.input_len, at = k->slots.input_at + i;
    v[0].u64 = len >= 8 && i <= len - 8 && kernel_reaches_u64(k, at) ? kernel_peek_u64(k, at) : 0;
    return NULL;
}

EXCHANGE(input_load_u8)
{
    uint64_t i = v[0].u64, at = k->slots.input_at + i;
    v[0].u32 = i < k->slots.input_len && kernel_reaches_u8(k, at) ? k->base[at] : 0;
    return NULL;
}

EXCHANGE(length)
{
    v[0].u64 = kernel_length(k, v[0].u64);
    return NULL;
}

/* A length that no 32-bit memory could have is answered with 0; one beyond this instance's ceiling
 * stops the guest, since many a kit writes to whatever it got. */
EXCHANGE(alloc)
{
    uint64_t len = v[0].u64;
    v[0].u64 = kernel_alloc(k, len);
    if (__builtin_expect(v[0].u64 == 0 && len != 0 && len <= UINT32_MAX, false))
        return trap_new("alloc: no room for %" PRIu64 " octets in exchange memory: %" PRIu64 " of %" PRIu64 " are in use",
                        len, kernel_used(k), k->max_arena);
    return NULL;
}

EXCHANGE(free)
{
    kernel_release(k, v[0].u64);
    return NULL;
}

EXCHANGE(input_length)
{
    v[0].u64 = k->slots.input_len;
    return NULL;
}

EXCHANGE(input_offset)
{
    v[0].u64 = k->slots.input_at;
    return NULL;
}

EXCHANGE(input_set)
{
    kernel_input_set(k, v[0].u64, v[1].u64);
    return NULL;
}

EXCHANGE(output_set)
{
    kernel_output_set(k, v[0].u64, v[1].u64);
    return NULL;
}

EXCHANGE(output_offset)
{
    v[0].u64 = k->slots.output_at;
    return NULL;
}

EXCHANGE(output_length)
{
    v[0].u64 = k->slots.output_len;
    return NULL;
}

EXCHANGE(error_set)
{
    kernel_error_set(k, v[0].u64);
    return NULL;
}

EXCHANGE(error_get)
{
    v[0].u64 = k->slots.error_at;
    return NULL;
}

EXCHANGE(reset)
{
    (void)v;
    kernel_reset(k);
    return NULL;
}

EXCHANGE(memory_bytes)
{
    v[0].u64 = k->arena;
    return NULL;
}

/* ---- Whole blocks: weir:host ----
 *
 * What alloc and store_u64, length, load_u64 and free do together, in one call. Both want their
 * octets to lie in linear memory whole: a guest that names others is wrong about its own memory. */

static trap *beyond(const char *name, uint32_t at, uint32_t len)
{
    return trap_new("%s: out of bounds memory access: %" PRIu32 " octets at %" PRIu32 " of linear memory", name, len, at);
}

/* input_read(to, room) -> length of the call's input: copies it to linear memory, if there is room for all. */
IMPORT(input_read)
{
    KERNEL;
    uint32_t to = v[0].u32, room = v[1].u32;
    uint64_t len = kernel_input_length(k);
    void *space = wasi_at(self, to, room);
    if (!space)
        return beyond("input_read", to, room);
    if (len && len <= room)
        memcpy(space, k->base + kernel_input_offset(k), len);
    v[0].u64 = len;
    return NULL;
}

/* block_new(from, len) -> block: a new block with these octets of linear memory; 0 for none. */
IMPORT(block_new)
{
    KERNEL;
    uint32_t from = v[0].u32, len = v[1].u32;
    const void *octets = wasi_at(self, from, len);
    if (!octets)
        return beyond("block_new", from, len);
    v[0].u64 = len;
    trap *t = exchange_alloc(k, v);
    if (v[0].u64)
        memcpy(k->base + v[0].u64, octets, len);
    return t;
}

/* block_take(block, to, room) -> its length: moves the octets to linear memory and frees the block. 0
 * where no block starts; one that is longer than `room` stays as it is, for a second attempt. */
IMPORT(block_take)
{
    KERNEL;
    uint64_t at = v[0].u64;
    uint32_t to = v[1].u32, room = v[2].u32;
    void *space = wasi_at(self, to, room);
    bytes octets = kernel_block(k, at);
    if (!space)
        return beyond("block_take", to, room);
    v[0].u64 = octets.len;
    if (octets.len && octets.len <= room) {
        memcpy(space, octets.at, octets.len);
        kernel_release(k, at);
    }
    return NULL;
}

/* ---- Configuration and variables ---- */

trap *import_fetch(guest *g, uint64_t offset, const char *what, bytes *out)
{
    *out = bytes_make("", 0);
    if (offset == 0 || guest_block(g, offset, out))
        return NULL;
    return guest_trap(g, "invalid handle offset for %s: %" PRIu64, what, offset);
}

static trap *fetch_key(guest *g, uint64_t offset, const char *what, bytes *out)
{
    trap *t = import_fetch(g, offset, what, out);
    if (!t && !bytes_utf8(*out))
        t = guest_trap(g, "%s at %" PRIu64 " is not UTF-8", what, offset);
    return t;
}

/* Absent and empty both answer 0. */
IMPORT(config_get)
{
    GUEST;
    uint64_t key_at = v[0].u64;
    bytes key;
    trap *t = fetch_key(g, key_at, "config key", &key);
    if (!t)
        t = guest_answer(g, bytes_of(manifest_config_get(g->manifest, key)), v);
    kernel_release(g->kernel, key_at);
    return t;
}

IMPORT(var_get)
{
    GUEST;
    uint64_t key_at = v[0].u64;
    bytes key;
    trap *t = fetch_key(g, key_at, "var key", &key);
    if (!t)
        t = guest_answer(g, vars_get(g->vars, key), v);
    kernel_release(g->kernel, key_at);
    return t;
}

IMPORT(var_set)
{
    GUEST;
    uint64_t key_at = v[0].u64, octets_at = v[1].u64;
    weir_error err = WEIR_ERROR_INIT;
    bytes key, octets;
    trap *t = fetch_key(g, key_at, "var key", &key);
    if (!t)
        t = import_fetch(g, octets_at, "var value", &octets);
    if (!t && (octets_at ? vars_set(g->vars, key, octets, &err) : vars_remove(g->vars, key, &err)))
        t = guest_trap(g, "%s", err.text);
    kernel_release(g->kernel, key_at);
    kernel_release(g->kernel, octets_at);
    return t;
}

/* ---- Logging ---- */

static trap *import_log(guest *g, log_level level, uint64_t at)
{
    bytes text;
    trap *t = NULL;
    if (level >= g->log_level && g->ops->log) {
        t = import_fetch(g, at, "log message", &text);
        if (!t && bytes_utf8(text))
            g->ops->log(g, level, "log", text);
        else if (!t)
            g->ops->log(g, LOG_ERROR, "log", BYTES("a log message was no UTF-8 and is left out"));
    }
    kernel_release(g->kernel, at);
    return t;
}

IMPORT(log_trace)
{
    GUEST;
    return import_log(g, LOG_TRACE, v[0].u64);
}

IMPORT(log_debug)
{
    GUEST;
    return import_log(g, LOG_DEBUG, v[0].u64);
}

IMPORT(log_info)
{
    GUEST;
    return import_log(g, LOG_INFO, v[0].u64);
}

IMPORT(log_warn)
{
    GUEST;
    return import_log(g, LOG_WARN, v[0].u64);
}

IMPORT(log_error)
{
    GUEST;
    return import_log(g, LOG_ERROR, v[0].u64);
}

IMPORT(get_log_level)
{
    GUEST;
    v[0].i32 = g->log_level >= LOG_OFF ? LOG_LEVEL_OFF : (int32_t)g->log_level;
    return NULL;
}

/* ---- What the last http_request brought ---- */

IMPORT(http_status_code)
{
    GUEST;
    v[0].i32 = g->http_status;
    return NULL;
}

IMPORT(http_headers)
{
    GUEST;
    v[0].u64 = 0;
    if (!g->http_headers_on)
        return NULL;
    return guest_answer(g, g->http_headers.len ? buf_bytes(&g->http_headers) : BYTES("{}"), v);
}

/* clang-format off */
#define ENTRY(name, type) {#name, type, import_##name, NULL}
#define EXCHANGE_ENTRY(name, type) {#name, type, import_##name, direct_##name}
/* clang-format on */
const import_entry imports_table[] = {
    EXCHANGE_ENTRY(alloc, "I(I)"),
    EXCHANGE_ENTRY(free, "(I)"),
    EXCHANGE_ENTRY(length, "I(I)"),
    {"length_unsafe", "I(I)", import_length, direct_length},
    EXCHANGE_ENTRY(load_u8, "i(I)"),
    EXCHANGE_ENTRY(load_u64, "I(I)"),
    EXCHANGE_ENTRY(store_u8, "(Ii)"),
    EXCHANGE_ENTRY(store_u64, "(II)"),
    EXCHANGE_ENTRY(input_length, "I()"),
    EXCHANGE_ENTRY(input_offset, "I()"),
    EXCHANGE_ENTRY(input_load_u8, "i(I)"),
    EXCHANGE_ENTRY(input_load_u64, "I(I)"),
    EXCHANGE_ENTRY(input_set, "(II)"),
    EXCHANGE_ENTRY(output_set, "(II)"),
    EXCHANGE_ENTRY(output_offset, "I()"),
    EXCHANGE_ENTRY(output_length, "I()"),
    EXCHANGE_ENTRY(error_set, "(I)"),
    EXCHANGE_ENTRY(error_get, "I()"),
    EXCHANGE_ENTRY(reset, "()"),
    EXCHANGE_ENTRY(memory_bytes, "I()"),
    ENTRY(config_get, "I(I)"),
    ENTRY(var_get, "I(I)"),
    ENTRY(var_set, "(II)"),
    ENTRY(http_request, "I(II)"),
    ENTRY(http_status_code, "i()"),
    ENTRY(http_headers, "I()"),
    ENTRY(log_trace, "(I)"),
    ENTRY(log_debug, "(I)"),
    ENTRY(log_info, "(I)"),
    ENTRY(log_warn, "(I)"),
    ENTRY(log_error, "(I)"),
    ENTRY(get_log_level, "i()"),
};
const size_t imports_count = sizeof imports_table / sizeof *imports_table;

/* clang-format off */
const import_entry blocks_table[] = {
    ENTRY(input_read, "I(ii)"),
    ENTRY(block_new, "I(ii)"),
    ENTRY(block_take, "I(Iii)"),
};
/* clang-format on */
const size_t blocks_count = sizeof blocks_table / sizeof *blocks_table;
