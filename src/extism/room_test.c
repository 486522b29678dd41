/* Places of address space: apart, zeroed, few mappings. */
#include "extism/room.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/test.h"

#if defined(__SANITIZE_ADDRESS__)
#define SINGLY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SINGLY
#endif
#endif

#define LEN ((size_t)3 << 20)
#define MANY 200

/* Lines of /proc/self/maps that lie in one of the places. */
static int mappings_of(const room *r, int n)
{
    char line[512];
    unsigned long from, to;
    int lines = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof line, f)) {
        bool in = false;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2)
            for (int i = 0; i < n; i++)
                in |= from < (unsigned long)r[i].at + r[i].len && to > (unsigned long)r[i].at;
        lines += in;
    }
    fclose(f);
    return lines;
}

static void mark(const room *r, char with)
{
    r->at[0] = r->at[r->len / 2] = r->at[r->len - 1] = with;
}

static bool marked(const room *r, char with)
{
    return r->at[0] == with && r->at[r->len / 2] == with && r->at[r->len - 1] == with;
}

TEST(room, places_are_apart_and_share_mappings)
{
    static room r[MANY];
    for (int i = 0; i < MANY; i++) {
        CHECK(room_take(&r[i], LEN));
        CHECK(marked(&r[i], 0));
        mark(&r[i], (char)(i % 100 + 1));
    }
    for (int i = 0; i < MANY; i++)
        CHECK(marked(&r[i], (char)(i % 100 + 1)));
#ifndef SINGLY
    CHECK(mappings_of(r, MANY) <= 12);
#else
    CHECK(mappings_of(r, MANY) > 0);
#endif
    for (int i = 0; i < MANY; i++)
        room_give(&r[i]);
    CHECK_INT(mappings_of(r, MANY), 0);
}

/* With one more of its row alive, so that the row stays. */
TEST(room, a_place_that_comes_again_is_zeros)
{
    room r[4], again;
    for (int i = 0; i < 4; i++)
        CHECK(room_take(&r[i], LEN));
    mark(&r[3], 7);
    room_give(&r[3]);
    CHECK(room_take(&again, LEN));
#ifndef SINGLY
    CHECK(again.at == r[3].at);
#endif
    CHECK(marked(&again, 0));
    mark(&again, 8);
    bool locked = mlock(again.at, 4096) == 0; /* then the kernel will not drop it when asked */
    room_give(&again);
    CHECK(room_take(&again, LEN));
    CHECK(marked(&again, 0));
    room_give(&again);
    for (int i = 0; i < 3; i++)
        room_give(&r[i]);
    if (!locked)
        test_skip("nothing may be locked here");
}

TEST(room, sizes_do_not_mix)
{
    room a, b, c;
    CHECK(room_take(&a, LEN));
    CHECK(room_take(&b, 2 * LEN));
    mark(&b, 3);
    room_give(&a);
    CHECK(room_take(&a, LEN));
    CHECK(room_take(&c, LEN));
    mark(&a, 1);
    mark(&c, 2);
    CHECK(marked(&b, 3));
    CHECK_UINT(b.len, 2 * LEN);
    room_give(&b);
    CHECK(marked(&a, 1) && marked(&c, 2));
    room_give(&a);
    room_give(&c);
}

TEST(room, none_is_an_answer)
{
    room r, one;
    CHECK(!room_take(&r, SIZE_MAX / 4096 * 4096));
    CHECK(!room_take(&r, (size_t)1 << 47));
    CHECK(room_take(&one, LEN));
    room_give(&one);
    int made = 0;
    FAULT_SWEEP(alloc) {
        room two;
        if (!room_take(&one, LEN))
            continue;
        if (room_take(&two, LEN)) {
            made++;
            room_give(&two);
        }
        room_give(&one);
    }
    CHECK(made > 0);
}

static void *take_and_give(void *arg)
{
    room r[16] = {0};
    uint64_t state = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 2000; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        room *one = &r[state >> 60];
        if (one->at && marked(one, (char)(uintptr_t)arg)) {
            room_give(one);
            one->at = NULL;
        } else if (one->at || !room_take(one, 65536 << (state >> 50 & 1)) || !marked(one, 0)) {
            return arg;
        } else {
            mark(one, (char)(uintptr_t)arg);
        }
    }
    for (int i = 0; i < 16; i++)
        if (r[i].at)
            room_give(&r[i]);
    return NULL;
}

TEST(room, threads_take_and_give_at_once)
{
    pthread_t t[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&t[i], NULL, take_and_give, (void *)(i + 1)), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        CHECK_INT(pthread_join(t[i], &wrong), 0);
        CHECK(!wrong);
    }
}
