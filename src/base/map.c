/* Open addressing, linear probing, removal by shifting back. The hash is seeded: keys come from guests. */
#include "base/map.h"

#include <stdlib.h>

#include "base/rand.h"

typedef struct slot {
    char *key; /* NULL: empty */
    size_t len;
    uint64_t hash;
    void *value;
} slot;

struct map {
    slot *slots;
    size_t cap, count; /* cap: a power of two */
    uint64_t seed;
};

static uint64_t hash_of(const map *m, bytes key)
{
    uint64_t h = m->seed ^ key.len;
    for (size_t i = 0; i < key.len; i++) {
        h = (h ^ (unsigned char)key.at[i]) * UINT64_C(0xFF51AFD7ED558CCD);
        h ^= h >> 32;
    }
    return h * UINT64_C(0xC4CEB9FE1A85EC53) ^ h >> 29;
}

map *map_new(void)
{
    map *m = calloc(1, sizeof *m);
    if (m)
        m->seed = rand_u64();
    return m;
}

void map_free(map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    free(m);
}

/* The slot that holds the key, or the empty one where it would go. */
static slot *find(slot *slots, size_t cap, bytes key, uint64_t hash)
{
    for (size_t i = hash & (cap - 1);; i = (i + 1) & (cap - 1)) {
        slot *s = &slots[i];
        if (!s->key || (s->hash == hash && bytes_equal(key, (bytes){s->key, s->len})))
            return s;
    }
}

void *map_get(const map *m, bytes key)
{
    return m->cap ? find(m->slots, m->cap, key, hash_of(m, key))->value : NULL;
}

static bool grow(map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 8;
    slot *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key)
            *find(slots, cap, (bytes){m->slots[i].key, m->slots[i].len}, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return true;
}

bool map_set(map *m, bytes key, void *value, void **old)
{
    if (old)
        *old = NULL;
    if (m->count * 4 >= m->cap * 3 && !grow(m))
        return false;
    uint64_t hash = hash_of(m, key);
    slot *s = find(m->slots, m->cap, key, hash);
    if (s->key) {
        if (old)
            *old = s->value;
        s->value = value;
        return true;
    }
    char *copy = bytes_dup(key);
    if (!copy)
        return false;
    *s = (slot){copy, key.len, hash, value};
    m->count++;
    return true;
}

void *map_remove(map *m, bytes key)
{
    if (!m->cap)
        return NULL;
    slot *s = find(m->slots, m->cap, key, hash_of(m, key));
    if (!s->key)
        return NULL;
    void *value = s->value;
    free(s->key);
    m->count--;
    size_t hole = (size_t)(s - m->slots), mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask)
        if (((i - (m->slots[i].hash & mask)) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    m->slots[hole] = (slot){0};
    return value;
}

size_t map_count(const map *m)
{
    return m->count;
}

bool map_each(const map *m, size_t *at, bytes *key, void **value)
{
    for (; *at < m->cap; ++*at)
        if (m->slots[*at].key) {
            *key = (bytes){m->slots[*at].key, m->slots[*at].len};
            *value = m->slots[(*at)++].value;
            return true;
        }
    return false;
}
