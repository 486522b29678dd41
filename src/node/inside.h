/* inside.h: what the files of node/ share: the things of a node, and the way of a question. */
#ifndef NODE_INSIDE_H
#define NODE_INSIDE_H

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "host/embed.h"
#include "node/node.h"
#include "node/share.h"

/* ---- Jobs ---- */

/* `fn` between two turns of the loop. Dropped without a call by node_free. */
typedef struct job_row {
    list_node node;
    void (*fn)(node *n, void *arg);
    void *arg;
} node_job;
void job_put(node *n, node_job *j, void (*fn)(node *n, void *arg), void *arg); /* embedded; no effect when it waits already */
void job_take(node_job *j);                                                    /* out of the row */

/* ---- Questions ---- */

/* A question under way. Its answer comes by ask_done or ask_fail, exactly once; either frees it. */
typedef struct ask {
    list_node node;
    node *n;
    const struct node_op *op;
    char *id, *name, *who; /* NULL: none */
    json query;            /* an object, or JSON_NONE */
    buf query_text, body;
    node_answer fn;
    void *arg;
    bool held;                /* another one changes the same thing; it waits for that */
    node_job job;             /* of OP_JOB */
    void *work;               /* of one that asks a plugin: the connection */
    struct weir_ahead *ahead; /* of an upload while it is compiled; it has the body */
    uint64_t began, waited_ms;
    uint64_t number; /* of the thing that it makes or changes */
    bool on;         /* what it is to be */
} ask;

typedef struct node_op {
    const char *name; /* "streams.create" */
    void (*run)(ask *a);
    unsigned flags;
} node_op;
enum { OP_JOB = 1,       /* may turn the loop: runs as a job */
       OP_CHANGES = 2 }; /* what its id names; two of them about one thing come one after the other */

/* One table of operations for each kind of thing; a NULL name ends it. */
extern const node_op node_ops[], plugin_ops[], connection_ops[], stream_ops[], sink_ops_of_node[], token_ops[], command_ops[], ui_ops[], log_ops[];

void ask_done(ask *a, bool created, buf *json); /* `json` NULL: nothing to say. Not freed */
/* {"PLURAL":[...]} of what `put` writes of each; false: it has written nothing, as that one is not shown. At most `ceiling` octets. */
void ask_done_list(ask *a, const char *plural, const list *things, bool (*put)(buf *out, const list_node *at), size_t ceiling);
void ask_fail(ask *a, weir_code code, const char *format, ...) PRINTF_LIKE(3, 4);
void ask_fail_with(ask *a, const weir_error *err);
/* The body, an object with no members but these (a NULL ends them); an empty body is an empty object. False: the ask has failed. */
bool ask_body(ask *a, json *out, const char *const *members);
bool ask_flag(const ask *a, const char *name); /* ?name=1 */
/* A member of text that may be left out: *out stays as it is then. False: the ask has failed. */
bool ask_text(ask *a, json body, const char *member, char **out);

/* ---- The store, waited for ---- */

/* Through the share, if there is one, into the store; empty `json`: removed. `unique` as node_share has it; NULL: its id. */
void row_change(node *n, const char *kind, const char *id, const char *unique, bytes json, bytes secret, store_done fn, void *arg);
void share_free(node *n);
uint64_t row_next_id(node *n, const char *kind, weir_error *err); /* 0: an error */
/* In a job: a row that another node changed, here too. Empty `json`: it goes. */
weir_code plugin_take(node *n, const char *id, bytes json, weir_error *err);
weir_code connection_take(node *n, const char *id, bytes json, bytes secret, weir_error *err);
weir_code stream_take(node *n, const char *id, bytes json, weir_error *err);

/* In a job: puts, and turns the loop until it is durable. */
weir_code put_and_wait(node *n, const char *kind, const char *id, const buf *json, bytes secret, weir_error *err);
weir_code remove_and_wait(node *n, const char *kind, const char *id, weir_error *err);

weir_code module_put_and_wait(node *n, const char *sha256, bytes octets, weir_error *err);
void asks_mute(node *n); /* nobody hears of them any more */
void asks_drop(node *n);

/* ---- Things ---- */

typedef struct node_version {
    char sha256[65];
    char *json; /* as it is stored: {"sha256","version","name","description","size","installed_at","file_name","generation","asks","fields","stream_types","timeframes","commands"} */
} node_version;

typedef struct node_plugin {
    list_node node;
    node *n;
    char *id;
    bool enabled;
    char *grants;           /* JSON list of patterns */
    node_version *versions; /* oldest first */
    size_t version_count;
    char active[65], pending[65]; /* "": none */
    bool compiling;
    char *why;   /* it could not be loaded last time; NULL: it could */
    meter meter; /* of connections that are gone; this too: */
    uint64_t traps;
    char *last_trap; /* JSON of one that is gone; NULL */
} node_plugin;

