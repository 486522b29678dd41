/* One frame of the venue to one record.
 *
 * The hot path of the plugin: one walk over the frame's data picks the members by their one or two
 * letters, and the record is written behind the octets that are the same in every record. Prices and
 * sizes are checked to be decimals and otherwise left alone; candles carry them as numbers, digit
 * for digit, the others as strings.
 *
 * What can go wrong: the venue leaves a member out, or sends a price that is none. Then there is no
 * record, and the reason goes to the log.
 */
#include "woox.h"

#define PAIR(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

/* A member's name of one or two characters as one number, 0 for a longer one. */
static inline unsigned name_of(weir_str key)
{
    return key.len == 2 ? PAIR(key.at[0], key.at[1]) : key.len == 1 ? (unsigned)key.at[0]
                                                                    : 0;
}

weir_buf *woox_record_begin(weir_publisher *out, const woox_key *key, uint64_t event_ms, uint64_t ms)
{
    weir_buf *b = weir_publish_begin(out, event_ms);
    weir_put_text(b, "{\"symbol\":\"");
    weir_put_text(b, key->symbol);
    weir_put_text(b, "\",\"timestamp\":\"");
    weir_put_time(b, ms);
    weir_put_char(b, '"');
    return b;
}

/* Appends a decimal as a JSON string. */
static inline void put_quoted(weir_buf *b, weir_str decimal)
{
    weir_put_char(b, '"');
    weir_put_str(b, decimal);
    weir_put_char(b, '"');
}

static bool lacking(weir_fail *fail, const woox_key *key, const char *what)
{
    return weir_fail_set(fail, "WOO X: a frame of ", weir_text(key->type), what);
}

static bool trade(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    weir_str price = {NULL, 0}, size = {NULL, 0}, side = {NULL, 0};
    uint64_t ms = 0;
    weir_json_iter it = weir_json_each(data);
    weir_buf *b;
    while (weir_json_step(&it)) {
        switch (name_of(it.key)) {
        case PAIR('p', 'x'):
            price = weir_json_decimal(it.value);
            break;
        case PAIR('s', 'x'):
            size = weir_json_decimal(it.value);
            break;
        case PAIR('s', 'd'):
            side = weir_json_raw(it.value);
            break;
        case PAIR('t', 's'):
            weir_json_u64(it.value, &ms);
            break;
        }
    }
    if (it.bad || !price.len || !size.len || !side.len || !ms)
        return lacking(fail, key, " lacks px, sx, sd or ts");
    b = woox_record_begin(out, key, ms, ms);
    weir_put_text(b, ",\"price\":");
    put_quoted(b, price);
    weir_put_text(b, ",\"size\":");
    put_quoted(b, size);
    if (side.at[0] == 'B')
        weir_put_text(b, ",\"side\":\"buy\"}");
    else
        weir_put_text(b, ",\"side\":\"sell\"}");
    return weir_publish_end(out, fail);
}

static bool candle(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    weir_str open = {NULL, 0}, high = {NULL, 0}, low = {NULL, 0}, close = {NULL, 0}, volume = {NULL, 0};
    uint64_t start_ms = 0, ms = 0;
    weir_json_iter it = weir_json_each(data);
    weir_buf *b;
    while (weir_json_step(&it)) {
        switch (name_of(it.key)) {
        case 'o':
            open = weir_json_decimal(it.value);
            break;
        case 'h':
            high = weir_json_decimal(it.value);
            break;
        case 'l':
            low = weir_json_decimal(it.value);
            break;
        case 'c':
            close = weir_json_decimal(it.value);
            break;
        case 'v':
            volume = weir_json_decimal(it.value);
            break;
        case PAIR('s', 't'):
            weir_json_u64(it.value, &start_ms);
            break;
        case PAIR('t', 's'):
            weir_json_u64(it.value, &ms);
            break;
        }
    }
    if (it.bad || !open.len || !high.len || !low.len || !close.len || !volume.len || !start_ms)
        return lacking(fail, key, " lacks st, o, h, l, c or v");
    b = woox_record_begin(out, key, ms ? ms : start_ms, start_ms);
    weir_put_text(b, ",\"interval\":\"");
    weir_put_text(b, key->span);
    weir_put_text(b, "\",\"open\":");
    weir_put_str(b, open);
    weir_put_text(b, ",\"high\":");
    weir_put_str(b, high);
    weir_put_text(b, ",\"low\":");
    weir_put_str(b, low);
    weir_put_text(b, ",\"close\":");
    weir_put_str(b, close);
    weir_put_text(b, ",\"volume\":");
    weir_put_str(b, volume);
    weir_put_char(b, '}');
    return weir_publish_end(out, fail);
}

