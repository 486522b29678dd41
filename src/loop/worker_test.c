/* Jobs: blocking work away from the loop. */
#include "loop/loop.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <semaphore.h>

static weir_error err;

typedef struct task {
    loop *l;
    pthread_t worked_on, done_on;
    sem_t *gate;
    int worked, done, cancelled;
} task;

static void work(void *arg)
{
    task *t = arg;
    if (t->gate)
        sem_wait(t->gate);
    t->worked_on = pthread_self();
    t->worked++;
}

static void done(void *arg, bool cancelled)
{
    task *t = arg;
    t->done_on = pthread_self();
    t->done++;
    t->cancelled += cancelled;
}

static loop *make(void)
{
    loop *l = NULL;
    CHECK_OK(loop_new(&l, &err));
    return l;
}

TEST(worker, works_elsewhere_and_is_done_here)
{
    loop *l = make();
    task t = {.l = l};
    job *j = NULL;
    CHECK_OK(job_start(&j, l, work, done, &t, &err));
    CHECK(j != NULL);
    while (!t.done)
        loop_step(l, -1);
    CHECK_INT(t.worked, 1);
    CHECK_INT(t.cancelled, 0);
    CHECK(!pthread_equal(t.worked_on, pthread_self()));
    CHECK(pthread_equal(t.done_on, pthread_self()));
    loop_free(l);
}

#define CROWD 64 /* more than there are workers */

TEST(worker, a_cancelled_job_that_has_not_begun_never_works)
{
    loop *l = make();
    sem_t gate;
    sem_init(&gate, 0, 0);
    task t[CROWD] = {{0}};
    job *last = NULL;
    for (int i = 0; i < CROWD; i++) {
        t[i] = (task){.l = l, .gate = &gate};
        CHECK_OK(job_start(&last, l, work, done, &t[i], &err));
    }
    job_cancel(last); /* all workers stand at the gate, so it cannot have begun */
    for (int i = 0; i < CROWD; i++)
        sem_post(&gate);
    for (int all = 0; all < CROWD;) {
        loop_step(l, -1);
        all = 0;
        for (int i = 0; i < CROWD; i++)
            all += t[i].done;
    }
    CHECK_INT(t[CROWD - 1].worked, 0);
    CHECK_INT(t[CROWD - 1].cancelled, 1);
    CHECK_INT(t[0].worked, 1);
    loop_free(l);
    sem_destroy(&gate);
}

TEST(worker, freeing_the_loop_ends_every_job_once)
{
    loop *l = make();
    task t[CROWD] = {{0}};
    for (int i = 0; i < CROWD; i++) {
        t[i].l = l;
        CHECK_OK(job_start(NULL, l, work, done, &t[i], &err));
    }
    loop_free(l);
    for (int i = 0; i < CROWD; i++) {
        CHECK_INT(t[i].done, 1);
        CHECK_INT(t[i].worked + t[i].cancelled, 1);
    }
}

TEST(worker, starting_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        loop *l = NULL;
        task t = {0};
        if (loop_new(&l, &e) || job_start(NULL, l, work, done, &t, &e))
            CHECK_INT(e.code, WEIR_NOMEM);
        loop_free(l);
    }
}
