/* The hash map: open addressing with linear probing, at most three quarters
 * full.
 *
 * Keys may come from guests and venues, so each map has a random key of its own
 * for SipHash-1-3: nobody can choose keys that fall on one another. Looking up
 * is frequent: a slot keeps its key's hash, so that a foreign key is rarely
 * compared. Removing shifts followers back, so there are no tombstones. */
#include "base/map.h"
#include "base/rand.h"

#include <stdlib.h>

typedef struct slot {
    char *key; /* NULL: empty */
    size_t len;
    uint64_t hash;
    void *value;
} slot;

struct map {
    slot *slots;
    size_t size; /* a power of two, or 0 before the first key */
    size_t count;
    uint64_t seed[2];
};

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash with one round a word and three at the end. */
static uint64_t hash_of(const map *m, bytes key)
{
    uint64_t v[4] = {m->seed[0] ^ UINT64_C(0x736f6d6570736575),
                     m->seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     m->seed[0] ^ UINT64_C(0x6c7967656e657261),
                     m->seed[1] ^ UINT64_C(0x7465646279746573)};
    size_t at = 0;
    for (; key.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, key.at + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.len << 56;
    if (key.len > at)
        memcpy(&last, key.at + at,
               key.len - at); /* at most seven octets: the length stays on top */
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

map *map_new(void)
{
    map *m = calloc(1, sizeof *m);
    if (m)
        rand_bytes(m->seed, sizeof m->seed);
    return m;
}

void map_free(map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->size; i++)
        free(m->slots[i].key);
    free(m->slots);
    free(m);
}

/* The slot that holds the key, or the empty one where it would go. There is
 * always an empty one. */
static slot *find(const map *m, bytes key, uint64_t hash)
{
    size_t at = hash & (m->size - 1);
    for (;; at = (at + 1) & (m->size - 1)) {
        slot *s = &m->slots[at];
        if (!s->key ||
            (s->hash == hash && bytes_equal((bytes){s->key, s->len}, key)))
            return s;
    }
}

void *map_get(const map *m, bytes key)
{
    if (m->count == 0)
        return NULL;
    slot *s = find(m, key, hash_of(m, key));
    return s->key ? s->value : NULL;
}

static bool grow(map *m)
{
    size_t size = m->size ? m->size * 2 : 8;
    slot *slots = calloc(size, sizeof *slots);
    if (!slots)
        return false;
    map wider = {.slots = slots, .size = size};
    for (size_t i = 0; i < m->size; i++) {
        const slot *s = &m->slots[i];
        if (s->key)
            *find(&wider, (bytes){s->key, s->len}, s->hash) = *s;
    }
    free(m->slots);
    m->slots = slots;
    m->size = size;
    return true;
}

bool map_set(map *m, bytes key, void *value, void **old)
{
    uint64_t hash = hash_of(m, key);
    slot *s = m->size ? find(m, key, hash) : NULL;
    if (old)
        *old = NULL;
    if (s && s->key) {
        if (old)
            *old = s->value;
        s->value = value;
        return true;
    }
    char *copy = bytes_dup(key);
    if (!copy)
        return false;
    if ((m->count + 1) * 4 > m->size * 3) {
        if (!grow(m)) {
            free(copy);
            return false;
        }
        s = find(m, key, hash);
    }
    *s = (slot){copy, key.len, hash, value};
    m->count++;
    return true;
}

void *map_remove(map *m, bytes key)
{
    if (m->count == 0)
        return NULL;
    slot *s = find(m, key, hash_of(m, key));
    if (!s->key)
        return NULL;
    void *value = s->value;
    free(s->key);
    m->count--;
    size_t mask = m->size - 1, hole = (size_t)(s - m->slots);
    for (size_t at = (hole + 1) & mask; m->slots[at].key; at = (at + 1) & mask) {
        size_t home = m->slots[at].hash & mask;
        if (((at - home) & mask) >=
            ((at - hole) & mask)) { /* its probe passes the hole */
            m->slots[hole] = m->slots[at];
            hole = at;
        }
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
    while (*at < m->size) {
        const slot *s = &m->slots[(*at)++];
        if (!s->key)
            continue;
        *key = (bytes){s->key, s->len};
        *value = s->value;
        return true;
    }
    return false;
}
