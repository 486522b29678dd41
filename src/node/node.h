/* node.h: what one `weir serve` runs: plugins, connections, streams and sinks as its users want them, alive on a
 * weir_host and kept in the store, so that they come back after a restart.
 *
 *     node *n;    node_new(&n, &options, err);
 *     node_start(n);                         loads what the store holds; streams come as their plugins do
 *     node_ask(n, &question, on_answer, arg);
 *     while (!enough)
 *         node_step(n, -1);                  the host's loop, and the jobs between its turns
 *     node_drain(n, deadline_ms, on_drained, arg);   streams stopped, history flushed
 *     node_free(n);
 *
 * Everything that a user may do is an operation with a name ("streams.create"), JSON in and JSON out: the API is a
 * table from methods and paths to these names (api/), and knows nothing else of the node. A file of node/ for each
 * kind of thing holds its operations. What a user wants is first in the store, durably, then done, then answered.
 *
 * Jobs: to load a plugin, to swap or to configure it turns the host's loop, and so may not begin in a callback, and an
 * answer to a question is one. Such work waits in a row and is done one after the other between two turns, by node_step:
 * whoever runs a node calls that in place of weir_host_run or weir_host_step. While a job waits for its plugin the loop
 * goes on, streams and questions with it; only the jobs behind it wait.
 *
 * Numbers: a stream's `seq` never repeats, restarts included. Each topic has a mark in the store, ahead of its numbers by up
 * to 100,000; the numbers up to it may be given out, and a node that comes back after a crash begins behind it. What a
 * stream missed meanwhile is a gap record of cause restart.
 *
 * What can go wrong: the store is full or read-only; then what would change it is answered WEIR_SYSTEM, and what
 * streams goes on streaming. A plugin that cannot be loaded, a connection that lacks a value, a stream that fails:
 * states with a why, never the end of the node. All on the host's thread. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <weir/weir.h>

#include "base/buf.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "store/store.h"

typedef struct node node;

typedef struct node_options {
    const char *data_dir;      /* store, plugin files, compiled modules, lock; made if it is not there */
    const char *name;          /* of this node, in its answers; NULL: the machine's name */
    const char *key_file;      /* 32 octets for secrets at rest; NULL: $WEIR_SECRET_KEY (hex), $CREDENTIALS_DIRECTORY/weir.key,
                                  else DATA_DIR/secret.key, made at the first start with mode 0600 */
    weir_host_options host;    /* overrides, authorities, heartbeats ... */
    uint64_t history_octets;   /* of the history at most; 0: 1 GiB */
    uint64_t history_ms;       /* kept so long; 0: 7 days */
    uint32_t history_flush_ms; /* what a crash may take from the history at most; 0: 200 */
    uint64_t max_code;         /* of a module that is uploaded: octets of code, and 512 more for each function; 0: 64 MiB */
    bool demo;
    bool uploads_approved; /* plugins get what they ask for without an admin's word: --demo */
} node_options;

weir_code node_new(node **out, const node_options *options, weir_error *err);
void node_free(node *n); /* at once; NULL is fine */
void node_start(node *n);
/* `fn` once, when every stream has stopped and the history is on the disk, or the deadline is over (false: some had to be cut). */
void node_drain(node *n, uint32_t deadline_ms, void (*fn)(void *arg, bool whole), void *arg);
/* True when all that the store holds has been tried once; else `why` names what it waits for. */
bool node_ready(const node *n, buf *why);

/* One turn of the host's loop, waiting up to `timeout_ms` (-1: no limit) for something to do, and one job if one waits. True:
 * more is due at once. Not from a callback. */
bool node_step(node *n, int timeout_ms);

weir_host *node_host(node *n);
loop *node_loop(node *n);
hub *node_hub(node *n);
store *node_store(node *n);

/* ---- Questions ---- */

typedef struct node_question {
    const char *op;   /* "streams.create" */
    const char *id;   /* of the path: a plugin's id, a number as text; NULL: none */
    const char *name; /* the second one: a command's name; NULL: none */
    bytes query;      /* a JSON object of texts: {"force":"1"}; empty: none */
    bytes body;       /* JSON, or a module's octets (plugins.upload); empty: none */
    const char *who;  /* the token's name, for the audit and created_by */
} node_question;

/* `json` is lent and may be empty (done, nothing to say). `created`: something new came to be. */
typedef void (*node_answer)(void *arg, weir_code code, bool created, bytes json, const char *error);

/* `fn` comes exactly once, at once or later, never after node_free. WEIR_NOT_FOUND also for an op that does not exist. */
void node_ask(node *n, const node_question *q, node_answer fn, void *arg);

/* ---- Tokens ---- */

typedef enum node_scope { NODE_SCOPE_NONE,
                          NODE_SCOPE_READ,
                          NODE_SCOPE_OPERATE,
                          NODE_SCOPE_ADMIN } node_scope;

/* Lent until the loop's next turn. */
typedef struct node_token {
    const char *id, *name;
    node_scope scope;
} node_token;

/* Whose token this text is ("weir_..."), compared in constant time; false: nobody's, taken back, or expired. */
bool node_token_find(node *n, bytes text, node_token *out);
/* The token of this id, which tokens.list shows; false: it is gone or has expired (of whoever logged in by it). */
bool node_token_get(node *n, const char *id, node_token *out);

/* Makes one and keeps its hash; `text` is the only time that it is seen. Turns the loop until it is durable: not from a callback. */
#define NODE_TOKEN_TEXT 70
weir_code node_token_make(node *n, const char *name, node_scope scope, char text[NODE_TOKEN_TEXT], weir_error *err);
/* The two steps of it, for who has to keep the text elsewhere in between. */
void node_token_text(char text[NODE_TOKEN_TEXT]);
weir_code node_token_keep(node *n, const char *name, node_scope scope, const char *text, weir_error *err);
bool node_has_tokens(const node *n);

/* ---- The log ---- */

/* Keeps a line for logs.list and for who watches; from any thread. For the function given to weir_log. */
void node_log_keep(weir_log_level level, const char *part, const char *text);

typedef struct node_log_line {
    uint64_t time_ns;
    weir_log_level level;
    const char *part, *text;
} node_log_line;
/* Hears each line, a tenth of a second late at most, on the host's thread. */
typedef struct node_log_watch {
    list_node node;
    void (*fn)(void *arg, const node_log_line *line);
    void *arg;
    uint64_t seen; /* kept by the node */
} node_log_watch;
void node_log_watch_add(node *n, node_log_watch *w);
void node_log_watch_remove(node_log_watch *w);

/* ---- Changes and figures ---- */

/* Something changed that a page shows: "plugins", "connections", "streams", "sinks", with its id. Several may listen. */
typedef struct node_watch {
    list_node node;
    void (*fn)(void *arg, const char *what, const char *id);
    void *arg;
} node_watch;
void node_watch_add(node *n, node_watch *w);
void node_watch_remove(node_watch *w);

/* The figures of everything in Prometheus' text form. */
weir_code node_metrics(node *n, buf *out);

#endif
