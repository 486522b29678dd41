/* See traps.h. What waits to be written is a list; one item at a time is a job's, so that two never write the
 * same file. The job reads the file, puts the new trap at its head, and replaces it: a file that is damaged or
 * foreign begins anew. */
#include "host/traps.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"

#define WAITING_MAX 64
#define FILE_MAX (8u << 20)
#define NAME_MAX_PLAIN 100

typedef struct item {
    list_node node;
    char *path, *json;
    weir_error err; /* of writing it */
} item;

struct traps {
    loop *loop;
    char *folder;
    list waiting;
    size_t count;
    item *writing; /* the job's */
    bool said;     /* that it cannot be written */
};

/* ---- Names ---- */

void traps_folder(buf *out, const char *asked)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (asked && *asked)
        buf_add_fmt(out, "%s/traps", asked);
    else if (asked)
        return;
    else if (base && *base == '/')
        buf_add_fmt(out, "%s/weir/traps", base);
    else if (home && *home == '/')
        buf_add_fmt(out, "%s/.local/state/weir/traps", home);
}

/* A plugin chooses its id: what is not plain in it does not get into a path. */
static void file_name(buf *out, const char *id)
{
    char digest[DIGEST_HEX];
    bool plain = *id && *id != '.' && strlen(id) <= NAME_MAX_PLAIN;
    for (const char *c = id; *c; c++)
        plain &= isalnum((unsigned char)*c) || strchr("._-", *c) != NULL;
    for (size_t i = 0; id[i] && i < NAME_MAX_PLAIN; i++)
        buf_add_char(out, isalnum((unsigned char)id[i]) || (i && strchr("._-", id[i])) ? id[i] : '_');
    if (!plain) {
        digest_sha256(digest, bytes_of(id));
        buf_add_fmt(out, "~%.16s", digest);
    }
    buf_add_text(out, ".json");
}

/* ---- Writing, on a worker ---- */

static int is_trap_file(const struct dirent *d)
{
    size_t len = strlen(d->d_name);
    return len > 5 && !strcmp(d->d_name + len - 5, ".json");
}

/* The oldest files go when there are too many. */
static void thin_out(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_trap_file, NULL);
    for (int left = n; left > TRAPS_FILES; left--) {
        char path[4096], oldest[4096] = "";
        struct stat st;
        time_t age = 0;
        for (int i = 0; i < n; i++) {
            snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
            if (stat(path, &st) == 0 && (!*oldest || st.st_mtime < age)) {
                age = st.st_mtime;
                snprintf(oldest, sizeof oldest, "%s", path);
            }
        }
        if (!*oldest || unlink(oldest))
            break;
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    if (n >= 0)
        free(names);
}

static void write_item(void *arg)
{
    item *i = arg;
    buf old, all;
    json list = {0}, key, trap;
    char *slash = strrchr(i->path, '/');
    buf_init(&old, FILE_MAX);
    buf_init(&all, FILE_MAX);
    *slash = '\0';
    weir_code code = file_make_folder(i->path, &i->err);
    *slash = '/';
    if (!code && file_read(&old, i->path, NULL) == WEIR_OK)
        json_read(&list, buf_bytes(&old), NULL);
    buf_add_text(&all, "[\n");
    buf_add_text(&all, i->json);
    int n = 1;
    for (json_iter it = json_each(list); list.type == JSON_ARRAY && n < TRAPS_IN_FILE && json_next(&it, &key, &trap); n++) {
        buf_add_text(&all, ",\n");
        json_put_compact(&all, trap);
    }
    buf_add_text(&all, "\n]\n");
    if (!code && all.failed)
        code = error_set(&i->err, WEIR_NOMEM, "'%s': out of memory", i->path);
    if (!code && file_replace(i->path, buf_bytes(&all), &i->err) == WEIR_OK) {
        *slash = '\0';
        thin_out(i->path);
        *slash = '/';
    }
    buf_fini(&old);
    buf_fini(&all);
}

/* ---- On the loop ---- */

static void item_free(item *i)
{
    if (i) {
        free(i->path);
        free(i->json);
    }
    free(i);
}

static void written(traps *t, item *i)
{
    if (i->err.code && !t->said) {
        t->said = true;
        log_warn("host", "traps are not kept for 'weir why': %s", i->err.text);
    }
    item_free(i);
}

static void next(traps *t);

static void on_written(void *arg, bool cancelled)
{
    traps *t = arg;
    item *i = t->writing;
    t->writing = NULL;
    if (cancelled)
        write_item(i);
    written(t, i);
    next(t);
}

static void work(void *arg)
{
    traps *t = arg;
    write_item(t->writing);
}

static void next(traps *t)
{
    list_node *node;
    if (t->writing || !(node = list_pop(&t->waiting)))
        return;
    t->count--;
    t->writing = LIST_OWNER(node, item, node);
    if (job_start(NULL, t->loop, work, on_written, t, NULL)) /* no thread: then here */
        on_written(t, true);
}

