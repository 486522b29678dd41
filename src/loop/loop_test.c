/* The loop itself: turns, deferred work, descriptors, wakes, signals, a foreign epoll. */
#include "loop/loop.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static weir_error err;

static loop *make(void)
{
    loop *l = NULL;
    CHECK_OK(loop_new(&l, &err));
    return l;
}

typedef struct tape {
    loop *l;
    char text[64];
    deferred again;
    deferred *victim;
    int count;
} tape;

static void note(tape *t, char c)
{
    size_t n = strlen(t->text);
    t->text[n] = c;
    t->text[n + 1] = 0;
}

static void note_a(void *arg)
{
    note(arg, 'a');
}

static void note_b(void *arg)
{
    note(arg, 'b');
}

static void note_and_defer_again(void *arg)
{
    tape *t = arg;
    note(t, 'r');
    defer(t->l, &t->again);
}

TEST(loop, deferred_work_runs_once_and_in_order)
{
    loop *l = make();
    tape t = {.l = l};
    deferred a = {.fn = note_a, .arg = &t}, b = {.fn = note_b, .arg = &t};
    defer(l, &b);
    defer(l, &a);
    defer(l, &b); /* waits already */
    CHECK_INT(loop_timeout_ms(l), 0);
    loop_step(l, -1); /* must not wait */
    CHECK_TEXT(t.text, "ba");
    loop_step(l, 0);
    CHECK_TEXT(t.text, "ba");
    CHECK_INT(loop_timeout_ms(l), -1);
    loop_free(l);
}

TEST(loop, work_deferred_by_deferred_work_waits_for_the_next_turn)
{
    loop *l = make();
    tape t = {.l = l, .again = {.fn = note_and_defer_again, .arg = &t}};
    defer(l, &t.again);
    CHECK(loop_step(l, -1));
    CHECK_TEXT(t.text, "r");
    CHECK(loop_step(l, -1));
    CHECK_TEXT(t.text, "rr");
    defer_cancel(&t.again);
    CHECK(!loop_step(l, 0));
    CHECK_TEXT(t.text, "rr");
    loop_free(l);
}

static void cancel_victim(void *arg)
{
    tape *t = arg;
    defer_cancel(t->victim);
}

TEST(loop, deferred_work_can_be_cancelled_by_what_runs_before_it)
{
    loop *l = make();
    tape t = {.l = l};
    deferred a = {.fn = note_a, .arg = &t}, killer = {.fn = cancel_victim, .arg = &t};
    t.victim = &a;
    defer(l, &killer);
    defer(l, &a);
    loop_step(l, 0);
    loop_step(l, 0);
    CHECK_TEXT(t.text, "");
    loop_free(l);
}

typedef struct pair {
    loop *l;
    loop_io *io;
    deferred busy;
    int fd[2], reads, writes, errors, rounds;
    bool close_in_callback, leave_data;
} pair;

static void on_io(void *arg, int events, int error)
{
    pair *p = arg;
    char c[16];
    p->reads += !!(events & IO_READ);
    p->writes += !!(events & IO_WRITE);
    p->errors += !!error;
    if (events & IO_READ && !p->leave_data)
        (void)!read(p->fd[0], c, sizeof c);
    if (p->close_in_callback) {
        io_close(p->io);
        p->io = NULL;
    }
}

static void make_pair(pair *p)
{
    *p = (pair){.l = make()};
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd), 0);
    CHECK_OK(io_open(&p->io, p->l, p->fd[0], on_io, p, &err));
}

static void drop_pair(pair *p)
{
    io_close(p->io);
    close(p->fd[0]);
    close(p->fd[1]);
    loop_free(p->l);
}

TEST(loop, a_descriptor_is_told_of_what_it_wants_and_nothing_else)
{
    pair p;
    make_pair(&p);
    CHECK_INT(write(p.fd[1], "x", 1), 1);
    loop_step(p.l, 0);
    CHECK_INT(p.reads, 0);
    CHECK_INT(io_want(p.io, IO_READ), 0);
    loop_step(p.l, -1);
    CHECK_INT(p.reads, 1);
    loop_step(p.l, 0);
    CHECK_INT(p.reads, 1);
    CHECK_INT(p.writes, 0);
    CHECK_INT(io_want(p.io, IO_WRITE), 0);
    loop_step(p.l, -1);
    CHECK_INT(p.writes, 1);
    CHECK_INT(io_want(p.io, 0), 0);
    loop_step(p.l, 0);
    CHECK_INT(p.writes, 1);
    drop_pair(&p);
}

TEST(loop, readiness_is_told_again_while_it_lasts)
{
    pair p;
    make_pair(&p);
    p.leave_data = true;
    io_want(p.io, IO_READ);
    CHECK_INT(write(p.fd[1], "x", 1), 1);
    for (int i = 0; i < 3; i++)
        loop_step(p.l, -1);
    CHECK_INT(p.reads, 3);
    drop_pair(&p);
}

TEST(loop, closing_in_the_callback_is_the_last_that_is_heard)
{
    pair p;
    make_pair(&p);
    p.close_in_callback = p.leave_data = true;
    io_want(p.io, IO_READ);
    CHECK_INT(write(p.fd[1], "x", 1), 1);
    loop_step(p.l, -1);
    CHECK_INT(p.reads, 1);
    loop_step(p.l, 0);
    CHECK_INT(p.reads, 1);
    CHECK_OK(io_open(&p.io, p.l, p.fd[0], on_io, &p, &err)); /* the same descriptor may come back at once */
    p.close_in_callback = false;
    io_want(p.io, IO_READ);
    loop_step(p.l, -1);
    CHECK_INT(p.reads, 2);
    drop_pair(&p);
}

