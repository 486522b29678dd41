/* Levels in one pass: the same as by reading any JSON, for every form there may be, and never beyond the end. */
#include "book/levels.h"

#include <stdlib.h>

#include "book/book.h"
#include "book/decimal.h"
#include "tests/lib/test.h"

static weir_error err = WEIR_ERROR_INIT;

/* In memory of exactly this size, so that a checker sees a look beyond it. */
static const char *read_exact(level *l, const char *text, size_t *took)
{
    size_t len = strlen(text);
    char *exact = malloc(len + !len);
    memcpy(exact, text, len);
    const char *end = level_read(l, exact, exact + len);
    *took = end ? (size_t)(end - exact) : 0;
    bool found = end != NULL;
    free(exact);
    return found ? text : NULL;
}

static const char *number(char *to, uint64_t *random)
{
    static const int lengths[] = {0, 1, 1, 2, 3, 5, 8, 9, 12};
    char *at = to;
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    int whole = lengths[*random >> 40 & 7], part = lengths[*random >> 44 & 7], zeros = (int)(*random >> 48 & 3);
    for (int i = 0; i < whole + part; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        if (i == whole && part)
            *at++ = '.';
        *at++ = i < zeros ? '0' : (char)('0' + (*random >> 33) % 10);
    }
    if (!whole && !part)
        *at++ = '0';
    *at = '\0';
    return to;
}

TEST(levels, a_key_is_that_of_the_decimal)
{
    uint64_t random = 1;
    int plain = 0;
    for (int i = 0; i < 200000; i++) {
        char price[40], size[40], text[200];
        level l;
        decimal want;
        bool zero;
        size_t took;
        snprintf(text, sizeof text, "[\"%s\",\"%s\"%s]%s", number(price, &random), number(size, &random), i % 3 ? "" : ",\"0\",\"12.5\"", i % 2 ? ",[\"9\",\"12345678901234567890123456789012345678901234567890\"]]" : "");
        CHECK(decimal_read(&want, bytes_of(price)) && decimal_zero(&zero, bytes_of(size)));
        if (!read_exact(&l, text, &took))
            continue;
        plain++;
        CHECK_UINT(took, strcspn(text, "]") + 1);
        if (l.key != want.key || want.more || l.zero != zero || l.price_len != strlen(price) || l.size_len != strlen(size))
            test_fail(__FILE__, __LINE__, "'%s' is read wrongly", text);
    }
    CHECK(plain > 150000);
}

TEST(levels, leaves_other_forms_to_others)
{
    static const char *const others[] = {
        "",
        "[",
        "[\"",
        "[\"1",
        "[\"1\"",
        "[\"1\",",
        "[\"1\",\"",
        "[\"1\",\"2",
        "[\"1\",\"2\"",
        "[\"1\",\"2\",",
        "[\"1\"]",
        "[1,2]",
        "[\"1\",2]",
        "[\"\",\"2\"]",
        "[\"1\",\"\"]",
        "[\".\",\"2\"]",
        "[\"1.2.3\",\"2\"]",
        "[\"-1\",\"2\"]",
        "[\"1e5\",\"2\"]",
        "[\"1\",\"2e5\"]",
        "[\"1\",\"2\",\"x\"]",
        "[\"1\",\"2\",3]",
        "[ \"1\",\"2\"]",
        "[\"1\" ,\"2\"]",
        "[\"1\",\"2\" ]",
        "{\"price\":\"1\"}",
        "[\"12345678901234567\",\"1\"]",
        "[\"\\u0031\",\"1\"]",
        "[\"1\",\"1234567890123456789012345678901234567890123456789012345678901234567890\"]",
        "[\"1\",\"2\"}",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        level l;
        size_t took;
        if (read_exact(&l, others[i], &took))
            test_fail(__FILE__, __LINE__, "'%s' is read", others[i]);
    }
}

TEST(levels, a_list_ends_where_it_ends_or_is_another_one)
{
    static const struct {
        const char *text;
        size_t count, took; /* 0: not read */
    } lists[] = {
        {"[]", 0, 2},
        {"[],", 0, 2},
        {"[[\"1\",\"2\"]]", 1, 11},
        {"[[\"1\",\"2\"],[\"3\",\"0\"]],\"x\":1}", 2, 21},
        {"[", 0, 0},
        {"[[\"1\",\"2\"]", 0, 0},
        {"[[\"1\",\"2\"],", 0, 0},
        {"[[\"1\",\"2\"],]", 0, 0},
        {"[[\"1\",\"2\"] ]", 0, 0},
        {"[[\"1\",\"2\"],[1,2]]", 0, 0},
        {"[[\"1\",\"2\"][\"1\",\"2\"]]", 0, 0},
    };
    levels l = {0};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const char *text = lists[i].text, *end = levels_read(&l, text, text + strlen(text));
        CHECK_UINT(end ? (size_t)(end - text) : 0, lists[i].took);
        CHECK(levels_are(&l, (json){JSON_ARRAY, {text, 2}}) == (lists[i].took > 0));
        if (end)
            CHECK_UINT(l.count, lists[i].count);
    }
    levels_fini(&l);
}

TEST(levels, survive_failing_memory)
{
    static const char text[] = "[[\"1\",\"2\"],[\"3\",\"0\"]]";
    FAULT_SWEEP(alloc) {
        levels l = {0};
        const char *end = levels_read(&l, text, text + sizeof text - 1);
        CHECK(end == NULL || l.count == 2);
        levels_fini(&l);
    }
    (void)err;
}
