/* dial_proxy.h: the proxy that the environment names for a URL. */
#ifndef NET_DIAL_PROXY_H
#define NET_DIAL_PROXY_H

#include "net/target_url.h"

const char *proxy_for(const url *to); /* NULL: none; else good until the environment changes */

#endif
