/* Into a real nats-server with JetStream, which is killed, stopped, filled and locked; and into none. */
#include "sink/testing.h"

#include <nats/nats.h>

static server nats;

/* `more` ends with NULL, may be NULL. */
static void start(const char *const *more)
{
    char port[8];
    const char *argv[16] = {"nats-server", "-a", "127.0.0.1", "-p", port, "-sd", nats.folder};
    size_t n = 7;
    snprintf(port, sizeof port, "%d", nats.port);
    while (more && *more)
        argv[n++] = *more++;
    server_start(&nats, argv);
}

static void start_js(void)
{
    start((const char *[]){"-js", NULL});
}

static void begin(void)
{
    t_begin();
    nats = server_new("nats-server", 1);
}

static void end(sink *k)
{
    t_end(k);
    server_free(&nats);
}

#define OK(call)                                                                                                  \
    do {                                                                                                          \
        natsStatus s_ = (call);                                                                                   \
        if (s_ != NATS_OK)                                                                                        \
            test_fail(__FILE__, __LINE__, "%s: %s (%s)", #call, natsStatus_GetText(s_), nats_GetLastError(NULL)); \
    } while (0)

typedef struct client {
    natsConnection *c;
    jsCtx *js;
} client;

static client client_new(void)
{
    client k = {0};
    char url[64];
    snprintf(url, sizeof url, "nats://127.0.0.1:%d", nats.port);
    OK(natsConnection_ConnectTo(&k.c, url));
    OK(natsConnection_JetStream(&k.js, k.c, NULL));
    return k;
}

static void client_free(client *k)
{
    jsCtx_Destroy(k->js);
    natsConnection_Destroy(k->c);
}

/* The stream as a user has made it ahead of us, or changes it. */
static void have_stream(const char *name, const char *subject, int64_t max_msgs, int32_t max_size, bool change)
{
    client k = client_new();
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = name;
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.MaxMsgs = max_msgs;
    config.MaxMsgSize = max_size;
    config.Discard = js_DiscardNew;
    OK(change ? js_UpdateStream(NULL, k.js, &config, NULL, NULL) : js_AddStream(NULL, k.js, &config, NULL, NULL));
    client_free(&k);
}

static uint64_t read_all(t_got *g, const char *subject)
{
    client k = client_new();
    jsStreamInfo *info = NULL;
    natsSubscription *sub = NULL;
    jsSubOptions o;
    OK(js_GetStreamInfo(&info, k.js, "WEIR", NULL, NULL));
    uint64_t count = info->State.Msgs;
    jsSubOptions_Init(&o);
    o.Ordered = true;
    o.Stream = "WEIR";
    OK(js_SubscribeSync(&sub, k.js, subject, NULL, &o, NULL));
    for (uint64_t i = 0; i < count; i++) {
        natsMsg *m = NULL;
        const char *seq = NULL, *id = NULL, *connection = NULL;
        OK(natsSubscription_NextMsg(&m, sub, 30000));
        t_count(g, bytes_make(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)));
        OK(natsMsgHeader_Get(m, "Nats-Msg-Id", &id));
        CHECK(strncmp(natsMsg_GetSubject(m), "weir.trades.woox.", 17) == 0);
        CHECK(strncmp(id, natsMsg_GetSubject(m) + 5, strlen(natsMsg_GetSubject(m)) - 5) == 0);
        bool connected = natsMsgHeader_Get(m, "Weir-Connection", &connection) == NATS_OK;
        CHECK_INT(connected, memmem(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m), "\"connection\":7,", 15) != NULL);
        CHECK_INT(connected, strstr(id, "@7:") != NULL);
        if (natsMsgHeader_Get(m, "Weir-Seq", &seq) == NATS_OK) {
            char begins[40];
            snprintf(begins, sizeof begins, "{\"seq\":\"%s\",", seq);
            CHECK(strncmp(natsMsg_GetData(m), begins, strlen(begins)) == 0);
        }
        natsMsg_Destroy(m);
    }
    natsSubscription_Destroy(sub);
    jsStreamInfo_Destroy(info);
    client_free(&k);
    return count;
}

TEST(nats, gets_every_record_once_in_order)
{
    static t_got got;
    begin();
    start_js();
    sink *k = t_open("nats://127.0.0.1:%d", nats.port);
    t_publish(5000);
    hub_publish_status(t_hub, t_stream[0], RECORD_LIVE, "the socket is open");
    t_until(k, t_settled);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.written, 5001);
    CHECK_UINT(a.again, 0);
    CHECK_UINT(read_all(&got, "weir.>"), 5001);
    t_all_there(&got);
    CHECK_UINT(got.doubles, 0);
    CHECK_UINT(got.disorder, 0);
    CHECK_UINT(got.others, 1);
    CHECK_TEXT(t_log, "");
    end(k);
}

