/* output.h: the daemon's log on stderr: a line of text or a JSON object each. Lines come from every thread. */
#ifndef DAEMON_OUTPUT_H
#define DAEMON_OUTPUT_H

#include <weir/weir.h>

/* From now on. Also again, with other words. */
void output_set(const char *level, const char *format);

#endif
