/* What every sink keeps, run for each line of the registry: those of files against a file, the others against a real server or
 * socket, where its program is here. */
#include "sink/testing.h"

#include <sys/un.h>

static hub *h;
static record_stream *evil;
static sub *reader;
static char folder[64], path[128];

/* How each is opened: with a path, or with the port of its other end. */
static const struct row {
    const char *name, *spec;
    const char *server; /* NULL: a file; "unix" and "udp" are sockets of this test */
} rows[] = {
    {"ndjson", "ndjson:%s", NULL},
    {"csv", "csv:%s", NULL},
    {"table", "table:%s", NULL},
    {"unix", "unix:/tmp/weir-suite-%d?retry_ms=50&window=4", "unix"},
    {"udp", "udp://127.0.0.1:%d?retry_ms=50&window=4", "udp"},
    {"redis", "redis://127.0.0.1:%d?retry_ms=50&window=4", "redis-server"},
    {"nats", "nats://127.0.0.1:%d?retry_ms=50&window=4", "nats-server"},
    {"kafka", "kafka://127.0.0.1:%d/weir?retry_ms=50&window=4", "no-kafka"}, /* a broker takes too long to start: sink_kafka_test.c */
};

static const struct row *row_of(const sink_ops *ops)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, ops->name) == 0)
            return &rows[i];
    test_fail(__FILE__, __LINE__, "the sink '%s' has no row in this test", ops->name);
}

/* A stream whose every text wants to do something to the terminal, a record of each kind. */
static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades\x1b[2J"), BYTES("woox"), BYTES("\x1b]0;x\x07"
                                                                   "BTC\n\xE2\x80\xAE"),
                      BYTES("{\"timeframe\":\"\\u001b[31m\"}"), false, 0};
    record_gap gap = {.cause = RECORD_GAP_DISCONNECTED};

    snprintf(folder, sizeof folder, "/tmp/weir-suite-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/out", folder);
    CHECK_OK(hub_new(&h, &err));
    CHECK_OK(hub_stream(&evil, h, &key, &err));
    CHECK_OK(hub_subscribe(&reader, h, ">", NULL, &err));
    for (int i = 0; i < 10; i++)
        hub_publish(h, record_new(evil, 0, 0, BYTES("{\"price\":\"\\u001b[1m\",\n\"side\":\"\\r\\n\"}")));
    hub_publish_gap(h, evil, &gap);
    hub_publish_status(h, evil, RECORD_FAILED, "\x1b[5m \x07 \xff");
}

static void end(void)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK(hub_account_check(h, &err));
    record_stream_unref(evil);
    hub_free(h);
    unlink(path);
    rmdir(folder);
}

static sink *open_spec(const char *spec)
{
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    CHECK_OK(sink_open(&k, spec, NULL, &err));
    return k;
}

static void spec_of(char out[200], const sink_ops *ops, int port)
{
    const struct row *row = row_of(ops);
    if (row->server)
        snprintf(out, 200, row->spec, port);
    else
        snprintf(out, 200, row->spec, path);
}

/* A socket that takes all and reads nothing; twelve records fit. */
static int socket_up(const char *kind, int port)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool local = strcmp(kind, "unix") == 0;
    int fd = socket(local ? AF_UNIX : AF_INET, local ? SOCK_STREAM : SOCK_DGRAM, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "/tmp/weir-suite-%d", port);
    unlink(un.sun_path);
    CHECK(bind(fd, local ? (void *)&un : (void *)&in, local ? sizeof un : sizeof in) == 0);
    CHECK(!local || listen(fd, 5) == 0);
    return fd;
}

static void server_up(server *s)
{
    char port[8];
    snprintf(port, sizeof port, "%d", s->port);
    if (strcmp(s->program, "redis-server") == 0)
        server_start(s, (const char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s->folder, "--save", "", NULL});
    else
        server_start(s, (const char *[]){"nats-server", "-js", "-a", "127.0.0.1", "-p", port, "-sd", s->folder, NULL});
}

/* The other end of a sink, while `up`; the sink, open. A file is its own. */
typedef struct way_out {
    server server;
    int fd; /* or: a socket */
    sink *sink;
    const struct row *row;
} way_out;

static bool here(const sink_ops *ops)
{
    const char *program = row_of(ops)->server;
    char which[128];
    if (!program || !strchr(program, '-'))
        return true;
    snprintf(which, sizeof which, "command -v %s >/dev/null", program);
    return system(which) == 0;
}

static way_out way_begin(const sink_ops *ops)
{
    char spec[200];
    way_out w = {.row = row_of(ops), .fd = -1};
    begin();
    if (w.row->server && strchr(w.row->server, '-')) {
        w.server = server_new(w.row->server, 2);
        server_up(&w.server);
    } else if (w.row->server) {
        w.server.port = free_port(2);
        w.fd = socket_up(w.row->server, w.server.port);
    }
    spec_of(spec, ops, w.server.port);
    w.sink = open_spec(spec);
    return w;
}

