#include "plugin/inbox.h"

#include "tests/lib/test.h"

static int rooms;

static void on_room(void *arg)
{
    (void)arg;
    rooms++;
}

static bytes numbered(char *room, size_t size, unsigned i)
{
    memset(room, 'a' + (int)(i % 26), size);
    memcpy(room, &i, sizeof i);
    return bytes_make(room, size);
}

/* Of the messages behind a loss the first one says so, also when the ring moves meanwhile. */
TEST(inbox, remembers_where_something_was_lost)
{
    inbox in;
    inbox_message m;
    char room[3000];
    inbox_init(&in, 1 << 14, on_room, NULL);
    for (unsigned i = 0; i < 5; i++) {
        in.lost |= i == 1 || i == 4;
        CHECK(inbox_put(&in, numbered(room, 2000, i), i & 1, i));
    }
    for (unsigned i = 0; i < 5; i++) {
        CHECK(inbox_take(&in, &m));
        CHECK(m.behind_loss == (i == 1 || i == 4));
        CHECK(m.binary == (i & 1));
        inbox_drop(&in);
    }
    inbox_fini(&in);
}

/* Every message comes out once, in order, whatever the sizes, around the ring's end. */
TEST(inbox, keeps_order_over_many_wraps)
{
    inbox in;
    char room[3000], want[3000];
    unsigned put = 0, got = 0, seed = 1;
    inbox_init(&in, 1 << 14, on_room, NULL);
    while (got < 200000) {
        seed = seed * 1103515245 + 12345;
        if (seed & 0x10000) {
            if (inbox_put(&in, numbered(room, 4 + put % 2900, put), put & 1, put))
                put++;
        } else {
            inbox_message m;
            if (!inbox_take(&in, &m))
                continue;
            CHECK_BYTES(m.text, numbered(want, 4 + got % 2900, got));
            CHECK(m.binary == (got & 1));
            CHECK_UINT(m.recv_ns, got);
            inbox_drop(&in);
            got++;
        }
    }
    CHECK(in.cap <= 1 << 14);
    inbox_fini(&in);
}

TEST(inbox, steady_state_allocates_nothing)
{
    inbox in;
    inbox_message m;
    inbox_init(&in, 0, NULL, NULL);
    uint64_t before = 0;
    for (int i = 0; i < 10000; i++) {
        if (i == 100)
            before = fault_allocations();
        CHECK(inbox_put(&in, BYTES("a message of some length"), false, 1));
        CHECK(inbox_take(&in, &m));
        inbox_drop(&in);
    }
    CHECK_UINT(fault_allocations() - before, 0);
    inbox_fini(&in);
}

/* Full refuses, and room is announced once, when half of it is free. */
TEST(inbox, tells_once_when_there_is_room_again)
{
    inbox in;
    inbox_message m;
    char room[1000];
    inbox_init(&in, 8192, on_room, NULL);
    rooms = 0;
    while (inbox_put(&in, numbered(room, sizeof room, 1), false, 1))
        ;
    CHECK_UINT(in.count, 8);
    for (int i = 0; i < 8; i++) {
        CHECK(inbox_take(&in, &m));
        inbox_drop(&in);
    }
    CHECK_INT(rooms, 1);
    inbox_fini(&in);
}

/* A message above the ceiling passes alone and its memory goes back. */
TEST(inbox, takes_one_giant_message_when_empty)
{
    inbox in;
    inbox_message m;
    char *giant = calloc(1, 100000);
    inbox_init(&in, 8192, on_room, NULL);
    CHECK(inbox_put(&in, bytes_make(giant, 100000), false, 1));
    CHECK(!inbox_put(&in, BYTES("next"), false, 1));
    CHECK(inbox_take(&in, &m));
    CHECK_UINT(m.text.len, 100000);
    inbox_drop(&in);
    CHECK_UINT(in.cap, 0);
    CHECK(inbox_put(&in, BYTES("next"), false, 1));
    inbox_fini(&in);
    free(giant);
}

TEST(inbox, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        inbox in;
        inbox_message m;
        inbox_init(&in, 0, NULL, NULL);
        for (int i = 0; i < 300; i++)
            inbox_put(&in, BYTES("0123456789012345678901234567890123456789"), false, (uint64_t)i);
        while (inbox_take(&in, &m))
            inbox_drop(&in);
        inbox_fini(&in);
    }
}
