/* Runs the tests of one program and counts. See test.h. */
#include "tests/lib/test.h"

#include <stdarg.h>

static test_case *cases, **cases_end = &cases;
static jmp_buf leave;
static const test_case *running;
static bool skipped;

void test_add(test_case *t)
{
    *cases_end = t;
    cases_end = &t->next;
}

const test_case *test_running(void)
{
    return running;
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s.%s: ", file, line, running->suite, running->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    longjmp(leave, 1);
}

void test_skip(const char *why)
{
    fprintf(stderr, "skipped %s.%s: %s\n", running->suite, running->name, why);
    skipped = true;
    longjmp(leave, 2);
}

void check_true(bool ok, const char *text, const char *file, int line)
{
    if (!ok)
        test_fail(file, line, "not true: %s", text);
}

void check_int(int64_t got, int64_t want, const char *text, const char *file, int line)
{
    if (got != want)
        test_fail(file, line, "%s is %lld, expected %lld", text, (long long)got, (long long)want);
}

void check_uint(uint64_t got, uint64_t want, const char *text, const char *file, int line)
{
    if (got != want)
        test_fail(file, line, "%s is %llu, expected %llu", text, (unsigned long long)got, (unsigned long long)want);
}

void check_text(const char *got, const char *want, const char *text, const char *file, int line)
{
    if (!got || !want ? got != want : strcmp(got, want) != 0)
        test_fail(file, line, "%s is\n  %s\nexpected\n  %s", text, got ? got : "(null)", want ? want : "(null)");
}

void check_has(const char *got, const char *part, const char *text, const char *file, int line)
{
    if (!got || !strstr(got, part))
        test_fail(file, line, "%s is\n  %s\nwhich lacks\n  %s", text, got ? got : "(null)", part);
}

void check_mem(const void *got, size_t got_len, const void *want, size_t want_len, const char *text, const char *file, int line)
{
    if (got_len != want_len || (got_len && memcmp(got, want, got_len) != 0))
        test_fail(file, line, "%s is (%zu octets)\n  %.*s\nexpected (%zu octets)\n  %.*s", text,
                  got_len, (int)got_len, (const char *)got, want_len, (int)want_len, (const char *)want);
}

static bool wanted(const test_case *t, int argc, char **argv)
{
    char full[256];
    snprintf(full, sizeof full, "%s.%s", t->suite, t->name);
    for (int i = 1; i < argc; i++)
        if (strstr(full, argv[i]))
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    static int passed, failed, left_out; /* static: their values must survive the jump out of a test */
    static test_case *t;
    setenv("XDG_STATE_HOME", "/tmp/weir-tests-state", 0); /* what the code keeps is not the user's */
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (t = cases; t; t = t->next)
            printf("%s.%s\n", t->suite, t->name);
        return 0;
    }
    for (t = cases; t; t = t->next) {
        if (!wanted(t, argc, argv))
            continue;
        running = t;
        skipped = false;
        fault_begin_alloc(); /* a sweep that a failed check left must not go on in the next test */
        if (setjmp(leave) == 0) {
            t->run();
            passed++;
        } else if (skipped) {
            left_out++;
        } else {
            failed++;
            fprintf(stderr, "  repeat: %s %s.%s\n", argv[0], t->suite, t->name);
        }
    }
    printf("%s: %d passed, %d failed, %d skipped\n", strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0],
           passed, failed, left_out);
    return failed ? 1 : 0;
}
