/* Files that change: told once for each change, however they are written. */
#include "loop/loop.h"
#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#define QUIET (20 * NS_PER_MS)

static weir_error err;
static char folder[64], path[100];
static int told;

static void on_change(void *arg)
{
    (void)arg;
    told++;
}

static void put(const char *where, const char *text)
{
    FILE *f = fopen(where, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static loop *begin(void)
{
    loop *l = NULL;
    told = 0;
    snprintf(folder, sizeof folder, "/tmp/weir-watch-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/file", folder);
    CHECK_OK(loop_new(&l, &err));
    return l;
}

static void end(loop *l)
{
    char command[100];
    loop_free(l);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
}

static void until_told(loop *l, int times)
{
    for (int i = 0; told < times && i < 500; i++)
        loop_step(l, 20);
    CHECK_INT(told, times);
}

/* Nothing comes that should not: a change of another kind behind it is told, and it alone. */
static void settle(loop *l, int times)
{
    put(path, "the last one");
    until_told(l, times + 1);
}

TEST(watch, tells_of_a_file_that_is_written_in_pieces_once)
{
    loop *l = begin();
    loop_watch *w;
    put(path, "old");
    CHECK_OK(watch_file(&w, l, path, QUIET, on_change, NULL, &err));
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 10; i++) {
        fputs("piece", f);
        fflush(f);
    }
    fclose(f);
    until_told(l, 1);
    settle(l, 1);
    watch_close(w);
    end(l);
}

TEST(watch, tells_of_a_file_that_another_is_renamed_over_and_of_one_that_comes)
{
    loop *l = begin();
    loop_watch *w;
    char other[100];
    snprintf(other, sizeof other, "%s/other", folder);
    CHECK_OK(watch_file(&w, l, path, QUIET, on_change, NULL, &err));
    put(path, "it comes");
    until_told(l, 1);
    for (int i = 2; i < 5; i++) { /* also the second time: the folder is watched, not the file */
        put(other, "new");
        CHECK_INT(rename(other, path), 0);
        until_told(l, i);
    }
    put(other, "another file"); /* is nobody's business */
    settle(l, 4);
    watch_close(w);
    end(l);
}

TEST(watch, follows_a_link_to_where_the_file_is)
{
    loop *l = begin();
    loop_watch *w;
    char link[100], deep[100];
    snprintf(deep, sizeof deep, "%s/deep", folder);
    CHECK_INT(mkdir(deep, 0700), 0);
    snprintf(deep, sizeof deep, "%s/deep/real", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    put(deep, "old");
    CHECK_INT(symlink(deep, link), 0);
    CHECK_OK(watch_file(&w, l, link, QUIET, on_change, NULL, &err));
    put(deep, "new");
    until_told(l, 1);
    CHECK_INT(unlink(link), 0);
    CHECK_INT(symlink("deep/real", link), 0);
    until_told(l, 2);
    watch_close(w);
    end(l);
}

TEST(watch, of_a_folder_that_is_not_there_is_an_error_that_names_it)
{
    loop *l = begin();
    loop_watch *w = NULL;
    CHECK_INT(watch_file(&w, l, "/tmp/weir-no-such-folder/x", QUIET, on_change, NULL, &err), WEIR_SYSTEM);
    CHECK_HAS(err.text, "'/tmp/weir-no-such-folder/x': its folder cannot be watched: no such file or directory");
    CHECK(w == NULL);
    end(l);
}

static loop_watch *mine;

static void close_it(void *arg)
{
    (void)arg;
    told++;
    watch_close(mine);
}

TEST(watch, may_be_closed_by_its_own_callback)
{
    loop *l = begin();
    CHECK_OK(watch_file(&mine, l, path, QUIET, close_it, NULL, &err));
    put(path, "x");
    until_told(l, 1);
    put(path, "y");
    for (int i = 0; i < 5; i++)
        loop_step(l, 20);
    CHECK_INT(told, 1);
    end(l);
}

TEST(watch, survives_any_failed_allocation)
{
    loop *l = begin();
    FAULT_SWEEP(alloc) {
        loop_watch *w = NULL;
        if (watch_file(&w, l, path, QUIET, on_change, NULL, &err))
            CHECK(err.code == WEIR_NOMEM || err.code == WEIR_SYSTEM);
        watch_close(w);
    }
    end(l);
}