static void way_end(way_out *w)
{
    char name[64];
    sink_close(w->sink);
    if (*w->server.folder)
        server_free(&w->server);
    if (w->fd >= 0)
        close(w->fd);
    snprintf(name, sizeof name, "/tmp/weir-suite-%d", w->server.port);
    unlink(name);
    end();
}

/* All that is queued has gone. */
static void settle(sink *k)
{
    t_reader = reader;
    t_until(k, t_settled);
}

static void adds_up(const sink *k)
{
    sink_account a = sink_read_account(k);
    CHECK(sink_account_adds_up(&a));
}

#define FOR_EACH_SINK(ops)                              \
    for (size_t i_ = 0; i_ == 0 || sink_each(i_); i_++) \
        for (const sink_ops *ops = sink_each(i_); ops; ops = NULL)
#define FOR_EACH_FILE_SINK(ops) FOR_EACH_SINK(ops) if (!row_of(ops)->server)
#define FOR_EACH_REMOTE_SINK(ops) FOR_EACH_SINK(ops) if (row_of(ops)->server)
/* Those whose other end's program is not here are left out; their own tests say so. */
#define FOR_EACH_SINK_HERE(ops) FOR_EACH_SINK(ops) if (here(ops))

TEST(suite, registry_names_are_unique_and_found)
{
    FOR_EACH_SINK(ops)
    {
        CHECK(sink_find(ops->name) == ops);
        CHECK(ops->help && *ops->help);
        CHECK(ops->open && ops->write && ops->flush && ops->close && ops->account);
        CHECK(!ops->hears || ops->fd);
        row_of(ops);
    }
}

TEST(suite, unknown_sink_is_refused_with_the_list)
{
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    CHECK_INT(sink_open(&k, "kafak:x", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "sink 'kafak:x': there is no such sink; there are 'ndjson', 'csv', 'table', ");
    CHECK_INT(sink_open(&k, "a-name-longer-than-any-sink-will-ever-have", NULL, &err), WEIR_INVALID);
    CHECK_INT(sink_open(&k, "ndjson:", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "no path behind the colon");
    CHECK(k == NULL);
}

TEST(suite, target_that_cannot_be_is_refused_with_its_name)
{
    begin();
    FOR_EACH_FILE_SINK(ops)
    {
        weir_error err = WEIR_ERROR_INIT;
        char spec[200];
        sink *k = NULL;
        snprintf(spec, sizeof spec, "%s:/nowhere/at/all", ops->name);
        CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "'/nowhere/at/all': cannot be opened for writing: No such file");
        snprintf(spec, sizeof spec, "%s:%s", ops->name, folder);
        CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "Is a directory");
        sink_options o = SINK_OPTIONS_INIT;
        o.fd = 1000;
        CHECK_INT(sink_open(&k, ops->name, &o, &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "'descriptor 1000': cannot be written to: Bad file descriptor");
        o.fd = open("/dev/null", O_RDONLY);
        CHECK_INT(sink_open(&k, ops->name, &o, &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "is open for reading only");
        close(o.fd);
        CHECK(mkfifo(path, 0600) == 0);
        snprintf(spec, sizeof spec, "%s:%s", ops->name, path);
        CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "nobody reads this FIFO");
        unlink(path);
        CHECK(k == NULL);
    }
    end();
}

TEST(suite, sink_without_records_closes_quietly)
{
    FOR_EACH_SINK_HERE(ops)
    {
        way_out w = way_begin(ops);
        CHECK_INT(sink_flush(w.sink), SINK_ACCEPTED);
        CHECK(!sink_wants_write(w.sink));
        adds_up(w.sink);
        way_end(&w);
    }
    sink_close(NULL);
}

TEST(suite, all_records_are_accepted_and_written)
{
    FOR_EACH_SINK_HERE(ops)
    {
        way_out w = way_begin(ops);
        CHECK_INT(sink_drain(w.sink, reader, 3), SINK_MORE);
        adds_up(w.sink);
        settle(w.sink);
        CHECK_UINT(sink_read_account(w.sink).accepted, 12);
        CHECK_UINT(sink_read_account(w.sink).written, 12);
        CHECK_UINT(sink_oldest(w.sink), 0);
        CHECK_INT(sink_get_state(w.sink), SINK_OPEN);
        CHECK_TEXT(sink_waits_for(w.sink)->text, "");
        adds_up(w.sink);
        struct stat info;
        if (!w.row->server) {
            sink_close(w.sink);
            w.sink = NULL;
            CHECK(stat(path, &info) == 0 && info.st_size > 0);
        }
        way_end(&w);
    }
}

/* What lies behind the limit leaves the queue all the same, and states are still shown. */
TEST(suite, limit_counts_data_records_and_lets_states_through)
{
    FOR_EACH_SINK_HERE(ops)
    {
        way_out w = way_begin(ops);
        CHECK_INT(sink_drain(w.sink, reader, 2), SINK_MORE);
        sink_limit(w.sink, 3);
        settle(w.sink);
        CHECK_UINT(sink_read_account(w.sink).accepted, 2 + 3 + 1);
        sink_limit(w.sink, 0);
        hub_publish(h, record_new(evil, 0, 0, BYTES("{}")));
        settle(w.sink);
        CHECK_UINT(sink_read_account(w.sink).accepted, 2 + 3 + 1 + 1);
        adds_up(w.sink);
        way_end(&w);
    }
}

/* Nobody is at the other end: records are kept up to the window, the rest stays in the queue, and closing takes no longer than
 * it says. */
TEST(suite, remote_end_that_is_away_is_waited_for)
{
    FOR_EACH_REMOTE_SINK(ops)
    {
        char spec[200];
        if (strcmp(ops->name, "udp") == 0)
            continue; /* it cannot know */
        begin();
        t_reader = reader;
        spec_of(spec, ops, free_port(2));
        sink *k = open_spec(spec);
        t_until(k, t_waits);
        CHECK(sink_hears(k) && sink_fd(k) >= 0);
        CHECK_INT(sink_drain(k, reader, 100), SINK_BLOCKED);
        CHECK_UINT(sink_read_account(k).accepted, 4);
        CHECK_UINT(sink_read_account(k).buffered, 4);
        CHECK(sink_oldest(k) > 0 && sink_oldest(k) <= clock_real());
        CHECK(sub_read_account(reader).queued == 8);
        adds_up(k);
        sink_close(k);
        end();
    }
}

TEST(suite, remote_spec_that_makes_no_sense_is_refused)
{
    FOR_EACH_REMOTE_SINK(ops)
    {
        static const char *const bad[] = {"%s:", "%s://h:1/t?window=0", "%s://h:1/t?no-such-option=1&window=0", "%s", "%s:x", "%s://u:hunter2@:1"};
        size_t common = strcmp(ops->name, "unix") == 0 ? 3 : sizeof bad / sizeof *bad;
        for (size_t i = 0; i < common; i++) {
            weir_error err = WEIR_ERROR_INIT;
            char spec[200];
            sink *k = NULL;
            snprintf(spec, sizeof spec, bad[i], ops->name);
            CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_INVALID);
            CHECK_HAS(err.text, ops->name);
            CHECK(!strstr(err.text, "hunter2"));
            CHECK(k == NULL);
        }
    }
}

