/* heartbeat_rules.h: the user's own rules for heartbeats, which come before all others.
 *
 *     wss://ws.okx.com=text:ping:pong:20s                  whole messages, the host sends one every 20 s
 *     wss://wss.woox.io/v3/=app:cmd:PING:PONG:15s          {"cmd":"PING","ts":...}, answered by {"cmd":"PONG",...}
 *     wss://feed.example=app:op:ping:pong,transport:10s    the venue's pings are answered, and WebSocket pings sent
 *     wss://feed.example=none                              nothing is answered, whatever the plugin declares
 *
 * A rule holds for its origin (with a port: for that one) and paths that begin as its path does; the first that
 * fits counts. With a time, silence for three of the longest means that the connection is dead; otherwise 60 s. */
#ifndef STREAM_HEARTBEAT_RULES_H
#define STREAM_HEARTBEAT_RULES_H

#include "stream/heartbeat.h"

typedef struct heartbeat_rules heartbeat_rules;

/* The texts, NULL at the end; *out is NULL for none. WEIR_INVALID: the error says which and what is right. */
weir_code heartbeat_rules_read(heartbeat_rules **out, const char *const *texts, weir_error *err);
void heartbeat_rules_free(heartbeat_rules *rules);
/* NULL: no rule for this URL. `rules` may be NULL; the answer lives as long as they. */
const heartbeat *heartbeat_rules_find(const heartbeat_rules *rules, bytes url);

#endif
