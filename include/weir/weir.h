/* weir.h: run sandboxed market-data plugins inside a C program. (The whole public API; being written.) */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every result there is: its name, and its text where no better one is known. */
#define WEIR_CODES(X)                                                  \
    X(OK, "success")                                                   \
    X(NOMEM, "out of memory")                                          \
    X(INVALID, "an argument, a message or a file does not make sense") \
    X(NOT_FOUND, "there is no such thing")                             \
    X(REFUSED, "a permission or a rule does not allow it")             \
    X(LIMIT, "a limit is reached")                                     \
    X(TRAPPED, "the plugin stopped with a trap")                       \
    X(FAILED, "the plugin says it failed")                             \
    X(TIMEOUT, "it took too long")                                     \
    X(CANCELLED, "it was cancelled")                                   \
    X(CLOSED, "the other side closed the connection")                  \
    X(NETWORK, "the network or the other side failed")                 \
    X(SYSTEM, "the operating system refused")                          \
    X(UNSUPPORTED, "this cannot be done here")                         \
    X(BUSY, "something else is going on with it")

typedef enum weir_code {
#define X(name, text) WEIR_##name,
    WEIR_CODES(X)
#undef X
} weir_code;

#define WEIR_ERROR_TEXT 512

typedef struct weir_error {
    weir_code code;
    char text[WEIR_ERROR_TEXT];
} weir_error;

/* clang-format off */
#define WEIR_ERROR_INIT {WEIR_OK, {0}}
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
