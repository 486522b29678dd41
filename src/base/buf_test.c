/* The growing buffer: never over its ceiling, never half an answer. */
#include "base/buf.h"
#include "tests/lib/test.h"

TEST(buf, adds_what_it_is_given)
{
    buf b;
    buf_init(&b, 1000);
    buf_add_text(&b, "a");
    buf_add_char(&b, 'b');
    buf_add_bytes(&b, BYTES("cd"));
    buf_add_bytes(&b, (bytes){0});
    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, INT64_MIN);
    buf_add_fmt(&b, " %s-%d", "x", 7);
    CHECK_BYTES(buf_bytes(&b),
                BYTES("abcd0 18446744073709551615 -9223372036854775808 x-7"));
    buf_consume(&b, 4);
    CHECK_BYTES(bytes_make(b.at, 2), BYTES("0 "));
    buf_consume(&b, 1000);
    CHECK_UINT(b.len, 0);
    buf_fini(&b);
}

TEST(buf, writes_numbers_as_printf_does)
{
    buf b;
    char want[32];
    buf_init(&b, 100);
    uint64_t v = 1;
    for (int i = 0; i < 64; i++, v *= 2)
        for (int k = -1; k <= 1; k++) {
            buf_clear(&b);
            buf_add_u64(&b, v + (uint64_t)k);
            snprintf(want, sizeof want, "%llu",
                     (unsigned long long)(v + (uint64_t)k));
            CHECK_BYTES(buf_bytes(&b), bytes_of(want));
            buf_clear(&b);
            buf_add_i64(&b, (int64_t)(v + (uint64_t)k));
            snprintf(want, sizeof want, "%lld", (long long)(v + (uint64_t)k));
            CHECK_BYTES(buf_bytes(&b), bytes_of(want));
        }
    buf_fini(&b);
}

TEST(buf, keeps_to_its_ceiling_even_below_the_first_allocation)
{
    for (size_t max = 0; max < 200; max += 9) {
        buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buf_add_char(&b, 'x');
        CHECK(!b.failed && b.len == max && b.cap <= max);
        buf_add_char(&b, 'y');
        CHECK(b.failed && b.len == max);
        buf_fini(&b);
    }
}

TEST(buf, ignores_what_follows_a_failure_until_cleared)
{
    buf b;
    buf_init(&b, 4);
    buf_add_text(&b, "ab");
    buf_add_text(&b, "cde");
    buf_add_text(&b, "c");
    buf_add_fmt(&b, "%d", 1);
    CHECK(b.failed && !buf_reserve(&b, 0));
    CHECK_BYTES(buf_bytes(&b), BYTES("ab"));
    buf_clear(&b);
    CHECK(!b.failed);
    CHECK(!buf_reserve(&b, SIZE_MAX));
    buf_fini(&b);
}

TEST(buf, allocates_nothing_once_warm)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 100; i++)
        buf_add_text(&b, "some text ");
    uint64_t before = fault_allocations();
    for (int round = 0; round < 10; round++) {
        buf_clear(&b);
        for (int i = 0; i < 90; i++)
            buf_add_fmt(&b, "%s", "some text ");
    }
    CHECK_UINT(fault_allocations(), before);
    buf_fini(&b);
}

TEST(buf, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        buf b;
        buf_init(&b, SIZE_MAX);
        for (int i = 0; i < 100; i++)
            buf_add_fmt(&b, "%d,", i);
        CHECK(b.failed ? b.len < 290 : b.len == 290);
        buf_fini(&b);
    }
}
