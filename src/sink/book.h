/* book.h: an order book for the table, kept up from snapshots and deltas, for its best prices and depth. */
#ifndef SINK_BOOK_H
#define SINK_BOOK_H

#include "base/json.h"

#define BOOK_TEXT 32     /* octets of a price or a size, NUL included; longer ones are passed over */
#define BOOK_LEVELS 1000 /* of a side; the worst beyond are forgotten */

typedef struct book_level {
    char price[BOOK_TEXT], size[BOOK_TEXT];
} book_level;

typedef struct book_side {
    book_level *levels; /* the best first */
    size_t count, cap;
} book_side;

typedef struct book {
    book_side bids, asks;
} book;

void book_fini(book *b); /* of a zeroed one, too */

/* {"type":"delta","bids":[[price,size]...],"asks":[...]}: sizes are absolute, zero takes a level away.
 * Without "type", or with another one, it is a whole new book. A level may be {"price":,"size":} too. */
void book_apply(book *b, json data);

#endif
