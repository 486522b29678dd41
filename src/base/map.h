/* A hash map from octets to one pointer. Keys are copied; values belong to the caller. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

typedef struct map map;

map *map_new(void); /* NULL when out of memory */
void map_free(map *m);
void *map_get(const map *m, bytes key);                   /* NULL if absent */
bool map_set(map *m, bytes key, void *value, void **old); /* false when out of memory; old may be NULL */
void *map_remove(map *m, bytes key);                      /* the value that was there, or NULL */
size_t map_count(const map *m);
/* Walks in no particular order; do not change the map meanwhile.
 *     size_t at = 0; bytes key; void *value; while (map_each(m, &at, &key, &value)) ... */
bool map_each(const map *m, size_t *at, bytes *key, void **value);

#endif
