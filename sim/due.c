/* Whose trade comes next: a binary heap of the active markets by the time of their next trade, so that a venue of ten thousand
 * markets does not look at all of them for each trade of one. At the same moment the market that became active first comes
 * first, as in the list of all. */
#include <stdlib.h>

#include "sim/inside.h"

static bool before(const active *a, const active *b)
{
    return a->market->next.ms != b->market->next.ms ? a->market->next.ms < b->market->next.ms : a->order < b->order;
}

static void place(sim *s, active *a, size_t at)
{
    s->due[at - 1] = a;
    a->due = at;
}

static void up(sim *s, active *a)
{
    size_t at = a->due;
    for (; at > 1 && before(a, s->due[at / 2 - 1]); at /= 2)
        place(s, s->due[at / 2 - 1], at);
    place(s, a, at);
}

static void down(sim *s, active *a)
{
    size_t at = a->due, child;
    while ((child = 2 * at) <= s->due_count) {
        if (child < s->due_count && before(s->due[child], s->due[child - 1]))
            child++;
        if (!before(s->due[child - 1], a))
            break;
        place(s, s->due[child - 1], at);
        at = child;
    }
    place(s, a, at);
}

bool due_add(sim *s, active *a)
{
    if (s->due_count == s->due_cap) {
        size_t cap = s->due_cap ? 2 * s->due_cap : 64;
        active **more = realloc(s->due, cap * sizeof *more);
        if (!more)
            return false;
        s->due = more;
        s->due_cap = cap;
    }
    place(s, a, ++s->due_count);
    up(s, a);
    return true;
}

void due_remove(sim *s, active *a)
{
    active *last = s->due[--s->due_count];
    if (last == a)
        return;
    place(s, last, a->due);
    due_moved(s, last);
}

void due_moved(sim *s, active *a)
{
    up(s, a);
    down(s, a);
}

active *due_first(const sim *s)
{
    return s->due_count ? s->due[0] : NULL;
}
