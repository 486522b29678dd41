/* WASI: descriptors that exist already.
 *
 * stdin is at its end, stdout and stderr go to the log by lines, files and folders are the host's
 * own descriptors. Only regular files and folders get into the table (wasi_path.c), so nothing here
 * waits for anybody but the disk. */
#include "extism/wasi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOV_AT_ONCE 64
#define FDFLAG_APPEND 1
#define FDFLAGS_ALL 31
#define FST_ATIM 1
#define FST_ATIM_NOW 2
#define FST_MTIM 4
#define FST_MTIM_NOW 8

static wasi_errno from_call(int64_t result)
{
    return result < 0 ? wasi_from_errno(errno) : E_OK;
}

/* A descriptor that has a file or folder behind it. */
static wasi_errno find_host(wasi *w, uint32_t fd, wasi_fd **out)
{
    *out = wasi_find(w, fd);
    if (!*out)
        return E_BADF;
    return (*out)->host < 0 ? E_NOTSUP : E_OK;
}

/* The same, where it must be a file that may be written. */
static wasi_errno find_written(wasi *w, uint32_t fd, wasi_fd **out)
{
    wasi_errno e = find_host(w, fd, out);
    if (e)
        return e;
    if ((*out)->kind == FD_FOLDER)
        return E_ISDIR;
    if ((*out)->read_only)
        return E_ROFS;
    return (*out)->rights & RIGHT_FD_WRITE ? E_OK : E_BADF;
}

/* ---- Reading and writing ---- */

/* The guest's iovecs as the host's, at most IOV_AT_ONCE of them and `max` octets: a call may move
 * less than it was asked to. */
static wasi_errno iovecs_read(guest *g, uint32_t at, uint32_t count, size_t max, struct iovec *out, int *out_count)
{
    *out_count = 0;
    if (count > WASI_MAX_IOVECS)
        return E_INVAL;
    const char *from = wasi_at(g, at, (uint64_t)count * 8);
    if (!from)
        return E_FAULT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t where, len;
        memcpy(&where, from + i * 8, 4);
        memcpy(&len, from + i * 8 + 4, 4);
        void *to = len ? wasi_at(g, where, len) : NULL;
        if (len && !to)
            return E_FAULT;
        if (len == 0 || max == 0 || *out_count == IOV_AT_ONCE)
            continue; /* the rest is checked all the same */
        size_t take = len < max ? len : max;
        out[(*out_count)++] = (struct iovec){to, take};
        max -= take;
    }
    return E_OK;
}

WASI(fd_write)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    struct iovec iov[IOV_AT_ONCE];
    int count;
    uint32_t size_at = v[3].u32;
    if (!f || f->kind == FD_STDIN || !(f->rights & RIGHT_FD_WRITE))
        return wasi_answer(v, E_BADF);
    if (f->kind == FD_FOLDER)
        return wasi_answer(v, E_ISDIR);
    wasi_errno e = iovecs_read(g, v[1].u32, v[2].u32, f->host < 0 ? WASI_OUT_CHUNK : WASI_IO_CHUNK, iov, &count);
    if (e)
        return wasi_answer(v, e);
    if (f->host >= 0) {
        ssize_t n = writev(f->host, iov, count);
        return wasi_answer(v, n < 0 ? wasi_from_errno(errno) : wasi_put_u32(g, size_at, (uint32_t)n));
    }
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        wasi_lines_add(w, f->kind, bytes_make(iov[i].iov_base, iov[i].iov_len));
        total += iov[i].iov_len;
    }
    return wasi_answer(v, wasi_put_u32(g, size_at, (uint32_t)total));
}

WASI(fd_read)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    struct iovec iov[IOV_AT_ONCE];
    int count;
    if (!f || f->kind == FD_STDOUT || f->kind == FD_STDERR || !(f->rights & RIGHT_FD_READ))
        return wasi_answer(v, E_BADF);
    wasi_errno e = iovecs_read(g, v[1].u32, v[2].u32, WASI_IO_CHUNK, iov, &count);
    if (e)
        return wasi_answer(v, e);
    ssize_t n = f->kind == FD_STDIN ? 0 : readv(f->host, iov, count);
    return wasi_answer(v, n < 0 ? wasi_from_errno(errno) : wasi_put_u32(g, v[3].u32, (uint32_t)n));
}

