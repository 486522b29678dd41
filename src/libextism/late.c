/* libcurl, OpenSSL and libuv, opened when the first module or plugin wants HTTP.
 *
 * libcurl brings some thirty libraries with it, which take longer to open than a plugin takes to answer, and most
 * plugins never ask for HTTP. So libextism.so is not linked with them. Here are functions of the same names that pass
 * on; net/ and loop/ know nothing of it. late_open comes before the first of them is called, and says what is missing.
 * It is only in the library: what is linked with libcurl anyway, as this folder's tests are, has no late_open. */
#define CURL_DISABLE_TYPECHECK

#include <curl/curl.h>
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <uv.h>

#include "libextism/inside.h"

/* Macros around those with a variable argument. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt

#define CURL_LIBRARY "libcurl.so.4"
#define UV_LIBRARY "libuv.so.1"
#define TLS_LIBRARY "libssl.so." OPENSSL_MSTR(OPENSSL_SHLIB_VERSION)

/* Result, name, parameters, how they are passed on. */
#define OF_CURL(X)                                                                                                            \
    X(CURLcode, curl_global_init, (long flags), (flags))                                                                      \
    X(CURL *, curl_easy_init, (void), ())                                                                                     \
    X(void, curl_easy_cleanup, (CURL * c), (c))                                                                               \
    X(const char *, curl_easy_strerror, (CURLcode code), (code))                                                              \
    X(void, curl_free, (void *at), (at))                                                                                      \
    X(time_t, curl_getdate, (const char *text, const time_t *unused), (text, unused))                                         \
    X(CURLM *, curl_multi_init, (void), ())                                                                                   \
    X(CURLMcode, curl_multi_cleanup, (CURLM * m), (m))                                                                        \
    X(CURLMcode, curl_multi_add_handle, (CURLM * m, CURL * c), (m, c))                                                        \
    X(CURLMcode, curl_multi_remove_handle, (CURLM * m, CURL * c), (m, c))                                                     \
    X(CURLMcode, curl_multi_assign, (CURLM * m, curl_socket_t fd, void *at), (m, fd, at))                                     \
    X(CURLMsg *, curl_multi_info_read, (CURLM * m, int *left), (m, left))                                                     \
    X(CURLMcode, curl_multi_perform, (CURLM * m, int *running), (m, running))                                                 \
    X(CURLMcode, curl_multi_socket_action, (CURLM * m, curl_socket_t fd, int events, int *running), (m, fd, events, running)) \
    X(const char *, curl_multi_strerror, (CURLMcode code), (code))                                                            \
    X(CURLSH *, curl_share_init, (void), ())                                                                                  \
    X(CURLSHcode, curl_share_cleanup, (CURLSH * s), (s))                                                                      \
    X(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text), (list, text))                     \
    X(void, curl_slist_free_all, (struct curl_slist * list), (list))                                                          \
    X(CURLU *, curl_url, (void), ())                                                                                          \
    X(void, curl_url_cleanup, (CURLU * u), (u))                                                                               \
    X(CURLUcode, curl_url_get, (CURLU * u, CURLUPart part, char **text, unsigned flags), (u, part, text, flags))              \
    X(CURLUcode, curl_url_set, (CURLU * u, CURLUPart part, const char *text, unsigned flags), (u, part, text, flags))         \
    X(const char *, curl_url_strerror, (CURLUcode code), (code))

/* Those with one argument of any type: a long, a pointer or a curl_off_t, each of 64 bits and passed alike. */
#define OF_CURL_OPEN(X)                                   \
    X(CURLcode, curl_easy_setopt, CURL *, CURLoption)     \
    X(CURLcode, curl_easy_getinfo, CURL *, CURLINFO)      \
    X(CURLMcode, curl_multi_setopt, CURLM *, CURLMoption) \
    X(CURLSHcode, curl_share_setopt, CURLSH *, CURLSHoption)

#define OF_TLS(X)                                                                                     \
    X(const SSL_METHOD *, TLS_client_method, (void), ())                                              \
    X(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *how), (how))                                         \
    X(void, SSL_CTX_free, (SSL_CTX * c), (c))                                                         \
    X(long, SSL_CTX_ctrl, (SSL_CTX * c, int what, long number, void *at), (c, what, number, at))      \
    X(uint64_t, SSL_CTX_set_options, (SSL_CTX * c, uint64_t options), (c, options))                   \
    X(void, SSL_CTX_set_verify, (SSL_CTX * c, int mode, SSL_verify_cb callback), (c, mode, callback)) \
    X(int, SSL_CTX_set_default_verify_paths, (SSL_CTX * c), (c))                                      \
    X(int, SSL_CTX_load_verify_file, (SSL_CTX * c, const char *file), (c, file))