/* The 24-hour ticker. */
static bool ticker(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    static const char letters[6] = {'o', 'h', 'l', 'c', 'v', 'a'};
    static const char *const names[6] = {",\"open\":", ",\"high\":", ",\"low\":", ",\"close\":", ",\"volume\":", ",\"amount\":"};
    weir_str number[6] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    uint64_t ms = 0, count = 0;
    weir_json_iter it = weir_json_each(data);
    weir_buf *b;
    while (weir_json_step(&it)) {
        unsigned name = name_of(it.key);
        for (int i = 0; i < 6; i++)
            if (name == (unsigned)letters[i])
                number[i] = weir_json_decimal(it.value);
        if (name == PAIR('t', 's'))
            weir_json_u64(it.value, &ms);
        else if (weir_is(it.key, "cnt"))
            weir_json_u64(it.value, &count);
    }
    if (it.bad || !ms || !number[3].len)
        return lacking(fail, key, " lacks ts or c");
    b = woox_record_begin(out, key, ms, ms);
    for (int i = 0; i < 6; i++) {
        if (!number[i].len)
            continue;
        weir_put_text(b, names[i]);
        put_quoted(b, number[i]);
    }
    weir_put_text(b, ",\"count\":");
    weir_put_u64(b, count);
    weir_put_char(b, '}');
    return weir_publish_end(out, fail);
}

/* Best bid and offer. */
static bool bbo(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    weir_str bid = {NULL, 0}, bid_size = {NULL, 0}, ask = {NULL, 0}, ask_size = {NULL, 0};
    uint64_t ms = 0;
    weir_json_iter it = weir_json_each(data);
    weir_buf *b;
    while (weir_json_step(&it)) {
        switch (name_of(it.key)) {
        case PAIR('b', 'p'):
            bid = weir_json_decimal(it.value);
            break;
        case PAIR('b', 'q'):
            bid_size = weir_json_decimal(it.value);
            break;
        case PAIR('a', 'p'):
            ask = weir_json_decimal(it.value);
            break;
        case PAIR('a', 'q'):
            ask_size = weir_json_decimal(it.value);
            break;
        case PAIR('t', 's'):
            weir_json_u64(it.value, &ms);
            break;
        }
    }
    if (it.bad || !bid.len || !bid_size.len || !ask.len || !ask_size.len || !ms)
        return lacking(fail, key, " lacks bp, bq, ap, aq or ts");
    b = woox_record_begin(out, key, ms, ms);
    weir_put_text(b, ",\"bid\":");
    put_quoted(b, bid);
    weir_put_text(b, ",\"bid_size\":");
    put_quoted(b, bid_size);
    weir_put_text(b, ",\"ask\":");
    put_quoted(b, ask);
    weir_put_text(b, ",\"ask_size\":");
    put_quoted(b, ask_size);
    weir_put_char(b, '}');
    return weir_publish_end(out, fail);
}

bool woox_record(weir_publisher *out, const woox_key *key, weir_str data, weir_fail *fail)
{
    switch (key->kind) {
    case WOOX_OHLCV:
        return candle(out, key, data, fail);
    case WOOX_TRADES:
        return trade(out, key, data, fail);
    case WOOX_TICKER:
        return ticker(out, key, data, fail);
    case WOOX_BBO:
        return bbo(out, key, data, fail);
    case WOOX_ORDERBOOK:
        break; /* book.c */
    }
    return weir_fail_set(fail, "no record for ", weir_text(key->type), "");
}
