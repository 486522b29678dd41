#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

log_level log_threshold = LOG_WARN;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink current;
static void *current_arg;

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};

void log_set_sink(log_sink sink, void *arg)
{
    pthread_mutex_lock(&lock);
    current = sink;
    current_arg = arg;
    pthread_mutex_unlock(&lock);
}

void log_write(log_level level, const char *part, const char *format, ...)
{
    char raw[8192], when[CLOCK_RFC3339_SIZE];
    buf text;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (n < 0)
        return;
    buf_init(&text, 1 << 16);
    log_escape(&text, bytes_make(raw, (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1));
    buf_add_char(&text, '\0');
    const char *line = text.failed ? "(a log line was lost: out of memory)" : text.at;
    pthread_mutex_lock(&lock);
    if (current) {
        current(current_arg, level, part, line);
    } else {
        clock_rfc3339(when, clock_real(), 3);
        fprintf(stderr, "%s %s %s: %s\n", when, names[level], part, line);
    }
    pthread_mutex_unlock(&lock);
    buf_fini(&text);
}

const char *log_level_name(log_level level)
{
    return names[level];
}

bool log_level_parse(const char *name, log_level *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (log_level)i;
            return true;
        }
    return false;
}

void log_escape(buf *out, bytes text)
{
    static const char digit[] = "0123456789ABCDEF";
    bool utf8 = bytes_utf8(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool control = c < 0x20 || c == 0x7F || (utf8 && c == 0xC2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xA0);
        if (c == '\n') {
            buf_add(out, "\\n", 2);
        } else if (c == '\t') {
            buf_add(out, "\\t", 2);
        } else if (control || (c >= 0x80 && !utf8)) {
            char hex[4] = {'\\', 'x', digit[c >> 4], digit[c & 15]};
            buf_add(out, hex, 4);
            if (c == 0xC2 && utf8) { /* a control character of two octets: the second, too */
                c = (unsigned char)text.at[++i];
                char second[4] = {'\\', 'x', digit[c >> 4], digit[c & 15]};
                buf_add(out, second, 4);
            }
        } else {
            buf_add_char(out, (char)c);
        }
    }
}
