/* Log lines: a level, the part that speaks, one line of text.
 *
 * One sink for a process (stderr unless replaced); text is escaped (control characters, broken
 * UTF-8), so nothing from outside reaches a terminal raw. Cheap when the level is off. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"

typedef enum log_level { LOG_TRACE,
                         LOG_DEBUG,
                         LOG_INFO,
                         LOG_WARN,
                         LOG_ERROR,
                         LOG_OFF } log_level;

extern log_level log_threshold; /* LOG_WARN at start */

typedef void (*log_sink)(void *arg, log_level level, const char *part, const char *text);
void log_set_sink(log_sink sink, void *arg); /* NULL: stderr again */

void log_write(log_level level, const char *part, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_at(level, ...) ((level) >= log_threshold ? log_write((level), __VA_ARGS__) : (void)0)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

const char *log_level_name(log_level level);
bool log_level_parse(const char *name, log_level *out);

/* Appends `text` fit for a terminal or a log: control characters and octets that are no UTF-8 as
 * \xNN, newline and tab as \n and \t. */
void log_escape(buf *out, bytes text);

#endif
