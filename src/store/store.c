/* The store as a whole: its folder and lock, its lanes, what is answered, its state and figures. */
#include "store/inside.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#define HISTORY_OCTETS (UINT64_C(1) << 30)
#define HISTORY_MS (7 * UINT64_C(86400) * 1000)
#define FLUSH_MS 200
#define WAITING_OCTETS (UINT64_C(64) << 20)

char *store_path(const store *s, const char *name)
{
    size_t len = strlen(s->dir) + strlen(name) + 2;
    char *path = malloc(len);
    if (path)
        snprintf(path, len, "%s/%s", s->dir, name);
    return path;
}

/* ---- Requests: to a lane and back ---- */

void store_post(store *s, lane *l, request *r)
{
    s->outstanding++;
    lane_post(l, r);
}

static void take_done(store *s, lane *l)
{
    request *r = lane_take(l);
    while (r) {
        request *next = r->next;
        s->outstanding--;
        r->done(s, r);
        r = next;
    }
}

static void on_bell(void *arg, int events, int error)
{
    store *s = arg;
    eventfd_t rings;
    (void)events;
    (void)error;
    eventfd_read(s->bell, &rings);
    take_done(s, &s->settings_lane);
    take_done(s, &s->writer_lane);
    take_done(s, &s->reader_lane);
}

static void answer_refusal(const refusal *r)
{
    store_history_page page = {.code = r->error.code, .error = r->error.text};
    if (r->page)
        r->page(r->arg, &page);
    else if (r->audit)
        r->audit(r->arg, r->error.code, (bytes){NULL, 0}, r->error.text);
    else
        r->done(r->arg, r->error.code, r->error.text);
}

static void on_refuse(void *arg)
{
    store *s = arg;
    size_t count = s->refusals_count;
    for (size_t i = 0; i < count; i++) {
        refusal r = s->refusals[0]; /* answering may bring more */
        s->refusals_count--;
        memmove(s->refusals, s->refusals + 1, s->refusals_count * sizeof r);
        answer_refusal(&r);
    }
    if (s->refusals_count)
        defer(s->l, &s->refuse);
}

void store_refuse(store *s, const refusal *r)
{
    if (s->refusals_count == REFUSALS) {
        answer_refusal(r);
        return;
    }
    s->refusals[s->refusals_count++] = *r;
    defer(s->l, &s->refuse);
}

/* ---- State ---- */

const char *store_state_name(store_state state)
{
    static const char *const names[] = {"ok", "read_only", "full", "failed"};
    return names[state];
}

store_state store_get_state(const store *s, const char **why)
{
    store_state settings = db_state(s->settings_trouble), history = db_state(s->history_trouble);
    bool of_history = history > settings;
    store_state state = of_history ? history : settings;
    if (why)
        *why = state == STORE_OK ? "" : of_history ? s->history_why.text
                                                   : s->settings_why.text;
    return state;
}

void store_note(store *s, bool history, db_trouble trouble, const weir_error *why)
{
    db_trouble *now = history ? &s->history_trouble : &s->settings_trouble;
    db_trouble before = *now;
    const char *what = history ? "history" : "settings";

    *now = trouble;
    if (trouble) {
        weir_error *kept = history ? &s->history_why : &s->settings_why;
        if (why && why->text[0])
            *kept = *why;
        else if (trouble != before)
            error_set(kept, WEIR_SYSTEM, "'%s': %s", history ? s->history.path : s->settings.path, trouble == DB_READ_ONLY ? "may not be written" : "cannot be written");
        if (trouble != before)
            log_error("store", "%s: %s", what, kept->text);
        if (!history)
            timer_after(&s->probe, RETRY_NS);
    } else if (before) {
        log_warn("store", "%s: is written again", what);
    }
}

static void on_probe(void *arg)
{
    settings_probe(arg);
}

store_figures store_read_figures(const store *s)
{
    const history *h = &s->history;
    store_figures f = {.octets = s->settings_octets + s->modules_octets + h->octets, .history_octets = h->octets, .added = h->added, .written = h->written, .lost = h->lost, .waiting = h->waiting, .gaps = h->gaps, .audit_lost = s->audit.lost, .commits = h->commits, .commit_max_us = h->commit_max_us};
    for (size_t i = 0; i < h->trails_count; i++)
        f.history_records += h->trails[i]->records;
    return f;
}

