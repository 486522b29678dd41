/* The ring. Each message is a header and its octets, contiguous; where the rest of the ring is too
 * short for one, a header with SKIP fills it. See inbox.h for what can go wrong: only "full". */
#include "plugin/inbox.h"

#include <stdlib.h>

typedef struct entry {
    uint64_t recv_ns;
    uint32_t len;
    uint32_t flags;
} entry;

enum { ENTRY_BINARY = 1,
       ENTRY_SKIP = 2,
       ENTRY_BEHIND_LOSS = 4 };

static size_t entry_size(size_t len)
{
    return (sizeof(entry) + len + 7) & ~(size_t)7;
}

void inbox_init(inbox *in, size_t max, void (*on_room)(void *arg), void *arg)
{
    *in = (inbox){.max = max ? max : INBOX_OCTETS, .on_room = on_room, .arg = arg};
}

void inbox_fini(inbox *in)
{
    free(in->ring);
    in->ring = NULL;
    in->cap = in->used = in->head = in->count = 0;
}

/* Moves everything to a ring of `cap` octets, straightened out. */
static bool grow(inbox *in, size_t cap)
{
    char *ring = malloc(cap);
    size_t to = 0, at = in->head;
    if (!ring)
        return false;
    for (size_t left = in->count; left;) {
        entry *e = (entry *)(void *)(in->ring + at);
        if (in->cap - at < sizeof *e || e->flags & ENTRY_SKIP) {
            at = 0;
            continue;
        }
        size_t size = entry_size(e->len);
        memcpy(ring + to, e, size);
        to += size;
        at = at + size == in->cap ? 0 : at + size;
        left--;
    }
    free(in->ring);
    in->ring = ring;
    in->cap = cap;
    in->head = 0;
    in->used = to;
    return true;
}

/* Where an entry of `size` goes, or NULL. Fills the ring's end with a SKIP when the entry wraps. */
static char *place(inbox *in, size_t size)
{
    if (in->used == 0)
        in->head = 0;
    size_t tail = in->head + in->used;
    if (tail >= in->cap && in->cap) {
        tail -= in->cap;
        return tail + size <= in->head ? in->ring + tail : NULL;
    }
    if (tail + size <= in->cap)
        return in->ring + tail;
    if (size > in->head || in->used == 0)
        return NULL;
    entry *skip = (entry *)(void *)(in->ring + tail);
    size_t rest = in->cap - tail; /* a multiple of 8; a header may not fit, then nothing is read there */
    if (rest >= sizeof *skip)
        *skip = (entry){.flags = ENTRY_SKIP};
    in->used += rest;
    return in->ring;
}

bool inbox_put(inbox *in, bytes text, bool binary, uint64_t recv_ns)
{
    size_t size = entry_size(text.len);
    char *at = text.len <= UINT32_MAX ? place(in, size) : NULL;
    while (!at) {
        size_t cap = in->cap ? in->cap * 2 : 512; /* a quiet stream keeps it small */
        if (in->count == 0 && cap < size)
            cap = size; /* a giant one, alone */
        if ((cap > in->max && in->count) || text.len > UINT32_MAX || !grow(in, cap)) {
            in->refused = true;
            return false;
        }
        at = place(in, size);
    }
    *(entry *)(void *)at = (entry){recv_ns, (uint32_t)text.len, (binary ? ENTRY_BINARY : 0u) | (in->lost ? ENTRY_BEHIND_LOSS : 0u)};
    in->lost = false;
    if (text.len)
        memcpy(at + sizeof(entry), text.at, text.len);
    in->used += size;
    in->count++;
    return true;
}

/* Steps over the filling at the ring's end. */
static entry *first(inbox *in)
{
    size_t rest = in->cap - in->head;
    entry *e = (entry *)(void *)(in->ring + in->head);
    if (rest < sizeof *e || e->flags & ENTRY_SKIP) {
        in->used -= rest;
        in->head = 0;
        e = (entry *)(void *)in->ring;
    }
    return e;
}

bool inbox_take(inbox *in, inbox_message *out)
{
    if (in->count == 0) {
        if (in->refused) { /* for want of memory: nothing is left whose taking would make room */
            in->refused = false;
            if (in->on_room)
                in->on_room(in->arg);
        }
        return false;
    }
    entry *e = first(in);
    *out = (inbox_message){{(char *)(e + 1), e->len}, e->flags & ENTRY_BINARY, e->flags & ENTRY_BEHIND_LOSS, e->recv_ns};
    return true;
}

void inbox_drop(inbox *in)
{
    entry *e = first(in);
    size_t size = entry_size(e->len);
    in->used -= size;
    in->head = in->head + size == in->cap ? 0 : in->head + size;
    in->count--;
    if (in->count == 0 && in->cap > in->max) /* it grew for one giant message */
        inbox_fini(in);
    if (in->refused && in->used <= in->max / 2) {
        in->refused = false;
        if (in->on_room)
            in->on_room(in->arg);
    }
}
