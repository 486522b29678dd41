/* keeper.h: a process beside ours that ends ours when it holds streams longer than its lease.
 *
 * A process that is stopped (SIGSTOP, a debugger, a machine that swaps) cannot close its sockets, and its venue goes on seeing
 * a session while another node opens a second one. The keeper shares one number with us: until when we may hold
 * what we hold. When that is over and we have neither moved it on nor let go, it kills us; the kernel closes the sockets.
 * A service manager starts the process anew. The keeper does nothing else, has no descriptors, and ends when we end. */
#ifndef CLUSTER_KEEPER_H
#define CLUSTER_KEEPER_H

#include "base/error.h"

typedef struct keeper keeper;

weir_code keeper_new(keeper **out, weir_error *err); /* forks */
void keeper_free(keeper *g);                         /* NULL is fine, here and below */
uint64_t keeper_clock(void);                         /* ns, goes on while the machine sleeps */
void keeper_until(keeper *g, uint64_t clock);        /* by keeper_clock; 0: nothing is held */
/* Somebody ended the keeper; another is made. */
void keeper_check(keeper *g);
int keeper_pid(const keeper *g); /* its process */

#endif
