/* WASI: what a guest has from the start, and the calls that touch neither file nor clock.
 *
 * The happy path of most guests is short: sizes of arguments and environment, a few descriptors
 * asked for, chance, the time, and from then on lines on stdout and stderr. */
#include "extism/wasi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "extism/guest_internal.h"

#define RANDOM_CHUNK (256 * 1024) /* between two of them others may run */

/* ---- Life ---- */

static bool texts_init(wasi_texts *t, const char *const *list)
{
    buf_init(&t->text, 16 * 1024 * 1024);
    for (; list && *list; list++, t->count++)
        buf_add(&t->text, *list, strlen(*list) + 1);
    return !t->text.failed;
}

static weir_code preopen(wasi *w, const manifest_path *p, weir_error *err)
{
    int fd = open(p->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t number;
    if (fd < 0)
        return error_set(err, errno == EACCES ? WEIR_REFUSED : WEIR_NOT_FOUND, "allowed path '%s': %s; it must be a folder that can be read",
                         p->host, strerror(errno));
    wasi_fd entry = {.kind = FD_FOLDER, .host = fd, .read_only = p->read_only, .rights = RIGHTS_ALL, .inheriting = RIGHTS_ALL, .preopen = p->guest};
    if (wasi_fd_add(w, entry, &number))
        return error_set(err, WEIR_LIMIT, "allowed path '%s': out of memory or of the %d descriptors of a guest", p->host, WASI_MAX_FDS);
    return WEIR_OK;
}

weir_code wasi_new(wasi **out, guest *g, const char *const *args, const char *const *env, weir_error *err)
{
    static const wasi_kind stdio[] = {FD_STDIN, FD_STDOUT, FD_STDERR};
    wasi *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, WEIR_NOMEM, "out of memory");
    *out = w;
    w->g = g;
    bool ok = texts_init(&w->args, args);
    ok = texts_init(&w->env, env) && ok;
    for (size_t i = 0; ok && i < sizeof stdio / sizeof *stdio; i++) {
        uint32_t fd;
        ok = wasi_fd_add(w, (wasi_fd){.kind = stdio[i], .host = -1, .rights = RIGHTS_STDIO}, &fd) == E_OK;
    }
    if (!ok)
        return error_set(err, WEIR_NOMEM, "arguments and environment: out of memory");
    for (size_t i = 0; i < g->manifest->allowed_path_count; i++)
        if (preopen(w, &g->manifest->allowed_paths[i], err))
            return err ? err->code : WEIR_NOT_FOUND;
    return WEIR_OK;
}

void wasi_free(wasi *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->fd_count; i++)
        wasi_fd_drop(&w->fds[i]);
    free(w->fds);
    free(w->out.text);
    free(w->err.text);
    free(w->paths);
    free(w->words);
    buf_fini(&w->args.text);
    buf_fini(&w->env.text);
    free(w);
}

/* ---- The guest's memory ---- */

/* A module's start section runs before the instance is known: there, nothing can be reached. */
void *wasi_at(guest *g, uint32_t at, uint64_t len)
{
    return g->inst ? instance_at(g->inst, at, len) : NULL;
}

wasi_errno wasi_put(guest *g, uint32_t at, const void *octets, size_t len)
{
    if (len == 0)
        return E_OK;
    void *to = wasi_at(g, at, len);
    if (!to)
        return E_FAULT;
    memcpy(to, octets, len);
    return E_OK;
}

wasi_errno wasi_put_u32(guest *g, uint32_t at, uint32_t n)
{
    return wasi_put(g, at, &n, sizeof n);
}

wasi_errno wasi_put_u64(guest *g, uint32_t at, uint64_t n)
{
    return wasi_put(g, at, &n, sizeof n);
}

/* ---- Descriptors ---- */

wasi_fd *wasi_find(wasi *w, uint32_t fd)
{
    return fd < w->fd_count && w->fds[fd].kind != FD_NONE ? &w->fds[fd] : NULL;
}

