/* Into a real Kafka broker (Java, from Maven), which is killed and stopped; and into none. Where it cannot be had, the tests that
 * need it are skipped, and say so. */
#include "sink/testing.h"

#include <librdkafka/rdkafka.h>

static server kafka;
static char jars[300];

/* $WEIR_KAFKA, or what kafka-setup of the workshop makes. False: there is none. */
static bool find_jars(void)
{
    static const char *const tools[] = {"../shared/tools/kafka-setup", "../../shared/tools/kafka-setup"};
    const char *given = getenv("WEIR_KAFKA"), *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME");
    char folder[200], command[600];

    if (system("command -v java >/dev/null") != 0)
        return false;
    if (given)
        snprintf(folder, sizeof folder, "%.190s", given);
    else if (cache)
        snprintf(folder, sizeof folder, "%.150s/weir/kafka", cache);
    else
        snprintf(folder, sizeof folder, "%.150s/.cache/weir/kafka", home ? home : "/tmp");
    snprintf(jars, sizeof jars, "%s/lib/*", folder);
    snprintf(command, sizeof command, "ls '%s'/lib/kafka_*.jar >/dev/null 2>&1", folder);
    for (size_t i = 0; i < 2 && system(command) != 0; i++) {
        char setup[600];
        snprintf(setup, sizeof setup, "%s '%s' >/dev/null 2>&1", tools[i], folder);
        if (access(tools[i], X_OK) == 0 && system(setup) != 0)
            return false;
    }
    return system(command) == 0;
}

static void write_conf(const char *path)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fprintf(f,
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:%d\n"
            "listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\nadvertised.listeners=PLAINTEXT://127.0.0.1:%d\n"
            "controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\nlog.dirs=%s/data\nnum.partitions=2\n"
            "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=1\nauto.create.topics.enable=true\n",
            kafka.port + 1, kafka.port, kafka.port + 1, kafka.port, kafka.folder);
    fclose(f);
}

