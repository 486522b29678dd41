/* Counts its calls in a global: shows that an instance keeps its memory, and that two do not share it. */
#include "weir_pdk.h"

static uint64_t calls;

WEIR_EXPORT(count)
{
    char room[24];
    weir_buf out = weir_buf_over(room, sizeof room);
    weir_put_u64(&out, ++calls);
    return weir_reply(&out);
}