WASI(fd_pread)
{
    WASI_SELF;
    wasi_fd *f;
    struct iovec iov[IOV_AT_ONCE];
    int count;
    wasi_errno e = find_host(w, v[0].u32, &f);
    if (e)
        return wasi_answer(v, e == E_NOTSUP ? E_SPIPE : e);
    if (!(f->rights & RIGHT_FD_READ))
        return wasi_answer(v, E_BADF);
    e = iovecs_read(g, v[1].u32, v[2].u32, WASI_IO_CHUNK, iov, &count);
    if (e)
        return wasi_answer(v, e);
    ssize_t n = preadv(f->host, iov, count, v[3].i64);
    return wasi_answer(v, n < 0 ? wasi_from_errno(errno) : wasi_put_u32(g, v[4].u32, (uint32_t)n));
}

WASI(fd_pwrite)
{
    WASI_SELF;
    wasi_fd *f;
    struct iovec iov[IOV_AT_ONCE];
    int count;
    wasi_errno e = find_written(w, v[0].u32, &f);
    if (e)
        return wasi_answer(v, e == E_NOTSUP ? E_SPIPE : e);
    e = iovecs_read(g, v[1].u32, v[2].u32, WASI_IO_CHUNK, iov, &count);
    if (e)
        return wasi_answer(v, e);
    ssize_t n = pwritev(f->host, iov, count, v[3].i64);
    return wasi_answer(v, n < 0 ? wasi_from_errno(errno) : wasi_put_u32(g, v[4].u32, (uint32_t)n));
}

static wasi_errno seek(guest *g, wasi *w, uint32_t fd, int64_t offset, uint32_t whence, uint32_t out_at)
{
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    wasi_fd *f;
    wasi_errno e = find_host(w, fd, &f);
    if (e)
        return e == E_NOTSUP ? E_SPIPE : e;
    if (f->kind == FD_FOLDER)
        return E_BADF;
    if (whence > 2)
        return E_INVAL;
    off_t at = lseek(f->host, offset, whences[whence]);
    return at < 0 ? wasi_from_errno(errno) : wasi_put_u64(g, out_at, (uint64_t)at);
}

WASI(fd_seek)
{
    WASI_SELF;
    return wasi_answer(v, seek(g, w, v[0].u32, v[1].i64, v[2].u32, v[3].u32));
}

WASI(fd_tell)
{
    WASI_SELF;
    return wasi_answer(v, seek(g, w, v[0].u32, 0, 1, v[1].u32));
}

/* ---- The disk ---- */

WASI(fd_sync)
{
    WASI_SELF;
    wasi_fd *f;
    wasi_errno e = find_host(w, v[0].u32, &f);
    return wasi_answer(v, e ? e : from_call(fsync(f->host)));
}

WASI(fd_datasync)
{
    WASI_SELF;
    wasi_fd *f;
    wasi_errno e = find_host(w, v[0].u32, &f);
    return wasi_answer(v, e ? e : from_call(fdatasync(f->host)));
}

WASI(fd_advise)
{
    WASI_SELF;
    static const int advice[] = {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE};
    wasi_fd *f;
    wasi_errno e = find_host(w, v[0].u32, &f);
    if (e)
        return wasi_answer(v, e == E_NOTSUP ? E_SPIPE : e);
    if (f->kind == FD_FOLDER)
        return wasi_answer(v, E_BADF);
    if (v[3].u32 >= sizeof advice / sizeof *advice || v[1].i64 < 0 || v[2].i64 < 0)
        return wasi_answer(v, E_INVAL);
    return wasi_answer(v, wasi_from_errno(posix_fadvise(f->host, v[1].i64, v[2].i64, advice[v[3].u32])));
}

WASI(fd_allocate)
{
    WASI_SELF;
    wasi_fd *f;
    wasi_errno e = find_written(w, v[0].u32, &f);
    if (e)
        return wasi_answer(v, e);
    return wasi_answer(v, v[1].i64 < 0 || v[2].i64 <= 0 ? E_INVAL : from_call(fallocate(f->host, 0, v[1].i64, v[2].i64)));
}

