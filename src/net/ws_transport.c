/* The socket under a WebSocket: recv and send, or OpenSSL over the same descriptor.
 *
 * libcurl dials the socket; from then on it is ours, since a read through libcurl searches its
 * list of connections each time, and since libcurl gives up idle sockets that it takes for unused. */
#include "net/ws_transport.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/target_address.h"

static int bio_send(BIO *b, const char *at, int len)
{
    BIO_clear_retry_flags(b);
    ssize_t n = send((int)(intptr_t)BIO_get_data(b), at, (size_t)len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(b);
    return (int)n;
}

static int bio_recv(BIO *b, char *at, int len)
{
    BIO_clear_retry_flags(b);
    ssize_t n = recv((int)(intptr_t)BIO_get_data(b), at, (size_t)len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(b);
    return (int)n;
}

static long bio_control(BIO *b, int command, long number, void *pointer)
{
    (void)b, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is held back */
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir socket");
    if (!method)
        return;
    BIO_meth_set_write(method, bio_send);
    BIO_meth_set_read(method, bio_recv);
    BIO_meth_set_ctrl(method, bio_control);
}

/* OpenSSL's own socket BIO writes without MSG_NOSIGNAL: a peer that has gone would be a SIGPIPE. */
static bool use_socket(SSL *tls, int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (!b)
        return false;
    BIO_set_data(b, (void *)(intptr_t)fd);
    BIO_set_init(b, 1);
    SSL_set_bio(tls, b, b);
    return true;
}

/* SNI and the name or address that the certificate must be for. */
static bool expect_host(SSL *tls, const char *host)
{
    struct sockaddr_storage literal;
    if (!address_read(&literal, host))
        return SSL_set_tlsext_host_name(tls, host) == 1 && SSL_set1_host(tls, host) == 1;
    char text[ADDRESS_TEXT];
    address_text(text, (struct sockaddr *)&literal);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), text) == 1;
}

weir_code transport_open(transport *t, loop *l, int fd, SSL_CTX *tls, const char *host,
                         void (*on_ready)(void *arg, int events, int error), void *arg, weir_error *err)
{
    *t = (transport){.fd = fd};
    weir_code code = io_open(&t->io, l, fd, on_ready, arg, err);
    if (!code && tls) {
        t->tls = SSL_new(tls);
        if (!t->tls || !use_socket(t->tls, fd) || !expect_host(t->tls, host))
            code = error_set(err, WEIR_NOMEM, "TLS: out of memory");
        else
            SSL_set_connect_state(t->tls);
    }
    if (code)
        transport_close(t);
    return code;
}

void transport_close(transport *t)
{
    if (t->fd < 0)
        return;
    SSL_free(t->tls);
    io_close(t->io);
    close(t->fd);
    *t = (transport){.fd = -1};
}

/* What OpenSSL has against the peer, in words. */
static void tls_words(const transport *t, weir_error *err)
{
    long verdict = SSL_get_verify_result(t->tls);
    unsigned long code = ERR_peek_last_error();
    if (verdict != X509_V_OK)
        error_set(err, WEIR_NETWORK, "its certificate is not trusted: %s", X509_verify_cert_error_string(verdict));
    else if (code)
        error_set(err, WEIR_NETWORK, "TLS handshake: %s", ERR_reason_error_string(code));
    else
        error_set(err, WEIR_NETWORK, "it ended the connection during the TLS handshake");
}

transport_result transport_handshake(transport *t, weir_error *err)
{
    if (!t->tls)
        return TRANSPORT_OK;
    ERR_clear_error();
    int result = SSL_do_handshake(t->tls);
    if (result == 1)
        return TRANSPORT_OK;
    int why = SSL_get_error(t->tls, result);
    t->blocked = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return TRANSPORT_AGAIN;
    tls_words(t, err);
    ERR_clear_error();
    return TRANSPORT_FAILED;
}

transport_result transport_read(transport *t, char *at, size_t room, size_t *got)
{
    if (!t->tls) {
        ssize_t n = recv(t->fd, at, room, 0);
        if (n > 0) {
            *got = (size_t)n;
            return TRANSPORT_OK;
        }
        return n == 0 ? TRANSPORT_END : errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN
                                                                          : TRANSPORT_FAILED;
    }
    ERR_clear_error();
    t->blocked = false;
    if (SSL_read_ex(t->tls, at, room, got) == 1)
        return TRANSPORT_OK;
    int why = SSL_get_error(t->tls, 0);
    t->blocked = why == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? TRANSPORT_AGAIN : why == SSL_ERROR_ZERO_RETURN ? TRANSPORT_END
                                                                                                                      : TRANSPORT_FAILED;
}

transport_result transport_write(transport *t, bytes data, size_t *taken)
{
    if (!t->tls) {
        ssize_t n = send(t->fd, data.at, data.len, MSG_NOSIGNAL);
        *taken = n > 0 ? (size_t)n : 0;
        return n >= 0 ? TRANSPORT_OK : errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN
                                                                         : TRANSPORT_FAILED;
    }
    ERR_clear_error();
    t->stuck = false;
    *taken = 0;
    if (SSL_write_ex(t->tls, data.at, data.len, taken) == 1)
        return TRANSPORT_OK;
    int why = SSL_get_error(t->tls, 0);
    t->stuck = why == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? TRANSPORT_AGAIN : TRANSPORT_FAILED;
}

bool transport_holds_data(const transport *t)
{
    return t->tls && SSL_has_pending(t->tls);
}

bool transport_unread(const transport *t)
{
    int octets = 0;
    return transport_holds_data(t) || (ioctl(t->fd, FIONREAD, &octets) == 0 && octets > 0);
}

void transport_end(transport *t)
{
    ERR_clear_error();
    if (t->tls && SSL_is_init_finished(t->tls))
        SSL_shutdown(t->tls);
    ERR_clear_error();
    shutdown(t->fd, SHUT_WR);
}

void transport_want(transport *t, bool reading, bool writing)
{
    bool read = (reading && !t->blocked) || (writing && t->stuck);
    bool write = (writing && !t->stuck) || (reading && t->blocked);
    io_want(t->io, (read ? IO_READ : 0) | (write ? IO_WRITE : 0));
}
