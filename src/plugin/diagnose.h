/* diagnose.h: what is wrong with a module, why, and the line of Go or C that would be right.
 *
 * Plugins fail to load for a handful of reasons that cost their authors days: a function under the
 * wrong namespace, a string where an offset belongs, a build without -buildmode=c-shared. Each is
 * recognised here from imports and exports alone; nothing of the module runs. */
#ifndef PLUGIN_DIAGNOSE_H
#define PLUGIN_DIAGNOSE_H

#include "engine/engine.h"

typedef enum import_verdict {
    IMPORT_HOST,   /* one of ours */
    IMPORT_EXTISM, /* extism:host/env */
    IMPORT_WASI,   /* wasi_snapshot_preview1 */
    IMPORT_CUSTOM, /* the embedding program's */
    IMPORT_STUB,   /* nobody offers it: it answers an error document */
    IMPORT_WRONG,  /* it cannot be linked */
} import_verdict;

const char *import_verdict_name(import_verdict verdict);

typedef enum finding_level { FINDING_NOTE,
                             FINDING_WARNING,
                             FINDING_ERROR } finding_level;

typedef struct finding {
    finding_level level;
    char what[400]; /* what is wrong, and why it matters */
    char cure[300]; /* what to do */
    char code[512]; /* the line that would be right; "" where none helps */
} finding;

/* The verdict on one import: by which binding it would be linked. */
import_verdict diagnose_import(const module_extern *import, bind_fn bind, void *arg);

/* Calls `fn` for each finding, the gravest kinds of imports first. */
void diagnose_module(const module *m, bind_fn bind, void *arg, void (*fn)(void *fn_arg, const finding *f), void *fn_arg);

/* "2, reactor" and the like: the plugin interface, by exports. */
const char *diagnose_generation(const module *m);

#endif
