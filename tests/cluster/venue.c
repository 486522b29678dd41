/* venue: the simulated exchange, a strict one (one session of each topic, and one account for all tickers), as a process that keeps
 * a log of its sessions and of all that it sent, until stdin ends.
 *
 *     venue RATE LINGER_MS LOG     LINGER_MS: it notices so late that a session is over; "shared": it is not strict
 *
 * stdout: {"port":N}. Lines of LOG, with the time in ns since 1970:
 *     + TIME CONNECTION TOPIC     this connection has the topic from now on
 *     - TIME CONNECTION TOPIC     not any more
 *     x TIME CONNECTION TOPIC     refused: another session of it is open
 *     l TIME CONNECTION TOPIC     refused: another session of it has ended, and the venue does not know yet
 *     f TIME CONNECTION FRAME     handed to the socket */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim/sim.h"

static FILE *out;
static bool over;

static void on_topic(void *arg, uint64_t connection, bytes topic, bool begins)
{
    (void)arg;
    fprintf(out, "%c %llu %llu %.*s\n", begins ? '+' : '-', (unsigned long long)clock_real(), (unsigned long long)connection, (int)topic.len, topic.at);
    fflush(out);
}

static void on_refused(void *arg, uint64_t connection, bytes topic, bool open)
{
    (void)arg;
    fprintf(out, "%c %llu %llu %.*s\n", open ? 'x' : 'l', (unsigned long long)clock_real(), (unsigned long long)connection, (int)topic.len, topic.at);
    fflush(out);
}

static void on_frame(void *arg, uint64_t connection, bytes frame, sim_fate fate)
{
    (void)arg;
    if (fate != SIM_SENT)
        return;
    fprintf(out, "f %llu %llu %.*s\n", (unsigned long long)clock_real(), (unsigned long long)connection, (int)frame.len, frame.at);
    fflush(out);
}

static void on_input(void *arg, int events, int error)
{
    char room[256];
    (void)arg, (void)events, (void)error;
    if (read(STDIN_FILENO, room, sizeof room) == 0)
        over = true;
}

int main(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    sim_options o = {.seed = 7, .no_limits = true, .on_topic = on_topic, .on_frame = on_frame, .one_session = true, .account = "ticker", .on_refused = on_refused};
    loop *l = NULL;
    loop_io *in = NULL;
    sim *s = NULL;
    if (argc != 4 || !(out = fopen(argv[3], "w")))
        return 2;
    o.rate = strtod(argv[1], NULL);
    o.linger_ms = (uint32_t)strtoul(argv[2], NULL, 10);
    if (!strcmp(argv[2], "shared")) {
        o.one_session = false;
        o.account = NULL;
    }
    if (loop_new(&l, &err) || sim_new(&s, l, &o, &err) || io_open(&in, l, STDIN_FILENO, on_input, NULL, &err) || io_want(in, IO_READ)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("{\"port\":%u}\n", sim_port(s));
    fflush(stdout);
    while (!over)
        loop_step(l, -1);
    io_close(in);
    sim_free(s);
    loop_free(l);
    fclose(out);
    return 0;
}
