/* HTTP requests against the program's own server, and against peers that misbehave. */
#include "net/http_client.h"

#include <curl/curl.h>
#include <unistd.h>
#include <zlib.h>

#include "net/cert.h"
#include "net/server.h"
#include "tests/lib/peer.h"
#include "tests/lib/test.h"

static weir_error err;

/* ---- A world: a loop, a dialler, a server, the last answer ---- */

static struct world {
    loop *loop;
    dialer *dialer;
    server *server;
    targets *targets;
    int served, done;
    weir_error error;
    uint16_t status;
    buf body, headers;
    char url[256];
    bytes reply_body;
    const char *reply_encoding, *retry_after;
    http_call *call;
} w;

static void reply_text(server_request *r, const char *text)
{
    server_reply(r, 200, NULL, 0, bytes_of(text));
}

/* What came: "METHOD PATH QUERY [X-Test] [Authorization] BODY". */
static void reply_echo(server_request *r)
{
    buf b;
    buf_init(&b, 1 << 20);
    buf_add_bytes(&b, server_method(r));
    buf_add_char(&b, ' ');
    buf_add_bytes(&b, server_path(r));
    buf_add_text(&b, " [");
    buf_add_bytes(&b, server_header(r, "X-Test"));
    buf_add_text(&b, "] [");
    buf_add_bytes(&b, server_header(r, "Authorization"));
    buf_add_text(&b, "] [");
    buf_add_bytes(&b, server_header(r, "Content-Type"));
    buf_add_text(&b, "] ");
    buf_add_bytes(&b, server_body(r));
    http_header h[] = {{BYTES("x-lower-CASE"), BYTES("one")}, {BYTES("Set-Cookie"), BYTES("a=1")}, {BYTES("set-cookie"), BYTES("b=2")}};
    server_reply(r, 200, h, 3, buf_bytes(&b));
    buf_fini(&b);
}

static void on_request(void *arg, server_request *r)
{
    (void)arg;
    w.served++;
    buf where, status;
    buf_init(&where, 4096);
    buf_init(&status, 16);
    if (bytes_is(server_path(r), "/to")) {
        server_query_get(r, "where", &where);
        server_query_get(r, "status", &status);
        buf_add_char(&status, 0);
        http_header h = {BYTES("Location"), buf_bytes(&where)};
        server_reply(r, (uint16_t)atoi(status.at), &h, 1, BYTES("moved"));
    } else if (bytes_is(server_path(r), "/body")) {
        http_header h = {BYTES("Content-Encoding"), bytes_of(w.reply_encoding)};
        server_reply(r, 200, &h, w.reply_encoding ? 1 : 0, w.reply_body);
    } else if (bytes_is(server_path(r), "/drop")) {
        server_drop(r);
    } else if (bytes_is(server_path(r), "/418")) {
        http_header h = {BYTES("Retry-After"), bytes_of(w.retry_after)};
        server_reply(r, 418, &h, w.retry_after ? 1 : 0, BYTES("banned"));
    } else if (bytes_is(server_path(r), "/404")) {
        server_reply(r, 404, NULL, 0, BYTES("no such page"));
    } else if (bytes_starts(server_path(r), BYTES("/echo"))) {
        reply_echo(r);
    } else if (!bytes_is(server_path(r), "/later")) {
        reply_text(r, "hello");
    }
    buf_fini(&where);
    buf_fini(&status);
}

static void begin_with(server_options so, dialer_options o)
{
    memset(&w, 0, sizeof w);
    unsetenv("http_proxy");
    buf_init(&w.body, 64 << 20);
    buf_init(&w.headers, 1 << 20);
    so.on_request = on_request;
    CHECK_OK(loop_new(&w.loop, &err));
    CHECK_OK(server_new(&w.server, w.loop, &so, &err));
    CHECK_OK(dialer_new(&w.dialer, w.loop, &o, &err));
    w.targets = targets_new();
    targets_allow_private(w.targets, BYTES("127.0.0.1"));
    targets_allow_private(w.targets, BYTES("localhost"));
    char pattern[64];
    snprintf(pattern, sizeof pattern, "http%s://127.0.0.1:%u/*", so.cert_file ? "s" : "", server_port(w.server));
    CHECK_OK(targets_add(w.targets, bytes_of(pattern), &err));
}

static void begin(void)
{
    begin_with((server_options){0}, (dialer_options){.no_proxy = true});
}

