/* What a type of stream shows in the table: one section each, with its columns and its reader.
 *
 * The fields are those that plugins use; a number may come as a JSON number or as a string and is shown
 * in the plugin's own digits. All text is escaped on its way into a cell. */
#include "base/clock.h"
#include "base/log.h"
#include "sink/table.h"
#include "sink/text.h"

#include <stdio.h>

void table_set_cell(char cell[TABLE_CELL], bytes text)
{
    buf escaped;
    size_t len;

    if (text.len >= TABLE_CELL) { /* more cannot be seen */
        text.len = TABLE_CELL - 1;
        while (text.len && ((unsigned char)text.at[text.len] & 0xC0) == 0x80)
            text.len--;
    }
    buf_init(&escaped, 8 * TABLE_CELL);
    log_escape(&escaped, text);
    len = escaped.len < TABLE_CELL ? escaped.len : TABLE_CELL - 1;
    while (len < escaped.len && len > 0 && ((unsigned char)escaped.at[len] & 0xC0) == 0x80)
        len--;
    if (len)
        memcpy(cell, escaped.at, len);
    cell[len] = '\0';
    buf_fini(&escaped);
}

/* A number or a text; null, nothing, an object or an array leave the cell as it was. */
static void show(table_row *row, int cell, json value)
{
    bytes text = value.raw;
    buf decoded;

    if (value.type == JSON_NUMBER || value.type == JSON_TRUE || value.type == JSON_FALSE ||
        json_string_slice(value, &text)) {
        table_set_cell(row->cells[cell], text);
        return;
    }
    if (value.type != JSON_STRING)
        return;
    buf_init(&decoded, 64 << 10);
    if (json_string_add(value, &decoded) && !decoded.failed)
        table_set_cell(row->cells[cell], buf_bytes(&decoded));
    buf_fini(&decoded);
}

/* The first of several names that the object has. */
static json either(json object, const char *a, const char *b, const char *c)
{
    json found = json_member(object, a);
    if (found.type == JSON_NONE && b)
        found = json_member(object, b);
    if (found.type == JSON_NONE && c)
        found = json_member(object, c);
    return found;
}

/* Today's time, or the day with it. */
static void show_time(table_row *row, int cell, json value, uint64_t real_ns)
{
    char then[CLOCK_RFC3339_SIZE], today[CLOCK_RFC3339_SIZE];
    uint64_t ns;

    if (!text_time(value, &ns))
        return;
    clock_rfc3339(then, ns, 0); /* 2026-11-23T07:44:42Z */
    clock_rfc3339(today, real_ns, 0);
    if (memcmp(then, today, 10) == 0) {
        table_set_cell(row->cells[cell], bytes_make(then + 11, 8));
    } else {
        then[10] = ' ';
        table_set_cell(row->cells[cell], bytes_make(then + 5, 11));
    }
}

static void read_candle(table_row *row, json data, uint64_t real_ns)
{
    json first;

    if (data.type == JSON_ARRAY) { /* several candles: the newest is the last */
        json_iter it = json_each(data);
        while (json_next(&it, &first, &data))
            continue;
    }
    show(row, 0, json_member(data, "open"));
    show(row, 1, json_member(data, "high"));
    show(row, 2, json_member(data, "low"));
    show(row, 3, json_member(data, "close"));
    show(row, 4, json_member(data, "volume"));
    show_time(row, 5, either(data, "timestamp", "time", "ts_event"), real_ns);
    json timeframe = either(data, "interval", "timeframe", NULL);
    bytes text;
    if (!row->timeframe[0] && json_string_slice(timeframe, &text))
        table_set_cell(row->timeframe, text);
}

static void read_trade(table_row *row, json data, uint64_t real_ns)
{
    json all = data.type == JSON_ARRAY ? data : json_member(data, "trades"), key, trade = data;

    if (all.type == JSON_ARRAY) {
        json_iter it = json_each(all);
        while (json_next(&it, &key, &trade))
            continue;
    }
    show(row, 0, json_member(trade, "price"));
    show(row, 1, either(trade, "size", "amount", "quantity"));
    show(row, 2, json_member(trade, "side"));
    show_time(row, 3, either(trade, "timestamp", "time", "ts_event"), real_ns);
}

static void read_ticker(table_row *row, json data, uint64_t real_ns)
{
    (void)real_ns;
    show(row, 0, either(data, "last", "close", "price"));
    show(row, 1, json_member(data, "bid"));
    show(row, 2, json_member(data, "ask"));
    show(row, 3, json_member(data, "open"));
    show(row, 4, json_member(data, "high"));
    show(row, 5, json_member(data, "low"));
    show(row, 6, json_member(data, "volume"));
}

static void read_bbo(table_row *row, json data, uint64_t real_ns)
{
    (void)real_ns;
    show(row, 0, json_member(data, "bid"));
    show(row, 1, either(data, "bidSize", "bid_size", NULL));
    show(row, 2, json_member(data, "ask"));
    show(row, 3, either(data, "askSize", "ask_size", NULL));
}

