/* How many instances this machine can hold at once.
 *
 * An instance of the pool costs six mappings (four for its memory, two for its stack) out of
 * vm.max_map_count, and 4 GiB and a bit of address space, of which only touched pages are memory.
 * Making a pool costs time for each stack (bench/engine_bench), so nobody gets a large one unasked. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "engine/inside.h"

#define MAPPINGS_EACH 6
#define MAPPINGS_OURS 2000 /* the program's own, libraries and heap */
#define MAPPINGS_UNKNOWN 65530
#define POOL_UNASKED 4000 /* 9 ms to make; 1,000 take 2.5 ms, 100 0.6 ms */
#define POOL_LEAST 4      /* below this, allocating on demand does better */
#define ADDRESS_SPACE ((uint64_t)1 << 47)

static uint64_t read_number(const char *path, uint64_t otherwise)
{
    unsigned long long number;
    FILE *f = fopen(path, "re");
    if (!f)
        return otherwise;
    bool found = fscanf(f, "%llu", &number) == 1;
    fclose(f);
    return found ? number : otherwise;
}

uint64_t pool_reservation(const machine *m, uint64_t max_memory)
{
    return m->address_space < 16 * MEMORY_WHOLE ? max_memory : MEMORY_WHOLE;
}

void machine_read(machine *m)
{
    struct rlimit space = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &space);
    m->max_map_count = read_number("/proc/sys/vm/max_map_count", MAPPINGS_UNKNOWN);
    m->address_space = space.rlim_cur == RLIM_INFINITY ? UINT64_MAX : space.rlim_cur;
    m->strict_overcommit = read_number("/proc/sys/vm/overcommit_memory", 0) == 2;
    struct sysinfo info;
    m->memory = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

uint64_t pool_mappings(uint32_t instances)
{
    return MAPPINGS_OURS + (uint64_t)instances * MAPPINGS_EACH;
}

static void cap(uint64_t *size, uint64_t limit, char *why, size_t why_size, const char *reason)
{
    if (*size > limit) {
        *size = limit;
        snprintf(why, why_size, "%s", reason);
    }
}

uint32_t pool_size(const machine *m, uint32_t wanted, uint64_t memory_slot, char why[POOL_WHY])
{
    uint64_t size = wanted ? wanted : POOL_UNASKED;
    uint64_t maps = m->max_map_count > MAPPINGS_OURS ? m->max_map_count - MAPPINGS_OURS : 0;
    *why = '\0';
    cap(&size, POOL_MOST, why, POOL_WHY, "20000 is the most");
    /* Unasked, half of the mappings stay free for other engines of this process. */
    cap(&size, maps / MAPPINGS_EACH / (wanted ? 1 : 2), why, POOL_WHY, "raise the sysctl vm.max_map_count");
    uint64_t space = m->address_space < ADDRESS_SPACE ? m->address_space : ADDRESS_SPACE;
    cap(&size, space / 4 * 3 / (memory_slot + FIBER_STACK), why, POOL_WHY,
        m->address_space < ADDRESS_SPACE ? "raise the limit on address space, 'ulimit -v'" : "address space ends at 128 TiB");
    if (m->strict_overcommit) /* then every stack counts as memory from the start */
        cap(&size, m->memory / 4 / FIBER_STACK, why, POOL_WHY, "vm.overcommit_memory is 2");
    return size < POOL_LEAST && size < (wanted ? wanted : POOL_UNASKED) ? 0 : (uint32_t)size;
}
