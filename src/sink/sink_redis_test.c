/* Into a real Redis, which is killed, filled and locked; and into none. */
#include "sink/testing.h"

#include <hiredis/hiredis.h>

static server redis;

static void start(const char *more, const char *value)
{
    char port[8];
    snprintf(port, sizeof port, "%d", redis.port);
    server_start(&redis, (const char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", redis.folder, "--save", "", "--appendonly", "yes",
                                          "--appendfsync", "always", more, value, NULL});
}

static void begin(void)
{
    t_begin();
    redis = server_new("redis-server", 1);
}

static void end(sink *k)
{
    t_end(k);
    server_free(&redis);
}

static redisReply *ask(const char *format, ...)
{
    va_list args;
    redisContext *c = redisConnect("127.0.0.1", redis.port);
    CHECK(c && !c->err);
    va_start(args, format);
    redisReply *r = redisvCommand(c, format, args);
    va_end(args);
    CHECK(r != NULL);
    redisFree(c);
    return r;
}

static void tell(const char *command)
{
    redisReply *r = ask(command);
    if (r->type == REDIS_REPLY_ERROR)
        test_fail(__FILE__, __LINE__, "%s: %s", command, r->str);
    freeReplyObject(r);
}

static uint64_t length(const char *key)
{
    redisReply *r = ask("XLEN %s", key);
    CHECK_INT(r->type, REDIS_REPLY_INTEGER);
    uint64_t n = (uint64_t)r->integer;
    freeReplyObject(r);
    return n;
}

/* Each entry: topic, seq and the line as all readers get it. */
static void read_all(t_got *g, const char *key)
{
    redisReply *r = ask("XRANGE %s - +", key);
    CHECK_INT(r->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < r->elements; i++) {
        redisReply *fields = r->element[i]->element[1];
        size_t last = fields->elements - 1;
        CHECK_TEXT(fields->element[0]->str, "topic");
        CHECK_TEXT(fields->element[last - 1]->str, "record");
        bool connected = strcmp(fields->element[2]->str, "connection") == 0;
        if (connected)
            CHECK_TEXT(fields->element[3]->str, "7");
        CHECK_INT(connected, strstr(fields->element[last]->str, "\"connection\":7,") != NULL);
        if (fields->elements == (connected ? 8 : 6)) {
            char seq[40];
            CHECK_TEXT(fields->element[last - 3]->str, "seq");
            snprintf(seq, sizeof seq, "{\"seq\":\"%s\",", fields->element[last - 2]->str);
            CHECK(strncmp(fields->element[last]->str, seq, strlen(seq)) == 0);
        }
        t_count(g, bytes_make(fields->element[last]->str, fields->element[last]->len));
    }
    freeReplyObject(r);
}

TEST(redis, gets_every_record_once_in_order)
{
    static t_got got;
    begin();
    start(NULL, NULL);
    sink *k = t_open("redis://127.0.0.1:%d", redis.port);
    t_publish(5000);
    hub_publish_status(t_hub, t_stream[0], RECORD_LIVE, "the socket is open");
    t_until(k, t_settled);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.written, 5001);
    CHECK_UINT(a.again, 0);
    CHECK_UINT(a.connects, 1);
    CHECK_INT(sink_get_state(k), SINK_OPEN);
    read_all(&got, "weir");
    t_all_there(&got);
    CHECK_UINT(got.doubles, 0);
    CHECK_UINT(got.disorder, 0);
    CHECK_UINT(got.others, 1);
    CHECK_UINT(length("weir"), 5001);
    CHECK_TEXT(t_log, "");
    end(k);
}

/* Three times in the middle of the stream. What is there again afterwards is there at least once, and doubles are the very
 * records that were sent again. */
TEST(redis, killed_in_the_middle_loses_nothing)
{
    static t_got got;
    begin();
    start(NULL, NULL);
    sink *k = t_open("redis://127.0.0.1:%d?window=1000&retry_ms=200", redis.port);
    t_until(k, t_is_open);
    for (int round = 0, kills = t_kills(3); round < kills; round++) {
        t_publish(8000);
        for (int i = t_turns_before_kill(round); i; i--)
            t_turn(k);
        server_kill(&redis, SIGKILL);
        t_publish(2000);
        t_until(k, t_waits);
        CHECK_HAS(sink_waits_for(k)->text, "'redis://127.0.0.1:");
        start(NULL, NULL);
        t_until(k, t_is_open);
    }
    t_until(k, t_settled);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.written, t_published);
    CHECK_UINT(a.lost, 0);
    CHECK(a.connects >= 4);
    read_all(&got, "weir");
    t_all_there(&got);
    CHECK(got.doubles <= a.again);
    printf("    %llu sent again, %llu of them were there\n", (unsigned long long)a.again, (unsigned long long)got.doubles);
    CHECK_HAS(t_log, "is back; what was not acknowledged is sent again");
    end(k);
}

