/* Any declaration of a guard and any changes: a line each, the declaration first. Prices of a side stay in order
 * and no level has the size zero. */
#include "book/decimal.h"
#include "book/guard.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void check(const book *b)
{
    for (int side = 0; side < 2; side++) {
        book_cursor at = {0};
        const book_level *last = NULL;
        size_t count = 0;
        for (const book_level *l; (l = book_next(b, (book_side)side, &at)); last = l, count++) {
            decimal size;
            if (!decimal_read(&size, book_size(l)) || size.zero)
                abort();
            if (last && decimal_compare(book_price(last), book_price(l)) != (side == BOOK_BIDS ? 1 : -1))
                abort();
        }
        if (count != book_count(b, (book_side)side) || (b->depth && count > b->depth))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    const char *line = (const char *)at, *end = line + len;
    json doc;
    guard g = {0};
    book b = {0};
    for (bool declared = false; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        bytes text = bytes_make(line, (size_t)((newline ? newline : end) - line));
        line = newline ? newline + 1 : end;
        if (json_read(&doc, text, NULL))
            continue;
        if (!declared) {
            if (guard_read(&g, doc, NULL))
                break;
            book_init(&b, g.depth);
            declared = true;
            continue;
        }
        guard_marks m;
        if (guard_read_marks(&m, doc, NULL) || guard_order(&g, &m, false) == GUARD_STALE)
            continue;
        book_apply(&b, BOOK_BIDS, json_member(doc, "bids"), NULL);
        book_apply(&b, BOOK_ASKS, json_member(doc, "asks"), NULL);
        book_truncate(&b);
        guard_check(&g, &b, &m);
        check(&b);
    }
    book_fini(&b);
    guard_fini(&g);
    return 0;
}
