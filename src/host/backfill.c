/* Closing gaps in candles from the plugin's own history, where the user wants it (weir_plugin_options.backfill).
 *
 * When a stream of type ohlcv is whole again behind a gap, the candles that were final in between are asked for
 * (getOHLCV, like weir_command) and published in the same stream as records with "backfill":true: those that had
 * begun or went on at the last record before the gap, up to the one that is live now. Times are the venue's on both
 * sides, never this machine's. Behind them a status record says how many came.
 * What can go wrong: the history cannot be had (the venue, a limit): three tries, then a status record (unfilled)
 * says why, and the gap stays open, but one that ended meanwhile is asked for at once; the stream's timeframe is none
 * that we can compute with: the same at once; a reader that must lose nothing is full: the rows wait. */
#include <stdio.h>

#include "base/json.h"
#include "host/inside.h"
#include "plugin/timeframe.h"

#define TRIES 3
#define ROWS_MAX 1000
#define ROOM_NS (50 * NS_PER_MS)

#define DAY_S 86400

/* How long a candle is, in ns; of a month or a year the longest. 0: no time frame. */
static uint64_t span_of(bytes text)
{
    timeframe t;
    if (!timeframe_read(&t, text))
        return 0;
    return (timeframe_seconds(&t) + (t.unit == 'M' || t.unit == 'Y' ? t.value * DAY_S : 0)) * NS_PER_S;
}

static void say(weir_stream *w, record_state state, const char *why)
{
    record_stream *records = stream_records(w->stream);
    log_at(state == RECORD_UNFILLED ? LOG_WARN : LOG_INFO, "stream", "'%s': %s", record_stream_topic(records).at, why);
    hub_publish_status(w->plugin->host->hub, records, state, why);
}

/* ---- Rows ---- */

/* One row, if it is final and of the gap. */
static void publish_row(weir_stream *w, json row, bytes timeframe)
{
    backfill *b = &w->backfill;
    record_stream *records = stream_records(w->stream);
    uint64_t at;
    if (!json_text_u64(json_member(row, "ts_event"), &at) || at + b->span <= b->asked_from || at + b->span > b->asked_to)
        return;
    buf_clear(&b->line);
    buf_add_text(&b->line, "{\"symbol\":");
    json_put_string(&b->line, record_stream_identifier(records));
    buf_add_text(&b->line, ",\"interval\":");
    json_put_string(&b->line, timeframe);
    buf_add_text(&b->line, ",\"closed\":true,");
    buf_add(&b->line, row.raw.at + 1, row.raw.len - 1);
    if (b->line.failed)
        return;
    hub_publish(w->plugin->host->hub, record_backfill_new(records, at, clock_real(), buf_bytes(&b->line)));
    b->published++;
}

static bytes timeframe_of(const weir_stream *w)
{
    json parameters;
    bytes text = BYTES("");
    if (!json_read(&parameters, record_stream_parameters(stream_records(w->stream)), NULL))
        json_string_slice(json_member(parameters, "timeframe"), &text);
    return text;
}

/* As far as the readers have room. */
static void publish_rows(weir_stream *w)
{
    backfill *b = &w->backfill;
    json key, row;
    char text[200], from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE];
    bytes timeframe = timeframe_of(w);
    for (;;) {
        if (hub_blocked(w->plugin->host->hub, stream_records(w->stream))) {
            timer_after(&b->next, ROOM_NS);
            return;
        }
        if (!json_next(&b->rest, &key, &row))
            break;
        publish_row(w, row, timeframe);
    }
    clock_rfc3339(from, b->asked_from, 0);
    clock_rfc3339(to, b->asked_to, 0);
    snprintf(text, sizeof text, "%zu candles from %s to %s came from the plugin's history", b->published, from, to);
    b->holding = false;
    b->tries = 0;
    buf_fini(&b->rows);
    say(w, RECORD_BACKFILLED, text);
    if (b->from)
        timer_after(&b->next, 0);
}

/* ---- The question ---- */

static void give_up(weir_stream *w, const char *why)
{
    char text[WEIR_ERROR_TEXT + 80];
    snprintf(text, sizeof text, "the gap stays open: %s", why);
    w->backfill.tries = 0;
    say(w, RECORD_UNFILLED, text);
    if (w->backfill.from) /* a gap that ended meanwhile */
        timer_after(&w->backfill.next, 0);
}

