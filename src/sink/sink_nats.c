/* Records into a NATS JetStream stream: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][?stream=WEIR&subject=weir...]
 *
 * Each record is a message of its own, subject weir.TOPIC, its line the data, and in its header what makes a second sending
 * harmless: Nats-Msg-Id, by which the server drops doubles (as long as its window says, two minutes usually). That id is
 * topic:seq:ts_out (topic@connection:... of a stream that has one). Without the time the first records of the next run, which counts from 1 again, would be taken for doubles of
 * this one's.
 *
 * An acknowledgement is the server's answer to our reply subject, whose last token is the record's number. We read them
 * ourselves (js_PublishAsync of libnats 3.4 tells of errors alone): each acknowledged record can go, whatever the order, and
 * a double is seen as one. The library's own reconnecting is off: the courier's is the same for all sinks. */
#include "base/json.h"
#include "sink/courier.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 5000

/* Errors of the server that mean this one record alone (err_code of its answer). */
#define TOO_LARGE JSStreamMessageExceedsMaximumErr
#define OTHER_STREAM JSStreamNotMatchErr

typedef struct nats {
    spec spec;
    const char *stream, *subject; /* of the spec, or the usual */
    uint64_t maxlen, replicas;
    bool tls;
    natsOptions *options;
    natsConnection *c;
    jsCtx *js;
    natsSubscription *answers;
    natsInbox *inbox;
    int64_t max_payload;
} nats;

static weir_code refuse(natsStatus status, const char *doing, weir_error *err)
{
    const char *last = nats_GetLastError(NULL), *text = natsStatus_GetText(status), *place;
    weir_code code = status == NATS_CONNECTION_AUTH_FAILED ? WEIR_REFUSED : status == NATS_NO_MEMORY ? WEIR_NOMEM
                                                                        : status == NATS_TIMEOUT     ? WEIR_TIMEOUT
                                                                                                     : WEIR_NETWORK;
    const char *cure = code == WEIR_REFUSED ? "; the spec's user, password or token is wrong" : "";
    if (last && *last == '(' && (place = strstr(last, "): "))) /* where in the library */
        last = place + 3;
    if (!last || !*last || strcmp(last, text) == 0)
        return error_set(err, code, "%s: %s%s", doing, text, cure);
    return error_set(err, code, "%s: %s (%.200s)%s", doing, text, last, cure);
}

static natsStatus set_who(nats *n, natsOptions *o)
{
    const char *creds = spec_option(&n->spec, "creds"), *token = spec_option(&n->spec, "token");

    if (creds)
        return natsOptions_SetUserCredentialsFromFiles(o, creds, NULL);
    if (*n->spec.password && *n->spec.user)
        return natsOptions_SetUserInfo(o, n->spec.user, n->spec.password);
    if (!token) /* alone before the @, or in the file */
        token = *n->spec.user ? n->spec.user : n->spec.password;
    return *token ? natsOptions_SetToken(o, token) : NATS_OK;
}

static natsStatus set_tls(nats *n, natsOptions *o)
{
    const char *ca = spec_option(&n->spec, "ca");
    natsStatus s = n->tls ? natsOptions_SetSecure(o, true) : NATS_OK;

    if (s == NATS_OK && n->tls && ca)
        s = natsOptions_LoadCATrustedCertificates(o, ca);
    return s == NATS_OK && n->tls ? natsOptions_SetExpectedHostname(o, n->spec.host) : s;
}

static natsStatus set_options(nats *n, natsOptions *o)
{
    char url[SPEC_MAX + 32];
    natsStatus s;

    snprintf(url, sizeof url, strchr(n->spec.host, ':') ? "nats://[%s]:%u" : "nats://%s:%u", n->spec.host, n->spec.port);
    if ((s = natsOptions_SetURL(o, url)) || (s = natsOptions_SetName(o, "weir")) || (s = natsOptions_SetTimeout(o, TIMEOUT_MS)) ||
        (s = natsOptions_SetAllowReconnect(o, false)) || (s = natsOptions_SetWriteDeadline(o, TIMEOUT_MS)) ||
        (s = natsOptions_SetPingInterval(o, 10000)) || (s = set_who(n, o)))
        return s;
    return set_tls(n, o);
}

