/* dial.h: what REST and WebSocket dialling share: one libcurl multi handle on the loop, TLS trust,
 * proxies, and the one place where each resolved address is checked before a socket exists. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "loop/loop.h"
#include "net/target.h"

typedef struct dialer dialer;

typedef struct dialer_options {
    const char *ca_file;    /* PEM; NULL: the system's */
    const char *user_agent; /* NULL: "weir/VERSION" */
    bool no_proxy;          /* ignore http_proxy and friends */
    uint32_t connect_ms;    /* 0: 10,000 */
} dialer_options;

weir_code dialer_new(dialer **out, loop *l, const dialer_options *options, weir_error *err);
void dialer_free(dialer *d); /* after all requests and sockets made with it */

#endif
