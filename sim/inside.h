/* inside.h: what the simulator's files share. sim.c has the clock and the connections, feeds.c the
 * subscriptions and what is pushed to them, woox_ws_v2.c and woox_ws_v3.c the two dialects,
 * woox_rest.c and woox_private.c the requests, limits.c the rates, strict.c who may have a second session, faults.c what goes wrong on purpose. */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"
#include "net/server.h"
#include "sim/folder.h"
#include "sim/sim.h"

#include <stdio.h>

#define SIM_RULES_MAX 24u
#define SIM_QUEUE_HIGH ((size_t)1024u * 1024u)      /* the clock waits for readers beyond it */
#define SIM_QUEUE_CUT ((size_t)32u * 1024u * 1024u) /* in real time: the reader is cut off */
#define SIM_FULL_MS 30000u                          /* for so long, then the reader is cut off too */
#define SIM_TOPICS_MAX 100u
#define SIM_TOPICS_PER_REQUEST 10u
#define SIM_TOPIC_SIZE 96u

/* ---- Faults ---- */

typedef enum fault_kind {
    FAULT_DISCONNECT,
    FAULT_DROP,
    FAULT_CLOSE,
    FAULT_HALF_OPEN, /* a connection's: the end of it */
    FAULT_SILENCE,
    FAULT_PINGFLOOD, /* and what it survives */
    FAULT_MALFORMED,
    FAULT_BADJSON,
    FAULT_BADUTF8,
    FAULT_BINARY,
    FAULT_HUGE,
    FAULT_DUP,
    FAULT_REORDER,
    FAULT_GAP,
    FAULT_LOSE, /* a frame's */
    FAULT_SLOW, /* all frames */
    FAULT_429,
    FAULT_5XX,
    FAULT_HTML,
    FAULT_EMPTY,
    FAULT_SLOWBODY,
    FAULT_CUTBODY,
    FAULT_REDIRECT,
    FAULT_HANG, /* a reply's */
    FAULT_REFUSE,
    FAULT_UPGRADE, /* a handshake's */
    FAULT_SKEW,
    FAULT_CUT, /* the venue's clock */
    FAULT_KINDS,
} fault_kind;

typedef struct fault_rule {
    fault_kind kind;
    double p;          /* chance for each frame or request; 0: not by chance */
    uint64_t every_ms; /* simulated time since the last, per connection */
    uint64_t every_n;  /* frames or requests */
    uint64_t after_n;  /* once per connection, at this frame */
    uint64_t after_ms; /* once per connection, at this age */
    uint64_t times;    /* at most so often in all; 0: without end */
    uint64_t struck;
    uint64_t seen;    /* requests */
    uint64_t next_ms; /* requests: when `every_ms` strikes next */
    uint64_t for_ms;  /* how long it lasts */
    uint64_t delay_ms, split, size, count;
    int64_t by_ms;
    uint16_t status;
    char to[200];
} fault_rule;

typedef struct fault_state { /* of one rule on one connection */
    uint64_t next_ms, frames;
    bool done;
} fault_state;

/* ---- Connections and subscriptions ---- */

typedef enum dialect { DIALECT_V2,
                       DIALECT_V2_PRIVATE,
                       DIALECT_V3,
                       DIALECT_V3_PRIVATE } dialect;

typedef struct client {
    list_node node;
    sim *sim;
    server_ws *ws; /* NULL once it has closed */
    uint64_t number;
    dialect speaks;
    char ip[48];
    char host[80]; /* that it asked for */
    bool authed;
    bool stalled;          /* half-open on purpose, or ending: nothing is said to it any more */
    bool full;             /* the clock waits for it */
    uint64_t full_wall;    /* ms; since when */
    uint64_t opened_ms;    /* simulated */
    uint64_t silent_until; /* simulated; pushes nothing before */
    uint64_t heard_wall;   /* ms; when it last sent anything */
    uint64_t pinged_wall;
    unsigned unanswered; /* pings */
    uint64_t frames;     /* pushed */
    list subs;
    size_t topics;
    fault_state faults[SIM_RULES_MAX];
    buf held; /* a frame that is to come after the next (reorder) */
} client;

