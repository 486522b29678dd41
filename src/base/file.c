#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_code fail(const char *path, weir_error *err)
{
    weir_code code = errno == ENOENT ? WEIR_NOT_FOUND : errno == ENOMEM ? WEIR_NOMEM : WEIR_SYSTEM;
    if (errno == ENOENT)
        return error_set(err, code, "'%s': no such file", path);
    if (errno == EACCES)
        return error_set(err, code, "'%s': permission denied", path);
    return error_set(err, code, "'%s': %s", path, strerror(errno));
}

weir_code file_read(buf *out, const char *path, weir_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    weir_code code = WEIR_OK;
    if (fd < 0)
        return fail(path, err);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return error_set(err, WEIR_INVALID, "'%s': it is a folder, not a file", path);
    }
    for (;;) {
        size_t want = S_ISREG(st.st_mode) && (size_t)st.st_size >= out->len ? (size_t)st.st_size - out->len + 1 : 65536;
        if (!buf_reserve(out, want)) {
            code = out->len + want > out->max ? error_set(err, WEIR_LIMIT, "'%s': larger than %zu MiB", path, out->max >> 20)
                                              : error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
            break;
        }
        ssize_t n = read(fd, out->at + out->len, out->cap - out->len);
        if (n == 0)
            break;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR) {
            code = fail(path, err);
            break;
        }
    }
    close(fd);
    return code;
}

weir_code file_replace(const char *path, bytes contents, weir_error *err)
{
    char *temporary = NULL;
    weir_code code = WEIR_OK;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    int fd = mkstemp(temporary);
    if (fd < 0) {
        code = fail(path, err);
        free(temporary);
        return code;
    }
    while (contents.len && !code) {
        ssize_t n = write(fd, contents.at, contents.len);
        if (n >= 0) {
            contents.at += n;
            contents.len -= (size_t)n;
        } else if (errno != EINTR) {
            code = fail(path, err);
        }
    }
    if (!code && (fsync(fd) || rename(temporary, path)))
        code = fail(path, err);
    close(fd);
    if (code)
        unlink(temporary);
    free(temporary);
    return code;
}

weir_code file_make_folder(const char *path, weir_error *err)
{
    struct stat st;
    char *part = strdup(path);
    if (!part)
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char was = *c;
        *c = '\0';
        if (mkdir(part, 0700) && errno != EEXIST) {
            weir_code code = fail(part, err);
            free(part);
            return code;
        }
        *c = was;
        if (was == '\0')
            break;
    }
    free(part);
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail(path, err);
    }
    return WEIR_OK;
}
