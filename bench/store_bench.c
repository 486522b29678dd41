/* The history beside SQLite itself: the same rows inserted in transactions of the same size, the same candles selected.
 *
 * Both sides of one run use the same schema, the same settings (WAL, synchronous=FULL) and the same disk; they take turns, and of each
 * the best round counts. Time is CPU time of the whole process, all threads, for inserts (what waits for the disk is the disk's
 * matter; bench.json has the wall clock, too), and of the wall for questions, since two threads take part and one waits.
 *
 * usage: store_bench [RECORDS [ROUNDS]] [--json] */
#include "bench/bench.h"

#include <ftw.h>

#include "store/inside.h"

#define STREAMS 50
#define CANDLES 10000
#define PER_COMMIT 20000

static size_t count = 200000;
static record **records;
static uint64_t *ids; /* of their rows, as the store numbers them */
static record_pool *pool;
static record_stream *streams[STREAMS];
static loop *l;
static char folder[256];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void fresh_folder(void)
{
    const char *where = getenv("TMPDIR"); /* /tmp may be memory */
    snprintf(folder, sizeof folder, "%s/store_bench.XXXXXX", where && *where ? where : "/var/tmp");
    if (!mkdtemp(folder))
        give_up("'%s': %s", folder, strerror(errno));
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Candles of 50 symbols in turns. */
static void make_records(void)
{
    char name[16], data[256];
    pool = record_pool_new();
    records = malloc(count * sizeof *records);
    ids = malloc(count * sizeof *ids);
    if (!pool || !records || !ids)
        give_up("out of memory");
    for (uint64_t i = 0; i < STREAMS; i++) {
        snprintf(name, sizeof name, "SYMBOL_%llu", (unsigned long long)i);
        record_key k = {.type = BYTES("ohlcv"), .source = BYTES("woox-datasource"), .identifier = bytes_of(name), .parameters = BYTES("{\"timeframe\":\"1m\"}"), .has_connection = true, .connection = 1};
        if (record_stream_new(&streams[i], pool, &k, NULL))
            give_up("no stream");
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t minute = (1700000000 + i / STREAMS * 60) * UINT64_C(1000000000);
        int len = snprintf(data, sizeof data, "{\"symbol\":\"SYMBOL_%zu\",\"ts_event\":\"%llu\",\"open\":\"37012.4\",\"high\":\"37%03zu.1\",\"low\":\"36990.2\",\"close\":\"37011.%zu\",\"volume\":\"12.%zu\",\"closed\":true}",
                           i % STREAMS, (unsigned long long)minute, i % 1000, i % 10, i);
        records[i] = record_new(streams[i % STREAMS], minute, minute + 60, bytes_make(data, (size_t)len));
        if (!records[i])
            give_up("out of memory");
        ids[i] = HISTORY_ID(i % STREAMS + 1, i + 1);
    }
}

/* ---- Ours ---- */

static bool done;

static void on_done(void *arg, weir_code code, const char *error)
{
    (void)arg;
    if (code)
        give_up("%s", error);
    done = true;
}

static void flush_store(store *s)
{
    done = false;
    store_flush(s, on_done, NULL);
    while (!done)
        loop_step(l, 1000);
}

static store *open_ours(void)
{
    static const char key[STORE_KEY] = "the bench has no secrets at all";
    weir_error err = WEIR_ERROR_INIT;
    store_options o = {.dir = folder, .key = {key, sizeof key}, .history_ms = UINT64_MAX / 2000000, .history_octets = UINT64_C(8) << 30, .waiting_octets = UINT64_C(1) << 30};
    store *s;
    if (store_open(&s, l, &o, &err))
        give_up("%s", err.text);
    return s;
}

static void insert_ours(double *cpu, double *wall)
{
    fresh_folder();
    store *s = open_ours();
    double begin = cpu_s(), begin_wall = wall_s();
    for (size_t i = 0; i < count; i++) {
        store_history_add(s, records[i]);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            flush_store(s);
    }
    flush_store(s);
    *cpu = cpu_s() - begin;
    *wall = wall_s() - begin_wall;
    store_close(s);
    remove_folder();
}

/* ---- SQLite's ---- */

static void must(sqlite3 *db, int code)
{
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        give_up("SQLite: %s", sqlite3_errmsg(db));
}

static void insert_bare(double *cpu, double *wall)
{
    weir_error err = WEIR_ERROR_INIT;
    char path[320];
    sqlite3_stmt *insert;
    db d;

    fresh_folder();
    snprintf(path, sizeof path, "%s/history.db", folder);
    if (db_open(&d, path, &schema_history, &err))
        give_up("%s", err.text);
    must(d.at, sqlite3_prepare_v2(d.at, "INSERT INTO record(id, place, kind, ts_out, ts_event, line) VALUES(?,?,?,?,?,?)", -1, &insert, NULL));
    double begin = cpu_s(), begin_wall = wall_s();
    must(d.at, sqlite3_exec(d.at, "BEGIN", NULL, NULL, NULL));
    for (size_t i = 0; i < count; i++) {
        const record *r = records[i];
        sqlite3_bind_int64(insert, 1, (sqlite3_int64)ids[i]);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)r->seq * 2);
        sqlite3_bind_int(insert, 3, r->kind);
        sqlite3_bind_int64(insert, 4, (sqlite3_int64)r->ts_out);
        sqlite3_bind_int64(insert, 5, (sqlite3_int64)r->ts_event);
        sqlite3_bind_text(insert, 6, r->line.at, (int)r->line.len, SQLITE_STATIC);
        must(d.at, sqlite3_step(insert));
        sqlite3_reset(insert);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            must(d.at, sqlite3_exec(d.at, "COMMIT; BEGIN", NULL, NULL, NULL));
    }
    must(d.at, sqlite3_exec(d.at, "COMMIT", NULL, NULL, NULL));
    *cpu = cpu_s() - begin;
    *wall = wall_s() - begin_wall;
    sqlite3_finalize(insert);
    db_close(&d);
    remove_folder();
}

