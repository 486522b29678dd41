/* A peer on loopback for tests: a thread that accepts connections and lets the test's function play
 * the server, as badly as it likes. What a well-behaved server does is tested with net/server. */
#ifndef TESTS_LIB_PEER_H
#define TESTS_LIB_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct peer peer;
typedef struct peer_conn peer_conn;

/* Serves each connection by `serve`, one after the other, on a thread. `cert` and `key` are PEM files for
 * TLS, or NULL. Ends the test program when it cannot listen. */
peer *peer_start(void (*serve)(peer_conn *c, void *arg), void *arg, const char *cert, const char *key);
uint16_t peer_port(const peer *p);
int peer_accepted(const peer *p); /* connections so far */
void peer_stop(peer *p);          /* closes what is open and waits for the thread */

/* Within `serve`: each answers false once the connection is gone. */
bool peer_read_head(peer_conn *c); /* up to the blank line */
const char *peer_head(const peer_conn *c);
bool peer_header(const peer_conn *c, const char *name, char *value, size_t size);
size_t peer_read(peer_conn *c, void *at, size_t size); /* 0 at the end */
bool peer_write(peer_conn *c, const void *at, size_t len);
bool peer_text(peer_conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool peer_accept_ws(peer_conn *c, const char *more); /* reads the head, answers 101 with more header lines */
void peer_wait_end(peer_conn *c);                    /* reads and forgets until the client hangs up */
void peer_reset(peer_conn *c);                       /* RST */

#endif
