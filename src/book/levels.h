/* levels.h: a list of levels out of JSON, read in one pass: what it says and that it is JSON.
 *
 * Nearly every venue writes a level as ["price","size"], perhaps with more texts of digits behind. Such a list is read
 * here 64 octets at a time; whatever else there may be (numbers, objects, blanks, exponents) is left to those who read
 * any JSON, book_apply among them. The list stays where it is; a text is a place in it. */
#ifndef BOOK_LEVELS_H
#define BOOK_LEVELS_H

#include "base/json.h"

typedef struct level {
    uint64_t key;      /* of the price, as decimal.h makes it; it tells the whole price */
    const char *price; /* the size's text begins 3 octets behind its end */
    uint8_t price_len, size_len;
    bool zero;  /* the size */
    bool roomy; /* 64 octets may be read from the price on */
} level;

typedef struct levels {
    level *at;
    size_t count, cap;
    const char *of; /* the list that they were read from; NULL: none */
} levels;

void levels_fini(levels *l); /* of a zeroed one, too */

/* One level at `at`, which is before `end`: where it ends, or NULL, it is not of this form. */
const char *level_read(level *out, const char *at, const char *end);
/* The list at `at`: where it ends, or NULL, it is not of this form, or memory is out. */
const char *levels_read(levels *l, const char *at, const char *end);

static inline bool levels_are(const levels *l, json list)
{
    return l && l->of && l->of == list.raw.at;
}

#endif