/* A side without levels has no best one. */
static void show_best(table_row *row, int cell, book_side side)
{
    book_cursor at = {0};
    const book_level *best = book_next(&row->book, side, &at);
    table_set_cell(row->cells[cell], best ? book_price(best) : BYTES(""));
    table_set_cell(row->cells[cell + 1], best ? book_size(best) : BYTES(""));
}

/* By its flags or its type; a record with neither is whole. */
static bool is_whole(json data)
{
    json key, flag, flags = json_member(data, "flags");
    if (flags.type != JSON_ARRAY)
        return !json_is(json_member(data, "type"), "delta");
    for (json_iter it = json_each(flags); json_next(&it, &key, &flag);)
        if (json_is(flag, "snapshot"))
            return true;
    return false;
}

static void read_book(table_row *row, json data, uint64_t real_ns)
{
    (void)real_ns;
    json bids = json_member(data, "bids"), asks = json_member(data, "asks");
    if (bids.type != JSON_ARRAY && asks.type != JSON_ARRAY)
        return;
    if (is_whole(data))
        book_clear(&row->book);
    book_apply(&row->book, BOOK_BIDS, bids, NULL);
    book_apply(&row->book, BOOK_ASKS, asks, NULL);
    book_truncate(&row->book);
    show_best(row, 0, BOOK_BIDS);
    show_best(row, 2, BOOK_ASKS);
    snprintf(row->cells[4], TABLE_CELL, "%zu/%zu", book_count(&row->book, BOOK_BIDS), book_count(&row->book, BOOK_ASKS));
}

static void read_other(table_row *row, json data, uint64_t real_ns)
{
    (void)real_ns;
    table_set_cell(row->cells[0], data.raw);
}

#define END                        \
    {                              \
        NULL, ALIGN_LEFT, 0, false \
    }

/* clang-format off */
const table_section table_sections[TABLE_SECTIONS] = {
    {"candles", {"ohlcv", "candles", NULL}, {
        {"open", ALIGN_DECIMAL, 5, false}, {"high", ALIGN_DECIMAL, 7, false}, {"low", ALIGN_DECIMAL, 7, false},
        {"close", ALIGN_DECIMAL, 9, true}, {"volume", ALIGN_DECIMAL, 4, false}, {"time", ALIGN_RIGHT, 3, false}, END},
     read_candle, false},
    {"trades", {"trades", "trade", NULL}, {
        {"price", ALIGN_DECIMAL, 9, true}, {"size", ALIGN_DECIMAL, 7, false}, {"side", ALIGN_LEFT, 6, false},
        {"time", ALIGN_RIGHT, 3, false}, END},
     read_trade, false},
    {"tickers", {"ticker", "tickers", NULL}, {
        {"last", ALIGN_DECIMAL, 9, true}, {"bid", ALIGN_DECIMAL, 7, false}, {"ask", ALIGN_DECIMAL, 7, false},
        {"open", ALIGN_DECIMAL, 4, false}, {"high", ALIGN_DECIMAL, 5, false}, {"low", ALIGN_DECIMAL, 5, false},
        {"volume", ALIGN_DECIMAL, 3, false}, END},
     read_ticker, true},
    {"best bid, ask", {"bbo", NULL}, {
        {"bid", ALIGN_DECIMAL, 9, true}, {"size", ALIGN_DECIMAL, 5, false}, {"ask", ALIGN_DECIMAL, 8, false},
        {"size", ALIGN_DECIMAL, 5, false}, END},
     read_bbo, true},
    {"order books", {"orderbook", "book", "depth", NULL}, {
        {"bid", ALIGN_DECIMAL, 9, true}, {"size", ALIGN_DECIMAL, 5, false}, {"ask", ALIGN_DECIMAL, 8, false},
        {"size", ALIGN_DECIMAL, 5, false}, {"depth", ALIGN_RIGHT, 4, false}, END},
     read_book, true},
    {"streams", {NULL}, {{"data", ALIGN_LEFT, 9, false}, END}, read_other, false},
};
/* clang-format on */

uint8_t table_section_of(bytes type)
{
    for (uint8_t i = 0; i < TABLE_SECTIONS; i++) {
        if (!table_sections[i].types[0])
            return i;
        for (size_t n = 0; table_sections[i].types[n]; n++)
            if (bytes_is(type, table_sections[i].types[n]))
                return i;
    }
    return TABLE_SECTIONS - 1;
}

static const char *price_of(const table_row *row)
{
    const table_column *column = table_sections[row->section].columns;

    for (int i = 0; column[i].title; i++)
        if (column[i].price)
            return row->cells[i];
    return "";
}

void table_row_read(table_row *row, uint64_t real_ns)
{
    char before[TABLE_CELL];
    json data;
    int order;

    if (!row->last || row->read_seq == row->last->seq)
        return;
    row->read_seq = row->last->seq;
    if (json_read(&data, row->last->data, NULL))
        return;
    snprintf(before, sizeof before, "%s", price_of(row));
    table_sections[row->section].read(row, data, real_ns);
    order = before[0] ? text_compare_decimals(bytes_of(price_of(row)), bytes_of(before)) : 0;
    if (order)
        row->direction = (int8_t)order;
}