typedef enum connection_state { CONNECTION_LOADING,
                                CONNECTION_READY,
                                CONNECTION_INCOMPLETE, /* a required value is missing */
                                CONNECTION_INVALID,    /* a value is wrong */
                                CONNECTION_FAILED,     /* the plugin could not be loaded with it */
                                CONNECTION_DISABLED } connection_state;

typedef struct node_connection {
    list_node node;
    node *n;
    uint64_t id;
    char id_text[24];
    node_plugin *plugin;
    char *name;
    bool enabled;
    char *config, *secrets; /* JSON objects; secrets "" for none */
    bool sealed;            /* its secrets cannot be read: another key */
    uint64_t created_at, updated_at;
    weir_plugin *live; /* NULL: not loaded */
    connection_state state;
    char *why;
    node_job load;
    size_t row; /* among all, while figures are added up */
    bool again; /* its plugin or values changed while it was loaded */
} node_connection;

typedef struct node_mark node_mark;

typedef struct mark_wait {
    list_node node;
    void (*fn)(void *arg);
    void *arg;
} mark_wait;

/* Asked of the history; the stream may go first. */
typedef struct stream_question {
    node *n;
    struct node_stream *stream; /* NULL: gone */
} stream_question;

typedef struct node_stream {
    list_node node;
    node *n;
    uint64_t id;
    char id_text[24];
    node_connection *connection;
    char *type, *identifier, *parameters; /* the last a JSON object */
    bool wanted;
    uint64_t created_at;
    record_stream *records;
    node_mark *mark;
    weir_stream *live;
    uint64_t since;       /* of its state */
    char *why;            /* of a state that `live` does not know */
    bool failed;          /* it could not be opened */
    bool asking;          /* the history, since when it misses something */
    bool marking, marked; /* it waits for its mark to be durable; it is */
    mark_wait mark_wait;
    stream_question *question;
    ask *removing;                 /* answered when it has ended; NULL: it stays */
    bool stored;                   /* the store has it */
    bool restarting;               /* it stops to begin again */
    uint64_t missed, missed_event; /* it comes back: records are missing since; ts_event of the last one */
    deferred reap;
} node_stream;

typedef struct node_sink {
    list_node node;
    node *n;
    uint64_t id;
    char id_text[24];
    char *name, *spec, *pattern, *policy;
    bool enabled;
    bool of_one; /* only records of `connection` */
    uint64_t connection;
    weir_sink *live;
    weir_sink *leaving; /* was `live`, and its other end has still to acknowledge some */
    bool open_then;     /* when that has gone */
    char *why;
    uint32_t tries;
    timer retry;
    deferred reap;
    weir_sink_account before; /* of the times that it was open before */
} node_sink;

typedef struct node_token_row {
    list_node node;
    char *id, *name;
    node_scope scope;
    char hash[65];
    uint64_t expires_at, created_at;
} node_token_row;

struct node {
    weir_host *host;
    store *store;
    hub *hub;
    loop *loop;
    char *name, *data_dir;
    bool demo, uploads_approved, started, draining, freeing;
    const node_share *share; /* NULL: alone */
    list takings;            /* rows of others that wait for their job */
    bool taking;             /* the job that runs brings what the share has already */
    uint64_t started_at, started_mono, max_code;
    list plugins, connections, streams, sinks, tokens, asks, jobs, watches, log_watches;
    map *marks;      /* topic -> node_mark */
    map *names;      /* record_stream_name -> node_stream */
    map *stream_ids; /* "7" -> node_stream */
    unsigned asking; /* questions to the history before streams come back */
    sub *history;
    deferred history_work; /* marks that are due */
    list due_marks;
    timer log_tick;
    list ui;

    /* node_drain */
    timer drain_deadline;
    void (*on_drained)(void *arg, bool whole);
    void *drained_arg;
    uint64_t drain_until;
    bool drain_flushing, drain_cut;
};

void changed(node *n, const char *what, const char *id);

/* ---- node_plugins.c, plugin_show.c, plugin_upgrade.c ---- */
weir_code plugins_load(node *n, weir_error *err);
node_plugin *plugin_find(const node *n, const char *id);
void plugin_free(node_plugin *p);
weir_code plugin_octets(buf *out, const node_plugin *p, weir_error *err);     /* of its active version */
const node_version *plugin_version(const node_plugin *p, const char *sha256); /* NULL: none */
void plugin_retire(node_connection *c);                                       /* frees c->live, keeping its figures with the plugin */

