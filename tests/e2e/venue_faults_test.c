/* A venue that does wrong, seen from a stream: it says why, comes back on a new connection, loses no message
 * that had arrived whole, and where data may be missing there is a gap. The venue is a peer on loopback
 * that is as bad as each test asks on its first connections and sound on the next. */
#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/clock.h"
#include "net/cert.h"
#include "tests/e2e/faults.h"
#include "tests/lib/peer.h"

#define BEFORE 2 /* records of a connection that then breaks */
#define AFTER 5  /* and of a sound one */

typedef struct script {
    void (*bad)(peer_conn *c);
    int times; /* how many connections are bad */
    int served;
} script;

static script play;
static peer *rogue;
static watched w;
static char why[WEIR_ERROR_TEXT]; /* of the first time that the stream waited */

/* ---- The peer's side ---- */

/* One frame; `head` is FIN, RSV and the opcode. */
static void frame(peer_conn *c, unsigned char head, const void *at, size_t len)
{
    unsigned char h[10] = {head};
    size_t n = 2;
    if (len < 126) {
        h[1] = (unsigned char)len;
    } else if (len < 65536) {
        h[1] = 126;
        h[2] = (unsigned char)(len >> 8);
        h[3] = (unsigned char)len;
        n = 4;
    } else {
        h[1] = 127;
        for (int i = 0; i < 8; i++)
            h[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
        n = 10;
    }
    peer_write(c, h, n);
    peer_write(c, at, len);
}

#define OCTETS(text) peer_write(c, text, sizeof(text) - 1)

static void records(peer_conn *c, int count)
{
    for (int i = 0; i < count; i++)
        frame(c, 0x81, "{\"price\":\"1.5\"}", 15);
}

/* Answers the upgrade and waits for the subscription. */
static bool listen_to(peer_conn *c, const char *more)
{
    char scrap[1000];
    return peer_accept_ws(c, more) && peer_read(c, scrap, sizeof scrap) > 0;
}

static void serve(peer_conn *c, void *arg)
{
    script *s = arg;
    if (__atomic_fetch_add(&s->served, 1, __ATOMIC_RELAXED) < s->times) {
        s->bad(c);
    } else if (listen_to(c, "")) {
        records(c, AFTER);
        peer_wait_end(c);
    }
}

/* ---- Ours ---- */

static void on_state(void *arg, weir_stream *s, weir_stream_state state)
{
    (void)arg;
    if (state == WEIR_STREAM_WAITING && !*why)
        snprintf(why, sizeof why, "%s", weir_stream_why(s));
}

static void open_host(const char *scheme, uint16_t port, const char *ca, uint32_t silence_ms)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *host;
    char rule[100];
    snprintf(rule, sizeof rule, "wss://wss.woox.io=%s://127.0.0.1:%u", scheme, port);
    o.overrides = (const char *const[]){rule, NULL};
    o.ca_file = ca;
    o.max_instances = 16;
    o.backoff_min_ms = 1;
    o.backoff_max_ms = 20;
    o.silence_ms = silence_ms;
    CHECK_OK(weir_host_new(&host, &o, &err));
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    *why = '\0';
    watch_open(&w, host);
    weir_stream_on_state(w.stream, on_state, NULL);
}

static void begin(void (*bad)(peer_conn *c), int times, uint32_t silence_ms)
{
    play = (script){bad, times, 0};
    rogue = peer_start(serve, &play, NULL, NULL);
    open_host("ws", peer_port(rogue), NULL, silence_ms);
}

/* Stops in good order; what arrived was published or is counted. */
static void end(void)
{
    weir_account a;
    weir_stream_stop(w.stream);
    UNTIL(w.host, weir_stream_get_state(w.stream) == WEIR_STREAM_CLOSED);
    check_account(&w);
    weir_host_account(w.host, &a);
    CHECK_UINT(a.received, w.data + a.lost + a.waiting);
    weir_host_free(w.host);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    peer_stop(rogue);
    rogue = NULL;
}

