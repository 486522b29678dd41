/* The market model: what follows from a seed, and that candles, trades and books agree. */
#include "sim/venue.h"

#include "tests/lib/test.h"

#define START UINT64_C(1790000000000)

static venue *make(uint64_t seed, double rate)
{
    weir_error err = WEIR_ERROR_INIT;
    venue *v = NULL;
    venue_options o = {.seed = seed, .rate = rate, .start_ms = START, .history_days = 10};
    CHECK_OK(venue_new(&v, &o, &err));
    return v;
}

static bool same_trade(const trade *a, const trade *b)
{
    return a->ms == b->ms && a->price == b->price && a->size == b->size && a->sell == b->sell && a->internal == b->internal;
}

static bool same_candle(const candle *a, const candle *b)
{
    return a->start == b->start && a->end == b->end && a->open == b->open && a->high == b->high && a->low == b->low && a->close == b->close &&
           a->volume == b->volume && a->amount == b->amount && a->count == b->count;
}

TEST(venue, is_the_same_for_the_same_seed_and_another_for_another)
{
    venue *a = make(7, 2), *b = make(7, 2), *c = make(8, 2);
    candle x, y, z;
    const timeframe *tf = timeframe_named(BYTES("1h"));
    for (size_t i = 0; i < a->count; i++) {
        uint64_t at = timeframe_start(tf, START);
        CHECK(market_candle(&a->markets[i], tf, at, START, &x));
        CHECK(market_candle(&b->markets[i], tf, at, START, &y));
        CHECK(market_candle(&c->markets[i], tf, at, START, &z));
        CHECK(same_candle(&x, &y));
        CHECK(x.volume != z.volume);
    }
    venue_free(a);
    venue_free(b);
    venue_free(c);
}

TEST(venue, gives_running_trades_that_are_those_of_history)
{
    venue *v = make(7, 3);
    market *m = venue_find(v, BYTES("SPOT_PEPE_USDT"));
    static trade past[2000];
    market_seek(m, START);
    trade first = market_take(m);
    CHECK(first.ms > START);
    uint64_t last = first.ms;
    size_t n = 1;
    while (m->next.ms <= START + 5 * MINUTE_MS) {
        trade t = market_take(m);
        CHECK(t.ms >= last);
        last = t.ms;
        n++;
    }
    CHECK_UINT(market_trades(m, START, START + 5 * MINUTE_MS, past, 2000), n);
    CHECK(same_trade(&past[0], &first));
    venue_free(v);
}

TEST(venue, has_candles_that_are_what_the_trades_add_up_to)
{
    venue *v = make(1, 2), *fresh = make(1, 2);
    static trade all[20000];
    for (size_t i = 0; i < 3; i++) {
        market *m = &v->markets[i];
        for (size_t t = 0; t < 6; t++) { /* 1m .. 1h */
            const timeframe *tf = timeframe_at(t);
            uint64_t start = timeframe_start(tf, START - 1), end = timeframe_end(tf, start);
            candle made, sum = {.start = start, .end = end};
            CHECK(market_candle(m, tf, start, end, &made));
            size_t n = market_trades(m, start - 1, end - 1, all, 20000);
            for (size_t k = 0; k < n; k++)
                candle_add_trade(&sum, &all[k]);
            CHECK(same_candle(&made, &sum));
            CHECK(made.low <= made.open && made.open <= made.high && made.low <= made.close && made.close <= made.high);
            /* asked half-way, the rest does not show yet; asked afterwards by another, the same */
            CHECK(market_candle(m, tf, start, start + (end - start) / 2, &sum) && sum.count < made.count);
            CHECK(market_candle(&fresh->markets[i], tf, start, end, &sum));
            CHECK(same_candle(&made, &sum));
        }
    }
    venue_free(v);
    venue_free(fresh);
}

TEST(venue, has_books_that_are_ordered_and_around_every_trade)
{
    venue *v = make(3, 2);
    static book b, before;
    for (size_t i = 0; i < v->count; i++) {
        market *m = &v->markets[i];
        trade t[50];
        size_t n = market_trades(m, 0, START, t, 50);
        CHECK_UINT(n, 50);
        market_book(m, START, false, 500, &b);
        CHECK_UINT(b.asks, 500);
        CHECK(b.bids > 100);
        for (uint32_t k = 1; k < 500; k++)
            CHECK(b.ask[k].price > b.ask[k - 1].price && (k >= b.bids || b.bid[k].price < b.bid[k - 1].price));
        for (size_t k = 0; k < n; k++) {
            market_book(m, t[k].ms, false, 1, &b);
            CHECK(b.bid[0].price < t[k].price && t[k].price < b.ask[0].price);
        }
        uint64_t changed = market_book_changed(m, START, false, 50);
        CHECK(changed <= START && changed % VENUE_SLOT_MS == 0);
        market_book(m, changed, false, 50, &b);
        market_book(m, START, false, 50, &before);
        CHECK(book_equal(&b, &before));
        market_book(m, changed - VENUE_SLOT_MS, false, 50, &before);
        CHECK(!book_equal(&b, &before));
    }
    venue_free(v);
}

TEST(venue, knows_where_bars_begin_and_end)
{
    const struct {
        const char *tf;
        uint64_t at, start, end;
    } cases[] = {
        {"1m", 1790000012345, 1789999980000, 1790000040000},
        {"1w", 1790000012345, 1789948800000, 1790553600000}, /* Monday 2026-09-21 */
        {"1M", 1790000012345, 1788220800000, 1790812800000},
        {"1mon", 1798761599999, 1796083200000, 1798761600000}, /* December */
        {"1y", 1790000012345, 1767225600000, 1798761600000},
        {"3d", 1790000012345, 1789776000000, 1790035200000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const timeframe *tf = timeframe_named(bytes_of(cases[i].tf));
        CHECK_UINT(timeframe_start(tf, cases[i].at), cases[i].start);
        CHECK_UINT(timeframe_end(tf, cases[i].start), cases[i].end);
    }
    CHECK(!timeframe_named(BYTES("1D")));
    CHECK(!timeframe_named(BYTES("")));
}

TEST(venue, writes_ticks_as_decimals_without_needless_zeros)
{
    const struct {
        uint64_t ticks;
        unsigned digits;
        const char *text;
    } cases[] = {{0, 8, "0"}, {123456, 12, "0.000000123456"}, {121600, 12, "0.0000001216"}, {100, 2, "1"}, {5, 1, "0.5"}, {42, 0, "42"}, {1000, 0, "1000"}, {UINT64_MAX, 10, "1844674407.3709551615"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[80];
        *put_ticks(text, cases[i].ticks, cases[i].digits) = '\0';
        CHECK_TEXT(text, cases[i].text);
        *put_ticks_wide(text, cases[i].ticks, cases[i].digits) = '\0';
        CHECK_TEXT(text, cases[i].text);
    }
}

TEST(venue, takes_a_trade_without_allocating)
{
    venue *v = make(7, 1000);
    market_seek(&v->markets[0], START);
    while (v->markets[0].next.ms < START + MINUTE_MS)
        market_take(&v->markets[0]);
    uint64_t before = fault_allocations();
    for (int i = 0; i < 50000; i++)
        market_take(&v->markets[0]);
    CHECK_UINT(fault_allocations() - before, 0);
    venue_free(v);
}

TEST(venue, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        venue *v = NULL;
        candle c;
        venue_options o = {.seed = 1, .start_ms = START};
        if (venue_new(&v, &o, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        else
            CHECK(market_candle(&v->markets[0], timeframe_named(BYTES("5m")), START / 300000 * 300000 - 300000, START, &c));
        venue_free(v);
    }
}
