/* meta.h: what a plugin says of itself: the answer of its export `meta`. */
#ifndef PLUGIN_META_H
#define PLUGIN_META_H

#include "base/error.h"
#include "base/bytes.h"

/* A folder that it wants to write to. */
typedef struct meta_folder {
    char *host;  /* as its author calls it: the user names the real one */
    char *guest; /* where the plugin finds it */
} meta_folder;

typedef struct meta {
    char *json;                                           /* as given */
    char *plugin_id, *name, *app_id, *version, *category; /* "" where it says nothing */
    char **targets;                                       /* allowedNetworkTargets */
    size_t target_count;
    meta_folder *folders; /* fsWriteAccess */
    size_t folder_count;
    char **features; /* sorted: plugins list them in random order */
    size_t feature_count;
} meta;

/* Unknown members are ignored, optional ones default. WEIR_INVALID: no JSON object, or pluginId or
 * version is missing, or a member has the wrong type; the text says which. */
weir_code meta_read(meta **out, bytes text, weir_error *err);
void meta_free(meta *m);
/* The type of stream that a feature stands for: "ohlcv" of "ohlcv_stream" (generations 1 and 2) and of the command "ohlcvStream" (3);
 * empty: it is none. A piece of `feature`. */
bytes meta_stream_type(const char *feature);

#endif
