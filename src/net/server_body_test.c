/* The server and bodies: how large one may be, how long it may take; and answers that go out in pieces. */
#include "net/server_testing.h"

/* ---- Bodies and their ceilings ---- */

static void on_head(void *arg, server_request *r, server_body_rule *rule)
{
    (void)arg;
    bool locked = bytes_is(server_path(r), "/locked");
    CHECK_UINT(rule->max, 1024 * 1024);
    rule->max = bytes_is(server_path(r), "/large") ? 100000 : 10;
    rule->status = locked ? 401 : 413;
    rule->note = locked ? "a key" : NULL;
    snprintf(rule->why, sizeof rule->why, locked ? "who are you?" : "ten are enough");
}

static void on_refuse(void *arg, bytes peer, uint16_t status, const char *why, const char *note, buf *body)
{
    (void)arg;
    CHECK(bytes_starts(peer, BYTES("127.0.0.1:")));
    buf_add_fmt(body, "{\"status\":%u,\"why\":\"%s\",\"note\":\"%s\"}", status, why, note ? note : "none");
}

TEST(server, lets_the_owner_say_how_large_a_body_may_be_and_how_a_refusal_reads)
{
    static char large[60000];
    begin_with((server_options){.on_head = on_head, .on_refuse = on_refuse});
    int fd = dial();
    memset(large, 'x', sizeof large - 1);
    fresh();
    say(fd, "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 59999\r\n\r\n");
    say(fd, large);
    hear(fd, "POST /large  xxx");
    turns(20);
    close(fd);
    for (int chunked = 0; chunked < 2; chunked++) {
        fd = dial();
        fresh();
        say(fd, chunked ? "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n" : "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
        hear(fd, NULL);
        CHECK_HAS(heard, "HTTP/1.1 413 ");
        CHECK_HAS(heard, "Content-Type: application/json; charset=utf-8\r\n");
        CHECK_HAS(heard, "{\"status\":413,\"why\":\"ten are enough\",\"note\":\"none\"}");
        CHECK(strstr(heard, "WWW-Authenticate") == NULL);
        close(fd);
    }
    fd = dial();
    fresh();
    say(fd, "POST /locked HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    hear(fd, NULL);
    CHECK(!strncmp(heard, "HTTP/1.1 401 ", 13)); /* and not 100 before it */
    CHECK_HAS(heard, "WWW-Authenticate: Bearer\r\n");
    CHECK_HAS(heard, "\"why\":\"who are you?\",\"note\":\"a key\"}");
    close(fd);
    fd = dial();
    fresh();
    say(fd, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    hear(fd, "POST /small  0123456789");
    close(fd);
    end();
}

TEST(server, knows_no_transfer_coding_but_chunked)
{
    static const char *const codings[] = {"gzip, chunked", "gzip", "identity", "chunked, chunked"};
    begin();
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char text[200];
        int fd = dial();
        fresh();
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n", codings[i]);
        say(fd, text);
        hear(fd, NULL);
        CHECK_HAS(heard, "HTTP/1.1 501 ");
        CHECK_HAS(heard, "'chunked' alone");
        close(fd);
    }
    end();
}

/* Whoever is refused may send his body to its end before he reads why; the connection then ends in order. But not for ever. */
TEST(server, reads_on_what_a_refused_peer_sends_for_a_while)
{
    static char piece[66000];
    memset(piece, 'x', sizeof piece - 1);
    clock_replace(NULL, leaping_mono);
    begin_with((server_options){.max_body = 10});
    for (int endless = 0; endless < 2; endless++) {
        int fd = dial();
        fresh();
        say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
        hear(fd, "at most 10 octets");
        bool hung_up = false;
        for (int i = 0; i < (endless ? 25 : 15); i++) { /* a piece each 1.5 s */
            hung_up |= send(fd, piece, sizeof piece, MSG_NOSIGNAL) < 0 && errno != EAGAIN;
            turns(20);
            leap_ns += 3 * NS_PER_S / 2;
            turns(3);
        }
        CHECK_INT(hung_up, endless);
        close(fd);
    }
    end();
    clock_replace(NULL, NULL);
}

/* A body has as long as it needs while it gets on; one that trickles is over after a while. */
TEST(server, gives_a_body_time_while_it_gets_on)
{
    static char piece[66000];
    memset(piece, 'x', sizeof piece - 1);
    clock_replace(NULL, leaping_mono);
    begin_with((server_options){.max_body = 1 << 20, .idle_ms = 10000});
    int fd = dial();
    fresh();
    say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 330000\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        say(fd, piece);
        turns(20);
        leap_ns += 9 * NS_PER_S;
        turns(3);
    }
    say(fd, "12345");
    hear(fd, "POST /p  xxx");
    close(fd);
    fd = dial();
    fresh();
    say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 330000\r\n\r\n");
    say(fd, piece);
    turns(20);
    for (int i = 0; i < 4; i++) {
        say(fd, "trickle");
        leap_ns += 6 * NS_PER_S;
        turns(3);
    }
    hear(fd, NULL);
    CHECK_HAS(heard, "HTTP/1.1 408 ");
    close(fd);
    end();
    clock_replace(NULL, NULL);
}

/* ---- Answers in pieces ---- */

static void stream_on_drain(void *arg)
{
    (void)arg;
    w.drains++;
}

static void begin_stream(int fd, const char *request)
{
    http_header type = {BYTES("Content-Type"), BYTES("text/plain")};
    say(fd, request);
    for (int i = 0; i < 1000 && !w.kept; i++)
        turns(1);
    CHECK(w.kept != NULL);
    server_reply_on_drain(w.kept, stream_on_drain, NULL);
    server_reply_begin(w.kept, 200, &type, 1);
}

TEST(server, answers_in_pieces_and_keeps_the_connection)
{
    begin();
    int fd = dial();
    fresh();
    begin_stream(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, "\r\n\r\n");
    CHECK_HAS(heard, "Transfer-Encoding: chunked\r\n");
    CHECK(!strstr(heard, "Content-Length"));
    bytes pieces[] = {BYTES("hel"), BYTES(""), BYTES("lo")}, none = BYTES("");
    server_reply_more(w.kept, pieces, 3);
    server_reply_more(w.kept, &none, 1);
    hear(fd, "5\r\nhello\r\n");
    CHECK(w.drains > 0);
    CHECK(!strstr(heard, "GET /two"));
    server_reply_end(w.kept);
    hear(fd, "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK");
    hear(fd, "GET /two");
    close(fd);
    end();
}

TEST(server, answers_old_clients_and_head_in_pieces_too)
{
    begin();
    int fd = dial();
    bytes piece = BYTES("hello");
    fresh();
    begin_stream(fd, "GET /later HTTP/1.0\r\n\r\n");
    server_reply_more(w.kept, &piece, 1);
    server_reply_end(w.kept);
    hear(fd, NULL);
    CHECK_HAS(heard, "Connection: close\r\n\r\nhello");
    CHECK(!strstr(heard, "chunked"));
    close(fd);
    w.kept = NULL;
    fd = dial();
    fresh();
    begin_stream(fd, "HEAD /later HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n");
    server_reply_more(w.kept, &piece, 1);
    server_reply_end(w.kept);
    hear(fd, "\r\n\r\nHTTP/1.1 200 OK");
    CHECK(!strstr(heard, "hello"));
    close(fd);
    end();
}

TEST(server, drops_who_does_not_read_an_answer_in_pieces_but_not_who_waits_for_one)
{
    static char large[1 << 20];
    bytes piece = {large, sizeof large};
    memset(large, 'x', sizeof large);
    clock_replace(NULL, leaping_mono);
    begin();
    int fd = dial();
    fresh();
    begin_stream(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, "\r\n\r\n");
    leap_ns += 1000 * NS_PER_S; /* nothing is due to it */
    turns(5);
    CHECK_INT(w.gone, 0);
    for (int i = 0; i < 16; i++)
        server_reply_more(w.kept, &piece, 1);
    turns(20);
    CHECK(server_reply_queued(w.kept) > 0);
    leap_ns += 59 * NS_PER_S;
    turns(5);
    CHECK_INT(w.gone, 0);
    leap_ns += 2 * NS_PER_S;
    turns(5);
    CHECK_INT(w.gone, 1);
    close(fd);
    fd = dial();
    fresh();
    begin_stream(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, "\r\n\r\n");
    close(fd);
    turns(5);
    CHECK_INT(w.gone, 2);
    end();
    clock_replace(NULL, NULL);
}
