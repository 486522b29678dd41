/* inside.h: what the files of api/ share.
 *
 *   api.c      birth and end; a request's way through all checks
 *   routes.c   the table of all there is         query.c    paths and queries taken apart
 *   auth.c     who asks: tokens, sessions        rate.c     how often they may
 *   answer.c   answers, errors, the audit        openapi.c  the table as an OpenAPI document
 *   things.c   the node's operations             pages.c    the web terminal's files
 *   feed.c     history, then live, one reader    history.c  the history as a download
 *   socket.c   records by WebSocket              sse.c      records by server-sent events
 *   metrics.c  figures for Prometheus */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include "api/api.h"
#include "api/rate.h"
#include "base/log.h"
#include "base/map.h"
#include "net/server.h"

#define API_JSON "application/json; charset=utf-8"
#define API_NDJSON "application/x-ndjson; charset=utf-8"
#define API_SESSION_NS (30 * 24 * 3600 * NS_PER_S) /* a login holds for so long */
#define API_SESSIONS_MAX 1000u
#define QUERY_ROOM 16384u
#define API_SUBSCRIPTIONS_MAX 64u /* of one socket */

typedef struct asked asked;

typedef enum route_body { BODY_NONE,
                          BODY_JSON,     /* must be there */
                          BODY_MAY_JSON, /* or nothing */
                          BODY_MODULE } route_body;

typedef struct route {
    const char *method, *path;
    const char *op; /* the node's operation, and the action in the audit */
    node_scope scope;
    const char *summary;
    const char *query; /* names, blanks between */
    route_body body;
    const char *takes, *gives; /* schemas (schemas.json); gives NULL: nothing, or what `type` says */
    const char *type;          /* of what it gives, if that is no JSON */
    uint16_t status;           /* when it went well */
    void (*fn)(asked *q);      /* NULL: the node is asked */
} route;

/* Who asks. */
typedef struct caller {
    node_scope scope;
    bool known;       /* by a token or a session */
    bool ambient;     /* by what a browser sends by itself (a cookie) or by nothing: another site could make it ask */
    char id[40];      /* of the token; "" for nobody */
    char name[128];   /* for the audit */
    char peer[64];    /* without the port */
    char session[65]; /* SHA-256 of its cookie; "": none */
} caller;

/* A request on its way. */
struct asked {
    list_node node;
    api *api;          /* NULL: it has been freed, only the node's answer is waited for */
    server_request *r; /* NULL: the peer has gone, or it is answered */
    const route *route;
    caller who;
    bool is_get; /* or HEAD */
    buf text;    /* what id and name point into */
    const char *id, *name;
    buf query; /* a JSON object of texts */
    buf value; /* of asked_query */
};

/* Somebody who takes records when there are some and he has room: in api.ready once for each time. */
typedef struct reader {
    list_node ready;
    void (*run)(struct reader *r);
} reader;

typedef struct session {
    char key[65];
    char token[40];
    uint64_t expires_ns;
} session;

typedef struct api_figures {
    uint64_t requests[6];     /* by the first digit of their status; 0: none given */
    uint64_t sockets, events; /* opened: WebSockets, SSE */
    uint64_t lines, octets;   /* of records, to all readers */
    uint64_t cut;             /* readers: by their policy */
} api_figures;

struct api {
    node *node;
    loop *loop;
    hub *hub;
    api_options options;
    bool loopback, draining;
    server *server;
    list asked;   /* requests on their way */
    list sockets; /* WebSockets (socket.c) */
    list events;  /* SSE (sse.c) */
    list exports; /* history.c */
    list ready;   /* readers */
    deferred feeding;
    timer feed_again;
    timer patrol; /* whose token is gone loses its sockets */
    map *sessions;
    rate rates, refusals;
    struct latency *latency;
    buf document; /* OpenAPI */
    uint64_t started_ns;
    api_figures figures;
};

/* ---- routes.c ---- */
extern const route routes[];
extern const size_t route_count;
/* The route of a request; NULL with 404, or 405 and `allow` filled with the methods that there are. HEAD finds GET. */
const route *route_find(bytes method, bytes path, bytes pieces[2], uint16_t *status, char allow[64]);
const char *scope_name(node_scope scope); /* "read" */

/* ---- auth.c ---- */
void auth_begin(api *a); /* reads the sessions that the store holds */
void auth_end(api *a);
void auth_identify(api *a, const server_request *r, caller *out);
bool auth_still(api *a, const caller *c); /* its token or session is still good */
bool auth_host(const api *a, bytes host);
bool auth_origin(const server_request *r); /* there is an Origin, and it is ours */
void session_make(asked *q);
void session_read(asked *q);
void session_end(asked *q);

/* ---- answer.c: each ends `q` ---- */
void answer(asked *q, uint16_t status, bytes json);
void answer_as(asked *q, uint16_t status, const http_header *headers, size_t count, bytes body);
void answer_error(asked *q, uint16_t status, const char *code, const char *format, ...) PRINTF_LIKE(4, 5);
void answer_scope(asked *q); /* 403, with the scope that the route needs as `needs` */
void scope_text(char *out, size_t size, const route *to, const caller *who);
void answer_code(asked *q, weir_code code, const char *text);                                               /* as the node says it */
void answer_retry(asked *q, uint64_t wait_ns);                                                              /* 429 */
void answer_refused(void *arg, bytes peer, uint16_t status, const char *why, const char *needs, buf *body); /* the server's on_refuse */
void audit(asked *q, uint16_t status, const char *target);                                                  /* if this must be there */
void audit_add(api *a, const caller *who, const char *action, const char *target, uint16_t status);
void asked_free(asked *q);
server_request *asked_take(asked *q); /* the request goes on by itself (a stream, a socket); q is gone */
uint16_t status_of(weir_code code);
/* A parameter of the query as text, "" if there is none; good until the next call. As a number: false, and answered, if it is none. */
const char *asked_query(asked *q, const char *name);
bool asked_number(asked *q, const char *name, uint64_t *out);

/* ---- things.c, pages.c, openapi.c, metrics.c ---- */
void things_ask(asked *q);
void pages_answer(asked *q);
bool openapi_write(buf *out); /* false: out of memory */
void openapi_answer(asked *q);
void metrics_answer(asked *q);
weir_code latency_begin(api *a, weir_error *err);
void latency_end(api *a);
void health_answer(asked *q);
void ready_answer(asked *q);
void settings_answer(asked *q);

/* ---- socket.c, sse.c, history.c ---- */
void socket_answer(asked *q);
void sse_answer(asked *q);
void history_answer(asked *q);
void sockets_check(api *a, bool all, const char *why); /* closes those whose token is gone, or all */
void events_check(api *a, bool all);
void exports_end(api *a);
/* Every subscription of records, for the figures; `queued`: octets that wait for its socket. */
/* `connection`: NULL: of any. */
typedef void (*reader_told)(void *arg, const char *pattern, const uint64_t *connection, const sub_account *account, size_t queued);
void sockets_each(api *a, reader_told fn, void *arg);
void events_each(api *a, reader_told fn, void *arg);
void reader_ready(api *a, reader *r); /* it will run on the loop */
void reader_gone(reader *r);

#endif
