/* Records on their way to readers: live, out of the history, and over the seam between both; and readers that do not read. */
#include "api/testing.h"

#include "hub/record.h"

#define PEER_ROOM (256u * 1024u)

/* What one peer has heard: the frames behind `from`. */
typedef struct peer {
    int fd;
    size_t from, len;
    char *at;
} peer;

/* The next message of a peer, turning the loop until it comes. */
static char *next_of(peer *p)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; clock_mono() < until;) {
        char *message = ws_next(p->at, p->len, &p->from);
        if (message)
            return message;
        memmove(p->at, p->at + p->from, p->len - p->from);
        p->len -= p->from;
        p->from = 0;
        ssize_t n = recv(p->fd, p->at + p->len, PEER_ROOM - p->len, 0);
        if (n > 0)
            p->len += (size_t)n;
        else if (n == 0)
            test_fail(__FILE__, __LINE__, "the peer was hung up on");
        else
            turns(1);
    }
    test_fail(__FILE__, __LINE__, "nothing came in 60 s");
}

static peer peer_open(void)
{
    return (peer){.fd = ws_dial(w.read), .at = malloc(PEER_ROOM)};
}

static void peer_close(peer *p)
{
    close(p->fd);
    free(p->at);
}

static uint64_t seq_of(const char *message)
{
    unsigned long long seq = 0;
    return sscanf(message, "{\"seq\":\"%llu\"", &seq) == 1 ? seq : 0;
}

static void until_written(void)
{
    store *s = node_store(w.f.n);
    for (int i = 0; i < 10000; i++) {
        store_figures f = store_read_figures(s);
        if (f.added && !f.waiting)
            return;
        turns(1);
    }
    test_fail(__FILE__, __LINE__, "the history is not written");
}

TEST(records, come_as_they_are_to_each_subscription)
{
    world_open(NULL, NULL);
    record_stream *btc = stream_named("trades", "BTC"), *eth = stream_named("trades", "\xc3\x84TH\xe2\x80\xae.x");
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\"}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"subscribed\",\"id\":\"a\"}");
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"b\",\"pattern\":\">\",\"policy\":\"newest_per_key\"}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"subscribed\",\"id\":\"b\"}");
    record *r = record_ref(record_new(btc, 1, 2, BYTES("{\"price\":\"1.500000000000\"}")));
    hub_publish(node_hub(w.f.n), r);
    for (int i = 0; i < 2; i++) {
        char *line = next_of(&p);
        CHECK_MEM(line, strlen(line), r->line.at, r->line.len);
    }
    record_unref(r);
    ws_say(p.fd, "{\"op\":\"unsubscribe\",\"id\":\"b\"}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"unsubscribed\",\"id\":\"b\",\"why\":\"as asked\"}");
    publish(eth, 1);
    CHECK_HAS(next_of(&p), "\"identifier\":\"\xc3\x84TH\xe2\x80\xae.x\"");
    ws_say(p.fd, "{\"op\":\"ping\"}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"pong\"}"); /* and no second one of that record */
    record_stream_unref(btc);
    record_stream_unref(eth);
    peer_close(&p);
    world_close();
}

TEST(records, whoever_asks_wrongly_is_told_and_goes_on)
{
    static const char *const cases[][2] = {
        {"{\"op\":\"dance\"}", "op: \\\"dance\\\" is none"},
        {"{\"op\":", "\"code\":\"INVALID\""},
        {"[]", "\"code\":\"INVALID\""},
        {"{\"op\":\"subscribe\",\"pattern\":\">\"}", "id: a text of 1 to 64 octets"},
        {"{\"op\":\"subscribe\",\"id\":\"\\u0000\",\"pattern\":\">\"}", "id: a text of 1 to 64 octets"},
        {"{\"op\":\"subscribe\",\"id\":\"x\"}", "pattern: it is missing"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\"a..b\"}", "\"id\":\"x\",\"code\":\"INVALID\""},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">.a\"}", "\"code\":\"INVALID\""},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"policy\":\"block\"}", "policy: \\\"block\\\" is none"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"from\":\"seq\"}", "seqs: from"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"from\":\"seq\",\"seqs\":{\"a\":\"x\"}}", "is no number"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"from\":\"time\",\"since\":\"now\"}", "since: '\\\"now\\\"' is no time"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"max_records\":0}", "max_records"},
        {"{\"op\":\"subscribe\",\"id\":\"x\",\"pattern\":\">\",\"connection\":\"two\"}", "connection: '\\\"two\\\"' is no number"},
        {"{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}", "\"code\":\"BUSY\""},
        {"{\"op\":\"unsubscribe\",\"id\":\"nobody\"}", "\"code\":\"NOT_FOUND\""},
        {"{\"op\":\"logs\",\"level\":\"loud\"}", "level: \\\"loud\\\" is none"},
    };
    world_open(NULL, NULL);
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}");
    next_of(&p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_say(p.fd, cases[i][0]);
        char *said = next_of(&p);
        CHECK_HAS(said, "{\"op\":\"error\"");
        CHECK_HAS(said, cases[i][1]);
    }
    char text[100];
    for (int i = 1; i < 64; i++) {
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"id\":\"s%d\",\"pattern\":\"x\"}", i);
        ws_say(p.fd, text);
        CHECK_HAS(next_of(&p), "subscribed");
    }
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"more\",\"pattern\":\"x\"}");
    CHECK_HAS(next_of(&p), "has 64 subscriptions");
    say_octets(p.fd, "\x82\x81\0\0\0\0x", 7);
    CHECK_HAS(next_of(&p), "spoken in text");
    say_octets(p.fd, "\x81\x82\0\0\0\0\xff\xfe", 8); /* a text that is no UTF-8 */
    fresh();
    hear(p.fd, NULL);
    peer_close(&p);
    world_close();
}

