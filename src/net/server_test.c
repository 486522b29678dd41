/* The server against raw sockets: requests whole, broken and hostile, TLS, upgrades. */
#include "net/server.h"

#include "net/cert.h"
#include "net/ws.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- A world: a loop, a server that echoes, raw clients ---- */

typedef struct world {
    loop *loop;
    server *server;
    server_request *kept; /* answered by the test */
    int requests, gone;
    server_ws *ws;
    char last_message[256];
    int messages, closes, pings, drains;
    uint16_t close_code;
} world;

static world w;

static void on_message(void *arg, bool binary, bytes message)
{
    (void)arg;
    w.messages++;
    snprintf(w.last_message, sizeof w.last_message, "%.*s", (int)(message.len > 200 ? 200 : message.len), message.at);
    server_ws_send(w.ws, binary, message);
}
static void on_drain(void *arg)
{
    (void)arg;
    w.drains++;
}
static void on_close(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)reason;
    w.closes++;
    w.close_code = code;
    w.ws = NULL;
}
static void on_ping(void *arg)
{
    (void)arg;
    w.pings++;
}
static void on_gone(void *arg)
{
    (void)arg;
    w.gone++;
    w.kept = NULL;
}

/* Answers "METHOD PATH QUERY BODY"; keeps /later; upgrades /ws. */
static void on_request(void *arg, server_request *r)
{
    static const server_ws_events events = {on_message, on_drain, on_close};
    (void)arg;
    w.requests++;
    if (bytes_is(server_path(r), "/later")) {
        w.kept = r;
        server_on_gone(r, on_gone, NULL);
        return;
    }
    if (bytes_is(server_path(r), "/drop")) {
        server_drop(r);
        return;
    }
    if (bytes_is(server_path(r), "/ws")) {
        server_ws *ws = server_upgrade(r, bytes_make(NULL, 0), &events, NULL);
        if (ws) {
            w.ws = ws;
            server_ws_on_ping(ws, on_ping);
        }
        return;
    }
    buf b;
    buf_init(&b, 8 << 20);
    buf_add_bytes(&b, server_method(r));
    buf_add_char(&b, ' ');
    buf_add_bytes(&b, server_path(r));
    buf_add_char(&b, ' ');
    server_query_get(r, "q", &b);
    buf_add_char(&b, ' ');
    buf_add_bytes(&b, server_body(r));
    http_header type = {BYTES("Content-Type"), BYTES("text/plain")};
    server_reply(r, 200, &type, 1, buf_bytes(&b));
    buf_fini(&b);
}

static void begin_with(server_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(&w, 0, sizeof w);
    o.on_request = on_request;
    CHECK_OK(loop_new(&w.loop, &err));
    CHECK_OK(server_new(&w.server, w.loop, &o, &err));
}

static void begin(void)
{
    begin_with((server_options){0});
}

