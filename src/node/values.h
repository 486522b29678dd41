/* values.h: what node_connections.c wants of connection_values.c. */
#ifndef NODE_VALUES_H
#define NODE_VALUES_H

#include "node/inside.h"

#define CONFIG_MAX (1u << 20)

/* What the plugin's form asks for: a JSON list, of its active version, else the last that came. */
json values_fields(const node_plugin *p);
/* Config and secrets with the members of `given` in them; a null takes one away. */
weir_code values_merge(const node_connection *c, json given, buf *config, buf *secrets, weir_error *err);

#endif
