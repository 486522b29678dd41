/* Exchange memory and its allocator.
 *
 * A kernel has one place of address space (room.h), lazily touched:
 *
 *     | block records, growing down | heads of free lists | index, growing up | exchange memory |
 *
 * The page in the middle holds the first records, the heads and the first entries of the index, so
 * an instance that was asked little costs that page and one of exchange memory, and one that never
 * had a block costs neither. The guest reaches exchange memory only; what it writes there cannot
 * mislead the allocator.
 *
 * Layout in the region is upstream's: the first block at 77, each next one 12 octets behind the end
 * of the last. Fresh memory comes first (a short call never sees an address twice); when a call has
 * used more than FRESH octets, freed blocks are preferred, so that a call of days stays in a few
 * pages. Who talks to the host in a loop frees and asks for the same few sizes again and again, so the blocks
 * freed last rest as they are, and one that fits is given out as it is. The others are found by size class (four
 * for each power of two) and a bitmap, joined with free neighbours, and split when much is left over.
 *
 * Frequent: load and store (kernel_internal.h), then alloc and length; reset once a call. */
#include "extism/kernel_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HOST_PAGE ((size_t)4096)
#define FRESH (8 * 1024)
#define KEEP (128 * 1024)        /* a call that used more gives its pages back, */
#define KEEP_AGAIN (4096 * 1024) /* but not up to this, where the one before it used more, too */
#define SPLIT_FROM 128           /* octets left over that are worth a block */
#define FIRST_RECORDS 48         /* block records on the page in the middle */
#define HEADS (KERNEL_CLASSES * sizeof(uint32_t))
#define FIRST_PAGES 16 /* what upstream's memory starts with; the allocator believes in one */
#define MAX_EXCHANGE (UINT64_C(65000) * KERNEL_PAGE)
#define CLASS_SCAN 8 /* entries looked at in the one class whose blocks may be too small */

_Static_assert(sizeof(block) == 32, "records stay aligned");
_Static_assert(FIRST_RECORDS * sizeof(block) + HEADS + 1024 <= HOST_PAGE, "what a short call needs fits one page");

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

kernel *kernel_new(uint64_t max)
{
    uint64_t pages = max < KERNEL_PAGE ? 1 : (max > MAX_EXCHANGE ? MAX_EXCHANGE : max + KERNEL_PAGE - 1) / KERNEL_PAGE;
    uint64_t exchange = (pages + FIRST_PAGES - 1) * KERNEL_PAGE;
    size_t records = round_up((pages * KERNEL_PAGE / (KERNEL_GAP + 1) + 1) * sizeof(block), HOST_PAGE);
    size_t own = FIRST_RECORDS * sizeof(block) + HEADS;
    size_t meta = round_up(own + (exchange / 8 + 1) * sizeof(uint32_t), HOST_PAGE);

    kernel *k = calloc(1, sizeof *k);
    if (!k || !room_take(&k->room, records + meta + exchange)) {
        free(k);
        return NULL;
    }
    k->pool_len = records + FIRST_RECORDS * sizeof(block);
    k->records = (block *)(k->room.at + k->pool_len);
    k->base = (uint8_t *)(k->room.at + records + meta);
    k->size = FIRST_PAGES * KERNEL_PAGE;
    k->arena = KERNEL_PAGE - KERNEL_FIRST_OCTET;
    k->max_arena = pages * KERNEL_PAGE - KERNEL_FIRST_OCTET;
    k->fresh_until = FRESH;
    return k;
}

void kernel_free(kernel *k)
{
    if (!k)
        return;
    room_give(&k->room);
    free(k);
}

/* ---- Block records ---- */

static inline block *block_at(kernel *k, uint32_t id)
{
    return k->records - id;
}

/* By size class: the first free block. */
static inline uint32_t *heads(kernel *k)
{
    return (uint32_t *)k->records;
}

/* By offset / 8: the block that starts there. Two never share one: blocks are 13 octets apart. */
static inline uint32_t *index_of(kernel *k)
{
    return (uint32_t *)k->records + KERNEL_CLASSES;
}

