/* weir_pdk.h: write a Weir data-source plugin in C or C++.
 *
 * A plugin is a WebAssembly module without socket, file or clock. It exports functions that the
 * host calls, and imports functions by which it asks the host for things. Both exchange text
 * (nearly always JSON) through blocks of a memory that only the host can touch directly, named
 * by 64-bit numbers. This header hides the blocks and types the functions. A whole plugin:
 *
 *     #include "weir_pdk.h"
 *
 *     WEIR_EXPORT(hello)
 *     {
 *         static weir_buf out;
 *         weir_buf_clear(&out);
 *         weir_put_text(&out, "{\"you_said\":");
 *         weir_put_string(&out, weir_input());
 *         weir_put_text(&out, "}");
 *         return weir_reply(&out);
 *     }
 *
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 -o hello.wasm hello.c
 *     clang --target=wasm32 -nostdlib -Wl,--no-entry  -O2 -o hello.wasm hello.c     (no libc at all)
 *
 * In the order below: text and buffers, blocks, exports, JSON read and written, base64, time,
 * logs, settings, HTTP, WebSockets, publishing. templates/c shows them at work, plugins/woox a
 * complete venue; weir_hmac.h beside this file signs requests.
 *
 * Five conventions hold for everything here.
 *
 * Errors     A call that can fail returns false and leaves one line in the weir_fail it was given.
 *            Nothing here traps, whatever the host or a venue sends.
 * Ownership  A weir_str is borrowed and never freed: it points into somebody's buffer and is good
 *            until that buffer changes. Buffers grow, are cleared and reused, never given back.
 * Memory     No malloc: a growing weir_buf takes pages of linear memory. A loop that receives and
 *            publishes settles on its largest message and stays there.
 * Threads    There is one. But stop_stream may run nested, while start_stream waits inside
 *            weir_ws_receive or weir_http_request: let it set a flag, call weir_ws_close and return.
 *
 * Hosts      What this imports is Extism's own and the functions of a data-source host, so a module
 *            loads wherever these are offered. With WEIR_ONLY defined (before the include, in all source
 *            files alike, or by -DWEIR_ONLY) blocks are copied by two imports that only Weir has: a
 *            frame and its record cost 8 host calls instead of some 70, and the module loads in Weir alone.
 *
 * Needs C11 or C++11 and clang or gcc. All functions are static: every source file that includes
 * this has its own. Compiled for another machine than wasm, the imports are ordinary functions that
 * a test supplies (fake_host.h).
 */
#ifndef WEIR_PDK_H
#define WEIR_PDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __wasm__
#include <stdlib.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Where the functions of Weir itself are imported from; a host offers them under "env" too. */
#ifndef WEIR_HOST_MODULE
#define WEIR_HOST_MODULE "extism:host/user"
#endif

#ifdef __wasm__
#define WEIR_IMPORT(module, name) __attribute__((import_module(module), import_name(#name)))
#define WEIR_EXPORT_AS(name) __attribute__((export_name(#name)))
#else
#define WEIR_IMPORT(module, name)
#define WEIR_EXPORT_AS(name)
#endif
#define WEIR_HOT static inline __attribute__((always_inline))
#define WEIR_COLD static __attribute__((noinline, unused))

/* Begins the definition of an export: WEIR_EXPORT(meta) { ... return 0; }. Zero is success; with
 * another number the host takes the output, or the error text, as the reason. */
#ifdef __cplusplus
#define WEIR_C extern "C"
#else
#define WEIR_C
#endif
#define WEIR_EXPORT(name)                    \
    WEIR_C int32_t weir_export_##name(void); \
    WEIR_C WEIR_EXPORT_AS(name)              \
    int32_t weir_export_##name(void)

/* ---- The raw imports. What follows wraps them all; call them where the wrapping is in the way. ---- */

WEIR_IMPORT("extism:host/env", input_length)
uint64_t weir_env_input_length(void);
WEIR_IMPORT("extism:host/env", input_load_u8)
uint32_t weir_env_input_load_u8(uint64_t index);
WEIR_IMPORT("extism:host/env", input_load_u64)
uint64_t weir_env_input_load_u64(uint64_t index);
WEIR_IMPORT("extism:host/env", output_set)
void weir_env_output_set(uint64_t offset, uint64_t length);
WEIR_IMPORT("extism:host/env", error_set)
void weir_env_error_set(uint64_t block);
WEIR_IMPORT("extism:host/env", alloc)
uint64_t weir_env_alloc(uint64_t length);
WEIR_IMPORT("extism:host/env", free)
void weir_env_free(uint64_t block);
WEIR_IMPORT("extism:host/env", length)
uint64_t weir_env_length(uint64_t block);
WEIR_IMPORT("extism:host/env", load_u8)
uint32_t weir_env_load_u8(uint64_t offset);
WEIR_IMPORT("extism:host/env", load_u64)
uint64_t weir_env_load_u64(uint64_t offset);
WEIR_IMPORT("extism:host/env", store_u8)
void weir_env_store_u8(uint64_t offset, uint32_t value);
WEIR_IMPORT("extism:host/env", store_u64)
void weir_env_store_u64(uint64_t offset, uint64_t value);
WEIR_IMPORT("extism:host/env", config_get)
uint64_t weir_env_config_get(uint64_t key);
WEIR_IMPORT("extism:host/env", var_get)
uint64_t weir_env_var_get(uint64_t key);
WEIR_IMPORT("extism:host/env", var_set)
void weir_env_var_set(uint64_t key, uint64_t value);
WEIR_IMPORT("extism:host/env", log_debug)
void weir_env_log_debug(uint64_t message);
WEIR_IMPORT("extism:host/env", log_info)
void weir_env_log_info(uint64_t message);
WEIR_IMPORT("extism:host/env", log_warn)
void weir_env_log_warn(uint64_t message);
WEIR_IMPORT("extism:host/env", log_error)
void weir_env_log_error(uint64_t message);

#ifdef WEIR_ONLY
WEIR_IMPORT("weir:host", input_read)
uint64_t weir_host_input_read(char *to, uint32_t room);
WEIR_IMPORT("weir:host", block_new)
uint64_t weir_host_block_new(const char *from, uint32_t len);
WEIR_IMPORT("weir:host", block_take)
uint64_t weir_host_block_take(uint64_t block, char *to, uint32_t room);
#endif

WEIR_IMPORT(WEIR_HOST_MODULE, ws_connect)
uint64_t weir_user_ws_connect(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, ws_send)
uint64_t weir_user_ws_send(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, ws_receive)
uint64_t weir_user_ws_receive(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, ws_close)
uint64_t weir_user_ws_close(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, publish_stream_data)
uint64_t weir_user_publish_stream_data(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, http_request)
uint64_t weir_user_http_request(uint64_t request);
WEIR_IMPORT(WEIR_HOST_MODULE, log_record)
uint64_t weir_user_log_record(uint64_t record);
WEIR_IMPORT(WEIR_HOST_MODULE, time_now)
uint64_t weir_user_time_now(uint64_t ignored);
WEIR_IMPORT(WEIR_HOST_MODULE, sleep_ms)
uint64_t weir_user_sleep_ms(uint64_t milliseconds);

/* ---- What the compiler may call behind our back, where there is no libc to have it ---- */

#if defined(__wasm__) && !defined(__wasi__) && !defined(__EMSCRIPTEN__)
#define WEIR_LIBC(name) __attribute__((weak, noinline, no_builtin(#name)))
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);
WEIR_LIBC(memcpy)
void *memcpy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}
WEIR_LIBC(memmove)
void *memmove(void *to, const void *from, size_t len)
{
    if ((char *)to <= (const char *)from)
        return memcpy(to, from, len);
    while (len-- > 0)
        ((char *)to)[len] = ((const char *)from)[len];
    return to;
}
WEIR_LIBC(memset)
void *memset(void *to, int value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((char *)to)[i] = (char)value;
    return to;
}
WEIR_LIBC(memcmp)
int memcmp(const void *a, const void *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((const unsigned char *)a)[i] != ((const unsigned char *)b)[i])
            return ((const unsigned char *)a)[i] < ((const unsigned char *)b)[i] ? -1 : 1;
    return 0;
}
WEIR_LIBC(strlen)
size_t strlen(const char *text)
{
    size_t len = 0;
    while (text[len])
        len++;
    return len;
}
#endif

