/* weir_push.h: a push plugin in C on about one page.
 *
 * A push plugin (generation 3) owns no socket. Asked for a stream it says which socket the host shall open and
 * what to send there; then it is asked about each frame, and answers what records that makes. The host dials,
 * sends, waits, dials again. This header is all that is the same for every venue: the eight exports, commands and
 * their parameters, frames as they came or out of base64, records and answers in their form. What is left is a table and a few
 * functions:
 *
 *     #include "weir_push.h"
 *
 *     static void open_socket(const weir_wish *w, weir_socket *s)
 *     {
 *         weir_put_text(&s->url, "wss://ws.venue.example/v1");
 *         weir_socket_say(s, "{\"subscribe\":\"%\",\"of\":\"%\"}", w->symbol, weir_text(w->type->channel), weir_none);
 *     }
 *
 *     static bool read_trade(weir_answer *a, const weir_wish *w, weir_str frame)
 *     {
 *         static const char *const names[] = {"of", "id", "px", "qty", "taker", "ms"};
 *         weir_str v[6];
 *         weir_json_find(frame, names, v, 6);
 *         if (!weir_equal(weir_json_raw(v[0]), w->symbol))
 *             return true;                                another stream's frame: no record
 *         weir_record_begin(a, w);
 *         weir_record_text(a, "id", v[1]);
 *         weir_record_decimal(a, "price", v[2]);
 *         weir_record_decimal(a, "size", v[3]);
 *         weir_record_side(a, weir_is(weir_json_raw(v[4]), "buy"));
 *         weir_record_ms(a, "ts_event", v[5]);
 *         weir_record_end(a);
 *         return true;
 *     }
 *
 *     static const weir_push_type types[] = {{"trades", "fills", read_trade, false}, {NULL, NULL, NULL, false}};
 *     static const weir_push plugin = {.meta = "{...}", .types = types, .socket = open_socket};
 *     WEIR_PUSH_PLUGIN(plugin)
 *
 * In the order below: what is wished for, the socket, the answer and its records, commands, the plugin. The
 * conventions are those of weir_pdk.h. plugins/okx, kraken, binance and coinbase show it at work.
 *
 * What goes wrong: a frame that a function cannot make sense of (it returns false, or a record lacks a decimal
 * that it must have) is answered as a failure that names it; the host drops that frame and says so with a gap. A
 * venue's refusal ends the stream with its words (weir_answer_refuse). Nothing is kept from frame to frame. */
#ifndef WEIR_PUSH_H
#define WEIR_PUSH_H

#include "weir_pdk.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SYMBOL_MAX 64

static const weir_str weir_none = {NULL, 0};

/* ---- What is wished for ---- */

struct weir_answer;
struct weir_wish;

/* A type of stream that the plugin has. Tables of these end with a NULL name. */
typedef struct weir_push_type {
    const char *name;    /* "trades" is what the command tradesStream opens */
    const char *channel; /* what the venue calls it; the plugin's own */
    bool (*read)(struct weir_answer *a, const struct weir_wish *w, weir_str frame);
    bool timed; /* it needs a time frame */
} weir_push_type;

typedef struct weir_timeframe {
    const char *name;  /* a number and m, h, d, w or M: "1h" */
    const char *venue; /* the venue's word for it: "1H" */
} weir_timeframe;

typedef struct weir_wish {
    const weir_push_type *type;
    weir_str symbol;                 /* 1 to 64 of A-Z a-z 0-9 - _ . : / */
    const weir_timeframe *timeframe; /* NULL: none was asked for */
} weir_wish;

/* The venue's word for the time frame; empty without. */
WEIR_HOT weir_str weir_wish_time(const weir_wish *w)
{
    return w->timeframe ? weir_text(w->timeframe->venue) : weir_none;
}

/* Appends a text in which each % becomes the next of three. */
WEIR_COLD void weir_put_form(weir_buf *b, const char *form, weir_str one, weir_str two, weir_str three)
{
    weir_str value[3];
    size_t next = 0;
    value[0] = one;
    value[1] = two;
    value[2] = three;
    for (; *form; form++)
        if (*form == '%' && next < 3)
            weir_put_str(b, value[next++]);
        else
            weir_put_char(b, *form);
}

/* ---- The socket ---- */

typedef struct weir_socket {
    weir_buf url;
    weir_buf messages; /* JSON strings, sent after each handshake */
    weir_buf book;     /* how the venue guards its book, a JSON object; empty: no book, or no guard */
    uint32_t ping_ms;  /* WebSocket pings this often; 0: as the host likes */
} weir_socket;

/* A message to send after each handshake: weir_put_form. */
WEIR_COLD void weir_socket_say(weir_socket *s, const char *form, weir_str one, weir_str two, weir_str three)
{
    static weir_buf text;
    weir_buf_clear(&text);
    weir_put_form(&text, form, one, two, three);
    if (s->messages.len)
        weir_put_char(&s->messages, ',');
    weir_put_string(&s->messages, weir_buf_str(&text));
}

