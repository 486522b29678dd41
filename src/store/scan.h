/* scan.h: a question to the history: asked on the loop (history_read.c), run on the reader's thread (history_scan.c). */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "store/inside.h"

#define PAGE_RECORDS 10000
#define PAGE_OCTETS ((size_t)16 << 20)
#define EVERY_KIND (1u << RECORD_DATA | 1u << RECORD_GAP | 1u << RECORD_STATUS)

/* Lines in order, with the number of each. */
typedef struct page {
    buf lines;
    uint32_t count, limit;
    uint64_t last_n;
    bool full;
} page;

/* A line of the waiting ones, put by for behind those of the disk. */
typedef struct put_by {
    uint64_t n;
    size_t end; /* in `tail` */
} put_by;

typedef struct question {
    request base;
    void (*fn)(void *arg, const store_history_page *page);
    void *arg;
    uint64_t number;
    /* What selects a record. */
    uint64_t from_ns, to_ns; /* from <= t < to */
    bool by_event, timed, newest_first, behind;
    uint64_t behind_place; /* only what is behind it */
    unsigned kinds;
    uint64_t low, high; /* numbers, both included, on the disk */
    trail **trails;
    uint64_t *ids, *firsts, *lasts; /* of these, as they were when it was asked */
    size_t count;
    bool damaged;
    page page;
    buf tail, tail_ends; /* waiting lines, oldest first */
} question;

/* Adds a line unless the page is full; false: it is, now or before. */
bool page_add(page *p, bytes line, uint64_t n);
void scan_disk(store *s, question *q);

#endif
