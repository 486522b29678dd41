/* wasi.h: WASI preview 1 for one guest: descriptors, arguments, environment, its output by lines.
 *
 * All 46 names are offered. Real are stdio (output goes to the guest's log, input is at its end),
 * clocks, chance, arguments, environment, the folders of the manifest's allowed_paths and waiting;
 * sockets and signals answer that there are none. A guest waits in poll_oneoff only, where it parks.
 *
 * A folder is a descriptor, and a path never leaves the folder it is relative to: the kernel
 * resolves it (openat2 with RESOLVE_BENEATH), so neither "..", nor an absolute path, nor a symbolic
 * link, nor a race with another process leads out. Read-only folders stay so below. */
#ifndef EXTISM_WASI_H
#define EXTISM_WASI_H

#include <sys/stat.h>
#include <time.h>

#include "extism/guest.h"

#define WASI_MAX_FDS 256
#define WASI_FIRST_FDS 4
#define WASI_WORDS 256
#define WASI_PATH_SIZE 4096         /* the NUL included */
#define WASI_LINE 4096              /* of stdout and stderr; the rest of a longer one is counted */
#define WASI_IO_CHUNK (1024 * 1024) /* octets moved by one call at most; a short count is legal */
#define WASI_OUT_CHUNK (64 * 1024)  /* the same for stdout and stderr */
#define WASI_MAX_IOVECS 1024
#define WASI_MAX_POLL 1024

typedef enum wasi_errno {
    E_OK = 0,
    E_2BIG = 1,
    E_ACCES = 2,
    E_AGAIN = 6,
    E_BADF = 8,
    E_BUSY = 10,
    E_DQUOT = 19,
    E_EXIST = 20,
    E_FAULT = 21,
    E_FBIG = 22,
    E_ILSEQ = 25,
    E_INTR = 27,
    E_INVAL = 28,
    E_IO = 29,
    E_ISDIR = 31,
    E_LOOP = 32,
    E_MFILE = 33,
    E_MLINK = 34,
    E_NAMETOOLONG = 37,
    E_NFILE = 41,
    E_NOENT = 44,
    E_NOMEM = 48,
    E_NOSPC = 51,
    E_NOSYS = 52,
    E_NOTDIR = 54,
    E_NOTEMPTY = 55,
    E_NOTSOCK = 57,
    E_NOTSUP = 58,
    E_OVERFLOW = 61,
    E_PERM = 63,
    E_ROFS = 69,
    E_SPIPE = 70,
    E_TXTBSY = 74,
    E_XDEV = 75,
    E_NOTCAPABLE = 76,
} wasi_errno;

#define RIGHT_FD_READ (UINT64_C(1) << 1)
#define RIGHT_FD_WRITE (UINT64_C(1) << 6)
#define RIGHTS_ALL ((UINT64_C(1) << 30) - 1)
#define RIGHTS_STDIO (RIGHT_FD_READ | RIGHT_FD_WRITE | UINT64_C(1) << 3 | UINT64_C(1) << 21 | UINT64_C(1) << 27)

typedef enum wasi_kind { FD_NONE,
                         FD_STDIN,
                         FD_STDOUT,
                         FD_STDERR,
                         FD_FILE,
                         FD_FOLDER } wasi_kind;

typedef struct wasi_fd {
    wasi_kind kind;
    int host; /* the descriptor behind it; -1 for stdio */
    uint16_t flags;
    bool read_only;
    uint64_t rights, inheriting;
    const char *preopen; /* the guest's name of a folder it was given; NULL otherwise */
} wasi_fd;

/* One output of the guest, joined to lines. */
typedef struct wasi_lines {
    char *text; /* made at the first output */
    size_t len;
    uint64_t cut; /* octets of the line that did not fit */
} wasi_lines;

/* "NAME=value" or arguments: texts with their NULs, one after the other. */
typedef struct wasi_texts {
    buf text;
    uint32_t count;
} wasi_texts;

struct wasi {
    guest *g;
    wasi_texts args, env;
    wasi_fd *fds;
    uint32_t fd_count; /* size of the table */
    wasi_lines out, err;
    char *words; /* the line of stderr that best explains an end; made at the first */
    size_t words_len;
    bool words_final; /* a panic's own line: later ones do not replace it */
    char *paths;      /* two of WASI_PATH_SIZE, made at the first use */
};

/* Opens what manifest->allowed_paths names. WEIR_NOT_FOUND: one is no folder. */
weir_code wasi_new(wasi **out, guest *g, const char *const *args, const char *const *env, weir_error *err);
void wasi_free(wasi *w); /* NULL is fine */

void wasi_call_begin(wasi *w);
void wasi_call_over(wasi *w);         /* what is left of a line goes to the log */
bytes wasi_last_words(const wasi *w); /* of stderr since wasi_call_begin; len 0: none */

