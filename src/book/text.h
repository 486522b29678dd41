/* text.h: a record of an order book: the flags that it carries, and the whole book written as one. */
#ifndef BOOK_TEXT_H
#define BOOK_TEXT_H

#include "book/guard.h"

enum { BOOK_SNAPSHOT = 1,
       BOOK_LAST = 2,
       BOOK_MAYBE_BAD = 4 };

unsigned book_flags(const guard_marks *m);
bool book_is_snapshot(const guard_marks *m);               /* also by a type, which some plugins say in place of flags */
void book_put_flags(buf *out, unsigned flags, bool first); /* "snapshot","last": without brackets; `first`: none stands before */

/* The book behind this change: what else its data says, with all the levels. */
void book_put_whole(buf *out, const book *b, json change, const guard_marks *marks);

#endif
