/* The server and TLS: what its authority vouches for, a certificate that is renewed. */
#include "net/server_testing.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/* ---- TLS ---- */

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
    snprintf(ca, sizeof ca, "%s/ca.pem", cert_folder);
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
    memcpy(folder_before, cert_folder, sizeof cert_folder);
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
    memcpy(cert_folder, folder_before, sizeof cert_folder);
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
