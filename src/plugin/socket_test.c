/* A socket between the world's reports and the guest's questions. */
#include "plugin/testing.h"

static plug *opened(fake *f)
{
    plug *s = plug_new(f->task);
    CHECK(s != NULL);
    s->session = f;
    f->plug = s;
    socket_opened(s);
    return s;
}

TEST(socket, is_found_by_its_id_and_by_nothing_else)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    plug *a = opened(&f), *b = opened(&f);
    CHECK(plug_find(f.task, bytes_of(a->id)) == a);
    CHECK(plug_find(f.task, bytes_of(b->id)) == b);
    CHECK(!plug_find(f.task, bytes_make(a->id, 31)));
    CHECK(!plug_find(f.task, BYTES("")));
    fake_end(&f);
    CHECK_INT(f.closes, 2);
}

TEST(socket, a_full_inbox_refuses_and_room_is_told_once)
{
    fake f;
    policy_limits limits = policy_defaults;
    char big[1000] = {0};
    int taken = 0;
    limits.inbox = 8192;
    fake_begin(&f, "ask.wasm", &limits);
    plug *s = opened(&f);
    memset(big, 'x', sizeof big);
    while (socket_message(s, bytes_make(big, sizeof big), false, 1))
        taken++;
    CHECK_INT(taken, 8);
    CHECK_INT(f.rooms, 0);
    for (int i = 0; i < taken; i++)
        CHECK_HAS(fake_ask(&f, "ws_receive", about(s, ",\"timeoutMs\":-1")), "xxx");
    CHECK_INT(f.rooms, 1);
    fake_end(&f);
}

/* Refused for want of memory while the inbox was empty: the next ws_receive asks for it again. */
TEST(socket, a_message_that_found_no_memory_is_asked_for_again)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    plug *s = opened(&f);
    int refused = 0;
    FAULT_SWEEP(alloc) {
        inbox_fini(&s->in);
        if (!socket_message(s, BYTES("m"), false, 1))
            refused++;
    }
    CHECK_INT(refused, 1);
    inbox_fini(&s->in);
    s->in.refused = true;
    fake_ask(&f, "ws_receive", about(s, ",\"timeoutMs\":-1"));
    CHECK_INT(f.rooms, 1);
    CHECK(!s->in.refused);
    fake_end(&f);
}

/* Sixteen closed sockets stay known; older ones are forgotten, but never one that a call holds. */
TEST(socket, closed_ones_are_forgotten_in_time)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    plug *held = opened(&f);
    char first[PLUG_ID_SIZE] = "";
    held->busy++;
    socket_closed(held, &(weir_error){WEIR_CLOSED, "x"});
    for (int i = 0; i < 40; i++) {
        plug *s = opened(&f);
        if (i == 0)
            memcpy(first, s->id, sizeof first);
        socket_closed(s, &(weir_error){WEIR_CLOSED, "x"});
    }
    int known = 0;
    for (list_node *n = f.task->sockets.head.next; n != &f.task->sockets.head; n = n->next)
        known++;
    CHECK_INT(known, 18);
    CHECK(!plug_find(f.task, bytes_of(first)));
    CHECK(plug_find(f.task, bytes_of(held->id)) == held);
    CHECK_UINT(f.task->socket_count, 0);
    held->busy--;
    fake_end(&f);
}

TEST(socket, closing_in_any_order_counts_once)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    plug *s = opened(&f);
    plug_close(s);
    plug_close(s);
    CHECK_UINT(f.task->socket_count, 0);
    CHECK_INT(f.closes, 1);
    plug_free(s);
    CHECK_INT(f.closes, 1);
    CHECK_UINT(f.task->socket_count, 0);
    fake_end(&f);
}
