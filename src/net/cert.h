/* cert.h: a throw-away certificate authority and one server certificate under it, for loopback
 * servers (the simulated venue, tests). The authority's key is forgotten at once, so the CA file can
 * vouch for nothing else. */
#ifndef NET_CERT_H
#define NET_CERT_H

#include "base/error.h"

#include <stddef.h>

/* Makes FOLDER (0700) if need be and writes ca.pem, server.pem and server.key (0600) into it, for `names`: host
 * names and IP addresses, at least one. Valid from a day ago for 30 days of the system's clock. */
weir_code cert_make(const char *folder, const char *const *names, size_t count, weir_error *err);

#endif
