/* An order book: see book.h. The keys of a run lie side by side, apart from the texts, so that finding a price reads
 * a few lines of memory. A bid's key is turned over: on both sides the smaller key is the better price. */
#include "book/book.h"

#include <assert.h>
#include <stdlib.h>

#include "book/decimal.h"

#define RUN 64 /* levels of a run at most */
#define NO_LEVEL UINT32_MAX

static const char *const names[] = {"bid", "ask"};

typedef struct book_run {
    uint64_t key[RUN];
    uint32_t level[RUN];
    uint32_t count;
    struct book_run *next; /* while it is free */
} run;

/* Where a level is, or belongs: before entry `at` of that run. */
typedef struct place {
    size_t run, at;
    bool known;
} place;

void book_init(book *b, size_t depth)
{
    *b = (book){.depth = depth, .free_level = NO_LEVEL};
    book_settle(b);
}

void book_fini(book *b)
{
    if (b->level_cap || b->free_run || b->half[0].run_cap || b->half[1].run_cap)
        book_clear(b);
    for (run *r; (r = b->free_run);) {
        b->free_run = r->next;
        free(r);
    }
    free(b->half[0].runs);
    free(b->half[1].runs);
    free(b->levels);
    *b = (book){0};
}

void book_clear(book *b)
{
    for (int side = 0; side < 2; side++) {
        book_half *h = &b->half[side];
        for (size_t i = 0; i < h->run_count; i++) {
            h->runs[i]->next = b->free_run;
            b->free_run = h->runs[i];
        }
        h->run_count = h->count = h->touched = 0;
    }
    b->level_count = 0;
    b->free_level = NO_LEVEL;
}

void book_settle(book *b)
{
    b->half[0].touched = b->half[1].touched = SIZE_MAX;
}

/* ---- Levels and runs, new or used again ---- */

static uint32_t take_level(book *b)
{
    uint32_t found = b->free_level;
    if (found != NO_LEVEL) {
        memcpy(&b->free_level, b->levels[found].text, sizeof found);
        return found;
    }
    if (b->level_count == b->level_cap) {
        uint32_t cap = b->level_cap ? b->level_cap * 2 : 64;
        book_level *more = cap < NO_LEVEL / 2 ? realloc(b->levels, cap * sizeof *more) : NULL;
        if (!more)
            return NO_LEVEL;
        b->levels = more;
        b->level_cap = cap;
    }
    return b->level_count++;
}

static void give_level(book *b, uint32_t level)
{
    memcpy(b->levels[level].text, &b->free_level, sizeof level);
    b->free_level = level;
}

/* An empty run at place `at` of the side; NULL when out of memory. */
static run *add_run(book *b, book_half *h, size_t at)
{
    if (h->run_count == h->run_cap) {
        size_t cap = h->run_cap ? h->run_cap * 2 : 8;
        run **more = realloc(h->runs, cap * sizeof *more);
        if (!more)
            return NULL;
        h->runs = more;
        h->run_cap = cap;
    }
    run *r = b->free_run;
    if (r)
        b->free_run = r->next;
    else if (!(r = malloc(sizeof *r)))
        return NULL;
    r->count = 0;
    memmove(h->runs + at + 1, h->runs + at, (h->run_count++ - at) * sizeof r);
    h->runs[at] = r;
    return r;
}

static void drop_run(book *b, book_half *h, size_t at)
{
    h->runs[at]->next = b->free_run;
    b->free_run = h->runs[at];
    memmove(h->runs + at, h->runs + at + 1, (--h->run_count - at) * sizeof *h->runs);
}

/* ---- Places ---- */

/* The first entry of a run whose key is not smaller. */
static size_t lower_bound(const run *r, uint64_t key)
{
    size_t low = 0, n = r->count;
    while (n > 0) {
        size_t half = n / 2;
        bool right = r->key[low + half] < key;
        low += right ? half + 1 : 0;
        n = right ? n - half - 1 : half;
    }
    return low;
}

