/* The log's lines: written whole, with one call, so that those of several threads do not mix. */
#include "daemon/output.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "node/node.h"

static atomic_bool as_json;

/* journald takes a level from in front of the line, and puts the time itself. */
static bool for_journal(void)
{
    static int known = -1;
    if (known < 0)
        known = getenv("JOURNAL_STREAM") != NULL;
    return known;
}

static void put_text(buf *out, const char *now, weir_log_level level, const char *part, const char *text)
{
    static const char *const priorities[] = {"<7>", "<7>", "<6>", "<4>", "<3>"};
    if (for_journal())
        buf_add_fmt(out, "%s%s: %s\n", priorities[level], part, text);
    else
        buf_add_fmt(out, "%s %s %s: %s\n", now, log_level_name((log_level)level), part, text);
}

static void put_json(buf *out, const char *now, weir_log_level level, const char *part, const char *text)
{
    buf_add_char(out, '{');
    json_put_member(out, "time", bytes_of(now));
    json_put_member(out, "level", bytes_of(log_level_name((log_level)level)));
    json_put_member(out, "part", bytes_of(part));
    json_put_member(out, "text", bytes_of(text));
    buf_add_text(out, "}\n");
}

static void on_line(void *arg, weir_log_level level, const char *part, const char *text)
{
    char now[CLOCK_RFC3339_SIZE];
    buf line;
    (void)arg;
    clock_rfc3339(now, clock_real(), 3);
    buf_init(&line, 1 << 20);
    (atomic_load(&as_json) ? put_json : put_text)(&line, now, level, part, text);
    for (size_t done = 0; !line.failed && done < line.len;) {
        ssize_t n = write(STDERR_FILENO, line.at + done, line.len - done);
        if (n <= 0)
            break; /* nobody reads it: the ring has it all the same */
        done += (size_t)n;
    }
    buf_fini(&line);
    node_log_keep(level, part, text);
}

void output_set(const char *level, const char *format)
{
    log_level threshold = LOG_INFO;
    if (!strcmp(level, "off"))
        threshold = LOG_OFF;
    else
        log_level_parse(level, &threshold);
    atomic_store(&as_json, !strcmp(format, "json"));
    weir_log((weir_log_level)threshold, on_line, NULL);
}
