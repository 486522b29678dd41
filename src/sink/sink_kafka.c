/* Records into a Kafka topic: kafka://[USER:PASSWORD@]HOST[:PORT]/TOPIC[?any setting of librdkafka=...]
 *
 *     key: the record's topic, so that one stream stays in one partition and in order
 *     value: the record's line            headers: seq, and connection ("": none)
 *
 * The producer is idempotent: within one run of the sink the brokers drop what librdkafka sends again, and keep the order. It
 * does its own reconnecting, so a broker that goes away does not end our connection (courier_trouble), and no silence
 * is judged. A record is acknowledged by its delivery report. Reports that are no delivery (a fatal error of the producer)
 * have the producer made anew; then records may come twice. */
#include "sink/courier.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#define REACH_MS 5000

typedef struct kafka {
    spec spec;
    uint64_t retry_ms;
    rd_kafka_conf_t *conf;
    rd_kafka_t *producer;
    courier *courier;
    weir_error broken;    /* the producer is of no use any more */
    char last_error[300]; /* of the library's own trouble */
} kafka;

static weir_code judge(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return WEIR_REFUSED;
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: /* a name that cannot be */
        return WEIR_INVALID;
    default:
        return WEIR_NETWORK;
    }
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kafka *k = opaque;
    char fatal[200];

    snprintf(k->last_error, sizeof k->last_error, "%.290s", reason);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(rk, fatal, sizeof fatal);
        error_set(&k->broken, WEIR_NETWORK, "the producer cannot go on: %s", fatal);
    } else if (judge(code) != WEIR_NETWORK) {
        error_set(&k->broken, judge(code), "%s", reason);
    } else if (k->courier) {
        courier_trouble(k->courier, "%s", reason);
    }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kafka *k = opaque;
    uint64_t number = (uint64_t)(uintptr_t)m->_private;

    (void)rk;
    if (!k->courier)
        return;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        courier_done(k->courier, number, false);
    else if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        courier_lost(k->courier, number, "%.*s: %zu octets, and the broker takes no such message (max.message.bytes of the topic)", (int)m->key_len,
                     (const char *)m->key, m->len);
    else if (!k->broken.code)
        error_set(&k->broken, judge(m->err), "takes no records: %s", rd_kafka_err2str(m->err));
}

/* What the library says of the first try stands there behind a moment's polling. */
static weir_code refuse(kafka *k, rd_kafka_resp_err_t code, const char *doing, weir_error *err)
{
    rd_kafka_poll(k->producer, 50);
    if (k->broken.code)
        return error_set(err, k->broken.code, "%s: %s", doing, k->broken.text);
    return error_set(err, judge(code), "%s: %s%s%s", doing, rd_kafka_err2str(code), *k->last_error ? ": " : "", k->last_error);
}

/* The brokers answer for our topic, which they may have to make first. */
static weir_code need_topic(kafka *k, weir_error *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(k->producer, k->spec.path, NULL);
    rd_kafka_resp_err_t code = topic ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : rd_kafka_last_error();

    for (int i = 0; topic && i < 20 && (code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART); i++) {
        const struct rd_kafka_metadata *found = NULL;
        if (i)
            rd_kafka_poll(k->producer, 100);
        code = rd_kafka_metadata(k->producer, 0, topic, &found, REACH_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && found->topic_cnt)
            code = found->topics[0].err;
        rd_kafka_metadata_destroy(found);
        if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT || k->broken.code)
            break;
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
    if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT || k->broken.code)
        return refuse(k, code, "cannot be reached", err);
    return code ? refuse(k, code, "the topic cannot be written to", err) : WEIR_OK;
}

static weir_code kafka_connect(void *remote, courier *c, weir_error *err)
{
    kafka *k = remote;
    char text[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->conf);

    k->broken = (weir_error)WEIR_ERROR_INIT;
    *k->last_error = '\0';
    k->courier = NULL; /* trouble while we connect is the connecting's */
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!k->producer) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, WEIR_INVALID, "its settings are refused: %s", text);
    }
    if (need_topic(k, err))
        return err->code;
    k->courier = c;
    return WEIR_OK;
}

