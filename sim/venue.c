/* The market model: path, trades, candles, books. See venue.h. */
#include "sim/venue.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- Chance and decimals ---- */

uint64_t sim_hash(uint64_t a, uint64_t b)
{
    uint64_t x = a + b * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

char *put_u64(char *at, uint64_t value)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n)
        *at++ = digits[--n];
    return at;
}

char *put_ticks_wide(char *at, u128 ticks, unsigned digits)
{
    char reversed[64]; /* 39 digits at most, padded to digits + 1 */
    unsigned n = 0;
    while (digits && ticks % 10 == 0) {
        if (ticks == 0) {
            *at++ = '0';
            return at;
        }
        ticks /= 10;
        digits--;
    }
    do {
        reversed[n++] = (char)('0' + (unsigned)(ticks % 10));
        ticks /= 10;
    } while (ticks || n <= digits);
    while (n > digits)
        *at++ = reversed[--n];
    if (digits)
        *at++ = '.';
    while (n)
        *at++ = reversed[--n];
    return at;
}

char *put_ticks(char *at, uint64_t ticks, unsigned digits)
{
    char reversed[64];
    unsigned n = 0;
    if (ticks == 0) {
        *at++ = '0';
        return at;
    }
    while (digits && ticks % 10 == 0) {
        ticks /= 10;
        digits--;
    }
    do {
        reversed[n++] = (char)('0' + ticks % 10);
        ticks /= 10;
    } while (ticks || n <= digits);
    while (n > digits)
        *at++ = reversed[--n];
    if (digits)
        *at++ = '.';
    while (n)
        *at++ = reversed[--n];
    return at;
}

/* ---- Time frames ---- */

static const timeframe timeframes[] = {
    {"1m", "1m", 1, 0, 0},
    {"3m", "3m", 3, 0, 0},
    {"5m", "5m", 5, 0, 0},
    {"15m", "15m", 15, 0, 0},
    {"30m", "30m", 30, 0, 0},
    {"1h", "1h", 60, 0, 0},
    {"2h", "2h", 120, 0, 0},
    {"4h", "4h", 240, 0, 0},
    {"6h", "6h", 360, 0, 0},
    {"12h", "12h", 720, 0, 0},
    {"1d", "1d", 1440, 0, 0},
    {"3d", "3d", 4320, 0, 0},
    {"1w", "1w", 10080, 0, 5760},
    /* 1970-01-05 was a Monday */ {"1M", "1mon", 0, 1, 0},
    {"1y", "1y", 0, 12, 0},
};
#define TIMEFRAMES (sizeof timeframes / sizeof timeframes[0])

const timeframe *timeframe_at(size_t i)
{
    return i < TIMEFRAMES ? &timeframes[i] : NULL;
}

const timeframe *timeframe_named(bytes name)
{
    for (size_t i = 0; i < TIMEFRAMES; i++)
        if (bytes_is(name, timeframes[i].name) || bytes_is(name, timeframes[i].v1_name))
            return &timeframes[i];
    return NULL;
}

static uint64_t month_start(int year, int month)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = 1};
    return (uint64_t)timegm(&tm) * 1000; /* months past 11 count on into the next year */
}

uint64_t timeframe_start(const timeframe *tf, uint64_t ms)
{
    if (tf->minutes) {
        uint64_t span = tf->minutes * MINUTE_MS, offset = tf->offset * MINUTE_MS;
        return ms < offset ? 0 : (ms - offset) / span * span + offset;
    }
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    return month_start(tm.tm_year + 1900, tf->months == 12 ? 0 : tm.tm_mon);
}

