/* demo.h: `weir serve --demo`: the simulated exchange on a thread of its own, a folder that goes with the process, and
 * the WOO X plugin, which the program carries, with streams that are worth to look at. */
#ifndef DAEMON_DEMO_H
#define DAEMON_DEMO_H

#include "node/node.h"

typedef struct demo demo;

/* The venue listens when this returns. */
weir_code demo_new(demo **out, weir_error *err);
void demo_free(demo *d); /* the venue, and the folder with all that is in it; NULL is fine */
const char *demo_folder(const demo *d);
const char *const *demo_overrides(const demo *d);
/* Uploads the plugin and asks for its streams; what fails is in the log. Behind node_start. */
void demo_fill(demo *d, node *n);

#endif
