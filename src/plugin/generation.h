/* generation.h: the contracts that plugins are written to, as one interface.
 *
 * A generation translates and does nothing else: what the host wants (a command, a stream, what a frame
 * means) into the export to call and its input; what the export answered into values that mean the same
 * for every plugin. It opens nothing, waits for nothing and keeps nothing. Who owns instance, socket and
 * clock is stream/ and host/; they cannot tell generations apart but through here.
 *
 * A pull plugin (`loops`) owns its loop: start_stream dials, asks for messages and publishes, and stays
 * pending. A push plugin describes the socket it wants (a marker), the host owns it and asks about each
 * frame. A new generation is a file generation_X.c and a line in generation.c. */
#ifndef PLUGIN_GENERATION_H
#define PLUGIN_GENERATION_H

#include "base/json.h"
#include "engine/engine.h"
#include "extism/guest.h"
#include "plugin/marker.h"
#include "plugin/verdict.h"

/* What a stream is wanted of. */
typedef struct stream_wish {
    bytes id;               /* the host's name for it: StreamSetup's streamId */
    bytes type, identifier; /* "ohlcv", "SPOT_BTC_USDT" */
    json parameters;        /* object of strings; JSON_NONE: none */
} stream_wish;

/* One message from the venue, or the end of its connection, for a push plugin. */
typedef struct stream_frame {
    bytes connection; /* the host's name for the socket */
    bytes text;
    bool binary;
} stream_frame;

typedef enum stream_event { EVENT_CONNECTING,
                            EVENT_CONNECTED,
                            EVENT_DISCONNECTED,
                            EVENT_ERROR } stream_event;

/* What a command came to. Points into the call's result. */
typedef struct answer {
    json data; /* JSON_NONE: it returned none */
    uint64_t cache_s;
} answer;

/* Each ask_ function writes the input behind what is in `in` and returns the export's name, or NULL and an
 * error: WEIR_UNSUPPORTED when the generation has no such thing. Each read_ function takes the finished
 * call; WEIR_FAILED: the plugin says no, in its own words; WEIR_INVALID: its answer makes no sense. */
typedef struct generation {
    const char *name;
    bool (*fits)(const module *code); /* by its exports alone */
    bool loops;
    const char *fields;    /* export that lists the configuration's fields; NULL: none */
    const char *limits;    /* its rate limits; NULL: none */
    const char *configure; /* export that takes the configuration; NULL: none */
    bool travels;          /* where that export is missing, commands carry it as their parameter "credentials" */
    const char *shutdown;  /* before the instance goes; NULL: none */
    bool typed;            /* numbers and booleans of the configuration stay what they are; else all are text */

    /* Exports that are commands by themselves, a NULL at the end: their input is the parameters, their output the answer as it
     * came, also octets that are no JSON. NULL: none. */
    const char *const *exports;
    const char *(*ask_command)(buf *in, bytes name, json params, weir_error *err);
    weir_code (*read_command)(answer *out, const call_result *r, weir_error *err);

    /* For those that do not loop. */
    /* What the question of ask_stream is called, and its parameters, for rate limits; NULL: it has no limits. */
    bool (*stream_command)(bytes in, bytes *name, json *params);
    const char *(*ask_stream)(buf *in, const stream_wish *wish, weir_error *err);
    weir_code (*read_marker)(marker *out, const call_result *r, weir_error *err);
    const char *(*ask_frame)(buf *in, const marker *m, const stream_frame *frame);
    const char *(*ask_event)(buf *in, const marker *m, bytes connection, stream_event event, const char *error);
    /* Also of an event's answer. WEIR_BUSY: ask again, m->base64 is set now. */
    weir_code (*read_verdict)(verdict *out, marker *m, const call_result *r, weir_error *err);
} generation;

/* The generation of this module; never NULL: a module that is no data source is generation_none. */
const generation *generation_of(const module *code);
const char *generation_title(const module *code); /* for people: "3", "2, hybrid", "none: ..." */

/* How a hybrid streams when it is not asked to loop; NULL: the module is none. */
const generation *generation_callbacks(const module *code);

bool generation_streams(const generation *g); /* a plugin of it may have streams */

/* Whether the module has a function of this name. */
bool generation_has(const module *code, const char *export_name);

/* ---- What several of them share ---- */

/* The call came to nothing: why, in the plugin's words ("error" in its output, the error it set) or the
 * host's. Returns WEIR_OK for a call that returned 0 and set no error. */
weir_code generation_failure(const call_result *r, weir_error *err);
const char *generation_event_name(stream_event event);
const char *generation_1_command(buf *in, bytes name, json params, weir_error *err); /* an export for each; 2 has them, too */
weir_code generation_1_answer(answer *out, const call_result *r, weir_error *err);
/* The frame as a marker with "raw" wants it. False: it wants something else. */
bool generation_put_raw(buf *in, const marker *m, const stream_frame *f);
void generation_put_event(buf *in, const marker *m, bytes connection, stream_event event, const char *error);

#endif
