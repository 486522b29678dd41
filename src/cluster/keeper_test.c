/* The keeper: ends a process that holds too long, stopped or not; leaves one alone that lets go in time. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/keeper.h"
#include "tests/lib/test.h"

/* A child that holds for `ms`, does `then`, and lets go after another `more` ms; how it ended. */
static int child(uint64_t ms, bool stops, uint64_t more)
{
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        weir_error err = WEIR_ERROR_INIT;
        keeper *k = NULL;
        if (keeper_new(&k, &err))
            _exit(9);
        keeper_until(k, keeper_clock() + ms * NS_PER_MS);
        if (stops)
            raise(SIGSTOP);
        usleep((useconds_t)(more * 1000));
        keeper_until(k, 0);
        keeper_free(k);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

TEST(keeper, ends_who_is_stopped)
{
    int status = child(200, true, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(keeper, ends_who_is_busy)
{
    int status = child(100, false, 60000);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(keeper, leaves_alone_who_lets_go)
{
    int status = child(60000, false, 50);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(keeper, is_made_anew_when_somebody_ends_it)
{
    int status = 0;
    pid_t pid = fork();
    if (!pid) {
        weir_error err = WEIR_ERROR_INIT;
        keeper *k = NULL;
        if (keeper_new(&k, &err))
            _exit(9);
        kill(keeper_pid(k), SIGKILL);
        int first = keeper_pid(k);
        while (keeper_pid(k) == first) {
            keeper_check(k);
            usleep(1000);
        }
        keeper_until(k, keeper_clock() + 100 * NS_PER_MS);
        usleep(60000000);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