/* The server drops by its id what is sent again and was there. */
TEST(nats, killed_in_the_middle_loses_nothing_and_doubles_nothing)
{
    static t_got got;
    begin();
    start_js();
    sink *k = t_open("nats://127.0.0.1:%d?window=1000&retry_ms=200", nats.port);
    t_until(k, t_is_open);
    for (int round = 0, kills = t_kills(3); round < kills; round++) {
        t_publish(8000);
        for (int i = t_turns_before_kill(round); i; i--)
            t_turn(k);
        server_kill(&nats, SIGKILL);
        t_publish(2000);
        t_until(k, t_waits);
        CHECK_HAS(sink_waits_for(k)->text, "'nats://127.0.0.1:");
        start_js();
        t_until(k, t_is_open);
    }
    t_until(k, t_settled);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.written, t_published);
    CHECK_UINT(a.lost, 0);
    CHECK(a.connects >= 4);
    CHECK_UINT(read_all(&got, "weir.>"), t_published);
    t_all_there(&got);
    CHECK_UINT(got.doubles, 0);
    printf("    %llu sent again, the server had %llu of them\n", (unsigned long long)a.again, (unsigned long long)a.doubles);
    end(k);
}

TEST(nats, that_falls_silent_is_left_and_tried_again)
{
    static t_got got;
    begin();
    start_js();
    sink *k = t_open("nats://127.0.0.1:%d?silence_ms=300&retry_ms=200&window=500", nats.port);
    t_publish(100);
    t_until(k, t_settled);
    kill(nats.pid, SIGSTOP);
    t_publish(5000);
    t_until(k, t_waits);
    CHECK_INT(t_turn(k), SINK_BLOCKED);
    CHECK_UINT(sink_read_account(k).buffered, 500);
    kill(nats.pid, SIGCONT);
    t_until(k, t_settled);
    CHECK_UINT(read_all(&got, "weir.>"), 5100);
    t_all_there(&got);
    end(k);
}

/* A run that counts from 1 again is another: the server's window for doubles is two minutes. */
TEST(nats, second_run_is_not_taken_for_doubles_of_the_first)
{
    static t_got got;
    begin();
    start_js();
    for (int run = 0; run < 2; run++) {
        sink *k = t_open("nats://127.0.0.1:%d", nats.port);
        t_publish(300);
        t_until(k, t_settled);
        CHECK_UINT(sink_read_account(k).written, 300);
        CHECK_UINT(sink_read_account(k).doubles, 0);
        if (run == 1)
            CHECK_UINT(read_all(&got, "weir.>"), 600);
        t_end(k);
        if (run == 0)
            t_begin();
    }
    server_free(&nats);
}

TEST(nats, wrong_password_and_token_end_the_sink_and_are_not_shown)
{
    begin();
    start((const char *[]){"-js", "--user", "u", "--pass", "right", NULL});
    sink *k = t_open("nats://u:hunter2@127.0.0.1:%d", nats.port);
    t_publish(10);
    t_until(k, t_failed);
    CHECK_INT(sink_why(k)->code, WEIR_REFUSED);
    CHECK_HAS(sink_why(k)->text, "nats://u:***@127.0.0.1");
    CHECK_HAS(sink_why(k)->text, "password or token is wrong");
    CHECK(!strstr(sink_why(k)->text, "hunter2") && !strstr(t_log, "hunter2"));
    sink_close(k);
    k = t_open("nats://u:right@127.0.0.1:%d", nats.port);
    t_publish(10);
    t_until(k, t_settled);
    CHECK(sink_read_account(k).written > 0);
    sink_close(k);
    server_kill(&nats, SIGKILL);
    start((const char *[]){"-js", "--auth", "right", NULL});
    k = t_open("nats://hunter2@127.0.0.1:%d", nats.port);
    t_until(k, t_failed);
    CHECK(!strstr(sink_why(k)->text, "hunter2"));
    sink_close(k);
    k = t_open("nats://127.0.0.1:%d?token=right", nats.port);
    t_publish(10);
    t_until(k, t_settled);
    sink_close(k);
    char path[100];
    snprintf(path, sizeof path, "%s/secret", nats.folder);
    FILE *f = fopen(path, "w");
    fputs("right\n", f);
    fclose(f);
    k = t_open("nats://127.0.0.1:%d?password_file=%s", nats.port, path);
    t_publish(10);
    t_until(k, t_settled);
    end(k);
}

/* A certificate for "localhost", its own authority. */
static void make_certificate(const char *name)
{
    char command[600];
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
             "-keyout '%s/%s.key' -out '%s/%s.pem' >/dev/null 2>&1",
             nats.folder, name, nats.folder, name);
    CHECK(system(command) == 0);
}

TEST(nats, tls_with_the_right_authority_only)
{
    char pem[100], key[100];
    begin();
    make_certificate("server");
    make_certificate("other");
    snprintf(pem, sizeof pem, "%s/server.pem", nats.folder);
    snprintf(key, sizeof key, "%s/server.key", nats.folder);
    start((const char *[]){"-js", "--tls", "--tlscert", pem, "--tlskey", key, NULL});
    sink *k = t_open("nats://localhost:%d?tls=1&ca=%s", nats.port, pem);
    t_publish(100);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 100);
    sink_close(k);
    k = t_open("nats://localhost:%d?tls=1&ca=%s/other.pem", nats.port, nats.folder);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "certificate");
    sink_close(k);
    k = t_open("nats://127.0.0.1:%d?tls=1&ca=%s", nats.port, pem); /* not the name in it */
    t_until(k, t_waits);
    CHECK_UINT(sink_read_account(k).connects, 0);
    sink_close(k);
    k = t_open("nats://localhost:%d", nats.port);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "certificate"); /* the server wants TLS, and its authority is nobody's */
    end(k);
}

