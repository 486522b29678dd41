/* Octets that wait, for the codec's three buffers: unfinished input, the message being joined, output.
 *
 * Grows by doubling, keeps its memory while it is of use, and gives back what a giant message left
 * behind, so that an idle connection is small and a busy one does not allocate. */
#include "net/ws_inside.h"

char *store_room(store *s, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(s->len, extra, &need))
        return NULL;
    if (need > s->peak)
        s->peak = need;
    if (s->start + need <= s->cap && s->at)
        return s->at + s->start + s->len;
    if (need <= s->cap && s->at) {
        memmove(s->at, s->at + s->start, s->len);
        s->start = 0;
        return s->at + s->len;
    }
    size_t cap = s->cap > SIZE_MAX / 2 ? need : s->cap * 2;
    if (cap < need)
        cap = need;
    if (cap < 256)
        cap = 256;
    char *at;
    if (s->lent || s->start) {
        at = malloc(cap);
        if (at && s->len)
            memcpy(at, s->at + s->start, s->len);
    } else {
        at = realloc(s->at, cap);
    }
    if (!at)
        return NULL;
    if (!s->lent && s->start)
        free(s->at);
    s->at = at;
    s->cap = cap;
    s->start = 0;
    s->lent = false;
    return at + s->len;
}

bool store_add(store *s, const void *at, size_t len)
{
    char *to = store_room(s, len);
    if (!to)
        return false;
    if (len)
        memcpy(to, at, len);
    s->len += len;
    return true;
}

void store_take(store *s, size_t len)
{
    s->start += len;
    s->len -= len;
    if (!s->len)
        s->start = 0;
}

void store_relax(store *s)
{
    if (s->peak > s->high)
        s->high = s->peak;
    s->peak = s->len;
    if (s->cap <= STORE_SMALL || s->lent)
        return;
    bool giant = s->cap > STORE_GIANT && s->len < s->cap / 8;
    if (!giant && ++s->round < 32)
        return;
    if (giant || s->high < s->cap / 4) {
        store small = {0};
        if (s->len && !store_add(&small, s->at + s->start, s->len))
            return; /* then it stays */
        store_drop(s);
        *s = small;
    }
    s->round = 0;
    s->high = s->len;
}

void store_drop(store *s)
{
    if (!s->lent)
        free(s->at);
    *s = (store){0};
}
