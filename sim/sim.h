/* sim.h: a simulated WOO X exchange in this process, for tests and for `weir sim woox`.
 *
 *     sim_options options = {.seed = 7, .tls = true};
 *     if (sim_new(&s, loop, &options, &err)) ...
 *     printf("https://127.0.0.1:%u, trust %s\n", sim_port(s), sim_ca_file(s));
 *
 * One listener speaks REST v1, v3 and history, WebSocket v1/v2 and v3. The market is a function of the
 * seed and the clock (venue.h), so history of any moment can be asked afterwards. Faults are given as
 * text, see sim_fault. All on the loop's thread. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "loop/loop.h"
#include "sim/venue.h"

typedef struct sim sim;

typedef enum sim_clock {
    SIM_CLOCK_REAL,    /* real time, times `speed` */
    SIM_CLOCK_STEPPED, /* stands until sim_step */
    SIM_CLOCK_MAX,     /* as fast as the readers take what it makes; stands while nobody listens */
} sim_clock;

/* What became of a data frame on its way to one socket. */
typedef enum sim_fate {
    SIM_SENT, /* handed to the socket as it is */
    SIM_ODD,  /* as a binary message, which a plugin may read or not */
    SIM_LOST, /* kept back or made unreadable by a fault, and nobody told */
} sim_fate;

typedef struct sim_options {
    uint64_t seed;
    uint64_t start_ms; /* 0: now */
    sim_clock clock;
    double speed;          /* 0: 1 */
    double rate;           /* trades per second and symbol; 0: 2 (SIM_CLOCK_MAX: 1000) */
    uint64_t frames;       /* stop making frames after so many; 0: never */
    uint32_t symbols;      /* at least; 0: the twenty named ones */
    uint32_t history_days; /* 0: 60 */
    const char *address;   /* NULL: 127.0.0.1 */
    uint16_t port;         /* 0: any */
    bool tls;
    const char *folder;               /* for the certificates; NULL: a new one in TMPDIR, removed at the end */
    const char *truth_file;           /* every candle that closes while somebody streams its market, a JSON line each */
    const char *faults;               /* see sim_fault */
    bool no_limits;                   /* neither request rates nor connection counts */
    bool deflate;                     /* negotiate permessage-deflate (the real venue does not) */
    bool legacy_kline;                /* v3 knows kline_SYM_TF too */
    bool wrapped_kline;               /* /v1/public/kline answers data.rows and honours `size` */
    uint32_t ping_ms;                 /* v2: between server pings; 0: 10,000 */
    uint32_t silence_ms;              /* v3: closes a client silent for so long; 0: 60,000 */
    uint64_t life_ms;                 /* of a connection, in simulated time; 0: 24 h (none under SIM_CLOCK_MAX) */
    const char *api_key, *api_secret; /* NULL: those of the published signature examples */
    /* Told of each data frame, once for each socket that it is for, by the number of its connection; NULL: nobody. */
    void (*on_frame)(void *arg, uint64_t connection, bytes frame, sim_fate fate);
    void *on_frame_arg;
    /* Told when a connection begins and ends to have a topic; NULL: nobody. */
    void (*on_topic)(void *arg, uint64_t connection, bytes topic, bool begins);
    void *on_topic_arg;
    /* Strict (strict.c): a topic has one session at a time, and so have all whose names hold `account`, NULL: none. A
     * second one is hung up on, and told here: `open`: the first is there; else it has ended less than linger_ms ago. */
    bool one_session;
    const char *account;
    uint32_t linger_ms;
    void (*on_refused)(void *arg, uint64_t connection, bytes topic, bool open); /* with on_topic_arg; NULL: nobody */
} sim_options;

typedef struct sim_stats {
    uint64_t connections, requests, refused; /* WebSockets opened; REST calls; 4xx and 5xx among all */
    uint64_t frames;                         /* data frames handed to sockets, copies made by faults included */
    uint64_t octets;                         /* in them */
    uint64_t trades;                         /* made while somebody listened */
    uint64_t candles;                        /* written as truth */
    uint64_t faults;                         /* that struck */
    uint64_t lost;                           /* data frames that a fault kept back */
} sim_stats;

weir_code sim_new(sim **out, loop *l, const sim_options *options, weir_error *err);
void sim_free(sim *s);

uint16_t sim_port(const sim *s);
const char *sim_ca_file(const sim *s); /* NULL without TLS */
uint64_t sim_now_ms(const sim *s);     /* simulated time */
sim_stats sim_get_stats(const sim *s);
size_t sim_clients(const sim *s); /* WebSockets open now */
size_t sim_subscriptions(const sim *s);
bool sim_finished(const sim *s); /* `frames` have been made */
venue *sim_venue(sim *s);

/* Moves a stepped clock on: trades, pushes, heartbeats, closings of that span happen now, in order;
 * their octets leave in the loop's next turns. */
void sim_step(sim *s, uint64_t ms);

/* Adds faults: a list NAME[:KEY=VALUE]..., separated by commas. WEIR_INVALID says what is wrong and what
 * would be right. sim_fault_help is the grammar for people. */
weir_code sim_fault(sim *s, const char *list, weir_error *err);
void sim_fault_clear(sim *s); /* no fault strikes any more; sockets already stalled or silent go on */
extern const char sim_fault_help[];

void sim_disconnect(sim *s); /* resets every WebSocket now */

#endif