static uint32_t id_take(kernel *k)
{
    uint32_t id = k->spare_ids;
    if (id)
        k->spare_ids = block_at(k, id)->next;
    else
        id = ++k->block_top;
    assert(id * sizeof(block) <= k->pool_len);
    return id;
}

/* The active block that starts at `offset`, or 0. */
static inline uint32_t block_find(kernel *k, uint64_t offset)
{
    if (offset >= k->size)
        return 0;
    uint32_t id = index_of(k)[offset / 8];
    if (!id)
        return 0;
    const block *b = block_at(k, id);
    return b->start == offset && b->state >= BLOCK_ACTIVE ? id : 0;
}

static void list_put(kernel *k, uint32_t *head, uint32_t id)
{
    block *b = block_at(k, id);
    b->prev = 0;
    b->next = *head;
    if (*head)
        block_at(k, *head)->prev = id;
    *head = id;
}

static void list_cut(kernel *k, uint32_t *head, uint32_t id)
{
    block *b = block_at(k, id);
    if (b->prev)
        block_at(k, b->prev)->next = b->next;
    else
        *head = b->next;
    if (b->next)
        block_at(k, b->next)->prev = b->prev;
}

/* ---- Free blocks by size ---- */

static inline uint32_t class_of(uint32_t cap)
{
    uint32_t power = 31 - (uint32_t)__builtin_clz(cap);
    uint32_t quarter = power >= 2 ? (cap >> (power - 2)) & 3 : (cap << (2 - power)) & 3;
    return power * 4 + quarter;
}

static void free_put(kernel *k, uint32_t id)
{
    uint32_t class = class_of(block_at(k, id)->cap);
    block_at(k, id)->state = BLOCK_FREE;
    list_put(k, &heads(k)[class], id);
    k->free_map[class / 64] |= UINT64_C(1) << (class % 64);
}

static void free_cut(kernel *k, uint32_t id)
{
    uint32_t class = class_of(block_at(k, id)->cap);
    list_cut(k, &heads(k)[class], id);
    if (!heads(k)[class])
        k->free_map[class / 64] &= ~(UINT64_C(1) << (class % 64));
}

