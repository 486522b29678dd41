/* The same frames through libwebsockets, for net_bench; built where its headers are installed. */
#ifndef BENCH_LWS_READER_H
#define BENCH_LWS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CPU seconds of this process from the first message to the last; below 0: it failed. */
double lws_read_frames(uint16_t port, bool tls, size_t frames);

#endif
