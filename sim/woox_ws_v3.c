/* WebSocket v3: commands SUBSCRIBE, UN_SUBSCRIBE and PING, decimals as strings.
 *
 * The exchange's habits are copied: what it does not know it leaves out of `data` without a word,
 * one topic too many refuses the whole request, and it never pings. */
#include "sim/inside.h"

#include "base/json.h"

/* ---- What a topic means ---- */

static bytes next_part(bytes *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->at, mark, rest->len) : NULL;
    bytes part = {rest->at, at ? (size_t)(at - rest->at) : rest->len};
    *rest = at ? bytes_make(at + 1, rest->len - part.len - 1) : bytes_make(rest->at, 0);
    return part;
}

static bool parse_book(feed_spec *out, bytes name, bytes depth)
{
    if (bytes_is(name, "orderbook10") && depth.len == 0) {
        out->kind = FEED_BOOK;
        out->depth = 10;
        out->tight = true; /* mostly merged with the retail orders */
        return true;
    }
    bool tight = bytes_is(name, "orderbookupdaterpi");
    if (!tight && !bytes_is(name, "orderbookupdate"))
        return false;
    out->kind = FEED_BOOK_UPDATE;
    out->tight = tight;
    out->depth = bytes_is(depth, "50") ? 50 : bytes_is(depth, "200") ? 200
                                          : bytes_is(depth, "500")   ? 500
                                                                     : 0;
    return out->depth > 0;
}

