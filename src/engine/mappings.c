/* Mappings left to this process.
 *
 * The kernel lets a process have vm.max_map_count of them, and one that has them all cannot start a thread or
 * get much memory either. So instances stop before. What an instance on demand takes depends on its module (a
 * memory whose data begins in its first page is three, another one four), and neighbours share. Hence
 * nobody adds up: an instance takes the most it may need from what is known to be left, gives back the least, and
 * when nothing is left, the kernel's own list is counted. That costs 10 ms near the end, and is far from it rare. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "engine/inside.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t left; /* of the whole process, so of all engines; never more than there are, but for what others took since it was counted */

uint64_t mappings_now(void)
{
    char text[16384];
    uint64_t lines = 0;
    ssize_t n = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (n = read(fd, text, sizeof text)) > 0)
        for (const char *at = text, *end = text + n; (at = memchr(at, '\n', (size_t)(end - at))); at++)
            lines++;
    if (fd >= 0)
        close(fd);
    return lines;
}

static uint64_t count_left(void)
{
    machine m;
    machine_read(&m);
    uint64_t used = mappings_now() + MAPPINGS_SPARE;
    return m.max_map_count > used ? m.max_map_count - used : 0;
}

bool mappings_take(uint32_t n)
{
    pthread_mutex_lock(&lock);
    if (left < n)
        left = count_left();
    bool enough = left >= n;
    if (enough)
        left -= n;
    pthread_mutex_unlock(&lock);
    return enough;
}

void mappings_give(uint32_t n)
{
    pthread_mutex_lock(&lock);
    left += n;
    pthread_mutex_unlock(&lock);
}

uint64_t mappings_wanted(uint64_t now, uint32_t more, uint32_t each)
{
    return now + MAPPINGS_SPARE + (uint64_t)more * each;
}