static void try_again(weir_stream *w, const char *why)
{
    backfill *b = &w->backfill;
    uint64_t wait = w->plugin->host->backoff_min_ns ? w->plugin->host->backoff_min_ns : NS_PER_S;
    if (++b->tries >= TRIES) {
        give_up(w, why);
        return;
    }
    if (!b->from || b->asked_from < b->from)
        b->from = b->asked_from;
    timer_after(&b->next, wait << (2 * b->tries));
}

static void on_history(void *arg, const weir_result *r)
{
    weir_stream *w = arg;
    backfill *b = &w->backfill;
    json list;
    b->asking = NULL;
    if (r->code) {
        try_again(w, r->error);
        return;
    }
    buf_init(&b->rows, SIZE_MAX);
    buf_add(&b->rows, r->output, r->output_len);
    if (b->rows.failed || json_read(&list, buf_bytes(&b->rows), NULL) || list.type != JSON_ARRAY) {
        buf_fini(&b->rows);
        give_up(w, "out of memory");
        return;
    }
    b->rest = json_each(list);
    b->published = 0;
    b->holding = true;
    publish_rows(w);
}

static void put_question(buf *q, const weir_stream *w)
{
    const backfill *b = &w->backfill;
    char time[CLOCK_RFC3339_SIZE];
    uint64_t rows = (b->asked_to - b->asked_from) / b->span + 3;
    buf_add_text(q, "{\"symbol\":");
    json_put_string(q, record_stream_identifier(stream_records(w->stream)));
    buf_add_text(q, ",\"timeframe\":");
    json_put_string(q, timeframe_of(w));
    clock_rfc3339(time, b->asked_from > b->span ? b->asked_from - b->span : 0, 0);
    buf_add_text(q, ",\"startTime\":\"");
    buf_add_text(q, time);
    clock_rfc3339(time, b->asked_to, 0);
    buf_add_text(q, "\",\"endTime\":\"");
    buf_add_text(q, time);
    buf_add_text(q, "\",\"limit\":");
    buf_add_u64(q, rows < ROWS_MAX ? rows : ROWS_MAX);
    buf_add_char(q, '}');
    buf_add_char(q, '\0');
}

static void ask(weir_stream *w)
{
    backfill *b = &w->backfill;
    weir_error err = WEIR_ERROR_INIT;
    buf q;
    weir_code code;
    b->span = span_of(timeframe_of(w));
    b->asked_from = b->from;
    b->asked_to = stream_last_event(w->stream);
    b->from = 0;
    if (!b->span) {
        give_up(w, "the stream's time frame is none that can be computed with");
        return;
    }
    if (b->asked_to <= b->asked_from) /* nothing newer: within one candle, which the live ones tell */
        return;
    buf_init(&q, 1 << 16);
    put_question(&q, w);
    code = q.failed ? error_set(&err, WEIR_NOMEM, "out of memory")
                    : command_start(&b->asking, w->plugin, "getOHLCV", q.at, WEIR_COMMAND_FRESH, on_history, w, &err);
    buf_fini(&q);
    if (code == WEIR_UNSUPPORTED || code == WEIR_INVALID || code == WEIR_NOT_FOUND)
        give_up(w, err.text);
    else if (code)
        try_again(w, err.text);
}

static void on_next(void *arg)
{
    weir_stream *w = arg;
    backfill *b = &w->backfill;
    stream_state state = stream_get_state(w->stream);
    if (state == STREAM_STOPPING || state == STREAM_CLOSED || state == STREAM_FAILED)
        return;
    if (b->holding)
        publish_rows(w);
    else if (!b->asking && b->from)
        ask(w);
}

/* ---- From the stream ---- */

void backfill_init(weir_stream *w)
{
    timer_init(&w->backfill.next, w->plugin->host->loop, on_next, w);
    buf_init(&w->backfill.line, 1 << 16);
}

void backfill_want(weir_stream *w, uint64_t from)
{
    backfill *b = &w->backfill;
    if (!w->plugin->backfill || !from || !bytes_is(record_stream_type(stream_records(w->stream)), "ohlcv"))
        return;
    if (!b->from || from < b->from)
        b->from = from;
    if (!b->asking && !b->holding && !timer_running(&b->next))
        timer_after(&b->next, 0);
}

void backfill_fini(weir_stream *w)
{
    timer_stop(&w->backfill.next);
    if (w->backfill.asking)
        command_mute(w->backfill.asking);
    buf_fini(&w->backfill.line);
    buf_fini(&w->backfill.rows);
}
