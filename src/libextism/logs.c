/* Where log lines go: one sink for a process, a file or a queue that the program drains, with a filter as upstream has
 * it: "debug" is that level for what begins with "extism" and errors for the rest; otherwise "target=level,...".
 *
 *     2026-11-28T14:00:00.123456Z  WARN extism::pdk: message plugin="8e0b..."
 *
 * Without a sink nothing is written, and a guest is told that logging is off. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "libextism/inside.h"

#define MAX_RULES 32
#define MAX_QUEUE (64 * 1024) /* lines; the oldest goes */

typedef struct rule {
    char target[64];
    log_level level;
} rule;

typedef struct line {
    struct line *next;
    size_t len;
    char text[];
} line;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;
static int sink_fd = -1; /* -1: the queue */
static rule rules[MAX_RULES];
static size_t rule_count;
static _Atomic log_level most = LOG_OFF;
static line *first, **last = &first;
static size_t queued;

/* ---- The filter ---- */

static bool level_read(const char *name, log_level *out)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    for (int i = 0; i < 5; i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (log_level)i;
            return true;
        }
    if (name[0] >= '1' && name[0] <= '5' && !name[1]) {
        *out = (log_level)('5' - name[0]);
        return true;
    }
    if (strcasecmp(name, "off") == 0 || strcmp(name, "0") == 0) {
        *out = LOG_OFF;
        return true;
    }
    return false;
}

static void rule_add(const char *target, log_level level)
{
    if (rule_count == MAX_RULES || strlen(target) >= sizeof rules->target)
        return;
    snprintf(rules[rule_count].target, sizeof rules->target, "%s", target);
    rules[rule_count++].level = level;
}

/* "target=level", "target" (all of it), "level" (of everything) */
static void directive_read(char *text)
{
    log_level level;
    char *equals = strchr(text, '=');
    if (equals) {
        *equals = '\0';
        if (level_read(equals + 1, &level))
            rule_add(text, level);
    } else if (level_read(text, &level)) {
        rule_add("", level);
    } else if (*text) {
        rule_add(text, LOG_TRACE);
    }
}

static void filter_read(const char *text)
{
    log_level level;
    if (level_read(text, &level)) {
        rule_add("", LOG_ERROR);
        rule_add("extism", level);
        return;
    }
    char *copy = strdup(text), *save = NULL;
    for (char *piece = copy ? strtok_r(copy, ",", &save) : NULL; piece; piece = strtok_r(NULL, ",", &save))
        directive_read(piece);
    free(copy);
}

/* The longest target that begins this one decides. */
static log_level level_of(const char *target)
{
    log_level level = LOG_OFF;
    size_t best = 0;
    for (size_t i = 0; i < rule_count; i++) {
        size_t len = strlen(rules[i].target);
        if (strncmp(target, rules[i].target, len) == 0 && len >= best) {
            best = len;
            level = rules[i].level;
        }
    }
    return level;
}

/* ---- Installing ---- */

static bool install(int fd, const char *level)
{
    log_level least = LOG_OFF;
    pthread_mutex_lock(&lock);
    bool ours = !installed;
    if (ours) {
        installed = true;
        sink_fd = fd;
        filter_read(level);
        for (size_t i = 0; i < rule_count; i++)
            least = rules[i].level < least ? rules[i].level : least;
        atomic_store(&most, least);
    }
    pthread_mutex_unlock(&lock);
    return ours;
}

static bool text_fits(const char *text)
{
    return !text || bytes_utf8(bytes_of(text));
}

bool extism_log_file(const char *filename, const char *log_level)
{
    int fd = STDERR_FILENO;
    if (!text_fits(filename) || !text_fits(log_level))
        return false;
    if (filename && strcmp(filename, "stdout") == 0)
        fd = STDOUT_FILENO;
    else if (filename && strcmp(filename, "stderr") != 0 && strcmp(filename, "-") != 0)
        fd = open(filename, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return false;
    bool ours = install(fd, log_level ? log_level : "error");
    if (!ours && fd > STDERR_FILENO)
        close(fd);
    return ours;
}

bool extism_log_custom(const char *log_level)
{
    return text_fits(log_level) && install(-1, log_level ? log_level : "error");
}

/* ---- Lines ---- */

log_level logs_level(void)
{
    return atomic_load_explicit(&most, memory_order_relaxed);
}

static void queue_put(bytes text)
{
    line *l = malloc(sizeof *l + text.len + 1);
    if (!l)
        return;
    l->next = NULL;
    l->len = text.len;
    memcpy(l->text, text.at, text.len);
    l->text[text.len] = '\0';
    *last = l;
    last = &l->next;
    if (queued++ < MAX_QUEUE)
        return;
    line *oldest = first;
    first = oldest->next;
    free(oldest);
    queued--;
}

static void emit(bytes text)
{
    while (sink_fd >= 0 && text.len) {
        ssize_t n = write(sink_fd, text.at, text.len);
        if (n <= 0)
            return;
        text = bytes_make(text.at + n, text.len - (size_t)n);
    }
    if (sink_fd < 0)
        queue_put(text);
}

static void line_write(log_level level, const char *target, const char *plugin_id, bytes text)
{
    static const char *const names[] = {"TRACE", "DEBUG", " INFO", " WARN", "ERROR"};
    uint64_t now = clock_real();
    time_t seconds = (time_t)(now / NS_PER_S);
    struct tm t;
    buf out;
    gmtime_r(&seconds, &t);
    buf_init(&out, SIZE_MAX);
    buf_add_fmt(&out, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ %s %s: ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
                t.tm_sec, (unsigned)(now % NS_PER_S / 1000), names[level], target);
    buf_add_bytes(&out, text);
    if (plugin_id)
        buf_add_fmt(&out, " plugin=\"%s\"", plugin_id);
    buf_add_char(&out, '\n');
    pthread_mutex_lock(&lock);
    if (!out.failed && level >= level_of(target))
        emit(buf_bytes(&out));
    pthread_mutex_unlock(&lock);
    buf_fini(&out);
}

void logs_write(log_level level, const char *target, const char *plugin_id, const char *format, ...)
{
    va_list args;
    char text[2048];
    if (level < logs_level())
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line_write(level, target, plugin_id, bytes_of(text));
}

void logs_guest(guest *g, log_level level, const char *origin, bytes text)
{
    (void)origin;
    line_write(level, "extism::pdk", ((ExtismPlugin *)g->owner)->id_text, text);
}

void extism_log_drain(ExtismLogDrainFunctionType handler)
{
    pthread_mutex_lock(&lock);
    while (handler && first) {
        line *l = first;
        first = l->next;
        if (!first)
            last = &first;
        queued--;
        handler(l->text, l->len);
        free(l);
    }
    pthread_mutex_unlock(&lock);
}
