/* sequence.h: the venue's own numbers, watched for holes.
 *
 * A plugin that says "sequence" (and "previousSequence", where its venue's numbers have gaps by design) beside
 * its data, in a push reply or in publish_stream_data, has its messages counted:
 *
 *     follows the one before    nothing to say
 *     a hole                    a gap record, cause sequence, with the numbers missing, ahead of what follows
 *     repeats or goes back      passed on, counted, and said once in the log: only the plugin knows whether it
 *                               is a double. The count goes on from the highest number
 *
 * Behind a lost connection the numbers tell what the gap record of that loss holds; a venue that begins
 * anew there is taken at its word. */
#ifndef STREAM_SEQUENCE_H
#define STREAM_SEQUENCE_H

#include "plugin/world.h"

typedef struct sequence {
    bool known, told; /* there was a number; going back was said */
    uint64_t last;    /* the highest */
    uint64_t recv_ns; /* of its message */
} sequence;

typedef enum sequence_step { SEQUENCE_FOLLOWS,
                             SEQUENCE_HOLE,
                             SEQUENCE_BACK } sequence_step;

/* A hole: `from` to `to` are missing. `anew`: numbers may begin again. n->known is true. */
sequence_step sequence_take(sequence *q, const venue_number *n, bool anew, uint64_t *from, uint64_t *to);

#endif
