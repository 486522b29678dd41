/* Records into a Redis stream: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?stream=weir&maxlen=N...]
 *
 *     XADD stream [MAXLEN ~ n] * topic trades.woox... seq 41 record {"seq":"41",...}
 *
 * pipelined, some hundred at once; answers come in order, so each is that of the oldest record that is owed one. An error
 * for one of them (memory full, a server that loads, one that only reads) ends the connection: what is behind
 * it in the pipeline may have been taken, so all from there on is sent again; topic, connection and seq tell the doubles. In the name of
 * the stream {type}, {source} and {topic} stand for the record's.
 *
 * hiredis as Debian has it (0.14) speaks no TLS. */
#include "sink/courier.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CONNECT_S 5
#define WRITE_S 5

typedef struct redis {
    spec spec;
    const char *stream; /* of the spec */
    uint64_t maxlen;    /* 0: none */
    uint64_t db;
    redisContext *c;
    char name[64]; /* maxlen as text */
    buf key;
} redis;

static weir_code refuse(const redis *r, weir_error *err)
{
    if (r->c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
        return error_set(err, WEIR_TIMEOUT, "does not answer for %d s", WRITE_S);
    return error_set(err, WEIR_NETWORK, "%s%s", r->c->errstr, r->c->err == REDIS_ERR_PROTOCOL ? "; what answers there is no Redis" : "");
}

/* What an error answer means for us. */
static weir_code judge(const char *text, weir_error *err)
{
    static const struct {
        const char *begins;
        weir_code code;
        const char *cure;
    } known[] = {
        {"WRONGPASS", WEIR_REFUSED, "; the spec's password (or user) is wrong"},
        {"NOAUTH", WEIR_REFUSED, "; give a password in the spec: redis://:PASSWORD@HOST"},
        {"ERR AUTH", WEIR_REFUSED, "; the server wants no password"},
        {"ERR Client sent AUTH", WEIR_REFUSED, "; the server wants no password"},
        {"ERR invalid password", WEIR_REFUSED, ""},
        {"NOPERM", WEIR_REFUSED, "; the user may not do this"},
        {"ERR DB index", WEIR_INVALID, "; the number behind the host is that of a database"},
        {"ERR invalid DB index", WEIR_INVALID, "; the number behind the host is that of a database"},
        {"WRONGTYPE", WEIR_INVALID, "; this key holds something else than a stream"},
        {"OOM", WEIR_LIMIT, "; the server is full (maxmemory): give it room, or trim the stream with maxlen"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(text, known[i].begins, strlen(known[i].begins)) == 0)
            return error_set(err, known[i].code, "says '%.200s'%s", text, known[i].cure);
    return error_set(err, WEIR_NETWORK, "says '%.200s'", text);
}

/* One command and its answer, while connecting. */
static weir_code ask(redis *r, int argc, const char **argv, weir_error *err)
{
    redisReply *reply = redisCommandArgv(r->c, argc, argv, NULL);

    if (!reply)
        return refuse(r, err);
    weir_code code = reply->type == REDIS_REPLY_ERROR ? judge(reply->str, err) : WEIR_OK;
    freeReplyObject(reply);
    return code;
}

static weir_code authenticate(redis *r, weir_error *err)
{
    const char *alone[] = {"AUTH", r->spec.password}, *named[] = {"AUTH", r->spec.user, r->spec.password};

    if (!*r->spec.password)
        return WEIR_OK;
    return *r->spec.user ? ask(r, 3, named, err) : ask(r, 2, alone, err);
}

static weir_code choose_db(redis *r, weir_error *err)
{
    char number[24];
    const char *command[] = {"SELECT", number};

    snprintf(number, sizeof number, "%" PRIu64, r->db);
    return r->db ? ask(r, 2, command, err) : WEIR_OK;
}

static weir_code redis_connect(void *remote, courier *c, weir_error *err)
{
    redis *r = remote;
    const char *ping[] = {"PING"};

    (void)c;
    r->c = redisConnectWithTimeout(r->spec.host, r->spec.port, (struct timeval){.tv_sec = CONNECT_S});
    if (!r->c)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (r->c->err)
        return error_set(err, WEIR_NETWORK, "cannot be reached: %s", r->c->errstr);
    redisSetTimeout(r->c, (struct timeval){.tv_sec = WRITE_S});
    redisEnableKeepAlive(r->c);
    weir_code code = authenticate(r, err);
    if (!code)
        code = ask(r, 1, ping, err);
    return code ? code : choose_db(r, err);
}

static void redis_disconnect(void *remote)
{
    redis *r = remote;

    if (r->c)
        redisFree(r->c);
    r->c = NULL;
}

/* The stream's name with {topic} and its first two tokens put in. */
static bytes key_of(redis *r, const parcel *p)
{
    const char *type_end = memchr(p->topic.at, '.', p->topic.len), *end = p->topic.at + p->topic.len;
    const char *source_end = type_end ? memchr(type_end + 1, '.', (size_t)(end - type_end - 1)) : NULL;

    if (!strchr(r->stream, '{'))
        return bytes_of(r->stream);
    buf_clear(&r->key);
    for (const char *at = r->stream; *at; at++) {
        if (strncmp(at, "{topic}", 7) == 0) {
            buf_add_bytes(&r->key, p->topic);
            at += 6;
        } else if (strncmp(at, "{type}", 6) == 0) {
            buf_add(&r->key, p->topic.at, type_end ? (size_t)(type_end - p->topic.at) : p->topic.len);
            at += 5;
        } else if (strncmp(at, "{source}", 8) == 0) {
            if (type_end)
                buf_add(&r->key, type_end + 1, (size_t)((source_end ? source_end : end) - type_end - 1));
            at += 7;
        } else {
            buf_add_char(&r->key, *at);
        }
    }
    return buf_bytes(&r->key);
}

static bool append(redis *r, const parcel *p)
{
    char seq[24];
    const char *argv[14];
    size_t len[14];
    int n = 0;
    bytes key = key_of(r, p);
#define ARG(text, length) (argv[n] = (text), len[n++] = (length))
    ARG("XADD", 4);
    ARG(key.at, key.len);
    if (r->maxlen) {
        ARG("MAXLEN", 6);
        ARG("~", 1);
        ARG(r->name, strlen(r->name));
    }
    ARG("*", 1);
    ARG("topic", 5);
    ARG(p->topic.at, p->topic.len);
    if (*p->connection) {
        ARG("connection", 10);
        ARG(p->connection, strlen(p->connection));
    }
    if (p->seq) {
        int digits = snprintf(seq, sizeof seq, "%" PRIu64, p->seq);
        ARG("seq", 3);
        ARG(seq, (size_t)digits);
    }
    ARG("record", 6);
    ARG(p->line.at, p->line.len);
#undef ARG
    return redisAppendCommandArgv(r->c, n, argv, len) == REDIS_OK;
}

/* The answers that are there. */
static weir_code read_answers(redis *r, courier *c, weir_error *err)
{
    void *got;
    weir_code code = WEIR_OK;

    while (!code) {
        if (redisReaderGetReply(r->c->reader, &got) != REDIS_OK)
            return error_set(err, WEIR_NETWORK, "%s", r->c->reader->errstr);
        redisReply *reply = got;
        if (!reply)
            return WEIR_OK;
        if (reply->type != REDIS_REPLY_ERROR) {
            if (!courier_done_first(c))
                code = error_set(err, WEIR_NETWORK, "answers what nobody asked");
        } else if (strstr(reply->str, "invalid bulk length") || strstr(reply->str, "string exceeds")) {
            courier_lost_first(c, "it is longer than the server takes (proto-max-bulk-len)");
            code = error_set(err, WEIR_LIMIT, "says '%.200s' and closes the connection", reply->str);
        } else {
            code = judge(reply->str, err);
        }
        freeReplyObject(reply);
    }
    return code;
}

static weir_code redis_hear(void *remote, courier *c, int wait_ms, weir_error *err)
{
    redis *r = remote;
    struct pollfd there = {.fd = r->c->fd, .events = POLLIN};
    char piece[16 << 10];
    int ready = wait_ms ? poll(&there, 1, wait_ms) : 1;

    for (;;) {
        ssize_t n = ready > 0 ? recv(r->c->fd, piece, sizeof piece, MSG_DONTWAIT) : 0;
        if (ready <= 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
            return WEIR_OK;
        if (n < 0)
            return error_set(err, WEIR_NETWORK, "the connection is lost: %s", strerror(errno));
        if (n == 0)
            return error_set(err, WEIR_NETWORK, "has closed the connection");
        if (redisReaderFeed(r->c->reader, piece, (size_t)n) != REDIS_OK)
            return error_set(err, WEIR_NOMEM, "out of memory");
        weir_code code = read_answers(r, c, err);
        if (code)
            return code;
    }
}

static weir_code redis_send(void *remote, courier *c, const parcel *parcels, size_t count, weir_error *err)
{
    redis *r = remote;
    int done = 0;

    for (size_t i = 0; i < count; i++)
        if (!append(r, &parcels[i]))
            return error_set(err, WEIR_NOMEM, "out of memory");
    while (!done)
        if (redisBufferWrite(r->c, &done) != REDIS_OK) {
            refuse(r, err);
            /* why it closed may stand in what it answered */
            weir_error said = WEIR_ERROR_INIT;
            if (redis_hear(r, c, 100, &said) == WEIR_LIMIT)
                *err = said;
            return err->code;
        }
    return WEIR_OK;
}

static void redis_free(void *remote)
{
    redis *r = remote;

    buf_fini(&r->key);
    free(r);
}

static weir_code read_spec(redis *r, const char *rest, weir_error *err)
{
    static const char *const options[] = {"stream", "maxlen", "password_file", COURIER_OPTIONS, NULL};
    static const spec_rules rules = {.scheme = "redis", .port = 6379, .options = options, .path = true};
    char *end = NULL;

    if (spec_read(&r->spec, &rules, rest, err))
        return err->code;
    r->stream = spec_option(&r->spec, "stream");
    if (!r->stream)
        r->stream = "weir";
    if (!*r->stream)
        return error_set(err, WEIR_INVALID, "'%s': stream is the name of a key, and empty", r->spec.shown);
    if (*r->spec.path)
        r->db = strtoull(r->spec.path, &end, 10);
    if ((end && *end) || *r->spec.path == '-' || r->db > INT32_MAX)
        return error_set(err, WEIR_INVALID, "'%s': behind the host stands the number of a database", r->spec.shown);
    if (spec_number(&r->spec, "maxlen", 1, UINT32_MAX, &r->maxlen, err))
        return err->code;
    snprintf(r->name, sizeof r->name, "%" PRIu64, r->maxlen);
    return WEIR_OK;
}

static weir_code redis_open(sink **out, const sink_options *options, weir_error *err)
{
    static const remote_ops way = {redis_connect, redis_send, redis_hear, redis_disconnect, redis_free};
    weir_error own = WEIR_ERROR_INIT;
    courier_options c;
    redis *r = calloc(1, sizeof *r);

    err = err ? err : &own;
    if (!r)
        return error_set(err, WEIR_NOMEM, "out of memory");
    buf_init(&r->key, 1 << 20);
    if (read_spec(r, options->path ? options->path : "", err) || courier_read_options(&c, &r->spec, err)) {
        redis_free(r);
        return err->code;
    }
    return courier_open(out, &sink_redis_ops, r, &way, &c, err);
}

const sink_ops sink_redis_ops = {
    .name = "redis",
    .help = "a Redis stream: redis://[:PASSWORD@]HOST[:PORT][/DB][?stream=NAME&maxlen=N]",
    .open = redis_open,
    COURIER_SINK,
};
