/* testing.h: what tests of sinks share: a hub with some streams, a loop around a sink, a real server as a child process.
 *
 *     t_begin();
 *     server s = server_new("redis-server", 2);        port and port + 1 are free
 *     server_start(&s, (char *[]){...}, true);         until its port is open
 *     sink *k = t_open("redis://127.0.0.1:%d", s.port);
 *     t_publish(1000);
 *     t_until(k, t_settled);
 *     server_kill(&s, SIGKILL);
 *     t_end(k);  server_free(&s); */
#ifndef SINK_TESTING_H
#define SINK_TESTING_H

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "hub/hub.h"
#include "sink/sink.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define T_STREAMS 3
#define T_PATIENCE_S 180 /* a busy machine is no failure: a broker in Java needs a minute there */

static hub *t_hub;
static record_stream *t_stream[T_STREAMS];
static sub *t_reader;
static uint64_t t_published; /* data records */
static char t_log[1 << 16];

static void t_keep_log(void *arg, log_level level, const char *part, const char *text)
{
    size_t len = strlen(t_log);
    (void)arg;
    (void)level;
    snprintf(t_log + len, sizeof t_log - len, "%s: %s\n", part, text);
}

static UNUSED void t_begin(void)
{
    static const char *const names[T_STREAMS] = {"SPOT_BTC_USDT", "PERP ETH*>.USDT", "\xE2\x82\xAC/x"};
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.policy = SUB_BLOCK, .max_records = 1000000, .max_octets = 1u << 30};

    *t_log = '\0';
    t_published = 0;
    log_set_sink(t_keep_log, NULL);
    CHECK_OK(hub_new(&t_hub, &err));
    for (int i = 0; i < T_STREAMS; i++) {
        record_key key = {BYTES("trades"), BYTES("woox"), bytes_of(names[i]), BYTES("{\"depth\":50}"), i == 0, 7}; /* the first one of connection 7 */
        CHECK_OK(hub_stream(&t_stream[i], t_hub, &key, &err));
    }
    CHECK_OK(hub_subscribe(&t_reader, t_hub, ">", &o, &err));
}

static UNUSED void t_end(sink *k)
{
    weir_error err = WEIR_ERROR_INIT;

    sink_close(k);
    CHECK(hub_account_check(t_hub, &err));
    for (int i = 0; i < T_STREAMS; i++)
        record_stream_unref(t_stream[i]);
    hub_free(t_hub);
    log_set_sink(NULL, NULL);
}

static UNUSED sink *t_open(const char *format, ...) PRINTF_LIKE(1, 2);
static UNUSED sink *t_open(const char *format, ...)
{
    weir_error err = WEIR_ERROR_INIT;
    char spec[1024];
    sink *k = NULL;
    va_list args;

    va_start(args, format);
    vsnprintf(spec, sizeof spec, format, args);
    va_end(args);
    CHECK_OK(sink_open(&k, spec, NULL, &err));
    return k;
}

/* Data records, turn about of the streams. */
static UNUSED void t_publish(size_t count)
{
    for (size_t i = 0; i < count; i++, t_published++) {
        char data[128];
        int len = snprintf(data, sizeof data, "{\"price\":\"%llu.000000000001\",\"size\":\"1\",\"side\":\"buy\"}", (unsigned long long)t_published);
        hub_publish(t_hub, record_new(t_stream[t_published % T_STREAMS], 1, 1, bytes_make(data, (size_t)len)));
    }
}

static UNUSED void t_publish_large(size_t octets)
{
    char *data = malloc(octets + 3);
    CHECK(data != NULL);
    memset(data, 'x', octets + 2);
    data[0] = data[octets + 1] = '"';
    hub_publish(t_hub, record_new(t_stream[0], 1, 1, bytes_make(data, octets + 2)));
    free(data);
}

static UNUSED void t_adds_up(const sink *k)
{
    sink_account a = sink_read_account(k);
    CHECK(sink_account_adds_up(&a));
}

/* One turn of what a host does: drains, then waits a little for news. */
static UNUSED sink_progress t_turn(sink *k)
{
    struct pollfd fd = {.fd = sink_fd(k), .events = (short)((sink_hears(k) ? POLLIN : 0) | (sink_wants_write(k) ? POLLOUT : 0))};
    sink_progress p = sink_drain(k, t_reader, 1000);
    t_adds_up(k);
    if (p == SINK_DONE || p == SINK_BLOCKED)
        poll(&fd, fd.fd >= 0, 5);
    if (sink_next_tick(k) && clock_mono() >= sink_next_tick(k))
        sink_tick(k, clock_mono());
    return p;
}

static UNUSED bool t_settled(const sink *k)
{
    return !sub_read_account(t_reader).queued && !sink_read_account(k).buffered && !sink_wants_write(k);
}

static UNUSED bool t_is_open(const sink *k)
{
    return sink_get_state(k) == SINK_OPEN;
}
static UNUSED bool t_waits(const sink *k)
{
    return sink_get_state(k) == SINK_WAITING && !strstr(sink_waits_for(k)->text, "is being reached");
}
static UNUSED bool t_failed(const sink *k)
{
    return sink_get_state(k) == SINK_CLOSED;
}