static void kafka_disconnect(void *remote)
{
    kafka *k = remote;

    k->courier = NULL;
    if (!k->producer)
        return;
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy_flags(k->producer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    k->producer = NULL;
}

static weir_code kafka_send(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err)
{
    kafka *k = remote;
    char seq[24];

    for (size_t i = 0; i < count; i++) {
        const parcel *p = &parcels[i];
        int digits = snprintf(seq, sizeof seq, "%" PRIu64, p->seq);
        rd_kafka_resp_err_t code = rd_kafka_producev(
            k->producer, RD_KAFKA_V_TOPIC(k->spec.path), RD_KAFKA_V_KEY(p->topic.at, p->topic.len), RD_KAFKA_V_VALUE((void *)p->line.at, p->line.len),
            RD_KAFKA_V_HEADER("seq", seq, digits), RD_KAFKA_V_HEADER("connection", p->connection, strlen(p->connection)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)p->number), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            courier_lost(c, p->number, "%.100s: %zu octets, and the producer sends messages of at most message.max.bytes", p->topic.at, p->line.len);
        else if (code)
            return refuse(k, code, "takes no records", err);
    }
    return WEIR_OK;
}

static weir_code kafka_hear(void *remote, courier *c, int wait_ms, weir_error *err)
{
    kafka *k = remote;

    (void)c;
    while (rd_kafka_poll(k->producer, wait_ms) > 0)
        wait_ms = 0;
    if (k->broken.code)
        *err = k->broken;
    return k->broken.code;
}

static void kafka_free(void *remote)
{
    kafka *k = remote;

    if (k->conf)
        rd_kafka_conf_destroy(k->conf);
    free(k);
}

static weir_code set(kafka *k, const char *name, const char *value, weir_error *err)
{
    char text[300];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(k->conf, name, value, text, sizeof text);

    if (result == RD_KAFKA_CONF_OK)
        return WEIR_OK;
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return error_set(err, WEIR_INVALID, "'%s': there is no option '%.60s': neither one of the sink (window, window_octets, silence_ms, retry_ms) nor a producer's setting of librdkafka", k->spec.shown, name);
    return error_set(err, WEIR_INVALID, "'%s': the value of %.60s is refused%s%s", k->spec.shown, name, strstr(name, "password") ? "" : ": ", strstr(name, "password") ? "" : text);
}

static weir_code set_usual(kafka *k, weir_error *err)
{
    char servers[SPEC_MAX + 16], retry[24], first[24];
    const char *const usual[][2] = {
        {"bootstrap.servers", servers},
        {"client.id", "weir"},
        {"enable.idempotence", "true"},
        {"message.timeout.ms", "0"}, /* for ever: giving up is not its decision */
        {"queue.buffering.max.messages", "10000000"},
        {"queue.buffering.max.kbytes", "2097151"},
        {"linger.ms", "2"},
        {"reconnect.backoff.ms", first},
        {"reconnect.backoff.max.ms", retry},
    };
    weir_code code = WEIR_OK;

    snprintf(servers, sizeof servers, strchr(k->spec.host, ':') ? "[%s]:%u" : "%s:%u", k->spec.host, k->spec.port);
    snprintf(retry, sizeof retry, "%" PRIu64, k->retry_ms);
    snprintf(first, sizeof first, "%" PRIu64, k->retry_ms < 100 ? k->retry_ms : 100);
    for (size_t i = 0; !code && i < sizeof usual / sizeof *usual; i++)
        code = set(k, usual[i][0], usual[i][1], err);
    if (code || !*k->spec.user)
        return code;
    if (set(k, "sasl.username", k->spec.user, err) || set(k, "sasl.password", k->spec.password, err) || set(k, "sasl.mechanisms", "PLAIN", err))
        return err->code;
    return spec_option(&k->spec, "security.protocol") ? WEIR_OK : set(k, "security.protocol", "sasl_plaintext", err);
}

static weir_code read_spec(kafka *k, const char *rest, courier_options *c, weir_error *err)
{
    static const char *const own[] = {"password_file", COURIER_OPTIONS, NULL};
    static const spec_rules rules = {.scheme = "kafka", .port = 9092, .options = own, .any_option = true, .path = true};
    weir_code code = spec_read(&k->spec, &rules, rest, err);

    if (!code)
        code = courier_read_options(c, &k->spec, err);
    if (code)
        return code;
    if (!*k->spec.path || strchr(k->spec.path, '/'))
        return error_set(err, WEIR_INVALID, "'%s': behind the host stands the topic: kafka://HOST/TOPIC", k->spec.shown);
    if (!spec_option(&k->spec, "silence_ms"))
        c->silence_ms = 0;
    k->retry_ms = c->retry_ms;
    code = set_usual(k, err);
    for (size_t i = 0; !code && i < k->spec.options; i++) {
        size_t o = 0;
        while (own[o] && strcmp(own[o], k->spec.name[i]) != 0)
            o++;
        if (!own[o])
            code = set(k, k->spec.name[i], k->spec.value[i], err);
    }
    return code;
}

static weir_code kafka_open(sink **out, const sink_options *options, weir_error *err)
{
    static const remote_ops way = {kafka_connect, kafka_send, kafka_hear, kafka_disconnect, kafka_free};
    weir_error own = WEIR_ERROR_INIT;
    courier_options c;
    kafka *k = calloc(1, sizeof *k);

    err = err ? err : &own;
    if (!k || !(k->conf = rd_kafka_conf_new())) {
        free(k);
        return error_set(err, WEIR_NOMEM, "out of memory");
    }
    rd_kafka_conf_set_dr_msg_cb(k->conf, on_delivery);
    rd_kafka_conf_set_error_cb(k->conf, on_error);
    rd_kafka_conf_set_log_cb(k->conf, NULL);
    rd_kafka_conf_set_opaque(k->conf, k);
    if (read_spec(k, options->path ? options->path : "", &c, err)) {
        kafka_free(k);
        return err->code;
    }
    return courier_open(out, &sink_kafka_ops, k, &way, &c, err);
}

const sink_ops sink_kafka_ops = {
    .name = "kafka",
    .help = "a Kafka topic: kafka://[USER:PASSWORD@]HOST[:PORT]/TOPIC",
    .open = kafka_open,
    COURIER_SINK,
};