/* Exists, or is made. */
static weir_code need_stream(nats *n, weir_error *err)
{
    char subjects[256];
    const char *list[] = {subjects};
    jsStreamInfo *info = NULL;
    jsStreamConfig config;
    jsErrCode code = 0;
    natsStatus s = js_GetStreamInfo(&info, n->js, n->stream, NULL, &code);

    if (s == NATS_NOT_FOUND) {
        jsStreamConfig_Init(&config);
        snprintf(subjects, sizeof subjects, "%s.>", n->subject);
        config.Name = n->stream;
        config.Subjects = list;
        config.SubjectsLen = 1;
        config.MaxMsgs = n->maxlen ? (int64_t)n->maxlen : -1;
        config.Replicas = (int64_t)n->replicas;
        s = js_AddStream(&info, n->js, &config, NULL, &code);
        if (s != NATS_OK)
            return refuse(s, "the stream is not there and cannot be made", err);
    }
    if (s == NATS_NO_RESPONDERS || code == JSNotEnabledErr || code == JSNotEnabledForAccountErr)
        return error_set(err, WEIR_REFUSED, "JetStream is not enabled there; start the server with -js");
    if (s != NATS_OK)
        return refuse(s, "the stream cannot be asked for", err);
    jsStreamInfo_Destroy(info);
    return WEIR_OK;
}

static weir_code nats_connect(void *remote, courier *c, weir_error *err)
{
    nats *n = remote;
    char answers[128];
    natsStatus s;

    (void)c;
    if ((s = natsOptions_Create(&n->options)) || (s = set_options(n, n->options)))
        return refuse(s, "its settings are refused", err);
    if ((s = natsConnection_Connect(&n->c, n->options)))
        return refuse(s, "cannot be reached", err);
    n->max_payload = natsConnection_GetMaxPayload(n->c);
    if ((s = natsConnection_JetStream(&n->js, n->c, NULL)) || (s = natsInbox_Create(&n->inbox)))
        return refuse(s, "has no JetStream", err);
    if (need_stream(n, err))
        return err->code;
    snprintf(answers, sizeof answers, "%s.*", n->inbox);
    if ((s = natsConnection_SubscribeSync(&n->answers, n->c, answers)) ||
        (s = natsSubscription_SetPendingLimits(n->answers, 2 * (int)COURIER_WINDOW_MAX, 1 << 30)))
        return refuse(s, "its answers cannot be heard", err);
    return WEIR_OK;
}

static void nats_disconnect(void *remote)
{
    nats *n = remote;

    natsSubscription_Destroy(n->answers);
    jsCtx_Destroy(n->js);
    natsInbox_Destroy(n->inbox);
    natsConnection_Destroy(n->c);
    natsOptions_Destroy(n->options);
    n->answers = NULL;
    n->js = NULL;
    n->inbox = NULL;
    n->c = NULL;
    n->options = NULL;
}

static natsStatus publish(nats *n, const parcel *p)
{
    char subject[TOPIC_MAX + 256], reply[160], id[TOPIC_MAX + 64], seq[24];
    natsMsg *m = NULL;
    natsStatus s;

    snprintf(subject, sizeof subject, "%s.%s", n->subject, p->topic.at);
    snprintf(reply, sizeof reply, "%s.%" PRIu64, n->inbox, p->number);
    snprintf(id, sizeof id, "%s%s%s:%" PRIu64 ":%" PRIu64, p->topic.at, *p->connection ? "@" : "", p->connection, p->seq, p->ts_out);
    snprintf(seq, sizeof seq, "%" PRIu64, p->seq);
    s = natsMsg_Create(&m, subject, reply, p->line.at, (int)p->line.len);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(m, "Nats-Msg-Id", id);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(m, "Nats-Expected-Stream", n->stream);
    if (s == NATS_OK && p->seq)
        s = natsMsgHeader_Set(m, "Weir-Seq", seq);
    if (s == NATS_OK && *p->connection)
        s = natsMsgHeader_Set(m, "Weir-Connection", p->connection);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(n->c, m);
    natsMsg_Destroy(m);
    return s;
}

static weir_code nats_send(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err)
{
    nats *n = remote;

    for (size_t i = 0; i < count; i++) {
        natsStatus s = publish(n, &parcels[i]);
        if (s == NATS_MAX_PAYLOAD)
            courier_lost(c, parcels[i].number, "%.100s: %zu octets, and the server takes messages of at most %" PRId64 " (max_payload)",
                         parcels[i].topic.at, parcels[i].line.len, n->max_payload);
        else if (s != NATS_OK)
            return refuse(s, "cannot be written to", err);
    }
    return WEIR_OK;
}

/* {"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}} */
static weir_code judge(courier *c, uint64_t number, json error, weir_error *err)
{
    uint64_t code = 0;
    bytes text = BYTES("");

    json_u64(json_member(error, "err_code"), &code);
    json_string_slice(json_member(error, "description"), &text);
    if (code == TOO_LARGE) {
        courier_lost(c, number, "the stream's server says '" BYTES_FMT "'", BYTES_ARG(text));
        return WEIR_OK;
    }
    return error_set(err, code == OTHER_STREAM ? WEIR_INVALID : WEIR_LIMIT, "takes no records: '" BYTES_FMT "' (error %" PRIu64 ")%s", BYTES_ARG(text), code,
                     code == OTHER_STREAM ? "; the subjects of the spec belong to another stream" : "");
}

