/* Exchange memory as a guest and a host see it. */
#include "extism/kernel_internal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define MIB (UINT64_C(1024) * 1024)

static size_t resident_pages(kernel *k)
{
    static unsigned char present[1 << 20];
    size_t pages = k->room.len / 4096, n = 0;
    CHECK(pages <= sizeof present);
    CHECK_INT(mincore(k->room.at, k->room.len, present), 0);
    for (size_t i = 0; i < pages; i++)
        n += present[i] & 1;
    return n;
}

/* Pages that are memory of its own: what was only read is the system's one page of zeros. */
static unsigned long written_pages(kernel *k)
{
    char line[512];
    unsigned long from, to, kib, sum = 0;
    bool in = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx", &from, &to) == 2)
            in = from < (unsigned long)k->room.at + k->room.len && to > (unsigned long)k->room.at;
        else if (in && sscanf(line, "Anonymous: %lu", &kib) == 1)
            sum += kib / 4;
    }
    fclose(f);
    return sum;
}

static uint64_t resident_octets(void)
{
    unsigned long total, here = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%lu %lu", &total, &here) == 2);
    fclose(f);
    return here * (uint64_t)4096;
}

TEST(kernel, first_block_is_at_77_and_the_next_twelve_octets_behind_its_end)
{
    kernel *k = kernel_new(64 * MIB);
    CHECK_UINT(kernel_alloc(k, 10), 77);
    CHECK_UINT(kernel_alloc(k, 1), 77 + 10 + 12);
    CHECK_UINT(kernel_alloc(k, 100), 77 + 10 + 12 + 1 + 12);
    kernel_reset(k);
    CHECK_UINT(kernel_alloc(k, 5), 77);
    kernel_free(k);
}

TEST(kernel, alloc_of_nothing_or_of_more_than_could_be_is_zero)
{
    static const uint64_t absurd[] = {0, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 48, UINT64_MAX - 11, UINT64_MAX};
    kernel *k = kernel_new(64 * MIB);
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++)
        CHECK_UINT(kernel_alloc(k, absurd[i]), 0);
    CHECK_UINT(kernel_alloc(k, 8), 77);
    CHECK_UINT(kernel_used(k), 8);
    kernel_free(k);
}

TEST(kernel, memory_starts_with_sixteen_pages_and_grows_when_the_arena_is_full)
{
    kernel *k = kernel_new(64 * MIB);
    CHECK_UINT(kernel_size(k), 16 * 65536);
    CHECK_UINT(kernel_arena(k), 65472);
    CHECK_UINT(kernel_alloc(k, 65395), 77);
    CHECK_UINT(kernel_size(k), 16 * 65536);
    kernel_reset(k);
    CHECK_UINT(kernel_alloc(k, 65396), 77);
    CHECK_UINT(kernel_size(k), 16 * 65536);
    kernel_reset(k);
    CHECK_UINT(kernel_alloc(k, 65397), 77);
    CHECK_UINT(kernel_size(k), 17 * 65536);
    CHECK_UINT(kernel_arena(k), 131008);
    kernel_reset(k);
    CHECK_UINT(kernel_arena(k), 131008);
    kernel_free(k);
}

TEST(kernel, a_full_memory_answers_zero_and_serves_again_when_something_is_freed)
{
    kernel *k = kernel_new(MIB);
    uint64_t a = kernel_alloc(k, 500000), b = kernel_alloc(k, 500000);
    CHECK(a && b);
    CHECK_UINT(kernel_alloc(k, 100000), 0);
    kernel_release(k, a);
    CHECK_UINT(kernel_alloc(k, 100000), a);
    kernel_free(k);
}

TEST(kernel, length_is_exact_and_zero_for_anything_but_a_start)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t h = kernel_alloc(k, 33);
    CHECK_UINT(kernel_length(k, h), 33);
    for (int64_t d = -40; d <= 40; d++)
        if (d)
            CHECK_UINT(kernel_length(k, h + (uint64_t)d), 0);
    CHECK_UINT(kernel_length(k, 0), 0);
    CHECK_UINT(kernel_length(k, UINT64_MAX), 0);
    CHECK_UINT(kernel_length(k, kernel_size(k)), 0);
    kernel_release(k, h);
    CHECK_UINT(kernel_length(k, h), 0);
    kernel_free(k);
}

