/* versions.h: what a module's file says of itself, and which of its wishes are granted. */
#ifndef NODE_VERSIONS_H
#define NODE_VERSIONS_H

#include "net/target.h"
#include "node/inside.h"

#define VERSIONS_KEPT 10

/* WEIR_INVALID: no module. WEIR_UNSUPPORTED: more code than may be compiled here. */
weir_code version_check(const node *n, const char *file_name, bytes octets, weir_error *err);
/* In a job: loads the octets without any grant, and describes them: the version's row, and whose it is (heap). */
weir_code version_describe(buf *row, char **id, node *n, const char *file_name, bytes octets, weir_error *err);
/* Behind the others; a copy of `row`. */
weir_code version_add(node_plugin *p, bytes row, weir_error *err);
void version_remove(node_plugin *p, size_t at);

json version_member(const node_version *v, const char *name);

/* A JSON list of patterns. NULL: no list of such, and `err` says what of it. */
targets *targets_of_list(json list, weir_error *err);
/* What of `grants` this version asks for, NULL at the end: its allow list. free() each, and the list. NULL: out of memory. */
char **version_allow(const node_version *v, const char *grants);
void allow_free(char **allow);
/* All that it asks for is granted. */
bool version_granted(const node_version *v, const char *grants);
/* Writes the patterns of `more` that `than` does not reach, as a JSON list. */
void put_beyond(buf *out, json more, json than);

#endif
