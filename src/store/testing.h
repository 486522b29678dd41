/* testing.h: what the store's tests share: a folder of their own, a store on a loop of their own, answers waited for. */
#ifndef STORE_TESTING_H
#define STORE_TESTING_H

#include <ftw.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "hub/hub.h"
#include "store/inside.h"
#include "tests/lib/records.h"
#include "tests/lib/test.h"

static char dir[64];
static loop *l;
static store *s;
static record_pool *pool;
static store_options options;
static weir_error err;
static buf logged;
static const unsigned char key[STORE_KEY] = "a key of thirty-two octets, fine";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void on_log(void *arg, log_level level, const char *part, const char *text)
{
    (void)arg;
    (void)level;
    (void)part;
    buf_add_text(&logged, text);
    buf_add_char(&logged, '\n');
}

static inline const char *log_text(void)
{
    buf_add_char(&logged, '\0');
    logged.len--;
    return logged.at ? logged.at : "";
}

/* A folder, a loop, no store yet. What a failed test left behind is forgotten. */
static inline void set_up(void)
{
    strcpy(dir, "/tmp/weir-store-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    buf_init(&logged, 1 << 20);
    log_set_sink(on_log, NULL);
    err = (weir_error)WEIR_ERROR_INIT;
    options = (store_options){.dir = dir, .key = {(const char *)key, sizeof key}, .history_flush_ms = 5};
    CHECK_OK(loop_new(&l, &err));
    pool = record_pool_new();
    CHECK(pool != NULL);
    s = NULL;
}

static inline void open_store(void)
{
    CHECK_OK(store_open(&s, l, &options, &err));
}

static inline void close_store(void)
{
    store_close(s);
    s = NULL;
}

static inline void tear_down(void)
{
    close_store();
    record_pool_unref(pool);
    loop_free(l);
    log_set_sink(NULL, NULL);
    buf_fini(&logged);
    clock_replace(NULL, NULL);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Answers ---- */

typedef struct answer {
    bool came;
    weir_code code;
    char error[WEIR_ERROR_TEXT];
} answer;

static inline void on_answer(void *arg, weir_code code, const char *error)
{
    answer *a = arg;
    CHECK(!a->came);
    a->came = true;
    a->code = code;
    snprintf(a->error, sizeof a->error, "%s", error ? error : "");
}

#define WAIT_FOR(condition)     \
    do {                        \
        while (!(condition))    \
            loop_step(l, 1000); \
    } while (0)

static inline answer put(const char *kind, const char *id, const char *json, const char *secret)
{
    answer a = {false, 0, ""};
    store_put(s, kind, id, bytes_of(json), bytes_of(secret), on_answer, &a);
    CHECK(!a.came);
    WAIT_FOR(a.came);
    return a;
}

static inline answer flush_store(void)
{
    answer a = {false, 0, ""};
    store_flush(s, on_answer, &a);
    WAIT_FOR(a.came);
    return a;
}

/* ---- Records ---- */

static inline record_stream *stream_of(const char *type, const char *identifier, uint64_t connection)
{
    record_stream *made = NULL;
    record_key k = {.type = bytes_of(type), .source = BYTES("woox"), .identifier = bytes_of(identifier), .has_connection = connection != 0, .connection = connection};
    CHECK_OK(record_stream_new(&made, pool, &k, &err));
    return made;
}

static inline void add(record_stream *stream, uint64_t ts_event, const char *data)
{
    record *r = record_new(stream, ts_event, 0, bytes_of(data));
    CHECK(r != NULL);
    store_history_add(s, r);
    record_unref(r);
}

static inline void add_numbers(record_stream *stream, uint64_t from, uint64_t count)
{
    char data[32];
    for (uint64_t i = 0; i < count; i++) {
        snprintf(data, sizeof data, "%llu", (unsigned long long)(from + i));
        add(stream, from + i, data);
    }
}

/* ---- Pages ---- */

typedef struct got {
    bool came;
    weir_code code;
    char error[WEIR_ERROR_TEXT];
    uint32_t count;
    uint64_t cursor;
    buf lines;
} got;

/* What comes back is as valid as what went in: records.schema judges it, apart from what the test made. */
static inline void keep_lines(bytes lines)
{
    for (const char *at = lines.at, *end = lines.at + lines.len, *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1)
        test_keep_record(bytes_make(at, (size_t)(newline - at)), 1u << 16);
}

static inline void on_page(void *arg, const store_history_page *page)
{
    got *g = arg;
    CHECK(!g->came);
    g->came = true;
    g->code = page->code;
    snprintf(g->error, sizeof g->error, "%s", page->error ? page->error : "");
    g->count = page->count;
    g->cursor = page->cursor;
    buf_add_bytes(&g->lines, page->lines);
    keep_lines(page->lines);
}

static inline got ask(const store_history_query *q)
{
    got g = {.came = false};
    buf_init(&g.lines, SIZE_MAX / 2);
    store_history_read(s, q, on_page, &g);
    CHECK(!g.came);
    WAIT_FOR(g.came);
    return g;
}

/* The values of `data` of each line, blanks between; of a gap "gap(cause,count,from-to)", of a status its state. */
static inline const char *values(const got *g)
{
    static buf out;
    bytes rest = buf_bytes(&g->lines);

    buf_fini(&out);
    buf_init(&out, SIZE_MAX / 2);
    while (rest.len) {
        const char *end = memchr(rest.at, '\n', rest.len);
        json doc;
        CHECK_OK(json_read(&doc, bytes_make(rest.at, (size_t)(end - rest.at)), &err));
        if (out.len)
            buf_add_char(&out, ' ');
        if (json_is(json_member(doc, "kind"), "data"))
            buf_add_bytes(&out, json_member(doc, "data").raw);
        else if (json_is(json_member(doc, "kind"), "gap"))
            buf_add_fmt(&out, "gap(" BYTES_FMT "," BYTES_FMT "," BYTES_FMT "-" BYTES_FMT ")", BYTES_ARG(json_member(doc, "cause").raw), BYTES_ARG(json_member(doc, "count").raw), BYTES_ARG(json_member(doc, "from_seq").raw), BYTES_ARG(json_member(doc, "to_seq").raw));
        else
            buf_add_bytes(&out, json_member(doc, "state").raw);
        rest.len -= (size_t)(end + 1 - rest.at);
        rest.at = end + 1;
    }
    buf_add_char(&out, '\0');
    CHECK(!out.failed);
    return out.at;
}

static inline void check_values(const store_history_query *q, const char *want, uint64_t cursor, const char *file, int line)
{
    got g = ask(q);
    if (g.code)
        test_fail(file, line, "the question failed: %s", g.error);
    check_text(values(&g), want, "values", file, line);
    check_uint(g.cursor != 0, cursor != 0, "cursor", file, line);
    buf_fini(&g.lines);
}
#define CHECK_VALUES(want, more, ...) check_values(&(store_history_query){__VA_ARGS__}, want, more, __FILE__, __LINE__)

#endif
