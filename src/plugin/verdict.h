/* verdict.h: what a plugin's answer to a message means (hop 4).
 *
 * A pull plugin says it with publish_stream_data: the answer is data under a StreamKey. A push plugin says
 * it with what its callback returns. */
#ifndef PLUGIN_VERDICT_H
#define PLUGIN_VERDICT_H

#include "base/json.h"
#include "plugin/task.h"

/* Reads StreamData {key, data, timestamp}. The result points into `request` and t's buffers, until the
 * next host call. A key that came before is recognised by its octets. WEIR_INVALID: a member is
 * missing or of the wrong type. */
weir_code verdict_read(task *t, bytes request, world_publication *out, weir_error *err);

typedef enum verdict_action { VERDICT_IGNORE,
                              VERDICT_DATA,
                              VERDICT_SEND,
                              VERDICT_RECONNECT,
                              VERDICT_CLOSE } verdict_action;

typedef struct verdict {
    verdict_action action;
    bytes type;          /* of the data: "ohlcv"; may be empty */
    bytes data;          /* JSON; an array is a record for each item */
    bytes one;           /* the only record, an object, where one reading of it found that it is; else empty */
    json one_event;      /* its member "ts_event"; JSON_NONE: it has none */
    json send;           /* a string to send; JSON_NONE: nothing. Also beside data */
    uint64_t ts_event;   /* clock_real; 0 unknown */
    venue_number number; /* of the message, whatever the action */
    bytes unknown;       /* an action that there is not, taken for "ignore" */
    json why;            /* beside "close": a text that says why it makes no sense to go on; JSON_NONE: it is just the end */
} verdict;

/* Reads a callback's reply {success, action, dataType, data, sendMessage, timestamp, error}, and the oldest
 * dialect's {action:"ohlcv", ohlcvRecord}. Everything points into `reply`. An absent success counts as
 * true. WEIR_FAILED: success is false, in the plugin's words; WEIR_INVALID: no such reply. */
weir_code verdict_read_reply(verdict *out, bytes reply, weir_error *err);

#endif
