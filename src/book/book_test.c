/* The book: order, texts, depth, memory; against a list that is sorted in the simplest way. */
#include "book/book.h"

#include <stdlib.h>

#include "book/decimal.h"
#include "tests/lib/test.h"

static weir_error err = WEIR_ERROR_INIT;

static void set(book *b, book_side side, const char *price, const char *size)
{
    CHECK_OK(book_set(b, side, bytes_of(price), bytes_of(size), &err));
}

/* "price:size price:size ..." from the best on. */
static const char *shown(const book *b, book_side side)
{
    static char text[4096];
    book_cursor at = {0};
    size_t len = 0;
    text[0] = '\0';
    for (const book_level *l; (l = book_next(b, side, &at)) && len < sizeof text - 200;)
        len += (size_t)snprintf(text + len, 200, "%s%.*s:%.*s", len ? " " : "", (int)l->price_len, l->text, (int)l->size_len, l->text + l->price_len);
    return text;
}

TEST(book, the_best_price_of_each_side_comes_first_in_the_text_it_was_given)
{
    book b;
    book_init(&b, 0);
    set(&b, BOOK_BIDS, "9.50", "1.0");
    set(&b, BOOK_BIDS, "10", "2");
    set(&b, BOOK_BIDS, "9.6", "3");
    set(&b, BOOK_ASKS, "10.2", "4");
    set(&b, BOOK_ASKS, "10.1000", "5");
    set(&b, BOOK_ASKS, "1e2", "6");
    CHECK_TEXT(shown(&b, BOOK_BIDS), "10:2 9.6:3 9.50:1.0");
    CHECK_TEXT(shown(&b, BOOK_ASKS), "10.1000:5 10.2:4 1e2:6");
    book_fini(&b);
}

TEST(book, a_level_is_its_number_not_its_spelling)
{
    book b;
    book_init(&b, 0);
    set(&b, BOOK_ASKS, "1.0", "5");
    set(&b, BOOK_ASKS, "1", "6.10");
    CHECK_TEXT(shown(&b, BOOK_ASKS), "1:6.10");
    set(&b, BOOK_ASKS, "01.00", "0.000");
    CHECK_UINT(book_count(&b, BOOK_ASKS), 0);
    set(&b, BOOK_ASKS, "1", "0"); /* nothing to take away */
    CHECK_UINT(book_count(&b, BOOK_ASKS), 0);
    book_fini(&b);
}

TEST(book, prices_that_differ_in_the_twentieth_digit_are_levels_of_their_own)
{
    book b;
    book_init(&b, 0);
    set(&b, BOOK_BIDS, "0.12345678901234567891", "1");
    set(&b, BOOK_BIDS, "0.12345678901234567893", "3");
    set(&b, BOOK_BIDS, "0.12345678901234567892", "2");
    CHECK_TEXT(shown(&b, BOOK_BIDS), "0.12345678901234567893:3 0.12345678901234567892:2 0.12345678901234567891:1");
    set(&b, BOOK_BIDS, "0.12345678901234567892", "0");
    CHECK_TEXT(shown(&b, BOOK_BIDS), "0.12345678901234567893:3 0.12345678901234567891:1");
    book_fini(&b);
}

TEST(book, bad_levels_say_what_is_wrong_and_leave_the_book)
{
    static const struct {
        const char *levels, *why;
    } bad[] = {{"[[\"x\",\"1\"]]", "decimals"}, {"[[\"1\",\"one\"]]", "decimals"}, {"[[\"1\"]]", "[price, size]"}, {"[5]", "[price, size]"}, {"{\"1\":\"2\"}", "no list"}, {"[[\"1\",null]]", "[price, size]"}, {"[[\"1234567890123456789012345678901234567890\",\"1234567890123456789012345678901234567890\"]]", "characters"}};
    book b;
    json list;
    book_init(&b, 0);
    set(&b, BOOK_ASKS, "1", "5");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_OK(json_read(&list, bytes_of(bad[i].levels), &err));
        CHECK_INT(book_apply(&b, BOOK_ASKS, list, &err), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i].why);
        CHECK_TEXT(shown(&b, BOOK_ASKS), "1:5");
    }
    book_fini(&b);
}

TEST(book, levels_come_as_texts_numbers_and_objects)
{
    book b;
    json list;
    book_init(&b, 0);
    CHECK_OK(json_read(&list, BYTES("[[\"3\",\"30\",\"0\",\"1\"], [ \"2\" , \"20\" ], [1.5, 15], {\"price\":\"1\",\"size\":10}, [\"\\u0034\",\"40\"]]"), &err));
    CHECK_OK(book_apply(&b, BOOK_ASKS, json_member(list, "x"), &err)); /* none */
    weir_code code = book_apply(&b, BOOK_BIDS, list, &err);
    CHECK_INT(code, WEIR_INVALID); /* of an escaped digit, the last */
    CHECK_TEXT(shown(&b, BOOK_BIDS), "3:30 2:20 1.5:15 1:10");
    book_fini(&b);
}

