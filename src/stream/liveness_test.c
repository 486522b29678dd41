/* Whether a live stream is still fed: dead topics, dead sockets and quiet markets, of push and of pull plugins,
 * with real sockets and a clock that only the test moves. */
#include "stream/liveness.h"
#include "stream/recording.h"
#include "stream/testing.h"

#define MAX 8
static stream *streams[MAX];
static int count;
static buf said; /* all records of stream 1, a line each */

static const struct sample {
    const char *wasm, *heartbeat; /* one of the venue's that the host answers */
    int greetings;
} push = {"push.wasm", "{\"op\":\"beat\"}", 2}, pull = {"streams.wasm", "{\"cmd\":\"PING\"}", 1};

static void tick(uint64_t ms)
{
    mono += ms * NS_PER_MS;
    real += ms * NS_PER_MS;
    for (int i = 0; i < 4; i++) /* a ping and its answer need no more on loopback */
        loop_step(w.loop, 0);
}

/* Streams "0", "1" ...; each has the socket of its number. */
static void begin_with(const struct sample *g, int n, uint32_t quiet_after_ms)
{
    begin(g->wasm);
    w.plugin.config = g == &push ? "{}" : NULL;
    w.plugin.has_shutdown = g == &push;
    w.plugin.quiet_after_ms = quiet_after_ms;
    CHECK_OK(hub_subscribe(&w.sub, w.hub, "raw.>", &(sub_options){.policy = SUB_BLOCK}, &err));
    buf_init(&said, 1 << 24);
    for (count = 0; count < n; count++) {
        char name[2] = {(char)('0' + count), '\0'};
        stream_options o = {.type = BYTES("raw"), .identifier = bytes_of(name)};
        CHECK_OK(stream_open(&streams[count], &w.plugin, &o, &err));
        UNTIL(w.subscribed == g->greetings * (count + 1) && stream_get_state(streams[count]) == STREAM_LIVE);
    }
}

static void end_with(void)
{
    for (int i = 0; i < count; i++)
        stream_free(streams[i]);
    buf_fini(&said);
    end();
}

static void say_to(int socket, const char *text)
{
    CHECK(w.all[socket] != NULL);
    server_ws_send(w.all[socket], false, bytes_of(text));
}

/* A message on this socket becomes a record of this stream. */
static void speak(int i, int socket)
{
    uint64_t before = record_stream_counts(stream_records(streams[i]))->published;
    say_to(socket, "price");
    UNTIL(record_stream_counts(stream_records(streams[i]))->published == before + 1);
}

static const char *read_all(void)
{
    record *r;
    settle();
    while ((r = sub_next(w.sub))) {
        buf_add_bytes(&said, r->line);
        buf_add_char(&said, '\n');
        record_unref(r);
    }
    buf_add_char(&said, '\0');
    said.len--;
    return said.at;
}

static void both_speak(int times)
{
    for (int i = 0; i < times; i++) {
        speak(0, 0);
        speak(1, 1);
        tick(500);
    }
    read_all();
    said.len = 0;
}

/* Half seconds until the venue sees a third socket; at most `limit`. */
static int until_dialled(int limit, bool sibling, const char *noise)
{
    int i;
    for (i = 0; i < limit && w.upgrades == count; i++) {
        if (sibling)
            speak(0, 0);
        if (noise && stream_get_state(streams[1]) == STREAM_LIVE)
            say_to(1, noise);
        tick(500);
    }
    return i;
}

/* In this order, in what stream 1 and its sibling said. */
static void expect_story(const char *const *parts)
{
    const char *at = read_all();
    for (size_t i = 0; parts[i]; i++) {
        const char *found = strstr(at, parts[i]);
        if (!found)
            test_fail(__FILE__, __LINE__, "not behind the one before: %s\nin: %s", parts[i], at);
        at = found + strlen(parts[i]);
    }
}

static void topic_stops(const struct sample *g, const char *noise)
{
    begin_with(g, 2, 0);
    both_speak(120);
    int took = until_dialled(400, true, noise);
    CHECK_INT(w.upgrades, 3);
    CHECK(took >= 30 && took < 80); /* not before 15 s, but within 40 */
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE);
    UNTIL(w.subscribed >= 3 * g->greetings);
    speak(1, 2);
    speak(0, 0);
    CHECK_UINT(record_stream_counts(stream_records(streams[0]))->restarts, 0);
    CHECK_UINT(record_stream_counts(stream_records(streams[1]))->restarts, 1);
    CHECK_INT(stream_get_state(streams[0]), STREAM_LIVE);
    expect_story((const char *const[]){"\"identifier\":\"1\",\"parameters\":{},\"connection\":null,\"state\":\"waiting\",\"why\":\"no data for ",
                                       "though the venue answers and 'raw.streams.0' goes on: it is subscribed anew", "\"kind\":\"gap\"", "\"identifier\":\"1\"",
                                       "\"cause\":\"silence\"", "\"kind\":\"status\"", "\"state\":\"resynced\"", "\"kind\":\"data\"", NULL});
    end_with();
}