static bool parse_figure(feed_spec *out, bytes name)
{
    static const struct {
        const char *name;
        feed_kind kind;
        uint32_t period_ms;
        int perp; /* 1: perpetuals only, 0: spot only, -1: both */
    } figures[] = {
        {"ticker", FEED_TICKER, 1000, -1},
        {"markprice", FEED_MARK, 1000, 1},
        {"indexprice", FEED_INDEX, 1000, 0},
        {"openinterest", FEED_INTEREST, 10000, 1},
        {"estfundingrate", FEED_FUNDING, 60000, 1},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        if (bytes_is(name, figures[i].name)) {
            out->kind = figures[i].kind;
            out->period_ms = figures[i].period_ms;
            return figures[i].perp < 0 || figures[i].perp == out->market->perp;
        }
    return false;
}

/* "kline_SPOT_BTC_USDT_1m", for a client written against a topic that never existed. */
static bool parse_legacy(sim *s, bytes topic, feed_spec *out)
{
    const char *last = topic.len ? memrchr(topic.at, '_', topic.len) : NULL;
    if (!s->options.legacy_kline || !bytes_starts(topic, BYTES("kline_")) || last < topic.at + 6)
        return false;
    out->kind = FEED_KLINE;
    out->legacy = true;
    out->market = venue_find(s->venue, bytes_make(topic.at + 6, (size_t)(last - topic.at) - 6));
    out->tf = timeframe_named(bytes_make(last + 1, topic.len - (size_t)(last - topic.at) - 1));
    return out->market && out->tf;
}

static bool is_private_topic(bytes topic)
{
    static const char *const names[] = {"account", "balance", "position", "executionreport", "algoexecutionreport"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_is(topic, names[i]))
            return true;
    return false;
}

static bool parse_topic(client *c, bytes topic, feed_spec *out)
{
    *out = (feed_spec){0};
    if (c->speaks == DIALECT_V3_PRIVATE) {
        out->kind = FEED_PRIVATE;
        return is_private_topic(topic);
    }
    if (parse_legacy(c->sim, topic, out))
        return true;
    bytes rest = topic, name = next_part(&rest, '@'), symbol = next_part(&rest, '@');
    *out = (feed_spec){.market = venue_find(c->sim->venue, symbol)};
    if (!out->market)
        return false;
    if (bytes_is(name, "kline")) {
        out->kind = FEED_KLINE;
        out->tf = timeframe_named(rest);
        return out->tf && bytes_is(rest, out->tf->name) && !bytes_is(rest, "1y");
    }
    if (parse_book(out, name, rest))
        return true;
    if (rest.len)
        return false;
    out->tight = bytes_is(name, "bborpi");
    if (out->tight || bytes_is(name, "bbo")) {
        out->kind = FEED_BBO;
        return true;
    }
    if (bytes_is(name, "trade")) {
        out->kind = FEED_TRADE;
        return true;
    }
    return parse_figure(out, name);
}

/* ---- Commands ---- */

/* {"id":ID,"cmd":CMD,"success":OK,"time":MS, left open */
static void begin_answer(client *c, buf *o, json id, const char *cmd, bool ok)
{
    buf_clear(o);
    buf_add_text(o, "{\"id\":");
    if (id.type == JSON_STRING) {
        buf_add_bytes(o, id.raw);
    } else {
        buf_add_char(o, '"');
        if (id.type == JSON_NUMBER)
            buf_add_bytes(o, id.raw);
        buf_add_char(o, '"');
    }
    buf_add_fmt(o, ",\"cmd\":\"%s\",\"success\":%s,\"time\":", cmd, ok ? "true" : "false");
    buf_add_u64(o, sim_stamp(c->sim));
}

static void say_error(client *c, json id, const char *cmd, const char *text)
{
    buf *o = &c->sim->scratch;
    begin_answer(c, o, id, cmd, false);
    buf_add_fmt(o, ",\"data\":\"%s\"}", text);
    client_say(c, buf_bytes(o));
}

static size_t count_items(json items)
{
    size_t n = 0;
    json key, item;
    for (json_iter it = json_each(items); json_next(&it, &key, &item);)
        n++;
    return n;
}

static void on_topics(client *c, json id, bool subscribe, json params)
{
    sim *s = c->sim;
    const char *cmd = subscribe ? "SUBSCRIBE" : "UN_SUBSCRIBE";
    if (params.type != JSON_ARRAY || (count_items(params) > SIM_TOPICS_PER_REQUEST && !s->options.no_limits)) {
        say_error(c, id, cmd, "Command type invalid!");
        return;
    }
    buf *o = &s->scratch2;
    begin_answer(c, o, id, cmd, true);
    buf_add_text(o, ",\"data\":[");
    bool first = true;
    json key, item;
    for (json_iter it = json_each(params); json_next(&it, &key, &item);) {
        bytes topic;
        feed_spec is;
        if (!json_string_slice(item, &topic))
            continue;
        bool done = subscribe ? parse_topic(c, topic, &is) && feed_subscribe(c, &is, topic) == SUBSCRIBED : feed_unsubscribe(c, topic);
        if (!done)
            continue;
        buf_add_fmt(o, "%s\"" BYTES_FMT "\"", first ? "" : ",", BYTES_ARG(topic));
        first = false;
    }
    buf_add_text(o, "]}");
    client_say(c, buf_bytes(o));
}

void v3_on_text(client *c, bytes text)
{
    json doc, id = {0}, cmd = {0}, params = {0};
    json_field want[] = {{"id", &id}, {"cmd", &cmd}, {"params", &params}};
    if (json_read(&doc, text, NULL)) {
        say_error(c, (json){0}, "ERROR", "Invalid request.");
        return;
    }
    json_fields(doc, want, 3, NULL);
    if (json_is(cmd, "SUBSCRIBE") || json_is(cmd, "subscribe")) {
        on_topics(c, id, true, params);
    } else if (json_is(cmd, "UN_SUBSCRIBE") || json_is(cmd, "un_subscribe")) {
        on_topics(c, id, false, params);
    } else if (json_is(cmd, "PING") || json_is(cmd, "ping")) {
        buf *o = &c->sim->scratch;
        buf_clear(o);
        buf_add_fmt(o, "{\"cmd\":\"PONG\",\"success\":true,\"time\":%llu}", (unsigned long long)sim_stamp(c->sim));
        client_say(c, buf_bytes(o));
    } else if (!json_is(cmd, "PONG")) {
        say_error(c, id, "ERROR", "Command type invalid!");
    }
}

/* ---- Frames. The frequent ones are written without formats, into room reserved once. ---- */

#define PUT(at, literal) (memcpy((at), literal, sizeof(literal) - 1), (at) + sizeof(literal) - 1)

static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

static char *begin_frame(sim *s, const feed *f, char *at)
{
    at = PUT(at, "{\"topic\":\"");
    at = put_text(at, f->topic);
    at = PUT(at, "\",\"ts\":");
    at = put_u64(at, sim_stamp(s));
    return PUT(at, ",\"data\":{\"s\":\"");
}

void v3_push_trade(sim *s, buf *o, const feed *f, const trade *t)
{
    if (!buf_reserve(o, 512))
        return;
    const market *m = f->is.market;
    char *at = begin_frame(s, f, o->at + o->len);
    at = put_text(at, m->symbol);
    at = PUT(at, "\",\"px\":\"");
    at = put_ticks(at, t->price, m->price_digits);
    at = PUT(at, "\",\"sx\":\"");
    at = put_ticks(at, t->size, m->size_digits);
    at = t->sell ? PUT(at, "\",\"sd\":\"SELL\",\"src\":") : PUT(at, "\",\"sd\":\"BUY\",\"src\":");
    *at++ = t->internal ? '1' : '0';
    at = PUT(at, ",\"rpi\":false,\"ts\":");
    at = put_u64(at, t->ms);
    at = PUT(at, "}}");
    o->len = (size_t)(at - o->at);
}

static char *put_prices(char *at, const market *m, const candle *k, const char *const names[4])
{
    const uint64_t values[4] = {k->open, k->close, k->high, k->low};
    for (int i = 0; i < 4; i++) {
        at = put_text(at, names[i]);
        at = put_ticks(at, values[i], m->price_digits);
    }
    return at;
}

static void push_legacy_kline(sim *s, buf *o, const feed *f, const candle *k)
{
    static const char *const names[4] = {"\",\"open\":\"", "\",\"close\":\"", "\",\"high\":\"", "\",\"low\":\""};
    const market *m = f->is.market;
    char *at = o->at + o->len;
    at = PUT(at, "{\"topic\":\"");
    at = put_text(at, f->topic);
    at = PUT(at, "\",\"ts\":");
    at = put_u64(at, sim_stamp(s));
    at = PUT(at, ",\"data\":{\"symbol\":\"");
    at = put_text(at, m->symbol);
    at = put_prices(at, m, k, names);
    at = PUT(at, "\",\"volume\":\"");
    at = put_ticks_wide(at, k->volume, m->size_digits);
    at = PUT(at, "\",\"startTimestamp\":");
    at = put_u64(at, k->start);
    at = PUT(at, ",\"endTimestamp\":");
    at = put_u64(at, k->end);
    at = PUT(at, "}}");
    o->len = (size_t)(at - o->at);
}

void v3_push_kline(sim *s, buf *o, const feed *f, const candle *k)
{
    static const char *const names[4] = {"\",\"o\":\"", "\",\"c\":\"", "\",\"h\":\"", "\",\"l\":\""};
    if (!buf_reserve(o, 1024))
        return;
    if (f->is.legacy) {
        push_legacy_kline(s, o, f, k);
        return;
    }
    const market *m = f->is.market;
    char *at = begin_frame(s, f, o->at + o->len);
    at = put_text(at, m->symbol);
    at = PUT(at, "\",\"t\":\"");
    at = put_text(at, f->is.tf->name);
    at = put_prices(at, m, k, names);
    at = PUT(at, "\",\"v\":\"");
    at = put_ticks_wide(at, k->volume, m->size_digits);
    at = PUT(at, "\",\"a\":\"");
    at = put_ticks_wide(at, k->amount, m->price_digits + m->size_digits);
    at = PUT(at, "\",\"st\":");
    at = put_u64(at, k->start);
    at = PUT(at, ",\"et\":");
    at = put_u64(at, k->end);
    at = PUT(at, ",\"ts\":");
    at = put_u64(at, s->now_ms);
    at = PUT(at, ",\"tts\":");
    at = put_u64(at, s->now_ms);
    at = PUT(at, "}}");
    o->len = (size_t)(at - o->at);
}

static void begin_slow(sim *s, buf *o, const feed *f)
{
    buf_add_fmt(o, "{\"topic\":\"%s\",\"ts\":%llu,\"data\":{\"s\":\"%s\"", f->topic, (unsigned long long)sim_stamp(s), f->is.market->symbol);
}

static void put_sides(buf *o, const feed *f, const book *was, const book *is)
{
    const market *m = f->is.market;
    buf_add_text(o, ",\"bids\":[");
    put_levels(o, m, was ? was->bid : NULL, was ? was->bids : 0, is->bid, is->bids, true, true);
    buf_add_text(o, "],\"asks\":[");
    put_levels(o, m, was ? was->ask : NULL, was ? was->asks : 0, is->ask, is->asks, false, true);
    buf_add_text(o, "]}}");
}

void v3_push_book(sim *s, buf *o, const feed *f, const book *b, uint64_t ts)
{
    begin_slow(s, o, f);
    buf_add_fmt(o, ",\"ts\":%llu", (unsigned long long)ts);
    put_sides(o, f, NULL, b);
}

void v3_push_delta(sim *s, buf *o, const feed *f, const book *was, const book *is, uint64_t prev_ts, uint64_t ts)
{
    begin_slow(s, o, f);
    buf_add_fmt(o, ",\"prevTs\":%llu,\"ts\":%llu", (unsigned long long)prev_ts, (unsigned long long)ts);
    put_sides(o, f, was, is);
}

void v3_push_bbo(sim *s, buf *o, const feed *f, const book *b, uint64_t ts)
{
    const market *m = f->is.market;
    begin_slow(s, o, f);
    buf_add_fmt(o, ",\"ts\":%llu,\"bp\":\"", (unsigned long long)ts);
    put_price(o, m, b->bid[0].price);
    buf_add_text(o, "\",\"bq\":\"");
    put_size(o, m, b->bid[0].size);
    buf_add_text(o, "\",\"ap\":\"");
    put_price(o, m, b->ask[0].price);
    buf_add_text(o, "\",\"aq\":\"");
    put_size(o, m, b->ask[0].size);
    buf_add_text(o, "\"}}");
}

static void put_ticker(sim *s, buf *o, market *m)
{
    candle day;
    market_day(m, s->now_ms, &day);
    buf_add_text(o, ",\"o\":\"");
    put_price(o, m, day.open);
    buf_add_text(o, "\",\"c\":\"");
    put_price(o, m, day.close);
    buf_add_text(o, "\",\"h\":\"");
    put_price(o, m, day.high);
    buf_add_text(o, "\",\"l\":\"");
    put_price(o, m, day.low);
    buf_add_text(o, "\",\"v\":\"");
    put_volume(o, m, day.volume);
    buf_add_text(o, "\",\"a\":\"");
    put_amount(o, m, day.amount);
    buf_add_text(o, "\",\"q\":\"");
    put_volume(o, m, day.volume);
    buf_add_text(o, "\",\"u\":\"");
    put_amount(o, m, day.amount);
    buf_add_fmt(o, "\",\"cnt\":%llu,\"tts\":%llu", (unsigned long long)day.count, (unsigned long long)s->now_ms);
}

void v3_push_other(sim *s, buf *o, const feed *f)
{
    market *m = f->is.market;
    if (!m)
        return;
    begin_slow(s, o, f);
    switch (f->is.kind) {
    case FEED_TICKER:
        put_ticker(s, o, m);
        break;
    case FEED_MARK:
    case FEED_INDEX:
        buf_add_text(o, ",\"px\":\"");
        put_price(o, m, market_mid(m, s->now_ms));
        buf_add_char(o, '"');
        break;
    case FEED_INTEREST:
        buf_add_text(o, ",\"oi\":\"");
        put_size(o, m, market_interest(m, s->now_ms));
        buf_add_char(o, '"');
        break;
    default:
        buf_add_text(o, ",\"r\":\"");
        put_rate(o, market_funding(m, s->now_ms));
        buf_add_fmt(o, "\",\"ft\":%llu", (unsigned long long)market_funding_time(s->now_ms));
        break;
    }
    buf_add_fmt(o, ",\"ts\":%llu}}", (unsigned long long)s->now_ms);
}
