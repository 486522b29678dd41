/* sink_bench: records a second into each sink until all is acknowledged, and against it the same lines brought there by the
 * client library alone, in one process, turn about. The other ends are real: a process that reads a Unix socket, redis-server,
 * nats-server with JetStream on disk; Kafka where $WEIR_BENCH_KAFKA names a broker (HOST:PORT). What is not installed is left out.
 *
 *     sink_bench [RECORDS] [--json] [SINK...] */
#include "bench/bench.h"

#include "hub/hub.h"
#include "sink/sink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <nats/nats.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROUNDS 3

static size_t records = 200000;
static hub *h;
static record_stream *stream;
static char folder[64];
static bytes line; /* all lines are as long as this one */

static void begin(void)
{
    weir_error err = WEIR_ERROR_INIT;
    record_key key = {BYTES("trades"), BYTES("woox-datasource"), BYTES("SPOT_BTC_USDT"), {NULL, 0}, false, 0};
    if (hub_new(&h, &err) || hub_stream(&stream, h, &key, &err))
        give_up("%s", err.text);
    record_stream_resume(stream, 1000000); /* a seq of as many digits all the time */
    snprintf(folder, sizeof folder, "/tmp/sink-bench-XXXXXX");
    if (!mkdtemp(folder))
        give_up("no folder");
}

static record *next_record(void)
{
    static const char data[] = "{\"symbol\":\"SPOT_BTC_USDT\",\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"price\":\"37012.4\",\"size\":\"0.012\",\"side\":\"buy\"}";
    return record_new(stream, 1700000000000000000u, 1700000000000000000u, bytes_make(data, sizeof data - 1));
}

/* Seconds until all is acknowledged. */
static double ours(const char *spec)
{
    weir_error err = WEIR_ERROR_INIT;
    sub_options o = {.policy = SUB_BLOCK, .max_records = 65536};
    sub *reader;
    sink *k;
    size_t sent = 0;
    if (hub_subscribe(&reader, h, ">", &o, &err) || sink_open(&k, spec, NULL, &err))
        give_up("%s", err.text);
    while (sink_get_state(k) == SINK_WAITING) {
        struct pollfd fd = {.fd = sink_fd(k), .events = POLLIN};
        poll(&fd, 1, 100);
        if (sink_flush(k) == SINK_ERROR)
            give_up("%s", sink_why(k)->text);
    }
    double from = wall_s();
    for (;;) {
        for (int i = 0; i < 1000 && sent < records && sub_read_account(reader).queued < 30000; i++, sent++)
            hub_publish(h, next_record());
        sink_progress p = sink_drain(k, reader, 8192);
        if (p == SINK_FAILED)
            give_up("%s", sink_why(k)->text);
        if (sent == records && p == SINK_DONE && !sink_read_account(k).buffered)
            break;
        struct pollfd fd = {.fd = sink_fd(k), .events = (short)(sink_hears(k) ? POLLIN : POLLOUT)};
        if (p == SINK_BLOCKED || (p == SINK_DONE && sent == records))
            poll(&fd, 1, 100);
    }
    double took = wall_s() - from;
    if (sink_read_account(k).written != records)
        give_up("%s: %llu written", spec, (unsigned long long)sink_read_account(k).written);
    sink_close(k);
    hub_unsubscribe(h, reader);
    return took;
}

/* ---- The libraries alone ---- */

static double hiredis_alone(int port)
{
    redisContext *c = redisConnect("127.0.0.1", port);
    void *reply;
    if (!c || c->err)
        give_up("redis: no connection");
    double from = wall_s();
    for (size_t i = 0; i < records;) {
        size_t batch = 0;
        for (; batch < 512 && i < records; batch++, i++)
            redisAppendCommand(c, "XADD %s * topic %s seq %s record %b", "alone", "trades.woox-datasource.SPOT_BTC_USDT", "1000000", line.at, line.len);
        while (batch--) {
            if (redisGetReply(c, &reply))
                give_up("redis: %s", c->errstr);
            freeReplyObject(reply);
        }
    }
    double took = wall_s() - from;
    redisFree(c);
    return took;
}

