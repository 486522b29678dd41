/* room.h: places of address space, for exchange memories.
 *
 * A process may have thousands of them, and a kernel counts mappings (vm.max_map_count). So places of one size lie
 * side by side in larger mappings, and a place that is given back serves the next who asks for that size. What is
 * in it is gone by then: whoever takes a place finds zeros. Thread-safe. */
#ifndef EXTISM_ROOM_H
#define EXTISM_ROOM_H

#include <stdbool.h>
#include <stddef.h>

struct room_row;

typedef struct room {
    char *at;
    size_t len;
    struct room_row *row;
} room;

bool room_take(room *r, size_t len); /* whole pages, which can be read and written; touched ones become memory. False: no address space, or no memory */
void room_give(room *r);

#endif