/* ---- Text ---- */

/* Borrowed characters, not terminated. {NULL, 0} stands for "there is none". */
typedef struct weir_str {
    const char *at;
    size_t len;
} weir_str;

WEIR_HOT weir_str weir_slice(const char *at, size_t len)
{
    weir_str s;
    s.at = at;
    s.len = len;
    return s;
}

/* A C string as weir_str; of a literal the length is known when compiling. */
WEIR_HOT weir_str weir_text(const char *text)
{
    return weir_slice(text, __builtin_strlen(text));
}

/* Copies without a call into libc: most copies here are a few octets long. The areas must not overlap. */
WEIR_HOT void weir_copy(char *to, const char *from, size_t len)
{
    uint64_t eight;
    uint32_t four;
    size_t i = 0;
    if (len >= 8) {
        for (; i + 8 <= len; i += 8) {
            __builtin_memcpy(&eight, from + i, 8);
            __builtin_memcpy(to + i, &eight, 8);
            __asm__(""
                    : "+r"(i)); /* or the compiler makes the loop a memcpy again */
        }
        __builtin_memcpy(&eight, from + len - 8, 8);
        __builtin_memcpy(to + len - 8, &eight, 8);
    } else if (len >= 4) {
        uint32_t last;
        __builtin_memcpy(&four, from, 4);
        __builtin_memcpy(&last, from + len - 4, 4);
        __builtin_memcpy(to, &four, 4);
        __builtin_memcpy(to + len - 4, &last, 4);
    } else if (len > 0) {
        to[0] = from[0];
        if (len > 1)
            to[len - 1] = from[len - 1];
        if (len > 2)
            to[1] = from[1];
    }
}

/* Eight, four or two octets as a number. */
WEIR_HOT uint64_t weir_load8(const char *at)
{
    uint64_t n;
    __builtin_memcpy(&n, at, 8);
    return n;
}

WEIR_HOT uint32_t weir_load4(const char *at)
{
    uint32_t n;
    __builtin_memcpy(&n, at, 4);
    return n;
}

WEIR_HOT uint16_t weir_load2(const char *at)
{
    uint16_t n;
    __builtin_memcpy(&n, at, 2);
    return n;
}

/* Whether `len` octets, at most 16, are the same in both places: of a literal it is a comparison or two. The last ones
 * overlap those before. */
WEIR_HOT bool weir_same_few(const char *a, const char *b, size_t len)
{
    if (len >= 8)
        return weir_load8(a) == weir_load8(b) && weir_load8(a + len - 8) == weir_load8(b + len - 8);
    if (len >= 4)
        return weir_load4(a) == weir_load4(b) && weir_load4(a + len - 4) == weir_load4(b + len - 4);
    if (len >= 2)
        return weir_load2(a) == weir_load2(b) && weir_load2(a + len - 2) == weir_load2(b + len - 2);
    return len == 0 || *a == *b;
}

/* Whether `len` octets are the same in both places. */
WEIR_COLD bool weir_same(const char *a, const char *b, size_t len)
{
    for (; len > 16; a += 8, b += 8, len -= 8)
        if (weir_load8(a) != weir_load8(b))
            return false;
    return weir_same_few(a, b, len);
}

WEIR_HOT bool weir_equal(weir_str a, weir_str b)
{
    return a.len == b.len && weir_same(a.at, b.at, a.len);
}

WEIR_HOT bool weir_is(weir_str s, const char *text)
{
    weir_str t = weir_text(text);
    if (__builtin_constant_p(t.len) && t.len <= 16)
        return s.len == t.len && weir_same_few(s.at, text, t.len);
    return weir_equal(s, t);
}

WEIR_HOT bool weir_starts(weir_str s, weir_str with)
{
    if (__builtin_constant_p(with.len) && with.len <= 16)
        return s.len >= with.len && weir_same_few(s.at, with.at, with.len);
    return s.len >= with.len && weir_same(s.at, with.at, with.len);
}

/* Moves `rest` behind `text`, if that is what comes next. */
WEIR_HOT bool weir_skip(weir_str *rest, weir_str text)
{
    if (!weir_starts(*rest, text))
        return false;
    *rest = weir_slice(rest->at + text.len, rest->len - text.len);
    return true;
}

/* Why a call failed: one line, terminated, cut where it would not fit. */
typedef struct weir_fail {
    char text[256];
} weir_fail;

/* Writes what, subject and why one behind the other, and returns false, so that a caller can say
 * `return weir_fail_set(...)`. `fail` may be NULL: then nobody wants to know. */
WEIR_COLD bool weir_fail_set(weir_fail *fail, const char *what, weir_str subject, const char *why)
{
    weir_str part[3];
    size_t len = 0;
    if (!fail)
        return false;
    part[0] = weir_text(what);
    part[1] = subject;
    part[2] = weir_text(why);
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < part[i].len && len + 1 < sizeof fail->text; k++)
            fail->text[len++] = part[i].at[k];
    fail->text[len] = 0;
    return false;
}

/* Appends to the text of a failure, and returns false. */
WEIR_COLD bool weir_fail_add(weir_fail *fail, weir_str more)
{
    return fail && weir_fail_set(fail, fail->text, more, "");
}

/* ---- Buffers ----
 *
 * A weir_buf gathers octets. Zeroed it grows as needed; weir_buf_over makes one that stays within
 * an array. What does not fit is left out whole, and `failed` remembers until weir_buf_clear, so a
 * writer checks once at its end. */

typedef struct weir_buf {
    char *at;
    size_t len, cap;
    bool fixed, failed;
} weir_buf;

WEIR_HOT weir_buf weir_buf_over(char *array, size_t size)
{
    weir_buf b;
    b.at = array;
    b.len = 0;
    b.cap = size;
    b.fixed = true;
    b.failed = false;
    return b;
}

WEIR_HOT void weir_buf_clear(weir_buf *b)
{
    b->len = 0;
    b->failed = false;
}

WEIR_HOT weir_str weir_buf_str(const weir_buf *b)
{
    return weir_slice(b->at, b->len);
}

#ifdef __wasm__
/* Memory for growing buffers, taken from the engine in pages: the buffer that took last extends in
 * place, another moves to the top and leaves its old place behind (doubling bounds the waste). */
WEIR_COLD bool weir_buf_move(weir_buf *b, size_t want)
{
    static char *top, *limit;
    char *from = b->at && b->at + b->cap == top ? b->at : top;
    if (want > (size_t)(limit - from)) {
        size_t pages = (want + 65535) / 65536;
        size_t old = __builtin_wasm_memory_grow(0, pages);
        if (old == (size_t)-1)
            return false;
        if ((char *)(old * 65536) != limit) /* somebody else took pages in between */
            from = (char *)(old * 65536);
        limit = (char *)((old + pages) * 65536);
    }
    if (from != b->at)
        weir_copy(from, b->at, b->len);
    top = from + want;
    b->at = from;
    b->cap = want;
    return true;
}
#else
WEIR_COLD bool weir_buf_move(weir_buf *b, size_t want)
{
    char *at = (char *)realloc(b->at, want);
    if (!at)
        return false;
    b->at = at;
    b->cap = want;
    return true;
}
#endif

