/* Jobs: blocking work (compiling, files, databases) on libuv's worker threads.
 *
 * The happy path: job_start, work on a worker, done on the loop. A cancelled job that has not
 * begun skips work; one that has begun cannot be stopped from outside. Either way done runs once,
 * and the job's memory goes just before it. */
#include "loop/inside.h"

#include <stdlib.h>

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

weir_code job_start(job **out, loop *l, void (*work)(void *arg), void (*done)(void *arg, bool cancelled), void *arg, weir_error *err)
{
    job *j = calloc(1, sizeof *j);
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
