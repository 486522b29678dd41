/* Records as a table on the terminal that updates in place: see table.c for what it shows.
 *
 * On a terminal each screen is painted over the one before: the cursor goes up by as many lines, every
 * line is erased and written anew, what was below is erased; all in one piece, at most ten times a
 * second, and once a second when nothing comes (ages and duration move). The cursor is hidden while
 * we run and comes back on close; the last screen stays. Elsewhere (a file, a pipe) there is one
 * screen, on close, without colours.
 *
 * What can go wrong: the terminal is slow; then the screen on its way is finished before another one
 * is made, and screens, not records, are left out. It goes away: SINK_ERROR. */
#include "base/clock.h"
#include "sink/sink_impl.h"
#include "sink/table.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define PAINT_NS (100 * NS_PER_MS)
#define IDLE_NS NS_PER_S
#define CLOSE_MS 100 /* how long close waits for a terminal that must get its cursor back */
#define COLUMNS 80
#define ROWS 24
#define SCREEN_MAX (4u << 20)

typedef struct table_sink {
    sink base;
    outlet out;
    table table;
    buf screen, frame; /* the lines; the octets that bring them there */
    size_t sent;       /* of the frame */
    unsigned fixed_columns, fixed_rows, columns, rows;
    size_t painted; /* lines of the last frame */
    bool hidden;    /* the cursor */
    bool changed, clear;
    uint64_t last_paint;
    void (*figures)(void *arg, sink_figures *out);
    void *figures_arg;
    uint64_t started;
    sink_account account;
} table_sink;

static void table_ask_size(table_sink *t, unsigned columns, unsigned rows)
{
    struct winsize size = {0};

    if (t->out.terminal && ioctl(t->out.fd, TIOCGWINSZ, &size))
        size = (struct winsize){0};
    t->columns = columns ? columns : size.ws_col ? size.ws_col
                                                 : COLUMNS;
    t->rows = rows ? rows : size.ws_row ? size.ws_row
                                        : ROWS;
}

static bool wants_colour(const table_sink *t, sink_colour colour)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (colour != SINK_COLOUR_AUTO)
        return colour == SINK_COLOUR_ALWAYS;
    return t->out.terminal && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static weir_code table_open(sink **out, const sink_options *options, weir_error *err)
{
    table_sink *t = calloc(1, sizeof *t);
    weir_code code;

    if (!t)
        return error_set(err, WEIR_NOMEM, "out of memory");
    t->base.ops = &sink_table_ops;
    code = table_init(&t->table, err);
    if (!code)
        code = outlet_open(&t->out, options, err);
    if (code) {
        table_fini(&t->table);
        free(t);
        return code;
    }
    buf_init(&t->screen, SCREEN_MAX);
    buf_init(&t->frame, 2 * SCREEN_MAX);
    t->fixed_columns = options->columns;
    t->fixed_rows = options->rows;
    table_ask_size(t, t->fixed_columns, t->fixed_rows);
    t->table.colour = wants_colour(t, options->colour);
    t->figures = options->figures;
    t->figures_arg = options->figures_arg;
    t->started = clock_mono();
    t->changed = true;
    *out = &t->base;
    return WEIR_OK;
}

static sink_result table_send(table_sink *t)
{
    if (t->base.why.code)
        return SINK_ERROR;
    while (t->sent < t->frame.len) {
        ssize_t n = outlet_write(&t->out, bytes_make(t->frame.at + t->sent, t->frame.len - t->sent), &t->base.why);
        if (n <= 0)
            return n < 0 ? SINK_ERROR : SINK_WOULD_BLOCK;
        t->sent += (size_t)n;
        t->account.octets += (uint64_t)n;
    }
    return SINK_ACCEPTED;
}

static sink_figures table_figures(const table_sink *t)
{
    sink_figures f = {
        .received = t->table.data,
        .delivered = t->table.data,
        .dropped = t->table.missed,
        .gaps = t->table.gaps,
        .started_mono_ns = t->started,
    };

    if (t->figures)
        t->figures(t->figures_arg, &f);
    return f;
}

