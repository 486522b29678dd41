/* Work in pieces, spread over the processors that are there: for what takes milliseconds and is waited for. */
#ifndef BASE_SPREAD_H
#define BASE_SPREAD_H

#include <stddef.h>

/* work(arg, k) for each k below `count`, once, on this thread and up to three others that live no longer than the call.
 * Returns when all is done; what the pieces wrote is then seen here. Does it all alone where there is one piece, one
 * processor, or no thread to be had. */
void spread(size_t count, void (*work)(void *arg, size_t k), void *arg);

#endif
