/* What every sink keeps, run for each line of the registry. */
#include "base/file.h"
#include "hub/hub.h"
#include "sink/sink.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static hub *h;
static record_stream *evil;
static sub *reader;
static char folder[64], path[128];

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

static sink *open_path(const sink_ops *ops, const char *where)
{
    weir_error err = WEIR_ERROR_INIT;
    char spec[200];
    sink *k = NULL;
    snprintf(spec, sizeof spec, "%s:%s", ops->name, where);
    CHECK_OK(sink_open(&k, spec, NULL, &err));
    return k;
}

static void adds_up(const sink *k)
{
    sink_account a = sink_read_account(k);
    CHECK(sink_account_adds_up(&a));
}

#define FOR_EACH_SINK(ops)                              \
    for (size_t i_ = 0; i_ == 0 || sink_each(i_); i_++) \
        for (const sink_ops *ops = sink_each(i_); ops; ops = NULL)

TEST(suite, registry_names_are_unique_and_found)
{
    FOR_EACH_SINK(ops)
    {
        CHECK(sink_find(ops->name) == ops);
        CHECK(ops->help && *ops->help);
        CHECK(ops->open && ops->write && ops->flush && ops->close && ops->account);
    }
}

TEST(suite, unknown_sink_is_refused_with_the_list)
{
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    CHECK_INT(sink_open(&k, "kafak:x", NULL, &err), WEIR_NOT_FOUND);
    CHECK_TEXT(err.text, "sink 'kafak:x': there is no such sink; there are 'ndjson', 'table'");
    CHECK_INT(sink_open(&k, "a-name-longer-than-any-sink-will-ever-have", NULL, &err), WEIR_NOT_FOUND);
    CHECK_INT(sink_open(&k, "ndjson:", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "no path behind the colon");
    CHECK(k == NULL);
}

TEST(suite, target_that_cannot_be_is_refused_with_its_name)
{
    begin();
    FOR_EACH_SINK(ops)
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
    begin();
    FOR_EACH_SINK(ops)
    {
        sink *k = open_path(ops, path);
        CHECK_INT(sink_flush(k), SINK_ACCEPTED);
        CHECK(!sink_wants_write(k));
        adds_up(k);
        sink_close(k);
    }
    sink_close(NULL);
    end();
}

TEST(suite, all_records_are_accepted_and_written)
{
    FOR_EACH_SINK(ops)
    {
        begin();
        sink *k = open_path(ops, path);
        CHECK_INT(sink_drain(k, reader, 5), SINK_MORE);
        adds_up(k);
        CHECK_INT(sink_drain(k, reader, 100), SINK_DONE);
        CHECK_UINT(sink_read_account(k).accepted, 12);
        CHECK_UINT(sink_read_account(k).written, 12);
        adds_up(k);
        sink_close(k);
        struct stat info;
        CHECK(stat(path, &info) == 0 && info.st_size > 0);
        end();
    }
}

/* What lies behind the limit leaves the queue all the same, and states are still shown. */
TEST(suite, limit_counts_data_records_and_lets_states_through)
{
    FOR_EACH_SINK(ops)
    {
        begin();
        sink *k = open_path(ops, path);
        CHECK_INT(sink_drain(k, reader, 2), SINK_MORE);
        sink_limit(k, 3);
        CHECK_INT(sink_drain(k, reader, 100), SINK_DONE);
        CHECK_UINT(sink_read_account(k).accepted, 2 + 3 + 1);
        sink_limit(k, 0);
        hub_publish(h, record_new(evil, 0, 0, BYTES("{}")));
        CHECK_INT(sink_drain(k, reader, 100), SINK_DONE);
        CHECK_UINT(sink_read_account(k).accepted, 2 + 3 + 1 + 1);
        adds_up(k);
        sink_close(k);
        end();
    }
}

TEST(suite, no_control_character_of_a_guest_reaches_the_outside)
{
    FOR_EACH_SINK(ops)
    {
        weir_error err = WEIR_ERROR_INIT;
        buf out;
        begin();
        sink *k = open_path(ops, path);
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
    FOR_EACH_SINK(ops)
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
        FAULT_SWEEP(alloc) {
            weir_error err = WEIR_ERROR_INIT;
            char spec[200];
            sink *k = NULL;
            snprintf(spec, sizeof spec, "%s:%s", ops->name, path);
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
