/* The dialler: one libcurl multi handle turned by the loop.
 *
 * libcurl tells which sockets to watch and when its next time-out is; both map onto loop.h. What it
 * finished is collected after each of its turns, so a client's callback never runs inside libcurl.
 * Each address is checked twice: before its socket exists (on_socket), and before a request goes
 * over a connection that was open already, perhaps for another plugin (on_request).
 * A socket for a WebSocket is only dialled here; ws_client.c takes it over. */
#include "net/dial_inside.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/dial_proxy.h"
#include "net/target_address.h"

struct dialer {
    loop *loop;
    CURLM *multi;
    CURLSH *share;
    SSL_CTX *tls;
    bool trusts; /* tls holds the authorities */
    timer timeout;
    timer blind; /* drives sockets that could not be watched for lack of memory */
    list watches;
    bans bans;
    char *ca_file;
    char *user_agent;
    bool no_proxy;
    uint32_t connect_ms;
};

typedef struct watch {
    list_node node;
    dialer *owner;
    curl_socket_t fd;
    loop_io *io;
} watch;

static void collect(dialer *d)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(d->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        dial_transfer *t = NULL;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->done(t->arg, result);
    }
}

static void turn(dialer *d, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(d->multi, fd, events, &running);
    collect(d);
}

static void on_timeout(void *arg)
{
    turn(arg, CURL_SOCKET_TIMEOUT, 0);
}

#define BLIND_NS (50 * NS_PER_MS)

/* Refusing a socket would make libcurl give up all transfers for good. So one that cannot be watched
 * is looked after by the clock, as long as anything runs. */
static void on_blind(void *arg)
{
    dialer *d = arg;
    int running = 0;
    curl_multi_perform(d->multi, &running);
    if (running)
        timer_after(&d->blind, BLIND_NS);
    collect(d);
}

static void on_ready(void *arg, int events, int error)
{
    watch *w = arg;
    int seen = (events & IO_READ ? CURL_CSELECT_IN : 0) | (events & IO_WRITE ? CURL_CSELECT_OUT : 0) | (error ? CURL_CSELECT_ERR : 0);
    turn(w->owner, w->fd, seen);
}

static int on_curl_timer(CURLM *multi, long delay_ms, void *arg)
{
    (void)multi;
    dialer *d = arg;
    if (delay_ms < 0)
        timer_stop(&d->timeout);
    else
        timer_after(&d->timeout, (uint64_t)delay_ms * NS_PER_MS);
    return 0;
}

static void watch_free(watch *w)
{
    io_close(w->io);
    list_remove(&w->node);
    free(w);
}

static watch *make_watch(dialer *d, curl_socket_t fd)
{
    watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->owner = d;
    w->fd = fd;
    if (io_open(&w->io, d->loop, fd, on_ready, w, NULL)) {
        free(w);
        return NULL;
    }
    list_push(&d->watches, &w->node);
    return w;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    dialer *d = arg;
    watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            watch_free(w);
            curl_multi_assign(d->multi, fd, NULL);
        }
        return 0;
    }
    if (!w) {
        w = make_watch(d, fd);
        if (!w) {
            timer_after(&d->blind, BLIND_NS);
            return 0;
        }
        curl_multi_assign(d->multi, fd, w);
    }
    int wanted = (what & CURL_POLL_IN ? IO_READ : 0) | (what & CURL_POLL_OUT ? IO_WRITE : 0);
    io_want(w->io, wanted);
    return 0;
}

/* May this dial go to `address`? With a proxy the address is the proxy's, which the user chose, and
 * the name is looked up over there: then the URL's check is all there is. */