static double libnats_alone(int port)
{
    static unsigned long long id;
    char url[64], text[64];
    natsConnection *c;
    jsCtx *js;
    jsPubOptions po;
    jsStreamConfig sc;
    const char *subject = "alone.>";
    snprintf(url, sizeof url, "nats://127.0.0.1:%d", port);
    if (natsConnection_ConnectTo(&c, url) || natsConnection_JetStream(&js, c, NULL))
        give_up("nats: no connection");
    jsStreamConfig_Init(&sc);
    sc.Name = "ALONE";
    sc.Subjects = &subject;
    sc.SubjectsLen = 1;
    js_AddStream(NULL, js, &sc, NULL, NULL);
    jsPubOptions_Init(&po);
    po.MsgId = text;
    double from = wall_s();
    for (size_t i = 0; i < records; i++) {
        snprintf(text, sizeof text, "trades.woox-datasource.SPOT_BTC_USDT:%llu", ++id);
        if (js_PublishAsync(js, "alone.trades.woox-datasource.SPOT_BTC_USDT", line.at, (int)line.len, &po))
            give_up("nats: %s", nats_GetLastError(NULL));
    }
    if (js_PublishAsyncComplete(js, NULL))
        give_up("nats: %s", nats_GetLastError(NULL));
    double took = wall_s() - from;
    jsCtx_Destroy(js);
    natsConnection_Destroy(c);
    return took;
}

static double rdkafka_alone(const char *broker)
{
    static const char topic[] = "trades.woox-datasource.SPOT_BTC_USDT";
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof text);
    rd_kafka_conf_set(conf, "enable.idempotence", "true", text, sizeof text);
    rd_kafka_conf_set(conf, "queue.buffering.max.messages", "10000000", text, sizeof text);
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk)
        give_up("kafka: %s", text);
    double from = wall_s();
    for (size_t i = 0; i < records; i++) {
        if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("alone"), RD_KAFKA_V_KEY(topic, sizeof topic - 1), RD_KAFKA_V_VALUE((void *)line.at, line.len),
                              RD_KAFKA_V_HEADER("seq", "1000000", 7), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END))
            give_up("kafka: producer is full");
        if (i % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    if (rd_kafka_flush(rk, 120000))
        give_up("kafka: no answer");
    double took = wall_s() - from;
    rd_kafka_destroy(rk);
    return took;
}

static double write_alone(int fd)
{
    static char buffer[64 << 10];
    size_t len = 0;
    double from = wall_s();
    for (size_t i = 0; i < records; i++) {
        if (len + line.len + 1 > sizeof buffer || i + 1 == records) {
            for (size_t at = 0; at < len;) {
                ssize_t n = write(fd, buffer + at, len - at);
                if (n <= 0)
                    give_up("write: %s", strerror(errno));
                at += (size_t)n;
            }
            len = 0;
        }
        memcpy(buffer + len, line.at, line.len + 1);
        len += line.len + 1;
    }
    return wall_s() - from;
}

/* ---- Other ends ---- */

static pid_t child(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || getsockname(fd, (struct sockaddr *)&a, &len))
        give_up("no port");
    close(fd);
    return ntohs(a.sin_port);
}

/* False: it is not installed. */
static bool wait_open(pid_t pid, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    for (int i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), failed = connect(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (!failed)
            return true;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return false;
        usleep(10000);
    }
    return false;
}

/* Reads all, of one connection after the other. */
static pid_t unix_reader(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static char piece[256 << 10];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4))
        give_up("no socket");
    pid_t pid = fork();
    if (pid)
        return close(fd), pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        while (read(one, piece, sizeof piece) > 0)
            ;
        close(one);
    }
}

static int unix_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        give_up("no reader");
    return fd;
}

/* ---- Figures ---- */

static bool as_json, any;
static char **wanted; /* NULL at the end; none: all */

