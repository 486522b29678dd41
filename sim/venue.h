/* venue.h: the market model behind the simulated exchange: prices, trades, candles and books as
 * functions of a seed and a moment.
 *
 * Nothing here remembers a past that it could not compute again. The price path is a sum of noises
 * that can be asked at any minute; the trades of a minute follow from the path and the minute's
 * number; candles are what the trades add up to; a book is what lies around the path at a moment. So the
 * same seed gives the same market at the same moments, whenever one starts to look, and stream,
 * history and book agree because there is one source. All arithmetic is on whole ticks.
 *
 * The frequent operation is market_take: the next trade, about ten nanoseconds. */
#ifndef SIM_VENUE_H
#define SIM_VENUE_H

#include "base/buf.h"

__extension__ typedef unsigned __int128 u128;

#define VENUE_SLOT_MS 200u /* books change at multiples of it */
#define VENUE_DEPTH_MAX 500u
#define MINUTE_MS UINT64_C(60000)
#define DAY_MS (1440 * MINUTE_MS)

typedef struct timeframe {
    const char *name;
    const char *v1_name; /* where v1 and v2 call it otherwise */
    uint32_t minutes;    /* 0: see `months` */
    uint32_t months;
    uint32_t offset; /* minutes from the epoch to the first start (weeks begin on Monday) */
} timeframe;

const timeframe *timeframe_named(bytes name);                   /* NULL if there is none; "1M", "1mon" are the same */
const timeframe *timeframe_at(size_t i);                        /* NULL behind the last */
uint64_t timeframe_start(const timeframe *tf, uint64_t ms);     /* of the bar that holds `ms` */
uint64_t timeframe_end(const timeframe *tf, uint64_t start_ms); /* of the bar that starts there */

typedef struct trade {
    uint64_t ms;
    uint64_t price, size; /* ticks */
    bool sell;
    bool internal; /* matched inside the venue ("source 1") */
} trade;

typedef struct candle {
    uint64_t start, end; /* ms */
    uint64_t open, high, low, close;
    u128 volume;    /* size ticks */
    u128 amount;    /* price ticks x size ticks */
    uint64_t count; /* 0: no trade, nothing above holds */
} candle;

typedef struct level {
    uint64_t price, size;
} level;

typedef struct book {
    uint32_t asks, bids; /* how many; asks ascend, bids descend */
    level ask[VENUE_DEPTH_MAX], bid[VENUE_DEPTH_MAX];
} book;

typedef struct market {
    char symbol[40];
    char base[16], quote[8];
    bool perp;
    uint8_t price_digits, size_digits;
    uint64_t base_price; /* ticks around which the path swings */
    uint64_t size_scale; /* ticks of a large trade */
    uint64_t price_step; /* ticks between two levels of the book */
    uint64_t seed;
    struct venue *venue;
    struct candle **days; /* minute candles, a day each, made when asked for */
    size_t day_cap;
    /* The running market (market_seek): */
    trade next;
    uint64_t minute;              /* that `next` lies in */
    uint32_t index;               /* of `next` in its minute */
    uint64_t anchor, anchor_next; /* the path at the ends of that minute */
    uint32_t density;
    struct candle partial; /* the minute under way, trades taken so far */
    void *listened;        /* the sim's own: somebody listens to it */
} market;

typedef struct venue {
    uint64_t seed;
    uint32_t density;      /* trades in a minute, from `start_ms` on */
    uint32_t past_density; /* before it, so that a blast does not slow history down */
    uint64_t start_ms;
    uint64_t listed_ms; /* no trade before it */
    market *markets;
    size_t count;
} venue;

typedef struct venue_options {
    uint64_t seed;
    double rate;           /* trades per second and symbol; 0: 2 */
    uint64_t start_ms;     /* when the simulation starts */
    uint32_t history_days; /* 0: 60 */
    uint32_t symbols;      /* at least; generic ones fill up; 0: the named ones */
} venue_options;

weir_code venue_new(venue **out, const venue_options *options, weir_error *err);
void venue_free(venue *v);
market *venue_find(venue *v, bytes symbol); /* NULL if there is none */

/* Puts the running market just behind `now_ms`: the next trade taken is the first one later than it. */
void market_seek(market *m, uint64_t now_ms);
trade market_take(market *m);

/* The trades (ascending) with from < ms <= to, the last `max` of them. Answers how many. */
size_t market_trades(market *m, uint64_t from_ms, uint64_t to_ms, trade *out, size_t max);
/* The bar of `tf` that starts at `start_ms`, as far as it has come by `now_ms`. False: no trade in it. */
bool market_candle(market *m, const timeframe *tf, uint64_t start_ms, uint64_t now_ms, candle *out);
void candle_add_trade(candle *c, const trade *t);
/* What traded in the 24 hours before `now_ms` (whole minutes, the last one as far as it has come). */
void market_day(market *m, uint64_t now_ms, candle *out);

uint64_t market_mid(const market *m, uint64_t ms);
/* The book at the slot that `ms` lies in; `tight` with the orders that only retail can hit. */
void market_book(const market *m, uint64_t ms, bool tight, uint32_t depth, book *out);
/* When that view last changed: the slot's time. */
uint64_t market_book_changed(const market *m, uint64_t ms, bool tight, uint32_t depth);
bool book_equal(const book *a, const book *b);

uint64_t sim_hash(uint64_t a, uint64_t b); /* 64 well mixed bits */

/* Ticks as decimal text without needless zeros, at most 56 characters; answers where it ends. */
char *put_ticks(char *at, uint64_t ticks, unsigned digits);
char *put_ticks_wide(char *at, u128 ticks, unsigned digits);
char *put_u64(char *at, uint64_t value);

#endif
