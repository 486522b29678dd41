/* WASI as libc uses it: `clock` answers wall time in nanoseconds, `speak` writes to stdout and stderr
 * in pieces, `random` answers 16 octets, `read` answers the file named by the input, `environment` the
 * value of the variable named by the input. */
#include "weir_pdk.h"
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

WEIR_EXPORT(clock)
{
    char room[24];
    weir_buf out = weir_buf_over(room, sizeof room);
    struct timespec t;
    if (clock_gettime(CLOCK_REALTIME, &t))
        return 1;
    weir_put_u64(&out, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
    return weir_reply(&out);
}

WEIR_EXPORT(speak)
{
    static const char text[] = "to stderr, piece by piece\nand unfinished";
    if (write(1, "to stdout\n", 10) != 10)
        return 1;
    for (size_t i = 0; i + 1 < sizeof text; i++)
        if (write(2, text + i, 1) != 1)
            return 1;
    return 0;
}

WEIR_EXPORT(random)
{
    char octets[16];
    if (getentropy(octets, sizeof octets))
        return 1;
    weir_output(weir_slice(octets, sizeof octets));
    return 0;
}

WEIR_EXPORT(read)
{
    static char path[512], contents[65536];
    weir_buf b = weir_buf_over(path, sizeof path - 1);
    int fd;
    ssize_t len;
    weir_put_str(&b, weir_input());
    path[b.len] = 0;
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return weir_refuse("cannot open");
    len = read(fd, contents, sizeof contents);
    close(fd);
    if (len < 0)
        return weir_refuse("cannot read");
    weir_output(weir_slice(contents, (size_t)len));
    return 0;
}

WEIR_EXPORT(environment)
{
    static char name[128];
    const char *value;
    weir_buf b = weir_buf_over(name, sizeof name - 1);
    weir_put_str(&b, weir_input());
    name[b.len] = 0;
    value = getenv(name);
    if (!value)
        return 1;
    weir_output(weir_text(value));
    return 0;
}