static void end(void)
{
    dialer_free(w.dialer);
    server_free(w.server);
    targets_free(w.targets);
    loop_free(w.loop);
    buf_fini(&w.body);
    buf_fini(&w.headers);
}

static void on_done(void *arg, const http_response *r)
{
    (void)arg;
    w.done++;
    w.call = NULL;
    w.error = r->error;
    w.status = r->status;
    buf_clear(&w.body);
    buf_clear(&w.headers);
    if (r->error.code)
        return;
    buf_add_bytes(&w.body, r->body);
    for (size_t i = 0; i < r->header_count; i++)
        buf_add_fmt(&w.headers, "%.*s=%.*s\n", (int)r->headers[i].name.len, r->headers[i].name.at, (int)r->headers[i].value.len, r->headers[i].value.at);
    snprintf(w.url, sizeof w.url, "%.*s", (int)r->url.len, r->url.at);
}

static const char *text_of(buf *b)
{
    buf_add_char(b, 0);
    b->len--;
    return b->at;
}

static char url_text[1024];

static bytes at_path(const char *path)
{
    snprintf(url_text, sizeof url_text, "http://127.0.0.1:%u%s", server_port(w.server), path);
    return bytes_of(url_text);
}

static void finish(void)
{
    while (!w.done)
        loop_step(w.loop, -1);
    w.done = 0;
}

static void fetch(http_request q)
{
    if (!q.targets)
        q.targets = w.targets;
    CHECK_OK(http_start(&w.call, w.dialer, &q, on_done, NULL, &err));
    CHECK_INT(w.done, 0);
    finish();
}

TEST(http_client, a_request_is_answered)
{
    begin();
    http_header h[] = {{BYTES("x-test"), BYTES("first")}, {BYTES("X-Test"), BYTES("last")}, {BYTES("connection"), BYTES("upgrade")}, {BYTES("Content-Length"), BYTES("999")}};
    fetch((http_request){.method = BYTES("post"), .url = at_path("/echo?a=b"), .headers = h, .header_count = 4, .body = BYTES("body")});
    CHECK_INT(w.error.code, 0);
    CHECK_INT(w.status, 200);
    CHECK_TEXT(text_of(&w.body), "POST /echo [last] [] [] body");
    CHECK_HAS(text_of(&w.headers), "X-Lower-Case=one\n");
    CHECK_HAS(text_of(&w.headers), "Set-Cookie=a=1\nSet-Cookie=b=2\n");
    fetch((http_request){.url = at_path("/echo")});
    CHECK_TEXT(text_of(&w.body), "GET /echo [] [] [] ");
    fetch((http_request){.method = BYTES("PUT"), .url = at_path("/echo")});
    CHECK_TEXT(text_of(&w.body), "PUT /echo [] [] [] ");
    fetch((http_request){.method = BYTES("HEAD"), .url = at_path("/echo")});
    CHECK_INT(w.status, 200);
    CHECK_UINT(w.body.len, 0);
    fetch((http_request){.method = BYTES("DELETE"), .url = at_path("/echo"), .body = BYTES("x")});
    CHECK_TEXT(text_of(&w.body), "DELETE /echo [] [] [] x");
    end();
}

TEST(http_client, an_error_status_is_an_answer)
{
    begin();
    fetch((http_request){.url = at_path("/404")});
    CHECK_INT(w.error.code, 0);
    CHECK_INT(w.status, 404);
    CHECK_TEXT(text_of(&w.body), "no such page");
    end();
}

static weir_code refused(http_request q)
{
    err = (weir_error)WEIR_ERROR_INIT;
    if (!q.targets)
        q.targets = w.targets;
    weir_code code = http_start(&w.call, w.dialer, &q, on_done, NULL, &err);
    CHECK(code != WEIR_OK);
    CHECK_INT(w.done, 0);
    CHECK_INT(w.served, 0);
    return code;
}

