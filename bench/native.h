/* native.h: trades of WOO X without a plugin, the other side of the benchmarks: ws_client, base/json, record_new,
 * the hub and the same sink, on a loop of its own. */
#ifndef BENCH_NATIVE_H
#define BENCH_NATIVE_H

#include "bench/bench.h"
#include "net/ws_client.h"
#include "sink/sink.h"

#define SYMBOL "SPOT_BTC_USDT"

typedef struct native_side {
    loop *loop;
    dialer *dialer;
    targets *targets;
    ws_client *ws;
    hub *hub;
    record_stream *records;
    sub *sub;
    sink *sink;
    deferred drain, resume;
    hub_waiter waiter;
    buf out;
    uint64_t second;
    char stamp[CLOCK_RFC3339_SIZE];
    uint64_t data; /* records made */
} native_side;

/* `override` says where wss://wss.woox.io is, `ca` whom to trust ("" without TLS). */
void native_open(native_side *n, const char *ca, const char *override, const char *sink);
/* Turns the loop until so many records have left the queue. */
void native_until(native_side *n, uint64_t delivered);
void native_close(native_side *n);

#endif