typedef enum feed_kind {
    FEED_TRADE,
    FEED_KLINE,
    FEED_BOOK,
    FEED_BOOK_UPDATE,
    FEED_BBO,
    FEED_TICKER,
    FEED_MARK,
    FEED_INDEX,
    FEED_INTEREST,
    FEED_FUNDING,
    FEED_ALL_TICKERS,
    FEED_ALL_BBOS,
    FEED_ALL_MARKS,
    FEED_ALL_INDEXES,
    FEED_PRIVATE,
} feed_kind;

typedef struct feed_spec { /* what a topic's text means */
    feed_kind kind;
    bool v2;     /* the older dialect */
    bool legacy; /* kline_SYM_TF */
    bool tight;  /* rpi */
    market *market;
    const timeframe *tf;
    uint32_t depth;
    uint32_t period_ms;
} feed_spec;

typedef struct bar { /* a candle under way, shared by the feeds of one market and time frame */
    list_node node;
    const timeframe *tf;
    candle now;
    unsigned users;
} bar;

typedef struct active { /* a market that somebody listens to */
    list_node node;
    market *market;
    list feeds;
    list bars;
    unsigned users;
    uint64_t minute_told; /* the last minute written as truth */
    uint64_t order;       /* in which they became active */
    size_t due;           /* its place in the heap, from 1 */
} active;

typedef struct feed {
    list_node node; /* in its market's, or in the sim's `wide` ones */
    feed_spec is;
    char topic[SIM_TOPIC_SIZE];
    active *active; /* NULL for wide feeds */
    bar *bar;
    book *last; /* what the subscribers know; book feeds */
    uint64_t last_ts;
    list subs;
    unsigned count;
} feed;

typedef struct sub {
    list_node of_feed, of_client;
    feed *feed;
    client *client;
} sub;

struct sim {
    loop *loop;
    sim_options options;
    server *server;
    venue *venue;
    cert_folder certs;
    FILE *truth;
    char api_key[128], api_secret[128];

    uint64_t now_ms;                 /* simulated, as far as everything has happened */
    uint64_t origin_ms, origin_mono; /* of the running clock */
    timer tick;                      /* the next thing to happen */
    timer house;                     /* heartbeats, four times a second of real time */
    deferred pump;                   /* SIM_CLOCK_MAX */
    bool blocked;                    /* a reader is full: the clock waits */
    bool finished;
    bool ending; /* sim_free has begun */

    list clients;
    size_t client_count;
    list actives;
    uint64_t actives_made;
    active **due; /* due.c: a heap of them */
    size_t due_count, due_cap;
    list wide;  /* feeds of all markets at once */
    map *feeds; /* by dialect and topic */
    size_t sub_count, book_feeds, minute_feeds;
    sim_stats stats;

    map *sessions; /* strict.c: topic or account -> session */
    map *limits;   /* address and endpoint -> limit_window */
    fault_rule rules[SIM_RULES_MAX];
    size_t rule_count;
    bool frame_faults; /* any rule that looks at frames */
    int64_t skew_ms;
    rand_seeded chance;
    list slow_replies;

    buf scratch; /* a frame or a reply that is being written */
    buf scratch2;
    buf instruments; /* made once */
    char listen_key[65];
    uint64_t listen_key_until;
    uint64_t next_order;
};

/* sim.c */
uint64_t sim_wall_ms(const sim *s);                                /* heartbeats and limits go by it: real, or the stepped clock */
uint64_t sim_stamp(const sim *s);                                  /* what the venue believes the time is */
client *sim_client_new(sim *s, server_request *r, dialect speaks); /* upgrades; NULL if refused */
void sim_touch(sim *s);
void sim_pump_later(sim *s);                                /* something changed: look at the clock again */
void client_send(client *c, const feed *f, bytes frame);    /* a pushed frame, through the faults */
void sim_tell(const client *c, bytes frame, sim_fate fate); /* options.on_frame */
void sim_not_full(client *c);                               /* the clock need not wait for it */
void sim_check_queue(client *c);                            /* is it too slow? */
void client_say(client *c, bytes text);                     /* an answer: untouched by frame faults */

/* due.c: the active markets by their next trade */
bool due_add(sim *s, active *a); /* false: out of memory */
void due_remove(sim *s, active *a);
void due_moved(sim *s, active *a); /* its next trade is another one */
active *due_first(const sim *s);   /* NULL: none */