/* Streams publish all the while. Whatever the reader begins with, it gets each number once and in order. */
static void check_seam(const char *demand, uint64_t first, bool complete, const char *topic_note)
{
    record_stream *s[3] = {stream_named("trades", "A"), stream_named("trades", "B"), stream_named("trades", "C")};
    uint64_t seen[3] = {first, first, first}, history = 0, told = 0;
    bool seam = false;
    peer p = peer_open();
    ws_say(p.fd, demand);
    CHECK_HAS(next_of(&p), "subscribed");
    for (int i = 0, after = 0; after < 3000; i++) {
        if (seam || i % 2 == 0) /* the history must not grow faster than it is read here */
            publish(s[i % 3], 1);
        char *m = next_of(&p);
        if (strstr(m, "\"op\":\"seam\"")) {
            unsigned long long count = 0;
            CHECK(!seam && sscanf(m, "{\"op\":\"seam\",\"id\":\"a\",\"history\":%llu", &count) == 1);
            told = count;
            CHECK_HAS(m, complete ? "\"complete\":true" : "\"complete\":false");
            seam = true;
            continue;
        }
        const char *name = strstr(m, "\"identifier\":\"");
        CHECK(name != NULL);
        int which = name[14] - 'A';
        CHECK(which >= 0 && which < 3);
        history += !seam;
        if (strstr(m, "\"kind\":\"status\""))
            continue;
        if (first || seen[which])
            CHECK_UINT(seq_of(m), seen[which] + 1);
        seen[which] = seq_of(m);
        after += seam;
    }
    CHECK(seam);
    CHECK_UINT(history, told);
    if (!topic_note)
        CHECK(history > 0);
    for (int i = 0; i < 3; i++)
        record_stream_unref(s[i]);
    peer_close(&p);
}

TEST(records, out_of_the_history_and_then_live_none_is_lost_and_none_comes_twice)
{
    world_open(&(api_options){.rate = 10000}, NULL);
    record_stream *s[3] = {stream_named("trades", "A"), stream_named("trades", "B"), stream_named("trades", "C")};
    for (int i = 0; i < 300; i++) {
        publish(s[i % 3], 20);
        if (i % 50 == 0) {
            hub_publish_status(node_hub(w.f.n), s[0], RECORD_LIVE, "so");
            turns(1);
        }
    }
    until_written();
    check_seam("{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"time\"}", 0, true, NULL);
    check_seam("{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"seq\",\"seqs\":{\"trades.test.A\":\"1000\",\"trades.test.B\":\"1000\",\"trades.test.C\":1000}}", 1000, true, NULL);
    /* One that nobody has heard of: the history does not reach there. */
    check_seam("{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"seq\",\"seqs\":{\"trades.test.A\":\"1000\",\"trades.test.B\":\"1000\",\"trades.test.C\":\"1000\",\"trades.test.D\":\"7\"}}", 1000, false, NULL);
    /* None named: all from now. */
    check_seam("{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"seq\",\"seqs\":{}}", 0, true, "may be none");
    char text[200];
    snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"time\",\"since\":\"%llu\"}", (unsigned long long)clock_real());
    check_seam(text, 0, true, "may be none");
    for (int i = 0; i < 3; i++)
        record_stream_unref(s[i]);
    world_close();
}

