/* Octets in and out of a connection, plain or through TLS.
 *
 * OpenSSL reads and writes through a BIO of our own, which differs from its socket BIO in one
 * thing: it sends with MSG_NOSIGNAL, so a peer that has gone is an error and not a SIGPIPE. */
#include "net/server_inside.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int bio_write(BIO *b, const char *at, int len)
{
    conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n = send(c->fd, at, (size_t)len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(b);
    return (int)n;
}

static int bio_read(BIO *b, char *at, int len)
{
    conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n = recv(c->fd, at, (size_t)len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(b);
    return (int)n;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer)
{
    (void)b, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is held back; all else is not ours */
}

/* Made once for the process and kept, as OpenSSL does with its own. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    if (!method) {
        BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir server socket");
        if (!m)
            return NULL;
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
        method = m;
    }
    return method;
}

/* The first reason on OpenSSL's error queue, which is emptied: what comes behind it says in which of its parts. */
static const char *tls_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : code ? ERR_reason_error_string(code)
                                                                                      : NULL;
    ERR_clear_error();
    return text ? text : "unknown TLS error";
}

/* A key with a passphrase would have OpenSSL ask for it on a terminal. */
static int no_passphrase(char *at, int size, int writing, void *arg)
{
    (void)at, (void)size, (void)writing, (void)arg;
    return 0;
}

uint64_t server_tls_ends(const SSL_CTX *tls)
{
    struct tm tm = {0};
    X509 *own = tls ? SSL_CTX_get0_certificate(tls) : NULL;
    if (!own || ASN1_TIME_to_tm(X509_get0_notAfter(own), &tm) != 1)
        return 0;
    time_t ends = timegm(&tm);
    return ends > 0 ? (uint64_t)ends : 0;
}

weir_code server_tls_context(SSL_CTX **out, const char *cert_file, const char *key_file, weir_error *err)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || !bio_method()) {
        SSL_CTX_free(tls);
        return error_set(err, WEIR_NOMEM, "TLS: out of memory");
    }
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(tls, cert_file) != 1) {
        SSL_CTX_free(tls);
        return error_set(err, WEIR_INVALID, "certificate '%s': %s; it must be a readable PEM file", cert_file, tls_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(tls, key_file, SSL_FILETYPE_PEM) != 1) {
        SSL_CTX_free(tls);
        return error_set(err, WEIR_INVALID, "private key '%s': %s; it must be the PEM key of '%s', without a passphrase", key_file, tls_reason(), cert_file);
    }
    *out = tls;
    return WEIR_OK;
}

bool server_tls_secure(conn *c)
{
    BIO *b = BIO_new(bio_method());
    c->ssl = SSL_new(c->server->tls);
    if (!b || !c->ssl) {
        BIO_free(b);
        ERR_clear_error();
        return false;
    }
    BIO_set_data(b, c);
    BIO_set_init(b, 1);
    SSL_set_bio(c->ssl, b, b);
    SSL_set_accept_state(c->ssl);
    return true;
}

/* What a failed TLS call means for us. Plain HTTP spoken to a TLS port is answered in plain words. */
static long tls_outcome(conn *c, int result, bool reading)
{
    int why = SSL_get_error(c->ssl, result);
    if (reading)
        c->read_wants_write = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return TRANSPORT_AGAIN;
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    unsigned long code = ERR_peek_error();
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST) {
        static const char hint[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                                   "Content-Length: 45\r\n\r\nthis port speaks TLS: use https:// or wss://\n";
        (void)!send(c->fd, hint, sizeof hint - 1, MSG_NOSIGNAL);
    }
    ERR_clear_error();
    return TRANSPORT_FAILED;
}

long server_tls_read(conn *c, char *at, size_t len)
{
    if (c->ssl) {
        ERR_clear_error();
        int n = SSL_read(c->ssl, at, (int)len);
        if (n > 0) {
            c->read_wants_write = false;
            return n;
        }
        return tls_outcome(c, n, true);
    }
    ssize_t n = recv(c->fd, at, len, 0);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_FAILED;
}

long server_tls_write(conn *c, const char *at, size_t len)
{
    if (c->ssl) {
        ERR_clear_error();
        int n = SSL_write(c->ssl, at, len > 1 << 24 ? 1 << 24 : (int)len);
        return n > 0 ? n : tls_outcome(c, n, false) == TRANSPORT_AGAIN ? TRANSPORT_AGAIN
                                                                       : TRANSPORT_FAILED;
    }
    ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_FAILED;
}

void server_tls_goodbye(conn *c)
{
    if (c->ssl && SSL_is_init_finished(c->ssl)) {
        ERR_clear_error();
        SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    shutdown(c->fd, SHUT_WR);
}