TEST(nats, server_without_jetstream_ends_the_sink_with_the_cure)
{
    begin();
    start(NULL);
    sink *k = t_open("nats://127.0.0.1:%d", nats.port);
    t_until(k, t_failed);
    CHECK_HAS(sink_why(k)->text, "start the server with -js");
    end(k);
}

TEST(nats, nobody_there_and_unknown_host_are_waited_for)
{
    begin();
    sink *k = t_open("nats://127.0.0.1:%d?retry_ms=50", nats.port);
    t_publish(10);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "cannot be reached");
    start_js();
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 10);
    sink_close(k);
    k = t_open("nats://no.such.host.invalid:%d", nats.port);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "nats://no.such.host.invalid");
    end(k);
}

static bool is_full(const sink *k)
{
    return t_waits(k) && strstr(sink_waits_for(k)->text, "maximum messages exceeded");
}

TEST(nats, full_stream_is_waited_for_and_nothing_is_lost)
{
    static t_got got;
    begin();
    start_js();
    have_stream("WEIR", "weir.>", 1000, -1, false);
    sink *k = t_open("nats://127.0.0.1:%d?retry_ms=100", nats.port);
    t_publish(5000);
    t_until(k, is_full);
    CHECK_UINT(sink_read_account(k).written, 1000);
    have_stream("WEIR", "weir.>", -1, -1, true);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 5000);
    CHECK_UINT(read_all(&got, "weir.>"), 5000);
    t_all_there(&got);
    end(k);
}

TEST(nats, record_larger_than_server_or_stream_take_is_lost_alone_and_counted)
{
    static t_got got;
    char path[96];
    begin();
    snprintf(path, sizeof path, "%s/conf", nats.folder);
    FILE *f = fopen(path, "w");
    fputs("max_payload: 100000\n", f);
    fclose(f);
    start((const char *[]){"-js", "-c", path, NULL});
    have_stream("WEIR", "weir.>", -1, 10000, false);
    sink *k = t_open("nats://127.0.0.1:%d?retry_ms=50", nats.port);
    t_publish(10);
    t_publish_large(200000);
    t_publish(10);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 1);
    CHECK_HAS(t_log, "and the server takes messages of at most 100000 (max_payload)");
    t_publish_large(20000);
    t_publish(10);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 2);
    CHECK_HAS(t_log, "message size exceeds maximum allowed");
    CHECK_UINT(sink_read_account(k).written, 30);
    CHECK_UINT(read_all(&got, "weir.>"), 30);
    end(k);
}

TEST(nats, subjects_of_another_stream_are_told)
{
    begin();
    start_js();
    have_stream("OTHER", "weir.>", -1, -1, false);
    sink *k = t_open("nats://127.0.0.1:%d?retry_ms=50", nats.port);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "the stream is not there and cannot be made");
    CHECK_HAS(sink_waits_for(k)->text, "overlap");
    sink_close(k);
    k = t_open("nats://127.0.0.1:%d?subject=md.weir&maxlen=100", nats.port);
    t_publish(500);
    t_until(k, t_settled);
    client c = client_new();
    jsStreamInfo *info = NULL;
    OK(js_GetStreamInfo(&info, c.js, "WEIR", NULL, NULL));
    CHECK_UINT(info->State.Msgs, 100);
    jsStreamInfo_Destroy(info);
    client_free(&c);
    end(k);
}

TEST(nats, nonsense_in_a_spec_is_refused)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"nats", "expected nats://HOST:PORT"},
        {"nats://h/x", "nothing sensible stands behind the host"},
        {"nats://h?stream=a.b", "stream is a name without"},
        {"nats://h?stream=", "stream is a name without"},
        {"nats://h?subject=a.>", "subject is what the subjects begin with"},
        {"nats://h?subject=$WEIR.x", "belong to NATS and to the nodes of a cluster"},
        {"nats://h?stream=WEIR_RECORDS", "belong to NATS and to the nodes of a cluster"},
        {"nats://h?stream=KV_WEIR", "belong to NATS and to the nodes of a cluster"},
        {"nats://h?subject=.a", "subject is what the subjects begin with"},
        {"nats://h?subject=a%20b", "subject is what the subjects begin with"},
        {"nats://h?maxlen=x", "expected a number from 1"},
        {"nats://h?replicas=6", "expected a number from 1 to 5"},
        {"nats://h?tls=2", "expected a number from 0 to 1"},
        {"nats://h?size=3", "there is no option 'size'; there are stream, subject"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        sink *k = NULL;
        CHECK_INT(sink_open(&k, cases[i].spec, NULL, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(k == NULL);
    }
}
