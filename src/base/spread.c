/* Pieces are taken one by one, so a thread that comes late or not at all costs nothing but its help. */
#include "base/spread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#define HELPERS 3
#define STACK ((size_t)256 << 10) /* a piece of work has less than half of it */

typedef struct job {
    void (*work)(void *arg, size_t k);
    void *arg;
    size_t count;
    atomic_size_t next;
} job;

static void *take(void *at)
{
    job *j = at;
    for (size_t k; (k = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->count;)
        j->work(j->arg, k);
    return NULL;
}

static size_t processors(void)
{
    cpu_set_t mine;
    return sched_getaffinity(0, sizeof mine, &mine) == 0 ? (size_t)CPU_COUNT(&mine) : 1;
}

/* Starts helpers until there are enough or none is to be had; they take no signals, which belong to the program's threads. */
static size_t start(job *j, pthread_t helpers[HELPERS])
{
    size_t wanted = j->count > 1 ? processors() - 1 : 0, made = 0;
    wanted = wanted < j->count - 1 ? wanted : j->count - 1;
    wanted = wanted < HELPERS ? wanted : HELPERS;
    if (!wanted)
        return 0;
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    while (made < wanted && pthread_create(&helpers[made], &attributes, take, j) == 0)
        made++;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return made;
}

void spread(size_t count, void (*work)(void *arg, size_t k), void *arg)
{
    job j = {.work = work, .arg = arg, .count = count};
    pthread_t helpers[HELPERS];
    size_t made = start(&j, helpers);
    take(&j);
    while (made)
        pthread_join(helpers[--made], NULL);
}
