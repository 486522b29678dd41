/* recording.h: a venue of recorded traffic inside this process, for `weir run --replay-from`.
 *
 * It finds the recording of a plugin's venue, plays it on a thread of its own over real sockets of this machine, and
 * says where the plugin's origins are instead (overrides), so that none of its dials leaves the machine. It is the
 * plugin's when its file is named after it (OKX.ws, okx-datasource), else when the recorded address is one that the
 * plugin may dial. NAME.http beside it answers what the plugin or the host asks by REST. */
#ifndef CLI_RECORDING_H
#define CLI_RECORDING_H

#include "cli/cli.h"

typedef struct recording recording;

/* A folder of recordings, or one file. `meta` is the plugin's, JSON. `speed` 0: as fast as it is read.
 * WEIR_NOT_FOUND: there is nothing there, or nothing of this plugin's venue. */
weir_code recording_open(recording **out, const char *path, const char *meta, double speed, weir_error *err);
void recording_close(recording *r); /* NULL is fine; before the host that it stops is freed */

/* ORIGIN=ORIGIN for each that the plugin may dial, ended by NULL. */
const char *const *recording_overrides(const recording *r);

/* What is worth a look in it, as TYPE:IDENTIFIER: the line of its name in the file `streams` of its folder. None: an
 * empty list. */
const cli_list *recording_streams(const recording *r);

/* WEIR_NOT_FOUND: nothing of TYPE:IDENTIFIER[...]'s identifier is in it; the text says what is. */
weir_code recording_check(const recording *r, const char *spec, weir_error *err);

/* From now on the host is stopped (weir_host_stop) once so many sockets have read it to its end. */
void recording_watch(recording *r, weir_host *host, size_t sockets);
bool recording_over(recording *r);

#endif
