/* WASI: paths.
 *
 * Every path is relative to a folder's descriptor and resolved by the kernel with RESOLVE_BENEATH,
 * so nothing here judges "..", links or races. Calls that make, remove or rename an entry resolve
 * the folder that holds it in the same way and then name the entry alone, which cannot lead
 * anywhere. What is left to us: that the text is a path at all, and what a read-only folder refuses. */
#include "extism/wasi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOKUP_FOLLOW 1
#define OFLAG_CREAT 1
#define OFLAG_DIRECTORY 2
#define OFLAG_EXCL 4
#define OFLAG_TRUNC 8
#define FDFLAG_APPEND 1
#define FDFLAG_DSYNC 2
#define FDFLAG_SYNC 24 /* rsync and sync */
#define RACE_TRIES 16

/* ---- Text ---- */

wasi_errno wasi_path_text(bytes raw, char *out)
{
    if (raw.len == 0)
        return E_NOENT;
    if (raw.len >= WASI_PATH_SIZE)
        return E_NAMETOOLONG;
    if (memchr(raw.at, '\0', raw.len))
        return E_INVAL;
    if (!bytes_utf8(raw))
        return E_ILSEQ;
    if (raw.at[0] == '/')
        return E_NOTCAPABLE;
    memcpy(out, raw.at, raw.len);
    out[raw.len] = '\0';
    return E_OK;
}

wasi_errno wasi_path_split(char *path, wasi_split *out)
{
    size_t len = strlen(path);
    out->folder = false;
    while (len > 1 && path[len - 1] == '/') {
        path[--len] = '\0';
        out->folder = true;
    }
    char *slash = strrchr(path, '/');
    out->name = slash ? slash + 1 : path;
    out->parent = ".";
    if (slash) {
        *slash = '\0';
        out->parent = path;
    }
    if (strcmp(out->name, "..") == 0)
        return E_NOTCAPABLE;
    return strcmp(out->name, ".") == 0 || out->name[0] == '\0' ? E_INVAL : E_OK;
}

/* ---- Resolution ---- */