/* ---- The answer, and its records ---- */

typedef struct weir_answer {
    weir_buf out;                /* the records so far, separated by commas */
    weir_buf send;               /* a text to send to the venue */
    const char *lacks;           /* the member that a record must have and has not */
    weir_str sequence, previous; /* the venue's number of this message, and of the one before it where numbers jump */
    uint64_t time_ms;            /* the message's time, where the records do not say ts_event; 0: unknown */
    bool refused, reconnect;
    weir_fail fail;
} weir_answer;

#if defined(__clang__) && defined(__wasm__) && defined(__OPTIMIZE__)
#define WEIR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WEIR_UNROLL
#endif

/* The rest of a walk over an object. Names and count are known when compiling, mostly: each name is a comparison or two. */
WEIR_HOT void weir_json_pick(weir_json_iter *it, const char *const *names, weir_str *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = weir_none;
    if (it->close != '}')
        return;
    while (weir_json_step(it)) {
        WEIR_UNROLL
        for (size_t i = 0; i < count; i++)
            if (weir_is(it->key, names[i])) {
                values[i] = it->value;
                break;
            }
    }
}

/* Finds several members in one pass; those that are not there become weir_none. */
WEIR_HOT void weir_json_find(weir_str object, const char *const *names, weir_str *values, size_t count)
{
    weir_json_iter it = weir_json_each(object);
    weir_json_pick(&it, names, values, count);
}

/* The next item of an array, and several of its members, in the same pass over the text:
 *
 *     for (weir_json_iter it = weir_json_each(data); weir_json_next_find(&it, names, v, 5);) ...
 *
 * Of an item that is no object they become weir_none; of one that is broken those behind the break, and it is the last. False
 * at the end. */
WEIR_HOT bool weir_json_next_find(weir_json_iter *it, const char *const *names, weir_str *values, size_t count)
{
    const char *at = weir_json_lead(it), *stop;
    weir_json_iter item;
    bool object;
    if (!at)
        return false;
    item = weir_json_each(weir_slice(at, (size_t)(it->end - at)));
    object = item.close == '}';
    weir_json_pick(&item, names, values, count);
    stop = object ? item.at : weir_json_skip(at, it->end);
    it->bad = object ? item.bad : !stop;
    if (stop)
        it->at = stop;
    return object || stop;
}

/* The first items of an array; those that are not there become weir_none. Returns how many there are. */
WEIR_COLD size_t weir_json_items(weir_str array, weir_str *items, size_t count)
{
    weir_json_iter it = weir_json_each(array);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        items[i] = weir_none;
    if (it.close == ']')
        for (; n < count && weir_json_step(&it); n++)
            items[n] = it.value;
    return n;
}

/* The stream is refused by the venue, or of no use: it ends, with these words. Returns true. */
WEIR_COLD bool weir_answer_refuse(weir_answer *a, const char *what, weir_str why)
{
    a->refused = true;
    weir_fail_set(&a->fail, what, weir_slice(why.at, why.len < 200 ? why.len : 200), "");
    return true;
}

/* A failure of this frame: why, and the frame's beginning. Returns false. */
WEIR_COLD bool weir_answer_fail(weir_answer *a, const char *why, weir_str frame)
{
    return weir_fail_set(&a->fail, why, weir_slice(frame.at, frame.len < 120 ? frame.len : 120), "");
}

/* A text in quotes, as it is. */
WEIR_COLD void weir_put_quoted(weir_buf *b, weir_str s)
{
    if (!weir_buf_room(b, s.len + 2))
        return;
    b->at[b->len] = '"';
    weir_copy(b->at + b->len + 1, s.at, s.len);
    b->at[b->len + 1 + s.len] = '"';
    b->len += s.len + 2;
}

/* Begins a record; it has its symbol. */
WEIR_COLD void weir_record_begin(weir_answer *a, const weir_wish *w)
{
    if (a->out.len)
        weir_put_char(&a->out, ',');
    weir_put_text(&a->out, "{\"symbol\":");
    weir_put_quoted(&a->out, w->symbol);
}

WEIR_HOT void weir_record_end(weir_answer *a)
{
    weir_put_char(&a->out, '}');
}

/* The name of a member of the record; its value follows. Of a literal it is a few stores. */
WEIR_HOT void weir_record_name(weir_answer *a, const char *name)
{
    weir_buf *b = &a->out;
    size_t len = __builtin_strlen(name);
    if (!weir_buf_room(b, len + 4))
        return;
    b->at[b->len] = ',';
    b->at[b->len + 1] = '"';
    if (__builtin_constant_p(len))
        __builtin_memcpy(b->at + b->len + 2, name, len);
    else
        weir_copy(b->at + b->len + 2, name, len);
    b->at[b->len + 2 + len] = '"';
    b->at[b->len + 3 + len] = ':';
    b->len += len + 4;
}

