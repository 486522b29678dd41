/* Chance: the kernel's differs, the seeded one repeats. */
#include "base/rand.h"
#include "tests/lib/test.h"

TEST(rand, seeded_repeats_the_published_sequence)
{
    rand_seeded r = {1234567};
    CHECK_UINT(rand_next(&r), UINT64_C(6457827717110365317));
    CHECK_UINT(rand_next(&r), UINT64_C(3203168211198807973));
    CHECK_UINT(rand_next(&r), UINT64_C(9817491932198370423));
}

TEST(rand, unit_stays_below_one)
{
    rand_seeded r = {9};
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double x = rand_unit(&r);
        CHECK(x >= 0 && x < 1);
        sum += x;
    }
    CHECK(sum > 4500 && sum < 5500);
}

TEST(rand, the_kernel_fills_all_of_it)
{
    unsigned char many[1000] = {0};
    CHECK(rand_u64() != rand_u64());
    rand_bytes(many, sizeof many);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof many; i++)
        zeros += many[i] == 0;
    CHECK(zeros < 100);
    rand_bytes(many, 0);
}