TEST(liveness, notices_a_topic_that_stops_while_its_sibling_goes_on_push)
{
    topic_stops(&push, NULL);
}

TEST(liveness, notices_a_topic_that_stops_while_its_sibling_goes_on_pull)
{
    topic_stops(&pull, NULL);
}

/* Neither the venue's pings nor messages of which the plugin makes nothing keep a dead topic alive. */
TEST(liveness, does_not_count_heartbeats)
{
    topic_stops(&push, push.heartbeat);
    topic_stops(&pull, pull.heartbeat);
    topic_stops(&push, "ignore");
}

/* The gap begins with the last data, not with the last heartbeat. */
TEST(liveness, tells_the_gap_from_the_last_data_on)
{
    begin_with(&push, 2, 0);
    both_speak(120);
    uint64_t last = real;
    until_dialled(400, true, "ignore");
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE && w.subscribed == 6);
    speak(1, 2);
    const char *gap = strstr(read_all(), "\"kind\":\"gap\""), *from = gap ? strstr(gap, "\"from\":\"") : NULL, *to = from ? strstr(from, "\"to\":\"") : NULL;
    CHECK(to != NULL);
    uint64_t begins = strtoull(from + 8, NULL, 10), ends = strtoull(to + 6, NULL, 10);
    CHECK(begins <= last && last - begins < 2 * NS_PER_S);
    CHECK(ends - begins > 15 * NS_PER_S);
    end_with();
}

static void sockets_fall_silent(const struct sample *g)
{
    begin_with(g, 2, 0);
    both_speak(120);
    for (int i = 0; i < 2; i++)
        server_ws_stall(w.all[i], true);
    int took = until_dialled(200, false, NULL);
    CHECK(w.upgrades >= 3);
    CHECK(took >= 30 && took < 80); /* the limit on silence of a socket is 60 s */
    for (int i = 0; i < 10; i++)
        tick(500);
    UNTIL(stream_get_state(streams[0]) == STREAM_LIVE && stream_get_state(streams[1]) == STREAM_LIVE && w.upgrades == 4 && w.subscribed >= 4 * g->greetings);
    say_to(2, "price");
    say_to(3, "price");
    UNTIL(record_stream_counts(stream_records(streams[0]))->gaps && record_stream_counts(stream_records(streams[1]))->gaps);
    expect_story((const char *const[]){"\"state\":\"waiting\",\"why\":\"no data for ", "and nothing at all in 10.0 s since the venue was asked",
                                       "\"kind\":\"gap\"", "\"cause\":\"silence\"", "\"kind\":\"data\"", NULL});
    end_with();
}

TEST(liveness, gives_up_a_socket_that_does_not_answer)
{
    sockets_fall_silent(&push);
    sockets_fall_silent(&pull);
}

/* Nobody speaks, but everybody answers: the market is closed. Also for a stream that has no sibling. */
TEST(liveness, leaves_a_market_alone_that_is_quiet_as_a_whole)
{
    for (int n = 1; n <= 2; n++) {
        begin_with(n == 1 ? &push : &pull, 2, 0);
        w.answers = true;
        both_speak(120);
        if (n == 1) {
            stream_free(streams[0]);
            streams[0] = NULL;
        }
        until_dialled(600, false, NULL);
        CHECK_INT(w.upgrades, 2);
        speak(1, 1);
        CHECK_UINT(record_stream_counts(stream_records(streams[1]))->gaps, 0);
        end_with();
    }
}

/* Stream 1 without its sibling. */
static void begin_alone(const struct sample *g)
{
    begin_with(g, 2, 0);
    w.answers = true;
    both_speak(120);
    stream_free(streams[0]);
    streams[0] = NULL;
}

