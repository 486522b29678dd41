/* The WebSocket client against the program's own server, and against peers that misbehave. */
#include "net/ws_client.h"

#include <curl/curl.h>
#include <malloc.h>
#include <unistd.h>

#include "net/cert.h"
#include "net/server.h"
#include "tests/lib/peer.h"
#include "tests/lib/test.h"

static weir_error err;

static struct world {
    loop *loop;
    dialer *dialer;
    server *server;
    server_ws *ws; /* the server's end of the last socket */
    targets *targets;
    ws_client *client;
    int opens, messages, drains, closes, refuse, server_messages, server_closes;
    uint16_t server_code, code, status;
    uint32_t retry_after;
    weir_error why;
    char last[256], server_last[256], head[4096], protocol[32];
    size_t last_len, octets;
    bool free_in_message, free_in_close, free_in_open, offer_protocol;
    uint64_t stamp;
} w;

static void server_on_message(void *arg, bool binary, bytes message)
{
    (void)arg, (void)binary;
    w.server_messages++;
    snprintf(w.server_last, sizeof w.server_last, BYTES_FMT, BYTES_ARG(message));
}

static void server_on_drain(void *arg)
{
    (void)arg;
}

static void server_on_close(void *arg, uint16_t code, bytes reason)
{
    (void)arg, (void)reason;
    w.server_closes++;
    w.server_code = code;
    w.ws = NULL;
}

static void on_request(void *arg, server_request *r)
{
    static const server_ws_events events = {server_on_message, server_on_drain, server_on_close};
    (void)arg;
    snprintf(w.head, sizeof w.head, "[" BYTES_FMT "] [" BYTES_FMT "] [" BYTES_FMT "]", BYTES_ARG(server_header(r, "X-Test")), BYTES_ARG(server_header(r, "User-Agent")),
             BYTES_ARG(server_header(r, "Host")));
    if (bytes_is(server_path(r), "/429")) {
        http_header h = {BYTES("Retry-After"), BYTES("7")};
        server_reply(r, 429, &h, 1, BYTES("slow down"));
    } else if (!bytes_is(server_path(r), "/later")) {
        w.ws = server_upgrade(r, w.offer_protocol ? BYTES("v2") : BYTES(""), &events, NULL);
    }
}

static void on_open(void *arg, bytes subprotocol)
{
    (void)arg;
    w.opens++;
    snprintf(w.protocol, sizeof w.protocol, BYTES_FMT, BYTES_ARG(subprotocol));
    if (w.free_in_open) {
        ws_client_free(w.client);
        w.client = NULL;
    }
}

static bool on_message(void *arg, bool binary, bytes message, uint64_t recv_real_ns)
{
    (void)arg, (void)binary;
    if (w.refuse) {
        w.refuse--;
        return false;
    }
    w.messages++;
    w.stamp = recv_real_ns;
    w.last_len = message.len;
    w.octets += message.len;
    snprintf(w.last, sizeof w.last, BYTES_FMT, BYTES_ARG(message));
    if (w.free_in_message) {
        ws_client_free(w.client);
        w.client = NULL;
    }
    return true;
}

static void on_drain(void *arg)
{
    (void)arg;
    w.drains++;
}

static void on_close(void *arg, uint16_t code, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    (void)arg;
    w.closes++;
    w.code = code;
    w.why = *why;
    w.status = http_status;
    w.retry_after = retry_after_s;
    if (w.free_in_close) {
        ws_client_free(w.client);
        w.client = NULL;
    }
}

static const ws_client_events events = {on_open, on_message, on_drain, on_close};

static void begin_with(server_options so, dialer_options o)
{
    memset(&w, 0, sizeof w);
    err = (weir_error)WEIR_ERROR_INIT;
    so.on_request = on_request;
    CHECK_OK(loop_new(&w.loop, &err));
    CHECK_OK(server_new(&w.server, w.loop, &so, &err));
    CHECK_OK(dialer_new(&w.dialer, w.loop, &o, &err));
    w.targets = targets_new();
    targets_allow_private(w.targets, BYTES("127.0.0.1"));
}

