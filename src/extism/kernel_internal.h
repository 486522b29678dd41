/* kernel_internal.h: the kernel's state, for kernel.c and the imports that must be a few instructions.
 *
 * A guest moves everything through load and store, eight octets a call, so imports.c reaches into
 * the region directly. Nobody else includes this. */
#ifndef EXTISM_KERNEL_INTERNAL_H
#define EXTISM_KERNEL_INTERNAL_H

#include "extism/kernel.h"
#include "extism/room.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "guest octets are little endian and copied as they are");

#define KERNEL_PAGE UINT64_C(65536)
#define KERNEL_FIRST_OCTET 64 /* nothing below can be loaded or stored by octet; by eight the last one counts */
#define KERNEL_ROOT 65        /* where the arena starts: the first block's gap, then handle 77 */
#define KERNEL_GAP 12         /* octets before each block, where upstream keeps a header */
#define KERNEL_CLASSES 128

#define KERNEL_RESTING 4

typedef enum block_state {
    BLOCK_FREE,
    BLOCK_RESTING, /* free, but not yet joined with its neighbours: the next of its size gets it as it is */
    BLOCK_ACTIVE,
    BLOCK_DONE, /* active still, but the guest needs it no longer: free from the next alloc on */
} block_state;

/* What the host knows of a block. Ids count from 1; 0 is none. */
typedef struct block {
    uint32_t start, cap, used;
    uint32_t before, after; /* neighbours by address */
    uint32_t prev, next;    /* in a free list or the list of done blocks */
    uint32_t state;
} block;

struct kernel {
    uint8_t *base;
    uint64_t size;  /* octets of memory the guest has */
    uint64_t arena; /* octets the allocator believes in, from KERNEL_ROOT */
    uint64_t bump;  /* octets of them handed out, never taken back before a reset */
    kernel_slots slots;

    uint64_t fresh_until; /* bump position up to which nothing is reused */
    bool input_seen;      /* since the reset */
    uint64_t max_arena;
    uint64_t kept; /* octets whose pages were kept though they are many */
    bool much;     /* the call before used many */
    uint64_t used;
    uint64_t active;
    block *records;       /* behind the first, since they grow down; here, heads of free lists and the index begin */
    uint32_t block_top;   /* ids ever used since the reset */
    uint32_t spare_ids;   /* ids of merged blocks, linked by next */
    uint32_t first, last; /* by address */
    uint32_t done;        /* list of BLOCK_DONE */
    uint32_t last_request, last_reply;
    uint32_t resting[KERNEL_RESTING], rest_next; /* the places are taken in turns */
    uint64_t free_map[KERNEL_CLASSES / 64];

    room room;
    size_t pool_len; /* octets of block records */
};

static inline bool kernel_reaches_u8(const kernel *k, uint64_t at)
{
    return at - KERNEL_FIRST_OCTET < k->size - KERNEL_FIRST_OCTET;
}

static inline bool kernel_reaches_u64(const kernel *k, uint64_t at)
{
    return at - (KERNEL_FIRST_OCTET - 7) <= k->size - 8 - (KERNEL_FIRST_OCTET - 7);
}

/* Upstream's range test lets exactly one address too many pass, and the access then traps. */
static inline bool kernel_traps_u8(const kernel *k, uint64_t at)
{
    return at == k->size;
}

static inline bool kernel_traps_u64(const kernel *k, uint64_t at)
{
    return at == k->size - 7;
}

static inline uint64_t kernel_peek_u64(const kernel *k, uint64_t at)
{
    uint64_t octets;
    memcpy(&octets, k->base + at, sizeof octets);
    return octets;
}

static inline void kernel_poke_u64(kernel *k, uint64_t at, uint64_t octets)
{
    memcpy(k->base + at, &octets, sizeof octets);
}

#endif
