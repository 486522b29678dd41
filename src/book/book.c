/* An order book: see book.h. The keys of a run lie side by side, apart from the texts, so that finding a price reads
 * a few lines of memory. A bid's key is turned over: on both sides the smaller key is the better price. */
#include "book/book.h"

#include <assert.h>
#include <stdlib.h>

#include "book/decimal.h"

#define RUN 64 /* levels of a run at most */
#define NO_LEVEL UINT32_MAX
#define SHORT 24 /* octets of a price or a size that are copied all at once */
_Static_assert(2 * SHORT <= BOOK_LEVEL_TEXT, "a short price and what is copied behind it lie within a level");

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
            h->runs[i].run->next = b->free_run;
            b->free_run = h->runs[i].run;
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
        book_place *more = realloc(h->runs, cap * sizeof *more);
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
    memmove(h->runs + at + 1, h->runs + at, (h->run_count++ - at) * sizeof *h->runs);
    h->runs[at].run = r;
    return r;
}

/* What the run at `at` begins with has changed. */
static void note_first(book_half *h, size_t at)
{
    h->runs[at].first = h->runs[at].run->key[0];
}

static void drop_run(book *b, book_half *h, size_t at)
{
    h->runs[at].run->next = b->free_run;
    b->free_run = h->runs[at].run;
    memmove(h->runs + at, h->runs + at + 1, (--h->run_count - at) * sizeof *h->runs);
}

/* ---- Places ---- */

/* Nobody can foretell where a key lies: no branch that the processor would have to guess, but as many steps for all. */
#define EVEN(condition) __builtin_expect_with_probability((condition), 1, 0.5)

/* The first entry of a run whose key is not smaller. */
static size_t lower_bound(const run *r, uint64_t key)
{
    const uint64_t *at = r->key;
    size_t n = r->count;
    while (n > 1) {
        size_t half = n / 2;
        at = EVEN(at[half - 1] < key) ? at + half : at;
        n -= half;
    }
    return (size_t)(at - r->key) + (n && *at < key);
}

/* The last run that begins before the key, or the first. */
static size_t run_of(const book_half *h, uint64_t key)
{
    const book_place *at = h->runs;
    size_t n = h->run_count;
    while (n > 1) {
        size_t half = n / 2;
        at = EVEN(at[half].first < key) ? at + half : at;
        n -= half;
    }
    return (size_t)(at - h->runs);
}

static bool begins_before(const book_half *h, size_t run, uint64_t key)
{
    return run < h->run_count && h->runs[run].first < key;
}

