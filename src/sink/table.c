/* The rows of the terminal table and the screen they make: see table.h.
 *
 * A screen is the line of figures, the reason of what does not live, then a section for each type:
 * a title line and the rows. Widths follow from what is shown. What does not fit loses columns, the
 * least telling first (table_column.keep), then the symbol is cut; no line is ever wider than the
 * terminal. Rows that do not fit are counted on the last line; lines that are left show the best levels of the order
 * books (table_ladder.c). */
#include "sink/table.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "sink/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GAP 2 /* columns between columns */
#define SYMBOL_LEAST 8
#define LINES_MAX 10000 /* more is no terminal */

#define RED TABLE_RED
#define GREEN TABLE_GREEN
#define YELLOW "\x1b[33m"
#define DIM "\x1b[2m"
#define BOLD "\x1b[1m"
#define PLAIN TABLE_PLAIN

weir_code table_init(table *t, weir_error *err)
{
    *t = (table){.by_stream = map_new()};
    return t->by_stream ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

void table_fini(table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        table_row *row = t->rows[i];
        record_unref(row->last);
        record_unref(row->status);
        book_fini(&row->book);
        record_stream_unref(row->stream);
        free(row);
    }
    free(t->rows);
    if (t->by_stream)
        map_free(t->by_stream);
    *t = (table){0};
}

/* ---- Taking records ---- */

static void name_row(table_row *row)
{
    json parameters, value;
    buf text;

    table_set_cell(row->symbol, record_stream_identifier(row->stream));
    if (json_read(&parameters, record_stream_parameters(row->stream), NULL))
        return;
    value = json_member(parameters, "timeframe");
    if (value.type == JSON_NONE)
        value = json_member(parameters, "interval");
    buf_init(&text, TOPIC_MAX);
    if (json_string_add(value, &text))
        table_set_cell(row->timeframe, buf_bytes(&text));
    buf_fini(&text);
}

static bool grow(table *t)
{
    size_t cap = t->cap ? t->cap * 2 : 16;
    table_row **rows = realloc(t->rows, cap * sizeof *rows);

    if (!rows)
        return false;
    t->rows = rows;
    t->cap = cap;
    return true;
}

static table_row *find_row(table *t, record_stream *stream)
{
    bytes key = bytes_make(&stream, sizeof stream);
    table_row *row = map_get(t->by_stream, key);

    if (row || (t->count == t->cap && !grow(t)) || !(row = calloc(1, sizeof *row)))
        return row;
    if (!map_set(t->by_stream, key, row, NULL)) {
        free(row);
        return NULL;
    }
    row->stream = record_stream_ref(stream);
    book_init(&row->book, TABLE_LEVELS);
    row->section = table_section_of(record_stream_type(stream));
    name_row(row);
    t->rows[t->count++] = row;
    return row;
}

static void keep(record **place, record *r)
{
    record_unref(*place);
    *place = record_ref(r);
}

/* A number from the record's own line; gaps are rare. */
static uint64_t number_in(const record *r, const char *name)
{
    json doc;
    uint64_t number = 0;

    if (!json_read(&doc, r->line, NULL))
        json_u64(json_member(doc, name), &number);
    return number;
}

/* Whether it is how the stream goes on being, or something that happened. */
static bool lasts(record_state state)
{
    return state != RECORD_RESYNCED && state != RECORD_BACKFILLED && state != RECORD_UNFILLED && state != RECORD_LAGGING;
}

bool table_take(table *t, record *r)
{
    table_row *row = find_row(t, r->stream);

    t->data += r->kind == RECORD_DATA;
    t->gaps += r->kind == RECORD_GAP;
    if (r->kind == RECORD_GAP && r->cause == RECORD_GAP_SLOW_READER)
        t->missed += number_in(r, "count");
    if (!row)
        return false;
    if (r->kind == RECORD_DATA && !r->backfill) { /* what is live stays on show */
        if (table_sections[row->section].partial)
            table_row_read(row, 0); /* the one before, while it is here */
        keep(&row->last, r);
        row->count++;
    } else if (r->kind == RECORD_STATUS && lasts((record_state)r->state)) {
        keep(&row->status, r);
    }
    return true;
}

/* ---- Lines ---- */

/* One screen in the making. `room` is what is left of the current line. */
typedef struct screen {
    table *t;
    buf *out;
    size_t columns, room, lines;
    uint64_t real_ns;
} screen;

static void add(screen *s, const char *colour, bytes text, size_t width)
{
    bool coloured = s->t->colour && colour && text.len && s->room;

    if (coloured)
        buf_add_text(s->out, colour);
    s->room -= text_put(s->out, text, width < s->room ? width : s->room);
    if (coloured)
        buf_add_text(s->out, PLAIN);
}