TEST(http_client, what_is_not_granted_never_leaves_the_house)
{
    begin();
    CHECK_INT(refused((http_request){.url = BYTES("http://127.0.0.1:1/")}), WEIR_REFUSED);
    CHECK_HAS(err.text, "may not open");
    CHECK_INT(refused((http_request){.url = BYTES("nonsense")}), WEIR_INVALID);
    CHECK_INT(refused((http_request){.url = BYTES("http://u:p@127.0.0.1/")}), WEIR_REFUSED);
    CHECK_INT(refused((http_request){.method = BYTES("CONNECT"), .url = at_path("/")}), WEIR_REFUSED);
    CHECK_INT(refused((http_request){.method = BYTES("GE T"), .url = at_path("/")}), WEIR_INVALID);
    http_header bad[] = {{BYTES("X-A"), BYTES("1\r\nX-B: 2")}, {BYTES("X\nY"), BYTES("1")}, {BYTES(""), BYTES("1")}, {BYTES("X:Y"), BYTES("1")}, {BYTES("X-A"), BYTES("a\0b")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(refused((http_request){.url = at_path("/"), .headers = &bad[i], .header_count = 1}), WEIR_INVALID);
    http_header host = {BYTES("Host"), BYTES("admin.example")};
    CHECK_INT(refused((http_request){.url = at_path("/"), .headers = &host, .header_count = 1}), WEIR_REFUSED);
    end();
}

static weir_code no_hop(void *arg, bytes url, weir_error *e)
{
    (void)arg;
    return memmem(url.at, url.len, "/secret", 7) ? error_set(e, WEIR_REFUSED, "not in allowed_hosts") : WEIR_OK;
}

TEST(http_client, each_hop_asks_the_callers_check_too)
{
    begin();
    CHECK_INT(refused((http_request){.url = at_path("/secret"), .check = no_hop}), WEIR_REFUSED);
    fetch((http_request){.url = at_path("/to?status=302&where=%2Fsecret"), .check = no_hop});
    CHECK_INT(w.error.code, WEIR_REFUSED);
    CHECK_HAS(w.error.text, "redirect: not in allowed_hosts");
    end();
}

TEST(http_client, a_private_address_is_refused_even_without_targets)
{
    begin();
    http_request q = {.url = at_path("/")};
    CHECK_INT(http_start(&w.call, w.dialer, &q, on_done, NULL, &err), WEIR_REFUSED);
    CHECK_HAS(err.text, "(loopback)");
    char text[64]; /* a name that resolves to one is refused when the address is known */
    snprintf(text, sizeof text, "http://localhost:%u/", server_port(w.server));
    q.url = bytes_of(text);
    CHECK_OK(http_start(&w.call, w.dialer, &q, on_done, NULL, &err));
    finish();
    CHECK_INT(w.error.code, WEIR_REFUSED);
    CHECK_HAS(w.error.text, "may not reach 'localhost' at ");
    CHECK_INT(w.served, 0);
    end();
}

/* The connection is open already, for somebody who may; the one who may not must not ride on it. */
TEST(http_client, a_kept_connection_does_not_get_round_the_address_check)
{
    begin();
    char text[64], pattern[64];
    snprintf(text, sizeof text, "http://localhost:%u/echo", server_port(w.server));
    snprintf(pattern, sizeof pattern, "http://localhost:%u/*", server_port(w.server));
    targets *strict = targets_new();
    CHECK_OK(targets_add(w.targets, bytes_of(pattern), &err));
    CHECK_OK(targets_add(strict, bytes_of(pattern), &err));
    fetch((http_request){.url = bytes_of(text)});
    CHECK_INT(w.status, 200);
    fetch((http_request){.url = bytes_of(text), .targets = strict});
    CHECK_INT(w.error.code, WEIR_REFUSED);
    CHECK_INT(w.served, 1);
    targets_free(strict);
    end();
}

static const char *moved(const char *method, int status, const char *where)
{
    char path[512];
    http_header h = {BYTES("Authorization"), BYTES("secret")};
    snprintf(path, sizeof path, "/to?status=%d&where=%s", status, where);
    fetch((http_request){.method = bytes_of(method), .url = at_path(path), .headers = &h, .header_count = 1, .body = strcmp(method, "POST") == 0 ? BYTES("body") : BYTES("")});
    return w.error.code ? w.error.text : text_of(&w.body);
}

TEST(http_client, redirects_are_followed_as_the_method_asks)
{
    begin();
    CHECK_TEXT(moved("GET", 301, "/echo"), "GET /echo [] [secret] [] ");
    CHECK_HAS(w.url, "/echo");
    CHECK_TEXT(moved("POST", 301, "/echo"), "GET /echo [] [secret] [] ");
    CHECK_TEXT(moved("POST", 302, "echo2"), "GET /echo2 [] [secret] [] ");
    CHECK_TEXT(moved("POST", 303, "/echo"), "GET /echo [] [secret] [] ");
    CHECK_TEXT(moved("POST", 307, "/echo"), "POST /echo [] [secret] [] body");
    CHECK_TEXT(moved("POST", 308, "/echo"), "POST /echo [] [secret] [] body");
    CHECK_TEXT(moved("PUT", 302, "/echo"), "PUT /echo [] [secret] [] ");
    CHECK_HAS(moved("GET", 302, "http://evil.example/"), "redirect: may not open 'http://evil.example/'");
    CHECK_HAS(moved("GET", 302, "file:///etc/passwd"), "scheme");
    CHECK_TEXT(moved("GET", 304, "/echo"), "");
    CHECK_INT(w.status, 304);
    end();
}

TEST(http_client, credentials_stay_within_their_origin)
{
    begin();
    server *other = NULL;
    server_options so = {.on_request = on_request};
    CHECK_OK(server_new(&other, w.loop, &so, &err));
    char pattern[64], where[64];
    snprintf(pattern, sizeof pattern, "http://127.0.0.1:%u/*", server_port(other));
    snprintf(where, sizeof where, "http://127.0.0.1:%u/echo", server_port(other));
    CHECK_OK(targets_add(w.targets, bytes_of(pattern), &err));
    CHECK_TEXT(moved("GET", 307, where), "GET /echo [] [] [] ");
    dialer_free(w.dialer);
    w.dialer = NULL;
    server_free(other);
    end();
}

TEST(http_client, a_circle_of_redirects_ends)
{
    begin();
    fetch((http_request){.url = at_path("/to?status=302&where=/to%3Fstatus=302%26where=/x"), .max_redirects = 1});
    CHECK_INT(w.error.code, WEIR_LIMIT);
    CHECK_HAS(w.error.text, "redirects");
    end();
}

/* `len` octets of zeros, as gzip. */
static bytes zip(size_t len)
{
    z_stream z = {0};
    static unsigned char out[1 << 20];
    static unsigned char zeros[1 << 16];
    CHECK_INT(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = out;
    z.avail_out = sizeof out;
    for (size_t left = len; left;) {
        z.next_in = zeros;
        z.avail_in = left < sizeof zeros ? (unsigned)left : sizeof zeros;
        left -= z.avail_in;
        deflate(&z, left ? Z_NO_FLUSH : Z_FINISH);
    }
    deflateEnd(&z);
    return bytes_make(out, z.total_out);
}

TEST(http_client, compressed_bodies_are_decoded_and_the_headers_say_nothing_else)
{
    begin();
    w.reply_body = zip(5000);
    w.reply_encoding = "gzip";
    fetch((http_request){.url = at_path("/body")});
    CHECK_INT(w.error.code, 0);
    CHECK_UINT(w.body.len, 5000);
    CHECK(strstr(text_of(&w.headers), "Content-Encoding") == NULL);
    CHECK(strstr(text_of(&w.headers), "Content-Length") == NULL);
    end();
}

TEST(http_client, a_body_beyond_its_ceiling_is_an_error_compressed_or_not)
{
    begin();
    w.reply_body = zip(100 << 20); /* 100 MiB in 100 KiB */
    CHECK(w.reply_body.len < 200000);
    w.reply_encoding = "gzip";
    fetch((http_request){.url = at_path("/body"), .max_body = 1 << 20});
    CHECK_INT(w.error.code, WEIR_LIMIT);
    CHECK_HAS(w.error.text, "longer than 1048576 octets");
    w.reply_encoding = NULL;
    fetch((http_request){.url = at_path("/body"), .max_body = 1000});
    CHECK_INT(w.error.code, WEIR_LIMIT);
    fetch((http_request){.url = at_path("/body"), .max_body = w.reply_body.len});
    CHECK_INT(w.error.code, 0);
    end();
}

TEST(http_client, broken_compression_is_an_error)
{
    begin();
    w.reply_body = BYTES("this is no gzip");
    w.reply_encoding = "gzip";
    fetch((http_request){.url = at_path("/body")});
    CHECK_INT(w.error.code, WEIR_NETWORK);
    end();
}

static uint64_t jump;

static uint64_t jumped(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + jump;
}

TEST(http_client, a_server_that_never_answers_runs_into_the_deadline)
{
    begin();
    clock_replace(NULL, jumped);
    http_request q = {.url = at_path("/later"), .targets = w.targets};
    CHECK_OK(http_start(&w.call, w.dialer, &q, on_done, NULL, &err));
    while (!w.served)
        loop_step(w.loop, -1);
    jump += 31 * NS_PER_S;
    finish();
    clock_replace(NULL, NULL);
    CHECK_INT(w.error.code, WEIR_TIMEOUT);
    CHECK_HAS(w.error.text, "no complete answer within 30000 ms");
    end();
}

TEST(http_client, cancelling_calls_back_at_once_and_only_once)
{
    begin();
    http_request q = {.url = at_path("/later"), .targets = w.targets};
    CHECK_OK(http_start(&w.call, w.dialer, &q, on_done, NULL, &err));
    http_cancel(w.call); /* before anything happened */
    CHECK_INT(w.done, 1);
    CHECK_INT(w.error.code, WEIR_CANCELLED);
    CHECK_OK(http_start(&w.call, w.dialer, &q, on_done, NULL, &err));
    while (!w.served)
        loop_step(w.loop, -1);
    http_cancel(w.call);
    CHECK_INT(w.done, 2);
    for (int i = 0; i < 5; i++)
        loop_step(w.loop, 0);
    CHECK_INT(w.done, 2);
    end();
}

TEST(http_client, a_dropped_or_refused_connection_is_an_error_that_names_the_host)
{
    begin();
    fetch((http_request){.url = at_path("/drop")});
    CHECK_INT(w.error.code, WEIR_NETWORK);
    CHECK_HAS(w.error.text, "127.0.0.1:");
    char text[64];
    snprintf(text, sizeof text, "http://127.0.0.1:%u/", server_port(w.server));
    server_free(w.server);
    w.server = NULL;
    fetch((http_request){.url = bytes_of(text)});
    CHECK_INT(w.error.code, WEIR_NETWORK);
    CHECK_HAS(w.error.text, "127.0.0.1:");
    end();
}

static void serve_garbage(peer_conn *c, void *arg)
{
    if (peer_read_head(c))
        peer_text(c, "%s", (const char *)arg);
}

TEST(http_client, garbage_for_an_answer_is_an_error)
{
    static char endless[8000];
    memset(endless, 'x', sizeof endless - 1);
    static const char *const answers[] = {"", "\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        begin();
        peer *p = peer_start(serve_garbage, (void *)answers[i], NULL, NULL);
        char text[64];
        snprintf(text, sizeof text, "http://127.0.0.1:%u/", peer_port(p));
        char pattern[80];
        snprintf(pattern, sizeof pattern, "%s*", text);
        CHECK_OK(targets_add(w.targets, bytes_of(pattern), &err));
        fetch((http_request){.url = bytes_of(text)});
        if (w.error.code != WEIR_NETWORK)
            test_fail(__FILE__, __LINE__, "answer %zu gives %d: %s", i, w.error.code, w.error.text);
        end();
        peer_stop(p);
    }
}

static char folder[64], ca[96], cert[96], key[96];

static void make_certificate(const char *name)
{
    const char *names[] = {name};
    snprintf(folder, sizeof folder, "/tmp/weir-http-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    err = (weir_error)WEIR_ERROR_INIT;
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

static void secure_fetch(void)
{
    char text[64];
    snprintf(text, sizeof text, "https://127.0.0.1:%u/echo", server_port(w.server));
    fetch((http_request){.url = bytes_of(text)});
}

TEST(http_client, speaks_tls_to_a_trusted_server_and_to_no_other)
{
    make_certificate("127.0.0.1");
    begin_with((server_options){.cert_file = cert, .key_file = key}, (dialer_options){.ca_file = ca, .no_proxy = true});
    secure_fetch();
    CHECK_TEXT(w.error.text, "");
    CHECK_INT(w.status, 200);
    end();
    begin_with((server_options){.cert_file = cert, .key_file = key}, (dialer_options){.no_proxy = true});
    secure_fetch(); /* its authority is not the system's */
    CHECK_INT(w.error.code, WEIR_NETWORK);
    CHECK_HAS(w.error.text, "certificate");
    end();
    drop_certificate();
    make_certificate("other.example");
    begin_with((server_options){.cert_file = cert, .key_file = key}, (dialer_options){.ca_file = ca, .no_proxy = true});
    secure_fetch();
    CHECK_INT(w.error.code, WEIR_NETWORK);
    end();
    drop_certificate();
}

TEST(http_client, an_overridden_origin_is_dialled_elsewhere)
{
    begin();
    targets *t = targets_new();
    char rule[96];
    snprintf(rule, sizeof rule, "https://api.woox.io=http://127.0.0.1:%u", server_port(w.server));
    CHECK_OK(targets_add(t, BYTES("https://api.woox.io/*"), &err));
    CHECK_OK(targets_override(t, bytes_of(rule), &err));
    fetch((http_request){.url = BYTES("https://api.woox.io/echo/x"), .targets = t});
    CHECK_TEXT(w.error.text, "");
    CHECK_TEXT(text_of(&w.body), "GET /echo/x [] [] [] ");
    CHECK_TEXT(w.url, "https://api.woox.io/echo/x");
    fetch((http_request){.url = BYTES("https://api.woox.io/to?status=302&where=/echo"), .targets = t});
    CHECK_TEXT(w.url, "https://api.woox.io/echo");
    CHECK_INT(w.status, 200);
    dialer_free(w.dialer); /* its kept connections knew t */
    w.dialer = NULL;
    targets_free(t);
    end();
}

static void serve_as_proxy(peer_conn *c, void *arg)
{
    if (peer_read_head(c)) {
        snprintf(arg, 64, "%.40s", peer_head(c));
        peer_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

TEST(http_client, the_environments_proxy_is_asked_unless_the_host_is_excepted)
{
    begin_with((server_options){0}, (dialer_options){0});
    char seen[64] = "", proxy[64];
    peer *p = peer_start(serve_as_proxy, seen, NULL, NULL);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", peer_port(p));
    setenv("http_proxy", proxy, 1);
    unsetenv("no_proxy");
    CHECK_OK(targets_add(w.targets, BYTES("http://public.example/*"), &err));
    fetch((http_request){.url = BYTES("http://public.example/x")});
    CHECK_TEXT(w.error.text, "");
    CHECK_HAS(seen, "GET http://public.example/x HTTP/1.1");
    setenv("no_proxy", "other.example, 127.0.0.1", 1);
    fetch((http_request){.url = at_path("/echo")});
    CHECK_INT(w.status, 200);
    CHECK_INT(w.served, 1);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    peer_stop(p);
    end();
}

TEST(http_client, a_ca_file_without_certificates_is_refused)
{
    loop *l = NULL;
    dialer *d = NULL;
    weir_error e = WEIR_ERROR_INIT;
    dialer_options o = {.ca_file = "/dev/null"};
    CHECK_OK(loop_new(&l, &err));
    CHECK_INT(dialer_new(&d, l, &o, &e), WEIR_INVALID);
    CHECK_HAS(e.text, "CA file '/dev/null'");
    loop_free(l);
}

/* After a ban no request goes there, by a redirect neither; each is told at once until when. */
TEST(http_client, an_origin_that_banned_us_is_asked_nothing_until_the_ban_is_over)
{
    char elsewhere[200];
    begin();
    w.retry_after = "Fri, 31 Dec 2100 23:59:59 GMT";
    fetch((http_request){.url = at_path("/418")});
    CHECK_INT(w.status, 418); /* that one is an answer */
    CHECK_INT(w.served, 1);
    http_request q = {.url = at_path("/echo"), .targets = w.targets};
    CHECK_INT(http_start(&w.call, w.dialer, &q, on_done, NULL, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "banned by http://127.0.0.1:");
    CHECK_HAS(err.text, "(HTTP status 418)");
    snprintf(elsewhere, sizeof elsewhere, "http://localhost:%u/*", server_port(w.server));
    CHECK_OK(targets_add(w.targets, bytes_of(elsewhere), &err));
    snprintf(elsewhere, sizeof elsewhere, "http://localhost:%u/to?status=307&where=%s", server_port(w.server), at_path("/echo").at);
    fetch((http_request){.url = bytes_of(elsewhere)});
    CHECK_INT(w.error.code, WEIR_LIMIT);
    CHECK_HAS(w.error.text, "banned by http://127.0.0.1:");
    CHECK_INT(w.served, 2);
    end();
}

TEST(http_client, starting_survives_any_failed_allocation)
{
    begin();
    http_header h = {BYTES("X-Test"), BYTES("1")};
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        dialer *d = NULL;
        http_call *c = NULL;
        dialer_options o = {.no_proxy = true};
        http_request q = {.method = BYTES("POST"), .url = at_path("/later"), .headers = &h, .header_count = 1, .body = BYTES("x"), .targets = w.targets};
        weir_code code = dialer_new(&d, w.loop, &o, &e);
        if (!code)
            code = http_start(&c, d, &q, on_done, NULL, &e);
        if (code)
            CHECK_INT(code, WEIR_NOMEM);
        if (c)
            http_cancel(c);
        dialer_free(d);
    }
    end();
}
