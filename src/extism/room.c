/* Rows of places: one mapping each, with up to 64 of the same size.
 *
 * The first row of a size has one place, and a later one as many as are in use: a program with one plugin reserves no
 * more than it needs, one with thousands has a mapping for each 64. Where address space is counted (a limit on
 * it, or vm.overcommit_memory 2) and under AddressSanitizer, a row has one place and goes with it, so that a late access faults.
 *
 * Which row has room: the open ones of a size are in a list. Taking and giving are a lock and a few steps; giving
 * is a system call, too, which drops what was touched. */
#include "extism/room.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define MOST 64 /* bits of a row's map */

#if defined(__SANITIZE_ADDRESS__)
#define SINGLY true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SINGLY true
#endif
#endif
#ifndef SINGLY
#define SINGLY false
#endif

/* All rows of one size. */
typedef struct shelf {
    size_t len;
    uint32_t used, rows;
    struct room_row *open; /* with a free place */
    struct shelf *next;
} shelf;

typedef struct room_row {
    shelf *of;
    char *at;
    uint32_t places, used;
    uint64_t taken;
    struct room_row *prev, *next; /* among the open ones */
} room_row;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static shelf *shelves;

/* Nobody minds what is reserved and not used. */
static bool space_is_free(void)
{
    static int known = -1;
    if (known >= 0)
        return known;
    struct rlimit limit;
    char mode = '2';
    FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
    if (f) {
        if (fread(&mode, 1, 1, f) != 1)
            mode = '2';
        fclose(f);
    }
    known = !SINGLY && mode != '2' && getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
    return known;
}

static char *map(void *where, size_t len)
{
    int fixed = where ? MAP_FIXED : 0;
    char *at = mmap(where, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, len, MADV_NOHUGEPAGE); /* the first touch must cost a page, not two megabytes */
    return at;
}

static shelf *shelf_of(size_t len)
{
    shelf *s = shelves;
    while (s && s->len != len)
        s = s->next;
    if (s || !(s = calloc(1, sizeof *s)))
        return s;
    s->len = len;
    s->next = shelves;
    shelves = s;
    return s;
}

static void shelf_drop(shelf *s)
{
    shelf **at = &shelves;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s);
}

static void row_open(room_row *r)
{
    r->prev = NULL;
    r->next = r->of->open;
    if (r->next)
        r->next->prev = r;
    r->of->open = r;
}

static void row_close(room_row *r)
{
    *(r->prev ? &r->prev->next : &r->of->open) = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

/* One more row, as long as may be. */
static room_row *row_new(shelf *s)
{
    room_row *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    uint32_t places = s->used == 0 || !space_is_free() ? 1 : s->used < MOST ? s->used
                                                                            : MOST;
    while (places && (s->len > SIZE_MAX / places || !(r->at = map(NULL, s->len * places))))
        places /= 2;
    if (!r->at) {
        free(r);
        return NULL;
    }
    r->of = s;
    r->places = places;
    r->taken = places < MOST ? ~UINT64_C(0) << places : 0;
    s->rows++;
    row_open(r);
    return r;
}

bool room_take(room *out, size_t len)
{
    pthread_mutex_lock(&lock);
    shelf *s = shelf_of(len);
    room_row *r = s ? s->open : NULL;
    if (s && !r)
        r = row_new(s);
    if (r) {
        int place = __builtin_ctzll(~r->taken);
        r->taken |= UINT64_C(1) << place;
        r->used++;
        s->used++;
        if (~r->taken == 0)
            row_close(r);
        *out = (room){r->at + (size_t)place * len, len, r};
    } else if (s && s->rows == 0) {
        shelf_drop(s);
    }
    pthread_mutex_unlock(&lock);
    return r != NULL;
}

/* The next one must find zeros. False: they cannot be had, so nobody gets the place again. */
static bool place_clear(const room *r)
{
    return madvise(r->at, r->len, MADV_DONTNEED) == 0 || map(r->at, r->len);
}

static void row_drop(room_row *r)
{
    shelf *s = r->of;
    if (~r->taken)
        row_close(r);
    munmap(r->at, r->places * s->len);
    free(r);
    if (--s->rows == 0)
        shelf_drop(s);
}

void room_give(room *given)
{
    room_row *r = given->row;
    pthread_mutex_lock(&lock);
    bool last = r->used == 1, clear = false;
    if (!last) { /* others need not wait for it; the place is still taken, so its row stays */
        pthread_mutex_unlock(&lock);
        clear = place_clear(given);
        pthread_mutex_lock(&lock);
    }
    r->used--;
    r->of->used--;
    if (clear && r->used) {
        if (~r->taken == 0)
            row_open(r);
        r->taken &= ~(UINT64_C(1) << (size_t)(given->at - r->at) / given->len);
    }
    if (r->used == 0)
        row_drop(r);
    pthread_mutex_unlock(&lock);
}
