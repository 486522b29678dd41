/* Request rates: at most so many in any span, per address and endpoint. A window keeps the times of
 * the last requests it let through; refused ones do not count. */
#include "sim/inside.h"

#include <stdlib.h>

#define MOST 32u

typedef struct limit_window {
    uint64_t at[MOST]; /* the last `most`, oldest at `next` once it is full */
    uint32_t next, count;
} limit_window;

bool limit_take(sim *s, bytes who, const char *what, unsigned most, uint64_t span_ms)
{
    if (s->options.no_limits)
        return true;
    buf key;
    buf_init(&key, 512);
    buf_add_bytes(&key, who);
    buf_add_char(&key, ' ');
    buf_add_text(&key, what);
    limit_window *w = map_get(s->limits, buf_bytes(&key));
    if (!w && (w = calloc(1, sizeof *w)) && !map_set(s->limits, buf_bytes(&key), w, NULL)) {
        free(w);
        w = NULL;
    }
    buf_fini(&key);
    if (!w)
        return true;
    if (most > MOST)
        most = MOST;
    uint64_t now = sim_wall_ms(s);
    if (w->count == most && now - w->at[w->next] < span_ms)
        return false;
    w->at[w->next] = now;
    w->next = (w->next + 1) % most;
    if (w->count < most)
        w->count++;
    return true;
}

void limits_free(sim *s)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (s->limits && map_each(s->limits, &at, &key, &value))
        free(value);
    map_free(s->limits);
}