static void begin(void)
{
    begin_with((server_options){0}, (dialer_options){.no_proxy = true});
}

static void end(void)
{
    ws_client_free(w.client);
    server_free(w.server);
    dialer_free(w.dialer);
    targets_free(w.targets);
    loop_free(w.loop);
}

#define UNTIL(condition)           \
    do                             \
        while (!(condition))       \
            loop_step(w.loop, -1); \
    while (0)

static char url_text[128];

static bytes at_port(const char *scheme, uint16_t port, const char *path)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "%s://127.0.0.1:%u/*", scheme, port);
    CHECK_OK(targets_add(w.targets, bytes_of(pattern), &err));
    snprintf(url_text, sizeof url_text, "%s://127.0.0.1:%u%s", scheme, port, path);
    return bytes_of(url_text);
}

static void open_with(ws_client_options o)
{
    o.targets = w.targets;
    CHECK_OK(ws_open(&w.client, w.dialer, &o, &events, NULL, &err));
    CHECK_INT(w.opens + w.closes, 0);
}

static void open_plain(void)
{
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws"), .no_deflate = true});
    UNTIL(w.opens || w.closes);
    CHECK_TEXT(w.why.text, "");
}

TEST(ws_client, opens_sends_receives_and_closes)
{
    begin();
    open_plain();
    CHECK_OK(ws_client_send(w.client, false, BYTES("hello"), &err));
    CHECK(ws_client_queued(w.client) > 0);
    UNTIL(w.server_messages);
    CHECK_TEXT(w.server_last, "hello");
    CHECK_INT(w.drains, 1);
    CHECK_UINT(ws_client_queued(w.client), 0);
    server_ws_send(w.ws, false, BYTES("world"));
    UNTIL(w.messages);
    CHECK_TEXT(w.last, "world");
    CHECK(w.stamp != 0);
    ws_client_close(w.client, 1000, BYTES("bye"));
    CHECK_INT(w.closes, 0);
    UNTIL(w.closes && w.server_closes);
    CHECK_INT(w.code, 1000);
    CHECK_INT(w.server_code, 1000);
    CHECK_INT(ws_client_send(w.client, false, BYTES("late"), &err), WEIR_CLOSED);
    CHECK_HAS(err.text, "the WebSocket is closed");
    for (int i = 0; i < 5; i++)
        loop_step(w.loop, 0);
    CHECK_INT(w.closes, 1);
    end();
}

TEST(ws_client, gives_headers_and_subprotocol_to_the_server)
{
    begin();
    http_header h[] = {{BYTES("X-Test"), BYTES("yes")}, {BYTES("user-agent"), BYTES("mine/1")}, {BYTES("connection"), BYTES("close")}};
    w.offer_protocol = true;
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws"), .headers = h, .header_count = 3, .subprotocol = BYTES("v1, v2")});
    UNTIL(w.opens || w.closes);
    CHECK_TEXT(w.why.text, "");
    CHECK_TEXT(w.protocol, "v2");
    char want[64];
    snprintf(want, sizeof want, "[yes] [mine/1] [127.0.0.1:%u]", server_port(w.server));
    CHECK_TEXT(w.head, want);
    end();
}

static void refused(ws_client_options o, weir_code code, const char *text)
{
    o.targets = w.targets;
    weir_error e = WEIR_ERROR_INIT;
    ws_client *c = NULL;
    CHECK_INT(ws_open(&c, w.dialer, &o, &events, NULL, &e), code);
    CHECK_HAS(e.text, text);
    CHECK(c == NULL);
}

