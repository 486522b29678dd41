/* Into Unix sockets and datagrams: readers that go, come back, read slowly or not at all. */
#include "sink/testing.h"

#include <netinet/in.h>
#include <sys/un.h>

static char path[64];
static buf got;

static int listen_there(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    snprintf(path, sizeof path, "/tmp/weir-socket-%d", (int)getpid());
    unlink(path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 4) == 0);
    return fd;
}

static int accept_one(sink *k, int listening)
{
    int fd;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) < 0)
        t_turn(k);
    return fd;
}

/* At most `max` octets of what is there. False: the end. */
static bool sip(int fd, size_t max)
{
    char piece[65536];
    while (max) {
        ssize_t n = recv(fd, piece, max < sizeof piece ? max : sizeof piece, MSG_DONTWAIT);
        if (n < 0)
            return true;
        if (n == 0)
            return false;
        buf_add(&got, piece, (size_t)n);
        max -= (size_t)n;
    }
    return true;
}

/* Counts the whole lines, leaves out a torn one at the end. */
static void count_lines(t_got *g)
{
    const char *at = got.at, *end = got.at + got.len, *newline;
    for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1)
        t_count(g, bytes_make(at, (size_t)(newline - at)));
    buf_clear(&got);
}

static void begin(void)
{
    t_begin();
    buf_init(&got, 1u << 30);
}

static void end(sink *k)
{
    t_end(k);
    buf_fini(&got);
    unlink(path);
}

TEST(unix, reader_that_sips_gets_all_lines_in_order)
{
    static t_got g;
    begin();
    int listening = listen_there();
    sink *k = t_open("unix:%s?window=500", path);
    t_publish(20000);
    int fd = accept_one(k, listening);
    bool blocked = false;
    while (!t_settled(k) || sink_read_account(k).written < 20000) {
        blocked |= t_turn(k) == SINK_BLOCKED;
        sip(fd, 50000);
    }
    sip(fd, SIZE_MAX);
    CHECK(blocked);
    CHECK_UINT(sink_read_account(k).octets, got.len);
    CHECK_INT(got.at[got.len - 1], '\n');
    count_lines(&g);
    t_all_there(&g);
    CHECK_UINT(g.doubles, 0);
    CHECK_UINT(g.disorder, 0);
    close(fd);
    close(listening);
    end(k);
}

static uint64_t connects;

static bool connected_anew(const sink *k)
{
    return sink_read_account(k).connects > connects;
}

/* What it had not read is lost with it, and its seq tells the next one so; no line is torn. */
TEST(unix, reader_that_goes_and_comes_back_gets_whole_lines)
{
    static t_got g;
    begin();
    int listening = listen_there();
    sink *k = t_open("unix:%s?retry_ms=50", path);
    for (int round = 0; round < 3; round++) {
        int fd = accept_one(k, listening);
        t_until(k, t_is_open);
        connects = sink_read_account(k).connects;
        t_publish(20000);
        for (int i = 0; i < 3; i++) {
            t_turn(k);
            sip(fd, 12345);
        }
        close(fd);
        count_lines(&g);
        t_until(k, connected_anew); /* at once, since somebody listens */
        CHECK_HAS(t_log, "its reader has gone");
    }
    int fd = accept_one(k, listening);
    while (!t_settled(k)) {
        t_turn(k);
        sip(fd, SIZE_MAX);
    }
    sip(fd, SIZE_MAX);
    count_lines(&g);
    CHECK_UINT(g.disorder, 0);
    CHECK_UINT(sink_read_account(k).written, 60000);
    CHECK_UINT(g.times[0][record_stream_seq(t_stream[0])], 1);
    close(fd);
    close(listening);
    end(k);
}

TEST(unix, nobody_there_is_waited_for)
{
    begin();
    close(listen_there());
    sink *k = t_open("unix:%s?retry_ms=50", path);
    t_publish(10);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "nobody listens on this socket");
    unlink(path);
    int listening = listen_there();
    int fd = accept_one(k, listening);
    t_until(k, t_settled);
    close(fd);
    close(listening);
    end(k);
}