/* The record lacks what it must have: the frame fails, with the first such member's name. */
WEIR_HOT void weir_record_lacks(weir_answer *a, const char *name)
{
    a->lacks = a->lacks ? a->lacks : name;
}

/* The venue's digits, as text. Without them the frame fails. */
WEIR_HOT void weir_record_decimal(weir_answer *a, const char *name, weir_str value)
{
    weir_str digits = weir_json_decimal(value);
    if (!digits.len) {
        weir_record_lacks(a, name);
        return;
    }
    weir_record_name(a, name);
    weir_put_quoted(&a->out, digits);
}

/* The same where the venue may leave it out, or says "" or null. */
WEIR_COLD void weir_record_decimal_if(weir_answer *a, const char *name, weir_str value)
{
    if (weir_json_decimal(value).len)
        weir_record_decimal(a, name, value);
}

/* A whole number, however it came, as JSON number; left out where it is none. */
WEIR_COLD void weir_record_whole(weir_answer *a, const char *name, weir_str value)
{
    weir_str digits = weir_json_decimal(value);
    for (size_t i = 0; i < digits.len; i++)
        if ((digits.at[i] < '0' || digits.at[i] > '9') && (i || digits.at[i] != '-'))
            return;
    if (!digits.len)
        return;
    weir_record_name(a, name);
    weir_put_str(&a->out, digits);
}

/* A text, or a number as text; left out where it is neither. */
WEIR_HOT void weir_record_text(weir_answer *a, const char *name, weir_str value)
{
    weir_json_kind kind = weir_json_kind_of(value);
    if (kind != WEIR_JSON_STRING && kind != WEIR_JSON_NUMBER)
        return;
    weir_record_name(a, name);
    if (kind == WEIR_JSON_NUMBER)
        weir_put_quoted(&a->out, value);
    else
        weir_put_str(&a->out, value);
}

WEIR_COLD void weir_record_bool(weir_answer *a, const char *name, bool value)
{
    weir_record_name(a, name);
    weir_put_text(&a->out, value ? "true" : "false");
}

WEIR_HOT void weir_record_side(weir_answer *a, bool buy)
{
    if (buy)
        weir_put_text(&a->out, ",\"side\":\"buy\"");
    else
        weir_put_text(&a->out, ",\"side\":\"sell\"");
}

/* Nanoseconds from digits of a unit with up to nine more behind a point. */
WEIR_COLD void weir_put_ns(weir_buf *b, weir_str whole, weir_str fraction, size_t places)
{
    while (whole.len > 1 && whole.at[0] == '0')
        whole = weir_slice(whole.at + 1, whole.len - 1);
    weir_put_str(b, whole);
    for (size_t i = 0; i < places; i++)
        weir_put_char(b, i < fraction.len ? fraction.at[i] : '0');
}

/* A time in milliseconds, number or text, as nanoseconds. Without it the frame fails. */
WEIR_COLD void weir_record_ms(weir_answer *a, const char *name, weir_str value)
{
    weir_str ms = value.len && value.at[0] == '"' ? weir_json_raw(value) : value;
    for (size_t i = 0; i < ms.len; i++)
        if (ms.at[i] < '0' || ms.at[i] > '9')
            ms.len = 0;
    if (!ms.len || ms.len > 19) {
        weir_record_lacks(a, name);
        return;
    }
    while (ms.len > 1 && ms.at[0] == '0')
        ms = weir_slice(ms.at + 1, ms.len - 1);
    weir_record_name(a, name);
    weir_put_char(&a->out, '"');
    weir_put_str(&a->out, ms);
    weir_put_text(&a->out, "000000\"");
}

/* The same in seconds with a fraction: "1618678133.365913". */
WEIR_COLD void weir_record_seconds(weir_answer *a, const char *name, weir_str value)
{
    weir_str text = weir_json_decimal(value), whole = text;
    whole.len = 0;
    while (whole.len < text.len && text.at[whole.len] >= '0' && text.at[whole.len] <= '9')
        whole.len++;
    if (!whole.len || (whole.len < text.len && text.at[whole.len] != '.')) {
        weir_record_lacks(a, name);
        return;
    }
    weir_record_name(a, name);
    weir_put_char(&a->out, '"');
    weir_put_ns(&a->out, whole, whole.len < text.len ? weir_slice(text.at + whole.len + 1, text.len - whole.len - 1) : weir_none, 9);
    weir_put_char(&a->out, '"');
}

