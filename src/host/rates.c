#include "host/rates.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"

#define TAKES 32                                    /* buckets that one command may take from */
#define LATEST_NS (UINT64_C(30) * 86400 * NS_PER_S) /* longest that anything is counted for */
#define FILE_MAX (1u << 20)
#define TRIES_MAX 20 /* for the lock */

typedef struct bucket {
    list_node node;
    uint64_t full; /* real time, ns */
    char key[DIGEST_HEX];
} bucket;

struct rates {
    list buckets; /* those that are not full */
    char *cache_dir;
    bool warned;
};

rates *rates_new(const char *cache_dir)
{
    rates *r = calloc(1, sizeof *r);
    if (!r || (cache_dir && *cache_dir && !(r->cache_dir = strdup(cache_dir)))) {
        free(r);
        return NULL;
    }
    list_init(&r->buckets);
    return r;
}

void rates_free(rates *r)
{
    if (!r)
        return;
    while (!list_empty(&r->buckets)) {
        bucket *b = LIST_OWNER(r->buckets.head.next, bucket, node);
        list_remove(&b->node);
        free(b);
    }
    free(r->cache_dir);
    free(r);
}

static bucket *find(rates *r, bytes key)
{
    for (list_node *n = r->buckets.head.next; n != &r->buckets.head; n = n->next)
        if (bytes_is(key, LIST_OWNER(n, bucket, node)->key))
            return LIST_OWNER(n, bucket, node);
    return NULL;
}

/* The bucket, made when there is none; NULL when out of memory. */
static bucket *open_bucket(rates *r, bytes key)
{
    bucket *b = find(r, key);
    if (b || !(b = calloc(1, sizeof *b)))
        return b;
    memcpy(b->key, key.at, DIGEST_HEX - 1);
    list_push(&r->buckets, &b->node);
    return b;
}

static void forget_full(rates *r, uint64_t now)
{
    for (list_node *n = r->buckets.head.next; n != &r->buckets.head;) {
        bucket *b = LIST_OWNER(n, bucket, node);
        n = n->next;
        if (b->full <= now) {
            list_remove(&b->node);
            free(b);
        }
    }
}

/* ---- The file: a line "KEY MOMENT" for each bucket that is not full ---- */

/* Opens and locks it; -1: there is none, and only this process counts. Another process holds the lock for
 * microseconds; then *busy. */
static int file_open(rates *r, const char *plugin_id, bool *busy)
{
    weir_error err = WEIR_ERROR_INIT;
    char name[DIGEST_HEX];
    buf path;
    int fd = -1;
    if (!r->cache_dir)
        return -1;
    buf_init(&path, 1 << 16);
    buf_add_fmt(&path, "%s/rates", r->cache_dir);
    buf_add_char(&path, '\0');
    digest_sha256(name, bytes_of(plugin_id));
    if (!path.failed && !file_make_folder(path.at, &err)) {
        path.len--;
        buf_add_fmt(&path, "/%s", name);
        buf_add_char(&path, '\0');
        fd = path.failed ? -1 : open(path.at, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    *busy = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd < 0 && !r->warned)
        log_warn("host", "'%s': rate limits are counted for this process alone: %s", path.at ? path.at : "", *err.text ? err.text : "it cannot be opened");
    r->warned |= fd < 0;
    buf_fini(&path);
    return fd;
}

/* What others have taken meanwhile. Lines that make no sense are none. */
static void file_read_in(rates *r, int fd)
{
    struct stat st;
    buf text;
    ssize_t n = 0;
    buf_init(&text, FILE_MAX);
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < FILE_MAX && buf_reserve(&text, (size_t)st.st_size))
        n = pread(fd, text.at, (size_t)st.st_size, 0);
    const char *at = text.at, *end = at + (n > 0 ? n : 0);
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((line ? line : end) - at);
        uint64_t full;
        if (line && len > DIGEST_HEX && at[DIGEST_HEX - 1] == ' ' &&
            json_u64((json){JSON_NUMBER, {at + DIGEST_HEX, len - DIGEST_HEX}}, &full)) {
            bucket *b = open_bucket(r, bytes_make(at, DIGEST_HEX - 1));
            if (b && full > b->full)
                b->full = full;
        }
        at += len + 1;
    }
    buf_fini(&text);
}

/* All that is counted; also what belongs to other plugins, which does no harm. */
static void file_write(const rates *r, int fd)
{
    buf text;
    buf_init(&text, FILE_MAX);
    for (const list_node *n = r->buckets.head.next; n != &r->buckets.head; n = n->next) {
        const bucket *b = LIST_OWNER(n, const bucket, node);
        buf_add_fmt(&text, "%s ", b->key);
        buf_add_u64(&text, b->full);
        buf_add_char(&text, '\n');
    }
    if (text.failed || ftruncate(fd, 0) || pwrite(fd, text.at, text.len, 0) != (ssize_t)text.len)
        log_debug("host", "rate limits: %zu octets could not be written", text.len);
    buf_fini(&text);
}

/* ---- Taking ---- */

/* One bucket that a command takes from. */
typedef struct take {
    const limit *limit;
    bucket *bucket;
    uint64_t full_after;
} take;