TEST(kernel, free_ignores_what_is_no_active_block)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t a = kernel_alloc(k, 16), b = kernel_alloc(k, 16);
    kernel_release(k, 0);
    kernel_release(k, a + 1);
    kernel_release(k, UINT64_MAX);
    kernel_release(k, a);
    kernel_release(k, a);
    CHECK_UINT(kernel_length(k, b), 16);
    CHECK_UINT(kernel_used(k), 16);
    CHECK_UINT(kernel_block_count(k), 1);
    kernel_free(k);
}

TEST(kernel, loads_and_stores_stay_inside)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t end = kernel_size(k);
    kernel_store_u64(k, 57, UINT64_C(0x1122334455667788));
    CHECK_UINT(kernel_load_u64(k, 57), UINT64_C(0x1122334455667788));
    CHECK_UINT(kernel_load_u8(k, 64), 0x11);
    CHECK_UINT(kernel_load_u8(k, 63), 0);
    CHECK_UINT(kernel_load_u64(k, 56), 0);
    kernel_store_u8(k, 63, 9);
    CHECK_UINT(kernel_load_u64(k, 57), UINT64_C(0x1122334455667788));
    kernel_store_u8(k, end - 1, 7);
    CHECK_UINT(kernel_load_u8(k, end - 1), 7);
    CHECK_UINT(kernel_load_u64(k, end - 8), UINT64_C(7) << 56);
    kernel_store_u64(k, end - 7, 1);
    CHECK_UINT(kernel_load_u64(k, end - 7), 0);
    CHECK_UINT(kernel_load_u8(k, end), 0);
    CHECK_UINT(kernel_load_u64(k, UINT64_MAX), 0);
    CHECK_UINT(kernel_load_u64(k, UINT64_MAX - 6), 0);
    CHECK(kernel_traps_u8(k, end) && kernel_traps_u64(k, end - 7));
    CHECK(!kernel_traps_u8(k, end + 1) && !kernel_traps_u64(k, end - 6));
    kernel_free(k);
}

TEST(kernel, what_the_guest_writes_cannot_mislead_the_allocator)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t a = kernel_alloc(k, 16), b = kernel_alloc(k, 16);
    for (uint64_t at = 57; at + 8 <= 400; at++)
        kernel_store_u64(k, at, UINT64_MAX);
    CHECK_UINT(kernel_length(k, a), 16);
    CHECK_UINT(kernel_length(k, b), 16);
    CHECK_UINT(kernel_output_length(k), 0);
    kernel_release(k, a);
    CHECK_UINT(kernel_length(k, b), 16);
    CHECK_UINT(kernel_alloc(k, 16), b + 28);
    kernel_free(k);
}

TEST(kernel, output_and_input_ranges_are_judged_by_their_end_points)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t arena_end = 65 + kernel_arena(k);
    kernel_output_set(k, 70, 3);
    kernel_output_set(k, 0, 0);
    CHECK_UINT(kernel_output_offset(k), 70);
    kernel_output_set(k, 65, 0);
    CHECK_UINT(kernel_output_length(k), 3);
    kernel_output_set(k, 66, 0);
    CHECK_UINT(kernel_output_offset(k), 66);
    CHECK_UINT(kernel_output_length(k), 0);
    kernel_output_set(k, arena_end - 1, 1);
    CHECK_UINT(kernel_output_offset(k), arena_end - 1);
    kernel_output_set(k, arena_end - 1, 2);
    CHECK_UINT(kernel_output_length(k), 1);
    kernel_output_set(k, 100, UINT64_MAX - 4);
    CHECK_UINT(kernel_output_length(k), UINT64_MAX - 4);
    CHECK_UINT(kernel_output(k).len, kernel_size(k) - 100);
    kernel_input_set(k, 64, 5);
    CHECK_UINT(kernel_input_offset(k), 0);
    kernel_free(k);
}

TEST(kernel, error_is_any_place_in_the_arena_and_zero_clears_it)
{
    kernel *k = kernel_new(64 * MIB);
    kernel_error_set(k, 77);
    kernel_error_set(k, 64);
    kernel_error_set(k, UINT64_MAX);
    CHECK_UINT(kernel_error(k), 77);
    kernel_error_set(k, 0);
    CHECK_UINT(kernel_error(k), 0);
    kernel_free(k);
}

