/* Lines to pipes and files: nothing lost, nothing doubled, whatever the reader does. */
#include "hub/hub.h"
#include "sink/sink_impl.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static hub *h;
static record_stream *btc;
static sub *reader;
static buf got; /* what came out at the other end */

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, false, 0};
    sub_options o = {.policy = SUB_BLOCK, .max_records = 100000};
    CHECK_OK(hub_new(&h, &err));
    CHECK_OK(hub_stream(&btc, h, &key, &err));
    CHECK_OK(hub_subscribe(&reader, h, ">", &o, &err));
    buf_init(&got, 64u << 20);
}

static void adds_up(const sink *k)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_account a = sink_read_account(k);
    CHECK(sink_account_adds_up(&a));
    CHECK_UINT(a.accepted, sub_read_account(reader).delivered + sub_read_account(reader).gaps);
    CHECK(hub_account_check(h, &err));
}

static void end(sink *k)
{
    adds_up(k);
    sink_close(k);
    record_stream_unref(btc);
    hub_free(h);
    buf_fini(&got);
}

static sink *open_fd(int fd)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_options o = SINK_OPTIONS_INIT;
    sink *k = NULL;
    o.fd = fd;
    CHECK_OK(sink_open(&k, "ndjson", &o, &err));
    return k;
}

static void publish(size_t count, size_t size)
{
    char *data = malloc(size + 2);
    CHECK(data != NULL);
    memset(data, 'x', size + 2);
    data[0] = data[size + 1] = '"';
    for (size_t i = 0; i < count; i++)
        hub_publish(h, record_new(btc, 1, 1, bytes_make(data, size + 2)));
    free(data);
}

/* Reads what is there, at most `max` octets. */
static void receive(int fd, size_t max)
{
    char piece[4096];
    while (max) {
        ssize_t n = read(fd, piece, max < sizeof piece ? max : sizeof piece);
        if (n <= 0)
            return;
        buf_add(&got, piece, (size_t)n);
        max -= (size_t)n;
    }
}

/* All lines are there, whole, in order. */
static void check_lines(uint64_t count)
{
    const char *at = got.at, *end_ = got.at + got.len;
    for (uint64_t i = 1; i <= count; i++) {
        char want[64];
        snprintf(want, sizeof want, "{\"seq\":\"%llu\",", (unsigned long long)i);
        CHECK(at < end_);
        const char *newline = memchr(at, '\n', (size_t)(end_ - at));
        CHECK(newline != NULL);
        CHECK(bytes_starts(bytes_make(at, (size_t)(newline - at)), bytes_of(want)));
        CHECK_INT(newline[-1], '}');
        at = newline + 1;
    }
    CHECK(at == end_);
}

/* Drains through a small straw until all is there. */
static void through_a_straw(int out, int in, uint64_t count, size_t sip)
{
    sink *k = open_fd(out);
    int blocked = 0;
    fcntl(in, F_SETFL, O_NONBLOCK);
    for (;;) {
        sink_progress p = sink_drain(k, reader, 50);
        adds_up(k);
        CHECK(p != SINK_FAILED);
        blocked += p == SINK_BLOCKED;
        CHECK_INT(sink_wants_write(k), p == SINK_BLOCKED || sink_read_account(k).buffered);
        receive(in, sip);
        if (p == SINK_DONE && !sub_peek(reader))
            break;
    }
    receive(in, SIZE_MAX);
    CHECK(blocked > 0);
    CHECK_UINT(sink_read_account(k).written, count);
    CHECK_UINT(sink_read_account(k).octets, got.len);
    check_lines(count);
    CHECK_UINT(sub_dropped(reader), 0);
    end(k);
}

TEST(ndjson, full_pipe_is_back_pressure_and_nothing_is_lost)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    publish(5000, 200);
    through_a_straw(p[1], p[0], 5000, 1000);
    close(p[0]);
    close(p[1]);
}

TEST(ndjson, lines_larger_than_the_buffer_go_whole)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    publish(3, 10);
    publish(3, 300000);
    publish(3, 70000);
    publish(3, 65300);
    publish(3, 10);
    through_a_straw(p[1], p[0], 15, 3333);
    close(p[0]);
    close(p[1]);
}

TEST(ndjson, socket_that_takes_little_gets_all)
{
    int p[2];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    publish(5000, 200);
    through_a_straw(p[1], p[0], 5000, 1500);
    close(p[0]);
    close(p[1]);
}

TEST(ndjson, the_pipe_of_others_stays_as_it_was)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    sink *k = open_fd(p[1]);
    CHECK(!(fcntl(p[1], F_GETFL) & O_NONBLOCK));
    end(k);
    CHECK(fcntl(p[1], F_GETFD) >= 0); /* and open */
    close(p[0]);
    close(p[1]);
}

/* Another user's terminal cannot be opened again: then room is asked for before each piece. */
TEST(ndjson, outlet_that_must_poll_never_waits)
{
    weir_error why = WEIR_ERROR_INIT;
    char piece[8192] = {0}, back[1 << 20];
    size_t sent = 0;
    int p[2];
    CHECK(pipe(p) == 0);
    outlet o = {.fd = p[1], .way = OUTLET_POLLED, .name = "straw"};
    for (ssize_t n; (n = outlet_write(&o, bytes_make(piece, sizeof piece), &why)) != 0; sent += (size_t)n)
        CHECK(n > 0);
    CHECK(sent > 0);
    CHECK_UINT(read(p[0], back, sizeof back), sent);
    CHECK(outlet_write(&o, BYTES("x"), &why) == 1);
    close(p[0]);
    CHECK(outlet_write(&o, BYTES("x"), &why) == -1);
    CHECK_TEXT(why.text, "'straw': its reader has gone");
    outlet_close(&o);
    close(p[1]);
}