static place find(const book *b, book_side side, uint64_t key, const decimal *price, bytes text)
{
    const book_half *h = &b->half[side];
    place p = {.run = begins_before(h, h->near, key) && !begins_before(h, h->near + 1, key) ? h->near : run_of(h, key)};
    if (!h->run_count)
        return p;
    p.at = lower_bound(h->runs[p.run].run, key);
    for (place next = p;; next.at++) { /* over the levels of this very key; more than one only of overlong prices */
        if (next.at == h->runs[next.run].run->count) {
            if (next.run + 1 == h->run_count)
                return p;
            next.run++;
            next.at = 0;
        }
        const run *r = h->runs[next.run].run;
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
        rank += h->runs[i].run->count;
    if (rank < h->touched)
        h->touched = rank;
}

static void take_out(book *b, book_half *h, const place *p)
{
    run *r = h->runs[p->run].run;
    give_level(b, r->level[p->at]);
    r->count--;
    memmove(r->key + p->at, r->key + p->at + 1, (r->count - p->at) * sizeof *r->key);
    memmove(r->level + p->at, r->level + p->at + 1, (r->count - p->at) * sizeof *r->level);
    h->count--;
    if (!r->count) {
        drop_run(b, h, p->run);
        return;
    }
    note_first(h, p->run);
    run *next = p->run + 1 < h->run_count ? h->runs[p->run + 1].run : NULL;
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
    run *more = add_run(b, h, p->run + 1), *r = h->runs[p->run].run;
    if (!more)
        return false;
    more->count = RUN / 2;
    r->count = RUN - RUN / 2;
    memcpy(more->key, r->key + r->count, more->count * sizeof *r->key);
    memcpy(more->level, r->level + r->count, more->count * sizeof *r->level);
    note_first(h, p->run + 1);
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
    if (h->runs[p->run].run->count == RUN && !split(b, h, p))
        return false;
    *level = take_level(b);
    run *r = h->runs[p->run].run;
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
    note_first(h, p->run);
    h->count++;
    return true;
}

static weir_code put(book *b, book_side side, const decimal *p, bool zero, bytes price, bytes size, bool roomy, weir_error *err)
{
    book_half *h = &b->half[side];
    uint32_t level;
    if (price.len + size.len > BOOK_LEVEL_TEXT)
        return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' of '" BYTES_FMT "': price and size have more than %d characters", names[side], BYTES_ARG(price), BYTES_ARG(size), BOOK_LEVEL_TEXT);
    uint64_t key = side == BOOK_BIDS ? ~p->key : p->key;
    place at = find(b, side, key, p, price);
    h->near = at.run;
    if (zero) {
        if (at.known) {
            touch(h, &at);
            take_out(b, h, &at);
        }
        return WEIR_OK;
    }
    if (at.known)
        level = h->runs[at.run].run->level[at.at];
    else if (!put_in(b, h, &at, key, &level))
        return error_set(err, WEIR_NOMEM, "a book of %zu levels: out of memory", b->half[0].count + b->half[1].count);
    touch(h, &at);
    book_level *l = &b->levels[level];
    if (roomy && price.len <= SHORT && size.len <= SHORT) { /* lengths known to the compiler cost less than calls */
        memcpy(l->text, price.at, SHORT);
        memcpy(l->text + price.len, size.at, SHORT);
    } else {
        memcpy(l->text, price.at, price.len);
        memcpy(l->text + price.len, size.at, size.len);
    }
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
    return put(b, side, &p, zero, price, size, false, err);
}

void book_truncate(book *b)
{
    for (int side = 0; b->depth && side < 2; side++) {
        book_half *h = &b->half[side];
        while (h->count > b->depth) {
            place last = {h->run_count - 1, h->runs[h->run_count - 1].run->count - 1, true};
            take_out(b, h, &last);
        }
    }
}

const book_level *book_next(const book *b, book_side side, book_cursor *at)
{
    const book_half *h = &b->half[side];
    if (at->run < h->run_count && at->at == h->runs[at->run].run->count) {
        at->run++;
        at->at = 0;
    }
    if (at->run >= h->run_count)
        return NULL;
    return &b->levels[h->runs[at->run].run->level[at->at++]];
}

size_t book_top(const book *b, book_side side, const book_level **out, size_t max)
{
    const book_half *h = &b->half[side];
    size_t count = 0;
    for (size_t i = 0; i < h->run_count && count < max; i++) {
        const run *r = h->runs[i].run;
        size_t n = r->count < max - count ? r->count : max - count;
        for (size_t k = 0; k < n; k++)
            out[count++] = &b->levels[r->level[k]];
    }
    return count;
}

/* ---- Out of JSON ---- */

static bool number_text(json value, bytes *out)
{
    *out = value.raw;
    return value.type == JSON_NUMBER || json_string_slice(value, out);
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

static weir_code put_level(book *b, book_side side, const level *l, weir_error *err)
{
    decimal p = {.key = l->key};
    return put(b, side, &p, l->zero, bytes_make(l->price, l->price_len), bytes_make(l->price + l->price_len + 3, l->size_len), l->roomy, err);
}

weir_code book_apply(book *b, book_side side, json list, weir_error *err)
{
    json key, item;
    weir_code code;
    if (list.type == JSON_NONE || list.type == JSON_NULL)
        return WEIR_OK;
    if (list.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "\"%s\" is no list of levels", side == BOOK_BIDS ? "bids" : "asks");
    json_iter it = json_each(list);
    for (;;) {
        level l;
        const char *next = it.at + (*it.at == ',');
        if (next < it.end && (next = level_read(&l, next, it.end))) {
            it.at = next;
            code = put_level(b, side, &l, err);
        } else if (json_next(&it, &key, &item)) {
            code = apply_level(b, side, item, err);
        } else {
            return WEIR_OK;
        }
        if (code)
            return code;
    }
}

weir_code book_apply_levels(book *b, book_side side, const levels *l, weir_error *err)
{
    weir_code code = WEIR_OK;
    for (size_t i = 0; !code && i < l->count; i++)
        code = put_level(b, side, &l->at[i], err);
    return code;
}