TEST(suite, no_control_character_of_a_guest_reaches_the_outside)
{
    FOR_EACH_FILE_SINK(ops)
    {
        weir_error err = WEIR_ERROR_INIT;
        buf out;
        begin();
        char spec[200];
        spec_of(spec, ops, 0);
        sink *k = open_spec(spec);
        CHECK_INT(sink_drain(k, reader, 100), SINK_DONE);
        sink_close(k);
        buf_init(&out, 1 << 20);
        CHECK_OK(file_read(&out, path, &err));
        for (size_t i = 0; i < out.len; i++)
            CHECK(out.at[i] == '\n' || (unsigned char)out.at[i] >= 0x20);
        CHECK(bytes_utf8(buf_bytes(&out)));
        buf_fini(&out);
        end();
    }
}

TEST(suite, reader_that_went_away_never_kills_the_process)
{
    FOR_EACH_FILE_SINK(ops)
    {
        weir_error err = WEIR_ERROR_INIT;
        sink_options o = SINK_OPTIONS_INIT;
        sink *k = NULL;
        int p[2];
        begin();
        CHECK(pipe(p) == 0);
        o.fd = p[1];
        CHECK_OK(sink_open(&k, ops->name, &o, &err));
        close(p[0]);
        for (int i = 0; i < 3; i++) {
            sink_progress progress = sink_drain(k, reader, 100);
            CHECK(progress == SINK_FAILED ? sink_why(k)->code == WEIR_CLOSED : progress == SINK_DONE);
            adds_up(k);
        }
        sink_close(k);
        close(p[1]);
        end();
    }
}

TEST(suite, sink_survives_any_failed_allocation)
{
    FOR_EACH_SINK(ops)
    {
        begin();
        record *r = sub_next(reader);
        int port = free_port(2); /* nobody's */
        FAULT_SWEEP(alloc) {
            weir_error err = WEIR_ERROR_INIT;
            char spec[200];
            sink *k = NULL;
            spec_of(spec, ops, port);
            if (sink_open(&k, spec, NULL, &err)) {
                CHECK_UINT(err.code, WEIR_NOMEM);
                continue;
            }
            CHECK_INT(sink_write(k, r), SINK_ACCEPTED);
            CHECK_INT(sink_flush(k), SINK_ACCEPTED);
            adds_up(k);
            sink_close(k);
        }
        record_unref(r);
        end();
    }
}
