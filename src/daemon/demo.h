/* demo.h: `weir serve --demo`: the simulated exchange on a thread of its own, a folder that goes with the process, and
 * the WOO X plugin, which the program carries, with streams that are worth to look at.
 *
 * A folder that the user names is kept, and what is there is gone on with. It has a mark, so that it and a real
 * installation's, whose streams come from real venues, are never taken for each other. */
#ifndef DAEMON_DEMO_H
#define DAEMON_DEMO_H

#include "node/node.h"

typedef struct demo demo;

/* The venue listens when this returns. `folder`: it is kept; NULL: one of its own. `overrides`: the user's, behind the venue's; NULL: none. */
weir_code demo_new(demo **out, const char *folder, const char *const *overrides, weir_error *err);
void demo_free(demo *d); /* the venue, and a folder of its own with all that is in it; NULL is fine */
const char *demo_folder(const demo *d);
bool demo_keeps(const demo *d); /* its folder */
const char *const *demo_overrides(const demo *d);
/* Is this folder a demo's, by its mark? */
bool demo_has(const char *folder);
/* Uploads the plugin and asks for its streams, if that was not done in this folder before; what fails is in the log. Behind node_start. */
void demo_fill(demo *d, node *n);

#endif
