/* A libwebsockets client as its manual writes one, UTF-8 checked like ours, with as large a buffer. */
#include "bench/lws_reader.h"

#include <libwebsockets.h>
#include <string.h>
#include <time.h>

typedef struct reader {
    size_t frames, wanted;
    double begin, took;
    bool over;
} reader;

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    reader *r = lws_context_user(lws_get_context(wsi));
    (void)user, (void)in, (void)len;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        r->begin = cpu_s();
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) || ++r->frames < r->wanted)
            break;
        r->took = cpu_s() - r->begin;
        r->over = true;
        return -1;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        r->over = true;
        break;
    default:
        break;
    }
    return 0;
}

double lws_read_frames(uint16_t port, bool tls, size_t frames)
{
    static const struct lws_protocols protocols[] = {{.name = "bench", .callback = on_event, .rx_buffer_size = 65536}, {0}};
    reader r = {.wanted = frames, .took = -1};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .gid = -1,
        .uid = -1,
        .user = &r,
        .pt_serv_buf_size = 65536,
        .options = LWS_SERVER_OPTION_VALIDATE_UTF8 | (tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
    };
    lws_set_log_level(0, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return -1;
    struct lws_client_connect_info to = {
        .context = context,
        .address = "127.0.0.1",
        .host = "127.0.0.1",
        .origin = "127.0.0.1",
        .path = "/",
        .port = port,
        .protocol = NULL,
        .ssl_connection = tls ? LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_INSECURE | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK : 0,
    };
    if (!lws_client_connect_via_info(&to))
        r.over = true;
    while (!r.over && lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return r.took;
}
