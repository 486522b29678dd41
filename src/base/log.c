/* The log. Lines are rare next to messages, so a lock and a write for each is
 * fine; the usual line is built on the stack, and one that no memory can be had
 * for is cut rather than lost. */
#include "base/log.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/uio.h>
#include <unistd.h>

#define USUAL 1024

log_level log_threshold = LOG_WARN;

static const char *const names[] = {
    [LOG_TRACE] = "trace",
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
    [LOG_OFF] = "off",
};

/* Recursive: a sink may call what logs. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* One line, one write, so that lines of several processes on one terminal stay
 * whole. */
static void write_stderr(void *arg, log_level level, const char *part,
                         const char *text)
{
    (void)arg;
    char when[CLOCK_RFC3339_SIZE], head[128];
    clock_rfc3339(when, clock_real(), 3);
    int len = snprintf(head, sizeof head, "%s %s %s: ", when, names[level], part);
    size_t head_len = len < 0                     ? 0
                      : (size_t)len < sizeof head ? (size_t)len
                                                  : sizeof head - 1;
    char end[] = "\n";
    struct iovec pieces[] = {
        {head, head_len}, {(char *)text, strlen(text)}, {end, 1}};
    ssize_t written = writev(STDERR_FILENO, pieces, 3);
    (void)written; /* there is nowhere left to say so */
}

static log_sink current = write_stderr;
static void *current_arg;

void log_set_sink(log_sink sink, void *arg)
{
    pthread_mutex_lock(&lock);
    current = sink ? sink : write_stderr;
    current_arg = sink ? arg : NULL;
    pthread_mutex_unlock(&lock);
}

static void hand_over(log_level level, const char *part, const char *text)
{
    pthread_mutex_lock(&lock);
    current(current_arg, level, part, text);
    pthread_mutex_unlock(&lock);
}

/* Escapes `text` and gives it to the sink: on the stack if it fits there, else
 * on the heap. */
static void write_escaped(log_level level, const char *part, bytes text)
{
    char usual[USUAL];
    buf line = {.at = usual,
                .cap = sizeof usual,
                .max = sizeof usual}; /* never grows: cap is its ceiling */
    log_escape(&line, text);
    buf_add_char(&line, '\0');
    if (!line.failed) {
        hand_over(level, part, usual);
        return;
    }
    buf_init(&line, SIZE_MAX);
    log_escape(&line, text);
    buf_add_char(&line, '\0');
    hand_over(level, part,
              line.failed ? "(a line is lost: out of memory)" : line.at);
    buf_fini(&line);
}

void log_write(log_level level, const char *part, const char *format, ...)
{
    if (level < log_threshold || level >= LOG_OFF)
        return;
    char usual[USUAL], *text = usual;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(usual, sizeof usual, format, args);
    if (len >= (int)sizeof usual) {
        char *longer = malloc((size_t)len + 1);
        if (longer) {
            vsnprintf(longer, (size_t)len + 1, format, again);
            text = longer;
        }
    }
    va_end(again);
    va_end(args);
    write_escaped(level, part,
                  len < 0 ? BYTES("(a line that cannot be formatted)")
                          : bytes_of(text));
    if (text != usual)
        free(text);
}

const char *log_level_name(log_level level)
{
    return (unsigned)level <= LOG_OFF ? names[level] : "unknown";
}

bool log_level_parse(const char *name, log_level *out)
{
    for (unsigned i = 0; i <= LOG_OFF; i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (log_level)i;
            return true;
        }
    if (strcasecmp(name, "warning") == 0) {
        *out = LOG_WARN;
        return true;
    }
    return false;
}

/* Marks that turn the text around, hide or break lines: what is read is not
 * what is there. U+061C, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F,
 * U+FEFF. */
static bool misleads(const unsigned char *c, size_t len)
{
    if (len == 2)
        return c[0] == 0xd8 && c[1] == 0x9c;
    if (len != 3)
        return false;
    if (c[0] == 0xe2 && c[1] == 0x80)
        return (c[2] >= 0x8b && c[2] <= 0x8f) || (c[2] >= 0xa8 && c[2] <= 0xae);
    if (c[0] == 0xe2 && c[1] == 0x81)
        return c[2] >= 0xa0 && c[2] <= 0xaf;
    return c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf;
}

/* The length of the character at the front that may go out as it is; 0 if it
 * must be escaped. */
static size_t printable(bytes text)
{
    size_t len = bytes_utf8_char(text);
    unsigned char c = (unsigned char)text.at[0];
    if (len == 1)
        return c >= 0x20 && c != 0x7f;
    if (len == 2 && c == 0xc2 && (unsigned char)text.at[1] < 0xa0)
        return 0; /* U+0080 to U+009F: terminals take them for commands */
    return misleads((const unsigned char *)text.at, len) ? 0 : len;
}

void log_escape(buf *out, bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;
    while (at < text.len) {
        size_t from = at, len;
        while (at < text.len &&
               (len = printable((bytes){text.at + at, text.len - at})) != 0)
            at += len;
        buf_add(out, text.at + from, at - from);
        if (at == text.len)
            return;
        unsigned char c = (unsigned char)text.at[at];
        /* Of a character that is well formed but unwanted, the octets after the
         * first are no characters by themselves and come here one by one. */
        if (c == '\n' || c == '\t')
            buf_add_text(out, c == '\n' ? "\\n" : "\\t");
        else
            buf_add(out, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        at++;
    }
}