TEST(kernel, freeing_the_input_takes_its_length_and_leaves_its_place)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t h = kernel_alloc(k, 20);
    kernel_input_set(k, h, 20);
    kernel_release(k, h);
    CHECK_UINT(kernel_input_length(k), 0);
    CHECK_UINT(kernel_input_offset(k), h);
    kernel_free(k);
}

TEST(kernel, reset_zeroes_and_forgets)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t h = kernel_alloc(k, 1000);
    memset(kernel_base(k) + h, 0xFF, 1000);
    kernel_store_u64(k, 57, UINT64_MAX);
    kernel_input_set(k, h, 10);
    kernel_output_set(k, h, 10);
    kernel_error_set(k, h);
    kernel_reset(k);
    CHECK_UINT(kernel_input_length(k) + kernel_input_offset(k) + kernel_output_length(k) + kernel_output_offset(k) + kernel_error(k), 0);
    CHECK_UINT(kernel_length(k, h), 0);
    CHECK_UINT(kernel_used(k) + kernel_block_count(k), 0);
    for (uint64_t at = 64; at < 1200; at++)
        CHECK_UINT(kernel_load_u8(k, at), 0);
    kernel_free(k);
}

TEST(kernel, an_idle_one_costs_two_pages_and_a_giant_call_gives_its_pages_back)
{
    kernel *k = kernel_new(16 * MIB);
    uint64_t h = kernel_alloc(k, 64);
    memset(kernel_base(k) + h, 1, 64);
    CHECK_UINT(resident_pages(k), 2);
    kernel_reset(k);
    CHECK_UINT(resident_pages(k), 2);
    for (int i = 0; i < 10; i++) {
        h = kernel_alloc(k, MIB);
        CHECK(h);
        memset(kernel_base(k) + h, 0xEE, MIB);
    }
    while (kernel_alloc(k, 1) > 0 && kernel_block_count(k) < 100000)
        continue;
    CHECK(resident_pages(k) > 2000);
    kernel_reset(k);
    CHECK(resident_pages(k) <= 40);
    h = kernel_alloc(k, 12 * MIB);
    for (uint64_t at = h; at < h + 12 * MIB; at += 4096)
        CHECK_UINT(kernel_load_u64(k, at), 0);
    CHECK_UINT(kernel_length(k, h), 12 * MIB);
    kernel_free(k);
}

/* A call with a megabyte in and out. */
static void large_call(kernel *k, uint64_t len)
{
    for (int i = 0; i < 2; i++) {
        uint64_t h = kernel_alloc(k, len);
        CHECK(h != 0);
        for (uint64_t at = h; at < h + len - 8; at += 512)
            CHECK_UINT(kernel_load_u64(k, at), 0);
        memset(kernel_base(k) + h, 0xEE, len);
    }
}

TEST(kernel, a_second_large_call_keeps_its_pages_and_a_small_one_gives_them_back)
{
    kernel *k = kernel_new(64 * MIB);
    large_call(k, MIB);
    kernel_reset(k);
    CHECK(resident_pages(k) < 40);
    large_call(k, MIB);
    kernel_reset(k);
    CHECK(resident_pages(k) > 500);
    large_call(k, MIB / 2);
    kernel_reset(k);
    large_call(k, MIB);
    kernel_reset(k);
    CHECK(resident_pages(k) > 500);
    large_call(k, 5 * MIB); /* more than is kept */
    kernel_reset(k);
    CHECK(resident_pages(k) < 40);
    large_call(k, MIB);
    kernel_reset(k);
    CHECK(resident_pages(k) > 500);
    kernel_alloc(k, 100);
    kernel_reset(k);
    CHECK(resident_pages(k) < 80);
    large_call(k, MIB);
    kernel_free(k);
}

TEST(kernel, freed_neighbours_become_one_block)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t filler = kernel_alloc(k, 10000), h[6];
    for (int i = 0; i < 6; i++)
        h[i] = kernel_alloc(k, 1000);
    kernel_release(k, h[1]);
    kernel_release(k, h[3]);
    kernel_release(k, h[2]); /* joins both sides */
    CHECK_UINT(kernel_alloc(k, 3000 + 24), h[1]);
    CHECK_UINT(kernel_length(k, h[2]), 0);
    CHECK_UINT(kernel_length(k, filler), 10000);
    CHECK_UINT(kernel_length(k, h[4]), 1000);
    kernel_free(k);
}