static void keep_busy(void *arg)
{
    pair *p = arg;
    p->rounds++;
    defer(p->l, &p->busy);
}

TEST(loop, endless_deferred_work_does_not_starve_descriptors)
{
    pair p;
    make_pair(&p);
    p.busy = (deferred){.fn = keep_busy, .arg = &p};
    defer(p.l, &p.busy);
    io_want(p.io, IO_READ);
    CHECK_INT(write(p.fd[1], "x", 1), 1);
    while (!p.reads)
        loop_step(p.l, -1);
    CHECK(p.rounds >= 1);
    defer_cancel(&p.busy);
    drop_pair(&p);
}

TEST(loop, a_reset_peer_is_told_as_an_error_and_the_read_says_which)
{
    loop *l = make();
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    pair p = {.l = l};
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd), 0);
    CHECK_OK(io_open(&p.io, l, p.fd[0], on_io, &p, &err));
    io_want(p.io, IO_READ);
    CHECK_INT(write(p.fd[0], "unread", 6), 6);
    close(p.fd[1]); /* with octets unread: a reset on a socket pair too */
    p.fd[1] = listener;
    loop_step(l, -1);
    CHECK(p.reads == 1);
    drop_pair(&p);
}

TEST(loop, a_file_cannot_be_watched_and_says_so)
{
    loop *l = make();
    loop_io *io = NULL;
    weir_error e = WEIR_ERROR_INIT;
    FILE *f = tmpfile();
    CHECK_INT(io_open(&io, l, fileno(f), on_io, NULL, &e), WEIR_SYSTEM);
    CHECK_HAS(e.text, "cannot be watched");
    fclose(f);
    loop_free(l);
}

static void stop_loop(void *arg)
{
    tape *t = arg;
    t->count++;
    loop_stop(t->l);
}

static void *wake_from_outside(void *arg)
{
    loop_wake(arg);
    return NULL;
}

TEST(loop, another_thread_can_wake_it)
{
    loop *l = make();
    tape t = {.l = l};
    loop_on_wake(l, stop_loop, &t);
    pthread_t other;
    pthread_create(&other, NULL, wake_from_outside, l);
    loop_run(l);
    pthread_join(other, NULL);
    CHECK(t.count >= 1);
    loop_free(l);
}

TEST(loop, a_signal_is_told_on_the_loop)
{
    loop *l = make();
    tape t = {.l = l};
    loop_signal *s = NULL;
    CHECK_OK(signal_open(&s, l, SIGUSR1, stop_loop, &t, &err));
    raise(SIGUSR1);
    loop_run(l);
    CHECK_INT(t.count, 1);
    signal_close(s);
    loop_free(l);
}

TEST(loop, an_impossible_signal_is_an_error)
{
    loop *l = make();
    loop_signal *s = NULL;
    weir_error e = WEIR_ERROR_INIT;
    CHECK_INT(signal_open(&s, l, SIGKILL, stop_loop, NULL, &e), WEIR_SYSTEM);
    CHECK_HAS(e.text, "signal 9 cannot be watched");
    loop_free(l);
}

/* A program with its own epoll: it waits for loop_fd, at most loop_timeout_ms, then turns once. */
TEST(loop, runs_inside_a_foreign_epoll)
{
    pair p;
    make_pair(&p);
    tape t = {.l = p.l};
    int ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};
    CHECK_INT(epoll_ctl(ep, EPOLL_CTL_ADD, loop_fd(p.l), &e), 0);
    io_want(p.io, IO_READ); /* not known to the kernel yet: the time says so */
    CHECK_INT(loop_timeout_ms(p.l), 0);
    loop_step(p.l, 0);
    CHECK_INT(loop_timeout_ms(p.l), -1);
    CHECK_INT(epoll_wait(ep, &e, 1, 0), 0);
    CHECK_INT(write(p.fd[1], "x", 1), 1);
    CHECK_INT(epoll_wait(ep, &e, 1, loop_timeout_ms(p.l)), 1);
    loop_step(p.l, 0);
    CHECK_INT(p.reads, 1);
    CHECK_INT(epoll_wait(ep, &e, 1, 0), 0);
    deferred a = {.fn = note_a, .arg = &t};
    defer(p.l, &a);
    CHECK_INT(epoll_wait(ep, &e, 1, loop_timeout_ms(p.l)), 0);
    loop_step(p.l, 0);
    CHECK_TEXT(t.text, "a");
    close(ep);
    drop_pair(&p);
}

TEST(loop, constructors_survive_any_failed_allocation)
{
    int fd[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        loop *l = NULL;
        loop_io *io = NULL;
        loop_signal *s = NULL;
        if (loop_new(&l, &e) || io_open(&io, l, fd[0], on_io, NULL, &e) || signal_open(&s, l, SIGUSR2, stop_loop, NULL, &e))
            CHECK_INT(e.code, WEIR_NOMEM);
        io_close(io);
        signal_close(s);
        loop_free(l);
    }
    close(fd[0]);
    close(fd[1]);
}