TEST(book, the_depth_forgets_the_worst)
{
    book b;
    book_init(&b, 2);
    set(&b, BOOK_BIDS, "1", "1");
    set(&b, BOOK_BIDS, "3", "3");
    set(&b, BOOK_BIDS, "2", "2");
    set(&b, BOOK_ASKS, "5", "5");
    book_truncate(&b);
    CHECK_TEXT(shown(&b, BOOK_BIDS), "3:3 2:2");
    CHECK_TEXT(shown(&b, BOOK_ASKS), "5:5");
    book_fini(&b);
}

/* A book of thousands of levels under a million random changes, against an array indexed by price. */
TEST(book, a_deep_book_is_what_a_plain_list_says)
{
    enum { PRICES = 6000 };
    static int size_of[2][PRICES];
    uint32_t x = 12345;
    char price[16], size[16];
    book b;
    memset(size_of, 0, sizeof size_of);
    book_init(&b, 0);
    for (int i = 0; i < 300000; i++) {
        x = x * 1664525u + 1013904223u;
        int at = (int)((x >> 8) % PRICES), side = (int)(x >> 31), value = (x >> 4) % 3 ? (int)((x >> 16) % 100) : 0;
        if (i % 100000 < 20000)
            at %= 40; /* near the front, too */
        size_of[side][at] = value;
        snprintf(price, sizeof price, "%d.%02d", at / 100, at % 100);
        snprintf(size, sizeof size, "%d", value);
        CHECK_OK(book_set(&b, (book_side)side, bytes_of(price), bytes_of(size), &err));
    }
    for (int side = 0; side < 2; side++) {
        book_cursor at = {0};
        for (int i = 0; i < PRICES; i++) {
            int p = side == BOOK_ASKS ? i : PRICES - 1 - i;
            if (!size_of[side][p])
                continue;
            const book_level *l = book_next(&b, (book_side)side, &at);
            CHECK(l != NULL);
            snprintf(price, sizeof price, "%d.%02d", p / 100, p % 100);
            snprintf(size, sizeof size, "%d", size_of[side][p]);
            CHECK_BYTES(book_price(l), bytes_of(price));
            CHECK_BYTES(book_size(l), bytes_of(size));
        }
        CHECK(book_next(&b, (book_side)side, &at) == NULL);
    }
    book_fini(&b);
}

static void churn(book *b, uint32_t x, int times)
{
    char price[16];
    for (int i = 0; i < times; i++) {
        x = x * 1664525u + 1013904223u;
        snprintf(price, sizeof price, "%u", (x >> 8) % 1000 + 1);
        CHECK_OK(book_set(b, x >> 31 ? BOOK_ASKS : BOOK_BIDS, bytes_of(price), (x >> 5) % 2 ? BYTES("1") : BYTES("0"), &err));
    }
}

TEST(book, a_settled_book_allocates_nothing)
{
    book b;
    book_init(&b, 0);
    for (uint32_t i = 0; i < 1000; i++) { /* as deep as it gets */
        char price[16];
        snprintf(price, sizeof price, "%u", i + 1);
        set(&b, BOOK_BIDS, price, "1");
        set(&b, BOOK_ASKS, price, "1");
    }
    churn(&b, 1, 100000);
    uint64_t before = fault_allocations();
    churn(&b, 2, 100000);
    book_clear(&b);
    churn(&b, 3, 10000);
    CHECK_UINT(fault_allocations(), before);
    book_fini(&b);
}

TEST(book, tells_the_best_place_that_changed)
{
    char price[16];
    book b;
    book_init(&b, 0);
    for (int i = 0; i < 200; i++) {
        snprintf(price, sizeof price, "%d", 1000 + i);
        set(&b, BOOK_ASKS, price, "1");
    }
    book_settle(&b);
    set(&b, BOOK_ASKS, "1150", "2");
    CHECK_UINT(b.half[BOOK_ASKS].touched, 150);
    set(&b, BOOK_ASKS, "1100.5", "2");
    CHECK_UINT(b.half[BOOK_ASKS].touched, 101);
    set(&b, BOOK_ASKS, "1003", "0");
    CHECK_UINT(b.half[BOOK_ASKS].touched, 3);
    set(&b, BOOK_ASKS, "1700", "1");
    CHECK_UINT(b.half[BOOK_ASKS].touched, 3);
    CHECK(b.half[BOOK_BIDS].touched == SIZE_MAX);
    book_fini(&b);
}

TEST(book, any_failed_allocation_is_an_error_and_leaves_the_book_sound)
{
    FAULT_SWEEP(alloc) {
        char price[16];
        size_t there = 0;
        book b;
        book_init(&b, 0);
        for (int i = 0; i < 300; i++) {
            snprintf(price, sizeof price, "%d", (i * 7919) % 1000);
            weir_code code = book_set(&b, i % 2 ? BOOK_ASKS : BOOK_BIDS, bytes_of(price), BYTES("1"), &err);
            if (code)
                CHECK_INT(code, WEIR_NOMEM);
            there += !code;
        }
        CHECK_UINT(book_count(&b, BOOK_BIDS) + book_count(&b, BOOK_ASKS), there);
        book_fini(&b);
    }
}
