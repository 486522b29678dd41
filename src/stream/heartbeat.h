/* heartbeat.h: the venue's own pings, answered by the host.
 *
 * Plugins of generation 1 and 2 declare no heartbeat and ignore the venue's JSON pings; without help
 * the venue hangs up after a minute. So for known origins the host answers them and sends its own.
 * Such messages do not reach the plugin. WebSocket ping frames are the codec's business. */
#ifndef STREAM_HEARTBEAT_H
#define STREAM_HEARTBEAT_H

#include "base/buf.h"

typedef struct heartbeat {
    const char *host, *path;    /* the origin and how its path begins */
    const char *field;          /* the member that says what a message is */
    const char *ping, *pong;    /* its values */
    uint32_t client_ping_ms;    /* the host sends {field: ping, "ts": ...} this often; 0: never */
    uint32_t transport_ping_ms; /* WebSocket pings this often; 0: only when it is quiet */
    uint32_t silence_ms;        /* nothing at all for so long: the connection is dead */
} heartbeat;

/* What is known of the origin of this URL; never NULL: at least a limit on silence. */
const heartbeat *heartbeat_for(bytes url);

typedef enum heartbeat_verdict { HEARTBEAT_NONE,
                                 HEARTBEAT_PING,
                                 HEARTBEAT_PONG } heartbeat_verdict;

/* What an arriving text message is. Messages of more than 200 octets are data, without a look. */
heartbeat_verdict heartbeat_read(const heartbeat *h, bytes message);

void heartbeat_write_pong(const heartbeat *h, buf *out, uint64_t real_ns);
void heartbeat_write_ping(const heartbeat *h, buf *out, uint64_t real_ns);

#endif