typedef struct plugin_sums {
    uint64_t connections, streams, messages, records, gaps, restarts, traps;
    uint64_t memory, memory_limit, instances;
    meter meter;
} plugin_sums;
plugin_sums plugin_sum_up(const node_plugin *p);

/* ---- node_connections.c, connection_values.c ---- */
weir_code connections_load(node *n, weir_error *err);
node_connection *connection_find(const node *n, const char *id);
node_connection *connection_of_plugin(const node *n, const node_plugin *p); /* the first; NULL */
/* In a job: the plugin's first connection, made if it needs no configuration. */
weir_code connection_first(node_connection **out, node *n, node_plugin *p, weir_error *err);
void connection_free(node_connection *c);
void connection_reload(node_connection *c);                      /* loads, or unloads, as it is wanted now; by a job */
void connection_unload(node_connection *c);                      /* at once; its streams wait */
weir_code connection_config(buf *out, const node_connection *c); /* its values and secrets as one object, NUL behind */
size_t connection_streams(const node_connection *c);
/* In a job: takes it away with its streams. */
weir_code connection_remove(node_connection *c, weir_error *err);
const char *connection_state_name(connection_state s);

/* ---- node_streams.c, stream_life.c ---- */
weir_code streams_load(node *n, weir_error *err);
void stream_go(node_stream *s);                    /* opens it when all is there that it needs; else says what it waits for */
void stream_halt(node_stream *s, const char *why); /* lets go of the live one, at once; it misses records from now on */
void stream_drop(node_stream *s);                  /* frees */
const char *stream_state_text(const node_stream *s, const char **why);
void streams_drain(node *n);
bool streams_drained(const node *n);

/* ---- marks.c ---- */
struct node_mark {
    char *name;               /* of its stream: record_stream_name */
    uint64_t durable, wanted; /* numbers up to it may be given out; the same of what is being stored */
    uint64_t at;              /* when it was put, real ns */
    uint64_t last_ns;         /* of the last record in the history at the start; 0: none */
    uint64_t reached;         /* a number that was given out, when it is due for a look */
    list_node due;
    bool kept;    /* the store had one at the start */
    bool refused; /* the store took none last time, and the log has said so */
    list waiting; /* of mark_wait */
};
weir_code marks_load(node *n, weir_error *err);
void marks_free(node *n);
node_mark *mark_of(node *n, bytes name);                    /* made if need be; NULL: out of memory */
node_mark *mark_of_stream(node *n, const record_stream *s); /* the same, with what was kept before streams had names */
/* Room for the numbers behind `seq`? Puts it ahead if need be. */
bool mark_ahead(node *n, node_mark *m, uint64_t seq);
void mark_exact(node *n, node_mark *m, uint64_t seq); /* at a stop in good order */

/* ---- history.c ---- */
weir_code history_begin(node *n, weir_error *err);
void history_end(node *n);
void history_drain(node *n); /* what was published goes to the store, now */

/* ---- node_sinks.c, node_tokens.c, node_ui.c, logs.c ---- */
weir_code sinks_load(node *n, weir_error *err);
void sinks_start(node *n);
bool sinks_settled(const node *n); /* those whose other end is there have brought all out */
void sinks_free(node *n);
weir_code tokens_load(node *n, weir_error *err);
void tokens_free(node *n);
weir_code ui_load(node *n, weir_error *err);
void ui_free(node *n);

const char *sink_state_text(const node_sink *k, const char **why);
weir_sink_account sink_account_of(const node_sink *k); /* of all the times that it was open */
uint64_t resident_octets(void);
uint64_t cpu_ms(void);

/* ---- Small ones ---- */
bool text_replace(char **at, const char *with); /* a copy in its place; false: out of memory. NULL is fine */
bool is_number(const char *text);
size_t list_count(const list *l);
/* What a walk over rows of the store, at the start, has in hand; the first failure ends it. */
typedef struct row_load {
    node *n;
    weir_error *err;
    weir_code code;
} row_load;

/* For rows of the store: the text is there, or the row makes no sense (INVALID), or memory is out. */
weir_code row_text(char **out, json row, const char *member, weir_error *err);
char *json_text(json object, const char *member);            /* heap copy; NULL: none or no text */
void member_time(buf *out, const char *member, uint64_t ns); /* text; null for 0 */
void member_u64(buf *out, const char *member, uint64_t value);
void member_bool(buf *out, const char *member, bool value);
void member_raw(buf *out, const char *member, const char *json); /* NULL: null */
void member_text(buf *out, const char *member, const char *text);

#endif
