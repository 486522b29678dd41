/* The frame of `weir top`: a head of two lines, the view's columns, one line of keys. Without colour all is still told: the
 * selected row by '>', a bad state by its word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/columns.h"
#include "cli/top_inside.h"
#include "sink/text.h"

#define FLEX 24 /* what the first column has at least, before others go */
#define FLEX_WANTED 41
#define LEAST 16 /* the same where the terminal is narrow: state and rate stay */
#define NAME 20  /* of a member, in the details */
#define KEY 15   /* of a key and the blanks behind it, in the help */

#define RED "\x1b[31m"
#define BOLD "\x1b[1m"
#define REVERSE "\x1b[7m"
#define PLAIN "\x1b[0m"

/* ---- Which rows, in which order ---- */

static bool lets_through(const top *t, const top_row *row)
{
    if (!*t->filter)
        return true;
    for (int i = 0; top_views[t->view].columns[i].title; i++)
        if (top_is_text(top_views[t->view].columns[i].kind) && strcasestr(row->cells[i], t->filter))
            return true;
    return false;
}

static int compare(const void *a, const void *b, void *arg)
{
    const top *t = arg;
    const top_row *x = &t->rows[*(const size_t *)a], *y = &t->rows[*(const size_t *)b];
    int i = t->sort_by, order = 0;
    if (i >= 0 && top_is_text(top_views[t->view].columns[i].kind))
        order = strcmp(x->cells[i], y->cells[i]);
    else if (i >= 0) /* the most first */
        order = x->sort[i] < y->sort[i] ? 1 : x->sort[i] > y->sort[i] ? -1
                                                                      : 0;
    order = t->reverse ? -order : order;
    return order ? order : x < y ? -1
                                 : x > y;
}

const top_row *top_selected(const top *t)
{
    return t->selected < t->shown_count ? &t->rows[t->shown[t->selected]] : NULL;
}

void top_select_again(top *t, const char *id)
{
    t->shown_count = 0;
    for (size_t i = 0; i < t->count; i++)
        if (lets_through(t, &t->rows[i]))
            t->shown[t->shown_count++] = i;
    qsort_r(t->shown, t->shown_count, sizeof *t->shown, compare, t);
    for (size_t i = 0; *id && i < t->shown_count; i++)
        if (!strcmp(t->rows[t->shown[i]].id, id))
            t->selected = i;
    if (t->selected >= t->shown_count)
        t->selected = t->shown_count ? t->shown_count - 1 : 0;
}

void top_arrange(top *t)
{
    char id[sizeof t->rows->id] = "";
    if (top_selected(t))
        memcpy(id, top_selected(t)->id, sizeof id);
    top_select_again(t, id);
}

void top_next_order(top *t)
{
    t->sort_by++;
    if (!top_views[t->view].columns[t->sort_by].title)
        t->sort_by = -1;
    top_arrange(t);
}

bool top_order_by(top *t, const char *title)
{
    for (int i = 0; top_views[t->view].columns[i].title; i++)
        if (!strcasecmp(top_views[t->view].columns[i].title, title)) {
            t->sort_by = i;
            return true;
        }
    return false;
}

/* ---- Lines ---- */

typedef struct sheet {
    buf *out;
    size_t columns, lines, used; /* lines: SIZE_MAX for as many as there are */
    bool colour;
} sheet;

/* One line, cut to the width. */
static void put_line(sheet *s, const char *style, bytes text)
{
    if (s->used == s->lines)
        return;
    bool styled = s->colour && *style;
    if (styled)
        buf_add_text(s->out, style);
    size_t width = text_put(s->out, text, s->columns);
    if (styled && strcmp(style, REVERSE) == 0)
        text_pad(s->out, s->columns - width);
    if (styled)
        buf_add_text(s->out, PLAIN);
    while (!styled && s->out->len && s->out->at[s->out->len - 1] == ' ')
        s->out->len--;
    buf_add_char(s->out, '\n');
    s->used++;
}

static void put_text_line(sheet *s, const char *style, const char *text)
{
    put_line(s, style, bytes_of(text));
}

static void put_member(buf *out, json doc, const char *path, column_kind kind)
{
    column c = {"", path, kind, 0};
    column_text(out, doc, &c, 0);
}

