/* book.h: an order book of two sides, ordered by price, in the texts it was given.
 *
 *     book b;
 *     book_init(&b, 0);
 *     book_apply(&b, BOOK_BIDS, json_member(data, "bids"), err);
 *     book_cursor at = {0};
 *     for (const book_level *l; (l = book_next(&b, BOOK_BIDS, &at));) ...    the best first
 *
 * Prices are compared as the exact decimals they are (decimal.h), "1.0" and "1" are one level, and what comes out
 * is the text that came in last. A size of zero, in any spelling, takes its level away. A side is a list of short
 * sorted runs: finding a level takes two bisections, changing one moves at most a run, however deep the book is.
 * Levels and runs are used again: a book whose depth has settled allocates nothing.
 * What can go wrong: a text that is no decimal, or too long (WEIR_INVALID, the level is left as it was); no memory
 * (WEIR_NOMEM, likewise). */
#ifndef BOOK_BOOK_H
#define BOOK_BOOK_H

#include "book/levels.h"

#define BOOK_LEVEL_TEXT 60 /* octets of a price and its size together */

typedef enum book_side { BOOK_BIDS,
                         BOOK_ASKS } book_side;

typedef struct book_level {
    char text[BOOK_LEVEL_TEXT]; /* price, then size, without anything between */
    uint8_t price_len, size_len;
    bool more; /* the key does not tell the whole price */
} book_level;

static inline bytes book_price(const book_level *l)
{
    return bytes_make(l->text, l->price_len);
}

static inline bytes book_size(const book_level *l)
{
    return bytes_make(l->text + l->price_len, l->size_len);
}

struct book_run;

typedef struct book_place {
    uint64_t first; /* key of its best level, here for those who search */
    struct book_run *run;
} book_place;

typedef struct book_half {
    book_place *runs; /* the best prices first */
    size_t run_count, run_cap;
    size_t near;    /* the run that the last change was in: the next one is often there */
    size_t count;   /* levels */
    size_t touched; /* the best place, from 0, that changed since book_settle; SIZE_MAX: none did */
} book_half;

typedef struct book {
    book_half half[2];
    size_t depth;       /* levels that book_truncate keeps of a side; 0: all */
    book_level *levels; /* of both sides, in no order */
    uint32_t level_count, level_cap, free_level;
    struct book_run *free_run;
} book;

void book_init(book *b, size_t depth);
void book_fini(book *b); /* of a zeroed one, too */
void book_clear(book *b);

weir_code book_set(book *b, book_side side, bytes price, bytes size, weir_error *err);
/* A JSON list of levels: [price, size, anything more ...] or {"price":, "size":}, texts or numbers. JSON_NONE and
 * null are an empty list. What stands before a bad level is in the book. */
weir_code book_apply(book *b, book_side side, json levels, weir_error *err);
/* The same of levels that were read before. */
weir_code book_apply_levels(book *b, book_side side, const levels *l, weir_error *err);
/* Forgets the worst levels beyond the depth. */
void book_truncate(book *b);
void book_settle(book *b);

static inline size_t book_count(const book *b, book_side side)
{
    return b->half[side].count;
}

/* The best levels, at most `max` of them; how many they are. */
size_t book_top(const book *b, book_side side, const book_level **out, size_t max);

typedef struct book_cursor {
    size_t run, at;
} book_cursor;
/* The next level, from the best on; NULL behind the last. Good until the book changes. */
const book_level *book_next(const book *b, book_side side, book_cursor *at);

#endif
