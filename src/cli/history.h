/* history.h: candles of a span of time, in as many calls as the plugin needs for them. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"

typedef struct history_wish {
    const char *from, *to; /* as the user wrote them; NULL: not said */
    uint64_t limit;        /* the newest so many; 0: all */
} history_wish;

/* Whether there is anything to page for. */
bool history_wanted(const history_wish *w);

/* Asks for getOHLCV, with `params` of the user, as often as the span needs, and writes the candles in normal form as one JSON
 * list: oldest first, each once, none outside the span. How far it is goes to stderr when that is a terminal. False after
 * an error that it has reported; *code is the exit code. */
bool history_ask(buf *out, weir_plugin *plugin, json params, const history_wish *wish, unsigned flags, int *code);

/* "2024-05-01", RFC 3339, Unix seconds or milliseconds, "7d" (so long ago), "now"; in nanoseconds. */
bool history_time(const char *text, uint64_t now_ns, uint64_t *ns);

#endif