TEST(ws_client, what_is_not_granted_or_makes_no_sense_is_refused_at_once)
{
    begin();
    bytes url = at_port("ws", 1, "/ws");
    refused((ws_client_options){.url = BYTES("wss://api.evil.example/x")}, WEIR_REFUSED, "may not open 'wss://api.evil.example/x'");
    refused((ws_client_options){.url = BYTES("nonsense")}, WEIR_INVALID, "scheme://host");
    CHECK_OK(targets_add(w.targets, BYTES("http://127.0.0.1/*"), &err));
    refused((ws_client_options){.url = BYTES("http://127.0.0.1/x")}, WEIR_INVALID, "ws:// or wss://");
    http_header bad[] = {{BYTES("X-A"), BYTES("1\r\nX-B: 2")}, {BYTES("Sec-WebSocket-Key"), BYTES("x")}, {BYTES("sec-websocket-protocol"), BYTES("x")}, {BYTES("a b"), BYTES("x")}};
    for (size_t i = 0; i < 4; i++)
        refused((ws_client_options){.url = url, .headers = &bad[i], .header_count = 1}, WEIR_INVALID, "header '");
    http_header host = {BYTES("Host"), BYTES("evil.example")};
    refused((ws_client_options){.url = url, .headers = &host, .header_count = 1}, WEIR_REFUSED, "header 'Host'");
    refused((ws_client_options){.url = url, .subprotocol = BYTES("a\r\nb")}, WEIR_INVALID, "subprotocol");
    CHECK_OK(targets_add(w.targets, BYTES("ws://10.1.2.3/*"), &err));
    refused((ws_client_options){.url = BYTES("ws://10.1.2.3/")}, WEIR_REFUSED, "a private network");
    end();
}

TEST(ws_client, a_name_that_leads_home_is_refused_when_its_address_is_known)
{
    begin();
    char text[64];
    snprintf(text, sizeof text, "ws://localhost:%u/", server_port(w.server));
    ws_client_options o = {.url = bytes_of(text)};
    CHECK_OK(ws_open(&w.client, w.dialer, &o, &events, NULL, &err));
    UNTIL(w.closes);
    CHECK_INT(w.why.code, WEIR_REFUSED);
    CHECK_HAS(w.why.text, "may not reach 'localhost'");
    CHECK_INT(w.code, 1006);
    end();
}

static uint64_t jump;

static uint64_t jumped(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + jump;
}

TEST(ws_client, a_refusal_by_http_tells_status_and_when_to_come_back)
{
    begin();
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/429")});
    UNTIL(w.closes);
    CHECK_INT(w.opens, 0);
    CHECK_INT(w.status, 429);
    CHECK_INT(w.retry_after, 7);
    CHECK_HAS(w.why.text, "HTTP status 429 (too many requests); told to wait by ws://127.0.0.1:");
    end();
}

/* The pause holds for the origin, not for the path or the socket; nothing leaves the house before it is over. */
TEST(ws_client, an_origin_that_asked_for_a_pause_is_not_dialled_before_it_is_over)
{
    begin();
    clock_replace(NULL, jumped);
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/429")});
    UNTIL(w.closes);
    ws_client_free(w.client);
    w.head[0] = '\0';
    w.closes = 0;
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws")});
    UNTIL(w.closes);
    CHECK_INT(w.opens, 0);
    CHECK_INT(w.why.code, WEIR_LIMIT);
    CHECK_INT(w.retry_after, 7);
    CHECK(strncmp(w.why.text, "told to wait by ws://127.0.0.1:", 31) == 0);
    CHECK_TEXT(w.head, ""); /* the server saw nothing */
    ws_client_free(w.client);
    jump += 7 * NS_PER_S;
    w.closes = 0;
    w.why = (weir_error)WEIR_ERROR_INIT;
    open_plain();
    CHECK_INT(w.opens, 1);
    clock_replace(NULL, NULL);
    end();
}

TEST(ws_client, a_port_where_nobody_listens_is_an_error)
{
    begin();
    bytes url = at_port("ws", server_port(w.server), "/");
    server_free(w.server);
    w.server = NULL;
    open_with((ws_client_options){.url = url});
    UNTIL(w.closes);
    CHECK_INT(w.why.code, WEIR_NETWORK);
    CHECK_HAS(w.why.text, "127.0.0.1:");
    end();
}