/* A reader that stops reading in the middle of the history, for long, loses nothing: what it has not read waits on the disk. */
TEST(records, a_slow_reader_of_the_history_loses_nothing_of_it)
{
    world_open(&(api_options){.reader_octets = 16384, .idle_ms = 600000}, NULL);
    record_stream *s = stream_named("trades", "A");
    peer p = peer_open();
    publish(s, 30000);
    until_written();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"from\":\"time\",\"max_records\":50}");
    for (int i = 0; i < 100; i++) {
        publish(s, 300); /* far more than its queue holds */
        turns(2);
    }
    CHECK_HAS(next_of(&p), "subscribed");
    uint64_t seen = 0;
    for (char *m; !strstr(m = next_of(&p), "seam"); seen++)
        CHECK_UINT(seq_of(m), seen + 1);
    CHECK_UINT(seen, 60000);
    publish(s, 1);
    CHECK_UINT(seq_of(next_of(&p)), 60001);
    record_stream_unref(s);
    peer_close(&p);
    world_close();
}

static void drop_all(void *arg, const store_history_page *page)
{
    (void)page;
    *(bool *)arg = true;
}

TEST(records, one_that_never_reads_is_not_noticed_by_others_and_is_told_what_it_missed)
{
    world_open(&(api_options){.reader_octets = 16384, .idle_ms = 600000}, NULL);
    record_stream *s = stream_named("trades", "A");
    peer stuck = peer_open(), good = peer_open(), cut = peer_open();
    int small = 256 * 1024;
    setsockopt(stuck.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(cut.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ws_say(stuck.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"max_records\":100}");
    ws_say(good.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}");
    ws_say(cut.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"max_records\":100,\"policy\":\"disconnect\"}");
    CHECK_HAS(next_of(&good), "subscribed");
    turns(20);
    for (int i = 0; i < 1000; i++) {
        publish(s, 50);
        for (int k = 0; k < 50; k++)
            CHECK_UINT(seq_of(next_of(&good)), (uint64_t)(50 * i + k + 1));
    }
    CHECK_HAS(next_of(&stuck), "subscribed");
    uint64_t last = 0, missed = 0, warned = 0;
    while (last < 50000) {
        char *m = next_of(&stuck);
        if (strstr(m, "\"cause\":\"slow_reader\"")) {
            unsigned long long count = 0, from = 0, to = 0;
            CHECK(sscanf(strstr(m, "\"count\":"), "\"count\":%llu,\"from_seq\":\"%llu\",\"to_seq\":\"%llu\"", &count, &from, &to) == 3);
            CHECK_UINT(from, last + 1);
            last = to;
            missed += count;
        } else if (strstr(m, "\"state\":\"lagging\"")) {
            warned++;
        } else {
            CHECK_UINT(seq_of(m), last + 1);
            last = seq_of(m);
        }
    }
    CHECK(missed > 10000 && missed < 50000);
    CHECK(warned > 0);
    char *m = next_of(&cut);
    for (int i = 0; !strstr(m, "unsubscribed"); i++, m = next_of(&cut))
        CHECK(i < 50000);
    CHECK_HAS(m, "it did not read fast enough");
    CHECK_INT(request("GET", "/metrics", w.read, NULL), 200);
    CHECK_HAS(body_heard, "weir_readers_cut_total 1\n");
    CHECK_HAS(body_heard, "weir_reader_delivered_total{reader=\"ws0\",pattern=\">\"} ");
    CHECK_HAS(body_heard, "weir_record_latency_seconds_count{plugin=\"test\"} 50000\n");
    record_stream_unref(s);
    peer_close(&stuck);
    peer_close(&good);
    peer_close(&cut);
    world_close();
}

/* Sends `count` times the same record, and all peers read it. */
static void round_of(record *r, int count, peer *p, size_t peers)
{
    for (int i = 0; i < count; i++)
        hub_publish(node_hub(w.f.n), record_ref(r));
    for (size_t i = 0; i < peers; i++)
        for (int k = 0; k < count; k++) {
            char *line = next_of(&p[i]);
            CHECK_MEM(line, strlen(line), r->line.at, r->line.len);
        }
    until_written();
}

static uint64_t dropped_so_far(void)
{
    return hub_read_account(node_hub(w.f.n)).subs.dropped[SUB_DROPPED_OLDEST];
}

TEST(records, in_steady_state_nothing_is_allocated_though_two_never_read)
{
    world_open(&(api_options){.reader_octets = 16384, .idle_ms = 600000}, NULL);
    record_stream *s = stream_named("trades", "A");
    int small = 4096;
    peer p[22];
    for (int i = 0; i < 22; i++) {
        p[i] = peer_open();
        setsockopt(p[i].fd, SOL_SOCKET, SO_RCVBUF, i < 20 ? &(int){1 << 20} : &small, sizeof small);
        ws_say(p[i].fd, i < 20 ? "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}" : "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"max_records\":100}");
        CHECK_HAS(next_of(&p[i]), "subscribed");
    }
    char data[512] = "\"";
    memset(data + 1, 'x', sizeof data - 2);
    data[sizeof data - 1] = '"';
    record *r = record_new(s, 1, clock_real(), bytes_make(data, sizeof data));
    round_of(r, 3000, p, 20);                    /* more than any round below, so that no moment of a flush needs more than there is */
    for (int still = 0, i = 0; still < 3; i++) { /* warm: the kernel takes nothing more of the two */
        uint64_t dropped = dropped_so_far();
        CHECK(i < 200);
        round_of(r, 200, p, 20);
        still = dropped_so_far() - dropped == 400 ? still + 1 : 0;
    }
    uint64_t before = fault_allocations(), dropped = dropped_so_far();
    for (int i = 0; i < 5; i++)
        round_of(r, 200, p, 20);
    CHECK_UINT(fault_allocations() - before, 0);
    CHECK_UINT(dropped_so_far() - dropped, 2 * 5 * 200);
    record_unref(r);
    record_stream_unref(s);
    for (int i = 0; i < 22; i++)
        peer_close(&p[i]);
    world_close();
}

TEST(records, a_peer_that_takes_all_at_once_is_fed_on_though_its_share_was_used_up)
{
    world_open(&(api_options){.reader_octets = 1024, .idle_ms = 600000}, NULL);
    record_stream *s = stream_named("trades", "A");
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}");
    CHECK_HAS(next_of(&p), "subscribed");
    publish(s, 300); /* and then nothing, which would wake it */
    for (uint64_t i = 1; i <= 300; i++)
        CHECK_UINT(seq_of(next_of(&p)), i);
    record_stream_unref(s);
    peer_close(&p);
    world_close();
}

TEST(records, each_reader_costs_one_copy_and_no_allocation)
{
    world_open(NULL, NULL);
    record_stream *s = stream_named("trades", "A");
    peer p[20];
    for (int i = 0; i < 20; i++) {
        p[i] = peer_open();
        ws_say(p[i].fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\"}");
        CHECK_HAS(next_of(&p[i]), "subscribed");
    }
    record *r = record_new(s, 1, clock_real(), BYTES("{\"price\":\"1.5\"}"));
    hub_publish(node_hub(w.f.n), record_ref(r));
    for (int round = 0; round < 40; round++) { /* warm: queues and buffers have grown to what they need */
        for (int i = 0; i < 10; i++)
            hub_publish(node_hub(w.f.n), record_ref(r));
        turns(3);
    }
    until_written();
    turns(20);
    uint64_t before = fault_allocations();
    for (int i = 0; i < 10; i++)
        hub_publish(node_hub(w.f.n), record_ref(r));
    loop_step(node_loop(w.f.n), 0);
    loop_step(node_loop(w.f.n), 0);
    CHECK_UINT(fault_allocations() - before, 0);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 411; k++) {
            char *line = next_of(&p[i]);
            CHECK_MEM(line, strlen(line), r->line.at, r->line.len);
        }
        peer_close(&p[i]);
    }
    record_unref(r);
    record_stream_unref(s);
    world_close();
}

