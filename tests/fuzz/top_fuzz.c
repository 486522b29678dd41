/* Any answer of a daemon, of each view: the frame stays within its screen, and nothing of it steers the terminal. The first octet
 * chooses view and screen, the second what is shown; the rest is the answer. */
#include "cli/top.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void show(top *t, size_t columns, size_t lines)
{
    buf frame;
    size_t seen = 0;
    buf_init(&frame, 64u << 20);
    top_frame(t, &frame, columns, lines);
    for (size_t i = 0; i < frame.len; i++) {
        unsigned char c = (unsigned char)frame.at[i];
        seen += c == '\n';
        if ((c < 0x20 && c != '\n') || c == 0x7f)
            abort();
    }
    if (lines && seen != lines)
        abort();
    buf_fini(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    top t;
    if (len < 2 || top_init(&t, NULL))
        return 0;
    t.view = (top_view)(at[0] % TOP_VIEWS);
    t.details = at[1] & 1;
    t.sort_by = (at[1] & 2) ? 0 : -1;
    t.reverse = at[1] & 4;
    snprintf(t.filter, sizeof t.filter, "%s", at[1] & 8 ? "a" : "");
    bytes answer = bytes_make(at + 2, len - 2);
    for (uint64_t i = 1; i <= 2; i++) { /* the second one has rates */
        top_take_node(&t, answer, i * NS_PER_S);
        top_take(&t, answer, UINT64_C(1700000000) * NS_PER_S, i * NS_PER_S);
        show(&t, 20u + at[0] % 100u, 6u + at[1] % 40u);
    }
    t.details = false;
    show(&t, 80, 0);
    top_fini(&t);
    return 0;
}
