/* marker.h: the socket that a push plugin wants, read from what it answered to the wish for a stream
 * (generation 3: a StreamMarker; generation 1: the answer of prepare_stream). */
#ifndef PLUGIN_MARKER_H
#define PLUGIN_MARKER_H

#include "base/buf.h"
#include "base/http_header.h"
#include "base/json.h"

#define MARKER_OCTETS (1u << 22) /* of all of it, as JSON */
#define MARKER_HEADERS 64
#define MARKER_MESSAGES 256

typedef struct marker {
    buf text; /* what the rest points into */
    bytes id; /* the plugin's name for the stream; "" if it gives none: the host's wish->id holds */
    bytes url, subprotocol;
    http_header *headers;
    size_t header_count;
    bytes *messages; /* sent in order after each handshake */
    size_t message_count;
    bytes context; /* JSON, given back with every frame; empty: none */
    bytes book;    /* JSON: how the order book is guarded, for stream/book_service.h; empty: it is none */
    bool base64;   /* frames travel as base64; else as text */
    bool raw;      /* as they are: `=`, the id, a line break, the frame; goes before base64 */

    /* Heartbeats it declares. */
    bytes beat_field, beat_ping, beat_pong; /* of the venue's own messages; empty: none */
    uint32_t beat_client_ms;                /* {field: ping} is sent this often; 0: never */
    uint32_t beat_transport_ms;             /* WebSocket pings; 0: the host's own rhythm */

    /* Weir's own members. */
    uint64_t lifetime_ms; /* the venue ends a connection after so long; 0: not known */
    bool exclusive;       /* no second connection beside the first, not even for a moment */
} marker;

/* Reads an object with streamID or streamId, websocketUrl, headers, subprotocol, initialMessages,
 * streamContext, heartbeat, book, lifetimeMs, exclusive and raw. WEIR_INVALID: no URL, or a member of a wrong type; the text says which.
 * What *out held is freed first; on failure it is empty. */
weir_code marker_read(marker *out, json object, weir_error *err);
void marker_init(marker *m);
void marker_fini(marker *m);

#endif