static bool is_wanted(const char *name)
{
    for (char **w = wanted; *w; w++)
        if (strcmp(*w, name) == 0)
            return true;
    return !*wanted;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double mine[ROUNDS], double theirs[ROUNDS])
{
    qsort(mine, ROUNDS, sizeof *mine, by_size);
    qsort(theirs, ROUNDS, sizeof *theirs, by_size);
    double a = (double)records / mine[ROUNDS / 2], b = (double)records / theirs[ROUNDS / 2];
    if (as_json)
        printf("%s\"%s\":{\"ours_per_s\":%.0f,\"alone_per_s\":%.0f,\"ratio\":%.3f}", any ? "," : "{", name, a, b, a / b);
    else
        printf("%-8s %9.0f records/s, the library alone %9.0f: %.2f\n", name, a, b, a / b);
    any = true;
    fflush(stdout);
}

static void file_sinks(void)
{
    static const char *const specs[] = {"ndjson:/dev/null", "csv:/dev/null"};
    for (size_t s = 0; s < 2; s++) {
        double mine[ROUNDS], theirs[ROUNDS];
        char name[8];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(specs[s], ":"), specs[s]);
        for (int i = 0; i < ROUNDS && is_wanted(name); i++) {
            int fd = open("/dev/null", O_WRONLY);
            mine[i] = ours(specs[s]);
            theirs[i] = write_alone(fd);
            close(fd);
        }
        if (is_wanted(name))
            report(name, mine, theirs);
    }
}

static void unix_sink(void)
{
    char path[100], spec[120];
    double mine[ROUNDS], theirs[ROUNDS];
    if (!is_wanted("unix"))
        return;
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(spec, sizeof spec, "unix:%s", path);
    pid_t pid = unix_reader(path);
    for (int i = 0; i < ROUNDS; i++) {
        mine[i] = ours(spec);
        int fd = unix_connect(path);
        theirs[i] = write_alone(fd);
        close(fd);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    report("unix", mine, theirs);
}

static void server_sink(const char *name, const char *const *argv, int port, double (*alone)(int port))
{
    char spec[100];
    double mine[ROUNDS], theirs[ROUNDS];
    if (!is_wanted(name))
        return;
    pid_t pid = child(argv);
    if (!wait_open(pid, port)) {
        fprintf(stderr, "sink_bench: %s is not here\n", argv[0]);
        return;
    }
    snprintf(spec, sizeof spec, "%s://127.0.0.1:%d", name, port);
    for (int i = 0; i < ROUNDS; i++) {
        mine[i] = ours(spec);
        theirs[i] = alone(port);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    report(name, mine, theirs);
}

static void kafka_sink(void)
{
    const char *broker = getenv("WEIR_BENCH_KAFKA");
    char spec[200];
    double mine[ROUNDS], theirs[ROUNDS];
    if (!broker || !is_wanted("kafka"))
        return;
    snprintf(spec, sizeof spec, "kafka://%s/weir-bench", broker);
    for (int i = 0; i < ROUNDS; i++) {
        mine[i] = ours(spec);
        theirs[i] = rdkafka_alone(broker);
    }
    report("kafka", mine, theirs);
}

int main(int argc, char **argv)
{
    char port[8], command[100];
    for (argv++; *argv && (!strcmp(*argv, "--json") || strtoull(*argv, NULL, 10)); argv++)
        if (!strcmp(*argv, "--json"))
            as_json = true;
        else
            records = strtoull(*argv, NULL, 10);
    (void)argc;
    wanted = argv;
    signal(SIGPIPE, SIG_IGN);
    begin();
    record *sample = next_record();
    line = sample->line;
    file_sinks();
    unix_sink();
    snprintf(port, sizeof port, "%d", free_port());
    server_sink("redis", (const char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", NULL}, atoi(port), hiredis_alone);
    snprintf(port, sizeof port, "%d", free_port());
    server_sink("nats", (const char *[]){"nats-server", "-js", "-a", "127.0.0.1", "-p", port, "-sd", folder, NULL}, atoi(port), libnats_alone);
    kafka_sink();
    if (as_json)
        puts(any ? "}" : "{}");
    record_unref(sample);
    record_stream_unref(stream);
    hub_free(h);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0;
}