WASI(fd_filestat_set_size)
{
    WASI_SELF;
    wasi_fd *f;
    wasi_errno e = find_written(w, v[0].u32, &f);
    return wasi_answer(v, e ? e : from_call(ftruncate(f->host, v[1].i64)));
}

/* ---- What a descriptor is ---- */

static uint8_t filetype_of(mode_t mode)
{
    if (S_ISREG(mode))
        return 4;
    if (S_ISDIR(mode))
        return 3;
    if (S_ISLNK(mode))
        return 7;
    if (S_ISBLK(mode))
        return 1;
    return S_ISCHR(mode) ? 2 : 0;
}

static uint64_t time_of(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

wasi_errno wasi_put_filestat(guest *g, uint32_t at, const struct stat *st)
{
    uint64_t stat[8] = {st->st_dev, st->st_ino, filetype_of(st->st_mode), st->st_nlink, (uint64_t)st->st_size,
                        time_of(st->st_atim), time_of(st->st_mtim), time_of(st->st_ctim)};
    return wasi_put(g, at, stat, sizeof stat);
}

WASI(fd_filestat_get)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    struct stat st = {.st_mode = S_IFCHR, .st_nlink = 1};
    if (!f)
        return wasi_answer(v, E_BADF);
    if (f->host >= 0 && fstat(f->host, &st))
        return wasi_answer(v, wasi_from_errno(errno));
    return wasi_answer(v, wasi_put_filestat(g, v[1].u32, &st));
}

wasi_errno wasi_times(struct timespec out[2], uint64_t atim, uint64_t mtim, uint32_t flags)
{
    const uint64_t times[2] = {atim, mtim};
    for (int i = 0; i < 2; i++) {
        uint32_t set = flags & (i ? FST_MTIM : FST_ATIM), now = flags & (i ? FST_MTIM_NOW : FST_ATIM_NOW);
        if (set && now)
            return E_INVAL;
        out[i] = set ? (struct timespec){(time_t)(times[i] / 1000000000), (long)(times[i] % 1000000000)}
                     : (struct timespec){0, now ? UTIME_NOW : UTIME_OMIT};
    }
    return flags > 15 ? E_INVAL : E_OK;
}

WASI(fd_filestat_set_times)
{
    WASI_SELF;
    wasi_fd *f;
    struct timespec times[2];
    wasi_errno e = find_host(w, v[0].u32, &f);
    if (!e && f->read_only)
        e = E_ROFS;
    if (!e)
        e = wasi_times(times, v[1].u64, v[2].u64, v[3].u32);
    return wasi_answer(v, e ? e : from_call(futimens(f->host, times)));
}

WASI(fd_fdstat_get)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    if (!f)
        return wasi_answer(v, E_BADF);
    char stat[24] = {0};
    stat[0] = f->kind == FD_FOLDER ? 3 : f->kind == FD_FILE ? 4
                                                            : 2;
    memcpy(stat + 2, &f->flags, 2);
    memcpy(stat + 8, &f->rights, 8);
    memcpy(stat + 16, &f->inheriting, 8);
    return wasi_answer(v, wasi_put(g, v[1].u32, stat, sizeof stat));
}

WASI(fd_fdstat_set_flags)
{
    WASI_SELF;
    wasi_fd *f = wasi_find(w, v[0].u32);
    uint32_t flags = v[1].u32;
    if (!f)
        return wasi_answer(v, E_BADF);
    if (flags > FDFLAGS_ALL)
        return wasi_answer(v, E_INVAL);
    if (f->kind == FD_FILE && fcntl(f->host, F_SETFL, O_NONBLOCK | (flags & FDFLAG_APPEND ? O_APPEND : 0)))
        return wasi_answer(v, wasi_from_errno(errno));
    f->flags = (uint16_t)flags;
    return wasi_answer(v, E_OK);
}

/* Rights can be given up, never gained. */
WASI(fd_fdstat_set_rights)
{
    WASI_SELF;
    wasi_fd *f = wasi_find(w, v[0].u32);
    uint64_t rights = v[1].u64, inheriting = v[2].u64;
    if (!f)
        return wasi_answer(v, E_BADF);
    if ((rights & ~f->rights) || (inheriting & ~f->inheriting))
        return wasi_answer(v, E_NOTCAPABLE);
    f->rights = rights;
    f->inheriting = inheriting;
    return wasi_answer(v, E_OK);
}