TEST(records, a_socket_hears_of_changes_and_of_the_log)
{
    world_open(NULL, NULL);
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"watch\"}");
    ws_say(p.fd, "{\"op\":\"logs\",\"level\":\"warn\"}");
    ws_say(p.fd, "{\"op\":\"ping\"}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"pong\"}");
    node_log_keep(WEIR_LOG_INFO, "test", "not of interest");
    node_log_keep(WEIR_LOG_WARN, "test", "\\x1B[31mred");
    CHECK_HAS(next_of(&p), "\"level\":\"warn\",\"part\":\"test\",\"text\":\"\\\\x1B[31mred\"}");
    CHECK_INT(request("POST", "/v1/sinks", w.admin, "{\"spec\":\"ndjson:/dev/null\"}"), 201);
    CHECK_HAS(next_of(&p), "{\"op\":\"changed\",\"what\":\"sinks\",\"id\":\"1\"}");
    peer_close(&p);
    world_close();
}

/* ---- Server-sent events ---- */

static int sse_open(const char *query, const char *head)
{
    char text[800];
    int fd = dial();
    snprintf(text, sizeof text, "GET /v1/records/sse%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s\r\n", query, w.read, head);
    fresh();
    say(fd, text);
    hear(fd, "retry: 2000\n\n");
    CHECK_HAS(heard, "HTTP/1.1 200 OK");
    CHECK_HAS(heard, "Content-Type: text/event-stream\r\n");
    return fd;
}

