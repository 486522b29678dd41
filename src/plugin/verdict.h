/* verdict.h: what a plugin's answer to a message means (hop 4).
 *
 * A pull plugin says it with publish_stream_data: the answer is data under a StreamKey. */
#ifndef PLUGIN_VERDICT_H
#define PLUGIN_VERDICT_H

#include "plugin/task.h"

/* Reads StreamData {key, data, timestamp}. The result points into `request` and t's buffers, until the
 * next host call. A key that came before is recognised by its octets. WEIR_INVALID: a member is
 * missing or of the wrong type. */
weir_code verdict_read(task *t, bytes request, world_publication *out, weir_error *err);

#endif
