/* Candles of a span of time.
 *
 * How many rows a plugin gives at once, and which end of a span it gives when that is too few, is its own affair and
 * nowhere declared. So the span is asked for in windows, newest first, and what a window's answer left uncovered before and
 * behind its rows is asked for again, until an answer brings nothing new. Three windows in a row without a row are the
 * beginning of history. */
#include "cli/history.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/normal.h"
#include "plugin/timeframe.h"

#define WINDOW 1000 /* bars asked for at once */
#define EMPTY_MAX 3 /* windows without a row: nothing is older */
#define ROWS_MAX 1000000
#define HOLES 64

typedef struct span {
    uint64_t from, to; /* ns; `to` is not in it */
} span;

typedef struct row {
    uint64_t time;
    size_t place; /* of those with one time, the one that came first stays */
    char *text;
} row;

typedef struct job {
    weir_plugin *plugin;
    json params;
    unsigned flags;
    uint64_t step;
    row *rows;
    size_t count, room;
    size_t calls;
    bool told; /* a line of progress stands on the terminal */
} job;

bool history_wanted(const history_wish *w)
{
    return w->from || w->to || w->limit;
}

bool history_time(const char *text, uint64_t now_ns, uint64_t *ns)
{
    char whole[32];
    timeframe ago;
    bytes all = bytes_of(text);
    if (!strcmp(text, "now")) {
        *ns = now_ns;
        return true;
    }
    if (strlen(text) == 10 && text[4] == '-') {
        snprintf(whole, sizeof whole, "%sT00:00:00Z", text);
        return clock_parse(bytes_of(whole), ns);
    }
    if (timeframe_read(&ago, all)) {
        uint64_t back = timeframe_seconds(&ago) * NS_PER_S;
        *ns = back < now_ns ? now_ns - back : 0;
        return true;
    }
    if (clock_parse(all, ns))
        return true;
    json number;
    return json_read(&number, all, NULL) == WEIR_OK && number.type == JSON_NUMBER && normal_time(number, ns);
}

static void progress(job *j, bool last)
{
    char when[CLOCK_RFC3339_SIZE] = "";
    if (!isatty(STDERR_FILENO))
        return;
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < j->count; i++)
        oldest = j->rows[i].time < oldest ? j->rows[i].time : oldest;
    if (j->count)
        clock_rfc3339(when, oldest, 0);
    fprintf(stderr, "\r\033[K");
    if (!last)
        fprintf(stderr, "%zu candles in %zu calls%s%s", j->count, j->calls, *when ? ", back to " : "", when);
    fflush(stderr);
    j->told = !last;
}

/* The user's parameters with this window's. */
static void put_params(buf *out, const job *j, span window)
{
    json key, value;
    buf_add_char(out, '{');
    for (json_iter it = json_each(j->params); j->params.type == JSON_OBJECT && json_next(&it, &key, &value);)
        if (!json_is(key, "startTime") && !json_is(key, "endTime") && !json_is(key, "limit")) {
            buf_add_bytes(out, key.raw);
            buf_add_char(out, ':');
            buf_add_bytes(out, value.raw);
            buf_add_char(out, ',');
        }
    buf_add_text(out, "\"startTime\":");
    buf_add_u64(out, window.from / NS_PER_MS);
    buf_add_text(out, ",\"endTime\":");
    buf_add_u64(out, window.to / NS_PER_MS);
    buf_add_text(out, ",\"limit\":");
    buf_add_u64(out, (window.to - window.from + j->step - 1) / j->step);
    buf_add_char(out, '}');
    buf_add_char(out, '\0');
}

static bool keep(job *j, uint64_t time, bytes text)
{
    if (j->count == j->room) {
        size_t room = j->room ? 2 * j->room : 1024;
        row *grown = realloc(j->rows, room * sizeof *grown);
        if (!grown)
            return false;
        j->rows = grown;
        j->room = room;
    }
    char *copy = bytes_dup(text);
    if (!copy)
        return false;
    j->rows[j->count] = (row){time, j->count, copy};
    j->count++;
    return true;
}

/* Keeps the rows of an answer that lie in the window; *got is what they span, empty for none. */
static bool take(job *j, bytes answer, span window, span *got)
{
    json list, key, one;
    *got = (span){window.to, window.to};
    if (json_read(&list, answer, NULL) || list.type != JSON_ARRAY)
        return true;
    for (json_iter it = json_each(list); json_next(&it, &key, &one);) {
        uint64_t time;
        bytes digits;
        if (!json_string_slice(json_member(one, "ts_event"), &digits) || !json_u64((json){JSON_NUMBER, digits}, &time))
            continue;
        if (time < window.from || time >= window.to)
            continue;
        if (got->from == got->to)
            got->from = time;
        got->to = time + j->step;
        if (!keep(j, time, one.raw))
            return false;
    }
    return true;
}