TEST(records, come_as_events_with_an_id_to_go_on_behind)
{
    world_open(NULL, NULL);
    record_stream *a = stream_named("trades", "A"), *b = stream_named("trades", "B");
    int fd = sse_open("?pattern=trades.%3E", "");
    publish(a, 3);
    publish(b, 2);
    hear(fd, "id: trades.test.B@2\ndata: {\"seq\":\"2\",\"kind\":\"data\",\"type\":\"trades\",\"source\":\"test\",\"identifier\":\"B\"");
    hub_publish_status(node_hub(w.f.n), a, RECORD_LIVE, "so");
    hear(fd, "\r\ndata: {\"kind\":\"status\"");
    close(fd);
    turns(5);
    publish(a, 2); /* while it is away */
    publish(b, 1);
    fd = sse_open("?pattern=trades.%3E", "Last-Event-ID: trades.test.B@1\r\n");
    hear(fd, "event: seam\ndata: {\"history\":5,\"complete\":true}\n\n"); /* B 2, the status, A 4 and 5, B 3 */
    CHECK(!strstr(heard, "@1\n"));
    CHECK(strstr(heard, "id: trades.test.B@2\n") < strstr(heard, "id: trades.test.A@4\n"));
    CHECK(!strstr(heard, "id: trades.test.A@3\n"));
    publish(a, 1);
    hear(fd, "id: trades.test.A@6\n");
    close(fd);
    fd = sse_open("?pattern=trades.%3E", "Last-Event-ID: trades.test.Z@77\r\n");
    hear(fd, "event: seam\ndata: {\"history\":0,\"complete\":false}\n\n");
    close(fd);
    fd = sse_open("?pattern=trades.test.A&from=time", "");
    hear(fd, "event: seam\ndata: {\"history\":7,\"complete\":true}\n\n");
    CHECK_INT(request("HEAD", "/v1/records/sse", w.read, NULL), 200);
    api_drain(w.api);
    fresh();
    hear(fd, "event: end\ndata: the node is being shut down\n\n");
    close(fd);
    record_stream_unref(a);
    record_stream_unref(b);
    world_close();
}

/* Behind a crash numbers go on 2^20 further: who goes on behind the last one is told the restart's gap, and no other. */
TEST(records, go_on_over_numbers_that_a_crash_left_out)
{
    const uint64_t jump = UINT64_C(1) << 20;
    world_open(NULL, NULL);
    record_stream *a = stream_of("trades", "A", 1);
    record_gap gap = {.cause = RECORD_GAP_RESTART, .from_ns = 5, .to_ns = 6};
    publish(a, 20);
    turns(5);
    record_stream_resume(a, 20 + jump);
    hub_publish_status(node_hub(w.f.n), a, RECORD_CONNECTING, "so");
    hub_publish_gap(node_hub(w.f.n), a, &gap);
    publish(a, 3);
    turns(20);
    static const unsigned seen[] = {20, 12, 27}; /* all of it; not all; more than the history has: those that the crash took */
    for (int i = 0; i < 3; i++) {
        char text[300];
        unsigned missed = seen[i] < 20 ? 20 - seen[i] : 0;
        peer p = peer_open();
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"seq\",\"seqs\":{\"trades.test.A@1\":\"%u\"}}", seen[i]);
        ws_say(p.fd, text);
        CHECK_HAS(next_of(&p), "subscribed");
        for (unsigned n = 1; n <= missed; n++)
            CHECK_UINT(seq_of(next_of(&p)), seen[i] + n);
        if (seen[i] <= 20)
            CHECK_HAS(next_of(&p), "\"kind\":\"status\"");
        char *m = next_of(&p);
        CHECK_UINT(seq_of(m), 20 + jump + 1);
        CHECK_HAS(m, "\"cause\":\"restart\"");
        for (unsigned n = 2; n <= 4; n++) {
            m = next_of(&p);
            CHECK_UINT(seq_of(m), 20 + jump + n);
            CHECK_HAS(m, "\"kind\":\"data\"");
        }
        CHECK_HAS(next_of(&p), "\"complete\":true}");
        peer_close(&p);
    }
    /* What the history has lost itself is still said. */
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"trades.>\",\"from\":\"seq\",\"seqs\":{\"trades.test.B@1\":\"4\"}}");
    CHECK_HAS(next_of(&p), "subscribed");
    CHECK_HAS(next_of(&p), "\"complete\":false}");
    peer_close(&p);
    record_stream_unref(a);
    world_close();
}

/* ---- One topic of two connections ---- */

