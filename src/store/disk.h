/* disk.h: a disk that a test can fill, break, or cut the power of: SQLite's own VFS with a few methods in between.
 *
 * disk_begin makes it SQLite's default, so the store needs no knowledge of it. A file keeps its own methods; the table that
 * it points to is a copy with ours in it. For the power, each file that is synced is copied to a second folder at that
 * moment: there lies what a disk has that loses everything it was not told to sync. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef enum disk_mood { DISK_FINE,
                         DISK_FULL,
                         DISK_BROKEN } disk_mood;

#define DISK_FILES 32

typedef struct disk_file {
    sqlite3_file *file; /* atomic; NULL: free */
    const sqlite3_io_methods *theirs;
    sqlite3_io_methods methods;
    char path[PATH_MAX];
} disk_file;

static struct {
    sqlite3_vfs vfs, *real;
    int history, settings; /* disk_mood of each, atomic */
    disk_file open[DISK_FILES];
    const char *from, *synced; /* the folder that is watched, and where its synced files go */
    int lock;
} disk;

static disk_file *disk_find(sqlite3_file *file)
{
    for (int i = 0; i < DISK_FILES; i++)
        if (__atomic_load_n(&disk.open[i].file, __ATOMIC_ACQUIRE) == file)
            return &disk.open[i];
    return NULL;
}

static int disk_refuses(const disk_file *f)
{
    int *mood = strstr(f->path, "history.db") ? &disk.history : &disk.settings;
    switch (__atomic_load_n(mood, __ATOMIC_RELAXED)) {
    case DISK_FULL:
        return SQLITE_FULL;
    case DISK_BROKEN:
        return SQLITE_IOERR_WRITE;
    default:
        return SQLITE_OK;
    }
}

static int disk_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
    disk_file *f = disk_find(file);
    int refused = disk_refuses(f);
    return refused ? refused : f->theirs->xWrite(file, from, len, at);
}

static inline void disk_copy(const char *from, const char *to)
{
    char piece[65536];
    ssize_t got;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while (in >= 0 && out >= 0 && (got = read(in, piece, sizeof piece)) > 0)
        if (write(out, piece, (size_t)got) != got)
            break;
    close(in); /* of a file of SQLite's this drops its locks: nobody else wants them here */
    close(out);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    disk_file *f = disk_find(file);
    int done = f->theirs->xSync(file, flags);

    if (!done && disk.synced && strncmp(f->path, disk.from, strlen(disk.from)) == 0) {
        char to[PATH_MAX];
        snprintf(to, sizeof to, "%s/%s", disk.synced, strrchr(f->path, '/') + 1);
        disk_copy(f->path, to);
    }
    return done;
}

static int disk_close(sqlite3_file *file)
{
    disk_file *f = disk_find(file);
    int done = f->theirs->xClose(file);
    __atomic_store_n(&f->file, NULL, __ATOMIC_RELEASE);
    return done;
}

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    int done = disk.real->xOpen(disk.real, path, file, flags, out);
    if (done || !path || !file->pMethods)
        return done;
    while (__atomic_exchange_n(&disk.lock, 1, __ATOMIC_ACQUIRE))
        usleep(10);
    disk_file *f = disk_find(NULL);
    if (f) {
        snprintf(f->path, sizeof f->path, "%s", path);
        f->theirs = file->pMethods;
        f->methods = *f->theirs;
        f->methods.xWrite = disk_write;
        f->methods.xSync = disk_sync;
        f->methods.xClose = disk_close;
        file->pMethods = &f->methods;
        __atomic_store_n(&f->file, file, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&disk.lock, 0, __ATOMIC_RELEASE);
    return done;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    int done = disk.real->xDelete(disk.real, path, sync);
    if (!done && disk.synced && strncmp(path, disk.from, strlen(disk.from)) == 0) {
        char to[PATH_MAX];
        snprintf(to, sizeof to, "%s/%s", disk.synced, strrchr(path, '/') + 1);
        unlink(to);
    }
    return done;
}

static inline void disk_begin(void)
{
    disk.history = disk.settings = DISK_FINE;
    disk.synced = NULL;
    if (!disk.real) {
        disk.real = sqlite3_vfs_find(NULL);
        disk.vfs = *disk.real;
        disk.vfs.zName = "weir-test";
        disk.vfs.xOpen = disk_open;
        disk.vfs.xDelete = disk_delete;
    }
    sqlite3_vfs_register(&disk.vfs, 1);
}

static inline void disk_end(void)
{
    disk.history = disk.settings = DISK_FINE;
    disk.synced = NULL;
    sqlite3_vfs_unregister(&disk.vfs);
}

static inline void disk_set(int *which, disk_mood mood)
{
    __atomic_store_n(which, (int)mood, __ATOMIC_RELAXED);
}

#endif
