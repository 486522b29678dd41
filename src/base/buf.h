/* A growing byte buffer with a ceiling given at birth.
 *
 * Adding never returns an error: a buffer that ran out of memory or over its ceiling is `failed`,
 * keeps what it had, ignores what follows, and is asked once at the end. Clearing keeps the
 * memory, so a buffer used again and again stops allocating. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct buf {
    char *at;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
} buf;

void buf_init(buf *b, size_t max);
void buf_fini(buf *b);
void buf_clear(buf *b);                 /* forgets contents and failure, keeps the memory */
bool buf_reserve(buf *b, size_t extra); /* room for `extra` more octets behind `len` */
void buf_add(buf *b, const void *at, size_t len);
void buf_add_bytes(buf *b, bytes piece);
void buf_add_text(buf *b, const char *text);
void buf_add_char(buf *b, char c);
void buf_add_u64(buf *b, uint64_t value); /* decimal */
void buf_add_i64(buf *b, int64_t value);
void buf_add_fmt(buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_consume(buf *b, size_t len); /* drops octets from the front */

static inline bytes buf_bytes(const buf *b)
{
    return (bytes){b->at, b->len};
}

#endif
