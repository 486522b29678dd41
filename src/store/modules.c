/* Modules: files named by the SHA-256 of what is in them, so that no two differ under one name and none ever changes.
 *
 * Written beside, synced, renamed, the folder synced (base/file.h). What a crash left half written is removed at the next start. */
#include "store/inside.h"

#include "base/digest.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LEN (DIGEST_HEX - 1)
#define ENDING ".wasm"

static bool is_digest(const char *text, size_t len)
{
    return len == NAME_LEN && strspn(text, "0123456789abcdef") >= NAME_LEN;
}

/* Of what file_replace makes: NAME.wasm.XXXXXX. */
static bool is_left_over(const char *name)
{
    size_t len = strlen(name), whole = NAME_LEN + strlen(ENDING);
    return len == whole + 7 && is_digest(name, NAME_LEN) && strncmp(name + NAME_LEN, ENDING ".", strlen(ENDING) + 1) == 0;
}

weir_code modules_open(store *s, weir_error *err)
{
    char *folder = store_path(s, "modules");
    struct stat st;

    if (!folder)
        return error_set(err, WEIR_NOMEM, "out of memory");
    weir_code code = file_make_folder(folder, err);
    DIR *d = code ? NULL : opendir(folder);
    if (!code && !d)
        code = error_set(err, WEIR_SYSTEM, "'%s': %s", folder, strerror(errno));
    for (struct dirent *e; d && (e = readdir(d));) {
        if (is_left_over(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
        else if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            s->modules_octets += (uint64_t)st.st_size;
    }
    if (d)
        closedir(d);
    free(folder);
    return code;
}

void store_module_path(const store *s, const char *sha256, buf *out)
{
    buf_add_fmt(out, "%s/modules/%s" ENDING, s->dir, sha256);
}

static void refuse(store *s, store_done fn, void *arg, weir_code code, const char *text)
{
    refusal no = {.done = fn, .arg = arg};
    error_set(&no.error, code, "%s", text);
    if (fn)
        store_refuse(s, &no);
}

static void post(store *s, int what, const char *sha256, bytes octets, store_done fn, void *arg)
{
    change *c;

    if (!is_digest(sha256, strlen(sha256))) {
        refuse(s, fn, arg, WEIR_INVALID, "module: its name is no SHA-256 in lower-case hex");
        return;
    }
    c = change_new(what, "", sha256, octets, (bytes){NULL, 0}, fn, arg);
    if (!c) {
        refuse(s, fn, arg, WEIR_NOMEM, "module: out of memory");
        return;
    }
    c->base.run = what == CHANGE_MODULE_PUT ? module_put_run : module_remove_run;
    settings_post(s, c);
}

void store_module_put(store *s, const char *sha256, bytes octets, store_done fn, void *arg)
{
    post(s, CHANGE_MODULE_PUT, sha256, octets, fn, arg);
}

void store_module_remove(store *s, const char *sha256, store_done fn, void *arg)
{
    post(s, CHANGE_MODULE_REMOVE, sha256, (bytes){NULL, 0}, fn, arg);
}

/* ---- On the lane ---- */

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (int64_t)st.st_size;
}

static char *path_of(store *s, const change *c, weir_error *err)
{
    buf path;
    buf_init(&path, 64 << 10);
    store_module_path(s, c->id, &path);
    buf_add_char(&path, '\0');
    if (!path.failed)
        return path.at;
    buf_fini(&path);
    error_set(err, WEIR_NOMEM, "module: out of memory");
    return NULL;
}

void module_put_run(store *s, request *r)
{
    change *c = (change *)r;
    char is[DIGEST_HEX];
    char *path = path_of(s, c, &r->error);

    if (!path)
        return;
    int64_t before = size_of(path);
    digest_sha256(is, c->json);
    if (strcmp(is, c->id))
        error_set(&r->error, WEIR_INVALID, "module '%s': its octets have the SHA-256 %s", c->id, is);
    else if (file_replace(path, c->json, &r->error))
        error_wrap(&r->error, "module");
    else
        c->module_octets = size_of(path) - before;
    free(path);
}

void module_remove_run(store *s, request *r)
{
    change *c = (change *)r;
    char *path = path_of(s, c, &r->error);

    if (!path)
        return;
    int64_t before = size_of(path);
    if (unlink(path) && errno != ENOENT)
        error_set(&r->error, WEIR_SYSTEM, "module '%s': %s", path, strerror(errno));
    else if (!db_sync_folder(path, &r->error))
        c->module_octets = -before;
    free(path);
}