static place find(const book *b, book_side side, uint64_t key, const decimal *price, bytes text)
{
    const book_half *h = &b->half[side];
    size_t low = 0, high = h->run_count;
    while (low < high) { /* the first run that begins at the key or behind it */
        size_t middle = (low + high) / 2;
        if (h->runs[middle]->key[0] < key)
            low = middle + 1;
        else
            high = middle;
    }
    place p = {.run = low ? low - 1 : 0};
    if (!h->run_count)
        return p;
    p.at = lower_bound(h->runs[p.run], key);
    for (place next = p;; next.at++) { /* over the levels of this very key; more than one only of overlong prices */
        if (next.at == h->runs[next.run]->count) {
            if (next.run + 1 == h->run_count)
                return p;
            next.run++;
            next.at = 0;
        }
        const run *r = h->runs[next.run];
        if (r->key[next.at] != key)
            return p;
        const book_level *l = &b->levels[r->level[next.at]];
        int order = price->more || l->more ? decimal_compare(text, book_price(l)) : 0;
        if (order == 0) {
            next.known = true;
            return next;
        }
        if ((order < 0) == (side == BOOK_ASKS))
            return p;
        p = (place){next.run, next.at + 1, false};
    }
}

static void touch(book_half *h, const place *p)
{
    size_t rank = p->at;
    for (size_t i = 0; i < p->run && rank < h->touched; i++)
        rank += h->runs[i]->count;
    if (rank < h->touched)
        h->touched = rank;
}

static void take_out(book *b, book_half *h, const place *p)
{
    run *r = h->runs[p->run];
    give_level(b, r->level[p->at]);
    r->count--;
    memmove(r->key + p->at, r->key + p->at + 1, (r->count - p->at) * sizeof *r->key);
    memmove(r->level + p->at, r->level + p->at + 1, (r->count - p->at) * sizeof *r->level);
    h->count--;
    if (!r->count) {
        drop_run(b, h, p->run);
        return;
    }
    run *next = p->run + 1 < h->run_count ? h->runs[p->run + 1] : NULL;
    if (!next || r->count + next->count > RUN / 2)
        return;
    memcpy(r->key + r->count, next->key, next->count * sizeof *r->key);
    memcpy(r->level + r->count, next->level, next->count * sizeof *r->level);
    r->count += next->count;
    drop_run(b, h, p->run + 1);
}

/* Makes room in a full run: its worse half becomes a run of its own. */
static bool split(book *b, book_half *h, place *p)
{
    run *more = add_run(b, h, p->run + 1), *r = h->runs[p->run];
    if (!more)
        return false;
    more->count = RUN / 2;
    r->count = RUN - RUN / 2;
    memcpy(more->key, r->key + r->count, more->count * sizeof *r->key);
    memcpy(more->level, r->level + r->count, more->count * sizeof *r->level);
    if (p->at > r->count) {
        p->at -= r->count;
        p->run++;
    }
    return true;
}

static bool put_in(book *b, book_half *h, place *p, uint64_t key, uint32_t *level)
{
    if (h->run_count == 0 && !add_run(b, h, 0))
        return false;
    if (h->runs[p->run]->count == RUN && !split(b, h, p))
        return false;
    *level = take_level(b);
    run *r = h->runs[p->run];
    if (*level == NO_LEVEL) {
        if (!r->count)
            drop_run(b, h, p->run);
        return false;
    }
    memmove(r->key + p->at + 1, r->key + p->at, (r->count - p->at) * sizeof *r->key);
    memmove(r->level + p->at + 1, r->level + p->at, (r->count - p->at) * sizeof *r->level);
    r->key[p->at] = key;
    r->level[p->at] = *level;
    r->count++;
    h->count++;
    return true;
}

static weir_code put(book *b, book_side side, const decimal *p, bool zero, bytes price, bytes size, weir_error *err)
{
    book_half *h = &b->half[side];
    uint32_t level;
    if (price.len + size.len > BOOK_LEVEL_TEXT)
        return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' of '" BYTES_FMT "': price and size have more than %d characters", names[side], BYTES_ARG(price), BYTES_ARG(size), BOOK_LEVEL_TEXT);
    uint64_t key = side == BOOK_BIDS ? ~p->key : p->key;
    place at = find(b, side, key, p, price);
    if (zero) {
        if (at.known) {
            touch(h, &at);
            take_out(b, h, &at);
        }
        return WEIR_OK;
    }
    if (at.known)
        level = h->runs[at.run]->level[at.at];
    else if (!put_in(b, h, &at, key, &level))
        return error_set(err, WEIR_NOMEM, "a book of %zu levels: out of memory", b->half[0].count + b->half[1].count);
    touch(h, &at);
    book_level *l = &b->levels[level];
    memcpy(l->text, price.at, price.len);
    memcpy(l->text + price.len, size.at, size.len);
    l->price_len = (uint8_t)price.len;
    l->size_len = (uint8_t)size.len;
    l->more = p->more;
    return WEIR_OK;
}