/* The same as RFC 3339, with all digits of its fraction. */
WEIR_COLD void weir_record_rfc3339(weir_answer *a, const char *name, weir_str value)
{
    weir_str text = weir_json_raw(value), fraction = weir_none;
    int64_t ms;
    if (!weir_time_parse(text, &ms) || ms < 0) {
        weir_record_lacks(a, name);
        return;
    }
    if (text.at[19] == '.') {
        fraction.at = text.at + 20;
        while (fraction.at + fraction.len < text.at + text.len && fraction.at[fraction.len] >= '0' && fraction.at[fraction.len] <= '9')
            fraction.len++;
    }
    weir_record_name(a, name);
    weir_put_char(&a->out, '"');
    weir_put_u64(&a->out, (uint64_t)ms / 1000);
    for (size_t i = 0; i < 9; i++)
        weir_put_char(&a->out, i < fraction.len ? fraction.at[i] : '0');
    weir_put_char(&a->out, '"');
}

/* One level of a book, [price, size], the first in its side or not. False: it is none, and the frame fails. */
WEIR_COLD bool weir_record_level(weir_answer *a, weir_str price, weir_str size, bool first)
{
    price = weir_json_decimal(price);
    size = weir_json_decimal(size);
    if (!price.len || !size.len) {
        weir_record_lacks(a, "level");
        return false;
    }
    weir_put_text(&a->out, first ? "[\"" : ",[\"");
    weir_put_str(&a->out, price);
    weir_put_text(&a->out, "\",\"");
    weir_put_str(&a->out, size);
    weir_put_text(&a->out, "\"]");
    return true;
}

/* A side of a book: lists that begin with price and size, whatever stands behind. What is not there is empty. */
WEIR_COLD void weir_record_levels(weir_answer *a, const char *name, weir_str levels)
{
    weir_json_iter it = weir_json_each(levels);
    bool first = true;
    weir_str v[2];
    weir_record_name(a, name);
    weir_put_char(&a->out, '[');
    if (it.close == ']')
        for (; weir_json_step(&it); first = false) {
            weir_json_items(it.value, v, 2);
            if (!weir_record_level(a, v[0], v[1], first))
                return;
        }
    weir_put_char(&a->out, ']');
}

/* Whether the book is a whole one; each of these records ends its message. */
WEIR_COLD void weir_record_flags(weir_answer *a, bool snapshot)
{
    weir_record_name(a, "flags");
    weir_put_text(&a->out, snapshot ? "[\"snapshot\",\"last\"]" : "[\"last\"]");
}

/* A candle's members; the record's own time is the answer's. */
WEIR_COLD void weir_record_candle(weir_answer *a, const weir_wish *w, uint64_t begin_ms, const weir_str ohlcv[5])
{
    static const char *const names[] = {"open", "high", "low", "close", "volume"};
    weir_record_name(a, "timestamp");
    weir_put_char(&a->out, '"');
    weir_put_time(&a->out, begin_ms);
    weir_put_text(&a->out, "\",\"interval\":\"");
    weir_put_text(&a->out, w->timeframe ? w->timeframe->name : "");
    weir_put_char(&a->out, '"');
    for (int i = 0; i < 5; i++)
        weir_record_decimal(a, names[i], ohlcv[i]);
}

/* ---- Commands that ask the venue ---- */

typedef struct weir_history {
    weir_str symbol;
    const weir_timeframe *timeframe;
    uint64_t from_ms, to_ms, limit; /* 0: not said */
} weir_history;

/* The body of the reply to a GET, good until the next; false when there is none, or its status is not 200. */
WEIR_COLD bool weir_get(weir_str url, weir_str *body, weir_fail *fail)
{
    static weir_http http;
    char status[24];
    weir_buf b = weir_buf_over(status, sizeof status);
    if (!weir_http_request(&http, "GET", url, weir_none, weir_none, fail))
        return false;
    *body = http.body;
    if (http.status == 200)
        return true;
    weir_put_text(&b, " answers status ");
    weir_put_u64(&b, (uint64_t)http.status);
    weir_fail_set(fail, "", url, "");
    return weir_fail_add(fail, weir_buf_str(&b));
}

/* A row of getOHLCV; false, and nothing written, where it is no candle. */
WEIR_COLD bool weir_put_candle(weir_buf *out, uint64_t begin_s, const weir_str ohlcv[5])
{
    static const char *const names[] = {",\"open\":\"", ",\"high\":\"", ",\"low\":\"", ",\"close\":\"", ",\"volume\":\""};
    for (int i = 0; i < 5; i++)
        if (!weir_json_decimal(ohlcv[i]).len)
            return false;
    weir_put_text(out, out->len > 1 ? ",{\"openTime\":" : "{\"openTime\":");
    weir_put_u64(out, begin_s);
    for (int i = 0; i < 5; i++) {
        weir_put_text(out, names[i]);
        weir_put_str(out, weir_json_decimal(ohlcv[i]));
        weir_put_char(out, '"');
    }
    weir_put_char(out, '}');
    return true;
}

