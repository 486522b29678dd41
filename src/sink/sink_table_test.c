/* The table on a terminal: what goes over the wire, and how the terminal is left. */
#include "base/clock.h"
#include "hub/hub.h"
#include "sink/sink.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static uint64_t now_ns;

static uint64_t mono(void)
{
    return now_ns;
}

static uint64_t real(void)
{
    return UINT64_C(1700000060000000000);
}

static int master, slave;
static hub *h;
static record_stream *btc;
static sink *k;
static char seen[65536];

static void begin(unsigned short columns, unsigned short rows)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox"), BYTES("BTC"), {NULL, 0}, false, 0};
    sink_options o = SINK_OPTIONS_INIT;
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    struct termios raw;

    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master))
        test_skip("no pseudo terminals here");
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0)
        test_skip("no pseudo terminals here");
    CHECK(tcgetattr(slave, &raw) == 0);
    cfmakeraw(&raw);
    CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
    CHECK(ioctl(slave, TIOCSWINSZ, &size) == 0);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    now_ns = 10 * NS_PER_S;
    clock_replace(real, mono);
    CHECK_OK(hub_new(&h, &err));
    CHECK_OK(hub_stream(&btc, h, &key, &err));
    o.fd = slave;
    CHECK_OK(sink_open(&k, "table", &o, &err));
}

static void end(void)
{
    record_stream_unref(btc);
    hub_free(h);
    close(slave);
    close(master);
    clock_replace(NULL, NULL);
}

static void publish(const char *data)
{
    record *r = record_new(btc, 0, real(), bytes_of(data));
    CHECK_INT(sink_write(k, r), SINK_ACCEPTED);
    record_unref(r);
}

static const char *receive(void)
{
    size_t len = 0;
    for (ssize_t n; len < sizeof seen - 1 && (n = read(master, seen + len, sizeof seen - 1 - len)) > 0;)
        len += (size_t)n;
    seen[len] = '\0';
    return seen;
}

static const char *tick(uint64_t ms)
{
    now_ns += ms * NS_PER_MS;
    sink_tick(k, now_ns);
    return receive();
}

TEST(sink_table, screen_is_painted_over_the_one_before_and_the_cursor_comes_back)
{
    begin(80, 24);
    publish("{\"price\":9}");
    CHECK_TEXT(tick(0), "\x1b[?25l"
                        "\r\x1b[2K\x1b[32mlive\x1b[0m 00:00:00  \x1b[2mreceived\x1b[0m 1  \x1b[2mdelivered\x1b[0m 1  \x1b[2mdropped\x1b[0m 0  \x1b[2mgaps\x1b[0m 0  \x1b[2mrestarts\x1b[0m 0\r\n"
                        "\r\x1b[2K\r\n"
                        "\r\x1b[2K\x1b[1mtrades\x1b[0m  \x1b[2mprice\x1b[0m  \x1b[2mcount\x1b[0m  \x1b[2mage\x1b[0m\r\n"
                        "\r\x1b[2KBTC         9      \x1b[2m1\x1b[0m   \x1b[2m0s\x1b[0m\r\n"
                        "\x1b[J");
    publish("{\"price\":10}");
    CHECK_HAS(tick(100), "\x1b[4A\r\x1b[2K");
    CHECK_HAS(seen, "\x1b[32m10\x1b[0m");
    sink_close(k);
    CHECK_HAS(receive(), "\x1b[4A\r");
    CHECK_TEXT(seen + strlen(seen) - 9, "\x1b[J\x1b[?25h");
    end();
}

TEST(sink_table, paints_at_most_ten_times_a_second)
{
    int paints = 0;
    begin(80, 24);
    for (int i = 0; i < 1000; i++) {
        publish("{\"price\":9}");
        paints += tick(1)[0] != '\0';
    }
    CHECK_INT(paints, 10);
    sink_close(k);
    end();
}

TEST(sink_table, time_moves_once_a_second_when_nothing_comes)
{
    int paints = 0;
    begin(80, 24);
    publish("{\"price\":9}");
    tick(0);
    for (int i = 0; i < 30; i++)
        paints += tick(100)[0] != '\0';
    CHECK_INT(paints, 3);
    CHECK_UINT(sink_next_tick(k), now_ns + NS_PER_S);
    sink_close(k);
    end();
}