/* {"stream":"WEIR","seq":12,"duplicate":true} to INBOX.NUMBER */
static weir_code take_answer(nats *n, courier *c, natsMsg *m, weir_error *err)
{
    const char *number = strrchr(natsMsg_GetSubject(m), '.');
    uint64_t which = number ? strtoull(number + 1, NULL, 10) : 0;
    json error, stream, duplicate;
    const json_field fields[] = {{"error", &error}, {"stream", &stream}, {"duplicate", &duplicate}};
    bool doubled = false;

    if (natsMsg_IsNoResponders(m))
        return error_set(err, WEIR_NETWORK, "the stream '%s' is gone, or has other subjects than %s.>", n->stream, n->subject);
    if (json_read_fields(bytes_make(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)), fields, 3, err))
        return error_wrap(err, "answers what is no acknowledgement");
    if (error.type != JSON_NONE)
        return judge(c, which, error, err);
    if (stream.type != JSON_STRING)
        return error_set(err, WEIR_NETWORK, "answers what is no acknowledgement");
    json_bool(duplicate, &doubled);
    courier_done(c, which, doubled);
    return WEIR_OK;
}

static weir_code nats_hear(void *remote, courier *c, int wait_ms, weir_error *err)
{
    nats *n = remote;

    for (;;) {
        natsMsg *m = NULL;
        natsStatus s = natsSubscription_NextMsg(&m, n->answers, wait_ms);
        wait_ms = 0;
        if (s == NATS_NO_RESPONDERS)
            return error_set(err, WEIR_NETWORK, "the stream '%s' is gone, or has other subjects than %s.>", n->stream, n->subject);
        if (s == NATS_TIMEOUT)
            break;
        if (s != NATS_OK)
            return refuse(s, "the connection is lost", err);
        weir_code code = take_answer(n, c, m, err);
        natsMsg_Destroy(m);
        if (code)
            return code;
    }
    if (natsConnection_IsClosed(n->c))
        return refuse(NATS_CONNECTION_CLOSED, "the connection is lost", err);
    return WEIR_OK;
}

static bool plain(const char *text, const char *but)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || strchr(but, *at))
            return false;
    return *text && strlen(text) < 128;
}

static weir_code read_spec(nats *n, const char *rest, weir_error *err)
{
    static const char *const options[] = {"stream", "subject", "maxlen", "replicas", "token", "password_file", "creds", "tls", "ca", COURIER_OPTIONS, NULL};
    static const spec_rules rules = {.scheme = "nats", .port = 4222, .options = options};
    uint64_t tls = 0;

    n->replicas = 1;
    if (spec_read(&n->spec, &rules, rest, err))
        return err->code;
    n->stream = spec_option(&n->spec, "stream");
    n->subject = spec_option(&n->spec, "subject");
    n->stream = n->stream ? n->stream : "WEIR";
    n->subject = n->subject ? n->subject : "weir";
    if (!plain(n->stream, ".*>/\\"))
        return error_set(err, WEIR_INVALID, "'%s': stream is a name without blanks, dots, '*', '>' and slashes", n->spec.shown);
    if (!strcmp(n->stream, "WEIR_RECORDS") || !strncmp(n->stream, "KV_", 3) || *n->subject == '$')
        return error_set(err, WEIR_INVALID, "'%s': the streams WEIR_RECORDS and KV_..., and subjects behind a '$', belong to NATS and to the nodes of a cluster; others would do, such as stream=WEIR&subject=weir", n->spec.shown);
    if (!plain(n->subject, "*>") || *n->subject == '.' || n->subject[strlen(n->subject) - 1] == '.' || strstr(n->subject, ".."))
        return error_set(err, WEIR_INVALID, "'%s': subject is what the subjects begin with, such as weir or md.weir", n->spec.shown);
    if (spec_number(&n->spec, "maxlen", 1, INT64_MAX, &n->maxlen, err) || spec_number(&n->spec, "replicas", 1, 5, &n->replicas, err) ||
        spec_number(&n->spec, "tls", 0, 1, &tls, err))
        return err->code;
    n->tls = tls;
    return WEIR_OK;
}

static weir_code nats_open(sink **out, const sink_options *options, weir_error *err)
{
    static const remote_ops way = {nats_connect, nats_send, nats_hear, nats_disconnect, free};
    weir_error own = WEIR_ERROR_INIT;
    courier_options c;
    nats *n = calloc(1, sizeof *n);

    err = err ? err : &own;
    if (!n)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (read_spec(n, options->path ? options->path : "", err) || courier_read_options(&c, &n->spec, err)) {
        free(n);
        return err->code;
    }
    return courier_open(out, &sink_nats_ops, n, &way, &c, err);
}

const sink_ops sink_nats_ops = {
    .name = "nats",
    .help = "a NATS JetStream stream: nats://[USER:PASSWORD@]HOST[:PORT][?stream=WEIR&subject=weir]",
    .open = nats_open,
    COURIER_SINK,
};
