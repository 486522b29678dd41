/* A borrowed piece of memory: where it starts and how long it is. Never owned, never NUL-terminated. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct bytes {
    const char *at;
    size_t len;
} bytes;

/* For printf("%.*s"): error texts quote at most 200 octets of what came from outside. */
#define BYTES_FMT "%.*s"
#define BYTES_ARG(b) (int)((b).len > 200 ? 200 : (b).len), (b).at ? (b).at : ""

/* BYTES("literal") */
#define BYTES(literal) ((bytes){"" literal, sizeof(literal) - 1})

static inline bytes bytes_of(const char *text)
{
    return (bytes){text, text ? strlen(text) : 0};
}

static inline bytes bytes_make(const void *at, size_t len)
{
    return (bytes){at, len};
}

static inline bool bytes_equal(bytes a, bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool bytes_is(bytes a, const char *text)
{
    return bytes_equal(a, bytes_of(text));
}

static inline bool bytes_starts(bytes a, bytes prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.at, prefix.at, prefix.len) == 0);
}

/* A heap copy with a NUL behind it; NULL when out of memory. */
char *bytes_dup(bytes b);

/* True if the octets are well-formed UTF-8 (no surrogates, no overlong forms). */
bool bytes_utf8(bytes b);

/* How many octets at the front are well-formed UTF-8: b.len if all are. */
size_t bytes_utf8_prefix(bytes b);

/* A quick hash for tables of one process; whoever faces foreign octets gives a secret seed. */
uint64_t bytes_hash(bytes b, uint64_t seed);

/* The length of the character that `b` begins with, 1 to 4; 0 if it begins with none. */
size_t bytes_utf8_char(bytes b);

#endif