/* A member of a market, given as text; left out where it is none. */
WEIR_COLD void weir_put_member(weir_buf *out, const char *name, weir_str text)
{
    if (!text.len)
        return;
    weir_put_text(out, out->at[out->len - 1] == '{' ? "\"" : ",\"");
    weir_put_text(out, name);
    weir_put_text(out, "\":");
    weir_put_string(out, text);
}

/* ---- The plugin ---- */

typedef struct weir_push {
    const char *meta;   /* JSON, as contract and plugin guide have it */
    const char *fields; /* what can be configured, a JSON list; NULL: nothing */
    const char *limits; /* the rates of its commands, a JSON list; NULL: none */
    const weir_push_type *types;
    const weir_timeframe *timeframes; /* ended by a NULL name; NULL: none */
    bool upper;                       /* symbols are upper case, however the user writes them */
    /* Writes the socket's address and first messages. */
    void (*socket)(const weir_wish *w, weir_socket *s);
    /* Before the type's own: what all types have in common, such as acknowledgements and refusals. Sets *mine to
     * what the type's read shall get, empty: nothing. NULL: read gets the frame. */
    bool (*frame)(weir_answer *a, const weir_wish *w, weir_str frame, weir_str *mine);
    /* Append rows to a JSON list: markets {"symbol","base","quote"...}, and candles (weir_put_candle). */
    bool (*markets)(weir_buf *out, weir_fail *fail);
    bool (*history)(const weir_history *h, weir_buf *out, weir_fail *fail);
} weir_push;

/* ---- What follows is for WEIR_PUSH_PLUGIN ---- */

WEIR_COLD int32_t weir_push_say(const char *text, int32_t rc)
{
    weir_output(weir_text(text));
    return rc;
}

/* {"result":false,"error":text}, the way generation 3 refuses a command. */
WEIR_COLD int32_t weir_push_refuse(const weir_fail *fail)
{
    static weir_buf out;
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"result\":false,\"error\":");
    weir_put_string(&out, weir_text(fail->text));
    weir_put_text(&out, "}");
    weir_reply(&out);
    return 1;
}

WEIR_COLD bool weir_symbol_ok(weir_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':' || c == '/'))
            return false;
    }
    return s.len > 0 && s.len <= WEIR_SYMBOL_MAX;
}

/* "1h", with D and W for d and w, and mon for M. */
WEIR_COLD const weir_timeframe *weir_timeframe_find(const weir_timeframe *all, weir_str name)
{
    if (name.len > 3 && weir_is(weir_slice(name.at + name.len - 3, 3), "mon")) {
        for (; all && all->name; all++)
            if (weir_starts(name, weir_slice(all->name, __builtin_strlen(all->name) - 1)) && __builtin_strlen(all->name) == name.len - 2 && all->name[name.len - 3] == 'M')
                return all;
        return NULL;
    }
    for (; all && all->name; all++) {
        weir_str have = weir_text(all->name);
        char last = name.len ? name.at[name.len - 1] : 0;
        last = last == 'D' ? 'd' : last == 'W' ? 'w'
                                               : last;
        if (have.len == name.len && weir_same(have.at, name.at, have.len - 1) && have.at[have.len - 1] == last)
            return all;
    }
    return NULL;
}

/* The symbol from the parameters of any library's age, in room of the caller's. */
WEIR_COLD bool weir_push_symbol(const weir_push *p, weir_str params, char room[WEIR_SYMBOL_MAX], weir_str *out, weir_fail *fail)
{
    weir_str symbol = weir_json_raw(weir_json_member(params, "symbol"));
    if (!symbol.len)
        symbol = weir_json_raw(weir_json_member(weir_json_member(params, "market"), "symbol"));
    if (!weir_symbol_ok(symbol))
        return weir_fail_set(fail, symbol.len ? "there is no symbol '" : "which symbol?", symbol, symbol.len ? "'" : " \"symbol\" is missing");
    for (size_t i = 0; i < symbol.len; i++)
        room[i] = p->upper && symbol.at[i] >= 'a' && symbol.at[i] <= 'z' ? (char)(symbol.at[i] - 32) : symbol.at[i];
    *out = weir_slice(room, symbol.len);
    return true;
}

WEIR_COLD bool weir_push_time(const weir_push *p, weir_str params, const weir_timeframe **out, weir_fail *fail)
{
    weir_str name = weir_json_raw(weir_json_member(params, "timeframe"));
    if (!name.len)
        name = weir_json_raw(weir_json_member(params, "interval"));
    *out = weir_timeframe_find(p->timeframes, name);
    if (*out)
        return true;
    weir_fail_set(fail, name.len ? "there is no time frame '" : "which time frame?", name, name.len ? "'; there are" : " There are");
    for (const weir_timeframe *t = p->timeframes; t && t->name; t++) {
        weir_fail_add(fail, weir_text(" "));
        weir_fail_add(fail, weir_text(t->name));
    }
    return false;
}

