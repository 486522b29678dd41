/* WebSocket v1/v2: events subscribe, unsubscribe, request, auth, ping and pong; decimals as numbers.
 *
 * The server pings every ten seconds in its own words and hangs up after ten that nobody answered. */
#include "sim/inside.h"

#include "base/digest.h"
#include "base/json.h"

#include <stdlib.h>

/* ---- What a topic means ---- */

static bool parse_wide(bytes topic, feed_spec *out)
{
    static const struct {
        const char *name;
        feed_kind kind;
    } wide[] = {{"tickers", FEED_ALL_TICKERS}, {"bbos", FEED_ALL_BBOS}, {"markprices", FEED_ALL_MARKS}, {"indexprices", FEED_ALL_INDEXES}};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (bytes_is(topic, wide[i].name)) {
            out->kind = wide[i].kind;
            out->period_ms = 1000;
            return true;
        }
    return false;
}

static bool parse_name(feed_spec *out, bytes name)
{
    static const struct {
        const char *name;
        feed_kind kind;
        uint32_t depth, period_ms;
        int perp; /* 1: perpetuals only, 0: spot only, -1: both */
    } names[] = {
        {"orderbook", FEED_BOOK, 100, 0, -1},
        {"orderbook100", FEED_BOOK, 100, 0, -1},
        {"orderbookupdate", FEED_BOOK_UPDATE, 100, 0, -1},
        {"trade", FEED_TRADE, 0, 0, -1},
        {"ticker", FEED_TICKER, 0, 1000, -1},
        {"bbo", FEED_BBO, 0, 0, -1},
        {"indexprice", FEED_INDEX, 0, 1000, 0},
        {"markprice", FEED_MARK, 0, 1000, 1},
        {"openinterest", FEED_INTEREST, 0, 10000, 1},
        {"estfundingrate", FEED_FUNDING, 0, 60000, 1},
    };
    if (bytes_starts(name, BYTES("kline_"))) {
        out->kind = FEED_KLINE;
        out->tf = timeframe_named(bytes_make(name.at + 6, name.len - 6));
        return out->tf != NULL;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_is(name, names[i].name)) {
            out->kind = names[i].kind;
            out->depth = names[i].depth;
            out->period_ms = names[i].period_ms;
            return names[i].perp < 0 || names[i].perp == out->market->perp;
        }
    return false;
}

/* What is wrong with the topic, or NULL. `detail` is the part that the text names. */
static const char *parse_topic(client *c, bytes topic, feed_spec *out, bytes *detail)
{
    static const char *const private_names[] = {"executionreport", "algoexecutionreportv2", "balance", "position", "positioninfo"};
    *out = (feed_spec){.v2 = true};
    *detail = topic;
    for (size_t i = 0; i < sizeof private_names / sizeof private_names[0]; i++)
        if (bytes_is(topic, private_names[i])) {
            out->kind = FEED_PRIVATE;
            return c->authed ? NULL : "Auth is needed.";
        }
    if (parse_wide(topic, out))
        return NULL;
    const char *mark = topic.len ? memchr(topic.at, '@', topic.len) : NULL;
    if (!mark)
        return "invalid topic ";
    bytes symbol = {topic.at, (size_t)(mark - topic.at)};
    out->market = venue_find(c->sim->venue, symbol);
    if (!out->market) {
        *detail = symbol;
        return "invalid symbol ";
    }
    return parse_name(out, bytes_make(mark + 1, topic.len - symbol.len - 1)) ? NULL : "invalid topic ";
}

/* ---- Commands ---- */

/* {"id":ID,"event":EVENT,"success":OK,"ts":MS, left open. The id is optional and becomes a string. */
static buf *begin_answer(client *c, json id, const char *event, bool ok)
{
    buf *o = &c->sim->scratch2;
    buf_clear(o);
    buf_add_char(o, '{');
    if (id.type == JSON_STRING || id.type == JSON_NUMBER) {
        buf_add_text(o, id.type == JSON_STRING ? "\"id\":" : "\"id\":\"");
        buf_add_bytes(o, id.raw);
        buf_add_text(o, id.type == JSON_STRING ? "," : "\",");
    }
    buf_add_fmt(o, "\"event\":\"%s\",\"success\":%s,\"ts\":%llu", event, ok ? "true" : "false", (unsigned long long)sim_stamp(c->sim));
    return o;
}