WEIR_COLD bool weir_buf_grow(weir_buf *b, size_t more)
{
    size_t want = b->cap < 128 ? 256 : b->cap * 2;
    if (b->fixed || b->failed || more > 0x3fffffff || b->len > 0x3fffffff) {
        b->failed = true;
        return false;
    }
    if (want < b->len + more)
        want = b->len + more;
    want = (want + 15) & ~(size_t)15;
    if (!weir_buf_move(b, want))
        b->failed = true;
    return !b->failed;
}

/* Makes sure that `more` octets fit behind the present ones; false, and failed, if they cannot. */
WEIR_HOT bool weir_buf_room(weir_buf *b, size_t more)
{
    return b->cap - b->len >= more || weir_buf_grow(b, more);
}

WEIR_COLD void weir_put_any(weir_buf *b, const char *at, size_t len)
{
    if (!len || !weir_buf_room(b, len))
        return;
    weir_copy(b->at + b->len, at, len);
    b->len += len;
}

/* Appends octets. A short literal becomes a few stores of eight octets each. */
WEIR_HOT void weir_put(weir_buf *b, const char *at, size_t len)
{
    if (!__builtin_constant_p(len) || len > 24) {
        weir_put_any(b, at, len);
    } else if (weir_buf_room(b, len)) {
        __builtin_memcpy(b->at + b->len, at, len);
        b->len += len;
    }
}

WEIR_HOT void weir_put_str(weir_buf *b, weir_str s)
{
    weir_put(b, s.at, s.len);
}

/* Appends a C string as it is; of a literal the length is known when compiling. */
WEIR_HOT void weir_put_text(weir_buf *b, const char *text)
{
    weir_put(b, text, __builtin_strlen(text));
}

WEIR_HOT void weir_put_char(weir_buf *b, char c)
{
    if (weir_buf_room(b, 1))
        b->at[b->len++] = c;
}

WEIR_COLD void weir_put_u64(weir_buf *b, uint64_t value)
{
    char digit[20];
    size_t i = sizeof digit;
    do
        digit[--i] = (char)('0' + value % 10);
    while (value /= 10);
    weir_put(b, digit + i, sizeof digit - i);
}

WEIR_COLD void weir_put_i64(weir_buf *b, int64_t value)
{
    if (value < 0)
        weir_put_char(b, '-');
    weir_put_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Appends text as a JSON string, quoted and escaped. Its octets must be UTF-8. */
WEIR_COLD void weir_put_string(weir_buf *b, weir_str s)
{
    static const char hex[] = "0123456789abcdef";
    weir_put_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c == '"' || c == '\\') {
            weir_put_char(b, '\\');
            weir_put_char(b, (char)c);
        } else if (c >= 0x20) {
            weir_put_char(b, (char)c);
        } else {
            weir_put_text(b, "\\u00");
            weir_put_char(b, hex[c >> 4]);
            weir_put_char(b, hex[c & 15]);
        }
    }
    weir_put_char(b, '"');
}

/* ---- Blocks: the memory shared with the host ----
 *
 * Extism has no call that copies a block. Every octet crosses in a host call of its own unless eight go
 * together, so both directions move eight at a time and let the last eight overlap instead of sending a
 * tail one by one. Weir has two calls that copy; WEIR_ONLY uses them. */

/* Copies `len` octets of a block, from its octet `from` on, to linear memory. */
WEIR_HOT void weir_block_read(uint64_t block, size_t from, char *to, size_t len)
{
    uint64_t at = block + from, eight;
    size_t i = 0;
    if (len >= 8) {
        for (; i + 8 <= len; i += 8) {
            eight = weir_env_load_u64(at + i);
            __builtin_memcpy(to + i, &eight, 8);
        }
        if (i < len) {
            eight = weir_env_load_u64(at + len - 8);
            __builtin_memcpy(to + len - 8, &eight, 8);
        }
        return;
    }
    for (; i < len; i++)
        to[i] = (char)weir_env_load_u8(at + i);
}

/* Copies octets into a block. */
WEIR_HOT void weir_block_write(uint64_t block, const char *from, size_t len)
{
    uint64_t eight;
    size_t i = 0;
    if (len >= 8) {
        for (; i + 8 <= len; i += 8) {
            __builtin_memcpy(&eight, from + i, 8);
            weir_env_store_u64(block + i, eight);
        }
        if (i < len) {
            __builtin_memcpy(&eight, from + len - 8, 8);
            weir_env_store_u64(block + len - 8, eight);
        }
        return;
    }
    for (; i < len; i++)
        weir_env_store_u8(block + i, (unsigned char)from[i]);
}

/* A new block with these octets; 0 for none, or when the host has no memory left. */
WEIR_COLD uint64_t weir_block_of(weir_str s)
{
#ifdef WEIR_ONLY
    return weir_host_block_new(s.at, (uint32_t)s.len);
#else
    uint64_t block = weir_env_alloc(s.len);
    if (block)
        weir_block_write(block, s.at, s.len);
    return block;
#endif
}

/* Moves the octets of a block to `to`, which has room for `room`, and frees the block. Returns how many
 * there are; where that is more than `room`, nothing happened. */
WEIR_HOT uint64_t weir_block_move(uint64_t block, char *to, size_t room)
{
#ifdef WEIR_ONLY
    return weir_host_block_take(block, to, (uint32_t)room);
#else
    uint64_t len = weir_env_length(block);
    if (len <= room) {
        weir_block_read(block, 0, to, (size_t)len);
        weir_env_free(block);
    }
    return len;
#endif
}

/* Replaces the contents of `to` by those of a block, and frees the block. False if the block is 0
 * or empty, or does not fit. */
WEIR_COLD bool weir_block_take(uint64_t block, weir_buf *to)
{
    uint64_t len = block ? weir_block_move(block, to->at, to->cap) : 0;
    weir_buf_clear(to);
    if (len > to->cap) {
        if (len < 0x3fffffff && weir_buf_room(to, (size_t)len)) {
            weir_block_move(block, to->at, to->cap);
        } else {
            weir_env_free(block);
            len = 0;
        }
    }
    to->len = (size_t)len;
    return len > 0;
}

/* ---- The call: input, output, error ---- */

/* Reads the call's input into `to`, replacing what was there; false if it does not fit. */
WEIR_COLD bool weir_input_read(weir_buf *to)
{
#ifdef WEIR_ONLY
    uint64_t len = weir_host_input_read(to->at, (uint32_t)to->cap);
    weir_buf_clear(to);
    if (len > to->cap) {
        if (len >= 0x3fffffff || !weir_buf_room(to, (size_t)len))
            return false;
        weir_host_input_read(to->at, (uint32_t)to->cap);
    }
#else
    uint64_t len = weir_env_input_length(), eight;
    size_t i = 0;
    weir_buf_clear(to);
    if (len >= 0x3fffffff || !weir_buf_room(to, (size_t)len))
        return false;
    for (; i + 8 <= len; i += 8) {
        eight = weir_env_input_load_u64(i);
        __builtin_memcpy(to->at + i, &eight, 8);
    }
    for (; i < len; i++)
        to->at[i] = (char)weir_env_input_load_u8(i);
#endif
    to->len = (size_t)len;
    return true;
}

/* The call's input in a buffer of this header, good until the next weir_input. An export that can
 * run nested in another (stop_stream) reads into a buffer of its own with weir_input_read. */
WEIR_COLD weir_str weir_input(void)
{
    static weir_buf in;
    return weir_input_read(&in) ? weir_buf_str(&in) : weir_slice(NULL, 0);
}

/* Sets the call's output. */
WEIR_COLD void weir_output(weir_str s)
{
    uint64_t block = weir_block_of(s);
    if (block)
        weir_env_output_set(block, s.len);
}

/* Sets the call's error text; the export should then return something other than 0. */
WEIR_COLD void weir_error(const char *text)
{
    uint64_t block = weir_block_of(weir_text(text));
    if (block)
        weir_env_error_set(block);
}