static void add_text(screen *s, const char *colour, const char *text)
{
    add(s, colour, bytes_of(text), s->room);
}

static void add_blanks(screen *s, size_t columns)
{
    if (columns > s->room)
        columns = s->room;
    text_pad(s->out, columns);
    s->room -= columns;
}

static void end_line(screen *s)
{
    while (s->out->len && s->out->at[s->out->len - 1] == ' ')
        s->out->len--;
    buf_add_char(s->out, '\n');
    s->room = s->columns;
    s->lines--;
}

/* ---- The figures ---- */

/* Whole or not at all: half a number would be another one. */
static void add_figure(screen *s, const char *name, uint64_t value, const char *colour)
{
    char text[64];

    if (value < 1000000)
        snprintf(text, sizeof text, "%" PRIu64, value);
    else if (value < 1000000000)
        snprintf(text, sizeof text, "%" PRIu64 ".%02" PRIu64 "M", value / 1000000, value / 10000 % 100);
    else
        snprintf(text, sizeof text, "%" PRIu64 ".%02" PRIu64 "G", value / 1000000000, value / 10000000 % 100);
    if (s->room < GAP + strlen(name) + 1 + strlen(text)) {
        add_blanks(s, 1);
        add_text(s, DIM, "…");
        s->room = 0;
        return;
    }
    add_blanks(s, GAP);
    add_text(s, DIM, name);
    add_blanks(s, 1);
    add_text(s, value ? colour : NULL, text);
}

/* The state that most wants to be seen, and a row that is in it. */
static const table_row *worst_row(const table *t, size_t *alike)
{
    static const uint8_t rank[] = {
        [RECORD_STOPPED] = 1,
        [RECORD_CLOSED] = 2,
        [RECORD_LIVE] = 3,
        [RECORD_COMPILING] = 4,
        [RECORD_CONNECTING] = 5,
        [RECORD_WAITING] = 6,
        [RECORD_FAILED] = 7,
    };
    const table_row *worst = NULL;

    *alike = 0;
    for (size_t i = 0; i < t->count; i++) {
        const table_row *row = t->rows[i];
        if (!row->status)
            continue;
        if (!worst || rank[row->status->state] > rank[worst->status->state]) {
            worst = row;
            *alike = 0;
        }
        *alike += row->status->state == worst->status->state;
    }
    return worst;
}

static const char *state_colour(uint8_t state)
{
    switch ((record_state)state) {
    case RECORD_LIVE:
        return GREEN;
    case RECORD_FAILED:
        return RED;
    case RECORD_STOPPED:
    case RECORD_CLOSED:
        return NULL;
    case RECORD_CONNECTING:
    case RECORD_WAITING:
    case RECORD_COMPILING:
    case RECORD_RESYNCED:
    case RECORD_BACKFILLED:
    case RECORD_UNFILLED:
    case RECORD_LAGGING:
        break;
    }
    return YELLOW;
}

static void add_state(screen *s, const table_row *worst, size_t alike)
{
    char text[64];

    if (!worst) {
        add_text(s, s->t->data ? GREEN : YELLOW, s->t->data ? "live" : "starting");
        return;
    }
    const char *name = record_state_name((record_state)worst->status->state);
    if (alike == s->t->count)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "%s %zu/%zu", name, alike, s->t->count);
    add_text(s, state_colour(worst->status->state), text);
}

static void figures_line(screen *s, const sink_figures *f, const table_row *worst, size_t alike, uint64_t mono_ns)
{
    char text[32];
    uint64_t seconds = mono_ns > f->started_mono_ns ? (mono_ns - f->started_mono_ns) / NS_PER_S : 0;

    add_state(s, worst, alike);
    snprintf(text, sizeof text, " %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600, seconds / 60 % 60, seconds % 60);
    add_text(s, NULL, text);
    add_figure(s, "received", f->received, NULL);
    add_figure(s, "delivered", f->delivered, NULL);
    add_figure(s, "dropped", f->dropped, RED);
    add_figure(s, "gaps", f->gaps, YELLOW);
    add_figure(s, "restarts", f->restarts, YELLOW);
    end_line(s);
}

/* Why the worst one is not live, if it says so. */
static void reason_line(screen *s, const table_row *worst)
{
    json doc, why;
    buf text, shown;

    if (json_read(&doc, worst->status->line, NULL))
        return;
    why = json_member(doc, "why");
    buf_init(&text, 64 << 10);
    buf_init(&shown, 256 << 10);
    if (json_string_add(why, &text) && text.len) {
        log_escape(&shown, buf_bytes(&text));
        add_text(s, NULL, worst->symbol);
        add_text(s, NULL, ": ");
        add(s, state_colour(worst->status->state), buf_bytes(&shown), s->room);
        end_line(s);
    }
    buf_fini(&text);
    buf_fini(&shown);
}

/* ---- Sections ---- */

enum { CELL_SYMBOL = -1,
       CELL_TIMEFRAME = -2,
       CELL_COUNT = -3,
       CELL_AGE = -4 };

typedef struct view {
    const char *title;
    table_align align;
    uint8_t keep;
    bool price;
    int cell; /* of the row, or one of the above */
    size_t width, before, behind;
} view;

typedef struct layout {
    view views[TABLE_CELLS + 4];
    size_t count;
} layout;

static bytes age_text(const table_row *row, uint64_t real_ns, char scratch[32])
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t then = !row->last ? 0 : row->last->ts_recv ? row->last->ts_recv
                                                        : row->last->ts_out;
    uint64_t age = real_ns > then ? (real_ns - then) / NS_PER_S : 0;
    size_t u = 0;

    if (!then)
        return BYTES("-");
    while (u < 3 && age < units[u].seconds)
        u++;
    snprintf(scratch, 32, "%" PRIu64 "%c", age / units[u].seconds, units[u].unit);
    return bytes_of(scratch);
}

