/* bench.h: what the benchmarks share: the simulated venue as a process of its own, CPU time, resident
 * memory. Whatever goes wrong ends the program with a line on stderr. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 1, 2), noreturn)) static inline void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static inline double clock_s(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What this process has used of the CPU, all threads. */
static inline double cpu_s(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

static inline double wall_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

/* Octets resident now, a line of /proc/self/smaps_rollup: "Rss" counts what the process maps, "Pss" a
 * page that is mapped many times only once. */
static inline double resident(const char *line)
{
    char text[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(text, sizeof text, f))
        if (strncmp(text, line, strlen(line)) == 0 && text[strlen(line)] == ':')
            kib = strtod(text + strlen(line) + 1, NULL);
    if (!f || kib <= 0)
        give_up("/proc/self/smaps_rollup says nothing about %s", line);
    fclose(f);
    return kib * 1024;
}

static inline void many_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* ---- The venue ---- */

typedef struct sim_process {
    pid_t child;
    char http[64], ws[64], ca[128]; /* `ca` is empty without TLS */
    char overrides[3][128];
    const char *override_list[4]; /* for weir_host_options */
    FILE *says;                   /* its last words would break a closed pipe */
} sim_process;

static inline void sim_field(const char *line, const char *name, char *out, size_t size)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(line, key), *end = at ? strchr(at + strlen(key), '"') : NULL;
    *out = '\0';
    if (end)
        snprintf(out, size, "%.*s", (int)(end - at - (long)strlen(key)), at + strlen(key));
}

/* Starts `weir sim woox` on any free port with these further options (NULL at the end). It dies with us. */
static inline void sim_start(sim_process *s, const char *weir, const char *const *more)
{
    const char *args[32] = {weir, "sim", "woox", "--port", "0", "--json", "--no-limits", "--start", "2026-01-05T00:00:00Z"};
    char line[1024] = "";
    int fds[2];
    size_t n = 9;
    while (*more && n < 31)
        args[n++] = *more++;
    if (pipe(fds))
        give_up("no pipe");
    s->child = fork();
    if (s->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(weir, (char *const *)(uintptr_t)args);
        give_up("cannot run '%s'", weir);
    }
    close(fds[1]);
    s->says = fdopen(fds[0], "r");
    if (!s->says || !fgets(line, sizeof line, s->says))
        give_up("the simulated venue does not start");
    sim_field(line, "http", s->http, sizeof s->http);
    sim_field(line, "ws", s->ws, sizeof s->ws);
    sim_field(line, "ca", s->ca, sizeof s->ca);
    snprintf(s->overrides[0], sizeof s->overrides[0], "https://api.woox.io=%s", s->http);
    snprintf(s->overrides[1], sizeof s->overrides[1], "https://api-pub.woox.io=%s", s->http);
    snprintf(s->overrides[2], sizeof s->overrides[2], "wss://wss.woox.io=%s", s->ws);
    for (int i = 0; i < 3; i++)
        s->override_list[i] = s->overrides[i];
    s->override_list[3] = NULL;
}

static inline void sim_end(sim_process *s)
{
    kill(s->child, SIGTERM);
    waitpid(s->child, NULL, 0);
    fclose(s->says);
}

#endif