/* No shell in between: what is killed is the broker. */
static void start(void)
{
    char conf[96];
    snprintf(conf, sizeof conf, "%s/conf", kafka.folder);
    server_start(&kafka, (const char *[]){"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars, "kafka.Kafka", conf, NULL});
}

static void begin(void)
{
    char conf[96], command[1000];
    if (!find_jars())
        test_skip("no Kafka here: java, and its jars in $WEIR_KAFKA/lib");
    t_begin();
    kafka = server_new("java", 2);
    snprintf(conf, sizeof conf, "%s/conf", kafka.folder);
    write_conf(conf);
    snprintf(command, sizeof command, "java -Xmx128m -XX:TieredStopAtLevel=1 -cp '%s' kafka.tools.StorageTool format -t 'AAAAAAAAQACAAAAAAAAAAQ' -c '%s' >/dev/null 2>&1", jars, conf);
    CHECK(system(command) == 0);
    start();
}

static void end(sink *k)
{
    t_end(k);
    server_free(&kafka);
}

/* All partitions from their beginnings to their ends: how many messages. */
static uint64_t read_all(t_got *g, const char *topic)
{
    char servers[64], text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(2);
    uint64_t count = 0;
    snprintf(servers, sizeof servers, "127.0.0.1:%d", kafka.port);
    CHECK(rd_kafka_conf_set(conf, "bootstrap.servers", servers, text, sizeof text) == RD_KAFKA_CONF_OK);
    CHECK(rd_kafka_conf_set(conf, "group.id", "test", text, sizeof text) == RD_KAFKA_CONF_OK);
    CHECK(rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text) == RD_KAFKA_CONF_OK);
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *c = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    CHECK(c != NULL);
    for (int i = 0; i < 2; i++)
        rd_kafka_topic_partition_list_add(parts, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    CHECK(rd_kafka_assign(c, parts) == 0);
    time_t give_up = time(NULL) + T_PATIENCE_S;
    for (int ends = 0; ends < 2;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c, 1000);
        CHECK(time(NULL) < give_up);
        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ends++;
        if (m && !m->err) {
            const void *seq = "";
            size_t len = 0;
            char begins[40];
            rd_kafka_headers_t *headers;
            t_count(g, bytes_make(m->payload, m->len));
            count++;
            CHECK(bytes_starts(bytes_make(m->key, m->key_len), BYTES("trades.woox.")));
            CHECK(rd_kafka_message_headers(m, &headers) == 0);
            CHECK(rd_kafka_header_get_last(headers, "connection", &seq, &len) == 0);
            CHECK_INT(len == 1 && *(const char *)seq == '7', memmem(m->payload, m->len, "\"connection\":7,", 15) != NULL);
            CHECK(rd_kafka_header_get_last(headers, "seq", &seq, &len) == 0);
            snprintf(begins, sizeof begins, "{\"seq\":\"%.*s\",", (int)len, (const char *)seq);
            if (strncmp(seq, "0", len) != 0)
                CHECK(bytes_starts(bytes_make(m->payload, m->len), bytes_of(begins)));
        }
        if (m)
            rd_kafka_message_destroy(m);
    }
    rd_kafka_topic_partition_list_destroy(parts);
    rd_kafka_consumer_close(c);
    rd_kafka_destroy(c);
    return count;
}

/* One broker for all of it: it is slow to start. */
TEST(kafka, gets_all_once_in_order_also_when_its_broker_is_killed)
{
    static t_got got, second;
    begin();
    sink *k = t_open("kafka://127.0.0.1:%d/weir?window=1000&retry_ms=500", kafka.port);
    t_publish(5000);
    hub_publish_status(t_hub, t_stream[0], RECORD_LIVE, "the socket is open");
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 5001);
    for (int round = 0, kills = t_kills(2); round < kills; round++) {
        t_publish(8000);
        for (int i = t_turns_before_kill(round); i; i--)
            t_turn(k);
        server_kill(&kafka, SIGKILL);
        t_publish(2000);
        t_until(k, t_waits);
        CHECK_HAS(sink_waits_for(k)->text, "'kafka://127.0.0.1:");
        start();
        t_until(k, t_settled);
        CHECK_INT(sink_get_state(k), SINK_OPEN);
    }
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.written, t_published + 1);
    CHECK_UINT(a.lost, 0);
    CHECK_UINT(read_all(&got, "weir"), t_published + 1);
    t_all_there(&got);
    CHECK_UINT(got.doubles, 0);
    CHECK_UINT(got.disorder, 0);
    CHECK_UINT(got.others, 1);
    printf("    %llu connections, %llu sent again by us\n", (unsigned long long)a.connects, (unsigned long long)a.again);

    /* too large: for the producer, then for the broker alone */
    t_publish_large(2000000);
    t_publish(10);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 1);
    CHECK_HAS(t_log, "at most message.max.bytes");
    sink_close(k);
    k = t_open("kafka://127.0.0.1:%d/second?message.max.bytes=10000000", kafka.port);
    t_publish(10);
    t_publish_large(3000000);
    t_publish(10);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).lost, 1);
    CHECK_UINT(sink_read_account(k).written, 20);
    CHECK_HAS(t_log, "max.message.bytes of the topic");
    CHECK_UINT(read_all(&second, "second"), 20);
    end(k);
}

TEST(kafka, name_that_cannot_be_ends_the_sink)
{
    begin();
    sink *k = t_open("kafka://127.0.0.1:%d/a%%20b", kafka.port);
    t_until(k, t_failed);
    CHECK_HAS(sink_why(k)->text, "the topic cannot be written to");
    sink_close(k);
    k = t_open("kafka://u:hunter2@127.0.0.1:%d/weir?retry_ms=100", kafka.port); /* a broker that asks for no password */
    t_until(k, t_failed);
    CHECK_HAS(sink_why(k)->text, "SASL PLAIN");
    CHECK(!strstr(sink_why(k)->text, "hunter2"));
    end(k);
}

TEST(kafka, nobody_there_and_unknown_host_are_waited_for)
{
    t_begin();
    sink *k = t_open("kafka://127.0.0.1:%d/weir?retry_ms=100", free_port(1));
    t_publish(10);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "cannot be reached");
    CHECK_HAS(sink_waits_for(k)->text, "Connection refused");
    CHECK_UINT(sink_read_account(k).buffered, 10);
    sink_close(k);
    k = t_open("kafka://no.such.host.invalid/weir");
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "no.such.host.invalid");
    t_end(k);
}

TEST(kafka, nonsense_in_a_spec_is_refused)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"kafka", "expected kafka://HOST:PORT"},
        {"kafka://h", "behind the host stands the topic"},
        {"kafka://h/a/b", "behind the host stands the topic"},
        {"kafka://h/t?linger.ms=x", "the value of linger.ms is refused: Invalid value"},
        {"kafka://h/t?no.such=1", "there is no option 'no.such'"},
        {"kafka://h/t?window=0", "expected a number from 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        sink *k = NULL;
        CHECK_INT(sink_open(&k, cases[i].spec, NULL, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(k == NULL);
    }
}