/* A topic that dies, and nobody to compare with: at a length that no rhythm explains it subscribes anew. */
static void alone_topic_stops(const struct sample *g)
{
    begin_alone(g);
    int took = until_dialled(4000, false, NULL);
    CHECK_INT(w.upgrades, 3);
    CHECK(took >= 1800 && took < 1900); /* a quarter of an hour, the answer to a probe, the next try */
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE && w.subscribed >= 3 * g->greetings);
    speak(1, 2);
    CHECK_UINT(record_stream_counts(stream_records(streams[1]))->restarts, 1);
    expect_story((const char *const[]){"\"state\":\"waiting\",\"why\":\"no data for 9", "though the venue answers, and no other stream to compare with: it is subscribed anew, once",
                                       "\"kind\":\"gap\"", "\"cause\":\"silence\"", "\"kind\":\"status\"", "\"state\":\"resynced\"", "\"kind\":\"data\"", NULL});
    for (int i = 0; i < 120; i++) { /* and it may do so again once it has spoken */
        speak(1, 2);
        tick(500);
    }
    for (int i = 0; i < 9000 && w.upgrades == 3; i++)
        tick(1000);
    CHECK_INT(w.upgrades, 4);
    end_with();
}

TEST(liveness, notices_a_topic_that_stops_and_has_no_sibling)
{
    alone_topic_stops(&push);
    alone_topic_stops(&pull);
}

/* Closed for sixteen hours: one dial and one gap, not one an hour. */
TEST(liveness, dials_once_for_a_market_that_closes_and_has_no_sibling)
{
    begin_alone(&push);
    for (int i = 0; i < 16 * 3600; i++)
        tick(1000);
    CHECK_INT(w.upgrades, 3);
    UNTIL(stream_get_state(streams[1]) == STREAM_LIVE && w.subscribed >= 6);
    speak(1, 2);
    CHECK_UINT(record_stream_counts(stream_records(streams[1]))->restarts, 1);
    CHECK_UINT(record_stream_counts(stream_records(streams[1]))->gaps, 1);
    end_with();
}

/* Two that fall silent together are a closed market: neither dials, all night. */
TEST(liveness, dials_for_no_market_that_is_quiet_as_a_whole)
{
    begin_with(&push, 2, 0);
    w.answers = true;
    both_speak(120);
    for (int i = 0; i < 16 * 3600; i++)
        tick(1000);
    CHECK_INT(w.upgrades, 2);
    end_with();
}

/* A topic that stays dead is subscribed anew again and again, each time later. */
TEST(liveness, loses_its_patience_ever_more_slowly)
{
    int before = 0;
    begin_with(&push, 2, 0);
    both_speak(120);
    for (int round = 0; round < 4; round++) {
        int took = 0;
        for (count = 2 + round; w.upgrades == count && took < 2000; took++) {
            speak(0, 0);
            tick(500);
        }
        CHECK_INT(w.upgrades, 3 + round);
        CHECK(took > before + before / 2);
        before = took;
        UNTIL(stream_get_state(streams[1]) == STREAM_LIVE);
    }
    count = 2;
    end_with();
}

/* Seven of eight topics stop at once. Venues count connections, so they do not all dial together. */
TEST(liveness, subscribes_anew_one_after_the_other)
{
    begin_with(&push, MAX, 0);
    for (int i = 0; i < 120; i++) {
        for (int k = 0; k < MAX; k++)
            speak(k, k);
        tick(500);
    }
    int before = w.upgrades, most = 0;
    for (int i = 0; i < 120 && w.upgrades < 2 * MAX - 1; i++) {
        int cuts = 0;
        for (int k = 1; k < MAX; k++)
            cuts -= (int)record_stream_counts(stream_records(streams[k]))->restarts;
        speak(0, 0);
        tick(500);
        for (int k = 1; k < MAX; k++)
            cuts += (int)record_stream_counts(stream_records(streams[k]))->restarts;
        most = cuts > most ? cuts : most;
    }
    CHECK_INT(before, MAX);
    CHECK_INT(w.upgrades, 2 * MAX - 1);
    CHECK_INT(most, 1);
    CHECK_UINT(record_stream_counts(stream_records(streams[0]))->restarts, 0);
    end_with();
}

TEST(liveness, keeps_the_users_limit_instead)
{
    begin_with(&push, 2, 5000);
    w.answers = true;
    both_speak(4); /* it knows no rhythm yet, and there is no need to */
    int took = until_dialled(100, false, NULL);
    CHECK(w.upgrades > 2);
    CHECK(took >= 10 && took <= 13); /* 5 s, and one until the next try */
    expect_story((const char *const[]){"\"state\":\"waiting\",\"why\":\"no data for 5.0 s, though the venue answers; --quiet-after allows 5.0 s: it is subscribed anew; next try in ", NULL});
    end_with();
    begin_with(&pull, 2, LIVENESS_NEVER);
    w.answers = true;
    both_speak(120);
    until_dialled(600, true, NULL);
    CHECK_INT(w.upgrades, 2);
    end_with();
}