/* ---- Questions ---- */

static uint32_t lines;
static size_t octets;

static void on_page(void *arg, const store_history_page *page)
{
    (void)arg;
    if (page->code)
        give_up("%s", page->error);
    lines = page->count;
    octets = page->lines.len;
    done = true;
}

static double ask_ours(store *s, const store_history_query *q)
{
    double begin = wall_s();
    done = false;
    store_history_read(s, q, on_page, NULL);
    while (!done)
        loop_step(l, 1000);
    return wall_s() - begin;
}

static double ask_bare(sqlite3 *db, sqlite3_stmt *rows, uint64_t from, uint64_t to, buf *out)
{
    double begin = wall_s();
    int step;
    buf_clear(out);
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)from);
    sqlite3_bind_int64(rows, 2, (sqlite3_int64)to);
    while ((step = sqlite3_step(rows)) == SQLITE_ROW) {
        buf_add(out, sqlite3_column_text(rows, 0), (size_t)sqlite3_column_bytes(rows, 0));
        buf_add_char(out, '\n');
    }
    must(db, step);
    sqlite3_reset(rows);
    return wall_s() - begin;
}

static void compare_questions(double *ours, double *bare, double *many, int rounds)
{
    char path[320];
    sqlite3 *db;
    sqlite3_stmt *rows;
    buf out;

    fresh_folder();
    store *s = open_ours();
    for (size_t i = 0; i < count; i++) {
        store_history_add(s, records[i]);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            flush_store(s);
    }
    flush_store(s);
    snprintf(path, sizeof path, "%s/history.db", folder);
    must(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
    must(db, sqlite3_prepare_v2(db, "SELECT line FROM record WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 10000", -1, &rows, NULL));
    buf_init(&out, SIZE_MAX / 2);
    *ours = *bare = *many = 1e9;
    for (int i = 0; i < rounds * 10; i++) {
        double t = ask_ours(s, &(store_history_query){.topic = record_stream_topic(streams[i % STREAMS]).at});
        *ours = t < *ours ? t : *ours;
        t = ask_bare(db, rows, HISTORY_ID(i % STREAMS + 1, 0), HISTORY_ID(i % STREAMS + 2, 0) - 1, &out);
        *bare = t < *bare ? t : *bare;
        if (octets != out.len)
            give_up("%zu octets by the store, %zu by SQLite", octets, out.len);
        t = ask_ours(s, &(store_history_query){.pattern = "ohlcv.>", .newest_first = true});
        *many = t < *many ? t : *many;
    }
    buf_fini(&out);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    store_close(s);
    remove_folder();
}

int main(int argc, char **argv)
{
    bool as_json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    double ours = 1e9, bare = 1e9, ours_wall = 1e9, bare_wall = 1e9, ask = 0, select = 0, many = 0, cpu, wall;
    int rounds = 3;

    argc -= as_json;
    if (argc > 1)
        count = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        rounds = atoi(argv[2]);
    if (loop_new(&l, NULL) || count < 1000 || rounds < 1)
        give_up("usage: store_bench [RECORDS [ROUNDS]] [--json]");
    if (count < CANDLES * STREAMS)
        count = CANDLES * STREAMS; /* so that each stream has as many candles as are asked for */
    make_records();
    for (int i = 0; i < rounds; i++) {
        insert_bare(&cpu, &wall);
        bare = cpu < bare ? cpu : bare;
        bare_wall = wall < bare_wall ? wall : bare_wall;
        insert_ours(&cpu, &wall);
        ours = cpu < ours ? cpu : ours;
        ours_wall = wall < ours_wall ? wall : ours_wall;
    }
    compare_questions(&ask, &select, &many, rounds);
    const char *form = as_json ? "{\"records\":%zu,\"insert_per_cpu_s\":%.0f,\"bare_insert_per_cpu_s\":%.0f,\"insert_ratio\":%.3f,\"insert_wall_ratio\":%.3f,\"query_us\":%.0f,\"bare_query_us\":%.0f,\"query_ratio\":%.3f,\"many_us\":%.0f}\n"
                               : "%zu records: inserted %.0f a CPU second, by SQLite alone %.0f, ratio %.2f (wall %.2f); 10,000 candles in %.0f us, by SQLite alone %.0f us, ratio %.2f; the newest 10,000 of 50 streams in %.0f us\n";
    printf(form, count, (double)count / ours, (double)count / bare, bare / ours, bare_wall / ours_wall, ask * 1e6, select * 1e6, ask / select, many * 1e6);
    for (size_t i = 0; i < count; i++)
        record_unref(records[i]);
    for (int i = 0; i < STREAMS; i++)
        record_stream_unref(streams[i]);
    record_pool_unref(pool);
    loop_free(l);
    free(records);
    free(ids);
    return 0;
}
