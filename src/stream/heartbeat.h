/* heartbeat.h: the venue's own pings, answered by the host.
 *
 * Plugins of generation 1 and 2 declare no heartbeat and ignore the venue's JSON pings; without help
 * the venue hangs up after a minute. So for known origins the host answers them and sends its own.
 * Such messages do not reach the plugin. WebSocket ping frames are the codec's business. The user's own rules
 * (heartbeat_rules.h) come before what a plugin declares, and that before what is known here. */
#ifndef STREAM_HEARTBEAT_H
#define STREAM_HEARTBEAT_H

#include "base/buf.h"
#include "net/target_url.h"

typedef struct heartbeat {
    const char *hosts, *path;   /* the origins, separated by blanks, and how their path begins */
    bool plain;                 /* ping and pong are whole messages; else values of a member of a JSON object */
    const char *field;          /* that member */
    const char *ping, *pong;    /* NULL: it has none */
    bool stamped;               /* "ts", in milliseconds, goes along in the JSON object */
    uint32_t client_ping_ms;    /* the host sends a ping of its own this often; 0: never */
    uint32_t transport_ping_ms; /* WebSocket pings this often; 0: only when it is quiet */
    uint32_t silence_ms;        /* nothing at all for so long: the connection is dead */
} heartbeat;

#define HEARTBEAT_SILENCE_MS 60000

/* What is known of the origin of this URL; never NULL: at least a limit on silence. */
const heartbeat *heartbeat_for(bytes url);

/* Whether a URL is of this host (port 0: any), with a path that begins so. */
bool heartbeat_at(const url *u, bytes host, uint16_t port, bytes path);

typedef enum heartbeat_verdict { HEARTBEAT_NONE,
                                 HEARTBEAT_PING,
                                 HEARTBEAT_PONG } heartbeat_verdict;

/* What an arriving text message is. Messages of more than 200 octets are data, without a look. */
heartbeat_verdict heartbeat_read(const heartbeat *h, bytes message);

void heartbeat_write_pong(const heartbeat *h, buf *out, uint64_t real_ns);
void heartbeat_write_ping(const heartbeat *h, buf *out, uint64_t real_ns);

#endif
