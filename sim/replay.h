/* replay.h: plays recorded traffic over real sockets.
 *
 * A capture file has a line for each event: "URL <-> TIME" opens the socket, "URL <- TIME: TEXT" is
 * what the client sent, "TIME: TEXT" what the venue sent; in files of REST replies "URL -> TIME: TEXT".
 * TIME is seconds since 1970 with a fraction. Every WebSocket that connects, on any path, is played the whole
 * file from its beginning, spaced as recorded. A recording in which the client speaks first waits for
 * the client's first message. */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "loop/loop.h"

typedef struct replay replay;

typedef struct replay_options {
    const char *file;
    const char *http_file;      /* NULL: REST is answered 404 */
    double speed;               /* 0: 1 */
    bool max_speed;             /* as fast as the reader takes it */
    bool hold;                  /* leave the socket open at the end; otherwise it is closed with 1000 */
    void (*on_read)(void *arg); /* of those held open: one more client has read all of it */
    void *arg;
    bool again; /* begin anew at the end */
    const char *address;
    uint16_t port;
    bool tls, deflate;
    const char *folder; /* for the certificates; NULL: a new one in TMPDIR, removed at the end */
} replay_options;

typedef struct replay_stats {
    uint64_t connections, frames, received;
    uint64_t read; /* sockets whose client has read the whole recording; only where they are held open */
} replay_stats;

/* WEIR_INVALID: the file is none or has nothing to play; the text says at which line. */
weir_code replay_new(replay **out, loop *l, const replay_options *options, weir_error *err);
void replay_free(replay *r);
uint16_t replay_port(const replay *r);
const char *replay_ca_file(const replay *r); /* NULL without TLS */
replay_stats replay_get_stats(const replay *r);

#endif
