/* Grows linear memory and touches every page until it gets no more; answers how many pages it got.
 * Being refused is no trap: a guest can live with it. */
#include "weir_pdk.h"

WEIR_EXPORT(grow)
{
    char room[24];
    weir_buf out = weir_buf_over(room, sizeof room);
    uint64_t pages = 0;
    for (;;) {
        size_t old = __builtin_wasm_memory_grow(0, 16);
        if (old == (size_t)-1)
            break;
        for (size_t page = old; page < old + 16; page++)
            *(volatile char *)(page * 65536) = 1;
        pages += 16;
    }
    weir_put_u64(&out, pages);
    return weir_reply(&out);
}
