/* columns.h: things of a daemon as aligned columns, and one of them as lines. All text is foreign, and is escaped. */
#ifndef CLI_COLUMNS_H
#define CLI_COLUMNS_H

#include <stdio.h>

#include "base/json.h"

typedef enum column_kind { COLUMN_TEXT,  /* a list with commas between, true as yes */
                           COLUMN_COUNT, /* to the right; 12,345 */
                           COLUMN_OCTETS,
                           COLUMN_TIME, /* ns in a text, as UTC */
                           COLUMN_AGE   /* the same, as the time since: 12s, 3m, 4h, 5d */
} column_kind;

typedef struct column {
    const char *title, *path; /* "figures.records" */
    column_kind kind;
    unsigned most; /* columns on the screen; 0: what is left of the line on a terminal, else all of it */
} column;

/* What a cell of it says, appended, fit for a terminal. */
void column_text(buf *out, json row, const column *c, uint64_t now_ns);
/* The member behind a path with dots. */
json column_member(json row, const char *path);

/* A line for each of the list, below titles. A NULL title ends the columns. */
void columns_print(FILE *out, json list, const column *columns);
/* A line for each column of one thing; nothing of what it does not have. */
void columns_print_one(FILE *out, json thing, const column *columns);

/* "12s", "3m", "4h", "5d" since then; "-" for 0. */
void columns_put_age(buf *out, uint64_t then_ns, uint64_t now_ns);
void columns_put_octets(buf *out, uint64_t octets); /* "1.2 MiB" */

#endif