static void end(void)
{
    server_free(w.server);
    loop_free(w.loop);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(server_port(w.server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void turns(int n)
{
    while (n--)
        loop_step(w.loop, 1);
}

static void say(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static char heard[1 << 20];
static size_t heard_len;

/* Turns the loop until `part` has been received, or the peer has closed when `part` is NULL. */
static void hear(int fd, const char *part)
{
    for (int i = 0; i < 20000; i++) {
        ssize_t n = recv(fd, heard + heard_len, sizeof heard - 1 - heard_len, 0);
        if (n > 0)
            heard_len += (size_t)n;
        heard[heard_len] = '\0';
        if (part ? memmem(heard, heard_len, part, strlen(part)) != NULL : n == 0 || (n < 0 && errno == ECONNRESET))
            return;
        if (part && n == 0)
            break;
        loop_step(w.loop, 1);
    }
    test_fail(__FILE__, __LINE__, "waited for '%s', heard '%s'", part ? part : "the end", heard);
}

static void fresh(void)
{
    heard_len = 0;
    heard[0] = '\0';
}

/* ---- Requests ---- */

TEST(server, answers_a_request_and_keeps_the_connection)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, "GET /a/b?x=1&q=two%20words+here HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, "GET /a/b two words here ");
    CHECK_HAS(heard, "HTTP/1.1 200 OK\r\n");
    CHECK_HAS(heard, "\r\nDate: ");
    CHECK_HAS(heard, "Content-Length: 24\r\n");
    CHECK_HAS(heard, "Connection: keep-alive");
    fresh();
    say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    hear(fd, "POST /p  hello");
    close(fd);
    end();
}

TEST(server, understands_a_request_that_comes_byte_by_byte)
{
    begin();
    int fd = dial();
    fresh();
    const char *text = "POST /slow?q=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    for (const char *c = text; *c; c++) {
        CHECK(send(fd, c, 1, MSG_NOSIGNAL) == 1);
        loop_step(w.loop, 0);
    }
    hear(fd, "POST /slow 1 abcde");
    close(fd);
    end();
}

TEST(server, answers_pipelined_requests_in_order_even_when_the_first_is_late)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\nHEAD /three HTTP/1.1\r\nHost: h\r\n\r\nGET /four HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(20);
    CHECK(w.kept);
    CHECK_INT(w.requests, 1);
    server_reply(w.kept, 200, NULL, 0, BYTES("first"));
    hear(fd, "/four");
    CHECK(strstr(heard, "first") < strstr(heard, "/two"));
    CHECK(!strstr(heard, "HEAD /three")); /* a HEAD has a length and no body */
    CHECK_HAS(heard, "Content-Length: 13\r\n");
    close(fd);
    end();
}

TEST(server, tells_who_answers_later_that_the_peer_has_gone)
{
    begin();
    int fd = dial();
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(20);
    CHECK(w.kept);
    close(fd);
    turns(20);
    CHECK_INT(w.gone, 1);
    end();
}

TEST(server, closes_after_http_1_0_and_connection_close)
{
    begin();
    static const char *const requests[] = {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        int fd = dial();
        fresh();
        say(fd, requests[i]);
        hear(fd, NULL);
        CHECK_HAS(heard, "Connection: close");
        close(fd);
    }
    end();
}

TEST(server, refuses_what_is_malformed_or_too_large_with_the_right_status)
{
    static char huge[40000];
    memset(huge, 'a', sizeof huge - 1);
    char long_head[41000];
    snprintf(long_head, sizeof long_head, "GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", huge);
    static char many[32000];
    size_t len = (size_t)snprintf(many, sizeof many, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(many + len, sizeof many - len, "x%d: y\r\n", i);
    const struct {
        const char *request, *status;
    } cases[] = {
        {"rubbish\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "}, /* no Host */
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
        {"CONNECT x:1 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 417 "},
        {long_head, "HTTP/1.1 431 "},
        {many, "HTTP/1.1 431 "},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = dial();
        fresh();
        say(fd, cases[i].request);
        hear(fd, NULL);
        CHECK_HAS(heard, cases[i].status);
        close(fd);
    }
    CHECK_INT(w.requests, 0);
    end();
}

TEST(server, refuses_a_chunked_body_over_the_ceiling)
{
    begin_with((server_options){.max_body = 1000});
    int fd = dial();
    fresh();
    say(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++)
        send(fd, "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n", 106, MSG_NOSIGNAL);
    hear(fd, "HTTP/1.1 413 ");
    close(fd);
    end();
}

TEST(server, tells_a_polite_client_to_continue)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, "POST /c HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    hear(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    hear(fd, "POST /c  abc");
    close(fd);
    end();
}

static uint64_t leap_ns; /* how far the test has moved the clock */
static uint64_t leaping_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + leap_ns;
}

TEST(server, gives_a_trickled_request_one_deadline_and_says_408)
{
    clock_replace(NULL, leaping_mono);
    begin();
    int fd = dial();
    fresh();
    say(fd, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 7; i++) {
        turns(3);
        CHECK(!strstr(heard, "408"));
        say(fd, "y"); /* does not buy time */
        leap_ns += 10 * NS_PER_S;
    }
    hear(fd, NULL);
    CHECK_HAS(heard, "HTTP/1.1 408 ");
    close(fd);
    fd = dial();
    turns(3);
    leap_ns += 61 * NS_PER_S;
    fresh();
    hear(fd, NULL); /* one that never asks is closed without a word */
    CHECK_UINT(heard_len, 0);
    close(fd);
    end();
    clock_replace(NULL, NULL);
}

TEST(server, survives_a_drop_and_a_raw_answer)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, "GET /drop HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, NULL);
    CHECK_UINT(heard_len, 0);
    close(fd);
    fd = dial();
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(20);
    CHECK(w.kept);
    server_reply_raw(w.kept, BYTES("HTTP/1.1 200 OK\r\nContent-Le"), false);
    hear(fd, "Content-Le");
    server_reply_raw(w.kept, BYTES("ngth: 9\r\n\r\nshort"), true);
    hear(fd, NULL);
    CHECK_HAS(heard, "short");
    close(fd);
    end();
}