/* ---- Between the files of WASI ---- */

wasi_errno wasi_from_errno(int host_errno);
/* `len` octets of the guest's memory, or NULL. */
void *wasi_at(guest *g, uint32_t at, uint64_t len);
wasi_errno wasi_put(guest *g, uint32_t at, const void *octets, size_t len);
wasi_errno wasi_put_u32(guest *g, uint32_t at, uint32_t n);
wasi_errno wasi_put_u64(guest *g, uint32_t at, uint64_t n);

wasi_fd *wasi_find(wasi *w, uint32_t fd); /* NULL: no such descriptor */
/* Takes `host` over; on failure it is closed. */
wasi_errno wasi_fd_add(wasi *w, wasi_fd entry, uint32_t *fd);
void wasi_fd_drop(wasi_fd *entry);

void wasi_lines_add(wasi *w, wasi_kind kind, bytes text);

wasi_errno wasi_put_filestat(guest *g, uint32_t at, const struct stat *st);
/* fst_flags of the set_times calls. */
wasi_errno wasi_times(struct timespec out[2], uint64_t atim, uint64_t mtim, uint32_t flags);

/* A path of the guest, as text that the host can use: not empty, no NUL, UTF-8, relative, short
 * enough. `out` has WASI_PATH_SIZE octets. */
wasi_errno wasi_path_text(bytes raw, char *out);

/* Splits such a text at its last slash, in place. The name is never "", "." or "..". */
typedef struct wasi_split {
    const char *parent; /* "." if there is none */
    const char *name;
    bool folder; /* a slash followed the name */
} wasi_split;
wasi_errno wasi_path_split(char *path, wasi_split *out);

/* Each is declared for the table in wasi.c. */
#define WASI_FUNCTIONS(X)                    \
    X(args_get, "i(ii)")                     \
    X(args_sizes_get, "i(ii)")               \
    X(environ_get, "i(ii)")                  \
    X(environ_sizes_get, "i(ii)")            \
    X(clock_res_get, "i(ii)")                \
    X(clock_time_get, "i(iIi)")              \
    X(fd_advise, "i(iIIi)")                  \
    X(fd_allocate, "i(iII)")                 \
    X(fd_close, "i(i)")                      \
    X(fd_datasync, "i(i)")                   \
    X(fd_fdstat_get, "i(ii)")                \
    X(fd_fdstat_set_flags, "i(ii)")          \
    X(fd_fdstat_set_rights, "i(iII)")        \
    X(fd_filestat_get, "i(ii)")              \
    X(fd_filestat_set_size, "i(iI)")         \
    X(fd_filestat_set_times, "i(iIIi)")      \
    X(fd_pread, "i(iiiIi)")                  \
    X(fd_prestat_get, "i(ii)")               \
    X(fd_prestat_dir_name, "i(iii)")         \
    X(fd_pwrite, "i(iiiIi)")                 \
    X(fd_read, "i(iiii)")                    \
    X(fd_readdir, "i(iiiIi)")                \
    X(fd_renumber, "i(ii)")                  \
    X(fd_seek, "i(iIii)")                    \
    X(fd_sync, "i(i)")                       \
    X(fd_tell, "i(ii)")                      \
    X(fd_write, "i(iiii)")                   \
    X(path_create_directory, "i(iii)")       \
    X(path_filestat_get, "i(iiiii)")         \
    X(path_filestat_set_times, "i(iiiiIIi)") \
    X(path_link, "i(iiiiiii)")               \
    X(path_open, "i(iiiiiIIii)")             \
    X(path_readlink, "i(iiiiii)")            \
    X(path_remove_directory, "i(iii)")       \
    X(path_rename, "i(iiiiii)")              \
    X(path_symlink, "i(iiiii)")              \
    X(path_unlink_file, "i(iii)")            \
    X(poll_oneoff, "i(iiii)")                \
    X(proc_exit, "(i)")                      \
    X(proc_raise, "i(i)")                    \
    X(sched_yield, "i()")                    \
    X(random_get, "i(ii)")                   \
    X(sock_accept, "i(iii)")                 \
    X(sock_recv, "i(iiiiii)")                \
    X(sock_send, "i(iiiii)")                 \
    X(sock_shutdown, "i(ii)")

#define X(name, type) trap *wasi_##name(void *env, void *self, value *v);
WASI_FUNCTIONS(X)
#undef X

/* The head of a WASI function: `g` and `w` from the arguments. */
#define WASI(name) \
    trap *wasi_##name(void *env, void *self, value *v)
#define WASI_SELF      \
    guest *g = self;   \
    wasi *w = g->wasi; \
    (void)env, (void)g, (void)w

/* Its end: the errno is the result. */
static inline trap *wasi_answer(value *v, wasi_errno e)
{
    v[0].i32 = (int32_t)e;
    return NULL;
}

#endif