wasi_errno wasi_fd_add(wasi *w, wasi_fd entry, uint32_t *fd)
{
    uint32_t i = 0;
    while (i < w->fd_count && w->fds[i].kind != FD_NONE)
        i++;
    if (i == w->fd_count) {
        uint32_t more = w->fd_count ? w->fd_count * 2 : WASI_FIRST_FDS;
        wasi_fd *grown = more <= WASI_MAX_FDS ? realloc(w->fds, more * sizeof *grown) : NULL;
        if (!grown) {
            wasi_fd_drop(&entry);
            return more > WASI_MAX_FDS ? E_MFILE : E_NOMEM;
        }
        memset(grown + w->fd_count, 0, (more - w->fd_count) * sizeof *grown);
        w->fds = grown;
        w->fd_count = more;
    }
    w->fds[i] = entry;
    *fd = i;
    return E_OK;
}

void wasi_fd_drop(wasi_fd *entry)
{
    if (entry->kind != FD_NONE && entry->host >= 0)
        close(entry->host);
    *entry = (wasi_fd){.kind = FD_NONE, .host = -1};
}

wasi_errno wasi_from_errno(int host_errno)
{
    static const struct {
        int host;
        wasi_errno wasi;
    } table[] = {
        {E2BIG, E_2BIG},
        {EACCES, E_ACCES},
        {EAGAIN, E_AGAIN},
        {EBADF, E_BADF},
        {EBUSY, E_BUSY},
        {EDQUOT, E_DQUOT},
        {EEXIST, E_EXIST},
        {EFBIG, E_FBIG},
        {EINTR, E_INTR},
        {EINVAL, E_INVAL},
        {EISDIR, E_ISDIR},
        {ELOOP, E_LOOP},
        {EMFILE, E_NFILE},
        {EMLINK, E_MLINK},
        {ENAMETOOLONG, E_NAMETOOLONG},
        {ENFILE, E_NFILE},
        {ENOENT, E_NOENT},
        {ENOMEM, E_NOMEM},
        {ENOSPC, E_NOSPC},
        {ENOSYS, E_NOSYS},
        {ENOTDIR, E_NOTDIR},
        {ENOTEMPTY, E_NOTEMPTY},
        {EOPNOTSUPP, E_NOTSUP},
        {EOVERFLOW, E_OVERFLOW},
        {EPERM, E_PERM},
        {EROFS, E_ROFS},
        {ESPIPE, E_SPIPE},
        {ETXTBSY, E_TXTBSY},
        {EXDEV, E_XDEV},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].host == host_errno)
            return table[i].wasi;
    return host_errno ? E_IO : E_OK;
}

/* ---- Output by lines ---- */

static void line_log(wasi *w, wasi_kind kind, wasi_lines *lines)
{
    char more[64];
    log_level level = kind == FD_STDERR ? LOG_WARN : LOG_INFO;
    size_t len = lines->len;
    if (lines->cut == 0 && len && lines->text[len - 1] == '\r')
        len--;
    if (lines->cut) {
        int n = snprintf(more, sizeof more, " ... (%llu octets more)", (unsigned long long)lines->cut);
        memcpy(lines->text + len, more, (size_t)n); /* the buffer has room for it */
        len += (size_t)n;
    }
    if (w->g->ops->log && !w->g->ops->print && level >= w->g->log_level)
        w->g->ops->log(w->g, level, kind == FD_STDERR ? "stderr" : "stdout", bytes_make(lines->text, len));
    lines->len = 0;
    lines->cut = 0;
}

/* A panic says what happened first and then where, in many lines: keep the first. */
static void words_note(wasi *w, bytes line)
{
    static const char *const finals[] = {"panic:", "fatal error:", "thread '", "Assertion failed", "assertion failed", "abort"};
    bool final = false;
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++)
        final |= bytes_starts(line, bytes_of(finals[i]));
    if (line.len == 0 || w->words_final || (!w->words && !(w->words = malloc(WASI_WORDS))))
        return;
    w->words_len = line.len < WASI_WORDS ? line.len : WASI_WORDS;
    memcpy(w->words, line.at, w->words_len);
    w->words_final = final;
}

static void line_end(wasi *w, wasi_kind kind, wasi_lines *lines)
{
    if (kind == FD_STDERR)
        words_note(w, bytes_make(lines->text, lines->len));
    line_log(w, kind, lines);
}

