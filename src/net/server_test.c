/* The server against raw sockets: requests whole, broken and hostile, and the server's own end. */
#include "net/server_testing.h"

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