/* Until `reached`, or for ever long. */
static UNUSED void t_until_(sink *k, bool (*reached)(const sink *k), const char *what, int line)
{
    time_t give_up = time(NULL) + T_PATIENCE_S;
    while (!reached(k)) {
        sink_account a = sink_read_account(k);
        if (time(NULL) > give_up || (t_failed(k) && *sink_why(k)->text))
            test_fail(__FILE__, line, "never %s: written %llu of %llu, waits for '%s', failed '%s', log:\n%s", what, (unsigned long long)a.written,
                      (unsigned long long)a.accepted, sink_waits_for(k)->text, sink_why(k)->text, t_log);
        if (t_turn(k) == SINK_FAILED)
            CHECK(t_failed(k) && *sink_why(k)->text);
    }
    sink_flush(k); /* what there is to say of it has been said */
}
#define t_until(k, reached) t_until_((k), (reached), #reached, __LINE__)

/* What the other end has: each line is counted by stream and seq; `doubles` of it came more than once. */
typedef struct t_got {
    uint32_t times[T_STREAMS][100001];
    uint64_t doubles, others, disorder;
    uint64_t last[T_STREAMS];
} t_got;

static UNUSED void t_count(t_got *g, bytes line)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc, seq, kind;
    uint64_t n;

    CHECK_OK(json_read(&doc, line, &err));
    seq = json_member(doc, "seq");
    kind = json_member(doc, "kind");
    CHECK(json_is(kind, "data") || json_is(kind, "gap") || json_is(kind, "status"));
    if (!json_text_u64(seq, &n) || n > 100000) {
        g->others++;
        return;
    }
    for (int i = 0; i < T_STREAMS; i++) {
        buf name;
        buf_init(&name, 1 << 10);
        json_string_add(json_member(doc, "identifier"), &name);
        if (bytes_equal(buf_bytes(&name), record_stream_identifier(t_stream[i]))) {
            g->doubles += g->times[i][n]++ > 0;
            g->disorder += g->times[i][n] == 1 && n < g->last[i];
            g->last[i] = n > g->last[i] ? n : g->last[i];
        }
        buf_fini(&name);
    }
}

/* All that was published is there, at least once. */
static UNUSED void t_all_there(const t_got *g)
{
    for (int i = 0; i < T_STREAMS; i++)
        for (uint64_t n = 1; n <= record_stream_seq(t_stream[i]); n++)
            if (!g->times[i][n])
                test_fail(__FILE__, __LINE__, "stream %d: record %llu of %llu is not there\nlog:\n%s", i, (unsigned long long)n,
                          (unsigned long long)record_stream_seq(t_stream[i]), t_log);
}

/* How often a server is killed: so often, or $WEIR_KILLS times (at most 29), for a long night. And after how many turns of ours:
 * chance, but the same each time. */
static UNUSED int t_kills(int usual)
{
    const char *said = getenv("WEIR_KILLS");
    int kills = said ? atoi(said) : usual;
    return kills < 1 || kills > 29 ? usual : kills;
}

static UNUSED int t_turns_before_kill(int round)
{
    rand_seeded chance = {(uint64_t)round + 1};
    return 2 + (int)(rand_next(&chance) % 12);
}

/* ---- A server ---- */

typedef struct server {
    const char *program;
    int port;
    pid_t pid;
    char folder[64];
} server;

static bool port_is_free(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool free_ = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return free_;
}

static bool port_is_open(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool open_ = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return open_;
}

/* A free one below those that connections get by themselves, and `count` of them in a row. */
static UNUSED int free_port(int count)
{
    for (int port = 10000 + (int)((unsigned)getpid() * 7919u % 20000u);; port += count) {
        bool all = true;
        for (int i = 0; i < count; i++)
            all = all && port_is_free(port + i);
        if (all)
            return port;
    }
}

static UNUSED server server_new(const char *program, int ports)
{
    server s = {.program = program, .port = free_port(ports)};
    char which[128];
    snprintf(which, sizeof which, "command -v %s >/dev/null", program);
    if (system(which) != 0) {
        char why[128];
        snprintf(why, sizeof why, "%s is not here", program);
        test_skip(why);
    }
    snprintf(s.folder, sizeof s.folder, "/tmp/weir-sink-XXXXXX");
    CHECK(mkdtemp(s.folder) != NULL);
    return s;
}

/* Dies with us, whatever happens. */
static UNUSED void server_start(server *s, const char *const *argv)
{
    time_t give_up = time(NULL) + T_PATIENCE_S;
    pid_t parent = getpid();

    s->pid = fork();
    CHECK(s->pid >= 0);
    if (s->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int out = open("/dev/null", O_WRONLY);
        char log[96];
        snprintf(log, sizeof log, "%s/log", s->folder);
        int file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(file < 0 ? out : file, 1);
        dup2(file < 0 ? out : file, 2);
        if (getppid() == parent)
            execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    while (!port_is_open(s->port)) {
        struct timespec nap = {0, 20000000};
        if (time(NULL) > give_up || waitpid(s->pid, NULL, WNOHANG) == s->pid)
            test_fail(__FILE__, __LINE__, "%s does not start; see %s/log", s->program, s->folder);
        nanosleep(&nap, NULL);
    }
}

static UNUSED void server_kill(server *s, int signal_)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, signal_);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static UNUSED void server_free(server *s)
{
    char command[96];
    server_kill(s, SIGKILL);
    snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
    CHECK(system(command) == 0);
}

#endif