/* The command <type>Stream: a StreamMarker. Its streamID says the wish, and comes back with each raw frame; to a host that does
 * not know "raw" its streamContext does. */
WEIR_COLD int32_t weir_push_open(const weir_push *p, const weir_push_type *type, weir_str params, weir_fail *fail)
{
    static weir_socket s;
    static weir_buf out;
    char room[WEIR_SYMBOL_MAX];
    weir_wish w = {type, {NULL, 0}, NULL};
    if (!weir_push_symbol(p, params, room, &w.symbol, fail) || (type->timed && !weir_push_time(p, params, &w.timeframe, fail)))
        return weir_push_refuse(fail);
    weir_buf_clear(&s.url);
    weir_buf_clear(&s.messages);
    weir_buf_clear(&s.book);
    s.ping_ms = 0;
    p->socket(&w, &s);
    weir_str time = w.timeframe ? weir_text(w.timeframe->name) : weir_none;
    weir_buf_clear(&out);
    weir_put_form(&out, "{\"result\":true,\"responseType\":\"StreamMarker\",\"data\":{\"_stream\":true,\"raw\":true,\"streamID\":\"%_%_%\",\"websocketUrl\":",
                  weir_text(type->name), w.symbol, time);
    weir_put_string(&out, weir_buf_str(&s.url));
    weir_put_form(&out, ",\"initialMessages\":[%],", weir_buf_str(&s.messages), weir_none, weir_none);
    weir_put_form(&out, "\"streamContext\":{\"type\":\"%\",\"symbol\":\"%\",\"timeframe\":\"%\"}", weir_text(type->name), w.symbol, time);
    if (s.ping_ms) {
        weir_put_text(&out, ",\"heartbeat\":{\"transport\":{\"pingIntervalMs\":");
        weir_put_u64(&out, s.ping_ms);
        weir_put_text(&out, "}}");
    }
    if (s.book.len)
        weir_put_form(&out, ",\"book\":%", weir_buf_str(&s.book), weir_none, weir_none);
    weir_put_text(&out, "}}");
    out.failed |= s.url.failed || s.messages.failed || s.book.failed;
    return weir_reply(&out);
}

/* {"type","symbol","timeframe"} */
WEIR_COLD void weir_push_wish_json(const weir_push *p, weir_str context, weir_wish *w)
{
    weir_str name = weir_json_raw(weir_json_member(context, "type"));
    w->symbol = weir_json_raw(weir_json_member(context, "symbol"));
    w->timeframe = weir_timeframe_find(p->timeframes, weir_json_raw(weir_json_member(context, "timeframe")));
    for (w->type = p->types; w->type->name && !weir_is(name, w->type->name);)
        w->type++;
}

/* TYPE_SYMBOL_TIMEFRAME; a symbol may have such lines, too. Of two types that fit it is the longer. */
WEIR_COLD void weir_push_wish_id(const weir_push *p, weir_str id, weir_wish *w)
{
    weir_str name = weir_none;
    const weir_push_type *t = p->types;
    size_t time = id.len;
    for (w->type = NULL; t->name; t++) {
        weir_str have = weir_text(t->name);
        if (have.len >= name.len && have.len < id.len && weir_starts(id, have) && id.at[have.len] == '_') {
            w->type = t;
            name = have;
        }
    }
    w->type = w->type ? w->type : t;
    while (time > 0 && id.at[time - 1] != '_')
        time--;
    w->timeframe = weir_timeframe_find(p->timeframes, weir_slice(id.at + time, id.len - time));
    w->symbol = time > name.len + 1 ? weir_slice(id.at + name.len + 1, time - name.len - 2) : weir_none;
}

/* The wish from its streamID or its streamContext; the same octets as before give the same wish. */
WEIR_COLD const weir_wish *weir_push_wish(const weir_push *p, weir_str said)
{
    static char last[3 * WEIR_SYMBOL_MAX];
    static size_t last_len;
    static weir_wish w;
    if (last_len && last_len == said.len && weir_same(last, said.at, last_len))
        return &w;
    last_len = 0;
    if (!said.len || said.len > sizeof last)
        return NULL;
    weir_copy(last, said.at, said.len);
    said.at = last;
    if (said.at[0] == '{')
        weir_push_wish_json(p, said, &w);
    else
        weir_push_wish_id(p, said, &w);
    if (!w.type->name || !weir_symbol_ok(w.symbol) || (w.type->timed && !w.timeframe))
        return NULL;
    last_len = said.len;
    return &w;
}

