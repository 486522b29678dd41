/* The queue of log lines. What goes into it is compared with upstream's in tests/extism; here is what has to be bounded. */
#include "libextism/testing.h"

#define KEPT (64 * 1024)

static int drained;
static char head[200];

static void take(const char *data, ExtismSize size)
{
    CHECK_UINT(strlen(data), size);
    if (drained++ == 0)
        snprintf(head, sizeof head, "%s", data);
}

TEST(logs, the_oldest_lines_go_when_nobody_drains)
{
    CHECK(extism_log_custom("info"));
    for (int i = 0; i < KEPT + 100; i++)
        logs_write(LOG_INFO, "extism::test", NULL, "line %d.", i);
    logs_write(LOG_DEBUG, "extism::test", NULL, "not asked for");
    extism_log_drain(take);
    CHECK_INT(drained, KEPT);
    CHECK_HAS(head, "  INFO extism::test: line 100.");
    drained = 0;
    extism_log_drain(take);
    CHECK_INT(drained, 0);
}

static bool said;

static void look(const char *data, ExtismSize size)
{
    (void)size;
    said |= strstr(data, "EXTISM_MEMDUMP '/no/such/folder/dump' cannot be written: No such file or directory") != NULL;
}

TEST(logs, a_dump_that_cannot_be_written_is_told)
{
    extism_log_custom("error"); /* unless a test before this one has */
    setenv("EXTISM_MEMDUMP", "/no/such/folder/dump", 1);
    ExtismPlugin *p = plugin_of("(module (func (export \"trap\") unreachable))");
    CHECK_INT(call_of(p, "trap", ""), 134);
    extism_plugin_free(p);
    unsetenv("EXTISM_MEMDUMP");
    extism_log_drain(look);
    CHECK(said);
}