/* Ends an export: `return weir_reply(&out)` makes the buffer the output and returns 0, or sets an
 * error and returns 1 if the buffer failed to hold everything. */
WEIR_COLD int32_t weir_reply(const weir_buf *out)
{
    if (out->failed) {
        weir_error("out of memory for the reply");
        return 1;
    }
    weir_output(weir_buf_str(out));
    return 0;
}

/* Ends an export that failed, the way generation 2 does: {"success":false,"error":text} in the
 * output and 1 as result. */
WEIR_COLD int32_t weir_refuse(const char *text)
{
    char room[1700]; /* every octet of a weir_fail may need six */
    weir_buf out = weir_buf_over(room, sizeof room);
    weir_put_text(&out, "{\"success\":false,\"error\":");
    weir_put_string(&out, weir_text(text));
    weir_put_text(&out, "}");
    if (out.failed)
        weir_error(text);
    else
        weir_output(weir_buf_str(&out));
    return 1;
}

/* ---- JSON, read in place ----
 *
 * A value is the slice of text that holds it: a string with its quotes, an object with its braces.
 * Nothing is allocated, copied or recursed into, numbers stay the decimal text they were, and an
 * object can be passed on as it came. The frequent operation is one pass over an object:
 *
 *     weir_json_iter it = weir_json_each(object);
 *     while (weir_json_next(&it))
 *         if (weir_is(it.key, "px"))
 *             price = weir_json_decimal(it.value);
 *
 * Values that nobody looks into are skipped by their brackets and quotes, not checked. */

typedef enum weir_json_kind {
    WEIR_JSON_NONE, /* no value, or no JSON */
    WEIR_JSON_NULL,
    WEIR_JSON_BOOL,
    WEIR_JSON_NUMBER,
    WEIR_JSON_STRING,
    WEIR_JSON_ARRAY,
    WEIR_JSON_OBJECT
} weir_json_kind;

WEIR_HOT weir_json_kind weir_json_kind_of(weir_str value)
{
    char c = value.len ? value.at[0] : 0;
    return c == '"'                             ? WEIR_JSON_STRING
           : c == '{'                           ? WEIR_JSON_OBJECT
           : c == '['                           ? WEIR_JSON_ARRAY
           : c == 't' || c == 'f'               ? WEIR_JSON_BOOL
           : c == 'n'                           ? WEIR_JSON_NULL
           : c == '-' || (c >= '0' && c <= '9') ? WEIR_JSON_NUMBER
                                                : WEIR_JSON_NONE;
}

WEIR_HOT const char *weir_json_blank(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Marks the quotes and backslashes among eight octets by the highest bit of each. The lowest mark is
 * right, those above it need not be. */
WEIR_HOT uint64_t weir_json_marks(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101, quotes = eight ^ ones * '"', slashes = eight ^ ones * '\\';
    return (((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) & ones * 0x80;
}

/* Behind the string that begins at `at`, or NULL if it does not end. */
WEIR_HOT const char *weir_json_skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (end - at >= 8) {
            uint64_t eight, marks;
            __builtin_memcpy(&eight, at, 8);
            if (!(marks = weir_json_marks(eight))) {
                at += 7;
                continue;
            }
            at += __builtin_ctzll(marks) / 8;
        }
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* Behind the array or object that begins at `at`, however deep, or NULL if it does not end. */
WEIR_COLD const char *weir_json_skip_nest(const char *at, const char *end)
{
    size_t depth = 0;
    while (at && at < end) {
        if (*at == '"') {
            at = weir_json_skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if ((*at == '}' || *at == ']') && --depth == 0)
            return at + 1;
        at++;
    }
    return NULL;
}

/* Behind the value that begins at `at`, or NULL if there is none. */
WEIR_HOT const char *weir_json_skip(const char *at, const char *end)
{
    const char *from = at;
    if (at >= end)
        return NULL;
    if (*at == '"')
        return weir_json_skip_string(at, end);
    if (*at == '{' || *at == '[')
        return weir_json_skip_nest(at, end);
    while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || *at == '.' ||
                        *at == '-' || *at == '+' || *at == 'E'))
        at++;
    return at > from ? at : NULL;
}

/* A walk over the members of an object or the items of an array. */
typedef struct weir_json_iter {
    weir_str key;   /* the member's name between its quotes, escapes undecoded; empty in an array */
    weir_str value; /* the member or item */
    const char *at; /* when the walk is over: behind the closing bracket */
    const char *end;
    char close; /* the bracket that ends it, 0 if this is no container */
    bool first;
    bool bad; /* set when the walk ended because the text is no JSON */
} weir_json_iter;

/* Begins a walk. `container` may be longer than the object or array: the walk ends with it. */
WEIR_COLD weir_json_iter weir_json_each(weir_str container)
{
    weir_json_iter it;
    const char *from = container.len ? container.at : "";
    const char *end = from + container.len, *at = weir_json_blank(from, end);
    it.key = it.value = weir_slice(NULL, 0);
    it.close = at < end && *at == '{' ? '}' : at < end && *at == '[' ? ']'
                                                                     : 0;
    it.at = it.close ? at + 1 : at;
    it.end = end;
    it.first = true;
    it.bad = !it.close;
    return it;
}

/* To the next member's name or the next item; NULL at the end, and when the text is no JSON. */
WEIR_HOT const char *weir_json_lead(weir_json_iter *it)
{
    const char *at = it->at;
    if (it->bad || !it->close)
        return NULL;
    at = weir_json_blank(at, it->end);
    if (at < it->end && *at == it->close) {
        it->at = at + 1;
        it->close = 0;
        return NULL;
    }
    if (at >= it->end || (!it->first && *at != ',')) {
        it->bad = true;
        return NULL;
    }
    if (!it->first)
        at = weir_json_blank(at + 1, it->end);
    it->first = false;
    return at;
}

/* As weir_json_next, compiled into the caller: for the one walk that happens for every message. */
WEIR_HOT bool weir_json_step(weir_json_iter *it)
{
    const char *at = weir_json_lead(it), *end = it->end, *stop;
    if (!at)
        return false;
    if (it->close == '}') {
        if (at >= end || *at != '"' || !(stop = weir_json_skip_string(at, end)))
            goto bad;
        it->key = weir_slice(at + 1, (size_t)(stop - at) - 2);
        at = weir_json_blank(stop, end);
        if (at >= end || *at != ':')
            goto bad;
        at = weir_json_blank(at + 1, end);
    }
    if (!(stop = weir_json_skip(at, end)))
        goto bad;
    it->value = weir_slice(at, (size_t)(stop - at));
    it->at = stop;
    return true;
bad:
    it->bad = true;
    return false;
}

/* The next member or item; false at the end, and when the text is no JSON (`bad` tells). */
WEIR_COLD bool weir_json_next(weir_json_iter *it)
{
    return weir_json_step(it);
}

/* The member called `name`, the last if there are several; {NULL, 0} if there is none or `object`
 * is no object. For more than one member walk the object once instead. */
WEIR_COLD weir_str weir_json_member(weir_str object, const char *name)
{
    weir_json_iter it = weir_json_each(object);
    weir_str found = weir_slice(NULL, 0);
    if (it.close == '}')
        while (weir_json_next(&it))
            if (weir_is(it.key, name))
                found = it.value;
    return found;
}

/* The characters between a string's quotes as they stand, escapes undecoded; {NULL, 0} if the value
 * is no string. Enough for names, symbols and decimals, where nobody escapes. */
WEIR_HOT weir_str weir_json_raw(weir_str value)
{
    return value.len >= 2 && value.at[0] == '"' ? weir_slice(value.at + 1, value.len - 2) : weir_slice(NULL, 0);
}

WEIR_HOT bool weir_json_true(weir_str value)
{
    return weir_is(value, "true");
}

/* A whole number, 0 and above, given as number or as string of digits. */
WEIR_COLD bool weir_json_u64(weir_str value, uint64_t *out)
{
    uint64_t n = 0;
    if (value.len && value.at[0] == '"')
        value = weir_json_raw(value);
    if (!value.len || value.len > 19)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(value.at[i] - '0');
    }
    *out = n;
    return true;
}

/* The decimal text of a number, or of a string that holds one, checked: it can be written into JSON
 * with or without quotes, digit for digit as the venue gave it. {NULL, 0} for anything else. */
WEIR_COLD weir_str weir_json_decimal(weir_str value)
{
    const char *at, *end;
    weir_str text = value.len && value.at[0] == '"' ? weir_json_raw(value) : value;
    if (!text.len)
        return text;
    at = text.at;
    end = at + text.len;
    if (*at == '-')
        at++;
    if (at >= end || *at < '0' || *at > '9')
        return weir_slice(NULL, 0);
    if (*at == '0')
        at++;
    else
        while (at < end && *at >= '0' && *at <= '9')
            at++;
    if (at < end && *at == '.') {
        const char *digits = ++at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at == digits)
            return weir_slice(NULL, 0);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *digits;
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at == digits)
            return weir_slice(NULL, 0);
    }
    return at == end ? text : weir_slice(NULL, 0);
}

