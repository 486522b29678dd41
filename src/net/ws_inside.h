/* ws_inside.h: what the files of the WebSocket codec share. Nobody else includes it. */
#ifndef NET_WS_INSIDE_H
#define NET_WS_INSIDE_H

#include <stdlib.h>

#include "net/ws.h"

/* ---- ws_store.c: octets that wait: added behind, taken from the front ---- */

typedef struct store {
    char *at;
    size_t start, len, cap;
    size_t peak; /* the most it held since the last store_relax */
    size_t high; /* and in the calls of it before, `round` of them */
    uint8_t round;
    bool lent; /* `at` is the thread's buffer, not the heap */
} store;

#define STORE_SMALL 4096       /* what an idle connection may keep */
#define STORE_GIANT (1u << 20) /* larger ones are given back at once */

/* Room for `extra` more octets: where they go, or NULL when out of memory. `extra` may be 0. */
char *store_room(store *s, size_t extra);
bool store_add(store *s, const void *at, size_t len);
void store_take(store *s, size_t len);
/* After each use: a buffer that was much larger than needed for some 32 uses, or is giant and as good as
 * empty, is given back. */
void store_relax(store *s);
void store_drop(store *s); /* frees it (or forgets a lent one) */

static inline size_t store_heap(const store *s)
{
    return s->lent ? 0 : s->cap;
}

/* ---- ws_scratch.c: the thread's buffers ---- */

#define SCRATCH_IN (64u << 10)
#define SCRATCH_OUT (64u << 10)
#define SCRATCH_SEND (192u << 10)

typedef struct scratch {
    const ws *reader; /* whose octets lie, or will lie, in `in` */
    bool parsing;     /* `in` is being parsed */
    bool out_lent, send_lent;
    char in[SCRATCH_IN];
    char out[SCRATCH_OUT];
    char send[SCRATCH_SEND]; /* what one codec says between ws_gather and ws_keep */
} scratch;

scratch *scratch_get(void);  /* NULL when out of memory */
uint32_t scratch_mask(void); /* four octets of the kernel's randomness */

/* ---- ws_utf8.c ---- */

/* Between two pieces of a text: how many continuation octets are due, and what the next may be. */
typedef struct utf8 {
    uint8_t due, low, high;
} utf8;

/* False once the text cannot become well-formed any more. A text is whole when nothing is due. */
bool utf8_feed(utf8 *u, const char *at, size_t len);

/* ---- ws_mask.c ---- */

/* to[i] = from[i] ^ mask octet (phase + i) % 4. `to` and `from` may be the same. `mask` in memory order. */
void mask_copy(char *to, const char *from, size_t len, uint32_t mask, size_t phase);

/* ---- ws_deflate.c ---- */

typedef struct zip zip;

zip *zip_new(const ws_options *o); /* NULL when out of memory; zlib's own state comes when it is needed */
void zip_free(zip *z);
void zip_trim(zip *z); /* frees the states that carry nothing from message to message */
size_t zip_memory(const zip *z);

typedef enum unzip_code { UNZIP_OK,
                          UNZIP_BAD,
                          UNZIP_TOO_BIG,
                          UNZIP_NOMEM } unzip_code;

/* Appends what a piece of a compressed message inflates to, `out` never over `max`; `last` ends the
 * message. After anything but UNZIP_OK the connection is beyond use. */
unzip_code unzip(zip *z, const char *in, size_t len, bool last, store *out, size_t max);

/* Appends the message compressed, without the four octets that every one ends with. On failure (out of
 * memory) `out` is as it was and later messages are good all the same. */
bool zip_message(zip *z, bytes message, store *out);

#endif
