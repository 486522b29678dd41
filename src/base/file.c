/* Whole files. Replacing is atomic: readers see the old contents or the new,
 * never a part, and a crash leaves one of the two; what fails removes its
 * temporary file. */
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The system's reason in our wording, with the code that fits. */
static weir_code fail(weir_error *err, const char *path, int cause)
{
    char scratch[128];
    switch (cause) {
    case ENOENT:
        return error_set(err, WEIR_NOT_FOUND, "'%s': no such file", path);
    case EACCES:
    case EPERM:
        return error_set(err, WEIR_SYSTEM, "'%s': permission denied", path);
    case EISDIR:
        return error_set(err, WEIR_INVALID, "'%s': is a directory", path);
    case ENOTDIR:
        return error_set(err, WEIR_INVALID,
                         "'%s': a part of the path is no directory", path);
    case ENOMEM:
        return error_set(err, WEIR_NOMEM, "'%s': out of memory", path);
    case ENAMETOOLONG:
        return error_set(err, WEIR_INVALID, "'%s': the path is too long", path);
    default:
        break;
    }
    const char *text = strerror_r(cause, scratch, sizeof scratch);
    return error_set(err, WEIR_SYSTEM, "'%s': %c%s", path,
                     tolower((unsigned char)text[0]), text[0] ? text + 1 : "");
}

static weir_code fail_full(weir_error *err, const char *path, const buf *out)
{
    size_t mib = out->max >> 20;
    if (out->len < out->max)
        return fail(err, path, ENOMEM);
    if (mib)
        return error_set(err, WEIR_LIMIT, "'%s': larger than %zu MiB", path, mib);
    return error_set(err, WEIR_LIMIT, "'%s': larger than %zu octets", path,
                     out->max);
}

/* A descriptor on a file that is no folder, or -1 with the error set. */
static int open_file(const char *path, struct stat *st, weir_code *code,
                     weir_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *code = fail(err, path, errno);
        return -1;
    }
    int cause = fstat(fd, st) ? errno : S_ISDIR(st->st_mode) ? EISDIR
                                                             : 0;
    if (cause == 0)
        return fd;
    close(fd);
    *code = fail(err, path, cause);
    return -1;
}

/* Room for what comes next: the rest of the file if its size is known, a piece
 * otherwise, and one octet more, so that the end shows without growing. At the
 * ceiling there may be no room: then one octet is read aside to tell a file
 * that just fits from one that is too large. */
static weir_code read_all(buf *out, const char *path, int fd, weir_error *err)
{
    for (;;) {
        char aside;
        if (out->len == out->cap && out->cap < out->max)
            buf_reserve(out, out->max - out->len < 4096 ? out->max - out->len : 4096);
        if (out->failed)
            return fail_full(err, path, out);
        bool full = out->len == out->cap;
        ssize_t got = read(fd, full ? &aside : out->at + out->len,
                           full ? 1 : out->cap - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(err, path, errno);
        if (got == 0)
            return WEIR_OK;
        if (full)
            return fail_full(err, path, out);
        out->len += (size_t)got;
    }
}

weir_code file_read(buf *out, const char *path, weir_error *err)
{
    struct stat st;
    weir_code code = WEIR_OK;
    int fd = open_file(path, &st, &code, err);
    if (fd < 0)
        return code;
    size_t start = out->len, room = out->max - out->len;
    if (S_ISREG(st.st_mode) && st.st_size > 0 && (uintmax_t)st.st_size > room) {
        out->len = out->max; /* for fail_full: the ceiling is the cause */
        code = fail_full(err, path, out);
    } else {
        if (S_ISREG(st.st_mode) && st.st_size > 0)
            buf_reserve(out,
                        (size_t)st.st_size < room ? (size_t)st.st_size + 1 : room);
        code = read_all(out, path, fd, err);
    }
    close(fd);
    if (code)
        out->len = start;
    return code;
}

static bool write_all(int fd, bytes contents)
{
    while (contents.len) {
        ssize_t done = write(fd, contents.at, contents.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        contents = (bytes){contents.at + done, contents.len - (size_t)done};
    }
    return true;
}

/* After a rename only the folder's own sync makes it last. Some file systems
 * refuse; the file is whole all the same, so that is no failure. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 1;
    if (len >= sizeof folder)
        return;
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

weir_code file_replace(const char *path, bytes contents, weir_error *err)
{
    char temp[PATH_MAX];
    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return fail(err, path, ENAMETOOLONG);
    int fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return errno == ENOENT ? error_set(err, WEIR_NOT_FOUND,
                                           "'%s': its folder does not exist", path)
                               : fail(err, path, errno);
    int cause = write_all(fd, contents) && fsync(fd) == 0 ? 0 : errno;
    if (close(fd) && !cause)
        cause = errno;
    if (!cause && rename(temp, path))
        cause = errno;
    if (cause) {
        unlink(temp);
        return fail(err, path, cause);
    }
    sync_folder(path);
    return WEIR_OK;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

weir_code file_make_folder(const char *path, weir_error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0)
        return error_set(err, WEIR_INVALID, "'': an empty path names no folder");
    if (len >= sizeof part)
        return fail(err, path, ENAMETOOLONG);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        int cause = mkdir(part, 0700) ? errno : 0;
        if (cause &&
            !is_folder(
                part)) /* whatever the reason, a folder that is there will do */
            return cause == EEXIST
                       ? error_set(err, WEIR_INVALID,
                                   "'%s': is a file where a folder should be", part)
                       : fail(err, part, cause);
        if (i < len)
            part[i] = '/';
    }
    return WEIR_OK;
}