/* strict.c */
bool strict_enter(client *c, bytes topic); /* false: refused, and it is hung up on */
void strict_leave(const client *c, bytes topic);
void strict_free(sim *s);

/* feeds.c */
typedef enum subscribe_result { SUBSCRIBED,
                                SUBSCRIBE_UNKNOWN,
                                SUBSCRIBE_DOUBLE,
                                SUBSCRIBE_FULL,
                                SUBSCRIBE_NOMEM } subscribe_result;
subscribe_result feed_subscribe(client *c, const feed_spec *is, bytes topic);
bool feed_unsubscribe(client *c, bytes topic);
void feed_drop_all(client *c);
void feeds_advance(sim *s, uint64_t to_ms, uint64_t budget); /* all that happens until then, or until a reader is full */
uint64_t feeds_next_ms(const sim *s);                        /* when something happens next; UINT64_MAX: nothing to come */
uint64_t feed_depth_changed(const market *m, uint64_t ms, bool tight, uint32_t depth);

/* woox_ws_v2.c, woox_ws_v3.c: one dialect each */
void v2_on_text(client *c, bytes text);
void v2_push_trade(sim *s, buf *o, const feed *f, const trade *t);
void v2_push_kline(sim *s, buf *o, const feed *f, const candle *k);
void v2_push_book(sim *s, buf *o, const feed *f, const book *b, uint64_t ts);
void v2_push_delta(sim *s, buf *o, const feed *f, const book *was, const book *is, uint64_t prev_ts, uint64_t ts);
void v2_push_bbo(sim *s, buf *o, const feed *f, const book *b, uint64_t ts);
void v2_push_other(sim *s, buf *o, const feed *f); /* ticker, prices, funding, the wide ones */
void v2_ping(client *c);
void v3_on_text(client *c, bytes text);
void v3_push_trade(sim *s, buf *o, const feed *f, const trade *t);
void v3_push_kline(sim *s, buf *o, const feed *f, const candle *k);
void v3_push_book(sim *s, buf *o, const feed *f, const book *b, uint64_t ts);
void v3_push_delta(sim *s, buf *o, const feed *f, const book *was, const book *is, uint64_t prev_ts, uint64_t ts);
void v3_push_bbo(sim *s, buf *o, const feed *f, const book *b, uint64_t ts);
void v3_push_other(sim *s, buf *o, const feed *f);
/* The levels of `is` that differ from `was`, size 0 for those that went, as [price,size] pairs without
 * the brackets around; quoted for v3. `was` may be NULL: all of `is`. */
void put_levels(buf *o, const market *m, const level *was, uint32_t was_count, const level *is, uint32_t is_count, bool descending, bool quoted);

/* Writing decimals and the like into a buf. */
void put_price(buf *o, const market *m, uint64_t ticks);
void put_size(buf *o, const market *m, uint64_t ticks);
void put_volume(buf *o, const market *m, u128 ticks);
void put_amount(buf *o, const market *m, u128 ticks);

/* Figures that only perpetuals have, out of the same seed. */
uint64_t market_interest(const market *m, uint64_t ms); /* size ticks */
int64_t market_funding(const market *m, uint64_t ms);   /* 1e-8 */
uint64_t market_funding_time(uint64_t ms);              /* the next one */
void put_rate(buf *o, int64_t rate);                    /* "-0.00000441" */

/* woox_rest.c, woox_private.c, limits.c */
void rest_on_request(void *arg, server_request *r);
bool private_request(sim *s, server_request *r, bytes path); /* false: no such path */
void rest_reply(server_request *r, uint16_t status, bytes json);
void rest_error(sim *s, server_request *r, uint16_t status, int code, const char *message);
/* May one more request of `what` come from `who`? At most `most` in any `span_ms`. */
bool limit_take(sim *s, bytes who, const char *what, unsigned most, uint64_t span_ms);
void limits_free(sim *s);

/* faults.c */
weir_code faults_parse(sim *s, const char *list, weir_error *err);
bool faults_frame(client *c, const feed *f, bytes frame);     /* true: dealt with, do not send it */
void faults_tick(sim *s);                                     /* those that strike by time */
bool faults_request(sim *s, server_request *r, bool upgrade); /* true: it has been answered */
void faults_free(sim *s);
uint64_t faults_next_ms(const sim *s); /* when one strikes by time; UINT64_MAX: none */

#endif
