/* talk_wrong.h: what is wrong with a NATS, in words for the person who has to act. */
#ifndef CLUSTER_TALK_WRONG_H
#define CLUSTER_TALK_WRONG_H

#include <nats/nats.h>
#include <stddef.h>
#include <stdint.h>

#define TALK_WRONG 400

/* What was being done when it failed. */
typedef enum talk_step { TALK_CONNECTS,
                         TALK_NEEDS_ROWS,
                         TALK_NEEDS_RECORDS,
                         TALK_SUBSCRIBES } talk_step;

/* `error`: the server's own number (err_code), 0: none; `last`: what the library or the server says of it, may be NULL. */
void talk_wrong(char out[TALK_WRONG], const char *servers, talk_step step, natsStatus status, uint64_t error, const char *last);

/* What would help where a server answers with this number, with "; " ahead of it; "": nothing is known. */
const char *talk_cure(uint64_t error);

#endif