TEST(sink_table, new_size_is_asked_for_and_the_screen_cleared)
{
    struct winsize size = {.ws_col = 20, .ws_row = 5};
    begin(80, 24);
    publish("{\"price\":9}");
    tick(0);
    CHECK(ioctl(slave, TIOCSWINSZ, &size) == 0);
    sink_resize(k, 0, 0);
    CHECK_HAS(tick(100), "\x1b[H\x1b[2J\r\x1b[2K");
    CHECK_HAS(seen, "00:00:00 \x1b[2m…\x1b[0m\r\n");
    sink_close(k);
    end();
}

TEST(sink_table, slow_terminal_costs_screens_and_not_records)
{
    begin(80, 24);
    size_t waiting = 0;
    for (int i = 0; i < 2000; i++) {
        publish("{\"price\":9}");
        now_ns += 100 * NS_PER_MS;
        sink_tick(k, now_ns);
        waiting += sink_wants_write(k);
    }
    CHECK(waiting > 0);
    CHECK_INT(sink_flush(k), SINK_ACCEPTED);
    receive();
    CHECK_HAS(tick(0), "received\x1b[0m 2000  "); /* behind the rest of the old screen */
    CHECK(!sink_wants_write(k));
    CHECK_UINT(sink_read_account(k).written, 2000);
    sink_close(k);
    end();
}

TEST(sink_table, no_color_is_respected)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_options o = SINK_OPTIONS_INIT;
    begin(80, 24);
    sink_close(k);
    receive();
    setenv("NO_COLOR", "1", 1);
    o.fd = slave;
    CHECK_OK(sink_open(&k, "table", &o, &err));
    publish("{\"price\":9}");
    CHECK_HAS(tick(0), "\x1b[2Klive 00:00:00  received 1  ");
    sink_close(k);
    unsetenv("NO_COLOR");
    end();
}

static void own_figures(void *arg, sink_figures *out)
{
    (void)arg;
    *out = (sink_figures){.received = 7, .delivered = 6, .dropped = 1, .gaps = 2, .restarts = 3, .started_mono_ns = now_ns - 3 * NS_PER_S};
}

TEST(sink_table, figures_are_the_hosts)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_options o = SINK_OPTIONS_INIT;
    begin(80, 24);
    sink_close(k);
    receive();
    o.fd = slave;
    o.figures = own_figures;
    o.colour = SINK_COLOUR_NEVER;
    CHECK_OK(sink_open(&k, "table", &o, &err));
    CHECK_HAS(tick(0), "starting 00:00:03  received 7  delivered 6  dropped 1  gaps 2  restarts 3\r\n");
    sink_close(k);
    end();
}

TEST(sink_table, elsewhere_there_is_one_screen_at_the_end)
{
    weir_error err = WEIR_ERROR_INIT;
    sink_options o = SINK_OPTIONS_INIT;
    int p[2];
    begin(80, 24);
    sink_close(k);
    CHECK(pipe(p) == 0);
    o.fd = p[1];
    CHECK_OK(sink_open(&k, "table", &o, &err));
    publish("{\"price\":9}");
    CHECK_UINT(sink_next_tick(k), 0);
    sink_tick(k, now_ns);
    sink_close(k);
    close(p[1]);
    ssize_t n = read(p[0], seen, sizeof seen - 1);
    seen[n > 0 ? n : 0] = '\0';
    CHECK_TEXT(seen, "live 00:00:00  received 1  delivered 1  dropped 0  gaps 0  restarts 0\n\n"
                     "trades  price  count  age\n"
                     "BTC         9      1   0s\n");
    close(p[0]);
    end();
}

TEST(sink_table, terminal_that_hangs_up_is_an_error)
{
    begin(80, 24);
    publish("{\"price\":9}");
    close(master);
    sink_tick(k, now_ns);
    record *r = record_new(btc, 0, 0, BYTES("1"));
    CHECK_INT(sink_write(k, r), SINK_ERROR);
    record_unref(r);
    CHECK_HAS(sink_why(k)->text, "cannot be written to");
    CHECK_UINT(sink_next_tick(k), 0);
    sink_close(k);
    master = -1;
    end();
}
