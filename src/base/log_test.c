/* Log lines: levels, escaping, and no line lost to a failed allocation. */
#include "base/clock.h"
#include "base/log.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <unistd.h>

static char last[8192], last_part[64];
static int lines;

static void keep(void *arg, log_level level, const char *part,
                 const char *text)
{
    (void)arg;
    (void)level;
    snprintf(last, sizeof last, "%s", text);
    snprintf(last_part, sizeof last_part, "%s", part);
    lines++;
}

static void listen(log_level threshold)
{
    log_threshold = threshold;
    last[0] = '\0';
    lines = 0;
    log_set_sink(keep, NULL);
}

TEST(log, lets_through_what_reaches_the_threshold)
{
    listen(LOG_WARN);
    log_info("net", "no %d", 1);
    CHECK_INT(lines, 0);
    log_warn("net", "yes %d", 2);
    CHECK_TEXT(last, "yes 2");
    CHECK_TEXT(last_part, "net");
    log_threshold = LOG_OFF;
    log_error("net", "no");
    CHECK_INT(lines, 1);
}

TEST(log, escapes_what_a_terminal_would_obey)
{
    listen(LOG_TRACE);
    log_info("plugin", "%s", "a\x1b[2J\n\t\x7f\xff\xc2\x9b\xc3\xa9\xe2\x82");
    CHECK_TEXT(last, "a\\x1B[2J\\n\\t\\x7F\\xFF\\xC2\\x9B\xc3\xa9\\xE2\\x82");
    log_info("plugin", "%s", "gnp\xe2\x80\xae"
                             "exe\xe2\x81\xa6\xef\xbb\xbf\xd8\x9c\xe2\x82\xac\xe2\x80\xa6\xd8\xa7"); /* turned, hidden; a euro, an ellipsis, an alef */
    CHECK_TEXT(last, "gnp\\xE2\\x80\\xAE"
                     "exe\\xE2\\x81\\xA6\\xEF\\xBB\\xBF\\xD8\\x9C\xe2\x82\xac\xe2\x80\xa6\xd8\xa7");
}

TEST(log, carries_long_lines_whole)
{
    char text[5000];
    memset(text, '\x01', sizeof text);
    memset(text, 'x', 4000);
    text[4500] = '\0';
    listen(LOG_TRACE);
    log_info("plugin", "%s", text);
    CHECK_UINT(strlen(last), 4000 + 500 * 4);
}

TEST(log, still_speaks_when_memory_has_run_out)
{
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    FAULT_SWEEP(alloc) {
        listen(LOG_TRACE);
        log_error("plugin", "%s", text);
        CHECK_INT(lines, 1);
        CHECK(last[0] != '\0');
    }
    listen(LOG_TRACE);
    uint64_t before = fault_allocations();
    log_error("plugin", "%s", "an ordinary line");
    CHECK_UINT(fault_allocations(), before);
}

static void chatter(void *arg, log_level level, const char *part,
                    const char *text)
{
    keep(arg, level, part, text);
    if (lines == 1)
        log_warn("sink", "again");
}

TEST(log, sink_may_call_what_logs)
{
    listen(LOG_TRACE);
    log_set_sink(chatter, NULL);
    log_info("x", "first");
    CHECK_INT(lines, 2);
    CHECK_TEXT(last, "again");
}

static void *speak(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        log_info("thread", "%d", i);
    return NULL;
}

TEST(log, many_threads_may_speak)
{
    pthread_t threads[4];
    listen(LOG_TRACE);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, speak, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(lines, 4000);
}

static uint64_t fixed(void)
{
    return UINT64_C(1795419882187000000);
}

TEST(log, writes_one_line_to_stderr_unless_replaced)
{
    int ends[2], kept = dup(STDERR_FILENO);
    char line[200] = "";
    CHECK(pipe(ends) == 0);
    listen(LOG_TRACE);
    log_set_sink(NULL, NULL);
    clock_replace(fixed, NULL);
    dup2(ends[1], STDERR_FILENO);
    log_info("net", "a\nb");
    dup2(kept, STDERR_FILENO);
    clock_replace(NULL, NULL);
    ssize_t got = read(ends[0], line, sizeof line - 1);
    close(kept);
    close(ends[0]);
    close(ends[1]);
    CHECK(got > 0);
    CHECK_TEXT(line, "2026-11-23T07:44:42.187Z info net: a\\nb\n");
}

TEST(log, level_names_read_back)
{
    log_level level = LOG_OFF;
    for (int i = LOG_TRACE; i <= LOG_OFF; i++) {
        CHECK(log_level_parse(log_level_name((log_level)i), &level));
        CHECK_INT(level, i);
    }
    CHECK(!log_level_parse("loud", &level) && !log_level_parse("", &level));
}
