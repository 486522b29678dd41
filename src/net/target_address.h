/* target_address.h: judging resolved addresses. */
#ifndef NET_TARGET_ADDRESS_H
#define NET_TARGET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 64

/* What makes this address one that nobody on the public internet has ("loopback"); NULL: it is public. */
const char *address_special(const struct sockaddr *address);
void address_text(char out[ADDRESS_TEXT], const struct sockaddr *address);
/* A literal address, IPv6 with or without brackets; false for a name. */
bool address_read(struct sockaddr_storage *out, const char *text);

#endif
