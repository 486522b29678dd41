/* session.h: one socket to the venue, between net/ws_client and the plugin's inbox: heartbeats, the
 * limit on silence, back-pressure. Hop 2's place (session_on_message). */
#ifndef STREAM_SESSION_H
#define STREAM_SESSION_H

#include "stream/venue.h"

typedef struct session session;

weir_code session_open(session **out, venue *v, plug *p, const world_socket_request *request, weir_error *err);
weir_code session_send(session *s, bytes text, weir_error *err); /* WEIR_BUSY above SESSION_QUEUE octets */
void session_room(session *s);
void session_close(session *s); /* no report after this; frees it */

#endif