weir_code traps_new(traps **out, loop *l, const char *folder, weir_error *err)
{
    traps *t = calloc(1, sizeof *t);
    if (!t || !(t->folder = strdup(folder))) {
        free(t);
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    t->loop = l;
    list_init(&t->waiting);
    *out = t;
    return WEIR_OK;
}

void traps_free(traps *t)
{
    list_node *node;
    if (!t)
        return;
    while (t->writing)
        loop_step(t->loop, -1);
    while ((node = list_pop(&t->waiting))) {
        item *i = LIST_OWNER(node, item, node);
        write_item(i);
        written(t, i);
    }
    free(t->folder);
    free(t);
}

void traps_keep(traps *t, const char *plugin_id, const char *json)
{
    buf path;
    item *i = calloc(1, sizeof *i);
    buf_init(&path, 1 << 16);
    buf_add_fmt(&path, "%s/", t->folder);
    file_name(&path, plugin_id);
    if (i && !path.failed) {
        i->path = bytes_dup(buf_bytes(&path));
        i->json = strdup(json);
    }
    buf_fini(&path);
    if (!i || !i->path || !i->json) {
        item_free(i);
        log_warn("host", "a trap is not kept for 'weir why': out of memory");
        return;
    }
    if (t->count == WAITING_MAX) { /* they come faster than they can be written: the older ones say less */
        item_free(LIST_OWNER(list_pop(&t->waiting), item, node));
        t->count--;
    }
    list_push(&t->waiting, &i->node);
    t->count++;
    next(t);
}

/* ---- Finding ---- */

/* "trades:SPOT_BTC_USDT" or "ohlcv:SPOT_BTC_USDT:1m". */
static bool names_stream(json key, const char *what)
{
    buf spec;
    buf_init(&spec, 1 << 16);
    json_string_add(json_member(key, "type"), &spec);
    buf_add_char(&spec, ':');
    json_string_add(json_member(key, "identifier"), &spec);
    bool same = key.type == JSON_OBJECT && bytes_is(buf_bytes(&spec), what);
    buf_add_char(&spec, ':');
    json_string_add(json_member(json_member(key, "parameters"), "timeframe"), &spec);
    same |= key.type == JSON_OBJECT && bytes_is(buf_bytes(&spec), what);
    buf_fini(&spec);
    return same;
}

static bool about(json trap, const char *what)
{
    const char *slash = strrchr(what, '/');
    return json_is(json_member(trap, "plugin"), what) || json_is(json_member(trap, "file"), slash ? slash + 1 : what) ||
           json_is(json_member(trap, "topic"), what) || names_stream(json_member(trap, "stream"), what);
}

typedef struct found {
    char *time, *text;
} found;

static int newest_first(const void *a, const void *b)
{
    return -strcmp(((const found *)a)->time, ((const found *)b)->time); /* RFC 3339 in UTC sorts as text */
}

typedef struct search {
    const char *what;
    found *at;
    size_t count, room;
    buf known; /* the plugins that are there */
    bool failed;
} search;

static void take(search *s, json trap)
{
    if (!about(trap, s->what))
        return;
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 32;
        found *at = realloc(s->at, room * sizeof *at);
        if (!at) {
            s->failed = true;
            return;
        }
        s->at = at;
        s->room = room;
    }
    found f = {json_string_dup(json_member(trap, "time")), bytes_dup(trap.raw)};
    if (!f.time || !f.text) {
        free(f.time);
        free(f.text);
        return; /* one without a time is none of ours */
    }
    s->at[s->count++] = f;
}

static void look_into(search *s, const char *path)
{
    json list, key, trap;
    buf text;
    bool first = true;
    buf_init(&text, FILE_MAX);
    if (file_read(&text, path, NULL) == WEIR_OK && json_read(&list, buf_bytes(&text), NULL) == WEIR_OK && list.type == JSON_ARRAY)
        for (json_iter it = json_each(list); json_next(&it, &key, &trap); first = false) {
            if (first) {
                buf_add_text(&s->known, s->known.len ? ", " : "");
                json_string_add(json_member(trap, "plugin"), &s->known);
            }
            take(s, trap);
        }
    buf_fini(&text);
}

static weir_code say_none(const search *s, const char *folder, weir_error *err)
{
    if (!s->known.len)
        return error_set(err, WEIR_NOT_FOUND, "no trap of '%s' is kept: '%s' has none at all", s->what, folder);
    return error_set(err, WEIR_NOT_FOUND, "no trap of '%s' is kept in '%s'; there are traps of %.*s", s->what, folder, (int)s->known.len, s->known.at);
}

weir_code traps_find(buf *out, const char *folder, const char *what, weir_error *err)
{
    search s = {.what = what};
    struct dirent **names;
    weir_code code = WEIR_OK;
    int n = scandir(folder, &names, is_trap_file, alphasort);
    if (n < 0 && errno != ENOENT)
        return error_set(err, WEIR_SYSTEM, "'%s': %s", folder, strerror(errno));
    buf_init(&s.known, 400);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        look_into(&s, path);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    if (s.count)
        qsort(s.at, s.count, sizeof *s.at, newest_first);
    buf_add_char(out, '[');
    for (size_t i = 0; i < s.count; i++) {
        buf_add_text(out, i ? ",\n" : "");
        buf_add_text(out, s.at[i].text);
        free(s.at[i].time);
        free(s.at[i].text);
    }
    buf_add_char(out, ']');
    if (s.failed || out->failed)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    else if (!s.count)
        code = say_none(&s, folder, err);
    free(s.at);
    buf_fini(&s.known);
    return code;
}
