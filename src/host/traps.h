/* traps.h: traps that outlive the process: a file for each plugin in the state folder.
 *
 * A file is a JSON list, the newest trap first, a line each; TRAPS_IN_FILE of them at most, and TRAPS_FILES files,
 * the oldest of which go. Written on another thread, one after the other, mode 0600, replaced whole. That nothing
 * can be written is said once in the log, and is no error: the plugin runs on. */
#ifndef HOST_TRAPS_H
#define HOST_TRAPS_H

#include "base/buf.h"
#include "loop/loop.h"

#define TRAPS_IN_FILE 16
#define TRAPS_FILES 256

typedef struct traps traps;

/* "$XDG_STATE_HOME/weir/traps", else "~/.local/state/weir/traps"; `asked` (a state folder) comes before both. ""
 * appended: there is none, or `asked` is "". */
void traps_folder(buf *out, const char *asked);

weir_code traps_new(traps **out, loop *l, const char *folder, weir_error *err);
/* Writes what waits, here and now. NULL is fine. Call it before the loop is freed. */
void traps_free(traps *t);

void traps_keep(traps *t, const char *plugin_id, const char *json);

/* Appends a JSON list of what is kept about `what`, the newest first: a plugin's id or file, or a stream as
 * "TYPE:IDENTIFIER[:TIMEFRAME]" or as its records' topic.
 * WEIR_NOT_FOUND: nothing; the text says what is there. WEIR_SYSTEM: the folder cannot be read. */
weir_code traps_find(buf *out, const char *folder, const char *what, weir_error *err);

#endif
