/* inside.h: what the files of cluster/ share. */
#ifndef CLUSTER_INSIDE_H
#define CLUSTER_INSIDE_H

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/map.h"
#include "cluster/cluster.h"
#include "cluster/keeper.h"
#include "cluster/talk.h"
#include "node/share.h"

#define ID_TEXT 17
#define KEY_TEXT 33
#define SUBJECT_TEXT (TOPIC_MAX + 64)

/* Of a node, as its session's row says. */
typedef struct member {
    cluster *c;
    char id[ID_TEXT], session[ID_TEXT]; /* session "": struck out, or left */
    char *name;
    uint64_t revision, lease_ns;
    uint64_t seen;  /* mono, when its row was last seen to change */
    uint64_t since; /* mono, when this session was first seen */
    uint64_t streams;
    bool striking;
} member;

/* Of records that wait for the server, in order; the first may be on its way. */
typedef struct chunk {
    list_node node;
    buf lines;
    uint64_t first_seq, last_seq, last_time, last_event, records;
    uint64_t id; /* once it was sent; then nothing is added */
} chunk;

typedef enum lease_state { LEASE_NONE,
                           LEASE_TAKING,  /* the row is being written */
                           LEASE_LOOKING, /* where its records end */
                           LEASE_FENCING, /* a mark behind them */
                           LEASE_MARKING, /* room for numbers */
                           LEASE_HELD,
                           LEASE_LEAVING } lease_state; /* its last records are on their way, then the row */

/* Of a stream ("t.HASH"), or of all streams of an account ("a.CONNECTION"). */
typedef struct lease {
    cluster *c;
    char key[KEY_TEXT + 2];
    char *name;            /* record_stream_name; NULL: an account's, or one that this node does not know (yet) */
    struct lease *account; /* to be held first; NULL: none */
    bool wanted;           /* here and now */
    bool wanted_next;      /* while it is being found out */

    /* as its row has it */
    uint64_t revision; /* 0: never had one */
    char holder[ID_TEXT], session[ID_TEXT];
    uint64_t mark, at; /* numbers up to it may have been given out; since when records may be missing, real ns, 0: none are */

    /* ours */
    lease_state state;
    uint64_t epoch, mark_before, at_before;
    uint64_t seq, missed, missed_event; /* where to go on */
    uint64_t seq_given;                 /* the last that was published here */
    uint64_t last_time, last_event;     /* of its last record in JetStream */
    uint64_t at_next;                   /* of the row that is being written */
    bool marking, moves, writing;
    char why[160];

    /* its records on their way */
    list chunks;
    uint64_t place; /* of its subject's last message */
    chunk *sending; /* the first of them, once it was sent */
    bool flying, late;
    record_gap lost; /* what was not carried since the last one that was; count 0: nothing */
    record *newest;  /* its last data record, if somebody keeps the stream (an order book): what a whole stands behind */
    bool large_told; /* that its whole is too large for a message */
} lease;

typedef struct mirror mirror;

/* A stream as records of others come. */
typedef struct fed {
    record_stream *stream; /* a reference */
    mirror *mirror;        /* of an order book; NULL */
    uint64_t last_seq, last_time, epoch, holes;
} fed;

typedef struct row row;

typedef enum cluster_state { CLUSTER_AWAY,
                             CLUSTER_LOADING, /* rows come */
                             CLUSTER_JOINING,
                             CLUSTER_IN,
                             CLUSTER_REFUSED,
                             CLUSTER_LEFT } cluster_state;

struct cluster {
    node *n;
    loop *loop;
    talk *talk;
    keeper *keeper;
    node_share share;
    char id[ID_TEXT], run[ID_TEXT], session[ID_TEXT];
    char meta[ID_TEXT], joined[ID_TEXT]; /* the cluster's name; the one that this node was in before */
    char print[STORE_KEY_PRINT];
    uint64_t lease_ns, grace_ns;

    cluster_state state;
    char why[500];
    bool blind; /* a row could not be kept for want of memory: nothing is decided until all have come anew */
    bool loaded, started, leaving, meta_asked, founding;
    void (*on_left)(void *arg);
    void *left_arg;

    map *members; /* id -> member */
    map *leases;  /* key -> lease */
    map *streams; /* name -> lease */
    map *fed;     /* name -> fed */

    /* our session */
    uint64_t session_revision, renewed, renew_sent; /* mono: before what was acknowledged was sent */
    bool renewing;
    char unrenewed[400]; /* why it cannot be renewed now: what NATS said, or what is wrong with NATS */
    timer tick, end;
    deferred send;
    timer look;
    uint64_t looked;