TEST(ws_client, silence_at_the_upgrade_runs_into_the_deadline)
{
    begin();
    clock_replace(NULL, jumped);
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/later"), .connect_ms = 5000});
    UNTIL(w.head[0]);
    jump += 6 * NS_PER_S;
    UNTIL(w.closes);
    clock_replace(NULL, NULL);
    CHECK_INT(w.why.code, WEIR_TIMEOUT);
    CHECK_HAS(w.why.text, "not open within 5000 ms; the time went by in the WebSocket upgrade");
    end();
}

TEST(ws_client, a_server_that_ignores_our_close_is_left_after_two_seconds)
{
    begin();
    open_plain();
    server_ws_stall(w.ws, true);
    clock_replace(NULL, jumped);
    ws_client_close(w.client, 1000, BYTES(""));
    loop_step(w.loop, 0);
    jump += 3 * NS_PER_S;
    UNTIL(w.closes);
    clock_replace(NULL, NULL);
    CHECK_INT(w.why.code, WEIR_TIMEOUT);
    CHECK_INT(w.code, 1006);
    end();
}

TEST(ws_client, closing_while_it_dials_ends_in_on_close)
{
    begin();
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/later")});
    ws_client_close(w.client, 1000, BYTES(""));
    CHECK_INT(w.closes, 0);
    UNTIL(w.closes);
    CHECK_INT(w.why.code, WEIR_CANCELLED);
    end();
}

TEST(ws_client, a_refused_message_comes_again_after_resume_and_reading_stops_meanwhile)
{
    begin();
    open_plain();
    w.refuse = 1;
    server_ws_send(w.ws, false, BYTES("first"));
    server_ws_send(w.ws, false, BYTES("second"));
    UNTIL(!w.refuse);
    char big[100000];
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 300; i++) /* more than the kernel takes for one who does not read */
        server_ws_send(w.ws, false, bytes_make(big, sizeof big));
    for (int i = 0; i < 200; i++)
        loop_step(w.loop, 0);
    CHECK_INT(w.messages, 0);
    CHECK(server_ws_queued(w.ws) > 0);
    ws_client_resume(w.client);
    CHECK_INT(w.messages, 0); /* not inside the call */
    UNTIL(w.messages == 302);
    CHECK_UINT(w.octets, 11 + 300 * sizeof big);
    end();
}

TEST(ws_client, a_flood_on_one_socket_does_not_starve_the_loop)
{
    begin();
    open_plain();
    char big[1000];
    memset(big, 'x', sizeof big);
    w.refuse = 1;
    for (int i = 0; i < 3000; i++)
        server_ws_send(w.ws, false, bytes_make(big, sizeof big));
    UNTIL(!w.refuse);
    for (int i = 0; i < 50; i++)
        loop_step(w.loop, 0);
    ws_client_resume(w.client);
    loop_step(w.loop, 0);
    CHECK(w.messages > 0);
    CHECK(w.messages < 1000); /* the budget of one turn, and what lay in the buffer */
    UNTIL(w.messages == 3000);
    end();
}

TEST(ws_client, may_be_freed_in_each_callback)
{
    for (int i = 0; i < 3; i++) {
        begin();
        w.free_in_open = i == 0;
        w.free_in_message = i == 1;
        w.free_in_close = i == 2;
        open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws")});
        UNTIL(w.opens && w.ws);
        if (i == 1) {
            server_ws_send(w.ws, false, BYTES("one"));
            server_ws_send(w.ws, false, BYTES("two"));
            UNTIL(w.messages);
        }
        if (i == 2) {
            server_ws_close(w.ws, 1001, BYTES("going"));
            UNTIL(w.closes);
            CHECK_INT(w.code, 1001);
            CHECK_HAS(w.why.text, "closed by the server with code 1001: 'going'");
        }
        UNTIL(!w.client);
        UNTIL(!w.ws);
        CHECK_INT(w.messages, i == 1);
        CHECK_INT(w.closes, i == 2);
        end();
    }
}

TEST(ws_client, may_be_freed_while_it_dials)
{
    begin();
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws")});
    ws_client_free(w.client);
    w.client = NULL;
    for (int i = 0; i < 5; i++)
        loop_step(w.loop, 0);
    CHECK_INT(w.opens + w.closes, 0);
    end();
}