TEST(server, keeps_line_breaks_out_of_headers)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(20);
    http_header evil = {BYTES("Location"), BYTES("x\r\nSet-Cookie: y")};
    server_reply(w.kept, 302, &evil, 1, BYTES(""));
    hear(fd, "\r\n\r\n");
    CHECK(!strstr(heard, "Set-Cookie"));
    close(fd);
    end();
}

TEST(server, closes_what_is_over_the_connection_ceiling)
{
    begin_with((server_options){.max_connections = 2});
    int a = dial(), b = dial();
    say(a, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    say(b, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nha");
    turns(10);
    int c = dial();
    fresh();
    hear(c, NULL);
    say(b, "llo");
    hear(b, "POST /  hallo");
    close(a);
    close(b);
    close(c);
    end();
}

TEST(server, lets_an_idle_connection_give_way_when_there_are_too_many)
{
    begin_with((server_options){.max_connections = 2});
    int a = dial(), b = dial();
    say(a, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(10);
    int c = dial();
    fresh();
    say(c, "GET /ok HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "GET /ok");
    hear(b, NULL);
    CHECK_INT(w.gone, 0);
    close(a);
    close(b);
    close(c);
    end();
}

/* ---- Bodies and their ceilings ---- */

static void on_head(void *arg, server_request *r, server_body_rule *rule)
{
    (void)arg;
    bool locked = bytes_is(server_path(r), "/locked");
    CHECK_UINT(rule->max, 1024 * 1024);
    rule->max = bytes_is(server_path(r), "/large") ? 100000 : 10;
    rule->status = locked ? 401 : 413;
    snprintf(rule->why, sizeof rule->why, locked ? "who are you?" : "ten are enough");
}

static void on_refuse(void *arg, bytes peer, uint16_t status, const char *why, buf *body)
{
    (void)arg;
    CHECK(bytes_starts(peer, BYTES("127.0.0.1:")));
    buf_add_fmt(body, "{\"status\":%u,\"why\":\"%s\"}", status, why);
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
        CHECK_HAS(heard, "{\"status\":413,\"why\":\"ten are enough\"}");
        CHECK(strstr(heard, "WWW-Authenticate") == NULL);
        close(fd);
    }
    fd = dial();
    fresh();
    say(fd, "POST /locked HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    hear(fd, NULL);
    CHECK(!strncmp(heard, "HTTP/1.1 401 ", 13)); /* and not 100 before it */
    CHECK_HAS(heard, "WWW-Authenticate: Bearer\r\n");
    CHECK_HAS(heard, "who are you?");
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

TEST(server, says_what_is_wrong_with_its_options)
{
    begin();
    weir_error err = WEIR_ERROR_INIT;
    server *s = NULL;
    server_options o = {.on_request = on_request, .port = server_port(w.server)};
    CHECK_INT(server_new(&s, w.loop, &o, &err), WEIR_SYSTEM);
    CHECK_HAS(err.text, "is in use");
    o = (server_options){.on_request = on_request, .address = "nowhere"};
    CHECK_INT(server_new(&s, w.loop, &o, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "'nowhere'");
    o = (server_options){.on_request = on_request, .cert_file = "/nonexistent.pem"};
    CHECK_INT(server_new(&s, w.loop, &o, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "'/nonexistent.pem'");
    end();
}

/* ---- WebSockets ---- */

#define UPGRADE "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

TEST(server, upgrades_and_echoes_frames_sent_with_the_handshake)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n\x81\x85\x01\x01\x01\x01idmmn"); /* "hello", masked */
    hear(fd, "\x81\x05hello");
    CHECK_HAS(heard, "HTTP/1.1 101 Switching Protocols\r\n");
    CHECK_HAS(heard, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    CHECK_INT(w.messages, 1);
    CHECK(w.drains >= 1);
    fresh();
    CHECK(send(fd, "\x89\x80\x01\x01\x01\x01", 6, MSG_NOSIGNAL) == 6);
    for (int i = 0; i < 200 && heard_len < 2; i++) {
        ssize_t n = recv(fd, heard, 10, 0);
        heard_len += n > 0 ? (size_t)n : 0;
        loop_step(w.loop, 1);
    }
    CHECK_MEM(heard, 2, "\x8a\x00", 2);
    CHECK_INT(w.pings, 1);
    CHECK(send(fd, "\x88\x82\x00\x00\x00\x00\x03\xe8", 8, MSG_NOSIGNAL) == 8);
    fresh();
    hear(fd, NULL);
    CHECK_MEM(heard, heard_len, "\x88\x02\x03\xe8", 4);
    CHECK_INT(w.closes, 1);
    CHECK_INT(w.close_code, 1000);
    close(fd);
    end();
}

TEST(server, negotiates_compression_unless_told_not_to)
{
    for (int i = 0; i < 2; i++) {
        begin_with((server_options){.no_deflate = i == 1});
        int fd = dial();
        fresh();
        say(fd, UPGRADE "Sec-WebSocket-Extensions: x-other\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n");
        hear(fd, "\r\n\r\n");
        CHECK((strstr(heard, "Sec-WebSocket-Extensions: permessage-deflate") != NULL) == (i == 0));
        close(fd);
        end();
    }
}

TEST(server, refuses_bad_handshakes)
{
    begin();
    static const char *const bad[] = {
        "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
    };
    static const char *const status[] = {"HTTP/1.1 426 ", "HTTP/1.1 426 ", "HTTP/1.1 400 "};
    for (int i = 0; i < 3; i++) {
        int fd = dial();
        fresh();
        say(fd, bad[i]);
        hear(fd, status[i]);
        close(fd);
    }
    /* other upgrades are declined by answering in HTTP/1.1 */
    int fd = dial();
    fresh();
    say(fd, "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    hear(fd, "GET /x");
    close(fd);
    end();
}

TEST(server, writes_many_messages_of_one_turn_together)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    fresh();
    for (int i = 0; i < 100; i++)
        server_ws_send(w.ws, false, BYTES("tick"));
    CHECK_UINT(server_ws_queued(w.ws), 600);
    turns(1);
    CHECK_UINT(server_ws_queued(w.ws), 0);
    CHECK_INT(recv(fd, heard, 1000, 0), 600);
    uint64_t before = fault_allocations();
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < 100; i++)
            server_ws_send(w.ws, false, BYTES("tick"));
        turns(1);
    }
    CHECK_UINT(fault_allocations() - before, 0);
    close(fd);
    end();
}

TEST(server, sends_a_line_as_it_is_by_one_copy_and_no_allocation)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, UPGRADE "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    hear(fd, "\r\n\r\n");
    static const char line[] = "{\"a line that is longer than what would be worth compressing, so that it would be\":\"if it were not known to be sent to very many\"}";
    fresh();
    server_ws_send_line(w.ws, bytes_of(line));
    hear(fd, line);
    for (int i = 0; i < 100; i++)
        server_ws_send_line(w.ws, bytes_of(line));
    turns(5);
    uint64_t before = fault_allocations();
    for (int i = 0; i < 100; i++)
        server_ws_send_line(w.ws, bytes_of(line));
    turns(1);
    CHECK_UINT(fault_allocations() - before, 0);
    close(fd);
    end();
}

TEST(server, pings_a_silent_peer_and_drops_it_when_it_does_not_answer)
{
    clock_replace(NULL, leaping_mono);
    begin_with((server_options){.socket_idle_ms = 60000});
    int fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        leap_ns += 31 * NS_PER_S;
        fresh();
        turns(5);
        hear(fd, "\x89");
        CHECK_INT(w.closes, 0);
        CHECK(send(fd, "\x8a\x80\x01\x02\x03\x04", 6, MSG_NOSIGNAL) == 6); /* a pong */
        turns(5);
    }
    leap_ns += 31 * NS_PER_S;
    turns(5);
    CHECK_INT(w.closes, 0);
    leap_ns += 31 * NS_PER_S;
    turns(5);
    CHECK_INT(w.closes, 1);
    close(fd);
    end();
    clock_replace(NULL, NULL);
}

TEST(server, offers_faults_reset_drop_stall_and_raw_octets)
{
    begin();
    int fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    server_ws_stall(w.ws, true);
    server_ws_send(w.ws, false, BYTES("later"));
    fresh();
    turns(10);
    CHECK_INT(recv(fd, heard, 100, 0), -1);
    server_ws_stall(w.ws, false);
    hear(fd, "later");
    server_ws_raw(w.ws, BYTES("\xff\xff"));
    hear(fd, "\xff\xff");
    server_ws_abort(w.ws);
    turns(10);
    CHECK_INT(recv(fd, heard, 100, 0), -1);
    CHECK_INT(errno, ECONNRESET);
    CHECK_INT(w.closes, 1);
    CHECK_INT(w.close_code, 1006);
    close(fd);

    fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    server_ws_send(w.ws, false, BYTES("last words"));
    server_ws_drop(w.ws);
    hear(fd, NULL);
    CHECK_HAS(heard, "last words");
    CHECK_INT(w.closes, 2);
    CHECK_INT(w.close_code, 1006);
    close(fd);
    end();
}

TEST(server, closes_a_socket_whose_peer_breaks_the_protocol_or_does_not_answer_a_close)
{
    clock_replace(NULL, leaping_mono);
    begin();
    int fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    say(fd, "\x81\x05hello"); /* not masked */
    fresh();
    hear(fd, NULL);
    CHECK(heard_len >= 4 && heard[0] == (char)0x88 && heard[2] == 0x03 && heard[3] == (char)0xea);
    CHECK_INT(w.closes, 1);
    CHECK_INT(w.close_code, 1002);
    close(fd);
    fd = dial();
    fresh();
    say(fd, UPGRADE "\r\n");
    hear(fd, "\r\n\r\n");
    server_ws_close(w.ws, 1001, BYTES("bye"));
    hear(fd, "bye");
    leap_ns += 3 * NS_PER_S; /* without an answer */
    hear(fd, NULL);
    CHECK_INT(w.closes, 2);
    CHECK_INT(w.close_code, 1006);
    close(fd);
    end();
    clock_replace(NULL, NULL);
}

/* ---- TLS ---- */

static char folder[64];

static void cert_begin(server_options *o)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    static char cert[96], key[96];
    weir_error err = WEIR_ERROR_INIT;
    snprintf(folder, sizeof folder, "/tmp/weir-server-test-XXXXXX");
    CHECK(mkdtemp(folder));
    CHECK_OK(cert_make(folder, names, 2, &err));
    snprintf(cert, sizeof cert, "%s/server.pem", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    o->cert_file = cert;
    o->key_file = key;
}

static void cert_end(void)
{
    char path[96];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i == 0 ? "ca.pem" : i == 1 ? "server.pem"
                                                                                : "server.key");
        unlink(path);
    }
    rmdir(folder);
}

/* Turns the loop while a TLS call wants the peer. */
#define TLS_DO(ssl, call)                                       \
    do {                                                        \
        int n_ = 0;                                             \
        for (int i_ = 0; i_ < 5000 && (n_ = (call)) <= 0; i_++) \
            loop_step(w.loop, 1);                               \
        CHECK(n_ > 0);                                          \
    } while (0)

TEST(server, speaks_tls_that_its_ca_vouches_for)
{
    server_options o = {0};
    cert_begin(&o);
    begin_with(o);
    char ca[96];
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_load_verify_locations(ctx, ca, NULL) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL *ssl = SSL_new(ctx);
    SSL_set1_host(ssl, "localhost");
    int fd = dial();
    SSL_set_fd(ssl, fd);
    TLS_DO(ssl, SSL_connect(ssl));
    CHECK_INT(SSL_get_verify_result(ssl), X509_V_OK);
    const char *get = UPGRADE "\r\n";
    TLS_DO(ssl, SSL_write(ssl, get, (int)strlen(get)));
    memset(heard, 0, 1000);
    TLS_DO(ssl, SSL_read(ssl, heard, 1000));
    CHECK_HAS(heard, "101 Switching");
    static char big[200000];
    memset(big, 'x', sizeof big);
    server_ws_send(w.ws, false, bytes_make(big, sizeof big));
    size_t got = 0;
    for (int i = 0; i < 5000 && got < sizeof big + 10; i++) {
        int n = SSL_read(ssl, heard, sizeof heard);
        if (n > 0)
            got += (size_t)n;
        else
            loop_step(w.loop, 1);
    }
    CHECK_UINT(got, sizeof big + 10);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    turns(10);
    CHECK_INT(w.closes, 1);
    end();
    cert_end();
}

/* A connection by TLS; `serial` is that of the certificate it was shown. */
static SSL *dial_tls(SSL_CTX *ctx, int *fd, uint64_t *serial)
{
    SSL *ssl = SSL_new(ctx);
    *fd = dial();
    SSL_set_fd(ssl, *fd);
    TLS_DO(ssl, SSL_connect(ssl));
    X509 *peer = SSL_get1_peer_certificate(ssl);
    CHECK(peer && ASN1_INTEGER_get_uint64(serial, X509_get0_serialNumber(peer)) == 1);
    X509_free(peer);
    return ssl;
}

static void ask_tls(SSL *ssl)
{
    const char *get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    TLS_DO(ssl, SSL_write(ssl, get, (int)strlen(get)));
    memset(heard, 0, 1000);
    TLS_DO(ssl, SSL_read(ssl, heard, 1000));
    CHECK_HAS(heard, "HTTP/1.1 200");
}

TEST(server, takes_a_renewed_certificate_for_what_comes_and_keeps_what_is_there)
{
    server_options o = {0};
    weir_error err = WEIR_ERROR_INIT;
    uint64_t first, second, third;
    int a, b, c;
    cert_begin(&o);
    begin_with(o);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *old = dial_tls(ctx, &a, &first);
    ask_tls(old);
    CHECK_UINT(server_certificate_ends(w.server) / 1000, (clock_real() / NS_PER_S + 30 * 86400) / 1000);
    CHECK_INT(server_renew_certificate(w.server, o.cert_file, "/nonexistent.key", &err), WEIR_INVALID);
    CHECK_HAS(err.text, "/nonexistent.key");
    CHECK_INT(server_renew_certificate(w.server, o.key_file, o.key_file, &err), WEIR_INVALID);
    SSL *still = dial_tls(ctx, &b, &second);
    CHECK_UINT(second, first);
    char folder_before[64];
    server_options next = {0};
    memcpy(folder_before, folder, sizeof folder);
    cert_begin(&next); /* another pair: the key of one does not fit the certificate of the other */
    char old_key[96];
    snprintf(old_key, sizeof old_key, "%s/server.key", folder_before);
    CHECK_INT(server_renew_certificate(w.server, next.cert_file, old_key, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "mismatch");
    CHECK_OK(server_renew_certificate(w.server, next.cert_file, next.key_file, &err));
    SSL *fresh_one = dial_tls(ctx, &c, &third);
    CHECK(third != first);
    ask_tls(fresh_one);
    ask_tls(old); /* goes on */
    ask_tls(still);
    SSL_free(old);
    SSL_free(still);
    SSL_free(fresh_one);
    SSL_CTX_free(ctx);
    close(a);
    close(b);
    close(c);
    end();
    cert_end();
    memcpy(folder, folder_before, sizeof folder);
    cert_end();
    begin();
    CHECK_INT(server_renew_certificate(w.server, "x", "y", &err), WEIR_UNSUPPORTED);
    CHECK_UINT(server_certificate_ends(w.server), 0);
    end();
}

TEST(server, tells_plain_http_on_a_tls_port_what_is_wrong)
{
    server_options o = {0};
    cert_begin(&o);
    begin_with(o);
    int fd = dial();
    fresh();
    say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, NULL);
    CHECK_HAS(heard, "this port speaks TLS");
    close(fd);
    fd = dial();
    fresh();
    CHECK(send(fd, "\x16\x03\x01\x00\x05\xff\x00\x00\x01\x00", 10, MSG_NOSIGNAL) == 10);
    hear(fd, NULL);
    close(fd);
    end();
    cert_end();
}

TEST(server, frees_everything_with_connections_of_all_kinds_open)
{
    begin();
    int a = dial(), b = dial(), c = dial();
    fresh();
    say(a, UPGRADE "\r\n");
    hear(a, "\r\n\r\n");
    say(b, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    say(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhal");
    turns(20);
    end();
    CHECK_INT(w.closes, 1);
    CHECK_INT(w.gone, 1);
    close(a);
    close(b);
    close(c);
}

TEST(server, survives_any_failed_allocation)
{
    server_options o = {.on_request = on_request};
    cert_begin(&o);
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        loop *l = NULL;
        server *s = NULL;
        if (!loop_new(&l, &err) && server_new(&s, l, &o, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        server_free(s);
        loop_free(l);
    }
    cert_end();
}

/* Every allocation of a whole conversation fails once; the connection may, the server may not. */
TEST(server, survives_a_failed_allocation_in_a_conversation)
{
    begin();
    FAULT_SWEEP(alloc) {
        int fd = dial();
        say(fd, "POST /x?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" UPGRADE "\r\n\x81\x85\x01\x01\x01\x01idmmn");
        turns(6);
        close(fd);
        turns(4);
    }
    end();
}