TEST(kernel, who_asks_for_the_same_sizes_again_gets_the_same_blocks)
{
    kernel *k = kernel_new(64 * MIB);
    CHECK(kernel_alloc(k, 10000) != 0);
    uint64_t request = kernel_alloc(k, 200), reply = kernel_alloc(k, 60), behind = kernel_alloc(k, 500);
    uint32_t records = k->block_top;
    for (int i = 0; i < 1000; i++) {
        kernel_release(k, reply);
        kernel_release(k, request);
        CHECK_UINT(kernel_length(k, request), 0);
        kernel_release(k, request); /* twice, as kits do */
        CHECK_UINT(kernel_block_count(k), 2);
        CHECK_UINT(kernel_alloc(k, 190), request);
        CHECK_UINT(kernel_length(k, request), 190);
        CHECK_UINT(kernel_alloc(k, 60), reply);
    }
    CHECK_UINT(k->block_top, records);
    CHECK_UINT(kernel_length(k, behind), 500);
    kernel_free(k);
}

TEST(kernel, more_blocks_than_may_rest_become_one)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t filler = kernel_alloc(k, 10000), h[12];
    for (int i = 0; i < 12; i++)
        h[i] = kernel_alloc(k, 1000);
    for (int i = 0; i < 11; i++)
        kernel_release(k, h[i * 5 % 11]);
    CHECK_UINT(kernel_alloc(k, 11 * 1000 + 10 * 12), h[0]);
    CHECK_UINT(kernel_length(k, h[11]), 1000);
    CHECK_UINT(kernel_length(k, filler), 10000);
    kernel_free(k);
}

TEST(kernel, short_calls_never_see_an_address_twice)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t input = kernel_alloc(k, 50000), last = input;
    kernel_input_set(k, input, 50000);
    for (int i = 0; i < 50; i++) {
        uint64_t h = kernel_alloc(k, 100);
        CHECK(h > last);
        last = h;
        kernel_release(k, h);
    }
    kernel_free(k);
}

/* Past the first 8 KiB, where blocks come back. */
static void use_up_fresh_memory(kernel *k)
{
    CHECK(kernel_alloc(k, 8192) != 0);
}

TEST(kernel, a_request_outlives_its_reply_so_that_a_late_free_of_it_is_harmless)
{
    kernel *k = kernel_new(64 * MIB);
    use_up_fresh_memory(k);
    uint64_t request = kernel_alloc(k, 200);
    kernel_request_done(k, request);
    uint64_t reply = kernel_alloc(k, 200);
    kernel_reply_given(k, reply);
    CHECK(reply != request);
    kernel_release(k, request); /* as kits do, some of them twice */
    kernel_release(k, request);
    CHECK_UINT(kernel_length(k, reply), 200);
    CHECK_UINT(kernel_alloc(k, 200), request);
    kernel_free(k);
}

TEST(kernel, a_request_is_recycled_once_the_next_was_handed_over)
{
    kernel *k = kernel_new(64 * MIB);
    use_up_fresh_memory(k);
    uint64_t first = kernel_alloc(k, 200);
    kernel_request_done(k, first);
    kernel_request_done(k, first); /* a guest may use one block again and again */
    uint64_t second = kernel_alloc(k, 200);
    CHECK(second != first);
    kernel_request_done(k, second);
    CHECK_UINT(kernel_alloc(k, 200), first);
    CHECK_UINT(kernel_length(k, second), 200);
    kernel_free(k);
}

TEST(kernel, a_reply_lives_until_the_reply_after_it_was_given)
{
    kernel *k = kernel_new(64 * MIB);
    use_up_fresh_memory(k);
    uint64_t first = kernel_alloc(k, 300);
    kernel_reply_given(k, first);
    uint64_t own = kernel_alloc(k, 300);
    CHECK(own != first);
    CHECK_UINT(kernel_length(k, first), 300);
    uint64_t second = kernel_alloc(k, 300);
    kernel_reply_given(k, second);
    CHECK_UINT(kernel_alloc(k, 300), first);
    CHECK_UINT(kernel_length(k, second), 300);
    CHECK_UINT(kernel_length(k, own), 300);
    kernel_free(k);
}