/* ---- Peers that misbehave ---- */

typedef struct ugly {
    const char *answer; /* instead of an accepting one */
    const char *more;   /* header lines beside the right ones */
    const char *frames;
    size_t frames_len;
    bool reset;
    weir_code code;
    const char *text;
} ugly;

static void serve_ugly(peer_conn *c, void *arg)
{
    const ugly *u = arg;
    if (u->answer) {
        if (!peer_read_head(c) || !peer_text(c, "%s", u->answer))
            return;
    } else if (!peer_accept_ws(c, u->more ? u->more : "") || !peer_write(c, u->frames, u->frames_len)) {
        return;
    }
    if (u->reset) {
        char scrap[16]; /* so that the frames have been read before the reset can overtake them */
        peer_read(c, scrap, sizeof scrap);
        peer_reset(c);
    }
}

static void meet(const ugly *u)
{
    begin();
    peer *p = peer_start(serve_ugly, (void *)u, NULL, NULL);
    open_with((ws_client_options){.url = at_port("ws", peer_port(p), "/")});
    if (u->reset) {
        UNTIL(w.opens);
        ws_client_ping(w.client, BYTES("x"));
    }
    UNTIL(w.closes);
    if (w.why.code != u->code || !strstr(w.why.text, u->text))
        test_fail(__FILE__, __LINE__, "got %d '%s', expected %d '%s'", w.why.code, w.why.text, u->code, u->text);
    CHECK_INT(w.code, 1006);
    end();
    peer_stop(p);
}

#define ACCEPT "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

TEST(ws_client, a_bad_answer_to_the_upgrade_is_told_before_it_opens)
{
    static const ugly peers[] = {
        {.answer = ACCEPT "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", .code = WEIR_NETWORK, .text = "is not the hash of our key"},
        {.answer = ACCEPT "\r\n", .code = WEIR_NETWORK, .text = "is not the hash of our key"},
        {.answer = "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", .code = WEIR_NETWORK, .text = "does not switch"},
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .code = WEIR_NETWORK, .text = "HTTP status 200"},
        {.answer = "HTTP/1.1 503 Busy\r\nRetry-After: 99999999\r\n\r\n", .code = WEIR_NETWORK, .text = "HTTP status 503"},
        {.answer = "HTTP/1.1 302 Go\r\nLocation: ws://evil.example/\r\n\r\n", .code = WEIR_NETWORK, .text = "HTTP status 302"},
        {.answer = "garbage\r\n\r\n", .code = WEIR_NETWORK, .text = "is no HTTP"},
        {.answer = "", .code = WEIR_NETWORK, .text = "ended the connection during the WebSocket upgrade"},
        {.answer = "HTTP/1.1 101 X\r\nUpgr", .code = WEIR_NETWORK, .text = "ended the connection during the WebSocket upgrade"},
        {.more = "Sec-WebSocket-Protocol: mqtt\r\n", .code = WEIR_NETWORK, .text = "subprotocol 'mqtt'"},
        {.more = "Sec-WebSocket-Extensions: x-own\r\n", .code = WEIR_NETWORK, .text = "x-own"},
    };
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        meet(&peers[i]);
        CHECK_INT(w.opens, 0);
        CHECK_INT(w.closes, 1);
        if (i == 4)
            CHECK_UINT(w.retry_after, 86400);
    }
}

static void serve_endless_head(peer_conn *c, void *arg)
{
    (void)arg;
    if (!peer_read_head(c) || !peer_text(c, ACCEPT))
        return;
    while (peer_text(c, "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"))
        ;
}

TEST(ws_client, an_endless_answer_to_the_upgrade_is_cut_off)
{
    begin();
    peer *p = peer_start(serve_endless_head, NULL, NULL, NULL);
    open_with((ws_client_options){.url = at_port("ws", peer_port(p), "/")});
    UNTIL(w.closes);
    CHECK_HAS(w.why.text, "too long");
    end();
    peer_stop(p);
}