/* "weir demo 0.1.0 at http://127.0.0.1:8080, up 3h, cpu 12.0%, 84.1 MiB", and what it counts. */
static void put_head(sheet *s, const top *t)
{
    buf line;
    json n = t->node_doc;
    uint64_t up = 0;
    buf_init(&line, 1 << 16);
    buf_add_text(&line, "weir ");
    put_member(&line, n, "version", COLUMN_TEXT);
    buf_add_text(&line, " on ");
    put_member(&line, n, "name", COLUMN_TEXT);
    buf_add_fmt(&line, "  %s  up ", t->where ? t->where : "");
    json_u64(json_member(n, "uptime_s"), &up);
    columns_put_age(&line, 1, up * UINT64_C(1000000000) + 1);
    buf_add_fmt(&line, "  cpu %.0f%%  mem ", t->node_cpu);
    put_member(&line, n, "memory_octets", COLUMN_OCTETS);
    put_line(s, BOLD, buf_bytes(&line));
    buf_clear(&line);
    static const char *const states[] = {"live", "connecting", "waiting", "stopping", "failed", "off"};
    buf_add_text(&line, "streams");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        uint64_t count = 0;
        json_u64(json_member(json_member(n, "streams"), states[i]), &count);
        if (count || !i)
            buf_add_fmt(&line, " %llu %s", (unsigned long long)count, states[i]);
    }
    buf_add_fmt(&line, "  rec/s %.0f  gaps ", t->node_rate);
    put_member(&line, n, "account.gaps", COLUMN_COUNT);
    buf_add_text(&line, "  lost ");
    put_member(&line, n, "account.lost", COLUMN_COUNT);
    buf_add_text(&line, "  store ");
    put_member(&line, n, "store.state", COLUMN_TEXT);
    bool bad = n.type == JSON_OBJECT && !json_is(column_member(n, "store.state"), "ok");
    put_line(s, bad ? RED : "", buf_bytes(&line));
    buf_fini(&line);
}

/* The views, and behind them what is shown of this one. Where it is narrow the others are their numbers. */
static void put_tabs(sheet *s, const top *t)
{
    buf line, rest;
    buf_init(&line, 1 << 16);
    buf_init(&rest, 1 << 16);
    buf_add_fmt(&rest, " %zu of %zu", t->shown_count, t->count);
    if (*t->filter || t->typing)
        buf_add_fmt(&rest, "  /%s%s", t->filter, t->typing ? "_" : "");
    if (t->commanding)
        buf_add_fmt(&rest, "  :%s_", t->command);
    if (t->sort_by >= 0)
        buf_add_fmt(&rest, "  by %s%s", top_views[t->view].columns[t->sort_by].title, t->reverse ? ", reversed" : "");
    for (int names = 1; names >= 0; names--) {
        buf_clear(&line);
        for (int v = 0; v < TOP_VIEWS; v++)
            if ((top_view)v == t->view)
                buf_add_fmt(&line, "[%d %s] ", v + 1, top_views[v].name);
            else
                buf_add_fmt(&line, names ? " %d %s  " : "%d ", v + 1, top_views[v].name);
        if (line.len + rest.len <= s->columns)
            break;
    }
    buf_add_bytes(&line, buf_bytes(&rest));
    put_line(s, "", buf_bytes(&line));
    buf_fini(&line);
    buf_fini(&rest);
}

/* ---- Columns ---- */

/* Which columns there is room for, and how wide the one is that gets what is left. */
static size_t choose(const top *t, size_t columns, bool shown[TOP_CELLS])
{
    const top_column *c = top_views[t->view].columns;
    const int flex = top_flex(t->view);
    size_t wanted = 0, room;
    for (size_t i = 0; i < t->shown_count; i++) {
        size_t w = text_width(bytes_of(t->rows[t->shown[i]].cells[flex]));
        wanted = w > wanted ? w : wanted;
    }
    wanted = wanted < FLEX ? FLEX : wanted > FLEX_WANTED ? FLEX_WANTED
                                                         : wanted;
    for (int i = 0; c[i].title; i++)
        shown[i] = true;
    for (int keep = 0;; keep++) {
        size_t used = 1; /* the mark */
        for (int i = 0; c[i].title; i++) {
            shown[i] = shown[i] && (i == flex || c[i].keep >= keep);
            used += shown[i] && i != flex ? c[i].width + 1u : 0;
        }
        room = columns > used ? columns - used : 1;
        if (room >= wanted || (keep == 9 && room >= LEAST) || keep > 9)
            return room;
    }
}

static bool to_the_right(const top_column *c)
{
    return !top_is_text(c->kind);
}

static void put_cell(buf *out, const top_column *c, const char *text, size_t width)
{
    size_t w = text_width(bytes_of(text));
    w = w > width ? width : w;
    if (to_the_right(c))
        text_pad(out, width - w);
    text_put(out, bytes_of(text), width);
    if (!to_the_right(c))
        text_pad(out, width - w);
}

