/* plugins.h: what the files about plugins share: node_plugins.c, plugin_show.c, plugin_upgrade.c. */
#ifndef NODE_PLUGINS_H
#define NODE_PLUGINS_H

#include "node/versions.h"

/* ---- node_plugins.c ---- */
node_plugin *plugin_new(node *n, const char *id);         /* NULL: out of memory */
const node_version *plugin_latest(const node_plugin *p);  /* the active one, else the last that came; NULL: none */
weir_code plugin_store(node_plugin *p, weir_error *err);  /* in a job: durably */
weir_code plugin_remove(node_plugin *p, weir_error *err); /* in a job: with its connections */
void plugin_reload_all(node_plugin *p);                   /* each connection of it as the store has it now */
node_plugin *plugin_asked(ask *a);                        /* NULL: the ask has failed */
void plugin_answer(ask *a, const node_plugin *p, bool created);

/* What it was before a change that the store may not take. */
typedef struct plugin_before {
    char active[65], pending[65];
    char *grants;
    bool enabled;
    size_t versions;
} plugin_before;
plugin_before plugin_before_of(const node_plugin *p);
/* In a job: stores the change, or takes it back. Frees what `b` has. */
weir_code plugin_store_or_undo(node_plugin *p, plugin_before *b, weir_error *err);

/* ---- plugin_show.c ---- */
void plugin_put(buf *out, const node_plugin *p);

/* ---- plugin_upgrade.c ---- */
void plugin_switch_over(node_plugin *p); /* in a job: what runs goes over to the version that is active now */
void plugin_upload(ask *a);
void plugin_approve(ask *a);
void plugin_reject(ask *a);
void plugin_rollback(ask *a);

#endif
