/* A candle is one column. Each character has an upper and a lower half, and each half holds nothing, a wick or a
 * body; Unicode has a character for every pair of them. Few candles on a wide terminal stand two columns apart. */
#include "cli/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define VOLUME_ROWS 3
#define LABEL_MAX 24
#define GREEN "\033[32m"
#define RED "\033[31m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

typedef struct bar {
    uint64_t time;
    double open, high, low, close, volume;
} bar;

typedef struct chart {
    FILE *out;
    const chart_size *size;
    bar *bars;
    size_t count;
    int rows, gap; /* of prices; columns for each candle */
    int decimals, label;
    double top, bottom, most;
} chart;

typedef enum half { NOTHING,
                    WICK,
                    BODY } half;

chart_size chart_size_now(void)
{
    struct winsize w = {0};
    const char *columns = getenv("COLUMNS"), *lines = getenv("LINES");
    chart_size s = {80, 24, false};
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col && w.ws_row) {
        s.columns = w.ws_col;
        s.lines = w.ws_row;
    } else {
        s.columns = columns && atoi(columns) > 0 ? atoi(columns) : s.columns;
        s.lines = lines && atoi(lines) > 0 ? atoi(lines) : s.lines;
    }
    s.colour = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
    return s;
}

/* ---- Reading ---- */

static bool number(json row, const char *name, double *out)
{
    bytes digits;
    json value = json_member(row, name);
    return json_string_slice(value, &digits) && json_f64((json){JSON_NUMBER, digits}, out) && isfinite(*out);
}

static bool read_bar(bar *b, json row)
{
    bytes digits;
    return json_string_slice(json_member(row, "ts_event"), &digits) && json_u64((json){JSON_NUMBER, digits}, &b->time) &&
           number(row, "open", &b->open) && number(row, "high", &b->high) && number(row, "low", &b->low) &&
           number(row, "close", &b->close) && number(row, "volume", &b->volume);
}

/* The newest `most` of them, in order. */
static size_t read_bars(bar *bars, json list, size_t most)
{
    json key, row;
    size_t count = 0;
    for (json_iter it = json_each(list); json_next(&it, &key, &row);) {
        bar b;
        if (!read_bar(&b, row))
            continue;
        if (count == most)
            memmove(bars, bars + 1, --count * sizeof *bars);
        bars[count++] = b;
    }
    return count;
}

/* The range of prices, and how many decimals tell two rows apart. */
static void measure(chart *c)
{
    c->top = c->bars[0].high;
    c->bottom = c->bars[0].low;
    for (size_t i = 0; i < c->count; i++) {
        c->top = fmax(c->top, c->bars[i].high);
        c->bottom = fmin(c->bottom, c->bars[i].low);
        c->most = fmax(c->most, c->bars[i].volume);
    }
    if (c->top <= c->bottom) { /* flat: some air around it */
        double air = c->top ? fabs(c->top) * 0.01 : 1;
        c->top += air;
        c->bottom -= air;
    }
    c->decimals = (int)ceil(-log10((c->top - c->bottom) / c->rows)) + 1;
    c->decimals = c->decimals < 0 ? 0 : c->decimals > 12 ? 12
                                                         : c->decimals;
    char low[64], high[64];
    int a = snprintf(low, sizeof low, "%.*f", c->decimals, c->bottom), b = snprintf(high, sizeof high, "%.*f", c->decimals, c->top);
    int v = 4 + snprintf(low, sizeof low, "%.4g", c->most);
    c->label = a > b ? a : b;
    c->label = c->label > v ? c->label : v;
    c->label = c->label > LABEL_MAX ? LABEL_MAX : c->label;
}

/* ---- Drawing ---- */

static const char *rising(const bar *b)
{
    return b->close >= b->open ? GREEN : RED;
}

static void colour(const chart *c, const char *code)
{
    if (c->size->colour)
        fputs(code, c->out);
}

/* Which half rows, counted from the top, a price lies in. */
static int half_row(const chart *c, double price)
{
    int halves = 2 * c->rows;
    int at = (int)((c->top - price) / (c->top - c->bottom) * halves);
    return at < 0 ? 0 : at >= halves ? halves - 1
                                     : at;
}

static half half_at(const chart *c, const bar *b, int at)
{
    if (at >= half_row(c, fmax(b->open, b->close)) && at <= half_row(c, fmin(b->open, b->close)))
        return BODY;
    return at >= half_row(c, b->high) && at <= half_row(c, b->low) ? WICK : NOTHING;
}

static void put_price_cell(const chart *c, const bar *b, int row)
{
    static const char *const up[3][3] = {{" ", "╷", "╻"}, {"╵", "│", "╽"}, {"╹", "╿", "┃"}};
    static const char *const down[3][3] = {{" ", "╷", "▄"}, {"╵", "│", "▄"}, {"▀", "▀", "█"}};
    half above = half_at(c, b, 2 * row), below = half_at(c, b, 2 * row + 1);
    if (above == NOTHING && below == NOTHING) {
        fputc(' ', c->out);
        return;
    }
    colour(c, rising(b));
    fputs((b->close >= b->open ? up : down)[above][below], c->out);
    colour(c, PLAIN);
}