/* Hung, not dead: no answer is an answer. */
TEST(redis, that_falls_silent_is_left_and_tried_again)
{
    static t_got got;
    begin();
    start(NULL, NULL);
    sink *k = t_open("redis://127.0.0.1:%d?silence_ms=300&retry_ms=200&window=500", redis.port);
    t_publish(100);
    t_until(k, t_settled);
    kill(redis.pid, SIGSTOP);
    t_publish(5000);
    t_until(k, t_waits);
    CHECK_INT(t_turn(k), SINK_BLOCKED); /* the window is full, and the rest waits in the queue */
    CHECK_UINT(sink_read_account(k).buffered, 500);
    CHECK(sub_read_account(t_reader).queued > 0);
    kill(redis.pid, SIGCONT);
    t_until(k, t_settled);
    read_all(&got, "weir");
    t_all_there(&got);
    CHECK_UINT(sub_dropped(t_reader), 0);
    end(k);
}

/* A server that hangs is left without a wait here; it is given the time it was said to have. */
TEST(redis, that_hangs_is_left_without_waiting_and_has_its_time_to_acknowledge)
{
    static t_got got;
    begin();
    start(NULL, NULL);
    sink *k = t_open("redis://127.0.0.1:%d?silence_ms=600000", redis.port);
    t_until(k, t_is_open);
    CHECK(!sink_left(k)); /* nobody asked it to */
    kill(redis.pid, SIGSTOP);
    t_publish(1000);
    t_turn(k);
    sink_leave(k, 600000);
    CHECK(!sink_left(k)); /* it came back, and nothing is acknowledged: so it did not wait */
    CHECK_UINT(sink_read_account(k).buffered, 1000);
    kill(redis.pid, SIGCONT);
    while (!sink_left(k))
        t_turn(k);
    CHECK_UINT(sink_read_account(k).written, 1000);
    read_all(&got, "weir");
    t_all_there(&got);
    end(k);
    begin();
    start(NULL, NULL);
    k = t_open("redis://127.0.0.1:%d?silence_ms=600000", redis.port);
    t_until(k, t_is_open);
    kill(redis.pid, SIGSTOP);
    t_publish(10);
    t_turn(k);
    sink_leave(k, 600000);
    sink_leave(k, 1); /* whoever has no more time */
    while (!sink_left(k))
        t_turn(k);
    CHECK_UINT(sink_read_account(k).buffered, 10);
    end(k);
    CHECK_HAS(t_log, "closed with 10 records that it has not acknowledged");
}

TEST(redis, wrong_password_ends_the_sink_and_is_not_shown)
{
    begin();
    start("--requirepass", "right");
    sink *k = t_open("redis://:hunter2@127.0.0.1:%d", redis.port);
    t_publish(10);
    t_until(k, t_failed);
    CHECK_INT(sink_why(k)->code, WEIR_REFUSED);
    CHECK_HAS(sink_why(k)->text, "redis://:***@127.0.0.1");
    CHECK_HAS(sink_why(k)->text, "WRONGPASS");
    CHECK(!strstr(sink_why(k)->text, "hunter2") && !strstr(t_log, "hunter2"));
    CHECK_INT(sink_drain(k, t_reader, 10), SINK_FAILED);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.lost, a.accepted);
    sink_close(k);
    k = t_open("redis://127.0.0.1:%d", redis.port);
    t_until(k, t_failed);
    CHECK_HAS(sink_why(k)->text, "NOAUTH");
    CHECK_HAS(sink_why(k)->text, "give a password in the spec");
    sink_close(k);
    k = t_open("redis://:right@127.0.0.1:%d/3", redis.port);
    t_publish(10);
    t_until(k, t_settled);
    CHECK(sink_read_account(k).written > 0);
    sink_close(k);
    char path[100];
    snprintf(path, sizeof path, "%s/secret", redis.folder);
    FILE *f = fopen(path, "w");
    fputs("right\n", f);
    fclose(f);
    k = t_open("redis://127.0.0.1:%d?password_file=%s", redis.port, path);
    t_publish(10);
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 10);
    end(k);
}

/* A password that is changed under a sink that was open is waited for. */
TEST(redis, password_that_changes_later_is_waited_for)
{
    begin();
    start("--requirepass", "right");
    sink *k = t_open("redis://:right@127.0.0.1:%d?retry_ms=50", redis.port);
    t_until(k, t_is_open);
    server_kill(&redis, SIGKILL);
    start("--requirepass", "other");
    t_publish(10);
    t_until(k, t_waits);
    while (!strstr(sink_waits_for(k)->text, "WRONGPASS"))
        t_turn(k);
    server_kill(&redis, SIGKILL);
    start("--requirepass", "right");
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 10);
    end(k);
}