/* ---- Flushing ---- */

struct flush {
    request base; /* through the settings' lane, behind all that was given to it */
    flush *next;
    store_done fn;
    void *arg;
    uint64_t need_n, need_audit; /* all below these */
    bool settings_done;
};

static bool history_has(const store *s, const flush *f)
{
    const history *h = &s->history;
    const audit *a = &s->audit;
    uint64_t from_n = h->given.first ? h->given.first->first_n : h->lost_first ? h->lost_n
                                                             : h->queue.first  ? h->queue.first->first_n
                                                                               : h->next_n;
    uint64_t from_audit = a->given.len ? a->given_id : a->open.len ? a->open_id
                                                                   : a->next_id;
    return from_n >= f->need_n && from_audit >= f->need_audit;
}

void store_flushes_check(store *s, const weir_error *error)
{
    flush *done = NULL, **end = &done;
    for (flush **at = &s->flushes; *at;) {
        flush *f = *at;
        if (!f->settings_done || (!history_has(s, f) && !error)) {
            at = &f->next;
            continue;
        }
        if (!history_has(s, f))
            f->base.error = *error;
        *at = f->next;
        f->next = NULL;
        *end = f;
        end = &f->next;
    }
    for (s->flushes_end = &s->flushes; *s->flushes_end;)
        s->flushes_end = &(*s->flushes_end)->next;
    while (done) {
        flush *f = done;
        done = f->next;
        f->fn(f->arg, f->base.error.code, f->base.error.code ? f->base.error.text : NULL);
        free(f);
    }
}

static void sync_run(store *s, request *r)
{
    (void)s;
    (void)r;
}

static void sync_done(store *s, request *r)
{
    flush *f = (flush *)r;
    f->settings_done = true;
    history_give(s, true);
    store_flushes_check(s, NULL);
}

void store_flush(store *s, store_done fn, void *arg)
{
    flush *f = calloc(1, sizeof *f);
    if (!f) {
        refusal no = {.done = fn, .arg = arg};
        error_set(&no.error, WEIR_NOMEM, "store: out of memory");
        store_refuse(s, &no);
        return;
    }
    *f = (flush){.base = {.run = sync_run, .done = sync_done}, .fn = fn, .arg = arg, .need_n = s->history.next_n, .need_audit = s->audit.next_id};
    *s->flushes_end = f;
    s->flushes_end = &f->next;
    store_post(s, &s->settings_lane, &f->base);
    history_give(s, true);
}

/* ---- Opening and closing ---- */

/* Whoever holds the lock wrote its pid there. */
static weir_code locked_by_another(int fd, const char *path, weir_error *err)
{
    char pid[32] = "";
    ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
    pid[got > 0 ? got : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, WEIR_BUSY, "'%s': is held by process %s; a store is one process's: end that one, or give this one another folder", path, pid[0] ? pid : "?");
}

static weir_code take_lock(store *s, weir_error *err)
{
    char *path = store_path(s, "lock");
    char pid[32];

    if (!path)
        return error_set(err, WEIR_NOMEM, "out of memory");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0 && (errno == EROFS || errno == EACCES))
        s->lock = open(path, O_RDONLY | O_CLOEXEC); /* a read-only folder is locked all the same */
    weir_code code = WEIR_OK;
    if (s->lock < 0)
        code = error_set(err, WEIR_SYSTEM, "'%s': %s; the folder must be writable for this user", path, strerror(errno));
    else if (flock(s->lock, LOCK_EX | LOCK_NB))
        code = errno == EWOULDBLOCK ? locked_by_another(s->lock, path, err) : error_set(err, WEIR_SYSTEM, "'%s': cannot be locked: %s", path, strerror(errno));
    if (!code) {
        int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(s->lock, 0) || pwrite(s->lock, pid, (size_t)len, 0) != len)
            log_warn("store", "'%s': the process's number could not be written there: %s", path, strerror(errno));
    }
    free(path);
    return code;
}

/* The writer's thread reads them with its next batch. */
void store_retain(store *s, uint64_t history_octets, uint64_t history_ms)
{
    if (history_octets)
        __atomic_store_n(&s->options.history_octets, history_octets, __ATOMIC_RELAXED);
    if (history_ms)
        __atomic_store_n(&s->options.history_ms, history_ms, __ATOMIC_RELAXED);
}

