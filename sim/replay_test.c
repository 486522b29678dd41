/* The player of recordings, against a raw client. */
#include "sim/replay.h"

#include "sim/raw_client.h"

static loop *l;
static replay *r;

static void begin(replay_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(replay_new(&r, l, &o, &err));
}

static void end(void)
{
    replay_free(r);
    loop_free(l);
}

static void until(raw *c, size_t count)
{
    for (int i = 0; i < 20000 && c->count < count && !c->ended; i++) {
        loop_step(l, 1);
        raw_pump(c);
    }
    CHECK_UINT(c->count, count);
}

/* A file of our own, whose pace is an hour between two frames. */
static char path[64];
static void write_recording(const char *text)
{
    snprintf(path, sizeof path, "/tmp/weir-replay-test-XXXXXX");
    int fd = mkstemp(path);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST(replay, plays_a_recording_once_the_client_has_spoken)
{
    begin((replay_options){.file = "sim/captures/OKX.ws", .max_speed = true});
    raw *c = raw_open(l, replay_port(r), "/ws/v5/public");
    raw_settle(c);
    CHECK_UINT(c->count, 0);
    raw_send(c, "{\"op\":\"subscribe\"}");
    for (int i = 0; i < 20000 && !c->close_code; i++) {
        loop_step(l, 1);
        raw_pump(c);
    }
    CHECK_UINT(c->close_code, 1000);
    CHECK_UINT(c->count, 410); /* 414 lines, of which one opens and three are the client's */
    CHECK_HAS(c->message[0], "{\"event\":\"subscribe\",\"arg\":{\"channel\":\"tickers\",\"instId\":\"BTC-USD-220527\"}}");
    CHECK_UINT(replay_get_stats(r).frames, 410);
    CHECK_UINT(replay_get_stats(r).received, 1);
    raw_free(c);
    end();
}

TEST(replay, plays_all_the_recordings_that_come_with_it)
{
    static const char *const files[] = {"sim/captures/BINANCE.ws", "sim/captures/KRAKEN.ws", "sim/captures/COINBASE.ws"};
    for (int f = 0; f < 3; f++) {
        begin((replay_options){.file = files[f], .max_speed = true, .hold = true});
        raw *c = raw_open(l, replay_port(r), "/");
        raw_send(c, "{}");
        for (int i = 0; i < 2000 && c->count < 50; i++) {
            loop_step(l, 1);
            raw_pump(c);
        }
        CHECK(c->count >= 50);
        for (size_t i = 0; i < c->count; i++)
            CHECK(c->message[i][0] == '{' || c->message[i][0] == '[');
        raw_free(c);
        end();
    }
}

static raw *reading;
static size_t all_read, had;
static void on_read(void *arg)
{
    (void)arg;
    all_read++;
    had = reading->count;
}

/* The end of a recording is told once its client has read all of it: a pong stands behind the last frame. */
TEST(replay, tells_when_a_held_socket_was_read_to_the_end)
{
    all_read = 0;
    begin((replay_options){.file = "sim/captures/OKX.ws", .max_speed = true, .hold = true, .on_read = on_read});
    raw *c = reading = raw_open(l, replay_port(r), "/");
    raw_send(c, "{}");
    for (int i = 0; i < 20000 && !all_read; i++) {
        loop_step(l, 1);
        raw_pump(c);
    }
    CHECK_UINT(all_read, 1);
    CHECK_UINT(replay_get_stats(r).read, 1);
    CHECK_UINT(had, 410);
    CHECK(!c->ended && !c->close_code);
    raw_free(c);
    end();
}

TEST(replay, answers_recorded_requests)
{
    begin((replay_options){.file = "sim/captures/BINANCE.ws", .http_file = "sim/captures/BINANCE.http"});
    CHECK_HAS(raw_get(l, replay_port(r), "/api/v3/depth?symbol=NKNUSDT&limit=1000"), "{\"lastUpdateId\":499869752,\"bids\":[[\"0.35210000\"");
    CHECK_HAS(raw_get(l, replay_port(r), "/api/v3/depth?symbol=OTHER"), "HTTP/1.1 404 ");
    end();
}

static uint64_t leap_ns;
static uint64_t leaping_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + leap_ns;
}

TEST(replay, keeps_the_recorded_pace_times_the_speed)
{
    write_recording("wss://x.example/ <-> 1000\n1000.5: {\"n\":1}\n4600.5: {\"n\":2}\n4601.5: {\"n\":3}\n");
    clock_replace(NULL, leaping_mono);
    begin((replay_options){.file = path, .speed = 2, .hold = true});
    raw *c = raw_open(l, replay_port(r), "/");
    until(c, 1);
    leap_ns += 1700 * NS_PER_S;
    raw_settle(c);
    CHECK_UINT(c->count, 1);
    leap_ns += 101 * NS_PER_S;
    until(c, 3);
    CHECK(!c->ended);
    raw_free(c);
    end();
    clock_replace(NULL, NULL);
    unlink(path);
}

TEST(replay, says_what_is_wrong_with_a_file)
{
    static const char *const cases[][2] = {
        {"", "there is nothing to play"},
        {"wss://x <-> 1\n", "there is nothing to play"},
        {"1.5: {}\nrubbish\n", "line 2 is none of"},
        {"1.5 {}\n", "line 1 is none of"},
    };
    weir_error err = WEIR_ERROR_INIT;
    CHECK_OK(loop_new(&l, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_recording(cases[i][0]);
        CHECK_INT(replay_new(&r, l, &(replay_options){.file = path}, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i][1]);
        unlink(path);
    }
    CHECK_INT(replay_new(&r, l, &(replay_options){.file = "/nonexistent"}, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "'/nonexistent'");
    loop_free(l);
}

TEST(replay, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        loop *own = NULL;
        replay *player = NULL;
        if (!loop_new(&own, &err) && replay_new(&player, own, &(replay_options){.file = "sim/captures/OKX.ws"}, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        replay_free(player);
        loop_free(own);
    }
}