TEST(ndjson, reader_that_goes_is_an_end_with_a_reason_and_no_signal)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    sink *k = open_fd(p[1]);
    publish(10, 10);
    close(p[0]);
    CHECK_INT(sink_drain(k, reader, 100), SINK_FAILED);
    CHECK_UINT(sink_why(k)->code, WEIR_CLOSED);
    CHECK_HAS(sink_why(k)->text, "its reader has gone");
    CHECK_UINT(sink_read_account(k).lost, 10);
    publish(1, 10);
    CHECK_INT(sink_drain(k, reader, 100), SINK_FAILED);
    end(k);
    close(p[1]);
}

TEST(ndjson, reader_that_goes_while_a_large_line_is_on_its_way_is_accounted)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    sink *k = open_fd(p[1]);
    publish(1, 500000);
    CHECK_INT(sink_drain(k, reader, 100), SINK_BLOCKED);
    CHECK_UINT(sink_read_account(k).buffered, 1);
    close(p[0]);
    CHECK_INT(sink_drain(k, reader, 100), SINK_FAILED);
    CHECK_UINT(sink_read_account(k).lost, 1);
    end(k);
    close(p[1]);
}

TEST(ndjson, closing_with_a_full_pipe_does_not_wait)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    sink *k = open_fd(p[1]);
    publish(2, 200000);
    CHECK_INT(sink_drain(k, reader, 100), SINK_BLOCKED);
    end(k);
    close(p[0]);
    close(p[1]);
}

TEST(ndjson, full_disk_is_an_error_that_says_so)
{
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    if (access("/dev/full", W_OK))
        test_skip("/dev/full is not here");
    begin();
    CHECK_OK(sink_open(&k, "ndjson:/dev/full", NULL, &err));
    publish(1, 10);
    CHECK_INT(sink_drain(k, reader, 100), SINK_FAILED);
    CHECK_UINT(sink_why(k)->code, WEIR_SYSTEM);
    CHECK_HAS(sink_why(k)->text, "'/dev/full': cannot be written to: No space left on device");
    end(k);
}

static void read_back(const char *path)
{
    int fd = open(path, O_RDONLY);
    buf_clear(&got);
    receive(fd, SIZE_MAX);
    buf_add_char(&got, '\0');
    close(fd);
}

TEST(ndjson, file_is_replaced_or_appended_to)
{
    weir_error err = WEIR_ERROR_INIT;
    char folder[] = "/tmp/weir-sink-XXXXXX", path[64], spec[80];
    sink *k = NULL;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/out", folder);
    begin();
    for (int round = 0; round < 3; round++) {
        snprintf(spec, sizeof spec, "ndjson:%s%s", round == 2 ? "+" : "", path);
        CHECK_OK(sink_open(&k, spec, NULL, &err));
        publish(1, 10);
        CHECK_INT(sink_drain(k, reader, 100), SINK_DONE);
        CHECK_INT(sink_fd(k), -1); /* a file never makes anyone wait */
        sink_close(k);
        read_back(path);
        CHECK(bytes_starts(buf_bytes(&got), round == 0 ? BYTES("{\"seq\":\"1\"") : BYTES("{\"seq\":\"2\"")));
        CHECK_INT(strstr(got.at, "{\"seq\":\"3\"") != NULL, round == 2);
    }
    unlink(path);
    rmdir(folder);
    CHECK_OK(sink_open(&k, "ndjson:/dev/null", NULL, &err));
    reader = NULL;
    sink_close(k);
    record_stream_unref(btc);
    hub_free(h);
    buf_fini(&got);
}

TEST(ndjson, queue_that_is_empty_is_flushed_at_once)
{
    int p[2];
    begin();
    CHECK(pipe(p) == 0);
    sink *k = open_fd(p[1]);
    publish(2, 10);
    CHECK_INT(sink_drain(k, reader, 1), SINK_MORE);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    receive(p[0], SIZE_MAX);
    CHECK_UINT(got.len, 0); /* more to come: still in the buffer */
    CHECK_INT(sink_drain(k, reader, 10), SINK_DONE);
    receive(p[0], SIZE_MAX);
    check_lines(2);
    end(k);
    close(p[0]);
    close(p[1]);
}

TEST(ndjson, steady_state_allocates_nothing)
{
    weir_error err = WEIR_ERROR_INIT;
    uint64_t before = 0;
    sink *k = NULL;
    begin();
    CHECK_OK(sink_open(&k, "ndjson:/dev/null", NULL, &err));
    char data[] = "{\"price\":\"64000.12\",\"size\":\"0.5\",\"side\":\"buy\"}";
    for (int i = 0; i < 200000; i++) {
        if (i == 2000)
            before = fault_allocations();
        hub_publish(h, record_new(btc, 1, 1, bytes_of(data)));
        if (i % 200 == 199)
            CHECK_INT(sink_drain(k, reader, 1000), SINK_DONE);
    }
    CHECK_UINT(fault_allocations(), before);
    end(k);
}
