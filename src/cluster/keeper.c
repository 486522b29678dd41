/* One page shared, a clock, a kill. See keeper.h. */
#include "cluster/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_NS (10 * NS_PER_MS)

struct keeper {
    _Atomic uint64_t *until; /* shared */
    pid_t pid;
};

uint64_t keeper_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* In the child of a process with threads: nothing but system calls. */
static _Noreturn void watch(const _Atomic uint64_t *until, pid_t whom)
{
    const struct timespec pause = {0, LOOK_NS};
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for the other one */
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN); /* a manager's word to all of us, too: while it stops, it still holds */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_close_range, 0U, ~0U, 0U); /* its sockets above all */
    while (getppid() == whom) {
        uint64_t end = atomic_load(until);
        if (end && keeper_clock() > end) {
            kill(whom, SIGKILL);
            break;
        }
        nanosleep(&pause, NULL);
    }
    _exit(0);
}

static bool start(keeper *g)
{
    pid_t us = getpid();
    g->pid = fork();
    if (g->pid == 0)
        watch(g->until, us);
    return g->pid > 0;
}

weir_code keeper_new(keeper **out, weir_error *err)
{
    keeper *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, WEIR_NOMEM, "out of memory");
    g->until = mmap(NULL, sizeof *g->until, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (g->until == MAP_FAILED) {
        free(g);
        return error_set(err, WEIR_NOMEM, "no page to share with the keeper");
    }
    atomic_store(g->until, 0);
    if (!start(g)) {
        munmap((void *)g->until, sizeof *g->until);
        free(g);
        return error_set(err, WEIR_SYSTEM, "the keeper's process cannot be made: %s", strerror(errno));
    }
    *out = g;
    return WEIR_OK;
}

void keeper_until(keeper *g, uint64_t clock)
{
    if (g)
        atomic_store(g->until, clock);
}

void keeper_check(keeper *g)
{
    if (!g || waitpid(g->pid, NULL, WNOHANG) != g->pid)
        return;
    log_warn("cluster", "the keeper was ended by somebody; another is made");
    if (!start(g))
        log_error("cluster", "no keeper: %s", strerror(errno));
}

int keeper_pid(const keeper *g)
{
    return (int)g->pid;
}

void keeper_free(keeper *g)
{
    if (!g)
        return;
    if (g->pid > 0) {
        kill(g->pid, SIGKILL);
        waitpid(g->pid, NULL, 0);
    }
    munmap((void *)g->until, sizeof *g->until);
    free(g);
}
