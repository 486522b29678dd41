/* embed.h: what a program of our own reaches of a host beyond weir.h: its loop and hub, to serve on the one and read
 * from the other, and what stands behind a plugin, a stream, a sink. For node/; nothing here is promised to anybody. */
#ifndef HOST_EMBED_H
#define HOST_EMBED_H

#include <weir/weir.h>

#include "hub/hub.h"
#include "loop/loop.h"
#include "plugin/meter.h"

loop *weir_host_loop(weir_host *host);
hub *weir_host_hub(weir_host *host);

/* Compiles on a worker, while the loop goes on and whatever its owner does on it, so that a load of the same octets has its code at
 * once. Takes `octets` and hands them back to `fn`, with why it cannot be compiled (its code is WEIR_OK where it was). Two at
 * once; others wait for them. Freeing the host waits for those that have begun. */
typedef struct weir_ahead weir_ahead;
weir_code weir_compile_ahead(weir_ahead **out, weir_host *host, buf *octets, void (*fn)(void *arg, buf *octets, const weir_error *why), void *arg, weir_error *err);
void weir_ahead_forget(weir_ahead *a); /* its `fn` does not come; NULL is fine */
/* From the process's next engine on a module is compiled by one CPU, so that others are left to what streams, and to a second one. */
void weir_compile_alone(void);

/* weir_plugin_swap for a module in memory, with grants of its own (`allow` is not NULL): they may go beyond those of
 * the file before. The instances of the old code keep what they were granted. */
weir_code weir_plugin_swap_granted(weir_plugin *plugin, const char *name, bytes octets, const char *const *allow, weir_error *err);
/* A command of this name may be asked of it. */
bool weir_plugin_knows(weir_plugin *plugin, const char *command);
const char *weir_plugin_generation(const weir_plugin *plugin); /* "2", "2, hybrid" */
bool weir_plugin_streams(const weir_plugin *plugin);           /* it is of a kind that may have streams */
/* All that its instances trapped, or overran their time, since it was loaded. */
uint64_t weir_plugin_traps(const weir_plugin *plugin);

/* What its instances used since it was loaded, and what they have of memory now and may have each. */
const meter *weir_plugin_meter(const weir_plugin *plugin);
uint64_t weir_plugin_memory(const weir_plugin *plugin, size_t *instances);
uint64_t weir_plugin_memory_limit(const weir_plugin *plugin);

/* weir_sink_free without waiting: the sink takes nothing more, its other end has 10 s to acknowledge what it was sent while the
 * loop goes on, and then it is freed; `on_gone` (may be NULL) may look at its account before, and comes at once
 * where there is nobody to wait for. Called again it only puts another
 * on_gone in place. Freeing the host ends it within a second. */
void weir_sink_part(weir_sink *sink, void (*on_gone)(void *arg, weir_sink *sink), void *arg);

/* Something may be missing since `from_ns`, from before it was opened (stream_missed). Right behind weir_stream_open. */
void weir_stream_missed(weir_stream *stream, uint64_t from_ns, uint64_t from_event);
uint64_t weir_stream_queued(const weir_stream *stream); /* messages that wait for its plugin */
uint64_t weir_stream_last_event(const weir_stream *stream);
/* Since when records of it would be missing if it ended now: the gap that it has still to tell, or its last message; 0: none. */
uint64_t weir_stream_missing(const weir_stream *stream);
uint64_t weir_stream_last_recv(const weir_stream *stream); /* real ns of its last message; 0: none yet */

#endif
