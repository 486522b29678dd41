/* Allocation faults: every allocation of our code passes here (ld --wrap), so a test can make the
 * n-th one fail. Shared libraries are not wrapped; the Rust archive is kept out by giving it other
 * names for malloc and friends in tests (scripts/build-rust), which are defined here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tests/lib/test.h"

static uint64_t count;   /* allocations so far */
static uint64_t fail_at; /* the one to fail; 0: none */
static uint64_t swept_from;
static bool failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *rust_malloc(size_t n);
void *rust_calloc(size_t n, size_t size);
void *rust_realloc(void *p, size_t n);

void *rust_malloc(size_t n)
{
    return __real_malloc(n);
}

void *rust_calloc(size_t n, size_t size)
{
    return __real_calloc(n, size);
}

void *rust_realloc(void *p, size_t n)
{
    return __real_realloc(p, n);
}

/* Counts this allocation; one thread alone gets the number that is to fail. */
static bool fails(void)
{
    if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) != __atomic_load_n(&fail_at, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

void fault_begin_alloc(void)
{
    swept_from = 0;
    __atomic_store_n(&fail_at, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&failed, true, __ATOMIC_RELAXED); /* so that the first round is entered */
}

bool fault_next_alloc(void)
{
    __atomic_store_n(&fail_at, 0, __ATOMIC_RELAXED);
    if (!__atomic_exchange_n(&failed, false, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&fail_at, fault_allocations() + ++swept_from, __ATOMIC_RELAXED);
    return true;
}

uint64_t fault_allocations(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED);
}
