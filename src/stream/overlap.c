/* The frequent operation is a message while both connections are open, some seconds a day: a walk over an
 * array of 64 KB at most, a few microseconds.
 *
 * Why not the window of handover.c: that one answers whether a record was there, and how often. Here the answer lies in
 * the order, too (what came before the first that both brought), the oldest gives way to the newest, and what is known
 * once does not join. A table that is found by hash has no order; with one beside it, it would be longer than both. */
#include "stream/overlap.h"

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

bool overlap_init(overlap *o)
{
    *o = (overlap){.first = SIZE_MAX, .old_first = SIZE_MAX, .seed = rand_u64()};
    o->old = calloc(OVERLAP_MAX, sizeof *o->old);
    o->new = calloc(OVERLAP_MAX, sizeof *o->new);
    if (o->old && o->new)
        return true;
    overlap_fini(o);
    return false;
}

void overlap_fini(overlap *o)
{
    free(o->old);
    free(o->new);
    *o = (overlap){0};
}

/* Never 0. */
static uint64_t hash_of(const overlap *o, bytes text)
{
    uint64_t h = bytes_hash(text, o->seed);
    return h ? h : 1;
}

static size_t old_kept(const overlap *o)
{
    return o->old_count < OVERLAP_MAX ? o->old_count : OVERLAP_MAX;
}

/* How often, and where the first time. */
static size_t count(const uint64_t *at, size_t n, uint64_t hash, size_t *first)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (at[i] == hash && found++ == 0)
            *first = i;
    return found;
}

/* A place in the ring as a number that only grows. */
static size_t old_number(const overlap *o, size_t place)
{
    size_t turns = o->old_count / OVERLAP_MAX * OVERLAP_MAX;
    return turns + place < o->old_count ? turns + place : turns + place - OVERLAP_MAX;
}

/* A text is there on one side: is it on the other? What came more than once on either side joins nothing. */
static void meet(overlap *o, uint64_t hash)
{
    size_t in_new = 0, in_old = 0;
    size_t new_times = count(o->new, o->new_count, hash, &in_new);
    size_t old_times = new_times ? count(o->old, old_kept(o), hash, &in_old) : 0;
    if (!old_times)
        return;
    size_t number = old_number(o, in_old);
    o->first = in_new < o->first ? in_new : o->first;
    o->old_first = number < o->old_first ? number : o->old_first;
    o->joined |= new_times == 1 && old_times == 1;
}

void overlap_old(overlap *o, bytes text)
{
    uint64_t hash = hash_of(o, text);
    o->old[o->old_count++ % OVERLAP_MAX] = hash;
    meet(o, hash);
}

void overlap_new(overlap *o, bytes text)
{
    uint64_t hash = hash_of(o, text);
    if (o->new_count == OVERLAP_MAX)
        return;
    o->new[o->new_count++] = hash;
    meet(o, hash);
}

/* How many of the old ones may still come. */
static void seal(overlap *o)
{
    o->sealed = true;
    for (size_t i = 0; i < old_kept(o); i++)
        o->left += o->old[i] && (o->old_first == SIZE_MAX || old_number(o, i) >= o->old_first);
}

/* The old one brought it, and that is used up now. */
static bool use_up(overlap *o, bytes text, size_t *place)
{
    if (!count(o->old, old_kept(o), hash_of(o, text), place))
        return false;
    o->old[*place] = 0;
    return true;
}

bool overlap_had(overlap *o, bytes text)
{
    size_t place;
    if (!o->joined || (o->taken >= o->first && !use_up(o, text, &place)))
        return false;
    o->taken++;
    return true;
}

bool overlap_double(overlap *o, bytes text)
{
    size_t place;
    if (!o->sealed)
        seal(o);
    if (o->taken++ < o->first && o->first != SIZE_MAX)
        return true;
    if (!use_up(o, text, &place))
        return false;
    o->left -= o->old_first == SIZE_MAX || old_number(o, place) >= o->old_first;
    return true;
}

bool overlap_done(const overlap *o)
{
    return o->sealed && o->left == 0;
}
