/* Record blocks by size class, used again.
 *
 * Two classes an octave, from 256 octets to 64 KiB, so at most a third of a block is idle; larger
 * blocks come from malloc and go back to it. A free block lies in its class's list, linked by
 * record.next; lists together keep at most RECORD_POOL_IDLE octets, what is beyond goes back. */
#include "hub/record_impl.h"

#include <assert.h>
#include <stdlib.h>

#define SMALLEST_BITS 8
#define CLASSES 17
#define NO_CLASS 255

struct record_pool {
    uint32_t refs; /* the hub's, and one of each stream */
    record *idle[CLASSES];
    record_pool_stats stats;
    buf text; /* scratch of record_status_new */
};

static unsigned class_of(size_t size)
{
    if (size <= (size_t)1 << SMALLEST_BITS)
        return 0;
    unsigned bits = 63u - (unsigned)__builtin_clzll((unsigned long long)size - 1);
    size_t below = (size_t)1 << bits;
    unsigned found = (bits - SMALLEST_BITS) * 2 + (size > below + below / 2 ? 2 : 1);
    return found < CLASSES ? found : NO_CLASS;
}

static size_t class_size(unsigned size_class)
{
    size_t octave = (size_t)1 << (SMALLEST_BITS + size_class / 2);
    return size_class % 2 ? octave + octave / 2 : octave;
}

record_pool *record_pool_new(void)
{
    record_pool *p = calloc(1, sizeof *p);
    if (p) {
        p->refs = 1;
        buf_init(&p->text, 64 << 10);
    }
    return p;
}

buf *record_pool_text(record_pool *p)
{
    buf_clear(&p->text);
    return &p->text;
}

void record_pool_ref(record_pool *p)
{
    p->refs++;
}

void record_pool_unref(record_pool *p)
{
    if (!p || --p->refs)
        return;
    assert(p->stats.live == 0);
    buf_fini(&p->text);
    for (unsigned c = 0; c < CLASSES; c++) {
        while (p->idle[c]) {
            record *r = p->idle[c];
            p->idle[c] = r->next;
            free(r);
        }
    }
    free(p);
}

record *record_pool_take(record_pool *p, size_t octets)
{
    record *r;

    if (octets > SIZE_MAX / 2)
        return NULL;
    unsigned size_class = class_of(sizeof *r + octets);
    if (size_class == NO_CLASS) {
        r = malloc(sizeof *r + octets);
    } else if (p->idle[size_class]) {
        r = p->idle[size_class];
        p->idle[size_class] = r->next;
        p->stats.idle_octets -= class_size(size_class);
    } else {
        r = malloc(class_size(size_class));
    }
    if (!r)
        return NULL;
    r->size_class = (uint8_t)size_class;
    p->stats.live++;
    return r;
}

void record_pool_give(record_pool *p, record *r)
{
    unsigned size_class = r->size_class;

    p->stats.live--;
    if (size_class == NO_CLASS || p->stats.idle_octets + class_size(size_class) > RECORD_POOL_IDLE) {
        free(r);
        return;
    }
    r->next = p->idle[size_class];
    p->idle[size_class] = r;
    p->stats.idle_octets += class_size(size_class);
}

record_pool_stats record_pool_read_stats(const record_pool *p)
{
    return p->stats;
}