WEIR_COLD bool weir_hex4(const char *at, const char *end, uint32_t *out)
{
    uint32_t n = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                              : c >= 'A' && c <= 'F'   ? (uint32_t)(c - 'A') + 10
                                                                                       : 16;
        if (d > 15)
            return false;
        n = n * 16 + d;
    }
    *out = n;
    return true;
}

/* Decodes the escape at *at (a backslash) to `to`; a lone surrogate becomes U+FFFD. Moves *at behind
 * it and returns behind what it wrote, or NULL if this is no escape. Never writes more than it read. */
WEIR_COLD char *weir_json_escape(const char **at, const char *end, char *to)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    const char *p = *at + 1;
    uint32_t c, low;
    if (p >= end)
        return NULL;
    *at = p + 1;
    if (*p == '"' || *p == '\\' || *p == '/') {
        *to++ = *p;
        return to;
    }
    for (int i = 0; i < 5; i++)
        if (*p == from[i]) {
            *to++ = into[i];
            return to;
        }
    if (*p != 'u' || !weir_hex4(p + 1, end, &c))
        return NULL;
    p += 5;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
        weir_hex4(p + 2, end, &low) && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    if (c >= 0xd800 && c < 0xe000)
        c = 0xfffd;
    if (c < 0x80) {
        *to++ = (char)c;
    } else {
        if (c < 0x800) {
            *to++ = (char)(0xc0 | c >> 6);
        } else {
            if (c < 0x10000) {
                *to++ = (char)(0xe0 | c >> 12);
            } else {
                *to++ = (char)(0xf0 | c >> 18);
                *to++ = (char)(0x80 | (c >> 12 & 63));
            }
            *to++ = (char)(0x80 | (c >> 6 & 63));
        }
        *to++ = (char)(0x80 | (c & 63));
    }
    *at = p;
    return to;
}

/* Decodes the characters of a string up to its closing quote. `at` is behind the opening quote, `to`
 * may be the same place or one before it: decoding never lengthens. *stop becomes the place behind the
 * closing quote. NULL if the string is broken or does not end, else behind the last character written.
 *
 * Eight octets are stored at once and those before the first mark count, which wants `to` to be `at` or
 * at least eight octets away: the rest of the eight must not fall on what is still to be read. */
WEIR_HOT char *weir_json_unquote(const char *at, const char *end, char *to, const char **stop)
{
    while (at < end) {
        if (end - at >= 8 && (at == to || (uintptr_t)at - (uintptr_t)to >= 8)) {
            uint64_t eight, marks;
            size_t plain;
            __builtin_memcpy(&eight, at, 8);
            __builtin_memcpy(to, &eight, 8);
            marks = weir_json_marks(eight);
            plain = marks ? (size_t)__builtin_ctzll(marks) / 8 : 8;
            at += plain;
            to += plain;
            if (!marks)
                continue;
        }
        if (*at == '"') {
            *stop = at + 1;
            return to;
        }
        if (*at != '\\') {
            *to++ = *at++;
        } else if (end - at > 1 && at[1] == '"') {
            *to++ = '"';
            at += 2;
        } else {
            const char *escape = at; /* `at` itself stays a register */
            if (!(to = weir_json_escape(&escape, end, to)))
                return NULL;
            at = escape;
        }
    }
    return NULL;
}

/* Appends a string value's characters, decoded, to `out`; false if it is none. */
WEIR_COLD bool weir_json_string(weir_str value, weir_buf *out)
{
    const char *stop;
    char *to;
    if (weir_json_kind_of(value) != WEIR_JSON_STRING || !weir_buf_room(out, value.len))
        return false;
    to = weir_json_unquote(value.at + 1, value.at + value.len, out->at + out->len, &stop);
    if (!to)
        return false;
    out->len = (size_t)(to - out->at);
    return true;
}

/* ---- Base64, as bodies of HTTP travel ---- */

/* Appends octets as standard base64 with padding. */
WEIR_COLD void weir_put_base64(weir_buf *b, weir_str s)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!weir_buf_room(b, (s.len + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t have = s.len - i < 3 ? s.len - i : 3;
        uint32_t n = (uint32_t)(unsigned char)s.at[i] << 16;
        if (have > 1)
            n |= (uint32_t)(unsigned char)s.at[i + 1] << 8;
        if (have > 2)
            n |= (uint32_t)(unsigned char)s.at[i + 2];
        b->at[b->len++] = digit[n >> 18];
        b->at[b->len++] = digit[n >> 12 & 63];
        b->at[b->len++] = have > 1 ? digit[n >> 6 & 63] : '=';
        b->at[b->len++] = have > 2 ? digit[n & 63] : '=';
    }
}

/* Decodes standard base64, padded or not, to `to`, which may be where the text stands. Returns how
 * many octets that made, or (size_t)-1 if it is no base64. */
WEIR_COLD size_t weir_base64_decode(weir_str s, char *to)
{
    uint32_t bits = 0;
    int have = 0;
    size_t len = 0, i = 0;
    while (s.len > 0 && s.at[s.len - 1] == '=' && i++ < 2)
        s.len--;
    for (i = 0; i < s.len; i++) {
        char c = s.at[i];
        uint32_t d = c >= 'A' && c <= 'Z'   ? (uint32_t)(c - 'A')
                     : c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a') + 26
                     : c >= '0' && c <= '9' ? (uint32_t)(c - '0') + 52
                     : c == '+'             ? 62
                     : c == '/'             ? 63
                                            : 64;
        if (d > 63)
            return (size_t)-1;
        bits = bits << 6 | d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[len++] = (char)(bits >> have & 0xff);
        }
    }
    return have == 6 ? (size_t)-1 : len;
}

/* ---- Time ---- */