void wasi_lines_add(wasi *w, wasi_kind kind, bytes text)
{
    wasi_lines *lines = kind == FD_STDERR ? &w->err : &w->out;
    if (w->g->ops->print)
        w->g->ops->print(w->g, kind == FD_STDERR, text);
    if (!lines->text)
        lines->text = malloc(WASI_LINE + 64);
    if (!lines->text)
        return; /* no memory for a log line: the guest goes on */
    while (text.len) {
        const char *end = memchr(text.at, '\n', text.len);
        size_t piece = end ? (size_t)(end - text.at) : text.len;
        size_t fits = piece < WASI_LINE - lines->len ? piece : WASI_LINE - lines->len;
        memcpy(lines->text + lines->len, text.at, fits);
        lines->len += fits;
        lines->cut += piece - fits;
        if (end) {
            line_end(w, kind, lines);
            piece++;
        }
        text.at += piece;
        text.len -= piece;
    }
}

void wasi_call_begin(wasi *w)
{
    w->words_len = 0;
    w->words_final = false;
}

void wasi_call_over(wasi *w)
{
    if (w->out.len)
        line_end(w, FD_STDOUT, &w->out);
    if (w->err.len)
        line_end(w, FD_STDERR, &w->err);
}

bytes wasi_last_words(const wasi *w)
{
    return bytes_make(w->words, w->words_len);
}

/* ---- Arguments and environment ---- */

static wasi_errno texts_sizes(guest *g, const wasi_texts *t, uint32_t count_at, uint32_t size_at)
{
    wasi_errno e = wasi_put_u32(g, count_at, t->count);
    return e ? e : wasi_put_u32(g, size_at, (uint32_t)t->text.len);
}

static wasi_errno texts_get(guest *g, const wasi_texts *t, uint32_t list_at, uint32_t text_at)
{
    const char *at = t->text.at;
    if (!wasi_at(g, list_at, (uint64_t)t->count * 4))
        return E_FAULT;
    wasi_errno e = wasi_put(g, text_at, at, t->text.len);
    for (uint32_t i = 0; !e && i < t->count; i++) {
        e = wasi_put_u32(g, list_at + i * 4, text_at + (uint32_t)(at - t->text.at));
        at += strlen(at) + 1;
    }
    return e;
}

WASI(args_sizes_get)
{
    WASI_SELF;
    return wasi_answer(v, texts_sizes(g, &w->args, v[0].u32, v[1].u32));
}

WASI(args_get)
{
    WASI_SELF;
    return wasi_answer(v, texts_get(g, &w->args, v[0].u32, v[1].u32));
}

WASI(environ_sizes_get)
{
    WASI_SELF;
    return wasi_answer(v, texts_sizes(g, &w->env, v[0].u32, v[1].u32));
}

WASI(environ_get)
{
    WASI_SELF;
    return wasi_answer(v, texts_get(g, &w->env, v[0].u32, v[1].u32));
}

/* ---- Chance, process, sockets ---- */

WASI(random_get)
{
    WASI_SELF;
    uint32_t at = v[0].u32, len = v[1].u32;
    char *to = wasi_at(g, at, len);
    if (!to)
        return wasi_answer(v, E_FAULT);
    for (uint32_t done = 0; done < len;) {
        uint32_t piece = len - done < RANDOM_CHUNK ? len - done : RANDOM_CHUNK;
        rand_bytes(to + done, piece);
        done += piece;
        if (done < len && g->ops->wait && g->ops->wait(g, clock_mono()) == WAIT_CANCELLED)
            return g->cancelled;
    }
    return wasi_answer(v, E_OK);
}

WASI(sched_yield)
{
    WASI_SELF;
    return wasi_answer(v, E_OK); /* the engine divides the time already */
}

WASI(proc_exit)
{
    WASI_SELF;
    return trap_exit(v[0].i32);
}

WASI(proc_raise)
{
    WASI_SELF;
    return wasi_answer(v, E_NOSYS);
}

static trap *no_socket(wasi *w, value *v)
{
    return wasi_answer(v, wasi_find(w, v[0].u32) ? E_NOTSOCK : E_BADF);
}

WASI(sock_accept)
{
    WASI_SELF;
    return no_socket(w, v);
}

WASI(sock_recv)
{
    WASI_SELF;
    return no_socket(w, v);
}

WASI(sock_send)
{
    WASI_SELF;
    return no_socket(w, v);
}

WASI(sock_shutdown)
{
    WASI_SELF;
    return no_socket(w, v);
}

#define X(name, type) {#name, type, wasi_##name, NULL},
const import_entry wasi_table[] = {WASI_FUNCTIONS(X)};
#undef X
const size_t wasi_count = sizeof wasi_table / sizeof *wasi_table;