static void say(client *c, buf *o)
{
    buf_add_char(o, '}');
    if (!o->failed)
        client_say(c, buf_bytes(o));
}

static void say_error(client *c, json id, const char *event, const char *what, bytes detail)
{
    buf *o = begin_answer(c, id, event, false);
    buf *text = &c->sim->scratch;
    buf_clear(text);
    buf_add_text(text, what);
    buf_add_bytes(text, detail);
    buf_add_text(o, ",\"errorMsg\":");
    json_put_string(o, buf_bytes(text));
    say(c, o);
}

static void on_subscribe(client *c, json id, json topic)
{
    bytes name, detail;
    feed_spec is;
    if (!json_string_slice(topic, &name)) {
        say_error(c, id, "subscribe", "invalid topic ", BYTES(""));
        return;
    }
    const char *wrong = parse_topic(c, name, &is, &detail);
    if (wrong) {
        say_error(c, id, "subscribe", wrong, wrong[strlen(wrong) - 1] == ' ' ? detail : BYTES(""));
        return;
    }
    subscribe_result result = feed_subscribe(c, &is, name);
    if (result == SUBSCRIBED || result == SUBSCRIBE_DOUBLE)
        say(c, begin_answer(c, id, "subscribe", true));
    else
        say_error(c, id, "subscribe", "too many topics", BYTES(""));
}

static void on_unsubscribe(client *c, json id, json topic)
{
    bytes name;
    if (!json_string_slice(topic, &name) || !feed_unsubscribe(c, name)) {
        say_error(c, id, "unsubscribe", "not subscribed", BYTES(""));
        return;
    }
    buf *o = begin_answer(c, id, "unsubscribe", true);
    buf_add_fmt(o, ",\"data\":" BYTES_FMT, BYTES_ARG(topic.raw));
    say(c, o);
}

static void put_sides(buf *o, const market *m, const book *was, const book *is)
{
    buf_add_text(o, "\"asks\":[");
    put_levels(o, m, was ? was->ask : NULL, was ? was->asks : 0, is->ask, is->asks, false, false);
    buf_add_text(o, "],\"bids\":[");
    put_levels(o, m, was ? was->bid : NULL, was ? was->bids : 0, is->bid, is->bids, true, false);
    buf_add_char(o, ']');
}

static void on_request(client *c, json id, json params)
{
    static _Thread_local book now;
    sim *s = c->sim;
    bytes symbol = {0};
    json_string_slice(json_member(params, "symbol"), &symbol);
    market *m = venue_find(s->venue, symbol);
    if (!json_is(json_member(params, "type"), "orderbook")) {
        say_error(c, id, "request", "invalid type", BYTES(""));
        return;
    }
    if (!m) {
        say_error(c, id, "request", "invalid symbol ", symbol);
        return;
    }
    market_book(m, s->now_ms, false, 100, &now);
    buf *o = begin_answer(c, id, "request", true);
    buf_add_fmt(o, ",\"data\":{\"symbol\":\"%s\",\"ts\":%llu,", m->symbol, (unsigned long long)market_book_changed(m, s->now_ms, false, 100));
    put_sides(o, m, NULL, &now);
    buf_add_char(o, '}');
    say(c, o);
}

static void on_auth(client *c, json id, json params)
{
    sim *s = c->sim;
    char text[64], sign[DIGEST_HEX], *end;
    bytes stamp = {0};
    json timestamp = json_member(params, "timestamp");
    if (timestamp.type == JSON_NUMBER)
        stamp = timestamp.raw;
    else
        json_string_slice(timestamp, &stamp);
    int len = snprintf(text, sizeof text, "|%.*s", (int)(stamp.len > 30 ? 30 : stamp.len), stamp.len ? stamp.at : "");
    digest_hmac_sha256(sign, bytes_of(s->api_secret), bytes_make(text, (size_t)len));
    int64_t off = (int64_t)(strtoull(text + 1, &end, 10) - sim_stamp(s));
    if (c->speaks != DIALECT_V2_PRIVATE || *end || end == text + 1 || !json_is(json_member(params, "apikey"), s->api_key) ||
        !json_is(json_member(params, "sign"), sign) || off > 300000 || off < -300000) {
        say_error(c, id, "auth", "Authentication failed.", BYTES(""));
        return;
    }
    c->authed = true;
    say(c, begin_answer(c, id, "auth", true));
}