static bool address_fits(dial_where *w, const struct sockaddr *address)
{
    if (w->unchecked || w->proxy)
        return true;
    return targets_check_address(w->allowed, bytes_of(w->to.host), address, &w->refused) == WEIR_OK;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    if (!address_fits(arg, &address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct sockaddr_storage address;
    if (address_read(&address, remote) && address_fits(arg, (struct sockaddr *)&address))
        return CURL_PREREQFUNC_OK;
    return CURL_PREREQFUNC_ABORT;
}

static weir_code make_tls(dialer *d, weir_error *err)
{
    d->tls = SSL_CTX_new(TLS_client_method());
    if (!d->tls)
        return error_set(err, WEIR_NOMEM, "TLS: out of memory");
    SSL_CTX_set_min_proto_version(d->tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(d->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(d->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(d->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(d->tls, 1);
    if (d->ca_file && SSL_CTX_load_verify_file(d->tls, d->ca_file) != 1)
        return error_set(err, WEIR_INVALID, "CA file '%s': no certificate in PEM form can be read from it", d->ca_file);
    d->trusts = d->ca_file != NULL;
    return WEIR_OK;
}

static weir_code make_curl(dialer *d, weir_error *err)
{
    static bool ready; /* loops on several threads may come here at once: curl_global_init is thread-safe since 7.84 */
    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        if (curl_global_init(CURL_GLOBAL_DEFAULT))
            return error_set(err, WEIR_SYSTEM, "libcurl does not start");
        __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
    }
    d->multi = curl_multi_init();
    d->share = curl_share_init();
    if (!d->multi || !d->share)
        return error_set(err, WEIR_NOMEM, "dialler: out of memory or descriptors");
    curl_share_setopt(d->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(d->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
    return WEIR_OK;
}

weir_code dialer_new(dialer **out, loop *l, const dialer_options *options, weir_error *err)
{
    dialer *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, WEIR_NOMEM, "dialler: out of memory");
    dialer_options o = options ? *options : (dialer_options){0};
    d->loop = l;
    list_init(&d->watches);
    bans_init(&d->bans);
    timer_init(&d->timeout, l, on_timeout, d);
    timer_init(&d->blind, l, on_blind, d);
    d->no_proxy = o.no_proxy;
    d->connect_ms = o.connect_ms ? o.connect_ms : 10000;
    d->user_agent = strdup(o.user_agent ? o.user_agent : "weir/" WEIR_VERSION);
    d->ca_file = o.ca_file ? strdup(o.ca_file) : NULL;
    weir_code code = WEIR_OK;
    if (!d->user_agent || (o.ca_file && !d->ca_file))
        code = error_set(err, WEIR_NOMEM, "dialler: out of memory");
    if (!code)
        code = make_tls(d, err);
    if (!code)
        code = make_curl(d, err);
    if (code) {
        dialer_free(d);
        return code;
    }
    *out = d;
    return WEIR_OK;
}

void dialer_free(dialer *d)
{
    if (!d)
        return;
    if (d->multi)
        curl_multi_cleanup(d->multi); /* closes idle connections, and tells on_curl_socket */
    curl_share_cleanup(d->share);
    while (!list_empty(&d->watches))
        watch_free(LIST_OWNER(d->watches.head.next, watch, node));
    timer_stop(&d->timeout);
    timer_stop(&d->blind);
    bans_fini(&d->bans);
    SSL_CTX_free(d->tls);
    free(d->ca_file);
    free(d->user_agent);
    free(d);
}

loop *dial_loop(dialer *d)
{
    return d->loop;
}

/* The system's authorities take 20 ms to read, so not before the first dial that needs them. Without
 * them no peer is trusted, which each dial then says. */
SSL_CTX *dial_tls(dialer *d)
{
    if (!d->trusts)
        d->trusts = SSL_CTX_set_default_verify_paths(d->tls) == 1;
    return d->tls;
}

bans *dial_bans(dialer *d)
{
    return &d->bans;
}

uint32_t dial_connect_ms(const dialer *d)
{
    return d->connect_ms;
}

const char *dial_user_agent(const dialer *d)
{
    return d->user_agent;
}

/* Fills `where`: overrides, proxy, the URL that libcurl gets. */
static weir_code find_where(dial_where *w, dialer *d, bytes text, const targets *allowed, weir_error *err)
{
    buf moved;
    buf_init(&moved, 4 * URL_MAX);
    buf_init(&w->text, 4 * URL_MAX);
    w->allowed = allowed;
    w->unchecked = allowed && targets_rewrite(allowed, text, &moved);
    weir_code code = moved.failed ? error_set(err, WEIR_NOMEM, "URL: out of memory") : url_read(&w->to, w->unchecked ? buf_bytes(&moved) : text, err);
    buf_fini(&moved);
    if (code)
        return code;
    if (w->to.websocket)
        strcpy(w->to.scheme, w->to.tls ? "https" : "http");
    url_put(&w->to, &w->text);
    buf_add_char(&w->text, 0);
    const char *proxy = d->no_proxy || w->unchecked ? NULL : proxy_for(&w->to);
    w->proxy = proxy ? strdup(proxy) : NULL;
    if (w->text.failed || (proxy && !w->proxy))
        return error_set(err, WEIR_NOMEM, "URL: out of memory");
    struct sockaddr_storage literal; /* known before any proxy is asked */
    if (!w->unchecked && address_read(&literal, w->to.host))
        return targets_check_address(allowed, bytes_of(w->to.host), (struct sockaddr *)&literal, err);
    return WEIR_OK;
}

weir_code dial_prepare(dial_transfer *t, dialer *d, bytes text, const targets *allowed, weir_error *err)
{
    memset(t, 0, sizeof *t);
    t->owner = d;
    weir_code code = find_where(&t->where, d, text, allowed, err);
    if (!code && !(t->easy = curl_easy_init()))
        code = error_set(err, WEIR_NOMEM, "dial: out of memory");
    if (code) {
        dial_stop(t);
        return code;
    }
    CURL *c = t->easy;
    int failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(c, option, value)
    SET(CURLOPT_URL, t->where.text.at);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs must not hang us when we give up */
    SET(CURLOPT_SHARE, d->share);
    SET(CURLOPT_PROXY, t->where.proxy ? t->where.proxy : "");
    SET(CURLOPT_NOPROXY, ""); /* seen to by proxy_for */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_ERRORBUFFER, t->words);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)d->connect_ms);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, &t->where);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, &t->where);
    if (d->ca_file)
        SET(CURLOPT_CAINFO, d->ca_file);
    if (d->ca_file)
        SET(CURLOPT_CAPATH, NULL);
#undef SET
    if (failed) {
        dial_stop(t);
        return error_set(err, WEIR_NOMEM, "dial: libcurl refuses its options, out of memory");
    }
    return WEIR_OK;
}

weir_code dial_start(dial_transfer *t, void (*done)(void *arg, CURLcode result), void *arg, weir_error *err)
{
    t->done = done;
    t->arg = arg;
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    CURLMcode code = curl_multi_add_handle(t->owner->multi, t->easy);
    return code ? error_set(err, WEIR_NOMEM, "dial: %s", curl_multi_strerror(code)) : WEIR_OK;
}

void dial_stop(dial_transfer *t)
{
    if (t->easy) {
        curl_multi_remove_handle(t->owner->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    t->easy = NULL;
    buf_fini(&t->where.text);
    url_fini(&t->where.to);
    free(t->where.proxy);
    t->where.proxy = NULL;
}

weir_code dial_failed(const dial_transfer *t, CURLcode result, weir_error *err)
{
    const url *to = &t->where.to;
    bool no_address = result == CURLE_COULDNT_CONNECT || result == CURLE_ABORTED_BY_CALLBACK;
    if (t->where.refused.code && no_address) {
        if (err)
            *err = t->where.refused;
        return t->where.refused.code;
    }
    weir_code code = result == CURLE_OPERATION_TIMEDOUT ? WEIR_TIMEOUT : result == CURLE_OUT_OF_MEMORY ? WEIR_NOMEM
                                                                                                       : WEIR_NETWORK;
    const char *words = t->words[0] ? t->words : curl_easy_strerror(result);
    return error_set(err, code, "%s:%u: %s%c%s", to->host, to->port, result == CURLE_PEER_FAILED_VERIFICATION ? "its certificate is not trusted: " : "",
                     (words[0] >= 'A' && words[0] <= 'Z' && !(words[1] >= 'A' && words[1] <= 'Z')) ? words[0] | 32 : words[0], words[0] ? words + 1 : "");
}

static bool is_token(bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (c <= ' ' || c >= 0x7F || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return name.len > 0;
}

weir_code header_check(const http_header *h, weir_error *err)
{
    if (!is_token(h->name))
        return error_set(err, WEIR_INVALID, "header '" BYTES_FMT "': its name holds characters that no header name has", BYTES_ARG(h->name));
    for (size_t i = 0; i < h->value.len; i++) {
        unsigned char c = (unsigned char)h->value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7F)
            return error_set(err, WEIR_INVALID, "header '" BYTES_FMT "': its value holds a line break or another control character", BYTES_ARG(h->name));
    }
    return WEIR_OK;
}
