/* Jobs: blocking work (compiling, files, databases) on libuv's worker threads.
 *
 * The happy path: job_start, work on a worker, done on the loop. A cancelled job that has not
 * begun skips work; one that has begun cannot be stopped from outside. Either way done runs once,
 * and the job's memory goes just before it. */
#include "loop/inside.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4 /* as libuv has it, unless UV_THREADPOOL_SIZE says otherwise */
#define WORKERS_MAX 1024

struct job {
    list_node node; /* first: loop_free cancels what still waits */
    uv_work_t request;
    void (*work)(void *arg);
    void (*done)(void *arg, bool cancelled);
    void *arg;
};

static void on_work(uv_work_t *request)
{
    job *j = request->data;
    j->work(j->arg);
}

static void on_done(uv_work_t *request, int status)
{
    job *j = request->data;
    void (*done)(void *arg, bool cancelled) = j->done;
    void *arg = j->arg;
    list_remove(&j->node);
    free(j);
    done(arg, status == UV_ECANCELED);
}

static void *linger(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* libuv makes its workers with the first job, and ends the process if it cannot; so does what the jobs call
 * (the compiler makes a thread for each CPU). So as many are made and ended before, once: an error is better. */
static weir_code try_threads(weir_error *err)
{
    static bool tried;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    const char *asked = getenv("UV_THREADPOOL_SIZE");
    int wanted = asked ? atoi(asked) : WORKERS, made = 0, failed = 0;
    if (__atomic_load_n(&tried, __ATOMIC_RELAXED))
        return WEIR_OK;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    wanted = wanted < 1 ? 1 : wanted > WORKERS_MAX ? WORKERS_MAX
                                                   : wanted;
    wanted += cpus > 0 && cpus < WORKERS_MAX ? (int)cpus : 0;
    pthread_t *threads = calloc((size_t)wanted, sizeof *threads);
    if (!threads)
        return error_set(err, WEIR_NOMEM, "worker: out of memory");
    pthread_mutex_lock(&gate);
    while (made < wanted && !(failed = pthread_create(&threads[made], NULL, linger, &gate)))
        made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (failed)
        return error_set(err, WEIR_SYSTEM, "worker: only %d of %d threads can be made: %s; raise the limit on processes, 'ulimit -u', or on memory", made, wanted, strerror(failed));
    __atomic_store_n(&tried, true, __ATOMIC_RELAXED);
    return WEIR_OK;
}

weir_code job_start(job **out, loop *l, void (*work)(void *arg), void (*done)(void *arg, bool cancelled), void *arg, weir_error *err)
{
    weir_code code = try_threads(err);
    job *j = code ? NULL : calloc(1, sizeof *j);
    if (code)
        return code;
    if (!j)
        return error_set(err, WEIR_NOMEM, "worker: out of memory");
    j->work = work;
    j->done = done;
    j->arg = arg;
    j->request.data = j;
    int status = uv_queue_work(&l->uv, &j->request, on_work, on_done);
    if (status) {
        free(j);
        return uv_failed(err, status, "worker");
    }
    list_push(&l->jobs, &j->node);
    if (out)
        *out = j;
    return WEIR_OK;
}

void job_cancel(job *j)
{
    uv_cancel((uv_req_t *)&j->request);
}