static void put_volume_cell(const chart *c, const bar *b, int row)
{
    static const char *const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    int full = c->most > 0 ? (int)ceil(b->volume / c->most * VOLUME_ROWS * 8) : 0;
    int here = full - (VOLUME_ROWS - 1 - row) * 8;
    here = here < 0 ? 0 : here > 8 ? 8
                                   : here;
    if (here) {
        colour(c, DIM);
        colour(c, rising(b));
    }
    fputs(eighths[here], c->out);
    if (here)
        colour(c, PLAIN);
}

static void put_row(const chart *c, int row, void (*cell)(const chart *c, const bar *b, int row))
{
    for (size_t i = 0; i < c->count; i++) {
        cell(c, &c->bars[i], row);
        for (int g = 1; g < c->gap && i + 1 < c->count; g++)
            fputc(' ', c->out);
    }
}

/* ---- Axes ---- */

static void put_prices(const chart *c)
{
    int every = c->rows > 16 ? 4 : c->rows > 6 ? 3
                                               : 2;
    for (int row = 0; row < c->rows; row++) {
        put_row(c, row, put_price_cell);
        double price = c->top - (c->top - c->bottom) * (row + 0.5) / c->rows;
        if (row % every == 0)
            fprintf(c->out, " ┤ %.*f\n", c->decimals, price);
        else
            fputs(" │\n", c->out);
    }
}

static void put_volumes(const chart *c)
{
    for (int row = 0; row < VOLUME_ROWS; row++) {
        put_row(c, row, put_volume_cell);
        if (row == 0)
            fprintf(c->out, " ┤ vol %.4g\n", c->most);
        else
            fputs(" │\n", c->out);
    }
}

/* "05-01" where a day begins, "12:30" within one, "2024" where a year begins; by the distance of labels. */
static void time_text(char *out, size_t size, uint64_t ns, uint64_t before_ns, uint64_t apart_ns)
{
    time_t now = (time_t)(ns / NS_PER_S), then = (time_t)(before_ns / NS_PER_S);
    struct tm t, b;
    gmtime_r(&now, &t);
    gmtime_r(&then, &b);
    if (apart_ns >= UINT64_C(86400) * 200 * NS_PER_S)
        strftime(out, size, "%Y-%m", &t);
    else if (apart_ns >= UINT64_C(86400) * NS_PER_S)
        strftime(out, size, !before_ns || b.tm_year != t.tm_year ? "%Y-%m-%d" : "%m-%d", &t);
    else
        strftime(out, size, !before_ns || b.tm_yday != t.tm_yday || b.tm_year != t.tm_year ? "%m-%d %H:%M" : "%H:%M", &t);
}

static void put_times(const chart *c)
{
    size_t every = (size_t)(16 / c->gap), last = 0;
    int at = 0, width = (int)c->count * c->gap - (c->gap - 1);
    for (int i = 0; i < width; i++)
        fputs(i % c->gap == 0 && (size_t)(i / c->gap) % every == 0 ? "┴" : "─", c->out);
    fputs("─┘\n", c->out);
    for (size_t i = 0; i < c->count; i += every) {
        char text[32];
        uint64_t apart = c->count > every ? (c->bars[c->count - 1].time - c->bars[0].time) / (c->count - 1) * every : 0;
        time_text(text, sizeof text, c->bars[i].time, i ? c->bars[last].time : 0, apart);
        int column = (int)i * c->gap;
        last = i;
        if (column + (int)strlen(text) > c->size->columns - 4)
            break;
        at += fprintf(c->out, "%*s%s", column - at, "", text);
    }
    fprintf(c->out, "%*sUTC\n", at + 1 < c->size->columns - 3 ? 1 : 0, "");
}

static void put_title(const chart *c, const char *title)
{
    const bar *first = &c->bars[0], *last = &c->bars[c->count - 1];
    char text[400];
    double change = first->open ? (last->close - first->open) / first->open * 100 : 0;
    int n = snprintf(text, sizeof text, "%s  %.*f  %+.2f %%  %zu candles  ┃ up █ down", title, c->decimals, last->close, change, c->count);
    int extra = 4; /* octets of "┃" and "█" beyond one column each */
    if (n - extra > c->size->columns)
        n = snprintf(text, sizeof text, "%.*f  %+.2f %%", c->decimals, last->close, change);
    fputs(text, c->out);
    fputc('\n', c->out);
}

bool chart_draw(FILE *out, json candles, const char *title, const chart_size *size)
{
    json key, row;
    size_t all = 0;
    chart c = {.out = out, .size = size, .rows = size->lines - VOLUME_ROWS - 4, .gap = 1};
    for (json_iter it = json_each(candles); candles.type == JSON_ARRAY && json_next(&it, &key, &row);)
        all++;
    if (!all || c.rows < 3 || size->columns < 30 || !(c.bars = calloc((size_t)size->columns, sizeof *c.bars)))
        return false;
    c.count = read_bars(c.bars, candles, (size_t)size->columns); /* for the labels' width */
    if (c.count)
        measure(&c);
    int room = size->columns - c.label - 4;
    if (c.count && room >= 10) {
        c.gap = all * 2 <= (size_t)room ? 2 : 1;
        c.count = read_bars(c.bars, candles, (size_t)(room / c.gap));
        c.most = 0;
        measure(&c);
        put_title(&c, title);
        put_prices(&c);
        put_volumes(&c);
        put_times(&c);
    }
    free(c.bars);
    return c.count && room >= 10;
}