/* Closing does not wait for it longer than a second, and what it did not get is said. */
TEST(unix, reader_that_reads_nothing_does_not_keep_close_waiting)
{
    begin();
    int listening = listen_there();
    sink *k = t_open("unix:%s", path);
    int fd = accept_one(k, listening);
    t_publish(30000);
    for (int i = 0; i < 50; i++)
        t_turn(k);
    CHECK(sink_read_account(k).buffered > 0);
    sink_close(k);
    CHECK_HAS(t_log, "records that it has not acknowledged");
    close(fd);
    close(listening);
    end(NULL);
}

TEST(unix, nonsense_in_a_spec_is_refused)
{
    char spec[300];
    weir_error err = WEIR_ERROR_INIT;
    sink *k = NULL;
    memset(spec, 'x', sizeof spec);
    memcpy(spec, "unix:/", 6);
    spec[200] = '\0';
    CHECK_INT(sink_open(&k, spec, NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "of at most 107 characters");
    CHECK_INT(sink_open(&k, "unix", NULL, &err), WEIR_INVALID);
    CHECK_INT(sink_open(&k, "unix:/x?stream=1", NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "there is no option 'stream'");
}

/* ---- Datagrams ---- */

static int receiver(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void take_datagrams(int fd, t_got *g)
{
    static char piece[70000];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) >= 0)
        t_count(g, bytes_make(piece, (size_t)n));
}

TEST(udp, each_record_is_a_datagram)
{
    static t_got g;
    int port = 0;
    begin();
    int fd = receiver(&port);
    sink *k = t_open("udp://localhost:%d", port);
    for (int i = 0; i < 100; i++) { /* no more than the socket holds */
        t_publish(50);
        t_until(k, t_settled);
        take_datagrams(fd, &g);
    }
    CHECK_UINT(sink_read_account(k).written, 5000);
    t_all_there(&g);
    CHECK_UINT(g.doubles, 0);
    close(fd);
    end(k);
}

TEST(udp, record_that_fits_no_datagram_is_lost_and_counted)
{
    static t_got g;
    int port = 0;
    begin();
    int fd = receiver(&port);
    sink *k = t_open("udp://127.0.0.1:%d?max=2000", port);
    t_publish(3);
    t_publish_large(3000);
    t_publish(3);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 1);
    CHECK_UINT(sink_read_account(k).written, 6);
    CHECK_HAS(t_log, "do not fit into a datagram");
    sink_close(k);
    k = t_open("udp://127.0.0.1:%d", port);
    t_publish_large(70000);
    t_publish_large(65000);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 1);
    CHECK_UINT(sink_read_account(k).written, 1);
    take_datagrams(fd, &g);
    close(fd);
    end(k);
}

/* The machine there says so; what was sent before is lost, the rest waits. */
TEST(udp, nobody_there_is_noticed_and_waited_for)
{
    static t_got g;
    int port = 0;
    begin();
    close(receiver(&port));
    sink *k = t_open("udp://127.0.0.1:%d?retry_ms=200", port);
    t_publish(1);
    t_until(k, t_settled);
    t_publish(1000);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "nobody listens there; the datagram before is lost");
    int fd = receiver(&port);
    while (!t_settled(k)) {
        t_turn(k);
        take_datagrams(fd, &g);
    }
    take_datagrams(fd, &g);
    CHECK_UINT(g.times[2][record_stream_seq(t_stream[2])], 1);
    close(fd);
    sink_close(k);
    k = t_open("udp://no.such.host.invalid:9");
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "the name cannot be looked up");
    end(k);
}

TEST(udp, nonsense_in_a_spec_is_refused)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"udp", "expected udp://HOST:PORT"},
        {"udp://h", "no host and port can be read in it"},
        {"udp://h:1/x", "nothing sensible stands behind the host"},
        {"udp://h:1?max=1", "expected a number from 64 to 65507"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        sink *k = NULL;
        CHECK_INT(sink_open(&k, cases[i].spec, NULL, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
    }
}