/* ---- Folders that were given ---- */

WASI(fd_prestat_get)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    if (!f || !f->preopen)
        return wasi_answer(v, E_BADF);
    uint32_t stat[2] = {0, (uint32_t)strlen(f->preopen)};
    return wasi_answer(v, wasi_put(g, v[1].u32, stat, sizeof stat));
}

WASI(fd_prestat_dir_name)
{
    WASI_SELF;
    const wasi_fd *f = wasi_find(w, v[0].u32);
    if (!f || !f->preopen)
        return wasi_answer(v, E_BADF);
    size_t len = strlen(f->preopen);
    return wasi_answer(v, v[2].u32 < len ? E_NAMETOOLONG : wasi_put(g, v[1].u32, f->preopen, len));
}

/* ---- The table ---- */

WASI(fd_close)
{
    WASI_SELF;
    wasi_fd *f = wasi_find(w, v[0].u32);
    if (!f)
        return wasi_answer(v, E_BADF);
    wasi_fd_drop(f);
    return wasi_answer(v, E_OK);
}

WASI(fd_renumber)
{
    WASI_SELF;
    wasi_fd *from = wasi_find(w, v[0].u32), *to = wasi_find(w, v[1].u32);
    if (!from || !to)
        return wasi_answer(v, E_BADF);
    if (from != to) {
        wasi_fd_drop(to);
        *to = *from;
        *from = (wasi_fd){.kind = FD_NONE, .host = -1};
    }
    return wasi_answer(v, E_OK);
}

/* ---- Reading a folder ---- */

#define DIRENT_SIZE 24

static uint8_t filetype_of_entry(unsigned char type)
{
    switch (type) {
    case DT_REG:
        return 4;
    case DT_DIR:
        return 3;
    case DT_LNK:
        return 7;
    case DT_BLK:
        return 1;
    case DT_CHR:
        return 2;
    default:
        return 0;
    }
}

/* One entry into the guest's buffer; it may be cut there, which tells the guest to ask for more
 * from its cookie. */
static void entry_put(char *to, size_t size, size_t *used, const struct dirent64 *d)
{
    char head[DIRENT_SIZE] = {0};
    uint64_t next = (uint64_t)d->d_off, ino = d->d_ino;
    uint32_t name_len = (uint32_t)strlen(d->d_name);
    memcpy(head, &next, 8);
    memcpy(head + 8, &ino, 8);
    memcpy(head + 16, &name_len, 4);
    head[20] = (char)filetype_of_entry(d->d_type);
    size_t room = size - *used, piece = room < DIRENT_SIZE ? room : DIRENT_SIZE;
    memcpy(to + *used, head, piece);
    *used += piece;
    room -= piece;
    piece = room < name_len ? room : name_len;
    memcpy(to + *used, d->d_name, piece);
    *used += piece;
}

/* The cookie is the host's own position in the folder, which is why nothing is kept between calls. */
static wasi_errno entries_read(int host, uint64_t cookie, char *to, size_t size, size_t *used)
{
    char chunk[2048] __attribute__((aligned(8)));
    if (lseek(host, (off_t)cookie, SEEK_SET) < 0)
        return wasi_from_errno(errno);
    while (*used < size) {
        ssize_t n = getdents64(host, chunk, sizeof chunk);
        if (n <= 0)
            return from_call(n);
        for (ssize_t at = 0; at < n && *used < size;) {
            const struct dirent64 *d = (const struct dirent64 *)(chunk + at);
            entry_put(to, size, used, d);
            at += d->d_reclen;
        }
    }
    return E_OK;
}

WASI(fd_readdir)
{
    WASI_SELF;
    wasi_fd *f;
    wasi_errno e = find_host(w, v[0].u32, &f);
    size_t size = v[2].u32, used = 0;
    if (e || f->kind != FD_FOLDER)
        return wasi_answer(v, e == E_BADF ? e : E_NOTDIR);
    char *to = wasi_at(g, v[1].u32, size);
    if (!to)
        return wasi_answer(v, E_FAULT);
    e = entries_read(f->host, v[3].u64, to, size < WASI_IO_CHUNK ? size : WASI_IO_CHUNK, &used);
    return wasi_answer(v, e ? e : wasi_put_u32(g, v[4].u32, (uint32_t)used));
}
