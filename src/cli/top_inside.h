/* top_inside.h: what top_rows.c and top_frame.c share. */
#ifndef CLI_TOP_INSIDE_H
#define CLI_TOP_INSIDE_H

#include "cli/top.h"

typedef enum top_kind { TOP_TEXT,
                        TOP_NAME,
                        TOP_COUNT,
                        TOP_RATE,
                        TOP_CPU,
                        TOP_AGE,
                        TOP_TIME,
                        TOP_LAG,
                        TOP_OCTETS,
                        TOP_US,
                        TOP_MS } top_kind;

typedef struct top_column {
    const char *title, *path;
    top_kind kind;
    uint8_t width; /* 0: what is left; one of each view */
    uint8_t keep;  /* what does not fit goes in ascending order of this */
} top_column;

typedef struct top_columns {
    const char *name, *path, *list, *id;
    top_column columns[TOP_CELLS + 1]; /* ended by a NULL title */
} top_columns;

static inline bool top_is_text(top_kind kind)
{
    return kind == TOP_TEXT || kind == TOP_NAME;
}

extern const top_columns top_views[TOP_VIEWS];

/* Which column of a view gets what is left: what a row is called by. */
int top_flex(top_view v);

/* top_frame.c: arranges the rows anew and selects the one of this id, if it is still there. */
void top_select_again(top *t, const char *id);

#endif