TEST(redis, nobody_there_and_unknown_host_are_waited_for)
{
    begin();
    sink *k = t_open("redis://127.0.0.1:%d?retry_ms=50", redis.port);
    t_publish(10);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "Connection refused");
    CHECK_HAS(t_log, "Connection refused; it is tried again");
    start(NULL, NULL); /* and then it comes */
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 10);
    CHECK_HAS(t_log, "is reached; what waited is sent");
    sink_close(k);
    k = t_open("redis://no.such.host.invalid:%d", redis.port);
    t_publish(10);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "redis://no.such.host.invalid");
    CHECK_HAS(sink_waits_for(k)->text, "cannot be reached");
    CHECK_UINT(sink_read_account(k).buffered, 10);
    end(k);
}

/* A server of another kind, and one that says nothing at all. */
TEST(redis, what_is_no_redis_is_told)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    t_begin();
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 5) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    sink *k = t_open("redis://127.0.0.1:%d", ntohs(a.sin_port));
    int other = accept(fd, NULL, NULL);
    CHECK(send(other, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0) == 28);
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "Protocol error, got \"H\"");
    sink_close(k);
    k = t_open("redis://127.0.0.1:%d", ntohs(a.sin_port));
    t_until(k, t_waits);
    CHECK_HAS(sink_waits_for(k)->text, "does not answer for 5 s");
    close(other);
    close(fd);
    t_end(k);
}

static bool full(const sink *k)
{
    return t_waits(k) && strstr(sink_waits_for(k)->text, "OOM");
}

TEST(redis, full_server_is_waited_for_and_nothing_is_lost)
{
    static t_got got;
    begin();
    start("--maxmemory", "3mb");
    tell("CONFIG SET maxmemory-policy noeviction");
    sink *k = t_open("redis://127.0.0.1:%d?retry_ms=100", redis.port);
    t_publish(20000);
    t_until(k, full);
    CHECK_HAS(sink_waits_for(k)->text, "the server is full (maxmemory)");
    CHECK(sink_read_account(k).written < 20000);
    tell("CONFIG SET maxmemory 0");
    t_until(k, t_settled);
    CHECK_UINT(sink_read_account(k).written, 20000);
    read_all(&got, "weir");
    t_all_there(&got);
    end(k);
}

TEST(redis, record_larger_than_the_server_takes_is_lost_alone_and_counted)
{
    static t_got got;
    begin();
    start("--proto-max-bulk-len", "1mb");
    sink *k = t_open("redis://127.0.0.1:%d?retry_ms=50", redis.port);
    t_publish(10);
    t_publish_large(3u << 20);
    t_publish(10);
    t_publish_large(2u << 20);
    t_publish(10);
    t_until(k, t_settled);
    sink_account a = sink_read_account(k);
    CHECK_UINT(a.lost, 2);
    CHECK_UINT(a.written, 30);
    CHECK_HAS(t_log, "longer than the server takes (proto-max-bulk-len)");
    read_all(&got, "weir");
    CHECK_UINT(got.times[0][1], 1);
    CHECK_UINT(length("weir") - got.doubles, 30);
    end(k);
}

TEST(redis, stream_is_named_and_trimmed_as_asked)
{
    begin();
    start(NULL, NULL);
    sink *k = t_open("redis://127.0.0.1:%d/2?stream=weir.{type}.{source}&maxlen=1000", redis.port);
    t_publish(20000);
    t_until(k, t_settled);
    CHECK_UINT(length("weir.trades.woox"), 0); /* another database */
    redisContext *c = redisConnect("127.0.0.1", redis.port);
    freeReplyObject(redisCommand(c, "SELECT 2"));
    redisReply *r = redisCommand(c, "XLEN weir.trades.woox");
    CHECK(r->integer >= 1000 && r->integer < 3000);
    freeReplyObject(r);
    redisFree(c);
    end(k);
}

TEST(redis, key_of_another_kind_ends_the_sink)
{
    begin();
    start(NULL, NULL);
    tell("SET weir 1");
    sink *k = t_open("redis://127.0.0.1:%d?retry_ms=50", redis.port);
    t_publish(10);
    t_until(k, t_waits); /* it was open: somebody may delete the key */
    CHECK_HAS(sink_waits_for(k)->text, "this key holds something else than a stream");
    tell("DEL weir");
    t_until(k, t_settled);
    CHECK_UINT(length("weir"), 10);
    end(k);
}

TEST(redis, nonsense_in_a_spec_is_refused)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"redis", "expected redis://HOST:PORT"},
        {"redis:x", "expected redis://HOST:PORT"},
        {"redis://h/x", "the number of a database"},
        {"redis://h/-1", "the number of a database"},
        {"redis://h/99999999999", "the number of a database"},
        {"redis://h?stream=", "the name of a key, and empty"},
        {"redis://h?maxlen=0", "expected a number from 1"},
        {"redis://h?maxlen=x", "expected a number from 1"},
        {"redis://h?window=0", "expected a number from 1"},
        {"redis://h?size=3", "there is no option 'size'; there are stream, maxlen, password_file, window"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        sink *k = NULL;
        CHECK_INT(sink_open(&k, cases[i].spec, NULL, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(k == NULL);
    }
}