/* The screen's lines with what makes them replace the last ones. */
static void table_compose(table_sink *t)
{
    const char *at = t->screen.at, *end = at + t->screen.len;

    buf_clear(&t->frame);
    t->sent = 0;
    if (t->clear)
        buf_add_text(&t->frame, "\x1b[H\x1b[2J");
    else if (t->painted)
        buf_add_fmt(&t->frame, "\x1b[%zuA", t->painted);
    if (!t->hidden)
        buf_add_text(&t->frame, "\x1b[?25l");
    t->hidden = true;
    t->clear = false;
    t->painted = 0;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        buf_add_text(&t->frame, "\r\x1b[2K");
        buf_add(&t->frame, at, (size_t)(newline - at));
        buf_add_text(&t->frame, "\r\n");
        t->painted++;
        at = newline + 1;
    }
    buf_add_text(&t->frame, "\x1b[J");
}

static void table_paint(table_sink *t, uint64_t mono_ns)
{
    sink_figures f = table_figures(t);

    buf_clear(&t->screen);
    if (t->out.terminal) { /* the last line is the cursor's */
        table_render(&t->table, &t->screen, &f, t->columns, t->rows > 1 ? t->rows - 1 : 1, clock_real(), mono_ns);
        if (!t->screen.failed) /* without memory the old screen stays */
            table_compose(t);
    } else {
        table_render(&t->table, &t->screen, &f, t->columns, UINT32_MAX, clock_real(), mono_ns);
        buf_add_bytes(&t->frame, buf_bytes(&t->screen));
    }
    t->changed = false;
    t->last_paint = mono_ns;
}

static uint64_t table_next_tick(const sink *s)
{
    const table_sink *t = (const table_sink *)s;

    if (!t->out.terminal || s->why.code)
        return 0;
    if (!t->last_paint)
        return 1; /* at once */
    return t->last_paint + (t->changed ? PAINT_NS : IDLE_NS);
}

static void table_tick(sink *s, uint64_t mono_ns)
{
    table_sink *t = (table_sink *)s;
    uint64_t due = table_next_tick(s);

    if (table_send(t) == SINK_ACCEPTED && due && mono_ns >= due) {
        table_paint(t, mono_ns);
        table_send(t);
    }
}

static sink_result table_write(sink *s, record *r)
{
    table_sink *t = (table_sink *)s;

    if (s->why.code)
        return SINK_ERROR;
    table_take(&t->table, r);
    t->account.accepted++;
    t->account.written++;
    t->changed = true;
    return SINK_ACCEPTED;
}

/* What waits here is a screen, and records do not wait for it: a slow terminal is no back-pressure. */
static sink_result table_flush(sink *s)
{
    return table_send((table_sink *)s) == SINK_ERROR ? SINK_ERROR : SINK_ACCEPTED;
}

static void table_resize(sink *s, unsigned columns, unsigned rows)
{
    table_sink *t = (table_sink *)s;

    table_ask_size(t, columns ? columns : t->fixed_columns, rows ? rows : t->fixed_rows);
    t->clear = t->painted > 0; /* the terminal may have wrapped what stands there */
    t->changed = true;
}

static void table_close(sink *s)
{
    table_sink *t = (table_sink *)s;
    struct pollfd room = {.fd = t->out.fd, .events = POLLOUT};
    uint64_t now = clock_mono();

    if (table_send(t) == SINK_WOULD_BLOCK) /* half a screen: the rest must follow */
        poll(&room, 1, CLOSE_MS);
    if (table_send(t) == SINK_ACCEPTED)
        table_paint(t, now);
    if (t->hidden)
        buf_add_text(&t->frame, "\x1b[?25h");
    if (table_send(t) == SINK_WOULD_BLOCK && poll(&room, 1, CLOSE_MS) > 0)
        table_send(t);
    table_fini(&t->table);
    buf_fini(&t->screen);
    buf_fini(&t->frame);
    outlet_close(&t->out);
    free(t);
}

static void table_account_read(const sink *s, sink_account *out)
{
    *out = ((const table_sink *)s)->account;
}

static int table_fd(const sink *s)
{
    const table_sink *t = (const table_sink *)s;
    return t->out.way == OUTLET_PLAIN ? -1 : t->out.fd;
}

static bool table_wants_write(const sink *s)
{
    const table_sink *t = (const table_sink *)s;
    return t->sent < t->frame.len && !s->why.code;
}

const sink_ops sink_table_ops = {
    .name = "table",
    .help = "an aligned table on the terminal that updates in place",
    .open = table_open,
    .write = table_write,
    .flush = table_flush,
    .close = table_close,
    .account = table_account_read,
    .fd = table_fd,
    .wants_write = table_wants_write,
    .next_tick = table_next_tick,
    .tick = table_tick,
    .resize = table_resize,
};
