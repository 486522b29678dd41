/* notify.h: what a service manager is told, by systemd's protocol (sd_notify(3)), without its library: a datagram to the
 * socket that $NOTIFY_SOCKET names. Nothing is told where there is none. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* "READY=1\nSTATUS=...". False: nobody to tell, or it could not be told. */
bool notify(const char *state);
/* How often "WATCHDOG=1" is due, ns; 0: never. Half of what the manager allows. */
uint64_t notify_watchdog(void);

#endif