void v2_ping(client *c)
{
    buf *o = &c->sim->scratch2;
    buf_clear(o);
    buf_add_fmt(o, "{\"event\":\"ping\",\"ts\":%llu}", (unsigned long long)sim_stamp(c->sim));
    client_say(c, buf_bytes(o));
}

void v2_on_text(client *c, bytes text)
{
    json id = {0}, event = {0}, topic = {0}, params = {0};
    json_field want[] = {{"id", &id}, {"event", &event}, {"topic", &topic}, {"params", &params}};
    if (json_read_fields(text, want, 4, NULL)) {
        say_error(c, (json){0}, "error", "invalid request", BYTES(""));
        return;
    }
    if (json_is(event, "pong")) {
        c->unanswered = 0;
    } else if (json_is(event, "ping")) {
        buf *o = &c->sim->scratch2;
        buf_clear(o);
        buf_add_fmt(o, "{\"event\":\"pong\",\"ts\":%llu}", (unsigned long long)sim_stamp(c->sim));
        client_say(c, buf_bytes(o));
    } else if (json_is(event, "auth")) {
        on_auth(c, id, params);
    } else if (c->speaks == DIALECT_V2_PRIVATE && !c->authed) {
        bytes name = BYTES("subscribe");
        json_string_slice(event, &name);
        say_error(c, id, bytes_is(name, "unsubscribe") ? "unsubscribe" : bytes_is(name, "request") ? "request"
                                                                                                   : "subscribe",
                  "Auth is needed.", BYTES(""));
    } else if (json_is(event, "subscribe")) {
        on_subscribe(c, id, topic);
    } else if (json_is(event, "unsubscribe")) {
        on_unsubscribe(c, id, topic);
    } else if (json_is(event, "request")) {
        on_request(c, id, params);
    } else {
        say_error(c, id, "error", "invalid event", BYTES(""));
    }
}

/* ---- Frames ---- */

static void begin_frame(sim *s, buf *o, const feed *f)
{
    buf_add_text(o, "{\"topic\":\"");
    buf_add_text(o, f->topic);
    buf_add_text(o, "\",\"ts\":");
    buf_add_u64(o, sim_stamp(s));
    buf_add_text(o, ",\"data\":{\"symbol\":\"");
    buf_add_text(o, f->is.market->symbol);
    buf_add_char(o, '"');
}

void v2_push_trade(sim *s, buf *o, const feed *f, const trade *t)
{
    begin_frame(s, o, f);
    buf_add_text(o, ",\"price\":");
    put_price(o, f->is.market, t->price);
    buf_add_text(o, ",\"size\":");
    put_size(o, f->is.market, t->size);
    buf_add_text(o, t->sell ? ",\"side\":\"SELL\",\"source\":" : ",\"side\":\"BUY\",\"source\":");
    buf_add_text(o, t->internal ? "1}}" : "0}}");
}

static void put_candle(buf *o, const market *m, const candle *k)
{
    buf_add_text(o, ",\"open\":");
    put_price(o, m, k->open);
    buf_add_text(o, ",\"close\":");
    put_price(o, m, k->close);
    buf_add_text(o, ",\"high\":");
    put_price(o, m, k->high);
    buf_add_text(o, ",\"low\":");
    put_price(o, m, k->low);
    buf_add_text(o, ",\"volume\":");
    put_volume(o, m, k->volume);
    buf_add_text(o, ",\"amount\":");
    put_amount(o, m, k->amount);
}

void v2_push_kline(sim *s, buf *o, const feed *f, const candle *k)
{
    const char *mark = strstr(f->topic, "@kline_"); /* the type comes back as it was asked: 1M or 1mon */
    begin_frame(s, o, f);
    buf_add_text(o, ",\"type\":\"");
    buf_add_text(o, mark ? mark + 7 : f->is.tf->v1_name);
    buf_add_char(o, '"');
    put_candle(o, f->is.market, k);
    buf_add_text(o, ",\"startTime\":");
    buf_add_u64(o, k->start);
    buf_add_text(o, ",\"endTime\":");
    buf_add_u64(o, k->end);
    buf_add_text(o, "}}");
}

