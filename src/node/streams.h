/* streams.h: what node_streams.c wants of stream_life.c. */
#ifndef NODE_STREAMS_H
#define NODE_STREAMS_H

#include "node/inside.h"

node_stream *stream_find(const node *n, const char *id); /* NULL: none */
/* Among the node's streams, and nothing more yet. Takes the texts, also when it fails (NULL: out of memory). */
node_stream *stream_new(node_connection *c, uint64_t id, char *type, char *identifier, char *parameters);
/* Its name, its records, its mark. WEIR_BUSY: another is this very one. */
weir_code stream_take_name(node_stream *s, weir_error *err);
void stream_end(node_stream *s); /* in good order; it is closed later, or at once */

#endif
