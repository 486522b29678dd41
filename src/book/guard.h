/* guard.h: how a venue guards its order book, as a plugin declares it, and the check of each change.
 *
 * A declaration names no venue; it says what to compare:
 *
 *     {"guard":"crc32","depth":400,
 *      "checksum":{"levels":25,"order":"interleaved","separator":":","strip":false,"signed":true}}
 *
 *   sequence           a change covers the numbers first_sequence to sequence; it follows the one before without a hole
 *   previous_sequence  a change carries its own number and that of the one before
 *   crc32              a change carries the CRC32 of the best levels as they are after it, in a text form of the
 *                      venue's: bids and asks in turns, or all asks and then all bids; price and size as they
 *                      came, or ("strip") without the point and the zeros in front; a separator between all of
 *                      them; the number as a signed or an unsigned one of 32 bits
 *   none               nothing
 *
 * "guard" may be a list of these: then each is checked where a change carries what it needs. */
#ifndef BOOK_GUARD_H
#define BOOK_GUARD_H

#include "book/book.h"

#define GUARD_LEVELS 1000

enum { GUARD_SEQUENCE = 1,
       GUARD_PREVIOUS = 2,
       GUARD_CRC32 = 4 };

typedef struct guard {
    unsigned kinds;
    size_t depth; /* levels of a side that the venue tells of; 0: all */
    struct {
        uint32_t levels; /* of each side */
        bool interleaved, strip, is_signed;
        char separator[8];
        uint8_t separator_len;
    } form;
    buf text; /* the last checksum's */
    uint32_t crc;
    bool has_crc;
    bool has_last; /* `last` is the number of the book's last change */
    uint64_t last;
} guard;

/* What a record says: its levels, and of its place. */
typedef struct guard_marks {
    json bids, asks;
    json flags, type; /* what kind of record it is, in its own words */
    levels *levels;   /* of bids and asks as they were read, where levels_are; NULL: not read */
    bool has_first, has_sequence, has_previous, has_checksum;
    uint64_t first, sequence, previous; /* an absent first is the sequence itself */
    int64_t checksum;
} guard_marks;

typedef enum guard_finding {
    GUARD_GOOD,
    GUARD_STALE,    /* it is older than the book: wholly contained in it */
    GUARD_HOLE,     /* changes before it are missing */
    GUARD_MISMATCH, /* the book is not the venue's */
} guard_finding;

/* Reads the declaration. WEIR_INVALID: the text says which member is wrong and what it may be. On failure the
 * guard is none. */
weir_code guard_read(guard *g, json declaration, weir_error *err);
void guard_fini(guard *g); /* of a zeroed one, too */

/* Finds all of them in a record's data in one pass; the marks are whole numbers or texts of such. */
weir_code guard_read_marks(guard_marks *out, json data, weir_error *err);
weir_code guard_read_text(guard_marks *out, bytes text, weir_error *err); /* the same, and validates it */
/* The same, and reads plain levels in that pass, into into[2]: memory that is used again. */
weir_code guard_read_levels(guard_marks *out, levels *into, bytes text, weir_error *err);
/* The levels of the marks into the book, and what is beyond its depth out of it. */
weir_code guard_apply(const guard_marks *m, book *b, weir_error *err);

void guard_snapshot(guard *g, const guard_marks *m); /* the book is a new one */
/* Before a change goes into the book, by its numbers; `first` of the changes since a REST snapshot, which may
 * begin inside it. GUARD_GOOD takes the number. */
guard_finding guard_order(guard *g, const guard_marks *m, bool first);
/* After it is in the book, by the checksum. Only GUARD_GOOD and GUARD_MISMATCH. */
guard_finding guard_check(guard *g, book *b, const guard_marks *m);
uint32_t guard_checksum(guard *g, book *b);

#endif