/* Reads an RFC 3339 time ("2026-11-23T07:44:42.187Z") as milliseconds since 1970 UTC. */
WEIR_COLD bool weir_time_parse(weir_str s, int64_t *out)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    int32_t n[6] = {0, 0, 0, 0, 0, 0};
    int64_t year, era, ms = 0, offset = 0;
    uint32_t of_era, of_year;
    size_t i;
    int field = 0;
    if (s.len < 20)
        return false;
    for (i = 0; i < 19; i++) {
        char c = s.at[i];
        if (shape[i] == 'd') {
            if (c < '0' || c > '9')
                return false;
            n[field] = n[field] * 10 + (c - '0');
        } else if (c == shape[i] || (shape[i] == 'T' && (c == 't' || c == ' '))) {
            field++;
        } else {
            return false;
        }
    }
    if (n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 60)
        return false;
    if (s.at[i] == '.') {
        int64_t unit = 100;
        for (i++; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++, unit /= 10)
            ms += unit * (s.at[i] - '0');
    }
    if (i + 6 == s.len && (s.at[i] == '+' || s.at[i] == '-')) {
        for (size_t k = i + 1; k < s.len; k++)
            if (k == i + 3 ? s.at[k] != ':' : s.at[k] < '0' || s.at[k] > '9')
                return false;
        offset = ((s.at[i + 1] - '0') * 10 + (s.at[i + 2] - '0')) * 60 + (s.at[i + 4] - '0') * 10 + (s.at[i + 5] - '0');
        if (s.at[i] == '-')
            offset = -offset;
    } else if (i + 1 != s.len || (s.at[i] != 'Z' && s.at[i] != 'z')) {
        return false;
    }
    year = n[0] - (n[1] <= 2); /* years that begin in March: the leap day comes last */
    era = (year >= 0 ? year : year - 399) / 400;
    of_era = (uint32_t)(year - era * 400);
    of_year = (uint32_t)((153 * (n[1] + (n[1] > 2 ? -3 : 9)) + 2) / 5 + n[2] - 1);
    *out = ((((era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468) * 24 + n[3]) * 60 + n[4] - offset) * 60 + n[5]) * 1000 + ms;
    return true;
}

/* Writes the 19 characters of the second `seconds` after 1970 UTC: 2026-11-23T07:44:42. */
WEIR_COLD void weir_time_second(uint64_t seconds, char *to)
{
    static const char shape[] = "0000-00-00T00:00:00";
    uint64_t days = seconds / 86400 + 719468, era = days / 146097;
    uint32_t rest = (uint32_t)(seconds % 86400), of_era = (uint32_t)(days - era * 146097);
    uint32_t year_of = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year_of + year_of / 4 - year_of / 100);
    uint32_t shifted = (5 * of_year + 2) / 153, month = shifted < 10 ? shifted + 3 : shifted - 9;
    uint32_t year = (uint32_t)(year_of + era * 400) + (month <= 2);
    uint32_t part[6];
    static const int place[6] = {0, 5, 8, 11, 14, 17};
    part[0] = year;
    part[1] = month;
    part[2] = of_year - (153 * shifted + 2) / 5 + 1;
    part[3] = rest / 3600;
    part[4] = rest / 60 % 60;
    part[5] = rest % 60;
    weir_copy(to, shape, 19);
    for (int i = 0; i < 6; i++)
        for (int k = i ? 1 : 3; k >= 0; k--, part[i] /= 10)
            to[place[i] + k] = (char)('0' + part[i] % 10);
}

/* Appends a time given in milliseconds since 1970 UTC as RFC 3339 with three fractional digits, 24
 * characters, without quotes. The text of the last second is kept: times of a feed come in runs. */
WEIR_COLD void weir_put_time(weir_buf *b, uint64_t ms)
{
    static uint64_t second = UINT64_MAX;
    static char text[24];
    char *to;
    uint32_t rest = (uint32_t)(ms % 1000);
    if (ms > 253402300799999) /* the last that has a year of four digits */
        ms = 253402300799999;
    if (ms / 1000 != second) {
        second = ms / 1000;
        weir_time_second(second, text);
        text[19] = '.';
        text[23] = 'Z';
    }
    if (!weir_buf_room(b, 24))
        return;
    to = b->at + b->len;
    __builtin_memcpy(to, text, 24);
    to[20] = (char)('0' + rest / 100);
    to[21] = (char)('0' + rest / 10 % 10);
    to[22] = (char)('0' + rest % 10);
    b->len += 24;
}

/* The host's clock in milliseconds since 1970 UTC; 0 if it would not say. */
WEIR_COLD uint64_t weir_time_ms(void)
{
    char room[64];
    weir_buf b = weir_buf_over(room, sizeof room);
    int64_t ms;
    if (!weir_block_take(weir_user_time_now(0), &b) || !weir_time_parse(weir_json_raw(weir_buf_str(&b)), &ms) || ms < 0)
        return 0;
    return (uint64_t)ms;
}

/* Waits. Other plugins and the network go on meanwhile. Newer hosts only: a module that calls this
 * does not load where the import is missing. */
WEIR_HOT void weir_sleep_ms(uint32_t milliseconds)
{
    weir_user_sleep_ms(milliseconds);
}

/* ---- Logs ---- */

/* Extism's own log levels, for the developer. The host frees the message's block. */
WEIR_COLD void weir_log_debug(weir_str message)
{
    uint64_t block = weir_block_of(message);
    if (block)
        weir_env_log_debug(block);
}
WEIR_COLD void weir_log_info(weir_str message)
{
    uint64_t block = weir_block_of(message);
    if (block)
        weir_env_log_info(block);
}
WEIR_COLD void weir_log_warn(weir_str message)
{
    uint64_t block = weir_block_of(message);
    if (block)
        weir_env_log_warn(block);
}
WEIR_COLD void weir_log_error(weir_str message)
{
    uint64_t block = weir_block_of(message);
    if (block)
        weir_env_log_error(block);
}

/* A record in the user's log: `event` is info, warn, error, debug or a word of your own; the host
 * stamps the time and puts the real plugin's name to it. */
WEIR_COLD void weir_log_record(const char *event, weir_str message)
{
    char room[2048];
    weir_buf b = weir_buf_over(room, sizeof room);
    uint64_t block;
    weir_put_text(&b, "{\"id\":0,\"pluginId\":\"\",\"timestamp\":\"0001-01-01T00:00:00Z\",\"eventType\":");
    weir_put_string(&b, weir_text(event));
    weir_put_text(&b, ",\"message\":");
    weir_put_string(&b, weir_slice(message.at, message.len < 300 ? message.len : 300));
    weir_put_text(&b, "}");
    if (b.failed || !(block = weir_block_of(weir_buf_str(&b))))
        return;
    weir_user_log_record(block);
    weir_env_free(block);
}

/* ---- Settings and variables ---- */

/* A value of the manifest's config, read into `out`; false if the user set none. */
WEIR_COLD bool weir_config_get(const char *key, weir_buf *out)
{
    return weir_block_take(weir_env_config_get(weir_block_of(weir_text(key))), out);
}

/* A variable: kept by the host as long as this instance lives, from call to call. */
WEIR_COLD bool weir_var_get(const char *key, weir_buf *out)
{
    return weir_block_take(weir_env_var_get(weir_block_of(weir_text(key))), out);
}

/* Sets a variable; an empty value deletes it. The host frees both blocks. */
WEIR_COLD void weir_var_set(const char *key, weir_str value)
{
    uint64_t name = weir_block_of(weir_text(key));
    weir_env_var_set(name, weir_block_of(value));
}

/* ---- Asking the host: one JSON document there, one back ---- */

/* Calls a host function that takes and gives a block, and reads the reply into `reply`. The request
 * may be the contents of `reply` itself. False if no reply came. */
WEIR_COLD bool weir_ask(uint64_t (*function)(uint64_t), const char *name, weir_str request, weir_buf *reply, weir_fail *fail)
{
    uint64_t block = weir_block_of(request), answer;
    if (!block)
        return weir_fail_set(fail, name, weir_slice(NULL, 0), ": no memory for the request");
    answer = function(block);
    weir_env_free(block); /* harmless where the host freed it already */
    if (!weir_block_take(answer, reply))
        return weir_fail_set(fail, name, weir_slice(NULL, 0), ": the host's reply is empty or too large");
    return true;
}

/* Judges a reply of the form {"success":bool,"error":text}. */
WEIR_COLD bool weir_succeeded(weir_str reply, const char *name, weir_fail *fail)
{
    char room[200];
    weir_buf text = weir_buf_over(room, sizeof room);
    weir_str why = weir_json_member(reply, "error");
    if (weir_json_true(weir_json_member(reply, "success")))
        return true;
    weir_put_text(&text, ": ");
    if (why.len > sizeof room - 4)
        weir_put(&text, why.at + 1, sizeof room - 4);
    else if (!weir_json_string(why, &text))
        weir_put_text(&text, "failed and the host did not say why");
    return weir_fail_set(fail, name, weir_buf_str(&text), "");
}

