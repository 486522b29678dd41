/* A guest that knows nothing of us: plain C on wasi-libc. Each export answers 0, or the line of the
 * first thing that was not as it should be. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name)                                    \
    __attribute__((export_name(#name))) int name(void); \
    int name(void)
#define MUST(cond) \
    if (!(cond))   \
    return __LINE__

EXPORT(say)
{
    MUST(printf("hello from %s\n", "libc") == 16);
    MUST(fprintf(stderr, "and to stderr\n") == 14);
    MUST(getchar() == EOF);
    MUST(fflush(stdout) == 0);
    return 0;
}

EXPORT(world)
{
    struct timespec a, b, nap = {0, 5000000};
    char noise[32] = {0};
    MUST(getenv("GOGC") && strcmp(getenv("GOGC"), "5") == 0);
    MUST(getenv("HOME") == NULL);
    MUST(time(NULL) > 1600000000);
    MUST(clock_gettime(CLOCK_MONOTONIC, &a) == 0);
    MUST(nanosleep(&nap, NULL) == 0);
    MUST(clock_gettime(CLOCK_MONOTONIC, &b) == 0);
    MUST((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= 5000000);
    MUST(usleep(1000) == 0);
    MUST(getentropy(noise, sizeof noise) == 0);
    for (int i = 0; i < 32; i++)
        if (noise[i])
            return 0;
    return __LINE__;
}

EXPORT(waiting)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    MUST(poll(&in, 1, 1000) == 1);
    MUST(in.revents & POLLIN);
    return 0;
}

static int listed(const char *folder, const char *name)
{
    DIR *d = opendir(folder);
    int found = 0;
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        found |= strcmp(e->d_name, name) == 0;
    closedir(d);
    return found;
}

EXPORT(files)
{
    char line[100];
    struct stat st;
    FILE *f = fopen("/data/new.txt", "w");
    MUST(f);
    MUST(fprintf(f, "first %d\nsecond\n", 1) == 15);
    MUST(fclose(f) == 0);
    MUST((f = fopen("/data/new.txt", "r+")));
    MUST(fgets(line, sizeof line, f) && strcmp(line, "first 1\n") == 0);
    MUST(fseek(f, -7, SEEK_END) == 0);
    MUST(fgets(line, sizeof line, f) && strcmp(line, "second\n") == 0);
    MUST(fclose(f) == 0);
    MUST((f = fopen("/data/new.txt", "a")) && fputs("more", f) >= 0 && fclose(f) == 0);
    MUST(stat("/data/new.txt", &st) == 0 && st.st_size == 19 && S_ISREG(st.st_mode));
    MUST(listed("/data", "new.txt"));
    MUST(mkdir("/data/d", 0700) == 0);
    MUST(rename("/data/new.txt", "/data/d/old.txt") == 0);
    MUST(!listed("/data", "new.txt") && listed("/data/d", "old.txt"));
    MUST(symlink("old.txt", "/data/d/link") == 0);
    MUST(readlink("/data/d/link", line, sizeof line) == 7);
    MUST(lstat("/data/d/link", &st) == 0 && S_ISLNK(st.st_mode));
    MUST(truncate("/data/d/link", 5) == 0 && stat("/data/d/old.txt", &st) == 0 && st.st_size == 5);
    MUST(unlink("/data/d/link") == 0 && remove("/data/d/old.txt") == 0 && rmdir("/data/d") == 0);
    return 0;
}

EXPORT(escapes)
{
    MUST(!fopen("/etc/passwd", "r"));
    MUST(!fopen("/data/../../etc/passwd", "r"));
    MUST(!fopen("/data/out/passwd", "r"));
    MUST(open("/data/out/passwd", O_RDONLY | O_CREAT, 0600) < 0);
    MUST(mkdir("/data/../x", 0700) < 0);
    return 0;
}

EXPORT(read_only)
{
    MUST(open("/data/kept", O_RDONLY) >= 0);
    MUST(open("/data/kept", O_WRONLY) < 0 && errno == EROFS);
    MUST(open("/data/new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
    MUST(mkdir("/data/d", 0700) < 0 && errno == EROFS);
    MUST(unlink("/data/kept") < 0 && errno == EROFS);
    return 0;
}

EXPORT(leave)
{
    fprintf(stderr, "fatal error: no way on");
    exit(7);
}
