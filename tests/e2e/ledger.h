/* ledger.h: what the venue sent and what arrived, held against each other record by record.
 *
 *     ledger *l = ledger_new();
 *     sim_options venue = {.on_frame = ledger_told, .on_frame_arg = l};
 *     ledger_line *line = ledger_add(l, host, "trades", "SPOT_BTC_USDT", "trade");
 *     ... the story ...
 *     e2e_on_venue(&world, ledger_made, l);
 *     e2e_close(&world);
 *     ledger_check(line, "what this was", &sum);
 *
 * A line is one stream of candles or trades. What its market made (trades: all of them, also while nobody was
 * connected; candles: each state that the venue had a socket for) either arrived, or lies where a gap record
 * stands, or was kept back by the venue itself on a living connection. Nothing arrived that the venue did not
 * send, and nothing more often. Judged is what lies between the first record that arrived and the last. */
#ifndef TESTS_E2E_LEDGER_H
#define TESTS_E2E_LEDGER_H

#include "tests/e2e/e2e.h"

typedef struct ledger ledger;
typedef struct ledger_line ledger_line;

ledger *ledger_new(void);
void ledger_free(ledger *l);

/* Reads the records of one stream, of a type "ohlcv" (one minute) or "trades". No two lines have one symbol. */
ledger_line *ledger_add(ledger *l, weir_host *host, const char *type, const char *symbol);
uint64_t ledger_arrived(const ledger_line *line);   /* records so far */
uint64_t ledger_since_gap(const ledger_line *line); /* behind the last gap record */
uint64_t ledger_gaps(const ledger_line *line);
uint64_t ledger_last_ms(const ledger_line *line);     /* the venue's time of the newest record */
const char *ledger_last_gap(const ledger_line *line); /* its JSON; "" for none */

void ledger_told(void *ledger, uint64_t connection, bytes frame, sim_fate fate); /* for sim_options.on_frame */
void ledger_made(sim *s, void *ledger);                     /* on the venue's thread, when the story is over */

typedef struct ledger_sum {
    uint64_t made, arrived, doubled, named, kept_back; /* the last two: missing, for one reason or the other */
} ledger_sum;
/* A failed test, with `what` in its text, unless all is as said above. */
void ledger_check(ledger_line *line, const char *what, ledger_sum *sum);

#endif
