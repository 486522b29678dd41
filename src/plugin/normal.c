#include "plugin/normal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "plugin/timeframe.h"

#define MILLISECONDS_FROM UINT64_C(100000000000) /* as seconds, the year 5138 */

bool normal_decimal(json value, bytes *out)
{
    bytes text = value.raw;
    size_t i = 0, digits = 0;
    if (value.type == JSON_STRING ? !json_string_slice(value, &text) : value.type != JSON_NUMBER)
        return false;
    i += i < text.len && text.at[i] == '-';
    for (; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        digits++;
    if (digits && i < text.len && text.at[i] == '.') {
        size_t before = ++i;
        while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9')
            i++;
        if (i == before)
            return false;
    }
    if (digits && i < text.len && (text.at[i] | 32) == 'e') {
        i++;
        i += i < text.len && (text.at[i] == '+' || text.at[i] == '-');
        size_t before = i;
        while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9')
            i++;
        if (i == before)
            return false;
    }
    if (!digits || i != text.len)
        return false;
    *out = text;
    return true;
}

bool normal_time(json value, uint64_t *ns)
{
    bytes text;
    uint64_t n;
    if (json_string_slice(value, &text)) {
        if (clock_parse(text, ns))
            return true;
        value = (json){JSON_NUMBER, text};
        if (!normal_decimal(value, &text))
            return false;
    }
    if (!json_u64(value, &n) || n == 0)
        return false;
    if (n < MILLISECONDS_FROM)
        n *= 1000;
    if (n > UINT64_MAX / NS_PER_MS)
        return false;
    *ns = n * NS_PER_MS;
    return true;
}

/* ---- Candles ---- */

typedef struct candle {
    uint64_t time;
    size_t place; /* in the plugin's order */
    bytes values[5];
} candle;

static const char *const value_names[5] = {"open", "high", "low", "close", "volume"};

static int by_time(const void *a, const void *b)
{
    const candle *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void refuse(normal_notes *notes, size_t place, const char *what, json value)
{
    bytes is = value.type == JSON_NONE ? BYTES("missing") : value.raw;
    if (notes->refused++ == 0)
        snprintf(notes->why, sizeof notes->why, "row %zu: \"%s\" is %.*s", place + 1, what, (int)(is.len < 40 ? is.len : 40), is.at);
}

static bool read_candle(candle *out, json row, size_t place, normal_notes *notes)
{
    json time = json_member(row, "openTime");
    if (time.type == JSON_NONE)
        time = json_member(row, "timestamp");
    out->place = place;
    if (!normal_time(time, &out->time)) {
        refuse(notes, place, "openTime", time);
        return false;
    }
    for (int i = 0; i < 5; i++) {
        json value = json_member(row, value_names[i]);
        if (!normal_decimal(value, &out->values[i])) {
            refuse(notes, place, value_names[i], value);
            return false;
        }
    }
    return true;
}

/* Plugins give candles oldest first or newest first. Those that go against the way of most are strays. */
static size_t strays_of(const candle *rows, size_t count)
{
    size_t up = 0, down = 0;
    for (size_t i = 1; i < count; i++) {
        up += rows[i].time > rows[i - 1].time;
        down += rows[i].time < rows[i - 1].time;
    }
    return up < down ? up : down;
}

bool normal_say(buf *out, const normal_notes *n)
{
    if (n->doubles)
        buf_add_fmt(out, "%zu %s twice, the first of them stays", n->doubles, n->doubles > 1 ? "rows came" : "row came");
    if (n->strays)
        buf_add_fmt(out, "%s%zu out of order, now in place", n->doubles ? "; " : "", n->strays);
    if (n->refused)
        buf_add_fmt(out, "%s%zu %s no sense and %s left out (%s)", n->doubles || n->strays ? "; " : "", n->refused,
                    n->refused > 1 ? "rows make" : "row makes", n->refused > 1 ? "are" : "is", n->why);
    return n->doubles || n->strays || n->refused;
}

static weir_code write_candles(buf *out, json list, normal_notes *notes, weir_error *err)
{
    json key, row;
    size_t count = 0, good = 0, place = 0;
    for (json_iter it = json_each(list); json_next(&it, &key, &row);)
        count++;
    candle *rows = calloc(count ? count : 1, sizeof *rows);
    if (!rows)
        return error_set(err, WEIR_NOMEM, "%zu candles: out of memory", count);
    for (json_iter it = json_each(list); json_next(&it, &key, &row); place++)
        good += read_candle(&rows[good], row, place, notes);
    notes->strays = strays_of(rows, good);
    qsort(rows, good, sizeof *rows, by_time);
    buf_add_char(out, '[');
    for (size_t i = 0; i < good; i++) {
        if (i && rows[i].time == rows[i - 1].time) {
            notes->doubles++;
            continue;
        }
        buf_add_text(out, i ? ",{\"ts_event\":\"" : "{\"ts_event\":\"");
        buf_add_u64(out, rows[i].time);
        buf_add_char(out, '"');
        for (int v = 0; v < 5; v++) {
            json_put_key(out, value_names[v]);
            buf_add_char(out, '"');
            buf_add_bytes(out, rows[i].values[v]);
            buf_add_char(out, '"');
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    free(rows);
    return out->failed ? error_set(err, WEIR_NOMEM, "%zu candles: out of memory", count) : WEIR_OK;
}

/* ---- Lists ---- */

/* Markets: a `name` without `symbol` is the symbol (generation 1). */
static void write_markets(buf *out, json list)
{
    json key, row;
    bool first = true;
    buf_add_char(out, '[');
    for (json_iter it = json_each(list); json_next(&it, &key, &row); first = false) {
        json name = json_member(row, "name"), symbol = json_member(row, "symbol");
        buf_add_text(out, first ? "" : ",");
        if (row.type != JSON_OBJECT || symbol.type != JSON_NONE || name.type != JSON_STRING) {
            buf_add_bytes(out, row.raw);
            continue;
        }
        buf_add_text(out, "{\"symbol\":");
        buf_add_bytes(out, name.raw);
        buf_add_char(out, ',');
        buf_add(out, row.raw.at + 1, row.raw.len - 1);
    }
    buf_add_char(out, ']');
}

/* ---- Events ---- */

typedef struct event {
    uint64_t start, end; /* 0: none */
    size_t place;
    json row;
} event;

static int by_start(const void *a, const void *b)
{
    const event *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static uint64_t date_of(json value)
{
    uint64_t ns = 0;
    bytes text;
    return json_string_slice(value, &text) && clock_parse(text, &ns) ? ns : 0;
}

static void put_event(buf *out, const event *e)
{
    json key, value;
    buf_add_text(out, "{\"ts_event\":\"");
    buf_add_u64(out, e->start);
    buf_add_char(out, '"');
    if (e->end) {
        buf_add_text(out, ",\"ts_end\":\"");
        buf_add_u64(out, e->end);
        buf_add_char(out, '"');
    }
    for (json_iter it = json_each(e->row); json_next(&it, &key, &value);)
        if (!json_is(key, "ts_event") && !json_is(key, "ts_end")) {
            buf_add_char(out, ',');
            buf_add_bytes(out, key.raw);
            buf_add_char(out, ':');
            buf_add_bytes(out, json_is(key, "tags") && value.type == JSON_NULL ? BYTES("[]") : value.raw);
        }
    buf_add_char(out, '}');
}

/* Sorted by their start; the dates as nanoseconds first, the plugin's own members behind. */
static weir_code write_events(buf *out, json list, normal_notes *notes, weir_error *err)
{
    json key, row;
    size_t count = 0, good = 0, place = 0;
    for (json_iter it = json_each(list); json_next(&it, &key, &row);)
        count++;
    event *rows = calloc(count ? count : 1, sizeof *rows);
    if (!rows)
        return error_set(err, WEIR_NOMEM, "%zu events: out of memory", count);
    for (json_iter it = json_each(list); json_next(&it, &key, &row); place++) {
        json title = json_member(row, "title");
        if (title.type != JSON_STRING || title.raw.len == 2)
            refuse(notes, place, "title", title);
        else
            rows[good++] = (event){date_of(json_member(row, "startDate")), date_of(json_member(row, "endDate")), place, row};
    }
    qsort(rows, good, sizeof *rows, by_start);
    for (size_t i = 0; i < good; i++) {
        buf_add_char(out, i ? ',' : '[');
        put_event(out, &rows[i]);
    }
    buf_add_text(out, good ? "]" : "[]");
    free(rows);
    return out->failed ? error_set(err, WEIR_NOMEM, "%zu events: out of memory", count) : WEIR_OK;
}

/* Time frames: the text and the seconds first, the plugin's own members behind. */
static void write_frames(buf *out, json list)
{
    json key, row, member, value;
    bool first = true;
    buf_add_char(out, '[');
    for (json_iter it = json_each(list); json_next(&it, &key, &row); first = false) {
        timeframe t;
        buf_add_text(out, first ? "" : ",");
        if (!timeframe_read_row(&t, row)) {
            buf_add_bytes(out, row.raw);
            continue;
        }
        buf_add_text(out, "{\"timeframe\":\"");
        timeframe_put(out, &t, TIMEFRAME_LETTERS);
        buf_add_text(out, "\",\"seconds\":");
        buf_add_u64(out, timeframe_seconds(&t));
        for (json_iter own = json_each(row); json_next(&own, &member, &value);)
            if (!json_is(member, "timeframe") && !json_is(member, "seconds")) {
                buf_add_char(out, ',');
                buf_add_bytes(out, member.raw);
                buf_add_char(out, ':');
                buf_add_bytes(out, value.raw);
            }
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

weir_code normal_write(buf *out, bytes command, json data, normal_notes *notes, weir_error *err)
{
    bool markets = bytes_is(command, "getMarkets"), frames = bytes_is(command, "getTimeframes"), candles = bytes_is(command, "getOHLCV"), events = bytes_is(command, "import_events");
    *notes = (normal_notes){0};
    if (data.type == JSON_NONE)
        data = (json){JSON_NULL, BYTES("null")};
    if ((markets || frames || candles || events) && data.type == JSON_NULL)
        data = (json){JSON_ARRAY, BYTES("[]")};
    if ((markets || frames || candles || events) && data.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "its answer to " BYTES_FMT " is no list: " BYTES_FMT, BYTES_ARG(command), BYTES_ARG(data.raw));
    if (candles)
        return write_candles(out, data, notes, err);
    if (events)
        return write_events(out, data, notes, err);
    if (markets)
        write_markets(out, data);
    else if (frames)
        write_frames(out, data);
    else
        buf_add_bytes(out, data.raw);
    return out->failed ? error_set(err, WEIR_NOMEM, "its answer: out of memory") : WEIR_OK;
}