weir_code book_set(book *b, book_side side, bytes price, bytes size, weir_error *err)
{
    decimal p;
    bool zero;
    if (!decimal_read(&p, price) || !decimal_zero(&zero, size))
        return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' of '" BYTES_FMT "': price and size are decimals", names[side], BYTES_ARG(price), BYTES_ARG(size));
    return put(b, side, &p, zero, price, size, err);
}

void book_truncate(book *b)
{
    for (int side = 0; b->depth && side < 2; side++) {
        book_half *h = &b->half[side];
        while (h->count > b->depth) {
            place last = {h->run_count - 1, h->runs[h->run_count - 1]->count - 1, true};
            take_out(b, h, &last);
        }
    }
}

const book_level *book_next(const book *b, book_side side, book_cursor *at)
{
    const book_half *h = &b->half[side];
    if (at->run < h->run_count && at->at == h->runs[at->run]->count) {
        at->run++;
        at->at = 0;
    }
    if (at->run >= h->run_count)
        return NULL;
    return &b->levels[h->runs[at->run]->level[at->at++]];
}

/* ---- Out of JSON ---- */

static bool number_text(json value, bytes *out)
{
    *out = value.raw;
    return value.type == JSON_NUMBER || json_string_slice(value, out);
}

/* Over the digits and points of a text; counts the points and whether there is a digit that is not zero. */
static const char *pass_digits(const char *at, int *points, bool *zero)
{
    for (;; at++) {
        unsigned d = (unsigned)(unsigned char)*at - '0';
        if (d < 10)
            *zero &= d == 0;
        else if (*at == '.')
            ++*points;
        else
            return at;
    }
}

/* ["price","size", texts of digits behind], as nearly every level stands there: its end; NULL: it is another one. The
 * list was validated before, so every text and the list end somewhere. */
static const char *read_plain(const char *at, decimal *p, bool *zero, bytes *price, bytes *size)
{
    int points = 0, others = 0;
    bool other;
    if (at[0] != '[' || at[1] != '"')
        return NULL;
    price->at = at + 2;
    if (!(at = decimal_scan(p, at + 2)) || at[0] != '"' || at[1] != ',' || at[2] != '"')
        return NULL;
    price->len = (size_t)(at - price->at);
    size->at = at + 3;
    *zero = true;
    at = pass_digits(at + 3, &points, zero);
    size->len = (size_t)(at - size->at);
    if (points > 1 || size->len < 1 + (size_t)points)
        return NULL;
    while (at[0] == '"' && at[1] == ',' && at[2] == '"')
        at = pass_digits(at + 3, &others, &other);
    return at[0] == '"' && at[1] == ']' ? at + 2 : NULL;
}

static weir_code apply_level(book *b, book_side side, json level, weir_error *err)
{
    json key, price = {JSON_NONE, {NULL, 0}}, size = price;
    bytes price_text, size_text;
    if (level.type == JSON_ARRAY) {
        json_iter pair = json_each(level);
        if (json_next(&pair, &key, &price))
            json_next(&pair, &key, &size);
    } else if (level.type == JSON_OBJECT) {
        json_field fields[] = {{"price", &price}, {"size", &size}};
        json_fields(level, fields, 2, NULL);
    }
    if (!number_text(price, &price_text) || !number_text(size, &size_text))
        return error_set(err, WEIR_INVALID, "a level is " BYTES_FMT "; it is [price, size] or {\"price\",\"size\"}", BYTES_ARG(level.raw));
    return book_set(b, side, price_text, size_text, err);
}

weir_code book_apply(book *b, book_side side, json levels, weir_error *err)
{
    json key, item;
    weir_code code;
    if (levels.type == JSON_NONE || levels.type == JSON_NULL)
        return WEIR_OK;
    if (levels.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "\"%s\" is no list of levels", side == BOOK_BIDS ? "bids" : "asks");
    json_iter it = json_each(levels);
    for (;;) {
        bytes price, size;
        decimal p;
        bool zero;
        const char *next = it.at + (*it.at == ',');
        if (next < it.end && (next = read_plain(next, &p, &zero, &price, &size))) {
            it.at = next;
            code = put(b, side, &p, zero, price, size, err);
        } else if (json_next(&it, &key, &item)) {
            code = apply_level(b, side, item, err);
        } else {
            return WEIR_OK;
        }
        if (code)
            return code;
    }
}