TEST(ws_client, broken_frames_end_the_connection_with_the_reason)
{
    static const ugly peers[] = {
        {.frames = "\x83\x01x", .frames_len = 3, .code = WEIR_NETWORK, .text = "the server broke the protocol"},
        {.frames = "\x81\x81\0\0\0\0x", .frames_len = 7, .code = WEIR_NETWORK, .text = "the server broke the protocol"},
        {.frames = "\x81\x02\xC3\x28", .frames_len = 4, .code = WEIR_NETWORK, .text = "the server broke the protocol"},
        {.frames = "\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", .frames_len = 10, .code = WEIR_NETWORK, .text = "the server broke the protocol"},
        {.frames = "\x81\x05hel", .frames_len = 5, .code = WEIR_CLOSED, .text = "without a close frame, in the middle of a message"},
        {.frames = "", .frames_len = 0, .code = WEIR_CLOSED, .text = "without a close frame"},
        {.frames = "\x81\x05hel", .frames_len = 5, .reset = true, .code = WEIR_CLOSED, .text = "without a close frame, in the middle of a message"},
    };
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        meet(&peers[i]);
        CHECK_INT(w.opens, 1);
        CHECK_INT(w.messages, 0);
    }
}

TEST(ws_client, frames_that_come_with_the_answer_are_not_lost)
{
    begin();
    static const ugly u = {.more = "", .frames = "\x81\x02hi\x88\x02\x03\xE9", .frames_len = 8};
    peer *p = peer_start(serve_ugly, (void *)&u, NULL, NULL);
    open_with((ws_client_options){.url = at_port("ws", peer_port(p), "/")});
    UNTIL(w.closes);
    CHECK_INT(w.messages, 1);
    CHECK_TEXT(w.last, "hi");
    CHECK_INT(w.code, 1001);
    end();
    peer_stop(p);
}

TEST(ws_client, compressed_messages_are_inflated_within_the_ceiling)
{
    begin();
    open_with((ws_client_options){.url = at_port("ws", server_port(w.server), "/ws"), .max_message = 100000});
    UNTIL(w.opens);
    static char zeros[200000];
    memset(zeros, '0', sizeof zeros);
    server_ws_send(w.ws, false, bytes_make(zeros, 100000));
    UNTIL(w.messages || w.closes);
    CHECK_UINT(w.last_len, 100000);
    server_ws_send(w.ws, false, bytes_make(zeros, sizeof zeros));
    UNTIL(w.closes);
    CHECK_INT(w.messages, 1);
    CHECK_HAS(w.why.text, "broke the protocol");
    end();
}

/* ---- TLS ---- */

static char folder[64], ca[96], cert[96], key[96];