    /* numbers for new things */
    uint64_t numbers_at, numbers_end, numbers_revision, numbers_next, numbers_wanted;
    bool numbers_asked;

    /* records */
    sub *out;
    uint64_t out_octets;
    list spare; /* chunks that are used again */
    size_t spare_count;
    uint64_t chunk_ids, refusal_told;
    uint64_t record_place, record_kept, kept_at;
    uint64_t holes;
    struct {
        uint64_t carried, messages, refused, fed, old, bad, dropped, taken, lost, left, struck;
    } figures;

    /* rows (rows.c) */
    map *rows;    /* key -> row */
    map *row_ids; /* "kind:id" -> row */
    list todo[6]; /* rows to be taken: plugins, connections, streams put; streams, connections, plugins removed */
    list orphans; /* what they stand on is not here yet */
    row *taking;
    list own; /* what this node had before */
    uint64_t own_max;
    bool settled, bringing, other_key;
};

/* ---- cluster.c ---- */
void cluster_enter(cluster *c, cluster_state state, const char *format, ...) PRINTF_LIKE(3, 4);
void cluster_key(char out[KEY_TEXT], bytes of); /* a name as a key of the bucket */
void cluster_look(cluster *c);                  /* leases are gone through in the next turn */
void cluster_left(cluster *c);
void cluster_blind(cluster *c);

void cluster_refuse(cluster *c, const char *format, ...) PRINTF_LIKE(2, 3); /* runs nothing; why, for the operator */

/* ---- members.c ---- */
void members_on_row(cluster *c, const char *id, const talk_message *m);
void members_tick(cluster *c);
void members_down(cluster *c);
member *member_of(const cluster *c, const char *id);
bool session_alive(const cluster *c, const char *holder, const char *session);
bool session_valid(const cluster *c); /* ours, at this moment */
void session_join(cluster *c);
void session_lapse(void *arg); /* its time is over, or it was struck out */
void session_leave(cluster *c);
/* Who of those alive (or there long enough to be given something) has this key. */
const member *member_for(const cluster *c, const char *key, bool settled);
void members_free(cluster *c);

/* ---- leases.c ---- */
void leases_on_row(cluster *c, const char *key, const talk_message *m);
void leases_look(void *arg);
void leases_drop(cluster *c, const char *why); /* our session is over: at once */
bool leases_any(const cluster *c);
void lease_lost(lease *l, const char *why);
void lease_mark(lease *l); /* writes more room for numbers */
void lease_emptied(lease *l);
lease *lease_of_stream(const cluster *c, bytes name);
bool lease_may_open(void *arg, bytes name, const char **why);
void leases_free(cluster *c);

/* ---- carry.c ---- */
weir_code carry_begin(cluster *c, weir_error *err);
void carry_drain(cluster *c); /* what was published goes to its lease's chunks */
void carry_flush(lease *l);
void carry_retry(cluster *c); /* whatever waits */
void carry_drop(lease *l);
void carry_whole(cluster *c, bytes name); /* another node wants its whole among the records */
void carry_end(cluster *c);

/* ---- feed.c ---- */
weir_code feed_begin(cluster *c, weir_error *err);
void feed_on_record(cluster *c, const talk_message *m);
void feed_keep(cluster *c); /* its place, into the store */
void feed_on_up(cluster *c, uint64_t first);
void feed_passed(cluster *c, record *r); /* published here */
void feed_end(cluster *c);

/* ---- found.c ---- */
void random_id(char out[ID_TEXT]);
void meta_ask(cluster *c);
void meta_on_row(cluster *c, const talk_message *m);

/* ---- rows.c, modules.c ---- */
void numbers_need(cluster *c);
void numbers_on_row(cluster *c, const talk_message *m);
uint64_t numbers_take(void *arg, const char *kind);
weir_code rows_begin(cluster *c, weir_error *err);
void rows_on_row(cluster *c, const char *key, const talk_message *m);
bool rows_settle(cluster *c); /* all rows are there: is this node one of them? */
void rows_take(cluster *c);
void rows_change(void *arg, const char *kind, const char *id, const char *unique, bytes json, bytes secret, store_done fn, void *fn_arg);
void rows_end(cluster *c);
void module_put(void *arg, const char *sha256, bytes octets, store_done fn, void *fn_arg);
void module_bring(cluster *c, const char *sha256, store_done fn, void *arg); /* out of the store */
void module_get(cluster *c, const char *sha256, store_done fn, void *arg);   /* into the store */

#endif
