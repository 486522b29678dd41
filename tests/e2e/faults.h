/* What the tests of bad input share (user_, plugin_, venue_, system_faults_test.c): the program as a child
 * process, and one stream whose records are counted. */
#ifndef TESTS_E2E_FAULTS_H
#define TESTS_E2E_FAULTS_H

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"
#include "tests/lib/records.h"

/* ---- The program ---- */

#define CHILD_SKIP 99 /* `before` could not prepare what the test needs */

typedef struct outcome {
    int code; /* the exit code; 128 + the signal that ended it */
    char out[16384], err[16384];
} outcome;

static inline const char *weir_binary(void)
{
    static char path[4200];
    const char *guests = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/../weir", guests ? guests : "build/guests");
    return path;
}

static inline void read_back(int fd, char *at, size_t size)
{
    ssize_t n = pread(fd, at, size - 1, 0);
    at[n > 0 ? n : 0] = '\0';
    close(fd);
}

/* Runs `weir ARGS...`, NULL at the end. `before` (may be NULL) runs in the child just before. */
static inline const outcome *weir_run(const char *const *args, void (*before)(void *arg), void *arg)
{
    static outcome o;
    const char *argv[32] = {weir_binary()};
    int status, out = memfd_create("out", 0), err = memfd_create("err", 0);
    for (int i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    pid_t child = fork();
    if (child == 0) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        if (before)
            before(arg);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        ;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_back(out, o.out, sizeof o.out);
    read_back(err, o.err, sizeof o.err);
    test_keep_records(bytes_of(o.out));
    return &o;
}

#define WEIR(...) weir_run((const char *const[]){__VA_ARGS__, NULL}, NULL, NULL)

/* An error in one line, "weir: ...", with this code and these words. On a slow machine another says before it that the
 * module is being compiled. */
static inline void check_one_line(const outcome *o, int code, const char *words, const char *file, int line)
{
    size_t lines = 0;
    const char *said = o->err, *end = strchr(said, '\n');
    if (end && !strncmp(said, "weir: warn: engine: compiling ", 30))
        said = end + 1;
    for (const char *c = said; *c; c++)
        lines += *c == '\n';
    if (o->code != code || lines != 1 || strncmp(said, "weir: ", 6) || !strstr(said, words))
        test_fail(file, line, "expected one line with '%s' and code %d, got code %d and: %s", words, code, o->code, o->err);
}
#define CHECK_ONE_LINE(o, code, words) check_one_line((o), (code), (words), __FILE__, __LINE__)

/* ---- A stream ---- */

typedef struct watched {
    weir_host *host;
    weir_plugin *plugin;
    weir_sub *sub;
    weir_stream *stream;
    uint64_t data, gaps, last_seq, seq_errors;
    char gap[2000], record[2000], first[2000];
} watched;

static inline void on_watched(void *arg, const weir_record *r)
{
    watched *w = arg;
    if (r->kind == WEIR_RECORD_STATUS || strncmp(r->topic, "raw.streams.", 12))
        return; /* of other streams, delivered all the same */
    char *copy = r->kind == WEIR_RECORD_GAP ? w->gap : w->record;
    snprintf(copy, sizeof w->gap, "%.*s", (int)r->json_len, r->json);
    if (r->kind == WEIR_RECORD_DATA && w->data++ == 0)
        memcpy(w->first, w->record, sizeof w->first);
    w->gaps += r->kind == WEIR_RECORD_GAP;
    w->seq_errors += r->seq != w->last_seq + 1;
    w->last_seq = r->seq;
}

static inline void watch_open(watched *w, weir_host *host)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    o.on_trap = WEIR_ON_TRAP_RESTART; /* no quarantine: what is done to it is not its fault */
    *w = (watched){.host = host};
    CHECK_OK(weir_plugin_load(&w->plugin, host, guest_path("streams.wasm"), &o, &err));
    CHECK_OK(weir_subscribe(&w->sub, host, ">", on_watched, w, &err));
    CHECK_OK(weir_stream_open(&w->stream, w->plugin, "raw", "trade@SPOT_BTC_USDT", NULL, &err));
}

/* Turns the host until the expression holds: a failed test if it takes longer than a minute. */
#define UNTIL(host, expression)                                                                   \
    do {                                                                                          \
        for (uint64_t until_ = clock_mono() + 60 * NS_PER_S; !(expression);) {                    \
            if (clock_mono() > until_)                                                            \
                test_fail(__FILE__, __LINE__, "'%s' has not come true in a minute", #expression); \
            weir_host_step((host), 20);                                                           \
        }                                                                                         \
    } while (0)

/* All that was published is delivered, nothing is dropped, the numbers have no hole, the counters add up. */
static inline void check_account(watched *w)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_account a;
    while (weir_host_step(w->host, 0))
        ;
    weir_host_account(w->host, &a);
    if (!weir_host_account_check(w->host, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(a.dropped, 0);
    CHECK_UINT(a.gaps, w->gaps);
    CHECK_UINT(w->seq_errors, 0);
}

static inline size_t open_descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

#endif
