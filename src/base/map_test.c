/* The hash map against a plain array. */
#include "base/map.h"
#include "base/rand.h"
#include "tests/lib/test.h"

TEST(map, finds_what_was_set_and_nothing_else)
{
    map *m = map_new();
    int a, b;
    void *old = &a;
    CHECK(map_get(m, BYTES("x")) == NULL && map_remove(m, BYTES("x")) == NULL);
    CHECK(map_set(m, BYTES("x"), &a, &old) && old == NULL);
    CHECK(map_set(m, BYTES("x"), &b, &old) && old == &a);
    CHECK(map_set(m, BYTES("x\0y"), &a, NULL));
    CHECK(map_set(m, (bytes){0}, &a, NULL));
    CHECK(map_get(m, BYTES("x")) == &b && map_get(m, BYTES("")) == &a &&
          map_get(m, BYTES("x\0y")) == &a);
    CHECK_UINT(map_count(m), 3);
    CHECK(map_remove(m, BYTES("x")) == &b && map_get(m, BYTES("x")) == NULL);
    CHECK_UINT(map_count(m), 2);
    map_free(m);
    map_free(NULL);
}

#define KEYS 500

TEST(map, agrees_with_an_array_through_any_mix_of_changes)
{
    static int present[KEYS];
    memset(present, 0, sizeof present);
    map *m = map_new();
    rand_seeded r = {7};
    size_t count = 0;
    for (int round = 0; round < 50000; round++) {
        uint64_t what = rand_next(&r);
        size_t k = what % KEYS;
        char text[32];
        bytes key = {text, (size_t)snprintf(text, sizeof text, "key-%zu-%.*s", k,
                                            (int)(k % 17), "abcdefghijklmnopq")};
        if (what >> 32 & 1) {
            CHECK(map_set(m, key, &present[k], NULL));
            count += !present[k];
            present[k] = 1;
        } else {
            CHECK(map_remove(m, key) == (present[k] ? &present[k] : NULL));
            count -= (size_t)present[k];
            present[k] = 0;
        }
        CHECK_UINT(map_count(m), count);
        CHECK(map_get(m, key) == (present[k] ? &present[k] : NULL));
    }
    size_t at = 0, seen = 0;
    bytes key;
    void *value;
    for (; map_each(m, &at, &key, &value); seen++) {
        CHECK(*(int *)value == 1 && map_get(m, key) == value);
    }
    CHECK_UINT(seen, count);
    map_free(m);
}

TEST(map, survives_any_failed_allocation)
{
    int value;
    FAULT_SWEEP(alloc) {
        map *m = map_new();
        size_t set = 0;
        for (char c = 'a'; m && c <= 'z'; c++)
            set += map_set(m, bytes_make(&c, 1), &value, NULL);
        if (m)
            CHECK_UINT(map_count(m), set);
        map_free(m);
    }
}
