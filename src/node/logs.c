/* The log's last lines, in memory, for logs.list and for who watches them live.
 *
 * Lines come from every thread of the process, before a node is there and after it is gone, so the ring is the
 * process's, under a lock; who watches is told by the node's timer. */
#include <pthread.h>
#include <stdlib.h>

#include "node/inside.h"

#define LINES 2000
#define TEXT_MAX 2000
#define EVERY_NS (100 * NS_PER_MS)

typedef struct line {
    uint64_t time_ns;
    weir_log_level level;
    char *part; /* with the text behind its NUL */
} line;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static line ring[LINES];
static uint64_t count; /* all there were */

void node_log_keep(weir_log_level level, const char *part, const char *text)
{
    size_t p = strlen(part), t = strlen(text);
    if (t > TEXT_MAX)
        t = bytes_utf8_prefix(bytes_make(text, TEXT_MAX));
    char *at = malloc(p + t + 2);
    if (!at)
        return;
    memcpy(at, part, p + 1);
    memcpy(at + p + 1, text, t);
    at[p + 1 + t] = '\0';
    pthread_mutex_lock(&lock);
    line *l = &ring[count % LINES];
    free(l->part);
    *l = (line){clock_real(), level, at};
    count++;
    pthread_mutex_unlock(&lock);
}

static void copy(const line *l, node_log_line *out)
{
    *out = (node_log_line){l->time_ns, l->level, l->part, l->part + strlen(l->part) + 1};
}

/* ---- Watching ---- */

/* Copies under the lock, since a watcher may log. False: there is none behind `seen`. */
static bool take(node_log_watch *w, buf *room, node_log_line *out)
{
    bool any;
    pthread_mutex_lock(&lock);
    if (count > LINES && w->seen < count - LINES)
        w->seen = count - LINES;
    any = w->seen < count;
    buf_clear(room);
    if (any) {
        const line *l = &ring[w->seen++ % LINES];
        copy(l, out);
        buf_add(room, l->part, strlen(l->part) + strlen(out->text) + 2);
    }
    pthread_mutex_unlock(&lock);
    if (any && !room->failed) {
        out->part = room->at;
        out->text = room->at + strlen(room->at) + 1;
    }
    return any && !room->failed;
}

static void on_tick(void *arg)
{
    node *n = arg;
    node_log_line l;
    list heard;
    buf room;
    pthread_mutex_lock(&lock);
    uint64_t until = count; /* what a watcher logs itself comes with the next tick */
    pthread_mutex_unlock(&lock);
    list_init(&heard);
    buf_init(&room, 1 << 16);
    for (list_node *at; (at = list_pop(&n->log_watches));) { /* any of them may be taken away meanwhile */
        node_log_watch *w = LIST_OWNER(at, node_log_watch, node);
        list_push(&heard, at);
        while (heard.head.prev == at && w->seen < until && take(w, &room, &l))
            w->fn(w->arg, &l);
    }
    for (list_node *at; (at = list_pop(&heard));)
        list_push(&n->log_watches, at);
    buf_fini(&room);
    if (!list_empty(&n->log_watches))
        timer_after(&n->log_tick, EVERY_NS);
}

void node_log_watch_add(node *n, node_log_watch *w)
{
    pthread_mutex_lock(&lock);
    w->seen = count;
    pthread_mutex_unlock(&lock);
    list_push(&n->log_watches, &w->node);
    if (!n->log_tick.fn)
        timer_init(&n->log_tick, n->loop, on_tick, n);
    if (!timer_running(&n->log_tick))
        timer_after(&n->log_tick, EVERY_NS);
}

void node_log_watch_remove(node_log_watch *w)
{
    list_remove(&w->node);
}

/* ---- logs.list ---- */

static bool level_of(ask *a, log_level *out)
{
    char *text = json_text(a->query, "level");
    bool fine = !text || log_level_parse(text, out);
    if (!fine)
        ask_fail(a, WEIR_INVALID, "level: there is no level '%s'; trace, debug, info, warn, error", text);
    free(text);
    return fine;
}

static bool limit_of(ask *a, uint64_t *out)
{
    char *text = json_text(a->query, "limit");
    bool fine = !text || (is_number(text) && (*out = strtoull(text, NULL, 10)) > 0);
    if (!fine)
        ask_fail(a, WEIR_INVALID, "limit: '%s' counts no lines; 1 to %d", text, LINES);
    free(text);
    return fine;
}

static void put_line(buf *out, const node_log_line *l, bool first)
{
    buf_add_text(out, first ? "{" : ",{");
    member_time(out, "time", l->time_ns);
    member_text(out, "level", log_level_name((log_level)l->level));
    member_text(out, "part", l->part);
    member_text(out, "text", l->text);
    buf_add_char(out, '}');
}

/* The newest `limit` lines that are wanted, oldest first. */
static void put_lines(buf *out, log_level level, const char *part, uint64_t limit)
{
    bool first = true;
    uint64_t found = 0, from = count, oldest = count > LINES ? count - LINES : 0;
    node_log_line l;
    while (from > oldest && found < limit) {
        copy(&ring[--from % LINES], &l);
        found += (log_level)l.level >= level && (!part || !strcmp(part, l.part));
    }
    for (; from < count; from++) {
        copy(&ring[from % LINES], &l);
        if ((log_level)l.level < level || (part && strcmp(part, l.part) != 0))
            continue;
        put_line(out, &l, first);
        first = false;
    }
}

static void list_lines(ask *a)
{
    log_level level = LOG_TRACE;
    uint64_t limit = 200;
    buf out;
    if (!level_of(a, &level) || !limit_of(a, &limit))
        return;
    char *part = json_text(a->query, "part");
    buf_init(&out, 16u << 20);
    buf_add_text(&out, "{\"lines\":[");
    pthread_mutex_lock(&lock);
    put_lines(&out, level, part && *part ? part : NULL, limit);
    pthread_mutex_unlock(&lock);
    buf_add_text(&out, "]}");
    free(part);
    ask_done(a, false, &out);
    buf_fini(&out);
}

const node_op log_ops[] = {{"logs.list", list_lines, 0}, {NULL, NULL, 0}};