static void put_row(sheet *s, const top *t, const top_row *row, const bool shown[TOP_CELLS], size_t left)
{
    const top_column *c = top_views[t->view].columns;
    bool begun = false;
    bool selected = row && row == top_selected(t);
    buf line;
    buf_init(&line, 1 << 16);
    buf_add_char(&line, selected && s->lines != SIZE_MAX ? '>' : ' ');
    for (int i = 0; c[i].title; i++) {
        if (!shown[i])
            continue;
        if (begun)
            buf_add_char(&line, ' ');
        begun = true;
        put_cell(&line, &c[i], row ? row->cells[i] : c[i].title, c[i].width ? c[i].width : left);
    }
    put_line(s, !row || (selected && s->lines != SIZE_MAX) ? REVERSE : row->bad ? RED
                                                                                : "",
             buf_bytes(&line));
    buf_fini(&line);
}

static void put_rows(sheet *s, top *t, size_t end)
{
    static const char *const none[] = {
        "  no streams yet: weir stream add ohlcv:SPOT_BTC_USDT:1m",
        "  no plugins yet: weir plugin install FILE",
        "  no sinks: weir sink add ndjson:FILE",
        "  nobody reads records now: weir tail '>'",
        "  no connections yet: weir connection create PLUGIN",
        "  nothing was logged yet",
    };
    bool shown[TOP_CELLS];
    size_t first = choose(t, s->columns, shown), room = end > s->used + 1 ? end - s->used - 1 : 0;
    put_row(s, t, NULL, shown, first);
    if (t->selected < t->first)
        t->first = t->selected;
    if (room && t->selected >= t->first + room)
        t->first = t->selected - room + 1;
    if (room >= t->shown_count)
        t->first = 0;
    for (size_t i = t->first; i < t->shown_count && s->used < end; i++)
        put_row(s, t, &t->rows[t->shown[i]], shown, first);
    if (!t->shown_count)
        put_text_line(s, "", !t->taken ? "  ..." : t->count ? "  nothing matches the filter; Esc takes it away"
                                                            : none[t->view]);
}

/* ---- Help, details ---- */

/* A key and what it does, on as many lines as that needs. */
static void put_pair(sheet *s, const char *key, const char *text)
{
    size_t room = s->columns > KEY + 20 ? s->columns - KEY : 20;
    bytes rest = bytes_of(text);
    buf line;
    buf_init(&line, 1 << 16);
    do {
        size_t n = rest.len > room ? room : rest.len;
        while (n < rest.len && n && rest.at[n] != ' ')
            n--;
        buf_clear(&line);
        buf_add_fmt(&line, "  %-*s%.*s", KEY - 2, key, (int)n, rest.at);
        put_line(s, "", buf_bytes(&line));
        key = "";
        n += n < rest.len; /* the blank */
        rest = bytes_make(rest.at + n, rest.len - n);
    } while (rest.len);
    buf_fini(&line);
}

