/* record_impl.h: what record.c, record_pool.c and record_stream.c know of each other. */
#ifndef HUB_RECORD_IMPL_H
#define HUB_RECORD_IMPL_H

#include "base/buf.h"
#include "hub/record.h"

struct record_stream {
    record_pool *pool;
    uint32_t refs;
    bool has_connection;
    uint64_t connection;
    uint64_t seq; /* the last one given */
    record_counts counts;
    record_make_whole make_whole; /* NULL: its records stand alone */
    void *make_arg;
    size_t depth;
    bytes shared; /* "type":...,"connection":1, with the comma behind: the same in all its records */
    bytes topic, name, type, source, identifier, parameters;
    char text[]; /* what these point into */
};

void record_pool_ref(record_pool *p);
/* A block for a record with `octets` behind the struct; NULL when out of memory. Only size_class is set. */
record *record_pool_take(record_pool *p, size_t octets);
void record_pool_give(record_pool *p, record *r);
/* An empty buffer, until the next call. */
buf *record_pool_text(record_pool *p);

#endif