/* The lowest class from `class` on that has a block, or KERNEL_CLASSES. */
static uint32_t class_next(const kernel *k, uint32_t class)
{
    for (uint32_t word = class / 64; word < KERNEL_CLASSES / 64; word++) {
        uint64_t bits = k->free_map[word];
        if (word == class / 64)
            bits &= ~UINT64_C(0) << (class % 64);
        if (bits)
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return KERNEL_CLASSES;
}

static uint32_t free_fit(kernel *k, uint32_t len)
{
    uint32_t class = class_of(len);
    uint32_t id = heads(k)[class];
    for (int i = 0; id && i < CLASS_SCAN; i++, id = block_at(k, id)->next)
        if (block_at(k, id)->cap >= len)
            return id;
    class = class + 1 < KERNEL_CLASSES ? class_next(k, class + 1) : KERNEL_CLASSES;
    return class < KERNEL_CLASSES ? heads(k)[class] : 0;
}

/* Puts a new record behind `id` in the order of addresses. */
static uint32_t block_insert(kernel *k, uint32_t before, uint32_t start, uint32_t cap)
{
    uint32_t id = id_take(k);
    uint32_t after = before ? block_at(k, before)->after : 0;
    *block_at(k, id) = (block){.start = start, .cap = cap, .before = before, .after = after};
    if (before)
        block_at(k, before)->after = id;
    else
        k->first = id;
    if (after)
        block_at(k, after)->before = id;
    else
        k->last = id;
    index_of(k)[start / 8] = id;
    return id;
}

/* Joins the block behind `id` to it; both are in no list. */
static void block_join(kernel *k, uint32_t id)
{
    block *b = block_at(k, id);
    uint32_t gone = b->after;
    block *g = block_at(k, gone);
    b->cap += KERNEL_GAP + g->cap;
    b->after = g->after;
    if (g->after)
        block_at(k, g->after)->before = id;
    else
        k->last = id;
    index_of(k)[g->start / 8] = 0;
    g->next = k->spare_ids;
    k->spare_ids = gone;
}

/* Joined with its free neighbours, it can be found by size. */
static void block_give(kernel *k, uint32_t id)
{
    const block *b = block_at(k, id);
    if (b->after && block_at(k, b->after)->state == BLOCK_FREE) {
        free_cut(k, b->after);
        block_join(k, id);
    }
    if (b->before && block_at(k, b->before)->state == BLOCK_FREE) {
        id = b->before;
        free_cut(k, id);
        block_join(k, id);
    }
    free_put(k, id);
}

static void block_rest(kernel *k, uint32_t id)
{
    uint32_t *place = &k->resting[k->rest_next++ % KERNEL_RESTING];
    if (*place)
        block_give(k, *place);
    *place = id;
    block_at(k, id)->state = BLOCK_RESTING;
}

static void rest_is_over(kernel *k)
{
    for (int i = 0; i < KERNEL_RESTING; i++) {
        if (k->resting[i])
            block_give(k, k->resting[i]);
        k->resting[i] = 0;
    }
}

static void block_release(kernel *k, uint32_t id)
{
    block *b = block_at(k, id);
    if (b->state == BLOCK_DONE)
        list_cut(k, &k->done, id);
    if (id == k->last_reply)
        k->last_reply = 0;
    if (id == k->last_request)
        k->last_request = 0;
    k->used -= b->used;
    k->active--;
    block_rest(k, id);
}

static uint64_t block_activate(kernel *k, uint32_t id, uint32_t len)
{
    block *b = block_at(k, id);
    b->used = len;
    b->state = BLOCK_ACTIVE;
    k->used += len;
    k->active++;
    return b->start;
}

/* ---- Allocation ---- */

/* Output, error and input stay until the call ends, whoever else was given the block. */
static bool block_named(const kernel *k, const block *b)
{
    const kernel_slots *s = &k->slots;
    uint64_t end = (uint64_t)b->start + b->cap;
    return (s->output_len && s->output_at < end && (s->output_at >= b->start || s->output_len > b->start - s->output_at)) ||
           (s->error_at >= b->start && s->error_at < end) || s->input_at == b->start;
}

static __attribute__((noinline)) void recycle(kernel *k)
{
    while (k->done) {
        uint32_t id = k->done;
        block *b = block_at(k, id);
        if (block_named(k, b)) {
            list_cut(k, &k->done, id);
            b->state = BLOCK_ACTIVE;
        } else {
            block_release(k, id);
        }
    }
}

/* One that rests and is no larger than it must be, or 0. */
static uint32_t rest_fit(kernel *k, uint32_t len)
{
    for (int i = 0; i < KERNEL_RESTING; i++) {
        uint32_t id = k->resting[i];
        if (id && block_at(k, id)->cap >= len && block_at(k, id)->cap - len < SPLIT_FROM) {
            k->resting[i] = 0;
            return id;
        }
    }
    return 0;
}

/* Apart, so that the usual way stays short. */
static __attribute__((noinline)) uint64_t alloc_searched(kernel *k, uint32_t len)
{
    uint32_t id = free_fit(k, len);
    if (!id) {
        rest_is_over(k);
        id = free_fit(k, len);
    }
    if (!id)
        return 0;
    free_cut(k, id);
    block *b = block_at(k, id);
    if (b->cap - len >= SPLIT_FROM) {
        uint32_t rest = block_insert(k, id, b->start + len + KERNEL_GAP, b->cap - len - KERNEL_GAP);
        b->cap = len;
        free_put(k, rest);
    }
    return block_activate(k, id, len);
}

static uint64_t alloc_reused(kernel *k, uint32_t len)
{
    if (k->done)
        recycle(k);
    uint32_t id = rest_fit(k, len);
    return id ? block_activate(k, id, len) : alloc_searched(k, len);
}

static inline uint64_t arena_left(const kernel *k)
{
    return k->arena - k->bump - KERNEL_FIRST_OCTET;
}

static bool arena_grow(kernel *k, uint64_t missing)
{
    uint64_t grown = (missing + KERNEL_PAGE - 1) / KERNEL_PAGE * KERNEL_PAGE;
    if (grown > k->max_arena - k->arena)
        return false;
    k->arena += grown;
    k->size += grown;
    return true;
}

static __attribute__((noinline)) uint64_t alloc_fresh(kernel *k, uint64_t len)
{
    uint64_t need = len + KERNEL_GAP, left = arena_left(k);
    if (need >= left && !arena_grow(k, need - left))
        return 0;
    uint64_t start = KERNEL_ROOT + k->bump + KERNEL_GAP;
    k->bump += need;
    return block_activate(k, block_insert(k, k->last, (uint32_t)start, (uint32_t)len), (uint32_t)len);
}

uint64_t kernel_alloc(kernel *k, uint64_t len)
{
    if (len == 0 || len > k->max_arena)
        return 0;
    uint64_t need = len + KERNEL_GAP;
    bool fresh = k->bump + need <= k->fresh_until && need < arena_left(k);
    uint64_t reused = fresh ? 0 : alloc_reused(k, (uint32_t)len);
    return reused ? reused : alloc_fresh(k, len);
}

void kernel_release(kernel *k, uint64_t offset)
{
    uint32_t id = block_find(k, offset);
    if (!id)
        return;
    if (offset == k->slots.input_at)
        k->slots.input_len = 0;
    block_release(k, id);
}

uint64_t kernel_length(kernel *k, uint64_t offset)
{
    uint32_t id = block_find(k, offset);
    return id ? block_at(k, id)->used : 0;
}

bytes kernel_block(kernel *k, uint64_t offset)
{
    uint32_t id = block_find(k, offset);
    return id ? bytes_make(k->base + offset, block_at(k, id)->used) : bytes_make("", 0);
}

/* Both kinds wait one turn: what was handed over last may still be freed by the guest, and must not
 * have become another block by then. */
static void done_put(kernel *k, uint32_t id)
{
    if (!id || block_at(k, id)->state != BLOCK_ACTIVE)
        return;
    block_at(k, id)->state = BLOCK_DONE;
    list_put(k, &k->done, id);
}

void kernel_request_done(kernel *k, uint64_t offset)
{
    uint32_t id = block_find(k, offset);
    if (!id || id == k->last_request)
        return;
    done_put(k, k->last_request);
    k->last_request = id;
}

void kernel_reply_given(kernel *k, uint64_t offset)
{
    uint32_t id = block_find(k, offset);
    if (!id || id == k->last_reply)
        return;
    done_put(k, k->last_reply);
    k->last_reply = id;
}

uint64_t kernel_used(kernel *k)
{
    return k->used;
}

uint64_t kernel_block_count(kernel *k)
{
    return k->active;
}

/* ---- Reset ---- */

static void give_back(void *from, void *to)
{
    uintptr_t a = round_up((uintptr_t)from, HOST_PAGE), b = round_up((uintptr_t)to, HOST_PAGE);
    if (a < b)
        madvise((void *)a, b - a, MADV_DONTNEED);
}

/* Zeroes from `from` to the end of its page and returns the pages up to `to` to the system. */
static void wipe(void *from, void *to)
{
    uintptr_t page_end = round_up((uintptr_t)from + 1, HOST_PAGE);
    uintptr_t end = page_end < (uintptr_t)to ? page_end : (uintptr_t)to;
    memset(from, 0, end - (uintptr_t)from);
    give_back(from, to);
}

/* Whether what the call used is zeroed and kept. A page costs some fifty times as much to get from the system as to
 * zero: who has moved a megabyte twice will do so again. The first call that used little gives back what was kept. */
static bool pages_kept(kernel *k)
{
    bool much = k->bump > KEEP, again = k->much;
    k->much = much;
    if (much && again && k->bump <= KEEP_AGAIN) {
        k->kept = k->bump > k->kept ? k->bump : k->kept;
        return true;
    }
    if (k->kept) {
        give_back(index_of(k) + KEEP / 8, index_of(k) + (KERNEL_ROOT + k->kept) / 8 + 1);
        give_back(k->base + KEEP, k->base + KERNEL_ROOT + k->kept);
        k->kept = 0;
    }
    return !much;
}

void kernel_reset(kernel *k)
{
    uint8_t *from = k->base + KERNEL_FIRST_OCTET - 7; /* eight octets may be stored there */
    uint8_t *to = k->base + KERNEL_ROOT + k->bump;
    if (pages_kept(k)) {
        for (uint32_t id = k->first; id; id = block_at(k, id)->after)
            index_of(k)[block_at(k, id)->start / 8] = 0;
        if (k->bump || kernel_peek_u64(k, KERNEL_FIRST_OCTET - 7)) /* a page that nobody wrote to is not touched */
            memset(from, 0, (size_t)(to - from));
    } else {
        wipe(index_of(k), index_of(k) + (KERNEL_ROOT + k->bump) / 8 + 1);
        wipe(from, to);
    }
    if (k->block_top > KEEP / sizeof(block))
        give_back(block_at(k, k->block_top), (char *)k->records - HOST_PAGE);
    if (k->free_map[0] | k->free_map[1]) {
        memset(k->free_map, 0, sizeof k->free_map);
        memset(heads(k), 0, HEADS);
    }
    k->bump = k->used = k->active = 0;
    k->fresh_until = FRESH;
    k->input_seen = false;
    memset(k->resting, 0, sizeof k->resting);
    k->block_top = k->spare_ids = k->first = k->last = k->done = k->last_request = k->last_reply = 0;
    k->slots = (kernel_slots){0};
}

/* ---- Memory ---- */

uint8_t *kernel_base(kernel *k)
{
    return k->base;
}

uint64_t kernel_size(kernel *k)
{
    return k->size;
}

uint64_t kernel_arena(kernel *k)
{
    return k->arena;
}

uint8_t kernel_load_u8(kernel *k, uint64_t at)
{
    return kernel_reaches_u8(k, at) ? k->base[at] : 0;
}

uint64_t kernel_load_u64(kernel *k, uint64_t at)
{
    return kernel_reaches_u64(k, at) ? kernel_peek_u64(k, at) : 0;
}

void kernel_store_u8(kernel *k, uint64_t at, uint8_t octet)
{
    if (kernel_reaches_u8(k, at))
        k->base[at] = octet;
}

void kernel_store_u64(kernel *k, uint64_t at, uint64_t octets)
{
    if (kernel_reaches_u64(k, at))
        kernel_poke_u64(k, at, octets);
}

/* ---- Input, output, error ---- */

static bool in_arena(const kernel *k, uint64_t at)
{
    return at - KERNEL_ROOT < k->arena;
}

void kernel_input_set(kernel *k, uint64_t at, uint64_t len)
{
    if (!in_arena(k, at) || !in_arena(k, at + len - 1))
        return;
    k->slots.input_at = at;
    k->slots.input_len = len;
    if (!k->input_seen) { /* what the call itself makes counts, not what it was given */
        k->input_seen = true;
        k->fresh_until = k->bump + FRESH;
    }
}

void kernel_output_set(kernel *k, uint64_t at, uint64_t len)
{
    if (!in_arena(k, at) || !in_arena(k, at + len - 1))
        return;
    k->slots.output_at = at;
    k->slots.output_len = len;
}

void kernel_error_set(kernel *k, uint64_t at)
{
    if (at == 0 || in_arena(k, at))
        k->slots.error_at = at;
}

uint64_t kernel_input_offset(kernel *k)
{
    return k->slots.input_at;
}

uint64_t kernel_input_length(kernel *k)
{
    return k->slots.input_len;
}

uint64_t kernel_output_offset(kernel *k)
{
    return k->slots.output_at;
}

uint64_t kernel_output_length(kernel *k)
{
    return k->slots.output_len;
}

uint64_t kernel_error(kernel *k)
{
    return k->slots.error_at;
}

bytes kernel_output(kernel *k)
{
    const kernel_slots *s = &k->slots;
    if (s->output_at >= k->size)
        return bytes_make("", 0);
    uint64_t room = k->size - s->output_at;
    return bytes_make(k->base + s->output_at, s->output_len < room ? s->output_len : room);
}

kernel_slots kernel_save(kernel *k)
{
    return k->slots;
}

void kernel_restore(kernel *k, kernel_slots slots)
{
    k->slots = slots;
}