static void put_help(sheet *s)
{
    static const char *const lines[][2] = {
        {"1 ... 6", "streams, plugins, sinks, readers, connections, log"},
        {":", "the same by name: :conn, :log; :q ends it"},
        {"j k, arrows", "down, up; g G first, last; PgDn PgUp"},
        {"/", "filter by text; Enter keeps it, Esc takes it away"},
        {"s S", "order by the next column; the other way round"},
        {"Enter", "all of the selected one: why, figures, last trap; Esc back"},
        {"r", "restart the stream, reload the plugin"},
        {"?", "this; q ends it"},
        {"", ""},
        {"REC/S", "records a second, since the frame before"},
        {"LAG", "of the last message: from the venue's clock (it happened) to the daemon's (it came); 0 where the venue's is ahead. Of a "
                "sink: the age of the oldest record that waits, by the daemon's clock"},
        {"AGE", "since the last message, CHANGED since the last change: from the daemon's clock to this machine's"},
        {"GAPS", "told to readers; RST restarts; P99 of a call into the plugin"},
        {"", "Enter says why a state is not live, ready or open; times are UTC"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        put_pair(s, lines[i][0], lines[i][1]);
}

/* The last line: what was said, or the keys; the ones that help with all others are there where it is narrow, too. */
static void put_foot(sheet *s, const top *t)
{
    if (*t->status)
        put_text_line(s, RED, t->status);
    else if (t->typing)
        put_text_line(s, "", "type a text; Enter keeps the filter, Esc takes it away");
    else if (t->commanding)
        put_text_line(s, "", "streams, plugins, sinks, readers, connections, log or q; Enter, or Esc");
    else if (t->details)
        put_text_line(s, "", "j k scroll  Esc back  q quit");
    else if (t->help)
        put_text_line(s, "", "Esc back  q quit");
    else
        put_text_line(s, "", s->columns < 75 ? "? help  q quit  / filter  : view  Enter details" : "j k move  Enter details  / filter  : view  s sort  r restart  ? help  q quit");
}

static bool is_time(json key)
{
    static const char *const names[] = {"since", "created_at", "updated_at", "installed_at", "last_ts_event", "last_ts_recv", "time"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is(key, names[i]))
            return true;
    return false;
}

/* As much of the text as fits into `width` columns, at least one character. */
static size_t fitting(bytes text, size_t width)
{
    size_t at = 0;
    while (at < text.len) {
        size_t n = bytes_utf8_char(bytes_make(text.at + at, text.len - at));
        n = n ? n : 1;
        if (at && text_width(bytes_make(text.at, at + n)) > width)
            break;
        at += n;
    }
    return at;
}

typedef struct details {
    sheet *sheet;
    size_t skip, end; /* lines that are above the screen */
} details;

static void put_detail(details *d, bytes line)
{
    if (d->skip)
        d->skip--;
    else if (d->sheet->used < d->end)
        put_line(d->sheet, "", line);
}

/* What is longer than the line goes on below. */
static void put_value(details *d, buf *line, size_t margin, bytes value)
{
    size_t width = d->sheet->columns > margin + 8 ? d->sheet->columns - margin : 8;
    do {
        size_t n = fitting(value, width);
        buf_add(line, value.at ? value.at : "", n);
        put_detail(d, buf_bytes(line));
        buf_clear(line);
        text_pad(line, margin);
        value = bytes_make(value.at + n, value.len - n);
    } while (value.len && d->sheet->used < d->end);
}

static void put_members(details *d, json object, size_t indent, bool all);

/* A line or more; an object's members below, indented. */
static void put_one(details *d, json key, json value, size_t indent)
{
    bool nested = value.type == JSON_OBJECT && value.raw.len > 2 && indent < 6;
    column name = {"", "", COLUMN_TEXT, 0}, what = {"", "", is_time(key) ? COLUMN_TIME : COLUMN_TEXT, 0};
    buf line, text;
    buf_init(&line, 1 << 22);
    buf_init(&text, 1 << 22);
    text_pad(&line, indent + 2);
    column_text(&line, key, &name, 0);
    size_t used = text_width(buf_bytes(&line)), margin = indent + 2 + NAME;
    text_pad(&line, used < margin ? margin - used : 1);
    if (!nested)
        column_text(&text, value, &what, 0);
    put_value(d, &line, margin, buf_bytes(&text));
    if (nested)
        put_members(d, value, indent + 2, true);
    buf_fini(&line);
    buf_fini(&text);
}

/* What one looks for stands first. */
static const char *const first_names[] = {"\"state\"", "\"why\"", "\"figures\"", "\"account\"", "\"last_trap\"", "\"pending\""};
#define FIRST_NAMES (sizeof first_names / sizeof *first_names)

static void put_members(details *d, json object, size_t indent, bool all)
{
    json key, value;
    for (json_iter it = json_each(object); d->sheet->used < d->end && json_next(&it, &key, &value);) {
        bool first = false;
        for (size_t i = 0; i < FIRST_NAMES && !all; i++)
            first |= bytes_is(key.raw, first_names[i]);
        if (!first)
            put_one(d, key, value, indent);
    }
}

static void put_first_members(details *d, json object)
{
    char name[32];
    for (size_t i = 0; i < FIRST_NAMES; i++) {
        snprintf(name, sizeof name, "%.*s", (int)strlen(first_names[i]) - 2, first_names[i] + 1);
        json value = json_member(object, name);
        if (value.type != JSON_NONE && value.type != JSON_NULL && !json_is(value, ""))
            put_one(d, (json){JSON_STRING, bytes_of(first_names[i])}, value, 0);
    }
}

static void put_details(sheet *s, const top *t, size_t end)
{
    const top_row *row = top_selected(t);
    if (!row) {
        put_text_line(s, "", "  it is gone");
        return;
    }
    put_text_line(s, REVERSE, row->cells[top_flex(t->view)]);
    details d = {s, t->scrolled, end};
    put_first_members(&d, row->doc);
    put_members(&d, row->doc, 0, false);
}

void top_frame(top *t, buf *out, size_t columns, size_t lines)
{
    sheet s = {.out = out, .columns = columns, .lines = lines ? lines : SIZE_MAX, .colour = t->colour};
    size_t end = lines ? lines - 1 : SIZE_MAX;
    put_head(&s, t);
    put_tabs(&s, t);
    if (t->help)
        put_help(&s);
    else if (t->details)
        put_details(&s, t, end);
    else
        put_rows(&s, t, end);
    if (!lines)
        return;
    while (s.used < end)
        put_text_line(&s, "", "");
    put_foot(&s, t);
}