/* openat2 answers EAGAIN where a rename elsewhere made ".." ambiguous. */
static int open_beneath(int folder, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = -1;
    for (int i = 0; i < RACE_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

/* The kernel calls an escape EXDEV. */
static wasi_errno path_errno(void)
{
    return errno == EXDEV ? E_NOTCAPABLE : wasi_from_errno(errno);
}

/* What the guest named: a folder's descriptor and, in w->paths, the text; `which` is 0 or 1. */
static wasi_errno path_fetch(guest *g, uint32_t fd, uint32_t at, uint32_t len, int which, wasi_fd **folder, char **path)
{
    wasi *w = g->wasi;
    *folder = wasi_find(w, fd);
    if (!*folder)
        return E_BADF;
    if ((*folder)->kind != FD_FOLDER)
        return E_NOTDIR;
    if (!w->paths)
        w->paths = malloc(2 * WASI_PATH_SIZE);
    if (!w->paths)
        return E_NOMEM;
    const char *raw = wasi_at(g, at, len);
    if (!raw)
        return E_FAULT;
    *path = w->paths + which * WASI_PATH_SIZE;
    return wasi_path_text(bytes_make(raw, len), *path);
}

/* An entry in its folder: `dir` is open and the caller's to close. */
typedef struct place {
    int dir;
    wasi_split split;
} place;

/* Resolves the folder that holds the entry; `writing` refuses in a read-only one. */
static wasi_errno place_open(guest *g, uint32_t fd, uint32_t at, uint32_t len, int which, bool writing, place *out)
{
    wasi_fd *folder;
    char *path;
    out->dir = -1;
    wasi_errno e = path_fetch(g, fd, at, len, which, &folder, &path);
    if (!e)
        e = wasi_path_split(path, &out->split);
    if (e)
        return e;
    if (writing && folder->read_only)
        return E_ROFS;
    out->dir = open_beneath(folder->host, out->split.parent, O_PATH | O_DIRECTORY, 0);
    return out->dir < 0 ? path_errno() : E_OK;
}

static trap *place_answer(value *v, place *p, wasi_errno e, int result)
{
    if (!e && result < 0)
        e = wasi_from_errno(errno);
    if (p->dir >= 0)
        close(p->dir);
    return wasi_answer(v, e);
}

/* ---- Opening ---- */

typedef struct open_wish {
    uint32_t oflags, fdflags;
    bool follow, read, write;
    uint64_t rights, inheriting;
} open_wish;

static uint64_t open_flags(const open_wish *o)
{
    uint64_t flags = O_NONBLOCK | O_NOCTTY; /* a pipe or terminal must not stop us */
    flags |= o->write ? (o->read ? O_RDWR : O_WRONLY) : O_RDONLY;
    flags |= o->follow ? 0 : O_NOFOLLOW;
    flags |= o->oflags & OFLAG_CREAT ? O_CREAT : 0;
    flags |= o->oflags & OFLAG_EXCL ? O_EXCL : 0;
    flags |= o->oflags & OFLAG_TRUNC ? O_TRUNC : 0;
    flags |= o->oflags & OFLAG_DIRECTORY ? O_DIRECTORY : 0;
    flags |= o->fdflags & FDFLAG_APPEND ? O_APPEND : 0;
    flags |= o->fdflags & FDFLAG_DSYNC ? O_DSYNC : 0;
    return flags | (o->fdflags & FDFLAG_SYNC ? O_SYNC : 0);
}

/* Opens a regular file or a folder; anything else is refused, since it could wait or be a device. */
static wasi_errno path_open_host(const wasi_fd *folder, const char *path, open_wish *o, wasi_fd *out)
{
    struct stat st;
    bool making = o->oflags & OFLAG_CREAT;
    if (folder->read_only && (o->write || o->oflags & OFLAG_TRUNC))
        return E_ROFS;
    if (folder->read_only)
        o->oflags &= ~(uint32_t)(OFLAG_CREAT | OFLAG_EXCL);
    int fd = open_beneath(folder->host, path, open_flags(o), o->oflags & OFLAG_CREAT ? 0666 : 0);
    if (fd < 0)
        return folder->read_only && making && errno == ENOENT ? E_ROFS : path_errno();
    if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        close(fd);
        return E_NOTSUP;
    }
    *out = (wasi_fd){
        .kind = S_ISDIR(st.st_mode) ? FD_FOLDER : FD_FILE,
        .host = fd,
        .flags = (uint16_t)o->fdflags,
        .read_only = folder->read_only,
        .rights = o->rights & folder->inheriting,
        .inheriting = o->inheriting & folder->inheriting,
    };
    return E_OK;
}

WASI(path_open)
{
    WASI_SELF;
    wasi_fd *folder, opened;
    char *path;
    uint32_t number, out_at = v[8].u32;
    open_wish o = {.follow = v[1].u32 & LOOKUP_FOLLOW, .oflags = v[4].u32, .rights = v[5].u64, .inheriting = v[6].u64, .fdflags = v[7].u32};
    wasi_errno e = path_fetch(g, v[0].u32, v[2].u32, v[3].u32, 0, &folder, &path);
    if (!e && (o.oflags > 15 || o.fdflags > 31))
        e = E_INVAL;
    if (!e && !wasi_at(g, out_at, 4))
        e = E_FAULT;
    if (e)
        return wasi_answer(v, e);
    o.write = o.rights & folder->inheriting & RIGHT_FD_WRITE;
    o.read = !o.write || o.rights & RIGHT_FD_READ;
    e = path_open_host(folder, path, &o, &opened);
    if (!e)
        e = wasi_fd_add(w, opened, &number);
    return wasi_answer(v, e ? e : wasi_put_u32(g, out_at, number));
}

/* ---- Entries ---- */

WASI(path_create_directory)
{
    WASI_SELF;
    place p;
    wasi_errno e = place_open(g, v[0].u32, v[1].u32, v[2].u32, 0, true, &p);
    return place_answer(v, &p, e, e ? 0 : mkdirat(p.dir, p.split.name, 0777));
}

WASI(path_remove_directory)
{
    WASI_SELF;
    place p;
    wasi_errno e = place_open(g, v[0].u32, v[1].u32, v[2].u32, 0, true, &p);
    return place_answer(v, &p, e, e ? 0 : unlinkat(p.dir, p.split.name, AT_REMOVEDIR));
}

WASI(path_unlink_file)
{
    WASI_SELF;
    place p;
    wasi_errno e = place_open(g, v[0].u32, v[1].u32, v[2].u32, 0, true, &p);
    if (!e && p.split.folder)
        e = E_NOTDIR;
    return place_answer(v, &p, e, e ? 0 : unlinkat(p.dir, p.split.name, 0));
}

WASI(path_rename)
{
    WASI_SELF;
    place from, to = {.dir = -1};
    struct stat st;
    wasi_errno e = place_open(g, v[0].u32, v[1].u32, v[2].u32, 0, true, &from);
    if (!e)
        e = place_open(g, v[3].u32, v[4].u32, v[5].u32, 1, true, &to);
    if (!e && (from.split.folder || to.split.folder) &&
        fstatat(from.dir, from.split.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        e = E_NOTDIR;
    if (!e && renameat(from.dir, from.split.name, to.dir, to.split.name))
        e = wasi_from_errno(errno);
    if (to.dir >= 0)
        close(to.dir);
    return place_answer(v, &from, e, 0);
}

/* A link to what a symbolic link names could lead out, so links are never followed here. */
WASI(path_link)
{
    WASI_SELF;
    place from = {.dir = -1}, to = {.dir = -1};
    wasi_errno e = v[1].u32 & LOOKUP_FOLLOW ? E_INVAL : place_open(g, v[0].u32, v[2].u32, v[3].u32, 0, true, &from);
    if (!e)
        e = place_open(g, v[4].u32, v[5].u32, v[6].u32, 1, true, &to);
    if (!e && (from.split.folder || to.split.folder))
        e = E_NOTDIR;
    if (!e && linkat(from.dir, from.split.name, to.dir, to.split.name, 0))
        e = wasi_from_errno(errno);
    if (to.dir >= 0)
        close(to.dir);
    return place_answer(v, &from, e, 0);
}

/* What a link says is only text to us; an absolute one could fool other programs and is refused. */
WASI(path_symlink)
{
    WASI_SELF;
    place p = {.dir = -1};
    wasi_fd *folder;
    char *text;
    wasi_errno e = path_fetch(g, v[2].u32, v[0].u32, v[1].u32, 1, &folder, &text);
    if (!e)
        e = place_open(g, v[2].u32, v[3].u32, v[4].u32, 0, true, &p);
    if (!e && p.split.folder)
        e = E_NOENT;
    return place_answer(v, &p, e, e ? 0 : symlinkat(text, p.dir, p.split.name));
}

WASI(path_readlink)
{
    WASI_SELF;
    place p;
    uint32_t out_at = v[3].u32, size = v[4].u32, used_at = v[5].u32;
    wasi_errno e = place_open(g, v[0].u32, v[1].u32, v[2].u32, 0, false, &p);
    char *to = wasi_at(g, out_at, size);
    if (!e && (!to || size == 0))
        e = size ? E_FAULT : E_INVAL;
    ssize_t n = e ? 0 : readlinkat(p.dir, p.split.name, to, size);
    if (!e && n >= 0)
        e = wasi_put_u32(g, used_at, (uint32_t)n);
    return place_answer(v, &p, e, n < 0 ? -1 : 0);
}

WASI(path_filestat_get)
{
    WASI_SELF;
    wasi_fd *folder;
    char *path;
    struct stat st;
    bool follow = v[1].u32 & LOOKUP_FOLLOW;
    wasi_errno e = path_fetch(g, v[0].u32, v[2].u32, v[3].u32, 0, &folder, &path);
    if (e)
        return wasi_answer(v, e);
    int fd = open_beneath(folder->host, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
    if (fd < 0)
        return wasi_answer(v, path_errno());
    e = fstat(fd, &st) ? wasi_from_errno(errno) : wasi_put_filestat(g, v[4].u32, &st);
    close(fd);
    return wasi_answer(v, e);
}

WASI(path_filestat_set_times)
{
    WASI_SELF;
    wasi_fd *folder;
    char *path;
    struct timespec times[2];
    bool follow = v[1].u32 & LOOKUP_FOLLOW;
    wasi_errno e = path_fetch(g, v[0].u32, v[2].u32, v[3].u32, 0, &folder, &path);
    if (!e && folder->read_only)
        e = E_ROFS;
    if (!e)
        e = wasi_times(times, v[4].u64, v[5].u64, v[6].u32);
    if (e)
        return wasi_answer(v, e);
    int fd = open_beneath(folder->host, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
    if (fd < 0)
        return wasi_answer(v, path_errno());
    e = utimensat(fd, "", times, AT_EMPTY_PATH) ? wasi_from_errno(errno) : E_OK;
    close(fd);
    return wasi_answer(v, e);
}