static weir_code set_up(store *s, const store_options *options, weir_error *err)
{
    if (options->key.len != STORE_KEY)
        return error_set(err, WEIR_INVALID, "the key for secrets has %zu octets, not %d", options->key.len, STORE_KEY);
    if (sodium_init() < 0)
        return error_set(err, WEIR_SYSTEM, "libsodium cannot be used");
    s->options = *options;
    s->options.dir = NULL;
    s->options.key = (bytes){NULL, 0};
    if (!s->options.history_octets)
        s->options.history_octets = HISTORY_OCTETS;
    if (!s->options.history_ms)
        s->options.history_ms = HISTORY_MS;
    if (!s->options.history_flush_ms)
        s->options.history_flush_ms = FLUSH_MS;
    if (!s->options.waiting_octets)
        s->options.waiting_octets = WAITING_OCTETS;
    s->key = malloc(STORE_KEY);
    s->dir = strdup(options->dir);
    if (!s->key || !s->dir)
        return error_set(err, WEIR_NOMEM, "out of memory");
    memcpy(s->key, options->key.at, STORE_KEY);
    sodium_mlock(s->key, STORE_KEY); /* not into swap, where that is allowed */
    if (strlen(s->dir) > PATH_MAX - 128)
        return error_set(err, WEIR_INVALID, "the path is too long");
    return file_make_folder(s->dir, err);
}

static weir_code start(store *s, weir_error *err)
{
    s->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->bell < 0)
        return error_set(err, WEIR_SYSTEM, "no descriptor: %s", strerror(errno));
    if (io_open(&s->io, s->l, s->bell, on_bell, s, err) || io_want(s->io, IO_READ) ||
        lane_start(&s->settings_lane, s, settings_run, s->bell, err) || lane_start(&s->writer_lane, s, writer_run, s->bell, err) ||
        lane_start(&s->reader_lane, s, reader_run, s->bell, err))
        return err->code ? err->code : error_set(err, WEIR_SYSTEM, "the loop cannot watch its descriptor");
    return WEIR_OK;
}

weir_code store_open(store **out, loop *l, const store_options *options, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    store *s = calloc(1, sizeof *s);

    if (!err)
        err = &own;
    if (!s)
        return error_set(err, WEIR_NOMEM, "store '%s': out of memory", options->dir);
    s->l = l;
    s->lock = s->bell = -1;
    s->flushes_end = &s->flushes;
    s->refuse = (deferred){.fn = on_refuse, .arg = s};
    timer_init(&s->probe, l, on_probe, s);
    audit_init(s);
    weir_code code = set_up(s, options, err);
    if (code || (code = take_lock(s, err)) || (code = settings_open(s, err)) || (code = modules_open(s, err)) || (code = history_open(s, err)) ||
        (code = start(s, err))) {
        weir_error why = *err;
        s->history.closing = true; /* nothing to write */
        store_close(s);
        *err = why;
        return error_wrap(err, "store '%s'", options->dir);
    }
    *out = s;
    return WEIR_OK;
}

/* All that is asked is answered, and what can be written is: the loop's part, without the loop. */
static void finish(store *s)
{
    struct pollfd bell = {.fd = s->bell, .events = POLLIN};

    s->history.closing = true;
    __atomic_store_n(&s->stopping, 1, __ATOMIC_RELAXED);
    history_give(s, true);
    while (s->outstanding || s->refusals_count) {
        if (s->outstanding && poll(&bell, 1, -1) > 0)
            on_bell(s, IO_READ, 0);
        if (s->refusals_count)
            on_refuse(s);
    }
}

void store_close(store *s)
{
    if (!s)
        return;
    timer_stop(&s->probe);
    if (s->reader_lane.started) /* the last one: all have */
        finish(s);
    lane_stop(&s->settings_lane);
    lane_stop(&s->writer_lane);
    lane_stop(&s->reader_lane);
    defer_cancel(&s->refuse);
    timer_stop(&s->probe);
    io_close(s->io);
    if (s->bell >= 0)
        close(s->bell);
    settings_close(s);
    reader_close(s);
    history_close(s);
    if (s->lock >= 0)
        close(s->lock); /* and with it the lock */
    if (s->key)
        sodium_munlock(s->key, STORE_KEY); /* wipes it */
    free(s->key);
    free(s->dir);
    free(s);
}
