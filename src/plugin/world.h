/* world.h: all that a guest may ask of the world, as a struct of functions.
 *
 * In the program these are the streams and the loop's network (stream/session.c, host/world.c); in a
 * test they are a few lines of simulation. Nothing in plugin/ opens a socket or reads a clock but
 * through here and base/clock.h. All on the loop's thread, mostly on a guest's fiber: a function here
 * starts things and returns; what happens later comes back through the socket_ calls (socket.h) or
 * the callback given. */
#ifndef PLUGIN_WORLD_H
#define PLUGIN_WORLD_H

#include "base/error.h"
#include "base/bytes.h"
#include "base/http_header.h"
#include "base/log.h"

typedef struct plug plug; /* one socket of one plugin: socket.h */

typedef struct world_socket_request {
    bytes url;
    const http_header *headers;
    size_t header_count;
    bytes subprotocol;
} world_socket_request;

typedef struct world_http_request {
    bytes method, url, body;
    const http_header *headers;
    size_t header_count;
    uint64_t max_body;
    uint32_t timeout_ms;
    /* Decides instead of the plugin's targets: for Extism's own http_request its manifest's
     * allowed_hosts. NULL: the targets do. */
    weir_code (*allows)(void *arg, bytes url, weir_error *err);
    void *allows_arg;
} world_http_request;

typedef struct world_http_reply {
    weir_error error; /* code != 0: no HTTP reply */
    uint16_t status;
    const http_header *headers; /* canonical names, doubles kept */
    size_t header_count;
    bytes body;
} world_http_reply;

/* The venue's own number of a message, where its plugin says it. */
typedef struct venue_number {
    bool known, has_previous;
    uint64_t number, previous;
} venue_number;

/* What a plugin published: its own `data`, byte for byte. */
typedef struct world_publication {
    bytes type, source, identifier; /* of the key, decoded */
    bytes data;                     /* JSON */
    uint64_t ts_event;              /* clock_real; 0 unknown */
    uint64_t ts_recv;               /* when the message that caused it arrived; 0 unknown */
    venue_number number;
} world_publication;

typedef struct world {
    /* Dials. The socket's fate comes by socket_opened or socket_closed. WEIR_REFUSED: not among the
     * targets; nothing was sent. */
    weir_code (*socket_open)(void *arg, plug *s, const world_socket_request *request, weir_error *err);
    /* WEIR_BUSY: too much is queued; socket_drained tells when to try again. */
    weir_code (*socket_send)(void *arg, plug *s, bytes text, weir_error *err);
    void (*socket_close)(void *arg, plug *s); /* no socket_ call for `s` after this */
    void (*socket_room)(void *arg, plug *s);  /* its inbox takes messages again */

    /* Starts one request; `done` comes exactly once, never inside this call. */
    weir_code (*http_start)(void *arg, void **handle, const world_http_request *request,
                            void (*done)(void *done_arg, const world_http_reply *reply), void *done_arg,
                            weir_error *err);
    void (*http_cancel)(void *arg, void *handle); /* `done` comes inside */

    /* WEIR_BUSY: a reader that must not lose anything has no room; try again when woken. WEIR_NOT_FOUND:
     * no stream with this key. */
    weir_code (*publish)(void *arg, const world_publication *what, weir_error *err);

    /* The guest's log: origin is "log_record", "stdout", "stderr", "extism"; text not yet escaped. */
    void (*log)(void *arg, log_level level, const char *origin, bytes text);

    /* The plugin waits for messages on an open socket: its stream runs. */
    void (*receiving)(void *arg, plug *s);
    /* It stands between two messages, as task_ask_leave wanted. NULL: nobody asks for that. */
    void (*left)(void *arg);
} world;

#endif
