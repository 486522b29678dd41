/* kernel.h: the exchange memory of one instance and its allocator.
 *
 * One region at a fixed address; a handle is an offset into it and also where a host finds the
 * octets. All operations are O(1) and allocate nothing: every block has a header of the host's own
 * beside the region, since the guest can write anywhere in the region and must not be able to
 * confuse the allocator. Frequent operations: load and store (the guest moves everything eight
 * octets at a time), then alloc and length.
 *
 * Long calls. A call that streams for days must not grow: kernel_request_done and
 * kernel_reply_given mark blocks that the guest no longer needs. The last of each kind stays; those
 * before are recycled at the next alloc, and not while a call has made less than 8 KiB of blocks.
 * The guest may free them itself, once or twice. What output_set and error_set name stays until
 * the call ends. */
#ifndef EXTISM_KERNEL_H
#define EXTISM_KERNEL_H

#include "base/bytes.h"

typedef struct kernel kernel;

kernel *kernel_new(uint64_t max); /* octets at most; NULL: out of memory or address space */
void kernel_free(kernel *k);

uint64_t kernel_alloc(kernel *k, uint64_t len);     /* 0 when len is 0 or there is no room */
void kernel_release(kernel *k, uint64_t offset);    /* anything but an active block's start is ignored */
uint64_t kernel_length(kernel *k, uint64_t offset); /* 0 for anything but an active block's start */
uint8_t *kernel_base(kernel *k);
uint64_t kernel_size(kernel *k);  /* the memory's present size, whole pages: END of the range rules */
uint64_t kernel_arena(kernel *k); /* what memory_bytes answers: the part of it that blocks may use */

uint8_t kernel_load_u8(kernel *k, uint64_t at);
uint64_t kernel_load_u64(kernel *k, uint64_t at);
void kernel_store_u8(kernel *k, uint64_t at, uint8_t octet);
void kernel_store_u64(kernel *k, uint64_t at, uint64_t octets);

void kernel_input_set(kernel *k, uint64_t at, uint64_t len);
void kernel_output_set(kernel *k, uint64_t at, uint64_t len);
void kernel_error_set(kernel *k, uint64_t at);
uint64_t kernel_input_offset(kernel *k);
uint64_t kernel_input_length(kernel *k);
uint64_t kernel_output_offset(kernel *k);
uint64_t kernel_output_length(kernel *k);
uint64_t kernel_error(kernel *k);

/* Drops all blocks, zeroes what they held and what the slots say. Costs what the call used; after
 * a call that used much, its pages go back to the system, unless the one before it used much, too. */
void kernel_reset(kernel *k);

/* The recorded output, clamped to the memory. */
bytes kernel_output(kernel *k);
bytes kernel_block(kernel *k, uint64_t offset); /* len 0: no active block starts there */

/* What a nested call saves and restores: input, output, error. */
typedef struct kernel_slots {
    uint64_t input_at, input_len, output_at, output_len, error_at;
} kernel_slots;
kernel_slots kernel_save(kernel *k);
void kernel_restore(kernel *k, kernel_slots slots);

/* Recycling inside a long call. */
void kernel_request_done(kernel *k, uint64_t offset); /* a host function is through with its argument */
void kernel_reply_given(kernel *k, uint64_t offset);  /* this block is what it answers */

uint64_t kernel_used(kernel *k);        /* octets in active blocks */
uint64_t kernel_block_count(kernel *k); /* active blocks */

#endif
