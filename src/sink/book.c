/* Order books: see book.h. A side is a sorted array; a delta finds its level by bisection and is applied in
 * place, so the frequent change, a new size, moves nothing. Without memory a level is left out. */
#include "sink/book.h"
#include "sink/text.h"

#include <stdlib.h>

void book_fini(book *b)
{
    free(b->bids.levels);
    free(b->asks.levels);
    *b = (book){0};
}

static bool copy_number(char out[BOOK_TEXT], json value)
{
    bytes text = value.raw;

    if (value.type != JSON_NUMBER && !json_string_slice(value, &text))
        return false;
    if (!text.len || text.len >= BOOK_TEXT || memchr(text.at, '\0', text.len))
        return false;
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_level(book_level *out, json level)
{
    json key, price = {JSON_NONE, {NULL, 0}}, size = price;

    if (level.type == JSON_ARRAY) {
        json_iter pair = json_each(level);
        if (!json_next(&pair, &key, &price) || !json_next(&pair, &key, &size))
            return false;
    } else {
        json_field fields[] = {{"price", &price}, {"size", &size}};
        if (json_fields(level, fields, 2, NULL))
            return false;
    }
    return copy_number(out->price, price) && copy_number(out->size, size);
}

static bool nothing(const char *size)
{
    return size[strspn(size, "0.")] == '\0';
}

static bool grow(book_side *s)
{
    size_t cap = s->cap ? s->cap * 2 : 32;
    book_level *levels = realloc(s->levels, cap * sizeof *levels);

    if (!levels)
        return false;
    s->levels = levels;
    s->cap = cap;
    return true;
}

/* `order` is 1 where the highest price is the best, -1 where the lowest is. */
static void set_level(book_side *s, const book_level *level, int order)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int found = text_compare_decimals(bytes_of(s->levels[middle].price), bytes_of(level->price)) * order;
        if (found == 0) {
            low = middle;
            break;
        }
        if (found > 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool known = low < high;
    if (nothing(level->size)) {
        if (known)
            memmove(s->levels + low, s->levels + low + 1, (--s->count - low) * sizeof *level);
        return;
    }
    if (!known) {
        if (s->count == BOOK_LEVELS) {
            if (low == s->count)
                return;
            s->count--;
        }
        if (s->count == s->cap && !grow(s))
            return;
        memmove(s->levels + low + 1, s->levels + low, (s->count++ - low) * sizeof *level);
    }
    s->levels[low] = *level;
}

static void apply_side(book_side *s, json levels, int order)
{
    json key, item;
    book_level level;

    if (levels.type != JSON_ARRAY)
        return;
    json_iter it = json_each(levels);
    while (json_next(&it, &key, &item))
        if (read_level(&level, item))
            set_level(s, &level, order);
}

void book_apply(book *b, json data)
{
    json type, bids, asks;
    json_field fields[] = {{"type", &type}, {"bids", &bids}, {"asks", &asks}};

    if (json_fields(data, fields, 3, NULL) || (bids.type != JSON_ARRAY && asks.type != JSON_ARRAY))
        return;
    if (!json_is(type, "delta"))
        b->bids.count = b->asks.count = 0;
    apply_side(&b->bids, bids, 1);
    apply_side(&b->asks, asks, -1);
}
