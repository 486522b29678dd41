/* sink_impl.h: what implementations of a sink share. */
#ifndef SINK_SINK_IMPL_H
#define SINK_SINK_IMPL_H

#include "sink/sink.h"

#include <sys/types.h>

extern const sink_ops sink_ndjson_ops;
extern const sink_ops sink_csv_ops;
extern const sink_ops sink_table_ops;
extern const sink_ops sink_unix_ops;
extern const sink_ops sink_udp_ops;
extern const sink_ops sink_redis_ops;
extern const sink_ops sink_nats_ops;
extern const sink_ops sink_kafka_ops;

/* A descriptor that never makes us wait (outlet.c). */
typedef enum outlet_way {
    OUTLET_PLAIN,    /* a file or a device: write() takes all */
    OUTLET_NONBLOCK, /* a pipe or a terminal by an open file description that does not wait */
    OUTLET_POLLED,   /* one that others rely on to wait: poll first, then write a little */
    OUTLET_SOCKET,   /* send() can be told not to wait */
} outlet_way;

typedef struct outlet {
    int fd;
    bool ours; /* close it */
    bool terminal;
    outlet_way way;
    char name[128]; /* for error texts */
} outlet;

weir_code outlet_open(outlet *o, const sink_options *options, weir_error *err);
void outlet_close(outlet *o);
/* How many octets went; 0: would block. -1: never again, and `why` says why. */
ssize_t outlet_write(outlet *o, bytes from, weir_error *why);

#endif