/* Of the next `count` records all are of this connection, or of any (0), and each stream's numbers go on behind `from`. */
static void check_series(peer *p, int count, uint64_t connection, const uint64_t from[3])
{
    uint64_t seen[3] = {0, from[1], from[2]};
    for (int i = 0; i < count;) {
        unsigned long long of = 0;
        char *m = next_of(p);
        if (strstr(m, "\"op\":\"seam\""))
            continue;
        const char *said = strstr(m, "\"connection\":");
        CHECK(said && sscanf(said, "\"connection\":%llu", &of) == 1 && (of == 1 || of == 2));
        CHECK(!connection || of == connection);
        CHECK_UINT(seq_of(m), ++seen[of]);
        i++;
    }
}

TEST(records, of_one_topic_of_two_connections_are_told_apart)
{
    world_open(NULL, NULL);
    record_stream *one = stream_of("ohlcv", "A", 1), *two = stream_of("ohlcv", "A", 2);
    publish(one, 30);
    publish(two, 10);
    until_written();
    peer p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"ohlcv.test.A\",\"connection\":2,\"from\":\"time\"}");
    CHECK_HAS(next_of(&p), "subscribed");
    check_series(&p, 10, 2, (uint64_t[3]){0, 0, 0});
    CHECK_TEXT(next_of(&p), "{\"op\":\"seam\",\"id\":\"a\",\"history\":10,\"complete\":true}");
    publish(one, 3);
    publish(two, 3);
    check_series(&p, 3, 2, (uint64_t[3]){0, 0, 10});
    CHECK_INT(request("GET", "/metrics", w.read, NULL), 200);
    CHECK_HAS(body_heard, "weir_reader_delivered_total{reader=\"ws0\",connection=\"2\",pattern=\"ohlcv.test.A\"} ");
    peer_close(&p);
    /* Each goes on behind its own number, though both are higher and lower than the other's. */
    p = peer_open();
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\"ohlcv.>\",\"from\":\"seq\",\"seqs\":{\"ohlcv.test.A@1\":\"31\",\"ohlcv.test.A@2\":\"11\"}}");
    CHECK_HAS(next_of(&p), "subscribed");
    check_series(&p, 4, 0, (uint64_t[3]){0, 31, 11});
    CHECK_TEXT(next_of(&p), "{\"op\":\"seam\",\"id\":\"a\",\"history\":4,\"complete\":true}");
    publish(two, 1);
    publish(one, 1);
    check_series(&p, 2, 0, (uint64_t[3]){0, 33, 13});
    /* A topic alone is not enough, but where one of them is selected. */
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"b\",\"pattern\":\"ohlcv.>\",\"from\":\"seq\",\"seqs\":{\"ohlcv.test.A\":\"31\"}}");
    CHECK_TEXT(next_of(&p), "{\"op\":\"error\",\"id\":\"b\",\"code\":\"INVALID\",\"text\":\"seqs: 'ohlcv.test.A' is a stream of connection 1 and one of connection 2, each with its own numbers; "
                            "say 'ohlcv.test.A@2', or select one by \\\"connection\\\"\"}");
    ws_say(p.fd, "{\"op\":\"unsubscribe\",\"id\":\"a\"}");
    CHECK_HAS(next_of(&p), "unsubscribed");
    ws_say(p.fd, "{\"op\":\"subscribe\",\"id\":\"b\",\"pattern\":\"ohlcv.>\",\"connection\":1,\"from\":\"seq\",\"seqs\":{\"ohlcv.test.A\":\"31\"}}");
    CHECK_HAS(next_of(&p), "subscribed");
    check_series(&p, 3, 1, (uint64_t[3]){0, 31, 0});
    peer_close(&p);
    record_stream_unref(one);
    record_stream_unref(two);
    world_close();
}

TEST(records, of_one_topic_of_two_connections_come_as_events_that_name_theirs)
{
    world_open(NULL, NULL);
    record_stream *one = stream_of("ohlcv", "A", 1), *two = stream_of("ohlcv", "A", 2);
    int fd = sse_open("?pattern=%3E&connection=1", "");
    publish(two, 7);
    publish(one, 2);
    hear(fd, "id: ohlcv.test.A@1@2\ndata: {");
    CHECK(!strstr(heard, "A@2@"));
    close(fd);
    turns(20);
    fd = sse_open("?pattern=%3E", "Last-Event-ID: ohlcv.test.A@1@1\r\n");
    hear(fd, "event: seam\ndata: {\"history\":1,\"complete\":true}\n\n"); /* number 2 of connection 1, and not those of 2 before it */
    close(fd);
    fd = sse_open("?pattern=%3E", "Last-Event-ID: ohlcv.test.A@2@5\r\n");
    hear(fd, "event: seam\ndata: {\"history\":4,\"complete\":true}\n\n");
    close(fd);
    CHECK_INT(request("GET", "/v1/records/sse?connection=x", w.read, NULL), 400);
    record_stream_unref(one);
    record_stream_unref(two);
    world_close();
}