static bytes cell_text(const screen *s, const table_row *row, int cell, char scratch[32])
{
    switch (cell) {
    case CELL_SYMBOL:
        return bytes_of(row->symbol);
    case CELL_TIMEFRAME:
        return bytes_of(row->timeframe);
    case CELL_COUNT:
        snprintf(scratch, 32, "%" PRIu64, row->count);
        return bytes_of(scratch);
    case CELL_AGE:
        return age_text(row, s->real_ns, scratch);
    default:
        return bytes_of(row->cells[cell]);
    }
}

/* The next row of this section from *at on. */
static table_row *next_row(const table *t, uint8_t section, size_t *at)
{
    while (*at < t->count) {
        table_row *row = t->rows[(*at)++];
        if (row->section == section)
            return row;
    }
    return NULL;
}

/* How wide the column is over the first `rows` rows; false when it is empty in all. */
static bool measure(const screen *s, uint8_t section, size_t rows, view *v)
{
    char scratch[32];
    bool filled = false;
    size_t at = 0;
    const table_row *row;

    while (rows-- && (row = next_row(s->t, section, &at))) {
        bytes text = cell_text(s, row, v->cell, scratch);
        size_t before = 0, behind = 0;
        filled |= text.len > 0;
        if (v->align == ALIGN_DECIMAL)
            text_decimal(text, &before, &behind);
        else
            before = text_width(text);
        if (before > v->before)
            v->before = before;
        if (behind > v->behind)
            v->behind = behind;
    }
    v->width = v->before + v->behind;
    if (v->width < strlen(v->title))
        v->width = strlen(v->title);
    return filled;
}

static void consider(const screen *s, layout *l, uint8_t section, size_t rows, view v)
{
    if (measure(s, section, rows, &v) || v.cell == CELL_SYMBOL)
        l->views[l->count++] = v;
}

static size_t layout_width(const layout *l)
{
    size_t width = 0;

    for (size_t i = 0; i < l->count; i++)
        width += l->views[i].width + (i ? GAP : 0);
    return width;
}

static void drop_least(layout *l)
{
    size_t least = 1; /* the first, the symbol, stays */

    for (size_t i = 2; i < l->count; i++)
        if (l->views[i].keep <= l->views[least].keep) /* of equals the last */
            least = i;
    memmove(l->views + least, l->views + least + 1, (l->count - least - 1) * sizeof *l->views);
    l->count--;
}

static void lay_out(const screen *s, layout *l, uint8_t section, size_t rows)
{
    const table_section *info = &table_sections[section];

    l->count = 0;
    consider(s, l, section, rows, (view){.title = info->title, .cell = CELL_SYMBOL});
    consider(s, l, section, rows, (view){.title = "tf", .keep = 8, .cell = CELL_TIMEFRAME});
    for (int i = 0; info->columns[i].title; i++) {
        const table_column *c = &info->columns[i];
        consider(s, l, section, rows, (view){.title = c->title, .align = c->align, .keep = c->keep, .price = c->price, .cell = i});
    }
    consider(s, l, section, rows, (view){.title = "count", .align = ALIGN_RIGHT, .keep = 1, .cell = CELL_COUNT});
    consider(s, l, section, rows, (view){.title = "age", .align = ALIGN_RIGHT, .keep = 2, .cell = CELL_AGE});
    while (l->count > 2 && layout_width(l) > s->columns)
        drop_least(l);
    size_t width = layout_width(l), *symbol = &l->views[0].width;
    if (width > s->columns && *symbol > SYMBOL_LEAST) {
        size_t excess = width - s->columns;
        *symbol = excess < *symbol - SYMBOL_LEAST ? *symbol - excess : SYMBOL_LEAST;
    }
}

