/* csv.h: records' lines as a table (RFC 4180). The columns are those of every record, then the members of the first data record;
 * members that later ones have beside these are an object in the last column, "more", so that nothing is lost. */
#ifndef API_CSV_H
#define API_CSV_H

#include "base/buf.h"

typedef struct csv {
    buf names; /* of the columns of data, NUL behind each */
    size_t count;
    bool headed;
} csv;

void csv_init(csv *c);
void csv_fini(csv *c);
/* Appends a row for each line, and the head ahead of the first. */
void csv_write(csv *c, bytes lines, buf *out);

#endif