uint64_t timeframe_end(const timeframe *tf, uint64_t start_ms)
{
    if (tf->minutes)
        return start_ms + tf->minutes * MINUTE_MS;
    time_t s = (time_t)(start_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    return month_start(tm.tm_year + 1900, tm.tm_mon + (int)tf->months);
}

/* ---- The price path ---- */

/* Noises of several wave lengths, each a polyline between chances at multiples of its length. */
static const struct {
    uint32_t minutes, ppm; /* swing to each side, in millionths of the base price */
} waves[] = {{40320, 120000}, {10080, 60000}, {1440, 30000}, {360, 15000}, {60, 8000}, {15, 3500}, {5, 1500}, {1, 800}};

static int64_t lattice(uint64_t seed, uint64_t wave, uint64_t at)
{
    return (int64_t)(sim_hash(seed + wave * 7919, at) >> 48) - 32768;
}

/* The path at the start of a minute, in ticks. */
static uint64_t path_at(const market *m, uint64_t minute)
{
    int64_t sum = 0; /* millionths x 32768 */
    for (size_t i = 0; i < sizeof waves / sizeof waves[0]; i++) {
        uint64_t at = minute / waves[i].minutes;
        int64_t into = (int64_t)(minute % waves[i].minutes);
        int64_t from = lattice(m->seed, i, at), to = lattice(m->seed, i, at + 1);
        sum += (from + (to - from) * into / (int64_t)waves[i].minutes) * waves[i].ppm;
    }
    return (uint64_t)((int64_t)m->base_price + (int64_t)m->base_price * (sum / 32768) / 1000000);
}

static uint64_t between(uint64_t from, uint64_t to, uint64_t into_ms)
{
    return (uint64_t)((int64_t)from + ((int64_t)to - (int64_t)from) * (int64_t)into_ms / (int64_t)MINUTE_MS);
}

uint64_t market_mid(const market *m, uint64_t ms)
{
    uint64_t minute = ms / MINUTE_MS;
    return between(path_at(m, minute), path_at(m, minute + 1), ms % MINUTE_MS);
}

/* ---- Trades ---- */

static uint32_t density_of(const market *m, uint64_t minute)
{
    const venue *v = m->venue;
    return minute * MINUTE_MS >= v->start_ms / MINUTE_MS * MINUTE_MS ? v->density : v->past_density;
}

/* Trade `i` of `density` in a minute whose path runs from `a` to `b`: within 0.05 % of the path, which
 * keeps it inside the book's spread. One chance of 64 bits makes time, price, size and side. */
static inline trade trade_at(const market *m, uint64_t minute, uint32_t i, uint32_t density, uint64_t a, uint64_t b)
{
    uint64_t chance = sim_hash(m->seed ^ minute * UINT64_C(0xd6e8feb86659fd93), i);
    uint64_t into = ((uint64_t)i * MINUTE_MS + ((chance & 0xffff) * MINUTE_MS >> 16)) / density;
    uint64_t mid = between(a, b, into);
    uint64_t swing = mid / 2000;
    uint64_t noise = swing ? ((chance >> 16 & 0xfffff) * (2 * swing + 1)) >> 20 : 0;
    uint64_t r = chance >> 36 & 0xfffff;
    return (trade){
        .ms = minute * MINUTE_MS + into,
        .price = mid - swing + noise,
        .size = 1 + (((r * r) >> 20) * m->size_scale >> 20),
        .sell = chance >> 63,
        .internal = (chance >> 56 & 7) == 0,
    };
}

static void seek_minute(market *m, uint64_t minute)
{
    m->minute = minute;
    m->index = 0;
    m->density = density_of(m, minute);
    m->anchor = path_at(m, minute);
    m->anchor_next = path_at(m, minute + 1);
    m->partial = (candle){.start = minute * MINUTE_MS, .end = (minute + 1) * MINUTE_MS};
    m->next = trade_at(m, minute, 0, m->density, m->anchor, m->anchor_next);
}

static void keep_minute(market *m, const candle *c);

trade market_take(market *m)
{
    trade t = m->next;
    candle_add_trade(&m->partial, &t);
    if (++m->index < m->density) {
        m->next = trade_at(m, m->minute, m->index, m->density, m->anchor, m->anchor_next);
    } else {
        keep_minute(m, &m->partial);
        seek_minute(m, m->minute + 1);
    }
    return t;
}

void market_seek(market *m, uint64_t now_ms)
{
    seek_minute(m, now_ms / MINUTE_MS);
    while (m->next.ms <= now_ms)
        market_take(m);
}

size_t market_trades(market *m, uint64_t from_ms, uint64_t to_ms, trade *out, size_t max)
{
    size_t n = 0; /* gathered from the newest backwards, then turned */
    uint64_t floor = from_ms > m->venue->listed_ms ? from_ms : m->venue->listed_ms;
    for (uint64_t minute = to_ms / MINUTE_MS; n < max && (minute + 1) * MINUTE_MS > floor; minute--) {
        uint32_t density = density_of(m, minute);
        uint64_t a = path_at(m, minute), b = path_at(m, minute + 1);
        for (uint32_t i = density; i-- && n < max;) {
            trade t = trade_at(m, minute, i, density, a, b);
            if (t.ms <= to_ms && t.ms > floor)
                out[n++] = t;
        }
        if (minute == 0)
            break;
    }
    for (size_t i = 0; i < n / 2; i++) {
        trade t = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = t;
    }
    return n;
}

/* ---- Candles ---- */

void candle_add_trade(candle *c, const trade *t)
{
    if (c->count == 0)
        c->open = c->high = c->low = t->price;
    if (t->price > c->high)
        c->high = t->price;
    if (t->price < c->low)
        c->low = t->price;
    c->close = t->price;
    c->volume += t->size;
    c->amount += (u128)t->price * t->size;
    c->count++;
}

static void candle_add(candle *c, const candle *later)
{
    if (later->count == 0)
        return;
    if (c->count == 0)
        c->open = later->open;
    if (c->count == 0 || later->high > c->high)
        c->high = later->high;
    if (c->count == 0 || later->low < c->low)
        c->low = later->low;
    c->close = later->close;
    c->volume += later->volume;
    c->amount += later->amount;
    c->count += later->count;
}

/* Where the minute's candle is kept; NULL when out of memory (it is then computed each time). */
static candle *minute_place(market *m, uint64_t minute)
{
    uint64_t first = m->venue->listed_ms / DAY_MS;
    if (minute / 1440 < first)
        return NULL;
    size_t day = (size_t)(minute / 1440 - first);
    if (day >= m->day_cap) {
        size_t cap = day + 32;
        candle **grown = realloc(m->days, cap * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + m->day_cap, 0, (cap - m->day_cap) * sizeof *grown);
        m->days = grown;
        m->day_cap = cap;
    }
    if (!m->days[day])
        m->days[day] = calloc(1440, sizeof **m->days);
    return m->days[day] ? &m->days[day][minute % 1440] : NULL;
}

static void keep_minute(market *m, const candle *c)
{
    candle *place = minute_place(m, c->start / MINUTE_MS);
    if (place && c->count == density_of(m, c->start / MINUTE_MS))
        *place = *c;
}

/* A minute as far as it has come by `now_ms`; whole ones are computed once. */
static candle minute_candle(market *m, uint64_t minute, uint64_t now_ms)
{
    bool whole = (minute + 1) * MINUTE_MS <= now_ms;
    candle *place = whole ? minute_place(m, minute) : NULL;
    if (place && place->count)
        return *place;
    candle c = {.start = minute * MINUTE_MS, .end = (minute + 1) * MINUTE_MS};
    uint32_t density = density_of(m, minute);
    uint64_t a = path_at(m, minute), b = path_at(m, minute + 1);
    for (uint32_t i = 0; i < density; i++) {
        trade t = trade_at(m, minute, i, density, a, b);
        if (t.ms > now_ms)
            break;
        candle_add_trade(&c, &t);
    }
    if (place)
        *place = c;
    return c;
}

static void add_minutes(market *m, uint64_t from_ms, uint64_t to_ms, uint64_t now_ms, candle *out)
{
    if (from_ms < m->venue->listed_ms)
        from_ms = m->venue->listed_ms;
    for (uint64_t minute = from_ms / MINUTE_MS; minute * MINUTE_MS < to_ms && minute * MINUTE_MS <= now_ms; minute++) {
        candle c = minute_candle(m, minute, now_ms);
        candle_add(out, &c);
    }
}

bool market_candle(market *m, const timeframe *tf, uint64_t start_ms, uint64_t now_ms, candle *out)
{
    *out = (candle){.start = start_ms, .end = timeframe_end(tf, start_ms)};
    add_minutes(m, start_ms, out->end, now_ms, out);
    return out->count > 0;
}

void market_day(market *m, uint64_t now_ms, candle *out)
{
    uint64_t from = (now_ms / MINUTE_MS - 1440 + 1) * MINUTE_MS;
    *out = (candle){.start = from, .end = now_ms};
    add_minutes(m, from, now_ms + 1, now_ms, out);
}

/* ---- Books ---- */

/* What lies at a price in a slot; 0: nothing. Each price changes every 64 slots, each at its own. */
static uint64_t size_at(const market *m, uint64_t price, bool ask, uint64_t slot)
{
    uint64_t place = sim_hash(m->seed ^ (ask ? 0x5555 : 0xaaaa), price);
    uint64_t chance = sim_hash(place, (slot + (place & 63)) / 64);
    if ((chance & 7) == 0)
        return 0;
    uint64_t r = chance >> 40 & 0xfffff;
    return 1 + ((r * r >> 20) * m->size_scale >> 18);
}

/* The path does not stir the book by each tick: levels lie on a grid of price_step. */
void market_book(const market *m, uint64_t ms, bool tight, uint32_t depth, book *out)
{
    uint64_t slot = ms / VENUE_SLOT_MS;
    uint64_t mid = market_mid(m, slot * VENUE_SLOT_MS);
    uint64_t half = tight ? mid / 1500 : mid / 500;
    uint64_t step = m->price_step;
    uint64_t ask = (mid + half + step) / step * step, bid = (mid - half - 1) / step * step;
    if (depth > VENUE_DEPTH_MAX)
        depth = VENUE_DEPTH_MAX;
    for (out->asks = 0; out->asks < depth; ask += step) {
        uint64_t size = size_at(m, ask, true, slot);
        if (size)
            out->ask[out->asks++] = (level){ask, size};
    }
    for (out->bids = 0; out->bids < depth && bid > 0; bid -= bid > step ? step : bid) {
        uint64_t size = size_at(m, bid, false, slot);
        if (size)
            out->bid[out->bids++] = (level){bid, size};
    }
}

bool book_equal(const book *a, const book *b)
{
    return a->asks == b->asks && a->bids == b->bids && !memcmp(a->ask, b->ask, a->asks * sizeof *a->ask) &&
           !memcmp(a->bid, b->bid, a->bids * sizeof *a->bid);
}

uint64_t market_book_changed(const market *m, uint64_t ms, bool tight, uint32_t depth)
{
    static _Thread_local book now, before; /* 16 KiB each: not for the stack */
    uint64_t slot = ms / VENUE_SLOT_MS;
    market_book(m, slot * VENUE_SLOT_MS, tight, depth, &now);
    for (; slot > 0; slot--) {
        market_book(m, (slot - 1) * VENUE_SLOT_MS, tight, depth, &before);
        if (!book_equal(&now, &before))
            break;
    }
    return slot * VENUE_SLOT_MS;
}

/* ---- The list of markets ---- */

/* Prices as of late 2026, roughly; PEPE with twelve decimals, since clients must survive it. */
static const struct {
    const char *base, *quote;
    bool perp;
    uint8_t price_digits, size_digits;
    uint64_t base_price, size_scale;
} listed[] = {
    {"BTC", "USDT", false, 2, 8, 8700000, 200000000},
    {"ETH", "USDT", false, 2, 6, 310000, 20000000},
    {"SOL", "USDT", false, 3, 4, 180000, 3000000},
    {"WOO", "USDT", false, 5, 2, 7345, 5000000},
    {"PEPE", "USDT", false, 12, 0, 123456, 900000000},
    {"DOGE", "USDT", false, 6, 1, 214500, 500000},
    {"XRP", "USDT", false, 4, 2, 24600, 1000000},
    {"1INCH", "USDT", false, 4, 1, 2650, 100000},
    {"2Z", "USDT", false, 5, 1, 14320, 200000},
    {"0G", "USDT", false, 4, 1, 13200, 50000},
    {"AAVE", "USDT", false, 2, 4, 19500, 500000},
    {"BTC", "USDC", false, 2, 8, 8700000, 100000000},
    {"ETH", "USDC", false, 2, 6, 310000, 10000000},
    {"BTC", "USDT", true, 1, 5, 870000, 500000},
    {"ETH", "USDT", true, 2, 4, 310000, 500000},
    {"SOL", "USDT", true, 3, 2, 180000, 100000},
    {"WOO", "USDT", true, 5, 0, 7345, 50000},
    {"DOGE", "USDT", true, 5, 0, 21450, 100000},
    {"PEPE", "USDT", true, 12, 0, 123456, 900000000},
    {"LTC", "USDT", true, 2, 3, 9400, 200000},
};
#define LISTED (sizeof listed / sizeof listed[0])

static void market_init(market *m, venue *v, size_t i)
{
    m->venue = v;
    if (i < LISTED) {
        snprintf(m->base, sizeof m->base, "%s", listed[i].base);
        snprintf(m->quote, sizeof m->quote, "%s", listed[i].quote);
        m->perp = listed[i].perp;
        m->price_digits = listed[i].price_digits;
        m->size_digits = listed[i].size_digits;
        m->base_price = listed[i].base_price;
        m->size_scale = listed[i].size_scale;
    } else {
        snprintf(m->base, sizeof m->base, "SIM%zu", (i - LISTED) / 2 + 1);
        snprintf(m->quote, sizeof m->quote, "USDT");
        m->perp = (i - LISTED) % 2;
        m->price_digits = (uint8_t)(2 + i % 4);
        m->size_digits = (uint8_t)(i % 5);
        m->base_price = 5000 + sim_hash(i, 17) % 900000;
        m->size_scale = 1000 + sim_hash(i, 18) % 500000;
    }
    snprintf(m->symbol, sizeof m->symbol, "%s_%s_%s", m->perp ? "PERP" : "SPOT", m->base, m->quote);
    m->price_step = m->base_price / 5000 ? m->base_price / 5000 : 1;
    m->seed = v->seed;
    for (const char *c = m->symbol; *c; c++)
        m->seed = sim_hash(m->seed, (unsigned char)*c);
}

weir_code venue_new(venue **out, const venue_options *options, weir_error *err)
{
    double per_minute = (options->rate > 0 ? options->rate : 2.0) * 60.0 + 0.5;
    if (per_minute < 1 || per_minute > 60e6)
        return error_set(err, WEIR_INVALID, "rate %g: a market has between 1 trade a minute (0.0167) and 1000000 a second", options->rate);
    venue *v = calloc(1, sizeof *v);
    size_t count = options->symbols > LISTED ? options->symbols : LISTED;
    if (v)
        v->markets = calloc(count, sizeof *v->markets);
    if (!v || !v->markets) {
        free(v);
        return error_set(err, WEIR_NOMEM, "simulated market: out of memory");
    }
    v->seed = sim_hash(options->seed, 0x77656972);
    v->density = (uint32_t)per_minute;
    v->past_density = v->density < 120 ? v->density : 120;
    v->start_ms = options->start_ms;
    uint64_t span = (options->history_days ? options->history_days : 60) * DAY_MS;
    v->listed_ms = options->start_ms > span ? (options->start_ms - span) / DAY_MS * DAY_MS : DAY_MS;
    v->count = count;
    for (size_t i = 0; i < count; i++)
        market_init(&v->markets[i], v, i);
    *out = v;
    return WEIR_OK;
}

void venue_free(venue *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->count; i++) {
        for (size_t day = 0; day < v->markets[i].day_cap; day++)
            free(v->markets[i].days[day]);
        free(v->markets[i].days);
    }
    free(v->markets);
    free(v);
}

market *venue_find(venue *v, bytes symbol)
{
    for (size_t i = 0; i < v->count; i++)
        if (bytes_is(symbol, v->markets[i].symbol))
            return &v->markets[i];
    return NULL;
}
