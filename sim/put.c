/* Writing what both dialects and REST share: decimals of a market, book levels, figures of perpetuals. */
#include "sim/inside.h"

void put_price(buf *o, const market *m, uint64_t ticks)
{
    if (buf_reserve(o, 64))
        o->len = (size_t)(put_ticks(o->at + o->len, ticks, m->price_digits) - o->at);
}

void put_size(buf *o, const market *m, uint64_t ticks)
{
    if (buf_reserve(o, 64))
        o->len = (size_t)(put_ticks(o->at + o->len, ticks, m->size_digits) - o->at);
}

void put_volume(buf *o, const market *m, u128 ticks)
{
    if (buf_reserve(o, 64))
        o->len = (size_t)(put_ticks_wide(o->at + o->len, ticks, m->size_digits) - o->at);
}

void put_amount(buf *o, const market *m, u128 ticks)
{
    if (buf_reserve(o, 64))
        o->len = (size_t)(put_ticks_wide(o->at + o->len, ticks, m->price_digits + m->size_digits) - o->at);
}

void put_rate(buf *o, int64_t rate)
{
    if (!buf_reserve(o, 64))
        return;
    if (rate < 0)
        buf_add_char(o, '-');
    o->len = (size_t)(put_ticks(o->at + o->len, (uint64_t)(rate < 0 ? -rate : rate), 8) - o->at);
}

static void put_level(buf *o, const market *m, level l, bool first, bool quoted)
{
    buf_add_text(o, first ? (quoted ? "[\"" : "[") : (quoted ? ",[\"" : ",["));
    put_price(o, m, l.price);
    buf_add_text(o, quoted ? "\",\"" : ",");
    put_size(o, m, l.size);
    buf_add_text(o, quoted ? "\"]" : "]");
}

void put_levels(buf *o, const market *m, const level *was, uint32_t was_count, const level *is, uint32_t is_count, bool descending, bool quoted)
{
    bool first = true;
    uint32_t a = 0, b = 0;
    while (a < was_count || b < is_count) {
        bool gone = b == is_count, fresh = a == was_count;
        if (!gone && !fresh && was[a].price != is[b].price) {
            gone = (was[a].price < is[b].price) != descending;
            fresh = !gone;
        }
        level l = gone ? (level){was[a].price, 0} : is[b];
        bool same = !gone && !fresh && was[a].size == is[b].size;
        a += !fresh;
        b += !gone;
        if (same)
            continue;
        put_level(o, m, l, first, quoted);
        first = false;
    }
}

uint64_t market_interest(const market *m, uint64_t ms)
{
    return m->size_scale * (200 + sim_hash(m->seed ^ 0x6f69, ms / 10000) % 20) + sim_hash(m->seed, ms / 10000) % 1000;
}

int64_t market_funding(const market *m, uint64_t ms)
{
    return (int64_t)(sim_hash(m->seed ^ 0x6672, ms / (8 * 60 * MINUTE_MS)) % 20000) - 8000;
}

uint64_t market_funding_time(uint64_t ms)
{
    return (ms / (8 * 60 * MINUTE_MS) + 1) * 8 * 60 * MINUTE_MS;
}