TEST(kernel, a_reply_that_the_guest_freed_is_not_freed_for_it_again)
{
    kernel *k = kernel_new(64 * MIB);
    use_up_fresh_memory(k);
    uint64_t reply = kernel_alloc(k, 300);
    kernel_reply_given(k, reply);
    kernel_release(k, reply);
    uint64_t own = kernel_alloc(k, 300);
    CHECK_UINT(own, reply);
    uint64_t next = kernel_alloc(k, 300);
    kernel_reply_given(k, next);
    kernel_alloc(k, 10);
    CHECK_UINT(kernel_length(k, own), 300);
    kernel_free(k);
}

TEST(kernel, output_and_error_outlive_the_host_functions_that_got_them)
{
    kernel *k = kernel_new(64 * MIB);
    use_up_fresh_memory(k);
    uint64_t output = kernel_alloc(k, 100), error = kernel_alloc(k, 100);
    kernel_output_set(k, output + 10, 5);
    kernel_error_set(k, error);
    kernel_request_done(k, output);
    kernel_request_done(k, error);
    kernel_request_done(k, kernel_alloc(k, 100));
    kernel_alloc(k, 100);
    CHECK_UINT(kernel_length(k, output), 100);
    CHECK_UINT(kernel_length(k, error), 100);
    kernel_free(k);
}

TEST(kernel, a_nested_calls_slots_are_put_back)
{
    kernel *k = kernel_new(64 * MIB);
    uint64_t h = kernel_alloc(k, 100);
    kernel_input_set(k, h, 100);
    kernel_output_set(k, h, 50);
    kernel_slots saved = kernel_save(k);
    kernel_input_set(k, h + 1, 1);
    kernel_output_set(k, h + 2, 2);
    kernel_error_set(k, h);
    kernel_restore(k, saved);
    CHECK_UINT(kernel_input_length(k), 100);
    CHECK_UINT(kernel_output_length(k), 50);
    CHECK_UINT(kernel_error(k), 0);
    kernel_free(k);
}

/* One message of a stream: a request is made and handed over, the reply comes, some are freed by
 * the guest, some twice. Sizes vary as messages do, and one in ten thousand is large. */
static void stream_cycle(kernel *k, uint32_t i)
{
    uint32_t mixed = i * UINT32_C(2654435761);
    uint64_t request = kernel_alloc(k, 1 + (mixed >> 24));
    CHECK(request != 0);
    uint64_t reply = kernel_alloc(k, i % 10000 == 9999 ? 60000 : 1 + (mixed >> 16 & 2047));
    CHECK(reply != 0);
    kernel_reply_given(k, reply);
    kernel_request_done(k, request);
    if (i % 3 == 0)
        kernel_release(k, request);
    if (i % 5 == 0)
        kernel_release(k, reply);
    if (i % 15 == 0)
        kernel_release(k, request);
}

TEST(kernel, ten_million_messages_leave_it_as_small_as_before)
{
    kernel *k = kernel_new(64 * MIB);
    for (uint32_t i = 0; i < 100000; i++)
        stream_cycle(k, i);
    uint64_t size = kernel_size(k), resident = resident_octets();
    size_t pages = resident_pages(k);
    for (uint32_t i = 100000; i < 10000000; i++)
        stream_cycle(k, i);
    CHECK_UINT(kernel_size(k), size);
    CHECK(resident_pages(k) <= pages + 2);
    CHECK(resident_octets() <= resident + MIB);
    CHECK(kernel_used(k) < 70000);
    CHECK(kernel_block_count(k) < 10);
    kernel_free(k);
}

TEST(kernel, a_stream_of_small_messages_stays_in_a_few_pages)
{
    kernel *k = kernel_new(64 * MIB);
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t request = kernel_alloc(k, 50);
        uint64_t reply = kernel_alloc(k, 200 + i % 100);
        kernel_base(k)[reply] = 1;
        kernel_base(k)[request] = 1;
        kernel_reply_given(k, reply);
        kernel_request_done(k, request);
    }
    CHECK(resident_pages(k) <= 8);
    kernel_free(k);
}