TEST(records, of_the_history_are_not_mixed_where_one_topic_is_two_series)
{
    world_open(NULL, NULL);
    record_stream *one = stream_of("ohlcv", "A", 1), *two = stream_of("ohlcv", "A", 2);
    publish(one, 3);
    CHECK_INT(request("GET", "/v1/history?pattern=ohlcv.test.A", w.read, NULL), 200);
    publish(two, 2);
    turns(20);
    static const char *const forms[] = {"json", "ndjson", "csv"};
    for (int i = 0; i < 3; i++) {
        char path[200];
        snprintf(path, sizeof path, "/v1/history?pattern=ohlcv.test.A&format=%s", forms[i]);
        CHECK_INT(request("GET", path, w.read, NULL), 400);
        CHECK_HAS(body_heard, "connection: 'ohlcv.test.A' was streamed by connections 1 and 2, which are not one series; name one of them, or 'any'");
    }
    CHECK_INT(request("GET", "/v1/history?pattern=ohlcv.test.A&connection=2&format=ndjson", w.read, NULL), 200);
    CHECK(!strstr(body_heard, "\"connection\":1,") && strstr(body_heard, "{\"seq\":\"2\"") && !strstr(body_heard, "{\"seq\":\"3\""));
    CHECK_INT(request("GET", "/v1/history?pattern=ohlcv.test.A&connection=any&format=csv", w.read, NULL), 200);
    CHECK_HAS(body_heard, "\r\n3,data,ohlcv,test,A,{},1,");
    CHECK_HAS(body_heard, "\r\n2,data,ohlcv,test,A,{},2,");
    CHECK_INT(request("GET", "/v1/history?pattern=ohlcv.%3E&format=ndjson", w.read, NULL), 200); /* many were asked for */
    CHECK(strstr(body_heard, "\"connection\":1,") && strstr(body_heard, "\"connection\":2,"));
    CHECK_INT(request("GET", "/v1/history?connection=two", w.read, NULL), 400);
    CHECK_INT(request("GET", "/v1/history/topics?connection=2", w.read, NULL), 200);
    CHECK(strstr(body_heard, "\"connection\":2,") && !strstr(body_heard, "\"connection\":1,"));
    CHECK_INT(request("GET", "/v1/history/topics?connection=two", w.read, NULL), 400);
    record_stream_unref(one);
    record_stream_unref(two);
    world_close();
}

/* ---- The history as a download ---- */

TEST(records, of_the_history_come_as_pages_of_json)
{
    world_open(NULL, NULL);
    record_stream *a = stream_named("trades", "A");
    char path[200], *next;
    publish(a, 25);
    turns(20);
    uint64_t seen = 0;
    snprintf(path, sizeof path, "/v1/history?pattern=%%3E&limit=10");
    for (int pages = 0;; pages++) {
        CHECK(pages < 4);
        CHECK_INT(request("GET", path, w.read, NULL), 200);
        for (char *at = body_heard; (at = strstr(at, "{\"seq\":\"")); at++)
            CHECK_UINT(seq_of(at), ++seen);
        unsigned long long cursor;
        next = strstr(body_heard, "],\"next\":");
        CHECK(next != NULL);
        if (sscanf(next, "],\"next\":\"%llu\"}", &cursor) != 1)
            break;
        snprintf(path, sizeof path, "/v1/history?pattern=%%3E&limit=10&cursor=%llu", cursor);
    }
    CHECK_TEXT(next, "],\"next\":null}");
    CHECK_UINT(seen, 25);
    CHECK_INT(request("GET", "/v1/history?limit=1&order=desc&kinds=data", w.read, NULL), 200);
    CHECK_UINT(seq_of(body_heard + 12), 25);
    CHECK_INT(request("GET", "/v1/history?pattern=nothing", w.read, NULL), 200);
    CHECK_TEXT(body_heard, "{\"records\":[],\"next\":null}");
    CHECK_INT(request("GET", "/v1/history/topics", w.read, NULL), 200);
    CHECK_HAS(body_heard, "\"topic\":\"trades.test.A\"");
    record_stream_unref(a);
    world_close();
}

