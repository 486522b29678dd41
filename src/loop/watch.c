/* Files that change: uv_fs_event behind loop_watch.
 *
 * The folder is watched, not the file: an editor or a compiler replaces a file by renaming another over it, and a
 * watch on the old one would see nothing more. A path that is a link has two folders: where the link lies, and
 * where the file does. The moment of the last event counts, so a file that is written in many pieces is told once. */
#include "loop/inside.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct folder {
    uv_fs_event_t handle;
    struct loop_watch *of;
    char *name; /* of the file in it */
} folder;

struct loop_watch {
    void (*fn)(void *arg);
    void *arg;
    uint64_t quiet_ns;
    timer quiet;
    folder *folders[2];
};

static void on_quiet(void *arg)
{
    loop_watch *w = arg;
    w->fn(w->arg);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    folder *f = handle->data;
    (void)events;
    if (f->of && status == 0 && (!name || !strcmp(name, f->name)))
        timer_after(&f->of->quiet, f->of->quiet_ns);
}

static void on_closed(uv_handle_t *handle)
{
    folder *f = handle->data;
    free(f->name);
    free(f);
}

static weir_code watch_folder(folder **out, loop_watch *w, loop *l, const char *path, weir_error *err)
{
    const char *slash = strrchr(path, '/');
    folder *f = calloc(1, sizeof *f);
    char *where = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!f || !where || !(f->name = strdup(slash ? slash + 1 : path))) {
        free(f);
        free(where);
        return error_set(err, WEIR_NOMEM, "watching '%s': out of memory", path);
    }
    int status = uv_fs_event_init(&l->uv, &f->handle);
    if (status) {
        free(f->name);
        free(f);
    } else {
        f->handle.data = f;
        f->of = w;
        *out = f; /* from here on it is closed, not freed */
        status = uv_fs_event_start(&f->handle, on_event, where, 0);
    }
    free(where);
    if (!status)
        return WEIR_OK;
    uv_failed(err, status, "its folder cannot be watched");
    error_wrap(err, "'%s'", path);
    return WEIR_SYSTEM;
}

weir_code watch_file(loop_watch **out, loop *l, const char *path, uint64_t quiet_ns, void (*fn)(void *arg), void *arg, weir_error *err)
{
    char real[PATH_MAX];
    loop_watch *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, WEIR_NOMEM, "watching '%s': out of memory", path);
    *w = (loop_watch){.fn = fn, .arg = arg, .quiet_ns = quiet_ns};
    timer_init(&w->quiet, l, on_quiet, w);
    weir_code code = watch_folder(&w->folders[0], w, l, path, err);
    if (!code && realpath(path, real) && strcmp(real, path) != 0)
        code = watch_folder(&w->folders[1], w, l, real, err);
    if (code) {
        watch_close(w);
        return code;
    }
    *out = w;
    return WEIR_OK;
}

void watch_close(loop_watch *w)
{
    if (!w)
        return;
    timer_stop(&w->quiet);
    for (int i = 0; i < 2; i++)
        if (w->folders[i]) {
            w->folders[i]->of = NULL;
            uv_close((uv_handle_t *)&w->folders[i]->handle, on_closed);
        }
    free(w);
}