/* ---- HTTP ---- */

/* One exchange; reuse it for the next, zeroed at first. */
typedef struct weir_http {
    int status;       /* 200, 404 ... */
    weir_str body;    /* the reply's body; points into `room` */
    weir_str headers; /* JSON object of lists, {"Content-Type":["application/json"]}, or null */
    weir_buf room;
} weir_http;

/* Sends a request and waits for the reply. `headers` is a JSON object {"name":"value"} or empty.
 * Any status is a success here, 404 and 500 too: false means that no reply was had (address not
 * allowed, no such host, TLS, time-out). */
WEIR_COLD bool weir_http_request(weir_http *h, const char *method, weir_str url, weir_str headers, weir_str body, weir_fail *fail)
{
    weir_json_iter it;
    weir_str encoded = weir_slice(NULL, 0), why = weir_slice(NULL, 0);
    uint64_t status = 0;
    size_t len;
    weir_buf_clear(&h->room);
    weir_put_text(&h->room, "{\"url\":");
    weir_put_string(&h->room, url);
    weir_put_text(&h->room, ",\"method\":\"");
    weir_put_text(&h->room, method);
    weir_put_text(&h->room, "\",\"headers\":");
    weir_put_str(&h->room, headers.len ? headers : weir_text("null"));
    weir_put_text(&h->room, ",\"body\":");
    if (body.len) {
        weir_put_char(&h->room, '"');
        weir_put_base64(&h->room, body);
        weir_put_text(&h->room, "\"}");
    } else {
        weir_put_text(&h->room, "null}");
    }
    if (h->room.failed)
        return weir_fail_set(fail, "http_request '", url, "': no memory for the request");
    if (!weir_ask(weir_user_http_request, "http_request", weir_buf_str(&h->room), &h->room, fail))
        return false;
    h->body = h->headers = weir_slice(NULL, 0);
    for (it = weir_json_each(weir_buf_str(&h->room)); weir_json_next(&it);) {
        if (weir_is(it.key, "status") || (weir_is(it.key, "statusCode") && !status))
            weir_json_u64(it.value, &status);
        else if (weir_is(it.key, "headers"))
            h->headers = it.value;
        else if (weir_is(it.key, "body"))
            encoded = weir_json_raw(it.value);
        else if (weir_is(it.key, "error"))
            why = weir_json_raw(it.value).len ? it.value : why;
    }
    if (why.len || !status) {
        char room[200];
        weir_buf text = weir_buf_over(room, sizeof room);
        weir_put_text(&text, "': ");
        if (!weir_json_string(why, &text))
            weir_put_text(&text, why.len ? "refused at length" : "the host's reply has no status");
        return weir_fail_set(fail, "http_request '", url, "") || weir_fail_add(fail, weir_buf_str(&text));
    }
    len = weir_base64_decode(encoded, (char *)(uintptr_t)encoded.at);
    if (len == (size_t)-1)
        return weir_fail_set(fail, "http_request '", url, "': the body of the reply is no base64");
    h->body = weir_slice(encoded.at, len);
    h->status = (int)status;
    return true;
}

/* ---- WebSockets ---- */

typedef struct weir_ws {
    weir_buf in;       /* the last reply, the last message within */
    weir_buf out;      /* what weir_ws_send wraps */
    char id[128];      /* the connection's name as a JSON string, quotes included; empty when closed */
    char request[192]; /* the ws_receive request, the same every time */
    uint32_t id_len, request_len;
    int32_t timeout_ms; /* that `request` speaks of */
    bool binary;        /* the last message came as binary frame and is base64 here */
} weir_ws;

typedef enum weir_ws_event {
    WEIR_WS_MESSAGE, /* one frame */
    WEIR_WS_TIMEOUT, /* nothing came in time, which is no error */
    WEIR_WS_CLOSED   /* the connection is gone and stays gone */
} weir_ws_event;

/* Opens a connection and waits until it stands or fails. `headers` is a JSON object or empty,
 * `subprotocol` may be NULL. A weir_ws can be opened again after it was closed. */
WEIR_COLD bool weir_ws_connect(weir_ws *ws, const char *url, weir_str headers, const char *subprotocol, weir_fail *fail)
{
    weir_str id;
    ws->id_len = ws->request_len = 0;
    weir_buf_clear(&ws->in);
    weir_put_text(&ws->in, "{\"url\":");
    weir_put_string(&ws->in, weir_text(url));
    weir_put_text(&ws->in, ",\"headers\":");
    weir_put_str(&ws->in, headers.len ? headers : weir_text("null"));
    if (subprotocol) {
        weir_put_text(&ws->in, ",\"subprotocol\":");
        weir_put_string(&ws->in, weir_text(subprotocol));
    }
    weir_put_text(&ws->in, "}");
    if (ws->in.failed)
        return weir_fail_set(fail, "ws_connect '", weir_text(url), "': no memory for the request");
    if (!weir_ask(weir_user_ws_connect, "ws_connect", weir_buf_str(&ws->in), &ws->in, fail) ||
        !weir_succeeded(weir_buf_str(&ws->in), "ws_connect", fail))
        return false;
    id = weir_json_member(weir_buf_str(&ws->in), "connectionId");
    if (weir_json_kind_of(id) != WEIR_JSON_STRING || id.len > sizeof ws->id)
        return weir_fail_set(fail, "ws_connect '", weir_text(url), "': the host gave no usable connectionId");
    weir_copy(ws->id, id.at, id.len);
    ws->id_len = (uint32_t)id.len;
    return true;
}

/* Sends one text frame. */
WEIR_COLD bool weir_ws_send(weir_ws *ws, weir_str message, weir_fail *fail)
{
    weir_buf_clear(&ws->out);
    weir_put_text(&ws->out, "{\"connectionId\":");
    weir_put(&ws->out, ws->id_len ? ws->id : "\"\"", ws->id_len ? ws->id_len : 2);
    weir_put_text(&ws->out, ",\"message\":");
    weir_put_string(&ws->out, message);
    weir_put_text(&ws->out, "}");
    if (ws->out.failed)
        return weir_fail_set(fail, "ws_send", weir_slice(NULL, 0), ": no memory for the request");
    return weir_ask(weir_user_ws_send, "ws_send", weir_buf_str(&ws->out), &ws->out, fail) &&
           weir_succeeded(weir_buf_str(&ws->out), "ws_send", fail);
}

/* Reads a ws_receive reply whose members stand in another order than Weir's. */
WEIR_COLD weir_ws_event weir_ws_reply(weir_ws *ws, weir_str *message, weir_fail *fail)
{
    weir_str text = weir_slice(NULL, 0), reply = weir_buf_str(&ws->in);
    weir_json_iter it = weir_json_each(reply);
    bool timeout = false, success = false;
    const char *stop;
    char *to;
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "message"))
            text = it.value;
        else if (weir_is(it.key, "timeout"))
            timeout = weir_json_true(it.value);
        else if (weir_is(it.key, "success"))
            success = weir_json_true(it.value);
        else if (weir_is(it.key, "binary"))
            ws->binary = weir_json_true(it.value);
    }
    if (!success || it.bad) {
        weir_succeeded(success ? weir_slice(NULL, 0) : reply, "ws_receive", fail);
        return WEIR_WS_CLOSED;
    }
    if (timeout || weir_json_kind_of(text) != WEIR_JSON_STRING)
        return WEIR_WS_TIMEOUT;
    to = weir_json_unquote(text.at + 1, text.at + text.len, ws->in.at, &stop);
    if (!to) {
        weir_fail_set(fail, "ws_receive", weir_slice(NULL, 0), ": the host's reply is no JSON");
        return WEIR_WS_CLOSED;
    }
    *message = weir_slice(ws->in.at, (size_t)(to - ws->in.at));
    return WEIR_WS_MESSAGE;
}