TEST(kernel, one_that_was_not_asked_for_a_block_has_touched_nothing)
{
    kernel *k = kernel_new(64 * MIB);
    kernel_reset(k);
    kernel_input_set(k, 0, 0);
    kernel_reset(k);
    CHECK_UINT(kernel_used(k), 0);
    CHECK_UINT(kernel_length(k, 77), 0);
    CHECK_UINT(written_pages(k), 0);
    CHECK_UINT(kernel_alloc(k, 100), 77);
    kernel_store_u8(k, 77, 1);
    CHECK_UINT(written_pages(k), 2); /* the one in the middle, and the first of exchange memory */
    kernel_free(k);
}

TEST(kernel, what_is_stored_before_the_first_block_goes_with_a_reset)
{
    kernel *k = kernel_new(64 * MIB);
    kernel_store_u64(k, KERNEL_FIRST_OCTET - 7, UINT64_MAX);
    kernel_store_u8(k, KERNEL_FIRST_OCTET, 9);
    kernel_reset(k);
    CHECK_UINT(kernel_load_u64(k, KERNEL_FIRST_OCTET - 7), 0);
    CHECK_UINT(kernel_load_u8(k, KERNEL_FIRST_OCTET), 0);
    kernel_store_u64(k, KERNEL_FIRST_OCTET - 7, UINT64_C(1) << 63);
    kernel_reset(k);
    CHECK_UINT(kernel_load_u64(k, KERNEL_FIRST_OCTET - 7), 0);
    kernel_free(k);
}

/* Another guest's octets are never found, whether its place comes again or not. */
TEST(kernel, a_new_one_finds_nothing_of_one_that_is_gone)
{
    enum { N = 5 };
    kernel *k[N];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            CHECK((k[i] = kernel_new(64 * MIB)) != NULL);
            CHECK_UINT(kernel_size(k[i]), 16 * 65536);
            for (uint64_t at = 64; at < 16 * 65536; at += 512)
                CHECK_UINT(kernel_load_u64(k[i], at), 0);
            CHECK_UINT(kernel_alloc(k[i], 60000), 77);
            uint64_t second = kernel_alloc(k[i], 5000000);
            CHECK(second > 77);
            memset(kernel_base(k[i]) + 77, 'x', 60000);
            memset(kernel_base(k[i]) + second, 'x', 5000000);
            kernel_release(k[i], 77);
        }
        for (int i = round % 2; i < N; i++)
            kernel_free(k[i]);
        if (round % 2)
            kernel_free(k[0]);
    }
}

/* Random blocks against a plain list: never two in one place, lengths exact, counts right. */
TEST(kernel, random_use_keeps_blocks_apart)
{
    enum { N = 400 };
    static struct {
        uint64_t at, len;
        uint8_t mark;
    } live[N];
    kernel *k = kernel_new(8 * MIB);
    uint64_t state = 42, used = 0, count = 0;
    memset(live, 0, sizeof live);
    for (int i = 0; i < 200000; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t slot = state >> 33 & 0x1FF;
        if (slot >= N)
            continue;
        if (live[slot].at) {
            CHECK_UINT(kernel_length(k, live[slot].at), live[slot].len);
            CHECK_UINT(kernel_base(k)[live[slot].at], live[slot].mark);
            CHECK_UINT(kernel_base(k)[live[slot].at + live[slot].len - 1], live[slot].mark);
            kernel_release(k, live[slot].at);
            used -= live[slot].len;
            count--;
            live[slot].at = 0;
        } else {
            live[slot].len = 1 + (state >> 20 & (state >> 60 ? 511 : 65535));
            live[slot].at = kernel_alloc(k, live[slot].len);
            CHECK(live[slot].at != 0);
            live[slot].mark = (uint8_t)(state >> 10);
            memset(kernel_base(k) + live[slot].at, live[slot].mark, live[slot].len);
            used += live[slot].len;
            count++;
        }
        CHECK_UINT(kernel_used(k), used);
        CHECK_UINT(kernel_block_count(k), count);
    }
    kernel_free(k);
}

TEST(kernel, limits_of_any_size_make_one_that_works)
{
    static const uint64_t limits[] = {0, 1, 65536, 100000, UINT64_C(1) << 30, UINT64_MAX};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        kernel *k = kernel_new(limits[i]);
        CHECK(k != NULL);
        CHECK_UINT(kernel_alloc(k, 1000), 77);
        kernel_free(k);
    }
    kernel_free(NULL);
}