#define OF_UV(X)                                                                                                                \
    X(const char *, uv_strerror, (int status), (status))                                                                        \
    X(int, uv_loop_init, (uv_loop_t * l), (l))                                                                                  \
    X(int, uv_loop_close, (uv_loop_t * l), (l))                                                                                 \
    X(int, uv_run, (uv_loop_t * l, uv_run_mode mode), (l, mode))                                                                \
    X(void, uv_update_time, (uv_loop_t * l), (l))                                                                               \
    X(int, uv_backend_fd, (const uv_loop_t *l), (l))                                                                            \
    X(int, uv_backend_timeout, (const uv_loop_t *l), (l))                                                                       \
    X(void, uv_close, (uv_handle_t * h, uv_close_cb done), (h, done))                                                           \
    X(int, uv_cancel, (uv_req_t * r), (r))                                                                                      \
    X(int, uv_queue_work, (uv_loop_t * l, uv_work_t * w, uv_work_cb work, uv_after_work_cb done), (l, w, work, done))           \
    X(int, uv_async_init, (uv_loop_t * l, uv_async_t * a, uv_async_cb callback), (l, a, callback))                              \
    X(int, uv_async_send, (uv_async_t * a), (a))                                                                                \
    X(int, uv_timer_init, (uv_loop_t * l, uv_timer_t * t), (l, t))                                                              \
    X(int, uv_timer_start, (uv_timer_t * t, uv_timer_cb callback, uint64_t after, uint64_t every), (t, callback, after, every)) \
    X(int, uv_timer_stop, (uv_timer_t * t), (t))                                                                                \
    X(int, uv_poll_init, (uv_loop_t * l, uv_poll_t * p, int fd), (l, p, fd))                                                    \
    X(int, uv_poll_start, (uv_poll_t * p, int events, uv_poll_cb callback), (p, events, callback))                              \
    X(int, uv_poll_stop, (uv_poll_t * p), (p))

_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *), "an option's value is passed on as a pointer");

static struct {
#define FIELD(result, name, ...) __typeof__(&name) name;
    OF_CURL(FIELD)
    OF_CURL_OPEN(FIELD)
    OF_TLS(FIELD)
    OF_UV(FIELD)
#undef FIELD
} real;

/* For the linker it is `name`; for the compiler not, since headers of other versions differ in a const. */
#define PASS_ON(result, name, parameters, arguments) \
    result late_##name parameters __asm__(#name);    \
    result late_##name parameters                    \
    {                                                \
        return real.name arguments;                  \
    }
#define PASS_ON_OPEN(result, name, handle, option)              \
    result late_##name(handle h, option o, ...) __asm__(#name); \
    result late_##name(handle h, option o, ...)                 \
    {                                                           \
        va_list rest;                                           \
        va_start(rest, o);                                      \
        void *value = va_arg(rest, void *);                     \
        va_end(rest);                                           \
        return real.name(h, o, value);                          \
    }
OF_CURL(PASS_ON)
OF_TLS(PASS_ON)
OF_UV(PASS_ON)
OF_CURL_OPEN(PASS_ON_OPEN)

typedef struct wanted {
    const char *name;
    void *where; /* the pointer in `real` */
} wanted;

/* False: *err says what is not there. */
static bool find_all(const char *library, const wanted *list, size_t count, weir_error *err)
{
    void *opened = dlopen(library, RTLD_LAZY | RTLD_LOCAL); /* for good: a connection may stay open in it */
    if (!opened) {
        error_set(err, WEIR_SYSTEM, "HTTP needs a library that cannot be opened: %s", dlerror());
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        void *found = dlsym(opened, list[k].name);
        if (!found) {
            error_set(err, WEIR_SYSTEM, "HTTP needs '%s', which '%s' of this machine lacks", list[k].name, library);
            return false;
        }
        memcpy(list[k].where, &found, sizeof found);
    }
    return true;
}

weir_code late_open(weir_error *err)
{
#define WANTED(result, name, ...) {#name, &real.name},
    static const wanted curl[] = {OF_CURL(WANTED) OF_CURL_OPEN(WANTED)}, tls[] = {OF_TLS(WANTED)}, uv[] = {OF_UV(WANTED)};
#undef WANTED
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool open;
    pthread_mutex_lock(&lock);
    if (!open)
        open = find_all(UV_LIBRARY, uv, sizeof uv / sizeof *uv, err) && find_all(TLS_LIBRARY, tls, sizeof tls / sizeof *tls, err) &&
               find_all(CURL_LIBRARY, curl, sizeof curl / sizeof *curl, err);
    weir_code code = open ? WEIR_OK : WEIR_SYSTEM;
    pthread_mutex_unlock(&lock);
    return code;
}