static uint64_t ns_of(double seconds)
{
    return seconds * 1e9 >= (double)LATEST_NS ? LATEST_NS : (uint64_t)(seconds * 1e9);
}

/* What a scope that is neither ip nor apikey means for this command. */
static bytes value_of(bytes word, const rates_asked *asked)
{
    char name[64];
    json config = {0}, value;
    if (word.len >= sizeof name)
        return (bytes){0};
    memcpy(name, word.at, word.len);
    name[word.len] = '\0';
    value = json_member(asked->params, name);
    if (value.type == JSON_NONE)
        value = json_member(json_member(asked->params, "market"), name);
    if (value.type == JSON_NONE && asked->config && !json_read(&config, bytes_of(asked->config), NULL))
        value = json_member(config, name);
    return value.raw;
}

/* Which bucket: of this plugin, this limit, this scope, and what the scope is here. */
static void key_of(char key[DIGEST_HEX], const limit *l, bytes scope, const rates_asked *asked)
{
    buf all;
    buf_init(&all, SIZE_MAX);
    buf_add(&all, asked->plugin_id, strlen(asked->plugin_id) + 1);
    buf_add_bytes(&all, l->command);
    buf_add_fmt(&all, "%c%.17g %.17g%c", '\0', l->rps, l->burst, '\0');
    buf_add_bytes(&all, scope);
    buf_add_char(&all, '\0');
    if (bytes_is(scope, "apikey"))
        buf_add_text(&all, asked->config ? asked->config : "");
    else if (!bytes_is(scope, "ip"))
        buf_add_bytes(&all, value_of(scope, asked));
    digest_sha256(key, buf_bytes(&all));
    if (all.failed)
        *key = '\0';
    buf_fini(&all);
}

static weir_code collect(rates *r, take takes[TAKES], size_t *count, const limits *l, const rates_asked *asked, weir_error *err)
{
    size_t at = 0;
    const limit *one;
    while ((one = limits_next(l, asked->command, &at)))
        for (size_t i = 0; i < one->scope_count && *count < TAKES; i++) {
            char key[DIGEST_HEX];
            key_of(key, one, one->scopes[i], asked);
            bucket *b = *key ? open_bucket(r, bytes_of(key)) : NULL;
            if (!b)
                return error_set(err, WEIR_NOMEM, "rate limits: out of memory");
            takes[(*count)++] = (take){one, b, 0};
        }
    return WEIR_OK;
}

/* How long until this one may be paid. */
static uint64_t price(take *t, uint64_t now)
{
    uint64_t window = ns_of(t->limit->burst / t->limit->rps), step = ns_of(t->limit->cost / t->limit->rps);
    uint64_t full = t->bucket->full < now ? now : t->bucket->full;
    if (full > now + window + 3600 * NS_PER_S) /* the clock went back: as empty as it can be */
        full = now + window;
    t->full_after = full + step;
    return t->full_after > now + window ? t->full_after - now - window : 0;
}

static weir_code too_long(const limit *by, bytes command, uint64_t wait_ns, uint64_t max_wait_ns, weir_error *err)
{
    buf text;
    buf_init(&text, 1 << 10);
    limit_text(&text, by, command);
    error_set(err, WEIR_LIMIT, "the plugin's rate limit (" BYTES_FMT ") allows it in %.1f s, and %.1f s is the longest to wait; ask again then, or wait longer",
              BYTES_ARG(buf_bytes(&text)), (double)((wait_ns + 99 * NS_PER_MS) / (100 * NS_PER_MS)) * 0.1, (double)max_wait_ns * 1e-9);
    buf_fini(&text);
    return WEIR_LIMIT;
}

weir_code rates_take(rates *r, const limits *l, const rates_asked *asked, uint64_t max_wait_ns, uint64_t *wait_ns, const limit **by,
                     weir_error *err)
{
    take takes[TAKES];
    size_t count = 0, at = 0;
    uint64_t now = clock_real();
    *wait_ns = 0;
    *by = NULL;
    if (!limits_next(l, asked->command, &at))
        return WEIR_OK;
    bool busy = false;
    int fd = file_open(r, asked->plugin_id, &busy);
    if (busy && asked->tries < TRIES_MAX) {
        close(fd);
        return error_set(err, WEIR_BUSY, "rate limits: another process counts at this moment");
    }
    forget_full(r, now);
    if (fd >= 0)
        file_read_in(r, fd);
    weir_code code = collect(r, takes, &count, l, asked, err);
    for (size_t i = 0; !code && i < count; i++) {
        uint64_t wait = price(&takes[i], now);
        if (wait > *wait_ns) {
            *wait_ns = wait;
            *by = takes[i].limit;
        }
    }
    if (!code && *wait_ns > max_wait_ns)
        code = too_long(*by, asked->command, *wait_ns, max_wait_ns, err);
    for (size_t i = 0; !code && i < count; i++)
        takes[i].bucket->full = takes[i].full_after;
    forget_full(r, now);
    if (!code && fd >= 0)
        file_write(r, fd);
    if (fd >= 0)
        close(fd); /* and with it the lock */
    return code;
}
