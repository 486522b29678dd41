/* Sleeps as many milliseconds as its input says: by sleep_ms, and as libc does, by poll_oneoff. */
#include "weir_pdk.h"
#include <time.h>

WEIR_EXPORT(by_host)
{
    uint64_t ms = 0;
    weir_json_u64(weir_input(), &ms);
    weir_sleep_ms((uint32_t)ms);
    return 0;
}

WEIR_EXPORT(by_wasi)
{
    uint64_t ms = 0;
    weir_json_u64(weir_input(), &ms);
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
    return nanosleep(&t, NULL) ? 1 : 0;
}
