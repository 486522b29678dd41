/* The WOO X plugin, what its files share.
 *
 *     woox.c      who we are, settings, forms, time frames
 *     rest.c      markets, history, account: one GET each
 *     stream.c    start_stream and stop_stream: the socket, its subscription, its heartbeat
 *     record.c    one frame of the venue to one record
 *     book.c      order book: the snapshot and the deltas that belong behind it
 *
 * Everything speaks the venue's version 3: decimals are strings there, and stay the venue's own
 * digits in what we publish. One instance runs one stream, so there is one stream struct.
 */
#ifndef WOOX_H
#define WOOX_H

#include "weir_pdk.h"

#define WOOX_REST "https://api.woox.io"
#define WOOX_SOCKET "wss://wss.woox.io/v3/public"

/* ---- woox.c ---- */

typedef struct woox_timeframe {
    const char *name;  /* as REST spells it, and get_timeframes lists it; NULL: REST has none */
    const char *topic; /* as the socket spells it */
    const char *alias; /* a third spelling that hosts use, or NULL */
    const char *label; /* for people */
    uint32_t seconds;
} woox_timeframe;

/* The time frame by any of its spellings; NULL for an unknown one. */
const woox_timeframe *woox_timeframe_find(weir_str name);

/* Whether this is a symbol (SPOT_BTC_USDT): safe in a URL, in a topic and in JSON as it stands. */
bool woox_symbol_ok(weir_str symbol);

/* ---- rest.c ---- */

typedef struct woox_answer {
    weir_str data;         /* the "data" member; points into the exchange's buffer */
    uint64_t timestamp_ms; /* the reply's "timestamp" */
} woox_answer;

/* GETs a path (with query) and reads the envelope; signs it when `secret` is not empty. The venue's
 * word is "success":true, never the HTTP status: unknown paths answer 200. */
bool woox_get(weir_http *http, weir_str path, weir_str key, weir_str secret, woox_answer *out, weir_fail *fail);

/* ---- record.c ---- */

typedef enum woox_kind { WOOX_OHLCV,
                         WOOX_TRADES,
                         WOOX_ORDERBOOK,
                         WOOX_TICKER,
                         WOOX_BBO } woox_kind;

/* What a stream is about, from the StreamKey. */
typedef struct woox_key {
    woox_kind kind;
    char type[16], source[64], symbol[48];
    char span[8]; /* the time frame of candles, the depth of a book, else empty */
} woox_key;

/* Begins a record of this stream: `{"symbol":…,"timestamp":…` with the time `ms`. */
weir_buf *woox_record_begin(weir_publisher *out, const woox_key *key, uint64_t event_ms, uint64_t ms);

/* Makes and publishes the record for one frame's `data` (which may be followed by more text). False
 * if the frame lacks something or the host did not take the record. */
bool woox_record(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail);

/* ---- book.c ---- */

typedef enum woox_book_state {
    BOOK_FETCH, /* a snapshot is to be had next */
    BOOK_DRAIN, /* have one; taking the deltas that already wait, then fit them together */
    BOOK_PAUSE, /* it did not fit; taking deltas for a while, then fetch again */
    BOOK_LIVE   /* the snapshot is published, deltas follow it one by one */
} woox_book_state;

typedef struct woox_book {
    woox_book_state state;
    unsigned tries;       /* snapshots fetched since the book was last whole */
    weir_http http;       /* the snapshot */
    woox_answer snapshot; /* points into http */
    weir_buf held;        /* deltas waiting for a snapshot: u32 length, then the text, and so on */
    unsigned held_count, pause_until;
    uint64_t last_ms; /* the ts of what we published last: the chain's end */
} woox_book;

/* Starts over: nothing published yet. Buffers are kept. */
void woox_book_reset(woox_book *b);

/* How long to wait for the next frame in this state, for weir_ws_receive. */
int32_t woox_book_patience(const woox_book *b);

/* Takes one delta. Live, it is published if it continues the chain; a break in the chain begins a
 * new snapshot. False only when the book cannot go on. */
bool woox_book_delta(woox_book *b, weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail);

/* Does what the state asks for; call it once the subscription stands, before every wait. `quiet`
 * says that the last wait ended without a frame. False after too many tries. */
bool woox_book_step(woox_book *b, weir_publisher *out, const woox_key *key, bool quiet, weir_fail *fail);

#endif
