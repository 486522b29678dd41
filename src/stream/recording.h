/* recording.h: for tests: when the messages of one kind came in a recording of sim/captures. */
#ifndef STREAM_RECORDING_H
#define STREAM_RECORDING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Nanoseconds since the recording's first message, of the lines with both texts; how many. */
static inline size_t recording_times(uint64_t *at, size_t room, const char *file, const char *one, const char *other)
{
    char *line = NULL;
    size_t size = 0, count = 0;
    double first = 0;
    FILE *f = fopen(file, "r");
    if (!f)
        return 0;
    while (getline(&line, &size, f) > 0 && count < room) {
        char *end;
        double seconds = strtod(line, &end);
        if (end == line || *end != ':')
            continue;
        first = first > 0 ? first : seconds;
        if (strstr(end, one) && strstr(end, other))
            at[count++] = (uint64_t)((seconds - first) * 1e9);
    }
    free(line);
    fclose(f);
    return count;
}

#endif
