/* trap_note.h: a trap at the moment it is found: what was asked, what the guest did, what the host does then. For
 * whoever keeps it (host/why.c). Everything is lent. */
#ifndef PLUGIN_TRAP_NOTE_H
#define PLUGIN_TRAP_NOTE_H

#include "plugin/task.h"

typedef struct trap_note {
    const call_result *result;
    const task *task;  /* whose host calls and whose export it is; NULL: no instance was there */
    bytes input;       /* of the export */
    bytes message;     /* the venue's, that it was about or that the plugin was given last; empty: none */
    bytes key, topic;  /* of the stream that asked, the key as JSON; empty: none did */
    const char *then;  /* "restarted", "quarantined", "gave up", "stopped", "told the caller" */
    uint64_t again_ns; /* how long until an instance is there again, where that is known; else 0 */
} trap_note;

#endif
