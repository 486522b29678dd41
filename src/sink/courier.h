/* courier.h: what all sinks share whose other end can be away: a window of records that are not acknowledged yet, and a
 * thread that brings them there.
 *
 * The libraries that speak to servers look up names, connect and write by waiting, so each such sink has one thread, the
 * courier, and the host's thread never waits. A sink of this kind is a `remote`: four functions that may wait, called
 * by the courier one at a time:
 *
 *     connect     reaches the other end and makes sure that it can take records
 *     send        hands over some records (parcels), copies that live until it returns
 *     hear        takes acknowledgements: courier_done, courier_done_first, courier_lost
 *     disconnect
 *
 * When one of them fails, the courier disconnects, says why (state waiting), tries again with a growing wait, and sends again
 * whatever was not acknowledged, in order: nothing is lost, and the other end may get some twice, which topic, connection and
 * seq tell. What waiting cannot cure (a wrong password) ends the sink, if it was never open before; later it waits all the
 * same, since somebody may be changing something there.
 *
 * The window is bounded by records and octets; when it is full, write answers SINK_WOULD_BLOCK and the policy of the queue
 * in front decides. Records are counted by the host's thread alone: the courier reads them under the lock and copies. */
#ifndef SINK_COURIER_H
#define SINK_COURIER_H

#include "sink/sink_impl.h"
#include "sink/spec.h"

typedef struct courier courier;

/* One record on its way. `topic` has a NUL, `line` a newline behind it. */
typedef struct parcel {
    uint64_t number; /* what courier_done wants */
    uint64_t seq;    /* 0: it has none */
    uint64_t ts_out;
    bool again; /* it was sent before, and perhaps arrived */
    bytes topic, line;
    char connection[24]; /* decimal; "": none. Two connections may have one topic, each with its own seq */
} parcel;

typedef struct remote_ops {
    weir_code (*connect)(void *remote, courier *c, weir_error *err);
    weir_code (*send)(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err);
    /* Waits at most `wait_ms` for the first; also called now and then when nothing is due: then an error tells that the
     * other end has gone. May be NULL */
    weir_code (*hear)(void *remote, courier *c, int wait_ms, weir_error *err);
    void (*disconnect)(void *remote);
    void (*free)(void *remote); /* by the courier, or by courier_open when it fails */
} remote_ops;

typedef struct courier_options {
    const char *shown;      /* the other end in texts, copied */
    uint64_t window;        /* records, at most COURIER_WINDOW_MAX; 0: 8,192 */
    uint64_t window_octets; /* of lines, a single one always fits; 0: 16 MiB */
    uint64_t silence_ms;    /* something is owed and nothing was acknowledged for so long: it is gone. 0: never judged */
    uint64_t retry_ms;      /* the longest wait between two tries; 0: 15,000 */
} courier_options;

#define COURIER_WINDOW_MAX (1u << 20)
/* Options of a spec that all such sinks have. */
#define COURIER_OPTIONS "window", "window_octets", "silence_ms", "retry_ms"
weir_code courier_read_options(courier_options *out, const spec *s, weir_error *err);

/* Takes `remote`, also when it fails. `ops` is the sink's own table, made of the functions below. */
weir_code courier_open(sink **out, const sink_ops *ops, void *remote, const remote_ops *way, const courier_options *options, weir_error *err);

/* The functions of such a sink's table. */
sink_result courier_write(sink *s, record *r);
sink_result courier_flush(sink *s);
void courier_close(sink *s);
void courier_leave(sink *s, uint64_t ms);
bool courier_left(sink *s);
void courier_account(const sink *s, sink_account *out);
int courier_fd(const sink *s);
uint64_t courier_oldest(const sink *s);
#define COURIER_SINK                                                                                                      \
    .write = courier_write, .flush = courier_flush, .close = courier_close, .account = courier_account, .fd = courier_fd, \
    .leave = courier_leave, .left = courier_left, .hears = true, .oldest = courier_oldest

/* ---- For remotes, on the courier's thread ---- */

/* The other end has it for good; `doubled`: it says that it had it before. Once for each number, others are passed over. */
void courier_done(courier *c, uint64_t number, bool doubled);
/* The same for the oldest that was sent and is not acknowledged: where answers come in order. False: nothing is owed. */
bool courier_done_first(courier *c);
/* The other end will never take it, for this reason: counted, said in the log, left out. */
void courier_lost(courier *c, uint64_t number, const char *format, ...) PRINTF_LIKE(3, 4);
bool courier_lost_first(courier *c, const char *why);
/* Not an end of the connection, but nothing gets through: the state is waiting until something is acknowledged. */
void courier_trouble(courier *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* Whoever waits for long looks here now and then. */
bool courier_leaving(courier *c);

#endif