static void title_line(screen *s, const layout *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const view *v = &l->views[i];
        size_t blank = v->width - (strlen(v->title) < v->width ? strlen(v->title) : v->width);
        add_blanks(s, i ? GAP : 0);
        if (v->align != ALIGN_LEFT)
            add_blanks(s, blank);
        add(s, i ? DIM : BOLD, bytes_of(v->title), v->width);
        if (v->align == ALIGN_LEFT)
            add_blanks(s, blank);
    }
    end_line(s);
}

static const char *cell_colour(const table_row *row, const view *v, bytes text)
{
    if (v->cell == CELL_SYMBOL)
        return row->status && row->status->state != RECORD_LIVE ? state_colour(row->status->state) : NULL;
    if (v->price)
        return row->direction > 0 ? GREEN : row->direction < 0 ? RED
                                                               : NULL;
    if (strcmp(v->title, "side") == 0)
        return bytes_is(text, "buy") || bytes_is(text, "BUY") ? GREEN : bytes_is(text, "sell") || bytes_is(text, "SELL") ? RED
                                                                                                                         : NULL;
    return v->cell < CELL_TIMEFRAME ? DIM : NULL;
}

static void row_line(screen *s, const layout *l, const table_row *row)
{
    char scratch[32];

    for (size_t i = 0; i < l->count; i++) {
        const view *v = &l->views[i];
        bytes text = cell_text(s, row, v->cell, scratch);
        size_t before = text_width(text), behind = 0, left = 0;
        if (v->align == ALIGN_DECIMAL)
            text_decimal(text, &before, &behind);
        if (v->align == ALIGN_DECIMAL && before + v->behind <= v->width)
            left = v->width - v->behind - before;
        else if (v->align == ALIGN_RIGHT && before <= v->width)
            left = v->width - before;
        add_blanks(s, i ? GAP : 0);
        add_blanks(s, left);
        add(s, cell_colour(row, v, text), text, v->width - left);
        size_t taken = left + before + behind;
        add_blanks(s, taken < v->width ? v->width - taken : 0);
    }
    end_line(s);
}

static size_t rows_in(const table *t, uint8_t section)
{
    size_t at = 0, count = 0;

    while (next_row(t, section, &at))
        count++;
    return count;
}

/* A blank line, the titles, as many rows as there are lines. Returns how many rows that was. */
static size_t section_lines(screen *s, uint8_t section, size_t lines)
{
    size_t rows = rows_in(s->t, section), at = 0;
    table_row *row;
    layout l;

    if (!rows || lines < 3)
        return 0;
    if (rows > lines - 2)
        rows = lines - 2;
    for (size_t i = 0; i < rows && (row = next_row(s->t, section, &at)); i++)
        table_row_read(row, s->real_ns);
    lay_out(s, &l, section, rows);
    end_line(s);
    title_line(s, &l);
    at = 0;
    for (size_t i = 0; i < rows && (row = next_row(s->t, section, &at)); i++)
        row_line(s, &l, row);
    return rows;
}

static size_t lines_needed(const table *t)
{
    size_t needed = 0;

    for (uint8_t i = 0; i < TABLE_SECTIONS; i++) {
        size_t rows = rows_in(t, i);
        needed += rows ? rows + 2 : 0;
    }
    return needed;
}

void table_render(table *t, buf *out, const sink_figures *figures, unsigned columns, unsigned lines,
                  uint64_t real_ns, uint64_t mono_ns)
{
    screen s = {.t = t, .out = out, .columns = columns, .room = columns, .lines = lines, .real_ns = real_ns};
    size_t alike, shown = 0, reserved;
    const table_row *worst = worst_row(t, &alike);
    char text[64];

    if (!columns || !lines)
        return;
    figures_line(&s, figures, worst, alike, mono_ns);
    if (worst && worst->status->state != RECORD_LIVE && s.lines)
        reason_line(&s, worst);
    reserved = lines_needed(t) > s.lines ? 1 : 0;
    for (uint8_t i = 0; i < TABLE_SECTIONS; i++)
        shown += section_lines(&s, i, s.lines > reserved ? s.lines - reserved : 0);
    if (shown < t->count && s.lines) {
        snprintf(text, sizeof text, "and %zu more stream%s", t->count - shown, t->count - shown == 1 ? "" : "s");
        add_text(&s, DIM, text);
        end_line(&s);
    } else if (s.lines < LINES_MAX) { /* what is free of a terminal */
        table_put_ladders(t, out, columns, s.lines);
    }
}