/* Book frames carry the book's own time as `ts`, since the chain is made of it. */
static void begin_book(buf *o, const feed *f, uint64_t ts)
{
    buf_add_fmt(o, "{\"topic\":\"%s\",\"ts\":%llu,\"data\":{\"symbol\":\"%s\",", f->topic, (unsigned long long)ts, f->is.market->symbol);
}

void v2_push_book(sim *s, buf *o, const feed *f, const book *b, uint64_t ts)
{
    (void)s;
    begin_book(o, f, ts);
    put_sides(o, f->is.market, NULL, b);
    buf_add_text(o, "}}");
}

void v2_push_delta(sim *s, buf *o, const feed *f, const book *was, const book *is, uint64_t prev_ts, uint64_t ts)
{
    (void)s;
    begin_book(o, f, ts);
    buf_add_fmt(o, "\"prevTs\":%llu,", (unsigned long long)prev_ts);
    put_sides(o, f->is.market, was, is);
    buf_add_text(o, "}}");
}

static void put_bbo(buf *o, const market *m, const book *b)
{
    buf_add_text(o, ",\"ask\":");
    put_price(o, m, b->ask[0].price);
    buf_add_text(o, ",\"askSize\":");
    put_size(o, m, b->ask[0].size);
    buf_add_text(o, ",\"bid\":");
    put_price(o, m, b->bid[0].price);
    buf_add_text(o, ",\"bidSize\":");
    put_size(o, m, b->bid[0].size);
}

void v2_push_bbo(sim *s, buf *o, const feed *f, const book *b, uint64_t ts)
{
    (void)ts;
    begin_frame(s, o, f);
    put_bbo(o, f->is.market, b);
    buf_add_text(o, "}}");
}

/* The members behind "symbol" for one market. */
static void put_figure(sim *s, buf *o, feed_kind kind, market *m)
{
    static _Thread_local book now;
    candle day;
    switch (kind) {
    case FEED_TICKER:
    case FEED_ALL_TICKERS:
        market_day(m, s->now_ms, &day);
        put_candle(o, m, &day);
        buf_add_text(o, ",\"count\":");
        buf_add_u64(o, day.count);
        break;
    case FEED_ALL_BBOS:
        market_book(m, s->now_ms, false, 1, &now);
        put_bbo(o, m, &now);
        break;
    case FEED_INTEREST:
        buf_add_text(o, ",\"openInterest\":");
        put_size(o, m, market_interest(m, s->now_ms));
        break;
    case FEED_FUNDING:
        buf_add_text(o, ",\"fundingRate\":");
        put_rate(o, market_funding(m, s->now_ms));
        buf_add_fmt(o, ",\"fundingTs\":%llu", (unsigned long long)market_funding_time(s->now_ms));
        break;
    default:
        buf_add_text(o, ",\"price\":");
        put_price(o, m, market_mid(m, s->now_ms));
        break;
    }
}

static bool wide_has(feed_kind kind, const market *m)
{
    return kind == FEED_ALL_MARKS ? m->perp : kind == FEED_ALL_INDEXES ? !m->perp
                                                                       : true;
}

void v2_push_other(sim *s, buf *o, const feed *f)
{
    if (f->is.market) {
        begin_frame(s, o, f);
        put_figure(s, o, f->is.kind, f->is.market);
        buf_add_text(o, "}}");
        return;
    }
    buf_add_fmt(o, "{\"topic\":\"%s\",\"ts\":%llu,\"data\":[", f->topic, (unsigned long long)sim_stamp(s));
    bool first = true;
    for (size_t i = 0; i < s->venue->count; i++) {
        market *m = &s->venue->markets[i];
        if (!wide_has(f->is.kind, m))
            continue;
        buf_add_fmt(o, "%s{\"symbol\":\"%s\"", first ? "" : ",", m->symbol);
        put_figure(s, o, f->is.kind, m);
        buf_add_char(o, '}');
        first = false;
    }
    buf_add_text(o, "]}");
}