static bool call(job *j, span window, span *got, int *code)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *result = NULL;
    buf params;
    buf_init(&params, 1 << 20);
    put_params(&params, j, window);
    bool good = !params.failed && weir_command_wait(j->plugin, "getOHLCV", params.at, j->flags, &result, &err) == WEIR_OK;
    j->calls++;
    if (!good) {
        if (j->told)
            progress(j, true);
        *code = cli_fail(err.code ? cli_exit_code(err.code) : EXIT_FAILED, "%s%s", err.code ? err.text : "out of memory", cli_cure(err.text));
    } else if (!take(j, bytes_make(result->output, result->output_len), window, got)) {
        *code = cli_fail(EXIT_FAILED, "%zu candles: out of memory", j->count);
        good = false;
    }
    buf_fini(&params);
    return good;
}

/* One window, and what its answers leave of it. */
static bool fill(job *j, span window, bool *any, int *code)
{
    span holes[HOLES];
    size_t n = 0, before = j->count;
    holes[n++] = window;
    while (n && j->count < ROWS_MAX) {
        span hole = holes[--n], got;
        if (!call(j, hole, &got, code))
            return false;
        progress(j, false);
        if (got.from == got.to)
            continue;
        if (got.from - hole.from >= j->step && n < HOLES)
            holes[n++] = (span){hole.from, got.from};
        if (got.to < hole.to && hole.to - got.to >= j->step && n < HOLES)
            holes[n++] = (span){got.to, hole.to};
    }
    *any = j->count > before;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Sorted, each once, the newest `limit` of them. */
static void write_rows(buf *out, job *j, uint64_t limit)
{
    size_t count = 0;
    if (j->count)
        qsort(j->rows, j->count, sizeof *j->rows, by_time);
    for (size_t i = 0; i < j->count; i++)
        if (count && j->rows[i].time == j->rows[count - 1].time) {
            free(j->rows[i].text);
        } else {
            j->rows[count++] = j->rows[i];
        }
    j->count = count;
    size_t first = limit && count > limit ? count - (size_t)limit : 0;
    buf_add_char(out, '[');
    for (size_t i = first; i < count; i++) {
        buf_add_text(out, i > first ? "," : "");
        buf_add_text(out, j->rows[i].text);
    }
    buf_add_char(out, ']');
}

static bool read_span(span *out, const history_wish *w, int *code)
{
    uint64_t now = clock_real();
    *out = (span){0, now};
    const char *bad = w->from && !history_time(w->from, now, &out->from) ? w->from : w->to && !history_time(w->to, now, &out->to) ? w->to
                                                                                                                                  : NULL;
    if (bad)
        *code = cli_usage("command", "--%s '%s': expected a time such as 2024-05-01, 2024-05-01T12:00:00Z, 7d (so long ago) or now", bad == w->from ? "from" : "to", bad);
    else if (out->from >= out->to)
        *code = cli_usage("command", "--from is not before --to");
    return !bad && out->from < out->to;
}

static bool read_step(job *j, int *code)
{
    json frame = json_member(j->params, "timeframe");
    timeframe t;
    bytes text;
    if (frame.type == JSON_NONE)
        frame = json_member(j->params, "interval");
    if (!json_string_slice(frame, &text) || !timeframe_read(&t, text)) {
        *code = cli_usage("command", "--from, --to and --limit need timeframe=1m or another time frame");
        return false;
    }
    j->step = timeframe_seconds(&t) * NS_PER_S;
    return true;
}

bool history_ask(buf *out, weir_plugin *plugin, json params, const history_wish *wish, unsigned flags, int *code)
{
    job j = {.plugin = plugin, .params = params, .flags = flags};
    span all;
    size_t empty = 0;
    if (!read_span(&all, wish, code) || !read_step(&j, code))
        return false;
    bool good = true;
    for (uint64_t to = all.to; good && to > all.from && empty < EMPTY_MAX && j.count < ROWS_MAX && (!wish->limit || j.count < wish->limit);) {
        uint64_t bars = wish->limit && wish->limit - j.count < WINDOW ? wish->limit - j.count + 1 : WINDOW; /* one more: the first is cut */
        uint64_t reach = bars * j.step;
        span window = {to - all.from > reach ? to - reach : all.from, to};
        bool any;
        good = fill(&j, window, &any, code);
        empty = any ? 0 : empty + 1;
        to = window.from;
    }
    if (j.told)
        progress(&j, true);
    if (good && j.count >= ROWS_MAX)
        fprintf(stderr, "weir: %d candles are the most; --to asks for older ones\n", ROWS_MAX);
    if (good)
        write_rows(out, &j, wish->limit);
    if (good && out->failed) {
        *code = cli_fail(EXIT_FAILED, "%zu candles: out of memory", j.count);
        good = false;
    }
    for (size_t i = 0; i < j.count; i++)
        free(j.rows[i].text);
    free(j.rows);
    return good;
}