/* ---- At the upgrade ---- */

static void hang_up(peer_conn *c)
{
    (void)c;
}

static void speaks_first(peer_conn *c)
{
    OCTETS("220 mail.example ESMTP\r\n");
}

#define ANSWER(name, ...)              \
    static void name(peer_conn *c)     \
    {                                  \
        if (peer_read_head(c))         \
            peer_text(c, __VA_ARGS__); \
    }
ANSWER(half_head, "HTTP/1.1 101 Switching Pro")
ANSWER(garbage, "220 mail.example ESMTP\r\n\r\n")
ANSWER(moved, "HTTP/1.1 301 Moved\r\nLocation: wss://evil.example/\r\nContent-Length: 0\r\n\r\n")
ANSWER(forbidden, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nbanned")
ANSWER(not_found, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
ANSWER(broken_inside, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
ANSWER(bad_gateway, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>%01000d</html>", 0)
ANSWER(plain_page, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
ANSWER(wrong_key, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
ANSWER(no_key, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
ANSWER(busy, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
ANSWER(absurd_wait, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n")

static void foreign_extension(peer_conn *c)
{
    peer_accept_ws(c, "Sec-WebSocket-Extensions: x-teleport\r\n");
}

static void foreign_subprotocol(peer_conn *c)
{
    peer_accept_ws(c, "Sec-WebSocket-Protocol: x-gossip\r\n");
}

static void endless_head(peer_conn *c)
{
    static const char line[] = "X-More: 0123456789012345678901234567890123456789\r\n";
    if (peer_read_head(c) && peer_text(c, "HTTP/1.1 101 Switching Protocols\r\n"))
        while (peer_write(c, line, sizeof line - 1))
            ;
}

TEST(venue_faults, a_venue_that_refuses_the_upgrade_is_tried_again_and_leaves_no_gap)
{
    static const struct {
        void (*bad)(peer_conn *c);
        const char *words;
    } all[] = {
        {hang_up, "ended the connection"},
        {peer_reset, ""},
        {half_head, ""},
        {garbage, ""},
        {moved, "301"},
        {forbidden, "403"},
        {not_found, "404"},
        {broken_inside, "500"},
        {bad_gateway, "502"},
        {plain_page, "200"},
        {wrong_key, "Sec-WebSocket-Accept"},
        {no_key, "Sec-WebSocket-Accept"},
        {foreign_extension, "x-teleport"},
        {foreign_subprotocol, "x-gossip"},
        {endless_head, "too long"},
        {busy, "next try in 1."},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_account a;
        begin(all[i].bad, all[i].bad == busy ? 1 : 3, 0);
        UNTIL(w.host, w.data == AFTER);
        CHECK_HAS(why, "next try in");
        CHECK_HAS(why, all[i].words);
        weir_host_account(w.host, &a);
        CHECK_UINT(a.restarts, (uint64_t)play.times);
        CHECK_UINT(w.gaps, 0);
        end();
    }
}

TEST(venue_faults, a_venue_cannot_make_a_stream_wait_for_ever)
{
    begin(absurd_wait, 1, 0);
    UNTIL(w.host, *why);
    CHECK_HAS(why, "next try in ");
    CHECK(strtod(strstr(why, "next try in ") + 12, NULL) <= 3601);
    end();
}

TEST(venue_faults, a_port_where_nobody_listens_is_tried_again_and_again)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    weir_account a = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0); /* bound, not listening */
    open_host("ws", ntohs(at.sin_port), NULL, 0);
    UNTIL(w.host, (weir_host_account(w.host, &a), a.restarts >= 5));
    CHECK_HAS(why, "connect to server");
    CHECK_UINT(w.data + w.gaps, 0);
    end();
    close(fd);
}

/* ---- Certificates ---- */

static char folder[64], ca[100], cert[100], key[100];

static void make_certificate(const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    strcpy(folder, "/tmp/weir-venue-XXXXXX");
    CHECK(mkdtemp(folder));
    CHECK_OK(cert_make(folder, &name, 1, &err));
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

/* In place of the certificate one that vouches for itself, and ended yesterday. */
static void let_it_expire(void)
{
    FILE *f = fopen(key, "r");
    EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    CHECK(k != NULL);
    fclose(f);
    if ((f = fopen(cert, "r"))) {
        X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
        fclose(f);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_authority_key_identifier, -1)));
        X509_gmtime_adj(X509_getm_notAfter(x), -3600);
        CHECK(X509_sign(x, k, EVP_sha256()) > 0);
        for (int i = 0; i < 2; i++)
            if ((f = fopen(i ? ca : cert, "w"))) {
                PEM_write_X509(f, x);
                fclose(f);
            }
        X509_free(x);
    }
    EVP_PKEY_free(k);
}

/* A stream to a TLS peer with what make_certificate made. */
static void begin_secure(const char *trusted)
{
    play = (script){0};
    rogue = peer_start(serve, &play, cert, key);
    open_host("wss", peer_port(rogue), trusted, 0);
}

static void check_untrusted(const char *words)
{
    weir_account a = {0};
    UNTIL(w.host, (weir_host_account(w.host, &a), a.restarts >= 3));
    CHECK_HAS(why, "certificate is not trusted: ");
    CHECK_HAS(why, words);
    CHECK_UINT(w.data, 0);
    CHECK_INT(play.served, 0); /* it never saw as much as a request */
    end();
    drop_certificate();
}

TEST(venue_faults, a_good_certificate_is_good_enough)
{
    make_certificate("127.0.0.1");
    begin_secure(ca);
    UNTIL(w.host, w.data == AFTER);
    end();
    drop_certificate();
}

TEST(venue_faults, an_unknown_authority_is_not_trusted)
{
    char other[64];
    make_certificate("127.0.0.1");
    strcpy(other, folder);
    make_certificate("127.0.0.1"); /* of another authority, which the host trusts */
    char trusted[100];
    strcpy(trusted, ca);
    snprintf(cert, sizeof cert, "%s/server.pem", other);
    snprintf(key, sizeof key, "%s/server.key", other);
    begin_secure(trusted);
    check_untrusted("");
    snprintf(cert, sizeof cert, "%s/server.pem", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    drop_certificate();
    strcpy(folder, other);
    snprintf(ca, sizeof ca, "%s/ca.pem", other);
    drop_certificate();
}

TEST(venue_faults, a_certificate_for_another_name_is_not_trusted)
{
    make_certificate("other.example");
    begin_secure(ca);
    check_untrusted("IP address mismatch");
}

TEST(venue_faults, an_expired_certificate_is_not_trusted)
{
    make_certificate("127.0.0.1");
    let_it_expire();
    begin_secure(ca);
    check_untrusted("expired");
}

TEST(venue_faults, a_venue_without_tls_is_told_from_one_with_it)
{
    play = (script){speaks_first, 1000000, 0};
    rogue = peer_start(serve, &play, NULL, NULL);
    open_host("wss", peer_port(rogue), NULL, 0);
    UNTIL(w.host, *why);
    CHECK_HAS(why, "TLS");
    CHECK_UINT(w.data, 0);
    end();
}

/* ---- On an open connection ---- */

/* Two records, then what the test's name says, then the connection stays until we leave it. */
#define BREAK(name, ...)                    \
    static void name(peer_conn *c)          \
    {                                       \
        if (!listen_to(c, ""))              \
            return;                         \
        records(c, BEFORE);                 \
        __VA_ARGS__;                        \
        peer_wait_end(c);                   \
    }
BREAK(reserved_bits, frame(c, 0xc1, "x", 1))
BREAK(unknown_opcode, frame(c, 0x83, "x", 1))
BREAK(unknown_control, frame(c, 0x8b, "x", 1))
BREAK(masked, OCTETS("\x81\x81" "abcdx"))
BREAK(continuation_of_nothing, frame(c, 0x80, "x", 1))
BREAK(text_within_text, frame(c, 0x01, "x", 1), frame(c, 0x81, "y", 1))
BREAK(long_ping, char big[200] = {0}; frame(c, 0x89, big, sizeof big))
BREAK(ping_in_parts, frame(c, 0x09, "x", 1))
BREAK(long_form_of_a_short_length, OCTETS("\x81\x7e\x00\x05hello"))
BREAK(negative_length, OCTETS("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"))
BREAK(bad_utf8, frame(c, 0x81, "\"\xc3\x28\"", 4))
BREAK(surrogates, frame(c, 0x81, "\xed\xa0\x80", 3))
BREAK(half_a_character, frame(c, 0x81, "\xe2\x82", 2))
BREAK(bad_utf8_in_parts, frame(c, 0x01, "\xe2", 1), frame(c, 0x80, "(", 1))
BREAK(a_gigabyte_announced, OCTETS("\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x00" "begins"))
BREAK(close_with_one_octet, frame(c, 0x88, "x", 1))
BREAK(close_with_a_reserved_code, frame(c, 0x88, "\x03\xed", 2))
BREAK(close_with_bad_utf8, frame(c, 0x88, "\x03\xe8\xff", 3))
BREAK(normal_close, frame(c, 0x88, "\x03\xe8", 2))
BREAK(bare_close, frame(c, 0x88, "", 0))
BREAK(going_away, frame(c, 0x88, "\x03\xe9maintenance", 13))
BREAK(policy_close, frame(c, 0x88, "\x03\xf0too many topics", 17))
BREAK(restart_close, frame(c, 0x88, "\x03\xf4", 2))
BREAK(own_close, frame(c, 0x88, "\x0f\xa0" "see you", 9))
BREAK(reset, peer_reset(c); return)
BREAK(end_without_close, return)
BREAK(end_within_a_frame, OCTETS("\x81\x50{\"price\":"); return)
BREAK(reset_within_a_frame, OCTETS("\x81\x50{\"price\":"); peer_reset(c); return)
BREAK(end_within_a_head, OCTETS("\x81"); return)
BREAK(compressed_unasked, frame(c, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7))

static void giant_in_parts(peer_conn *c)
{
    static char part[1 << 20];
    memset(part, 'x', sizeof part);
    if (!listen_to(c, ""))
        return;
    records(c, BEFORE);
    for (int i = 0; i < 1024; i++) /* a gigabyte, unless we leave */
        frame(c, i ? 0x00 : 0x01, part, sizeof part);
    frame(c, 0x80, "", 0);
    peer_wait_end(c);
}

/* 64 MiB of the same octet in 64 KiB. */
static void bomb(peer_conn *c)
{
    static unsigned char zeros[1 << 20], packed[1 << 20];
    z_stream z = {.next_out = packed, .avail_out = sizeof packed};
    if (!listen_to(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        return;
    records(c, BEFORE);
    deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    for (int i = 0; i < 64; i++) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        deflate(&z, i == 63 ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    }
    frame(c, 0xc1, packed, sizeof packed - z.avail_out - 4);
    deflateEnd(&z);
    peer_wait_end(c);
}

static void broken_compression(peer_conn *c)
{
    if (!listen_to(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        return;
    records(c, BEFORE);
    frame(c, 0xc1, "\x07\xff\xff\xff\xff", 5);
    peer_wait_end(c);
}

TEST(venue_faults, a_connection_that_breaks_costs_a_gap_and_no_message_that_was_whole)
{
    static const struct {
        void (*bad)(peer_conn *c);
        const char *name, *words;
    } all[] = {
#define X(name, words) {name, #name, words}
        X(reserved_bits, "no compression was agreed"),
        X(unknown_opcode, "reserved opcode"),
        X(unknown_control, "reserved opcode"),
        X(masked, "a masked frame"),
        X(continuation_of_nothing, "continuation frame without"),
        X(text_within_text, "inside a fragmented one"),
        X(long_ping, "more than 125 octets"),
        X(ping_in_parts, "is fragmented"),
        X(long_form_of_a_short_length, "shortest form"),
        X(negative_length, "top bit"),
        X(bad_utf8, "not UTF-8"),
        X(surrogates, "not UTF-8"),
        X(half_a_character, "not UTF-8"),
        X(bad_utf8_in_parts, "not UTF-8"),
        X(a_gigabyte_announced, "1073741824 octets; the limit is"),
        X(giant_in_parts, "the limit is 16777216"),
        X(bomb, "the limit is 16777216"),
        X(broken_compression, "does not inflate"),
        X(compressed_unasked, "no compression was agreed"),
        X(close_with_one_octet, "half a code"),
        X(close_with_a_reserved_code, "may not be sent"),
        X(close_with_bad_utf8, "reason is not UTF-8"),
        X(normal_close, "with code 1000"),
        X(bare_close, "with code 1005"),
        X(going_away, "code 1001: 'maintenance'"),
        X(policy_close, "code 1008: 'too many topics'"),
        X(restart_close, "code 1012"),
        X(own_close, "code 4000: 'see you'"),
        X(reset, ""),
        X(end_without_close, "without a close frame"),
        X(end_within_a_frame, "in the middle of a message"),
        X(reset_within_a_frame, ""),
        X(end_within_a_head, "without a close frame"),
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        weir_account a;
        bool resets = all[i].bad == reset || all[i].bad == reset_within_a_frame;
        begin(all[i].bad, 1, 0);
        UNTIL(w.host, weir_stream_get_state(w.stream) == WEIR_STREAM_LIVE && play.served == 2 && w.data >= AFTER);
        for (int turn = 0; turn < 50; turn++)
            weir_host_step(w.host, 0);
        weir_host_account(w.host, &a);
        if (w.data != BEFORE + AFTER && !resets) /* a reset takes what the kernel still held */
            test_fail(__FILE__, __LINE__, "%s: %llu records", all[i].name, (unsigned long long)w.data);
        if (a.restarts != 1 || !strstr(why, all[i].words))
            test_fail(__FILE__, __LINE__, "%s: %llu restarts, %s", all[i].name, (unsigned long long)a.restarts, why);
        if (w.gaps != 1 && !resets)
            test_fail(__FILE__, __LINE__, "%s: %llu gaps", all[i].name, (unsigned long long)w.gaps);
        if (w.gaps)
            CHECK_HAS(w.gap, "\"cause\":\"disconnected\"");
        end();
    }
}

TEST(venue_faults, a_silent_venue_is_left_and_dialled_again)
{
    begin(normal_close, 0, 100);
    UNTIL(w.host, w.data >= 3 * AFTER && w.gaps >= 2);
    CHECK_HAS(why, "the venue sent nothing for 0.1 s");
    CHECK_HAS(w.gap, "\"cause\":\"silence\"");
    end();
}

/* ---- What is unusual, and right ---- */

static void unusual(peer_conn *c)
{
    if (!listen_to(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        return;
    frame(c, 0x01, "{\"frag\xe2", 7); /* cut within a character, pings between */
    frame(c, 0x89, "are you there", 13);
    frame(c, 0x00, "\x82", 1);
    frame(c, 0x8a, "nobody asked", 12);
    frame(c, 0x00, "", 0);
    frame(c, 0x80, "\xac\":1}", 5);
    frame(c, 0x81, "", 0);
    frame(c, 0x82, "\x00\xff", 2);
    frame(c, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    for (int i = 0; i < 1000; i++)
        frame(c, 0x89, "flood", 5);
    static char large[1 << 20];
    memset(large, 'x', sizeof large);
    frame(c, 0x81, large, sizeof large);
    peer_wait_end(c);
}

TEST(venue_faults, what_is_unusual_and_allowed_is_read)
{
    begin(unusual, 1, 0);
    UNTIL(w.host, w.data >= 5);
    CHECK_HAS(w.first, "frag\xe2\x82\xac");
    CHECK_UINT(w.gaps, 0);
    end();
}
