/* The test harness.
 *
 *     TEST(hub, slow_subscriber_drops_its_oldest)
 *     {
 *         CHECK_UINT(sub_dropped(slow), 1);
 *     }
 *
 * A test is a sentence about behaviour. A check prints both values and ends the test when they
 * differ. Every *_test.c is a program of its own; `prog NAME...` runs the tests whose
 * "suite.name" contains a NAME, `prog --list` lists them. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

typedef struct test_case {
    const char *suite, *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

void test_add(test_case *t);
const test_case *test_running(void); /* NULL: none yet */

#define TEST(suite_, name_)                                                                      \
    static void test_##suite_##_##name_(void);                                                   \
    static test_case case_##suite_##_##name_ = {#suite_, #name_, test_##suite_##_##name_, NULL}; \
    __attribute__((constructor)) static void add_##suite_##_##name_(void)                        \
    {                                                                                            \
        test_add(&case_##suite_##_##name_);                                                      \
    }                                                                                            \
    static void test_##suite_##_##name_(void)

_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void test_skip(const char *why); /* ends the test, counted as skipped; say what is missing */

void check_true(bool ok, const char *text, const char *file, int line);
void check_int(int64_t got, int64_t want, const char *text, const char *file, int line);
void check_uint(uint64_t got, uint64_t want, const char *text, const char *file, int line);
void check_text(const char *got, const char *want, const char *text, const char *file, int line);
void check_has(const char *got, const char *part, const char *text, const char *file, int line);
void check_mem(const void *got, size_t got_len, const void *want, size_t want_len, const char *text, const char *file, int line);

#define CHECK(cond) check_true((cond), #cond, __FILE__, __LINE__)
#define CHECK_INT(got, want) check_int((got), (want), #got, __FILE__, __LINE__)
#define CHECK_UINT(got, want) check_uint((got), (want), #got, __FILE__, __LINE__)
#define CHECK_TEXT(got, want) check_text((got), (want), #got, __FILE__, __LINE__)
#define CHECK_HAS(got, part) check_has((got), (part), #got, __FILE__, __LINE__) /* got contains part */
#define CHECK_MEM(got, got_len, want, want_len) check_mem((got), (got_len), (want), (want_len), #got, __FILE__, __LINE__)
#define CHECK_BYTES(got, want)                                                       \
    do {                                                                             \
        bytes got_ = (got), want_ = (want);                                          \
        check_mem(got_.at, got_.len, want_.at, want_.len, #got, __FILE__, __LINE__); \
    } while (0)
/* A call that returns weir_code, with `err` in scope: prints the error's text when it fails. */
#define CHECK_OK(call)                                                \
    do {                                                              \
        if ((call) != 0)                                              \
            test_fail(__FILE__, __LINE__, "%s: %s", #call, err.text); \
    } while (0)

/* Fails the 1st allocation of our code, then the 2nd, and so on, until the block runs through
 * without reaching the failing one. Allocations of libraries do not count. A leak in any round
 * fails the test under ASan. */
#define FAULT_SWEEP(kind) for (fault_begin_##kind(); fault_next_##kind();)
void fault_begin_alloc(void);
bool fault_next_alloc(void);

/* How many allocations our code made since the process began (malloc, calloc, realloc, strdup ...). */
uint64_t fault_allocations(void);

#endif
