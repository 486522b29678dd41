/* decimal.h: decimal text as a key that sorts, exactly.
 *
 * A price stays the text it came as. To find its place in a book its number is needed only in comparisons:
 * the first 16 significant digits and the power of ten fit into 64 bits, so two keys that differ compare as
 * their numbers do. Where the keys are the same and digits were left out, decimal_compare decides. */
#ifndef BOOK_DECIMAL_H
#define BOOK_DECIMAL_H

#include "base/bytes.h"

typedef struct decimal {
    uint64_t key; /* of two numbers with different keys the smaller one's is smaller; -0 is 0 */
    bool more;    /* there are significant digits that the key leaves out */
    bool zero;
} decimal;

/* "12", "-0.5", "+7.", ".25", "1.5e-7": digits with at most one point, an exponent within 200. False: it is none. */
bool decimal_read(decimal *out, bytes text);

/* The same from `at` on up to a character that belongs to no plain number (digits, at most one point, at most 18
 * characters): its end; NULL: it is longer, or not plain. For a text that such a character ends. */
const char *decimal_scan(decimal *out, const char *at);
/* Only whether it is zero. False: it is no decimal. */
bool decimal_zero(bool *zero, bytes text);

/* -1, 0, 1 as a's number is smaller, the same, larger. Both were read before. */
int decimal_compare(bytes a, bytes b);

#endif