/* What the functions made of a frame, as the host reads it. */
WEIR_COLD int32_t weir_push_answer(weir_answer *a, const weir_wish *w, bool good)
{
    static weir_buf out;
    if (good && a->lacks)
        good = weir_fail_set(&a->fail, "a message of this stream has no usable '", weir_text(a->lacks), "'");
    if (good && (a->out.failed || a->send.failed))
        good = weir_fail_set(&a->fail, "out of memory", weir_none, "");
    weir_buf_clear(&out);
    if (!good || a->refused) {
        weir_put_text(&out, good ? "{\"success\":true,\"action\":\"close\",\"error\":" : "{\"success\":false,\"action\":\"ignore\",\"error\":");
        weir_put_string(&out, weir_text(a->fail.text));
        weir_put_text(&out, "}");
        weir_reply(&out);
        return good ? 0 : 1;
    }
    if (a->out.len && !a->reconnect) {
        weir_put_text(&out, "{\"success\":true,\"action\":\"data\",\"dataType\":\"");
        weir_put_text(&out, w->type->name);
        weir_put_text(&out, "\",\"data\":[");
        weir_put_str(&out, weir_buf_str(&a->out));
        weir_put_char(&out, ']');
    } else {
        weir_put_form(&out, "{\"success\":true,\"action\":\"%\"", weir_text(a->reconnect ? "reconnect" : a->send.len ? "send"
                                                                                                                     : "ignore"),
                      weir_none, weir_none);
    }
    if (a->send.len) {
        weir_put_text(&out, ",\"sendMessage\":");
        weir_put_string(&out, weir_buf_str(&a->send));
    }
    if (weir_json_decimal(a->sequence).len)
        weir_put_form(&out, ",\"sequence\":%", weir_json_decimal(a->sequence), weir_none, weir_none);
    if (weir_json_decimal(a->previous).len)
        weir_put_form(&out, ",\"previousSequence\":%", weir_json_decimal(a->previous), weir_none, weir_none);
    if (a->time_ms) {
        weir_put_text(&out, ",\"timestamp\":\"");
        weir_put_time(&out, a->time_ms);
        weir_put_char(&out, '"');
    }
    weir_put_char(&out, '}');
    return weir_reply(&out);
}

/* The frame of a host that does not know "raw": base64, or, from one that makes no difference, text. */
WEIR_COLD bool weir_push_frame(weir_str message, weir_str *frame)
{
    char *to = (char *)(uintptr_t)message.at + 1;
    weir_str raw = weir_json_raw(message);
    const char *stop;
    if (!raw.len)
        return false;
    if (raw.at[0] == '{' || raw.at[0] == '[') {
        char *end = weir_json_unquote(raw.at, message.at + message.len, to, &stop);
        *frame = weir_slice(to, end ? (size_t)(end - to) : 0);
        return end != NULL;
    }
    *frame = weir_slice(to, weir_base64_decode(raw, to));
    return frame->len != (size_t)-1;
}

/* What the input says of the stream, and the frame: `=`, the streamID, a line break and the frame, or JSON. */
WEIR_COLD bool weir_push_input(weir_str *said, weir_str *frame)
{
    static const char *const names[] = {"message", "streamContext"};
    weir_str v[2], in = weir_input();
    size_t i = 1;
    if (!in.len || in.at[0] != '=') {
        weir_json_find(in, names, v, 2);
        *said = v[1];
        return weir_push_frame(v[0], frame);
    }
    while (i < in.len && in.at[i] != '\n')
        i++;
    *said = weir_slice(in.at + 1, i - 1);
    *frame = i < in.len ? weir_slice(in.at + i + 1, in.len - i - 1) : weir_none;
    return i < in.len;
}

WEIR_COLD int32_t weir_push_message(const weir_push *p)
{
    static weir_answer a;
    const weir_wish *w;
    weir_str said, frame, mine;
    if (!weir_push_input(&said, &frame))
        return weir_push_say("{\"success\":false,\"action\":\"ignore\",\"error\":\"failed to parse stream message request: no message in base64\"}", 1);
    if (!(w = weir_push_wish(p, said)))
        return weir_push_say("{\"success\":false,\"action\":\"ignore\",\"error\":\"the streamContext is not one of this plugin's\"}", 1);
    weir_buf_clear(&a.out);
    weir_buf_clear(&a.send);
    a.lacks = NULL;
    a.sequence = a.previous = weir_none;
    a.time_ms = 0;
    a.refused = a.reconnect = false;
    a.fail.text[0] = 0;
    mine = frame;
    return weir_push_answer(&a, w, (!p->frame || p->frame(&a, w, frame, &mine)) && (!mine.len || a.refused || w->type->read(&a, w, mine)));
}

