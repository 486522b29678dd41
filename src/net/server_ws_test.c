/* The server and WebSockets: upgrades, frames, pings, faults. */
#include "net/server_testing.h"

#include "net/ws.h"

/* ---- WebSockets ---- */

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
