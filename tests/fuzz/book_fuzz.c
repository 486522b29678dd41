/* Any declaration of a guard and any changes: a line each, the declaration first. Prices of a side stay in order
 * and no level has the size zero. Read in one pass (guard_read_levels) a change says the same as read level by level. */
#include "book/decimal.h"
#include "book/guard.h"

#include <stdio.h>
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

static void compare(const book *a, const book *b)
{
    for (int side = 0; side < 2; side++) {
        book_cursor x = {0}, y = {0};
        const book_level *l, *k;
        do {
            l = book_next(a, (book_side)side, &x);
            k = book_next(b, (book_side)side, &y);
            if (!l != !k || (l && (!bytes_equal(book_price(l), book_price(k)) || !bytes_equal(book_size(l), book_size(k)))))
                abort();
        } while (l);
    }
}

/* Level by level, whatever their form. */
static void apply_each(book *b, json data)
{
    static const char *const names[] = {"bids", "asks"};
    json key, item;
    bool good = true;
    for (int side = 0; good && side < 2; side++) {
        json list = json_member(data, names[side]);
        char one[4096];
        good = list.type == JSON_ARRAY || list.type == JSON_NONE || list.type == JSON_NULL;
        for (json_iter it = json_each(list); good && list.type == JSON_ARRAY && json_next(&it, &key, &item);) {
            int n = snprintf(one, sizeof one, "[ " BYTES_FMT "]", BYTES_ARG(item.raw)); /* the blank: not the plain form */
            good = n < (int)sizeof one && !book_apply(b, (book_side)side, (json){JSON_ARRAY, {one, (size_t)n}}, NULL);
        }
    }
    book_truncate(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    levels scratch[2] = {0};
    book other = {0};
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
            book_init(&other, g.depth);
            declared = true;
            continue;
        }
        guard_marks m;
        bool good = guard_read_marks(&m, doc, NULL) == WEIR_OK;
        if ((guard_read_levels(&m, scratch, text, NULL) == WEIR_OK) != good)
            abort();
        if (!good || guard_order(&g, &m, false) == GUARD_STALE)
            continue;
        guard_apply(&m, &b, NULL);
        if (text.len < 4000) {
            apply_each(&other, doc);
            compare(&b, &other);
        }
        guard_check(&g, &b, &m);
        check(&b);
    }
    levels_fini(&scratch[0]);
    levels_fini(&scratch[1]);
    book_fini(&other);
    book_fini(&b);
    guard_fini(&g);
    return 0;
}
