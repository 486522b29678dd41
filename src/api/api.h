/* api.h: a node served over HTTP: the API under /v1, the web terminal's pages, records as they come, figures.
 *
 *     api *a;    api_new(&a, n, &options, err);
 *     weir_host_run(node_host(n));
 *     api_free(a);                      before node_free
 *
 * One table (routes.c) says what there is: method, path, the node's operation, who may, what goes in and comes out.
 * Requests are sent by it, audited by it, and the OpenAPI document (/v1/openapi.json) is made of it. docs/api.md is that document
 * to read; docs/security.md says against whom all this stands.
 *
 * A request passes, in this order: Host (against DNS rebinding), route, token or session, scope, rate, Origin, body; whoever
 * fails is told why and is in the audit, as is all that changes something.
 *
 * The frequent operation is a record to very many readers: its line is encoded once, by the hub's record, and copied once for
 * each, into the socket's buffer. A reader that does not read is not fed, its own queue applies the policy that it asked
 * for, and nobody else notices.
 *
 * What can go wrong: everything a peer can do. It costs that peer its connection, and nobody else anything. All on the
 * host's thread. */
#ifndef API_API_H
#define API_API_H

#include "node/node.h"

typedef struct api api;

/* A file of the web terminal, embedded in the program. "/index.html" also answers "/" and each path that a page of its own
 * may have: one without a dot, outside /v1. All is lent, for as long as the api lives. */
typedef struct api_asset {
    const char *path; /* "/assets/main-4f2a.js" */
    const char *type; /* "text/javascript; charset=utf-8" */
    bytes octets;
    bytes gzip;       /* the same, compressed; empty: there is none */
    const char *etag; /* with its quotes: "\"4f2a\"" */
    bool immutable;   /* its name has a hash of it: kept by browsers for good */
} api_asset;

typedef struct api_options {
    const char *address;   /* NULL: "127.0.0.1" */
    uint16_t port;         /* 0: any free one */
    const char *cert_file; /* PEM; NULL: plain HTTP */
    const char *key_file;
    const char *const *hosts; /* lent, too: names by which it may be asked (the Host header without the port); NULL, 0: on a
                                 loopback address localhost, 127.0.0.1 and [::1], else any */
    size_t host_count;
    node_scope anonymous;   /* what a request without a token may do: --demo on loopback; NODE_SCOPE_NONE: nothing */
    bool metrics_open;      /* /metrics without a token */
    uint32_t rate;          /* requests a second of one token, or of one peer without; 0: 100. Twice as many at once */
    uint32_t max_body;      /* 0: 1 MiB */
    uint32_t max_upload;    /* of a module; 0: 64 MiB */
    uint32_t max_sockets;   /* connections; 0: 10,000 */
    uint32_t reader_octets; /* of records that wait for one socket; 0: 256 KiB. More waits in its own queue in the hub */
    uint32_t idle_ms;       /* of a kept connection, and of a socket whose peer does not even answer pings; 0: 60,000 */
    const api_asset *assets;
    size_t asset_count;
    /* GET /v1/settings: appends a JSON list of {"name","value","source","help"}; NULL: there are none. */
    void (*settings)(void *arg, buf *out);
    void *settings_arg;
} api_options;

/* `options` may be NULL. WEIR_SYSTEM: the port; WEIR_INVALID: an address, a certificate. */
weir_code api_new(api **out, node *n, const api_options *options, weir_error *err);
/* Closes every connection; answers still under way come to nobody. NULL is fine. */
void api_free(api *a);
uint16_t api_port(const api *a);
/* For connections that come from now on; a pair that cannot be used leaves the one that is there. */
weir_code api_renew_certificate(api *a, const char *cert_file, const char *key_file, weir_error *err);
uint64_t api_certificate_ends(const api *a); /* seconds since 1970; 0: no TLS */
/* Not ready from now on (GET /v1/ready says 503), readers are told and closed, nothing new is begun: ahead of node_drain. */
void api_drain(api *a);

#endif
