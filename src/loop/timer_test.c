/* Timers under a clock of the test's own. */
#include "base/rand.h"
#include "loop/loop.h"
#include "tests/lib/test.h"

#include <stdlib.h>

static weir_error err;
static uint64_t clock_ns;

static uint64_t test_clock(void)
{
    return clock_ns;
}

static loop *make(void)
{
    clock_ns = 1000 * NS_PER_S;
    clock_replace(NULL, test_clock);
    loop *l = NULL;
    CHECK_OK(loop_new(&l, &err));
    return l;
}

static void drop(loop *l)
{
    loop_free(l);
    clock_replace(NULL, NULL);
}

static void advance(loop *l, uint64_t ns)
{
    clock_ns += ns;
    loop_step(l, 0);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

TEST(timer, fires_once_when_due_and_not_before)
{
    loop *l = make();
    int fired = 0;
    timer t;
    timer_init(&t, l, count, &fired);
    CHECK(!timer_running(&t));
    timer_after(&t, 10 * NS_PER_MS);
    CHECK(timer_running(&t));
    CHECK_INT(loop_timeout_ms(l), 10);
    advance(l, 10 * NS_PER_MS - 1);
    CHECK_INT(fired, 0);
    CHECK_INT(loop_timeout_ms(l), 1);
    advance(l, 1);
    CHECK_INT(fired, 1);
    CHECK(!timer_running(&t));
    advance(l, NS_PER_S);
    CHECK_INT(fired, 1);
    CHECK_INT(loop_timeout_ms(l), -1);
    drop(l);
}

TEST(timer, starting_it_again_moves_it)
{
    loop *l = make();
    int fired = 0;
    timer t;
    timer_init(&t, l, count, &fired);
    timer_after(&t, NS_PER_MS);
    timer_after(&t, 5 * NS_PER_MS);
    advance(l, 2 * NS_PER_MS);
    CHECK_INT(fired, 0);
    advance(l, 3 * NS_PER_MS);
    CHECK_INT(fired, 1);
    drop(l);
}

TEST(timer, a_stopped_timer_never_fires)
{
    loop *l = make();
    int fired = 0;
    timer t;
    timer_init(&t, l, count, &fired);
    timer_stop(&t);
    timer_after(&t, NS_PER_MS);
    timer_stop(&t);
    timer_stop(&t);
    advance(l, NS_PER_S);
    CHECK_INT(fired, 0);
    drop(l);
}

static timer *victim;

static void stop_victim(void *arg)
{
    count(arg);
    timer_stop(victim);
}

TEST(timer, one_that_fires_can_stop_another_that_is_due)
{
    loop *l = make();
    int first = 0, second = 0;
    timer a, b;
    timer_init(&a, l, stop_victim, &first);
    timer_init(&b, l, count, &second);
    victim = &b;
    timer_after(&a, NS_PER_MS);
    timer_after(&b, NS_PER_MS);
    advance(l, NS_PER_MS);
    CHECK_INT(first, 1);
    CHECK_INT(second, 0);
    drop(l);
}

static timer restless;

static void start_again_at_once(void *arg)
{
    count(arg);
    timer_at(&restless, 0); /* long past */
}

TEST(timer, one_that_starts_itself_again_waits_for_the_next_turn_and_starves_nobody)
{
    loop *l = make();
    int fired = 0, other = 0;
    timer t;
    timer_init(&restless, l, start_again_at_once, &fired);
    timer_init(&t, l, count, &other);
    timer_after(&restless, 0);
    timer_after(&t, NS_PER_MS);
    advance(l, 5 * NS_PER_MS);
    CHECK_INT(fired, 1);
    CHECK_INT(other, 1);
    CHECK_INT(loop_timeout_ms(l), 0);
    advance(l, 0);
    CHECK_INT(fired, 2);
    timer_stop(&restless);
    drop(l);
}

TEST(timer, the_longest_delay_does_not_wrap)
{
    loop *l = make();
    int fired = 0;
    timer t;
    timer_init(&t, l, count, &fired);
    timer_after(&t, UINT64_MAX);
    CHECK(loop_timeout_ms(l) > 0);
    advance(l, NS_PER_S);
    CHECK_INT(fired, 0);
    timer_stop(&t);
    drop(l);
}

TEST(timer, ends_a_wait_by_the_real_clock)
{
    loop *l = NULL;
    int fired = 0;
    CHECK_OK(loop_new(&l, &err));
    timer t;
    timer_init(&t, l, count, &fired);
    timer_after(&t, NS_PER_MS);
    while (!fired)
        loop_step(l, -1);
    loop_free(l);
}

#define MANY 5000

typedef struct crowd {
    timer timers[MANY];
    uint64_t due[MANY]; /* 0: stopped */
    uint64_t last;
    size_t fired, unordered;
} crowd;

static crowd *all;

static void crowd_fires(void *arg)
{
    size_t i = (size_t)((uint64_t *)arg - all->due);
    all->fired++;
    all->unordered += all->due[i] < all->last || all->due[i] > clock_ns;
    all->last = all->due[i];
    all->due[i] = 0;
}

/* Thousands started, moved and stopped in a random order fire in the order of their times, each once. */
TEST(timer, thousands_fire_in_order)
{
    loop *l = make();
    rand_seeded r = {.state = 7};
    size_t left = 0;
    all = calloc(1, sizeof *all);
    CHECK(all != NULL);
    for (size_t i = 0; i < MANY; i++)
        timer_init(&all->timers[i], l, crowd_fires, &all->due[i]);
    for (size_t i = 0; i < 4 * MANY; i++) {
        size_t k = rand_next(&r) % MANY;
        all->due[k] = 0;
        timer_stop(&all->timers[k]);
        if (rand_next(&r) % 8 == 0)
            continue;
        all->due[k] = clock_ns + 1 + rand_next(&r) % NS_PER_S;
        timer_at(&all->timers[k], all->due[k]);
    }
    for (size_t i = 0; i < MANY; i++)
        left += all->due[i] != 0;
    while (loop_timeout_ms(l) >= 0)
        advance(l, 13 * NS_PER_MS);
    CHECK_UINT(all->fired, left);
    CHECK_UINT(all->unordered, 0);
    free(all);
    drop(l);
}

TEST(timer, starting_and_firing_allocates_nothing)
{
    loop *l = make();
    int fired = 0;
    timer t[100];
    uint64_t before = fault_allocations();
    for (int i = 0; i < 100; i++) {
        timer_init(&t[i], l, count, &fired);
        timer_after(&t[i], NS_PER_MS);
    }
    advance(l, NS_PER_MS);
    CHECK_INT(fired, 100);
    CHECK_UINT(fault_allocations() - before, 0);
    drop(l);
}
