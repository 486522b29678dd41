/* A lane: a thread that runs requests in the order in which they were posted, and hands them back.
 *
 * It takes all that waits at once, so that its `run` can join neighbours in one transaction. The bell is an eventfd that the
 * loop watches; all lanes ring the same one. */
#include "store/inside.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

static void hand_back(lane *l, request *list)
{
    request *last = list;
    while (last->next)
        last = last->next;
    pthread_mutex_lock(&l->mutex);
    *l->done_end = list;
    l->done_end = &last->next;
    pthread_mutex_unlock(&l->mutex);
    eventfd_write(l->bell, 1);
}

static void *lane_main(void *arg)
{
    lane *l = arg;

    for (;;) {
        pthread_mutex_lock(&l->mutex);
        while (!l->todo && !l->stop)
            pthread_cond_wait(&l->wake, &l->mutex);
        request *list = l->todo;
        l->todo = NULL;
        l->todo_end = &l->todo;
        pthread_mutex_unlock(&l->mutex);
        if (!list)
            return NULL;
        l->run(l->s, list);
        hand_back(l, list);
    }
}

weir_code lane_start(lane *l, store *s, void (*run)(store *s, request *list), int bell, weir_error *err)
{
    sigset_t all, before;

    *l = (lane){.s = s, .run = run, .bell = bell};
    l->todo_end = &l->todo;
    l->done_end = &l->done;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->wake, NULL);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&l->thread, NULL, lane_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->mutex);
        return error_set(err, WEIR_SYSTEM, "a thread cannot be made: %s; raise the limit on processes, 'ulimit -u'", strerror(failed));
    }
    l->started = true;
    return WEIR_OK;
}

void lane_post(lane *l, request *r)
{
    r->next = NULL;
    pthread_mutex_lock(&l->mutex);
    *l->todo_end = r;
    l->todo_end = &r->next;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
}

request *lane_take(lane *l)
{
    if (!l->started)
        return NULL;
    pthread_mutex_lock(&l->mutex);
    request *list = l->done;
    l->done = NULL;
    l->done_end = &l->done;
    pthread_mutex_unlock(&l->mutex);
    return list;
}

void lane_stop(lane *l)
{
    if (!l->started)
        return;
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
    l->started = false;
}