/* {"value":1,"unit":"h"} for each, as the library's own type has it. */
WEIR_COLD int32_t weir_push_timeframes(const weir_push *p)
{
    static weir_buf out;
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"result\":true,\"cacheForSeconds\":43200,\"data\":[");
    for (const weir_timeframe *t = p->timeframes; t && t->name; t++) {
        size_t digits = __builtin_strlen(t->name) - 1;
        char unit = t->name[digits];
        unit = unit == 'd' ? 'D' : unit == 'w' ? 'W'
                                               : unit;
        weir_put_text(&out, t == p->timeframes ? "" : ",");
        weir_put_form(&out, "{\"id\":0,\"userId\":0,\"value\":%,\"unit\":\"%\",\"location\":null}", weir_slice(t->name, digits), weir_slice(&unit, 1), weir_none);
    }
    weir_put_text(&out, "]}");
    return weir_reply(&out);
}

/* RFC 3339, or milliseconds since 1970; 0: not said, or neither. */
WEIR_COLD uint64_t weir_push_when(weir_str value)
{
    uint64_t ms;
    int64_t parsed;
    if (weir_json_u64(value, &ms))
        return ms;
    return weir_time_parse(weir_json_raw(value), &parsed) && parsed > 0 ? (uint64_t)parsed : 0;
}

WEIR_COLD int32_t weir_push_ask(const weir_push *p, bool markets, weir_str params, weir_fail *fail)
{
    static weir_buf rows, out;
    char room[WEIR_SYMBOL_MAX];
    weir_history h = {{NULL, 0}, NULL, 0, 0, 0};
    bool good;
    weir_buf_clear(&rows);
    weir_put_char(&rows, '[');
    if (markets) {
        good = p->markets(&rows, fail);
    } else {
        h.from_ms = weir_push_when(weir_json_member(params, "startTime"));
        h.to_ms = weir_push_when(weir_json_member(params, "endTime"));
        weir_json_u64(weir_json_member(params, "limit"), &h.limit);
        good = weir_push_symbol(p, params, room, &h.symbol, fail) && weir_push_time(p, params, &h.timeframe, fail) && p->history(&h, &rows, fail);
    }
    if (!good)
        return weir_push_refuse(fail);
    weir_buf_clear(&out);
    weir_put_form(&out, "{\"result\":true,%\"data\":%]}", weir_text(markets ? "\"cacheForSeconds\":43200," : ""), weir_buf_str(&rows), weir_none);
    out.failed |= rows.failed;
    return weir_reply(&out);
}

WEIR_COLD int32_t weir_push_command(const weir_push *p)
{
    static const char *const names[] = {"name", "params"};
    weir_fail fail = {""};
    weir_str v[2], name;
    weir_json_find(weir_input(), names, v, 2);
    name = weir_json_raw(v[0]);
    if (weir_is(name, "getTimeframes"))
        return weir_push_timeframes(p);
    if (weir_is(name, "getMarkets") && p->markets)
        return weir_push_ask(p, true, v[1], &fail);
    if (weir_is(name, "getOHLCV") && p->history)
        return weir_push_ask(p, false, v[1], &fail);
    for (const weir_push_type *t = p->types; t->name; t++) {
        weir_str type = weir_text(t->name);
        if (weir_starts(name, type) && weir_is(weir_slice(name.at + type.len, name.len - type.len), "Stream"))
            return weir_push_open(p, t, v[1], &fail);
    }
    weir_fail_set(&fail, "unknown command: ", weir_slice(name.at, name.len < 80 ? name.len : 80), "");
    return weir_push_refuse(&fail);
}

/* The exports. Public data needs no configuration and no clean-up, and it is the host who dials again. */
#define WEIR_PUSH_PLUGIN(plugin)                                             \
    WEIR_EXPORT(meta)                                                        \
    {                                                                        \
        return weir_push_say((plugin).meta, 0);                              \
    }                                                                        \
    WEIR_EXPORT(get_configuration_fields)                                    \
    {                                                                        \
        return weir_push_say((plugin).fields ? (plugin).fields : "[]", 0);   \
    }                                                                        \
    WEIR_EXPORT(get_rate_limits)                                             \
    {                                                                        \
        return weir_push_say((plugin).limits ? (plugin).limits : "[]", 0);   \
    }                                                                        \
    WEIR_EXPORT(init)                                                        \
    {                                                                        \
        return 0;                                                            \
    }                                                                        \
    WEIR_EXPORT(shutdown)                                                    \
    {                                                                        \
        return 0;                                                            \
    }                                                                        \
    WEIR_EXPORT(handle_command)                                              \
    {                                                                        \
        return weir_push_command(&(plugin));                                 \
    }                                                                        \
    WEIR_EXPORT(handle_stream_message)                                       \
    {                                                                        \
        return weir_push_message(&(plugin));                                 \
    }                                                                        \
    WEIR_EXPORT(handle_connection_event)                                     \
    {                                                                        \
        return weir_push_say("{\"success\":true,\"action\":\"ignore\"}", 0); \
    }

#ifdef __cplusplus
}
#endif

#endif