/* Its reader is full, so nothing can come; that is not the venue's silence. */
TEST(liveness, does_not_blame_the_venue_for_a_slow_reader)
{
    const struct sample *guests[] = {&push, &pull};
    for (int k = 0; k < 2; k++) {
        begin_with(guests[k], 1, 20000);
        w.answers = true;
        sub *slow;
        CHECK_OK(hub_subscribe(&slow, w.hub, "raw.>", &(sub_options){.policy = SUB_BLOCK, .max_records = 4}, &err));
        for (int i = 0; i < 8; i++)
            say_to(0, "price");
        for (int i = 0; i < 240; i++)
            tick(500);
        CHECK_INT(w.upgrades, 1);
        for (record *r; stream_queued(streams[0]); settle())
            while ((r = sub_next(slow)))
                record_unref(r);
        for (int i = 0; i < 20; i++)
            tick(500);
        CHECK_INT(w.upgrades, 1); /* the silence counts from when it had room */
        CHECK_UINT(record_stream_counts(stream_records(streams[0]))->gaps, 0);
        end_with();
    }
}

/* ---- A recorded quiet market ---- */

#define ROOM 3000
#define FILE_NAME "sim/captures/COINBASE.ws"
#define ROUNDS 10

typedef struct played {
    const char *kind, *pair;
    uint64_t at[ROOM];
    size_t n, next;
} played;

/* Who speaks next, and when. */
static int earliest(played *p, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (p[i].next < p[i].n && (best < 0 || p[i].at[p[i].next] < p[best].at[p[best].next]))
            best = i;
    return best;
}

static played p[] = {{.kind = "{\"type\":\"l2update\"", .pair = "NU-GBP"}, {.kind = "{\"type\":\"ticker\"", .pair = "BAND-BTC"}, {.kind = "{\"type\":\"ticker\"", .pair = "SKL-BTC"}, {.kind = "{\"type\":\"ticker\"", .pair = "DASH-BTC"}};

/* Plays the half minute again and again, as it was; of all four, or of the one alone. Answers how often a stream dialled anew. */
static unsigned play(const struct sample *g, uint32_t quiet_after_ms, unsigned rounds, int only)
{
    unsigned restarts = 0;
    begin_with(g, 4, quiet_after_ms);
    for (int i = 0; i < 4 && only >= 0; i++)
        if (i != only) {
            stream_free(streams[i]);
            streams[i] = NULL;
        }
    for (int i = 0; i < 4; i++)
        p[i].n = only >= 0 && i != only ? 0 : recording_times(p[i].at, ROOM, FILE_NAME, p[i].kind, p[i].pair);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t begun = mono;
        for (int i = 0; i < 4; i++)
            p[i].next = 0;
        for (int i; (i = earliest(p, 4)) >= 0; p[i].next++) {
            while (mono - begun + NS_PER_S < p[i].at[p[i].next])
                tick(1000);
            if (mono - begun < p[i].at[p[i].next])
                tick((p[i].at[p[i].next] - (mono - begun)) / NS_PER_MS);
            if (stream_get_state(streams[i]) == STREAM_LIVE && w.upgrades == 4)
                speak(i, i);
        }
        read_all();
        said.len = 0;
    }
    for (int i = 0; i < 4; i++)
        restarts += !streams[i] ? 0 : (unsigned)record_stream_counts(stream_records(streams[i]))->restarts;
    end_with();
    return restarts;
}

/* Coinbase, April 2021: three thin pairs with up to 28 s between two trades, while a book goes on. A fixed limit of
 * 10 s would have dialled anew five times within the recorded half minute, and as often in each that follows.
 * Learned limits never do, in five minutes of it. */
TEST(liveness, never_cuts_a_recorded_quiet_market)
{
    uint64_t at[ROOM];
    unsigned fixed = 0;
    static const char *const pairs[] = {"BAND-BTC", "SKL-BTC", "DASH-BTC"};
    for (int i = 0; i < 3; i++)
        for (size_t n = recording_times(at, ROOM, FILE_NAME, "{\"type\":\"ticker\"", pairs[i]), k = 1; k < n; k++)
            fixed += (unsigned)((at[k] - at[k - 1]) / (10 * NS_PER_S));
    printf("false alarms of a fixed 10 s in the recorded half minute: %u\n", fixed);
    CHECK_UINT(fixed, 5);
    CHECK_UINT(play(&push, 0, ROUNDS, -1), 0);
    CHECK_UINT(play(&pull, 0, ROUNDS, -1), 0);
    for (int i = 1; i < 4; i++) /* each of the thin ones alone, for half an hour */
        CHECK_UINT(play(&push, 0, 6 * ROUNDS, i), 0);
    CHECK(play(&push, 10000, 1, -1) > 0); /* the recording is of the kind that a fixed limit cuts */
}
