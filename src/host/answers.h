/* answers.h: answers that a plugin said may be kept (cacheForSeconds), in the cache folder, so that they
 * outlive the process. Named after what went in: plugin, configuration, command, parameters. */
#ifndef HOST_ANSWERS_H
#define HOST_ANSWERS_H

#include "base/json.h"

#define ANSWERS_KEY 65 /* SHA-256 in hex */

/* The same for the same question, whatever the order of its parameters. */
void answers_key(char key[ANSWERS_KEY], const char *plugin_digest, const char *config, bytes command, json params);

/* Appends the answer as the plugin gave it. False: none is kept, it is too old, or it cannot be read. */
bool answers_find(buf *out, const char *cache_dir, const char *key);

/* Keeps it for `seconds`, a month at most. That it could not be written is said in the log, and is no error. */
void answers_keep(const char *cache_dir, const char *key, bytes answer, uint64_t seconds);

#endif