TEST(records, of_the_history_come_as_a_table_with_all_their_members)
{
    world_open(NULL, NULL);
    record_stream *a = stream_named("ohlcv", "A,\"x\"");
    record_gap gap = {.cause = RECORD_GAP_RESTART, .from_ns = 5, .to_ns = 6};
    hub_publish_gap(node_hub(w.f.n), a, &gap);
    hub_publish(node_hub(w.f.n), record_new(a, 1, 2, BYTES("{\"open\":\"1.10\",\"note\":\"a, \\\"b\\\"\\n\",\"levels\":[[\"1\",\"2\"]],\"volume\":null}")));
    hub_publish(node_hub(w.f.n), record_new(a, 1, 2, BYTES("{\"volume\":\"7\",\"open\":1.20,\"extra\":{\"deep\":true}}")));
    turns(20);
    CHECK_INT(request("GET", "/v1/history?format=csv", w.read, NULL), 200);
    CHECK_HAS(heard, "Content-Type: text/csv; charset=utf-8; header=present\r\n");
    CHECK_HAS(heard, "filename=\"history.csv\"");
    CHECK_HAS(body_heard, "seq,kind,type,source,identifier,parameters,connection,ts_event,ts_recv,ts_out,backfill,cause,state,why,from,to,count,from_seq,to_seq,"
                          "data.open,data.note,data.levels,data.volume,more\r\n");
    CHECK_HAS(body_heard, "\r\n1,gap,ohlcv,test,\"A,\"\"x\"\"\",{},,,,");
    CHECK_HAS(body_heard, ",restart,,,5,6,,,,,,,,\r\n");
    CHECK_HAS(body_heard, ",1.10,\"a, \"\"b\"\"\n\",\"[[\"\"1\"\",\"\"2\"\"]]\",,\r\n");
    CHECK_HAS(body_heard, ",1.20,,,7,\"{\"\"extra\"\":{\"\"deep\"\":true}}\"\r\n");
    record_stream_unref(a);
    world_close();
}

TEST(records, of_a_long_history_come_as_fast_as_the_reader_reads_and_no_faster)
{
    world_open(NULL, NULL);
    record_stream *a = stream_named("trades", "A");
    char text[400];
    for (int i = 0; i < 40; i++) {
        publish(a, 1000);
        turns(1);
    }
    until_written();
    int fd = dial();
    snprintf(text, sizeof text, "GET /v1/history?format=ndjson HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", w.read);
    say(fd, text);
    turns(300);
    bool read = false; /* the store is free for others meanwhile */
    store_history_query q = {.pattern = ">", .limit = 1};
    store_history_read(node_store(w.f.n), &q, drop_all, &read);
    for (int i = 0; i < 1000 && !read; i++)
        turns(1);
    CHECK(read);
    size_t lines = 0, total = 0;
    char tail[8] = "";
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; clock_mono() < until && memcmp(tail, "\r\n0\r\n\r\n", 7) != 0;) {
        ssize_t n = recv(fd, heard, sizeof heard, 0);
        turns(n > 0 ? 0 : 1);
        for (ssize_t i = 0; i < n; i++) {
            lines += heard[i] == '\n' && tail[6] == '}';
            memmove(tail, tail + 1, 6);
            tail[6] = heard[i];
        }
        total += n > 0 ? (size_t)n : 0;
    }
    CHECK_UINT(lines, 40000);
    CHECK(total > 40000 * 100);
    close(fd);
    CHECK_INT(request("GET", "/v1/history?format=ndjson&limit=7", w.read, NULL), 200);
    lines = 0;
    for (char *at = body_heard; (at = strstr(at, "{\"seq\"")); at++)
        lines++;
    CHECK_UINT(lines, 7);
    snprintf(text, sizeof text, "GET /v1/history?format=csv HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", w.read);
    fd = dial(); /* one that goes in the middle */
    say(fd, text);
    turns(20);
    close(fd);
    turns(50);
    fd = dial(); /* and an api that does */
    say(fd, text);
    turns(5);
    record_stream_unref(a);
    world_close();
    close(fd);
}

/* Whatever allocation fails on the way of a socket's records, the socket may end; the api goes on. */
TEST(records, of_a_socket_survive_a_failed_allocation)
{
    world_open(&(api_options){.rate = 1000000}, NULL);
    record_stream *s = stream_named("trades", "A");
    char text[600];
    publish(s, 20);
    turns(20);
    FAULT_SWEEP(alloc) {
        int fd = dial();
        snprintf(text, sizeof text, "GET /v1/records/ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 w.read);
        say(fd, text);
        ws_say(fd, "{\"op\":\"subscribe\",\"id\":\"a\",\"pattern\":\">\",\"from\":\"time\"}");
        ws_say(fd, "{\"op\":\"subscribe\",\"id\":\"b\",\"pattern\":\">\",\"from\":\"seq\",\"seqs\":{\"trades.test.A\":\"7\"}}");
        ws_say(fd, "{\"op\":\"watch\"}");
        turns(12);
        close(fd);
        turns(4);
    }
    CHECK_INT(request("GET", "/v1/health", NULL, NULL), 200);
    record_stream_unref(s);
    world_close();
}