/* Waits for the next message, at most `timeout_ms` (-1: do not wait, 0: as long as the host allows).
 * The message is good until the next call with this ws. This is the hot path: the request is built
 * once and its octets kept, both blocks are freed, and the reply is read once, decoded in place. */
WEIR_COLD weir_ws_event weir_ws_receive(weir_ws *ws, int32_t timeout_ms, weir_str *message, weir_fail *fail)
{
    static const char usual[] = "{\"success\":true,\"message\":\"";
    uint64_t request, reply;
    const char *stop;
    char *to;
    if (timeout_ms != ws->timeout_ms || !ws->request_len) {
        weir_buf b = weir_buf_over(ws->request, sizeof ws->request);
        weir_put_text(&b, "{\"connectionId\":");
        weir_put(&b, ws->id_len ? ws->id : "\"\"", ws->id_len ? ws->id_len : 2);
        weir_put_text(&b, ",\"timeoutMs\":");
        weir_put_i64(&b, timeout_ms);
        weir_put_text(&b, ",\"raw\":true}"); /* Weir answers `=` and the message; others do not know it and answer JSON */
        ws->request_len = (uint32_t)b.len;
        ws->timeout_ms = timeout_ms;
    }
    ws->binary = false;
    request = weir_block_of(weir_slice(ws->request, ws->request_len));
    reply = weir_user_ws_receive(request);
    weir_env_free(request);
    if (!weir_block_take(reply, &ws->in)) {
        weir_fail_set(fail, "ws_receive", weir_slice(NULL, 0), ": the host's reply is empty or too large");
        return WEIR_WS_CLOSED;
    }
    if (ws->in.at[0] == '=') {
        *message = weir_slice(ws->in.at + 1, ws->in.len - 1);
        return WEIR_WS_MESSAGE;
    }
    if (!weir_starts(weir_buf_str(&ws->in), weir_slice(usual, sizeof usual - 1)))
        return weir_ws_reply(ws, message, fail);
    to = weir_json_unquote(ws->in.at + sizeof usual - 1, ws->in.at + ws->in.len, ws->in.at, &stop);
    if (!to) {
        weir_fail_set(fail, "ws_receive", weir_slice(NULL, 0), ": the host's reply is no JSON");
        return WEIR_WS_CLOSED;
    }
    if (*stop != '}') /* more members: only a binary frame has them */
        ws->binary = weir_starts(weir_slice(stop, (size_t)(ws->in.at + ws->in.len - stop)), weir_text(",\"binary\":true"));
    *message = weir_slice(ws->in.at, (size_t)(to - ws->in.at));
    return WEIR_WS_MESSAGE;
}

/* Closes the connection. May be called again, and from an export nested in weir_ws_receive: it uses
 * nothing of `ws` but its name. */
WEIR_COLD bool weir_ws_close(const weir_ws *ws, weir_fail *fail)
{
    char room[512];
    weir_buf b = weir_buf_over(room, sizeof room);
    if (!ws->id_len)
        return true;
    weir_put_text(&b, "{\"connectionId\":");
    weir_put(&b, ws->id, ws->id_len);
    weir_put_text(&b, "}");
    return weir_ask(weir_user_ws_close, "ws_close", weir_buf_str(&b), &b, fail) &&
           weir_succeeded(weir_buf_str(&b), "ws_close", fail);
}

/* ---- Frames, for plugins whose sockets the host owns ----
 *
 * A stream whose marker says "raw":true gets each frame as `=`, its streamID, a line break and the frame's own octets. A
 * host that does not know the member gives JSON, with the frame as base64. Both are taken here:
 *
 *     WEIR_EXPORT(handle_stream_message)
 *     {
 *         weir_frame f;
 *         if (!weir_frame_read(&f)) ...                                                          */

typedef struct weir_frame {
    weir_str id;   /* as the marker has it; where the host gives JSON, still escaped */
    weir_str text; /* both stay until the next call */
} weir_frame;

/* {"streamId","message": base64, ...}; decodes over the message. */
WEIR_COLD bool weir_frame_json(weir_frame *f, weir_str input)
{
    weir_json_iter it = weir_json_each(input);
    char *at = NULL;
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "streamId"))
            f->id = weir_json_raw(it.value);
        else if (weir_is(it.key, "message"))
            f->text = weir_json_raw(it.value);
    }
    if (it.bad || !f->text.at)
        return false;
    at = (char *)(uintptr_t)f->text.at;
    f->text.len = weir_base64_decode(f->text, at);
    return true;
}

/* Reads handle_stream_message's input. False: it is no frame. */
WEIR_COLD bool weir_frame_read(weir_frame *f)
{
    static weir_buf in;
    size_t i = 1;
    f->id = f->text = weir_slice(NULL, 0);
    if (!weir_input_read(&in) || in.len == 0)
        return false;
    if (in.at[0] != '=')
        return weir_frame_json(f, weir_buf_str(&in));
    while (i < in.len && in.at[i] != '\n')
        i++;
    if (i == in.len)
        return false;
    f->id = weir_slice(in.at + 1, i - 1);
    f->text = weir_slice(in.at + i + 1, in.len - i - 1);
    return true;
}

/* ---- Publishing ----
 *
 * A publisher serves one stream. It keeps the octets that are the same in every record:
 *
 *     weir_publish_open(&p, key);                          once, with start_stream's input
 *     weir_buf *b = weir_publish_begin(&p, ms);            for every record
 *     weir_put_text(b, "{\"price\":");                     ... exactly one JSON value
 *     weir_publish_end(&p, &fail);                                                           */

typedef struct weir_publisher {
    weir_buf json;
    size_t head; /* octets that stay */
} weir_publisher;

/* Takes the key (a JSON object) to be echoed in every record. */
WEIR_COLD bool weir_publish_open(weir_publisher *p, weir_str key, weir_fail *fail)
{
    weir_buf_clear(&p->json);
    weir_put_text(&p->json, "{\"key\":");
    weir_put_str(&p->json, key);
    weir_put_text(&p->json, ",\"timestamp\":\"");
    p->head = p->json.len;
    return !p->json.failed || weir_fail_set(fail, "publish_stream_data", weir_slice(NULL, 0), ": no memory for the key");
}

/* Begins a record that happened `ms` milliseconds after 1970 UTC; append its data to the buffer. */
WEIR_COLD weir_buf *weir_publish_begin(weir_publisher *p, uint64_t ms)
{
    p->json.len = p->head;
    p->json.failed = false;
    weir_put_time(&p->json, ms);
    weir_put_text(&p->json, "\",\"data\":");
    return &p->json;
}

/* Hands the record to the host. */
WEIR_COLD bool weir_publish_end(weir_publisher *p, weir_fail *fail)
{
    uint64_t block, reply;
    char room[512];
    weir_buf text = weir_buf_over(room, sizeof room);
    weir_put_char(&p->json, '}');
    if (p->json.failed || !(block = weir_block_of(weir_buf_str(&p->json))))
        return weir_fail_set(fail, "publish_stream_data", weir_slice(NULL, 0), ": no memory for the record");
    reply = weir_user_publish_stream_data(block);
    weir_env_free(block);
    if (!weir_block_take(reply, &text))
        return weir_fail_set(fail, "publish_stream_data", weir_slice(NULL, 0), ": the host's reply is empty or too large");
    return weir_starts(weir_buf_str(&text), weir_text("{\"success\":true")) || weir_succeeded(weir_buf_str(&text), "publish_stream_data", fail);
}

#ifdef __cplusplus
}
#endif

#endif