static void make_certificate(const char *name)
{
    const char *names[] = {name};
    err = (weir_error)WEIR_ERROR_INIT;
    snprintf(folder, sizeof folder, "/tmp/weir-ws-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    CHECK_OK(cert_make(folder, names, 1, &err));
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(cert, sizeof cert, "%s/server.pem", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
}

static void drop_certificate(void)
{
    unlink(ca);
    unlink(cert);
    unlink(key);
    rmdir(folder);
}

static void open_secure(const char *trusted)
{
    begin_with((server_options){.cert_file = cert, .key_file = key}, (dialer_options){.ca_file = trusted, .no_proxy = true});
    open_with((ws_client_options){.url = at_port("wss", server_port(w.server), "/ws")});
    UNTIL(w.opens || w.closes);
}

TEST(ws_client, talks_over_tls)
{
    make_certificate("127.0.0.1");
    open_secure(ca);
    CHECK_TEXT(w.why.text, "");
    static char big[300000];
    memset(big, 'y', sizeof big);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(ws_client_send(w.client, true, bytes_make(big, sizeof big), &err));
        server_ws_send(w.ws, true, bytes_make(big, sizeof big));
    }
    UNTIL(w.messages == 20 && w.server_messages == 20);
    server_ws_close(w.ws, 1012, BYTES("restart"));
    UNTIL(w.closes);
    CHECK_INT(w.code, 1012);
    end();
    drop_certificate();
}

TEST(ws_client, trusts_no_stranger_and_no_other_name)
{
    make_certificate("127.0.0.1");
    open_secure(NULL);
    CHECK_INT(w.opens, 0);
    CHECK_INT(w.why.code, WEIR_NETWORK);
    CHECK_HAS(w.why.text, "certificate is not trusted");
    end();
    drop_certificate();
    make_certificate("other.example");
    open_secure(ca);
    CHECK_INT(w.opens, 0);
    CHECK_HAS(w.why.text, "certificate is not trusted: ");
    end();
    drop_certificate();
}

TEST(ws_client, a_server_without_tls_is_told_from_one_with_it)
{
    begin();
    open_with((ws_client_options){.url = at_port("wss", server_port(w.server), "/ws")});
    UNTIL(w.closes);
    CHECK_HAS(w.why.text, "TLS handshake");
    end();
}

TEST(ws_client, a_venue_that_is_overridden_is_dialled_elsewhere)
{
    make_certificate("127.0.0.1");
    begin_with((server_options){.cert_file = cert, .key_file = key}, (dialer_options){.ca_file = ca, .no_proxy = true});
    targets *t = targets_new();
    char rule[96];
    snprintf(rule, sizeof rule, "wss://wss.woox.io=wss://127.0.0.1:%u", server_port(w.server));
    CHECK_OK(targets_add(t, BYTES("wss://wss.woox.io/*"), &err));
    CHECK_OK(targets_override(t, bytes_of(rule), &err));
    ws_client_options o = {.url = BYTES("wss://wss.woox.io/ws"), .targets = t};
    CHECK_OK(ws_open(&w.client, w.dialer, &o, &events, NULL, &err));
    UNTIL(w.opens || w.closes);
    CHECK_TEXT(w.why.text, "");
    end();
    targets_free(t);
    drop_certificate();
}

/* A proxy that answers CONNECT and then is the venue itself. */
static void serve_tunnel(peer_conn *c, void *arg)
{
    if (!peer_read_head(c))
        return;
    snprintf(arg, 64, "%.40s", peer_head(c));
    if (peer_text(c, "HTTP/1.1 200 Connected\r\n\r\n") && peer_accept_ws(c, ""))
        peer_write(c, "\x81\x02hi", 4);
}

TEST(ws_client, goes_through_the_environments_proxy_by_a_tunnel)
{
    char seen[64] = "", proxy[64];
    begin_with((server_options){0}, (dialer_options){0});
    peer *p = peer_start(serve_tunnel, seen, NULL, NULL);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", peer_port(p));
    setenv("http_proxy", proxy, 1);
    CHECK_OK(targets_add(w.targets, BYTES("ws://venue.example/*"), &err));
    open_with((ws_client_options){.url = BYTES("ws://venue.example/ws")});
    UNTIL(w.closes);
    unsetenv("http_proxy");
    CHECK_HAS(seen, "CONNECT venue.example:80 HTTP/1.1");
    CHECK_INT(w.messages, 1);
    end();
    peer_stop(p);
}

TEST(ws_client, opening_survives_any_failed_allocation)
{
    begin();
    bytes url = at_port("ws", server_port(w.server), "/later");
    http_header h = {BYTES("X-Test"), BYTES("1")};
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        ws_client *c = NULL;
        ws_client_options o = {.url = url, .headers = &h, .header_count = 1, .subprotocol = BYTES("a"), .targets = w.targets};
        if (ws_open(&c, w.dialer, &o, &events, NULL, &e))
            CHECK_INT(e.code, WEIR_NOMEM);
        ws_client_free(c);
    }
    end();
}

/* Allocations fail after ws_open has answered, too: then there is one on_close, or it opens after all. */
TEST(ws_client, coming_up_survives_any_failed_allocation)
{
    begin();
    bytes url = at_port("ws", server_port(w.server), "/ws");
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        ws_client_options o = {.url = url, .targets = w.targets};
        w.opens = w.closes = 0;
        if (ws_open(&w.client, w.dialer, &o, &events, NULL, &e))
            continue;
        UNTIL(w.opens || w.closes);
        ws_client_free(w.client);
        w.client = NULL;
    }
    end();
}
